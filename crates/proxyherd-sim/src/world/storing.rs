//! Stores and acknowledgements: commits and compactions step by step, what goes wrong with disks, and what must
//! survive.

use proxyherd_core::command::Positions;

use super::{Event, Own, Server, World};
use crate::{
    acks::Waiting,
    disk::Forgotten,
    faults::DiskTrouble,
    ledger::Taken,
    outcome::Symptom,
    scenario::Durability,
    server::Life,
    store::{Compacting, Opened, Stepped, Store},
    timeline::Nanos,
};

/// The time that the herd gets in addition to agree if a server waits for objections against its old store.
pub(super) const LATE_LOAD_MAX: Nanos = 12 * crate::timeline::SECOND;

/// The share of the crashes in which only the server's process ends.
const KILLED_PER_MILLE: u64 = 300;

/// Starts, commits, compactions.
impl World {
    /// Notes what became of a server's store at the start, and begins to use it.
    pub(super) fn store_opened(&mut self, server: usize) {
        let Some(Life { opened, store: Some(_), .. }) = &mut self.servers[server].life else { return };
        if let Some(opened) = opened.take() {
            self.note_opened(server, opened);
        }
        let life = self.servers[server].lives;
        let at = self.now + self.step_time();
        self.timeline.put(at, Event::Own(server, life, Own::Commit));
        self.timeline.put(at, Event::Own(server, life, Own::Compact));
    }

    fn note_opened(&mut self, server: usize, opened: Opened) {
        match opened {
            Opened::Waits => {
                self.story
                    .tell(self.now, || format!("server {server} waits for objections to its old store"));
            }
            Opened::Discarded => {
                self.tally.discarded += 1;
                self.story.tell(self.now, || format!("server {server} discards its old store"));
            }
            Opened::Refused(error) => {
                let text = format!("server {server} cannot read its store: {error}");
                self.checker.found(self.now, Symptom::Store, text);
            }
            Opened::Read(recovered) => {
                self.tally.recoveries += 1;
                self.tally.torn += recovered.torn.len() as u64;
                self.tally.damage += recovered.damage.len() as u64;
                self.story.tell(self.now, || {
                    format!(
                        "server {server} has read {} records, torn: {:?}, damaged: {:?}",
                        recovered.records, recovered.torn, recovered.damage
                    )
                });
            }
        }
        self.note_what_was_said(server, u32::MAX);
        self.look_at_vectors(server);
    }

    /// Proves the whole vector of a server that has read its store.
    fn look_at_vectors(&mut self, server: usize) {
        let (clock_ns, is_judged) = (self.clock_ns(server), self.is_judged(server));
        if let Server { life: Some(life), lives, .. } = &self.servers[server]
            && is_judged
        {
            self.checker.vectors(self.now, (server, *lives), clock_ns, &life.replica, u32::MAX);
        }
    }

    /// The time that a step of a commit or a compaction takes.
    fn step_time(&mut self) -> Nanos {
        let most = self.scenario.disks.step_max;
        self.disks_rng.below(most)
    }

    /// Decides about stores that wait for objections.
    pub(super) fn decide_on_stores(&mut self) {
        for server in 0..self.servers.len() {
            let (now, clock_ns) = (self.now, self.clock_ns(server));
            let Some(Life { store: Some(store), replica, .. }) = &mut self.servers[server].life else {
                continue;
            };
            let Some((opened, wake)) = store.decide(replica, (now, clock_ns)) else { continue };
            self.tally.late_loads += u64::from(matches!(opened, Opened::Read(_)));
            self.note_opened(server, opened);
            self.with(server, |life, out| life.wake(wake, out));
        }
    }

    /// Does the next step of a server's commit.
    pub(super) fn commit(&mut self, server: usize) {
        let rests = self.step(server);
        let at = if rests {
            self.now + self.disks_rng.interval(self.scenario.disks.commit_interval).max(1)
        } else {
            self.now + self.step_time()
        };
        self.timeline.put(at, Event::Own(server, self.servers[server].lives, Own::Commit));
    }

    /// Does a step. Returns whether the commit has come to its end.
    fn step(&mut self, server: usize) -> bool {
        let clock_ns = self.clock_ns(server);
        let Some(Life { store: Some(store), acks: Some(acks), replica, .. }) = &mut self.servers[server].life
        else {
            return true;
        };
        match store.step(replica, clock_ns) {
            Stepped::Rests => true,
            Stepped::Began | Stepped::Taken => false,
            Stepped::Written(durable) => {
                let released = acks.journal_covers(self.now, &durable);
                self.acknowledge(server, released);
                false
            }
            Stepped::Durable(durable) => {
                self.tally.commits += 1;
                let released = acks.journal_covers(self.now, &durable);
                self.acknowledge(server, released);
                true
            }
            Stepped::Failed(text) => {
                acks.give_up();
                self.story.tell(self.now, || format!("the disk of server {server} fails: {text}"));
                true
            }
        }
    }

