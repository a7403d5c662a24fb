//! The thread of group commit: it writes what the replica has changed, syncs the disk, and says what is durable.
//!
//! A change wakes the thread, if the thread waits. The thread then takes everything that the journal's follower has,
//! writes it and syncs. Changes that come during a sync form the next group. So an idle server adds no delay to a
//! report but the sync itself, and under load one sync serves many reports.
//!
//! **A full disk.** The thread repeats the same write every [`FULL_RETRY`] until there is room. Nothing is
//! acknowledged meanwhile, and the replica keeps one place for each changed record, so memory does not grow.
//!
//! **A failed disk.** After an error of a write or a sync, nobody knows what is on the disk. The thread gives up its
//! place in the replica, tells everybody who waits, and ends. Only a new start opens the store again.
//!
//! The pulse moves while the thread takes changes and tells who waits. It rests while the disk writes and syncs,
//! because a slow disk is not a stuck thread. Metrics and the status show how long a sync has been running.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender},
    },
    time::{Duration, Instant},
};

use proxyherd_config::clock;
use proxyherd_core::{
    command::Positions,
    flood::FollowerId,
    journal::{Compacted, Compaction, Disk, DiskError, Journal},
    replica::Replica,
};
use proxyherd_log::{LogLevel, ServerLog, Subject};

use super::{compactor::CompactionEnd, signal::Signal};
use crate::{
    herd::{JournalMonitor, JournalState, ServerDurability},
    liveness::Pulse,
};

/// Time between two tries to write to a disk that is full.
pub(super) const FULL_RETRY: Duration = Duration::from_millis(500);
/// Maximum time between two turns. A turn without changes writes at most that the server is alive.
const TURN_EVERY: Duration = Duration::from_secs(1);
/// A sync that takes longer than this is logged, at most once in [`SLOW_LOG_EVERY`].
const SLOW_SYNC: Duration = Duration::from_secs(1);
/// Minimum time between two lines about slow syncs.
const SLOW_LOG_EVERY: Duration = Duration::from_secs(60);

/// Who learns what is durable.
pub(crate) trait Listener: Send + Sync {
    /// Everything up to these positions is on the disk.
    fn journal_covers(&self, covered: &Positions);

    /// Nothing more will be on the disk until the server is started again.
    fn journal_failed(&self);
}

impl Listener for ServerDurability {
    fn journal_covers(&self, covered: &Positions) {
        self.cover_journal(covered);
    }

    fn journal_failed(&self) {
        ServerDurability::journal_failed(self);
    }
}

/// Why the thread ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// It was asked to.
    Stopped,
    /// The disk failed, or the code.
    Failed(String),
}

/// The thread's own state.
pub(super) struct Committer<D: Disk> {
    pub(super) replica: Arc<Replica>,
    pub(super) journal: Journal<D>,
    pub(super) follower: FollowerId,
    pub(super) signal: Arc<Signal>,
    pub(super) monitor: Arc<JournalMonitor>,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) log: ServerLog,
    pub(super) pulse: Arc<Pulse>,
    pub(super) compactions: SyncSender<Compaction<D>>,
    pub(super) compacted: Receiver<CompactionEnd>,
    pub(super) slow_logged: Option<Instant>,
}

impl<D: Disk + Clone> Committer<D> {
    /// Serves until the journal is stopped or has failed.
    pub(super) fn run(mut self) {
        let end = match catch_unwind(AssertUnwindSafe(|| self.serve())) {
            Ok(end) => end,
            Err(_) => {
                self.pulse.fail();
                End::Failed("the thread of the journal has panicked".to_owned())
            }
        };
        if let End::Failed(why) = end {
            self.fail(&why);
        }
        self.replica.unfollow(self.follower);
        // A compaction must not go on when nobody syncs.
        self.signal.stop();
    }

    fn serve(&mut self) -> End {
        loop {
            self.signal.wait(TURN_EVERY);
            let is_last = self.signal.is_stopping();
            if is_last {
                self.journal.expect_end();
            }
            if let Err(end) = self.take_turn() {
                return end;
            }
            if is_last {
                return End::Stopped;
            }
        }
    }

    /// Makes everything durable that has changed by now. After each group it looks whether a compaction is due, because
    /// a turn under full load may not end.
    fn take_turn(&mut self) -> Result<(), End> {
        loop {
            let is_all = {
                let _working = self.pulse.work();
                self.journal.take(&self.replica, &self.follower, clock::now_ns())
            };
            if self.journal.is_dirty() {
                self.make_durable()?;
            }
            self.look_at_compaction()?;
            if is_all {
                return Ok(());
            }
        }
    }

