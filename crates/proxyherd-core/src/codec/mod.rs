//! Conversion between bytes and values, incrementally: `line` for clients, `link` for servers; and the forms that doors
//! over HTTP share: `json` (reports in, clients out), `where_clause` (a filter by attributes), `rfc3339` (times),
//! `url_id` (client IDs in URLs), `phones` (the formats of phone apps).
//!
//! A codec borrows from the buffer that it reads and appends to the buffer that it writes. It holds no connection, no
//! clock and nothing of the herd, and on the hot path it allocates nothing.

pub mod json;
pub mod line;
pub mod link;
pub mod phones;
pub mod rfc3339;
pub mod url_id;
pub mod where_clause;
