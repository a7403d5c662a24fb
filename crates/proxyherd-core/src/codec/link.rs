//! Frames between servers: length (2 bytes, little endian, of the body), type, flags, body.
//!
//! Numbers are little endian; texts and lists carry their length, which is checked against the bytes that are
//! left before anything is allocated. A frame of an unknown type is skipped if its flag [`OPTIONAL`] is set and
//! breaks the link otherwise. Origins are long and few, so a link names each by an ORIGIN frame and then uses its index
//! (`numbering`). Here are what all frames have in common and the smallest ones; the others are in `hello`, `covered`,
//! `record`, `check` and `tree`. What frames mean is known in `flood` and `link`.

use super::{
    check::{self, BRANCHES, Branches, CHECK, Check, LEAVES, Leaves},
    covered::{MARKER, ORIGIN, VECTOR, decode_covered, decode_origin},
    hello::{HELLO, REFUSAL, decode_hello, decode_refusal},
    numbering::Numbering,
    record::{RECORD, decode_record},
    tree::{self, GRAFT, IHAVE, ONCE, PRUNE, STATE},
};
pub use super::{
    covered::Covered,
    hello::{Hello, may_be_hello},
};
use crate::types::{LinkState, Origin, Record};

/// Flag: a receiver that does not know the type skips the frame.
pub const OPTIONAL: u8 = 0b1000_0000;

pub(super) const HEADER_LEN: usize = 4;
const HEARTBEAT: u8 = 7;
/// From here on the types of version 2.
const OFFSET: u8 = 8;
/// Optional in every version.
const NAMESAKE: u8 = 32;

