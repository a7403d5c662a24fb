//! The entrance accepts the connections of every door. It hands each connection, as a `Visitor`, to the door's
//! `Service`.
//!
//! A door calls `Entrance::open`. The entrance does what is the same for all doors. It accepts connections from several
//! listening sockets in turn, asks `admission`, makes the `Caller`, and chooses the TLS configuration. It counts and
//! logs connections, reports to the watchdog, and ends when the server stops. No other module does these things for
//! doors.
//!
//! The entrance knows no protocol. A service knows one protocol and no listening sockets.

mod tasks;
mod tls;
mod visitor;

use std::{borrow::Borrow, io, net::SocketAddr, sync::Arc, time::Duration};

use proxyherd_config::{clock, config::Address, door_kind::DoorKind};
use proxyherd_log::{LogLevel, Subject};
use rustix::net::sockopt;
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::tls::Acceptor;
pub(crate) use self::{tasks::DoorTasks, visitor::Visitor};
pub use self::{tls::DoorTls, visitor::HandshakeFailed};
use crate::{
    admission::{Ticket, TurnedAway},
    caller::Caller,
    herd::Herd,
    listen,
};

/// Maximum time of a client's TLS handshake. After this time the connection is closed.
pub(crate) const HANDSHAKE_MAX: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 10 });

/// Silence of a client after which the operating system begins to probe the connection. Some protocols allow their
/// subscribers to be silent forever. Without probes, a silent subscriber and a dead one look the same. Each probe wakes
/// the radio of a phone, so probes are rare.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(600);
/// Time that the operating system waits for the answer to a probe.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// Number of unanswered probes after which the operating system ends the connection.
const KEEPALIVE_PROBES: u32 = 4;

/// A listening socket of a door.
#[derive(Debug)]
pub(crate) struct DoorListener {
    /// The socket's address as the configuration writes it.
    pub(crate) own: Address,
    /// The socket.
    pub(crate) socket: TcpListener,
    /// The certificate that the socket's clients see. `None`: the socket is without TLS.
    pub(crate) tls: Option<Arc<DoorTls>>,
}

impl Borrow<TcpListener> for DoorListener {
    fn borrow(&self) -> &TcpListener {
        &self.socket
    }
}

/// Serves the visitors of a door.
pub(crate) trait Service: Send + Sync + 'static {
    /// The protocols that the door speaks within TLS (ALPN), the preferred protocol first. Empty: clients may name any
    /// protocol.
    const ALPN: &'static [&'static [u8]] = &[];
    /// Whether the service limits the number of its visitors itself, in [`Service::ready`]. If so, its visitors do not
    /// count against `admission`'s limits.
    const HAS_OWN_ADMISSION: bool = false;
    /// Maximum number of bytes that the operating system takes for a client before it can send them, roughly. `None`:
    /// what the system allows, which may be megabytes. A door whose clients may fall behind wants to keep what they
    /// have not received yet itself, so that it can replace old news by newer news.
    const UNSENT_LEN_MAX: Option<u32> = None;

    /// Waits until the service has room for one more visitor. Until then the next visitor waits in the listening
    /// socket's queue.
    fn ready(&self) -> impl Future<Output = ()> + Send;

    /// Begins to serve a visitor. This method must not wait, because the entrance accepts the next visitor only after
    /// the method has returned.
    fn serve(&self, visitor: Visitor);

    /// Tells the service that no visitor will follow. The service continues to serve its present visitors to their end.
    fn close(&self) {}
}

/// The entrance of one door, before the entrance opens.
pub(crate) struct Entrance {
    /// The herd that the door asks.
    pub(crate) herd: Arc<Herd>,
    /// The kind of the door.
    pub(crate) kind: DoorKind,
    /// The door's listening sockets, at least one.
    pub(crate) listeners: Vec<DoorListener>,
    /// The door's tasks and threads are tracked here, so that a stop waits for them.
    pub(crate) tasks: DoorTasks,
    /// Canceled when the door is to stop.
    pub(crate) stop: CancellationToken,
}

