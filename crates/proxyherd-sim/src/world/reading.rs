//! Readers of live streams: they connect to any server, lose their connections, resume, and are checked.

use std::collections::BTreeSet;

use proxyherd_core::{command::Whereabouts, flood::Update, replica::Replica, types::ClientId};

use super::{Event, Server, World};
use crate::{
    outcome::Symptom,
    presence::PresenceReader,
    server::Life,
    streaming::{Counts, Reader},
    timeline::{MILLISECOND, Nanos, SECOND},
};

/// The interval between two turns of readers.
const INTERVAL: Nanos = 250 * MILLISECOND;
/// Maximum number of changes that a server offers to its streams in a turn.
const MOST: u64 = 400;
/// Maximum offset of clocks in herds whose events of presence are compared.
const CLOCK_OFFSET_MAX: u64 = 50 * MILLISECOND;
/// The parts of a calm, at its begin and its end, whose events of presence are not compared.
const EARLY: Nanos = SECOND;
const LATE: Nanos = 3 * SECOND;
/// Maximum number of events that a reader loses with its connection.
const LOST_MAX: u64 = 30;

impl World {
    /// Gives each server's streams a turn, and then each reader.
    pub(super) fn read(&mut self) {
        for server in 0..self.servers.len() {
            let clock_ns = self.clock_ns(server);
            let Some(life) = self.running(server) else { continue };
            let most = self.readers_rng.between(1, MOST) as usize;
            let loses_changes = self.readers_rng.chance(2);
            let now = self.now;
            let Some(Life { replica, streaming, presence_reader, .. }) = &mut self.servers[server].life
            else {
                continue;
            };
            presence_reader.turn(replica, now, clock_ns);
            streaming.follow(replica, most);
            streaming.expire(clock_ns);
            if loses_changes {
                streaming.lose_changes();
            }
            self.hand_out_rings((server, life));
        }
        for reader in 0..self.readers.len() {
            self.give_turn(reader);
        }
        self.timeline.put(self.now + INTERVAL, Event::Read);
    }

    /// The life of a server that is up and not paused.
    fn running(&self, server: usize) -> Option<u64> {
        let Server { life, lives, paused_until, .. } = &self.servers[server];
        (life.is_some() && *paused_until <= self.now).then_some(*lives)
    }

    /// Called when the herd becomes calm.
    pub(super) fn forget_presence(&mut self) {
        let lives = self.servers.iter_mut().filter_map(|server| server.life.as_mut());
        lives.for_each(|life| life.presence_reader.forget_told());
    }

    /// Called at the end of a calm that began at `began`: all servers must have told the same events.
    pub(super) fn look_at_presence(&mut self, began: Nanos) {
        let is_right = |server: usize| {
            self.scenario.clock_offsets[server].unsigned_abs() <= CLOCK_OFFSET_MAX
                && self.servers[server].jumped == 0
        };
        if self.scenario.bad.is_some() || !(0..self.servers.len()).all(is_right) {
            return;
        }
        for server in 0..self.servers.len() {
            let (now, clock_ns) = (self.now, self.clock_ns(server));
            if let Some(Life { replica, presence_reader, .. }) = &mut self.servers[server].life {
                presence_reader.turn(replica, now, clock_ns);
            }
        }
        let readers =
            || self.servers.iter().filter_map(|server| Some(&server.life.as_ref()?.presence_reader));
        if readers().any(|presence_reader| presence_reader.has_lost) {
            return;
        }
        // A server may tell an event a little later than another one.
        let window = began + EARLY..self.now.saturating_sub(LATE);
        let all_of = |presence_reader: &PresenceReader| {
            presence_reader.told().iter().map(|told| told.event.clone()).collect()
        };
        let all: Vec<BTreeSet<_>> = readers().map(all_of).collect();
        let mut missed = None;
        for (one, presence_reader) in readers().enumerate() {
            for told in presence_reader.told().iter().filter(|told| window.contains(&told.at)) {
                self.tally.presence += 1;
                let other = all.iter().position(|events| !events.contains(&told.event));
                missed =
                    missed.or_else(|| other.map(|other| format!("{told:?} of server {one}, not of {other}")));
            }
        }
        if let Some(text) = missed {
            self.checker.found(self.now, Symptom::Presence, text);
        }
    }

    fn hand_out_rings(&mut self, server: (usize, u64)) {
        if let Some(life) = &mut self.servers[server.0].life {
            life.streaming.take_rings().into_iter().for_each(|reader| self.readers[reader].ring(server));
        }
    }

