//! One thread of a door. The thread waits for its sockets, and gives a turn to each connection that is ready.
//!
//! The thread waits in one place only ([`Reactor::run`]): for sockets, for the earliest deadline, and for messages in
//! its [`Inbox`]. A query about places waits on tokio's runtime. Its answer comes back as an [`InboxMessage`].
//!
//! Events are edge-triggered: the system reports only once that a socket is ready. The connection remembers this, and
//! requests turns until a read or a write would block.
//!
//! This module does not know what connections do in their turns.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token};
use proxyherd_config::config::Limits;
use proxyherd_log::{LogLevel, Subject};
use slab::Slab;
use tokio_util::sync::CancellationToken;

use super::{
    Threads,
    close_reason::CloseReason,
    connection::Connection,
    inbox::{Inbox, InboxMessage, PendingDurable, PendingQuestion},
    protocol::Protocol,
    turn::{Scratch, TurnContext, TurnOutcome},
};
use crate::{
    door::entrance::HandshakeFailed,
    herd::{Herd, Notice, Positions},
    liveness::Pulse,
    places::Question,
};

/// Maximum number of events that the thread takes from the system at once. Further events wait for the next round.
const EVENTS_MAX: usize = 256;
/// The token of the inbox. The token of a connection is its slot in the slab.
const INBOX: Token = Token(usize::MAX);
/// Maximum time between two sweeps. A sweep checks the deadlines of all connections. Limits are whole seconds.
const SWEEP_INTERVAL_MAX: Duration = Duration::from_secs(1);
/// Minimum time between two sweeps. A sweep has a small cost for each connection.
pub(super) const SWEEP_INTERVAL_MIN: Duration = Duration::from_millis(10);
/// Time after the stop at which the thread closes the connections that have not ended yet.
const DRAIN_MAX: Duration = Duration::from_secs(3);
/// Maximum number of TLS handshakes in progress on one thread. One more handshake closes the connection with the oldest
/// handshake. A client's handshake ends after a round trip. A stranger's handshake may last until its timeout.
const HANDSHAKES_MAX: usize = if cfg!(test) { 16 } else { 1024 };

/// One thread's state.
pub(super) struct Reactor<P: Protocol> {
    herd: Arc<Herd>,
    limits: Limits,
    poll: Poll,
    inbox: Arc<Inbox<P>>,
    connections: Slab<Box<Connection<P>>>,
    /// The slots of connections that want a turn.
    ready: Vec<usize>,
    scratch: Scratch,
    /// The slots and serials of connections that began with a handshake, the oldest first. Some of these handshakes may
    /// be over.
    handshakes: VecDeque<(usize, u64)>,
    /// The serial of the newest connection. Messages name a connection by slot and serial, so a late message never
    /// reaches a newer connection in the same slot.
    serial: u64,
    sweep_at: Instant,
    stopped_at: Option<Instant>,
    /// Canceled when the server is killed.
    killed: CancellationToken,
    pulse: Arc<Pulse>,
}

