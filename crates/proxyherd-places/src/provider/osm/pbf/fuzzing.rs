//! Reads whole extracts from memory, for fuzzing alone: see [`crate::fuzzing`].

use super::{BlobError, Damage, PbfBlock, PbfFrame, PbfHeader, unpack};

/// The counts of the parts of a file that could be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Frames whose content was read.
    pub frames: usize,
    /// Objects in these frames.
    pub objects: usize,
    /// The tags, nodes and members of the objects.
    pub parts: usize,
}

/// Reads a file from frame to frame until a frame is damaged.
pub fn extract(mut file: &[u8]) -> Seen {
    let (mut seen, mut buffer) = (Seen::default(), Vec::new());
    while let Some(rest) = frame(file, &mut buffer, &mut seen) {
        file = rest;
    }
    seen
}

/// Reads the content of one blob, both as a header and as a block.
pub fn extract_block(bytes: &[u8]) -> Seen {
    let mut seen = Seen::default();
    let _ = PbfHeader::read(bytes, &["DenseNodes"]);
    let _ = content(bytes, &mut seen);
    seen
}

/// Reads a frame, and returns the bytes after it.
fn frame<'a>(file: &'a [u8], buffer: &mut Vec<u8>, seen: &mut Seen) -> Option<&'a [u8]> {
    let (before, rest) = file.split_first_chunk()?;
    let (header, rest) = rest.split_at_checked(PbfFrame::header_len(*before).ok()?)?;
    let (blob, rest) = rest.split_at_checked(PbfFrame::read(header).ok()?.blob_len)?;
    match unpack(blob, buffer) {
        Ok(bytes) => {
            let _ = PbfHeader::read(bytes, &["DenseNodes"]);
            content(bytes, seen).ok()?;
        }
        Err(BlobError::Compression(_)) => {}
        Err(BlobError::Damaged(_)) => return None,
    }
    seen.frames += 1;
    Some(rest)
}

fn content(bytes: &[u8], seen: &mut Seen) -> Result<(), Damage> {
    let block = PbfBlock::read(bytes)?;
    block.contents()?;
    let (mut objects, mut parts) = (0, 0);
    block.nodes(|node| {
        objects += 1;
        node.tags.clone().try_for_each(|tag| tag.map(|_| parts += 1))
    })?;
    block.ways(|way| {
        objects += 1;
        way.version()?;
        way.tags().try_for_each(|tag| tag.map(|_| parts += 1))?;
        way.refs(|_, _| {
            parts += 1;
            Ok(())
        })
    })?;
    block.relations(|relation| {
        objects += 1;
        relation.version()?;
        relation.tags().try_for_each(|tag| tag.map(|_| parts += 1))?;
        relation.members(|_, _, _| {
            parts += 1;
            Ok(())
        })
    })?;
    seen.objects += objects;
    seen.parts += parts;
    Ok(())
}
