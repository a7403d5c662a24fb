//! Reads a store into a replica.
//!
//! For each shard, the newest snapshot is read, and then the segments from the snapshot's number on, in their order.
//! Several threads can share the work: each takes some of the shards. `survey` finds out which files count and whose
//! they are, and `read` reads them.
//!
//! Bytes that are wrong are either *torn* or *damaged*. They are torn if a process wrote them last, if nothing says
//! that they were durable, and if they are in the last segment of that process. Then nobody was promised anything about
//! them. Otherwise something is lost, so the vectors behind them do not count.

mod read;
mod survey;

use std::fmt;

use super::{Disk, DiskError, StoreIdentity, Stored};
use crate::{
    flood::{Rules, Wake},
    limits::STORE_DAMAGE_MAX,
    replica::Replica,
    types::Origin,
};

/// What receives the content of a store: a replica, or a command that shows the content.
pub trait Restore {
    /// Merges changes of one shard, in their order.
    fn restore(&self, now_ns: u64, shard: usize, changes: &[Stored<'_>]);

    /// All that was restored of the shard is covered up to these sequences. Called at most once for each shard, after
    /// all its changes.
    fn restore_vector(&self, now_ns: u64, shard: usize, vector: &[(Origin, u64)]);

    /// The rules of the server. Tests may break one of them.
    fn rules(&self) -> Rules {
        Rules::default()
    }
}

/// A replica that a store is restored into. `wake` wakes links; only a replica whose links are up has links to wake.
/// The caller ends the restore with [`Replica::restore_end`], after the last part.
pub struct ReplicaRestore<'a, W> {
    replica: &'a Replica,
    wake: W,
}

impl<'a, W: Fn(Wake)> ReplicaRestore<'a, W> {
    /// Restores into this replica.
    pub fn new(replica: &'a Replica, wake: W) -> ReplicaRestore<'a, W> {
        ReplicaRestore { replica, wake }
    }
}

impl<W: Fn(Wake)> Restore for ReplicaRestore<'_, W> {
    fn restore(&self, now_ns: u64, shard: usize, changes: &[Stored<'_>]) {
        (self.wake)(self.replica.restore(now_ns, shard, |restoring| {
            for change in changes {
                match *change {
                    Stored::Update(update) => drop(restoring.record(update)),
                    Stored::Removed { kind, key } => restoring.removed(kind, key),
                }
            }
        }));
    }

    fn restore_vector(&self, now_ns: u64, shard: usize, vector: &[(Origin, u64)]) {
        (self.wake)(self.replica.restore(now_ns, shard, |restoring| {
            restoring.vector(vector);
        }));
    }

    fn rules(&self) -> Rules {
        self.replica.rules()
    }
}

/// The share of one thread in a recovery: the shards whose remainder by `parts` is `part`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The number of this part, below `parts`.
    pub part: usize,
    /// The number of parts, from 1 to [`SHARDS`](crate::limits::SHARDS).
    pub parts: usize,
}

impl Part {
    /// Everything, in one part.
    pub const ALL: Part = Part { part: 0, parts: 1 };

    /// Whether the shard belongs to this part.
    fn has(self, shard: usize) -> bool {
        shard % self.parts == self.part
    }
}

/// How far a part of a recovery has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadProgress {
    /// The number of bytes that this part has read ...
    pub read: u64,
    /// ... of this many.
    pub total: u64,
    /// The number of records that this part has restored, older versions included.
    pub records: u64,
}

/// A run of bytes of a file that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// The file's name.
    pub file: String,
    /// Where the run begins, bytes.
    pub offset: u64,
    /// The number of bytes.
    pub len: u64,
}

/// What is wrong, for people. A file that is missing, or whose end is missing, has no wrong bytes.
impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { file, offset, len } = self;
        match (len, offset) {
            (0, 0) => write!(f, "the file {file} is missing or empty"),
            (0, _) => write!(f, "{file} ends at byte {offset}, and what was written behind is missing"),
            _ => write!(f, "{len} bytes of {file} from byte {offset} on are not what was written"),
        }
    }
}

