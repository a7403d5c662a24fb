//! The first line of a dump.

use std::borrow::Cow;

use proxyherd_core::{
    codec::rfc3339,
    limits::HERD_ID_LEN_MAX,
    types::{BadServerName, ServerName},
};
use serde::{Deserialize, Serialize};

use super::line::said;

/// What the header of every dump says of itself, in every version of the format.
pub const FORMAT: &str = "proxyherd-dump";
/// The version of the format that this program writes, and the highest one that it reads.
pub const VERSION: u32 = 1;

/// Whose records a dump has, and when the dump was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The version of the program that made the dump, for people.
    pub program: String,
    /// The ID of the herd.
    pub herd: String,
    /// The server whose store was dumped.
    pub server: ServerName,
    /// When the dump was begun, POSIX time in nanoseconds, before the year 2286.
    pub made_at_ns: u64,
    /// The last time at which the store's server is known to have run, POSIX time in nanoseconds, before the year 2286.
    /// What the herd forgot later may still be in the dump. 0: not known.
    pub alive_until_ns: u64,
}

/// Why a first line is no header of a dump that this program reads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    NotADump,
    Newer(u64),
    Wrong(String),
}

/// The members that every version has.
#[derive(Deserialize)]
struct AnyVersion<'l> {
    #[serde(borrow)]
    format: Cow<'l, str>,
    version: u64,
}

/// The members of this version.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine<'l> {
    #[serde(borrow)]
    format: Cow<'l, str>,
    version: u64,
    #[serde(borrow)]
    program: Cow<'l, str>,
    #[serde(borrow)]
    herd: Cow<'l, str>,
    #[serde(borrow)]
    server: Cow<'l, str>,
    #[serde(borrow)]
    made_at: Cow<'l, str>,
    #[serde(borrow)]
    alive_until: Cow<'l, str>,
}

impl Header {
    /// The line, without its end.
    pub(super) fn to_line(&self) -> String {
        let line = HeaderLine {
            format: FORMAT.into(),
            version: VERSION.into(),
            program: self.program.as_str().into(),
            herd: self.herd.as_str().into(),
            server: self.server.as_str().into(),
            made_at: time_text(self.made_at_ns).into(),
            alive_until: time_text(self.alive_until_ns).into(),
        };
        serde_json::to_string(&line).expect("texts and numbers are JSON")
    }

    /// Reads the line.
    pub(super) fn parse(line: &[u8]) -> Result<Header, HeaderError> {
        let any: AnyVersion<'_> = serde_json::from_slice(line).map_err(|_| HeaderError::NotADump)?;
        if any.format != FORMAT {
            return Err(HeaderError::NotADump);
        }
        if any.version > VERSION.into() {
            return Err(HeaderError::Newer(any.version));
        }
        let wrong = |reason: String| HeaderError::Wrong(reason);
        let read: HeaderLine<'_> = serde_json::from_slice(line).map_err(|error| wrong(said(&error)))?;
        if any.version == 0 {
            return Err(wrong("versions begin with 1".to_owned()));
        }
        if read.herd.is_empty() || read.herd.len() > HERD_ID_LEN_MAX {
            return Err(wrong(format!("a herd's ID has 1 to {HERD_ID_LEN_MAX} bytes")));
        }
        let server =
            ServerName::new(&read.server).map_err(|error: BadServerName| wrong(error.to_string()))?;
        let time = |member: &str, text: &str| match rfc3339::parse(text.as_bytes()) {
            Ok(time) => Ok(time.nanos()),
            Err(error) => Err(wrong(format!("{member}: {error}"))),
        };
        Ok(Header {
            made_at_ns: time("made_at", &read.made_at)?,
            alive_until_ns: time("alive_until", &read.alive_until)?,
            program: read.program.into_owned(),
            herd: read.herd.into_owned(),
            server,
        })
    }
}

/// The time as RFC 3339 with nine decimals. `nanos`: POSIX time in nanoseconds.
pub(crate) fn time_text(nanos: u64) -> String {
    let mut text = Vec::with_capacity(30);
    rfc3339::write_received(&mut text, nanos);
    String::from_utf8(text).expect("digits and separators are ASCII")
}
