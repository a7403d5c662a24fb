//! The directory of the index file: the blocks and their places, and the locales. This part of the file stays in
//! memory.
//!
//! A search reads the directory to find the blocks that it needs. Invariant: a decoded directory is consistent (see
//! `is_sound`). This module does not know what is in a block.

use super::layout::{ANTIMERIDIAN, BAND_COUNT, BLOCK_BYTES_MAX, BlockEntry, ENTRY_LEN, POINT_LEN};
use super::wire::{ByteReader, put_text, put_varint};
use crate::provider::osm::limits::{BLOCK_PLACES_MAX, LOCALES_MAX};

/// All entries by band, and the positions at which their blocks begin. A block of up to 128 places takes 36 bytes here,
/// so a hundred million places take 30 MB.
#[derive(Debug)]
pub(in crate::provider::osm) struct Directory {
    entries: Vec<BlockEntry>,
    starts: Vec<u64>,
    /// The index at which the entries of each band begin, and the index at which the entries of the last band end.
    bands: Vec<u32>,
    locales: Vec<Locale>,
}

/// A time zone, and the country whose holidays count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::provider::osm) struct Locale {
    /// The name of the zone in the database of IANA.
    pub(in crate::provider::osm) zone: String,
    /// The code of the country in ISO 3166.
    pub(in crate::provider::osm) country: String,
}

impl Directory {
    /// The numbers of the blocks of a band, from west to east.
    pub(in crate::provider::osm) fn band(&self, band: usize) -> std::ops::Range<u32> {
        self.bands[band]..self.bands[band + 1]
    }

    pub(in crate::provider::osm) fn entry(&self, number: u32) -> &BlockEntry {
        &self.entries[number as usize]
    }

    /// The number of blocks.
    pub(in crate::provider::osm) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The position at which a block begins, bytes from the beginning of the first block.
    pub(super) fn start(&self, number: u32) -> u64 {
        self.starts[number as usize]
    }

    /// The locale with this number. Records count locales from 1.
    pub(in crate::provider::osm) fn locale(&self, number: u16) -> Option<&Locale> {
        self.locales.get(usize::from(number).checked_sub(1)?)
    }

    pub(in crate::provider::osm) fn encode(entries: &[BlockEntry], locales: &[Locale]) -> Vec<u8> {
        let mut out = Vec::with_capacity(entries.len() * ENTRY_LEN);
        for entry in entries {
            entry.encode(&mut out);
        }
        put_varint(locales.len() as u64, &mut out);
        for locale in locales {
            put_text(&locale.zone, &mut out);
            put_text(&locale.country, &mut out);
        }
        out
    }

    /// Reads a directory of this number of blocks and places. All blocks together are `blocks_len` bytes long.
    pub(in crate::provider::osm) fn decode(
        bytes: &[u8],
        blocks: u32,
        blocks_len: u64,
        places: u64,
    ) -> Option<Directory> {
        let mut wire = ByteReader::new(bytes);
        let entries_len = (blocks as usize).checked_mul(ENTRY_LEN)?;
        let mut of_entries = ByteReader::new(wire.take(entries_len)?);
        let entries: Vec<BlockEntry> =
            (0..blocks).map(|_| BlockEntry::decode(&mut of_entries)).collect::<Option<_>>()?;
        let locales = decode_locales(&mut wire)?;
        let sound = wire.is_empty()
            && entries.iter().all(is_sound)
            && entries.is_sorted_by(|one, next| (one.band, one.east) <= (next.band, next.west))
            && entries.iter().map(|entry| u64::from(entry.len)).sum::<u64>() == blocks_len
            && entries.iter().map(|entry| u64::from(entry.places)).sum::<u64>() == places;
        sound.then(|| Directory::of(entries, locales))
    }

    fn of(entries: Vec<BlockEntry>, locales: Vec<Locale>) -> Directory {
        let mut at = 0;
        let starts = entries.iter().map(|entry| {
            let start = at;
            at += u64::from(entry.len);
            start
        });
        let starts = starts.collect();
        let first_of = |band| entries.partition_point(|entry| (entry.band as usize) < band) as u32;
        let bands = (0..=BAND_COUNT).map(first_of).collect();
        Directory { entries, starts, bands, locales }
    }
}

fn decode_locales(wire: &mut ByteReader<'_>) -> Option<Vec<Locale>> {
    let count = usize::try_from(wire.varint()?).ok().filter(|&count| count <= LOCALES_MAX)?;
    (0..count)
        .map(|_| Some(Locale { zone: wire.text()?.to_owned(), country: wire.text()?.to_owned() }))
        .collect()
}

fn is_sound(entry: &BlockEntry) -> bool {
    let (len, places) = (entry.len as usize, entry.places as usize);
    (entry.band as usize) < BAND_COUNT
        && -ANTIMERIDIAN <= entry.west
        && entry.west <= entry.east
        && entry.east <= ANTIMERIDIAN
        && (1..=BLOCK_PLACES_MAX).contains(&places)
        && (places * POINT_LEN..=BLOCK_BYTES_MAX).contains(&len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(band: u32, west: i32, east: i32) -> BlockEntry {
        BlockEntry { len: 100, places: 2, band, west, east, checksum: 0 }
    }

    fn decoded(entries: &[BlockEntry], locales: &[Locale]) -> Option<Directory> {
        let count = entries.len() as u32;
        let bytes = Directory::encode(entries, locales);
        Directory::decode(&bytes, count, u64::from(count) * 100, u64::from(count) * 2)
    }

    #[test]
    fn a_directory_finds_a_bands_blocks_and_their_bytes() {
        let locales = [Locale { zone: "Europe/Berlin".to_owned(), country: "DE".to_owned() }];
        let entries = [entry(4, -9, -3), entry(4, -3, 7), entry(6, 1, 1)];
        let directory = decoded(&entries, &locales).unwrap();
        assert_eq!([3, 4, 5, 6, 7].map(|band| directory.band(band)), [0..0, 0..2, 2..2, 2..3, 3..3]);
        assert_eq!((directory.len(), directory.start(2)), (3, 200));
        assert_eq!(directory.locale(1), Some(&locales[0]));
        assert_eq!((directory.locale(0), directory.locale(2)), (None, None));
    }

    #[test]
    fn a_directory_that_contradicts_itself_is_none() {
        for entries in [
            [entry(4, 0, 9), entry(4, 8, 10)],
            [entry(5, 0, 9), entry(4, 10, 11)],
            [entry(5, 9, 0), entry(5, 10, 11)],
            [entry(5, 0, 9), entry(BAND_COUNT as u32, 10, 11)],
            [entry(5, 0, 9), BlockEntry { places: 0, ..entry(6, 0, 9) }],
            [entry(5, 0, 9), BlockEntry { len: 23, ..entry(6, 0, 9) }],
        ] {
            assert!(decoded(&entries, &[]).is_none(), "{entries:?}");
        }
        assert!(decoded(&[], &[]).is_some());
    }
}
