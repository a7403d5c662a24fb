//! Makes a new store of a dump.
//!
//! [`restore`] first reads the whole dump into a replica in memory, and only then writes. It writes a store beside the
//! server's store and puts it in place in one step. So a dump with a wrong line changes nothing, and a crash leaves
//! either the old store or the whole new one.
//!
//! In the herd of the dump, records keep their origins, as if the server had never been away. In another herd, records
//! of servers that this herd does not have are taken in the name of the restoring server, and the accounts of places
//! budgets are left out, because they belong to the other herd's servers.

mod adopt;
mod write;

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use proxyherd_core::{
    flood::{Restored, Update},
    journal::{Disk as _, DiskError, StoreIdentity},
    types::{KeyHash, Kind, Origin, ServerName},
};
use proxyherd_journal::{FileDisk, StoreError, directory};

use self::adopt::Adoption;
use crate::{
    BUFFER_LEN, Progress,
    check::RecordCounts,
    dump_file::{DumpError, DumpReader, Header},
};

/// The progress is told after each run of this many bytes of the dump.
const PROGRESS_BYTES: u64 = 64 * 1024;

/// The dump that is restored.
pub struct Source<'s> {
    /// The dump. The input needs no buffer.
    pub input: &'s mut dyn Read,
    /// Its name, for messages.
    pub name: &'s str,
    /// The number of its bytes. `None`: it is not known, so the progress stays at 0.
    pub len: Option<u64>,
}

/// The herd of the new store, as its herd.toml says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetHerd {
    /// The herd's ID.
    pub id: String,
    /// The directory below which each server has its store.
    pub data: PathBuf,
    /// The names of the herd's servers.
    pub servers: BTreeSet<ServerName>,
    /// Time between a client's last report and the moment when the herd forgets the client. `None`: the herd never
    /// forgets a client.
    pub client_ttl: Option<Duration>,
    /// Maximum difference between the clocks of two servers.
    pub clock_offset_max: Duration,
}

/// What a restore is to make.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'c> {
    /// The herd of the new store.
    pub herd: &'c TargetHerd,
    /// The server of the new store. The herd has this server.
    pub server: &'c ServerName,
    /// Whether tokens and shares are restored.
    pub with_tokens: bool,
    /// Whether an existing store is replaced.
    pub replaces: bool,
}

/// What a restore has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restoration {
    /// What the dump says of itself.
    pub header: Header,
    /// The directory of the new store.
    pub dir: PathBuf,
    /// The records that were restored.
    pub records: RecordCounts,
    /// The number of records that were taken in the name of the restoring server.
    pub adopted: u64,
    /// The number of records that were left out: tokens without `with_tokens`, and accounts of another herd.
    pub left_out: u64,
    /// The number of records that have expired, or that a newer record of the dump replaces.
    pub stale: u64,
    /// The number of records that no server would hold: there is no room for them, or they are in a wrong name.
    pub refused: u64,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The dump is refused.
    #[error("{dump}: {reason}; nothing was restored")]
    Dump {
        /// The name of the dump.
        dump: String,
        /// The reason.
        reason: DumpError,
    },
    /// The server runs, another command restores, or the directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is a store already.
    #[error(
        "{} holds a store already; nothing was restored. `proxyherd data dump` keeps what it holds, and --force replaces \
         it",
        dir.display()
    )]
    NotEmpty {
        /// The store's directory.
        dir: PathBuf,
    },
    /// The new store cannot be written.
    #[error("cannot write the new store {}: {reason}", dir.display())]
    Disk {
        /// The store's directory.
        dir: PathBuf,
        /// Why.
        reason: DiskError,
    },
}

