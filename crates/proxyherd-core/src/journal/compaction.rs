//! Writes snapshots of the shards, so that older files can go.
//!
//! The journal begins a segment, and the compaction gives its snapshots the number of that segment. The compaction goes
//! shard by shard. It notes the shard's vector, reads the shard's records bite by bite, and writes them to a file that
//! is not complete yet. Changes that happen meanwhile are in the new segment, too. At its end the snapshot has the
//! vector, which claims only what the shard held when the snapshot began.
//!
//! A snapshot counts from the moment at which it gets its name. Before that, the journal has to have synced all changes
//! that the shard had made when the last record was read. Otherwise a crash could keep the removal of a record, and
//! lose that the record had come back before the snapshot began. Or it could lose that a record which the vector claims
//! was removed before it was read, and which records took its room.

use super::{
    Disk, DiskError, DiskFile, StoreIdentity,
    format::{Blocks, FILE_HEADERS_LEN, FileHeader, FileName},
};
use crate::{
    command::Positions,
    limits::{COMPACTION_BITE_SLOTS, COMPACTION_SYNC_LEN, COMPACTION_WRITE_LEN, SHARDS},
    replica::Replica,
    types::Origin,
};

/// One cycle of compaction. It may run on a thread of its own beside the journal.
#[derive(Debug)]
pub struct Compaction<D: Disk> {
    disk: D,
    identity: StoreIdentity,
    salt: u64,
    number: u64,
    /// The shard whose turn it is; [`SHARDS`]: all have a snapshot.
    shard: usize,
    snapshot: Option<Snapshot<D::File>>,
    done: Compacted,
}

/// A snapshot that is not complete.
#[derive(Debug)]
struct Snapshot<F> {
    name: FileName,
    file: F,
    blocks: Blocks,
    /// What the shard covered when the snapshot began.
    vector: Vec<(Origin, u64)>,
    /// The number of changes that the shard had made when the last record was read.
    needed: u64,
    unsynced: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The next slot to read.
    Reads(usize),
    /// Everything is in the file and durable.
    Written,
}

/// The outcome of a step of a compaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Call again.
    More,
    /// The snapshot of a shard is written, and counts once the journal has synced what the shard held when its last
    /// record was read. Call again when the journal has synced more.
    WaitsForJournal,
    /// The compaction has ended.
    Done(Compacted),
}

/// What a compaction has done. For [`Journal::compacted`](super::Journal::compacted).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// The number of records in the snapshots.
    pub records: u64,
    /// The number of bytes of these records.
    pub record_bytes: u64,
    /// The number of bytes of the snapshots.
    pub bytes: u64,
    /// The number of bytes of the files that were removed.
    pub removed_bytes: u64,
}

impl<D: Disk> Compaction<D> {
    pub(super) fn begin(disk: D, identity: StoreIdentity, salt: u64, number: u64) -> Compaction<D> {
        Compaction { disk, identity, salt, number, shard: 0, snapshot: None, done: Compacted::default() }
    }

    /// Does a small part of the work: reads some records of a shard under its lock, or writes or syncs some bytes.
    /// `durable` are the newest positions that [`Journal::sync`](super::Journal::sync) has returned. After an error
    /// call [`Compaction::abort`].
    pub fn step(&mut self, replica: &Replica, durable: &Positions) -> Result<Progress, DiskError> {
        if self.shard >= SHARDS {
            self.remove(|file| matches!(file, FileName::Segment { .. }))?;
            return Ok(Progress::Done(self.done.clone()));
        }
        let Some(snapshot) = &mut self.snapshot else {
            self.snapshot = Some(self.begin_snapshot(replica)?);
            return Ok(Progress::More);
        };
        match snapshot.state {
            State::Reads(slot) => snapshot.read(replica, self.shard, slot)?,
            State::Written if durable.of(self.shard) < snapshot.needed => {
                return Ok(Progress::WaitsForJournal);
            }
            State::Written => self.complete()?,
        }
        Ok(Progress::More)
    }

    fn begin_snapshot(&self, replica: &Replica) -> Result<Snapshot<D::File>, DiskError> {
        let name = FileName::Snapshot { shard: self.shard as u8, number: self.number };
        let unfinished = name.unfinished();
        if self.disk.list()?.iter().any(|(name, _)| *name == unfinished) {
            self.disk.remove(&unfinished)?;
        }
        let mut vector = Vec::new();
        let needed = replica.for_each_covered(self.shard, |origin, seq| vector.push((origin.clone(), seq)));
        let mut file = self.disk.create(&unfinished)?;
        let header =
            FileHeader { identity: self.identity.clone(), file: name, salt: self.salt, is_first: false };
        file.write_at(0, &header.encode())?;
        let blocks = Blocks::new(name, self.salt, FILE_HEADERS_LEN as u64);
        Ok(Snapshot { name, file, blocks, vector, needed, unsynced: 0, state: State::Reads(0) })
    }

    /// Lets the snapshot count, and removes the shard's older one.
    fn complete(&mut self) -> Result<(), DiskError> {
        let Some(snapshot) = self.snapshot.take() else { return Ok(()) };
        self.disk.rename(&snapshot.name.unfinished(), &snapshot.name.to_string())?;
        self.disk.sync_names()?;
        let (records, record_bytes) = snapshot.blocks.records();
        self.done.records += records;
        self.done.record_bytes += record_bytes;
        self.done.bytes += snapshot.blocks.offset();
        let own = self.shard;
        self.remove(|file| matches!(file, FileName::Snapshot { shard, .. } if usize::from(shard) == own))?;
        self.shard += 1;
        Ok(())
    }

    /// Removes the older ones of some files.
    fn remove(&mut self, is_wanted: impl Fn(FileName) -> bool) -> Result<(), DiskError> {
        for (name, len) in self.disk.list()? {
            if FileName::parse(&name).is_some_and(|file| file.number() < self.number && is_wanted(file)) {
                self.disk.remove(&name)?;
                self.done.removed_bytes += len;
            }
        }
        Ok(())
    }

    /// Removes the unfinished snapshot, if there is one. Snapshots of other shards that are complete stay and count.
    /// Returns what the compaction has done until now.
    pub fn abort(self) -> Compacted {
        if let Some(snapshot) = self.snapshot {
            // If this fails, then the next start removes the file.
            let _ = self.disk.remove(&snapshot.name.unfinished());
        }
        self.done
    }
}

impl<F: DiskFile> Snapshot<F> {
    /// Reads some slots. Writes and syncs what has come together, and the end of the file behind the last slot.
    fn read(&mut self, replica: &Replica, shard: usize, slot: usize) -> Result<(), DiskError> {
        let blocks = &mut self.blocks;
        let next = replica.scan_shard(shard, slot, COMPACTION_BITE_SLOTS, |update| {
            blocks.record(shard as u8, &update);
        });
        if next.is_none() {
            self.needed = replica.changes(shard);
            self.blocks.vector(shard as u8, &self.vector);
            self.blocks.end();
        }
        if next.is_none() || self.blocks.len() >= COMPACTION_WRITE_LEN {
            let (offset, bytes) = self.blocks.waiting();
            self.file.write_at(offset, bytes)?;
            self.unsynced += bytes.len();
            self.blocks.written();
        }
        if next.is_none() || self.unsynced >= COMPACTION_SYNC_LEN {
            self.file.sync()?;
            self.blocks.synced();
            self.unsynced = 0;
        }
        self.state = next.map_or(State::Written, State::Reads);
        Ok(())
    }
}
