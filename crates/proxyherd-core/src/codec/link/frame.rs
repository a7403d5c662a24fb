//! What all frames between servers have in common: length (2 bytes, little endian, of the body), type, flags, body.
//!
//! [`Encoder`] writes frames, [`RawFrame`] finds the next frame, and [`BodyReader`] reads values off a frame's body.
//! Numbers are little endian. Texts and lists carry their length, which is checked against the remaining bytes before
//! anything is allocated. This module knows no type of frame. Each type has its numbers, its values and its methods of
//! [`Encoder`] in a file of its own, and `link` knows all types.

use super::numbering::Numbering;

/// Flag: a receiver that does not know the type of the frame skips the frame.
pub const OPTIONAL: u8 = 0b1000_0000;

pub(super) const HEADER_LEN: usize = 4;

/// Why bytes are not a valid frame. The link that brought the bytes is closed; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The body ends before its values end, or has bytes behind them.
    #[error("a {0} frame has the wrong length")]
    Length(&'static str),
    /// A value is out of its range.
    #[error("a {0} frame holds an impossible value")]
    Value(&'static str),
    /// The type is unknown, and the frame is not optional.
    #[error("a frame has the unknown type {0}; the neighbor may be newer than the version it agreed to")]
    UnknownType(u8),
    /// The first frame does not begin like HELLO.
    #[error("the other end is not a server of a herd: it did not say HELLO")]
    NoHerd,
}

/// A frame of any type, before its body is read.
pub(crate) struct RawFrame<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) body: &'a [u8],
    /// The number of bytes of the frame, including the header.
    pub(crate) end: usize,
}

impl RawFrame<'_> {
    /// The frame at the front of `bytes`. `None` if some of its bytes have not come yet.
    pub(crate) fn split(bytes: &[u8]) -> Option<RawFrame<'_>> {
        let &[len_low, len_high, kind, flags] = bytes.first_chunk::<HEADER_LEN>()?;
        let end = HEADER_LEN + usize::from(u16::from_le_bytes([len_low, len_high]));
        Some(RawFrame { kind, flags, body: bytes.get(HEADER_LEN..end)?, end })
    }
}

/// Reads values off the front of a body. Each method returns `None` if the body ends too early.
pub(crate) struct BodyReader<'a> {
    rest: &'a [u8],
}

impl<'a> BodyReader<'a> {
    pub(crate) fn new(body: &'a [u8]) -> BodyReader<'a> {
        BodyReader { rest: body }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes that are left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A text with its length in one byte.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let len = self.u8()?;
        std::str::from_utf8(self.take(usize::from(len))?).ok()
    }
}

/// Encodes the frames of one direction of one link, and numbers the origins that they name.
#[derive(Debug, Default)]
pub struct Encoder {
    out: Vec<u8>,
    pub(super) version: u16,
    pub(super) numbering: Numbering,
    pub(super) records: u64,
}

impl Encoder {
    /// The number of bytes that wait to be written.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether no bytes wait to be written.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The bytes to write.
    pub fn bytes(&self) -> &[u8] {
        &self.out
    }

    /// Notes that the bytes have been written.
    pub fn clear(&mut self) {
        self.out.clear();
    }

    /// The number of records that have been encoded since the link came up.
    pub fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn frame(&mut self, kind: u8, flags: u8, write_body: impl FnOnce(&mut Vec<u8>)) {
        put_frame(&mut self.out, kind, flags, write_body);
    }
}

/// Appends a frame with the body that `write_body` appends.
#[inline]
pub(crate) fn put_frame(out: &mut Vec<u8>, kind: u8, flags: u8, write_body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, kind, flags]);
    write_body(out);
    let len = out.len() - start - HEADER_LEN;
    let len = u16::try_from(len).expect("all parts of a frame together are shorter than 64 KiB");
    out[start..start + 2].copy_from_slice(&len.to_le_bytes());
}

pub(crate) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).expect("names and reasons are shorter than 256 bytes"));
    out.extend_from_slice(text.as_bytes());
}
