//! The searches for clients by position, in one shard.
//!
//! Without an index there is nothing to search: the caller visits all slots ([`Shard::client_in`]).

use super::{
    Shard, Update,
    client_index::{Branch, ClientIndex, Nearest, Seen, Visited},
};
use crate::{
    command::Bounds,
    places::{Center, Separation},
    store::{SlotId, Store},
    types::{Body, Coordinates},
};

/// What a search for the nearest clients wants.
pub(crate) trait Wants {
    /// The greatest distance at which a client is wanted, or [`None`]: any. It must not grow during a search.
    fn reach(&self) -> Option<Separation>;
    /// Whether a client with this distance and this ID is wanted, whatever else its record has.
    fn has_place_for(&self, separation: Separation, id: &[u8]) -> bool;
    /// Takes a client that has a place, unless a filter rejects it.
    fn take(&mut self, separation: Separation, held: &Update<'_>);
}

/// A search for the nearest clients in one shard.
pub(crate) struct NearestSearch<'a> {
    /// The server's clock.
    pub(crate) now_ns: u64,
    /// The center.
    pub(crate) center: &'a Center,
    /// Maximum number of clients that are visited under the lock, roughly.
    pub(crate) visits_max: usize,
    /// Whether a search that stops after enough visits notes the slots that it has not visited.
    pub(crate) notes_rest: bool,
    /// Memory of the search, which the next search uses again.
    pub(crate) branches: &'a mut Vec<Branch>,
}

impl Shard {
    /// Offers the clients near the center to `wants`, roughly the nearest first. `None`: there is no index.
    pub(crate) fn nearest(&self, search: &mut NearestSearch<'_>, wants: &mut impl Wants) -> Option<Visited> {
        let clients = self.derived.clients.as_ref()?;
        let &mut NearestSearch { now_ns, center, visits_max, notes_rest, ref mut branches } = search;
        let mut visitor = Visitor { shard: self, now_ns, center, notes_rest, wants };
        Some(clients.nearest(&self.store, center, visits_max, branches, &mut visitor))
    }

    /// The slots of the clients in the cells that a box touches. `None`: there is no index.
    pub(crate) fn slots_near(&self, bounds: &Bounds) -> Option<Vec<SlotId>> {
        Some(self.derived.clients.as_ref()?.in_box(bounds))
    }

    /// The number of bytes that the index of clients takes.
    pub fn client_index_bytes(&self) -> usize {
        self.derived.clients.as_ref().map_or(0, ClientIndex::bytes)
    }

    /// A contradiction between the index and the records, if there is one.
    pub(super) fn contradiction_of_client_index(&self) -> Option<String> {
        let clients = self.derived.clients.as_ref()?;
        let indexed = self.store.live().filter(|(_, slot)| super::derived::position(slot).is_some());
        clients.contradiction(&self.store, indexed.map(|(SlotId(slot), _)| slot))
    }
}

/// Offers the visited clients of one shard.
struct Visitor<'a, W> {
    shard: &'a Shard,
    now_ns: u64,
    center: &'a Center,
    notes_rest: bool,
    wants: &'a mut W,
}

impl<W: Wants> Nearest for Visitor<'_, W> {
    #[inline]
    fn reach(&self) -> f64 {
        self.wants.reach().map_or(f64::INFINITY, Separation::haversine)
    }

    fn notes_rest(&self) -> bool {
        self.notes_rest
    }

    #[inline]
    fn warm(&self, slot: SlotId) {
        self.shard.store.warm_slot(slot);
    }

    #[inline]
    fn visit(&mut self, id: SlotId) -> Seen {
        let separation = separation(self.center, position_in(&self.shard.store, id));
        if self.wants.reach().is_some_and(|reach| separation > reach) {
            return Seen::TooFar;
        }
        let held = self.shard.held(self.shard.store.slot(id));
        if !self.wants.has_place_for(separation, held.record.key) {
            return Seen::TooFar;
        }
        if self.shard.is_shown(self.now_ns, &held.record) {
            self.wants.take(separation, &held);
        }
        Seen::Near
    }
}

/// The position of a client that is in the index.
#[inline]
fn position_in(store: &Store, id: SlotId) -> Coordinates {
    match store.slot(id).record().body {
        Body::Location { coordinates, .. } => coordinates,
        Body::Gone | Body::Data { .. } => unreachable!("only clients with positions are in the index"),
    }
}

/// The separation of a position from a center.
#[inline]
pub(crate) fn separation(center: &Center, at: Coordinates) -> Separation {
    center.separation(at.latitude().degrees(), at.longitude().degrees())
}
