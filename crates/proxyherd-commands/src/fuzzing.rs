//! The private codecs of this crate, for fuzzing only. Only `proxyherd-fuzz` may use them, and they change with the
//! program's internals.

pub use crate::client::replies::{NotAReply, Replies, ReplyForm};
