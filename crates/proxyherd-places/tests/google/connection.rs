//! Sockets that can be reset at any time, as a network can do.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

/// After this flag is set, the next write to the connection resets the connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Reset(Arc<AtomicBool>);

pub(super) struct Listener(TcpListener);

pub(super) struct Connection {
    stream: TcpStream,
    reset: Reset,
}

impl Reset {
    pub(super) fn set(&self) {
        self.0.store(true, Relaxed);
    }
}

impl Connected<IncomingStream<'_, Listener>> for Reset {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Reset {
        stream.io().reset.clone()
    }
}

impl Listener {
    pub(super) fn new(listener: TcpListener) -> Listener {
        Listener(listener)
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        (Connection { stream, reset: Reset::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connection {
    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.reset.0.load(Relaxed) {
            // A socket that is closed without lingering sends RST and not FIN.
            self.stream.set_zero_linger()?;
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        self.stream().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.0.load(Relaxed) {
            return Poll::Ready(Ok(()));
        }
        self.stream().poll_shutdown(context)
    }
}
