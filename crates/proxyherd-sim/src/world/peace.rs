//! Rounds: trouble, then peace, in which every part of the herd has to agree.

use proxyherd_core::{flood::LinkId, limits::CHECK_MARGIN_NS, replica::Replica, types::ServerName};

use super::{AUDIT_INTERVAL, Event, Server, World, absences::Restart, lying::name, storing::LATE_LOAD_MAX};
use crate::{
    outcome::Symptom,
    timeline::{MILLISECOND, Nanos, SECOND},
};

/// The interval at which the checker checks whether a herd in peace agrees.
const ASKING_INTERVAL: Nanos = 250 * MILLISECOND;
/// The time for which the herd is left alone between agreement and calm, so that links and spanning tree settle.
const BEFORE_CALM: Nanos = 8 * SECOND;
/// The time for which clients report while nothing goes wrong.
const CALM: Nanos = 10 * SECOND;
/// The interval at which servers look at the link states, at the frames that they have received, and at their clocks.
const LOOK_INTERVAL: Nanos = SECOND;
/// The interval at which servers sweep, and the number of slots of each shard in one sweep.
const SWEEP_INTERVAL: Nanos = 3 * SECOND;
const SWEEP_SLOTS: usize = 3;
/// More slots than any shard has.
const ALL_SLOTS: usize = 1 << 30;
/// Maximum time in which servers bring back a record that one of them lacks, before the record expires.
const REPAIR_MAX: Nanos = 20 * SECOND;

impl World {
    /// Ends lasting faults, and begins a round.
    pub(super) fn begin_round(&mut self) {
        self.night();
        self.peace_at = self.now + self.scenario.length / self.scenario.rounds;
        for (from, to) in std::mem::take(&mut self.lasting) {
            self.unblock(from, to);
        }
        (0..self.servers.len()).for_each(|server| self.start(server));
        let (ask, fail) = (self.clients.interval(), self.faults.interval());
        self.timeline.put(self.now + ask, Event::Ask);
        self.timeline.put(self.now + fail, Event::Fail);
        // The faults of this round end in events of the moment before.
        self.timeline.put(self.peace_at + 1, Event::Peace);
    }

    pub(super) fn is_peace(&self) -> bool {
        self.now >= self.peace_at
    }

    /// Begins peace: no client reports any more, and no new faults come. Sometimes one fault lasts.
    pub(super) fn peace(&mut self) {
        let is_calm = self.calm_from.is_some();
        self.peace_until = self.now + self.scenario.settling_max(self.checker.ledger.bytes());
        if self.have_read_stores().is_err() {
            self.peace_until += LATE_LOAD_MAX;
        }
        if !is_calm && self.rounds_left > 1 && self.rng.chance(300) {
            let fault = self.faults.draw_lasting();
            self.inflict(fault);
        }
        let parts = self.parts();
        let with_replica = |server: usize| Some((server, replica_of(&self.servers, server)?));
        let parts = parts.into_iter().map(|part| part.into_iter().filter_map(with_replica).collect());
        self.checker.peace(self.now_ns(), parts);
        self.story.tell(self.now, || "peace begins".to_owned());
        self.timeline.put(self.now + ASKING_INTERVAL, Event::Agree);
    }

    /// Makes servers look at the link states, at the frames that they have received, and at their clocks.
    pub(super) fn look(&mut self) {
        self.look_at_clocks();
        self.decide_on_stores();
        self.timeline.put(self.now + LOOK_INTERVAL, Event::Look);
    }

    pub(super) fn look_at_clocks(&mut self) {
        let members: Vec<_> = (0..self.servers.len()).map(name).collect();
        for server in 0..self.servers.len() {
            if self.servers[server].paused_until <= self.now {
                let clock_ns = self.clock_ns(server);
                self.with(server, |life, out| life.look(clock_ns, &members, out));
                self.note_what_was_said(server, u32::MAX);
            }
        }
    }

    /// Servers sweep a few slots each.
    pub(super) fn sweep(&mut self) {
        if self.sweeps() {
            self.sweep_slots(SWEEP_SLOTS);
            self.note_what_servers_said();
        }
        self.timeline.put(self.now + SWEEP_INTERVAL, Event::Sweep);
    }

    /// Whether servers sweep. A server whose clock has jumped by years would forget all tombstones.
    pub(super) fn sweeps(&self) -> bool {
        self.scenario.client_ttl.is_some() || !self.scenario.has_far_jumps
    }

    pub(super) fn sweep_slots(&self, slots: usize) {
        for (server, Server { life, paused_until, .. }) in self.servers.iter().enumerate() {
            if let Some(life) = life
                && *paused_until <= self.now
            {
                life.replica.sweep(self.clock_ns(server), slots);
            }
        }
    }

