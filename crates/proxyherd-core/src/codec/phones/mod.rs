//! The wire formats of phone apps that report positions over HTTP: `owntracks`, `traccar` (the JSON of Traccar Client
//! 9), `overland`, and `osmand` (a query or a form, which Traccar Client, OsmAnd, GPSLogger and many trackers send).
//!
//! [`Format::of`] says which format a body has. The module of that format then reads the reports in it. The attributes
//! of a report are in the buffer that the caller passed in, and have the names and units that the herd gives them. Each
//! format has a table of its fields (`fields`). `friends` writes the answer to OwnTracks.
//!
//! Invariants: a report that is returned is valid, and a [`PhoneError`] says what is wrong with a body and what to do.
//! No field that only describes a position makes a report fail. A field that cannot be read, or whose value means
//! "unknown", is left out. If the attributes would take more than `limits::ATTRIBUTES_LEN_MAX` bytes, the fields are
//! taken in the order of the format's table, and each field that does not fit is left out.
//!
//! Nothing here knows HTTP, tokens, or which reports are taken.

mod error;
mod fields;
pub mod form;
mod format;
mod friends;
mod object;
pub mod osmand;
pub mod overland;
pub mod owntracks;
mod time;
pub mod traccar;

pub use self::{error::PhoneError, format::Format};
