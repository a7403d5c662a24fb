//! stub
pub use crate::command::Positions;
