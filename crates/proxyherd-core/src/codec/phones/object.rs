//! Reads JSON objects of phone apps: their members, and positions and IDs in them.

use std::borrow::Cow;

use super::{PhoneError, time};
use crate::{
    codec::{
        json::members::{self, MembersError, Scalar},
        rfc3339::TimeError,
    },
    types::{ClientId, Coordinates, Decimal, Stamp, number},
};

/// Calls `take` with each member of an object. `not_object` is the error for JSON of another type.
pub(super) fn read<'j>(
    json: &'j [u8],
    not_object: &'static str,
    take: impl FnMut(&str, &'j str) -> Result<(), PhoneError>,
) -> Result<(), PhoneError> {
    members::read(json, take).map_err(|error| match error {
        MembersError::Syntax(error) => PhoneError::Syntax(error.to_string()),
        MembersError::NotObject => PhoneError::Form(not_object),
        MembersError::Refused(error) => error,
    })
}

/// A coordinate's name and the greatest value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) name: &'static str,
    pub(super) max: u8,
}

impl Axis {
    pub(super) const fn latitude(name: &'static str) -> Axis {
        Axis { name, max: 90 }
    }

    pub(super) const fn longitude(name: &'static str) -> Axis {
        Axis { name, max: 180 }
    }

    /// Reads a number, or a text with a number.
    pub(super) fn read(self, json: &str) -> Result<Decimal, PhoneError> {
        let number = json_number(json).ok_or(self.refused())?;
        self.read_number(&number)
    }

    /// Reads the text of a number.
    pub(super) fn read_number(self, number: &str) -> Result<Decimal, PhoneError> {
        Decimal::from_number(number).ok_or(self.refused())
    }

    fn refused(self) -> PhoneError {
        PhoneError::Coordinate { name: self.name, max: self.max }
    }
}

/// The point, if each coordinate is within its range.
pub(super) fn point(
    latitude: Option<Decimal>,
    longitude: Option<Decimal>,
    north: Axis,
    east: Axis,
) -> Result<Coordinates, PhoneError> {
    let latitude = latitude.ok_or(PhoneError::Missing(north.name))?;
    let longitude = longitude.ok_or(PhoneError::Missing(east.name))?;
    // A longitude that was read is at most 180 degrees, so only the latitude can be out of its range.
    Coordinates::new(latitude, longitude).ok_or(north.refused())
}

/// Reads a time. A number from `milliseconds_min` on is milliseconds. `null` stands for no time, so the server's clock
/// counts.
pub(super) fn stamp(name: &'static str, json: &str, milliseconds_min: u64) -> Result<Stamp, PhoneError> {
    if json == "null" {
        return Ok(Stamp::Server);
    }
    let time = match members::scalar(json) {
        Some(Scalar::Text(text)) => time::read(text.as_bytes(), milliseconds_min),
        Some(Scalar::Number(digits)) => time::read(digits.as_bytes(), milliseconds_min),
        None => Err(TimeError::Form),
    };
    time.map(Stamp::Client).map_err(|error| PhoneError::Time(name, error))
}

/// Reads a text, or the digits of a number. `None` for other values, and for an empty text.
pub(super) fn text(json: &str) -> Option<Cow<'_, str>> {
    match members::scalar(json)? {
        Scalar::Text(text) => (!text.is_empty()).then_some(text),
        Scalar::Number(digits) => Some(Cow::Borrowed(digits)),
    }
}

/// Checks an ID. The texts are for the error.
pub(super) fn id<'i>(
    id: Cow<'i, [u8]>,
    name: &'static str,
    hint: &'static str,
) -> Result<Cow<'i, [u8]>, PhoneError> {
    if ClientId::new(&id).is_some() { Ok(id) } else { Err(PhoneError::Id(name, hint)) }
}

/// The bytes of a text.
pub(super) fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// The text of a number of JSON, or of a number in a text.
pub(super) fn json_number(json: &str) -> Option<Cow<'_, str>> {
    match members::scalar(json)? {
        Scalar::Number(digits) => Some(Cow::Borrowed(digits)),
        Scalar::Text(Cow::Borrowed(text)) => text_number(text),
        Scalar::Text(Cow::Owned(text)) => text_number(&text).map(|number| Cow::Owned(number.into_owned())),
    }
}

/// A number in a text, written as JSON writes numbers: without a plus, without leading zeros, and with a digit in front
/// of the point.
pub(super) fn text_number(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim_ascii();
    if number::is_json(text.as_bytes()) {
        return Some(Cow::Borrowed(text));
    }
    let value: f64 = text.parse().ok()?;
    // The display of a number has no exponent, so a great one would have hundreds of digits.
    (value.abs() < 1e15).then(|| Cow::Owned(value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_texts_need_not_be_written_as_in_json() {
        for (text, expected) in [
            ("48.85", Some("48.85")),
            (" -0.5 ", Some("-0.5")),
            ("1.5E-5", Some("1.5E-5")),
            ("048.8500", Some("48.85")),
            ("+2.29", Some("2.29")),
            (".5", Some("0.5")),
            ("5.", Some("5")),
            ("", None),
            ("NaN", None),
            ("-inf", None),
            ("+1e15", None),
            ("1,5", None),
            ("0x10", None),
        ] {
            assert_eq!(text_number(text).as_deref(), expected, "{text}");
        }
        assert_eq!(json_number(r#""\u002b2.29""#).as_deref(), Some("2.29"));
        assert_eq!(json_number("true"), None);
    }
}
