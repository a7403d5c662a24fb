//! A block: a run of places that are next to each other, from west to east.
//!
//! [`IndexBlock`] is a block that was read and checked. A search reads only the points of a block, and decodes only the
//! records of the places in the answer. [`BlockDraft`] collects places for a block that is to be written.
//!
//! Invariant: every record of an [`IndexBlock`] decodes. All records were decoded once when the block was read. This
//! module does not know files.

use std::sync::atomic::AtomicU64;

use xxhash_rust::xxh3::xxh3_64;

use super::layout::{ANTIMERIDIAN, BLOCK_BYTES_MAX, BlockEntry, POINT_LEN, POLE};
use super::record::IndexRecord;
use super::wire::ByteReader;
use crate::provider::osm::limits::{BLOCK_LEN_MAX, BLOCK_PLACES_MAX};

/// A block that was read and checked.
#[derive(Debug)]
pub(in crate::provider::osm) struct IndexBlock {
    points: Box<[IndexPoint]>,
    ends: Box<[u32]>,
    records: Box<[u8]>,
    /// For each place, whether the place is open, in the encoding of [`hours`](crate::provider::osm::hours).
    states: Box<[AtomicU64]>,
}

/// A point in the units of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider::osm) struct IndexPoint {
    pub(in crate::provider::osm) longitude: i32,
    pub(in crate::provider::osm) latitude: i32,
}

impl IndexBlock {
    /// Reads a block. `None` if the block does not match its entry.
    pub(super) fn read(entry: &BlockEntry, bytes: &[u8]) -> Option<IndexBlock> {
        (xxh3_64(bytes) == entry.checksum).then(|| IndexBlock::parse(entry, bytes)).flatten()
    }

    fn parse(entry: &BlockEntry, bytes: &[u8]) -> Option<IndexBlock> {
        let places = entry.places as usize;
        let mut wire = ByteReader::new(bytes);
        let mut numbers = || {
            let bytes = wire.take(places * 4)?;
            Some(bytes.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)))
        };
        let (longitudes, latitudes, ends) = (numbers()?, numbers()?, numbers()?.collect());
        let records = wire.take(bytes.len() - places * POINT_LEN)?.into();
        let points = longitudes.zip(latitudes).map(|(longitude, latitude)| IndexPoint {
            longitude: longitude as i32,
            latitude: latitude as i32,
        });
        let points = points.collect();
        let states = (0..places).map(|_| AtomicU64::new(0)).collect();
        let block = IndexBlock { points, ends, records, states };
        block.holds(entry).then_some(block)
    }

    /// Whether the block has all properties that readers rely on.
    fn holds(&self, entry: &BlockEntry) -> bool {
        let on_earth = |point: &IndexPoint| {
            point.latitude.unsigned_abs() <= POLE.unsigned_abs()
                && point.longitude.unsigned_abs() <= ANTIMERIDIAN.unsigned_abs()
        };
        self.points.iter().all(on_earth)
            && self.points.is_sorted_by_key(|point| point.longitude)
            && self.points.first().is_some_and(|point| point.longitude == entry.west)
            && self.points.last().is_some_and(|point| point.longitude == entry.east)
            && self.ends.last().is_some_and(|&end| end as usize == self.records.len())
            && (0..self.points.len()).all(|at| self.try_record(at).is_some())
    }

    /// The points of the places, from west to east.
    pub(in crate::provider::osm) fn points(&self) -> &[IndexPoint] {
        &self.points
    }

    /// The record of one place.
    pub(in crate::provider::osm) fn record(&self, at: usize) -> IndexRecord<'_> {
        self.try_record(at).expect("every record was decoded when the block was read")
    }

    /// The stored state of one place: whether the place is open.
    pub(in crate::provider::osm) fn state(&self, at: usize) -> &AtomicU64 {
        &self.states[at]
    }

    /// The memory of the block, bytes.
    pub(super) fn size(&self) -> usize {
        size_of::<IndexBlock>()
            + self.points.len() * (POINT_LEN + size_of::<AtomicU64>())
            + self.records.len()
    }

    fn try_record(&self, at: usize) -> Option<IndexRecord<'_>> {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        IndexRecord::decode(self.records.get(start as usize..self.ends[at] as usize)?)
    }
}

/// A block that is being written.
#[derive(Debug, Default)]
pub(super) struct BlockDraft {
    points: Vec<IndexPoint>,
    ends: Vec<u32>,
    records: Vec<u8>,
}

impl BlockDraft {
    /// Whether the block has no room for a place with this record, so that the place begins another block.
    pub(super) fn is_full_for(&self, record: &[u8]) -> bool {
        self.points.len() == BLOCK_PLACES_MAX || self.records.len() + record.len() > BLOCK_LEN_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Adds a place that is no farther west than the previous one.
    pub(super) fn push(&mut self, point: IndexPoint, record: &[u8]) {
        assert!(self.points.last().is_none_or(|last| last.longitude <= point.longitude), "places are sorted");
        self.points.push(point);
        self.records.extend_from_slice(record);
        self.ends.push(self.records.len() as u32);
    }

    /// Appends the block to `out`, and returns its entry in the directory. The draft is empty afterward.
    pub(super) fn finish(&mut self, band: usize, out: &mut Vec<u8>) -> BlockEntry {
        let (first, last) = (self.points[0], self.points[self.points.len() - 1]);
        let start = out.len();
        out.extend(self.points.iter().flat_map(|point| point.longitude.to_le_bytes()));
        out.extend(self.points.iter().flat_map(|point| point.latitude.to_le_bytes()));
        out.extend(self.ends.iter().flat_map(|end| end.to_le_bytes()));
        out.extend_from_slice(&self.records);
        let bytes = &out[start..];
        assert!(bytes.len() <= BLOCK_BYTES_MAX, "readers refuse longer blocks");
        let entry = BlockEntry {
            len: bytes.len() as u32,
            places: self.points.len() as u32,
            band: band as u32,
            west: first.longitude,
            east: last.longitude,
            checksum: xxh3_64(bytes),
        };
        self.points.clear();
        self.ends.clear();
        self.records.clear();
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{Object, ObjectId};
    use super::*;

    fn record(number: i64) -> Vec<u8> {
        let id = ObjectId { object: Object::Node, number };
        let record = IndexRecord { id, locale: 0, kinds: &[1], name: "x", vicinity: "", hours: "", also: "" };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        bytes
    }

    #[test]
    fn a_block_comes_back_and_no_changed_bit_passes() {
        let mut draft = BlockDraft::default();
        for number in 0..3 {
            draft.push(IndexPoint { longitude: 10 * number as i32, latitude: -5 }, &record(number));
        }
        let mut bytes = Vec::new();
        let entry = draft.finish(7, &mut bytes);
        assert!(draft.is_empty());
        let block = IndexBlock::read(&entry, &bytes).unwrap();
        assert_eq!(block.points()[2], IndexPoint { longitude: 20, latitude: -5 });
        assert_eq!(block.record(1).id.number, 1);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(IndexBlock::read(&entry, &bytes).is_none(), "{bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
