//! The line protocol's door: takes connections and deals them out to its threads.
//!
//! Each `reactor` is a thread with connections of its own. Small messages are mostly the kernel's work, and one
//! thread that finds many sockets ready at once does it cheapest, so connections begin on the first half of the
//! threads; one that turns out to bring many lines at once moves to a thread that shares such work evenly.

mod batch;
mod connection;
mod reactor;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    connection::Connection,
    reactor::{Inbox, Parcel, Reactor},
};
use crate::{
    admission::Ticket,
    caller::{Caller, Rights},
    clock,
    config::Limits,
    door::kind::DoorKind,
    herd::Herd,
    listen,
    log::{LogLevel, Subject},
};

/// Serves line clients at `listeners` until `stop`. The error is the system's: no thread, or no descriptor.
pub fn run(
    herd: &Arc<Herd>,
    limits: &Limits,
    listeners: Vec<TcpListener>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> io::Result<()> {
    let count = Handle::current().metrics().num_workers();
    let names: Vec<String> = (0..count).map(|index| format!("line-{index}")).collect();
    let reactors = names.iter().map(|name| Reactor::new(name, herd, limits));
    let reactors: Vec<_> = reactors.collect::<io::Result<_>>()?;
    let threads = Arc::new(Threads::of(&reactors));
    for (name, reactor) in names.into_iter().zip(reactors) {
        let (threads, running) = (Arc::clone(&threads), tasks.token());
        let body = move || {
            reactor.run(&threads);
            drop(running);
        };
        std::thread::Builder::new().name(name).spawn(body)?;
    }
    for listener in listeners {
        tasks.spawn(accept_all(Arc::clone(herd), listener, Arc::clone(&threads), stop.clone()));
    }
    Ok(())
}

/// Where connections can be sent to, and whose turn it is to get one.
struct Threads {
    inboxes: Vec<Arc<Inbox>>,
    next: AtomicUsize,
    next_busy: AtomicUsize,
}

impl Threads {
    fn of(reactors: &[Reactor]) -> Threads {
        let inboxes = reactors.iter().map(|reactor| Arc::clone(reactor.inbox())).collect();
        Threads { inboxes, next: AtomicUsize::new(0), next_busy: AtomicUsize::new(0) }
    }

    /// Who takes the next new connection.
    fn for_new(&self) -> &Arc<Inbox> {
        let half = (self.inboxes.len() / 2).max(1);
        &self.inboxes[self.next.fetch_add(1, Relaxed) % half]
    }

    /// Sends a new connection to a thread that takes it: one that has failed takes none.
    fn send(&self, connection: Box<Connection>) {
        let mut parcel = Parcel::Connection(connection);
        for inbox in [self.for_new()].into_iter().chain(&self.inboxes) {
            match inbox.send(parcel) {
                Ok(()) => return,
                Err(back) => parcel = back,
            }
        }
    }

    /// Who takes the next connection that brings many lines at once.
    fn for_busy(&self) -> &Arc<Inbox> {
        &self.inboxes[self.next_busy.fetch_add(1, Relaxed) % self.inboxes.len()]
    }

    fn stop(&self) {
        for inbox in &self.inboxes {
            // One that has ended needs no telling.
            let _ = inbox.send(Parcel::Stop);
        }
    }
}

async fn accept_all(herd: Arc<Herd>, listener: TcpListener, threads: Arc<Threads>, stop: CancellationToken) {
    let _pulse = herd.health().pulse("the door for clients");
    while let Some((stream, client)) = listen::accept(&listener, herd.log(), &stop).await {
        let subject = Subject::Client(client);
        let ticket = match herd.admission().admit(client.ip(), clock::monotonic_ns()) {
            Ok(ticket) => ticket,
            Err(why) => {
                herd.log().event(LogLevel::Warn, subject, format_args!("turned away: {why}"));
                continue;
            }
        };
        herd.log().event(LogLevel::Debug, subject, format_args!("connected"));
        match open(ticket, stream, client) {
            Ok(connection) => threads.send(Box::new(connection)),
            // It has gone again.
            Err(error) => herd.log().event(LogLevel::Debug, subject, format_args!("closed: {error}")),
        }
    }
    threads.stop();
}

fn open(ticket: Ticket, stream: TcpStream, client: SocketAddr) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    let caller = Caller { address: client, door: DoorKind::Line, rights: Rights::ALL };
    Ok(Connection::new(ticket, stream.into_std()?, caller))
}
