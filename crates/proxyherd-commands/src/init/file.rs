//! Writes one file, completely or not at all.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use proxyherd_config::clock;

/// What happens if the file already exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The existing file stays, and the write fails with the kind `AlreadyExists`.
    Keep,
    /// The existing file is replaced.
    Replace,
}

/// The mode of a file that everybody may read.
pub(super) const PUBLIC: u32 = 0o644;
/// The mode of a file that only its owner may read.
pub(super) const PRIVATE: u32 = 0o600;

/// Writes the whole file or nothing. A reader never sees half a file, even after a crash.
pub(super) fn write(path: &Path, text: &str, mode: u32, existing: Existing) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // A random name, because a process that has died can have left a file of any other name.
    let beside = path.with_file_name(format!(".{name}.{:016x}", clock::random()));
    let written = write_synced(&beside, text, mode).and_then(|()| match existing {
        Existing::Replace => fs::rename(&beside, path),
        // A hard link, unlike a rename, never replaces a file that was made in the meantime.
        Existing::Keep => fs::hard_link(&beside, path),
    });
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => written.and(Err(error)),
        _ => written,
    }
}

fn write_synced(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Makes a directory that only its owner can use, unless the directory exists.
pub(super) fn make_private_dir(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    #[test]
    fn what_a_process_has_left_that_died_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        // In a container, all processes can have the same number.
        fs::write(dir.path().join(format!(".a.key.{}", process::id())), "half").unwrap();
        let path = dir.path().join("a.key");
        for (text, existing) in [("one", Existing::Keep), ("two", Existing::Replace)] {
            write(&path, text, PRIVATE, existing).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing more is left");
    }
}
