//! A store as it was at one moment, for commands that run beside its server.
//!
//! A server appends to the newest file of its store, and removes files that newer ones replace. [`SteadyStore`] opens
//! all files at once and remembers their lengths. So what the server appends later does not count, and a removed file
//! can still be read.
//!
//! Invariant: the files of a [`SteadyStore`] were all in the store at one moment.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use proxyherd_core::{
    journal::{Disk, DiskError, DiskFile, RecoverError, StoreIdentity, identity_of, is_store_file},
    types::ServerName,
};
use proxyherd_journal::{FileDisk, StoreError, disk_error};

/// Maximum number of times that the files are opened until the server has removed none of them meanwhile. Beyond it,
/// the command gives up. A server rarely removes files more than once a second.
const OPENINGS_MAX: usize = 100;
/// How long the command waits before it opens the files again.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a store cannot be read. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The directory cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store is refused, or cannot be read.
    #[error("{}: {reason}", dir.display())]
    Refused {
        /// The store's directory.
        dir: PathBuf,
        /// Why.
        reason: RecoverError,
    },
    /// The directory has no file of a store.
    #[error("{} holds no store: no file in it is a segment or a snapshot", dir.display())]
    Empty {
        /// The directory.
        dir: PathBuf,
    },
    /// The files changed whenever they were opened.
    #[error("the files of {} changed each of {OPENINGS_MAX} times that they were opened: try again", dir.display())]
    Unsteady {
        /// The store's directory.
        dir: PathBuf,
    },
    /// The output cannot be written.
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// The open files by their names, with the lengths that they had.
type OpenFiles = BTreeMap<String, (File, u64)>;

/// The open files of a store.
#[derive(Debug)]
pub struct SteadyStore {
    dir: PathBuf,
    files: OpenFiles,
}

impl SteadyStore {
    /// Opens the store of `server` below the directory `data`.
    pub fn open(data: &Path, server: &ServerName) -> Result<SteadyStore, ReadError> {
        SteadyStore::of(&FileDisk::read_only(data, server)?)
    }

    /// Opens the store in this directory.
    pub fn open_at(dir: &Path) -> Result<SteadyStore, ReadError> {
        SteadyStore::of(&FileDisk::read_only_at(dir)?)
    }

    fn of(disk: &FileDisk) -> Result<SteadyStore, ReadError> {
        let dir = disk.path().to_owned();
        let refused = |error: DiskError| ReadError::Refused { dir: dir.clone(), reason: error.into() };
        for opening in 0..OPENINGS_MAX {
            if opening > 0 {
                thread::sleep(PAUSE);
            }
            let names = names_of(disk).map_err(refused)?;
            let Some(files) = open_all(&dir, &names).map_err(refused)? else { continue };
            // Names are never used again. So files that are there before and after were there together.
            if names_of(disk).map_err(refused)? == names {
                return if files.is_empty() {
                    Err(ReadError::Empty { dir })
                } else {
                    Ok(SteadyStore { dir, files })
                };
            }
        }
        Err(ReadError::Unsteady { dir })
    }

    /// Whose store it is, as its files say. `None`: no file says so.
    pub fn identity(&self) -> Result<Option<StoreIdentity>, ReadError> {
        identity_of(self).map_err(|error| self.refused(error))
    }

    /// The store's directory.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The number of files.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// The number of bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|(_, len)| len).sum()
    }

    /// The error of a recovery of this store.
    pub(crate) fn refused(&self, reason: RecoverError) -> ReadError {
        ReadError::Refused { dir: self.dir.clone(), reason }
    }
}

/// The names of the files that count.
fn names_of(disk: &FileDisk) -> Result<Vec<String>, DiskError> {
    let names = disk.list()?.into_iter().map(|(name, _)| name);
    Ok(names.filter(|name| is_store_file(name)).collect())
}

/// Opens the files. `None`: one of them is gone.
fn open_all(dir: &Path, names: &[String]) -> Result<Option<OpenFiles>, DiskError> {
    let mut files = OpenFiles::new();
    for name in names {
        let path = dir.join(name);
        let opened = File::open(&path).and_then(|file| {
            let len = file.metadata()?.len();
            Ok((file, len))
        });
        match opened {
            Ok(opened) => files.insert(name.clone(), opened),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(disk_error("read", &path, &error)),
        };
    }
    Ok(Some(files))
}

impl SteadyStore {
    fn is_read_only<T>(&self) -> Result<T, DiskError> {
        Err(DiskError::Failed(format!("the store {} is open for reading only", self.dir.display())))
    }
}

impl Disk for SteadyStore {
    type File = NoFile;

    fn list(&self) -> Result<Vec<(String, u64)>, DiskError> {
        Ok(self.files.iter().map(|(name, (_, len))| (name.clone(), *len)).collect())
    }

    fn read_at(&self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        let path = self.dir.join(name);
        let missing = || disk_error("read", &path, &ErrorKind::NotFound.into());
        let (file, len) = self.files.get(name).ok_or_else(missing)?;
        let left = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = into.len().min(left);
        let mut read = 0;
        while read < wanted {
            match file.read_at(&mut into[read..wanted], offset + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(disk_error("read", &path, &error)),
            }
        }
        Ok(read)
    }

