//! Frames between servers: length (2 bytes, little endian, of the body), type, flags, body.
//!
//! Numbers are little endian; texts and lists carry their length, which is checked against the bytes that are
//! left before anything is allocated. A frame of an unknown type is skipped if its flag [`OPTIONAL`] is set and
//! breaks the link otherwise. Origins are long and few, so a link names each by an ORIGIN frame and then uses its index
//! (`numbering`). What frames mean is known in `flood` and `link`, not here.

use super::{
    check::{self, BRANCHES, Branches, CHECK, Check, LEAVES, Leaves},
    numbering::Numbering,
    tree::{self, GRAFT, IHAVE, ONCE, PRUNE, STATE},
};
use crate::{
    limits::{DATA_LEN_MAX, FRAME_BODY_LEN_MAX, HERD_ID_LEN_MAX, REFUSAL_LEN_MAX},
    types::{
        Attributes, Body, ClientId, Coordinates, Decimal, Difference, Kind, LinkState, Origin, Record,
        ServerName, Timestamp,
    },
};

/// The first bytes of HELLO's body: whoever sends something else is no server of a herd.
const MAGIC: [u8; 4] = *b"HERD";
/// Flag: a receiver that does not know the type skips the frame.
pub const OPTIONAL: u8 = 0b1000_0000;
/// Flag of RECORD: a tombstone; coordinates and attributes are absent.
const GONE: u8 = 0b0000_0001;
/// Flag of RECORD: in the place of coordinates and attributes stand how long it is kept, and data. Every record that
/// is not about a client has this flag or the other.
const DATA: u8 = 0b0000_0010;

const HEADER_LEN: usize = 4;
const HELLO: u8 = 1;
const REFUSAL: u8 = 2;
const VECTOR: u8 = 3;
const ORIGIN: u8 = 4;
const RECORD: u8 = 5;
const MARKER: u8 = 6;
const HEARTBEAT: u8 = 7;
/// From here on the types of version 2.
const OFFSET: u8 = 8;
/// Optional in every version.
const NAMESAKE: u8 = 32;

/// Bytes of one entry of a vector or marker: index and sequence.
const COVERED_LEN: usize = 2 + 8;
/// Most entries in one frame: shard, count, entries.
const COVERED_COUNT_MAX: usize = (FRAME_BODY_LEN_MAX - 3) / COVERED_LEN;

/// The first frame in each direction: who speaks, and what it can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Lowest version of the link protocol it speaks.
    pub lowest: u16,
    /// Highest version it speaks. The accepting end answers with the chosen one in both.
    pub highest: u16,
    /// Optional features, one bit each; used where both ends have them.
    pub features: u64,
    /// Which herd.
    pub herd: String,
    /// Which server, and which life of it.
    pub origin: Origin,
    /// Into how many shards it cuts its map.
    pub shards: u8,
    /// Its clock, POSIX time in nanoseconds; version 1 does not say.
    pub clock_ns: Option<u64>,
}

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

/// Entries of a vector or marker of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered<'a> {
    /// The shard.
    pub shard: u8,
    entries: &'a [u8],
}

