//! One thread of a door: waits for its sockets, and gives each connection that is ready a turn.
//!
//! Nothing here waits but for sockets, for the earliest deadline and for what others send to the [`Inbox`]. A
//! question about places that takes time waits on the runtime, and its answer comes back as a [`Parcel`].
//!
//! Events are edges: a socket says once that it is ready, the connection notes it, and stays on the list of those
//! that want a turn until a read or write has shown that the socket has no more.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::{
    Threads,
    closed::Closed,
    connection::Connection,
    inbox::{Inbox, Parcel, Pending},
    protocol::Protocol,
    turn::{Scratch, Seat, Step},
};
use crate::{
    config::Limits,
    door::entrance::HandshakeFailed,
    herd::{Herd, Notice, Position},
    liveness::Pulse,
    places::Question,
};
use proxyherd_log::{LogLevel, Subject};

/// Most events that are taken from the system at once; more wait for the next round.
const EVENTS_MAX: usize = 256;
/// The token of the inbox; connections have their places in the slab.
const INBOX: Token = Token(usize::MAX);
/// Longest time between two looks at the deadlines of all connections. Limits are whole seconds.
const SWEEP_INTERVAL_MAX: Duration = Duration::from_secs(1);
/// Shortest time between two of them: a look costs a little for every connection.
pub(super) const SWEEP_INTERVAL_MIN: Duration = Duration::from_millis(10);
/// Connections that have not ended so long after the stop are cut off.
const DRAIN_MAX: Duration = Duration::from_secs(3);
/// Most TLS handshakes of a thread at once. One more ends the oldest: a client's is over in a round trip, a stranger's takes as
/// long as it may.
const HANDSHAKES_MAX: usize = if cfg!(test) { 16 } else { 1024 };

/// The thread's state.
pub(super) struct Reactor<P: Protocol> {
    herd: Arc<Herd>,
    limits: Limits,
    poll: Poll,
    inbox: Arc<Inbox<P>>,
    connections: Slab<Box<Connection<P>>>,
    /// Those that want a turn, each once.
    ready: Vec<usize>,
    scratch: Scratch,
    /// Those that began with a handshake, oldest first, by place and serial. Some may be done with it.
    handshakes: VecDeque<(usize, u64)>,
    /// Counts the connections served here, so that a late answer is not taken for a newer connection's.
    serial: u64,
    sweep_at: Instant,
    stop_at: Option<Instant>,
    pulse: Arc<Pulse>,
}

impl<P: Protocol> Reactor<P> {
    pub(super) fn new(name: &str, herd: &Arc<Herd>, limits: &Limits) -> io::Result<Reactor<P>> {
        let poll = Poll::new()?;
        let inbox = Arc::new(Inbox::new(poll.registry(), INBOX)?);
        Ok(Reactor {
            herd: Arc::clone(herd),
            limits: limits.clone(),
            poll,
            inbox,
            connections: Slab::new(),
            ready: Vec::new(),
            scratch: Scratch::new(P::UNIT_LEN_MAX),
            handshakes: VecDeque::new(),
            serial: 0,
            sweep_at: Instant::now(),
            stop_at: None,
            pulse: herd.liveness().pulse(format!("thread {name}")),
        })
    }

    pub(super) fn inbox(&self) -> &Arc<Inbox<P>> {
        &self.inbox
    }

