//! What a connection has to say: what the socket has not taken, and what may not leave yet.

use std::{io, time::Instant};

use super::socket::Socket;

/// Buffers that a connection owns for a while are given back when they are larger than this, bytes.
pub(super) const KEPT_LEN_MAX: usize = 4 * 1024;

#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// What the socket has not taken yet, and how many bytes of it it has.
    unsent: Vec<u8>,
    sent: usize,
    /// Since when something has been waiting for the client to take it.
    waiting_since: Option<Instant>,
    /// What may only leave once it is safe.
    withheld: Vec<u8>,
}

impl Outgoing {
    /// Whether there is nothing that the socket could be given.
    pub(super) fn is_empty(&self) -> bool {
        self.unsent.is_empty() && self.waiting_since.is_none()
    }

    /// Since when something has been waiting for the client to take it.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.waiting_since
    }

    /// How many bytes are kept here.
    pub(super) fn len(&self) -> usize {
        self.unsent.len() + self.withheld.len()
    }

    /// Writes what the socket takes at once, and keeps the rest.
    pub(super) fn write(&mut self, socket: &mut Socket, bytes: &[u8], now: Instant) -> io::Result<()> {
        debug_assert!(self.is_empty(), "a turn begins when all is written");
        let len = socket.write(bytes)?;
        if len < bytes.len() {
            self.unsent.extend_from_slice(&bytes[len..]);
        }
        if !self.unsent.is_empty() || socket.has_unsent() {
            self.wait(now);
        }
        Ok(())
    }

    /// From here on the client has to take what TLS holds or what is kept here, if it had not before.
    pub(super) fn wait(&mut self, now: Instant) {
        self.waiting_since.get_or_insert(now);
    }

    /// Writes more of what was kept. Says whether that was all.
    pub(super) fn write_rest(&mut self, socket: &mut Socket) -> io::Result<bool> {
        if self.is_empty() && !socket.has_unsent() {
            return Ok(true);
        }
        if !socket.flush()? {
            return Ok(false);
        }
        self.sent += socket.write(&self.unsent[self.sent..])?;
        if self.sent < self.unsent.len() || socket.has_unsent() {
            return Ok(false);
        }
        (self.sent, self.waiting_since) = (0, None);
        give_back(&mut self.unsent);
        Ok(true)
    }

    /// Keeps what may not leave yet.
    pub(super) fn withhold(&mut self, bytes: &[u8]) {
        self.withheld.extend_from_slice(bytes);
    }

    /// What may leave now is written with the next [`Outgoing::write_rest`].
    pub(super) fn release(&mut self, now: Instant) -> &[u8] {
        let start = self.unsent.len();
        self.unsent.extend_from_slice(&self.withheld);
        give_back(&mut self.withheld);
        if !self.unsent.is_empty() {
            self.wait(now);
        }
        &self.unsent[start..]
    }
}

fn give_back(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_LEN_MAX {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}
