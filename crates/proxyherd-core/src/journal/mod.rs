//! The store of a server: what its replica holds, on a disk.
//!
//! A store is a folder of files. A [`Journal`] is a follower of the replica. It appends every change to the newest
//! *segment* and says which changes are durable ([`Journal::sync`]). A [`Compaction`] writes what the replica holds
//! into one *snapshot* for each shard, so that older files can go. [`recover`] reads a store into an empty replica. All
//! of them work on a [`Disk`], so the simulator runs the same code on a disk with faults.
//!
//! Invariant: a vector in a file claims only updates that the store holds before it. So every beginning of the files is
//! an older state of the replica that is consistent, and a torn tail can be cut. Behind damage, records still count,
//! because the last writer wins. Vectors behind damage do not count, so neighbors send what may be missing.
//!
//! Nothing here opens a file, waits or knows threads. The caller decides when to write and when to sync. Who waits for
//! changes to be durable is in [`ledger`](crate::ledger).

mod compaction;
mod disk;
mod format;
pub mod fuzzing;
mod memory;
mod recovery;
mod scan;
mod stored;
#[cfg(test)]
mod tests;
mod writer;

pub use self::{
    compaction::{Compacted, Compaction, Progress},
    disk::{Disk, DiskError, DiskFile},
    memory::{MemoryDisk, MemoryFile},
    recovery::{
        Damage, Part, ReadProgress, RecoverError, Recovered, ReplicaRestore, Restore, alive_until,
        identity_of, recover,
    },
    stored::Stored,
    writer::Journal,
};
use crate::types::ServerName;

/// The version of the format of stores that this program writes, and the only one that it reads.
pub const STORE_VERSION: u16 = format::VERSION;

/// Whether a file of this name counts as a file of a store. Files that are not complete do not count.
///
/// ```
/// use proxyherd_core::journal::is_store_file;
/// assert!(is_store_file("journal-7") && is_store_file("snapshot-15-7"));
/// assert!(!is_store_file("snapshot-15-7.tmp") && !is_store_file("journal.lock"));
/// ```
pub fn is_store_file(name: &str) -> bool {
    format::FileName::parse(name).is_some()
}

/// Whose store it is. A store of another herd or another server is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreIdentity {
    /// The herd's ID, at most [`HERD_ID_LEN_MAX`](crate::limits::HERD_ID_LEN_MAX) bytes.
    pub herd: String,
    /// The server's name.
    pub server: ServerName,
}