    /// Does the next step of a server's compaction.
    pub(super) fn compact(&mut self, server: usize) {
        let clock_ns = self.clock_ns(server);
        let Some(Life { store: Some(store), replica, .. }) = &mut self.servers[server].life else { return };
        let settings = &self.scenario.disks;
        let chance = 1000 * settings.commit_interval / settings.compaction_interval;
        let is_wanted = self.disks_rng.chance(chance);
        let at = match store.compact(replica, clock_ns, is_wanted) {
            Compacting::Begins => {
                self.servers[server].disk.begin_compaction();
                self.now + self.step_time()
            }
            Compacting::Continues => self.now + self.step_time(),
            Compacting::Done => {
                self.servers[server].disk.end_compaction();
                self.tally.compactions += 1;
                self.story.tell(self.now, || format!("server {server} has compacted its store"));
                self.now + self.step_time()
            }
            Compacting::No | Compacting::GivenUp => self.now + self.scenario.disks.commit_interval,
        };
        self.timeline.put(at.max(self.now + 1), Event::Own(server, self.servers[server].lives, Own::Compact));
    }

    /// Commits everything that waits, unless the disk is full or has failed.
    pub(super) fn commit_all(&mut self, server: usize) {
        let mut rests = 0;
        while rests < 2 {
            let has_rested = self.step(server);
            rests = match has_rested && self.rests(server) {
                true => 2,
                false if has_rested => rests + 1,
                false => 0,
            };
        }
    }

    pub(super) fn rests(&self, server: usize) -> bool {
        self.store(server).is_none_or(Store::rests)
    }

    pub(super) fn store(&self, server: usize) -> Option<&Store> {
        self.servers[server].life.as_ref()?.store.as_ref()
    }
}

/// Acknowledgements.
impl World {
    /// Notes what servers have issued by themselves, such as tombstones that would expire.
    pub(super) fn note_what_servers_said(&mut self) {
        if self.scenario.durability != Durability::default() {
            (0..self.servers.len()).for_each(|server| self.note_what_was_said(server, u32::MAX));
        }
    }

    /// Lets an acknowledgement of a server wait until the record is durable. `is_own`: the server's present life has
    /// issued the record.
    pub(super) fn hold_back(&mut self, server: usize, needed: Positions, (record, is_own): (Taken, bool)) {
        let (moment, since, taken_ns) = (self.checker.moment_of(&record), self.now, self.now_ns());
        let Some(Life { acks: Some(acks), .. }) = &mut self.servers[server].life else { return };
        self.tally.held_back += 1;
        let released = acks.wait(needed, Waiting { record, since, taken_ns, moment, is_own });
        self.acknowledge(server, released);
    }

    /// Lets acknowledgements leave that waited for copies at neighbors.
    pub(super) fn release_copied(&mut self, server: usize) {
        if let Some(Life { acks: Some(acks), replica, .. }) = &mut self.servers[server].life {
            let released = acks.neighbors_cover(self.now, replica);
            self.acknowledge(server, released);
        }
    }

    /// Acknowledgements leave a server.
    fn acknowledge(&mut self, server: usize, released: impl IntoIterator<Item = Waiting>) {
        for waiting in released {
            self.tally.acknowledged += 1;
            self.prove(server, &waiting);
            let clocks: Vec<_> = (0..self.servers.len()).map(|server| self.clock_ns(server)).collect();
            let alive = self.servers.iter().enumerate();
            let alive =
                alive.filter_map(|(at, server)| Some((at, clocks[at], &server.life.as_ref()?.replica)));
            self.checker.acknowledged(self.now, server, waiting, alive);
        }
    }
}

/// Proofs that acknowledgements do not leave too early.
impl World {
    /// Proves of some acknowledgements that the disk of the server has their records, whatever a crash drops.
    fn prove(&mut self, server: usize, waiting: &Waiting) {
        let per_mille = self.scenario.disks.proved_per_mille;
        if !self.scenario.durability.has_journal || !self.disks_rng.chance(per_mille) {
            return;
        }
        let clock_ns = self.clock_ns(server);
        let Some(life) = &self.servers[server].life else { return };
        let empty = life.next_replica(self.scenario.client_ttl);
        let Some(survivors) = life.store.as_ref().and_then(|store| store.survivors(empty, clock_ns)) else {
            return;
        };
        self.tally.proved += 1;
        if !self.checker.holds(clock_ns, &survivors, &waiting.record) {
            let text = format!("server {server} acknowledges {:?}, which its disk may lose", waiting.record);
            self.checker.found(self.now, Symptom::TooEarly, text);
        }
    }
}

