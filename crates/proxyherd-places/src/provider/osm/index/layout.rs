//! The layout of the index file.
//!
//! ```text
//! header     HEADER_LEN bytes; the last eight are the checksum of the bytes before them
//! blocks     one after the other; each is a run of places of one band, from west to east
//! directory  a BlockEntry for each block, in the order of the blocks, then the locales
//! ```
//!
//! All numbers are little-endian. Coordinates are in OpenStreetMap's own units of 10⁻⁷ degrees. A *band* is a strip of
//! the world from west to east, [`BAND_HEIGHT`] high. A search knows from the directory alone which blocks it needs.
//! Checksums are XXH3 of 64 bits: the header has its own checksum and the checksum of the directory, and the directory
//! has a checksum for each block.
//!
//! This module does not know how a block or a record is encoded.

use xxhash_rust::xxh3::xxh3_64;

use super::wire::ByteReader;
use crate::provider::osm::limits::{BLOCK_LEN_MAX, BLOCK_PLACES_MAX};

/// The first bytes of the file. The last byte shows whether a conversion of line ends has damaged the file.
pub(super) const MAGIC: [u8; 8] = *b"HERDOSM\n";
/// The version of the format that this module and `record` define.
pub(super) const FORMAT: u32 = 1;
pub(super) const HEADER_LEN: usize = 72;
/// The length of a [`BlockEntry`], bytes.
pub(super) const ENTRY_LEN: usize = 28;
/// Size of a place in a block without its record, bytes: longitude, latitude, and the end of its record.
pub(super) const POINT_LEN: usize = 12;
/// Maximum length of a block, bytes.
pub(super) const BLOCK_BYTES_MAX: usize = BLOCK_LEN_MAX + BLOCK_PLACES_MAX * POINT_LEN;

/// Units in a degree.
pub(in crate::provider::osm) const UNITS_PER_DEGREE: f64 = 1e7;
/// A full turn, units.
pub(in crate::provider::osm) const GIRTH: i64 = 3_600_000_000;
/// The latitude of the poles, units.
pub(in crate::provider::osm) const POLE: i32 = 900_000_000;
/// The longitude of the antimeridian, units.
pub(in crate::provider::osm) const ANTIMERIDIAN: i32 = 1_800_000_000;
/// The height of a band, units: 0.02 degrees or some 2.2 km. This is about the radius of a search in a town.
const BAND_HEIGHT: i32 = 200_000;
/// The number of bands from the South Pole to the North Pole.
pub(in crate::provider::osm) const BAND_COUNT: usize = (2 * POLE / BAND_HEIGHT) as usize;

/// The band of a latitude. The North Pole is in the last band.
pub(in crate::provider::osm) fn band_of(latitude: i32) -> usize {
    let from_south = latitude.saturating_add(POLE).max(0);
    usize::try_from(from_south / BAND_HEIGHT).unwrap_or(0).min(BAND_COUNT - 1)
}

/// The southern and the northern edge of a band, degrees.
pub(in crate::provider::osm) fn edges_of(band: usize) -> (f64, f64) {
    let south = i64::from(BAND_HEIGHT) * band as i64 - i64::from(POLE);
    (south as f64 / UNITS_PER_DEGREE, (south + i64::from(BAND_HEIGHT)) as f64 / UNITS_PER_DEGREE)
}

/// Converts units into degrees.
pub(in crate::provider::osm) fn degrees(units: i32) -> f64 {
    f64::from(units) / UNITS_PER_DEGREE
}

/// The header of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider::osm) struct IndexHeader {
    /// The number of blocks.
    pub(in crate::provider::osm) blocks: u32,
    /// The number of places.
    pub(in crate::provider::osm) places: u64,
    /// The position at which the directory begins, bytes.
    pub(super) directory_at: u64,
    /// The length of the directory, bytes.
    pub(super) directory_len: u64,
    pub(super) directory_checksum: u64,
    /// The checksum of the table of kinds, to which records refer by position.
    pub(super) kinds_checksum: u64,
    /// The second since 1970 up to which the extract was current. 0 if the extract did not say.
    pub(in crate::provider::osm) source_s: i64,
}

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoHeader {
    /// The file is something else.
    Magic,
    /// The file has this other format, which this program does not read.
    Format(u32),
    /// Bytes have changed.
    Checksum,
}

