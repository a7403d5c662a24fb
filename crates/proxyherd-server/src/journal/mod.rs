//! The journal of a running server: it reads the store at the start, writes every change of the replica, and says which
//! changes are on the disk.
//!
//! A server with `journal = true` opens its store (`OpenStore::open`), reads it before any client or neighbor is
//! served (`OpenStore::read_into`), and then starts the threads (`OpenStore::start`): `committer` writes and syncs,
//! and `compactor` writes snapshots. A store from before a long absence is read later, or never (`late`).
//! `ServerJournal::stop` writes and syncs what is left.
//!
//! Invariant: a `Listener` is told that changes are covered only after the sync of the disk has returned.
//!
//! Core decides what is written and read (`proxyherd_core::journal`), and the crate `proxyherd-journal` has the files.
//! This module has the threads, the clock and the log. It does not know who waits for durability.

mod committer;
mod compactor;
mod late;
mod reading;
mod signal;
mod store;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel},
    },
    thread,
    time::Instant,
};

use proxyherd_config::clock;
use proxyherd_core::{
    flood::{Begin, Following},
    journal::{Disk, Journal, Recovered, StoreIdentity},
    replica::Replica,
};
use proxyherd_log::ServerLog;

pub(crate) use self::committer::Listener;
pub(crate) use self::store::warn_of_unused_store;
pub use self::store::{JournalError, OpenStore, check};
use self::{committer::Committer, compactor::Compactor, signal::Signal};
use crate::{
    herd::{Herd, Internals as _, JournalMonitor, JournalState},
    liveness::Liveness,
};

/// The running threads of a journal. Dropping this value asks the threads to end.
#[derive(Debug)]
pub(crate) struct ServerJournal {
    signal: Arc<Signal>,
    /// Disconnected when all threads have ended.
    ended: Receiver<()>,
    monitor: Arc<JournalMonitor>,
}

impl OpenStore {
    /// Starts the threads. `listener` learns what is durable. From now on the herd shows the journal's state.
    pub(crate) fn start(
        self,
        herd: &Arc<Herd>,
        listener: Arc<dyn Listener>,
    ) -> Result<ServerJournal, JournalError> {
        let parts = JournalParts {
            replica: Arc::clone(herd.replica()),
            monitor: Arc::clone(&self.monitor),
            log: herd.log().clone(),
            listener,
        };
        let (journal, alive) =
            ServerJournal::start(self.disk, &self.identity, &self.recovered, parts, herd.liveness())?;
        herd.set_journal(self.monitor);
        late::start(self.late, self.identity, herd, &journal.signal, alive)?;
        Ok(journal)
    }
}

/// Held by each thread that has the store open. A stop waits until the last one is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Alive {
    _held: Sender<()>,
}

/// What the threads of a journal need besides the disk.
pub(crate) struct JournalParts {
    pub(crate) replica: Arc<Replica>,
    pub(crate) monitor: Arc<JournalMonitor>,
    pub(crate) log: ServerLog,
    pub(crate) listener: Arc<dyn Listener>,
}

impl ServerJournal {
    /// Starts the threads on any disk. The replica holds what was recovered and nothing else.
    pub(crate) fn start<D>(
        disk: D,
        identity: &StoreIdentity,
        recovered: &Recovered,
        parts: JournalParts,
        liveness: &Liveness,
    ) -> Result<(ServerJournal, Alive), JournalError>
    where
        D: Disk<File: Send> + Clone + Send + 'static,
    {
        let refused = |what: &dyn std::fmt::Display| JournalError::Start(what.to_string());
        let JournalParts { replica, monitor, log, listener } = parts;
        let journal = Journal::start(disk, identity, recovered, clock::random(), clock::now_ns())
            .map_err(|error| refused(&error))?;
        monitor.set_disk_bytes(journal.disk_bytes());
        let signal = Arc::new(Signal::default());
        let waker = Arc::clone(&signal);
        let following = Following { begins: Begin::Now, wants_removed: true };
        let follower = replica
            .follow(following, move || waker.wake())
            .ok_or_else(|| refused(&"the server has no place for another follower of its records"))?;
        if recovered.last_number > 0 {
            // What is issued again now must be in the journal, too. It must be there before the journal says that the
            // server is alive: otherwise a crash in between would leave tombstones that look long expired. No link is
            // up yet, so no link has to be woken.
            let _ = replica.restore_end(clock::now_ns(), recovered.alive_until_ns);
        }
        let ((compactions, to_compact), (ends, compacted)) = (sync_channel(1), sync_channel(1));
        let (held, ended) = channel();
        let alive = Alive { _held: held };
        let compactor = Compactor {
            replica: Arc::clone(&replica),
            signal: Arc::clone(&signal),
            monitor: Arc::clone(&monitor),
            pulse: liveness.pulse("the compaction of the journal"),
            compactions: to_compact,
            ends,
        };
        let committer = Committer {
            replica,
            journal,
            follower,
            signal: Arc::clone(&signal),
            monitor: Arc::clone(&monitor),
            listener,
            log,
            pulse: liveness.pulse("the journal"),
            compactions,
            compacted,
            slow_logged: None,
        };
        spawn("compaction", alive.clone(), move || compactor.run())?;
        spawn("journal", alive.clone(), move || committer.run())?;
        Ok((ServerJournal { signal, ended, monitor }, alive))
    }

    /// Writes and syncs what has changed by now, and ends the threads. Returns whether all of that was done by `end`.
    /// Blocks.
    pub(crate) fn stop(&self, end: Instant) -> bool {
        self.signal.stop();
        let time = end.saturating_duration_since(Instant::now());
        let is_over = self.ended.recv_timeout(time) == Err(RecvTimeoutError::Disconnected);
        is_over && self.monitor.state() == JournalState::Running
    }
}

/// Starts a thread that has the store open.
fn spawn(name: &str, alive: Alive, run: impl FnOnce() + Send + 'static) -> Result<(), JournalError> {
    let run = move || {
        run();
        drop(alive);
    };
    let started = thread::Builder::new().name(name.to_owned()).spawn(run);
    started.map(drop).map_err(|error| JournalError::Start(error.to_string()))
}

impl Drop for ServerJournal {
    fn drop(&mut self) {
        self.signal.stop();
    }
}
