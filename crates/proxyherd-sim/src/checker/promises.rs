//! Promises: what servers have acknowledged must survive, as far as the chosen durability says.
//!
//! A promise with a journal holds as long as the disk of the acknowledging server is sound: any number of crashes may
//! come. A disk that has lied and then forgot, that lost or changed what it held, or that came back older ends the
//! promises that were made before. A promise with copies holds as long as one of the servers that held the report when
//! the acknowledgement left has not crashed since. So it survives the crash of as many servers as there have to be
//! copies. Crashes end it even if those servers have disks, because a copy counts before it is on a disk.
//!
//! In each peace, every server of a part of the herd must hold what any server of the part has promised, or a record
//! that wins over it. What all servers of a whole herd once agreed on must not be replaced by anything older later, as
//! long as one of the servers could keep it: otherwise something that was forgotten has come back.

use std::collections::{BTreeMap, HashMap};

use proxyherd_core::replica::Replica;

use super::Checker;
use crate::{
    acks::Waiting,
    ledger::{Key, Taken},
    outcome::Symptom,
    scenario::{CLOCK_OFFSET_MAX_NS, Durability},
    timeline::Nanos,
};

/// A server whose clock is ahead by more than this may give its own records another time of receipt later. Clocks that
/// are right are off by less than this, in either direction.
const FAR_AHEAD_NS: u64 = CLOCK_OFFSET_MAX_NS / 2;

/// All promises that may still hold.
#[derive(Debug, Default)]
pub(super) struct Promises {
    durability: Durability,
    /// The number of crashes and other losses so far. It orders losses and promises.
    moment: u64,
    /// The last moment at which each server lost its memory.
    crashed_at: Vec<u64>,
    /// The moment at which each record, by its hash, was taken.
    taken_at: HashMap<u64, u64>,
    /// The last moment at which each server's disk lost something that it had to keep.
    spoiled_at: Vec<u64>,
    by_key: BTreeMap<Key, Vec<Promise>>,
    /// The records on which the whole herd has agreed.
    agreed: BTreeMap<Key, Agreed>,
}

#[derive(Debug)]
struct Promise {
    record: Taken,
    /// If the server's clock was far ahead when it took the record: the record with the earliest time of receipt that
    /// the server may give it once its clock is right. Such a time can lower the record's version, and the record then
    /// expires earlier, too. So the server keeps its promise if it holds this record or one that wins over it.
    put_right: Option<Taken>,
    moment: u64,
    /// The server that made the promise.
    server: usize,
    /// The servers that held the record then.
    holders: Vec<usize>,
}

/// A record on which the whole herd has agreed.
#[derive(Debug)]
struct Agreed {
    record: Taken,
    moment: u64,
    /// The number of records of the key that any server had taken by then.
    known: usize,
    /// The servers that had the record on their disks.
    on_disk: Vec<usize>,
}

impl Promises {
    /// No promises, of this many servers.
    pub(super) fn new(durability: Durability, servers: usize) -> Promises {
        Promises {
            durability,
            crashed_at: vec![0; servers],
            spoiled_at: vec![0; servers],
            ..Promises::default()
        }
    }

    /// Whether some server still has to know that the herd agreed on a record.
    fn is_known(&self, agreed: &Agreed) -> bool {
        self.crashed_at.iter().any(|crashed| *crashed <= agreed.moment)
            || agreed.on_disk.iter().any(|&server| self.spoiled_at[server] <= agreed.moment)
    }

    /// Whether a server of this part has to hold a promised record.
    fn binds(&self, promise: &Promise, part: &[usize]) -> bool {
        let Promise { moment, server, holders, .. } = promise;
        let is_on_disk =
            self.durability.has_journal && self.spoiled_at[*server] <= *moment && part.contains(server);
        let has_copy = |holder: &usize| self.crashed_at[*holder] <= *moment && part.contains(holder);
        is_on_disk || holders.iter().any(has_copy)
    }

    /// Whether no server can be expected any more to keep the promise.
    fn is_void(&self, promise: &Promise) -> bool {
        let all: Vec<_> = (0..self.crashed_at.len()).collect();
        !self.binds(promise, &all)
    }
}

impl Checker {
    /// Notes that a server has just taken a record.
    pub(crate) fn note_taken(&mut self, record: &Taken) {
        let Promises { durability, taken_at, moment, .. } = &mut self.promises;
        if *durability != Durability::default() {
            taken_at.insert(record.hash(), *moment);
        }
    }

    /// The number of losses before a record was taken.
    pub(crate) fn moment_of(&self, record: &Taken) -> u64 {
        self.promises.taken_at.get(&record.hash()).copied().unwrap_or(self.promises.moment)
    }

    /// Whether a replica holds a record, or one that wins over it, as far as it has to.
    pub(crate) fn holds(&self, clock_ns: u64, replica: &Replica, record: &Taken) -> bool {
        self.is_covered(clock_ns, replica, record)
    }

    /// Notes that a server has crashed.
    pub(crate) fn crashed(&mut self, server: usize) {
        self.promises.moment += 1;
        self.promises.crashed_at[server] = self.promises.moment;
    }

