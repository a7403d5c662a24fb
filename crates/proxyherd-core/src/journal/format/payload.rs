//! Reads the entries of a block whose checksum is right.
//!
//! A block is read as a whole: if one entry is wrong, nothing of the block counts.

use super::{
    NO_SHARD,
    entry::{ALIVE, END, FIRST, LAST, ORIGIN, RECORD, REMOVED, VECTOR},
};
use crate::{
    codec::link::{BodyReader, RawFrame, decode_record, record_flags},
    flood::Update,
    journal::Stored,
    types::{ClientId, KeyHash, Kind, Origin, ServerName},
};

/// A part of a vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::journal) struct VectorPart {
    pub(in crate::journal) is_first: bool,
    pub(in crate::journal) is_last: bool,
    pub(in crate::journal) entries: Vec<(Origin, u64)>,
}

/// The entries of a block.
#[derive(Debug, Default)]
pub(in crate::journal) struct Payload<'a> {
    pub(in crate::journal) changes: Vec<Stored<'a>>,
    /// The parts of vectors. Each claims only changes before it; all of the block's changes may be restored first.
    pub(in crate::journal) vectors: Vec<VectorPart>,
    pub(in crate::journal) alive_ns: Option<u64>,
    /// Whether the last entry says that nothing is missing before it.
    pub(in crate::journal) is_end: bool,
}

impl<'a> Payload<'a> {
    /// Reads the origins that a block names. `None`: the block is wrong.
    pub(in crate::journal) fn origins(payload: &[u8]) -> Option<Vec<Origin>> {
        let mut origins = Vec::new();
        for entry in entries(payload) {
            let RawFrame { kind, flags, body, .. } = entry?;
            if kind == ORIGIN {
                let mut reader = BodyReader::new(body);
                let (server, incarnation) = (reader.text()?, reader.u64()?);
                let is_plain = flags == 0 && reader.is_empty();
                let server = ServerName::new(server).ok().filter(|_| is_plain)?;
                origins.push(Origin { server, incarnation });
            }
        }
        // An index has two bytes.
        (origins.len() <= 1 << 16).then_some(origins)
    }

    /// Reads all entries of a block of `shard`. `origins` are those of [`Payload::origins`]. `None`: the block is
    /// wrong.
    pub(in crate::journal) fn decode(
        shard: u8,
        payload: &'a [u8],
        origins: &'a [Origin],
    ) -> Option<Payload<'a>> {
        let mut read = Payload::default();
        let mut named = 0;
        for entry in entries(payload) {
            let RawFrame { kind, flags, body, .. } = entry?;
            let has_shard = shard != NO_SHARD;
            read.is_end = false;
            match kind {
                ORIGIN if has_shard => named += 1,
                RECORD if has_shard => read.changes.push(record(shard, flags, body, origins.get(..named)?)?),
                REMOVED if has_shard && flags == 0 => read.changes.push(removed(shard, body)?),
                VECTOR if has_shard => read.vectors.push(vector_part(flags, body, origins.get(..named)?)?),
                ALIVE if !has_shard && flags == 0 => {
                    read.alive_ns = read.alive_ns.max(Some(u64::from_le_bytes(body.try_into().ok()?)));
                }
                END if !has_shard && flags == 0 && body.is_empty() => read.is_end = true,
                _ => return None,
            }
        }
        Some(read)
    }
}

/// The entries of a block, and `None` at the end if the last one is not complete.
fn entries(mut payload: &[u8]) -> impl Iterator<Item = Option<RawFrame<'_>>> {
    std::iter::from_fn(move || {
        if payload.is_empty() {
            return None;
        }
        let entry = RawFrame::split(payload);
        payload = entry.as_ref().map_or(&[], |entry| &payload[entry.end..]);
        Some(entry)
    })
}

fn record<'a>(shard: u8, flags: u8, body: &'a [u8], origins: &'a [Origin]) -> Option<Stored<'a>> {
    let mut reader = BodyReader::new(body);
    let (index, seq, record) = decode_record(&mut reader, flags).ok().flatten()?;
    let is_whole = reader.is_empty() && record_flags(&record) == flags;
    let origin = origins.get(usize::from(index)).filter(|_| is_whole && is_in(shard, record.key))?;
    Some(Stored::Update(Update { record, origin, seq }))
}

fn removed(shard: u8, body: &[u8]) -> Option<Stored<'_>> {
    let (&kind, key) = body.split_first()?;
    ClientId::new(key).filter(|_| is_in(shard, key))?;
    Some(Stored::Removed { kind: Kind(kind), key })
}

fn is_in(shard: u8, key: &[u8]) -> bool {
    KeyHash::of(key).shard() == usize::from(shard)
}

fn vector_part(flags: u8, body: &[u8], origins: &[Origin]) -> Option<VectorPart> {
    let (entries, rest) = body.as_chunks::<10>();
    if flags & !(FIRST | LAST) != 0 || !rest.is_empty() {
        return None;
    }
    let entry = |entry: &[u8; 10]| {
        let mut reader = BodyReader::new(entry);
        let (index, seq) = (reader.u16()?, reader.u64()?);
        Some((origins.get(usize::from(index))?.clone(), seq))
    };
    let entries = entries.iter().map(entry).collect::<Option<_>>()?;
    Some(VectorPart { is_first: flags & FIRST != 0, is_last: flags & LAST != 0, entries })
}
