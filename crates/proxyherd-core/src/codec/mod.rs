//! Bytes to values and back, incrementally, one module a protocol. None of them holds a connection, a clock or
//! the herd; on the hot path none of them allocates.

pub mod check;
pub mod line;
pub mod link;
pub mod numbering;
pub mod tree;
