//! Makes an index of places from an OpenStreetMap extract: `proxyherd places import`.
//!
//! [`import`](import()) reads the extract three times, beginning with the objects at the end of the file. The first
//! pass reads relations, and finds the ways of their outlines. The second pass reads ways, and finds the nodes that
//! they need. The third pass reads nodes. Then the importer computes the middle of each way and relation, sorts all
//! places by their points, and writes the index.
//!
//! **Memory.** An import holds 16 bytes for each node that an outline needs (up to twice as much while the list grows,
//! and another 16 bytes if ways hold the positions of their nodes). It also holds one block of the extract, the
//! outlines of relations at two or three bytes per node, the places of relations, and one byte for each block of the
//! extract. [`twins`] needs memory if an extract is not sorted, and sorting needs up to
//! [`SORT_LEN_MAX`](super::limits::SORT_LEN_MAX). Ways that wait for their nodes, and places that exceed the limit for
//! sorting, are in temporary files in the directory of the index. These files have no names and vanish with the
//! process. Tags of objects that are not places, and coordinates that no place needs, are not held. If an extract needs
//! far more memory than real extracts of its length, the import stops and reports a damaged extract
//! (`passes::MemoryAllowance`).
//!
//! **Measured.** The extract of Andorra (1.8 MB) has 1316 places, which need 5559 nodes and take 54 bytes each in the
//! index. The center of Munich (0.8 MB) has 2511 places with 2933 nodes, at 76 bytes each. A debug build took 36 to 46
//! MB for any of the extracts in the tests. At Andorra's ratios, an extract of 30 GB, which is about a continent, has
//! 22 million places and 94 million nodes. Such an import needs 1.5 GB for the nodes, with a maximum of 3 GB while the
//! list grows. The index has 1.2 GB, and its directory has 7 MB.
//!
//! Invariant: if an import fails, an existing index stays unchanged. This module does not know searches.

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
    /// A part of the work begins. The part is done when [`Progress::advance`] reaches `total`.
    fn begin(&mut self, what: &'static str, total: u64);
    /// This much of the part is done.
    fn advance(&mut self, done: u64);
    /// The part is done.
    fn end(&mut self);
}

/// The counts of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportSummary {
    /// Places that are nodes.
    pub nodes: u64,
    /// Places that are ways.
    pub ways: u64,
    /// Places that are relations.
    pub relations: u64,
    /// Places with opening hours that can be parsed.
    pub with_hours: u64,
    /// Places whose opening hours make the parser panic. These places are imported without hours.
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

/// Why an import failed. An existing index is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The operating system refuses to read the extract.
    #[error("cannot read {}: {}", .0.display(), .1)]
    Unreadable(PathBuf, io::Error),
    /// The file is not an extract.
    #[error("{} is not an OpenStreetMap extract in PBF format (.osm.pbf)", .0.display())]
    Foreign(PathBuf),
    /// The compression of the extract is not supported.
    #[error(
        "{} is compressed with {}, but only zlib is supported. Convert the file: \
         osmium cat {} -o converted.osm.pbf -f pbf,pbf_compression=zlib",
        .0.display(), .1, .0.display()
    )]
    Compression(PathBuf, &'static str),
    /// The extract requires a feature that this program does not support.
    #[error("{} needs a reader that knows {:?}, and this one does not", .0.display(), .1)]
    Feature(PathBuf, String),
    /// The extract ends within a block.
    #[error("{} is cut: it ends in the middle of a block. Download it again", .0.display())]
    Cut(PathBuf),
    /// The extract ends right after its header.
    #[error("{} holds no data: it ends right after its header. Download it again", .0.display())]
    Empty(PathBuf),
    /// Bytes of the extract have changed.
    #[error("{} is damaged: the block at byte {} cannot be decoded ({}). Download it again", .0.display(), .1, .2)]
    Damaged(PathBuf, u64, String),
    /// An index must not replace the existing file.
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

/// Reads the extract `source` and writes the index `out`. An existing index is replaced. If `out` is a symbolic link,
/// the target of the link is replaced.
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