impl Entrance {
    /// Accepts connections in a task of its own until the stop, and hands them to `service`.
    pub(crate) fn open<S: Service>(self, service: S) {
        let tasks = self.tasks.clone();
        // A kill, too, must tell the service that no visitor will follow.
        tasks.spawn_to_its_end(async move { self.take_all(&service).await });
    }

    async fn take_all<S: Service>(&self, service: &S) {
        let _pulse = self.herd.liveness().pulse(format!("the {} door", self.kind.label()));
        let tls = |listener: &DoorListener| listener.tls.as_ref().map(|tls| tls.acceptor(S::ALPN));
        let acceptors: Vec<Option<Acceptor>> = self.listeners.iter().map(tls).collect();
        for listener in &self.listeners {
            // If keepalive can't be set, the limits of the protocols still apply.
            let _ = keep_alive(&listener.socket);
            if let Some(len) = S::UNSENT_LEN_MAX {
                let _ = limit_unsent(&listener.socket, len);
            }
        }
        let mut first = 0;
        while self.stop.run_until_cancelled(service.ready()).await.is_some() {
            let taken = listen::accept_any(&self.listeners, first, self.herd.log(), &self.stop).await;
            let Some((index, stream, address)) = taken else { break };
            // The next accept begins with the next socket. So the connections of a busy socket don't delay the others.
            first = index + 1;
            let Ok(ticket) = self.admit::<S>(address) else { continue };
            let entered = self.herd.admission().enter(self.kind);
            let tls = acceptors[index].as_ref().map(Acceptor::config);
            let caller = self.caller(address);
            service.serve(Visitor::new(stream, index, caller, ticket, entered, tls));
        }
        service.close();
    }

    /// The caller at this address, which has shown no token yet.
    fn caller(&self, address: SocketAddr) -> Caller {
        Caller { address, door: self.kind, rights: self.herd.rights_without_token() }
    }

    /// Admits a connection. `Ok(None)`: the service limits the number of its visitors itself.
    fn admit<S: Service>(&self, address: SocketAddr) -> Result<Option<Ticket>, TurnedAway> {
        let (log, subject) = (self.herd.log(), Subject::Client(address));
        if !S::HAS_OWN_ADMISSION {
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

/// Makes the operating system probe silent connections. Connections that `listener` accepts inherit this option.
fn keep_alive(listener: &TcpListener) -> rustix::io::Result<()> {
    sockopt::set_socket_keepalive(listener, true)?;
    sockopt::set_tcp_keepidle(listener, KEEPALIVE_AFTER)?;
    sockopt::set_tcp_keepintvl(listener, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(listener, KEEPALIVE_PROBES)
}

/// Limits what the operating system takes before it can send it (TCP_NOTSENT_LOWAT). Connections that `listener`
/// accepts inherit this option.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_unsent(listener: &TcpListener, len: u32) -> io::Result<()> {
    SockRef::from(listener).set_tcp_notsent_lowat(len)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn limit_unsent(_: &TcpListener, _: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_system_probes_whether_silent_clients_are_still_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        keep_alive(&listener).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (connection, _) = listener.accept().await.unwrap();
        assert_eq!(sockopt::socket_keepalive(&connection), Ok(true));
        assert_eq!(sockopt::tcp_keepidle(&connection), Ok(KEEPALIVE_AFTER));
        assert_eq!(sockopt::tcp_keepintvl(&connection), Ok(KEEPALIVE_INTERVAL));
        assert_eq!(sockopt::tcp_keepcnt(&connection), Ok(KEEPALIVE_PROBES));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_system_takes_little_for_a_client_that_does_not_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        limit_unsent(&listener, 16 * 1024).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (connection, _) = listener.accept().await.unwrap();
        assert_eq!(SockRef::from(&connection).tcp_notsent_lowat().unwrap(), 16 * 1024);
    }
}