/// What a recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The number of records that were read, older versions included.
    pub records: u64,
    /// The number of bytes of all files that count, whole files.
    pub bytes: u64,
    /// The ends of segments that a crash had not completed. They were cut: nothing in them was acknowledged.
    pub torn: Vec<Damage>,
    /// What was written and is damaged. At most [`STORE_DAMAGE_MAX`](crate::limits::STORE_DAMAGE_MAX) runs are listed.
    pub damage: Vec<Damage>,
    /// The last moment at which the server is known to have run with this store, POSIX time in nanoseconds. 0: the
    /// store is new.
    pub alive_until_ns: u64,
    /// Since when the store may hold something that the herd has forgotten, POSIX time in nanoseconds.
    pub forgotten_since_ns: Option<u64>,
    /// The greatest number of a file. 0: the store is new.
    pub last_number: u64,
}

impl Recovered {
    /// What two parts found together.
    pub fn merge(mut self, other: Recovered) -> Recovered {
        self.records += other.records;
        self.bytes = self.bytes.max(other.bytes);
        self.torn = merged(self.torn, other.torn);
        self.damage = merged(self.damage, other.damage);
        self.alive_until_ns = self.alive_until_ns.max(other.alive_until_ns);
        let sinces = [self.forgotten_since_ns, other.forgotten_since_ns];
        self.forgotten_since_ns = sinces.into_iter().flatten().min();
        self.last_number = self.last_number.max(other.last_number);
        self
    }
}

/// Runs that one of two parts found. Each part finds some runs by itself, and others together with all parts.
fn merged(mut runs: Vec<Damage>, others: Vec<Damage>) -> Vec<Damage> {
    runs.extend(others);
    runs.sort();
    runs.dedup();
    runs.truncate(STORE_DAMAGE_MAX);
    runs
}

/// Why a store cannot be read. Nothing was restored, unless the disk failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// The disk cannot be read.
    #[error("the store cannot be read: {0}")]
    Disk(#[from] DiskError),
    /// The store belongs to another herd.
    #[error(
        "{file} belongs to the herd {herd}, and this is another herd: use the store in that herd, or move it away"
    )]
    OtherHerd {
        /// The file that says so.
        file: String,
        /// The herd's ID.
        herd: String,
    },
    /// The store belongs to another server.
    #[error(
        "{file} belongs to the server {server}, and this is another server: use its store there, or move it away"
    )]
    OtherServer {
        /// The file that says so.
        file: String,
        /// The server's name.
        server: String,
    },
    /// A newer version of the program wrote the store.
    #[error(
        "{file} has the format {version}, which a newer version wrote: use that version, or move the store away"
    )]
    Newer {
        /// The file that says so.
        file: String,
        /// Its format.
        version: u16,
    },
}

/// Reads the shards of one part of a store into `into`. Files are only read.
///
/// A server calls this once for each part, on as many threads, and [merges](Recovered::merge) the results.
pub fn recover<D: Disk>(
    disk: &D,
    identity: &StoreIdentity,
    into: &impl Restore,
    now_ns: u64,
    part: Part,
    progress: &mut dyn FnMut(ReadProgress),
) -> Result<Recovered, RecoverError> {
    let survey = survey::Survey::of(disk, identity)?;
    Ok(read::Reading::new(disk, &survey, into, now_ns, part, progress).run()?)
}

/// The last moment at which the server is known to have run with this store, POSIX time in nanoseconds; `None`: there
/// is no store, or nothing in it says so. Reads little, and refuses the same stores as [`recover`].
pub fn alive_until<D: Disk>(disk: &D, identity: &StoreIdentity) -> Result<Option<u64>, RecoverError> {
    let survey = survey::Survey::of(disk, identity)?;
    Ok(read::alive_until(disk, &survey)?)
}

/// Whose store it is, as the first file with an intact header says; `None`: no file says so. [`recover`] refuses the
/// store if another file says otherwise.
pub fn identity_of<D: Disk>(disk: &D) -> Result<Option<StoreIdentity>, RecoverError> {
    survey::identity_of(disk)
}
