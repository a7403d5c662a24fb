//! The contents of a report other than position and time: accuracy, speed, heading, battery, a short note of the
//! reporter.
//!
//! The line protocol does not show attributes; other doors do. A value is a text, or a number that keeps its digits as
//! they came. Attributes are sent and stored as one run of bytes with ascending names, so that equal maps have equal
//! bytes.
//!
//! Servers of an earlier version know only texts. So every value in the run is UTF-8, and a number is its text behind
//! the byte 0x01. A text that begins with 0x00 or 0x01 has 0x00 in front. Such a server keeps and passes on the run,
//! and never shows it.
//!
//! The run also holds the time for which the report is shown, if the report has one of its own, under the name
//! [`TTL_NAME`]. No attribute has this name, so [`Attributes::iter`] does not show the entry.

use std::{fmt, num::NonZeroU32};

use super::number;
use crate::limits::{ATTRIBUTE_NAME_LEN_MAX, ATTRIBUTE_NUMBER_LEN_MAX, ATTRIBUTES_LEN_MAX};

/// The name of the entry that holds [`Attributes::ttl_s`].
pub const TTL_NAME: &str = "ttl_s";
/// The first byte of a text that would otherwise be taken for a number or for an escaped text.
const ESCAPE: u8 = 0;
/// The first byte of a number.
const NUMBER: u8 = 1;
/// Bytes of an entry other than its name and its value.
const ENTRY_OVERHEAD: usize = 3;

/// A small map from names to values, borrowed in its encoding: for each attribute, names strictly ascending,
/// the name's length (1 byte), the name, the value's length (2 bytes, little endian), the value.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attributes<'a>(&'a [u8]);

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttributeValue<'a> {
    /// A text.
    Text(&'a str),
    /// A number as JSON writes it, with the digits as they came.
    Number(&'a str),
}

impl<'a> AttributeValue<'a> {
    /// Reads an encoded value. Bytes that begin like a number and are none are a text of an earlier version.
    fn decode(encoded: &'a [u8]) -> Option<AttributeValue<'a>> {
        let text = std::str::from_utf8(encoded).ok()?;
        Some(match encoded {
            [NUMBER, digits @ ..] if is_number(digits) => AttributeValue::Number(&text[1..]),
            [ESCAPE, ESCAPE | NUMBER, ..] => AttributeValue::Text(&text[1..]),
            _ => AttributeValue::Text(text),
        })
    }

    /// The value as an entry holds it: the byte in front, if there is one, and the text.
    fn encoded(self) -> Result<(Option<u8>, &'a str), AttributeError> {
        match self {
            AttributeValue::Number(text) if is_number(text.as_bytes()) => Ok((Some(NUMBER), text)),
            AttributeValue::Number(_) => Err(AttributeError::BadNumber),
            AttributeValue::Text(text) => {
                let is_escaped = text.as_bytes().first().is_some_and(|first| *first <= NUMBER);
                Ok((is_escaped.then_some(ESCAPE), text))
            }
        }
    }
}

fn is_number(text: &[u8]) -> bool {
    text.len() <= ATTRIBUTE_NUMBER_LEN_MAX && number::is_json(text)
}

/// Why an attribute, or a run of encoded attributes, was refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// All attributes of a record together are too long.
    #[error("the attributes of a report are at most {ATTRIBUTES_LEN_MAX} bytes together")]
    TooLong,
    /// A name is not 1 to 32 bytes of lower-case ASCII letters, digits and `_`.
    #[error("an attribute's name is 1 to {ATTRIBUTE_NAME_LEN_MAX} lower-case letters, digits or `_`")]
    BadName,
    /// The name means something else.
    #[error("no attribute can have the name `{TTL_NAME}`")]
    Reserved,
    /// A number is too long, or is not a number of JSON.
    #[error("a number is written as in JSON, with at most {ATTRIBUTE_NUMBER_LEN_MAX} bytes")]
    BadNumber,
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

    /// Attributes from a copy of the bytes that [`Attributes::as_bytes`] has returned. The bytes are not checked again:
    /// for bytes from anywhere else there is [`Attributes::from_bytes`].
    pub fn trusted(bytes: &'a [u8]) -> Attributes<'a> {
        debug_assert!(Attributes::from_bytes(bytes).is_ok(), "these bytes are not from `as_bytes`");
        Attributes(bytes)
    }

    /// The encoded bytes, with the time for which the report is kept.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Whether there are neither attributes nor a time for which the report is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The attributes in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, AttributeValue<'a>)> + use<'a> {
        self.entries().filter(|(name, _)| *name != TTL_NAME.as_bytes()).filter_map(|(name, value)| {
            Some((std::str::from_utf8(name).ok()?, AttributeValue::decode(value)?))
        })
    }

    /// The value of the attribute `name`, if there is one.
    pub fn value(&self, name: &str) -> Option<AttributeValue<'a>> {
        if name == TTL_NAME { None } else { AttributeValue::decode(self.entry(name)?) }
    }

    /// The number of seconds after its receipt for which the report is kept, if the report has such a time of its own.
    #[inline]
    pub fn ttl_s(&self) -> Option<NonZeroU32> {
        if self.is_empty() {
            return None;
        }
        match AttributeValue::decode(self.entry(TTL_NAME)?)? {
            AttributeValue::Number(digits) => digits.parse().ok(),
            AttributeValue::Text(_) => None,
        }
    }

    fn entries(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (name, value, after) = split_first(rest)?;
            rest = after;
            Some((name, value))
        })
    }

    fn entry(&self, name: &str) -> Option<&'a [u8]> {
        self.entries().find(|(candidate, _)| *candidate == name.as_bytes()).map(|(_, value)| value)
    }
}