    /// Writes and syncs what was taken. Repeats this as long as the disk is full.
    fn make_durable(&mut self) -> Result<(), End> {
        loop {
            match self.write_and_sync() {
                Ok(durable) => {
                    self.note_room();
                    self.tell(&durable);
                    return Ok(());
                }
                Err(DiskError::Failed(why)) => return Err(End::Failed(why)),
                Err(DiskError::Full) => {
                    self.note_full();
                    if self.signal.is_stopping() {
                        let said = "the last changes are not in the journal, because its disk is full";
                        self.say(LogLevel::Error, format_args!("{said}"));
                        return Err(End::Stopped);
                    }
                    self.signal.rest(FULL_RETRY);
                }
            }
        }
    }

    fn write_and_sync(&mut self) -> Result<Positions, DiskError> {
        self.journal.write()?;
        let (journal, began) = (&mut self.journal, Instant::now());
        let durable = self.monitor.time_sync(|| journal.sync().copied())?;
        let took = began.elapsed();
        if took > SLOW_SYNC && self.slow_logged.is_none_or(|logged| logged.elapsed() > SLOW_LOG_EVERY) {
            self.slow_logged = Some(Instant::now());
            let message = format_args!(
                "a sync of the journal's disk took {:.1} s; no report is acknowledged during a sync",
                took.as_secs_f64()
            );
            self.say(LogLevel::Warn, message);
        }
        Ok(durable)
    }

    fn tell(&self, durable: &Positions) {
        let _working = self.pulse.work();
        self.monitor.set_records(self.journal.records_added());
        self.signal.set_durable(durable);
        self.listener.journal_covers(durable);
    }

    /// Takes the result of a compaction that has ended, and begins one that is due.
    fn look_at_compaction(&mut self) -> Result<(), End> {
        let now_ns = clock::now_ns();
        match self.compacted.try_recv() {
            Ok(CompactionEnd::Done(compacted)) => self.note_compacted(&compacted),
            Ok(CompactionEnd::Full(aborted)) => self.journal.compaction_failed(&aborted, now_ns),
            Ok(CompactionEnd::Failed(why)) => return Err(End::Failed(why)),
            Err(_) => {}
        }
        let is_due = {
            let _working = self.pulse.work();
            self.journal.is_compaction_due(&self.replica, now_ns)
        };
        if is_due {
            match self.journal.begin_compaction(now_ns) {
                // The thread of compaction takes one at a time, and the journal begins one at a time.
                Ok(compaction) => drop(self.compactions.try_send(compaction)),
                // The journal tries again later.
                Err(DiskError::Full) => {}
                Err(DiskError::Failed(why)) => return Err(End::Failed(why)),
            }
            let durable = *self.journal.durable();
            self.tell(&durable);
        }
        self.note_sizes();
        Ok(())
    }

    fn note_compacted(&mut self, compacted: &Compacted) {
        self.journal.compacted(compacted);
        self.monitor.note_compaction();
        let message = format_args!(
            "the journal was compacted: {} records in {} bytes replace {} bytes",
            compacted.records, compacted.bytes, compacted.removed_bytes
        );
        self.say(LogLevel::Debug, message);
    }

    fn note_sizes(&self) {
        self.monitor.set_disk_bytes(self.journal.disk_bytes());
        self.monitor.set_live_bytes(self.journal.live_bytes(&self.replica));
    }

    fn note_full(&self) {
        if self.monitor.set_state(JournalState::Full) == JournalState::Running {
            let message = format_args!(
                "the disk of the journal is full: this server answers, and acknowledges no report until there is room"
            );
            self.say(LogLevel::Error, message);
        }
    }

    fn note_room(&mut self) {
        if self.monitor.state() == JournalState::Full {
            self.journal.room_is_back();
            self.monitor.set_state(JournalState::Running);
            let message =
                format_args!("space is back: the journal writes again, and reports are acknowledged");
            self.say(LogLevel::Info, message);
        }
    }

    fn fail(&self, why: &str) {
        self.monitor.set_state(JournalState::Failed(why.to_owned()));
        self.listener.journal_failed();
        let message = format_args!(
            "the journal has failed: {why}. This server answers, and acknowledges no report until it is started again"
        );
        self.say(LogLevel::Error, message);
    }

    fn say(&self, level: LogLevel, message: std::fmt::Arguments<'_>) {
        self.log.event(level, Subject::Server, message);
    }
}
