//! A store of the newest record of each key: a last-writer-wins map.
//!
//! Invariant: [`Store::place`] keeps the greatest of all records of a key that were offered, by [`Record::precedence`].
//! So the order and the number of offers do not matter. The store does not know which servers have to be sent a change;
//! its slots only carry the flood's marks.

mod slot;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub(crate) use self::slot::{FollowerMask, LinkMask, Slot};
use crate::{
    limits::SHARD_RECORDS_MAX,
    types::{Kind, Record},
};

/// Slots are allocated in chunks. So growth never copies slots and wastes at most one chunk.
const CHUNK_LEN: usize = 256;

/// The slot of a record, until the record is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId(pub(crate) u32);

/// A key's hash in one table. Nobody outside this process can guess the hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableHash(u32);

impl TableHash {
    /// A place of a table of `places` places.
    pub(crate) fn index(self, places: usize) -> usize {
        self.0 as usize % places
    }
}

/// An entry of the table: the slot, and part of the key's hash, so that growth of the table does not read the slots.
type Indexed = (u32, u32);

/// One shard's records.
#[derive(Debug)]
pub(crate) struct Store {
    table: HashTable<Indexed>,
    chunks: Vec<Box<[Slot]>>,
    free: Vec<SlotId>,
    /// The number of slots that have ever been in use.
    used: usize,
    seed: u64,
}

/// The error of a store that has no room for another record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreFull;

impl Store {
    /// An empty store. Keep `seed` secret, so that nobody can choose keys that collide in the table.
    pub(crate) fn new(seed: u64) -> Store {
        Store { table: HashTable::new(), chunks: Vec::new(), free: Vec::new(), used: 0, seed }
    }

    /// The number of records.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// The slot of the record of this key.
    pub(crate) fn find(&self, kind: Kind, key: &[u8]) -> Option<SlotId> {
        self.find_by(self.hash(kind, key), kind, key)
    }

    /// [`Store::find`] by the hash that [`Store::warm`] has computed.
    #[inline(always)]
    pub(crate) fn find_by(&self, TableHash(hash): TableHash, kind: Kind, key: &[u8]) -> Option<SlotId> {
        let is_it = |&(part, slot): &Indexed| part == hash && self.slot(SlotId(slot)).is_about(kind, key);
        self.table.find(spread(hash), is_it).map(|&(_, slot)| SlotId(slot))
    }

    /// Loads the memory that [`Store::find`] of this key will read into the processor's cache. Several calls in a row
    /// wait for memory together, while several finds would wait one after the other. Also returns the slot that is
    /// probably the key's.
    pub(crate) fn warm(&self, kind: Kind, key: &[u8]) -> (TableHash, Option<SlotId>) {
        let TableHash(hash) = self.hash(kind, key);
        let found = self.table.find(spread(hash), |&(part, _)| part == hash).map(|&(_, slot)| SlotId(slot));
        if let Some(id) = found {
            self.warm_record(id);
        }
        (TableHash(hash), found)
    }

    /// Loads a slot and its allocation into the processor's cache.
    pub(crate) fn warm_record(&self, id: SlotId) {
        std::hint::black_box(self.slot(id).first_byte());
    }

    /// Loads the numbers of a slot into the processor's cache, without the slot's allocation.
    pub(crate) fn warm_slot(&self, id: SlotId) {
        std::hint::black_box(self.slot(id).seq);
    }

    /// Keeps `record` in the slot of its key. `held` is what [`Store::find`] has just returned for the key.
    pub(crate) fn place(&mut self, held: Option<SlotId>, record: &Record<'_>) -> Result<SlotId, StoreFull> {
        if let Some(id) = held {
            self.slot_mut(id).replace(record);
            return Ok(id);
        }
        let id = self.vacant(record)?;
        self.slot_mut(id).fill(record);
        Ok(id)
    }

    /// Forgets the record in `id`.
    pub(crate) fn remove(&mut self, id: SlotId) {
        self.unlist(id);
        self.release(id);
    }

    /// Forgets the record in `id` except for its key, which the slot keeps until it is [released](Store::release).
    pub(crate) fn retire(&mut self, id: SlotId) {
        self.unlist(id);
        self.slot_mut(id).retire();
    }

    /// Frees a slot that holds no record.
    pub(crate) fn release(&mut self, id: SlotId) {
        self.slot_mut(id).clear();
        self.free.push(id);
    }

