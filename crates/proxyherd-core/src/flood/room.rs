//! The room that records take which are not about clients.
//!
//! Clients are bounded by their number. Other records are bounded by their bytes: those of each kind that this version
//! knows, and those of all other kinds together. So whatever a member sends takes no room from clients, nor from
//! another kind.
//!
//! Where not all find room, the newest by version are kept. Arrival must not decide: servers would hold different
//! records for ever, and repair the difference for ever. A record never gives way to an older one, so what a shard
//! holds, compared from its newest record on, only grows; neighbors that tell each other all they hold end with the
//! same records. It also means that what servers say now takes the place of whatever somebody has left behind.
//!
//! What records say is not known here.

use std::collections::BTreeSet;

use super::{Shard, origins::ME};
use crate::{
    limits::{BUDGET_BYTES_MAX, RECORD_BYTES, SHARDS, UNKNOWN_BYTES_MAX},
    store::SlotId,
    types::{Body, KeyHash, Kind, Record},
};

/// Which records share one bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Accounts of the places budgets.
    Budget,
    /// All kinds that this version does not know.
    Unknown,
}

impl Class {
    /// All classes.
    pub const ALL: [Class; 2] = [Class::Budget, Class::Unknown];

    /// The class of a kind; none for clients.
    pub fn of(kind: Kind) -> Option<Class> {
        match kind {
            Kind::CLIENT => None,
            Kind::BUDGET => Some(Class::Budget),
            _ => Some(Class::Unknown),
        }
    }

    /// Its name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Class::Budget => "budget",
            Class::Unknown => "unknown",
        }
    }

    /// Most bytes in one shard.
    fn bytes_max(self) -> usize {
        match self {
            Class::Budget => BUDGET_BYTES_MAX / SHARDS,
            Class::Unknown => UNKNOWN_BYTES_MAX / SHARDS,
        }
    }
}

/// What the records of one class take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Their bytes, as they count.
    pub bytes: usize,
    /// How many have found no room, or have lost it, since the start.
    pub dropped: u64,
}

/// By what records of one class are ordered, the same at every server: version and contents. The slot only tells apart
/// what is equal.
type Rank = (u64, u64, u32);

/// The records of one shard that are not about clients.
#[derive(Debug, Default)]
pub(super) struct Room {
    ranked: [BTreeSet<Rank>; Class::ALL.len()],
    usage: [Usage; Class::ALL.len()],
}

impl Room {
    fn add(&mut self, class: Class, rank: Rank, bytes: usize) {
        self.ranked[class as usize].insert(rank);
        self.usage[class as usize].bytes += bytes;
    }

    fn remove(&mut self, class: Class, rank: Rank, bytes: usize) {
        let was_there = self.ranked[class as usize].remove(&rank);
        debug_assert!(was_there, "what is held has its rank");
        self.usage[class as usize].bytes -= bytes;
    }

    /// The oldest record, where there are more than find room.
    fn pop_excess(&mut self, class: Class) -> Option<SlotId> {
        let usage = &mut self.usage[class as usize];
        if usage.bytes <= class.bytes_max() {
            return None;
        }
        let &(_, _, slot) = self.ranked[class as usize].first()?;
        usage.dropped += 1;
        Some(SlotId(slot))
    }

    fn len(&self) -> usize {
        self.ranked.iter().map(BTreeSet::len).sum()
    }
}

impl Shard {
    /// How many of the records are not about clients.
    pub fn others_len(&self) -> usize {
        self.room.len()
    }

    /// What the records of `class` take.
    pub fn usage(&self, class: Class) -> Usage {
        self.room.usage[class as usize]
    }

    /// Counts what a slot holds from here on: in the sums, and in the room of its kind. `key` is its key's hash.
    pub(super) fn count(&mut self, id: SlotId, key: KeyHash) {
        let slot = self.store.slot(id);
        let weight = self.weight(slot, key);
        self.roots.add(weight);
        let record = slot.record();
        if let Some(class) = Class::of(record.kind) {
            self.room.add(class, (record.version().0, weight.digest, id.0), bytes_of(&record));
        }
    }

    /// What a slot holds is about to be replaced or removed.
    pub(super) fn discount(&mut self, id: SlotId, key: KeyHash) {
        let slot = self.store.slot(id);
        let weight = self.weight(slot, key);
        self.roots.remove(weight);
        let record = slot.record();
        if let Some(class) = Class::of(record.kind) {
            self.room.remove(class, (record.version().0, weight.digest, id.0), bytes_of(&record));
        }
    }

    /// Removes the oldest records of a kind until the others have room. Says whether the one in `new` is still held.
    pub(super) fn make_room(&mut self, kind: Kind, new: SlotId) -> bool {
        let Some(class) = Class::of(kind) else { return true };
        let mut is_held = true;
        while let Some(id) = self.room.pop_excess(class) {
            is_held &= id != new;
            if self.store.slot(id).origin == ME {
                self.own.dropped();
            }
            self.remove(id);
        }
        is_held
    }

    /// What of the room contradicts the records.
    pub(super) fn contradiction_of_room(&self) -> Option<String> {
        let mut bytes = [0; Class::ALL.len()];
        let mut others = 0;
        for (_, slot) in self.store.live() {
            let record = slot.record();
            if let Some(class) = Class::of(record.kind) {
                bytes[class as usize] += bytes_of(&record);
                others += 1;
            }
        }
        let counted = self.room.usage.map(|usage| usage.bytes);
        (bytes != counted || others != self.room.len())
            .then(|| format!("{others} records take {bytes:?} bytes and {self:?} is noted", self = self.room))
    }
}

/// What a record counts: what it owns, and what is kept beside that.
fn bytes_of(record: &Record<'_>) -> usize {
    let data = match record.body {
        Body::Data { bytes, .. } => bytes.len(),
        Body::Location { .. } | Body::Gone => 0,
    };
    RECORD_BYTES + record.key.len() + data
}
