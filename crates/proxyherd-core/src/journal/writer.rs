//! Writes the changes of a replica into segments.

use super::{
    Compacted, Compaction, Disk, DiskError, DiskFile, Recovered, StoreIdentity,
    format::{Blocks, FILE_HEADERS_LEN, FileHeader, FileName},
};
use crate::{
    command::{Position, Positions},
    flood::{Broken, FollowerEvent, FollowerId, Rules, Update},
    limits::{
        COMPACTION_PAUSE_NS, COMPACTION_RETRY_NS, FOLLOWER_BITE_MAX, SEGMENT_LEN_MAX, SHARDS, STORE_ALIVE_NS,
        STORE_BUFFER_LEN, STORE_FORGETS_NS, STORE_SLACK_LEN, STORE_SLACK_LEN_MAX, STORE_VECTOR_NS,
    },
    replica::Replica,
    types::{Body, Origin},
};

/// The number of bytes that a record takes on the disk, as long as no record has been written.
const RECORD_LEN_GUESS: u64 = 80;

/// The end of a store that is written. One thread owns it and repeats [`take`](Journal::take),
/// [`write`](Journal::write) and [`sync`](Journal::sync). The three are apart, so that a crash can be simulated between
/// them.
#[derive(Debug)]
pub struct Journal<D: Disk> {
    disk: D,
    identity: StoreIdentity,
    salt: u64,
    segment: Begun<D::File>,
    blocks: Blocks,
    positions: Stages,
    /// The length after which a segment ends.
    pub(super) segment_len_max: u64,
    /// Whether the file has bytes that were not synced.
    is_unsynced: bool,
    vectors: [ShardVector; SHARDS],
    alive_ns: Option<u64>,
    upkeep: Upkeep,
    rules: Rules,
}

/// The segment that is written.
#[derive(Debug)]
enum Begun<F> {
    /// It is there.
    Is(F),
    /// The disk has had no room for it yet.
    Waits(Box<FileHeader>),
}

/// How far changes have come on their way to the disk.
#[derive(Debug, Default)]
struct Stages {
    taken: Positions,
    written: Positions,
    durable: Positions,
}

/// The last vector of a shard in the store.
#[derive(Debug, Default)]
struct ShardVector {
    written: Vec<(Origin, u64)>,
    asked_ns: Option<u64>,
}

/// What decides when a compaction is due.
#[derive(Debug)]
struct Upkeep {
    /// The number of bytes of all files except the segment that is written.
    others_len: u64,
    /// The average number of bytes of a record: records, and their bytes.
    records: (u64, u64),
    is_damaged: bool,
    /// The follower has begun anew since the last compaction began.
    has_missed_removals: bool,
    is_running: bool,
    /// Whether each shard has a snapshot, which a compaction replaces shard by shard.
    has_snapshots: bool,
    /// The number of bytes of all files when the last compaction began.
    begun_len: u64,
    /// The number of bytes that segments grew by during the last compaction. `None`: none has ended yet.
    grown_len: Option<u64>,
    /// When the last compaction began.
    begun_ns: Option<u64>,
    /// When a compaction was given up last.
    given_up_ns: Option<u64>,
    forgotten_since_ns: Option<u64>,
    /// The number of tombstones that records have replaced, as far as the replica was asked.
    tombstones_replaced: u64,
}

impl<D: Disk> Journal<D> {
    /// Begins a new segment behind what was recovered, and removes files that a crash left behind. `salt` is a random
    /// number that clients cannot know. If the disk is full, the segment begins at the first [`Journal::write`] that
    /// finds room.
    pub fn start(
        disk: D,
        identity: &StoreIdentity,
        recovered: &Recovered,
        salt: u64,
        now_ns: u64,
    ) -> Result<Journal<D>, DiskError> {
        sync_earlier(&disk)?;
        let Kept { len: others_len, has_snapshots } = clean_up(&disk)?;
        let name = FileName::Segment { number: recovered.last_number + 1 };
        let header = FileHeader { identity: identity.clone(), file: name, salt, is_first: true };
        let segment = match create_segment(&disk, &header) {
            Ok(file) => Begun::Is(file),
            Err(DiskError::Full) => Begun::Waits(Box::new(header)),
            Err(error) => return Err(error),
        };
        let mut journal = Journal {
            disk,
            identity: identity.clone(),
            salt,
            segment,
            blocks: Blocks::new(name, salt, FILE_HEADERS_LEN as u64),
            positions: Stages::default(),
            segment_len_max: SEGMENT_LEN_MAX,
            is_unsynced: false,
            vectors: Default::default(),
            alive_ns: None,
            upkeep: Upkeep {
                others_len,
                records: (0, 0),
                is_damaged: !recovered.damage.is_empty(),
                has_missed_removals: false,
                is_running: false,
                has_snapshots,
                begun_len: 0,
                grown_len: None,
                begun_ns: None,
                given_up_ns: None,
                forgotten_since_ns: recovered.forgotten_since_ns,
                tombstones_replaced: 0,
            },
            rules: Rules::default(),
        };
        if recovered.last_number > 0 {
            // Records in the store may have expired while the server was off. Nothing says so later.
            journal.forgets(now_ns);
        } else {
            // A store that holds nothing misses nothing. Otherwise the first changes have to be taken before.
            journal.note_alive(now_ns);
        }
        Ok(journal)
    }

