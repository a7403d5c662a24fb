//! The index of OpenStreetMap's places. The file is read at positions, so the check cuts nothing.

use std::{cell::RefCell, fs, io::Write as _};

use proxyherd_core::places::{Point, Query, Wish};
use proxyherd_places::{
    Environment,
    fuzzing::{directory_again, kinds_checksum, record_again},
    provider::Osm,
};
use tempfile::NamedTempFile;
use xxhash_rust::xxh3::xxh3_64;

use crate::memory::bounded;

const HEADER_LEN: usize = 72;
const ENTRY_LEN: usize = 28;
/// The memory that opening any file takes, bytes. Most of this memory is the table of bands. The number of bands does
/// not depend on the file's length.
const OPENING_LEN: usize = 256 * 1024;

thread_local! {
    /// Created once, because libFuzzer tries thousands of inputs a second.
    static FILE: RefCell<NamedTempFile> = RefCell::new(NamedTempFile::new().expect("there is room for a file"));
}

/// A file is refused, or it is an index that can be searched. What was read is the same after it was written and read
/// again.
pub fn check(input: &[u8]) {
    search(input);
    if let Some(sound) = with_checksums(input) {
        search(&sound);
    }
    if let Some(again) = bounded(input.len(), 16, 1024, || record_again(input)) {
        assert_eq!(record_again(&again), Some(again));
    }
    let blocks = input.first().copied().unwrap_or(0).into();
    let rest = input.get(1..).unwrap_or_default();
    if let Some(again) = bounded(input.len(), 64, OPENING_LEN, || directory_again(rest, blocks, 0, 0)) {
        assert_eq!(directory_again(&again, blocks, 0, 0), Some(again));
    }
}

fn search(bytes: &[u8]) {
    FILE.with_borrow_mut(|file| {
        fs::File::create(file.path())
            .and_then(|mut file| file.write_all(bytes))
            .expect("there is room for it");
        let osm = bounded(bytes.len(), 64, OPENING_LEN, || Osm::open(file.path(), environment()));
        let Ok(osm) = osm else { return };
        let wish = Wish { keyword: Some("caf".to_owned()), is_open: true, ..Wish::default() };
        for center in [Some((52.5, 13.4)), first_point(bytes)].into_iter().flatten() {
            let Some(center) = Point::new(center.0, center.1) else { continue };
            let query = Query::within(center, 50_000.0).expect("this radius is in range");
            let _ = osm.near(&query, 20);
            let _ = osm.near(&query.wishing(wish.clone()), 3);
        }
    });
}

/// The position of the first place in the first block, if the file has one.
fn first_point(bytes: &[u8]) -> Option<(f64, f64)> {
    let number = |at: usize| Some(i32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let directory_at = usize::try_from(u64::from_le_bytes(*bytes.get(24..)?.first_chunk()?)).ok()?;
    let places = usize::try_from(number(directory_at.checked_add(4)?)?).ok()?;
    let (longitude, latitude) =
        (number(HEADER_LEN)?, number(HEADER_LEN.checked_add(places.checked_mul(4)?)?)?);
    Some((f64::from(latitude) / 1e7, f64::from(longitude) / 1e7))
}

/// The file with correct checksums. A file with wrong checksums would be refused before it is parsed. The file also
/// gets this program's version and table of kinds, so that the corpus stays useful when these change.
fn with_checksums(input: &[u8]) -> Option<Vec<u8>> {
    let mut file = input.to_vec();
    let header = file.get_mut(..HEADER_LEN)?;
    header[..12].copy_from_slice(b"HERDOSM\n\x01\0\0\0");
    header[48..56].copy_from_slice(&kinds_checksum().to_le_bytes());
    let number =
        |header: &[u8], at: usize| u64::from_le_bytes(*header[at..].first_chunk().expect("it is longer"));
    let directory_at = number(header, 24);
    let directory_len = (input.len() as u64).checked_sub(directory_at)?;
    header[32..40].copy_from_slice(&directory_len.to_le_bytes());
    let directory_at = usize::try_from(directory_at).ok().filter(|&at| at >= HEADER_LEN)?;
    let (blocks, directory) = file.split_at_mut(directory_at);
    put_block_checksums(&blocks[HEADER_LEN..], directory);
    let sum = xxh3_64(directory);
    blocks[40..48].copy_from_slice(&sum.to_le_bytes());
    let sum = xxh3_64(&blocks[..HEADER_LEN - 8]);
    blocks[HEADER_LEN - 8..HEADER_LEN].copy_from_slice(&sum.to_le_bytes());
    Some(file)
}

fn put_block_checksums(mut blocks: &[u8], directory: &mut [u8]) {
    for entry in directory.as_chunks_mut::<ENTRY_LEN>().0 {
        let len = u32::from_le_bytes(*entry.first_chunk().expect("an entry is longer")) as usize;
        let Some((block, rest)) = blocks.split_at_checked(len) else { return };
        entry[ENTRY_LEN - 8..].copy_from_slice(&xxh3_64(block).to_le_bytes());
        blocks = rest;
    }
}

/// A clock that stands still.
fn environment() -> Environment {
    Environment::silent(|| 0, || 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_corpus_with_correct_checksums_is_an_index() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/corpora/places_index/two-blocks");
        let file = with_checksums(&fs::read(path).unwrap()).unwrap();
        let mut named = NamedTempFile::new().unwrap();
        named.write_all(&file).unwrap();
        let osm = Osm::open(named.path(), environment()).unwrap();
        let westwood = Point::new(first_point(&file).unwrap().0, first_point(&file).unwrap().1).unwrap();
        let near = osm.near(&Query::within(westwood, 1.0).unwrap(), 20).unwrap();
        assert_eq!((osm.len(), near.len()), (3, 1));
    }
}
