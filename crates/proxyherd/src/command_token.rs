//! The token that the commands `client`, `status` and `token` show to servers: where it comes from, in which order.
//!
//! The token is only in memory. `Debug` and the errors name the token's source and never show the token.

use std::{
    env, fmt,
    path::{Path, PathBuf},
};

use crate::{
    config::{Config, Tokens},
    credentials::{TokenFileError, operator_token_path, read_token_file, token_of},
};

/// The variable that holds a token.
pub(crate) const VARIABLE: &str = "PROXYHERD_TOKEN";

/// A token and its source.
#[derive(Clone)]
pub(crate) struct CommandToken {
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

/// The variable holds something else.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable {VARIABLE} is set and holds no token")]
pub(crate) struct BadVariable;

impl CommandToken {
    /// The token of the environment, if the variable is set and not empty.
    pub(crate) fn of_environment() -> Result<Option<CommandToken>, BadVariable> {
        let Some(value) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) else { return Ok(None) };
        let text = token_of(value.as_encoded_bytes()).ok_or(BadVariable)?;
        Ok(Some(CommandToken { text, source: TokenSource::Variable }))
    }

    /// The token in a file.
    pub(crate) fn of_file(path: &Path) -> Result<CommandToken, TokenFileError> {
        let text = read_token_file(path)?;
        Ok(CommandToken { text, source: TokenSource::File(path.to_owned()) })
    }

    /// A token that a user has typed or piped in.
    pub(crate) fn of_line(text: String) -> CommandToken {
        CommandToken { text, source: TokenSource::Line }
    }

    /// The operator's token beside herd.toml, if the file exists.
    pub(crate) fn of_operator(config: &Config) -> Result<Option<CommandToken>, TokenFileError> {
        match CommandToken::of_file(&operator_token_path(&config.path)) {
            Ok(token) => Ok(Some(token)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The operator's token beside herd.toml, if the file exists and the herd uses tokens. Without tokens, the servers
    /// do not need it.
    pub(crate) fn of_operator_if_on(config: &Config) -> Result<Option<CommandToken>, TokenFileError> {
        match config.access.tokens {
            Tokens::On => CommandToken::of_operator(config),
            Tokens::Off => Ok(None),
        }
    }

    /// The whole token. Only servers may see it.
    pub(crate) fn reveal(&self) -> &str {
        &self.text
    }
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
