//! The store of one life of a server: the core's journal on a simulated disk. This module does what the threads of a
//! real server do around the journal, one step at a time, so that the server can crash between any two steps.
//!
//! A commit has three steps: changes are taken from the replica, written, and synced. A compaction has many steps,
//! which come between those of commits. A full disk delays the steps. After any other error the store is of no use
//! until the server starts again.
//!
//! The store does not know what is acknowledged, nor what is wrong with the disk.

use std::cell::RefCell;

use proxyherd_core::{
    command::Positions,
    flood::{Begin, FollowerId, Following, Wake},
    journal::{
        Compaction, Disk as _, DiskError, Journal, Part, Progress, RecoverError, Recovered, ReplicaRestore,
        StoreIdentity, alive_until, recover,
    },
    replica::{Replica, is_old_store},
};

use crate::{
    disk::SimDisk,
    timeline::{Nanos, SECOND},
};

/// The time for which a server waits for objections before it reads an old store.
const OBJECTIONS_MAX: Nanos = 10 * SECOND;

/// The store of one life.
#[derive(Debug)]
pub(crate) struct Store {
    disk: SimDisk,
    identity: StoreIdentity,
    salt: u64,
    follower: Option<FollowerId>,
    stage: Stage,
    compaction: Option<Compaction<SimDisk>>,
}

#[derive(Debug)]
enum Stage {
    /// The store is so old that the server waits for objections. If none comes until this time, it reads the store.
    Waits { alive_until_ns: u64, until: Nanos },
    /// The store is read. The journal begins as soon as the disk has room.
    Read(Recovered),
    /// The journal is open. The next step of a commit is this one.
    Open(Box<Journal<SimDisk>>, Step),
    /// The disk has failed.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Take,
    Write,
    Sync,
}

/// The outcome of a step of a commit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stepped {
    /// There is nothing to do until the next commit is due.
    Rests,
    /// The journal has begun. A commit follows.
    Began,
    /// Changes are taken. They are written next.
    Taken,
    /// They are written, and synced next. Everything up to these positions is durable already.
    Written(Positions),
    /// Everything up to these positions is durable.
    Durable(Positions),
    /// The store has just failed: nothing that waits will be durable.
    Failed(String),
}

/// The outcome of a step of a compaction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Compacting {
    /// No compaction runs.
    No,
    /// A compaction has begun.
    Begins,
    /// The next step follows.
    Continues,
    /// The compaction has come to its end.
    Done,
    /// The compaction was given up.
    GivenUp,
}

/// What became of a store at a start.
#[derive(Debug)]
pub(crate) enum Opened {
    /// It was read.
    Read(Recovered),
    /// It is so old that the server first waits for objections.
    Waits,
    /// A neighbor objected, so it is discarded.
    Discarded,
    /// It cannot be read.
    Refused(RecoverError),
}

impl Store {
    /// Opens the store of a server that has just started. The replica has nothing but what the store holds.
    pub(crate) fn open(
        disk: SimDisk,
        identity: StoreIdentity,
        replica: &Replica,
        (now, clock_ns): (Nanos, u64),
        salt: u64,
    ) -> (Store, Opened) {
        let mut store =
            Store { disk, identity, salt, follower: None, stage: Stage::Failed, compaction: None };
        let opened = match alive_until(&store.disk, &store.identity) {
            Ok(Some(alive_until_ns)) if is_old_store(clock_ns, alive_until_ns) => {
                store.stage = Stage::Waits { alive_until_ns, until: now + OBJECTIONS_MAX };
                Opened::Waits
            }
            // Nobody is connected yet, so nobody has to be woken.
            Ok(_) => store.read(replica, clock_ns).0,
            Err(error) => Opened::Refused(error),
        };
        // Everything that the replica gets from now on has to be written, also what the server issues again.
        store.follower = replica.follow(Following { begins: Begin::Now, wants_removed: true }, || {});
        let _ = store.end_read(replica, clock_ns);
        (store, opened)
    }

    /// Ends the restore of what was read.
    fn end_read(&self, replica: &Replica, clock_ns: u64) -> Wake {
        match &self.stage {
            Stage::Read(recovered) if recovered.last_number > 0 => {
                replica.restore_end(clock_ns, recovered.alive_until_ns)
            }
            _ => Wake::default(),
        }
    }

    /// Reads the store into the replica.
    fn read(&mut self, replica: &Replica, clock_ns: u64) -> (Opened, Wake) {
        let woken = RefCell::new(Wake::default());
        let wake = |more| {
            let before = woken.take();
            *woken.borrow_mut() = before.and(more);
        };
        let into = ReplicaRestore::new(replica, wake);
        match recover(&self.disk, &self.identity, &into, clock_ns, Part::ALL, &mut |_| {}) {
            Ok(recovered) => {
                self.stage = Stage::Read(recovered.clone());
                (Opened::Read(recovered), woken.take())
            }
            Err(error) => {
                self.stage = Stage::Failed;
                (Opened::Refused(error), woken.take())
            }
        }
    }

