//! Agreement: whether the servers of each part of a herd hold the same records once the servers are left in peace, and
//! whether any record was lost.
//!
//! When peace begins, the checker notes for each part the best record of each key that any server of the part holds.
//! Later it compares the servers' records with each other, and with the noted records. Records that expire soon do not
//! count, because each server forgets them by its own clock. Records that bad members have made uncertain, as the
//! ledger knows them, do not count either.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use proxyherd_core::{
    limits::SHARDS,
    replica::{Replica, shard_index},
    types::Origin,
};

use super::Checker;
use crate::{
    ledger::{Key, Ledger, Taken},
    outcome::Symptom,
    timeline::Nanos,
};

/// One part of the herd, whose servers reach each other, as it was when peace began.
#[derive(Debug)]
pub(super) struct Floor {
    servers: Vec<usize>,
    held: BTreeMap<Key, Taken>,
}

impl Checker {
    /// Notes that peace begins for these parts of the herd. Notes the best records that each part holds, without lies
    /// and without records that no server has to take.
    pub(crate) fn peace<'a>(
        &mut self,
        clock_ns: u64,
        parts: impl IntoIterator<Item = Vec<(usize, &'a Replica)>>,
    ) {
        let counts = |one: &Taken| {
            !self.is_ahead(clock_ns, one) && !self.ledger.is_lie(one) && !self.ledger.is_crowded(&one.key)
        };
        self.floors = parts.into_iter().map(|part| Floor::of(part, counts)).collect();
    }

    /// The parts of the herd, as they were when peace began.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &[usize]> {
        self.floors.iter().map(|floor| &floor.servers[..])
    }

    /// Whether every part of the herd agrees on the records that have not expired at `from_ns`. Returns the difference,
    /// if there is one.
    pub(crate) fn agreement<'a>(
        &self,
        from_ns: u64,
        replica: impl Fn(usize) -> &'a Replica,
    ) -> Result<(), String> {
        for floor in &self.floors {
            let passing = self.passing(floor.servers.iter().map(|&server| replica(server)), from_ns);
            let is_counted = |one: &Taken| self.is_agreed_on(one, from_ns) && !passing.contains(&one.key);
            let view = |replica| View::of(replica, &self.ledger, is_counted);
            let mut views = floor.servers.iter().map(|&server| (server, view(replica(server))));
            let Some((first, one)) = views.next() else { continue };
            for (second, other) in views {
                one.compare(&other).map_err(|text| format!("servers {first} and {second}: {text}"))?;
            }
        }
        Ok(())
    }

    /// Whether servers have to hold the same record of this record's key, if records that have expired at `from_ns` do
    /// not count.
    pub(super) fn is_agreed_on(&self, one: &Taken, from_ns: u64) -> bool {
        one.is_compared(from_ns, self.client_ttl)
            && !self.ledger.is_fading(&one.key, from_ns, self.client_ttl)
            && !self.ledger.is_crowded(&one.key)
    }

    /// The keys of which a bad member sent a record and some server holds a record that servers no longer compare.
    /// Another record of the key may live longer, and a server whose clock is ahead may already hold that record.
    fn passing<'a>(&self, replicas: impl Iterator<Item = &'a Replica>, from_ns: u64) -> HashSet<Key> {
        let mut passing = HashSet::new();
        if self.ledger.knows_lies() {
            for replica in replicas {
                replica.for_each(|held| {
                    let one = Taken::from(held);
                    if !one.is_compared(from_ns, self.client_ttl) && self.ledger.is_told_of(&one.key) {
                        passing.insert(one.key);
                    }
                });
            }
        }
        passing
    }

    /// The first record in which two servers of one part differ, among the records that have not expired at `from_ns`.
    pub(crate) fn difference<'a>(
        &self,
        from_ns: u64,
        replica: impl Fn(usize) -> &'a Replica,
    ) -> Option<String> {
        let mut all =
            self.floors.iter().flat_map(|floor| floor.servers.windows(2).map(|pair| (pair[0], pair[1])));
        all.find_map(|(one, other)| {
            let mut found = None;
            let passing = self.passing([replica(one), replica(other)].into_iter(), from_ns);
            for (one, other) in [(one, other), (other, one)] {
                replica(one).for_each(|held| {
                    let record = Taken::from(held);
                    let key = &record.key;
                    let there = replica(other).find(0, key.0, &key.1, |there| {
                        (Taken::from(there) != record).then(|| format!("{there:?}"))
                    });
                    let is_same = there.as_ref().is_some_and(Option::is_none);
                    if !is_same && self.is_agreed_on(&record, from_ns) && !passing.contains(&record.key) {
                        found = Some(format!("server {one} holds {held:?}, server {other} {there:?}"));
                    }
                });
            }
            found
        })
    }

    /// Notes that the herd has agreed. Checks that no record is lost that was held when peace began.
    pub(crate) fn losses<'a>(
        &mut self,
        at: Nanos,
        from_ns: u64,
        clock_ns: impl Fn(usize) -> u64,
        replica: impl Fn(usize) -> &'a Replica,
    ) {
        let mut lost = Vec::new();
        for floor in &self.floors {
            let passing = self.passing(floor.servers.iter().map(|&server| replica(server)), from_ns);
            for &server in &floor.servers {
                let clock_ns = clock_ns(server);
                // Records on which servers need not agree yet may still be in transit.
                let is_counted =
                    |best: &&Taken| self.is_agreed_on(best, from_ns) && !passing.contains(&best.key);
                let mut best = floor.held.values().filter(is_counted);
                let missing = best.find(|best| !self.is_covered(clock_ns, replica(server), best));
                lost.extend(missing.map(|best| format!("server {server} does not hold {best:?}")));
            }
        }
        for text in lost {
            self.found(at, Symptom::Lost, text);
        }
    }
}

