//! The thread of group commit: it writes what the replica has changed, syncs the disk, and says what is durable.
//!
//! A change wakes the thread, if the thread waits. The thread then takes everything that the journal's follower has,
//! writes it and syncs. Changes that come during a sync form the next group. So an idle server adds no delay to a
//! report but the sync itself, and under load one sync serves many reports. A large group is synced by the thread
//! `syncer`, while this thread takes and writes the next group. Its sync begins when the sync before it has ended.
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
    time::Duration,
};

use proxyherd_config::clock;
use proxyherd_core::{
    command::Positions,
    flood::FollowerId,
    journal::{BegunSync, Compacted, Compaction, Disk, DiskError, FileSync, Journal},
    replica::Replica,
};
use proxyherd_log::{LogLevel, Subject};

use super::{compactor::CompactionEnd, syncer::Syncs};
use crate::{herd::JournalState, liveness::Pulse};

/// Time between two tries to write to a disk that is full.
pub(super) const FULL_RETRY: Duration = Duration::from_millis(500);
/// Maximum time between two turns. A turn without changes writes at most that the server is alive.
const TURN_EVERY: Duration = Duration::from_secs(1);
/// A group of this many bytes is synced on a thread of its own, so that the next group is taken and written meanwhile.
/// Smaller groups are taken and written in less time than it takes to wake that thread.
const HANDED_OVER_LEN: u64 = 64 * 1024;

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
    pub(super) syncs: Syncs,
    pub(super) pulse: Arc<Pulse>,
    /// The thread that syncs large groups, and what it says of them.
    pub(super) begun: SyncSender<(Arc<dyn FileSync>, BegunSync)>,
    pub(super) synced: Receiver<Result<BegunSync, DiskError>>,
    /// Whether that thread has a group whose end is not known here.
    pub(super) is_syncing: bool,
    pub(super) compactions: SyncSender<Compaction<D>>,
    pub(super) compacted: Receiver<CompactionEnd>,
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
        self.syncs.signal.stop();
    }

    fn serve(&mut self) -> End {
        loop {
            self.syncs.signal.wait(TURN_EVERY);
            let is_last = self.syncs.signal.is_stopping();
            if is_last {
                self.journal.expect_end();
            }
            let turn = self.take_turn();
            // What a sync makes durable while the server ends is told, too.
            if let Err(end) = turn.and_then(|()| if is_last { self.await_sync() } else { Ok(()) }) {
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
            if self.is_syncing
                && let Ok(end) = self.synced.try_recv()
            {
                self.note_synced(end)?;
            }
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

    /// Writes what was taken, and syncs it or lets it be synced.
    fn make_durable(&mut self) -> Result<(), End> {
        self.write()?;
        self.await_sync()?;
        if self.journal.unsynced_len() >= HANDED_OVER_LEN
            && let Some(begun) = self.journal.begin_sync()
        {
            self.is_syncing = true;
            return self.begun.send(begun).map_err(|_| no_syncs());
        }
        let journal = &mut self.journal;
        match self.syncs.time(|| journal.sync().copied()) {
            Ok(durable) => self.tell(&durable),
            Err(error) => return Err(End::Failed(error.to_string())),
        }
        Ok(())
    }

    /// Writes what was taken. Repeats this as long as the disk is full.
    fn write(&mut self) -> Result<(), End> {
        loop {
            match self.journal.write() {
                Ok(()) => {
                    self.note_room();
                    return Ok(());
                }
                Err(DiskError::Failed(why)) => return Err(End::Failed(why)),
                Err(DiskError::Full) => {
                    self.note_full();
                    if self.syncs.signal.is_stopping() {
                        let said = "the last changes are not in the journal, because its disk is full";
                        self.say(LogLevel::Error, format_args!("{said}"));
                        return Err(End::Stopped);
                    }
                    self.syncs.signal.rest(FULL_RETRY);
                }
            }
        }
    }

    /// Waits until no group is being synced.
    fn await_sync(&mut self) -> Result<(), End> {
        if !self.is_syncing {
            return Ok(());
        }
        let end = self.synced.recv().map_err(|_| no_syncs())?;
        self.note_synced(end)
    }

    fn note_synced(&mut self, end: Result<BegunSync, DiskError>) -> Result<(), End> {
        self.is_syncing = false;
        match end {
            Ok(sync) => self.journal.synced(&sync),
            Err(error) => return Err(End::Failed(error.to_string())),
        }
        self.syncs.monitor.set_records(self.journal.records_added());
        Ok(())
    }

    fn tell(&self, durable: &Positions) {
        let _working = self.pulse.work();
        self.syncs.monitor.set_records(self.journal.records_added());
        self.syncs.tell(durable);
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
            self.await_sync()?;
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
        self.syncs.monitor.note_compaction();
        let message = format_args!(
            "the journal was compacted: {} records in {} bytes replace {} bytes",
            compacted.records, compacted.bytes, compacted.removed_bytes
        );
        self.say(LogLevel::Debug, message);
    }

    fn note_sizes(&self) {
        self.syncs.monitor.set_disk_bytes(self.journal.disk_bytes());
        self.syncs.monitor.set_live_bytes(self.journal.live_bytes(&self.replica));
    }

    fn note_full(&self) {
        if self.syncs.monitor.set_state(JournalState::Full) == JournalState::Running {
            let message = format_args!(
                "the disk of the journal is full: this server answers, and acknowledges no report until there is room"
            );
            self.say(LogLevel::Error, message);
        }
    }

    fn note_room(&mut self) {
        if self.syncs.monitor.state() == JournalState::Full {
            self.journal.room_is_back();
            self.syncs.monitor.set_state(JournalState::Running);
            let message =
                format_args!("space is back: the journal writes again, and reports are acknowledged");
            self.say(LogLevel::Info, message);
        }
    }

    fn fail(&self, why: &str) {
        self.syncs.monitor.set_state(JournalState::Failed(why.to_owned()));
        self.syncs.listener.journal_failed();
        let message = format_args!(
            "the journal has failed: {why}. This server answers, and acknowledges no report until it is started again"
        );
        self.say(LogLevel::Error, message);
    }

    fn say(&self, level: LogLevel, message: std::fmt::Arguments<'_>) {
        self.syncs.log.event(level, Subject::Server, message);
    }
}

fn no_syncs() -> End {
    End::Failed("the thread that syncs the journal has ended".to_owned())
}
