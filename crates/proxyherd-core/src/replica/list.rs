//! The clients whose IDs match patterns, or that are in a box, page by page.
//!
//! The clients come in the order of their shards, and within a shard in the order of their IDs. This order is the same
//! at every server, so a client may ask another server for the next page. A page holds the first clients after its
//! cursor. So each client that is wanted, and is held while all pages are asked for, is in exactly one page.
//!
//! Patterns without a star are looked up. Otherwise the search visits the slots of a shard, or only those in the cells
//! of the box. The shard's lock is released now and then (`visit`). A client that is in the box during the whole search
//! is found, because its record stays in its slot.

use std::collections::BTreeMap;

use super::{Replica, near::FoundClient, shard_index};
use crate::{
    command::{Bounds, List},
    flood::Update,
    types::{ClientId, Coordinates, IdPattern},
};

/// One page of a list of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientPage {
    /// The clients, in the order of the list.
    pub clients: Vec<FoundClient>,
    /// The ID of the last client, if more clients follow: the cursor of the next page.
    pub next: Option<Box<[u8]>>,
}

/// The first clients of one shard, by ID.
struct FirstByIds {
    clients: BTreeMap<Box<[u8]>, FoundClient>,
    limit: usize,
}

impl FirstByIds {
    /// Whether a client with this ID would be among the first.
    fn has_place_for(&self, id: &[u8]) -> bool {
        let last = self.clients.last_key_value();
        self.clients.len() < self.limit || last.is_some_and(|(last, _)| *id < **last)
    }

    fn add(&mut self, held: &Update<'_>) {
        // A client that was removed and came back during the search may be in two slots, one after the other.
        self.clients.extend(FoundClient::of(None, held).map(|found| (held.record.key.into(), found)));
        if self.clients.len() > self.limit {
            self.clients.pop_last();
        }
    }
}

impl Replica {
    /// The next clients of a list. `wanted` filters the clients; a client that it rejects does not count against the
    /// limit.
    pub fn list(
        &self,
        now_ns: u64,
        list: &List<'_>,
        mut wanted: impl FnMut(&Update<'_>) -> bool,
    ) -> ClientPage {
        let limit = list.limit.get();
        if limit == 0 {
            return ClientPage::default();
        }
        let exact = exact_ids(list);
        let mut clients = Vec::new();
        // One client more tells whether another page follows.
        for shard in first_shard(list)..self.shards.len() {
            let mut first = FirstByIds { clients: BTreeMap::new(), limit: limit + 1 - clients.len() };
            let mut take = |held: &Update<'_>, coordinates: Coordinates| {
                let id = held.record.key;
                let is_match =
                    exact.is_some() || list.ids.is_empty() || list.ids.iter().any(|ids| ids.matches(id));
                if is_match
                    && is_ahead(list, shard, id, coordinates)
                    && first.has_place_for(id)
                    && wanted(held)
                {
                    first.add(held);
                }
            };
            match &exact {
                Some(ids) => self.visit_clients(shard, now_ns, ids, &mut take),
                None => {
                    let every = || self.every_slot(shard);
                    let slots = list.bounds.map_or_else(every, |bounds| self.slots_near(shard, &bounds));
                    self.visit_slots(shard, now_ns, slots, &mut take);
                }
            }
            clients.extend(first.clients.into_values());
            if clients.len() > limit {
                clients.truncate(limit);
                let next = clients.last().map(|last| last.client().as_bytes().into());
                return ClientPage { clients, next };
            }
        }
        ClientPage { clients, next: None }
    }
}

/// The shard of the first client that may be in the page.
fn first_shard(list: &List<'_>) -> usize {
    list.after.map_or(0, |after| shard_index(after.as_bytes()))
}

/// The IDs that are wanted, if no pattern is a prefix.
fn exact_ids<'a>(list: &List<'a>) -> Option<Vec<ClientId<'a>>> {
    if list.ids.is_empty() { None } else { list.ids.iter().map(IdPattern::exact).collect() }
}

/// Whether a client of a shard comes after the cursor and is in the box.
fn is_ahead(list: &List<'_>, shard: usize, id: &[u8], at: Coordinates) -> bool {
    let is_after =
        list.after.is_none_or(|after| shard > shard_index(after.as_bytes()) || *id > *after.as_bytes());
    let is_inside = |bounds: Bounds| bounds.contains(at.latitude().degrees(), at.longitude().degrees());
    is_after && list.bounds.is_none_or(is_inside)
}
