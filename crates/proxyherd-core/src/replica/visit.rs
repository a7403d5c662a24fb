//! Visits of the clients in many slots of a shard, in bites. A *bite* is a run of visits under one hold of the shard's
//! lock. After each bite, others can take the lock, and the search may end.
//!
//! A record stays in its slot for as long as it is held. So a client that is held during the whole visit of its slot is
//! visited exactly once, however often it moves. A client that is removed and comes back during the visit may get
//! another slot and be visited twice.

use parking_lot::MutexGuard;

use super::{
    Replica,
    effort::{Effort, Unfinished},
    shard_index,
};
use crate::{
    command::Bounds,
    flood::Update,
    store::SlotId,
    types::{Body, ClientId, Coordinates, Kind},
};

/// The number of slots after which a visit lets others take the shard's lock, if they wait for it. A visit of this many
/// slots takes about a tenth of a millisecond. A costly filter makes the number smaller.
const SLOTS_PER_BITE: usize = 1024;

/// The number of visits that cost as much as keeping a client, in addition to its own visit.
const VISITS_PER_TAKEN: usize = 4;

/// Slots that are visited.
pub(super) enum Slots {
    /// All slots below this number.
    Below(usize),
    /// Only these.
    These(Vec<SlotId>),
}

impl Slots {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        match self {
            Slots::Below(end) => *end,
            Slots::These(slots) => slots.len(),
        }
    }
}

impl Replica {
    /// All slots of a shard.
    pub(super) fn every_slot(&self, shard: usize) -> Slots {
        Slots::Below(self.shards[shard].lock().shard.slots_used())
    }

    /// The slots of the clients in a box, and of some clients near the box.
    pub(super) fn slots_near(&self, shard: usize, bounds: &Bounds) -> Slots {
        let near = self.shards[shard].lock().shard.slots_near(bounds);
        near.map_or_else(|| self.every_slot(shard), Slots::These)
    }

    /// Calls `visit` with each client that is held in one of the slots and has not expired. `visit` returns whether it
    /// keeps the client. An error: there are more slots than visits that the effort allows, or the search was canceled.
    pub(super) fn visit_slots(
        &self,
        shard: usize,
        now_ns: u64,
        slots: Slots,
        effort: &mut Effort<'_>,
        mut visit: impl FnMut(&Update<'_>, Coordinates) -> bool,
    ) -> Result<(), Unfinished> {
        if slots.len() > effort.visits_max() {
            return Err(Unfinished);
        }
        *effort = effort.less(slots.len());
        match slots {
            Slots::Below(end) => {
                self.visit_each(shard, now_ns, (0..end as u32).map(SlotId), effort, &mut visit)
            }
            Slots::These(slots) => self.visit_each(shard, now_ns, slots.into_iter(), effort, &mut visit),
        }
    }

    fn visit_each(
        &self,
        shard: usize,
        now_ns: u64,
        slots: impl Iterator<Item = SlotId>,
        effort: &Effort<'_>,
        visit: &mut impl FnMut(&Update<'_>, Coordinates) -> bool,
    ) -> Result<(), Unfinished> {
        effort.check()?;
        let bite = effort.bite(SLOTS_PER_BITE);
        let mut left = bite;
        let mut counted = self.shards[shard].lock();
        for id in slots {
            if left == 0 {
                effort.check()?;
                MutexGuard::bump(&mut counted);
                left = bite;
            }
            left -= 1;
            if let Some((held, coordinates)) = counted.shard.client_in(now_ns, id)
                && visit(&held, coordinates)
            {
                left = left.saturating_sub(VISITS_PER_TAKEN);
            }
        }
        Ok(())
    }

    /// Calls `visit` with the records in up to `most` slots of a shard from `slot` on, shown or not, under the shard's
    /// lock. Returns the slot at which to go on; `None`: there are no more. A record stays in its slot.
    pub fn scan_shard(
        &self,
        shard: usize,
        slot: usize,
        most: usize,
        visit: impl FnMut(Update<'_>),
    ) -> Option<usize> {
        let counted = self.shards[shard].lock();
        let end = slot.saturating_add(most).min(counted.shard.slots_used());
        (slot..end).filter_map(|at| counted.shard.held_in(SlotId(at as u32))).for_each(visit);
        (end < counted.shard.slots_used()).then_some(end)
    }

    /// Calls `visit` with each of the clients `ids` that is in the shard.
    pub(super) fn visit_clients(
        &self,
        shard: usize,
        now_ns: u64,
        ids: &[ClientId<'_>],
        mut visit: impl FnMut(&Update<'_>, Coordinates),
    ) {
        for id in ids.iter().filter(|id| shard_index(id.as_bytes()) == shard) {
            let counted = self.shards[shard].lock();
            let held = counted.shard.locate(now_ns, Kind::CLIENT, id.as_bytes());
            if let Some(held) = held
                && let Body::Location { coordinates, .. } = held.record.body
            {
                visit(&held, coordinates);
            }
        }
    }
}
