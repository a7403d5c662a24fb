//! Where a store is, and why it could not be opened.

use std::{
    io,
    path::{Path, PathBuf},
};

use proxyherd_core::types::ServerName;
use proxyherd_log::refusal;

/// The directory of the store of `server`. `data` is the directory that `herd.data` sets.
pub fn directory(data: &Path, server: &ServerName) -> PathBuf {
    data.join(server.as_str()).join("journal")
}

/// Why a store could not be opened, set aside or discarded. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refuses an operation on the store's directory.
    #[error(
        "cannot {doing} {}: {why}; the server keeps there what it acknowledged; `herd.data` sets the directory",
        path.display()
    )]
    Disk {
        /// The operation.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why the operation failed.
        why: String,
    },
    /// The directory is a symbolic link. A store that is set aside or replaced would leave the disk to which it leads.
    #[error(
        "{} is a symbolic link, and a store must be a directory: move the store's files there, or make {} the link",
        path.display(),
        path.parent().unwrap_or(path).display()
    )]
    Linked {
        /// The store's directory.
        path: PathBuf,
    },
    /// Another process has the store open.
    #[error("the store {} is open in another process{}: stop that process first", path.display(), told(*holder))]
    Held {
        /// The store's directory.
        path: PathBuf,
        /// The ID of the process, if it is known.
        holder: Option<u32>,
    },
    /// There is no store. A server would make one; a command that reads a store does not.
    #[error("there is no store {}: a server makes one when it starts with `journal = true`", path.display())]
    Missing {
        /// The directory that the store would have.
        path: PathBuf,
    },
}

fn told(holder: Option<u32>) -> String {
    holder.map_or_else(String::new, |id| format!(" (pid {id})"))
}

impl StoreError {
    pub(crate) fn disk(doing: &'static str, path: &Path, error: &io::Error) -> StoreError {
        StoreError::Disk { doing, path: path.to_owned(), why: refusal::refused(path, error) }
    }
}
