//! The thread of compaction. It writes snapshots beside group commit, in small steps, and rests after each step. So
//! commits and reports find the disk and the processor free.
//!
//! A compaction that waits for the journal is given up when the journal finds the disk full. The journal may lack the
//! very bytes that the unfinished snapshot takes, and then neither would go on.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender},
    },
    time::{Duration, Instant},
};

use proxyherd_core::{
    journal::{Compacted, Compaction, Disk, DiskError, Progress},
    replica::Replica,
};

use super::signal::Signal;
use crate::{
    herd::{JournalMonitor, JournalState},
    liveness::Pulse,
};

/// Maximum rest after a step. A shorter step is followed by a rest of its own length.
const REST_MAX: Duration = Duration::from_millis(20);
/// Maximum time for which the thread waits for the journal before it looks again.
const WAIT_FOR_JOURNAL: Duration = Duration::from_secs(1);

/// How a compaction ended.
#[derive(Debug)]
pub(super) enum CompactionEnd {
    /// All older files are gone.
    Done(Compacted),
    /// The disk is full, after this was done. Another compaction is tried later.
    Full(Compacted),
    /// The disk failed.
    Failed(String),
}

/// The thread's own state.
pub(super) struct Compactor<D: Disk> {
    pub(super) replica: Arc<Replica>,
    pub(super) signal: Arc<Signal>,
    pub(super) monitor: Arc<JournalMonitor>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) compactions: Receiver<Compaction<D>>,
    pub(super) ends: SyncSender<CompactionEnd>,
}

impl<D: Disk> Compactor<D> {
    /// Serves until the thread of group commit has ended.
    pub(super) fn run(self) {
        while let Ok(compaction) = self.compactions.recv() {
            let ended = catch_unwind(AssertUnwindSafe(|| self.compact(compaction)));
            let Ok(end) = ended else {
                // The watchdog tells. The journal goes on, and its files grow.
                self.pulse.fail();
                return;
            };
            let Some(end) = end else { return };
            if self.ends.send(end).is_err() {
                return;
            }
            self.signal.wake();
        }
    }

    /// `None`: the journal is stopping.
    fn compact(&self, mut compaction: Compaction<D>) -> Option<CompactionEnd> {
        loop {
            if self.signal.is_stopping() {
                compaction.abort();
                return None;
            }
            let (durable, began) = (self.signal.durable(), Instant::now());
            match compaction.step(&self.replica, &durable) {
                Ok(Progress::More) => self.signal.rest(began.elapsed().min(REST_MAX)),
                Ok(Progress::WaitsForJournal) if self.monitor.state() == JournalState::Full => {
                    return Some(CompactionEnd::Full(compaction.abort()));
                }
                Ok(Progress::WaitsForJournal) => {
                    self.signal.wake();
                    self.signal.wait_for_more_than(&durable, WAIT_FOR_JOURNAL);
                }
                Ok(Progress::Done(compacted)) => return Some(CompactionEnd::Done(compacted)),
                Err(error) => {
                    let aborted = compaction.abort();
                    return Some(match error {
                        DiskError::Full => CompactionEnd::Full(aborted),
                        DiskError::Failed(why) => CompactionEnd::Failed(why),
                    });
                }
            }
        }
    }
}
