//! Writing one file, whole or not at all.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    process,
};

/// What a file that is there already is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// It stays, and that is an error of the kind `AlreadyExists`.
    Keep,
    /// It is replaced.
    Replace,
}

/// Everybody may read it.
pub(super) const PUBLIC: u32 = 0o644;
/// Its owner alone may.
pub(super) const PRIVATE: u32 = 0o600;

/// Writes the whole file or none of it: whoever reads it meanwhile, or after a crash, never sees half.
pub(super) fn write(path: &Path, text: &str, mode: u32, existing: Existing) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}", process::id()));
    let written = write_synced(&beside, text, mode).and_then(|()| match existing {
        Existing::Replace => fs::rename(&beside, path),
        // A link, unlike a rename, never replaces what came to be there in the meantime.
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

/// Makes a directory that is its owner's alone, if it is not there.
pub(super) fn make_private_dir(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}
