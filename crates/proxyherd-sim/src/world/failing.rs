//! The begin and the end of faults.

use proxyherd_core::types::Origin;

use super::{Event, Own, World, lying::name};
use crate::{
    faults::{Fault, YEAR},
    network::{ConnId, Side},
    scenario::Scenario,
    server::{Life, LifeSettings},
    timeline::{MILLISECOND, Nanos},
};

impl World {
    pub(super) fn fail(&mut self) {
        // A fault that was due after peace began may come when the herd is calm.
        if self.is_peace() || self.calm_from.is_some() {
            return;
        }
        let fault = self.faults.draw();
        self.inflict(fault);
        let at = self.now + self.faults.interval();
        self.timeline.put(at, Event::Fail);
    }

    /// Inflicts a fault. It ends at the latest when peace begins. A fault that is inflicted in peace lasts until the
    /// peace ends.
    pub(super) fn inflict(&mut self, fault: Fault) {
        self.faults_drawn += 1;
        if !self.story.has_fault(self.faults_drawn) {
            return;
        }
        self.story.tell_fault(self.now, || format!("fault {}: {fault:?}", self.faults_drawn));
        let end = if self.is_peace() { Nanos::MAX } else { self.peace_at };
        let now = self.now;
        let until = |length: Nanos| now.saturating_add(length).min(end);
        match fault {
            Fault::Crash { server, is_silent, length } => {
                self.crash(server, is_silent, until(length));
            }
            Fault::Pause { server, length } => {
                self.tally.pauses += 1;
                self.servers[server].paused_until = until(length);
            }
            Fault::Reset { edge } => self.reset(edge),
            Fault::Block { ways, length } => {
                self.tally.cuts += 1;
                self.tally.one_ways += u64::from(ways.len() == 1);
                let until = until(length);
                ways.iter().for_each(|&(from, to)| self.network.block(from, to));
                if until == Nanos::MAX {
                    self.lasting = ways;
                } else {
                    ways.iter().for_each(|&(from, to)| self.timeline.put(until, Event::Unblock(from, to)));
                }
            }
            Fault::Swizzle { ways } => {
                self.tally.swizzles += 1;
                for (from, to, length) in ways {
                    self.network.block(from, to);
                    self.timeline.put(until(length), Event::Unblock(from, to));
                }
            }
            Fault::Choke { edge: (a, b), length } => {
                self.tally.chokes += 1;
                let until = until(length);
                for (from, to) in [(a, b), (b, a)] {
                    self.network.choke(from, to);
                    self.timeline.put(until, Event::Unchoke(from, to));
                }
            }
            Fault::Lie { server, manner, length, stays_away } => {
                self.turn_bad(server, manner, until(length), stays_away);
            }
            Fault::Blackout { lengths } => {
                self.tally.blackouts += 1;
                for (server, length) in lengths.into_iter().enumerate() {
                    self.crash(server, false, until(length));
                }
            }
            Fault::Disk { server, trouble, length } => {
                self.trouble_disk(server, trouble, until(length));
            }
            Fault::Restore { server, ago } => self.restore(server, ago),
            Fault::Jump { server, by, length } => {
                self.tally.jumps += 1;
                self.tally.lost_years += u64::from(by.unsigned_abs() > YEAR);
                self.jump(server, by);
                self.timeline.put(until(length), Event::Jump(server, -by));
            }
        }
    }

    pub(super) fn crash(&mut self, server: usize, is_silent: bool, until: Nanos) {
        let Some(life) = self.servers[server].life.take() else { return };
        self.servers[server].manner = None;
        self.tally.crashes += 1;
        for conn in life.connections() {
            self.waiting.remove(&(server, conn));
            if is_silent {
                self.network.vanish(conn);
            } else {
                self.break_off(conn);
            }
        }
        self.crash_disk(server);
        self.timeline.put(until, Event::Start(server));
    }

    pub(super) fn reset(&mut self, (a, b): (usize, usize)) {
        let Some(life) = &self.servers[a].life else { return };
        let shared: Vec<_> = life
            .connections()
            .filter(|&conn| {
                [Side::Dialed, Side::Answered].into_iter().any(|side| self.network.server(conn, side) == b)
            })
            .collect();
        self.tally.resets += shared.len() as u64;
        shared.into_iter().for_each(|conn| self.break_off(conn));
    }

    fn break_off(&mut self, conn: ConnId) {
        for (from, at) in self.network.reset(self.now, conn) {
            if let Some(at) = at {
                self.timeline.put(at, Event::Arrive(conn, from));
            }
        }
    }

    pub(super) fn start(&mut self, server: usize) {
        self.start_as(server, None);
    }

    /// Starts a server, with this incarnation or a new one.
    pub(super) fn start_as(&mut self, server: usize, incarnation: Option<u64>) {
        let (neighbors, dials): (Vec<_>, Vec<_>) = self.scenario.neighbors(server).into_iter().unzip();
        let clock_ns = self.clock_ns(server);
        let place = &mut self.servers[server];
        if place.life.is_some() {
            return;
        }
        place.lives += 1;
        let life = place.lives;
        self.story.tell(self.now, || format!("{} starts its life {life}", Scenario::name(server)));
        place.paused_until = self.now;
        place.started_at = self.now;
        let disk = (place.disk.clone(), self.disks_rng.bits());
        place.life = Some(Life::new(
            self.now,
            LifeSettings {
                me: Origin { server: name(server), incarnation: incarnation.unwrap_or(clock_ns + life) },
                clock_ns,
                seed: self.rng.bits(),
                neighbors: neighbors.into_iter().map(name).zip(dials.iter().copied()).collect(),
                dials: dials.clone(),
                client_ttl: self.scenario.client_ttl,
                has_tree: self.scenario.has_tree,
                is_old: self.scenario.old_servers[server],
                may_lie: self.scenario.bad.is_some(),
                rules: self.rules,
                durability: self.scenario.durability,
                disk,
            },
        ));
        self.store_opened(server);
        for link in (0..dials.len()).filter(|&link| dials[link]) {
            self.timeline.put(self.now, Event::Own(server, self.servers[server].lives, Own::Dial(link)));
        }
    }

    pub(super) fn unchoke(&mut self, from: usize, to: usize) {
        for (conn, side, at) in self.network.unchoke(self.now, from, to) {
            self.timeline.put(at, Event::Arrive(conn, side));
        }
    }

    pub(super) fn unblock(&mut self, from: usize, to: usize) {
        self.network.unblock(from, to);
        self.story.tell(self.now, || format!("the path from {from} to {to} is unblocked"));
        for (conn, side) in self.network.held_up(from, to) {
            let at = self.now + self.rng.below(200 * MILLISECOND);
            self.timeline.put(at, Event::Arrive(conn, side));
        }
    }
}
