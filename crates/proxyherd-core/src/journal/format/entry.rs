//! Writes blocks and their entries.
//!
//! An entry has the same framing as a frame of a link, and a record in it has the same encoding (`codec::link`). The
//! other types of entries are the store's own.

use super::{BLOCK_HEADER_LEN, BLOCK_LEN, BlockHeader, FileName, NO_SHARD};
use crate::{
    codec::link::{put_frame, put_record, put_text, put_u16, put_u64, record_flags},
    flood::Update,
    types::{Kind, Origin},
};

/// The next index of this block names this origin.
pub(super) const ORIGIN: u8 = 1;
/// A record is held.
pub(super) const RECORD: u8 = 2;
/// The record of a key was removed.
pub(super) const REMOVED: u8 = 3;
/// A part of the shard's vector.
pub(super) const VECTOR: u8 = 4;
/// Flag of VECTOR: the vector begins here.
pub(super) const FIRST: u8 = 1;
/// Flag of VECTOR: the vector ends here, and replaces the shard's earlier one.
pub(super) const LAST: u8 = 2;
/// The server was alive at this time.
pub(super) const ALIVE: u8 = 5;
/// Nothing of the file is missing before this entry.
pub(super) const END: u8 = 6;

/// The number of entries of a vector that one part holds. With their origins they are shorter than a block.
const VECTOR_PART_LEN: usize = 512;

/// Blocks on their way into a file.
#[derive(Debug)]
pub(in crate::journal) struct Blocks {
    file: FileName,
    salt: u64,
    /// The blocks, without those that have been written.
    bytes: Vec<u8>,
    /// The offset in the file at which `bytes` begin.
    offset: u64,
    /// The number of bytes of the file that are durable.
    synced: u64,
    /// Where in `bytes` the block begins that is not complete, and its shard.
    open: Option<(usize, u8)>,
    /// The origins that this block has named, by index.
    origins: Vec<Origin>,
    /// The index of the origin that was used last.
    last_origin: usize,
    records: u64,
    record_bytes: u64,
}

impl Blocks {
    /// No blocks yet, in a file that has `offset` bytes, all durable.
    pub(in crate::journal) fn new(file: FileName, salt: u64, offset: u64) -> Blocks {
        Blocks {
            file,
            salt,
            bytes: Vec::new(),
            offset,
            synced: offset,
            open: None,
            origins: Vec::new(),
            last_origin: 0,
            records: 0,
            record_bytes: 0,
        }
    }

    /// Continues in another file, with the same memory. Nothing may wait to be written.
    pub(in crate::journal) fn continue_in(&mut self, file: FileName, offset: u64) {
        assert!(self.bytes.is_empty(), "a segment is written before the next one begins");
        (self.file, self.offset, self.synced) = (file, offset, offset);
    }

    /// The file that the blocks are for.
    pub(in crate::journal) fn file(&self) -> FileName {
        self.file
    }

    /// The number of bytes that wait to be written.
    pub(in crate::journal) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The length of the file, without what waits.
    pub(in crate::journal) fn offset(&self) -> u64 {
        self.offset
    }

    /// The number of records that were added, and the number of their bytes.
    pub(in crate::journal) fn records(&self) -> (u64, u64) {
        (self.records, self.record_bytes)
    }

    /// Completes the last block, and returns where to write which bytes.
    pub(in crate::journal) fn waiting(&mut self) -> (u64, &[u8]) {
        self.close();
        (self.offset, &self.bytes)
    }

    /// The bytes that waited have been written.
    pub(in crate::journal) fn written(&mut self) {
        self.offset += self.bytes.len() as u64;
        self.bytes.clear();
    }

    /// Everything that was written is durable.
    pub(in crate::journal) fn synced(&mut self) {
        self.synced = self.offset;
    }

    /// Adds a record.
    pub(in crate::journal) fn record(&mut self, shard: u8, update: &Update<'_>) {
        let before = self.begin(shard);
        let index = self.index_of(update.origin);
        put_frame(&mut self.bytes, RECORD, record_flags(&update.record), |out| {
            put_record(out, index, update.seq, &update.record);
        });
        self.records += 1;
        self.record_bytes += (self.bytes.len() - before) as u64;
    }

