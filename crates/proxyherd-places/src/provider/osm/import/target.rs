//! Decides which file an import writes, before anything is read or written.
//!
//! [`resolve`] follows symbolic links and refuses files that an index must not replace. This module does not know how
//! an index is written.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::ImportError;
use crate::provider::osm::index::beside;

/// Maximum number of symbolic links that are followed one after the other, as in the operating system. If there are
/// more links, `out` is refused.
const LINKS_MAX: usize = 40;

/// Returns the file to which `out` leads after symbolic links. The importer writes the index into a new file and
/// renames it. Without this step, the rename would replace the link. Refuses a file that an index must not replace, and
/// a file whose replacement would destroy `source`.
pub(super) fn resolve(source: &Path, out: &Path) -> Result<PathBuf, ImportError> {
    let target = follow(out).map_err(|error| ImportError::Unwritable(out.to_owned(), error))?;
    let refused = |why| Err(ImportError::Target(out.to_owned(), why));
    match fs::metadata(&target) {
        Ok(there) if there.is_dir() => return refused("it is a directory. Name a file in it"),
        Ok(there) if !there.is_file() => return refused(kind_of(&there)),
        // Other errors appear when the index is written.
        _ => {}
    }
    // `x/` and `x/.` have the file name `x`, but mean a directory.
    let is_last = |name: &OsStr| target.as_os_str().as_bytes().ends_with(name.as_bytes());
    if !target.file_name().is_some_and(is_last) {
        return refused("it names a directory. Name a file in it");
    }
    let temporary = beside(&target).map_err(|error| ImportError::Unwritable(out.to_owned(), error))?;
    if [&target, &temporary].into_iter().any(|file| is_same(source, file)) {
        return refused("it is the extract itself, which would be lost. Name another file");
    }
    Ok(target)
}

/// Follows symbolic links to a file, which need not exist.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::symlink_metadata(&path) {
            Ok(there) if there.is_symlink() => {
                let to = fs::read_link(&path)?;
                // The target is relative to the directory of the link. Joining leaves an absolute path as it is.
                path = path.parent().unwrap_or(Path::new("")).join(to);
            }
            _ => return Ok(path),
        }
    }
    Err(io::Error::other("its symbolic links lead to each other"))
}

fn kind_of(there: &Metadata) -> &'static str {
    let kind = there.file_type();
    if kind.is_char_device() || kind.is_block_device() {
        "it is a device. Name a regular file"
    } else if kind.is_fifo() {
        "it is a pipe. Name a regular file"
    } else {
        "it is not a regular file. Name a regular file"
    }
}

/// Whether two paths lead to one existing file.
fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|there| (there.dev(), there.ino())).ok();
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_target_is_followed_through_links_and_refused_where_it_would_do_harm() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("x.osm.pbf"), "extract").unwrap();
        fs::write(at("old.idx"), "index").unwrap();
        fs::write(at(".new.idx.part"), "left over").unwrap();
        fs::create_dir(at("sub")).unwrap();
        fs::hard_link(at("x.osm.pbf"), at("hard")).unwrap();
        for (to, link) in [
            ("old.idx", "to-old"),
            ("to-old", "to-link"),
            ("missing.idx", "to-missing"),
            ("x.osm.pbf", "to-source"),
            ("sub", "to-sub"),
            ("/dev/null", "to-device"),
            ("loop-b", "loop-a"),
            ("loop-a", "loop-b"),
        ] {
            symlink(to, at(link)).unwrap();
        }
        symlink("../old.idx", at("sub/up")).unwrap();
        let target = |out: &str| resolve(&at("x.osm.pbf"), &at(out));
        for (out, expected) in [
            ("new.idx", "new.idx"),
            ("old.idx", "old.idx"),
            ("to-old", "old.idx"),
            ("to-link", "old.idx"),
            ("to-missing", "missing.idx"),
            ("sub/up", "sub/../old.idx"),
        ] {
            assert_eq!(target(out).unwrap(), at(expected), "{out}");
        }
        for (out, why) in [
            ("x.osm.pbf", "the extract itself"),
            ("hard", "the extract itself"),
            ("to-source", "the extract itself"),
            ("sub", "a directory"),
            ("to-sub", "a directory"),
            ("sub/..", "a directory"),
            ("new.idx/", "a directory"),
            ("new.idx/.", "a directory"),
            ("to-device", "a device"),
            ("/dev/full", "a device"),
            ("loop-a", "lead to each other"),
        ] {
            let error = target(out).unwrap_err().to_string();
            assert!(error.starts_with("cannot write ") && error.contains(why), "{out}: {error}");
        }
        // The temporary file of this index would be the extract.
        assert!(resolve(&at(".new.idx.part"), &at("new.idx")).is_err());
    }
}