    /// Takes changes that wait for the follower into the buffer. Returns whether everything that waited was taken. If
    /// not, the buffer is full: write it, and take again.
    ///
    /// The follower has to want removals. It has to follow from a moment at which the replica holds only what was
    /// recovered, or begin with all held records.
    pub fn take(&mut self, replica: &Replica, follower: &FollowerId, now_ns: u64) -> bool {
        self.rules = replica.rules();
        let mut is_all = false;
        while !is_all && self.blocks.len() < STORE_BUFFER_LEN {
            is_all = replica
                .drain_shards(follower, FOLLOWER_BITE_MAX, |shard, event| self.note(shard, event, now_ns));
        }
        if is_all {
            self.ask_vectors(replica, follower, now_ns);
            // A store that says until when the server was alive must have all changes up to then.
            if self.is_alive_due(now_ns) {
                self.note_alive(now_ns);
                self.look_for_tombstones(replica, now_ns);
            }
        }
        is_all
    }

    /// Lets the next [`Journal::take`] also take what is otherwise written seldom: the vectors, and that the server is
    /// alive. A server that does so before it ends gets less from its neighbors at its next start.
    pub fn expect_end(&mut self) {
        self.alive_ns = None;
        for vector in &mut self.vectors {
            vector.asked_ns = None;
        }
    }

    fn note(&mut self, shard: usize, event: FollowerEvent<'_>, now_ns: u64) {
        match event {
            FollowerEvent::Record(update) | FollowerEvent::Hidden(update) => {
                self.note_record(shard, &update, now_ns);
            }
            FollowerEvent::Removed { kind, key } => {
                self.blocks.removed(shard as u8, kind, key);
                self.forgets(now_ns);
            }
            // The store keeps what it holds of the shard, because the records that follow win over it. Only removals
            // are missing, so records would come back that were removed. A compaction ends this.
            FollowerEvent::Anew { .. } => self.upkeep.has_missed_removals = true,
            FollowerEvent::Covered { position, vector } => {
                self.positions.taken.note(position);
                let own = &mut self.vectors[position.shard];
                if let Some(vector) = vector
                    && own.is_due(now_ns)
                {
                    let mut entries = Vec::with_capacity(own.written.len());
                    vector.for_each(|origin, seq| entries.push((origin.clone(), seq)));
                    own.asked_ns = Some(now_ns);
                    own.write(&mut self.blocks, position.shard, entries);
                }
            }
        }
    }

    #[inline]
    fn note_record(&mut self, shard: usize, update: &Update<'_>, now_ns: u64) {
        self.blocks.record(shard as u8, update);
        if update.record.body == Body::Gone {
            self.forgets(now_ns);
        }
    }

    fn forgets(&mut self, now_ns: u64) {
        self.upkeep.forgotten_since_ns.get_or_insert(now_ns);
    }

    /// Asks for the vectors of shards whose last vector is old. A vector can advance without a change.
    fn ask_vectors(&mut self, replica: &Replica, follower: &FollowerId, now_ns: u64) {
        for shard in 0..SHARDS {
            if !self.vectors[shard].is_due(now_ns) {
                continue;
            }
            let seq = replica.changes(shard);
            let mut entries = Vec::new();
            if replica.vector_for(follower, shard, |origin, seq| entries.push((origin.clone(), seq))) {
                // The queue was empty after the changes were counted, so all of these were taken.
                self.positions.taken.note(Position { shard, seq });
                self.vectors[shard].write(&mut self.blocks, shard, entries);
            }
        }
        for vector in &mut self.vectors {
            if vector.is_due(now_ns) {
                vector.asked_ns = Some(now_ns);
            }
        }
    }