/// What goes wrong with disks.
impl World {
    /// A server has crashed. If its machine has crashed, too, the disk decides what is left of what was not synced.
    pub(super) fn crash_disk(&mut self, server: usize) {
        self.checker.crashed(server);
        if !self.scenario.durability.has_journal {
            return;
        }
        let disk = self.servers[server].disk.clone();
        let Forgotten(has_forgotten) = match self.disks_rng.chance(KILLED_PER_MILLE) {
            true => disk.kill(),
            false => disk.crash(&mut self.disks_rng),
        };
        if has_forgotten {
            self.tally.disk_lies += 1;
            self.story
                .tell(self.now, || format!("the disk of server {server} forgets what it had lied about"));
            self.checker.spoiled(server);
        }
    }

    pub(super) fn trouble_disk(&mut self, server: usize, trouble: DiskTrouble, until: Nanos) {
        let is_up = self.servers[server].life.is_some();
        let disk = self.servers[server].disk.clone();
        self.tally.disk_troubles += 1;
        match trouble {
            DiskTrouble::Full(after) => disk.set_room(Some(after)),
            DiskTrouble::FailedSync => disk.fail_a_sync(),
            DiskTrouble::Lies => disk.set_lying(true),
            DiskTrouble::FlippedBit => {
                let Some(place) = disk.flip_a_bit(&mut self.disks_rng) else { return };
                self.story.tell(self.now, || format!("server {server}: flips {place}"));
                return self.checker.spoiled(server);
            }
            DiskTrouble::Old | DiskTrouble::Empty if !is_up => return,
            DiskTrouble::Old => {
                let Some(image) = self.servers[server].image.clone() else { return };
                self.crash(server, false, until);
                disk.restore(&image);
                return self.checker.spoiled(server);
            }
            DiskTrouble::Empty => {
                self.crash(server, false, until);
                disk.wipe();
                return self.checker.spoiled(server);
            }
        }
        self.timeline.put(until, Event::DiskMends(server));
    }

    /// Ends what is wrong with a disk. An operator starts a server again whose disk has failed.
    pub(super) fn disk_mends(&mut self, server: usize) {
        self.servers[server].disk.mend();
        if self.store(server).is_some_and(Store::has_failed) {
            self.crash(server, false, self.now);
        }
    }

    /// Keeps an image of some disks, which may come back later.
    pub(super) fn take_images(&mut self) {
        if !self.scenario.durability.has_journal {
            return;
        }
        for Server { disk, image, .. } in &mut self.servers {
            if image.is_none() || self.disks_rng.chance(300) {
                *image = Some(disk.image());
            }
        }
    }
}

/// What must hold in peace.
impl World {
    /// Whether every server has read its store.
    pub(super) fn have_read_stores(&self) -> Result<(), String> {
        let waits = (0..self.servers.len()).find(|&server| self.store(server).is_some_and(Store::waits));
        waits.map_or(Ok(()), |server| Err(format!("server {server} still waits to read its store")))
    }

    /// Checks that no acknowledgement waits for a journal that has written everything.
    fn look_at_waiting(&mut self) {
        let waits = |server: &usize| {
            let Some(Life { store: Some(store), acks: Some(acks), .. }) = &self.servers[*server].life else {
                return false;
            };
            store.is_open() && store.rests() && acks.len() > 0
        };
        // A journal asks for the vectors of shards once a second, and may learn of positions only then.
        let is_settled = self.now >= self.peace_at + 2 * crate::timeline::SECOND;
        if self.scenario.durability.replicas == 0
            && is_settled
            && let Some(server) = (0..self.servers.len()).find(waits)
        {
            let text = format!("acknowledgements of server {server} wait although its store is written");
            self.checker.found(self.now, Symptom::Store, text);
        }
    }

    /// Checks that what was acknowledged is there, and that nothing has come back.
    pub(super) fn look_at_promises(&mut self) {
        if self.scenario.durability == Durability::default() {
            return;
        }
        let from_ns = self.compared_from_ns();
        let clocks: Vec<_> = (0..self.servers.len()).map(|server| self.clock_ns(server)).collect();
        (0..self.servers.len()).for_each(|server| self.commit_all(server));
        let World { checker, servers, .. } = self;
        let replica =
            |server: usize| &servers[server].life.as_ref().expect("no server crashes in peace").replica;
        checker.promises_kept(self.now, from_ns, |server| clocks[server], replica);
        self.look_at_waiting();
        let is_whole = self.checker.parts().count() == 1 && self.servers.iter().all(|it| it.life.is_some());
        if is_whole {
            let on_disk: Vec<_> = (0..self.servers.len())
                .filter(|&server| self.store(server).is_some_and(|store| store.is_open() && store.rests()))
                .collect();
            let World { checker, servers, now, .. } = self;
            let Some(Life { replica, .. }) = &servers[0].life else { return };
            checker.all_agree(*now, clocks[0], replica, &on_disk);
        }
    }
}
