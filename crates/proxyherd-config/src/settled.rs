//! Files that are read again while a server runs: herd.toml and certificates.
//!
//! One rule applies to all these files. A [`FileWatch`] checks the stamps of its files at intervals, without
//! reading the files. Changed files are read only after they have stayed the same from one check to the next. By then,
//! a program that writes a file in several steps, or copies several files, is done. This module does not know the
//! content of the files.

use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{Interval, MissedTickBehavior, interval},
};

/// Time between two checks of the files. Changed files must stay the same for this time before they are read.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Distinguishes a file from the file that had the same path before, even if a new file was renamed over the old file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileStamp {
    inode: u64,
    len: u64,
    changed: (i64, i64),
}

/// The stamps of some files, in the order of the files. A missing file has no stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStamps(Vec<Option<FileStamp>>);

impl FileStamps {
    /// The stamps of the files at `paths`. Blocks.
    pub fn of(paths: &[PathBuf]) -> FileStamps {
        let stamp = |path: &PathBuf| {
            let about = fs::metadata(path).ok()?;
            let changed = (about.ctime(), about.ctime_nsec());
            Some(FileStamp { inode: about.ino(), len: about.len(), changed })
        };
        FileStamps(paths.iter().map(stamp).collect())
    }
}

/// The result of a check of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The files are the same as when they were last read.
    AsRead,
    /// The files have changed since the previous check, and may still change.
    Changing,
    /// The files have changed since they were last read, and have stayed the same since the previous check.
    Settled,
}

impl Look {
    /// Compares stamps. `seen` holds the present stamps, `before` the stamps of the previous check, and `read` the
    /// stamps of the files that were last read.
    fn of<S: PartialEq>(seen: &S, before: Option<&S>, read: Option<&S>) -> Look {
        let seen = Some(seen);
        match () {
            () if seen == read => Look::AsRead,
            () if seen == before => Look::Settled,
            () => Look::Changing,
        }
    }
}

/// Checks some files at intervals.
#[derive(Debug)]
pub struct FileWatch {
    paths: Vec<PathBuf>,
    looks: Interval,
    seen: Option<FileStamps>,
}

impl FileWatch {
    /// Watches the files at `paths`. `seen` holds their present stamps.
    pub fn new(paths: Vec<PathBuf>, seen: Option<FileStamps>) -> FileWatch {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        FileWatch { paths, looks, seen }
    }

    /// Waits until the time of the next check. This future is cancel-safe.
    pub async fn tick(&mut self) {
        self.looks.tick().await;
    }

    /// Checks the files. `read` holds the stamps of the files that were last read.
    pub async fn look(&mut self, read: Option<&FileStamps>) -> Look {
        let paths = self.paths.clone();
        // The task fails only if the runtime is about to end.
        let Ok(seen) = spawn_blocking(move || FileStamps::of(&paths)).await else { return Look::AsRead };
        let look = Look::of(&seen, self.seen.as_ref(), read);
        self.seen = Some(seen);
        look
    }

    /// The stamps that the last check found.
    pub fn seen(&self) -> Option<&FileStamps> {
        self.seen.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_changing_is_neither_read_nor_taken_for_the_one_that_was_read() {
        for (seen, before, read, expected) in [
            (1, None, None, Look::Changing),
            (1, Some(1), None, Look::Settled),
            (1, Some(1), Some(1), Look::AsRead),
            (2, Some(1), Some(1), Look::Changing),
            (2, Some(2), Some(1), Look::Settled),
            (1, Some(2), Some(1), Look::AsRead),
        ] {
            assert_eq!(
                Look::of(&seen, before.as_ref(), read.as_ref()),
                expected,
                "{seen} {before:?} {read:?}"
            );
        }
    }

    #[tokio::test]
    async fn files_are_settled_at_the_second_look_that_finds_them_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["one", "two"].map(|name| dir.path().join(name)).to_vec();
        fs::write(&paths[0], "1").unwrap();
        let read = FileStamps::of(&paths);
        let mut watch = FileWatch::new(paths.clone(), Some(read.clone()));
        assert_eq!(watch.look(Some(&read)).await, Look::AsRead);
        fs::write(&paths[1], "2").unwrap();
        assert_eq!(watch.look(Some(&read)).await, Look::Changing);
        fs::write(&paths[1], "another").unwrap();
        assert_eq!(watch.look(Some(&read)).await, Look::Changing);
        assert_eq!(watch.look(Some(&read)).await, Look::Settled);
        let read = watch.seen().cloned();
        assert_eq!(watch.look(read.as_ref()).await, Look::AsRead);
        // A different file with the same content is a change too.
        fs::write(dir.path().join("new"), "another").unwrap();
        fs::rename(dir.path().join("new"), &paths[1]).unwrap();
        assert_eq!(watch.look(read.as_ref()).await, Look::Changing);
    }
}
