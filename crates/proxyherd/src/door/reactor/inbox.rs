//! What other threads leave for a reactor.

use std::{io, sync::Arc};

use mio::{Registry, Token, Waker};
use parking_lot::Mutex;

use super::{connection::Connection, protocol::Rings};
use crate::places::Answered;

/// What is sent to a reactor from other threads.
pub(super) enum Parcel<P> {
    /// A connection that is to be served here.
    Connection(Box<Connection<P>>),
    /// What the places have answered; `None` if it got lost.
    Answer { at: usize, serial: u64, answer: Option<Box<Answered>> },
    /// What was said last is safe.
    Covered { at: usize, serial: u64 },
    /// There is something for a connection.
    Rung { at: usize, serial: u64 },
    /// Serve what has come, then end.
    Stop,
}

/// Where other threads leave things for a reactor. In it there is at most one parcel of each kind of a connection; of rings,
/// one for each turn that the connection has had since the reactor last looked here.
pub(super) struct Inbox<P> {
    /// `None` once the reactor has ended.
    parcels: Mutex<Option<Vec<Parcel<P>>>>,
    waker: Waker,
}

impl<P> Inbox<P> {
    /// One that wakes by this token.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Inbox<P>> {
        Ok(Inbox { parcels: Mutex::new(Some(Vec::new())), waker: Waker::new(registry, token)? })
    }

    /// Leaves a parcel; it comes back if the reactor has ended.
    pub(super) fn send(&self, parcel: Parcel<P>) -> Result<(), Parcel<P>> {
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

    pub(super) fn take(&self) -> Vec<Parcel<P>> {
        self.parcels.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes nothing more, unless something has come already. Says whether it is closed.
    pub(super) fn close_if_empty(&self) -> bool {
        let mut held = self.parcels.lock();
        if held.as_ref().is_none_or(Vec::is_empty) {
            *held = None;
        }
        held.is_none()
    }

    /// Takes nothing more; what has come is lost.
    pub(super) fn close(&self) {
        // Dropped without the lock: a parcel may send another.
        let parcels = self.parcels.lock().take();
        drop(parcels);
    }
}

impl<P: Send> Rings for Inbox<P> {
    fn ring(&self, at: usize, serial: u64) {
        // A reactor that has ended has closed the connection.
        let _ = self.send(Parcel::Rung { at, serial });
    }
}

/// A question on its way. However it ends, the connection hears of it.
pub(super) struct Pending<P> {
    inbox: Arc<Inbox<P>>,
    at: usize,
    serial: u64,
    answer: Option<Box<Answered>>,
}

impl<P> Pending<P> {
    pub(super) fn new(inbox: &Arc<Inbox<P>>, at: usize, serial: u64) -> Pending<P> {
        Pending { inbox: Arc::clone(inbox), at, serial, answer: None }
    }

    pub(super) fn end(mut self, answer: Answered) {
        self.answer = Some(Box::new(answer));
    }
}

impl<P> Drop for Pending<P> {
    fn drop(&mut self) {
        let Pending { at, serial, .. } = *self;
        // A reactor that has ended has closed the connection.
        let _ = self.inbox.send(Parcel::Answer { at, serial, answer: self.answer.take() });
    }
}
