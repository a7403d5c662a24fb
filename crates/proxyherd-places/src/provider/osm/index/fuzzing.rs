//! What an index is read with, for fuzzing alone: see [`crate::fuzzing`].

use super::directory::{Directory, Locale};
use super::layout::Entry;
use super::record::Record;

/// Reads a place's record and writes it again.
pub fn record_again(bytes: &[u8]) -> Option<Vec<u8>> {
    let record = Record::decode(bytes)?;
    let mut again = Vec::new();
    record.encode(&mut again);
    assert_eq!(Record::decode(&again), Some(record), "what is written is read again");
    Some(again)
}

/// Reads a directory of so many blocks, so many bytes and so many places, and writes it again.
pub fn directory_again(bytes: &[u8], blocks: u32, blocks_len: u64, places: u64) -> Option<Vec<u8>> {
    let directory = Directory::decode(bytes, blocks, blocks_len, places)?;
    let entries: Vec<Entry> = (0..blocks).map(|number| *directory.entry(number)).collect();
    let locales: Vec<Locale> = (1..=u16::MAX).map_while(|number| directory.locale(number)).cloned().collect();
    Some(Directory::encode(&entries, &locales))
}
