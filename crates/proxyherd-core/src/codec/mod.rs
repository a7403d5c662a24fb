//! Conversion between bytes and values, incrementally: `line` for clients, `link` for servers.
//!
//! A codec borrows from the buffer that it reads and appends to the buffer that it writes. It holds no connection, no
//! clock and nothing of the herd, and on the hot path it allocates nothing.

pub mod line;
pub mod link;
