//! The key for requests to a provider over the network.
//!
//! [`ApiKey::read`] reads the key when the provider is opened. Invariant: nothing prints the key. `Debug` and errors
//! hide the key, and [`ApiKey::redacted`] removes it from texts of other programs. This module does not know which
//! interface takes the key.

use std::{
    env, fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use reqwest::header::HeaderValue;

use crate::KeySource;

/// Maximum length of a key, bytes. Google's keys have 39 bytes. A longer text is not accepted as a key.
const KEY_LEN_MAX: usize = 512;
/// Maximum length of a key file, bytes, including the white space around the key. A longer file must hold something
/// else.
const FILE_LEN_MAX: u64 = 4096;

/// The text that replaces a key.
const REDACTED: &str = "[key]";

/// A key: printable ASCII without white space.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ApiKey(String);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    /// The variable is not set, or set to nothing.
    #[error("the environment variable {0} is not set; set it, or name a file with `key_file`")]
    NoVariable(String),
    /// The file can't be read.
    #[error("can't read the key file {path}: {1}", path = .0.display())]
    NoFile(PathBuf, io::Error),
    /// The file is empty.
    #[error("the key file {path} is empty; write the key into it, and nothing else", path = .0.display())]
    EmptyFile(PathBuf),
    /// Every user of the machine can read or write the file.
    #[error("everybody on this machine can read or write the key file {path}; run: chmod 600 {path}", path = .0.display())]
    OpenFile(PathBuf),
    /// The text is not a key. The message does not repeat it.
    #[error(
        "the content of {0} is not a key: a key is 1 to 512 printable ASCII characters without white space"
    )]
    NoKey(String),
}

impl ApiKey {
    /// Reads the key from its source.
    pub(super) fn read(source: &KeySource) -> Result<ApiKey, ApiKeyError> {
        match source {
            KeySource::Variable(name) => ApiKey::from_variable(name),
            KeySource::File(path) => ApiKey::from_file(path),
        }
    }

    fn from_variable(name: &str) -> Result<ApiKey, ApiKeyError> {
        match env::var_os(name) {
            Some(value) if !value.is_empty() => {
                let here = || format!("the environment variable {name}");
                ApiKey::parse(value.to_str().unwrap_or_default()).ok_or_else(|| ApiKeyError::NoKey(here()))
            }
            _ => Err(ApiKeyError::NoVariable(name.to_owned())),
        }
    }

    fn from_file(path: &Path) -> Result<ApiKey, ApiKeyError> {
        let unreadable = |error| ApiKeyError::NoFile(path.to_owned(), error);
        // Opening a pipe would block, so only regular files are opened.
        if !path.metadata().map_err(unreadable)?.is_file() {
            return Err(unreadable(io::Error::other("it is not a regular file")));
        }
        let file = File::open(path).map_err(unreadable)?;
        if is_open_to_all(&file).map_err(unreadable)? {
            return Err(ApiKeyError::OpenFile(path.to_owned()));
        }
        let mut bytes = Vec::new();
        file.take(FILE_LEN_MAX).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.trim_ascii().is_empty() {
            return Err(ApiKeyError::EmptyFile(path.to_owned()));
        }
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        ApiKey::parse(text).ok_or_else(|| ApiKeyError::NoKey(format!("the key file {}", path.display())))
    }

    /// White space around the key is ignored, because editors add a newline at the end of a file.
    fn parse(text: &str) -> Option<ApiKey> {
        let text = text.trim();
        let is_key =
            (1..=KEY_LEN_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_key.then(|| ApiKey(text.to_owned()))
    }

    /// The key as the value of a header, marked so that nothing prints it.
    pub(super) fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(&self.0).expect("a key is printable ASCII");
        value.set_sensitive(true);
        value
    }

    /// The key for a URL. Such a URL must not be printed.
    pub(super) fn parameter(&self) -> &str {
        &self.0
    }

    /// Whether a text holds the key, either in its plain form or in the form that a URL encodes.
    pub(super) fn is_in(&self, text: &str) -> bool {
        text.contains(&self.0) || text.contains(&form_encoded(&self.0))
    }

