//! Listening sockets: opening them, and taking connections even when the machine is short of something.

use std::{io, net::SocketAddr, time::Duration};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Address,
    log::{LogLevel, ServerLog, Subject},
};

/// How long to wait after a connection could not be taken, for example because all descriptors are in use: the
/// listener stays readable all the while, and asking again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An address that can't be listened at.
#[derive(Debug, thiserror::Error)]
#[error("can't listen at {address} (`{key}` of server {server}): {why}{}", hint(address, why))]
pub struct ListenError {
    address: Address,
    key: &'static str,
    server: String,
    // The message holds its cause, so the cause is not called `source`: whoever shows both would show it twice.
    why: io::Error,
}

impl ListenError {
    /// Whether somebody listens there already.
    pub(crate) fn is_in_use(&self) -> bool {
        self.why.kind() == io::ErrorKind::AddrInUse
    }
}

fn hint(address: &Address, error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program, or this server a second time, has it",
        io::ErrorKind::AddrNotAvailable => "; it is no address of this machine",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
        // A lookup that fails has no kind and no number of the system's.
        _ if error.raw_os_error().is_none() && address.is_name() => {
            "; the name does not resolve on this machine"
        }
        _ => "",
    }
}

/// Listens at `address`, which stands under `key` of `server` in the configuration.
pub(crate) async fn bind(
    address: &Address,
    key: &'static str,
    server: &str,
) -> Result<TcpListener, ListenError> {
    let bound = TcpListener::bind((address.host(), address.port())).await;
    bound.map_err(|why| ListenError { address: address.clone(), key, server: server.to_owned(), why })
}

/// Whether `address` could be listened at now. It is listened at for a moment and let go.
pub(crate) fn check(address: &Address, key: &'static str, server: &str) -> Result<(), ListenError> {
    let bound = std::net::TcpListener::bind((address.host(), address.port()));
    bound.map(drop).map_err(|why| ListenError {
        address: address.clone(),
        key,
        server: server.to_owned(),
        why,
    })
}

/// The next connection, however long it takes; `None` when it is time to stop.
pub(crate) async fn accept(
    listener: &TcpListener,
    log: &ServerLog,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr)> {
    loop {
        match stop.run_until_cancelled(listener.accept()).await? {
            Ok(accepted) => return Some(accepted),
            Err(error) => {
                log.event(LogLevel::Error, Subject::Server, format_args!("can't take a connection: {error}"));
                stop.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE)).await?;
            }
        }
    }
}