/// One frame, borrowed from the receive buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// See [`Hello`].
    Hello(Hello),
    /// The accepting end will not have the link, and why.
    Refusal(&'a str),
    /// How far each origin is covered in one shard of the sender, when the link comes up.
    Vector(Covered<'a>),
    /// From here on, `index` stands for this origin in frames of this direction, and no higher index means anything.
    Origin {
        /// The index.
        index: u16,
        /// The origin.
        origin: Origin,
    },
    /// A record that the receiver may lack.
    Record {
        /// Its origin, by index.
        origin: u16,
        /// Its place in the origin's sequence.
        seq: u64,
        /// The record.
        record: Record<'a>,
    },
    /// All updates up to these have been sent.
    Marker(Covered<'a>),
    /// The link is alive; the sender's clock, POSIX time in nanoseconds.
    Heartbeat(u64),
    /// By how much at least the receiver's clock is ahead of the sender's, nanoseconds, as far as heartbeats show.
    Offset(i64),
    /// See [`Check`].
    Check(Check),
    /// See [`Branches`].
    Branches(Branches<'a>),
    /// See [`Leaves`].
    Leaves(Leaves<'a>),
    /// What a server says of its links.
    State(LinkState),
    /// How far origins are covered at the sender, which does not tell of changes.
    Ihave(Covered<'a>),
    /// How far origins are covered at the sender, which wants to be told what is above.
    Graft {
        /// How far.
        covered: Covered<'a>,
        /// Only until all is told that is lacking now.
        is_once: bool,
    },
    /// The sender does not want to be told of changes.
    Prune,
    /// Another process runs under the receiver's name and also dials the sender; this is its incarnation.
    Namesake(u64),
    /// A type that this version does not know and need not.
    Skipped,
}

/// Why bytes are no frame. The link that brought them is closed; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The body ends before its values do, or goes on after them.
    #[error("a {0} frame has the wrong length")]
    Length(&'static str),
    /// A value is out of its range.
    #[error("a {0} frame holds an impossible value")]
    Value(&'static str),
    /// A type that is not optional.
    #[error("a frame has the unknown type {0}; the neighbor may be newer than the version it agreed to")]
    UnknownType(u8),
    /// The first frame does not begin as HELLO does.
    #[error("the other end is no server of a herd: it did not say HELLO")]
    NoHerd,
}

/// Reads the frame at the front of `bytes`, and says how many bytes it takes. `None`: more bytes are needed.
pub fn decode(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some(Raw { kind, flags, body, end }) = Raw::split(bytes) else { return Ok(None) };
    let mut reader = Reader::new(body);
    let name = name_of(kind);
    let frame = match kind {
        HELLO => decode_hello(&mut reader)?.map(Frame::Hello),
        REFUSAL => decode_refusal(&mut reader).map(Frame::Refusal),
        VECTOR => decode_covered(&mut reader).map(Frame::Vector),
        ORIGIN => decode_origin(&mut reader)?.map(|(index, origin)| Frame::Origin { index, origin }),
        RECORD => decode_record(&mut reader, flags)?.map(|(origin, seq, record)| Frame::Record {
            origin,
            seq,
            record,
        }),
        MARKER => decode_covered(&mut reader).map(Frame::Marker),
        HEARTBEAT => reader.u64().map(Frame::Heartbeat),
        OFFSET => reader.u64().map(|offset_ns| Frame::Offset(offset_ns.cast_signed())),
        CHECK => check::decode_check(&mut reader).map(Frame::Check),
        BRANCHES => check::decode_branches(&mut reader)?.map(Frame::Branches),
        LEAVES => check::decode_leaves(&mut reader)?.map(Frame::Leaves),
        STATE => tree::decode_state(&mut reader)?.map(Frame::State),
        IHAVE => decode_covered(&mut reader).map(Frame::Ihave),
        GRAFT => {
            decode_covered(&mut reader).map(|covered| Frame::Graft { covered, is_once: flags & ONCE != 0 })
        }
        PRUNE => Some(Frame::Prune),
        NAMESAKE => reader.u64().map(Frame::Namesake),
        _ if flags & OPTIONAL != 0 => return Ok(Some((Frame::Skipped, end))),
        unknown => return Err(FrameError::UnknownType(unknown)),
    };
    match frame {
        Some(frame) if reader.is_empty() => Ok(Some((frame, end))),
        _ => Err(FrameError::Length(name)),
    }
}

fn name_of(kind: u8) -> &'static str {
    match kind {
        HELLO => "HELLO",
        REFUSAL => "REFUSAL",
        VECTOR => "VECTOR",
        ORIGIN => "ORIGIN",
        RECORD => "RECORD",
        MARKER => "MARKER",
        HEARTBEAT => "HEARTBEAT",
        OFFSET => "OFFSET",
        CHECK => "CHECK",
        BRANCHES => "BRANCHES",
        LEAVES => "LEAVES",
        STATE => "STATE",
        IHAVE => "IHAVE",
        GRAFT => "GRAFT",
        PRUNE => "PRUNE",
        NAMESAKE => "NAMESAKE",
        _ => "unknown",
    }
}

/// A frame of whatever type, before its body is read.
pub(super) struct Raw<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) body: &'a [u8],
    /// How many bytes it takes, header and all.
    pub(super) end: usize,
}

impl Raw<'_> {
    /// The frame at the front of `bytes`; `None` if it goes on in bytes that have not come yet.
    pub(super) fn split(bytes: &[u8]) -> Option<Raw<'_>> {
        let &[len_low, len_high, kind, flags] = bytes.first_chunk::<HEADER_LEN>()?;
        let end = HEADER_LEN + usize::from(u16::from_le_bytes([len_low, len_high]));
        Some(Raw { kind, flags, body: bytes.get(HEADER_LEN..end)?, end })
    }
}

/// Takes values off the front of a body; `None` where it ends too early.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Reader<'a> {
        Reader { rest: body }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A text with its length in one byte.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let len = self.u8()?;
        std::str::from_utf8(self.take(usize::from(len))?).ok()
    }
}

/// Encodes the frames of one direction of one link, and numbers the origins it names.
#[derive(Debug, Default)]
pub struct Encoder {
    out: Vec<u8>,
    pub(super) numbering: Numbering,
    pub(super) records: u64,
}

impl Encoder {
    /// How many bytes wait to be written.
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

    /// The bytes have been written.
    pub fn clear(&mut self) {
        self.out.clear();
    }

    /// How many records have been encoded since the link came up.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Encodes a heartbeat with the sender's clock, POSIX time in nanoseconds.
    pub fn heartbeat(&mut self, now_ns: u64) {
        self.frame(HEARTBEAT, 0, |out| put_u64(out, now_ns));
    }

    /// Encodes by how much at least the neighbour's clock is ahead, nanoseconds.
    pub fn offset(&mut self, offset_ns: i64) {
        self.frame(OFFSET, 0, |out| put_u64(out, offset_ns.cast_unsigned()));
    }