impl Covered<'_> {
    /// Most entries in one frame.
    pub const COUNT_MAX: usize = COVERED_COUNT_MAX;

    /// Index of an origin, and up to which sequence it is covered.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> {
        let (entries, _) = self.entries.as_chunks::<COVERED_LEN>();
        entries.iter().map(|entry| {
            let mut reader = Reader { rest: entry };
            (reader.u16().expect("ten bytes hold it"), reader.u64().expect("ten bytes hold it"))
        })
    }
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
    let Some(&[len_low, len_high, kind, flags]) = bytes.first_chunk::<HEADER_LEN>() else { return Ok(None) };
    let end = HEADER_LEN + usize::from(u16::from_le_bytes([len_low, len_high]));
    let Some(body) = bytes.get(HEADER_LEN..end) else { return Ok(None) };
    let mut reader = Reader { rest: body };
    let name = name_of(kind);
    let frame = match kind {
        HELLO => decode_hello(&mut reader)?,
        REFUSAL => decode_refusal(&mut reader),
        VECTOR => decode_covered(&mut reader).map(Frame::Vector),
        ORIGIN => decode_origin(&mut reader)?,
        RECORD => decode_record(&mut reader, flags)?,
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
        Some(frame) if reader.rest.is_empty() => Ok(Some((frame, end))),
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

/// Whether these could be the first bytes of a server of a herd; so far as they go.
pub fn may_be_hello(bytes: &[u8]) -> bool {
    let head = bytes.get(HEADER_LEN..).unwrap_or_default();
    bytes.get(2).is_none_or(|&kind| kind == HELLO || kind == REFUSAL)
        && (bytes.get(2) == Some(&REFUSAL) || head.iter().zip(&MAGIC).all(|(byte, magic)| byte == magic))
}

fn decode_hello<'a>(reader: &mut Reader<'a>) -> Result<Option<Frame<'a>>, FrameError> {
    if reader.take(MAGIC.len()) != Some(&MAGIC) {
        return Err(FrameError::NoHerd);
    }
    let mut read = || {
        let (lowest, highest, features) = (reader.u16()?, reader.u16()?, reader.u64()?);
        let herd = reader.text()?;
        let (server, incarnation) = (reader.text()?, reader.u64()?);
        let shards = reader.u8()?;
        let clock_ns = reader.u64();
        // Later versions may say more; this one has read what it knows.
        reader.rest = &[];
        Some((lowest, highest, features, herd, server, incarnation, shards, clock_ns))
    };
    let Some((lowest, highest, features, herd, server, incarnation, shards, clock_ns)) = read() else {
        return Ok(None);
    };
    if herd.len() > HERD_ID_LEN_MAX {
        return Err(FrameError::Value("HELLO"));
    }
    let server = ServerName::new(server).map_err(|_| FrameError::Value("HELLO"))?;
    let origin = Origin { server, incarnation };
    let herd = herd.to_owned();
    Ok(Some(Frame::Hello(Hello { lowest, highest, features, herd, origin, shards, clock_ns })))
}

fn decode_refusal<'a>(reader: &mut Reader<'a>) -> Option<Frame<'a>> {
    let reason = reader.text()?;
    Some(Frame::Refusal(reason))
}

fn decode_covered<'a>(reader: &mut Reader<'a>) -> Option<Covered<'a>> {
    let shard = reader.u8()?;
    let count = usize::from(reader.u16()?);
    Some(Covered { shard, entries: reader.take(count * COVERED_LEN)? })
}

fn decode_origin<'a>(reader: &mut Reader<'a>) -> Result<Option<Frame<'a>>, FrameError> {
    let mut read = || Some((reader.u16()?, reader.text()?, reader.u64()?));
    let Some((index, server, incarnation)) = read() else { return Ok(None) };
    let server = ServerName::new(server).map_err(|_| FrameError::Value("ORIGIN"))?;
    Ok(Some(Frame::Origin { index, origin: Origin { server, incarnation } }))
}

