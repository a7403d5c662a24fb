//! Bytes that arrive, writers that write, and actions that servers request.

use proxyherd_core::limits::HEARTBEAT_INTERVAL;

use super::{Event, Own, Server, World};
use crate::{
    network::{Arrival, ConnId, Side},
    outcome::Symptom,
    server::{Action, Life},
    timeline::{MILLISECOND, Nanos},
};

/// Maximum time until a writer that is woken begins.
const WRITER_DELAY_MAX: Nanos = MILLISECOND / 5;

impl World {
    pub(super) fn arrive(&mut self, conn: ConnId, from: Side) {
        let server = self.network.server(conn, from.other());
        if self.servers[server].paused_until > self.now {
            let later = self.servers[server].paused_until;
            return self.timeline.put(later, Event::Arrive(conn, from));
        }
        while let Some(arrival) = self.network.arrived(self.now, conn, from) {
            self.trace.note(conn.0 as u64);
            match arrival {
                Arrival::Bytes(bytes) => self.receive(server, conn, from, &bytes),
                Arrival::End => self.with(server, |life, out| life.end(conn, out)),
            }
        }
        let sender = self.network.server(conn, from);
        if !self.network.is_full(conn, from) && self.waiting.remove(&(sender, conn)) {
            self.flush_soon(sender, conn);
        }
    }

    pub(super) fn receive(&mut self, server: usize, conn: ConnId, from: Side, bytes: &[u8]) {
        self.trace.note_bytes(bytes);
        let (now, clock_ns) = (self.now, self.clock_ns(server));
        let Some(life) = &mut self.servers[server].life else {
            // No server listens here, so the dialing server is notified at once.
            return self.close(conn, from.other());
        };
        if from == Side::Dialed && self.network.answer(conn) {
            life.answer(now, conn);
            self.tick_later(server, conn);
        }
        let mut touched = 0;
        self.with(server, |life, out| touched = life.receive(now, clock_ns, conn, bytes, out));
        self.remember_heard(server);
        self.note_what_was_said(server, touched);
        self.release_copied(server);
        if touched != 0 && self.is_judged(server) && self.servers[server].life.is_some() {
            let id = (server, self.servers[server].lives);
            let life = self.servers[server].life.as_ref().expect("it has just received");
            self.checker.vectors(now, id, clock_ns, &life.replica, touched);
        }
    }

    pub(super) fn own(&mut self, server: usize, life: u64, own: Own) {
        if let Own::Flush(conn) = own {
            self.due.remove(&(server, conn));
        }
        let Server { lives, paused_until, life: alive, .. } = &self.servers[server];
        if alive.is_none() || *lives != life {
            return;
        }
        if *paused_until > self.now {
            let later = *paused_until;
            if let Own::Flush(conn) = own {
                self.due.insert((server, conn));
            }
            return self.timeline.put(later, Event::Own(server, life, own));
        }
        match own {
            Own::Flush(conn) if !self.is_silent(server) => self.flush(server, conn),
            Own::Flush(_) => {}
            Own::Tick(conn) => self.tick(server, conn),
            Own::Dial(place) => self.dial(server, place),
            Own::Commit => self.commit(server),
            Own::Compact => self.compact(server),
        }
    }

    pub(super) fn flush(&mut self, server: usize, conn: ConnId) {
        if self.network.is_full(conn, self.side(server, conn)) {
            self.waiting.insert((server, conn));
            return;
        }
        let mut has_more = false;
        self.with(server, |life, out| has_more = life.flush(conn, out));
        if has_more {
            self.tally.partial_flushes += 1;
            self.flush_soon(server, conn);
        }
    }

    fn flush_soon(&mut self, server: usize, conn: ConnId) {
        if self.due.insert((server, conn)) {
            let at = self.now + self.rng.below(WRITER_DELAY_MAX);
            self.timeline.put(at, Event::Own(server, self.servers[server].lives, Own::Flush(conn)));
        }
    }

    pub(super) fn tick(&mut self, server: usize, conn: ConnId) {
        let (now, clock_ns) = (self.now, self.clock_ns(server));
        let can_write = !self.network.is_full(conn, self.side(server, conn));
        let mut goes_on = false;
        self.with(server, |life, out| goes_on = life.tick(now, clock_ns, conn, can_write, out));
        if goes_on {
            self.tick_later(server, conn);
        }
    }

    fn tick_later(&mut self, server: usize, conn: ConnId) {
        let at = self.now + HEARTBEAT_INTERVAL.as_nanos() as Nanos;
        self.timeline.put(at, Event::Own(server, self.servers[server].lives, Own::Tick(conn)));
    }

    pub(super) fn dial(&mut self, server: usize, place: usize) {
        let (to, _) = self.scenario.neighbors(server)[place];
        let conn = self.network.connect(server, to);
        let (now, clock_ns) = (self.now, self.clock_ns(server));
        self.with(server, |life, out| life.dial(now, clock_ns, conn, place, out));
        self.tick_later(server, conn);
    }

    /// Calls a living server, and then carries out the actions that it returns.
    pub(super) fn with(&mut self, server: usize, act: impl FnOnce(&mut Life, &mut Vec<Action>)) {
        let Some(life) = &mut self.servers[server].life else { return };
        let mut actions = std::mem::take(&mut self.actions);
        act(life, &mut actions);
        for action in actions.drain(..) {
            self.act(server, action);
        }
        self.actions = actions;
    }

    pub(super) fn act(&mut self, server: usize, action: Action) {
        match action {
            Action::Write(conn, bytes) => {
                let side = self.side(server, conn);
                for at in self.network.write(self.now, conn, side, &bytes) {
                    self.timeline.put(at, Event::Arrive(conn, side));
                }
            }
            Action::Flush(conn) => self.flush_soon(server, conn),
            Action::Close(conn) => {
                self.waiting.remove(&(server, conn));
                self.close(conn, self.side(server, conn));
            }
            Action::Redial(place) => {
                let random = self.rng.bits();
                let life =
                    self.servers[server].life.as_mut().expect("the server has just requested this action");
                let at = self.now + life.redial_delay(place, random);
                self.timeline.put(at, Event::Own(server, self.servers[server].lives, Own::Dial(place)));
            }
            Action::Up(place) => {
                self.tally.links += 1;
                let (to, _) = self.scenario.neighbors(server)[place];
                self.story.tell(self.now, || format!("server {server} has a link with {to}"));
            }
            Action::Received(records) => {
                self.tally.records += records;
                self.received[server] += records;
            }
            Action::ClocksApart => self.tally.clocks_apart += 1,
            Action::Broken(conn, text) => {
                if self.lied_on.contains(&conn) {
                    self.story.tell(self.now, || format!("server {server} ends a link: {text}"));
                    return;
                }
                self.checker.found(self.now, Symptom::Protocol, format!("server {server}: {text}"));
            }
        }
    }

    /// Whether a server is bad and passes nothing on.
    fn is_silent(&self, server: usize) -> bool {
        self.servers[server].manner.as_ref().is_some_and(|manner| manner.is_silent)
    }

    pub(super) fn close(&mut self, conn: ConnId, side: Side) {
        if let Some(at) = self.network.close(self.now, conn, side) {
            self.timeline.put(at, Event::Arrive(conn, side));
        }
    }

    pub(super) fn side(&self, server: usize, conn: ConnId) -> Side {
        if self.network.server(conn, Side::Dialed) == server { Side::Dialed } else { Side::Answered }
    }
}
