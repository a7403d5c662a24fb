//! One thread of a door: waits for its sockets, and gives each connection that is ready a turn.
//!
//! Nothing here waits but for sockets, for the earliest deadline and for what others send to the [`Inbox`]. A
//! question about places that takes time waits on the runtime, and its answer comes back as a [`InboxMessage`].
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
    close_reason::CloseReason,
    connection::Connection,
    inbox::{Inbox, InboxMessage, PendingQuestion},
    protocol::Protocol,
    turn::{Scratch, TurnContext, TurnOutcome},
};
use crate::{
    config::Limits,
    door::entrance::HandshakeFailed,
    health::Pulse,
    herd::{Herd, Notice, Positions},
    log::{LogLevel, Subject},
    places::Question,
};

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
            pulse: herd.health().pulse(format!("thread {name}")),
        })
    }

    pub(super) fn inbox(&self) -> &Arc<Inbox<P>> {
        &self.inbox
    }

    /// Serves connections until [`InboxMessage::Stop`], and until those that it has are done.
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
            for slot in turns.drain(..) {
                self.give_turn(slot, now, threads);
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
                self.take_messages(now);
                continue;
            }
            let slot = event.token().0;
            let Some(connection) = self.connections.get_mut(slot) else { continue };
            connection.socket.note(event.is_readable(), event.is_read_closed());
            if connection.wants_turn() {
                self.queue(slot);
            }
        }
    }

    fn queue(&mut self, slot: usize) {
        if !std::mem::replace(&mut self.connections[slot].is_queued, true) {
            self.ready.push(slot);
        }
    }

    fn take_messages(&mut self, now: Instant) {
        for message in self.inbox.take() {
            match message {
                InboxMessage::Connection(connection) => self.take_in(connection, now),
                InboxMessage::Answer { slot, serial, answer: Some(answer) } => {
                    self.tell(slot, serial, |connection, _| connection.take_answer(answer, now));
                }
                InboxMessage::Answer { slot, serial, answer: None } => {
                    if self.tell(slot, serial, |_, _| {}) {
                        self.close(slot, &Err(CloseReason::Failed("the answer about places got lost")));
                    }
                }
                InboxMessage::Durable { slot, serial } => {
                    self.tell(slot, serial, |connection, herd| connection.take_durable(herd, now));
                }
                InboxMessage::Rung { slot, serial } => {
                    self.tell(slot, serial, |connection, _| connection.is_rung = true);
                }
                InboxMessage::Stop => self.stop(now),
            }
        }
    }

    /// Tells a connection something and lets it have a turn, if it is still there.
    fn tell(&mut self, slot: usize, serial: u64, tell: impl FnOnce(&mut Connection<P>, &Herd)) -> bool {
        let Some(connection) = self.connections.get_mut(slot).filter(|held| held.serial == serial) else {
            return false;
        };
        tell(connection, &self.herd);
        self.queue(slot);
        true
    }

    fn take_in(&mut self, mut connection: Box<Connection<P>>, now: Instant) {
        self.serial += 1;
        connection.begin(self.serial, now);
        let entry = self.connections.vacant_entry();
        let slot = entry.key();
        let interests = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(connection.socket.stream(), Token(slot), interests)
        {
            return self.log_end(&connection, &Err(CloseReason::Broken(error)));
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
            self.queue(slot);
        }
        if is_in_handshake {
            self.bound_handshakes(slot);
        }
    }

    /// One more has begun; the oldest has to give way if there are too many.
    fn bound_handshakes(&mut self, slot: usize) {
        self.handshakes.push_back((slot, self.serial));
        if self.handshakes.len() <= HANDSHAKES_MAX {
            return;
        }
        let connections = &self.connections;
        let is_going_on = |&(slot, serial): &(usize, u64)| {
            connections.get(slot).is_some_and(|held| held.serial == serial && held.is_in_handshake())
        };
        self.handshakes.retain(is_going_on);
        if self.handshakes.len() > HANDSHAKES_MAX
            && let Some((oldest, _)) = self.handshakes.pop_front()
        {
            self.close(oldest, &Err(CloseReason::Handshake(HandshakeFailed::Crowded)));
        }
    }

    /// From here on every connection is closed when what has come is answered.
    fn stop(&mut self, now: Instant) {
        self.stop_at = Some(now);
        self.sweep_at = now;
        for slot in self.connections.iter().map(|(slot, _)| slot).collect::<Vec<_>>() {
            self.connections[slot].socket.note(true, false);
            self.queue(slot);
        }
    }

    fn give_turn(&mut self, slot: usize, now: Instant, threads: &Threads<P>) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        connection.is_queued = false;
        let (context, scratch) =
            (TurnContext { herd: &self.herd, inbox: &self.inbox, slot, now }, &mut self.scratch);
        // A fault of ours in what one client sent must not end the others that share the thread.
        let turn = catch_unwind(AssertUnwindSafe(|| connection.turn(&context, scratch)));
        let step = turn.unwrap_or_else(|_| {
            TurnOutcome::Close(Err(CloseReason::Failed("this server failed at something that it sent")))
        });
        match step {
            TurnOutcome::Wait => {}
            TurnOutcome::Again => self.queue(slot),
            TurnOutcome::AskPlaces(question) => self.ask(slot, *question),
            TurnOutcome::AwaitDurable(positions) => self.await_durable(slot, *positions, now),
            TurnOutcome::Close(how) => return self.close(slot, &how),
        }
        if let Some(wakes_at) = self.connections[slot].wakes_at() {
            self.sweep_at = self.sweep_at.min(wakes_at.max(now + SWEEP_INTERVAL_MIN));
        }
        if self.connections[slot].is_to_move() {
            self.move_away(slot, now, threads);
        }
    }

    /// Sends a connection that brings many units at once to the thread whose turn it is, which may be this.
    fn move_away(&mut self, slot: usize, now: Instant, threads: &Threads<P>) {
        self.connections[slot].has_moved = true;
        let target = threads.for_busy();
        if Arc::ptr_eq(target, &self.inbox) || self.stop_at.is_some() {
            return;
        }
        if self.poll.registry().deregister(self.connections[slot].socket.stream()).is_ok() {
            let mut connection = self.connections.remove(slot);
            connection.is_queued = false;
            if let Err(InboxMessage::Connection(connection)) =
                target.send(InboxMessage::Connection(connection))
            {
                self.take_in(connection, now);
            }
        }
    }

    fn ask(&self, slot: usize, question: Question) {
        let pending = PendingQuestion::new(&self.inbox, slot, self.connections[slot].serial);
        question.then(|answered| pending.end(answered));
    }

    fn await_durable(&mut self, slot: usize, positions: Positions, now: Instant) {
        let connection = &self.connections[slot];
        let (inbox, serial) = (Arc::clone(&self.inbox), connection.serial);
        if let Some(until) = connection.deadline(&self.limits) {
            self.sweep_at = self.sweep_at.min(until.max(now + SWEEP_INTERVAL_MIN));
        }
        let notice = Notice::new(move || {
            // A reactor that has ended has closed the connection.
            let _ = inbox.send(InboxMessage::Durable { slot, serial });
        });
        let durability = self.herd.durability().expect("a connection waits only where this is asked for");
        durability.await_covered(positions, notice);
    }

    /// Closes those whose time is up, gives those a turn whose time has come, and finds out when the next one's is.
    fn sweep(&mut self, now: Instant) {
        let (limits, mut next) = (&self.limits, now + SWEEP_INTERVAL_MAX);
        let (mut overdue, mut woken) = (Vec::new(), Vec::new());
        for (slot, connection) in &self.connections {
            match connection.wakes_at() {
                Some(wakes_at) if wakes_at <= now => woken.push(slot),
                Some(wakes_at) => next = next.min(wakes_at),
                None => {}
            }
            match connection.deadline(limits) {
                Some(deadline) if deadline <= now => overdue.push(slot),
                Some(deadline) => next = next.min(deadline),
                None => {}
            }
        }
        self.sweep_at = next.max(now + SWEEP_INTERVAL_MIN);
        for slot in woken {
            self.queue(slot);
        }
        for slot in overdue {
            let how = Err(self.connections[slot].overdue(&self.limits));
            self.close(slot, &how);
        }
        if self.stop_at.is_some_and(|stopped| now >= stopped + DRAIN_MAX) {
            for slot in self.connections.iter().map(|(slot, _)| slot).collect::<Vec<_>>() {
                self.close(slot, &Err(CloseReason::Stopping));
            }
        }
    }

    fn close(&mut self, slot: usize, how: &Result<(), CloseReason>) {
        let mut connection = self.connections.remove(slot);
        // Without this a client could not tell its end from a network that cut it off (RFC 8446, section 6.1).
        if !connection.socket.is_in_handshake() {
            let _ = connection.socket.send_close_notify();
        }
        // Closing the socket takes it out anyway.
        let _ = self.poll.registry().deregister(connection.socket.stream());
        self.log_end(&connection, how);
    }

    fn log_end(&self, connection: &Connection<P>, how: &Result<(), CloseReason>) {
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
