//! The name of a server in the herd.

use std::{borrow::Borrow, fmt, sync::Arc};

use crate::limits::SERVER_NAME_LEN_MAX;

/// 1 to 64 ASCII letters, digits, `-`, `_` or `.`, beginning with a letter or digit, because it appears in AT lines,
/// in certificates and in file names. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName(Arc<str>);

/// Why a text is not a server's name. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a server's name is 1 to 64 letters, digits, `-`, `_` or `.`, and begins with a letter or a digit")]
pub struct BadServerName;

impl ServerName {
    /// Takes `text` as a server's name, if it is valid.
    pub fn new(text: &str) -> Result<ServerName, BadServerName> {
        if ServerName::fits(text) { Ok(ServerName(text.into())) } else { Err(BadServerName) }
    }

    /// Whether `text` is a valid server's name.
    pub fn fits(text: &str) -> bool {
        (1..=SERVER_NAME_LEN_MAX).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Allows lookups by text, which has the same order as the name.
impl Borrow<str> for ServerName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_lines_and_paths() {
        for name in ["Riley", "a", "eu-west_1.b", "7"] {
            assert_eq!(ServerName::new(name).unwrap().as_str(), name);
        }
        for name in ["", ".", "..", "-x", "a b", "a/b", "Räuber", &"x".repeat(65)] {
            assert_eq!(ServerName::new(name), Err(BadServerName), "{name}");
        }
    }
}
