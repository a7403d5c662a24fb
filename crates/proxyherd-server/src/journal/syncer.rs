//! The thread that syncs large groups, while the thread of group commit takes and writes the next one.
//!
//! It tells who waits for a group as soon as the disk has the group. One group is synced at a time: an error of a file
//! is told to one sync only, so a second sync beside a failed one could succeed.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use proxyherd_core::{
    command::Positions,
    journal::{BegunSync, DiskError, FileSync},
};
use proxyherd_log::{LogLevel, ServerLog, Subject};

use super::signal::Signal;
use crate::{
    herd::{JournalMonitor, ServerDurability},
    liveness::Pulse,
};

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

/// What a thread needs that syncs and tells what is durable. Clones share it.
#[derive(Clone)]
pub(super) struct Syncs {
    pub(super) signal: Arc<Signal>,
    pub(super) monitor: Arc<JournalMonitor>,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) log: ServerLog,
    /// When a slow sync was logged last.
    pub(super) slow_logged: Arc<Mutex<Option<Instant>>>,
}

/// The thread's own state.
pub(super) struct Syncer {
    pub(super) syncs: Syncs,
    pub(super) pulse: Arc<Pulse>,
    pub(super) begun: Receiver<(Arc<dyn FileSync>, BegunSync)>,
    pub(super) ends: SyncSender<Result<BegunSync, DiskError>>,
}

impl Syncs {
    /// Syncs, counts the time, and logs that it was long.
    pub(super) fn time<T>(&self, sync: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = self.monitor.time_sync(sync);
        let took = began.elapsed();
        if took > SLOW_SYNC {
            self.log_slow(took);
        }
        done
    }

    fn log_slow(&self, took: Duration) {
        let mut logged = self.slow_logged.lock();
        if logged.is_none_or(|logged| logged.elapsed() > SLOW_LOG_EVERY) {
            *logged = Some(Instant::now());
            let message = format_args!(
                "a sync of the journal's disk took {:.1} s; no report is acknowledged during a sync",
                took.as_secs_f64()
            );
            self.log.event(LogLevel::Warn, Subject::Server, message);
        }
    }

    /// Tells who waits that everything up to these positions is durable.
    pub(super) fn tell(&self, durable: &Positions) {
        self.signal.set_durable(durable);
        self.listener.journal_covers(durable);
    }
}

impl Syncer {
    /// Serves until the thread of group commit has ended.
    pub(super) fn run(self) {
        while let Ok((file, sync)) = self.begun.recv() {
            let synced = catch_unwind(AssertUnwindSafe(|| self.sync(&*file, &sync)));
            let end = synced.unwrap_or_else(|_| {
                self.pulse.fail();
                Err(DiskError::Failed("the thread that syncs the journal has panicked".to_owned()))
            });
            if self.ends.send(end.map(|()| sync)).is_err() {
                return;
            }
            self.syncs.signal.wake();
        }
    }

    fn sync(&self, file: &dyn FileSync, sync: &BegunSync) -> Result<(), DiskError> {
        self.syncs.time(|| file.sync())?;
        let _working = self.pulse.work();
        self.syncs.tell(&sync.covers);
        Ok(())
    }
}