    /// What becomes of a store that waits for objections: it is discarded when a neighbor objects, and read when all
    /// neighbors have spoken or enough time has passed. `None`: nothing yet.
    pub(crate) fn decide(
        &mut self,
        replica: &Replica,
        (now, clock_ns): (Nanos, u64),
    ) -> Option<(Opened, Wake)> {
        let Stage::Waits { alive_until_ns, until } = self.stage else { return None };
        let objection = replica.objection();
        if objection.is_to(alive_until_ns) {
            return Some((self.discard(), Wake::default()));
        }
        (objection.is_complete() || now >= until).then(|| {
            let (opened, wake) = self.read(replica, clock_ns);
            (opened, wake.and(self.end_read(replica, clock_ns)))
        })
    }

    /// Removes everything, and begins a new store.
    fn discard(&mut self) -> Opened {
        let files = self.disk.list().unwrap_or_default();
        let removed = files.iter().try_for_each(|(name, _)| self.disk.remove(name));
        self.stage = match removed.and_then(|()| self.disk.sync_names()) {
            Ok(()) => Stage::Read(Recovered::default()),
            Err(_) => Stage::Failed,
        };
        Opened::Discarded
    }

    /// Whether the store is read and written, so that reports can become durable.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(..))
    }

    /// Whether the disk has failed.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.stage, Stage::Failed)
    }

    /// Whether the server still waits for objections against a store that is old.
    pub(crate) fn waits(&self) -> bool {
        matches!(self.stage, Stage::Waits { .. })
    }

    /// Whether nothing waits to be written or synced.
    pub(crate) fn rests(&self) -> bool {
        matches!(&self.stage, Stage::Open(journal, Step::Take) if !journal.is_dirty())
    }

    /// What a start would find if the server crashed now and the disk dropped everything that is not synced. `None` if
    /// the disk is not sound.
    pub(crate) fn survivors(&self, empty: Replica, clock_ns: u64) -> Option<Replica> {
        if !self.disk.is_sound() {
            return None;
        }
        let into = ReplicaRestore::new(&empty, drop);
        let disk = self.disk.synced();
        recover(&disk, &self.identity, &into, clock_ns, Part::ALL, &mut |_| {}).ok()?;
        Some(empty)
    }

    /// Does the next step of a commit.
    pub(crate) fn step(&mut self, replica: &Replica, clock_ns: u64) -> Stepped {
        let stepped = match &mut self.stage {
            Stage::Waits { .. } | Stage::Failed => return Stepped::Rests,
            Stage::Read(recovered) => {
                let disk = self.disk.clone();
                let begun = Journal::start(disk, &self.identity, recovered, self.salt, clock_ns);
                begun.map(|journal| {
                    self.stage = Stage::Open(Box::new(journal), Step::Take);
                    Stepped::Began
                })
            }
            Stage::Open(journal, step) => match step {
                Step::Take => {
                    let Some(follower) = &self.follower else { return Stepped::Rests };
                    journal.take(replica, follower, clock_ns);
                    if !journal.is_dirty() {
                        return Stepped::Rests;
                    }
                    *step = Step::Write;
                    Ok(Stepped::Taken)
                }
                Step::Write => journal.write().map(|()| {
                    *step = Step::Sync;
                    Stepped::Written(*journal.durable())
                }),
                Step::Sync => journal.sync().map(|durable| {
                    *step = Step::Take;
                    Stepped::Durable(*durable)
                }),
            },
        };
        match stepped {
            Ok(stepped) => stepped,
            Err(DiskError::Full) => Stepped::Rests,
            Err(DiskError::Failed(text)) => {
                self.stage = Stage::Failed;
                Stepped::Failed(text)
            }
        }
    }

    /// Begins a compaction if one is due or wanted, and does the next step of the one that runs.
    pub(crate) fn compact(&mut self, replica: &Replica, clock_ns: u64, is_wanted: bool) -> Compacting {
        let Stage::Open(journal, step) = &mut self.stage else { return Compacting::No };
        let stepped = match &mut self.compaction {
            None if *step != Step::Take || !is_wanted && !journal.is_compaction_due(replica, clock_ns) => {
                return Compacting::No;
            }
            None => journal.begin_compaction(clock_ns).map(|begun| {
                self.compaction = Some(begun);
                None
            }),
            Some(compaction) => compaction.step(replica, journal.durable()).map(Some),
        };
        match stepped {
            Ok(None) => Compacting::Begins,
            Ok(Some(Progress::More | Progress::WaitsForJournal)) => Compacting::Continues,
            Ok(Some(Progress::Done(compacted))) => {
                journal.compacted(&compacted);
                self.compaction = None;
                Compacting::Done
            }
            Err(error) => {
                if let Some(compaction) = self.compaction.take() {
                    journal.compaction_failed(&compaction.abort(), clock_ns);
                }
                if let DiskError::Failed(_) = error {
                    self.stage = Stage::Failed;
                }
                Compacting::GivenUp
            }
        }
    }
}
