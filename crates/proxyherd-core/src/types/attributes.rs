//! The contents of a report other than position and time: accuracy, speed, heading, battery, a short note of the
//! reporter.
//!
//! The line protocol does not show attributes; other doors do. Attributes are sent and stored as one run of bytes with
//! ascending names, so that equal maps have equal bytes.

use std::fmt;

use crate::limits::{ATTRIBUTE_NAME_LEN_MAX, ATTRIBUTES_LEN_MAX};

/// A small map from names to texts, borrowed in its encoding: for each attribute, names strictly ascending,
/// the name's length (1 byte), the name, the value's length (2 bytes, little endian), the value.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attributes<'a>(&'a [u8]);

/// Why an attribute, or a run of encoded attributes, was refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// All attributes of a record together are too long.
    #[error("the attributes of a report are at most {ATTRIBUTES_LEN_MAX} bytes together")]
    TooLong,
    /// A name is not 1 to 32 bytes of lower-case ASCII letters, digits and `_`.
    #[error("an attribute's name is 1 to {ATTRIBUTE_NAME_LEN_MAX} lower-case letters, digits or `_`")]
    BadName,
    /// The encoded bytes end early, are out of order, or hold text that is not UTF-8.
    #[error("the attributes' encoding is broken")]
    Broken,
}

impl<'a> Attributes<'a> {
    /// An empty set of attributes.
    pub const NONE: Attributes<'static> = Attributes(&[]);

    /// Takes bytes from outside if they are a valid encoding.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Attributes<'a>, AttributeError> {
        if bytes.len() > ATTRIBUTES_LEN_MAX {
            return Err(AttributeError::TooLong);
        }
        let mut rest = bytes;
        let mut previous: &[u8] = &[];
        while !rest.is_empty() {
            let (name, value, after) = split_first(rest).ok_or(AttributeError::Broken)?;
            if !is_name(name) {
                return Err(AttributeError::BadName);
            }
            if name <= previous || std::str::from_utf8(value).is_err() {
                return Err(AttributeError::Broken);
            }
            previous = name;
            rest = after;
        }
        Ok(Attributes(bytes))
    }

    /// Trusts bytes that [`Attributes::from_bytes`] has accepted before.
    pub(crate) fn trusted(bytes: &'a [u8]) -> Attributes<'a> {
        debug_assert!(Attributes::from_bytes(bytes).is_ok(), "the store holds only checked attributes");
        Attributes(bytes)
    }

    /// The encoded bytes.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Whether there are no attributes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The attributes in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (name, value, after) = split_first(rest)?;
            rest = after;
            Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?))
        })
    }

    /// The value of the attribute `name`, if there is one.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.iter().find(|(candidate, _)| *candidate == name).map(|(_, value)| value)
    }
}

impl fmt::Debug for Attributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

fn split_first(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (&name_len, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(name_len))?;
    let (value_len, rest) = rest.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*value_len)))?;
    Some((name, value, rest))
}

fn is_name(name: &[u8]) -> bool {
    (1..=ATTRIBUTE_NAME_LEN_MAX).contains(&name.len())
        && name.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_')
}

/// Attributes under construction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributesBuf(Vec<u8>);

impl AttributesBuf {
    /// Sets `name` to `value`, and replaces an earlier value of `name`.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), AttributeError> {
        if !is_name(name.as_bytes()) {
            return Err(AttributeError::BadName);
        }
        let mut entries: Vec<_> = self.borrow().iter().filter(|(held, _)| *held != name).collect();
        let place = entries.partition_point(|(held, _)| *held < name);
        entries.insert(place, (name, value));
        let len: usize = entries.iter().map(|(name, value)| 3 + name.len() + value.len()).sum();
        if len > ATTRIBUTES_LEN_MAX {
            return Err(AttributeError::TooLong);
        }
        let mut bytes = Vec::with_capacity(len);
        for (name, value) in entries {
            bytes.push(name.len() as u8);
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(&(value.len() as u16).to_le_bytes());
            bytes.extend_from_slice(value.as_bytes());
        }
        self.0 = bytes;
        Ok(())
    }

    /// The attributes so far.
    pub fn borrow(&self) -> Attributes<'_> {
        Attributes(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attributes_are_kept_in_order_whatever_order_they_came_in() {
        let mut one = AttributesBuf::default();
        one.set("speed", "1.4").unwrap();
        one.set("battery", "80").unwrap();
        one.set("speed", "1.5").unwrap();
        let mut other = AttributesBuf::default();
        other.set("battery", "80").unwrap();
        other.set("speed", "1.5").unwrap();
        assert_eq!(one, other);
        assert_eq!(one.borrow().iter().collect::<Vec<_>>(), [("battery", "80"), ("speed", "1.5")]);
        assert_eq!(one.borrow().value("speed"), Some("1.5"));
        assert_eq!(one.borrow().value("heading"), None);
        assert_eq!(Attributes::from_bytes(one.borrow().as_bytes()), Ok(one.borrow()));
    }

    #[test]
    fn names_and_length_are_bounded() {
        let mut attributes = AttributesBuf::default();
        assert_eq!(attributes.set("", "x"), Err(AttributeError::BadName));
        assert_eq!(attributes.set("Speed", "x"), Err(AttributeError::BadName));
        attributes.set("note", &"x".repeat(505)).unwrap();
        assert_eq!(attributes.borrow().as_bytes().len(), 512);
        assert_eq!(attributes.set("a", ""), Err(AttributeError::TooLong));
        assert_eq!(attributes.borrow().iter().count(), 1, "a refused attribute changes nothing");
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_a_map_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(attributes) = Attributes::from_bytes(&bytes) {
                let mut again = AttributesBuf::default();
                for (name, value) in attributes.iter() {
                    again.set(name, value).unwrap();
                }
                prop_assert_eq!(again.borrow().as_bytes(), bytes);
            }
        }
    }
}
