//! The header at the front of each file, which is there twice, so that a damaged copy costs nothing.
//!
//! The magic, the version and the checksum have the same places in every version of the format. So each version can
//! tell damage from a version that it does not know.

use xxhash_rust::xxh3::xxh3_64;

use super::{FileName, NO_SHARD, array};
use crate::{journal::StoreIdentity, limits::HERD_ID_LEN_MAX, types::ServerName};

/// The version of the format that this program writes, and the only one that it reads.
const VERSION: u16 = 1;
const MAGIC: [u8; 8] = *b"phstore\n";

/// The number of bytes of one copy.
const COPY_LEN: usize = 256;
/// The number of bytes of both copies.
pub(in crate::journal) const FILE_HEADERS_LEN: usize = 2 * COPY_LEN;

const VERSION_AT: usize = 8;
const KIND_AT: usize = 10;
const SHARD_AT: usize = 11;
const FLAGS_AT: usize = 12;
const NUMBER_AT: usize = 16;
const SALT_AT: usize = 24;
const HERD_AT: usize = 32;
const SERVER_AT: usize = HERD_AT + 1 + HERD_ID_LEN_MAX;
const CHECKSUM_AT: usize = COPY_LEN - 8;

const SEGMENT: u8 = 1;
const SNAPSHOT: u8 = 2;
/// Flag: the segment is the first one that a process has written.
const FIRST: u8 = 1;

/// The header of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::journal) struct FileHeader {
    pub(in crate::journal) identity: StoreIdentity,
    /// Which file it is.
    pub(in crate::journal) file: FileName,
    /// The random number of the process that has written the file. The checksums of the file's blocks depend on it.
    pub(in crate::journal) salt: u64,
    /// Whether the file is the first segment of the process that has written it. The segment before it may end with
    /// bytes that a crash has torn.
    pub(in crate::journal) is_first: bool,
}

/// Why a copy is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::journal) enum BadHeader {
    /// The bytes are not what was written.
    Damaged,
    /// The file has this version of the format, which is newer than this program.
    Newer(u16),
}

impl FileHeader {
    /// The bytes at the front of the file.
    pub(in crate::journal) fn encode(&self) -> [u8; FILE_HEADERS_LEN] {
        let copy = self.encode_copy();
        let mut both = [0; FILE_HEADERS_LEN];
        both[..COPY_LEN].copy_from_slice(&copy);
        both[COPY_LEN..].copy_from_slice(&copy);
        both
    }