    /// Encodes that another process runs under the neighbor's name, with that process's incarnation.
    pub fn namesake(&mut self, incarnation: u64) {
        self.frame(NAMESAKE, OPTIONAL, |out| put_u64(out, incarnation));
    }

    pub(super) fn frame(&mut self, kind: u8, flags: u8, write_body: impl FnOnce(&mut Vec<u8>)) {
        let start = self.out.len();
        self.out.extend_from_slice(&[0, 0, kind, flags]);
        write_body(&mut self.out);
        let len = self.out.len() - start - HEADER_LEN;
        let len = u16::try_from(len).expect("every frame's parts are bounded below 64 KiB together");
        self.out[start..start + 2].copy_from_slice(&len.to_le_bytes());
    }
}

pub(super) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).expect("names and reasons are bounded below 256 bytes"));
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{
        Attributes, AttributesBuf, Body, Coordinates, Difference, Kind, ServerName, Timestamp,
    };

    pub(in crate::codec) fn origin(server: &str) -> Origin {
        Origin { server: ServerName::new(server).unwrap(), incarnation: 7 }
    }

    pub(in crate::codec) fn hello() -> Hello {
        Hello {
            lowest: 1,
            highest: 3,
            features: 5,
            herd: "herd-1".into(),
            origin: origin("Riley"),
            shards: 16,
            clock_ns: Some(1_621_464_827_959_498_503),
        }
    }

    pub(in crate::codec) fn record<'a>(key: &'a [u8], attributes: Attributes<'a>) -> Record<'a> {
        let timestamp = Timestamp::parse(b"1621464827.959498503").unwrap();
        let coordinates = Coordinates::parse(b"+34.068930-118.445127").unwrap();
        let difference = Difference::from_nanos(263_873_386, timestamp).unwrap();
        Record {
            kind: Kind::CLIENT,
            key,
            body: Body::Location { coordinates, attributes },
            timestamp,
            difference,
        }
    }

    pub(in crate::codec) fn data(kind: Kind, bytes: &[u8]) -> Record<'_> {
        Record {
            kind,
            body: Body::Data { keep_s: 86_400, bytes },
            ..record(b"day/1/Riley", Attributes::NONE)
        }
    }

    /// One frame of every kind.
    fn every_frame() -> Vec<u8> {
        let mut attributes = AttributesBuf::default();
        attributes.set("note", "on my way").unwrap();
        let mut encoder = Encoder::default();
        encoder.hello(&hello());
        encoder.refusal("another herd");
        let index = encoder.index_of(&origin("Riley")).unwrap();
        encoder.vector(3, &[(index, 9), (index, u64::MAX)]);
        encoder.record(index, 12, &record(b"kiwi", attributes.borrow()));
        encoder.record(index, 13, &Record { body: Body::Gone, ..record(&[0xff; 256], Attributes::NONE) });
        encoder.record(index, 14, &data(Kind(200), b"of a later version"));
        encoder.marker(15, &[(index, 13)]);
        encoder.heartbeat(1_621_464_827_959_498_503);
        encoder.namesake(8);
        encoder.bytes().to_vec()
    }

    /// The frames of `bytes`, and whether they ended cleanly.
    pub(in crate::codec) fn frames(mut bytes: &[u8]) -> (Vec<Frame<'_>>, Result<usize, FrameError>) {
        let mut frames = Vec::new();
        loop {
            match decode(bytes) {
                Ok(Some((frame, len))) => {
                    frames.push(frame);
                    bytes = &bytes[len..];
                }
                Ok(None) => return (frames, Ok(bytes.len())),
                Err(error) => return (frames, Err(error)),
            }
        }
    }

    #[test]
    fn every_frame_comes_back_as_it_went() {
        let bytes = every_frame();
        let mut encoder = Encoder::default();
        assert!(encoder.is_empty() && !encoder.is_exhausted());
        encoder.heartbeat(1);
        assert!(!encoder.is_empty());
        let (frames, end) = frames(&bytes);
        assert_eq!(end, Ok(0));
        assert_eq!(frames.len(), 10);
        assert_eq!(frames[0], Frame::Hello(hello()));
        assert_eq!(frames[1], Frame::Refusal("another herd"));
        assert_eq!(frames[2], Frame::Origin { index: 0, origin: origin("Riley") });
        let Frame::Vector(vector) = &frames[3] else { panic!("{:?}", frames[3]) };
        assert_eq!((vector.shard, vector.iter().collect()), (3, vec![(0, 9), (0, u64::MAX)]));
        let Frame::Record { record: with_note, seq: 12, .. } = &frames[4] else { panic!("{:?}", frames[4]) };
        let Body::Location { attributes, .. } = with_note.body else { panic!("{with_note:?}") };
        assert_eq!(attributes.value("note"), Some("on my way"));
        let Frame::Record { record: gone, .. } = &frames[5] else { panic!("{:?}", frames[5]) };
        assert_eq!((gone.body, gone.key), (Body::Gone, &[0xff; 256][..]));
        let record = data(Kind(200), b"of a later version");
        assert_eq!(frames[6], Frame::Record { origin: 0, seq: 14, record });
        assert_eq!(frames[8], Frame::Heartbeat(1_621_464_827_959_498_503));
        assert_eq!(frames[9], Frame::Namesake(8));
    }

    #[test]
    fn a_stream_cut_at_any_byte_waits_for_the_rest() {
        let bytes = every_frame();
        let (whole, _) = frames(&bytes);
        for cut in 0..bytes.len() {
            let (first, rest) = frames(&bytes[..cut]);
            let rest = rest.expect("a beginning is no error");
            let (second, end) = frames(&bytes[cut - rest..]);
            assert_eq!(end, Ok(0));
            assert_eq!([first, second].concat(), whole);
        }
    }

    #[test]
    fn unknown_frames_are_skipped_only_if_they_are_optional() {
        assert_eq!(decode(&[1, 0, 99, OPTIONAL, 42]), Ok(Some((Frame::Skipped, 5))));
        assert_eq!(decode(&[1, 0, 99, 0, 42]), Err(FrameError::UnknownType(99)));
    }

    #[test]
    fn a_frame_that_is_wrong_is_told_by_its_name() {
        let names = [
            (VECTOR, "VECTOR"),
            (ORIGIN, "ORIGIN"),
            (RECORD, "RECORD"),
            (MARKER, "MARKER"),
            (HEARTBEAT, "HEARTBEAT"),
            (OFFSET, "OFFSET"),
            (CHECK, "CHECK"),
            (BRANCHES, "BRANCHES"),
            (LEAVES, "LEAVES"),
            (STATE, "STATE"),
            (IHAVE, "IHAVE"),
            (GRAFT, "GRAFT"),
            (PRUNE, "PRUNE"),
            (NAMESAKE, "NAMESAKE"),
        ];
        for (kind, name) in names {
            assert_eq!(decode(&[1, 0, kind, 0, 0xff]), Err(FrameError::Length(name)));
        }
        assert_eq!([name_of(HELLO), name_of(REFUSAL)], ["HELLO", "REFUSAL"]);
    }

    #[test]
    fn a_body_of_the_wrong_length_is_an_error() {
        assert_eq!(decode(&[1, 0, HEARTBEAT, 0, 42]), Err(FrameError::Length("HEARTBEAT")));
        assert_eq!(
            decode(&[9, 0, HEARTBEAT, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
            Err(FrameError::Length("HEARTBEAT"))
        );
        assert_eq!(decode(&[3, 0, MARKER, 0, 0, 0xff, 0xff]), Err(FrameError::Length("MARKER")));
        assert_eq!(decode(&[4, 0, HELLO, 0, b'H', b'T', b'T', b'P']), Err(FrameError::NoHerd));
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u8..20) {
            let _ = decode(&bytes);
            let mut framed = vec![bytes.len() as u8, 0, kind, 0];
            framed.extend_from_slice(&bytes);
            if let Ok(Some((frame, len))) = decode(&framed) {
                prop_assert_eq!(len, framed.len());
                if let Frame::Record { origin, seq, record } = frame {
                    let mut encoder = Encoder::default();
                    encoder.record(origin, seq, &record);
                    let again = decode(encoder.bytes()).unwrap().unwrap().0;
                    prop_assert_eq!(again, Frame::Record { origin, seq, record });
                }
            }
        }

        #[test]
        fn a_flipped_bit_is_a_frame_or_an_error(at in 0usize..400, bit in 0u8..8) {
            let mut bytes = every_frame();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = frames(&bytes);
        }
    }
}
