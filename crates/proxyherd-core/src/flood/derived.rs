//! What is derived from a shard's records, in step with each change and under the shard's lock.
//!
//! There are two such things: the sums of the anti-entropy ([`Roots`]), and the room that records take which are not about
//! clients ([`Room`]). Another, such as an index by place, is a field of [`Derived`], its part of [`Summary`], and a line in
//! each of `inserted`, `updated` and `removed`. A slot is overwritten where it stands, so what must be known of the old
//! record is taken before, as a [`Summary`]. All calls are static, and a summary is never stored.

use super::{
    Shard,
    room::{Room, Share},
    roots::{Roots, Weight},
};
use crate::{
    store::{Slot, SlotId},
    types::{KeyHash, Kind},
};

/// All that is derived.
#[derive(Debug, Default)]
pub(super) struct Derived {
    pub(super) roots: Roots,
    pub(super) room: Room,
}

/// What derived things need to know of one record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summary {
    pub(super) weight: Weight,
    /// None of clients.
    pub(super) share: Option<Share>,
}

impl Derived {
    /// The slot holds a record, and held none.
    #[inline(always)]
    pub(super) fn inserted(&mut self, id: SlotId, new: Summary) {
        self.roots.add(new.weight);
        if let Some(share) = new.share {
            self.room.add(id, share);
        }
    }

    /// The slot holds another record of its key.
    #[inline(always)]
    pub(super) fn updated(&mut self, id: SlotId, old: Summary, new: Summary) {
        self.removed(id, old);
        self.inserted(id, new);
    }

    /// The slot holds no record any more.
    #[inline(always)]
    pub(super) fn removed(&mut self, id: SlotId, old: Summary) {
        self.roots.remove(old.weight);
        if let Some(share) = old.share {
            self.room.remove(id, share);
        }
    }
}

impl Shard {
    /// What derived things need to know of the record in a slot; `key` is its key's hash.
    #[inline(always)]
    pub(super) fn summary(&self, slot: &Slot, key: KeyHash) -> Summary {
        let weight = self.weight(slot, key);
        let share =
            if slot.kind() == Kind::CLIENT { None } else { self.share_of(&slot.record(), weight.digest) };
        Summary { weight, share }
    }

    pub(super) fn summary_of(&self, id: SlotId) -> Summary {
        let slot = self.store.slot(id);
        self.summary(slot, KeyHash::of(slot.record().key))
    }
}
