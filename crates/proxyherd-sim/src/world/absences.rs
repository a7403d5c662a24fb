//! Absences in herds with journals: nights, in which a server or the whole herd is off for longer than tombstones live,
//! and short restarts, after which neighbors must send only what a server lacks.

use std::collections::{HashMap, HashSet};

use proxyherd_core::{
    limits::{SHARDS, TOMBSTONE_TTL_NS},
    replica::shard_index,
};

use super::{Event, World};
use crate::{
    outcome::Symptom,
    server::Life,
    store::Store,
    timeline::{Nanos, SECOND},
};

/// The probability that a night comes between two rounds, in thousandths.
const NIGHT_PER_MILLE: u64 = 500;
/// The minimum and the maximum length of a night.
const NIGHT: (Nanos, Nanos) = (TOMBSTONE_TTL_NS + 3600 * SECOND, 2 * TOMBSTONE_TTL_NS);
/// The time between two moments of a night at which servers that are up do what they do by themselves.
const NIGHT_STEP: Nanos = 60 * SECOND;
/// The number of slots that a server sweeps in each shard in such a step.
const NIGHT_SWEEP: usize = 100;
/// The time for which a herd is left alone before a short restart, so that all vectors are on the disks ...
const BEFORE_RESTART: Nanos = 4 * SECOND;
/// ... and after it.
const AFTER_RESTART: Nanos = 8 * SECOND;
/// Maximum number of records that a server receives after a short restart while nobody reports.
const CAUGHT_UP_MAX: u64 = 4;

/// How far a short restart is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Restart {
    /// There is none.
    #[default]
    Not,
    /// The herd is left alone.
    Due,
    /// This server has started again. The rest are counts from before: the records that it had received, the damages of
    /// stores, the records that servers had issued by themselves, and the records that neighbors send in any case.
    Done { server: usize, received: u64, damage: u64, said: u64, uncovered: u64 },
}

impl World {
    /// A night may come between two rounds. Each server that is off then stays off for the night, or all are. Nobody
    /// reports.
    pub(super) fn night(&mut self) {
        let is_possible = self.scenario.durability.has_journal
            && self.scenario.disks.has_nights
            && self.scenario.bad.is_none()
            && self.now > 0
            && self.sweeps()
            && self.lasting.is_empty()
            && self.checker.parts().count() == 1;
        if !is_possible || !self.disks_rng.chance(NIGHT_PER_MILLE) {
            return;
        }
        let servers = 0..self.servers.len();
        let off: Vec<_> = servers.clone().filter(|&server| self.servers[server].life.is_none()).collect();
        let off = match off {
            off if !off.is_empty() => off,
            _ if self.disks_rng.chance(500) => servers.clone().collect(),
            _ => vec![self.disks_rng.index(self.servers.len())],
        };
        self.tally.nights += 1;
        self.story.tell(self.now, || format!("a night begins, in which servers {off:?} are off"));
        servers.for_each(|server| self.commit_all(server));
        off.iter().for_each(|&server| self.crash(server, false, Nanos::MAX));
        if self.parts().len() != 1 && off.len() < self.servers.len() {
            // The rest of the herd would forget in parts, and could bring back what another part has forgotten.
            return;
        }
        self.scenario.edges.clone().into_iter().for_each(|edge| self.reset(edge));
        let length = self.disks_rng.between(NIGHT.0, NIGHT.1);
        self.pass_time(length);
        if off.len() < self.servers.len() {
            // The stores of these servers are discarded, or nobody knows that something was forgotten.
            off.iter().for_each(|&server| self.checker.spoiled(server));
        }
    }

    /// Lets time pass in which nobody reports and no link is up.
    fn pass_time(&mut self, length: Nanos) {
        let until = self.slept + length;
        while self.slept < until {
            self.slept += NIGHT_STEP;
            self.look_at_clocks();
            self.sweep_slots(NIGHT_SWEEP);
            self.note_what_servers_said();
            (0..self.servers.len()).for_each(|server| self.commit_all(server));
        }
        for server in 0..self.servers.len() {
            let life = (server, self.servers[server].lives);
            self.checker.forget_answers(life);
        }
    }