    fn unlist(&mut self, id: SlotId) {
        let record = self.slot(id).record();
        let TableHash(hash) = self.hash(record.kind, record.key);
        let entry = self.table.find_entry(spread(hash), |indexed| *indexed == (hash, id.0));
        entry.expect("a live slot is in the table").remove();
    }

    /// A slot, live or free.
    pub(crate) fn slot(&self, id: SlotId) -> &Slot {
        &self.chunks[id.0 as usize / CHUNK_LEN][id.0 as usize % CHUNK_LEN]
    }

    /// A slot, for changes of the flood's marks.
    pub(crate) fn slot_mut(&mut self, id: SlotId) -> &mut Slot {
        &mut self.chunks[id.0 as usize / CHUNK_LEN][id.0 as usize % CHUNK_LEN]
    }

    /// All slots that hold a record, in no particular order.
    pub(crate) fn live(&self) -> impl Iterator<Item = (SlotId, &Slot)> {
        let slots = self.chunks.iter().flat_map(|chunk| chunk.iter());
        slots.enumerate().filter(|(_, slot)| slot.is_live()).map(|(at, slot)| (SlotId(at as u32), slot))
    }

    /// The number of slots, live or free. All slot numbers are below it.
    pub(crate) fn slots_used(&self) -> usize {
        self.used
    }

    fn vacant(&mut self, record: &Record<'_>) -> Result<SlotId, StoreFull> {
        let TableHash(hash) = self.hash(record.kind, record.key);
        let id = match self.free.pop() {
            Some(id) => id,
            None => self.next_slot()?,
        };
        self.table.insert_unique(spread(hash), (hash, id.0), |&(part, _)| spread(part));
        Ok(id)
    }

    fn next_slot(&mut self) -> Result<SlotId, StoreFull> {
        if self.used == SHARD_RECORDS_MAX {
            return Err(StoreFull);
        }
        if self.used == self.chunks.len() * CHUNK_LEN {
            self.chunks.push((0..CHUNK_LEN).map(|_| Slot::default()).collect());
        }
        self.used += 1;
        Ok(SlotId(self.used as u32 - 1))
    }

    /// The hash by which the table finds a key.
    #[inline(always)]
    pub(crate) fn hash(&self, kind: Kind, key: &[u8]) -> TableHash {
        TableHash(xxh3_64_with_seed(key, self.seed ^ u64::from(kind.0)) as u32)
    }
}

/// Expands the 32 bits that are kept to the 64 bits that the table needs. The table uses both ends of the 64 bits.
fn spread(part: u32) -> u64 {
    u64::from(part).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Body, Difference, Timestamp};
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn keys_are_spread_over_the_table_and_otherwise_in_each_store() {
        let keys: Vec<String> = (0..1000).map(|number| format!("client-{number}")).collect();
        let places = |store: &Store| -> BTreeSet<(String, u64)> {
            let place = |key: &String| {
                let TableHash(hash) = store.hash(Kind::CLIENT, key.as_bytes());
                (key.clone(), spread(hash) >> 57)
            };
            keys.iter().map(place).collect()
        };
        let [one, other] = [1, 2].map(|seed| places(&Store::new(seed)));
        let used: BTreeSet<u64> = one.iter().map(|&(_, place)| place).collect();
        assert!(used.len() > 120, "only {} of 128 places are used", used.len());
        assert!(one.intersection(&other).count() < 50, "the two tables use mostly the same places");
    }

    #[test]
    fn two_keys_of_one_hash_are_two_records() {
        let mut store = Store::new(1);
        let mut seen = BTreeMap::new();
        let twins = (0u32..).find_map(|number| {
            let TableHash(hash) = store.hash(Kind::CLIENT, &number.to_le_bytes());
            Some([seen.insert(hash, number)?, number].map(u32::to_le_bytes))
        });
        let twins = twins.unwrap();
        let timestamp = Timestamp::from_nanos(1).unwrap();
        for key in &twins {
            let (body, difference) = (Body::Gone, Difference::at_receipt(1, timestamp));
            let record = Record { kind: Kind::CLIENT, key, body, timestamp, difference };
            assert_eq!(store.find(Kind::CLIENT, key), None);
            store.place(None, &record).unwrap();
        }
        for key in &twins {
            let id = store.find(Kind::CLIENT, key).unwrap();
            assert_eq!(store.slot(id).record().key, key);
        }
    }
}