    /// Serves connections until [`Parcel::Stop`], and until those that it has are done.
    pub(super) fn run(mut self, threads: &Threads<P>) {
        let (mut events, mut turns) = (Events::with_capacity(EVENTS_MAX), Vec::new());
        let pulse = Arc::clone(&self.pulse);
        while !self.has_ended() {
            let now = Instant::now();
            if let Err(error) = self.poll.poll(&mut events, self.timeout(now))
                && error.kind() != io::ErrorKind::Interrupted
            {
                let message = format_args!("can't wait for clients: {error}");
                self.herd.log().event(LogLevel::Error, Subject::Server, message);
                return pulse.fail();
            }
            let (now, working) = (Instant::now(), pulse.work());
            self.note(&events, now);
            std::mem::swap(&mut self.ready, &mut turns);
            for at in turns.drain(..) {
                self.give_turn(at, now, threads);
                working.again();
            }
            if now >= self.sweep_at {
                self.sweep(now);
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.stop_at.is_some() && self.connections.is_empty() && self.inbox.close_if_empty()
    }

    /// How long to wait for events: not at all where somebody wants a turn.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        (!self.connections.is_empty()).then(|| self.sweep_at.saturating_duration_since(now))
    }

    fn note(&mut self, events: &Events, now: Instant) {
        for event in events {
            if event.token() == INBOX {
                self.take_parcels(now);
                continue;
            }
            let at = event.token().0;
            let Some(connection) = self.connections.get_mut(at) else { continue };
            connection.socket.note(event.is_readable(), event.is_read_closed());
            if connection.wants_turn() {
                self.queue(at);
            }
        }
    }

    fn queue(&mut self, at: usize) {
        if !std::mem::replace(&mut self.connections[at].is_queued, true) {
            self.ready.push(at);
        }
    }

    fn take_parcels(&mut self, now: Instant) {
        for parcel in self.inbox.take() {
            match parcel {
                Parcel::Connection(connection) => self.take_in(connection, now),
                Parcel::Answer { at, serial, answer: Some(answer) } => {
                    self.tell(at, serial, |connection, _| connection.take_answer(answer, now));
                }
                Parcel::Answer { at, serial, answer: None } => {
                    if self.tell(at, serial, |_, _| {}) {
                        self.close(at, &Err(Closed::Failed("the answer about places got lost")));
                    }
                }
                Parcel::Covered { at, serial } => {
                    self.tell(at, serial, |connection, herd| connection.take_covered(herd, now));
                }
                Parcel::Rung { at, serial } => {
                    self.tell(at, serial, |connection, _| connection.is_rung = true);
                }
                Parcel::Stop => self.stop(now),
            }
        }
    }

    /// Tells a connection something and lets it have a turn, if it is still there.
    fn tell(&mut self, at: usize, serial: u64, tell: impl FnOnce(&mut Connection<P>, &Herd)) -> bool {
        let Some(connection) = self.connections.get_mut(at).filter(|held| held.serial == serial) else {
            return false;
        };
        tell(connection, &self.herd);
        self.queue(at);
        true
    }

    fn take_in(&mut self, mut connection: Box<Connection<P>>, now: Instant) {
        self.serial += 1;
        connection.begin(self.serial, now);
        let entry = self.connections.vacant_entry();
        let at = entry.key();
        let interests = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(connection.socket.stream(), Token(at), interests) {
            return self.log_end(&connection, &Err(Closed::Broken(error)));
        }
        let first_look = connection.wakes_at().unwrap_or(now + SWEEP_INTERVAL_MAX);
        self.sweep_at =
            self.sweep_at.min(first_look.clamp(now + SWEEP_INTERVAL_MIN, now + SWEEP_INTERVAL_MAX));
        if self.stop_at.is_some() {
            // It finds out that there is nothing more, and ends.
            connection.socket.note(true, false);
        }
        let (wants_turn, is_in_handshake) = (connection.wants_turn(), connection.is_in_handshake());
        entry.insert(connection);
        if wants_turn {
            self.queue(at);
        }
        if is_in_handshake {
            self.bound_handshakes(at);
        }
    }

    /// One more has begun; the oldest has to give way if there are too many.
    fn bound_handshakes(&mut self, at: usize) {
        self.handshakes.push_back((at, self.serial));
        if self.handshakes.len() <= HANDSHAKES_MAX {
            return;
        }
        let connections = &self.connections;
        let is_going_on = |&(at, serial): &(usize, u64)| {
            connections.get(at).is_some_and(|held| held.serial == serial && held.is_in_handshake())
        };
        self.handshakes.retain(is_going_on);
        if self.handshakes.len() > HANDSHAKES_MAX
            && let Some((oldest, _)) = self.handshakes.pop_front()
        {
            self.close(oldest, &Err(Closed::Handshake(HandshakeFailed::Crowded)));
        }
    }

    /// From here on every connection is closed when what has come is answered.
    fn stop(&mut self, now: Instant) {
        self.stop_at = Some(now);
        self.sweep_at = now;
        for at in self.connections.iter().map(|(at, _)| at).collect::<Vec<_>>() {
            self.connections[at].socket.note(true, false);
            self.queue(at);
        }
    }

    fn give_turn(&mut self, at: usize, now: Instant, threads: &Threads<P>) {
        let Some(connection) = self.connections.get_mut(at) else { return };
        connection.is_queued = false;
        let (seat, scratch) = (Seat { herd: &self.herd, inbox: &self.inbox, at, now }, &mut self.scratch);
        // A fault of ours in what one client sent must not end the others that share the thread.
        let turn = catch_unwind(AssertUnwindSafe(|| connection.turn(&seat, scratch)));
        let step = turn.unwrap_or_else(|_| {
            Step::Close(Err(Closed::Failed("this server failed at something that it sent")))
        });
        match step {
            Step::Wait => {}
            Step::Again => self.queue(at),
            Step::Ask(question) => self.ask(at, *question),
            Step::Cover(position) => self.cover(at, position, now),
            Step::Close(how) => return self.close(at, &how),
        }
        if let Some(wakes_at) = self.connections[at].wakes_at() {
            self.sweep_at = self.sweep_at.min(wakes_at.max(now + SWEEP_INTERVAL_MIN));
        }
        if self.connections[at].is_to_move() {
            self.move_away(at, now, threads);
        }
    }

    /// Sends a connection that brings many units at once to the thread whose turn it is, which may be this.
    fn move_away(&mut self, at: usize, now: Instant, threads: &Threads<P>) {
        self.connections[at].has_moved = true;
        let target = threads.for_busy();
        if Arc::ptr_eq(target, &self.inbox) || self.stop_at.is_some() {
            return;
        }
        if self.poll.registry().deregister(self.connections[at].socket.stream()).is_ok() {
            let mut connection = self.connections.remove(at);
            connection.is_queued = false;
            if let Err(Parcel::Connection(connection)) = target.send(Parcel::Connection(connection)) {
                self.take_in(connection, now);
            }
        }
    }

    fn ask(&self, at: usize, question: Question) {
        let pending = Pending::new(&self.inbox, at, self.connections[at].serial);
        question.then(|answered| pending.end(answered));
    }

    fn cover(&mut self, at: usize, position: Position, now: Instant) {
        let connection = &self.connections[at];
        let (inbox, serial) = (Arc::clone(&self.inbox), connection.serial);
        if let Some(until) = connection.deadline(&self.limits) {
            self.sweep_at = self.sweep_at.min(until.max(now + SWEEP_INTERVAL_MIN));
        }
        let notice = Notice::new(move || {
            // A reactor that has ended has closed the connection.
            let _ = inbox.send(Parcel::Covered { at, serial });
        });
        let durability = self.herd.durability().expect("a connection waits only where this is asked for");
        durability.await_covered(position, notice);
    }

    /// Closes those whose time is up, gives those a turn whose time has come, and finds out when the next one's is.
    fn sweep(&mut self, now: Instant) {
        let (limits, mut next) = (&self.limits, now + SWEEP_INTERVAL_MAX);
        let (mut overdue, mut woken) = (Vec::new(), Vec::new());
        for (at, connection) in &self.connections {
            match connection.wakes_at() {
                Some(wakes_at) if wakes_at <= now => woken.push(at),
                Some(wakes_at) => next = next.min(wakes_at),
                None => {}
            }
            match connection.deadline(limits) {
                Some(deadline) if deadline <= now => overdue.push(at),
                Some(deadline) => next = next.min(deadline),
                None => {}
            }
        }
        self.sweep_at = next.max(now + SWEEP_INTERVAL_MIN);
        for at in woken {
            self.queue(at);
        }
        for at in overdue {
            let how = Err(self.connections[at].overdue(&self.limits));
            self.close(at, &how);
        }
        if self.stop_at.is_some_and(|stopped| now >= stopped + DRAIN_MAX) {
            for at in self.connections.iter().map(|(at, _)| at).collect::<Vec<_>>() {
                self.close(at, &Err(Closed::Stopping));
            }
        }
    }

    fn close(&mut self, at: usize, how: &Result<(), Closed>) {
        let mut connection = self.connections.remove(at);
        // Without this a client could not tell its end from a network that cut it off (RFC 8446, section 6.1).
        if !connection.socket.is_in_handshake() {
            let _ = connection.socket.say_goodbye();
        }
        // Closing the socket takes it out anyway.
        let _ = self.poll.registry().deregister(connection.socket.stream());
        self.log_end(&connection, how);
    }

    fn log_end(&self, connection: &Connection<P>, how: &Result<(), Closed>) {
        connection.count_end(how);
        let (log, subject) = (self.herd.log(), Subject::Client(connection.caller.address));
        match how {
            Ok(()) => log.event(LogLevel::Debug, subject, format_args!("closed")),
            Err(closed) => log.event(closed.level(), subject, format_args!("closed: {closed}")),
        }
    }
}

impl<P: Protocol> Drop for Reactor<P> {
    /// However it ends, nothing is sent here that nobody would take.
    fn drop(&mut self) {
        self.inbox.close();
    }
}
