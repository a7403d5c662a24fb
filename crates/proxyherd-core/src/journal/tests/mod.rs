//! The store as a server uses it, on a disk in memory.

mod compaction;
mod damage;
mod kept;
mod recovery;

use std::{cell::RefCell, collections::BTreeMap};

use super::*;
use crate::{
    command::Outcome,
    flood::{Begin, FollowerId, Following, Rules},
    limits::SHARDS,
    replica::{Replica, ReplicaSettings, shard_index},
    types::{
        Attributes, ClientId, Coordinates, Difference, Kind, Origin, Record, Report, Stamp, Timestamp,
        Version,
    },
};

const SECOND_NS: u64 = 1_000_000_000;
const NOW_NS: u64 = 1_700_000_000 * SECOND_NS;
const CLIENT_TTL_NS: u64 = 100 * SECOND_NS;
const SALT: u64 = 0x5a17;

fn identity() -> StoreIdentity {
    StoreIdentity { herd: "herd-1".into(), server: ServerName::new("Riley").unwrap() }
}

fn empty_replica(incarnation: u64) -> Replica {
    Replica::new(ReplicaSettings {
        me: Origin { server: identity().server, incarnation },
        seed: 7,
        max_clients: 1_000_000,
        client_ttl_ns: Some(CLIENT_TTL_NS),
        client_interval_ns: 0,
        report_rules: Default::default(),
        clock_offset_max_ns: 10 * SECOND_NS,
        client_index: false,
        rules: Rules::default(),
    })
}

fn coordinates(seed: u64) -> Coordinates {
    Coordinates::parse(format!("+{:02}.5-{:03}.25", seed % 90, seed % 180).as_bytes()).unwrap()
}

/// A server with a store.
struct Server {
    disk: MemoryDisk,
    replica: Replica,
    follower: FollowerId,
    journal: Journal<MemoryDisk>,
    now_ns: u64,
}

impl Server {
    /// Starts a server from what the disk holds.
    fn start(disk: &MemoryDisk, incarnation: u64, now_ns: u64) -> (Server, Recovered) {
        let replica = empty_replica(incarnation);
        let into = ReplicaRestore::new(&replica, drop);
        let recovered = recover(disk, &identity(), &into, now_ns, Part::ALL, &mut |_| ()).unwrap();
        let following = Following { begins: Begin::Now, wants_removed: true };
        let follower = replica.follow(following, || ()).unwrap();
        // What is issued again is in the journal, too.
        let _ = replica.restore_end(now_ns, recovered.alive_until_ns);
        let salt = SALT + incarnation;
        let journal = Journal::start(disk.clone(), &identity(), &recovered, salt, now_ns).unwrap();
        (Server { disk: disk.clone(), replica, follower, journal, now_ns }, recovered)
    }

    fn new() -> Server {
        Server::start(&MemoryDisk::default(), 1, NOW_NS).0
    }

    /// A client reports now.
    fn report(&mut self, client: &str) {
        self.now_ns += 1_000_000;
        let stamp = Stamp::Client(Timestamp::from_nanos(self.now_ns).unwrap());
        let report = Report {
            client: ClientId::new(client.as_bytes()).unwrap(),
            coordinates: coordinates(self.now_ns / 1_000_000),
            stamp,
            attributes: Attributes::NONE,
        };
        let (outcome, _) = self.replica.report(self.now_ns, &report);
        assert!(matches!(outcome, Outcome::Added | Outcome::Moved), "{outcome:?}");
    }

    fn forget(&mut self, client: &str) {
        self.now_ns += 1_000_000;
        let _ = self.replica.forget(self.now_ns, ClientId::new(client.as_bytes()).unwrap());
    }

    fn expire(&mut self, later_ns: u64) {
        self.now_ns += later_ns;
        self.replica.sweep(self.now_ns, usize::MAX);
    }

    fn take(&mut self) {
        assert!(self.journal.take(&self.replica, &self.follower, self.now_ns));
    }

    /// Makes everything durable.
    fn commit(&mut self) {
        self.take();
        self.journal.write().unwrap();
        let durable = *self.journal.sync().unwrap();
        for shard in 0..SHARDS {
            assert!(durable.of(shard) <= self.replica.changes(shard));
        }
    }

    /// Runs a whole compaction.
    fn compact(&mut self) -> Compacted {
        let mut compaction = self.journal.begin_compaction(self.now_ns).unwrap();
        loop {
            match compaction.step(&self.replica, self.journal.durable()).unwrap() {
                Progress::More => {}
                Progress::WaitsForJournal => {
                    self.now_ns += SECOND_NS;
                    self.commit();
                }
                Progress::Done(done) => {
                    self.journal.compacted(&done);
                    assert_eq!(self.journal.disk_bytes(), self.disk.used());
                    return done;
                }
            }
        }
    }

