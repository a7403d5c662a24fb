//! The clients near a point: the nearest first, within a radius or anywhere.
//!
//! The search asks the index of each shard in turn, under the shard's lock. A heap holds the nearest clients found so
//! far; the query's limit bounds the heap. The farthest client in a full heap limits how far the search looks in the
//! next shard. So the radius hardly changes the cost of a search. Searches begin at different shards and leave locked
//! shards for later, so that they seldom wait for each other. As in [`Replica::locate`], expired records and tombstones
//! do not count.
//!
//! A filter that rejects most clients, or a great limit, makes the search visit many. Under one lock it visits about
//! [`VISITS_MAX`] clients in addition to the query's limit, but at most twice [`VISITS_MAX`]. Then it notes the slots
//! of the other clients that may be near enough, and visits these slots in bites (`visit`). Noting the slots takes
//! about a millisecond for a million clients in the shard. A client that moves during the search is found at most once,
//! at one of its positions during the search. A client that is held and near enough during the whole search is always
//! found.
//!
//! Without an index the search visits all slots. A search with a bounded effort ends without a result if it would
//! have to visit more clients than its effort allows.

use std::collections::{BinaryHeap, HashSet};

use parking_lot::{Mutex, MutexGuard};

use super::{
    ALL_SHARDS, Counted, Replica,
    effort::{Effort, Unfinished},
    visit::Slots,
};
use crate::{
    command::{Around, Near, Whereabouts},
    flood::{NearestSearch, Update, Wants, separation},
    places::{Center, EARTH_RADIUS_M, Separation},
    types::{Attributes, Body, ClientId, Coordinates, Difference, Record, ServerName, Timestamp},
};

/// The greatest distance between two points on Earth, meters.
const FARTHEST_M: f64 = std::f64::consts::PI * EARTH_RADIUS_M;

/// The number of clients, in addition to the query's limit, after which a search visits the rest of a shard in bites.
/// Visiting this many takes about a fifth of a millisecond. A costly filter makes the number smaller.
const VISITS_MAX: usize = 2048;
/// The number of branches for which a search has memory from its beginning.
const BRANCHES: usize = 64;

/// A client that a search has found, with the contents of its record. The order is by distance, and at equal distances
/// by ID, so that every server answers alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundClient {
    separation: Option<Separation>,
    /// The client's ID and its attributes, one after the other.
    text: Box<[u8]>,
    id_len: usize,
    /// The client's position.
    pub coordinates: Coordinates,
    /// The time of the position, as the client's report gives it.
    pub timestamp: Timestamp,
    /// The server's clock at receipt minus `timestamp`.
    pub difference: Difference,
    /// The server that took the report.
    pub server: ServerName,
}

impl FoundClient {
    /// The client of a record that has a position.
    pub(super) fn of(separation: Option<Separation>, held: &Update<'_>) -> Option<FoundClient> {
        let Record { key, timestamp, difference, body, .. } = held.record;
        let Body::Location { coordinates, attributes } = body else { return None };
        let text = [key, attributes.as_bytes()].concat().into_boxed_slice();
        let server = held.origin.server.clone();
        Some(FoundClient { separation, text, id_len: key.len(), coordinates, timestamp, difference, server })
    }

    /// The client's ID.
    pub fn client(&self) -> ClientId<'_> {
        ClientId::of_field(&self.text[..self.id_len]).expect("a record about a client has its ID for a key")
    }

    /// The other contents of the client's report.
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes::trusted(&self.text[self.id_len..])
    }

    /// The client's distance from the center. `None`: the query has no center.
    pub fn separation(&self) -> Option<Separation> {
        self.separation
    }

    /// The client as a door writes it.
    pub fn whereabouts(&self) -> Whereabouts<'_> {
        Whereabouts {
            client: &self.text[..self.id_len],
            coordinates: self.coordinates,
            attributes: self.attributes(),
            timestamp: self.timestamp,
            difference: self.difference,
            server: &self.server,
        }
    }

    fn rank(&self) -> (Option<Separation>, &[u8]) {
        (self.separation, &self.text[..self.id_len])
    }
}

