//! Sends the reports of the town's clients over the line protocol, at a given rate, and checks the replies.
//!
//! The clients share a few connections. A client always uses the same connection, so its reports arrive in order. The
//! thread that polls the readers also polls these connections.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::{Interest, Poll, Token, net::TcpStream};

use super::town::{BOXES_OF_A_POSITION, Town};
use crate::load::{Clock, Dialect, ReplyChecker, client_name};

/// Number of connections that the clients share.
pub(super) const CONNECTIONS: usize = 50;
/// The token of the first connection. Tokens below this are the readers'.
pub(super) const FIRST_TOKEN: usize = 1 << 32;
/// Length of the buffer into which replies are read, bytes.
const READ_BUFFER_LEN: usize = 64 * 1024;

/// The connections of the clients.
pub(super) struct Reporters {
    connections: Vec<Connection>,
    clock: Clock,
    /// The client that reports next.
    next: u32,
    buffer: Vec<u8>,
    pub(super) sent: Sent,
}

/// What was reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) reports: u64,
    pub(super) answered: u64,
    /// Number of `location` events that these reports cause if none is conflated.
    pub(super) locations: u64,
    /// The same of `left` events.
    pub(super) left: u64,
}

struct Connection {
    stream: TcpStream,
    /// Lines that the socket has not accepted yet.
    unsent: Vec<u8>,
    replies: ReplyChecker,
}

impl Reporters {
    pub(super) fn connect(address: SocketAddr, poll: &Poll, clock: Clock) -> Result<Reporters> {
        let connect = |number| {
            let stream = std::net::TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(FIRST_TOKEN + number), interest)?;
            Ok(Connection { stream, unsent: Vec::new(), replies: ReplyChecker::new(Dialect::Herd) })
        };
        let connections = (0..CONNECTIONS).map(connect).collect::<std::io::Result<_>>();
        let connections = connections.with_context(|| format!("cannot connect to {address}"))?;
        Ok(Reporters { connections, clock, next: 0, buffer: vec![0; READ_BUFFER_LEN], sent: Sent::default() })
    }

    /// Reports the next position of the next client.
    pub(super) fn report(&mut self, town: &mut Town) -> Result<()> {
        let client = self.next;
        self.next = (client + 1) % town.clients();
        let unix_ns = self.clock.unix_ns(Instant::now());
        let found = town.step(client, unix_ns);
        let (seconds, decimals) = (unix_ns / 1_000_000_000, unix_ns % 1_000_000_000);
        let connection = &mut self.connections[client as usize % CONNECTIONS];
        // Writing into a vector does not fail.
        let _ = writeln!(
            connection.unsent,
            "IAMAT {} {} {seconds}.{decimals:09}",
            client_name(found.client),
            found.coordinates
        );
        self.sent.reports += 1;
        self.sent.locations += BOXES_OF_A_POSITION;
        self.sent.left += found.left;
        connection.flush()
    }

    /// Handles an event of the socket with this token.
    pub(super) fn take(&mut self, token: Token, is_closed: bool) -> Result<()> {
        let connection = &mut self.connections[token.0 - FIRST_TOKEN];
        connection.flush()?;
        loop {
            match connection.stream.read(&mut self.buffer) {
                Ok(0) => bail!("the server closed a connection of clients that report"),
                Ok(len) => {
                    let ended =
                        connection.replies.take(&self.buffer[..len]).context("the server is wrong")?;
                    self.sent.answered += ended as u64;
                    if len < self.buffer.len() && !is_closed {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot read replies"),
            }
        }
    }
}

impl Connection {
    fn flush(&mut self) -> Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(len) => drop(self.unsent.drain(..len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot send reports"),
            }
        }
        Ok(())
    }
}

/// When reports are due. A sender that is late catches up, but by no more than [`Pace::LATE_MAX`].
pub(super) struct Pace {
    interval: Duration,
    due: Instant,
}

impl Pace {
    const LATE_MAX: Duration = Duration::from_millis(100);

    pub(super) fn new(per_second: u32, now: Instant) -> Pace {
        Pace { interval: Duration::from_secs(1) / per_second, due: now }
    }

    /// Whether a report is due.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if now < self.due {
            return false;
        }
        let earliest = now.checked_sub(Pace::LATE_MAX).unwrap_or(self.due);
        self.due = self.due.max(earliest) + self.interval;
        true
    }

    /// The time until the next report is due.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        self.due.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_due_at_the_rate_and_late_ones_are_skipped() {
        let start = Instant::now();
        let mut pace = Pace::new(1000, start);
        let mut due = |after_ms| {
            let now = start + Duration::from_millis(after_ms);
            std::iter::from_fn(|| pace.is_due(now).then_some(())).count()
        };
        assert_eq!([due(0), due(1), due(1), due(11), due(10_000)], [1, 1, 0, 10, 101]);
    }
}
