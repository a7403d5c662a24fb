//! Explains the operating system's errors about a path: who owns the path, what is in its place, and what the operator
//! can do.

use std::{
    fs::{self, Metadata},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Advice on what the operator can do about `error`, which the system returned for `path`. `otherwise` ends the advice
/// with an alternative, such as "or name another file with --config".
pub fn advice(path: &Path, error: &io::Error, otherwise: &str) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let what = match error.kind() {
        ErrorKind::PermissionDenied => whose(&path),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => in_the_way(&path),
        ErrorKind::IsADirectory => Some(format!("{} is a directory: move it away", path.display())),
        ErrorKind::ReadOnlyFilesystem => Some("the file system cannot be written to".to_owned()),
        ErrorKind::NotFound => Some(format!("make {} available", path.display())),
        _ => None,
    };
    match what {
        Some(what) => format!("{what}, {otherwise}"),
        None => otherwise.trim_start_matches("or ").to_owned(),
    }
}

/// The text of `error`, which the system returned for `path`. If permissions are missing, the text also names the owner
/// of the path.
pub fn refused(path: &Path, error: &io::Error) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match whose(&path).filter(|_| error.kind() == ErrorKind::PermissionDenied) {
        Some(whose) => format!("{error}; {whose}"),
        None => error.to_string(),
    }
}

/// Checks whether this process can create a file in `dir`, and `dir` itself if it is missing. Leaves nothing behind.
pub fn check_writable(dir: &Path) -> io::Result<()> {
    let dir = std::path::absolute(dir)?;
    let is_there = |part: &&Path| fs::symlink_metadata(part).is_ok();
    let there = dir.ancestors().find(is_there).unwrap_or(&dir);
    if !fs::metadata(there)?.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    tempfile::tempfile_in(there).map(drop).map_err(|error| error.kind().into())
}

/// The owner of the part of `path` that this process may not use.
pub fn whose(path: &Path) -> Option<String> {
    let (part, metadata) = refusing(path)?;
    let (owner, process) = (user(metadata.uid()), user(rustix::process::geteuid().as_raw()));
    let (part, mode) = (part.display(), metadata.mode() & 0o7777);
    Some(format!(
        "{part} belongs to {owner} (mode {mode:04o}) and this process runs as {process}: change that"
    ))
}

/// The owner of `path`, if this process runs as root and the owner is another user. If nothing is at `path`, the
/// nearest directory above it counts. That user could not read private files that root makes there.
pub fn owner_beside_root(path: &Path) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let owner = path.ancestors().find_map(|part| fs::metadata(part).ok())?.uid();
    (owner != 0).then(|| user(owner))
}

/// The longest leading part of `path` whose metadata this process can read. The process lacks permission to use that
/// part or to look into it.
fn refusing(path: &Path) -> Option<(PathBuf, Metadata)> {
    let parts: Vec<&Path> = path.ancestors().collect();
    let seen = parts.into_iter().rev().map_while(|part| Some((part.to_owned(), fs::metadata(part).ok()?)));
    seen.last()
}

/// Describes the file or device that is where a directory should be.
fn in_the_way(path: &Path) -> Option<String> {
    let (part, metadata) = refusing(path)?;
    let part = part.display();
    match metadata.file_type() {
        kind if kind.is_dir() => None,
        kind if kind.is_file() => Some(format!("{part} is not a directory: move it away")),
        // A device must not be moved away.
        _ => Some(format!("{part} is not a directory: name another path")),
    }
}

/// The name of a user in this machine's `/etc/passwd`, or the user's number if the file does not list the user.
fn user(id: u32) -> String {
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let names = known.lines().filter_map(|line| {
        let mut fields = line.split(':');
        Some((fields.next()?, fields.nth(1)?))
    });
    let name = names.filter(|(_, number)| *number == id.to_string()).map(|(name, _)| name.to_owned()).next();
    name.unwrap_or_else(|| format!("user {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = fs::create_dir_all(file.join("below/it")).unwrap_err();
        let said = advice(&file.join("below/it"), &error, "or name another");
        assert_eq!(said, format!("{} is not a directory: move it away, or name another", file.display()));
        let error = fs::File::create(dir.path()).unwrap_err();
        let said = advice(dir.path(), &error, "or name another");
        assert_eq!(said, format!("{} is a directory: move it away, or name another", dir.path().display()));
    }

    #[test]
    fn a_refusal_says_whose_the_path_is() {
        let said = advice(Path::new("/etc/passwd"), &ErrorKind::PermissionDenied.into(), "or name another");
        let process = user(rustix::process::geteuid().as_raw());
        assert_eq!(
            said,
            format!(
                "/etc/passwd belongs to root (mode 0644) and this process runs as {process}: change that, or name another"
            )
        );
        let said = refused(Path::new("/etc/passwd"), &ErrorKind::PermissionDenied.into());
        assert!(said.starts_with("permission denied; /etc/passwd belongs to root (mode 0644)"), "{said}");
        assert_eq!(refused(Path::new("/etc/passwd"), &ErrorKind::NotFound.into()), "entity not found");
        let said = whose(Path::new("/etc/not/there")).unwrap();
        assert!(said.starts_with("/etc belongs to root (mode 0755)"), "{said}");
    }

    #[test]
    fn users_are_named_where_they_are_known() {
        assert_eq!((user(0).as_str(), user(4_294_967_294).as_str()), ("root", "user 4294967294"));
    }
}
