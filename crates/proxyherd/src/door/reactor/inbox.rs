//! What other threads leave for a reactor.

use std::{io, sync::Arc};

use mio::{Registry, Token, Waker};
use parking_lot::Mutex;

use super::{connection::Connection, protocol::Rings};
use crate::places::Answered;

/// What is sent to a reactor from other threads.
pub(super) enum InboxMessage<P> {
    /// A connection that is to be served here.
    Connection(Box<Connection<P>>),
    /// What the places have answered; `None` if it got lost.
    Answer { slot: usize, serial: u64, answer: Option<Box<Answered>> },
    /// What was said last is safe.
    Durable { slot: usize, serial: u64 },
    /// There is something for a connection.
    Rung { slot: usize, serial: u64 },
    /// Serve what has come, then end.
    Stop,
}

/// Where other threads leave things for a reactor. In it there is at most one message of each kind of a connection; of rings,
/// one for each turn that the connection has had since the reactor last looked here.
pub(super) struct Inbox<P> {
    /// `None` once the reactor has ended.
    messages: Mutex<Option<Vec<InboxMessage<P>>>>,
    waker: Waker,
}

impl<P> Inbox<P> {
    /// One that wakes by this token.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Inbox<P>> {
        Ok(Inbox { messages: Mutex::new(Some(Vec::new())), waker: Waker::new(registry, token)? })
    }

    /// Leaves a message; it comes back if the reactor has ended.
    pub(super) fn send(&self, message: InboxMessage<P>) -> Result<(), InboxMessage<P>> {
        let mut held = self.messages.lock();
        let Some(messages) = &mut *held else { return Err(message) };
        messages.push(message);
        let is_first = messages.len() == 1;
        drop(held);
        // Whoever left the first message has woken the reactor for all.
        if is_first {
            self.waker.wake().expect("an event descriptor takes a wake-up at any time");
        }
        Ok(())
    }

    pub(super) fn take(&self) -> Vec<InboxMessage<P>> {
        self.messages.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes nothing more, unless something has come already. Says whether it is closed.
    pub(super) fn close_if_empty(&self) -> bool {
        let mut held = self.messages.lock();
        if held.as_ref().is_none_or(Vec::is_empty) {
            *held = None;
        }
        held.is_none()
    }

    /// Takes nothing more; what has come is lost.
    pub(super) fn close(&self) {
        // Dropped without the lock: a message may send another.
        let messages = self.messages.lock().take();
        drop(messages);
    }
}

impl<P: Send> Rings for Inbox<P> {
    fn ring(&self, slot: usize, serial: u64) {
        // A reactor that has ended has closed the connection.
        let _ = self.send(InboxMessage::Rung { slot, serial });
    }
}

/// A question on its way. However it ends, the connection hears of it.
pub(super) struct PendingQuestion<P> {
    inbox: Arc<Inbox<P>>,
    slot: usize,
    serial: u64,
    answer: Option<Box<Answered>>,
}

impl<P> PendingQuestion<P> {
    pub(super) fn new(inbox: &Arc<Inbox<P>>, slot: usize, serial: u64) -> PendingQuestion<P> {
        PendingQuestion { inbox: Arc::clone(inbox), slot, serial, answer: None }
    }

    pub(super) fn end(mut self, answer: Answered) {
        self.answer = Some(Box::new(answer));
    }
}

impl<P> Drop for PendingQuestion<P> {
    fn drop(&mut self) {
        let PendingQuestion { slot, serial, .. } = *self;
        // A reactor that has ended has closed the connection.
        let _ = self.inbox.send(InboxMessage::Answer { slot, serial, answer: self.answer.take() });
    }
}
