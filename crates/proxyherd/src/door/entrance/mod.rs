//! The one entrance of all doors: takes connections and hands each, as a `Visitor`, to the door's `Host`.
//!
//! What is the same for every door is done here and nowhere else: which of several listening sockets is taken from, who is
//! let in (`admission`), who the caller is, what TLS the connection speaks, the pulse, the counts and the log of who
//! connects, and the end at the stop. A host knows one protocol and no sockets that listen.

mod tls;
mod visitor;

use std::{borrow::Borrow, net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::tls::Acceptor;
pub(crate) use self::visitor::Visitor;
pub use self::{tls::DoorTls, visitor::HandshakeFailed};
use crate::{
    admission::{Ticket, TurnedAway},
    caller::{Caller, Rights},
    clock,
    config::Address,
    door_kind::DoorKind,
    herd::Herd,
    listen,
};
use proxyherd_log::{LogLevel, Subject};

/// How long a client's TLS handshake may take. Past it the connection is closed.
pub(crate) const HANDSHAKE_MAX: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 10 });

/// A listening socket of a door.
#[derive(Debug)]
pub(crate) struct Listener {
    /// What the configuration calls its address.
    pub(crate) own: Address,
    /// The socket.
    pub(crate) socket: TcpListener,
    /// What it shows to clients, where they speak TLS.
    pub(crate) tls: Option<Arc<DoorTls>>,
}

impl Borrow<TcpListener> for Listener {
    fn borrow(&self) -> &TcpListener {
        &self.socket
    }
}

/// What serves the visitors of a door.
pub(crate) trait Host: Send + Sync + 'static {
    /// What the door speaks inside TLS, the best first; nothing where clients need not say.
    const ALPN: &'static [&'static [u8]] = &[];
    /// Whether its visitors take none of the clients' room, because the host bounds them itself ([`Host::place`]).
    const HAS_OWN_ROOM: bool = false;

    /// The right to be served here, given back when it is dropped.
    type Place: Send;

    /// Waits for room for one more. Until there is some, the next visitor waits in the listening socket's queue.
    fn place(&self) -> impl Future<Output = Self::Place> + Send;

    /// Serves a visitor from here on, without holding up the entrance.
    fn welcome(&self, visitor: Visitor, place: Self::Place);

    /// Nobody comes any more: those who are here are to be served to the end.
    fn close(&self) {}
}

/// The entrance of one door.
pub(crate) struct Entrance {
    /// Whom the door asks.
    pub(crate) herd: Arc<Herd>,
    /// Which door it is.
    pub(crate) kind: DoorKind,
    /// Where it listens: at least one.
    pub(crate) listeners: Vec<Listener>,
    /// Where the door's tasks and threads belong, so that a stop waits for them.
    pub(crate) tasks: TaskTracker,
    /// When to stop.
    pub(crate) stop: CancellationToken,
}

impl Entrance {
    /// Takes visitors for `host` until the stop.
    pub(crate) fn open<H: Host>(self, host: H) {
        let tasks = self.tasks.clone();
        tasks.spawn(async move { self.take_all(&host).await });
    }

    async fn take_all<H: Host>(&self, host: &H) {
        let _pulse = self.herd.liveness().pulse(format!("the {} door", self.kind.label()));
        let tls = |listener: &Listener| listener.tls.as_ref().map(|tls| tls.acceptor(H::ALPN));
        let acceptors: Vec<Option<Acceptor>> = self.listeners.iter().map(tls).collect();
        let mut first = 0;
        while let Some(place) = self.stop.run_until_cancelled(host.place()).await {
            let taken = listen::accept_any(&self.listeners, first, self.herd.log(), &self.stop).await;
            let Some((index, stream, address)) = taken else { break };
            // The other sockets are looked at first next time, however many wait at this one.
            first = index + 1;
            let Ok(ticket) = self.admit::<H>(address) else { continue };
            let entered = self.herd.admission().enter(self.kind);
            let tls = acceptors[index].as_ref().map(Acceptor::config);
            let caller = self.caller(address);
            host.welcome(Visitor::new(stream, index, caller, ticket, entered, tls), place);
        }
        host.close();
    }

    /// As yet everybody may do everything.
    fn caller(&self, address: SocketAddr) -> Caller {
        Caller { address, door: self.kind, rights: Rights::ALL }
    }

    /// The right to be connected; none where the host bounds its visitors itself.
    fn admit<H: Host>(&self, address: SocketAddr) -> Result<Option<Ticket>, TurnedAway> {
        let (log, subject) = (self.herd.log(), Subject::Client(address));
        if !H::HAS_OWN_ROOM {
            let admission = self.herd.admission();
            let admitted = admission.admit(self.kind, address.ip(), clock::monotonic_ns());
            let ticket = admitted.inspect_err(|why| {
                log.event(LogLevel::Warn, subject, format_args!("turned away: {why}"));
            })?;
            log.event(LogLevel::Debug, subject, format_args!("connected"));
            return Ok(Some(ticket));
        }
        log.event(LogLevel::Debug, subject, format_args!("connected"));
        Ok(None)
    }
}
