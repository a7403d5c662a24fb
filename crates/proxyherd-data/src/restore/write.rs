//! Writes a replica as a new store, and puts the store in its place.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use proxyherd_core::{
    flood::{Begin, Following, Restored, Update},
    journal::{DiskError, Journal, Recovered, StoreIdentity},
    replica::{Replica, ReplicaSettings},
    types::Origin,
};
use proxyherd_journal::{FileDisk, directory, disk_error};

use super::{RestoreError, Wanted, refuse_not_empty};

/// The directory beside the store in which the new store is made.
const WORK: &str = "journal.restoring";

/// An empty replica of the server.
pub(super) fn replica(wanted: &Wanted<'_>, now_ns: u64, seed: u64) -> Replica {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    Replica::new(ReplicaSettings {
        // The life after the one in which records of unknown servers are taken.
        me: Origin { server: wanted.server.clone(), incarnation: now_ns.saturating_add(1) },
        seed,
        client_ttl_ns: wanted.herd.client_ttl.map(nanos),
        clock_offset_max_ns: nanos(wanted.herd.clock_offset_max),
        // The replica takes no reports, so it needs no limits and no rules for reports.
        max_clients: u64::MAX,
        client_interval_ns: 0,
        report_rules: Default::default(),
        client_index: false,
        rules: Default::default(),
    })
}

/// Merges a record into the replica.
pub(super) fn hold(replica: &Replica, now_ns: u64, shard: usize, update: Update<'_>) -> Restored {
    let mut restored = Restored::Stale;
    // No link and no follower waits for the replica.
    let _ = replica.restore(now_ns, shard, |restoring| restored = restoring.record(update));
    restored
}

/// Writes the replica as the store of the server.
pub(super) fn put(
    data: &Path,
    wanted: &Wanted<'_>,
    identity: &StoreIdentity,
    replica: &Replica,
    alive_until_ns: u64,
    salt: u64,
) -> Result<(), RestoreError> {
    let failed = |reason| RestoreError::Disk { dir: directory(data, wanted.server), reason };
    // The lock keeps the server and other restores away until the new store is in place.
    let mut place = FileDisk::open(data, wanted.server)?;
    refuse_not_empty(&place, wanted)?;
    let work = place.path().with_file_name(WORK);
    let made =
        make(&work, wanted, identity, replica, alive_until_ns, salt).map_err(failed).and_then(|made| {
            let aside = if wanted.replaces { Some(place.set_aside()?) } else { None };
            swap(&made, place.path()).map_err(failed)?;
            aside.map_or(Ok(()), FileDisk::discard)?;
            Ok(())
        });
    let cleared = remove(&work).map_err(failed);
    made.and(cleared)
}

/// Writes the store in a directory of its own, and returns where it is.
fn make(
    work: &Path,
    wanted: &Wanted<'_>,
    identity: &StoreIdentity,
    replica: &Replica,
    now_ns: u64,
    salt: u64,
) -> Result<PathBuf, DiskError> {
    remove(work)?;
    let disk = FileDisk::open(work, wanted.server).map_err(|error| DiskError::Failed(error.to_string()))?;
    let path = disk.path().to_owned();
    let following = Following { begins: Begin::WithAllHeld, wants_removed: true };
    let follower = replica.follow(following, || {});
    let follower =
        follower.ok_or_else(|| DiskError::Failed("the replica has no place for a journal".to_owned()))?;
    let mut journal = Journal::start(disk, identity, &Recovered::default(), salt, now_ns)?;
    loop {
        let is_all = journal.take(replica, &follower, now_ns);
        journal.write()?;
        journal.sync()?;
        if is_all && !journal.is_dirty() {
            break;
        }
    }
    // A new segment ends the one before. So wrong bytes in that one are damage, and never an unfinished end.
    journal.begin_compaction(now_ns)?.abort();
    journal.write()?;
    journal.sync()?;
    Ok(path)
}

/// Puts the new store into the place of an empty one.
fn swap(made: &Path, place: &Path) -> Result<(), DiskError> {
    fs::rename(made, place).map_err(|error| disk_error("move the new store to", place, &error))?;
    let above = place.parent().unwrap_or(place);
    File::open(above).and_then(|above| above.sync_all()).map_err(|error| disk_error("sync", above, &error))
}

fn remove(work: &Path) -> Result<(), DiskError> {
    match fs::remove_dir_all(work) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk_error("remove", work, &error)),
        _ => Ok(()),
    }
}
