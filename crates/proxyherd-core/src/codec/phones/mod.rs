//! The wire formats of phone apps that report positions over HTTP: `owntracks`, `traccar` (the JSON of Traccar Client),
//! `osmand` (a query or a form, which OsmAnd, GPSLogger and many trackers send) and `overland`.
//!
//! [`Format::of`] says which format a body has. The module of that format then reads the reports in it. The attributes
//! of a report are in the buffer that the caller passed in, and have the names and units that the herd gives them
//! (`fields` lists them). `owntracks::Friends` writes the answer to OwnTracks.
//!
//! Invariants: a report that is returned is valid, and a [`PhoneError`] says what is wrong with a body and what to do.
//! No field that only describes a report makes the report fail: a value that cannot be read, or that does not fit into
//! the room of attributes, is left out.
//!
//! Nothing here knows HTTP, tokens, or which reports are taken.

mod fields;
mod format;
pub mod osmand;
pub mod overland;
pub mod owntracks;
pub mod traccar;

pub use self::{fields::PhoneError, format::Format};