impl fmt::Debug for Attributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        map.entries(self.iter());
        if let Some(ttl_s) = self.ttl_s() {
            map.entry(&TTL_NAME, &ttl_s);
        }
        map.finish()
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

/// Attributes under construction. The buffer can be [cleared](AttributesBuf::clear) and used again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributesBuf(Vec<u8>);

impl AttributesBuf {
    /// Sets `name` to `value`, and replaces an earlier value of `name`.
    pub fn set(&mut self, name: &str, value: AttributeValue<'_>) -> Result<(), AttributeError> {
        if !is_name(name.as_bytes()) {
            return Err(AttributeError::BadName);
        }
        if name == TTL_NAME {
            return Err(AttributeError::Reserved);
        }
        let (front, text) = value.encoded()?;
        self.put(name, front, text)
    }

    /// Sets the number of seconds after its receipt for which the report is kept.
    pub fn set_ttl_s(&mut self, ttl_s: NonZeroU32) -> Result<(), AttributeError> {
        let mut digits = [0; 10];
        let (mut rest, mut at) = (ttl_s.get(), digits.len());
        while rest > 0 {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let digits = std::str::from_utf8(&digits[at..]).expect("digits are ASCII");
        self.put(TTL_NAME, Some(NUMBER), digits)
    }

    /// Whether the attribute `name` has a value.
    pub fn contains(&self, name: &str) -> bool {
        self.borrow().value(name).is_some()
    }

    /// Removes all attributes and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Writes an entry at its place, over an earlier entry of the same name.
    fn put(&mut self, name: &str, front: Option<u8>, text: &str) -> Result<(), AttributeError> {
        let (start, end) = self.place_of(name.as_bytes());
        let value_len = usize::from(front.is_some()) + text.len();
        let entry_len = ENTRY_OVERHEAD + name.len() + value_len;
        let len = self.0.len() - (end - start) + entry_len;
        if len > ATTRIBUTES_LEN_MAX {
            return Err(AttributeError::TooLong);
        }
        let tail_len = self.0.len() - end;
        if len > self.0.len() {
            self.0.resize(len, 0);
        }
        self.0.copy_within(end..end + tail_len, start + entry_len);
        self.0.truncate(len);
        let (name_at, value_at) = (start + 1, start + entry_len - value_len);
        self.0[start] = name.len() as u8;
        self.0[name_at..name_at + name.len()].copy_from_slice(name.as_bytes());
        self.0[value_at - 2..value_at].copy_from_slice(&(value_len as u16).to_le_bytes());
        if let Some(front) = front {
            self.0[value_at] = front;
        }
        self.0[start + entry_len - text.len()..start + entry_len].copy_from_slice(text.as_bytes());
        Ok(())
    }

    /// The range of the entry `name`. If there is none, the range is empty, and lies where the entry belongs.
    fn place_of(&self, name: &[u8]) -> (usize, usize) {
        let mut start = 0;
        for (held, value) in self.borrow().entries() {
            let end = start + ENTRY_OVERHEAD + held.len() + value.len();
            match held.cmp(name) {
                std::cmp::Ordering::Less => start = end,
                std::cmp::Ordering::Equal => return (start, end),
                std::cmp::Ordering::Greater => break,
            }
        }
        (start, start)
    }

    /// The attributes so far.
    pub fn borrow(&self) -> Attributes<'_> {
        Attributes(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        AttributeValue::{Number, Text},
        *,
    };

    #[test]
    fn attributes_are_kept_in_order_whatever_order_they_came_in() {
        let mut one = AttributesBuf::default();
        one.set("speed", Number("1.4")).unwrap();
        one.set("battery", Text("80")).unwrap();
        one.set("speed", Number("1.50")).unwrap();
        let mut other = AttributesBuf::default();
        other.set("battery", Text("80")).unwrap();
        other.set("speed", Number("1.50")).unwrap();
        assert_eq!(one, other);
        let all = [("battery", Text("80")), ("speed", Number("1.50"))];
        assert_eq!(one.borrow().iter().collect::<Vec<_>>(), all);
        assert_eq!(one.borrow().value("speed"), Some(Number("1.50")));
        assert_eq!(one.borrow().value("heading"), None);
        assert_eq!(Attributes::from_bytes(one.borrow().as_bytes()), Ok(one.borrow()));
        one.clear();
        assert!(one.borrow().is_empty());
    }

    #[test]
    fn names_and_length_are_bounded() {
        let mut attributes = AttributesBuf::default();
        assert_eq!(attributes.set("", Text("x")), Err(AttributeError::BadName));
        assert_eq!(attributes.set("Speed", Text("x")), Err(AttributeError::BadName));
        assert_eq!(attributes.set("ttl_s", Number("1")), Err(AttributeError::Reserved));
        attributes.set("note", Text(&"x".repeat(505))).unwrap();
        assert_eq!(attributes.borrow().as_bytes().len(), 512);
        assert_eq!(attributes.set("a", Text("")), Err(AttributeError::TooLong));
        assert_eq!(attributes.set_ttl_s(NonZeroU32::MIN), Err(AttributeError::TooLong));
        assert_eq!(attributes.borrow().iter().count(), 1, "a refused attribute changes nothing");
    }

    #[test]
    fn a_number_and_its_text_stay_two_values() {
        for value in [
            Text("80"),
            Number("80"),
            Number("-0"),
            Number("1.50E+3"),
            Number(&"9".repeat(ATTRIBUTE_NUMBER_LEN_MAX)),
            Text(""),
            Text("\u{0}"),
            Text("\u{1}80"),
            Text("\u{0}\u{1}80"),
            Text("\u{2}"),
        ] {
            let mut attributes = AttributesBuf::default();
            attributes.set("v", value).unwrap();
            assert_eq!(attributes.borrow().value("v"), Some(value));
        }
        for number in ["", "+1", "01", "1.", "NaN", "0x1", " 1", &"9".repeat(ATTRIBUTE_NUMBER_LEN_MAX + 1)] {
            let refused = AttributesBuf::default().set("v", Number(number));
            assert_eq!(refused, Err(AttributeError::BadNumber), "{number:?}");
        }
    }

    #[test]
    fn texts_of_an_earlier_version_are_the_same_texts() {
        for text in ["80", "", "\u{1}", "\u{1}one", "\u{0}", "\u{0}x"] {
            let run = [&[1, b'v', text.len() as u8, 0], text.as_bytes()].concat();
            assert_eq!(Attributes::from_bytes(&run).unwrap().value("v"), Some(Text(text)), "{text:?}");
        }
    }

    #[test]
    fn the_time_to_live_is_no_attribute() {
        let mut attributes = AttributesBuf::default();
        attributes.set("speed", Number("1")).unwrap();
        attributes.set("u", Text("after it")).unwrap();
        for ttl_s in [u32::MAX, 1, 60] {
            attributes.set_ttl_s(NonZeroU32::new(ttl_s).unwrap()).unwrap();
            let attributes = attributes.borrow();
            assert_eq!(attributes.ttl_s().map(NonZeroU32::get), Some(ttl_s));
            assert_eq!((attributes.value("ttl_s"), attributes.iter().count()), (None, 2));
            assert_eq!(Attributes::from_bytes(attributes.as_bytes()), Ok(attributes));
        }
        assert_eq!(Attributes::NONE.ttl_s(), None);
        for foreign in ["60", "\u{1}0", "\u{1}1.5", "\u{1}4294967296"] {
            let run = [&[5][..], b"ttl_s", &[foreign.len() as u8, 0], foreign.as_bytes()].concat();
            assert_eq!(Attributes::from_bytes(&run).unwrap().ttl_s(), None, "{foreign:?}");
        }
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_a_map_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(attributes) = Attributes::from_bytes(&bytes) {
                let mut again = AttributesBuf::default();
                for (name, value) in attributes.iter() {
                    again.set(name, value).unwrap();
                }
                prop_assert_eq!(again.borrow().iter().collect::<Vec<_>>(), attributes.iter().collect::<Vec<_>>());
            }
        }
    }
}
