//! One thread of the door: waits for its sockets, and gives each connection that is ready a turn.
//!
//! Nothing here waits but for sockets, for the earliest deadline and for what others send to the [`Inbox`]. A
//! question about places that takes time waits on the runtime, and its answer comes back as a [`Parcel`].
//!
//! Events are edges: a socket says once that it is ready, the connection notes it, and stays on the list of those
//! that want a turn until a read or write has shown that the socket has no more.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, Waker};
use parking_lot::Mutex;
use slab::Slab;

use super::{
    Threads, batch,
    connection::{Closed, Connection, Next, Scratch},
};
use crate::{
    config::Limits,
    health::Pulse,
    herd::Herd,
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
const SWEEP_INTERVAL_MIN: Duration = Duration::from_millis(10);
/// Connections that have not ended so long after the stop are cut off.
const DRAIN_MAX: Duration = Duration::from_secs(3);

/// What is sent to a reactor from other threads.
pub(super) enum Parcel {
    /// A connection that is to be served here.
    Connection(Box<Connection>),
    /// The rest of a reply that the places had to be asked for; `None` if it got lost.
    Reply { at: usize, serial: u64, reply: Option<Vec<u8>> },
    /// Serve what has come, then end.
    Stop,
}

/// Where other threads leave things for a reactor.
pub(super) struct Inbox {
    /// `None` once the reactor has ended.
    parcels: Mutex<Option<Vec<Parcel>>>,
    waker: Waker,
}

impl Inbox {
    /// Leaves a parcel; it comes back if the reactor has ended.
    pub(super) fn send(&self, parcel: Parcel) -> Result<(), Parcel> {
        let mut held = self.parcels.lock();
        let Some(parcels) = &mut *held else { return Err(parcel) };
        parcels.push(parcel);
        let is_first = parcels.len() == 1;
        drop(held);
        // Whoever left the first parcel has woken the reactor for all.
        if is_first {
            self.waker.wake().expect("an event descriptor takes a wake-up at any time");
        }
        Ok(())
    }

    fn take(&self) -> Vec<Parcel> {
        self.parcels.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes nothing more, unless something has come already. Says whether it is closed.
    fn close_if_empty(&self) -> bool {
        let mut held = self.parcels.lock();
        if held.as_ref().is_none_or(Vec::is_empty) {
            *held = None;
        }
        held.is_none()
    }
}

/// The thread's state.
pub(super) struct Reactor {
    herd: Arc<Herd>,
    limits: Limits,
    poll: Poll,
    inbox: Arc<Inbox>,
    connections: Slab<Box<Connection>>,
    /// Those that want a turn, each once.
    ready: Vec<usize>,
    scratch: Scratch,
    /// Counts the connections served here, so that a late reply is not taken for a newer connection's.
    serial: u64,
    sweep_at: Instant,
    stop_at: Option<Instant>,
    pulse: Arc<Pulse>,
}

impl Reactor {
    pub(super) fn new(name: &str, herd: &Arc<Herd>, limits: &Limits) -> io::Result<Reactor> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), INBOX)?;
        Ok(Reactor {
            herd: Arc::clone(herd),
            limits: limits.clone(),
            poll,
            inbox: Arc::new(Inbox { parcels: Mutex::new(Some(Vec::new())), waker }),
            connections: Slab::new(),
            ready: Vec::new(),
            scratch: Scratch::default(),
            serial: 0,
            sweep_at: Instant::now(),
            stop_at: None,
            pulse: herd.health().pulse(format!("thread {name}")),
        })
    }

    pub(super) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// Serves connections until [`Parcel::Stop`], and until those that it has are done.
    pub(super) fn run(mut self, threads: &Threads) {
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
            connection.note(event.is_readable(), event.is_read_closed());
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
                Parcel::Reply { at, serial, reply } => self.take_reply(at, serial, reply, now),
                Parcel::Stop => self.stop(now),
            }
        }
    }

    fn take_in(&mut self, mut connection: Box<Connection>, now: Instant) {
        self.serial += 1;
        connection.begin(self.serial, now);
        let entry = self.connections.vacant_entry();
        let at = entry.key();
        let interests = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(connection.stream(), Token(at), interests) {
            self.log_end(&connection, &Err(Closed::Broken(error)));
            return;
        }
        self.sweep_at = self.sweep_at.min(now + SWEEP_INTERVAL_MAX);
        let wants_turn = connection.wants_turn() || self.stop_at.is_some();
        entry.insert(connection);
        if wants_turn {
            self.queue(at);
        }
    }

    fn take_reply(&mut self, at: usize, serial: u64, reply: Option<Vec<u8>>, now: Instant) {
        let Some(connection) = self.connections.get_mut(at).filter(|held| held.serial() == serial) else {
            return;
        };
        match reply {
            Some(reply) => {
                connection.take_reply(&self.herd, &reply, now);
                self.queue(at);
            }
            None => {
                let lost = io::Error::other("the answer about places got lost");
                self.close(at, &Err(Closed::Broken(lost)));
            }
        }
    }

    /// From here on every connection is closed when what has come is answered.
    fn stop(&mut self, now: Instant) {
        self.stop_at = Some(now);
        self.sweep_at = now;
        for at in self.connections.iter().map(|(at, _)| at).collect::<Vec<_>>() {
            self.connections[at].note(true, false);
            self.queue(at);
        }
    }

    fn give_turn(&mut self, at: usize, now: Instant, threads: &Threads) {
        let Some(connection) = self.connections.get_mut(at) else { return };
        connection.is_queued = false;
        let (herd, scratch) = (&*self.herd, &mut self.scratch);
        // A fault of ours in one client's lines must not end the others that share the thread.
        let turn = catch_unwind(AssertUnwindSafe(|| connection.turn(herd, scratch, now)));
        let next = turn.unwrap_or_else(|_| {
            Next::Close(Err(Closed::Broken(io::Error::other("this server failed at one of its lines"))))
        });
        match next {
            Next::Wait => {}
            Next::Again => self.queue(at),
            Next::Ask(question, limit) => self.ask(at, *question, limit),
            Next::Close(how) => return self.close(at, &how),
        }
        if let Some(until) = self.connections[at].paced_until() {
            self.sweep_at = self.sweep_at.min(until.max(now + SWEEP_INTERVAL_MIN));
        }
        if self.connections[at].is_to_move() {
            self.move_away(at, now, threads);
        }
    }

    /// Sends a connection that brings many lines at once to the thread whose turn it is, which may be this.
    fn move_away(&mut self, at: usize, now: Instant, threads: &Threads) {
        self.connections[at].has_moved = true;
        let target = threads.for_busy();
        if Arc::ptr_eq(target, &self.inbox) || self.stop_at.is_some() {
            return;
        }
        if self.poll.registry().deregister(self.connections[at].stream()).is_ok() {
            let mut connection = self.connections.remove(at);
            connection.is_queued = false;
            if let Err(Parcel::Connection(connection)) = target.send(Parcel::Connection(connection)) {
                self.take_in(connection, now);
            }
        }
    }

    fn ask(&self, at: usize, question: Question, limit: u8) {
        let serial = self.connections[at].serial();
        let pending = Pending { inbox: Arc::clone(&self.inbox), at, serial, reply: None };
        question.then(move |answered| {
            let mut reply = Vec::new();
            batch::write_places(&mut reply, &answered, limit);
            pending.end(reply);
        });
    }

    /// Closes those whose time is up, and finds out when the next one's is.
    fn sweep(&mut self, now: Instant) {
        let (limits, mut next) = (&self.limits, now + SWEEP_INTERVAL_MAX);
        let (mut overdue, mut resumed) = (Vec::new(), Vec::new());
        for (at, connection) in &self.connections {
            match connection.paced_until() {
                Some(until) if until <= now => resumed.push(at),
                Some(until) => next = next.min(until),
                None => {}
            }
            match connection.deadline(limits) {
                Some(deadline) if deadline <= now => overdue.push(at),
                Some(deadline) => next = next.min(deadline),
                None => {}
            }
        }
        self.sweep_at = next.max(now + SWEEP_INTERVAL_MIN);
        for at in resumed {
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
        // Closing the socket takes it out anyway.
        let _ = self.poll.registry().deregister(connection.stream());
        self.log_end(&connection, how);
    }

    fn log_end(&self, connection: &Connection, how: &Result<(), Closed>) {
        let subject = Subject::Client(connection.client());
        match how {
            Ok(()) => self.herd.log().event(LogLevel::Debug, subject, format_args!("closed")),
            Err(closed) => {
                let level = if closed.is_fault() { LogLevel::Warn } else { LogLevel::Debug };
                self.herd.log().event(level, subject, format_args!("closed: {closed}"));
            }
        }
    }
}

impl Drop for Reactor {
    /// However it ends, nothing is sent here that nobody would take.
    fn drop(&mut self) {
        self.inbox.parcels.lock().take();
    }
}

/// A question on its way. However it ends, the connection hears of it.
struct Pending {
    inbox: Arc<Inbox>,
    at: usize,
    serial: u64,
    reply: Option<Vec<u8>>,
}

impl Pending {
    fn end(mut self, reply: Vec<u8>) {
        self.reply = Some(reply);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // A reactor that has ended has closed the connection.
        let _ = self.inbox.send(Parcel::Reply { at: self.at, serial: self.serial, reply: self.reply.take() });
    }
}