    fn is_alive_due(&self, now_ns: u64) -> bool {
        self.alive_ns.is_none_or(|alive_ns| now_ns.abs_diff(alive_ns) >= STORE_ALIVE_NS)
    }

    fn note_alive(&mut self, now_ns: u64) {
        self.blocks.alive(now_ns);
        self.alive_ns = Some(now_ns);
    }

    /// Looks for tombstones that the follower may not have been sent, because the clients came back at once. What such
    /// a tombstone ended is still in the store.
    fn look_for_tombstones(&mut self, replica: &Replica, now_ns: u64) {
        let replaced = replica.tombstones_replaced();
        if replaced > self.upkeep.tombstones_replaced {
            self.upkeep.tombstones_replaced = replaced;
            self.forgets(now_ns);
        }
    }

    /// Whether the buffer holds something to write, or something written waits for [`Journal::sync`].
    pub fn is_dirty(&self) -> bool {
        self.blocks.len() > 0 || self.is_unsynced || self.positions.taken != self.positions.durable
    }

    /// Writes the buffer at the end of the segment. After [`DiskError::Full`] nothing is lost: the next call writes the
    /// same bytes at the same place, and what was added to them.
    pub fn write(&mut self) -> Result<(), DiskError> {
        let (offset, bytes) = self.blocks.waiting();
        if !bytes.is_empty() {
            if let Begun::Waits(header) = &self.segment {
                self.segment = Begun::Is(create_segment(&self.disk, header)?);
            }
            self.is_unsynced = true;
            self.segment.write_at(offset, bytes)?;
            self.blocks.written();
        }
        self.positions.written = self.positions.taken;
        if self.rules.breaks(Broken::DurableWhenWritten) {
            self.positions.durable = self.positions.written;
        }
        Ok(())
    }

