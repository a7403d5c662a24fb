//! The file `<dir>/<server>.log`: lines are appended to it, and it is rotated by size.
//!
//! [`LogFile::put`] adds a line, and [`LogFile::write_out`] hands the lines to the operating system. A line stays in
//! `pending` until the file has taken the whole line. A failed write loses nothing: the next write continues at the
//! byte where the failed write stopped. In the meantime somebody may have moved or deleted the file. Then the
//! half-written line is written to the new file from its beginning.
//!
//! Rotation renames `.log` to `.log.1`, `.log.1` to `.log.2`, and so on up to `keep`. A program that follows the file
//! by its name (`tail -F`) therefore sees every line. A file is never larger than `max_bytes`, unless a single line is
//! larger. Before a rotation the real size of the file is read, so a file that another program has truncated
//! (logrotate's `copytruncate`) is not rotated early.
//!
//! A log that is a device, a pipe or a symbolic link is never renamed or replaced. A symbolic link may lead to a device
//! (`/dev/stdout`). The person who made the link is responsible for its target.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use memchr::{memchr_iter, memrchr};
use proxyherd_core::types::ServerName;

use super::{LogSettings, form::Form, limits::CHUNK_LEN_MAX};
use crate::refusal;

pub(super) struct LogFile {
    path: PathBuf,
    max_bytes: u64,
    keep: u32,
    form: Form,
    current: Option<OpenFile>,
    /// The file that has taken the bytes of `pending` before `written`.
    identity: Option<FileIdentity>,
    pending: Vec<u8>,
    /// The number of bytes of `pending` that the file has already taken.
    written: usize,
    /// The number of bytes at the front of `pending` that belong to the heading, and not to lines of callers.
    heading_len: usize,
}

struct OpenFile {
    file: File,
    len: u64,
    /// Whether the file has lines besides its heading. A file without such lines is not rotated.
    has_lines: bool,
    /// Whether the file can be rotated. A device, a pipe or a symbolic link cannot be rotated.
    rotates: bool,
}

/// A file's device and inode, which stay the same when the file is renamed.
type FileIdentity = (u64, u64);

impl LogFile {
    /// Opens the file. Creates the file and its directory if they are missing. The error says what to do.
    pub(super) fn open(settings: &LogSettings, form: Form) -> io::Result<LogFile> {
        let path = path(settings, form.server());
        create_dir(&settings.dir).map_err(|error| with_advice(CREATE_DIR, &settings.dir, &error))?;
        let mut log = LogFile {
            max_bytes: settings.max_bytes,
            keep: settings.keep,
            form,
            current: None,
            identity: None,
            pending: Vec::with_capacity(CHUNK_LEN_MAX),
            written: 0,
            heading_len: 0,
            path,
        };
        log.ensure_open().map_err(|error| with_advice(OPEN, &log.path, &error))?;
        Ok(log)
    }

