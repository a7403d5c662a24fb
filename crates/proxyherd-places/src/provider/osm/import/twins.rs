//! Keeps one place for an object that an extract holds more than once, for example because two extracts were joined.
//!
//! The object with the latest version counts. If versions are equal or missing, the last object in the file counts. To
//! find this object, [`Twins::rank`] appends a rank to each record. Of all records with the same ID, the record with
//! the greatest rank is kept.
//!
//! Extracts are sorted by ID. So an object can occur again only if an ID is not greater than the previous ID. Only
//! then does [`Twins::find`] search for repeated objects. The search needs 24 bytes for each place (up to twice as
//! much while the list grows). After the search, each record that is left out takes some 16 bytes. This module reads
//! nothing of a record except for its ID.

use std::collections::HashSet;
use std::io;

use super::super::index::{IndexRecord, ObjectId};
use super::sorter::Sorted;

/// Length of a rank, bytes.
const RANK_LEN: usize = 8;

/// Gives ranks to places.
#[derive(Debug, Default)]
pub(super) struct Twins {
    /// The last ID of each kind of object.
    last: [Option<i64>; 3],
    /// Whether IDs were out of order. Then an object may occur more than once.
    may_be: bool,
    count: u32,
}

/// The ranks of records that are left out.
#[derive(Debug, Default)]
pub(super) struct Doubles(HashSet<u64>);

impl Twins {
    /// Appends the rank to a record.
    pub(super) fn rank(&mut self, id: ObjectId, version: u32, record: &mut Vec<u8>) {
        let last = self.last[id.object as usize].replace(id.number);
        self.may_be |= last.is_some_and(|last| last >= id.number);
        record.extend_from_slice(&(u64::from(version) << 32 | u64::from(self.count)).to_le_bytes());
        self.count = self.count.wrapping_add(1);
    }

    /// The number of ranks that were assigned.
    pub(super) fn count(&self) -> u64 {
        self.count.into()
    }

    /// Finds the records to leave out.
    pub(super) fn find(self, places: &Sorted) -> io::Result<Doubles> {
        if !self.may_be {
            return Ok(Doubles::default());
        }
        let mut ranks = Vec::new();
        places.each(|_, ranked| {
            let (record, rank) = split(ranked);
            ranks.extend(IndexRecord::decode(record).map(|record| (record.id, rank)));
            Ok(())
        })?;
        ranks.sort_unstable();
        let twins = ranks.windows(2).filter(|pair| pair[0].0 == pair[1].0);
        Ok(Doubles(twins.map(|pair| pair[0].1).collect()))
    }
}

impl Doubles {
    /// The record without its rank. `None` if the record is left out.
    pub(super) fn record<'a>(&self, ranked: &'a [u8]) -> Option<&'a [u8]> {
        let (record, rank) = split(ranked);
        (!self.0.contains(&rank)).then_some(record)
    }
}

fn split(ranked: &[u8]) -> (&[u8], u64) {
    let (record, rank) = ranked.split_last_chunk::<RANK_LEN>().expect("every record was given a rank");
    (record, u64::from_le_bytes(*rank))
}
