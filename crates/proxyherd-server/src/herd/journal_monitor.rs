//! What the journal of a server shows of itself: its state for `readyz` and the status, and the counts for metrics.
//!
//! The journal's threads write here ([`JournalMonitor::set_state`] and the notes), and `readiness` and `figures` read.
//! Neither waits for the other: the state has a lock that is held for a moment, and everything else is a counter.
//!
//! This module does not know what a journal writes, nor why it writes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use proxyherd_config::server_status::JournalStatus;

/// Upper bounds of the buckets in which the times of syncs are counted, seconds. Longer syncs are in a further bucket.
pub const SYNC_BUCKETS_S: [f64; 12] =
    [0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.25, 1.0, 4.0];

/// Whether the journal makes reports durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum JournalState {
    /// It does.
    #[default]
    Running,
    /// The disk has no room. Nothing is acknowledged until there is room again.
    Full,
    /// The disk has failed, for this reason. Nothing is acknowledged until the server is started again.
    Failed(String),
}

impl JournalState {
    /// The state's name in the status and in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            JournalState::Running => "running",
            JournalState::Full => "full",
            JournalState::Failed(_) => "failed",
        }
    }

    /// The names of all states.
    pub const LABELS: [&'static str; 3] = ["running", "full", "failed"];

    /// Why the journal is not running.
    fn why(&self) -> Option<String> {
        match self {
            JournalState::Running => None,
            JournalState::Full => Some("the disk of the store is full".to_owned()),
            JournalState::Failed(why) => Some(why.clone()),
        }
    }
}

/// The state and the counts of one server's journal.
#[derive(Debug, Default)]
pub struct JournalMonitor {
    state: Mutex<JournalState>,
    syncs: Mutex<SyncTimes>,
    records: AtomicU64,
    /// Counted by the disk.
    bytes: Arc<AtomicU64>,
    disk_bytes: AtomicU64,
    live_bytes: AtomicU64,
    compactions: AtomicU64,
    recovered: Mutex<RecoveryFigures>,
}

/// The times of all syncs since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct SyncTimes {
    /// How many syncs there were.
    pub count: u64,
    /// The time of all of them.
    pub sum: Duration,
    /// The longest.
    pub max: Duration,
    /// The last one.
    pub last: Duration,
    /// How many took at most the time of [`SYNC_BUCKETS_S`], and more than the time before it. The last: all others.
    pub buckets: [u64; SYNC_BUCKETS_S.len() + 1],
    /// When the sync that is running now began.
    running_since: Option<Instant>,
}

/// What the last start has read from the store.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecoveryFigures {
    /// The number of records.
    pub records: u64,
    /// The number of damaged places.
    pub damage: u64,
    /// The time that it took.
    pub time: Duration,
}

/// Everything that metrics show of a journal.
#[derive(Clone, Debug)]
pub struct JournalFigures {
    /// The state.
    pub state: JournalState,
    /// Records that were written, since the start.
    pub records: u64,
    /// Bytes that were written to the store, since the start.
    pub bytes: u64,
    /// The times of syncs.
    pub syncs: SyncTimes,
    /// Bytes of the store's files.
    pub disk_bytes: u64,
    /// Bytes that the present records would take in a new snapshot, about.
    pub live_bytes: u64,
    /// Cycles of compaction that have ended, since the start.
    pub compactions: u64,
    /// What the last start has read.
    pub recovered: RecoveryFigures,
}

impl JournalMonitor {
    /// The state now.
    pub fn state(&self) -> JournalState {
        self.state.lock().clone()
    }

    /// Changes the state, and returns the state before. A failed journal stays failed.
    pub fn set_state(&self, state: JournalState) -> JournalState {
        let mut held = self.state.lock();
        match *held {
            JournalState::Failed(_) => held.clone(),
            _ => std::mem::replace(&mut *held, state),
        }
    }

    /// The state and the counts of a journal on a disk that counts its bytes in `bytes`.
    pub fn new(bytes: &Arc<AtomicU64>) -> JournalMonitor {
        JournalMonitor { bytes: Arc::clone(bytes), ..JournalMonitor::default() }
    }

    /// Sets the number of records that were written.
    pub fn set_records(&self, records: u64) {
        self.records.store(records, Relaxed);
    }

