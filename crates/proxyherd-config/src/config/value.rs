//! Values of the configuration: unchecked ([`GivenValue`]) and checked ([`Placed`]).

use std::path::{Path, PathBuf};

use toml::de::{DeInteger, DeValue};

use super::{
    secret::secret_in,
    site::{Site, ValueSource},
};

/// A checked value with its key and its place.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) key: String,
    pub(super) site: Site,
}

/// An unchecked value with its key and its place.
pub(super) struct GivenValue<'a> {
    pub(super) raw: RawValue<'a>,
    pub(super) key: String,
    pub(super) site: Site,
}

/// An unchecked value. Values from the file and values from elsewhere are written differently.
pub(super) enum RawValue<'a> {
    /// From the file.
    Toml(&'a DeValue<'a>),
    /// From a variable or a flag. There, neither texts nor numbers have quotes.
    Text(&'a str),
}

impl Placed<PathBuf> {
    /// The path. A relative path in the file starts at `base`, the directory of the file. A relative path in a flag or
    /// a variable starts at the current directory.
    pub(super) fn relative_to(self, base: &Path) -> PathBuf {
        match self.site.source {
            ValueSource::Line(..) | ValueSource::File(_) => base.join(self.value),
            ValueSource::Variable(_) | ValueSource::Flag => self.value,
        }
    }
}

impl<'a> RawValue<'a> {
    pub(super) fn integer(&self) -> Option<u64> {
        let read = |integer: &DeInteger<'_>| u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        match self {
            RawValue::Toml(DeValue::Integer(integer)) => read(integer),
            RawValue::Toml(_) => None,
            RawValue::Text(text) => DeValue::parse(text.trim()).ok()?.get_ref().as_integer().and_then(read),
        }
    }

    /// A number with decimals.
    pub(super) fn fraction(&self) -> Option<f64> {
        let read = |value: &DeValue<'_>| {
            value.as_float()?.as_str().parse().ok().filter(|number: &f64| number.is_finite())
        };
        match self {
            RawValue::Toml(value) => read(value),
            RawValue::Text(text) => read(DeValue::parse(text.trim()).ok()?.get_ref()),
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self {
            RawValue::Toml(value) => value.as_bool(),
            RawValue::Text(text) => text.trim().parse().ok(),
        }
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        match self {
            RawValue::Toml(value) => value.as_str(),
            RawValue::Text(text) => Some(text),
        }
    }

    /// The key of the first table in a table.
    pub(super) fn first_table(&self) -> Option<&'a str> {
        let RawValue::Toml(DeValue::Table(table)) = self else { return None };
        let mut tables = table.iter().filter(|(_, value)| matches!(value.get_ref(), DeValue::Table(_)));
        tables.next().map(|(key, _)| key.get_ref().as_ref())
    }

    /// The value in words, for "found …". The words never contain a secret.
    pub(super) fn describe(&self) -> String {
        if let Some(secret) = self.text().and_then(secret_in) {
            return format!("what looks like {secret}");
        }
        match self {
            RawValue::Text(text) => format!("{text:?}"),
            RawValue::Toml(DeValue::String(text)) => format!("the text {text:?}"),
            RawValue::Toml(DeValue::Integer(integer)) => integer.to_string(),
            RawValue::Toml(DeValue::Float(float)) => float.as_str().to_owned(),
            RawValue::Toml(DeValue::Boolean(value)) => value.to_string(),
            RawValue::Toml(DeValue::Datetime(_)) => "a date".to_owned(),
            RawValue::Toml(DeValue::Array(_)) => "a list".to_owned(),
            RawValue::Toml(DeValue::Table(_)) => "a table".to_owned(),
        }
    }
}

/// A whole number as people write it, such as `10_000_000`. A number with more than four digits has groups of three
/// digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    if digits.len() <= 4 {
        return digits;
    }
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_threes() {
        for (number, text) in
            [(0, "0"), (999, "999"), (5000, "5000"), (65_536, "65_536"), (10_000_000, "10_000_000")]
        {
            assert_eq!(grouped(number), text);
        }
    }
}
