//! What can be wrong with a phone's body.

use crate::{codec::rfc3339::TimeError, limits::CLIENT_ID_LEN_MAX};

/// Why a body, or a report in it, cannot be read. Nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    /// The text is not JSON.
    #[error("this is not JSON: {0}")]
    Syntax(String),
    /// A part of the text has another type than the format says.
    #[error("{0}")]
    Form(&'static str),
    /// A field that a report needs is absent.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// There is no client ID.
    #[error("the client's ID is missing: {0}")]
    NoId(&'static str),
    /// The ID is no client ID. The first text is the field's name.
    #[error("`{0}` is no client ID, which has 1 to {CLIENT_ID_LEN_MAX} bytes without white space: {1}")]
    Id(&'static str, &'static str),
    /// A coordinate is no number, or is out of its range.
    #[error("`{name}` is a number from -{max} to {max}, in degrees")]
    Coordinate {
        /// The field's name.
        name: &'static str,
        /// The greatest value.
        max: u8,
    },
    /// The time is no time. The first text is the field's name.
    #[error("`{0}`: {1}")]
    Time(&'static str, TimeError),
    /// The payload is encrypted, and this server has no key.
    #[error(
        "the payload is encrypted, and this server cannot read it: remove the encryption key in the app's \
         preferences, and use an https:// URL, which encrypts everything on the way"
    )]
    Encrypted,
    /// There are too many reports in one body.
    #[error("a request has at most {0} reports: set a smaller batch in the app")]
    TooMany(usize),
}