    /// Whether the herd is to be left alone for a short restart of a server, or for the look after it. Called when the
    /// herd agrees after a calm, and again whenever it agrees until this returns false.
    pub(super) fn restarts(&mut self) -> bool {
        match self.restart {
            Restart::Not if self.has_quiet_stores() => {
                self.restart = Restart::Due;
                self.timeline.put(self.now + BEFORE_RESTART, Event::Agree);
            }
            Restart::Not => return false,
            Restart::Due => {
                (0..self.servers.len()).for_each(|server| self.commit_all(server));
                let quiet: Vec<_> =
                    (0..self.servers.len()).filter(|&server| self.has_quiet_store(server)).collect();
                if quiet.is_empty() {
                    self.restart = Restart::Not;
                    return false;
                }
                let server = quiet[self.disks_rng.index(quiet.len())];
                self.story.tell(self.now, || format!("server {server} starts again while nothing happens"));
                let (received, damage, said) =
                    (self.received[server], self.tally.damage, self.checker.said());
                let uncovered = self.uncovered_of(server);
                self.crash(server, false, Nanos::MAX);
                self.start(server);
                let uncovered = uncovered + self.untold_of(server);
                self.restart = Restart::Done { server, received, damage, said, uncovered };
                self.timeline.put(self.now + AFTER_RESTART, Event::Agree);
            }
            Restart::Done { server, received: before, damage, said, uncovered } => {
                self.restart = Restart::Not;
                self.tally.quiet_restarts += 1;
                let received = self.received[server] - before;
                // Vectors behind damage do not count. A compaction is due then.
                let most = CAUGHT_UP_MAX + self.checker.said() - said + uncovered;
                if received > most && self.tally.damage == damage {
                    let text = format!(
                        "server {server} received {received} records after a restart, although it lacked nothing"
                    );
                    self.checker.found(self.now, Symptom::CaughtUp, text);
                }
                return false;
            }
        }
        self.peace_until = self.now + AFTER_RESTART + self.scenario.settling_max(self.checker.ledger.bytes());
        true
    }

    /// Maximum number of records that neighbors send a server although it holds them. If a server crashes before its
    /// last markers have left it, its last updates may spread, but no vector covers them ever. Whenever a link comes
    /// up, each end sends such records, with or without a store.
    fn uncovered_of(&self, server: usize) -> u64 {
        let Some(Life { replica, .. }) = &self.servers[server].life else { return 0 };
        let mut covered = HashMap::new();
        for shard in 0..SHARDS {
            replica.for_each_covered(shard, |origin, seq| {
                covered.insert((shard, origin.clone()), seq);
            });
        }
        let mut uncovered = 0;
        replica.for_each(|held| {
            let of = (shard_index(held.record.key), held.origin.clone());
            uncovered += u64::from(covered.get(&of).is_none_or(|covered| *covered < held.seq));
        });
        uncovered * self.scenario.neighbors(server).len() as u64
    }

    /// Maximum number of records that neighbors send a server because its vectors name so many origins that they do not
    /// fit the frames of its links. In a real herd they fit.
    fn untold_of(&self, server: usize) -> u64 {
        let Some(life) = &self.servers[server].life else { return 0 };
        let mut untold = HashSet::new();
        for shard in 0..SHARDS {
            let mut told = 0;
            life.replica.for_each_covered(shard, |origin, _| {
                if told >= life.origins_max() {
                    untold.insert((shard, origin.clone()));
                }
                told += 1;
            });
        }
        let mut records = 0;
        life.replica.for_each(|held| {
            records += u64::from(untold.contains(&(shard_index(held.record.key), held.origin.clone())));
        });
        records * self.scenario.neighbors(server).len() as u64
    }

    /// Whether links come up at once, and some store is sound.
    fn has_quiet_stores(&self) -> bool {
        let has_one = (0..self.servers.len()).any(|server| self.has_quiet_store(server));
        has_one && self.scenario.is_swift() && !self.has_doubts()
    }

    fn has_quiet_store(&self, server: usize) -> bool {
        self.servers[server].disk.is_sound() && self.store(server).is_some_and(Store::rests)
    }
}