impl Ord for FoundClient {
    fn cmp(&self, other: &FoundClient) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for FoundClient {
    fn partial_cmp(&self, other: &FoundClient) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The nearest clients found so far. The farthest of them is on top of the heap.
struct Best<W> {
    heap: BinaryHeap<FoundClient>,
    limit: usize,
    /// The radius.
    radius: Option<Separation>,
    wanted: W,
    /// The IDs in the heap, while a client may be visited a second time.
    held: Option<HashSet<Box<[u8]>>>,
}

impl<W> Best<W> {
    /// From now on, a client may be visited a second time.
    fn begin_bites(&mut self) {
        self.held = Some(self.heap.iter().map(|found| found.client().as_bytes().into()).collect());
    }
}

impl<W: FnMut(&Update<'_>) -> bool> Wants for Best<W> {
    #[inline]
    fn reach(&self) -> Option<Separation> {
        if self.heap.len() < self.limit {
            return self.radius;
        }
        self.heap.peek().and_then(FoundClient::separation).or(self.radius)
    }

    #[inline]
    fn has_place_for(&self, separation: Separation, id: &[u8]) -> bool {
        let rank = (Some(separation), id);
        self.heap.len() < self.limit || self.heap.peek().is_some_and(|worst| rank < worst.rank())
    }

    fn take(&mut self, separation: Separation, held: &Update<'_>) {
        // A client that was removed and came back may have got a slot that is yet to be visited.
        let is_held = self.held.as_ref().is_some_and(|ids| ids.contains(held.record.key));
        if is_held || !(self.wanted)(held) {
            return;
        }
        let popped = if self.heap.len() == self.limit { self.heap.pop() } else { None };
        if let Some(ids) = &mut self.held {
            ids.insert(held.record.key.into());
            popped.map(|popped| ids.remove(popped.client().as_bytes()));
        }
        self.heap.extend(FoundClient::of(Some(separation), held));
    }
}

/// The shards that a search has not visited yet.
///
/// A search may visit the shards in any order, so it leaves out a shard that another thread has locked and visits it
/// later. Otherwise several searches would meet at one shard and then wait for each other at all further shards.
struct PendingShards<'a> {
    all: &'a [Mutex<Counted>],
    /// The shard that is visited first if nobody has locked it. Searches begin at different shards.
    first: usize,
    /// One bit for each shard, counted from `first`.
    left: u32,
}

impl<'a> PendingShards<'a> {
    /// The next shard and its number. Waits only if all shards that are left are locked.
    fn take(&mut self) -> Option<(usize, MutexGuard<'a, Counted>)> {
        let left = (0..self.all.len()).filter(|index| self.left & 1 << index != 0);
        let free = left.clone().find_map(|index| Some((index, self.all[self.shard(index)].try_lock()?)));
        let (index, counted) = match free {
            Some(free) => free,
            None => left.clone().next().map(|index| (index, self.all[self.shard(index)].lock()))?,
        };
        self.left &= !(1 << index);
        Some((self.shard(index), counted))
    }

    fn shard(&self, index: usize) -> usize {
        (self.first + index) % self.all.len()
    }
}

impl Replica {
    /// The clients near the center, the nearest first. `wanted` filters the clients; a client that it rejects does not
    /// count against the limit. `None` if the client at the center is not known.
    pub fn near(
        &self,
        now_ns: u64,
        near: &Near<'_>,
        effort: Effort<'_>,
        wanted: impl FnMut(&Update<'_>) -> bool,
    ) -> Result<Option<Vec<FoundClient>>, Unfinished> {
        let Some(center) = self.center(now_ns, near.around) else { return Ok(None) };
        let limit = near.limit.get();
        if limit == 0 {
            return Ok(Some(Vec::new()));
        }
        // A circle that reaches the other side of the Earth contains everything.
        let radius = near.radius_m.filter(|radius_m| *radius_m < FARTHEST_M).map(Separation::of_meters);
        let mut best = Best { heap: BinaryHeap::new(), limit, radius, wanted, held: None };
        let mut branches = Vec::with_capacity(BRANCHES);
        let mut effort = effort;
        let mut pending =
            PendingShards { all: &self.shards, first: center.scattered() as usize, left: ALL_SHARDS };
        while let Some((shard, counted)) = pending.take() {
            effort.check()?;
            let visits_max = effort.visits_max().min(effort.bite(VISITS_MAX + limit.min(VISITS_MAX)));
            let notes_rest = effort.is_unbounded();
            let branches = &mut branches;
            let mut search = NearestSearch { now_ns, center: &center, visits_max, notes_rest, branches };
            let visited = counted.shard.nearest(&mut search, &mut best);
            drop(counted);
            let slots = match visited {
                Some(visited) => {
                    effort = effort.less(visited.visits);
                    Slots::These(visited.rest.ok_or(Unfinished)?)
                }
                None => self.every_slot(shard),
            };
            if slots.is_empty() {
                continue;
            }
            best.begin_bites();
            self.visit_slots(shard, now_ns, slots, &mut effort, |held, at| {
                let separation = separation(&center, at);
                let is_near = best.reach().is_none_or(|reach| separation <= reach);
                let is_taken = is_near && best.has_place_for(separation, held.record.key);
                if is_taken {
                    best.take(separation, held);
                }
                is_taken
            })?;
            best.held = None;
        }
        Ok(Some(best.heap.into_sorted_vec()))
    }

    /// The number of bytes that the index of clients takes in all shards.
    pub fn client_index_bytes(&self) -> usize {
        self.shards.iter().map(|counted| counted.lock().shard.client_index_bytes()).sum()
    }

    fn center(&self, now_ns: u64, around: Around<'_>) -> Option<Center> {
        let client = match around {
            Around::Point(point) => return Some(Center::new(point.latitude(), point.longitude())),
            Around::Client(client) => client,
        };
        let found = self.locate(now_ns, client, |held| match held.record.body {
            Body::Location { coordinates, .. } => Some(coordinates),
            Body::Gone | Body::Data { .. } => None,
        });
        let coordinates = found.flatten()?;
        Some(Center::new(coordinates.latitude().degrees(), coordinates.longitude().degrees()))
    }
}