fn decode_record<'a>(reader: &mut Reader<'a>, flags: u8) -> Result<Option<Frame<'a>>, FrameError> {
    let broken = FrameError::Value("RECORD");
    let mut head = || {
        let (origin, seq, kind) = (reader.u16()?, reader.u64()?, reader.u8()?);
        let (nanos, shape, difference) = (reader.u64()?, reader.u8()?, reader.u64()?.cast_signed());
        let key_len = usize::from(reader.u16()?);
        Some((origin, seq, kind, nanos, shape, difference, reader.take(key_len)?))
    };
    let Some((origin, seq, kind, nanos, shape, difference, key)) = head() else { return Ok(None) };
    let has_place = flags & (GONE | DATA) == 0;
    let is_client = Kind(kind) == Kind::CLIENT;
    if ClientId::new(key).is_none() || has_place && !is_client || flags & DATA != 0 && is_client {
        return Err(broken);
    }
    let timestamp = Timestamp::from_parts(nanos, shape).ok_or(broken)?;
    let difference = Difference::from_nanos(difference, timestamp).ok_or(broken)?;
    let body = if flags & GONE != 0 {
        Body::Gone
    } else if flags & DATA != 0 {
        let Some(keep_s) = reader.u32() else { return Ok(None) };
        let bytes = std::mem::take(&mut reader.rest);
        if bytes.len() > DATA_LEN_MAX {
            return Err(broken);
        }
        Body::Data { keep_s, bytes }
    } else {
        let Some((latitude, longitude)) = reader.u64().zip(reader.u64()) else { return Ok(None) };
        let decimals = Decimal::from_bits(latitude).zip(Decimal::from_bits(longitude));
        let coordinates = decimals.and_then(|(latitude, longitude)| Coordinates::new(latitude, longitude));
        let attributes = Attributes::from_bytes(std::mem::take(&mut reader.rest)).map_err(|_| broken)?;
        Body::Location { coordinates: coordinates.ok_or(broken)?, attributes }
    };
    let record = Record { kind: Kind(kind), key, body, timestamp, difference };
    Ok(Some(Frame::Record { origin, seq, record }))
}

/// Takes values off the front of a body; `None` where it ends too early.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
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

    fn u32(&mut self) -> Option<u32> {
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
    numbering: Numbering,
    records: u64,
}

impl Encoder {
    /// One that names at most so many origins before it begins their numbering anew; not more than
    /// [`ORIGINS_NAMED_MAX`](crate::limits::ORIGINS_NAMED_MAX), which is what others do.
    pub fn with_origins_max(mut self, most: usize) -> Encoder {
        self.numbering.set_most(most);
        self
    }

    /// The ends of the link have agreed to speak this version. Until then, indices are given as in version 1.
    pub fn agree(&mut self, version: u16) {
        self.numbering.agree(version);
    }

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

    /// Whether the link had no index left for an origin, so that something was left out: it has to be closed, and starts
    /// afresh. From version 3 on this does not happen.
    pub fn is_exhausted(&self) -> bool {
        self.numbering.is_exhausted()
    }

    /// How often the numbering of origins has begun anew. Indices that were given under another numbering mean nothing.
    pub fn numbering(&self) -> u64 {
        self.numbering.begun_anew()
    }

    /// How many origins one frame may name.
    pub fn origins_per_frame(&self) -> usize {
        self.numbering.most().min(Covered::COUNT_MAX)
    }

    /// Makes sure that so many more origins can be named, at most [`Encoder::origins_per_frame`]. To be called before the
    /// indices of a frame are looked up: where there is no room, the numbering begins anew.
    pub fn make_room(&mut self, origins: usize) {
        self.numbering.make_room(origins);
    }

    /// The index of an origin on this link; names it to the other end the first time. `None` once the link
    /// [is exhausted](Encoder::is_exhausted), or where nobody has [made room](Encoder::make_room).
    pub fn index_of(&mut self, origin: &Origin) -> Option<u16> {
        let (index, is_new) = self.numbering.index_of(origin)?;
        if is_new {
            self.frame(ORIGIN, 0, |out| {
                put_u16(out, index);
                put_text(out, origin.server.as_str());
                put_u64(out, origin.incarnation);
            });
        }
        Some(index)
    }

    /// Encodes HELLO.
    pub fn hello(&mut self, hello: &Hello) {
        self.frame(HELLO, 0, |out| {
            out.extend_from_slice(&MAGIC);
            put_u16(out, hello.lowest);
            put_u16(out, hello.highest);
            put_u64(out, hello.features);
            put_text(out, &hello.herd);
            put_text(out, hello.origin.server.as_str());
            put_u64(out, hello.origin.incarnation);
            out.push(hello.shards);
            hello.clock_ns.iter().for_each(|&clock_ns| put_u64(out, clock_ns));
        });
    }