    /// Makes what was written durable. Returns the positions up to which all changes are durable. Begins a new segment
    /// when this one is long.
    pub fn sync(&mut self) -> Result<&Positions, DiskError> {
        if self.is_unsynced {
            if !self.rules.breaks(Broken::SkipTheSync) {
                self.segment.sync()?;
            }
            self.is_unsynced = self.blocks.len() > 0;
            self.blocks.synced();
        }
        self.positions.durable = self.positions.written;
        if self.blocks.offset() >= self.segment_len_max && self.blocks.len() == 0 {
            match self.rotate() {
                // The old segment grows until there is room for a new one.
                Ok(()) | Err(DiskError::Full) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(&self.positions.durable)
    }

    /// Ends the segment and begins the next one. Everything has to be written.
    fn rotate(&mut self) -> Result<(), DiskError> {
        self.blocks.end();
        self.write()?;
        self.segment.sync()?;
        self.blocks.synced();
        self.is_unsynced = false;
        let file = FileName::Segment { number: self.blocks.file().number() + 1 };
        let header = FileHeader { identity: self.identity.clone(), file, salt: self.salt, is_first: false };
        self.segment = Begun::Is(create_segment(&self.disk, &header)?);
        self.upkeep.others_len += self.blocks.offset();
        self.blocks.continue_in(file, FILE_HEADERS_LEN as u64);
        // The segment shall say by itself until when the server was alive.
        if let Some(alive_ns) = self.alive_ns {
            self.blocks.alive(alive_ns);
        }
        Ok(())
    }

    /// The positions up to which all changes are durable.
    pub fn durable(&self) -> &Positions {
        &self.positions.durable
    }

    /// The number of bytes of all files of the store.
    pub fn disk_bytes(&self) -> u64 {
        self.upkeep.others_len + self.blocks.offset()
    }

    /// The number of records that were added to segments since the start.
    pub fn records_added(&self) -> u64 {
        self.blocks.records().0
    }

    /// The number of bytes that the held records would take in new snapshots, about.
    pub fn live_bytes(&self, replica: &Replica) -> u64 {
        let (records, written) = (self.upkeep.records, self.blocks.records());
        let (count, len) = (records.0 + written.0, records.1 + written.1);
        len.checked_div(count).unwrap_or(RECORD_LEN_GUESS) * replica.len()
    }

    /// Whether a compaction should begin now. Never true while one runs.
    pub fn is_compaction_due(&self, replica: &Replica, now_ns: u64) -> bool {
        let Upkeep { is_damaged, has_missed_removals, is_running, given_up_ns, forgotten_since_ns, .. } =
            self.upkeep;
        // The clock may be set back meanwhile.
        let is_too_early =
            given_up_ns.is_some_and(|given_up_ns| now_ns.abs_diff(given_up_ns) < COMPACTION_RETRY_NS);
        if is_running || is_too_early {
            return false;
        }
        let is_soon = self.upkeep.begun_ns.is_some_and(|ns| now_ns.abs_diff(ns) < COMPACTION_PAUSE_NS);
        let slack_len = if is_soon { STORE_SLACK_LEN_MAX } else { STORE_SLACK_LEN };
        let is_large = self.disk_bytes() > self.upkeep.len_max(self.live_bytes(replica)) + slack_len;
        let has_forgotten =
            forgotten_since_ns.is_some_and(|since_ns| now_ns.abs_diff(since_ns) >= STORE_FORGETS_NS);
        is_damaged || has_missed_removals || is_large || has_forgotten
    }

    /// Begins a new segment and a compaction that makes all older files unnecessary. Writes and syncs the buffer first,
    /// so [`Journal::durable`] may grow. The compaction may run on another thread. End it with [`Journal::compacted`]
    /// or [`Journal::compaction_failed`].
    pub fn begin_compaction(&mut self, now_ns: u64) -> Result<Compaction<D>, DiskError>
    where
        D: Clone,
    {
        let begun = self.write().and_then(|()| self.sync().map(|_| ())).and_then(|()| self.rotate());
        if let Err(error) = begun {
            self.upkeep.given_up_ns = Some(now_ns);
            return Err(error);
        }
        self.upkeep.is_running = true;
        self.upkeep.begun_ns = Some(now_ns);
        self.upkeep.begun_len = self.disk_bytes();
        // What is forgotten from now on is in the new segment, or still in a snapshot.
        self.upkeep.forgotten_since_ns = None;
        self.upkeep.has_missed_removals = false;
        let number = self.blocks.file().number();
        Ok(Compaction::begin(self.disk.clone(), self.identity.clone(), self.salt, number))
    }

    /// The compaction has ended.
    pub fn compacted(&mut self, compacted: &Compacted) {
        self.upkeep.grown_len = Some(self.disk_bytes().saturating_sub(self.upkeep.begun_len));
        self.upkeep.end(compacted);
        self.upkeep.has_snapshots = true;
        self.upkeep.is_damaged = false;
        if compacted.records > 0 {
            self.upkeep.records = (compacted.records, compacted.record_bytes);
        }
    }

    /// The compaction was given up, for example because the disk is full. Another one is due a while later. `aborted`
    /// is what [`Compaction::abort`] has returned.
    pub fn compaction_failed(&mut self, aborted: &Compacted, now_ns: u64) {
        self.upkeep.end(aborted);
        self.upkeep.given_up_ns = Some(now_ns);
        // Whatever was the reason to compact is still there.
        self.upkeep.forgotten_since_ns = Some(now_ns.saturating_sub(STORE_FORGETS_NS));
    }

    /// The disk was full and has room again. A compaction that was given up can be tried at once: what is written until
    /// a later try could fill the disk with what that compaction would remove.
    pub fn room_is_back(&mut self) {
        self.upkeep.given_up_ns = None;
    }
}

impl<F: DiskFile> DiskFile for Begun<F> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        match self {
            Begun::Is(file) => file.write_at(offset, bytes),
            Begun::Waits(_) => Err(DiskError::Full),
        }
    }

    /// A segment that has not begun has no bytes.
    fn sync(&mut self) -> Result<(), DiskError> {
        match self {
            Begun::Is(file) => file.sync(),
            Begun::Waits(_) => Ok(()),
        }
    }
}

impl Upkeep {
    /// The number of bytes of all files above which a compaction is due, with this number of live bytes. While the
    /// compaction runs, its snapshots and what is written meanwhile are added. Together they stay below three times the
    /// live bytes if the compaction takes as long as the last one.
    fn len_max(&self, live_len: u64) -> u64 {
        let new_snapshots_len = if self.has_snapshots { live_len / SHARDS as u64 } else { live_len };
        let grown_len = self.grown_len.unwrap_or(live_len / 4);
        let rest_len = (3 * live_len).saturating_sub(new_snapshots_len + grown_len + live_len / 16);
        rest_len.clamp(live_len + live_len / 4, 2 * live_len)
    }

    fn end(&mut self, done: &Compacted) {
        self.is_running = false;
        self.others_len = (self.others_len + done.bytes).saturating_sub(done.removed_bytes);
    }
}

impl ShardVector {
    fn is_due(&self, now_ns: u64) -> bool {
        self.asked_ns.is_none_or(|asked_ns| now_ns.abs_diff(asked_ns) >= STORE_VECTOR_NS)
    }

