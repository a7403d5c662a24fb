//! The lock of a store: a file beside the store's directory, which one process holds.
//!
//! The system releases the lock when the process ends, however the process ends. The file stays, and contains the ID of
//! the process that took the lock last.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Maximum number of bytes of the lock file that are read.
const HOLDER_LEN_MAX: u64 = 32;

/// A held lock. Other processes cannot open the store until this value is dropped.
#[derive(Debug)]
pub(crate) struct StoreLock(#[allow(dead_code, reason = "the open file is the lock")] File);

/// Why a lock was not taken.
pub(crate) enum LockError {
    /// Another process, or another part of this process, holds the lock. Its ID, if it is known.
    Held(Option<u32>),
    /// The system refuses the file.
    Io(io::Error),
}

impl StoreLock {
    /// Takes the lock at `path`. Makes the file if it is missing.
    pub(crate) fn take(path: &Path) -> Result<StoreLock, LockError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(path).map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(holder(path))),
            Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
        }
        // The ID only helps people. A full disk must not keep a server from starting.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(StoreLock(file))
    }
}

/// The process that holds the lock at `path` now. `None`: no process holds the lock. `Some(None)`: a process that has
/// not written its ID.
pub(crate) fn held_by(path: &Path) -> Option<Option<u32>> {
    let file = File::open(path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(holder(path)),
        _ => None,
    }
}

fn holder(path: &Path) -> Option<u32> {
    let mut text = String::new();
    File::open(path).ok()?.take(HOLDER_LEN_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
