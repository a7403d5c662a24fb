//! Threads that serve the connections of a door, for any protocol that does no I/O itself ([`Protocol`]).
//!
//! Each `thread` has connections of its own. Small messages are mostly the kernel's work, and one thread that finds many
//! sockets ready at once does it cheapest, so connections begin on the first half of the threads; one that turns out to bring
//! many units at once moves to a thread that shares such work evenly.
//!
//! Floors, lowest first: `protocol`; `closed`; `socket`; `outgoing`; `connection`; `inbox`; `turn`; `thread`. What is called
//! for each unit is known at compile time: a door is built for its protocol.

mod closed;
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

use tokio::runtime::Handle;

pub use self::protocol::{Bell, Event, Here, Input, Later, Next, Protocol, Reason, Taken};
use self::{
    connection::Connection,
    inbox::{Inbox, Parcel},
    socket::Socket,
    thread::Reactor,
};
use super::entrance::{Entrance, Host, Visitor};
use crate::{caller::Caller, config::Limits, herd::Herd};
use proxyherd_log::{LogLevel, Subject};

/// Serves the visitors of `entrance` until its stop, each by a protocol that `make` begins. The error is the system's: no
/// thread, or no descriptor.
pub(crate) fn run<P: Protocol>(
    entrance: Entrance,
    limits: &Limits,
    make: impl Fn(&Caller) -> P + Send + Sync + 'static,
) -> io::Result<()> {
    let (count, door) = (Handle::current().metrics().num_workers(), entrance.kind.label());
    let names: Vec<String> = (0..count).map(|index| format!("{door}-{index}")).collect();
    let reactors = names.iter().map(|name| Reactor::<P>::new(name, &entrance.herd, limits));
    let reactors: Vec<_> = reactors.collect::<io::Result<_>>()?;
    let threads = Arc::new(Threads::of(&reactors));
    for (name, reactor) in names.into_iter().zip(reactors) {
        let (all, running) = (Arc::clone(&threads), entrance.tasks.token());
        let body = move || {
            reactor.run(&all);
            drop(running);
        };
        if let Err(error) = std::thread::Builder::new().name(name).spawn(body) {
            // Those that have been started end again.
            threads.stop();
            return Err(error);
        }
    }
    let herd = Arc::clone(&entrance.herd);
    entrance.open(Reactors { herd, threads, make });
    Ok(())
}

/// The threads as the entrance knows them.
struct Reactors<P: Protocol, M> {
    herd: Arc<Herd>,
    threads: Arc<Threads<P>>,
    make: M,
}

impl<P: Protocol, M: Fn(&Caller) -> P + Send + Sync + 'static> Host for Reactors<P, M> {
    type Place = ();

    /// Who was let in is served.
    async fn place(&self) {}

    fn welcome(&self, visitor: Visitor, (): ()) {
        let subject = Subject::Client(visitor.caller().address);
        match self.connection(visitor) {
            Ok(connection) => self.threads.send(Box::new(connection)),
            // It has gone again.
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
        let ticket = parts.ticket.expect("these visitors take of the clients' room");
        let socket = Socket::new(parts.stream, parts.tls).map_err(io::Error::other)?;
        Ok(Connection::new((self.make)(&parts.caller), parts.caller, (ticket, parts.entered), socket))
    }
}

/// Where connections can be sent to, and whose turn it is to get one.
struct Threads<P> {
    inboxes: Vec<Arc<Inbox<P>>>,
    next: AtomicUsize,
    next_busy: AtomicUsize,
}

impl<P: Protocol> Threads<P> {
    fn of(reactors: &[Reactor<P>]) -> Threads<P> {
        let inboxes = reactors.iter().map(|reactor| Arc::clone(reactor.inbox())).collect();
        Threads { inboxes, next: AtomicUsize::new(0), next_busy: AtomicUsize::new(0) }
    }

    /// Who takes the next new connection.
    fn for_new(&self) -> &Arc<Inbox<P>> {
        let half = (self.inboxes.len() / 2).max(1);
        &self.inboxes[self.next.fetch_add(1, Relaxed) % half]
    }

    /// Sends a new connection to a thread that takes it: one that has failed takes none.
    fn send(&self, connection: Box<Connection<P>>) {
        let mut parcel = Parcel::Connection(connection);
        for inbox in [self.for_new()].into_iter().chain(&self.inboxes) {
            match inbox.send(parcel) {
                Ok(()) => return,
                Err(back) => parcel = back,
            }
        }
    }

    /// Who takes the next connection that brings many units at once.
    fn for_busy(&self) -> &Arc<Inbox<P>> {
        &self.inboxes[self.next_busy.fetch_add(1, Relaxed) % self.inboxes.len()]
    }

    fn stop(&self) {
        for inbox in &self.inboxes {
            // One that has ended needs no telling.
            let _ = inbox.send(Parcel::Stop);
        }
    }
}
