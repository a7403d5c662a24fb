//! What is derived from a shard's records, in step with each change and under the shard's lock.
//!
//! Two things are derived: the root of the hash tree ([`HashRoot`]), and the room that records take which are not
//! about clients ([`RecordRoom`]). To add another, such as an index by place, add a field to [`Derived`] and a line to each
//! of [`Shard::before_change`] and [`Shard::after_change`]. A record is overwritten in its slot. So a derived thing
//! takes what it must know of the old record in `before_change`. If it still needs that afterwards (an index needs
//! the old cell), `before_change` should return it as one word and `after_change` take it.

use super::{
    Shard,
    hash_tree::HashRoot,
    room::{Class, RecordRoom},
};
use crate::{
    store::SlotId,
    types::{KeyHash, Kind},
};

/// Everything that is derived.
#[derive(Debug, Default)]
pub(super) struct Derived {
    pub(super) root: HashRoot,
    pub(super) room: RecordRoom,
}

impl Shard {
    /// To be called before the record in a slot is overwritten or removed; `key` is the hash of its key.
    #[inline(always)]
    pub(super) fn before_change(&mut self, id: SlotId, key: KeyHash) {
        let slot = self.store.slot(id);
        let (weight, kind) = (self.weight(slot, key), slot.kind());
        self.derived.root.remove(weight);
        if kind != Kind::CLIENT {
            self.take_from_room(id, weight.digest);
        }
    }

    /// To be called after the slot got a new record; `key` is the hash of its key. Returns the class whose room the
    /// record now shares, if it has one.
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
