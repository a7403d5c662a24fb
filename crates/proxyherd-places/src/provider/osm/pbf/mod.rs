//! Reads OpenStreetMap's PBF format: bytes in, objects out.
//!
//! A file is a sequence of frames, each a header and a blob. [`PbfFrame`] decodes the header, [`unpack`] the blob. The
//! first blob is a [`PbfHeader`]. The others are blocks, and [`PbfBlock`] passes the nodes, ways and relations of a
//! block to a closure, one after the other.
//!
//! The bytes may come from anybody. For every input:
//!
//! - Nothing here panics. A violation of the format is a [`Damage`], which says what is wrong.
//! - Memory is bounded by the input, whatever lengths and counts the input claims. Objects, tags and members borrow
//!   from the block. Only two things are allocated: the unpacked blob, which is at most the format's 32 MiB and at most
//!   what zlib can make of the packed bytes; and an index of the block's strings, at most half as long as the block.
//!
//! This module knows neither files nor what tags mean. The format: <https://wiki.openstreetmap.org/wiki/PBF_Format>.
//!
//! Floors, lowest first: `message`; `blob`, `frame`, `strings`; `block`.

mod blob;
mod block;
mod frame;
pub(crate) mod fuzzing;
mod message;
mod strings;
#[cfg(test)]
pub(super) mod writing;

pub(super) use blob::{BlobError, unpack};
pub(super) use block::{Content, PbfBlock};
pub(super) use frame::{FrameKind, PbfFrame, PbfHeader};
pub(super) use message::Damage;
