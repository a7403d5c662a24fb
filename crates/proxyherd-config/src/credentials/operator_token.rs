//! The operator's token: made by `proxyherd init`, and kept in `operator.token` beside herd.toml.
//!
//! Servers know only the token's hash, which herd.toml has. So the file is needed only where the commands `token`,
//! `status` and `client` are used. Whoever can read the file may do everything in the herd.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use proxyherd_core::access::{HASH_LEN, SECRET_LEN, TokenId, TokenText};
use ring::{
    digest,
    rand::{SecureRandom as _, SystemRandom},
};

use super::Finding;

/// The name of the file.
const FILE_NAME: &str = "operator.token";
/// The ID in the text of the token. The IDs of other tokens are longer.
const ID: &str = "operator";
/// Maximum length of a token, bytes. Servers accept no longer text.
const TOKEN_LEN_MAX: usize = 512;

/// Why a file has no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// The file cannot be read.
    #[error("cannot read the token in {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why the system refuses it.
        source: io::Error,
    },
    /// The file has something else.
    #[error("{} does not hold a token: it must hold one line, with the token and nothing else", .0.display())]
    NoToken(PathBuf),
}

impl TokenFileError {
    /// Whether the file does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, TokenFileError::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    fn is_denied(&self) -> bool {
        matches!(self, TokenFileError::Unreadable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

/// The path of the operator's token that belongs to this herd.toml.
pub fn operator_token_path(herd_toml: &Path) -> PathBuf {
    herd_toml.with_file_name(FILE_NAME)
}

/// A new token. `None` if the system has no random numbers.
pub fn new_operator_token() -> Option<TokenText> {
    let mut secret = [0; SECRET_LEN];
    SystemRandom::new().fill(&mut secret).ok()?;
    Some(TokenText::new(TokenId::parse(ID).expect("these are lower-case letters"), &secret))
}

/// Reads a file that holds one token. White space around the token does not count.
pub fn read_token_file(path: &Path) -> Result<String, TokenFileError> {
    let unreadable = |source| TokenFileError::Unreadable { path: path.to_owned(), source };
    let mut text = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(2 * TOKEN_LEN_MAX as u64).read_to_end(&mut text).map_err(unreadable)?;
    token_of(&text).ok_or_else(|| TokenFileError::NoToken(path.to_owned()))
}

/// The token in a text from a file or a variable. `None`: the text cannot be a token.
pub fn token_of(text: &[u8]) -> Option<String> {
    let token = text.trim_ascii();
    let is_token = (1..=TOKEN_LEN_MAX).contains(&token.len()) && token.iter().all(u8::is_ascii_graphic);
    is_token.then(|| String::from_utf8_lossy(token).into_owned())
}

/// SHA-256 of the whole text of a token, as herd.toml has it.
pub fn token_hash(text: &str) -> [u8; HASH_LEN] {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Checks the file of the operator's token, if this machine has one that this user can read. `hash` is the hash in
/// herd.toml. A mistake is an error if tokens decide what callers may do, and otherwise a warning.
pub fn audit_operator_token(herd_toml: &Path, hash: Option<[u8; HASH_LEN]>, is_on: bool) -> Vec<Finding> {
    let path = operator_token_path(herd_toml);
    let finding = |said: String| if is_on { Finding::Error(said) } else { Finding::Warning(said) };
    let mut findings = Vec::new();
    let mode = fs::metadata(&path).map_or(0, |file| file.mode() & 0o7777);
    if mode & 0o077 != 0 {
        let shown = path.display();
        findings.push(finding(format!(
            "{shown} can be used by others (mode {mode:04o}), and whoever reads it may do everything in the herd: chmod 600 {shown}"
        )));
    }
    match read_token_file(&path) {
        Ok(token) => findings.extend(mismatch(&path, &token, hash).map(finding)),
        // A server's user need not be able to read the file.
        Err(error) if error.is_missing() || error.is_denied() => {}
        Err(error) => findings.push(finding(error.to_string())),
    }
    findings
}

/// A herd.toml without a hash is no mistake here: with tokens on, it is a mistake in the configuration.
fn mismatch(path: &Path, token: &str, hash: Option<[u8; HASH_LEN]>) -> Option<String> {
    let path = path.display();
    if TokenText::parse(token.as_bytes()).is_none() {
        return Some(format!(
            "{path} does not hold a token that servers accept: a token has the form phd_operator_ and 64 hexadecimal \
             digits; write such a token into the file, and its hash into operator_token_sha256 in [access] on every server"
        ));
    }
    let own = token_hash(token);
    hash.filter(|hash| *hash != own)?;
    Some(format!(
        "{path} is not the token whose hash herd.toml has: write operator_token_sha256 = \"{}\" in [access] on every \
         server, or put the right token into the file",
        hex(&own)
    ))
}

/// The bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_holds_one_token_and_nothing_else() {
        for (text, expected) in [
            ("phd_a_0\n", Some("phd_a_0")),
            ("  mine\r\n", Some("mine")),
            ("", None),
            ("\n", None),
            ("two words", None),
            ("one\ntwo\n", None),
            ("schlüssel", None),
            (&"x".repeat(513), None),
        ] {
            assert_eq!(token_of(text.as_bytes()).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn the_hash_is_sha_256_of_the_whole_text() {
        // sha256sum of `abc`, FIPS 180-2.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&token_hash("abc")), expected);
    }

    #[test]
    fn new_tokens_differ_and_are_tokens() {
        let (one, other) = (new_operator_token().unwrap(), new_operator_token().unwrap());
        assert!(one.reveal() != other.reveal() && one.reveal().starts_with("phd_operator_"));
        assert!(TokenText::parse(one.reveal().as_bytes()).is_some());
    }

    #[test]
    fn check_finds_a_file_that_others_can_read_and_a_hash_of_another_token() {
        let dir = tempfile::tempdir().unwrap();
        let herd_toml = dir.path().join("herd.toml");
        let said = |hash, is_on| -> Vec<String> {
            let findings = audit_operator_token(&herd_toml, hash, is_on);
            findings.iter().map(|finding| format!("{finding:?}")).collect()
        };
        assert_eq!(said(None, true), Vec::<String>::new(), "the file is only needed where commands need it");
        let path = operator_token_path(&herd_toml);
        let put = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let token = new_operator_token().unwrap();
        let (token, own) = (token.reveal(), token_hash(token.reveal()));
        put(&format!("{token}\n"), 0o600);
        let right = Some(own);
        assert_eq!(said(right, true), Vec::<String>::new());
        assert_eq!(said(None, false), Vec::<String>::new());
        let wrong = said(Some([1; 32]), true);
        assert!(wrong.len() == 1 && wrong[0].starts_with("Error"), "{wrong:?}");
        assert!(
            wrong[0].contains("is not the token whose hash") && wrong[0].contains(&hex(&own)),
            "{wrong:?}"
        );
        assert!(!wrong[0].contains(token), "{wrong:?}");
        put(&format!("{token}\n"), 0o640);
        for (is_on, kind) in [(true, "Error"), (false, "Warning")] {
            let said = said(right, is_on);
            assert!(said.len() == 1 && said[0].starts_with(kind), "{said:?}");
            assert!(said[0].contains("(mode 0640)") && said[0].contains("chmod 600"), "{said:?}");
        }
        put("s3cret\n", 0o600);
        let found = said(Some(token_hash("s3cret")), true);
        assert!(
            found.len() == 1 && found[0].contains("does not hold a token that servers accept"),
            "{found:?}"
        );
        assert!(!found[0].contains("s3cret"), "{found:?}");
        put("two words", 0o600);
        let said = said(right, true);
        assert!(said.len() == 1 && said[0].contains("does not hold a token"), "{said:?}");
    }
}
