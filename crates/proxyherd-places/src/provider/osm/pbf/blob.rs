//! Unpacks blobs: [`unpack`] returns the content of a blob. This module does not know what the content means.

use std::iter;

use miniz_oxide::inflate::decompress_slice_iter_to_slice;

use super::frame::BLOB_LEN_MAX;
use super::message::{Damage, pick};
use crate::contained::contained;

/// Maximum number of bytes that zlib can unpack from one packed byte.
const ZLIB_RATIO_MAX: usize = 1032;

/// Why a blob cannot be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider::osm) enum BlobError {
    /// The blob violates the format.
    Damaged(Damage),
    /// The blob has a compression that the format allows and this program does not support.
    Compression(&'static str),
}

impl From<Damage> for BlobError {
    fn from(damage: Damage) -> BlobError {
        BlobError::Damaged(damage)
    }
}

/// Returns the content of a blob. A compressed blob is unpacked into `buffer`, which grows if it is too short.
pub(in crate::provider::osm) fn unpack<'a>(
    blob: &'a [u8],
    buffer: &'a mut Vec<u8>,
) -> Result<&'a [u8], BlobError> {
    let [raw, len, zlib, lzma, bzip2, lz4, zstd] = pick(blob, [1, 2, 3, 4, 5, 6, 7])?;
    let len = len.map(said_len).transpose()?;
    if let Some(raw) = raw {
        let raw = raw.bytes()?;
        let is_right = raw.len() <= BLOB_LEN_MAX && len.is_none_or(|len| len == raw.len());
        return if is_right { Ok(raw) } else { Err(WRONG_LEN.into()) };
    }
    let Some(zlib) = zlib else {
        let packed = [(lzma, "LZMA"), (bzip2, "bzip2"), (lz4, "LZ4"), (zstd, "Zstandard")];
        let compression = packed.into_iter().find_map(|(bytes, name)| bytes.map(|_| name));
        return Err(compression.map_or(Damage("it is empty").into(), BlobError::Compression));
    };
    let len = len.ok_or(Damage("it does not say how long it is when it is unpacked"))?;
    Ok(inflate(zlib.bytes()?, len, buffer)?)
}

const WRONG_LEN: Damage = Damage("it is not as long as it says");

fn said_len(value: super::message::Value<'_>) -> Result<usize, Damage> {
    // In this unsigned number a negative length appears as a huge number.
    usize::try_from(value.number()?).ok().filter(|&len| len <= BLOB_LEN_MAX).ok_or(WRONG_LEN)
}

fn inflate<'a>(zlib: &[u8], len: usize, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], Damage> {
    if len > zlib.len().saturating_mul(ZLIB_RATIO_MAX) {
        return Err(WRONG_LEN);
    }
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    let out = &mut buffer[..len];
    let unpacked = contained(|| decompress_slice_iter_to_slice(out, iter::once(zlib), true, false));
    match unpacked {
        Some(Ok(unpacked)) if unpacked == len => Ok(&buffer[..len]),
        Some(Ok(_)) => Err(WRONG_LEN),
        _ => Err(Damage("it cannot be unpacked, or not into as many bytes as it says")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::writing::{bytes_field, number_field, zlib_blob};
    use super::*;

    fn content(blob: &[u8]) -> Result<Vec<u8>, BlobError> {
        unpack(blob, &mut vec![7; 3]).map(<[u8]>::to_vec)
    }

    #[test]
    fn a_blob_is_unpacked_whether_it_is_packed_or_not() {
        assert_eq!(content(&bytes_field(1, b"abc")), Ok(b"abc".to_vec()));
        assert_eq!(content(&[number_field(2, 3), bytes_field(1, b"abc")].concat()), Ok(b"abc".to_vec()));
        let long = b"abcdefgh".repeat(1000);
        assert_eq!(content(&zlib_blob(&long, long.len() as u64)), Ok(long));
        assert_eq!(content(&zlib_blob(b"", 0)), Ok(Vec::new()));
    }

    #[test]
    fn a_wrong_length_is_damage_and_so_is_a_changed_byte() {
        let long = b"abcdefgh".repeat(1000);
        for len in [0, 7999, 8001, 1 << 24, 1 << 31, u64::MAX] {
            assert!(matches!(content(&zlib_blob(&long, len)), Err(BlobError::Damaged(_))), "{len}");
        }
        let raw = [number_field(2, 4), bytes_field(1, b"abc")].concat();
        assert_eq!(content(&raw), Err(WRONG_LEN.into()));
        let mut blob = zlib_blob(&long, 8000);
        let last = blob.len() - 1;
        blob[last] ^= 1;
        assert!(matches!(content(&blob), Err(BlobError::Damaged(_))));
        assert!(matches!(content(&bytes_field(3, b"")), Err(BlobError::Damaged(_))));
        assert!(matches!(content(b""), Err(BlobError::Damaged(_))));
    }

    #[test]
    fn a_claimed_length_reserves_nothing() {
        let mut buffer = Vec::new();
        let blob = [number_field(2, 1 << 24), bytes_field(3, b"few")].concat();
        assert!(unpack(&blob, &mut buffer).is_err());
        assert_eq!(buffer.capacity(), 0);
    }

    #[test]
    fn other_compressions_are_named() {
        for (field, name) in [(4, "LZMA"), (5, "bzip2"), (6, "LZ4"), (7, "Zstandard")] {
            let blob = [number_field(2, 3), bytes_field(field, b"abc")].concat();
            assert_eq!(content(&blob), Err(BlobError::Compression(name)));
        }
    }
}
