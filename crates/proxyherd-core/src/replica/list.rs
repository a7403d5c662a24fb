//! The clients whose IDs match patterns, or that are in a box, page by page.
//!
//! The clients come in the order of their shards, and within a shard in the order of their IDs. This order is the same
//! at every server, so a client may ask another server for the next page. A page holds the first clients after its
//! cursor. So each client that is wanted, and is held while all pages are asked for, is in exactly one page.
//!
//! Patterns without a star are looked up. For the others, and without patterns, the search visits the slots of a shard,
//! or only those in the cells of the box. The search visits slots in bites (`visit`), and may end after each bite. A
//! client that is in the box during the whole search is found, because its record stays in its slot.

use std::collections::BTreeMap;

use super::{
    Replica,
    effort::{Effort, Unfinished},
    near::FoundClient,
    shard_index,
};
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
        // A client may be visited twice: it is named by two patterns, or it was removed and came back during the
        // search.
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
        effort: Effort<'_>,
        mut wanted: impl FnMut(&Update<'_>) -> bool,
    ) -> Result<ClientPage, Unfinished> {
        let limit = list.limit.get();
        if limit == 0 {
            return Ok(ClientPage::default());
        }
        let exact: Vec<ClientId<'_>> = list.ids.iter().filter_map(IdPattern::exact).collect();
        let prefixes: Vec<&IdPattern> = list.ids.iter().filter(|ids| ids.exact().is_none()).collect();
        let mut effort = effort.and_comparing(prefixes.len());
        let mut clients = Vec::new();
        // One client more tells whether another page follows.
        for shard in first_shard(list)..self.shards.len() {
            let mut first = FirstByIds { clients: BTreeMap::new(), limit: limit + 1 - clients.len() };
            let mut take = |held: &Update<'_>, coordinates: Coordinates| {
                let id = held.record.key;
                let is_taken =
                    is_ahead(list, shard, id, coordinates) && first.has_place_for(id) && wanted(held);
                if is_taken {
                    first.add(held);
                }
                is_taken
            };
            effort.check()?;
            self.visit_clients(shard, now_ns, &exact, |held, coordinates| {
                take(held, coordinates);
            });
            if list.ids.is_empty() || !prefixes.is_empty() {
                let every = || self.every_slot(shard);
                let slots = list.bounds.map_or_else(every, |bounds| self.slots_near(shard, &bounds));
                self.visit_slots(shard, now_ns, slots, &mut effort, |held, coordinates| {
                    let is_match = |ids: &&IdPattern| ids.matches(held.record.key);
                    (prefixes.is_empty() || prefixes.iter().any(is_match)) && take(held, coordinates)
                })?;
            }
            clients.extend(first.clients.into_values());
            if clients.len() > limit {
                clients.truncate(limit);
                let next = clients.last().map(|last| last.client().as_bytes().into());
                return Ok(ClientPage { clients, next });
            }
        }
        Ok(ClientPage { clients, next: None })
    }
}

/// The shard of the first client that may be in the page.
fn first_shard(list: &List<'_>) -> usize {
    list.after.map_or(0, |after| shard_index(after.as_bytes()))
}

/// Whether a client of a shard comes after the cursor and is in the box.
fn is_ahead(list: &List<'_>, shard: usize, id: &[u8], at: Coordinates) -> bool {
    let is_after =
        list.after.is_none_or(|after| shard > shard_index(after.as_bytes()) || *id > *after.as_bytes());
    let is_inside = |bounds: Bounds| bounds.contains(at.latitude().degrees(), at.longitude().degrees());
    is_after && list.bounds.is_none_or(is_inside)
}