impl Floor {
    /// The servers of the part.
    pub(super) fn servers(&self) -> &[usize] {
        &self.servers
    }

    fn of(replicas: Vec<(usize, &Replica)>, counts: impl Fn(&Taken) -> bool) -> Floor {
        let mut held: BTreeMap<Key, Taken> = BTreeMap::new();
        for (_, replica) in &replicas {
            replica.for_each(|one| {
                let one = Taken::from(one);
                if !counts(&one) {
                    return;
                }
                match held.get_mut(&one.key) {
                    Some(best) if best.wins_or_equals(&one) => {}
                    Some(best) => *best = one,
                    None => drop(held.insert(one.key.clone(), one)),
                }
            });
        }
        Floor { servers: replicas.into_iter().map(|(server, _)| server).collect(), held }
    }
}

/// What servers that agree have in common.
struct View {
    records: u64,
    /// A sum over the records, so their order does not matter.
    digest: u64,
    vectors: Vec<(usize, Origin, u64)>,
}

impl View {
    fn of(replica: &Replica, ledger: &Ledger, counts: impl Fn(&Taken) -> bool) -> View {
        let (mut records, mut digest) = (0, 0u64);
        // An origin leaves the vector when its last record is forgotten. Each server forgets by its own clock, so
        // vectors may differ for a while.
        let mut origins = BTreeSet::new();
        replica.for_each(|held| {
            let record = Taken::from(held);
            if counts(&record) {
                records += 1;
                digest = digest.wrapping_add(record.hash());
                origins.insert((shard_index(held.record.key), held.origin.clone()));
            }
        });
        let mut vectors = Vec::new();
        for shard in (0..SHARDS).filter(|&shard| !ledger.is_lied_about(shard)) {
            replica.for_each_covered(shard, |origin, covered| vectors.push((shard, origin.clone(), covered)));
        }
        vectors.retain(|(shard, origin, _)| origins.contains(&(*shard, origin.clone())));
        vectors.sort();
        View { records, digest, vectors }
    }

    fn compare(&self, other: &View) -> Result<(), String> {
        if self.records != other.records {
            return Err(format!("one has {} records, the other {}", self.records, other.records));
        }
        if self.digest != other.digest {
            return Err("they have the same number of records, but the records differ".to_owned());
        }
        if self.vectors != other.vectors {
            let differs = self.vectors.iter().zip(&other.vectors).find(|(one, other)| one != other);
            return Err(format!("they have the same records, but their vectors differ: {differs:?}"));
        }
        Ok(())
    }
}