    /// Encodes why the link is refused.
    pub fn refusal(&mut self, reason: &str) {
        let reason = &reason[..reason.floor_char_boundary(REFUSAL_LEN_MAX)];
        self.frame(REFUSAL, 0, |out| put_text(out, reason));
    }

    /// Encodes the vector of one shard. Entries that do not fit one frame are left out: what is not told to be
    /// covered is sent, and does no harm.
    pub fn vector(&mut self, shard: u8, covered: &[(u16, u64)]) {
        self.covered(VECTOR, 0, shard, &covered[..covered.len().min(COVERED_COUNT_MAX)]);
    }

    /// Encodes a marker of one shard; none once the link [is exhausted](Encoder::is_exhausted), since what was
    /// left out may be what the marker would cover.
    pub fn marker(&mut self, shard: u8, covered: &[(u16, u64)]) {
        if self.is_exhausted() {
            return;
        }
        for covered in covered.chunks(COVERED_COUNT_MAX) {
            self.covered(MARKER, 0, shard, covered);
        }
    }

    pub(super) fn covered(&mut self, kind: u8, flags: u8, shard: u8, covered: &[(u16, u64)]) {
        self.frame(kind, flags, |out| {
            out.push(shard);
            put_u16(out, covered.len() as u16);
            for &(index, seq) in covered {
                put_u16(out, index);
                put_u64(out, seq);
            }
        });
    }

