//! Threads that serve the connections of a door, for any protocol that does no I/O itself. A door calls `run` with
//! its entrance and a function that makes a [`Protocol`] for each new connection.
//!
//! Each `thread` has its own connections. For small messages, the kernel does most of the work. This work is cheapest
//! if one thread finds many sockets ready at once. So new connections go to the first half of the threads. A busy
//! connection brings many units at once. It moves once, to a thread chosen among all threads, so the work of busy
//! connections is distributed evenly.
//!
//! The files import each other in this order, lowest first: `protocol`, `close_reason`, `socket`, `outgoing`,
//! `connection`, `inbox`, `turn`, `thread`. The compiler builds the threads for each protocol, so a unit needs no
//! dynamic dispatch. Nothing here knows a protocol's bytes.

mod close_reason;
mod connection;
mod inbox;
mod outgoing;
mod protocol;
mod socket;
#[cfg(test)]
mod tests;
mod thread;
mod turn;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use proxyherd_config::config::Limits;
use proxyherd_log::{LogLevel, Subject};
use tokio::runtime::Handle;

pub use self::protocol::{
    Bell, CallContext, Input, NextStep, Protocol, ProtocolEnd, ProtocolEvent, TakeOutput,
};
use self::{
    connection::Connection,
    inbox::{Inbox, InboxMessage},
    socket::Socket,
    thread::Reactor,
};
use super::entrance::{Entrance, Service, Visitor};
use crate::{caller::Caller, herd::Herd};

/// Serves the visitors of `entrance` until its stop. `make` makes the protocol of each new connection. An error means
/// that the operating system has no thread or no descriptor left.
pub(crate) fn run<P: Protocol>(
    entrance: Entrance,
    limits: &Limits,
    make: impl Fn(&Caller) -> P + Send + Sync + 'static,
) -> io::Result<()> {
    let (count, door) = (Handle::current().metrics().num_workers(), entrance.kind.label());
    let names: Vec<String> = (0..count).map(|index| format!("{door}-{index}")).collect();
    let reactors =
        names.iter().map(|name| Reactor::<P>::new(name, &entrance.herd, limits, entrance.tasks.killed()));
    let reactors: Vec<_> = reactors.collect::<io::Result<_>>()?;
    let threads = Arc::new(Threads::of(&reactors));
    for (name, reactor) in names.into_iter().zip(reactors) {
        let (all, running) = (Arc::clone(&threads), entrance.tasks.token());
        let body = move || {
            reactor.run(&all);
            drop(running);
        };
        if let Err(error) = std::thread::Builder::new().name(name).spawn(body) {
            // The threads that have already started must end.
            threads.stop();
            return Err(error);
        }
    }
    let herd = Arc::clone(&entrance.herd);
    entrance.open(Reactors { herd, threads, make });
    Ok(())
}

/// The door's service. It hands visitors to the threads.
struct Reactors<P: Protocol, M> {
    herd: Arc<Herd>,
    threads: Arc<Threads<P>>,
    make: M,
}

impl<P: Protocol, M: Fn(&Caller) -> P + Send + Sync + 'static> Service for Reactors<P, M> {
    /// Admission bounds these visitors before they come here.
    async fn ready(&self) {}

    fn serve(&self, visitor: Visitor) {
        let subject = Subject::Client(visitor.caller().address);
        match self.connection(visitor) {
            Ok(connection) => self.threads.send(Box::new(connection)),
            // The client has already closed the connection.
            Err(error) => self.herd.log().event(LogLevel::Debug, subject, format_args!("closed: {error}")),
        }
    }

    fn close(&self) {
        self.threads.stop();
    }
}

impl<P: Protocol, M: Fn(&Caller) -> P> Reactors<P, M> {
    fn connection(&self, visitor: Visitor) -> io::Result<Connection<P>> {
        let parts = visitor.into_parts()?;
        let ticket = parts.ticket.expect("the entrance admits the visitors of this service");
        let socket = Socket::new(parts.stream, parts.tls).map_err(io::Error::other)?;
        Ok(Connection::new((self.make)(&parts.caller), parts.caller, (ticket, parts.entered), socket))
    }
}

/// The inboxes of all threads of a door, and which thread gets the next connection.
struct Threads<P> {
    inboxes: Vec<Arc<Inbox<P>>>,
    /// Counts new connections.
    new: AtomicUsize,
    /// Counts busy connections.
    busy: AtomicUsize,
}

impl<P: Protocol> Threads<P> {
    fn of(reactors: &[Reactor<P>]) -> Threads<P> {
        let inboxes = reactors.iter().map(|reactor| Arc::clone(reactor.inbox())).collect();
        Threads { inboxes, new: AtomicUsize::new(0), busy: AtomicUsize::new(0) }
    }

    /// The thread that gets the next new connection.
    fn for_new(&self) -> &Arc<Inbox<P>> {
        let half = (self.inboxes.len() / 2).max(1);
        &self.inboxes[self.new.fetch_add(1, Relaxed) % half]
    }

    /// Sends a new connection to a thread. If that thread has failed, another thread gets the connection.
    fn send(&self, connection: Box<Connection<P>>) {
        let mut message = InboxMessage::Connection(connection);
        for inbox in [self.for_new()].into_iter().chain(&self.inboxes) {
            match inbox.send(message) {
                Ok(()) => return,
                Err(back) => message = back,
            }
        }
    }

    /// The thread that gets the next busy connection.
    fn for_busy(&self) -> &Arc<Inbox<P>> {
        &self.inboxes[self.busy.fetch_add(1, Relaxed) % self.inboxes.len()]
    }

    fn stop(&self) {
        for inbox in &self.inboxes {
            // If a thread has ended, it needs no message.
            let _ = inbox.send(InboxMessage::Stop);
        }
    }
}
