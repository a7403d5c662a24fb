//! What is made of an index, for fuzzing alone: see [`crate::fuzzing`].

use super::index::Locale;
use super::{hours, tags};

pub use super::index::fuzzing::{directory_again, record_again};

/// What a file's header has to say that this program reads it.
pub fn kinds_checksum() -> u64 {
    tags::kinds_checksum()
}

/// Whether a place with these hours is open at a second since 1970, in a zone of the IANA's and a country of ISO 3166.
pub fn is_open(opening_hours: &str, zone: &str, country: &str, now_s: i64) -> Option<bool> {
    let locale = Locale { zone: zone.to_owned(), country: country.to_owned() };
    hours::is_readable(opening_hours)
        .unwrap_or(false)
        .then(|| hours::evaluate(opening_hours, &locale, now_s))
        .flatten()
        .and_then(hours::Kept::is_open)
}
