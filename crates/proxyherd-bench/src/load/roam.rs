//! Clients that roam between servers, at a given rate. Each connection sends a burst whenever a burst is due. After
//! some seconds the connection reconnects to another server.
//!
//! The latency of a burst counts from the time at which the burst was due, so that the delay of a slow server is
//! visible. After one in [`RECONNECTS_PER_QUESTIONS`] reconnects, a connection sends questions (WHATSAT) and no
//! reports. Replies are checked as in any other load.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::{Events, Interest, Poll, Token};

use super::bursts::BurstRing;
use super::connection::Connection;
use super::replies::Dialect;
use super::{Clock, LOS_ANGELES, READ_BUFFER_LEN, SILENCE_MAX};
use crate::stats::Histogram;

/// After one in this many reconnects, a connection sends questions.
const RECONNECTS_PER_QUESTIONS: u64 = 10;

/// The clients, their servers, and the rate at which the clients send.
pub(crate) struct RoamPlan {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) connections: u32,
    pub(crate) clients: u32,
    pub(crate) depth: u32,
    /// Lines per second of all connections together.
    pub(crate) lines_per_second: f64,
    /// After this time a connection reconnects to the next server.
    pub(crate) stay: Duration,
    pub(crate) duration: Duration,
}

impl RoamPlan {
    /// The time between two bursts of a connection.
    fn interval(&self) -> Duration {
        let per_burst = f64::from(self.connections) * f64::from(self.depth);
        Duration::from_secs_f64(per_burst / self.lines_per_second)
    }
}

/// The counts of answered lines so far. A monitor may take the latencies out while the run continues.
pub(crate) struct RoamCounts {
    pub(crate) lines: u64,
    pub(crate) latency: Histogram,
}

impl RoamCounts {
    pub(crate) fn new() -> RoamCounts {
        RoamCounts { lines: 0, latency: Histogram::new() }
    }
}

/// Roams for `plan.duration` and counts in `counts`. Fails at the first wrong reply.
pub(crate) fn run(plan: &RoamPlan, counts: &Mutex<RoamCounts>) -> Result<()> {
    let mut poll = Poll::new().context("cannot create an epoll instance")?;
    let clock = Clock::started()?;
    let mut connections = Vec::new();
    for number in 0..plan.connections {
        let mut connection = RoamingConnection::new(number);
        connection.reconnect(plan, &poll)?;
        connections.push(connection);
    }
    // Opening them takes a while, for which no server is to blame: each makes the lines of its clients.
    let start = Instant::now();
    let (end, interval) = (start + plan.duration, plan.interval());
    for connection in &mut connections {
        let share = f64::from(connection.number) / f64::from(plan.connections);
        connection.due = start + interval.mul_f64(share);
        connection.reconnects_at = start + plan.stay.mul_f64(share);
    }
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; READ_BUFFER_LEN];
    let mut last_reply = start;
    loop {
        let now = Instant::now();
        for connection in connections
            .iter_mut()
            .filter(|connection| !connection.is_busy && connection.due <= now && now < end)
        {
            connection.reconnect_if_due(now, plan, &poll)?;
            connection.send(now, clock)?;
        }
        let is_busy = connections.iter().any(|connection| connection.is_busy);
        if now >= end && !is_busy {
            return Ok(());
        }
        if is_busy && last_reply.elapsed() > SILENCE_MAX {
            bail!("no server answered anything for {SILENCE_MAX:?}");
        }
        let next = connections
            .iter()
            .filter(|connection| !connection.is_busy)
            .map(|connection| connection.due)
            .min();
        let pause = next.filter(|_| now < end).map_or(interval, |due| due.saturating_duration_since(now));
        match poll.poll(&mut events, Some(pause.min(SILENCE_MAX))) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                return Err(error).context("cannot wait for the connections");
            }
            Err(_) => events.clear(),
            Ok(()) => {}
        }
        for event in &events {
            let connection = &mut connections[event.token().0];
            if connection.take(event, &mut buffer)? {
                last_reply = Instant::now();
                let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
                counts.lines += u64::from(plan.depth);
                counts.latency.record(last_reply - connection.due);
                connection.due = next_due(connection.due, interval, last_reply);
            }
        }
    }
}

/// The time at which the next burst is due, after the burst that was due at `due`. A late connection skips all missed
/// bursts except for one.
fn next_due(due: Instant, interval: Duration, now: Instant) -> Instant {
    (due + interval).max(now.checked_sub(interval).unwrap_or(due))
}

/// A connection that roams.
struct RoamingConnection {
    number: u32,
    /// Number of times that it has connected.
    connects: u64,
    connection: Option<Connection>,
    /// Whether a burst is outstanding.
    is_busy: bool,
    due: Instant,
    reconnects_at: Instant,
}

impl RoamingConnection {
    /// A connection that is not open. Its times have to be set.
    fn new(number: u32) -> RoamingConnection {
        let now = Instant::now();
        RoamingConnection {
            number,
            connects: 0,
            connection: None,
            is_busy: false,
            due: now,
            reconnects_at: now,
        }
    }

    /// Reconnects to the next server if the connection's time at this server is over.
    fn reconnect_if_due(&mut self, now: Instant, plan: &RoamPlan, poll: &Poll) -> Result<()> {
        if now < self.reconnects_at {
            return Ok(());
        }
        self.reconnects_at = now + plan.stay;
        self.reconnect(plan, poll)
    }

    fn reconnect(&mut self, plan: &RoamPlan, poll: &Poll) -> Result<()> {
        self.connection = None;
        self.connects += 1;
        let turn = u64::from(self.number) + self.connects;
        let address = plan.addresses[(turn % plan.addresses.len() as u64) as usize];
        let asks = turn.is_multiple_of(RECONNECTS_PER_QUESTIONS);
        let dialect = if asks { Dialect::Nearby } else { Dialect::Herd };
        let clients = plan.clients / plan.connections;
        let lines = BurstRing::new(dialect.line(), LOS_ANGELES, self.number * clients, clients, plan.depth);
        let connection = self.connection.insert(Connection::open(address, dialect, lines)?);
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(&mut connection.stream, Token(self.number as usize), interest)
            .context("cannot watch a connection")
    }

    fn send(&mut self, now: Instant, clock: Clock) -> Result<()> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        self.is_busy = true;
        connection.send(now, clock.unix_ns(now))
    }

    /// Handles an event of the socket. Returns whether the burst is over.
    fn take(&mut self, event: &mio::event::Event, buffer: &mut [u8]) -> Result<bool> {
        let Some(connection) = self.connection.as_mut().filter(|_| self.is_busy) else { return Ok(false) };
        if event.is_writable() {
            connection.flush()?;
        }
        let is_over = connection.receive(buffer, event.is_read_closed())?;
        self.is_busy = !is_over;
        Ok(is_over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_sets_the_interval_of_bursts() {
        let plan = RoamPlan {
            addresses: Vec::new(),
            connections: 50,
            clients: 10_000,
            depth: 16,
            lines_per_second: 8000.0,
            stay: Duration::from_secs(3),
            duration: Duration::from_secs(1),
        };
        assert_eq!(plan.interval(), Duration::from_millis(100));
    }

    #[test]
    fn a_late_connection_catches_up_by_one_burst() {
        let (due, interval) = (Instant::now(), Duration::from_millis(100));
        let check = |late_ms, next_ms| {
            let next = next_due(due, interval, due + Duration::from_millis(late_ms));
            assert_eq!(next, due + Duration::from_millis(next_ms), "{late_ms} ms late");
        };
        check(0, 100);
        check(150, 100);
        check(200, 100);
        check(5000, 4900);
    }
}
