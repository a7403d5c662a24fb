//! Reads the members of a JSON object, and the elements of a JSON array. Values keep the text in which they came.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, de,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// Why the members of an object could not be read.
#[derive(Debug)]
pub(in crate::codec) enum MembersError<E> {
    /// The text is not JSON, or has more behind its value.
    Syntax(serde_json::Error),
    /// The text is JSON, but no object.
    NotObject,
    /// The caller refused a member.
    Refused(E),
}

/// Calls `take` with the name and the JSON text of each member. Stops at the first error.
pub(in crate::codec) fn read<'j, E>(
    json: &'j [u8],
    take: impl FnMut(&str, &'j str) -> Result<(), E>,
) -> Result<(), MembersError<E>> {
    let mut refused = None;
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let visited = Members { take, refused: &mut refused }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    match (visited, refused) {
        (_, Some(refused)) => Err(MembersError::Refused(refused)),
        (Ok(()), None) => Ok(()),
        (Err(error), None) if error.is_data() => Err(MembersError::NotObject),
        (Err(error), None) => Err(MembersError::Syntax(error)),
    }
}

struct Members<'r, F, E> {
    take: F,
    refused: &'r mut Option<E>,
}

impl<'j, F: FnMut(&str, &'j str) -> Result<(), E>, E> DeserializeSeed<'j> for Members<'_, F, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'j>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'j, F: FnMut(&str, &'j str) -> Result<(), E>, E> Visitor<'j> for Members<'_, F, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'j>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key()? {
            let value: &'j RawValue = map.next_value()?;
            if let Err(refused) = (self.take)(&name, value.get()) {
                *self.refused = Some(refused);
                return Err(de::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

/// A string, borrowed where it has no escapes.
struct Text<'j>(Cow<'j, str>);

impl<'j> Deserialize<'j> for Text<'j> {
    fn deserialize<D: Deserializer<'j>>(deserializer: D) -> Result<Text<'j>, D::Error> {
        struct TextVisitor;
        impl<'j> Visitor<'j> for TextVisitor {
            type Value = Text<'j>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'j str) -> Result<Text<'j>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'j>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// The value of a JSON string, or the text of a JSON number.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::codec) enum Scalar<'j> {
    Text(Cow<'j, str>),
    /// The digits as they came.
    Number(&'j str),
}

/// Reads the JSON text of a member. `None` if it is neither a string nor a number, or if a string's escapes are not
/// valid Unicode.
pub(in crate::codec) fn scalar(json: &str) -> Option<Scalar<'_>> {
    match json.as_bytes().first()? {
        b'"' => {
            let inner = &json[1..json.len() - 1];
            if !inner.contains('\\') {
                // The text was read as JSON before, so a string without escapes is its own content.
                return Some(Scalar::Text(Cow::Borrowed(inner)));
            }
            serde_json::from_str(json).ok().map(|Text(text)| Scalar::Text(text))
        }
        b'-' | b'0'..=b'9' => Some(Scalar::Number(json)),
        _ => None,
    }
}

/// Why the elements of an array could not be read.
#[derive(Debug)]
pub(in crate::codec) enum ElementsError {
    /// The text is not JSON, or has more behind its value.
    Syntax(serde_json::Error),
    /// The text is JSON, but no array.
    NotArray,
    /// There are more elements than the caller takes.
    TooMany,
}

/// The JSON texts of an array's elements, at most `len_max`.
pub(in crate::codec) fn elements(json: &[u8], len_max: usize) -> Result<Vec<&RawValue>, ElementsError> {
    let mut is_too_long = false;
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let visited = Elements { len_max, is_too_long: &mut is_too_long }
        .deserialize(&mut deserializer)
        .and_then(|elements| deserializer.end().map(|()| elements));
    match visited {
        Ok(elements) => Ok(elements),
        Err(_) if is_too_long => Err(ElementsError::TooMany),
        Err(error) if error.is_data() => Err(ElementsError::NotArray),
        Err(error) => Err(ElementsError::Syntax(error)),
    }
}

struct Elements<'r> {
    len_max: usize,
    is_too_long: &'r mut bool,
}

impl<'j> DeserializeSeed<'j> for Elements<'_> {
    type Value = Vec<&'j RawValue>;

    fn deserialize<D: Deserializer<'j>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'j> Visitor<'j> for Elements<'_> {
    type Value = Vec<&'j RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'j>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = array.next_element()? {
            if elements.len() == self.len_max {
                *self.is_too_long = true;
                return Err(de::Error::custom("too many elements"));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}
