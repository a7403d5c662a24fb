//! A set of client IDs: one ID, or all IDs with one prefix.

use std::fmt;

use super::ClientId;
use crate::limits::CLIENT_ID_LEN_MAX;

/// One client ID, or all IDs that begin with a prefix. As a text, a `*` at the end marks a prefix: `courier-*`; `*`
/// alone means every ID. Elsewhere `*` is an ordinary character of an ID.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdPattern {
    bytes: Box<[u8]>,
    extent: Extent,
}

/// Whether longer IDs match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Extent {
    Exact,
    Prefix,
}

impl IdPattern {
    /// Every ID.
    pub fn all() -> IdPattern {
        IdPattern { bytes: Box::default(), extent: Extent::Prefix }
    }

    /// One ID.
    pub fn one(id: ClientId<'_>) -> IdPattern {
        IdPattern { bytes: id.as_bytes().into(), extent: Extent::Exact }
    }

    /// Every ID that begins with these bytes.
    pub fn with_prefix(prefix: ClientId<'_>) -> IdPattern {
        IdPattern { bytes: prefix.as_bytes().into(), extent: Extent::Prefix }
    }

    /// Reads a pattern. `None`: without the `*`, the text is no client ID, or is longer than an ID.
    pub fn parse(text: &[u8]) -> Option<IdPattern> {
        let (bytes, extent) = match text.strip_suffix(b"*") {
            Some(prefix) => (prefix, Extent::Prefix),
            None => (text, Extent::Exact),
        };
        let is_every_id = bytes.is_empty() && extent == Extent::Prefix;
        if !is_every_id {
            ClientId::new(bytes)?;
        }
        Some(IdPattern { bytes: bytes.into(), extent })
    }

    /// Whether an ID is in the set.
    pub fn matches(&self, id: &[u8]) -> bool {
        match self.extent {
            Extent::Exact => *self.bytes == *id,
            Extent::Prefix => id.starts_with(&self.bytes),
        }
    }

    /// Whether every ID of `other` is in this set.
    pub fn covers(&self, other: &IdPattern) -> bool {
        match (self.extent, other.extent) {
            // The longest prefix has a single ID.
            (Extent::Exact, Extent::Prefix) => {
                other.bytes.len() == CLIENT_ID_LEN_MAX && self.bytes == other.bytes
            }
            (Extent::Exact, Extent::Exact) | (Extent::Prefix, _) => self.matches(&other.bytes),
        }
    }

    /// The only ID of the set. `None`: the set is a prefix.
    pub fn exact(&self) -> Option<ClientId<'_>> {
        match self.extent {
            Extent::Exact => ClientId::new(&self.bytes),
            Extent::Prefix => None,
        }
    }

    /// The bytes with which every ID of the set begins.
    pub fn prefix(&self) -> &[u8] {
        &self.bytes
    }

    /// The pattern as a text that [`IdPattern::parse`] reads.
    pub fn to_text(&self) -> Vec<u8> {
        let star: &[u8] = if self.extent == Extent::Prefix { b"*" } else { b"" };
        [&*self.bytes, star].concat()
    }
}

impl fmt::Debug for IdPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_text().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> IdPattern {
        IdPattern::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_star_is_special_at_the_end_only() {
        assert!(pattern("courier-*").matches(b"courier-7") && pattern("courier-*").matches(b"courier-"));
        assert!(!pattern("courier-*").matches(b"courier") && !pattern("courier-7").matches(b"courier-77"));
        assert!(pattern("*").matches(b"kiwi") && pattern("a*b").matches(b"a*b"));
        assert!(!pattern("a*b").matches(b"aXb"));
        assert!(pattern("a**").matches(b"a*b") && !pattern("a**").matches(b"ab"));
        for text in ["courier-*", "kiwi", "*", "a**"] {
            assert_eq!(pattern(text).to_text(), text.as_bytes());
        }
        for bad in ["", "two words", "two words*", &"x".repeat(257)] {
            assert_eq!(IdPattern::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_pattern_covers_the_patterns_whose_ids_it_all_has() {
        for (one, other, is_covered) in [
            ("*", "*", true),
            ("*", "kiwi", true),
            ("c*", "courier-*", true),
            ("courier-*", "c*", false),
            ("kiwi", "kiwi", true),
            ("kiwi", "kiwi*", false),
            ("kiwi*", "kiwi", true),
        ] {
            assert_eq!(pattern(one).covers(&pattern(other)), is_covered, "{one} {other}");
        }
    }
}
