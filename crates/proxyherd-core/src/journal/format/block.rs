//! The header of a block, and the checksums.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{BLOCK_LEN_MAX, FileName, NO_SHARD, array};
use crate::limits::SHARDS;

/// The first bytes of every block. They have no meaning; a reader searches for them behind damage.
pub(in crate::journal) const BLOCK_MAGIC: [u8; 4] = [0x9e, b'P', b'H', 0xb1];
/// The number of bytes of a block's header.
pub(in crate::journal) const BLOCK_HEADER_LEN: usize = 36;

const SHARD_AT: usize = 4;
const LEN_AT: usize = 8;
const SYNCED_AT: usize = 12;
const PAYLOAD_CHECKSUM_AT: usize = 20;
const CHECKSUM_AT: usize = 28;

/// The header of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::journal) struct BlockHeader {
    /// The shard of all entries, or [`NO_SHARD`].
    pub(in crate::journal) shard: u8,
    /// The number of bytes of the entries, at most [`BLOCK_LEN_MAX`].
    pub(in crate::journal) len: usize,
    /// The number of bytes of the file that were durable when the block was made. So bytes before this offset are
    /// damaged if they are wrong, and not torn by a crash.
    pub(in crate::journal) synced: u64,
    payload_checksum: u64,
}

/// The seed of the checksums of the block at an offset of a file.
fn seed(file: FileName, salt: u64, offset: u64) -> u64 {
    let mut place = [0; 17];
    place[..8].copy_from_slice(&file.number().to_le_bytes());
    place[8..16].copy_from_slice(&offset.to_le_bytes());
    place[16] = match file {
        FileName::Segment { .. } => NO_SHARD,
        FileName::Snapshot { shard, .. } => shard,
    };
    xxh3_64_with_seed(&place, salt)
}

impl BlockHeader {
    /// The header of a block with these entries.
    pub(in crate::journal) fn encode(
        file: FileName,
        salt: u64,
        offset: u64,
        (shard, synced): (u8, u64),
        payload: &[u8],
    ) -> [u8; BLOCK_HEADER_LEN] {
        assert!(payload.len() <= BLOCK_LEN_MAX, "a block ends soon enough");
        let seed = seed(file, salt, offset);
        let mut header = [0; BLOCK_HEADER_LEN];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &BLOCK_MAGIC);
        put(SHARD_AT, &[shard]);
        put(LEN_AT, &(payload.len() as u32).to_le_bytes());
        put(SYNCED_AT, &synced.to_le_bytes());
        put(PAYLOAD_CHECKSUM_AT, &xxh3_64_with_seed(payload, seed).to_le_bytes());
        let checksum = xxh3_64_with_seed(&header[..CHECKSUM_AT], seed);
        header[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    /// Reads the header of the block at an offset of a file. `None`: no block begins there.
    pub(in crate::journal) fn decode(
        file: FileName,
        salt: u64,
        offset: u64,
        bytes: &[u8],
    ) -> Option<BlockHeader> {
        let header: &[u8; BLOCK_HEADER_LEN] = bytes.first_chunk()?;
        let checksum = u64::from_le_bytes(array(header, CHECKSUM_AT)?);
        let is_intact = header[..BLOCK_MAGIC.len()] == BLOCK_MAGIC
            && xxh3_64_with_seed(&header[..CHECKSUM_AT], seed(file, salt, offset)) == checksum;
        let shard = header[SHARD_AT];
        let is_shard = shard == NO_SHARD || usize::from(shard) < SHARDS;
        let len = u32::from_le_bytes(array(header, LEN_AT)?) as usize;
        let is_plain = header[SHARD_AT + 1..LEN_AT] == [0; 3];
        (is_intact && is_shard && is_plain && len <= BLOCK_LEN_MAX).then_some(BlockHeader {
            shard,
            len,
            synced: u64::from_le_bytes(array(header, SYNCED_AT)?),
            payload_checksum: u64::from_le_bytes(array(header, PAYLOAD_CHECKSUM_AT)?),
        })
    }

    /// Whether these are the entries of the block.
    pub(in crate::journal) fn fits(&self, file: FileName, salt: u64, offset: u64, payload: &[u8]) -> bool {
        payload.len() == self.len
            && xxh3_64_with_seed(payload, seed(file, salt, offset)) == self.payload_checksum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileName = FileName::Segment { number: 3 };

    #[test]
    fn a_block_is_valid_only_where_it_was_written() {
        let header = BlockHeader::encode(FILE, 42, 512, (7, 100), b"entries");
        let block = BlockHeader::decode(FILE, 42, 512, &header).unwrap();
        assert_eq!((block.shard, block.len, block.synced), (7, 7, 100));
        assert!(block.fits(FILE, 42, 512, b"entries"));
        assert!(!block.fits(FILE, 42, 512, b"Entries"));
        let snapshot = FileName::Snapshot { shard: 7, number: 3 };
        for (file, salt, offset) in [
            (FILE, 42, 513),
            (FILE, 43, 512),
            (FileName::Segment { number: 4 }, 42, 512),
            (snapshot, 42, 512),
        ] {
            assert_eq!(BlockHeader::decode(file, salt, offset, &header), None);
        }
    }

    #[test]
    fn a_flipped_byte_of_a_header_is_found() {
        for at in 0..BLOCK_HEADER_LEN {
            let mut header = BlockHeader::encode(FILE, 42, 512, (NO_SHARD, 0), b"entries");
            header[at] ^= 1;
            assert_eq!(BlockHeader::decode(FILE, 42, 512, &header), None, "{at}");
        }
    }
}
