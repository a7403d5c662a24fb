//! One connection of the generator: a burst goes out in one write, and is over when all its answers are in.
//!
//! The event loop tells it when the socket has changed. Edges are enough, because a read that did not fill the buffer
//! has emptied the socket, unless the server has closed it: the end of the stream is one read further on.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;

use super::SAMPLE_EVERY;
use super::lines::Lines;
use super::replies::{Dialect, Replies};

pub(super) struct Connection {
    pub(super) stream: TcpStream,
    address: SocketAddr,
    dialect: Dialect,
    lines: Lines,
    /// The burst that is outstanding, and the part of it that the socket has not taken yet.
    burst: Range<usize>,
    unsent: Range<usize>,
    sent_at: Instant,
    bursts: u64,
    replies: Replies,
    /// Answers still to come.
    outstanding: usize,
    /// The answers to the burst, as they come, if this is one for the close look.
    sample: Vec<u8>,
    sampled_bursts: u64,
}

impl Connection {
    pub(super) fn open(address: SocketAddr, dialect: Dialect, lines: Lines) -> Result<Connection> {
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
            replies: Replies::new(dialect),
            outstanding: 0,
            sample: Vec::new(),
            sampled_bursts: 0,
        })
    }

    /// When the burst that is outstanding, or was last, went out.
    pub(super) fn sent_at(&self) -> Instant {
        self.sent_at
    }

    /// How many bursts passed the close look.
    pub(super) fn sampled_bursts(&self) -> u64 {
        self.sampled_bursts
    }

    /// Sends the next burst, with timestamps of `unix_ns`. The last one must have been answered.
    pub(super) fn send(&mut self, now: Instant, unix_ns: u64) -> Result<()> {
        assert_eq!(self.outstanding, 0, "a burst is sent when the last one is over");
        self.burst = self.lines.renew(unix_ns);
        self.unsent = self.burst.clone();
        self.outstanding = self.burst.len() / super::LINE_LEN;
        self.sent_at = now;
        self.bursts += 1;
        self.flush()
    }

    /// Gives the socket as much of the burst as it takes. The rest follows when it is writable again.
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

    /// Takes what has arrived, and returns whether that was the rest of the burst's answers. `closed` says that the
    /// server will send nothing more.
    pub(super) fn receive(&mut self, buffer: &mut [u8], closed: bool) -> Result<bool> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => {
                    bail!("{} closed a connection with {} answers to come", self.address, self.outstanding)
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
            bail!("{} sent more answers than it was sent lines", self.address);
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

/// Connecting may wait; from then on nothing does.
fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = std::net::TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream))
}