/// Restores a dump. `now_ns`: POSIX time in nanoseconds. `salt`: a random number that clients cannot know.
pub fn restore(
    source: Source<'_>,
    wanted: &Wanted<'_>,
    now_ns: u64,
    salt: u64,
    progress: Progress<'_>,
) -> Result<Restoration, RestoreError> {
    let data = &wanted.herd.data;
    refuse_in_use(data, wanted)?;
    let replica = write::replica(wanted, now_ns, salt);
    let Source { input, name, len } = source;
    let mut read = |bytes: u64| progress(len.map_or(0.0, |len| bytes as f64 / len.max(1) as f64));
    let hold = |shard, update: Update<'_>| write::hold(&replica, now_ns, shard, update);
    let input = BufReader::with_capacity(BUFFER_LEN, input);
    let taken = take(input, wanted, now_ns, hold, &mut read)
        .map_err(|reason| RestoreError::Dump { dump: name.to_owned(), reason })?;
    let identity = StoreIdentity { herd: wanted.herd.id.clone(), server: wanted.server.clone() };
    let alive_until_ns = alive_until(&taken.header, &identity.herd, now_ns);
    write::put(data, wanted, &identity, &replica, alive_until_ns, salt)?;
    let Taken { header, records, adopted, left_out, stale, refused } = taken;
    Ok(Restoration {
        header,
        dir: directory(data, wanted.server),
        records,
        adopted,
        left_out,
        stale,
        refused,
    })
}

/// Refuses a store that is in use or holds something, before the dump is read.
fn refuse_in_use(data: &Path, wanted: &Wanted<'_>) -> Result<(), RestoreError> {
    let dir = directory(data, wanted.server);
    if let Some(holder) = FileDisk::held_by(data, wanted.server) {
        return Err(StoreError::Held { path: dir, holder }.into());
    }
    match FileDisk::read_only(data, wanted.server) {
        Ok(disk) => refuse_not_empty(&disk, wanted),
        Err(StoreError::Missing { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn refuse_not_empty(disk: &FileDisk, wanted: &Wanted<'_>) -> Result<(), RestoreError> {
    let dir = || disk.path().to_owned();
    let files = disk.list().map_err(|reason| RestoreError::Disk { dir: dir(), reason })?;
    if files.is_empty() || wanted.replaces { Ok(()) } else { Err(RestoreError::NotEmpty { dir: dir() }) }
}

/// Until when the server of the new store counts as alive. What a herd has forgotten since then, the server must not
/// bring back. Another herd has forgotten nothing of this dump, because the operator has it taken now.
fn alive_until(header: &Header, herd: &str, now_ns: u64) -> u64 {
    if header.herd != herd {
        return now_ns;
    }
    let known = if header.alive_until_ns > 0 { header.alive_until_ns } else { header.made_at_ns };
    known.min(now_ns)
}

/// What was taken from a dump.
struct Taken {
    header: Header,
    records: RecordCounts,
    adopted: u64,
    left_out: u64,
    stale: u64,
    refused: u64,
}

/// Reads the whole dump. `hold` takes each record, and `read` is told the number of bytes so far, now and then.
fn take(
    input: impl BufRead,
    wanted: &Wanted<'_>,
    now_ns: u64,
    mut hold: impl FnMut(usize, Update<'_>) -> Restored,
    read: &mut dyn FnMut(u64),
) -> Result<Taken, DumpError> {
    let mut reader = DumpReader::open(input)?;
    let header = reader.header().clone();
    let is_same_herd = header.herd == wanted.herd.id;
    let mut adoption = Adoption::new(wanted, is_same_herd, now_ns);
    let mut taken =
        Taken { header, records: RecordCounts::default(), adopted: 0, left_out: 0, stale: 0, refused: 0 };
    let mut told = 0;
    while let Some(entry) = reader.next_entry()? {
        if reader.bytes() - told >= PROGRESS_BYTES {
            told = reader.bytes();
            read(told);
        }
        let mut update = entry.update();
        let kind = update.record.kind;
        if kind == Kind::TOKEN && !wanted.with_tokens || kind == Kind::QUOTA && !is_same_herd {
            taken.left_out += 1;
            continue;
        }
        let shard = KeyHash::of(update.record.key).shard();
        let origin: Origin;
        if let Some((own, seq)) = adoption.adopt(shard, &update) {
            origin = own;
            (update.origin, update.seq) = (&origin, seq);
            taken.adopted += 1;
        }
        match hold(shard, update) {
            Restored::Kept => taken.records.note(&update),
            Restored::Stale => taken.stale += 1,
            Restored::Full | Restored::Impossible => taken.refused += 1,
        }
    }
    read(reader.bytes());
    Ok(taken)
}
