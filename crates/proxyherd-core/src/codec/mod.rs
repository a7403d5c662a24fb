//! Bytes to values and back, incrementally: `line` for clients, `link` for servers. `link` knows the files of all frames,
//! which know `frame`. None of them holds a connection, a clock or the herd; on the hot path none of them allocates.

pub mod check;
mod covered;
mod frame;
mod hello;
pub mod line;
pub mod link;
pub mod numbering;
mod record;
pub mod tree;
