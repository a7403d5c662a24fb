//! Finds the blocks of one file, and the runs of bytes that are no blocks.
//!
//! The file is read in large pieces. Memory is bounded whatever the file says: a block's length counts only if the
//! checksum of its header is right, and it is bounded.

use memchr::memmem;

use super::{
    Disk, DiskError,
    format::{BLOCK_HEADER_LEN, BLOCK_LEN_MAX, BLOCK_MAGIC, BlockHeader, FILE_HEADERS_LEN, FileName},
};

/// The number of bytes that are read at once.
const READ_LEN: usize = 1024 * 1024;

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A block that is as it was written.
    Block { shard: u8, payload: &'a [u8], offset: u64 },
    /// Bytes that are no block as it was written. If the block's header is intact, then only this shard is affected.
    Bad { offset: u64, len: u64, shard: Option<u8> },
    /// The end of the file.
    End,
}

/// The blocks of a file, in their order.
pub(super) struct Scan<'a, D> {
    disk: &'a D,
    name: &'a str,
    file: FileName,
    salt: u64,
    len: u64,
    /// Where the next block begins.
    at: u64,
    /// Some bytes of the file, and their offset.
    window: Vec<u8>,
    window_at: u64,
    /// See [`Scan::synced`].
    synced: u64,
}

impl<'a, D: Disk> Scan<'a, D> {
    /// Begins behind the headers of a file. `window` is memory from an earlier scan.
    pub(super) fn new(
        disk: &'a D,
        name: &'a str,
        (file, salt, len): (FileName, u64, u64),
        mut window: Vec<u8>,
    ) -> Scan<'a, D> {
        window.clear();
        let at = FILE_HEADERS_LEN as u64;
        Scan { disk, name, file, salt, len, at, window, window_at: at, synced: at }
    }

    /// The memory, for the next scan.
    pub(super) fn into_window(self) -> Vec<u8> {
        self.window
    }

    /// How many bytes have been scanned.
    pub(super) fn read(&self) -> u64 {
        self.at.min(self.len)
    }

    /// The number of bytes of the file that were durable at some moment, as far as the blocks say. Bytes before this
    /// offset were not torn by a crash.
    pub(super) fn synced(&self) -> u64 {
        self.synced
    }

    /// The next block of a shard that `wants` names, or bad bytes. Blocks of other shards are passed over, without a
    /// look at their entries.
    pub(super) fn next(&mut self, wants: impl Fn(u8) -> bool) -> Result<Found<'_>, DiskError> {
        loop {
            let offset = self.at;
            if offset >= self.len {
                return Ok(Found::End);
            }
            let Some(header) = self.header_at(offset)? else {
                let end = self.next_header(offset + 1)?;
                self.at = end;
                return Ok(Found::Bad { offset, len: end - offset, shard: None });
            };
            let end = offset + (BLOCK_HEADER_LEN + header.len) as u64;
            self.at = end.min(self.len);
            self.synced = self.synced.max(header.synced);
            let shard = header.shard;
            if !wants(shard) && end <= self.len {
                continue;
            }
            let (file, salt) = (self.file, self.salt);
            if !header.fits(file, salt, offset, self.bytes(offset + BLOCK_HEADER_LEN as u64, header.len)?) {
                return Ok(Found::Bad { offset, len: self.at - offset, shard: Some(shard) });
            }
            let payload = self.bytes(offset + BLOCK_HEADER_LEN as u64, header.len)?;
            return Ok(Found::Block { shard, payload, offset });
        }
    }

    fn header_at(&mut self, offset: u64) -> Result<Option<BlockHeader>, DiskError> {
        let (file, salt) = (self.file, self.salt);
        Ok(BlockHeader::decode(file, salt, offset, self.bytes(offset, BLOCK_HEADER_LEN)?))
    }

    /// The offset of the next header from `offset` on, or the length of the file.
    fn next_header(&mut self, mut offset: u64) -> Result<u64, DiskError> {
        while offset < self.len {
            let bytes = self.bytes(offset, BLOCK_LEN_MAX)?;
            if bytes.is_empty() {
                break;
            }
            let found = memmem::find(bytes, &BLOCK_MAGIC);
            // The last bytes may be the first ones of a header.
            let passed = bytes.len().saturating_sub(BLOCK_MAGIC.len() - 1).max(1);
            match found {
                Some(at) if self.header_at(offset + at as u64)?.is_some() => return Ok(offset + at as u64),
                Some(at) => offset += at as u64 + 1,
                None => offset += passed as u64,
            }
        }
        Ok(self.len)
    }

    /// Up to `len` bytes from `offset` on: fewer only at the end of the file.
    fn bytes(&mut self, offset: u64, len: usize) -> Result<&[u8], DiskError> {
        let end = (offset + len as u64).min(self.len);
        let len = end.saturating_sub(offset) as usize;
        let window_end = self.window_at + self.window.len() as u64;
        if offset < self.window_at || end > window_end {
            self.load(offset)?;
        }
        let start = (offset - self.window_at) as usize;
        let loaded = self.window.get(start..).unwrap_or_default();
        Ok(&loaded[..len.min(loaded.len())])
    }

    /// Loads the window with bytes from `offset` on.
    fn load(&mut self, offset: u64) -> Result<(), DiskError> {
        let window_end = self.window_at + self.window.len() as u64;
        if (self.window_at..=window_end).contains(&offset) {
            self.window.drain(..(offset - self.window_at) as usize);
        } else {
            self.window.clear();
        }
        self.window_at = offset;
        let (kept, rest) = (self.window.len(), (self.len - offset) as usize);
        let wanted = READ_LEN.max(BLOCK_LEN_MAX + BLOCK_HEADER_LEN).min(rest);
        self.window.resize(wanted.max(kept), 0);
        let mut filled = kept;
        while filled < self.window.len() {
            match self.disk.read_at(self.name, offset + filled as u64, &mut self.window[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        self.window.truncate(filled);
        Ok(())
    }
}
