//! Stores from before a long absence: read when no neighbor objects, and discarded when one does.
//!
//! A neighbor objects if it has run for so long that it may have forgotten what it once forgot. Then the neighbor sends
//! everything that the herd still holds, and the old store has nothing to add. If the whole herd was switched off, no
//! neighbor objects, and the old store is all there is.
//!
//! A store that was read late goes into the new store like every other change. Its files are removed when the new store
//! has all of that on the disk. A crash in between only means that it is read again.

use std::{
    sync::{Arc, Weak},
    thread,
    time::{Duration, Instant},
};

use proxyherd_config::clock;
use proxyherd_core::{
    journal::{ReplicaRestore, StoreIdentity},
    limits::SHARDS,
    replica::Objection,
};
use proxyherd_log::{LogLevel, ServerLog, Subject};

use super::{
    reading,
    signal::Signal,
    store::{JournalError, LateStore, name_of},
};
use crate::herd::{Herd, Internals as _};

/// Maximum time for which a server waits for its neighbors before it reads an old store.
const HEARD_AFTER: Duration = Duration::from_secs(10);
/// Time between two looks at what the neighbors say, and at what is on the disk.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Starts the thread that decides about these stores, if there are any.
pub(super) fn start(
    stores: Vec<LateStore>,
    identity: StoreIdentity,
    herd: &Arc<Herd>,
    signal: &Arc<Signal>,
) -> Result<(), JournalError> {
    if stores.is_empty() {
        return Ok(());
    }
    let (herd, signal) = (Arc::downgrade(herd), Arc::clone(signal));
    let run = move || decide(stores, &identity, &herd, &signal);
    let started = thread::Builder::new().name("late-store".to_owned()).spawn(run);
    started.map(drop).map_err(|error| JournalError::Start(error.to_string()))
}

fn decide(mut stores: Vec<LateStore>, identity: &StoreIdentity, herd: &Weak<Herd>, signal: &Signal) {
    let began = Instant::now();
    loop {
        signal.rest(LOOK_EVERY);
        let Some(herd) = herd.upgrade().filter(|_| !signal.is_stopping()) else { return };
        let objection = herd.replica().objection();
        for objected in stores.extract_if(.., |store| objection.is_to(store.alive_until_ns)) {
            let why =
                "a neighbor may have forgotten since then what is in it, and sends what the herd still holds";
            discard(objected, herd.log(), why);
        }
        if stores.is_empty() {
            return;
        }
        if began.elapsed() >= HEARD_AFTER || have_all_told(&herd, objection) {
            let _pulse = herd.liveness().pulse("reading an old store");
            stores.into_iter().for_each(|store| read(store, identity, &herd, signal));
            return;
        }
    }
}

/// Whether every neighbor in the configuration has said whether it objects. A herd of one server has no neighbor.
fn have_all_told(herd: &Herd, objection: Objection) -> bool {
    let links = herd.links().all().len();
    links == 0 || objection.is_complete() && objection.told.count_ones() as usize == links
}

fn read(store: LateStore, identity: &StoreIdentity, herd: &Herd, signal: &Signal) {
    let what = name_of(store.disk.path());
    let figures = match reading::read(
        &store.disk,
        identity,
        &ReplicaRestore::new(herd.replica(), |wake| herd.wake(wake)),
        herd.log(),
        &what,
    ) {
        Ok((_, figures)) => figures,
        Err(error) => {
            let message = format_args!("{what} was not read: {error}. It stays where it is");
            return herd.log().event(LogLevel::Error, Subject::Server, message);
        }
    };
    if let Some(journal) = herd.journal() {
        journal.add_recovered(figures);
    }
    herd.wake(herd.replica().restore_end(clock::now_ns(), store.alive_until_ns));
    let needed: Vec<u64> = (0..SHARDS).map(|shard| herd.replica().changes(shard)).collect();
    let is_on_disk = || {
        let durable = signal.durable();
        needed.iter().enumerate().all(|(shard, needed)| durable.of(shard) >= *needed)
    };
    while !is_on_disk() {
        if signal.is_stopping() {
            return;
        }
        signal.rest(LOOK_EVERY);
    }
    discard(store, herd.log(), "all that it held is in the new store");
}

fn discard(store: LateStore, log: &ServerLog, why: &str) {
    let what = name_of(store.disk.path());
    match store.disk.discard() {
        Ok(()) => log.event(LogLevel::Info, Subject::Server, format_args!("removed {what}: {why}")),
        Err(error) => {
            log.event(LogLevel::Error, Subject::Server, format_args!("{error}; remove it yourself"))
        }
    }
}
