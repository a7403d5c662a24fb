//! A connection's replies that are not written yet. Some are replies that the socket has not accepted. Others are
//! withheld until the reports that they acknowledge are durable.
//!
//! A connection without such replies owns no buffer here. This module does not know the meaning of the replies.

use std::{io, time::Instant};

use super::socket::Socket;

/// Maximum size of an unused buffer that a connection keeps, bytes. A larger unused buffer is freed.
pub(super) const KEPT_LEN_MAX: usize = 4 * 1024;

/// Replies on their way to the socket.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Replies of which the socket has accepted only the first `sent_len` bytes.
    unsent: Vec<u8>,
    sent_len: usize,
    /// Since when something has been waiting for the client to take it.
    waiting_since: Option<Instant>,
    /// Replies that are withheld until the reports that they acknowledge are durable.
    withheld: Vec<u8>,
}

impl Outgoing {
    /// Whether there is nothing to write now.
    pub(super) fn is_empty(&self) -> bool {
        self.unsent.is_empty() && self.waiting_since.is_none()
    }

    /// Since when something has been waiting for the client to take it.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.waiting_since
    }

    /// Number of bytes that are kept here.
    pub(super) fn len(&self) -> usize {
        self.unsent.len() + self.withheld.len()
    }

    /// Writes the bytes that the socket accepts at once, and keeps the rest.
    pub(super) fn write(&mut self, socket: &mut Socket, bytes: &[u8], now: Instant) -> io::Result<()> {
        debug_assert!(self.is_empty(), "a turn begins when all is written");
        let len = socket.write(bytes)?;
        if len < bytes.len() {
            self.unsent.extend_from_slice(&bytes[len..]);
        }
        if !self.unsent.is_empty() || socket.has_unsent() {
            self.note_waiting(now);
        }
        Ok(())
    }

    /// Notes that something waits for the client to take it, unless that is noted already.
    pub(super) fn note_waiting(&mut self, now: Instant) {
        self.waiting_since.get_or_insert(now);
    }

    /// Writes more of the kept bytes. Returns whether all of them are written.
    pub(super) fn write_rest(&mut self, socket: &mut Socket) -> io::Result<bool> {
        if self.is_empty() && !socket.has_unsent() {
            return Ok(true);
        }
        if !socket.flush()? {
            return Ok(false);
        }
        self.sent_len += socket.write(&self.unsent[self.sent_len..])?;
        if self.sent_len < self.unsent.len() || socket.has_unsent() {
            return Ok(false);
        }
        (self.sent_len, self.waiting_since) = (0, None);
        free_or_clear(&mut self.unsent);
        Ok(true)
    }

    /// Keeps replies that may not be written yet.
    pub(super) fn withhold(&mut self, bytes: &[u8]) {
        self.withheld.extend_from_slice(bytes);
    }

    /// Releases the withheld replies for the next [`Outgoing::write_rest`], and returns them.
    pub(super) fn release(&mut self, now: Instant) -> &[u8] {
        let start = self.unsent.len();
        self.unsent.extend_from_slice(&self.withheld);
        free_or_clear(&mut self.withheld);
        if !self.unsent.is_empty() {
            self.note_waiting(now);
        }
        &self.unsent[start..]
    }
}

fn free_or_clear(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_LEN_MAX {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}
