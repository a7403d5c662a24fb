//! The searches of the index: the clients near a point, and the clients in a box.
//!
//! The search for the nearest goes into the nearer half of each cell first, and leaves out each cell that is certainly
//! farther away than the clients that it still wants ([`LowerBound`]). It visits few clients if it wants few. But it
//! may want a client that is rare, and then it visits many. So it stops after a number of visits and returns all slots
//! that it has not visited and cannot leave out. Its caller then visits these slots in bites.

use super::{
    ClientIndex, Entries, LEAF, PILE,
    cell::{Cell, grid_of_latitude, grid_of_longitude},
    pool::NONE,
};
use crate::{
    command::Bounds,
    places::{Center, LowerBound},
    store::SlotId,
};

/// What a visitor says of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flood) enum Seen {
    /// Another client at the same point may be wanted.
    Near,
    /// The client, and all clients at the same point with greater IDs, are not wanted because they are too far away.
    TooFar,
}

/// Who searches for the nearest clients.
pub(in crate::flood) trait Nearest {
    /// The greatest haversine of the distances that are still wanted. It must not grow during the search.
    fn reach(&self) -> f64;
    /// Whether a search that stops after enough visits notes the slots that it has not visited.
    fn notes_rest(&self) -> bool;
    /// Loads what [`Nearest::visit`] will read into the processor's cache.
    fn warm(&self, slot: SlotId);
    /// Visits a client.
    fn visit(&mut self, slot: SlotId) -> Seen;
}

/// What a search for the nearest has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Visited {
    /// The number of clients that were visited.
    pub(crate) visits: usize,
    /// The slots of the clients that may be within reach and were not visited. `None`: there are such clients, and they
    /// were not noted.
    pub(crate) rest: Option<Vec<SlotId>>,
}

/// A cell that the search has not visited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Branch {
    link: u32,
    cell: Cell,
    bound: LowerBound,
}

impl ClientIndex {
    /// Visits the clients around a center, roughly the nearest first. Visits all clients that are within the visitor's
    /// reach until `visits_max` clients have been visited. `branches` is memory for the search.
    pub(in crate::flood) fn nearest(
        &self,
        entries: &impl Entries,
        center: &Center,
        visits_max: usize,
        branches: &mut Vec<Branch>,
        visitor: &mut impl Nearest,
    ) -> Visited {
        let mut visits = 0;
        branches.clear();
        branches.push(Branch { link: self.root, cell: Cell::WORLD, bound: LowerBound::WORLD });
        while let Some(mut branch) = branches.pop() {
            if branch.bound.haversine() > visitor.reach() {
                continue;
            }
            while branch.link & LEAF == 0 {
                let Some(nearer) = self.halved(branch, center, visitor.reach(), branches) else { break };
                branch = nearer;
            }
            if branch.link == NONE || branch.link & LEAF == 0 {
                continue;
            }
            if visits >= visits_max {
                branches.push(branch);
                return Visited { visits, rest: self.rest(branches, visitor, Vec::new()) };
            }
            if branch.link & PILE == 0 {
                let slots = self.leaves.get(branch.link & !LEAF).slots();
                slots.iter().for_each(|&slot| visitor.warm(SlotId(slot)));
                for &slot in slots {
                    visitor.visit(SlotId(slot));
                }
                visits += slots.len();
                continue;
            }
            let pile = &self.piles[(branch.link & !(LEAF | PILE)) as usize];
            let visit = |slot: u32| {
                visits += 1;
                (visitor.visit(SlotId(slot)) == Seen::Near, visits < visits_max)
            };
            let rest = pile.visit_points(entries, visit);
            if !rest.is_empty() {
                return Visited { visits, rest: self.rest(branches, visitor, rest) };
            }
        }
        Visited { visits, rest: Some(Vec::new()) }
    }

