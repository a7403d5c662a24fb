//! Reads OpenStreetMap's PBF format: bytes in, objects out.
//!
//! A file is a sequence of frames. Each frame consists of a header and a blob. [`PbfFrame`] decodes the header, and
//! [`unpack`] decodes the blob. The first blob is a [`PbfHeader`]. The others are blocks, and [`PbfBlock`] passes the
//! nodes, ways and relations of a block to a closure, one after the other.
//!
//! The bytes may come from anybody. These rules hold for every input:
//!
//! - Nothing here panics. A violation of the format is a [`Damage`], which says what is wrong.
//! - Memory is bounded by the length of the input, even if the input claims larger lengths and counts. Objects, tags
//!   and members borrow from the block. Only two things are allocated. The first is the unpacked blob. Its length is at
//!   most the format's 32 MiB, and at most the maximum that zlib can unpack from the packed bytes. The second is an
//!   index of the block's strings, which is at most half as long as the block.
//!
//! This module does not know files or the meaning of tags. The format is described at
//! <https://wiki.openstreetmap.org/wiki/PBF_Format>.
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