impl IndexHeader {
    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&self.blocks.to_le_bytes());
        for number in [self.places, self.directory_at, self.directory_len, self.directory_checksum] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.kinds_checksum.to_le_bytes());
        out.extend_from_slice(&self.source_s.to_le_bytes());
        let checksum = xxh3_64(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out.try_into().expect("the fields above make up HEADER_LEN")
    }

    pub(super) fn decode(bytes: &[u8; HEADER_LEN]) -> Result<IndexHeader, NoHeader> {
        let (body, checksum) = bytes.split_at(HEADER_LEN - 8);
        let rest = body.strip_prefix(&MAGIC).ok_or(NoHeader::Magic)?;
        let mut wire = ByteReader::new(rest);
        let format = wire.u32().ok_or(NoHeader::Magic)?;
        if format != FORMAT {
            return Err(NoHeader::Format(format));
        }
        if xxh3_64(body).to_le_bytes() != checksum {
            return Err(NoHeader::Checksum);
        }
        IndexHeader::fields(&mut wire).ok_or(NoHeader::Checksum)
    }

    fn fields(wire: &mut ByteReader<'_>) -> Option<IndexHeader> {
        Some(IndexHeader {
            blocks: wire.u32()?,
            places: wire.u64()?,
            directory_at: wire.u64()?,
            directory_len: wire.u64()?,
            directory_checksum: wire.u64()?,
            kinds_checksum: wire.u64()?,
            source_s: wire.u64()? as i64,
        })
    }
}

/// The directory's entry for a block. The block begins where the previous block ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider::osm) struct BlockEntry {
    pub(super) len: u32,
    pub(in crate::provider::osm) places: u32,
    pub(in crate::provider::osm) band: u32,
    /// The least longitude in the block.
    pub(in crate::provider::osm) west: i32,
    /// The greatest longitude in the block.
    pub(in crate::provider::osm) east: i32,
    pub(super) checksum: u64,
}

impl BlockEntry {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.len, self.places, self.band] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.west.to_le_bytes());
        out.extend_from_slice(&self.east.to_le_bytes());
        out.extend_from_slice(&self.checksum.to_le_bytes());
    }

    pub(super) fn decode(wire: &mut ByteReader<'_>) -> Option<BlockEntry> {
        Some(BlockEntry {
            len: wire.u32()?,
            places: wire.u32()?,
            band: wire.u32()?,
            west: wire.u32()? as i32,
            east: wire.u32()? as i32,
            checksum: wire.u64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: IndexHeader = IndexHeader {
        blocks: 3,
        places: 300,
        directory_at: 4096,
        directory_len: 96,
        directory_checksum: 7,
        kinds_checksum: 8,
        source_s: -9,
    };

    #[test]
    fn a_header_comes_back_and_no_changed_byte_passes() {
        let bytes = HEADER.encode();
        assert_eq!(IndexHeader::decode(&bytes), Ok(HEADER));
        for at in 0..HEADER_LEN {
            let mut changed = bytes;
            changed[at] ^= 0x10;
            assert!(IndexHeader::decode(&changed).is_err(), "{at}");
        }
    }

    #[test]
    fn an_entry_comes_back() {
        let entry = BlockEntry { len: 1, places: 2, band: 3, west: -4, east: 5, checksum: 6 };
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        assert_eq!(bytes.len(), ENTRY_LEN);
        assert_eq!(BlockEntry::decode(&mut ByteReader::new(&bytes)), Some(entry));
        assert_eq!(BlockEntry::decode(&mut ByteReader::new(&bytes[1..])), None);
    }

    #[test]
    fn every_latitude_lies_between_the_edges_of_its_band() {
        for latitude in [-POLE, -POLE + 1, -1, 0, 1, 481_234_567, POLE - 1, POLE] {
            let band = band_of(latitude);
            let (south, north) = edges_of(band);
            assert!(
                band < BAND_COUNT && south <= degrees(latitude) && degrees(latitude) <= north,
                "{latitude}"
            );
        }
        assert_eq!((band_of(-POLE), band_of(POLE)), (0, BAND_COUNT - 1));
    }
}
