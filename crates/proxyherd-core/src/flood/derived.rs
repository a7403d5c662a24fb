//! What is derived from a shard's records, in step with each change and under the shard's lock.
//!
//! Three things are derived: the root of the hash tree ([`HashRoot`]), the room that records take that are not about
//! clients ([`RecordRoom`]), and the clients by position ([`ClientIndex`]). To add another, add a field to [`Derived`]
//! and a line to each of [`Shard::before_change`], [`Shard::after_change`] and [`Shard::before_removal`]. A change
//! overwrites the record in its slot. So `before_change` must read everything that the derived value needs of the old
//! record. What the other two still need of the old record is in [`Before`].

use super::{
    Shard,
    client_index::ClientIndex,
    hash_tree::HashRoot,
    room::{Class, RecordRoom},
};
use crate::{
    store::{Slot, SlotId},
    types::{Body, Coordinates, KeyHash, Kind},
};

/// All values that are derived from a shard's records.
#[derive(Debug, Default)]
pub(super) struct Derived {
    pub(super) root: HashRoot,
    pub(super) room: RecordRoom,
    /// `None`: this server has no index, or the index ran out of numbers. Then searches visit every client.
    pub(super) clients: Option<ClientIndex>,
}

impl Derived {
    /// What is derived from no records. `has_index`: whether clients are found by an index.
    pub(super) fn new(has_index: bool) -> Derived {
        Derived { clients: has_index.then(ClientIndex::new), ..Derived::default() }
    }
}

/// What is remembered of a record while it is overwritten or removed. The default: there was no record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    /// The position, if the record was about a client with a position.
    position: Option<Coordinates>,
}

impl Shard {
    /// To be called before the record in a slot is overwritten or removed; `key` is the hash of its key.
    #[inline(always)]
    pub(super) fn before_change(&mut self, id: SlotId, key: KeyHash) -> Before {
        let slot = self.store.slot(id);
        let (weight, kind, position) = (self.weight(slot, key), slot.kind(), position(slot));
        self.derived.root.remove(weight);
        if kind != Kind::CLIENT {
            self.take_from_room(id, weight.digest);
        }
        Before { position }
    }

    /// To be called after the slot got a new record; `key` is the hash of its key. Returns the class whose room the new
    /// record takes part of, if it has a class.
    #[inline(always)]
    pub(super) fn after_change(&mut self, id: SlotId, key: KeyHash, before: Before) -> Option<Class> {
        let slot = self.store.slot(id);
        let (weight, kind, position) = (self.weight(slot, key), slot.kind(), position(slot));
        self.derived.root.add(weight);
        self.move_client(id, before.position, position);
        if kind == Kind::CLIENT { None } else { self.add_to_room(id, weight.digest) }
    }

    /// To be called before the record in a slot is removed, and after [`Shard::before_change`].
    pub(super) fn before_removal(&mut self, id: SlotId, before: Before) {
        self.move_client(id, before.position, None);
    }

    #[inline(always)]
    fn move_client(&mut self, id: SlotId, was_at: Option<Coordinates>, is_at: Option<Coordinates>) {
        if let Some(clients) = &mut self.derived.clients
            && clients.change(&self.store, id, was_at, is_at).is_err()
        {
            self.derived.clients = None;
        }
    }

    /// The hash of the key of the record in a slot.
    pub(super) fn key_hash(&self, id: SlotId) -> KeyHash {
        KeyHash::of(self.store.slot(id).record().key)
    }
}

/// The position of the client in a slot.
#[inline(always)]
pub(super) fn position(slot: &Slot) -> Option<Coordinates> {
    match slot.record().body {
        Body::Location { coordinates, .. } if slot.kind() == Kind::CLIENT => Some(coordinates),
        Body::Location { .. } | Body::Gone | Body::Data { .. } => None,
    }
}