    /// Whether [`LogFile::open`] would succeed. Creates neither file nor directory.
    pub(super) fn check(settings: &LogSettings, server: &ServerName) -> io::Result<()> {
        let path = path(settings, server);
        match OpenOptions::new().read(true).append(true).open(&path) {
            Ok(_) => Ok(()),
            Err(error) if fs::symlink_metadata(&path).is_ok() => Err(with_advice(OPEN, &path, &error)),
            Err(_) => refusal::check_writable(&settings.dir).map_err(|error| match settings.dir.is_dir() {
                true => with_advice(OPEN, &path, &error),
                false => with_advice(CREATE_DIR, &settings.dir, &error),
            }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn form(&self) -> &Form {
        &self.form
    }

    /// Whether there are lines that the file has not taken yet.
    pub(super) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The number of lines that the file has not taken yet.
    pub(super) fn lines_pending(&self) -> u64 {
        let begin = self.written.max(self.heading_len);
        memchr_iter(b'\n', &self.pending[begin..]).count() as u64
    }

    /// Adds one line, which ends in LF. If this returns an error, the line was not added, and all earlier lines are
    /// kept.
    pub(super) fn put(&mut self, line: &[u8]) -> io::Result<()> {
        self.ensure_open()?;
        if !self.fits(line.len()) {
            self.write_out()?;
            self.look_at_size()?;
            if !self.fits(line.len()) {
                self.rotate()?;
                self.ensure_open()?;
            }
        }
        if self.pending.len() + line.len() > CHUNK_LEN_MAX {
            self.write_out()?;
        }
        self.pending.extend_from_slice(line);
        if let Some(current) = &mut self.current {
            current.has_lines = true;
        }
        Ok(())
    }

    fn fits(&self, line_len: usize) -> bool {
        let Some(current) = &self.current else { return true };
        let coming = (self.pending.len() - self.written + line_len) as u64;
        !current.rotates || !current.has_lines || current.len + coming <= self.max_bytes
    }

    /// Reads the size of the file again: another process may have truncated the file or written to it.
    fn look_at_size(&mut self) -> io::Result<()> {
        if let Some(current) = &mut self.current {
            current.len = current.file.metadata()?.len();
            current.has_lines = current.len > 0;
        }
        Ok(())
    }

    /// Hands all pending lines to the file. After an error the next call continues where this call stopped.
    pub(super) fn write_out(&mut self) -> io::Result<()> {
        self.ensure_open()?;
        while self.written < self.pending.len() {
            let Some(current) = &mut self.current else { break };
            match current.file.write(&self.pending[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => {
                    self.written += len;
                    current.len += len as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.pending.clear();
        (self.written, self.heading_len) = (0, 0);
        Ok(())
    }

    /// Closes the file. The next write opens the file that is at the path at that time.
    pub(super) fn reopen(&mut self) {
        self.current = None;
    }

    /// Whether the path no longer leads to the file that is open.
    pub(super) fn was_moved(&self) -> bool {
        let there = fs::metadata(&self.path).ok().as_ref().map(identity_of);
        self.current.is_some() && there != self.identity
    }

    fn ensure_open(&mut self) -> io::Result<()> {
        if self.current.is_some() {
            return Ok(());
        }
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(&self.path)?;
        let metadata = file.metadata()?;
        let is_other = self.identity != Some(identity_of(&metadata));
        let len = metadata.len();
        if is_other {
            self.begin(&file, len);
        }
        self.identity = Some(identity_of(&metadata));
        let rotates = metadata.is_file() && !fs::symlink_metadata(&self.path)?.is_symlink();
        self.current = Some(OpenFile { file, len, has_lines: len > 0 || !is_other, rotates });
        Ok(())
    }

    /// Prepares a new file: the heading comes first. Then come the lines that the former file has not taken, or has
    /// taken only in part.
    fn begin(&mut self, file: &File, len: u64) {
        let mut pending = Vec::with_capacity(CHUNK_LEN_MAX);
        if ends_within_a_line(file, len) {
            pending.push(b'\n');
        }
        self.form.heading(Timestamp::now(), &mut pending);
        let heading_len = pending.len();
        let whole_len = memrchr(b'\n', &self.pending[..self.written]).map_or(0, |at| at + 1);
        // If the former file has not taken its heading, this heading is dropped: the new file has a heading of its own.
        pending.extend_from_slice(&self.pending[whole_len.max(self.heading_len)..]);
        self.pending = pending;
        (self.written, self.heading_len) = (0, heading_len);
    }

    /// Renames the file. The next write creates a new file.
    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.keep).rev() {
            rename_if_there(&self.numbered(number), &self.numbered(number + 1))?;
        }
        if self.keep > 0 {
            rename_if_there(&self.path, &self.numbered(1))?;
        } else {
            remove_if_there(&self.path)?;
        }
        self.current = None;
        self.identity = None;
        Ok(())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{number}"));
        path.into()
    }
}

const CREATE_DIR: &str = "create the log's directory";
const OPEN: &str = "open the log";

/// Adds the path and advice on what to do to the error.
fn with_advice(what: &str, path: &Path, error: &io::Error) -> io::Error {
    let advice = refusal::advice(path, error, "or set `dir` in [log] to another directory");
    io::Error::new(error.kind(), format!("cannot {what} {}: {error}; {advice}", path.display()))
}

fn path(settings: &LogSettings, server: &ServerName) -> PathBuf {
    settings.dir.join(format!("{server}.log"))
}

fn create_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o750).create(dir)
}

fn identity_of(metadata: &fs::Metadata) -> FileIdentity {
    (metadata.dev(), metadata.ino())
}

/// Whether the file ends in half a line, as after a killed process or a full disk. The next line must not continue that
/// half line.
fn ends_within_a_line(file: &File, len: u64) -> bool {
    let mut last = [b'\n'];
    len > 0 && file.read_exact_at(&mut last, len - 1).is_ok() && last != [b'\n']
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    unless_missing(fs::rename(from, to))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    unless_missing(fs::remove_file(path))
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::{LogFormat, LogLevel};

    #[test]
    fn to_check_a_log_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let riley = ServerName::new("Riley").unwrap();
        LogFile::check(&settings(dir.path()), &riley).unwrap();
        LogFile::check(&settings(&dir.path().join("a/b")), &riley).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        LogFile::check(&settings(Path::new("/proc/log")), &riley).unwrap_err();
    }

    fn settings(dir: &Path) -> LogSettings {
        LogSettings {
            dir: dir.to_path_buf(),
            level: LogLevel::Info,
            format: LogFormat::Text,
            max_bytes: 1024 * 1024,
            keep: 3,
            lines_per_s: 10_000,
            positions: true,
        }
    }

    fn open(settings: &LogSettings) -> LogFile {
        let riley = ServerName::new("Riley").unwrap();
        LogFile::open(settings, Form::new(settings.format, riley)).unwrap()
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    /// The lines below the headings.
    fn lines(path: &Path) -> Vec<String> {
        text(path).lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn a_new_file_has_a_heading_and_is_for_its_owner_and_group() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(&settings(&dir.path().join("a/b")));
        log.put(b"one\n").unwrap();
        log.write_out().unwrap();
        let path = dir.path().join("a/b/Riley.log");
        assert!(text(&path).starts_with("# Riley, proxyherd "));
        assert_eq!(lines(&path), ["one"]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
    }

    #[test]
    fn a_file_that_is_there_is_continued_and_half_a_line_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Riley.log");
        fs::write(&path, "whole\nhal").unwrap();
        let mut log = open(&settings(dir.path()));
        log.put(b"one\n").unwrap();
        log.write_out().unwrap();
        assert_eq!(lines(&path), ["whole", "hal", "one"]);
    }

    #[test]
    fn rotation_keeps_every_line_and_as_many_files_as_asked() {
        let dir = tempfile::tempdir().unwrap();
        let settings = LogSettings { max_bytes: 4096, keep: 3, ..settings(dir.path()) };
        let mut log = open(&settings);
        let mut number = 0;
        while !dir.path().join("Riley.log.3").exists() {
            log.put(format!("line {number:06}\n").as_bytes()).unwrap();
            number += 1;
        }
        log.write_out().unwrap();
        let names =
            ["Riley.log.3", "Riley.log.2", "Riley.log.1", "Riley.log"].map(|name| dir.path().join(name));
        let found: Vec<_> = names.iter().flat_map(|path| lines(path)).collect();
        assert_eq!(found, (0..number).map(|number| format!("line {number:06}")).collect::<Vec<_>>());
        for path in &names {
            assert!(text(path).starts_with("# Riley, proxyherd "), "{path:?}");
            assert!(fs::metadata(path).unwrap().len() <= 4096, "{path:?}");
        }
        for number in 0..1_000 {
            log.put(format!("more {number:06}\n").as_bytes()).unwrap();
        }
        log.write_out().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
    }

    #[test]
    fn with_none_to_keep_the_file_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(&LogSettings { max_bytes: 2048, keep: 0, ..settings(dir.path()) });
        for number in 0..1_000 {
            log.put(format!("line {number:06}\n").as_bytes()).unwrap();
        }
        log.write_out().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(lines(&dir.path().join("Riley.log")).last().unwrap(), "line 000999");
    }

    #[test]
    fn a_size_that_no_line_fits_gives_each_line_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(&LogSettings { max_bytes: 1, keep: 2, ..settings(dir.path()) });
        for line in ["one\n", "two\n", "three\n"] {
            log.put(line.as_bytes()).unwrap();
        }
        log.write_out().unwrap();
        for (name, line) in [("Riley.log.2", "one"), ("Riley.log.1", "two"), ("Riley.log", "three")] {
            assert_eq!(lines(&dir.path().join(name)), [line]);
        }
    }

    #[test]
    fn a_file_that_was_moved_away_is_noticed_and_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Riley.log");
        let mut log = open(&settings(dir.path()));
        log.put(b"before\n").unwrap();
        log.write_out().unwrap();
        assert!(!log.was_moved());
        fs::rename(&path, dir.path().join("aside")).unwrap();
        assert!(log.was_moved());
        log.reopen();
        log.put(b"after\n").unwrap();
        log.write_out().unwrap();
        assert!(!log.was_moved());
        assert_eq!(lines(&dir.path().join("aside")), ["before"]);
        assert!(text(&path).starts_with("# Riley, proxyherd "));
        assert_eq!(lines(&path), ["after"]);
    }