    fn encode_copy(&self) -> [u8; COPY_LEN] {
        let mut copy = [0; COPY_LEN];
        let mut put = |at: usize, bytes: &[u8]| copy[at..at + bytes.len()].copy_from_slice(bytes);
        let (kind, shard) = match self.file {
            FileName::Segment { .. } => (SEGMENT, NO_SHARD),
            FileName::Snapshot { shard, .. } => (SNAPSHOT, shard),
        };
        put(0, &MAGIC);
        put(VERSION_AT, &VERSION.to_le_bytes());
        put(KIND_AT, &[kind, shard, if self.is_first { FIRST } else { 0 }]);
        put(NUMBER_AT, &self.file.number().to_le_bytes());
        put(SALT_AT, &self.salt.to_le_bytes());
        for (at, text) in [(HERD_AT, self.identity.herd.as_str()), (SERVER_AT, self.identity.server.as_str())]
        {
            put(at, &[u8::try_from(text.len()).expect("herd IDs and names have at most 64 bytes")]);
            put(at + 1, text.as_bytes());
        }
        let checksum = xxh3_64(&copy[..CHECKSUM_AT]);
        copy[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        copy
    }

    /// Reads the header off the front of a file, and returns for each copy whether it is intact.
    pub(in crate::journal) fn decode(bytes: &[u8]) -> Result<(FileHeader, [bool; 2]), BadHeader> {
        let copies = [0, COPY_LEN].map(|at| FileHeader::decode_copy(bytes.get(at..).unwrap_or_default()));
        let intact = [0, 1].map(|at| copies[at].is_ok());
        let newer = copies.iter().find_map(|copy| match copy {
            Err(BadHeader::Newer(version)) => Some(*version),
            _ => None,
        });
        let header = copies.into_iter().find_map(Result::ok);
        let bad = newer.map_or(BadHeader::Damaged, BadHeader::Newer);
        header.map(|header| (header, intact)).ok_or(bad)
    }

    /// The length of each copy, bytes.
    pub(in crate::journal) const COPY_LEN: usize = COPY_LEN;

    fn decode_copy(bytes: &[u8]) -> Result<FileHeader, BadHeader> {
        let copy: &[u8; COPY_LEN] = bytes.first_chunk().ok_or(BadHeader::Damaged)?;
        let checksum = u64::from_le_bytes(array(copy, CHECKSUM_AT).ok_or(BadHeader::Damaged)?);
        if copy[..MAGIC.len()] != MAGIC || xxh3_64(&copy[..CHECKSUM_AT]) != checksum {
            return Err(BadHeader::Damaged);
        }
        let version = u16::from_le_bytes([copy[VERSION_AT], copy[VERSION_AT + 1]]);
        if version > VERSION {
            return Err(BadHeader::Newer(version));
        }
        let header = FileHeader::decode_fields(copy).ok_or(BadHeader::Damaged)?;
        // Every byte has one meaning, so that nothing is lost when a file is written again.
        if header.encode_copy() == *copy { Ok(header) } else { Err(BadHeader::Damaged) }
    }

    fn decode_fields(copy: &[u8; COPY_LEN]) -> Option<FileHeader> {
        let text = |at: usize| {
            let end = at + 1 + usize::from(copy[at]);
            std::str::from_utf8(copy.get(at + 1..end)?).ok()
        };
        let herd = text(HERD_AT).filter(|herd| herd.len() <= HERD_ID_LEN_MAX)?;
        let server = ServerName::new(text(SERVER_AT)?).ok()?;
        let number = u64::from_le_bytes(array(copy, NUMBER_AT)?);
        let file = match (copy[KIND_AT], copy[SHARD_AT]) {
            (SEGMENT, NO_SHARD) => FileName::Segment { number },
            (SNAPSHOT, shard) => FileName::Snapshot { shard, number },
            _ => return None,
        };
        Some(FileHeader {
            identity: StoreIdentity { herd: herd.to_owned(), server },
            file,
            salt: u64::from_le_bytes(array(copy, SALT_AT)?),
            is_first: copy[FLAGS_AT] == FIRST,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FileHeader {
        FileHeader {
            identity: StoreIdentity { herd: "herd-1".into(), server: ServerName::new("Riley").unwrap() },
            file: FileName::Segment { number: 7 },
            salt: 42,
            is_first: true,
        }
    }

    #[test]
    fn headers_come_back_as_they_went() {
        let longest = StoreIdentity {
            herd: "h".repeat(HERD_ID_LEN_MAX),
            server: ServerName::new(&"s".repeat(64)).unwrap(),
        };
        for header in [
            header(),
            FileHeader { is_first: false, ..header() },
            FileHeader { identity: longest, file: FileName::Snapshot { shard: 15, number: 1 }, ..header() },
        ] {
            assert_eq!(FileHeader::decode(&header.encode()), Ok((header.clone(), [true; 2])));
        }
    }

    #[test]
    fn a_flipped_byte_damages_one_copy_and_the_other_one_counts() {
        for at in 0..FILE_HEADERS_LEN {
            let mut bytes = header().encode();
            bytes[at] ^= 0x10;
            let intact = [at >= COPY_LEN, at < COPY_LEN];
            assert_eq!(FileHeader::decode(&bytes), Ok((header(), intact)), "{at}");
            bytes[(at + COPY_LEN) % FILE_HEADERS_LEN] ^= 1;
            assert_eq!(FileHeader::decode(&bytes), Err(BadHeader::Damaged), "{at}");
        }
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let mut bytes = header().encode();
        for copy in bytes.chunks_mut(COPY_LEN) {
            copy[VERSION_AT] = 2;
            copy[100] = 0xff;
            let checksum = xxh3_64(&copy[..CHECKSUM_AT]);
            copy[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        }
        assert_eq!(FileHeader::decode(&bytes), Err(BadHeader::Newer(2)));
        bytes[CHECKSUM_AT] ^= 1;
        assert_eq!(FileHeader::decode(&bytes), Err(BadHeader::Newer(2)));
    }
}
