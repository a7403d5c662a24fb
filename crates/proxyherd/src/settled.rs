//! Files that are read again while a server runs: herd.toml and certificates.
//!
//! One rule holds for all of them. A [`FileWatch`] looks at its files every [`LOOK_EVERY`], without reading them. Files
//! that have changed are read once they have stayed the same from one look to the next: whoever writes a file bit by
//! bit, or copies one file after another, has then written the last. This module does not know what the files hold.

use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{Interval, MissedTickBehavior, interval},
};

/// How often files are looked at, and so how long they must have stayed the same before they are read.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What tells a file from the one that was there before, also where another file was renamed over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileStamp {
    inode: u64,
    len: u64,
    changed: (i64, i64),
}

/// The stamps of some files, in the order of the files. A file that is not there has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileStamps(Vec<Option<FileStamp>>);

impl FileStamps {
    /// Those of the files at `paths`. Blocks while it looks.
    pub(crate) fn of(paths: &[PathBuf]) -> FileStamps {
        let stamp = |path: &PathBuf| {
            let about = fs::metadata(path).ok()?;
            let changed = (about.ctime(), about.ctime_nsec());
            Some(FileStamp { inode: about.ino(), len: about.len(), changed })
        };
        FileStamps(paths.iter().map(stamp).collect())
    }
}

/// What a look at files shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// They are as they were when they were read last.
    AsRead,
    /// They have changed since the look before, and may change further.
    Changing,
    /// They have changed and stayed the same from one look to the next.
    Settled,
}

impl Look {
    /// `seen` is what the files are now, `before` what the look before found, and `read` what was read last.
    fn of<S: PartialEq>(seen: &S, before: Option<&S>, read: Option<&S>) -> Look {
        let seen = Some(seen);
        match () {
            () if seen == read => Look::AsRead,
            () if seen == before => Look::Settled,
            () => Look::Changing,
        }
    }
}

/// Looks at some files now and then.
#[derive(Debug)]
pub(crate) struct FileWatch {
    paths: Vec<PathBuf>,
    looks: Interval,
    seen: Option<FileStamps>,
}

impl FileWatch {
    /// Watches the files at `paths`, of which `seen` is known already.
    pub(crate) fn new(paths: Vec<PathBuf>, seen: Option<FileStamps>) -> FileWatch {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        FileWatch { paths, looks, seen }
    }

    /// Waits until it is time to look again. To drop this future loses nothing.
    pub(crate) async fn tick(&mut self) {
        self.looks.tick().await;
    }

    /// Looks at the files, of which `read` were read last.
    pub(crate) async fn look(&mut self, read: Option<&FileStamps>) -> Look {
        let paths = self.paths.clone();
        // The task fails only where the runtime is about to end.
        let Ok(seen) = spawn_blocking(move || FileStamps::of(&paths)).await else { return Look::AsRead };
        let look = Look::of(&seen, self.seen.as_ref(), read);
        self.seen = Some(seen);
        look
    }

    /// What the last look found.
    pub(crate) fn seen(&self) -> Option<&FileStamps> {
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
        // Another file with the same content is a change too.
        fs::write(dir.path().join("new"), "another").unwrap();
        fs::rename(dir.path().join("new"), &paths[1]).unwrap();
        assert_eq!(watch.look(read.as_ref()).await, Look::Changing);
    }
}
