//! Opens listening sockets and accepts connections. Accepting continues even after the machine has run out of
//! descriptors or memory.

use std::{borrow::Borrow, future::poll_fn, io, net::SocketAddr, task::Poll, time::Duration};

use proxyherd_config::config::Address;
use proxyherd_log::{LogLevel, ServerLog, Subject};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio_util::sync::CancellationToken;

/// Pause after a failed accept. An accept fails, for example, when all descriptors are in use. The listener stays
/// readable during that time, so an immediate retry would only waste processor time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Maximum number of connections that wait to be accepted. The system lowers this number to its own limit
/// (`net.core.somaxconn`, 4,096 on most machines). A high number allows many clients to connect again at the same
/// moment.
const BACKLOG: u32 = i32::MAX.cast_unsigned();

/// Why a server cannot listen at an address.
#[derive(Debug, thiserror::Error)]
#[error("can't listen at {address} (`{key}` of server {server}): {why}{}", hint(address, why))]
pub struct ListenError {
    address: Address,
    key: &'static str,
    server: String,
    // The message already holds its cause. If this field were called `source`, reports would show the cause twice.
    why: io::Error,
}

impl ListenError {
    fn new(address: &Address, key: &'static str, server: &str, why: io::Error) -> ListenError {
        ListenError { address: address.clone(), key, server: server.to_owned(), why }
    }

    /// Whether another socket already listens at this address.
    pub fn is_in_use(&self) -> bool {
        self.why.kind() == io::ErrorKind::AddrInUse
    }
}

fn hint(address: &Address, error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program has this address, or this server is already running",
        io::ErrorKind::AddrNotAvailable => "; it is not an address of this machine",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
        // The error of a failed lookup has neither a kind nor an error number of the system.
        _ if error.raw_os_error().is_none() && address.is_name() => {
            "; the name does not resolve on this machine"
        }
        _ => "",
    }
}

/// Listens at `address`, which is the value of `key` of `server` in the configuration.
pub(crate) async fn bind(
    address: &Address,
    key: &'static str,
    server: &str,
) -> Result<TcpListener, ListenError> {
    open(address).await.map_err(|why| ListenError::new(address, key, server, why))
}

/// Checks whether a server could listen at `address` now. Listens there for a moment.
pub fn check(address: &Address, key: &'static str, server: &str) -> Result<(), ListenError> {
    let bound = std::net::TcpListener::bind((address.host(), address.port()));
    bound.map(drop).map_err(|why| ListenError::new(address, key, server, why))
}

/// Listens at the first address of a name at which this machine can listen.
async fn open(address: &Address) -> io::Result<TcpListener> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for at in lookup_host((address.host(), address.port())).await? {
        match open_at(at) {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn open_at(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Closed connections of the previous process stay in the system for a while. They must not delay a restart.
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(BACKLOG)
}

/// Waits for the next connection. `None` after `stop` is canceled.
pub(crate) async fn accept(
    listener: &TcpListener,
    log: &ServerLog,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr)> {
    accept_any(std::slice::from_ref(listener), 0, log, stop)
        .await
        .map(|(_, stream, address)| (stream, address))
}

/// Waits for the next connection at any of `listeners`, and returns it with the index of its listener. Checks the
/// listener with the index `first` first. `None` after `stop` is canceled.
pub(crate) async fn accept_any(
    listeners: &[impl Borrow<TcpListener>],
    first: usize,
    log: &ServerLog,
    stop: &CancellationToken,
) -> Option<(usize, TcpStream, SocketAddr)> {
    let count = listeners.len();
    loop {
        let any = poll_fn(|context| {
            let mut indices = (0..count).map(|index| (first + index) % count);
            let ready = indices.find_map(|index| match listeners[index].borrow().poll_accept(context) {
                Poll::Ready(accepted) => Some(accepted.map(|(stream, address)| (index, stream, address))),
                Poll::Pending => None,
            });
            ready.map_or(Poll::Pending, Poll::Ready)
        });
        match stop.run_until_cancelled(any).await? {
            Ok(accepted) => return Some(accepted),
            Err(error) => {
                log.event(LogLevel::Error, Subject::Server, format_args!("can't take a connection: {error}"));
                stop.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE)).await?;
            }
        }
    }
}
