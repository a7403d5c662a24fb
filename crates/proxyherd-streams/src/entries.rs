//! What one stream remembers of clients: an *entry* of 8 bytes for each.
//!
//! An entry has the client's number, flags, and the last bits of the sequence of the last event that the stream told of
//! the client. A sequence that is so old that these bits have come round counts as newer than it is. Then a reader that
//! resumes is told of the client once more, which is harmless.

use hashbrown::{HashTable, hash_table};

/// The number of bits of a sequence that an entry keeps.
const SEQUENCE_BITS: u32 = 27;
const SEQUENCE_MASK: u32 = (1 << SEQUENCE_BITS) - 1;

/// A property of an entry. An entry without any is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Flag {
    /// The reader may hold the client.
    Held = 1 << SEQUENCE_BITS,
    /// The client is in the stream's queue.
    Queued = 2 << SEQUENCE_BITS,
    /// The filter names the client by its exact ID. The flag stays as long as the stream.
    Named = 4 << SEQUENCE_BITS,
    /// The client is in the stream's list of removals: it left, or is gone.
    Removed = 8 << SEQUENCE_BITS,
    /// In addition to `Removed`: the client is gone.
    Gone = 16 << SEQUENCE_BITS,
}

/// What a stream remembers of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) client: u32,
    /// Flags, and the last bits of the sequence.
    state: u32,
}

impl Entry {
    pub(super) fn new(client: u32, flag: Flag) -> Entry {
        Entry { client, state: flag as u32 }
    }

    #[inline]
    pub(super) fn has(&self, flag: Flag) -> bool {
        self.state & flag as u32 != 0
    }

    pub(super) fn set(&mut self, flag: Flag) {
        self.state |= flag as u32;
    }

    pub(super) fn clear(&mut self, flag: Flag) {
        self.state &= !(flag as u32);
    }

    /// Whether the entry has no property, so that it can be removed.
    pub(super) fn is_void(&self) -> bool {
        self.state & !SEQUENCE_MASK == 0
    }

    pub(super) fn set_sequence(&mut self, sequence: u64) {
        self.state = self.state & !SEQUENCE_MASK | bits(sequence);
    }

    pub(super) fn sequence_bits(&self) -> u32 {
        self.state & SEQUENCE_MASK
    }

    /// The sequence of the last event about the client, or a later one. `now` is the stream's sequence.
    pub(super) fn sequence(&self, now: u64) -> u64 {
        now - u64::from(bits(now).wrapping_sub(self.sequence_bits()) & SEQUENCE_MASK)
    }
}

/// The bits of a sequence that an entry keeps.
pub(super) fn bits(sequence: u64) -> u32 {
    sequence as u32 & SEQUENCE_MASK
}

/// Entries, which are taken one after the other.
pub(super) type EachEntry = hash_table::IntoIter<Entry>;

/// All entries of a stream.
#[derive(Debug, Default)]
pub(super) struct Entries(HashTable<Entry>);

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    pub(super) fn find(&self, client: u32) -> Option<&Entry> {
        self.0.find(hash(client), |entry| entry.client == client)
    }

    #[inline]
    pub(super) fn find_mut(&mut self, client: u32) -> Option<&mut Entry> {
        self.0.find_mut(hash(client), |entry| entry.client == client)
    }

    /// Adds the entry of a client that has none.
    pub(super) fn add(&mut self, entry: Entry) {
        self.0.insert_unique(hash(entry.client), entry, |entry| hash(entry.client));
    }

    /// Removes the entry of a client. Gives memory back if most of it is not needed any more.
    pub(super) fn remove(&mut self, client: u32) {
        let entry = self.0.find_entry(hash(client), |entry| entry.client == client);
        entry.expect("the client has an entry").remove();
        if self.0.capacity() > 1024 && self.0.len() < self.0.capacity() / 8 {
            self.0.shrink_to(self.0.len() * 2, |entry| hash(entry.client));
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.0.iter_mut()
    }

    /// All entries, one after the other.
    pub(super) fn into_each(self) -> EachEntry {
        self.0.into_iter()
    }

    /// The number of bytes that the entries take.
    pub(super) fn bytes(&self) -> usize {
        self.0.allocation_size()
    }
}

#[inline]
fn hash(client: u32) -> u64 {
    u64::from(client).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_known_until_its_bits_have_come_round() {
        let mut entry = Entry::new(7, Flag::Held);
        for sequence in [0, 1, 5_000_000_000] {
            entry.set_sequence(sequence);
            for later in [0, 1, 100_000_000] {
                assert_eq!(entry.sequence(sequence + later), sequence);
            }
            let round = sequence + u64::from(SEQUENCE_MASK) + 1;
            assert_eq!(entry.sequence(round), round, "it counts as newer, never as older");
        }
        assert!(entry.has(Flag::Held) && !entry.has(Flag::Gone) && !entry.is_void());
        entry.clear(Flag::Held);
        assert!(entry.is_void());
    }
}
