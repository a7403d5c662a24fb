//! Writes a whole index file, or nothing.
//!
//! [`IndexWriter::push`] takes sorted places, and [`IndexWriter::finish`] gives the file its name. Until then the bytes
//! are in a temporary file in the same directory, which is renamed when everything is on the disk. So a reader finds a
//! whole file at any time, even after a crash. The new file gets the mode of the old file. If a writer dies, the
//! temporary file remains, and the next writer overwrites it. A lock prevents two writers at the same time. This module
//! does not know where places come from.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::block::{BlockDraft, IndexPoint};
use super::directory::{Directory, Locale};
use super::layout::{BlockEntry, HEADER_LEN, IndexHeader, band_of};

/// A file that is being written.
#[derive(Debug)]
pub(in crate::provider::osm) struct IndexWriter {
    beside: Beside,
    out: BufWriter<File>,
    path: PathBuf,
    draft: BlockDraft,
    band: usize,
    block: Vec<u8>,
    entries: Vec<BlockEntry>,
    places: u64,
    len: u64,
}

/// The temporary file, until it gets its final name. If it never gets this name, it is removed.
#[derive(Debug)]
struct Beside(Option<PathBuf>);

impl IndexWriter {
    /// Begins a file that will have the name `path`.
    pub(in crate::provider::osm) fn create(path: &Path) -> io::Result<IndexWriter> {
        let beside = beside(path)?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&beside)?;
        lock(&file, &beside)?;
        let beside = Beside(Some(beside));
        file.set_len(0)?;
        let mut out = BufWriter::with_capacity(1 << 18, file);
        // This reserves space for the header. Its content is known only at the end.
        out.write_all(&[0; HEADER_LEN])?;
        Ok(IndexWriter {
            beside,
            out,
            path: path.to_owned(),
            draft: BlockDraft::default(),
            band: 0,
            block: Vec::new(),
            entries: Vec::new(),
            places: 0,
            len: HEADER_LEN as u64,
        })
    }

    /// Adds a place. Places must come band by band, and from west to east within a band.
    pub(in crate::provider::osm) fn push(&mut self, point: IndexPoint, record: &[u8]) -> io::Result<()> {
        let band = band_of(point.latitude);
        if !self.draft.is_empty() && (band != self.band || self.draft.is_full_for(record)) {
            self.end_block()?;
        }
        assert!(band >= self.band, "places are sorted");
        self.band = band;
        self.draft.push(point, record);
        self.places += 1;
        Ok(())
    }

    /// Writes the rest, and gives the file its name. Returns the length of the file, bytes, and the number of blocks.
    pub(in crate::provider::osm) fn finish(
        mut self,
        locales: &[Locale],
        kinds_checksum: u64,
        source_s: i64,
    ) -> io::Result<(u64, usize)> {
        if !self.draft.is_empty() {
            self.end_block()?;
        }
        let directory = Directory::encode(&self.entries, locales);
        let header = IndexHeader {
            blocks: self.entries.len() as u32,
            places: self.places,
            directory_at: self.len,
            directory_len: directory.len() as u64,
            directory_checksum: xxh3_64(&directory),
            kinds_checksum,
            source_s,
        };
        self.out.write_all(&directory)?;
        self.out.flush()?;
        let file = self.out.get_ref();
        file.write_all_at(&header.encode(), 0)?;
        keep_mode(&self.path, file)?;
        file.sync_all()?;
        self.beside.take_name(&self.path)?;
        Ok((self.len + directory.len() as u64, self.entries.len()))
    }

    fn end_block(&mut self) -> io::Result<()> {
        self.block.clear();
        let entry = self.draft.finish(self.band, &mut self.block);
        self.entries.push(entry);
        self.len += self.block.len() as u64;
        self.out.write_all(&self.block)
    }
}

impl Beside {
    fn take_name(&mut self, path: &Path) -> io::Result<()> {
        let beside = self.0.as_ref().expect("it is taken once, at the end");
        fs::rename(beside, path)?;
        self.0 = None;
        // The new name is on the disk only after the directory is written to the disk.
        File::open(directory_of(path))?.sync_all()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // If this fails, the next writer overwrites the file.
            let _ = fs::remove_file(path);
        }
    }
}

/// The path of the temporary file, such as `.places.idx.part`. It is in the same directory, so that it can be renamed.
pub(in crate::provider::osm) fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::other("this names a directory, not a file"))?;
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(".part");
    Ok(path.with_file_name(beside))
}

/// Gives a file the mode of the file that it will replace. The same users can then read it.
fn keep_mode(path: &Path, file: &File) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(old) => file.set_permissions(old.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The directory of a file.
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn lock(file: &File, path: &Path) -> io::Result<()> {
    let busy = || io::Error::other("another import is writing this file: wait until it is done");
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(busy()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // Between opening and locking, another writer may have finished. Then the opened file is the other writer's index.
    // It already has its final name and must not be written to.
    let (ours, there) = (file.metadata()?, fs::metadata(path));
    let same = there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()));
    if same { Ok(()) } else { Err(busy()) }
}
