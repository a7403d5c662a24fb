//! What a store holds: the newest record of each key, read part by part.
//!
//! A store has older versions of its records, too. [`visit`] finds the newest one of each key and shows each record
//! once. It holds the records of a part of the shards at a time, so a large store takes a part of its size in memory.

use std::{
    cmp::Ordering,
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use proxyherd_core::{
    flood::Update,
    journal::{Part, ReadProgress, Recovered, Restore, StoreIdentity, Stored, recover},
    limits::SHARDS,
    types::{Kind, Origin},
};

use crate::{
    Progress,
    dump_file::Entry,
    store::{ReadError, SteadyStore},
};

/// The store is read in one part for each run of this many bytes, and in [`SHARDS`] parts at most. Each part reads the
/// segments again.
const PART_BYTES: u64 = 256 * 1024 * 1024;

/// Reads the whole store and shows each record once, in no order. Returns what the recovery found.
pub(crate) fn visit(
    store: &SteadyStore,
    identity: &StoreIdentity,
    now_ns: u64,
    progress: Progress<'_>,
    mut show: impl FnMut(&Update<'_>) -> Result<(), ReadError>,
) -> Result<Recovered, ReadError> {
    let parts = parts_for(store.bytes());
    let mut found: Option<Recovered> = None;
    for part in 0..parts {
        let newest = NewestRecords::default();
        let mut tell = |read: ReadProgress| {
            let share = if read.total == 0 { 1.0 } else { read.read as f64 / read.total as f64 };
            progress((part as f64 + share.min(1.0)) / parts as f64);
        };
        let recovered = recover(store, identity, &newest, now_ns, Part { part, parts }, &mut tell)
            .map_err(|error| store.refused(error))?;
        found = Some(match found {
            Some(earlier) => earlier.merge(recovered),
            None => recovered,
        });
        for entry in newest.into_entries() {
            show(&entry.update())?;
        }
        progress((part + 1) as f64 / parts as f64);
    }
    Ok(found.unwrap_or_default())
}

fn parts_for(bytes: u64) -> usize {
    usize::try_from(bytes / PART_BYTES + 1).unwrap_or(SHARDS).min(SHARDS)
}

type Key = (Kind, Box<[u8]>);

/// The newest record of each key, while a store is read.
#[derive(Debug, Default)]
struct NewestRecords(Mutex<HashMap<Key, Entry>>);

impl NewestRecords {
    fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).into_values()
    }
}

impl Restore for NewestRecords {
    fn restore(&self, _now_ns: u64, _shard: usize, changes: &[Stored<'_>]) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match *change {
                Stored::Update(update) => {
                    let key = (update.record.kind, update.record.key.into());
                    if held.get(&key).is_none_or(|entry| replaces(&update, &entry.update())) {
                        held.insert(key, Entry::of(&update));
                    }
                }
                Stored::Removed { kind, key } => {
                    held.remove(&(kind, key.into()));
                }
            }
        }
    }

    fn restore_vector(&self, _now_ns: u64, _shard: usize, _vector: &[(Origin, u64)]) {}
}

/// Whether a later change replaces a held one: also with the same record, because a server may issue a record again.
fn replaces(later: &Update<'_>, held: &Update<'_>) -> bool {
    let order = later.record.precedence(&later.origin.server, &held.record, &held.origin.server);
    order != Ordering::Less
}

#[cfg(test)]
mod tests {
    use proxyherd_core::types::{Body, Difference, Record, ServerName, Timestamp};

    use super::*;

    fn record<'a>(key: &'a [u8], time: &[u8]) -> Record<'a> {
        let timestamp = Timestamp::parse(time).unwrap();
        let difference = Difference::from_nanos(0, timestamp).unwrap();
        Record { kind: Kind(200), key, body: Body::Data { keep_s: 0, bytes: b"x" }, timestamp, difference }
    }

    #[test]
    fn the_newest_record_of_each_key_is_held_and_a_removed_one_is_not() {
        let (one, other) = (origin(1), origin(2));
        let update = |record, origin, seq| Stored::Update(Update { record, origin, seq });
        let newest = NewestRecords::default();
        newest.restore(
            0,
            0,
            &[
                update(record(b"a", b"5"), &one, 1),
                update(record(b"a", b"4"), &one, 2),
                update(record(b"b", b"5"), &one, 3),
                update(record(b"b", b"5"), &other, 4),
                update(record(b"c", b"5"), &one, 5),
                Stored::Removed { kind: Kind(200), key: b"c" },
                Stored::Removed { kind: Kind(200), key: b"never" },
            ],
        );
        let mut held: Vec<_> = newest.into_entries().collect();
        held.sort_by_key(|entry| entry.update().seq);
        let held: Vec<_> = held.iter().map(|entry| (entry.update().record.key, entry.update().seq)).collect();
        assert_eq!(held, [(&b"a"[..], 1), (b"b", 4)]);
    }

    fn origin(incarnation: u64) -> Origin {
        Origin { server: ServerName::new("Riley").unwrap(), incarnation }
    }

    #[test]
    fn a_large_store_is_read_in_parts() {
        for (bytes, parts) in [(0, 1), (PART_BYTES - 1, 1), (3 * PART_BYTES, 4), (u64::MAX, SHARDS)] {
            assert_eq!(parts_for(bytes), parts);
        }
    }
}
