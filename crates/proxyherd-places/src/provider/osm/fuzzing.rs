//! The codecs of the index and the evaluator of hours, for fuzzing alone: see [`crate::fuzzing`].

use super::index::{BlockEntry, Directory, IndexRecord, Locale};
use super::{hours, tags};

/// The checksum of kinds that the header of a readable index has.
pub fn kinds_checksum() -> u64 {
    tags::kinds_checksum()
}

/// Whether a place with these hours is open at a second since 1970, in a time zone of IANA and a country of ISO 3166.
pub fn is_open(opening_hours: &str, zone: &str, country: &str, now_s: i64) -> Option<bool> {
    let locale = Locale { zone: zone.to_owned(), country: country.to_owned() };
    hours::is_readable(opening_hours)
        .unwrap_or(false)
        .then(|| hours::evaluate(opening_hours, &locale, now_s))
        .flatten()
        .and_then(hours::OpenState::is_open)
}

/// Reads a place's record and writes it again.
pub fn record_again(bytes: &[u8]) -> Option<Vec<u8>> {
    let record = IndexRecord::decode(bytes)?;
    let mut again = Vec::new();
    record.encode(&mut again);
    assert_eq!(IndexRecord::decode(&again), Some(record), "what is written is read again");
    Some(again)
}

/// Reads a directory with these numbers of blocks, bytes and places, and writes it again.
pub fn directory_again(bytes: &[u8], blocks: u32, blocks_len: u64, places: u64) -> Option<Vec<u8>> {
    let directory = Directory::decode(bytes, blocks, blocks_len, places)?;
    let entries: Vec<BlockEntry> = (0..blocks).map(|number| *directory.entry(number)).collect();
    let locales: Vec<Locale> = (1..=u16::MAX).map_while(|number| directory.locale(number)).cloned().collect();
    Some(Directory::encode(&entries, &locales))
}