    /// Halves a cell. Returns the nearer half, and keeps the other one for later. `None`: both are out of reach.
    #[inline]
    fn halved(
        &self,
        Branch { link, cell, bound }: Branch,
        center: &Center,
        reach: f64,
        branches: &mut Vec<Branch>,
    ) -> Option<Branch> {
        let children = self.nodes.get(link).children;
        let half = |side: usize| {
            let half = cell.half(side);
            let bound = match cell.halves_latitude() {
                true => bound.with_latitudes(center, half.south, half.north()),
                false => bound.with_longitudes(center, half.west, half.east()),
            };
            Branch { link: children[side], cell: half, bound }
        };
        let wanted = |branch: &Branch| branch.link != NONE && branch.bound.haversine() <= reach;
        let (low, high) = (half(0), half(1));
        match (wanted(&low), wanted(&high)) {
            (true, true) => {
                let low_is_nearer = low.bound.is_nearer_than(&high.bound);
                let (nearer, farther) = if low_is_nearer { (low, high) } else { (high, low) };
                branches.push(farther);
                Some(nearer)
            }
            (true, false) => Some(low),
            (false, true) => Some(high),
            (false, false) => None,
        }
    }

    /// The slots that a search has not visited: those in `rest`, and all in the branches within reach. `None`: the
    /// visitor does not want them.
    fn rest(&self, branches: &[Branch], visitor: &impl Nearest, mut rest: Vec<u32>) -> Option<Vec<SlotId>> {
        if !visitor.notes_rest() {
            return None;
        }
        let reach = visitor.reach();
        for branch in branches.iter().filter(|branch| branch.bound.haversine() <= reach) {
            self.collect(branch.link, &mut rest);
        }
        Some(rest.into_iter().map(SlotId).collect())
    }

    fn collect(&self, link: u32, slots: &mut Vec<u32>) {
        match link {
            NONE => {}
            _ if link & LEAF == 0 => {
                self.nodes.get(link).children.into_iter().for_each(|child| self.collect(child, slots));
            }
            _ if link & PILE == 0 => slots.extend(self.leaves.get(link & !LEAF).slots()),
            _ => slots.extend(self.piles[(link & !(LEAF | PILE)) as usize].slots()),
        }
    }

    /// The slots of all clients in the cells that a box touches.
    pub(in crate::flood) fn in_box(&self, bounds: &Bounds) -> Vec<SlotId> {
        let mut slots = Vec::new();
        self.collect_in(self.root, Patch::WORLD, &Area::of(bounds), &mut slots);
        slots.into_iter().map(SlotId).collect()
    }

    fn collect_in(&self, link: u32, patch: Patch, area: &Area, slots: &mut Vec<u32>) {
        if link == NONE || !area.touches(patch) {
            return;
        }
        if link & LEAF != 0 {
            return self.collect(link, slots);
        }
        for (side, child) in self.nodes.get(link).children.into_iter().enumerate() {
            self.collect_in(child, patch.half(side), area, slots);
        }
    }
}

/// A cell by the numbers of its steps of latitude and longitude.
#[derive(Clone, Copy)]
struct Patch {
    south: u32,
    west: u32,
    depth: u32,
}

impl Patch {
    const WORLD: Patch = Patch { south: 0, west: 0, depth: 0 };

    fn half(self, side: usize) -> Patch {
        let mut half = Patch { depth: self.depth + 1, ..self };
        let bit = (side as u32) << (31 - self.depth / 2);
        match self.depth % 2 {
            0 => half.west |= bit,
            _ => half.south |= bit,
        }
        half
    }

    fn north(self) -> u32 {
        self.south | last_steps(self.depth / 2)
    }

    fn east(self) -> u32 {
        self.west | last_steps(self.depth.div_ceil(2))
    }
}

/// The bits that `halvings` halvings have not fixed.
fn last_steps(halvings: u32) -> u32 {
    u32::MAX.checked_shr(halvings).unwrap_or(0)
}

/// A box in steps of latitude and longitude.
struct Area {
    latitudes: (u32, u32),
    longitudes: [(u32, u32); 2],
}

impl Area {
    /// The steps grow with the degrees, so each point in the box is between the steps of the box's edges.
    fn of(bounds: &Bounds) -> Area {
        let (south, north) = bounds.latitudes();
        Area {
            latitudes: (grid_of_latitude(south), grid_of_latitude(north)),
            longitudes: bounds
                .longitudes()
                .map(|(west, east)| (grid_of_longitude(west), grid_of_longitude(east))),
        }
    }

    fn touches(&self, patch: Patch) -> bool {
        let overlaps = |(low, high): (u32, u32), from: u32, to: u32| from <= high && low <= to;
        overlaps(self.latitudes, patch.south, patch.north())
            && self.longitudes.iter().any(|&range| overlaps(range, patch.west, patch.east()))
    }
}