    /// Adds that the record of a key was removed.
    pub(in crate::journal) fn removed(&mut self, shard: u8, kind: Kind, key: &[u8]) {
        self.begin(shard);
        put_frame(&mut self.bytes, REMOVED, 0, |out| {
            out.push(kind.0);
            out.extend_from_slice(key);
        });
    }

    /// Adds a shard's vector.
    pub(in crate::journal) fn vector(&mut self, shard: u8, vector: &[(Origin, u64)]) {
        let parts = vector.len().div_ceil(VECTOR_PART_LEN).max(1);
        for part in 0..parts {
            self.begin(shard);
            let entries = vector.chunks(VECTOR_PART_LEN).nth(part).unwrap_or_default();
            let first_index = self.origins.len();
            for (origin, _) in entries {
                self.name(origin);
            }
            let first = if part == 0 { FIRST } else { 0 };
            let last = if part + 1 == parts { LAST } else { 0 };
            put_frame(&mut self.bytes, VECTOR, first | last, |out| {
                for (index, (_, seq)) in (first_index..).zip(entries) {
                    put_u16(out, index as u16);
                    put_u64(out, *seq);
                }
            });
        }
    }

    /// Adds that the server is alive.
    pub(in crate::journal) fn alive(&mut self, now_ns: u64) {
        self.begin(NO_SHARD);
        put_frame(&mut self.bytes, ALIVE, 0, |out| put_u64(out, now_ns));
    }

    /// Adds a block with any bytes, for fuzzing.
    pub(in crate::journal) fn raw(&mut self, shard: u8, payload: &[u8]) {
        self.begin(shard);
        self.bytes.extend_from_slice(payload);
    }

    /// The entries of the block that is not complete, for fuzzing.
    pub(in crate::journal) fn payload(&self) -> &[u8] {
        self.open.map_or(&[], |(start, _)| &self.bytes[start + BLOCK_HEADER_LEN..])
    }

    /// Adds that nothing of the file is missing before this entry.
    pub(in crate::journal) fn end(&mut self) {
        self.begin(NO_SHARD);
        put_frame(&mut self.bytes, END, 0, |_| {});
    }

    /// Sees to it that a block of this shard is open and has room, and returns its end.
    fn begin(&mut self, shard: u8) -> usize {
        let has_room = |start: usize| self.bytes.len() - start < BLOCK_HEADER_LEN + BLOCK_LEN;
        if !self.open.is_some_and(|(start, open)| open == shard && has_room(start)) {
            self.close();
            self.open = Some((self.bytes.len(), shard));
            self.bytes.extend_from_slice(&[0; BLOCK_HEADER_LEN]);
        }
        self.bytes.len()
    }

    /// Writes the header of the open block.
    fn close(&mut self) {
        let Some((start, shard)) = self.open.take() else { return };
        let (offset, payload) = (self.offset + start as u64, &self.bytes[start + BLOCK_HEADER_LEN..]);
        let header = BlockHeader::encode(self.file, self.salt, offset, (shard, self.synced), payload);
        self.bytes[start..start + BLOCK_HEADER_LEN].copy_from_slice(&header);
        self.origins.clear();
    }

    /// The index of an origin in the open block.
    #[inline]
    fn index_of(&mut self, origin: &Origin) -> u16 {
        let is_it = |named: &Origin| named.incarnation == origin.incarnation && named.server == origin.server;
        if !self.origins.get(self.last_origin).is_some_and(is_it) {
            // A block has few origins, unless somebody invents them, and then it has few records.
            self.last_origin = match self.origins.iter().position(is_it) {
                Some(index) => index,
                None => self.name(origin),
            };
        }
        self.last_origin as u16
    }

    /// Names an origin in the open block, and returns its index.
    fn name(&mut self, origin: &Origin) -> usize {
        put_frame(&mut self.bytes, ORIGIN, 0, |out| {
            put_text(out, origin.server.as_str());
            put_u64(out, origin.incarnation);
        });
        self.origins.push(origin.clone());
        self.origins.len() - 1
    }
}