    /// Checks whether the herd agrees. If it does, the next round begins.
    pub(super) fn agree(&mut self) {
        if self.sweeps() {
            // The first sweep continues where the last sweep ended, and the second begins at the first slot. Bad
            // members may have invented many more clients than there are.
            (0..2).for_each(|_| self.sweep_slots(ALL_SLOTS));
            self.note_what_servers_said();
        }
        let replica = |server| replica_of(&self.servers, server).expect("no server crashes in peace");
        let agreed = self.have_no_leftovers().and_then(|()| {
            let agreed = self.checker.agreement(self.compared_from_ns(), replica);
            agreed.map_err(|text| (Symptom::NeverConverged, text))
        });
        let agreed = agreed.and_then(|()| self.have_one_tree().map_err(|text| (Symptom::Tree, text)));
        let agreed =
            agreed.and_then(|()| self.have_read_stores().map_err(|text| (Symptom::NeverConverged, text)));
        match agreed {
            Err(_) if self.now < self.peace_until => {
                self.timeline.put(self.now + ASKING_INTERVAL, Event::Agree);
            }
            Err((symptom, text)) => {
                self.has_given_up = true;
                let difference = self.checker.difference(self.compared_from_ns(), replica);
                self.checker.found(self.now, symptom, format!("{text}; {}", difference.unwrap_or_default()));
            }
            Ok(()) => self.agreed(),
        }
    }

    fn agreed(&mut self) {
        self.story.tell(self.now, || "the herd agrees".to_owned());
        if self.restart == Restart::Not {
            let taken = self.now - self.peace_at;
            self.tally.agreements += 1;
            self.tally.settling += taken;
            self.tally.settling_max = self.tally.settling_max.max(taken);
        }
        let replica = |server| replica_of(&self.servers, server).expect("no server crashes in peace");
        let clocks_ns: Vec<_> = (0..self.servers.len()).map(|server| self.clock_ns(server)).collect();
        self.checker.losses(self.now, self.compared_from_ns(), |server| clocks_ns[server], replica);
        for server in 0..self.servers.len() {
            let clock_ns = self.clock_ns(server);
            if let Server { life: Some(life), lives, .. } = &self.servers[server] {
                self.checker.vectors_again(self.now, (server, *lives), clock_ns, &life.replica);
            }
        }
        self.look_at_promises();
        self.look_at_names();
        self.look_at_books();
        self.look_at_followers();
        self.look_at_readers();
        if let Some(from) = self.calm_from.take() {
            self.count_payloads(from);
            if self.scenario.is_prompt() && self.tally.links == from.2 {
                self.look_at_presence(self.peace_at - CALM);
            }
            if self.restarts() {
                return;
            }
        } else if self.restart != Restart::Not {
            if self.restarts() {
                return;
            }
        } else if self.lasting.is_empty() && self.servers.iter().all(|server| server.life.is_some()) {
            return self.timeline.put(self.now + BEFORE_CALM, Event::Calm);
        }
        self.rounds_left -= 1;
        if self.rounds_left > 0 {
            self.begin_round();
        }
    }

    /// Checks that no record that bad members invented is held in the name of a server that is in the same part of the
    /// herd.
    fn look_at_names(&mut self) {
        let (mut found, from_ns) = (None, self.compared_from_ns());
        for part in self.checker.parts() {
            let present = |of: &ServerName, incarnation| {
                let server = part.iter().find(|&&server| name(server) == *of)?;
                Some(replica_of(&self.servers, *server)?.is_present(incarnation))
            };
            let replicas =
                part.iter().filter_map(|&server| Some((server, replica_of(&self.servers, server)?)));
            for (server, replica) in replicas {
                found = found.or_else(|| self.checker.in_others_names(server, replica, from_ns, present));
            }
        }
        if let Some(text) = found {
            self.checker.found(self.now, Symptom::Name, text);
        }
    }

    /// Makes the herd calm: clients report, and nothing goes wrong.
    pub(super) fn calm(&mut self) {
        self.calm_from = Some((self.tally.records, self.changes(), self.tally.links));
        self.peace_at = self.now + CALM;
        self.forget_presence();
        let ask = self.clients.interval();
        self.timeline.put(self.now + ask, Event::Ask);
        self.timeline.put(self.peace_at + 1, Event::Peace);
    }

    /// Checks that each change came to each server only once, if it goes along a tree.
    fn count_payloads(&mut self, (records, changes, links): (u64, u64, u64)) {
        // On wires that are slow or lossy, servers ask again for updates that have not come in time.
        if !self.scenario.is_swift() || self.tally.links > links || self.holds_uncovered() {
            return;
        }
        let (records, changes) = (self.tally.records - records, self.changes() - changes);
        let most = self.scenario.payloads_max(changes);
        if self.scenario.is_all_tree() {
            self.tally.calm_records += records;
            self.tally.calm_records_least += changes * (self.scenario.servers as u64 - 1);
        }
        if records > most {
            let text =
                format!("{records} records were sent for {changes} changes, but at most {most} may be sent");
            self.checker.found(self.now, Symptom::Payloads, text);
        }
    }

    /// Whether some server holds a record that no vector covers. Lies leave such records in the names of absent
    /// servers. The records are sent again whenever a neighbor asks for what it lacks.
    fn holds_uncovered(&self) -> bool {
        let mut is_held = false;
        for replica in (0..self.servers.len()).filter_map(|server| replica_of(&self.servers, server)) {
            replica.for_each(|held| is_held |= held.seq == u64::MAX);
        }
        is_held && self.scenario.bad.is_some()
    }

