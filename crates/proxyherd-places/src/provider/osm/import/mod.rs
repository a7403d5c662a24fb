//! Makes an index of places from an OpenStreetMap extract: `proxyherd places import`.
//!
//! [`import`](import()) reads the extract three times, beginning with the objects at its end: relations, so that the
//! ways of their outlines are known; then ways, so that the nodes that they need are known; then nodes. Then the middle
//! of each way and relation is computed, all places are sorted by their points, and the index is written.
//!
//! **Memory.** An import holds 16 bytes for each node that an outline needs (up to twice that while they are gathered,
//! and as much again if ways hold the positions of their nodes), one block of the extract, the outlines of relations at
//! two or three bytes a node, places of relations, a byte for each block of the extract, what [`twins`] needs if an
//! extract is not sorted, and [`SORT_LEN_MAX`](super::limits::SORT_LEN_MAX) for sorting. Ways that wait for their
//! nodes, and places beyond that bound, are in temporary files beside the index. These files have no names and vanish
//! with the process. Tags of objects that are not places, and coordinates that no place needs, are not held. An extract
//! that would need far more than real extracts of its length is called damaged as soon as that shows
//! (`passes::MemoryAllowance`).
//!
//! **Measured.** The extract of Andorra (1.8 MB) has 1316 places, which need 5559 nodes and take 54 bytes each in the
//! index. The center of Munich (0.8 MB) has 2511 places with 2933 nodes, at 76 bytes each. A debug build took 36 to 46
//! MB for any of the extracts in the tests. At Andorra's ratios, an extract of 30 GB, which is about a continent, has
//! 22 million places and 94 million nodes. That is 1.5 GB for the nodes, 3 GB at the worst moment, and an index of 1.2
//! GB with a directory of 7 MB.
//!
//! Invariant: if an import fails, an index that was there stays as it was. This module does not know searches.

mod nodes;
mod outline;
mod passes;
mod place;
mod sorter;
mod source;
mod spool;
mod target;
mod twins;

use std::io;
use std::path::{Path, PathBuf};

use passes::Passes;

/// Shows the progress of an import.
pub trait Progress {
    /// A part of the work begins. It is done when [`Progress::advance`] reaches `total`.
    fn begin(&mut self, what: &'static str, total: u64);
    /// This much of the part is done.
    fn advance(&mut self, done: u64);
    /// The part is done.
    fn end(&mut self);
}

/// What was imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportSummary {
    /// Places that are nodes.
    pub nodes: u64,
    /// Places that are ways.
    pub ways: u64,
    /// Places that are relations.
    pub relations: u64,
    /// Places among these with opening hours that can be parsed.
    pub with_hours: u64,
    /// Places whose opening hours make the parser panic. They are imported without hours.
    pub hours_failed: u64,
    /// Places that were left out because the extract has no valid position for any part of them.
    pub nowhere: u64,
    /// Nodes whose points had to be held.
    pub needed_nodes: u64,
    /// Blocks of the index.
    pub blocks: u64,
    /// Length of the index, bytes.
    pub bytes: u64,
}

/// Why an import failed. An index that was there is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The operating system refuses to read the extract.
    #[error("cannot read {}: {}", .0.display(), .1)]
    Unreadable(PathBuf, io::Error),
    /// The file is not an extract.
    #[error("{} is no OpenStreetMap extract in PBF format (.osm.pbf)", .0.display())]
    Foreign(PathBuf),
    /// The extract is compressed in a way that is not supported.
    #[error(
        "{} is compressed with {}, which is not supported, only zlib is. Convert it: \
         osmium cat {} -o converted.osm.pbf -f pbf,pbf_compression=zlib",
        .0.display(), .1, .0.display()
    )]
    Compression(PathBuf, &'static str),
    /// The extract requires a feature that is unknown here.
    #[error("{} needs a reader that knows {:?}, and this one does not", .0.display(), .1)]
    Feature(PathBuf, String),
    /// The extract ends within a block.
    #[error("{} is cut: it ends in the middle of a block. Download it again", .0.display())]
    Cut(PathBuf),
    /// The extract ends right after its header.
    #[error("{} holds no data: it ends right after its header. Download it again", .0.display())]
    Empty(PathBuf),
    /// Bytes of the extract have changed.
    #[error("{} is damaged: the block at byte {} makes no sense ({}). Download it again", .0.display(), .1, .2)]
    Damaged(PathBuf, u64, String),
    /// An index must not replace the file that is there.
    #[error("cannot write {}: {}", .0.display(), .1)]
    Target(PathBuf, &'static str),
    /// The operating system refuses to write the index, or a temporary file beside it.
    #[error("cannot write {}: {}", .0.display(), .1)]
    Unwritable(PathBuf, io::Error),
}

impl ImportSummary {
    /// All places.
    pub fn places(&self) -> u64 {
        self.nodes + self.ways + self.relations
    }
}

/// Reads the extract `source` and writes the index `out`. An index that was there is replaced. If `out` is a symbolic
/// link, the file to which it leads is replaced.
pub fn import(source: &Path, out: &Path, progress: &mut dyn Progress) -> Result<ImportSummary, ImportError> {
    let out = target::resolve(source, out)?;
    Passes::begin(source, &out)?.run(progress)
}

/// Shows no progress.
#[cfg(test)]
pub(super) struct Unseen;

#[cfg(test)]
impl Progress for Unseen {
    fn begin(&mut self, _what: &'static str, _total: u64) {}
    fn advance(&mut self, _done: u64) {}
    fn end(&mut self) {}
}

#[cfg(test)]
mod tests;
