//! Frames that carry up to which sequence origins are covered: VECTOR and MARKER, and the format that `spanning_tree`
//! uses for its own such frames. This file also holds ORIGIN, which gives an origin its index; `numbering` chooses the
//! index.

use super::frame::{BodyReader, Encoder, FrameError, put_text, put_u16, put_u64};
use crate::{
    limits::FRAME_BODY_LEN_MAX,
    types::{Origin, ServerName},
};

pub(super) const VECTOR: u8 = 3;
pub(super) const ORIGIN: u8 = 4;
pub(super) const MARKER: u8 = 6;

/// The size of one entry of a vector or marker, bytes: index and sequence.
const COVERED_LEN: usize = 2 + 8;
/// Maximum number of entries in one frame, which holds the shard, the count and the entries.
const COVERED_COUNT_MAX: usize = (FRAME_BODY_LEN_MAX - 3) / COVERED_LEN;

/// Entries of a vector or marker of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered<'a> {
    /// The shard.
    pub shard: u8,
    entries: &'a [u8],
}

impl Covered<'_> {
    /// Maximum number of entries in one frame.
    pub const COUNT_MAX: usize = COVERED_COUNT_MAX;

    /// The index of each origin, and the sequence up to which it is covered.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> {
        let (entries, _) = self.entries.as_chunks::<COVERED_LEN>();
        entries.iter().map(|entry| {
            let mut reader = BodyReader::new(entry);
            (reader.u16().expect("an entry has ten bytes"), reader.u64().expect("an entry has ten bytes"))
        })
    }
}

pub(super) fn decode_covered<'a>(reader: &mut BodyReader<'a>) -> Option<Covered<'a>> {
    let shard = reader.u8()?;
    let count = usize::from(reader.u16()?);
    Some(Covered { shard, entries: reader.take(count * COVERED_LEN)? })
}

/// An index, and the origin that the index names from now on.
pub(super) fn decode_origin(reader: &mut BodyReader<'_>) -> Result<Option<(u16, Origin)>, FrameError> {
    let mut read = || Some((reader.u16()?, reader.text()?, reader.u64()?));
    let Some((index, server, incarnation)) = read() else { return Ok(None) };
    let server = ServerName::new(server).map_err(|_| FrameError::Value("ORIGIN"))?;
    Ok(Some((index, Origin { server, incarnation })))
}

impl Encoder {
    /// Returns this encoder with another limit: it begins a new numbering after it has named this many origins. The
    /// default and the maximum is [`ORIGINS_NAMED_MAX`](crate::limits::ORIGINS_NAMED_MAX).
    pub fn with_origins_max(mut self, most: usize) -> Encoder {
        self.numbering.set_most(most);
        self
    }

    /// Sets the version on which both ends have agreed. Until then, indices are given as in version 1.
    pub fn agree(&mut self, version: u16) {
        self.version = version;
        self.numbering.agree(version);
    }

    /// Whether the link had no index left for an origin, so that a record or an entry was left out. Such a link has to
    /// be closed and dialed again. From version 3 on this does not happen.
    pub fn is_exhausted(&self) -> bool {
        self.numbering.is_exhausted()
    }

    /// The number of new numberings of origins that have begun. Indices of an earlier numbering are void.
    pub fn numbering(&self) -> u64 {
        self.numbering.begun_anew()
    }

    /// Maximum number of origins that one frame may name.
    pub fn origins_per_frame(&self) -> usize {
        self.numbering.most().min(Covered::COUNT_MAX)
    }

    /// Makes room for `origins` more origins, at most [`Encoder::origins_per_frame`]. Call this before looking up the
    /// indices of a frame: if there is no room, a new numbering begins.
    pub fn make_room(&mut self, origins: usize) {
        self.numbering.make_room(origins);
    }

    /// The index of an origin on this link. The first call names the origin to the other end. `None` once the link [is
    /// exhausted](Encoder::is_exhausted), or if the caller has not [made room](Encoder::make_room).
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

    /// Encodes the vector of one shard. Entries that do not fit one frame are left out. That is harmless: the other end
    /// sends again the records that do not seem covered.
    pub fn vector(&mut self, shard: u8, covered: &[(u16, u64)]) {
        self.covered(VECTOR, 0, shard, &covered[..covered.len().min(COVERED_COUNT_MAX)]);
    }

    /// Encodes a marker of one shard. Encodes nothing once the link [is exhausted](Encoder::is_exhausted), because the
    /// marker could cover records that were left out.
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::link::{
        Frame,
        frame::HEADER_LEN,
        tests::{frames, origin},
    };

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
}
