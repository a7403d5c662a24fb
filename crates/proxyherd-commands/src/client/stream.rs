//! Connects to a server's door, with or without TLS.

use std::{io, sync::Arc};

use proxyherd_config::config::Door;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// A connection with a door. The connection may hold back written bytes until it is flushed.
pub(super) trait DoorStream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> DoorStream for S {}

/// Connects to `door`. If the door has TLS, `tls` verifies its certificate.
pub(super) async fn connect(door: &Door, tls: Option<&Arc<ClientConfig>>) -> io::Result<Box<dyn DoorStream>> {
    let stream = TcpStream::connect((door.address.host(), door.address.port())).await?;
    stream.set_nodelay(true)?;
    if !door.tls {
        return Ok(Box::new(stream));
    }
    let tls = tls.expect("the caller has made a TLS configuration if any door speaks TLS");
    let name = ServerName::try_from(door.address.host()).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?))
}
