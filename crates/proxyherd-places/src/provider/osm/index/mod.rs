//! The index file of places. An import writes the file, and the provider reads it.
//!
//! Places are sorted by their positions and stored in blocks. An [`Index`] holds the directory of the blocks in memory,
//! and reads blocks when they are needed. It reads at positions and does not map the file into memory. So a file that
//! is cut or damaged while it is read causes an error and not a crash. [`IndexWriter`] writes a whole file or nothing.
//!
//! Invariant: all data is checked when it is read. The header and the directory are checked when the file is opened,
//! and a block is checked when it is fetched. This module does not know what a search is looking for, or where places
//! come from.
//!
//! Floors, lowest first: `wire`; `layout`, `record`; `block`; `directory`, `cache`; `writer`, [`Index`].

mod block;
mod cache;
mod directory;
mod layout;
mod record;
mod wire;
mod writer;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::limits::DIRECTORY_LEN_MAX;
use cache::BlockCache;
use layout::{HEADER_LEN, NoHeader};

pub(super) use block::{IndexBlock, IndexPoint};
pub(super) use directory::{Directory, Locale};
pub(super) use layout::{
    ANTIMERIDIAN, BAND_COUNT, BlockEntry, GIRTH, IndexHeader, POLE, UNITS_PER_DEGREE, band_of, degrees,
    edges_of,
};
pub(super) use record::{IndexRecord, NUMBER_MAX, Object, ObjectId};
pub(super) use wire::{ByteReader, put_signed, put_text, put_varint};
pub(super) use writer::{IndexWriter, beside};

/// An open file.
#[derive(Debug)]
pub(super) struct Index {
    file: File,
    header: IndexHeader,
    directory: Directory,
    cache: BlockCache,
}

/// Why this program cannot read a file as an index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The operating system refuses to read the file.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// The file is not an index.
    #[error("this is not an index of places")]
    Foreign,
    /// The file has another format.
    #[error("it is of format {0}, and this program reads {known}", known = layout::FORMAT)]
    Format(u32),
    /// The file was written by a version of this program with other kinds of places.
    #[error("it was written by another version of this program")]
    Kinds,
    /// Bytes are missing or have changed since the file was written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

/// Why a block cannot be read. The header and the directory were sound when the file was opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum BlockError {
    /// The operating system refuses to read the block.
    #[error("a block cannot be read: {0}")]
    Unreadable(io::Error),
    /// Bytes of the block have changed.
    #[error("a block is damaged")]
    Damaged,
}

impl Index {
    /// Opens a file and checks everything but its blocks. The cache keeps blocks of up to `cache_len_max` bytes in
    /// total.
    pub(super) fn open(path: &Path, kinds_checksum: u64, cache_len_max: usize) -> Result<Index, IndexError> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let header = read_header(&file, len)?;
        if header.kinds_checksum != kinds_checksum {
            return Err(IndexError::Kinds);
        }
        let directory = read_directory(&file, len, &header)?;
        let cache = BlockCache::new(directory.len(), cache_len_max);
        Ok(Index { file, header, directory, cache })
    }

    /// The header of the file.
    pub(super) fn header(&self) -> &IndexHeader {
        &self.header
    }

    /// The directory of the blocks.
    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// A block. `None` if the block is not in memory.
    pub(super) fn block_at_hand(&self, number: u32) -> Option<Arc<IndexBlock>> {
        self.cache.find(number)
    }

    /// A block from memory or from the disk. This may wait for the disk.
    pub(super) fn block(&self, number: u32) -> Result<Arc<IndexBlock>, BlockError> {
        if let Some(block) = self.cache.find(number) {
            return Ok(block);
        }
        let block = Arc::new(self.read_block(number)?);
        self.cache.keep(number, &block);
        Ok(block)
    }

    fn read_block(&self, number: u32) -> Result<IndexBlock, BlockError> {
        let entry = self.directory.entry(number);
        // The directory is sound, so this length is within the limit.
        let mut bytes = vec![0; entry.len as usize];
        let at = HEADER_LEN as u64 + self.directory.start(number);
        self.file.read_exact_at(&mut bytes, at).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BlockError::Damaged,
            _ => BlockError::Unreadable(error),
        })?;
        IndexBlock::read(entry, &bytes).ok_or(BlockError::Damaged)
    }
}

fn read_header(file: &File, len: u64) -> Result<IndexHeader, IndexError> {
    let mut bytes = [0; HEADER_LEN];
    let known = usize::try_from(len).unwrap_or(HEADER_LEN).min(HEADER_LEN);
    file.read_exact_at(&mut bytes[..known], 0)?;
    let header = IndexHeader::decode(&bytes).map_err(|error| match error {
        NoHeader::Magic => IndexError::Foreign,
        NoHeader::Format(format) => IndexError::Format(format),
        NoHeader::Checksum => IndexError::Damaged("its header has changed"),
    })?;
    let end = header.directory_at.checked_add(header.directory_len);
    if end == Some(len) { Ok(header) } else { Err(IndexError::Damaged("it is cut, or longer than it was")) }
}

