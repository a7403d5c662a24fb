//! Writes the file of places: all of it or none of it.
//!
//! The bytes go to a file beside the one that is wanted, which takes its name when all is on the disk. Whoever reads
//! meanwhile, or after a crash, has the old file whole, and the new one has the old one's mode. A writer that dies leaves the file beside, and the next
//! one writes over it; a lock keeps two from writing at the same time.

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
pub(in crate::provider::osm) struct Writer {
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

/// The file that has not its name yet; removed unless it gets it.
#[derive(Debug)]
struct Beside(Option<PathBuf>);

impl Writer {
    /// Begins a file that will be at `path`.
    pub(in crate::provider::osm) fn create(path: &Path) -> io::Result<Writer> {
        let beside = beside(path)?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&beside)?;
        lock(&file, &beside)?;
        let beside = Beside(Some(beside));
        file.set_len(0)?;
        let mut out = BufWriter::with_capacity(1 << 18, file);
        // The header's place; what it says is known at the end.
        out.write_all(&[0; HEADER_LEN])?;
        Ok(Writer {
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

    /// Adds a place. They come band by band, and from west to east within a band.
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

    /// Writes the rest, and gives the file its name. Returns its length, bytes, and the number of its blocks.
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
        // The name itself is on the disk once its directory is.
        File::open(directory_of(path))?.sync_all()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Should this fail, the next writer writes over it.
            let _ = fs::remove_file(path);
        }
    }
}

/// `.places.idx.part`, in the same directory, so that a rename suffices.
pub(in crate::provider::osm) fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::other("this names a directory, not a file"))?;
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(".part");
    Ok(path.with_file_name(beside))
}

/// Gives a file the mode of the one that it will replace: whoever could read that one can read this one, and nobody else.
fn keep_mode(path: &Path, file: &File) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(old) => file.set_permissions(old.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The directory that a file is in.
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
    // Between opening and locking, another may have finished: then this is the file that it has written, under its
    // own name by now, and not ours to write into.
    let (ours, there) = (file.metadata()?, fs::metadata(path));
    let same = there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()));
    if same { Ok(()) } else { Err(busy()) }
}
