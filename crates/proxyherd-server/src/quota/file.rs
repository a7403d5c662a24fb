//! The file with the number of requests that a server has made against its quotas: `<data>/<server>/budget`.
//!
//! [`QuotaFile::keep`] replaces the whole file, and returns when the new file is on the disk. So a crash leaves the old
//! file or the new file. A file with other content is damaged. A server without a file has made no requests yet.

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

/// Maximum length of the file, bytes. The accounts of eight periods are far shorter.
const LEN_MAX: u64 = 1024 * 1024;

/// Why a server that has a quota cannot start. Nothing was changed. Each message contains its cause.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    /// The system refuses an operation on the file or its directory.
    #[error(
        "cannot {doing} {}: {why}; the server records there what it has spent of the places budget; the directory is \
         set by `herd.data`",
        path.display()
    )]
    Disk {
        /// The operation.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why the operation failed.
        why: io::Error,
    },
    /// The content of the file is not what this server wrote.
    #[error(
        "the file {}, which records what this server has spent of the places budget, cannot be used: {why}. Put back \
         the file that this server wrote last, or remove the file. Without the file, this server may spend its share of \
         the budget again, unless a neighbor knows what this server has spent",
        path.display()
    )]
    Memory {
        /// The file.
        path: PathBuf,
        /// Why the file cannot be used.
        why: MemoryError,
    },
}

/// The file of one server. As long as this value lives, no other process has the file.
#[derive(Clone, Debug)]
pub(super) struct QuotaFile {
    path: PathBuf,
    /// Open and locked.
    dir: Arc<fs::File>,
}

impl QuotaFile {
    /// Opens the file of `server` below `data` and reads its book. Makes the directory if the directory is missing.
    pub(super) fn open(data: &Path, server: &ServerName) -> Result<(QuotaFile, QuotaBook), QuotaError> {
        let dir = data.join(server.as_str());
        let disk = |doing, path: &Path, why| QuotaError::Disk { doing, path: path.to_owned(), why };
        fs::create_dir_all(&dir).map_err(|error| disk("make the directory", &dir, error))?;
        let locked = lock(&dir).map_err(|error| disk("lock the directory", &dir, error))?;
        let path = dir.join("budget");
        let book = match read(&path) {
            Ok(bytes) => QuotaBook::from_bytes(server, &bytes)
                .map_err(|why| QuotaError::Memory { path: path.clone(), why })?,
            Err(error) if error.kind() == ErrorKind::NotFound => QuotaBook::new(server.clone()),
            Err(error) => return Err(disk("read", &path, error)),
        };
        Ok((QuotaFile { path, dir: Arc::new(locked) }, book))
    }

    /// Replaces the file with `bytes`, which are on the disk when this returns. Blocks.
    pub(super) fn keep(&self, bytes: &[u8]) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = fs::File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        // The new name must be on the disk too.
        self.dir.sync_all()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Locks the directory against other processes of the same server. Two processes would overwrite each other's file.
fn lock(dir: &Path) -> io::Result<fs::File> {
    let dir = fs::File::open(dir)?;
    match dir.try_lock() {
        Ok(()) => Ok(dir),
        Err(fs::TryLockError::WouldBlock) => Err(io::Error::new(
            ErrorKind::ResourceBusy,
            "another process of this server has the directory; stop that process first",
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
        let (mut file, book) = QuotaFile::open(data.path(), &riley()).unwrap();
        assert!(book.is_new());
        for _ in 0..2 {
            file.keep(&book.to_bytes()).unwrap();
            drop(file);
            let again;
            (file, again) = QuotaFile::open(data.path(), &riley()).unwrap();
            assert!(!again.is_new());
        }
        let left: Vec<_> = fs::read_dir(data.path().join("Riley")).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_file_that_is_damaged_or_anothers_is_refused_with_what_to_do() {
        let data = tempfile::tempdir().unwrap();
        let (file, book) = QuotaFile::open(data.path(), &riley()).unwrap();
        let path = file.path().to_owned();
        drop(file);
        let check = |bytes: &[u8], expected: &str| {
            fs::write(&path, bytes).unwrap();
            let error = QuotaFile::open(data.path(), &riley()).unwrap_err().to_string();
            let path = path.display();
            assert!(error.contains(expected) && error.contains(&format!("{path}, which")), "{error}");
            assert!(error.contains("remove the file"), "{error}");
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
        let first = QuotaFile::open(data.path(), &riley()).unwrap();
        let error = QuotaFile::open(data.path(), &riley()).unwrap_err().to_string();
        let expected = "another process of this server has the directory; stop that process first";
        assert!(error.contains(expected), "{error}");
        QuotaFile::open(data.path(), &ServerName::new("Juzang").unwrap()).unwrap();
        drop(first);
        QuotaFile::open(data.path(), &riley()).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let data = tempfile::tempdir().unwrap();
        let taken = data.path().join("file");
        fs::write(&taken, "").unwrap();
        let error = QuotaFile::open(&taken, &riley()).unwrap_err().to_string();
        assert!(error.starts_with("cannot make the directory") && error.contains("herd.data"), "{error}");
    }
}
