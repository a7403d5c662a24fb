//! The inbox of a reactor's thread: other threads leave messages in it, and the first message wakes the thread.
//!
//! The inbox holds at most one message of each kind for each connection. So the number of connections limits its
//! length. The inbox does not know what the thread does with messages.

use std::{io, sync::Arc};

use mio::{Registry, Token, Waker};
use parking_lot::Mutex;

use super::{connection::Connection, protocol::Rings};
use crate::places::Answered;

/// A message to a thread. `slot` and `serial` name one of its connections.
pub(super) enum InboxMessage<P> {
    /// A connection that the thread is to serve.
    Connection(Box<Connection<P>>),
    /// The answer to the connection's query about places. `None`: the query was dropped without an answer.
    Answer { slot: usize, serial: u64, answer: Option<Box<Answered>> },
    /// The reports that the connection's withheld replies acknowledge are durable, or cannot become durable.
    Durable { slot: usize, serial: u64, is_durable: bool },
    /// The connection's bell was rung.
    Rung { slot: usize, serial: u64 },
    /// The thread must answer the input that has arrived, and then end.
    Stop,
}

/// The place where other threads leave messages for one thread. A bell can leave another message after each turn of its
/// connection. At most one message of any other kind waits for each connection.
pub(super) struct Inbox<P> {
    /// `None` once the thread has ended.
    messages: Mutex<Option<Vec<InboxMessage<P>>>>,
    waker: Waker,
}

impl<P> Inbox<P> {
    /// An empty inbox. The inbox wakes its thread by an event with this token.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Inbox<P>> {
        Ok(Inbox { messages: Mutex::new(Some(Vec::new())), waker: Waker::new(registry, token)? })
    }

    /// Leaves a message. If the thread has ended, the message comes back.
    pub(super) fn send(&self, message: InboxMessage<P>) -> Result<(), InboxMessage<P>> {
        let mut held = self.messages.lock();
        let Some(messages) = &mut *held else { return Err(message) };
        messages.push(message);
        let is_first = messages.len() == 1;
        drop(held);
        // The sender of the first message has woken the thread for all messages.
        if is_first {
            self.waker.wake().expect("an event descriptor takes a wake-up at any time");
        }
        Ok(())
    }

    /// Takes all messages.
    pub(super) fn take(&self) -> Vec<InboxMessage<P>> {
        self.messages.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Closes the inbox, unless it holds messages. Returns whether the inbox is closed.
    pub(super) fn close_if_empty(&self) -> bool {
        let mut held = self.messages.lock();
        if held.as_ref().is_none_or(Vec::is_empty) {
            *held = None;
        }
        held.is_none()
    }

    /// Closes the inbox. Messages in it are dropped.
    pub(super) fn close(&self) {
        // The messages are dropped without the lock, because dropping a message may leave another message.
        let messages = self.messages.lock().take();
        drop(messages);
    }
}

impl<P: Send> Rings for Inbox<P> {
    fn ring(&self, slot: usize, serial: u64) {
        // If the thread has ended, it has closed the connection.
        let _ = self.send(InboxMessage::Rung { slot, serial });
    }
}

/// A connection whose replies are withheld until its reports are durable. If this value is dropped before
/// [`PendingDurable::end`], the connection receives a message that its reports cannot become durable.
pub(super) struct PendingDurable<P> {
    inbox: Arc<Inbox<P>>,
    slot: usize,
    serial: u64,
    is_durable: bool,
}

impl<P> PendingDurable<P> {
    /// The connection with this slot and serial.
    pub(super) fn new(inbox: &Arc<Inbox<P>>, slot: usize, serial: u64) -> PendingDurable<P> {
        PendingDurable { inbox: Arc::clone(inbox), slot, serial, is_durable: false }
    }

    /// Notes that the reports are durable.
    pub(super) fn end(mut self) {
        self.is_durable = true;
    }
}

impl<P> Drop for PendingDurable<P> {
    fn drop(&mut self) {
        let PendingDurable { slot, serial, is_durable, .. } = *self;
        // If the thread has ended, it has closed the connection.
        let _ = self.inbox.send(InboxMessage::Durable { slot, serial, is_durable });
    }
}

/// A connection's query about places that waits on the runtime. If this value is dropped before the answer was sent,
/// the connection receives a message that there is no answer.
pub(super) struct PendingQuestion<P> {
    inbox: Arc<Inbox<P>>,
    slot: usize,
    serial: u64,
    answer: Option<Box<Answered>>,
}

impl<P> PendingQuestion<P> {
    /// The query of the connection with this slot and serial.
    pub(super) fn new(inbox: &Arc<Inbox<P>>, slot: usize, serial: u64) -> PendingQuestion<P> {
        PendingQuestion { inbox: Arc::clone(inbox), slot, serial, answer: None }
    }

    /// Sends the answer.
    pub(super) fn end(mut self, answer: Answered) {
        self.answer = Some(Box::new(answer));
    }
}

impl<P> Drop for PendingQuestion<P> {
    fn drop(&mut self) {
        let PendingQuestion { slot, serial, .. } = *self;
        // If the thread has ended, it has closed the connection.
        let _ = self.inbox.send(InboxMessage::Answer { slot, serial, answer: self.answer.take() });
    }
}