    /// The name of the segment that is written.
    fn segment(&self) -> String {
        segments(&self.disk).pop().unwrap()
    }
}

/// The names of the segments, in their order.
fn segments(disk: &MemoryDisk) -> Vec<String> {
    let names = disk.list().unwrap().into_iter().map(|(name, _)| name);
    let mut segments: Vec<_> = names.filter(|name| name.starts_with("journal-")).collect();
    segments.sort_by_key(|name| name["journal-".len()..].parse::<u64>().unwrap());
    segments
}

type Key = (Kind, Vec<u8>);

/// A record as text, with what orders it and who issued it.
#[derive(Clone, Debug, PartialEq)]
struct Whole {
    text: String,
    received_ns: u64,
    version: Version,
    origin: Origin,
    seq: u64,
}

impl Whole {
    fn of(update: &crate::flood::Update<'_>) -> Whole {
        Whole {
            text: format!("{:?}", update.record),
            received_ns: update.record.received_ns(),
            version: update.record.version(),
            origin: update.origin.clone(),
            seq: update.seq,
        }
    }
}

/// What a replica holds.
fn held_by(replica: &Replica) -> BTreeMap<Key, Whole> {
    let mut held = BTreeMap::new();
    for shard in 0..SHARDS {
        let end = replica.scan_shard(shard, 0, usize::MAX, |update| {
            held.insert((update.record.kind, update.record.key.to_vec()), Whole::of(&update));
        });
        assert_eq!(end, None);
    }
    held
}

/// What has not expired.
fn fresh(mut held: BTreeMap<Key, Whole>, now_ns: u64) -> BTreeMap<Key, Whole> {
    held.retain(|_, whole| whole.text.contains("Gone") || whole.received_ns + CLIENT_TTL_NS > now_ns);
    held
}

/// Everything that a store told, and what is left of it.
#[derive(Debug, Default, PartialEq)]
struct Told {
    all: Vec<(usize, Key, Option<Whole>)>,
    held: BTreeMap<Key, Whole>,
    vectors: BTreeMap<usize, Vec<(Origin, u64)>>,
}

/// Receives what a store holds.
#[derive(Debug, Default)]
struct Sink(RefCell<Told>);

impl Restore for Sink {
    fn restore(&self, _now_ns: u64, shard: usize, changes: &[Stored<'_>]) {
        let mut told = self.0.borrow_mut();
        for change in changes {
            let (key, whole) = match change {
                Stored::Update(update) => {
                    ((update.record.kind, update.record.key.to_vec()), Some(Whole::of(update)))
                }
                Stored::Removed { kind, key } => ((*kind, key.to_vec()), None),
            };
            assert_eq!(shard_index(&key.1), shard);
            match &whole {
                None => drop(told.held.remove(&key)),
                Some(new) => {
                    let is_news = told.held.get(&key).is_none_or(|old| new.version >= old.version);
                    if is_news {
                        told.held.insert(key.clone(), new.clone());
                    }
                }
            }
            told.all.push((shard, key, whole));
        }
    }

    fn restore_vector(&self, _now_ns: u64, shard: usize, vector: &[(Origin, u64)]) {
        let before = self.0.borrow_mut().vectors.insert(shard, vector.to_vec());
        assert_eq!(before, None, "a shard has one vector");
    }
}

/// Reads a store.
fn read(disk: &MemoryDisk) -> (Told, Recovered) {
    let sink = Sink::default();
    let recovered = recover(disk, &identity(), &sink, NOW_NS, Part::ALL, &mut |_| ()).unwrap();
    (sink.0.into_inner(), recovered)
}

/// Checks that a store told only what `whole` has told, and that its vectors claim only what it holds.
fn check_consistent(told: &Told, whole: &Told, context: &str) {
    for entry in &told.all {
        assert!(whole.all.contains(entry), "{context}: {entry:?} was never written");
    }
    for (shard, vector) in &told.vectors {
        for (in_shard, key, update) in &whole.all {
            let Some(update) = update.as_ref().filter(|_| in_shard == shard) else { continue };
            let is_claimed =
                vector.iter().any(|(origin, seq)| *origin == update.origin && update.seq <= *seq);
            let is_removed = told.all.iter().any(|(_, removed, whole)| removed == key && whole.is_none());
            let is_held = told.held.get(key).is_some_and(|held| held.version >= update.version);
            assert!(!is_claimed || is_held || is_removed, "{context}: {key:?} is claimed and not held");
        }
    }
}

/// A client's record, as a neighbor would send it.
fn record(key: &[u8], at_ns: u64) -> Record<'_> {
    let timestamp = Timestamp::from_nanos(at_ns).unwrap();
    Record {
        kind: Kind::CLIENT,
        key,
        body: crate::types::Body::Location { coordinates: coordinates(at_ns), attributes: Attributes::NONE },
        timestamp,
        difference: Difference::at_receipt(at_ns, timestamp),
    }
}
