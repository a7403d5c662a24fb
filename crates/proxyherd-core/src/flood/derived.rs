//! What is derived from a shard's records, in step with each change and under the shard's lock.
//!
//! There are two such things: the sums of the anti-entropy ([`HashRoot`]), and the room that records take which are not about
//! clients ([`Room`]). Another, such as an index by place, is a field of [`Derived`] and a line in each of
//! [`Shard::before_change`] and [`Shard::after_change`]. A record is overwritten where it stands, so whatever a derived thing
//! must know of the old record it takes before the change; what it needs of that after the change (an index: the old cell) is
//! to be one word that the first returns and the second takes.

use super::{
    Shard,
    hash_tree::HashRoot,
    room::{Class, Room},
};
use crate::{
    store::SlotId,
    types::{KeyHash, Kind},
};

/// All that is derived.
#[derive(Debug, Default)]
pub(super) struct Derived {
    pub(super) root: HashRoot,
    pub(super) room: Room,
}

impl Shard {
    /// The record in a slot is about to be overwritten or removed; `key` is its key's hash.
    #[inline(always)]
    pub(super) fn before_change(&mut self, id: SlotId, key: KeyHash) {
        let slot = self.store.slot(id);
        let (weight, kind) = (self.weight(slot, key), slot.kind());
        self.derived.root.remove(weight);
        if kind != Kind::CLIENT {
            self.take_from_room(id, weight.digest);
        }
    }

    /// The slot holds a new record; `key` is its key's hash. Says which records now share their room with one more.
    #[inline(always)]
    pub(super) fn after_change(&mut self, id: SlotId, key: KeyHash) -> Option<Class> {
        let slot = self.store.slot(id);
        let (weight, kind) = (self.weight(slot, key), slot.kind());
        self.derived.root.add(weight);
        if kind == Kind::CLIENT { None } else { self.add_to_room(id, weight.digest) }
    }

    /// The hash of the key of the record in a slot.
    pub(super) fn key_hash(&self, id: SlotId) -> KeyHash {
        KeyHash::of(self.store.slot(id).record().key)
    }
}