    fn create(&self, _: &str) -> Result<NoFile, DiskError> {
        self.is_read_only()
    }

    fn rename(&self, _: &str, _: &str) -> Result<(), DiskError> {
        self.is_read_only()
    }

    fn remove(&self, _: &str) -> Result<(), DiskError> {
        self.is_read_only()
    }

    fn sync_file(&self, _: &str) -> Result<(), DiskError> {
        self.is_read_only()
    }

    fn sync_names(&self) -> Result<(), DiskError> {
        self.is_read_only()
    }
}

/// The file that a store never creates while it is only read.
#[derive(Debug)]
pub enum NoFile {}

impl DiskFile for NoFile {
    fn write_at(&mut self, _: u64, _: &[u8]) -> Result<(), DiskError> {
        match *self {}
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Barrier};

    use super::*;

    fn store(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        dir
    }

    #[test]
    fn what_the_server_appends_or_removes_later_does_not_count() {
        let dir = store(&[("journal-1", b"0123"), ("snapshot-0-1", b"abc"), ("snapshot-1-1.tmp", b"x")]);
        let steady = SteadyStore::open_at(dir.path()).unwrap();
        fs::write(dir.path().join("journal-1"), b"0123456789").unwrap();
        fs::remove_file(dir.path().join("snapshot-0-1")).unwrap();
        let listed = |name: &str, len| (name.to_owned(), len);
        assert_eq!(steady.list().unwrap(), [listed("journal-1", 4), listed("snapshot-0-1", 3)]);
        assert_eq!((steady.files(), steady.bytes()), (2, 7));
        let mut into = [0; 8];
        assert_eq!(steady.read_at("journal-1", 2, &mut into), Ok(2));
        assert_eq!(&into[..2], b"23");
        assert_eq!(steady.read_at("journal-1", 9, &mut into), Ok(0));
        assert_eq!(steady.read_at("snapshot-0-1", 0, &mut into), Ok(3));
        assert_eq!(&into[..3], b"abc");
        let error = steady.read_at("journal-2", 0, &mut into).unwrap_err().to_string();
        assert!(error.contains("cannot read") && error.contains("journal-2"), "{error}");
    }

    #[test]
    fn files_that_the_server_has_replaced_meanwhile_are_opened_anew() {
        let dir = store(&[("journal-2", b"2"), ("snapshot-0-2", b"0")]);
        let names = |names: [&str; 2]| names.map(str::to_owned);
        let replaced = open_all(dir.path(), &names(["journal-1", "journal-2"])).unwrap();
        assert!(replaced.is_none(), "journal-1 is gone");
        assert_eq!(open_all(dir.path(), &names(["journal-2", "snapshot-0-2"])).unwrap().unwrap().len(), 2);
    }

    #[test]
    fn the_files_of_one_moment_are_read_beside_a_server_that_replaces_them() {
        let dir = store(&[("journal-1", b"1")]);
        let both = Barrier::new(2);
        let path = |name: &str, number: u64| dir.path().join(format!("{name}-{number}"));
        let opened: Vec<_> = thread::scope(|scope| {
            scope.spawn(|| {
                // A few replacements meet each opening.
                for number in 2..152 {
                    fs::write(path("journal", number), "1").unwrap();
                    fs::write(path("snapshot-0", number), "1").unwrap();
                    let _ = fs::remove_file(path("snapshot-0", number - 1));
                    let _ = fs::remove_file(path("journal", number - 1));
                    if number.is_multiple_of(3) {
                        both.wait();
                    }
                }
            });
            let open = |_| {
                let opened = SteadyStore::open_at(dir.path());
                both.wait();
                opened
            };
            (0..50).map(open).collect()
        });
        for steady in opened {
            let names: Vec<String> = steady.unwrap().files.into_keys().collect();
            let number = |name: &String| name.rsplit('-').next().and_then(|number| number.parse().ok());
            let numbers: Vec<u64> = names.iter().filter_map(number).collect();
            let (least, most) = (numbers.iter().min().unwrap(), numbers.iter().max().unwrap());
            assert!(names[0].starts_with("journal-") && most - least <= 1, "{names:?}");
        }
    }

    #[test]
    fn a_directory_without_a_store_is_named() {
        let dir = store(&[("herd.toml", b"")]);
        let error = SteadyStore::open_at(dir.path()).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("{} holds no store: no file in it is a segment or a snapshot", dir.path().display())
        );
        assert!(matches!(
            SteadyStore::open_at(&dir.path().join("missing")),
            Err(ReadError::Store(StoreError::Missing { .. }))
        ));
    }

    #[test]
    fn a_store_that_is_read_is_never_written() {
        let dir = store(&[("journal-1", b"0123")]);
        let steady = SteadyStore::open_at(dir.path()).unwrap();
        let refused = [
            steady.create("journal-2").map(drop),
            steady.rename("journal-1", "journal-2"),
            steady.remove("journal-1"),
            steady.sync_names(),
        ];
        for result in refused {
            assert!(matches!(&result, Err(DiskError::Failed(why)) if why.ends_with("open for reading only")));
        }
    }
}