    /// Runs `sync` and counts its time.
    pub fn time_sync<T>(&self, sync: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        self.syncs.lock().running_since = Some(began);
        let done = sync();
        let mut syncs = self.syncs.lock();
        syncs.running_since = None;
        syncs.note(began.elapsed());
        done
    }

    /// Sets the number of bytes of the store's files.
    pub fn set_disk_bytes(&self, disk_bytes: u64) {
        self.disk_bytes.store(disk_bytes, Relaxed);
    }

    /// Sets the number of bytes that the present records would take in a new snapshot.
    pub fn set_live_bytes(&self, live_bytes: u64) {
        self.live_bytes.store(live_bytes, Relaxed);
    }

    /// Counts a cycle of compaction that has ended.
    pub fn note_compaction(&self) {
        self.compactions.fetch_add(1, Relaxed);
    }

    /// Adds what was read from a store: from the server's own at the start, and from those that are read late.
    pub fn add_recovered(&self, recovered: RecoveryFigures) {
        let mut held = self.recovered.lock();
        held.records += recovered.records;
        held.damage += recovered.damage;
        held.time += recovered.time;
    }

    /// Everything that metrics show.
    pub fn figures(&self) -> JournalFigures {
        JournalFigures {
            state: self.state(),
            records: self.records.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            syncs: *self.syncs.lock(),
            disk_bytes: self.disk_bytes.load(Relaxed),
            live_bytes: self.live_bytes.load(Relaxed),
            compactions: self.compactions.load(Relaxed),
            recovered: *self.recovered.lock(),
        }
    }

    /// What the status shows. `waiting` connections wait until their reports are durable.
    pub fn status(&self, waiting: usize) -> JournalStatus {
        let figures = self.figures();
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        JournalStatus {
            state: figures.state.label().to_owned(),
            why: figures.state.why(),
            disk_bytes: figures.disk_bytes,
            live_bytes: figures.live_bytes,
            waiting,
            fsync_last_ms: millis(figures.syncs.last),
            fsync_max_ms: millis(figures.syncs.max),
            fsync_running_ms: millis(figures.syncs.running()),
            damage: figures.recovered.damage,
            recovered_records: figures.recovered.records,
            recovery_s: figures.recovered.time.as_secs_f64(),
        }
    }
}

impl SyncTimes {
    fn note(&mut self, time: Duration) {
        self.count += 1;
        self.sum += time;
        self.max = self.max.max(time);
        self.last = time;
        let bucket = SYNC_BUCKETS_S.partition_point(|bound| *bound < time.as_secs_f64());
        self.buckets[bucket] += 1;
    }

    /// The time for which a sync has been running now.
    pub fn running(&self) -> Duration {
        self.running_since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_journal_stays_failed_and_its_first_reason_is_told() {
        let monitor = JournalMonitor::default();
        assert_eq!(monitor.status(0).state, "running");
        assert_eq!(monitor.set_state(JournalState::Full), JournalState::Running);
        assert_eq!(monitor.status(0).why.unwrap(), "the disk of the store is full");
        monitor.set_state(JournalState::Failed("the disk broke".to_owned()));
        for later in [JournalState::Running, JournalState::Full, JournalState::Failed("again".to_owned())] {
            monitor.set_state(later);
            let status = monitor.status(3);
            assert_eq!((status.state.as_str(), status.why.as_deref()), ("failed", Some("the disk broke")));
            assert_eq!(status.waiting, 3);
        }
    }

    #[test]
    fn every_sync_is_in_the_bucket_of_its_time() {
        let mut times = SyncTimes::default();
        for micros in [250, 251, 900, 4_000_000, 9_000_000, 100] {
            times.note(Duration::from_micros(micros));
        }
        assert_eq!(times.buckets, [2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(times.count, times.buckets.iter().sum::<u64>());
        assert_eq!(times.max, Duration::from_secs(9));
        assert_eq!(times.last, Duration::from_micros(100));
    }

    #[test]
    fn a_sync_that_runs_is_told_while_it_runs() {
        let monitor = JournalMonitor::default();
        let during = monitor.time_sync(|| monitor.figures().syncs.running_since.is_some());
        assert!(during);
        assert!(monitor.figures().syncs.running_since.is_none());
        assert_eq!(monitor.figures().syncs.count, 1);
    }
}
