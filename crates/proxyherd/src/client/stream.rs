//! A connection with a server, encrypted or not.

use std::{io, sync::Arc};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::config::Door;

/// What lines are sent on and replies come from. It may hold back what was written until it is flushed.
pub(super) trait DoorStream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> DoorStream for S {}

/// Dials `door`, by `tls` if it speaks TLS.
pub(super) async fn connect(door: &Door, tls: Option<&Arc<ClientConfig>>) -> io::Result<Box<dyn DoorStream>> {
    let stream = TcpStream::connect((door.address.host(), door.address.port())).await?;
    stream.set_nodelay(true)?;
    if !door.tls {
        return Ok(Box::new(stream));
    }
    let tls = tls.expect("whoever has a door with TLS brings what it is judged by");
    let name = ServerName::try_from(door.address.host()).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?))
}