    /// Adds the vector to the blocks if it has changed.
    fn write(&mut self, blocks: &mut Blocks, shard: usize, vector: Vec<(Origin, u64)>) {
        if vector != self.written {
            blocks.vector(shard as u8, &vector);
            self.written = vector;
        }
    }
}

/// Creates a segment with its header. The segment has its name only when the header is durable.
fn create_segment<D: Disk>(disk: &D, header: &FileHeader) -> Result<D::File, DiskError> {
    let unfinished = header.file.unfinished();
    // An earlier attempt may have failed.
    if disk.list()?.iter().any(|(name, _)| *name == unfinished) {
        disk.remove(&unfinished)?;
    }
    let mut file = disk.create(&unfinished)?;
    file.write_at(0, &header.encode())?;
    file.sync()?;
    disk.rename(&unfinished, &header.file.to_string())?;
    disk.sync_names()?;
    Ok(file)
}

/// Makes durable what an earlier process left behind. A process that was killed may not have synced the end of its
/// segment, nor the names of its files, and the recovery has read both. So without this, the new process would
/// acknowledge, and claim by its vectors, what a crash of the machine can still drop. A process syncs each of its
/// segments before it begins the next one, so only the last segment matters.
fn sync_earlier<D: Disk>(disk: &D) -> Result<(), DiskError> {
    let files = disk.list()?;
    let segments = files.iter().filter_map(|(name, _)| match FileName::parse(name)? {
        FileName::Segment { number } => Some((number, name)),
        FileName::Snapshot { .. } => None,
    });
    if let Some((_, name)) = segments.max() {
        disk.sync_file(name)?;
    }
    disk.sync_names()
}

/// The files that count.
struct Kept {
    /// Their number of bytes.
    len: u64,
    /// Whether each shard has a snapshot.
    has_snapshots: bool,
}

/// Removes files that do not count.
fn clean_up<D: Disk>(disk: &D) -> Result<Kept, DiskError> {
    let files = disk.list()?;
    let mut newest = [0; SHARDS];
    let parsed = || files.iter().filter_map(|(name, _)| FileName::parse(name));
    for file in parsed() {
        if let FileName::Snapshot { shard, number } = file {
            newest[usize::from(shard)] = number.max(newest[usize::from(shard)]);
        }
    }
    let oldest = newest.iter().copied().min().unwrap_or_default();
    let mut kept = Kept { len: 0, has_snapshots: oldest > 0 };
    for (name, len) in &files {
        let is_needed = match FileName::parse(name) {
            Some(FileName::Segment { number }) => number >= oldest,
            Some(FileName::Snapshot { shard, number }) => number == newest[usize::from(shard)],
            None if FileName::is_unfinished(name) => false,
            None => continue,
        };
        if is_needed {
            kept.len += len;
        } else {
            disk.remove(name)?;
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// What decides when a store is too large, for a store whose last compaction let its segments grow by so much.
    fn upkeep(has_snapshots: bool, grown_len: Option<u64>) -> Upkeep {
        Upkeep {
            others_len: 0,
            records: (0, 0),
            is_damaged: false,
            has_missed_removals: false,
            is_running: false,
            has_snapshots,
            begun_len: 0,
            grown_len,
            begun_ns: None,
            given_up_ns: None,
            forgotten_since_ns: None,
            tombstones_replaced: 0,
        }
    }

    #[test]
    fn a_store_stays_below_three_times_its_live_bytes_while_it_is_compacted() {
        let live_len = 160 * MIB;
        for has_snapshots in [false, true] {
            for grown_len in [None, Some(0), Some(20 * MIB), Some(100 * MIB)] {
                let upkeep = upkeep(has_snapshots, grown_len);
                let new_len = if has_snapshots { live_len / SHARDS as u64 } else { live_len };
                let most = upkeep.len_max(live_len) + new_len + grown_len.unwrap_or(live_len / 4);
                assert!(
                    most <= 3 * live_len || upkeep.len_max(live_len) == live_len + live_len / 4,
                    "{most}"
                );
            }
        }
    }

    #[test]
    fn a_store_is_not_compacted_all_the_time_where_segments_grow_fast() {
        let fast = upkeep(false, Some(1000 * MIB));
        assert_eq!(fast.len_max(160 * MIB), 200 * MIB);
        assert_eq!(upkeep(true, Some(0)).len_max(160 * MIB), 320 * MIB);
        assert_eq!(upkeep(false, None).len_max(0), 0);
    }
}
