//! Clients that roam, at a given rate: each connection sends its bursts when they are due, lives for some seconds, and
//! is then opened anew at another server.
//!
//! A burst's time counts from when it was due, so that a server which falls behind cannot hide it. Every so many lives
//! of a connection it asks WHATSAT instead of reporting. Answers are checked as those of any other load.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::{Events, Interest, Poll, Token};

use super::connection::Connection;
use super::lines::Lines;
use super::replies::Dialect;
use super::{Clock, LOS_ANGELES, READ_BUFFER_LEN, SILENCE_MAX};
use crate::stats::Histogram;

/// One life of a connection in so many is spent on questions.
const LIVES_PER_QUESTIONER: u64 = 10;

/// Who roams where, and how much is sent.
pub(crate) struct Roaming {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) connections: u32,
    pub(crate) clients: u32,
    pub(crate) depth: u32,
    /// Lines in a second, of all connections together.
    pub(crate) lines_per_second: f64,
    /// How long a connection lives.
    pub(crate) life: Duration,
    pub(crate) duration: Duration,
}

impl Roaming {
    /// How long after a connection's burst its next one is due.
    fn interval(&self) -> Duration {
        let per_burst = f64::from(self.connections) * f64::from(self.depth);
        Duration::from_secs_f64(per_burst / self.lines_per_second)
    }
}

/// What has been answered so far; whoever watches takes the latencies away.
pub(crate) struct Tally {
    pub(crate) lines: u64,
    pub(crate) lives: u64,
    pub(crate) latency: Histogram,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally { lines: 0, lives: 0, latency: Histogram::new() }
    }
}

/// Roams for as long as it says, and counts in `tally`. Fails at the first wrong answer.
pub(crate) fn run(roaming: &Roaming, tally: &Mutex<Tally>) -> Result<()> {
    let mut poll = Poll::new().context("cannot create an epoll instance")?;
    let (clock, start) = (Clock::started()?, Instant::now());
    let (end, interval) = (start + roaming.duration, roaming.interval());
    let mut walkers = Vec::new();
    for number in 0..roaming.connections {
        let share = f64::from(number) / f64::from(roaming.connections);
        let mut walker = Walker {
            number,
            lives: 0,
            connection: None,
            is_busy: false,
            due: start + interval.mul_f64(share),
            leaves: start + roaming.life.mul_f64(share),
        };
        walker.arrive(roaming, &poll)?;
        walkers.push(walker);
    }
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; READ_BUFFER_LEN];
    let mut heard = start;
    loop {
        let now = Instant::now();
        for walker in walkers.iter_mut().filter(|walker| !walker.is_busy && walker.due <= now && now < end) {
            walker.go_on(now, roaming, &poll)?;
            walker.send(now, clock)?;
        }
        let is_busy = walkers.iter().any(|walker| walker.is_busy);
        if now >= end && !is_busy {
            return Ok(());
        }
        if is_busy && heard.elapsed() > SILENCE_MAX {
            bail!("no server answered anything for {SILENCE_MAX:?}");
        }
        let next = walkers.iter().filter(|walker| !walker.is_busy).map(|walker| walker.due).min();
        let pause = next.filter(|_| now < end).map_or(interval, |due| due.saturating_duration_since(now));
        match poll.poll(&mut events, Some(pause.min(SILENCE_MAX))) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                return Err(error).context("cannot wait for the connections");
            }
            Err(_) => events.clear(),
            Ok(()) => {}
        }
        for event in &events {
            let walker = &mut walkers[event.token().0];
            if walker.take(event, &mut buffer)? {
                heard = Instant::now();
                let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                tally.lines += u64::from(roaming.depth);
                tally.lives = tally.lives.max(walker.lives);
                tally.latency.record(heard - walker.due);
                walker.due = next_due(walker.due, interval, heard);
            }
        }
    }
}

/// When the burst after the one that was due at `due` is: what was missed is not made up for.
fn next_due(due: Instant, interval: Duration, now: Instant) -> Instant {
    (due + interval).max(now.checked_sub(interval).unwrap_or(due))
}

/// One of the connections, life after life.
struct Walker {
    number: u32,
    lives: u64,
    connection: Option<Connection>,
    /// Whether a burst is outstanding.
    is_busy: bool,
    due: Instant,
    leaves: Instant,
}

impl Walker {
    /// Moves to the next server when it is time to.
    fn go_on(&mut self, now: Instant, roaming: &Roaming, poll: &Poll) -> Result<()> {
        if now < self.leaves {
            return Ok(());
        }
        self.leaves = now + roaming.life;
        self.arrive(roaming, poll)
    }

    fn arrive(&mut self, roaming: &Roaming, poll: &Poll) -> Result<()> {
        self.connection = None;
        self.lives += 1;
        let turn = u64::from(self.number) + self.lives;
        let address = roaming.addresses[(turn % roaming.addresses.len() as u64) as usize];
        let asks = turn.is_multiple_of(LIVES_PER_QUESTIONER);
        let dialect = if asks { Dialect::Nearby } else { Dialect::Herd };
        let clients = roaming.clients / roaming.connections;
        let lines = Lines::new(dialect.line(), LOS_ANGELES, self.number * clients, clients, roaming.depth);
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

    /// Whether the burst is over.
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
    fn bursts_are_due_as_often_as_the_rate_asks() {
        let roaming = Roaming {
            addresses: Vec::new(),
            connections: 50,
            clients: 10_000,
            depth: 16,
            lines_per_second: 8000.0,
            life: Duration::from_secs(3),
            duration: Duration::from_secs(1),
        };
        assert_eq!(roaming.interval(), Duration::from_millis(100));
    }

    #[test]
    fn who_is_late_catches_up_by_one_burst_and_no_more() {
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