    /// Notes that a server's disk has lost something that it had to keep.
    pub(crate) fn spoiled(&mut self, server: usize) {
        self.promises.moment += 1;
        self.promises.spoiled_at[server] = self.promises.moment;
    }

    /// Notes that an acknowledgement leaves a server. `replicas` are those of all servers that are up, each with its
    /// server's number and clock.
    pub(crate) fn acknowledged<'a>(
        &mut self,
        at: Nanos,
        server: usize,
        waiting: Waiting,
        replicas: impl Iterator<Item = (usize, u64, &'a Replica)>,
    ) {
        let Waiting { record, moment, is_own, taken_ns, .. } = waiting;
        let is_ahead = record.received_ns() > taken_ns + FAR_AHEAD_NS;
        let put_right = is_ahead.then(|| record.received_at(taken_ns - FAR_AHEAD_NS));
        // A server that need not hold the record, because the record has expired by its clock, promises nothing.
        let (mut holders, mut covering) = (Vec::new(), Vec::new());
        for (holder, clock_ns, replica) in replicas {
            let mut records = [&record].into_iter().chain(&put_right);
            if records.clone().any(|record| is_held(replica, record)) {
                holders.push(holder);
            }
            if records.any(|record| self.is_covered(clock_ns, replica, record)) {
                covering.push(holder);
            }
        }
        // A neighbor that has crashed since the record was taken may have held it.
        let crashed = self.promises.crashed_at.iter().enumerate();
        let had = crashed.filter(|(it, crashed)| !covering.contains(it) && **crashed > moment).count();
        let least = self.promises.durability.replicas + 1;
        if is_own && covering.len() + had < least {
            let text = format!(
                "server {server} acknowledges {record:?}, which only servers {covering:?} hold, not {least}"
            );
            self.found(at, Symptom::TooEarly, text);
        }
        let moment = self.promises.moment;
        let promise = Promise { record, put_right, moment, server, holders };
        let promises = self.promises.by_key.entry(promise.record.key.clone()).or_default();
        // An earlier promise of the same server with the same fate is kept by this one.
        promises.retain(|old| old.server != server || !promise.record.wins_or_equals(&old.record));
        promises.push(promise);
    }

    /// Checks in peace that every part of the herd holds what its servers have promised.
    pub(crate) fn promises_kept<'a>(
        &mut self,
        at: Nanos,
        from_ns: u64,
        clock_ns: impl Fn(usize) -> u64,
        replica: impl Fn(usize) -> &'a Replica,
    ) {
        let mut by_key = std::mem::take(&mut self.promises.by_key);
        let mut broken = None;
        for promises in by_key.values_mut() {
            promises.retain(|promise| !self.promises.is_void(promise));
            for promise in promises.iter().filter(|promise| self.is_agreed_on(&promise.record, from_ns)) {
                let parts = self.floors.iter().filter(|floor| self.promises.binds(promise, floor.servers()));
                let mut servers = parts.flat_map(super::agreement::Floor::servers).copied();
                let lacks = |&server: &usize| {
                    let mut records = [&promise.record].into_iter().chain(&promise.put_right);
                    !records.any(|record| self.is_covered(clock_ns(server), replica(server), record))
                };
                if let Some(lacking) = servers.find(lacks) {
                    let (kind, key) = &promise.record.key;
                    let held = replica(lacking).find(clock_ns(lacking), *kind, key, Taken::from);
                    broken = Some(format!(
                        "server {} has acknowledged {:?}, and server {lacking} holds {held:?}",
                        promise.server, promise.record
                    ));
                }
            }
        }
        by_key.retain(|_, promises| !promises.is_empty());
        self.promises.by_key = by_key;
        if let Some(text) = broken {
            self.found(at, Symptom::Durability, text);
        }
    }

    /// Notes that the whole herd agrees on what this server holds, and that these servers have all of it on their
    /// disks. Checks that nothing has come back that the herd had replaced when it agreed before.
    pub(crate) fn all_agree(&mut self, at: Nanos, clock_ns: u64, replica: &Replica, on_disk: &[usize]) {
        if self.ledger.knows_lies() {
            return;
        }
        let (mut agreed, mut back) = (std::mem::take(&mut self.promises.agreed), None);
        replica.for_each(|held| {
            let record = Taken::from(held);
            if let Some(before) = agreed.get(&record.key)
                && self.promises.is_known(before)
                && !record.is_over(clock_ns, self.client_ttl)
                && !record.wins_or_equals(&before.record)
                && self.ledger.is_among_first(&record, before.known)
            {
                back = Some(format!("{record:?}, which {:?} had replaced", before.record));
            }
            let (known, moment) = (self.ledger.contents_len(&record.key), self.promises.moment);
            agreed.insert(record.key.clone(), Agreed { record, moment, known, on_disk: on_disk.to_vec() });
        });
        self.promises.agreed = agreed;
        if let Some(text) = back {
            self.found(at, Symptom::CameBack, text);
        }
    }
}

/// Whether a replica holds a record, shown or not, or one that wins over it.
fn is_held(replica: &Replica, record: &Taken) -> bool {
    replica.find(0, record.key.0, &record.key.1, |held| record.is_covered_by(held)) == Some(true)
}
