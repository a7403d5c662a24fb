//! `proxyherd places import`: makes an index of places from an OpenStreetMap extract.
//!
//! The extract is read three times, for what it has at the end first: relations, so that the ways of their
//! outlines are known; ways, so that the nodes they need are known; nodes. Then each way and relation has
//! its middle, all places are sorted by where they are and written.
//!
//! **What it takes.** In memory are 16 bytes for each node that an outline needs (up to twice that while they are
//! gathered, and as much again if ways hold the positions of their nodes), one block of the extract, the outlines of
//! relations at two or three bytes a node, places of relations, a byte for each block of the extract, what [`twins`] needs
//! where an extract is not sorted, and [`SORT_LEN_MAX`](super::limits::SORT_LEN_MAX) for sorting. Ways that wait for their nodes, and
//! places beyond that bound, are in temporary files beside the index, which have no names and go with the process. No
//! tags of what is no place, and no coordinates of what no place needs, are kept. An extract that would need far more than
//! real ones of its length is called damaged as soon as that shows (`allowance`).
//!
//! Seen: the extract of Andorra (1.8 MB) has 1316 places, which need 5559 nodes and take 54 bytes each in the index;
//! Munich's center (0.8 MB) 2511 places, 2933 nodes, 76 bytes. A debug build took 36 to 46 MB for any of the extracts
//! in the tests. On paper, as many places a megabyte and nodes a place as Andorra has make an extract of
//! 30 GB, which is about a continent, 22 million places and 94 million nodes: 1.5 GB for them, 3 GB at the worst
//! moment, and an index of 1.2 GB whose directory is 7 MB.
//!
//! **All or nothing.** Whatever goes wrong, an index that was there stays as it was.

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

/// Shows how far an import is.
pub trait Progress {
    /// A part of the work begins; it is done when `total` is reached.
    fn begin(&mut self, what: &'static str, total: u64);
    /// So much of it is done.
    fn advance(&mut self, done: u64);
    /// It is done.
    fn end(&mut self);
}

/// What was imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Places that are nodes.
    pub nodes: u64,
    /// Places that are ways.
    pub ways: u64,
    /// Places that are relations.
    pub relations: u64,
    /// Places, among all of these, that say when they are open, in words that can be read.
    pub with_hours: u64,
    /// Objects whose opening hours make the parser panic. They are places without hours.
    pub hours_failed: u64,
    /// Places that were left out because the extract has no valid position for any part of them.
    pub nowhere: u64,
    /// Nodes whose points had to be kept.
    pub needed_nodes: u64,
    /// The index's blocks.
    pub blocks: u64,
    /// The index's length, bytes.
    pub bytes: u64,
}

/// Why nothing was imported. An index that was there is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The operating system does not give the extract.
    #[error("cannot read {}: {}", .0.display(), .1)]
    Unreadable(PathBuf, io::Error),
    /// It is something else.
    #[error("{} is no OpenStreetMap extract in PBF format (.osm.pbf)", .0.display())]
    Foreign(PathBuf),
    /// It is compressed in a way that is not read here.
    #[error(
        "{} is compressed with {}, which is not supported, only zlib is. Convert it: \
         osmium cat {} -o converted.osm.pbf -f pbf,pbf_compression=zlib",
        .0.display(), .1, .0.display()
    )]
    Compression(PathBuf, &'static str),
    /// It demands of its readers what is not known here.
    #[error("{} needs a reader that knows {:?}, and this one does not", .0.display(), .1)]
    Feature(PathBuf, String),
    /// It ends before its end.
    #[error("{} is cut: it ends in the middle of a block. Download it again", .0.display())]
    Cut(PathBuf),
    /// It ends right after its header.
    #[error("{} holds no data: it ends right after its header. Download it again", .0.display())]
    Empty(PathBuf),
    /// Bytes have changed.
    #[error("{} is damaged: the block at byte {} makes no sense ({}). Download it again", .0.display(), .1, .2)]
    Damaged(PathBuf, u64, String),
    /// An index must not replace what is there.
    #[error("cannot write {}: {}", .0.display(), .1)]
    Target(PathBuf, &'static str),
    /// The operating system does not take the index, or what is kept beside it meanwhile.
    #[error("cannot write {}: {}", .0.display(), .1)]
    Unwritable(PathBuf, io::Error),
}

impl Summary {
    /// All places.
    pub fn places(&self) -> u64 {
        self.nodes + self.ways + self.relations
    }
}

/// Reads the extract `source`, writes the index `out`, and replaces an index that was there. If `out` is a
/// symbolic link, the file that it leads to is replaced.
pub fn import(source: &Path, out: &Path, progress: &mut dyn Progress) -> Result<Summary, ImportError> {
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