fn read_directory(file: &File, len: u64, header: &IndexHeader) -> Result<Directory, IndexError> {
    let damaged = IndexError::Damaged("its directory has changed");
    let blocks_len = header.directory_at.checked_sub(HEADER_LEN as u64);
    let (Some(blocks_len), 0..=DIRECTORY_LEN_MAX) = (blocks_len, header.directory_len.min(len)) else {
        return Err(damaged);
    };
    let mut bytes = vec![0; header.directory_len as usize];
    file.read_exact_at(&mut bytes, header.directory_at)?;
    if xxh3_64(&bytes) != header.directory_checksum {
        return Err(damaged);
    }
    Directory::decode(&bytes, header.blocks, blocks_len, header.places).ok_or(damaged)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const KINDS: u64 = 77;

    /// A file of a hundred places, and the result of `open` after a change of the file.
    struct Sample {
        dir: tempfile::TempDir,
        bytes: Vec<u8>,
    }

    impl Sample {
        fn new() -> Sample {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("places.idx");
            let mut writer = IndexWriter::create(&path).unwrap();
            for number in 0..300 {
                let record = IndexRecord {
                    id: ObjectId { object: Object::Way, number },
                    locale: 1,
                    kinds: &[1, 2],
                    name: "Kiosk",
                    vicinity: "",
                    hours: "24/7",
                    also: "",
                };
                let mut bytes = Vec::new();
                record.encode(&mut bytes);
                writer.push(IndexPoint { longitude: number as i32 * 1000, latitude: 5 }, &bytes).unwrap();
            }
            let locales = [Locale { zone: "Europe/Paris".to_owned(), country: "FR".to_owned() }];
            writer.finish(&locales, KINDS, 1_600_000_000).unwrap();
            Sample { bytes: fs::read(&path).unwrap(), dir }
        }

        fn open(&self, bytes: &[u8]) -> Result<Index, IndexError> {
            let path = self.dir.path().join("changed.idx");
            fs::write(&path, bytes).unwrap();
            Index::open(&path, KINDS, 1 << 20)
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let sample = Sample::new();
        let index = sample.open(&sample.bytes).unwrap();
        assert_eq!((index.header().places, index.header().source_s), (300, 1_600_000_000));
        assert_eq!(index.directory().band(band_of(5)), 0..3);
        assert!(index.block_at_hand(2).is_none());
        let block = index.block(2).unwrap();
        assert_eq!(block.record(0).id.number, 256);
        assert_eq!(block.points()[43].longitude, 299_000);
        assert!(index.block_at_hand(2).is_some());
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let sample = Sample::new();
        let is_sound = |bytes: &[u8]| {
            let index = sample.open(bytes);
            index.is_ok_and(|index| (0..3).all(|number| index.block(number).is_ok()))
        };
        assert!(is_sound(&sample.bytes));
        for at in (0..sample.bytes.len()).step_by(7).chain(0..HEADER_LEN) {
            let mut changed = sample.bytes.clone();
            changed[at] ^= 0x20;
            assert!(!is_sound(&changed), "{at}");
        }
        for len in (0..sample.bytes.len()).step_by(101) {
            assert!(!is_sound(&sample.bytes[..len]), "{len}");
        }
        assert!(!is_sound(&[&sample.bytes[..], b"x"].concat()));
    }

    #[test]
    fn each_way_to_be_no_index_is_told() {
        let sample = Sample::new();
        let said = |bytes: &[u8]| sample.open(bytes).unwrap_err().to_string();
        assert_eq!(said(b"PK\x03\x04"), "this is not an index of places");
        assert_eq!(said(b""), "this is not an index of places");
        let mut newer = sample.bytes.clone();
        newer[8] = 9;
        assert_eq!(said(&newer), "it is of format 9, and this program reads 1");
        assert_eq!(said(&sample.bytes[..900]), "it is damaged: it is cut, or longer than it was");
        let path = sample.dir.path().join("changed.idx");
        fs::write(&path, &sample.bytes).unwrap();
        let other = Index::open(&path, KINDS + 1, 0).unwrap_err().to_string();
        assert_eq!(other, "it was written by another version of this program");
    }

    #[test]
    fn an_index_that_replaces_another_has_its_mode() {
        let sample = Sample::new();
        let path = sample.dir.path().join("places.idx");
        for mode in [0o600, 0o644, 0o664, 0o440] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            IndexWriter::create(&path).unwrap().finish(&[], 0, 0).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode, "{mode:o}");
        }
    }

    #[test]
    fn a_writer_that_is_dropped_leaves_the_old_file() {
        let sample = Sample::new();
        let path = sample.dir.path().join("places.idx");
        let mut writer = IndexWriter::create(&path).unwrap();
        assert!(IndexWriter::create(&path).is_err(), "one writes at a time");
        let record = [0, 0, 0, 0, 0, 0, 0];
        writer.push(IndexPoint { longitude: 0, latitude: 0 }, &record).unwrap();
        drop(writer);
        assert_eq!(fs::read(&path).unwrap(), sample.bytes);
        assert_eq!(fs::read_dir(sample.dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
