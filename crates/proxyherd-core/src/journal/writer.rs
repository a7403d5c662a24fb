//! Writes the changes of a replica into segments.

use super::{Compacted, Compaction, Disk, DiskError, Positions, Recovered, StoreIdentity};
use crate::{flood::FollowerId, replica::Replica};

/// The end of a store that is written. One thread owns it and repeats [`take`](Journal::take), [`write`](Journal::write)
/// and [`sync`](Journal::sync). The three are apart, so that a crash can be simulated between them.
#[derive(Debug)]
pub struct Journal<D: Disk> {
    disk: D,
    identity: StoreIdentity,
    durable: Positions,
}

impl<D: Disk> Journal<D> {
    /// Begins a new segment behind what was recovered, and removes files that a crash left behind. `salt` is a random
    /// number that clients cannot know.
    pub fn start(
        disk: D,
        identity: &StoreIdentity,
        recovered: &Recovered,
        salt: u64,
        now_ns: u64,
    ) -> Result<Journal<D>, DiskError> {
        let _ = (recovered, salt, now_ns);
        Ok(Journal { disk, identity: identity.clone(), durable: Positions::default() })
    }

    /// Takes changes that wait for the follower into the buffer. Returns whether everything that waited was taken. If
    /// not, the buffer is full: write it, and take again.
    ///
    /// The follower must want removals, and begin with all held records or before the replica holds any that were not
    /// recovered.
    pub fn take(&mut self, replica: &Replica, follower: &FollowerId, now_ns: u64) -> bool {
        let _ = (replica, follower, now_ns);
        true
    }

    /// Whether the buffer holds something to write, or something written waits for [`Journal::sync`].
    pub fn is_dirty(&self) -> bool {
        false
    }

    /// Writes the buffer at the end of the segment. After [`DiskError::Full`] nothing is lost: the next call writes the
    /// same bytes at the same place.
    pub fn write(&mut self) -> Result<(), DiskError> {
        Ok(())
    }

    /// Makes what was written durable. Returns the positions up to which all changes are durable. Begins a new segment
    /// when this one is long.
    pub fn sync(&mut self) -> Result<&Positions, DiskError> {
        Ok(&self.durable)
    }

    /// The positions up to which all changes are durable.
    pub fn durable(&self) -> &Positions {
        &self.durable
    }

    /// The number of bytes of all files of the store.
    pub fn disk_bytes(&self) -> u64 {
        0
    }

    /// Whether a compaction should begin now. Never true while one runs.
    pub fn is_compaction_due(&self, replica: &Replica, now_ns: u64) -> bool {
        let _ = (replica, now_ns);
        false
    }

    /// Begins a new segment and a compaction that makes all older files unnecessary. Writes and syncs the buffer first.
    /// The compaction may run on another thread. End it with [`Journal::compacted`] or
    /// [`Journal::compaction_failed`].
    pub fn begin_compaction(&mut self, now_ns: u64) -> Result<Compaction<D>, DiskError>
    where
        D: Clone,
    {
        let _ = now_ns;
        Ok(Compaction::begin(self.disk.clone(), self.identity.clone()))
    }

    /// The compaction has ended.
    pub fn compacted(&mut self, compacted: &Compacted) {
        let _ = compacted;
    }

    /// The compaction was given up, for example because the disk is full. Another one is due a while later.
    pub fn compaction_failed(&mut self, now_ns: u64) {
        let _ = now_ns;
    }
}
