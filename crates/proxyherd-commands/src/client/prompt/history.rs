//! The lines that a person has typed, kept from one prompt to the next. Only the file's owner can read it, because the
//! lines say where people are.

use std::{
    env,
    ffi::OsString,
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use rustyline::{
    error::ReadlineError,
    history::{FileHistory, History as _},
};

/// Maximum number of lines that are kept. Older lines are dropped.
pub(super) const LINES_MAX: usize = 1000;

/// The file of the history, if the client has one.
pub(super) struct HistoryFile {
    path: Option<PathBuf>,
}

impl HistoryFile {
    /// Reads the file into `history`. A file that cannot be read stays unchanged, and `tell` gets the reason.
    pub(super) fn open(history: &mut FileHistory, tell: impl FnOnce(&str)) -> HistoryFile {
        let Some(path) = path(env::var_os("XDG_STATE_HOME"), env::home_dir()) else {
            return HistoryFile { path: None };
        };
        match read(&path, history) {
            Ok(()) => HistoryFile { path: Some(path) },
            Err(error) => {
                tell(&format!("earlier lines are not kept in {}: {error}", path.display()));
                HistoryFile { path: None }
            }
        }
    }

    /// Writes the new lines. A failure is not reported, because it would be repeated at each prompt.
    pub(super) fn write(&self, history: &mut FileHistory) {
        if let Some(path) = &self.path {
            let _ = history.append(path);
        }
    }
}

/// The path of the file, by the XDG base directory specification. A relative path in the environment variable is
/// ignored.
fn path(state_home: Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    let state = state_home.map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(home.filter(|path| path.is_absolute())?.join(".local/state")))?;
    Some(state.join("proxyherd/history"))
}

fn read(path: &Path, history: &mut FileHistory) -> Result<(), ReadlineError> {
    let dir = path.parent().expect("a file is in a directory");
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    match history.load(path) {
        Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        loaded => loaded,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use rustyline::Config;

    use super::*;

    fn history() -> FileHistory {
        FileHistory::with_config(&Config::builder().max_history_size(3).unwrap().build())
    }

    fn open(path: &Path) -> (HistoryFile, FileHistory) {
        let mut history = history();
        read(path, &mut history).unwrap();
        (HistoryFile { path: Some(path.to_owned()) }, history)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn state_has_its_place() {
        let check = |state: Option<&str>, home: Option<&str>, expected: Option<&str>| {
            let found = path(state.map(OsString::from), home.map(PathBuf::from));
            assert_eq!(found, expected.map(PathBuf::from), "{state:?} {home:?}");
        };
        check(Some("/state"), Some("/home/kiwi"), Some("/state/proxyherd/history"));
        check(None, Some("/home/kiwi"), Some("/home/kiwi/.local/state/proxyherd/history"));
        check(Some("state"), Some("/home/kiwi"), Some("/home/kiwi/.local/state/proxyherd/history"));
        check(Some(""), Some(""), None);
        check(None, None, None);
    }

    #[test]
    fn lines_are_kept_for_the_next_prompt_and_for_no_one_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/proxyherd/history");
        let (kept, mut history) = open(&path);
        history.add("WHATSAT kiwi 10 5").unwrap();
        kept.write(&mut history);
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        let (_, history) = open(&path);
        assert_eq!(history.iter().collect::<Vec<_>>(), ["WHATSAT kiwi 10 5"]);
    }

    #[test]
    fn the_oldest_lines_are_forgotten_and_those_of_two_prompts_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history");
        let mut prompts = [open(&path), open(&path)];
        for (prompt, line) in [(0, "a"), (1, "b"), (0, "c"), (1, "d")] {
            let (kept, history) = &mut prompts[prompt];
            history.add(line).unwrap();
            kept.write(history);
        }
        assert_eq!(open(&path).1.iter().collect::<Vec<_>>(), ["b", "c", "d"]);
    }
}
