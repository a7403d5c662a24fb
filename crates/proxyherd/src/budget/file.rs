//! What a server remembers of its budgets, in a file: `<data>/<server>/budget`.
//!
//! The file is replaced as a whole, and is on the disk before [`File::keep`] returns; so a crash leaves the old one or
//! the new one, and one that is anything else is damaged. No file: the server has never spent anything.

use std::{
    fs,
    io::{self, ErrorKind, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use proxyherd_core::{
    places::quota::{MemoryError, QuotaBook},
    types::ServerName,
};

/// The longest file that is read, bytes: far more than the accounts of eight periods.
const LEN_MAX: u64 = 1024 * 1024;

/// Why a server that has a budget can not start. Nothing was changed. The messages hold their causes.
#[derive(Debug, thiserror::Error)]
pub enum BudgetError {
    /// The disk refuses it.
    #[error(
        "cannot {doing} {}: {why}; the server keeps there what it has spent of the places budget (herd.data says \
         where)",
        path.display()
    )]
    Disk {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        why: io::Error,
    },
    /// What is there is not what this server wrote.
    #[error(
        "{}, where the server keeps what it has spent of the places budget, cannot be used: {why}. Put back what \
         this server wrote last, or remove it: then the server takes itself for new, and has a share of the budget \
         once more unless a neighbor remembers better",
        path.display()
    )]
    Memory {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: MemoryError,
    },
}

/// Where one server's memory is. Nobody else has it as long as this lives.
#[derive(Clone, Debug)]
pub(super) struct File {
    path: PathBuf,
    /// Open and locked.
    dir: Arc<fs::File>,
}

impl File {
    /// The file of `server` below `data`, whose directory is made if missing, and the book that is in it.
    pub(super) fn open(data: &Path, server: &ServerName) -> Result<(File, QuotaBook), BudgetError> {
        let dir = data.join(server.as_str());
        let disk = |doing, path: &Path, why| BudgetError::Disk { doing, path: path.to_owned(), why };
        fs::create_dir_all(&dir).map_err(|error| disk("make the directory", &dir, error))?;
        let locked = lock(&dir).map_err(|error| disk("lock the directory", &dir, error))?;
        let path = dir.join("budget");
        let book = match read(&path) {
            Ok(bytes) => QuotaBook::from_bytes(server, &bytes)
                .map_err(|why| BudgetError::Memory { path: path.clone(), why })?,
            Err(error) if error.kind() == ErrorKind::NotFound => QuotaBook::new(server.clone()),
            Err(error) => return Err(disk("read", &path, error)),
        };
        Ok((File { path, dir: Arc::new(locked) }, book))
    }

    /// Puts `bytes` in the place of what is there; they are on the disk when this returns. Blocks.
    pub(super) fn keep(&self, bytes: &[u8]) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = fs::File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        // The name too has to be on the disk.
        self.dir.sync_all()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Keeps other processes of the same server away: each would undo what the other keeps.
fn lock(dir: &Path) -> io::Result<fs::File> {
    let dir = fs::File::open(dir)?;
    match dir.try_lock() {
        Ok(()) => Ok(dir),
        Err(fs::TryLockError::WouldBlock) => Err(io::Error::new(
            ErrorKind::ResourceBusy,
            "another process of this server has it; stop that one first",
        )),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, LEN_MAX), &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn riley() -> ServerName {
        ServerName::new("Riley").unwrap()
    }

    #[test]
    fn what_was_kept_is_there_again() {
        let data = tempfile::tempdir().unwrap();
        let (mut file, book) = File::open(data.path(), &riley()).unwrap();
        assert!(book.is_new());
        for _ in 0..2 {
            file.keep(&book.to_bytes()).unwrap();
            drop(file);
            let again;
            (file, again) = File::open(data.path(), &riley()).unwrap();
            assert!(!again.is_new());
        }
        let left: Vec<_> = fs::read_dir(data.path().join("Riley")).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_file_that_is_damaged_or_anothers_is_refused_with_what_to_do() {
        let data = tempfile::tempdir().unwrap();
        let (file, book) = File::open(data.path(), &riley()).unwrap();
        let path = file.path().to_owned();
        drop(file);
        let check = |bytes: &[u8], expected: &str| {
            fs::write(&path, bytes).unwrap();
            let error = File::open(data.path(), &riley()).unwrap_err().to_string();
            let path = path.display();
            assert!(error.contains(expected) && error.contains(&format!("{path}, where")), "{error}");
            assert!(error.contains("remove it"), "{error}");
        };
        let bytes = book.to_bytes();
        check(&bytes[1..], "it is damaged");
        check(b"", "it is damaged");
        let another = QuotaBook::new(ServerName::new("Juzang").unwrap());
        check(&another.to_bytes(), "it is the memory of the server Juzang");
    }

    #[test]
    fn two_processes_of_one_server_do_not_share_a_memory() {
        let data = tempfile::tempdir().unwrap();
        let first = File::open(data.path(), &riley()).unwrap();
        let error = File::open(data.path(), &riley()).unwrap_err().to_string();
        assert!(error.contains("another process of this server has it; stop that one first"), "{error}");
        File::open(data.path(), &ServerName::new("Juzang").unwrap()).unwrap();
        drop(first);
        File::open(data.path(), &riley()).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let data = tempfile::tempdir().unwrap();
        let taken = data.path().join("file");
        fs::write(&taken, "").unwrap();
        let error = File::open(&taken, &riley()).unwrap_err().to_string();
        assert!(error.starts_with("cannot make the directory") && error.contains("herd.data"), "{error}");
    }
}
