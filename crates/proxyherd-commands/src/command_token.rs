//! The token that the commands `client`, `status` and `token` show to servers, and the source of this token.
//!
//! This module also decides to which servers a token may be shown. The token is only in memory. `Debug` and the errors
//! name the token's source and never show the token.

use std::{
    env, fmt,
    path::{Path, PathBuf},
};

use proxyherd_config::{
    config::{Address, Config, Door, Tokens},
    credentials::{TokenFileError, operator_token_path, read_token_file, token_of},
};
use reqwest::Url;

/// The variable that holds a token.
pub(crate) const VARIABLE: &str = "PROXYHERD_TOKEN";

/// A token and its source.
#[derive(Clone)]
pub struct CommandToken {
    text: String,
    source: TokenSource,
}

/// Where a token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum TokenSource {
    Variable,
    File(PathBuf),
    /// A line of the client.
    Line,
}

/// The token would be shown to a server over a network without encryption.
#[derive(Debug, thiserror::Error)]
#[error(
    "the token of {token} would cross the network to {to} without encryption, and anybody on the way could read it: use \
     https:// or tls://, ask a server of this machine, or give --insecure-token"
)]
pub struct InTheClear {
    token: String,
    to: String,
}

/// The variable holds something else.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable {VARIABLE} is set and holds no token")]
pub struct BadVariable;

impl CommandToken {
    /// The token of the environment, if the variable is set and not empty.
    pub fn of_environment() -> Result<Option<CommandToken>, BadVariable> {
        let Some(value) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) else { return Ok(None) };
        let text = token_of(value.as_encoded_bytes()).ok_or(BadVariable)?;
        Ok(Some(CommandToken { text, source: TokenSource::Variable }))
    }

    /// The token in a file.
    pub fn of_file(path: &Path) -> Result<CommandToken, TokenFileError> {
        let text = read_token_file(path)?;
        Ok(CommandToken { text, source: TokenSource::File(path.to_owned()) })
    }

    /// A token that a user has typed or piped in.
    pub(crate) fn of_line(text: String) -> CommandToken {
        CommandToken { text, source: TokenSource::Line }
    }

    /// The operator's token beside herd.toml, if the file exists.
    pub fn of_operator(config: &Config) -> Result<Option<CommandToken>, TokenFileError> {
        match CommandToken::of_file(&operator_token_path(&config.path)) {
            Ok(token) => Ok(Some(token)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The operator's token beside herd.toml, if the file exists and the herd uses tokens. Without tokens, the servers
    /// do not need it.
    pub fn of_operator_if_on(config: &Config) -> Result<Option<CommandToken>, TokenFileError> {
        match config.access.tokens {
            Tokens::On => CommandToken::of_operator(config),
            Tokens::Off => Ok(None),
        }
    }

    /// An error, unless each of these doors has TLS or is on loopback. This is the rule for all commands.
    pub fn check_doors<'d>(&self, doors: impl IntoIterator<Item = &'d Door>) -> Result<(), InTheClear> {
        let mut doors = doors.into_iter();
        let plain = doors.find(|door| !door.tls && !door.address.is_loopback());
        plain.map_or(Ok(()), |door| Err(self.in_the_clear(door.to_string())))
    }

    /// [`CommandToken::check_doors`] for the doors at these URLs.
    pub fn check_urls(&self, urls: &[String]) -> Result<(), InTheClear> {
        let plain = urls.iter().find(|url| !url.starts_with("https://") && !is_loopback(url));
        plain.map_or(Ok(()), |url| Err(self.in_the_clear(url.clone())))
    }

    fn in_the_clear(&self, to: String) -> InTheClear {
        InTheClear { token: self.to_string(), to }
    }

    /// The whole token. Only servers may see it.
    pub(crate) fn reveal(&self) -> &str {
        &self.text
    }
}

/// Whether a URL names this machine.
fn is_loopback(url: &str) -> bool {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    format!("{host}:1").parse::<Address>().is_ok_and(|address| address.is_loopback())
}

/// The source of the token: `PROXYHERD_TOKEN`, or the file's path.
impl fmt::Display for CommandToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            TokenSource::Variable => f.write_str(VARIABLE),
            TokenSource::Line => f.write_str("the line AUTH"),
            TokenSource::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The source alone.
impl fmt::Debug for CommandToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CommandToken").field(&self.source).finish()
    }
}

#[cfg(test)]
mod tests {
    use proxyherd_config::door_kind::DoorKind;

    use super::*;

    #[test]
    fn a_token_crosses_no_network_without_encryption() {
        let token = CommandToken::of_line("phd_a_b".to_owned());
        for (door, expected) in [
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("localhost:1", true),
            ("tls://10.0.0.1:1", true),
            ("10.0.0.1:1", false),
            ("herd.example.org:1", false),
            ("0.0.0.0:1", false),
        ] {
            let parsed = Door::parse(DoorKind::Line, door).unwrap();
            assert_eq!(token.check_doors([&parsed]).is_ok(), expected, "{door}");
        }
        for (url, expected) in [
            ("http://127.0.0.1:8000", true),
            ("http://localhost:8000", true),
            ("http://[::1]:8000", true),
            ("https://herd.example.org/herd", true),
            ("http://herd.example.org", false),
            ("http://127.0.0.1.example.org", false),
            ("http://10.0.0.1:8000", false),
        ] {
            let checked = token.check_urls(&["http://127.0.0.1:1".to_owned(), url.to_owned()]);
            assert_eq!(checked.is_ok(), expected, "{url}");
            if let Err(error) = checked {
                let said = error.to_string();
                assert!(
                    said.contains(url) && said.contains("--insecure-token") && !said.contains("phd_a"),
                    "{said}"
                );
            }
        }
    }
}
