//! The doors: each turns one protocol's bytes into commands, calls the herd, and turns replies into bytes. A
//! door knows nothing of the others, and the herd knows nothing of doors.

pub mod http;
pub mod kind;
pub mod line;