    /// The text with the key removed, both in its plain form and in the form that a URL encodes.
    pub(super) fn redacted(&self, text: &str) -> String {
        let in_url = form_encoded(&self.0);
        text.replace(&self.0, REDACTED).replace(&in_url, REDACTED)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ApiKey(…)")
    }
}

/// The text as the query of a URL encodes it.
fn form_encoded(text: &str) -> String {
    let mut url = reqwest::Url::parse("http://x").expect("this is a URL");
    url.query_pairs_mut().append_key_only(text);
    url.query().unwrap_or_default().to_owned()
}

/// Whether users who neither own the file nor belong to its group may read or write it.
#[cfg(unix)]
fn is_open_to_all(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(file.metadata()?.mode() & 0o006 != 0)
}

#[cfg(not(unix))]
fn is_open_to_all(_file: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The result of reading a key file with these bytes and this mode.
    fn read(bytes: &[u8], mode: u32) -> Result<ApiKey, String> {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let read = ApiKey::read(&KeySource::File(path));
        read.map_err(|error| error.to_string().replace(dir.path().to_str().unwrap(), "DIR"))
    }

    #[test]
    fn a_key_file_holds_a_key_and_white_space() {
        for (bytes, mode) in
            [(&b"AIza-b_c"[..], 0o600), (b"\r\n AIza-b_c \t\n", 0o640), (b"AIza-b_c\n", 0o400)]
        {
            assert_eq!(read(bytes, mode), Ok(ApiKey("AIza-b_c".into())), "{bytes:?}");
        }
    }

    #[test]
    fn a_key_file_that_will_not_do_is_named_with_what_to_do() {
        let no_key = "the content of the key file DIR/key is not a key: a key is 1 to 512 printable ASCII characters \
                      without white space";
        for (bytes, mode, said) in [
            (&b""[..], 0o600, "the key file DIR/key is empty; write the key into it, and nothing else"),
            (b" \n", 0o600, "the key file DIR/key is empty; write the key into it, and nothing else"),
            (b"AIza secret", 0o600, no_key),
            (b"AIza\0", 0o600, no_key),
            ("schlüssel".as_bytes(), 0o600, no_key),
            (b"\xff", 0o600, no_key),
            (&[b'x'; 513], 0o600, no_key),
            (&[b'x'; 9000], 0o600, no_key),
            (
                b"AIza",
                0o604,
                "everybody on this machine can read or write the key file DIR/key; run: chmod 600 DIR/key",
            ),
            (
                b"AIza",
                0o602,
                "everybody on this machine can read or write the key file DIR/key; run: chmod 600 DIR/key",
            ),
        ] {
            assert_eq!(read(bytes, mode), Err(said.into()), "{bytes:?} {mode:o}");
        }
    }

    #[test]
    fn a_key_that_is_not_there_is_asked_for_by_its_place() {
        let error = |source| ApiKey::read(&source).unwrap_err().to_string();
        let said = error(KeySource::File("/nonexistent/key".into()));
        assert!(said.starts_with("can't read the key file /nonexistent/key: No such file"), "{said}");
        let said = error(KeySource::File("/".into()));
        assert_eq!(said, "can't read the key file /: it is not a regular file");
        let said = error(KeySource::Variable("PROXYHERD_NO_SUCH_KEY".into()));
        let expected = "the environment variable PROXYHERD_NO_SUCH_KEY is not set; set it, or name a file with \
                        `key_file`";
        assert_eq!(said, expected);
    }

    #[test]
    fn a_key_shows_itself_nowhere() {
        let key = ApiKey::parse("AIza/b+c").unwrap();
        assert_eq!(format!("{key:?} {:?}", key.header()), "ApiKey(…) Sensitive");
        let said = "no AIza/b+c, not even AIza%2Fb%2Bc, but AIza";
        assert_eq!(key.redacted(said), "no [key], not even [key], but AIza");
    }
}