    #[test]
    fn a_line_that_was_torn_is_whole_in_the_next_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(&settings(dir.path()));
        log.write_out().unwrap();
        log.put(b"one\n").unwrap();
        log.put(b"two\n").unwrap();
        // The state after the disk was full in the middle of the second line. Then the file is moved away.
        log.written = 6;
        fs::rename(log.path(), dir.path().join("aside")).unwrap();
        log.reopen();
        log.write_out().unwrap();
        assert_eq!(lines(log.path()), ["two"]);
    }

    #[test]
    fn the_same_file_goes_on_where_a_line_was_torn() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(&settings(dir.path()));
        log.put(b"one\n").unwrap();
        log.write_out().unwrap();
        log.put(b"two\n").unwrap();
        let file = OpenOptions::new().append(true).open(log.path()).unwrap();
        (&file).write_all(b"tw").unwrap();
        log.written = 2;
        log.reopen();
        log.write_out().unwrap();
        assert_eq!(lines(log.path()), ["one", "two"]);
    }

    #[test]
    fn a_full_disk_is_an_error_that_keeps_the_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Riley.log");
        symlink("/dev/full", &path).unwrap();
        let mut log = open(&settings(dir.path()));
        log.put(b"one\n").unwrap();
        assert_eq!(log.write_out().unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(log.lines_pending(), 1);
        fs::remove_file(&path).unwrap();
        log.reopen();
        log.write_out().unwrap();
        assert_eq!(lines(&path), ["one"]);
    }

    #[test]
    fn a_file_that_was_cut_in_place_is_filled_before_it_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(&LogSettings { max_bytes: 4096, ..settings(dir.path()) });
        let aside = dir.path().join("Riley.log.1");
        let line = [b"x".repeat(99), b"\n".to_vec()].concat();
        for _ in 0..10 {
            while log.current.as_ref().unwrap().len + log.pending.len() as u64 + 200 < 4096 {
                log.put(&line).unwrap();
            }
            log.write_out().unwrap();
            // This is what logrotate does with `copytruncate`.
            OpenOptions::new().write(true).truncate(true).open(log.path()).unwrap();
            for _ in 0..20 {
                log.put(&line).unwrap();
            }
            log.write_out().unwrap();
            assert!(!aside.exists(), "2000 bytes were put aside as 4096");
            log.look_at_size().unwrap();
        }
        for _ in 0..40 {
            log.put(&line).unwrap();
        }
        assert!(aside.exists(), "a full file is put aside");
    }

    #[test]
    fn what_is_no_file_of_its_own_is_never_put_aside() {
        for keep in [0, 3] {
            for target in ["/dev/null", "file"] {
                let dir = tempfile::tempdir().unwrap();
                let target = dir.path().join("elsewhere").join(target);
                fs::create_dir(dir.path().join("elsewhere")).unwrap();
                let path = dir.path().join("Riley.log");
                symlink(&target, &path).unwrap();
                let mut log = open(&LogSettings { max_bytes: 1024, keep, ..settings(dir.path()) });
                for number in 0..1_000 {
                    log.put(format!("line {number:06}\n").as_bytes()).unwrap();
                }
                log.write_out().unwrap();
                assert_eq!(fs::read_link(&path).unwrap(), target);
                assert!(!log.was_moved());
                assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "the link and the folder elsewhere");
            }
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named_with_advice() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = dir.path().join("file");
        fs::write(&blocked, "").unwrap();
        let riley = ServerName::new("Riley").unwrap();
        let refused = |settings: &LogSettings| {
            let foreseen = LogFile::check(settings, &riley).unwrap_err();
            let form = Form::new(LogFormat::Text, riley.clone());
            let error = LogFile::open(settings, form).err().unwrap().to_string();
            let advice = |error: &str| error.rsplit_once("; ").unwrap().1.to_owned();
            assert_eq!(advice(&foreseen.to_string()), advice(&error), "`check` predicts the error of `open`");
            error
        };
        for below in [blocked.clone(), blocked.join("log")] {
            let error = refused(&settings(&below));
            let expected = format!("cannot create the log's directory {}: ", below.display());
            assert!(error.starts_with(&expected), "{error}");
            let expected = format!(
                "; {} is not a directory: move it away, or set `dir` in [log] to another directory",
                blocked.display()
            );
            assert!(error.ends_with(&expected), "{error}");
        }

        fs::create_dir(dir.path().join("Riley.log")).unwrap();
        let error = refused(&settings(dir.path()));
        let path = dir.path().join("Riley.log");
        assert!(error.starts_with(&format!("cannot open the log {}: ", path.display())), "{error}");
        assert!(error.contains(&format!("; {} is a directory: move it away", path.display())), "{error}");
    }
}