    /// Encodes a record, its origin by index.
    pub fn record(&mut self, origin: u16, seq: u64, record: &Record<'_>) {
        self.records += 1;
        let flags = match record.body {
            Body::Location { .. } => 0,
            Body::Gone => GONE,
            Body::Data { .. } => DATA,
        };
        self.frame(RECORD, flags, |out| {
            put_u16(out, origin);
            put_u64(out, seq);
            out.push(record.kind.0);
            put_u64(out, record.timestamp.nanos());
            out.push(record.timestamp.shape());
            put_u64(out, record.difference.nanos().cast_unsigned());
            put_u16(out, record.key.len() as u16);
            out.extend_from_slice(record.key);
            match record.body {
                Body::Location { coordinates, attributes } => {
                    put_u64(out, coordinates.latitude().to_bits());
                    put_u64(out, coordinates.longitude().to_bits());
                    out.extend_from_slice(attributes.as_bytes());
                }
                Body::Gone => {}
                Body::Data { keep_s, bytes } => {
                    out.extend_from_slice(&keep_s.to_le_bytes());
                    out.extend_from_slice(bytes);
                }
            }
        });
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::AttributesBuf;

    fn origin(server: &str) -> Origin {
        Origin { server: ServerName::new(server).unwrap(), incarnation: 7 }
    }

    fn hello() -> Hello {
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

    fn record<'a>(key: &'a [u8], attributes: Attributes<'a>) -> Record<'a> {
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

    fn data(kind: Kind, bytes: &[u8]) -> Record<'_> {
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
    fn frames(mut bytes: &[u8]) -> (Vec<Frame<'_>>, Result<usize, FrameError>) {
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
    fn who_is_no_server_of_a_herd_is_known_by_the_first_bytes() {
        let mut encoder = Encoder::default();
        encoder.hello(&hello());
        let hello = encoder.bytes().to_vec();
        encoder.clear();
        encoder.refusal("another herd");
        for bytes in [&hello, encoder.bytes()] {
            assert!((0..=bytes.len()).all(|len| may_be_hello(&bytes[..len])), "{bytes:?}");
        }
        let with = |at: usize, byte: u8| [&hello[..at], &[byte], &hello[at + 1..]].concat();
        assert!(!may_be_hello(&with(2, RECORD)), "another frame");
        assert!(
            (HEADER_LEN..HEADER_LEN + MAGIC.len()).all(|at| !may_be_hello(&with(at, 0))),
            "another magic"
        );
        assert!(!may_be_hello(b"GET / HTTP/1.1"));
    }

    #[test]
    fn a_herds_name_has_a_longest_length() {
        let told = |len: usize| {
            let mut encoder = Encoder::default();
            encoder.hello(&Hello { herd: "h".repeat(len), ..hello() });
            frames(encoder.bytes()).1
        };
        assert_eq!(told(HERD_ID_LEN_MAX), Ok(0));
        for len in [HERD_ID_LEN_MAX + 1, HERD_ID_LEN_MAX + 2] {
            assert_eq!(told(len), Err(FrameError::Value("HELLO")));
        }
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
    fn a_link_that_can_name_no_more_origins_covers_nothing_more() {
        let mut encoder = Encoder::default();
        let named = (0..u64::MAX).take_while(|&incarnation| {
            encoder.index_of(&Origin { incarnation, ..origin("Riley") }).is_some()
        });
        assert_eq!(named.count(), usize::from(u16::MAX));
        assert!(encoder.is_exhausted());
        encoder.clear();
        encoder.marker(0, &[(0, 1)]);
        assert!(encoder.is_empty());
    }

    #[test]
    fn a_marker_of_any_length_comes_in_frames_that_are_not_too_long() {
        let covered: Vec<_> = (0..2 * COVERED_COUNT_MAX as u64 + 1).map(|seq| (seq as u16, seq)).collect();
        let mut encoder = Encoder::default();
        encoder.marker(3, &covered);
        let (told, end) = frames(encoder.bytes());
        assert_eq!((told.len(), end), (3, Ok(0)));
        let entries = told.iter().flat_map(|frame| match frame {
            Frame::Marker(marker) => marker.iter().collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        });
        assert!(entries.eq(covered.iter().copied()));
        encoder.clear();
        encoder.marker(3, &covered[..COVERED_COUNT_MAX]);
        assert!(encoder.len() + COVERED_LEN > HEADER_LEN + FRAME_BODY_LEN_MAX, "one more would not fit");
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

    #[test]
    fn a_client_has_a_place_and_other_kinds_have_data() {
        let check = |record: &Record<'_>, expected: bool| {
            let mut encoder = Encoder::default();
            encoder.record(0, 1, record);
            assert_eq!(decode(encoder.bytes()).is_ok(), expected, "{record:?}");
        };
        let client = record(b"kiwi", Attributes::NONE);
        check(&client, true);
        check(&Record { kind: Kind::BUDGET, ..client }, false);
        check(&Record { body: Body::Gone, kind: Kind::BUDGET, ..client }, true);
        check(&data(Kind::BUDGET, b""), true);
        check(&data(Kind::CLIENT, b""), false);
        check(&data(Kind::BUDGET, &[7; DATA_LEN_MAX]), true);
        check(&data(Kind::BUDGET, &[7; DATA_LEN_MAX + 1]), false);
    }

    #[test]
    fn strangers_are_known_by_their_first_bytes() {
        let mut encoder = Encoder::default();
        encoder.hello(&hello());
        for len in 0..encoder.len() {
            assert!(may_be_hello(&encoder.bytes()[..len]));
        }
        assert!(!may_be_hello(b"GET / HTTP/1.1\r\n"));
        assert!(!may_be_hello(b"IAMAT kiwi"));
    }

    #[test]
    fn a_hello_with_more_at_its_end_is_read_as_far_as_it_is_known() {
        let mut encoder = Encoder::default();
        encoder.hello(&hello());
        let mut bytes = encoder.bytes().to_vec();
        bytes.extend_from_slice(b"from the future");
        bytes[0] += 15;
        assert_eq!(decode(&bytes).unwrap().unwrap().0, Frame::Hello(hello()));
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
