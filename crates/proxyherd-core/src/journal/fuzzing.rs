//! The private format of the store, for fuzzing only. Only `proxyherd-fuzz` may use this module, and it changes with
//! the format.

use super::{
    StoreIdentity, Stored,
    format::{BLOCK_LEN_MAX, Blocks, FILE_HEADERS_LEN, FileHeader, FileName, Payload, VectorPart},
};

/// Whose store [`segment`] makes.
pub fn identity() -> StoreIdentity {
    let server = crate::types::ServerName::new("Riley").expect("this is a name");
    StoreIdentity { herd: "herd-1".to_owned(), server }
}

/// The first segment of a store, with correct checksums. `input` has its blocks: for each block the shard, the number
/// of bytes (two bytes, little endian) and the bytes of the entries.
pub fn segment(input: &[u8]) -> Vec<u8> {
    let (file, salt) = (FileName::Segment { number: 1 }, 7);
    let header = FileHeader { identity: identity(), file, salt, is_first: true };
    let mut bytes = header.encode().to_vec();
    for (shard, payload) in blocks(input) {
        let offset = bytes.len() as u64;
        let mut blocks = Blocks::new(file, salt, offset);
        blocks.raw(shard, payload);
        bytes.extend_from_slice(blocks.waiting().1);
    }
    bytes
}

/// The blocks that `input` has for [`segment`].
fn blocks(mut input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[shard, low, high], rest) = input.split_first_chunk()?;
        let len = usize::from(u16::from_le_bytes([low, high])).min(rest.len()).min(BLOCK_LEN_MAX);
        let (payload, after) = rest.split_at(len);
        input = after;
        Some((shard, payload))
    })
}

/// For each block of `input` that can be read: the entries as text, and the same after they were written and read
/// again; `None`: what was written could not be read.
pub fn read_twice(input: &[u8]) -> Vec<(String, Option<String>)> {
    blocks(input)
        .filter_map(|(shard, payload)| {
            let origins = Payload::origins(payload)?;
            let read = Payload::decode(shard, payload, &origins)?;
            Some((text(&read), written_and_read(shard, &read)))
        })
        .collect()
}

fn written_and_read(shard: u8, read: &Payload<'_>) -> Option<String> {
    let mut blocks = Blocks::new(FileName::Segment { number: 1 }, 7, FILE_HEADERS_LEN as u64);
    for change in &read.changes {
        match change {
            Stored::Update(update) => blocks.record(shard, update),
            Stored::Removed { kind, key } => blocks.removed(shard, *kind, key),
        }
    }
    if let Some(alive_ns) = read.alive_ns {
        blocks.alive(alive_ns);
    }
    if read.is_end {
        blocks.end();
    }
    let payload = blocks.payload();
    let origins = Payload::origins(payload)?;
    let again = Payload { vectors: read.vectors.clone(), ..Payload::decode(shard, payload, &origins)? };
    Some(text(&again))
}

fn text(read: &Payload<'_>) -> String {
    format!("{read:?}")
}

/// A vector with these entries, as it comes back from a block.
pub fn vector_twice(input: &[u8]) -> Option<bool> {
    let (shard, payload) = blocks(input).next()?;
    let origins = Payload::origins(payload)?;
    let read = Payload::decode(shard, payload, &origins)?;
    let vector: Vec<_> = read.vectors.into_iter().flat_map(|part| part.entries).take(500).collect();
    let mut blocks = Blocks::new(FileName::Segment { number: 1 }, 7, FILE_HEADERS_LEN as u64);
    blocks.vector(shard, &vector);
    let payload = blocks.payload();
    let origins = Payload::origins(payload)?;
    let again = Payload::decode(shard, payload, &origins)?.vectors;
    Some(again == [VectorPart { is_first: true, is_last: true, entries: vector }])
}
