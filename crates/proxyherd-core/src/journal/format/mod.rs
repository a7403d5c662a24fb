//! The bytes of the files of a store: the same format for segments and snapshots.
//!
//! A file is a [`FileHeader`], twice, and then blocks. A block has a header (`block`) and entries of one shard
//! (`entry`, `payload`). Numbers are little endian. The checksums of a block (XXH3) depend on the store's salt, the
//! file and the block's offset. So a block is valid only where it was written, and no client can forge a block inside
//! its own data.
//!
//! Everything that is read from a file counts as untrusted: a length is checked before anything is allocated, and
//! a value is made only if it is valid. Bytes that are read as a value are the bytes that this module writes for the
//! value. This module knows no disk and no replica.

mod block;
mod entry;
mod file_header;
mod file_name;
mod payload;

pub(super) use self::{
    block::{BLOCK_HEADER_LEN, BLOCK_MAGIC, BlockHeader},
    entry::Blocks,
    file_header::{BadHeader, FILE_HEADERS_LEN, FileHeader, VERSION},
    file_name::FileName,
    payload::{Payload, VectorPart},
};

/// In a block's header: the entries are about no shard.
pub(super) const NO_SHARD: u8 = u8::MAX;

/// The number of bytes after which a block ends.
pub(super) const BLOCK_LEN: usize = 64 * 1024;
/// Maximum number of bytes of a block's entries: an entry is added to a block that is shorter than [`BLOCK_LEN`].
pub(super) const BLOCK_LEN_MAX: usize = 2 * BLOCK_LEN;

/// The content of the bytes that are `N` long at `at`.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
