//! By what one sees, without reading it, that a file is another one than before: also where another was renamed over it.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

/// What tells a file from the one that was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    len: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// That of the file at `path`; one that is not there has none. Blocks while it looks.
    pub(crate) fn of(path: &Path) -> Option<Stamp> {
        let about = fs::metadata(path).ok()?;
        Some(Stamp { inode: about.ino(), len: about.len(), changed: (about.ctime(), about.ctime_nsec()) })
    }
}