impl<P: Protocol> Reactor<P> {
    /// A thread that is not started yet. If `killed` is canceled before its stop, the stop closes each connection at
    /// once.
    pub(super) fn new(
        name: &str,
        herd: &Arc<Herd>,
        limits: &Limits,
        killed: &CancellationToken,
    ) -> io::Result<Reactor<P>> {
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
            stopped_at: None,
            killed: killed.clone(),
            pulse: herd.liveness().pulse(format!("thread {name}")),
        })
    }

    pub(super) fn inbox(&self) -> &Arc<Inbox<P>> {
        &self.inbox
    }

    /// Serves connections until [`InboxMessage::Stop`] has come and all of them have ended.
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
        self.stopped_at.is_some() && self.connections.is_empty() && self.inbox.close_if_empty()
    }

    /// Maximum time to wait for events. Zero if a connection wants a turn.
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
            connection.socket.note(event);
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
                        self.close(
                            slot,
                            &Err(CloseReason::Failed("this server lost an answer about places")),
                        );
                    }
                }
                InboxMessage::Durable { slot, serial, is_durable: true } => {
                    self.tell(slot, serial, |connection, herd| connection.take_durable(herd, now));
                }
                InboxMessage::Durable { slot, serial, is_durable: false } => {
                    // A connection that has lost its patience may still be there, and may wait for other reports.
                    let is_waiting = self.connections.get(slot).is_some_and(|held| held.awaits_durable());
                    if is_waiting && self.tell(slot, serial, |_, _| {}) {
                        self.close(slot, &Err(CloseReason::NeverDurable));
                    }
                }
                InboxMessage::Rung { slot, serial } => {
                    self.tell(slot, serial, |connection, _| connection.is_rung = true);
                }
                InboxMessage::Stop => self.stop(now),
            }
        }
    }

    /// Passes a message to a connection and queues the connection for a turn. Returns whether the connection still
    /// exists.
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
        if self.killed.is_cancelled() {
            return;
        }
        if self.stopped_at.is_some() {
            // The turn finds nothing to read. It then closes the connection because this server is stopping.
            connection.socket.expect_input();
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

    /// Records a new handshake. If too many handshakes are in progress, the connection with the oldest one is closed.
    fn bound_handshakes(&mut self, slot: usize) {
        self.handshakes.push_back((slot, self.serial));
        if self.handshakes.len() <= HANDSHAKES_MAX {
            return;
        }
        let connections = &self.connections;
        let is_in_handshake = |&(slot, serial): &(usize, u64)| {
            connections.get(slot).is_some_and(|held| held.serial == serial && held.is_in_handshake())
        };
        self.handshakes.retain(is_in_handshake);
        if self.handshakes.len() > HANDSHAKES_MAX
            && let Some((oldest, _)) = self.handshakes.pop_front()
        {
            self.close(oldest, &Err(CloseReason::Handshake(HandshakeFailed::Crowded)));
        }
    }

    /// Begins the stop. Each connection answers the input that has already arrived, and is then closed.
    fn stop(&mut self, now: Instant) {
        self.stopped_at = Some(now);
        self.sweep_at = now;
        if self.killed.is_cancelled() {
            return self.drop_all();
        }
        for slot in self.connections.iter().map(|(slot, _)| slot).collect::<Vec<_>>() {
            self.connections[slot].socket.expect_input();
            self.queue(slot);
        }
    }

    /// Ends all connections without a word, as the system does when a process is killed.
    fn drop_all(&mut self) {
        self.ready.clear();
        for connection in self.connections.drain() {
            self.herd.log().event(
                LogLevel::Debug,
                Subject::Client(connection.caller.address),
                format_args!("closed: this server was killed"),
            );
        }
    }

    fn give_turn(&mut self, slot: usize, now: Instant, threads: &Threads<P>) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        connection.is_queued = false;
        let (context, scratch) =
            (TurnContext { herd: &self.herd, inbox: &self.inbox, slot, now }, &mut self.scratch);
        // If a client's input makes this server panic, the other connections of the thread must not end.
        let turn = catch_unwind(AssertUnwindSafe(|| connection.turn(&context, scratch)));
        let outcome = turn.unwrap_or_else(|_| {
            TurnOutcome::Close(Err(CloseReason::Failed("this server panicked at input that the client sent")))
        });
        match outcome {
            TurnOutcome::Wait => {}
            TurnOutcome::Again => self.queue(slot),
            TurnOutcome::AskPlaces(question) => self.ask(slot, *question),
            TurnOutcome::AwaitDurable(positions) => self.await_durable(slot, *positions, now),
            TurnOutcome::Close(end) => return self.close(slot, &end),
        }
        if let Some(wakes_at) = self.connections[slot].wakes_at() {
            self.sweep_at = self.sweep_at.min(wakes_at.max(now + SWEEP_INTERVAL_MIN));
        }
        if self.connections[slot].is_to_move() {
            self.move_away(slot, now, threads);
        }
    }

    /// Sends a busy connection to the next thread for busy connections. That thread may be this thread.
    fn move_away(&mut self, slot: usize, now: Instant, threads: &Threads<P>) {
        self.connections[slot].has_moved = true;
        let target = threads.for_busy();
        if Arc::ptr_eq(target, &self.inbox) || self.stopped_at.is_some() {
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
        let pending = PendingDurable::new(&self.inbox, slot, connection.serial);
        if let Some(until) = connection.deadline(&self.limits) {
            self.sweep_at = self.sweep_at.min(until.max(now + SWEEP_INTERVAL_MIN));
        }
        let notice = Notice::new(move || pending.end());
        let durability =
            self.herd.durability().expect("a connection waits only if the herd has a durability");
        durability.await_covered(positions, notice);
    }

    /// Closes connections whose deadline has passed, queues connections whose wake time has come, and computes the time
    /// of the next sweep.
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
            let end = Err(self.connections[slot].passed_limit(&self.limits));
            self.close(slot, &end);
        }
        if self.stopped_at.is_some_and(|stopped| now >= stopped + DRAIN_MAX) {
            for slot in self.connections.iter().map(|(slot, _)| slot).collect::<Vec<_>>() {
                self.close(slot, &Err(CloseReason::Stopping));
            }
        }
    }

    fn close(&mut self, slot: usize, end: &Result<(), CloseReason>) {
        let mut connection = self.connections.remove(slot);
        // Without close_notify the client could not distinguish an orderly end from a cut connection (RFC 8446, section
        // 6.1).
        if !connection.socket.is_in_handshake() {
            let _ = connection.socket.send_close_notify();
        }
        // If deregistering fails, closing the socket deregisters it.
        let _ = self.poll.registry().deregister(connection.socket.stream());
        self.log_end(&connection, end);
    }

    fn log_end(&self, connection: &Connection<P>, end: &Result<(), CloseReason>) {
        connection.count_end(end);
        let (log, subject) = (self.herd.log(), Subject::Client(connection.caller.address));
        match end {
            Ok(()) => log.event(LogLevel::Debug, subject, format_args!("closed")),
            Err(reason) => log.event(reason.level(), subject, format_args!("closed: {reason}")),
        }
    }
}

impl<P: Protocol> Drop for Reactor<P> {
    /// Closes the inbox, even after a panic. So nobody can leave a message that the thread would never take.
    fn drop(&mut self) {
        self.inbox.close();
    }
}