    /// The number of changes so far: reports of clients, and records that servers have issued by themselves because bad
    /// members lied about them.
    fn changes(&self) -> u64 {
        self.tally.accepted + self.checker.said()
    }

    /// Checks that servers that keep to the rules find no difference.
    fn look_at_mismatches(&mut self) {
        if self.has_doubts() {
            return;
        }
        for (server, Server { life, .. }) in self.servers.iter().enumerate() {
            let found = life.as_ref().map_or(0, |life| life.replica.root_mismatches());
            if found > 0 {
                let text = format!("server {server} found {found} differences");
                self.checker.found(self.now, Symptom::Root, text);
            }
        }
    }

    pub(super) fn audit(&mut self) {
        self.look_at_books();
        self.take_images();
        self.timeline.put(self.now + AUDIT_INTERVAL, Event::Audit);
    }

    fn look_at_books(&mut self) {
        self.look_at_mismatches();
        for (server, Server { life, .. }) in self.servers.iter().enumerate() {
            if let Some(life) = life {
                self.checker.bookkeeping(self.now, server, &life.replica, life.links_len());
            }
        }
    }

    /// Records that expire before this time need not be the same everywhere. The time is 0 as long as all servers keep
    /// to the rules, because then their clocks agree in herds where records expire.
    pub(super) fn compared_from_ns(&self) -> u64 {
        if self.scenario.bad.is_none() {
            return 0;
        }
        let clocks = (0..self.servers.len()).map(|server| self.clock_ns(server));
        clocks.max().unwrap_or(0) + CHECK_MARGIN_NS + REPAIR_MAX
    }

    /// With bad members: whether each part of the herd has one tree of all its servers. Returns the difference, if
    /// there is one.
    fn have_one_tree(&self) -> Result<(), String> {
        if self.scenario.bad.is_none() || !self.scenario.is_all_tree() {
            return Ok(());
        }
        self.checker.parts().try_for_each(|part| self.has_one_tree(part))
    }

    fn has_one_tree(&self, part: &[usize]) -> Result<(), String> {
        let mut names: Vec<_> = part.iter().map(|&server| name(server)).collect();
        names.sort();
        let mut eager = 0;
        for &server in part {
            let Some(replica) = replica_of(&self.servers, server) else { continue };
            let found = replica.tree_servers();
            if found != names {
                return Err(format!(
                    "server {server} has {found:?} in its tree, but the servers of its part are {names:?}"
                ));
            }
            let neighbors = self.scenario.neighbors(server);
            let here = (0..).zip(&neighbors).filter(|(_, (neighbor, _))| part.contains(neighbor));
            eager +=
                here.filter_map(|(link, _)| LinkId::new(link)).filter(|&link| replica.is_eager(link)).count();
        }
        let edges = 2 * (part.len() - 1);
        if eager == edges {
            Ok(())
        } else {
            Err(format!("{eager} directions of links are eager, not {edges}"))
        }
    }

    /// Whether bad members and wrong clocks have left nothing behind that takes too much room or is from the future. A
    /// server that is alone cannot know whether its clock is right.
    fn have_no_leftovers(&self) -> Result<(), (Symptom, String)> {
        for &server in self.checker.parts().filter(|part| part.len() > 1).flatten() {
            let Some(replica) = replica_of(&self.servers, server) else { continue };
            self.checker.leftovers(server, self.clock_ns(server), replica)?;
            // Servers of earlier versions do not answer fences.
            if !self.scenario.old_servers.contains(&true) && replica.gaps() > 0 {
                let text = format!("server {server} still has {} open gaps", replica.gaps());
                return Err((Symptom::NeverConverged, text));
            }
        }
        Ok(())
    }

    /// The parts of the herd: the servers that are alive, grouped by reachability.
    pub(super) fn parts(&self) -> Vec<Vec<usize>> {
        let mut part_of: Vec<usize> = (0..self.servers.len()).collect();
        // Spreads the lower number over each open path, once for each server.
        for _ in 0..self.servers.len() {
            for &(a, b) in &self.scenario.edges {
                let is_alive = self.servers[a].life.is_some() && self.servers[b].life.is_some();
                if is_alive && !self.network.is_blocked(a, b) && !self.network.is_blocked(b, a) {
                    let lower = part_of[a].min(part_of[b]);
                    (part_of[a], part_of[b]) = (lower, lower);
                }
            }
        }
        let alive = |&server: &usize| self.servers[server].life.is_some();
        let members =
            |part| (0..self.servers.len()).filter(|&server| part_of[server] == part).filter(alive).collect();
        (0..self.servers.len()).map(members).filter(|part: &Vec<usize>| !part.is_empty()).collect()
    }
}

fn replica_of(servers: &[Server], server: usize) -> Option<&Replica> {
    Some(&servers[server].life.as_ref()?.replica)
}