    fn give_turn(&mut self, reader: usize) {
        let server = self.readers[reader].server();
        let is_over = server.is_some_and(|(server, life)| {
            self.servers[server].life.is_none() || self.servers[server].lives != life
        });
        if is_over {
            let lost = self.readers_rng.below(LOST_MAX) as usize;
            return self.readers[reader].lose_connection(lost);
        }
        match server {
            None if self.readers_rng.chance(300) => {
                let server = self.readers_rng.index(self.servers.len());
                self.connect(reader, server);
            }
            None => {}
            Some((server, _)) if self.running(server).is_none() => {}
            Some((server, _)) if self.readers_rng.chance(30) => self.change_connection(reader, server),
            Some((server, _)) => self.take_turn(reader, server),
        }
    }

    /// A reader's connection ends. The server may learn this later, when the reader has connected again.
    fn change_connection(&mut self, reader: usize, server: usize) {
        let rng = &mut self.readers_rng;
        let (lost, knows, resumes) = (rng.below(LOST_MAX) as usize, rng.chance(600), rng.chance(700));
        let clock_ns = self.clock_ns(server);
        let Some(Life { streaming, .. }) = &mut self.servers[server].life else { return };
        let reader_mut: &mut Reader = &mut self.readers[reader];
        if knows || !resumes {
            reader_mut.detach(streaming, clock_ns);
        }
        reader_mut.lose_connection(lost);
        if resumes {
            self.connect(reader, server);
        }
    }

    fn connect(&mut self, reader: usize, server: usize) {
        let (Some(life), random) = (self.running(server), self.readers_rng.bits()) else { return };
        let Some(Life { streaming, .. }) = &mut self.servers[server].life else { return };
        let connected = self.readers[reader].connect((server, life), streaming, random);
        self.note_reading(reader, server, connected);
        self.hand_out_rings((server, life));
    }

    fn take_turn(&mut self, reader: usize, server: usize) {
        let clock_ns = self.clock_ns(server);
        let Server { life: Some(Life { replica, streaming, .. }), lives, .. } = &mut self.servers[server]
        else {
            return;
        };
        let lives = *lives;
        let rng = &mut self.readers_rng;
        let taken = self.readers[reader].turn(replica, streaming, clock_ns, rng);
        self.note_reading(reader, server, taken);
        self.hand_out_rings((server, lives));
    }

    fn note_reading(&mut self, reader: usize, server: usize, done: Result<(), String>) {
        let Counts { events, resets, resumed } = std::mem::take(&mut self.readers[reader].counts);
        self.tally.streamed += events;
        self.tally.stream_resets += resets;
        self.tally.resumed += resumed;
        if let Err(text) = done {
            self.checker.found(self.now, Symptom::Stream, format!("server {server}: {text}"));
        }
    }

    /// Called when the herd is quiescent. Readers connect and take everything, and must then hold what their filters
    /// match.
    pub(super) fn look_at_readers(&mut self) {
        for server in 0..self.servers.len() {
            let Some(Life { replica, streaming, .. }) = &mut self.servers[server].life else { continue };
            while !streaming.follow(replica, MOST as usize) {}
            let lives = self.servers[server].lives;
            self.hand_out_rings((server, lives));
        }
        for reader in 0..self.readers.len() {
            let connected = self.readers[reader].server().filter(|&(server, life)| {
                self.servers[server].life.is_some() && self.servers[server].lives == life
            });
            if connected.is_none() {
                self.readers[reader].lose_connection(0);
                let up = (0..self.servers.len()).find(|&server| self.running(server).is_some());
                up.into_iter().for_each(|server| self.connect(reader, server));
            }
            if let Some((server, _)) = self.readers[reader].server() {
                self.catch_up(reader, server);
            }
        }
    }

    fn catch_up(&mut self, reader: usize, server: usize) {
        let clock_ns = self.clock_ns(server);
        // When a clock has been put forward and back, a report with a time to live has expired and is shown again.
        let clocks_agree = self.scenario.client_ttl.is_some() && self.scenario.bad.is_none();
        let Some(Life { replica, streaming, .. }) = &mut self.servers[server].life else { return };
        let exempts = |id: &[u8]| !clocks_agree && has_own_ttl(replica, id);
        let mut done = self.readers[reader].catch_up(replica, streaming, clock_ns, exempts);
        if let Some(text) = streaming.contradiction() {
            done = done.and(Err(text));
        }
        self.note_reading(reader, server, done);
    }
}

/// Whether the record of a client has a time to live of its own.
fn has_own_ttl(replica: &Replica, id: &[u8]) -> bool {
    let read = |client: ClientId<'_>| {
        // A time before every receipt: at this time no record has expired.
        let read = |held: Update<'_>| Whereabouts::of(&held.record, &held.origin.server)?.attributes.ttl_s();
        replica.locate(0, client, read).flatten().map(|_| true)
    };
    ClientId::new(id).and_then(read).unwrap_or(false)
}
