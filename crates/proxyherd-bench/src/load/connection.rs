//! One connection of the generator. The connection sends a burst in one write. The burst is over when all its replies
//! have arrived.
//!
//! The event loop calls the connection when the socket's state has changed (edge-triggered). One read is then enough if
//! it does not fill the buffer, because such a read has emptied the socket. The exception is a socket that the server
//! has closed: one more read returns the end of the stream.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;

use super::SAMPLE_EVERY;
use super::bursts::{BurstRing, ClientReport};
use super::replies::{Dialect, ReplyChecker};

pub(super) struct Connection {
    pub(super) stream: TcpStream,
    address: SocketAddr,
    dialect: Dialect,
    lines: BurstRing,
    /// The range of the outstanding burst.
    burst: Range<usize>,
    /// The part of the outstanding burst that the socket has not accepted yet.
    unsent: Range<usize>,
    sent_at: Instant,
    bursts: u64,
    replies: ReplyChecker,
    /// Number of replies that have not arrived.
    outstanding: usize,
    /// The replies to the burst so far, if all bytes of these replies will be checked.
    sample: Vec<u8>,
    sampled_bursts: u64,
}

impl Connection {
    pub(super) fn open(address: SocketAddr, dialect: Dialect, lines: BurstRing) -> Result<Connection> {
        let stream = connect(address).with_context(|| format!("cannot connect to {address}"))?;
        Ok(Connection {
            stream,
            address,
            dialect,
            lines,
            burst: 0..0,
            unsent: 0..0,
            sent_at: Instant::now(),
            bursts: 0,
            replies: ReplyChecker::new(dialect),
            outstanding: 0,
            sample: Vec::new(),
            sampled_bursts: 0,
        })
    }

    /// The time at which the last burst was sent.
    pub(super) fn sent_at(&self) -> Instant {
        self.sent_at
    }

    /// The last report of each client of this connection.
    pub(super) fn last_reports(&self) -> Vec<ClientReport> {
        self.lines.last_reports()
    }

    /// Number of bursts whose replies were checked to the last byte.
    pub(super) fn sampled_bursts(&self) -> u64 {
        self.sampled_bursts
    }

    /// Sends the next burst, with the timestamp `unix_ns`. The previous burst must be over.
    pub(super) fn send(&mut self, now: Instant, unix_ns: u64) -> Result<()> {
        assert_eq!(self.outstanding, 0, "a burst is sent when the last one is over");
        self.burst = self.lines.renew(unix_ns);
        self.unsent = self.burst.clone();
        self.outstanding = self.lines.lines_in(&self.burst);
        self.sent_at = now;
        self.bursts += 1;
        self.flush()
    }

    /// Writes as much of the burst as the socket accepts. The rest follows when the socket is writable again.
    pub(super) fn flush(&mut self) -> Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(self.lines.text(self.unsent.clone())) {
                Ok(taken) => self.unsent.start += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).with_context(|| format!("cannot send to {}", self.address)),
            }
        }
        Ok(())
    }

    /// Reads what has arrived. Returns whether the burst is over. `closed` is true if the server has closed its end.
    pub(super) fn receive(&mut self, buffer: &mut [u8], closed: bool) -> Result<bool> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => {
                    bail!(
                        "{} closed a connection with {} replies outstanding",
                        self.address,
                        self.outstanding
                    )
                }
                Ok(len) => {
                    let over = self.take(&buffer[..len])?;
                    if over || (len < buffer.len() && !closed) {
                        return Ok(over);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read from {}", self.address));
                }
            }
        }
    }

    fn take(&mut self, piece: &[u8]) -> Result<bool> {
        let ended = self.replies.take(piece).with_context(|| format!("{} is wrong", self.address))?;
        let Some(outstanding) = self.outstanding.checked_sub(ended) else {
            bail!("{} sent more replies than it had lines", self.address);
        };
        self.outstanding = outstanding;
        if self.is_sampled() {
            self.sample.extend_from_slice(piece);
        }
        let over = outstanding == 0 && ended > 0;
        if over && self.is_sampled() {
            self.check_sample()?;
        }
        Ok(over)
    }

    fn is_sampled(&self) -> bool {
        (self.bursts - 1).is_multiple_of(SAMPLE_EVERY)
    }

    fn check_sample(&mut self) -> Result<()> {
        self.dialect
            .check_burst(self.lines.text(self.burst.clone()), &self.sample)
            .with_context(|| format!("{} is wrong", self.address))?;
        self.sample.clear();
        self.sampled_bursts += 1;
        Ok(())
    }
}

/// Opens a connection. Connecting may block. Afterward the socket does not block.
pub(super) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = std::net::TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream))
}
