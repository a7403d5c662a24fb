//! What is derived from a shard's records, in step with each change and under the shard's lock.
//!
//! Two things are derived: the root of the hash tree ([`HashRoot`]), and the room that records take that are not about
//! clients ([`RecordRoom`]). To add another, such as an index by place, add a field to [`Derived`] and a line to each
//! of [`Shard::before_change`] and [`Shard::after_change`]. A change overwrites the record in its slot. So
//! `before_change` must read everything that the derived value needs of the old record. If `after_change` still needs
//! some of it (an index needs the old cell), let `before_change` return it as one word, and pass the word to
//! `after_change`.

use super::{
    Shard,
    hash_tree::HashRoot,
    room::{Class, RecordRoom},
};
use crate::{
    store::SlotId,
    types::{KeyHash, Kind},
};

/// All values that are derived from a shard's records.
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

    /// To be called after the slot got a new record; `key` is the hash of its key. Returns the class whose room the new
    /// record takes part of, if it has a class.
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
