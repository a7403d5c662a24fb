//! A visitor: an admitted connection that the entrance hands to a door's service.
//!
//! A service with its own threads takes the visitor's parts ([`Visitor::into_parts`]) and runs TLS itself. A service on
//! tokio's runtime waits for the TLS handshake ([`Visitor::open`]) and gets a [`VisitorStream`]. A visitor knows no
//! protocol but TLS.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rustls::{InvalidMessage, ServerConfig};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::HANDSHAKE_MAX;
use crate::{
    admission::{Entered, Ticket},
    caller::Caller,
};

/// An admitted connection.
#[derive(Debug)]
pub(crate) struct Visitor {
    stream: TcpStream,
    listener: usize,
    caller: Caller,
    ticket: Option<Ticket>,
    entered: Entered,
    tls: Option<Arc<ServerConfig>>,
}

/// The parts of a visitor, for a service with its own threads.
#[derive(Debug)]
pub(crate) struct VisitorParts {
    /// The connection, in non-blocking mode.
    pub(crate) stream: std::net::TcpStream,
    /// The caller at the other end.
    pub(crate) caller: Caller,
    /// The ticket from admission. `None`: the service limits the number of its visitors itself.
    pub(crate) ticket: Option<Ticket>,
    /// Counts the connection as open until it is dropped.
    pub(crate) entered: Entered,
    /// The TLS configuration, if the client speaks TLS.
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

/// Why a TLS handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeFailed {
    /// The handshake took too long.
    #[error("the TLS handshake took more than {} s", HANDSHAKE_MAX.as_secs())]
    TooSlow,
    /// The client closed the connection during the handshake.
    #[error("the client ended the TLS handshake")]
    Ended,
    /// Too many handshakes were in progress, and this handshake was the oldest.
    #[error("the client's TLS handshake was dropped: too many newer TLS handshakes were in progress")]
    Crowded,
    /// The client's first bytes are not TLS.
    #[error("the client does not use TLS, but this address requires TLS (`tls://`)")]
    NotTls,
    /// The client sent more bytes than a handshake may have.
    #[error("the client's TLS handshake is too long")]
    TooLong,
    /// The TLS library refused the handshake for another reason.
    #[error("the TLS handshake failed: {0}")]
    Tls(rustls::Error),
    /// The connection failed during the handshake.
    #[error("the TLS handshake failed: {0}")]
    Broken(io::Error),
}

impl From<rustls::Error> for HandshakeFailed {
    fn from(error: rustls::Error) -> HandshakeFailed {
        match error {
            rustls::Error::InvalidMessage(
                InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::MessageTooLarge
                | InvalidMessage::InvalidEmptyPayload,
            ) => HandshakeFailed::NotTls,
            error => HandshakeFailed::Tls(error),
        }
    }
}

impl From<io::Error> for HandshakeFailed {
    fn from(error: io::Error) -> HandshakeFailed {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match (tls, error.kind()) {
            (Some(tls), _) => tls.clone().into(),
            (None, io::ErrorKind::UnexpectedEof) => HandshakeFailed::Ended,
            (None, _) => HandshakeFailed::Broken(error),
        }
    }
}

impl Visitor {
    pub(super) fn new(
        stream: TcpStream,
        listener: usize,
        caller: Caller,
        ticket: Option<Ticket>,
        entered: Entered,
        tls: Option<Arc<ServerConfig>>,
    ) -> Visitor {
        // Each write holds whole replies, so the system must not wait for more to send (TCP_NODELAY). If the option
        // can't be set, replies only come later.
        let _ = stream.set_nodelay(true);
        Visitor { stream, listener, caller, ticket, entered, tls }
    }

    /// The caller at the other end.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The index of the entrance's listening socket that accepted the visitor.
    pub(crate) fn listener(&self) -> usize {
        self.listener
    }

    /// The visitor's parts, for a service with its own threads.
    pub(crate) fn into_parts(self) -> io::Result<VisitorParts> {
        let Visitor { stream, caller, ticket, entered, tls, .. } = self;
        Ok(VisitorParts { stream: stream.into_std()?, caller, ticket, entered, tls })
    }

    /// The stream, for a service on tokio's runtime. If the client must speak TLS, this waits for the handshake. The
    /// connection counts as open until the [`Entered`] is dropped.
    pub(crate) async fn open(self) -> Result<(VisitorStream, Entered), HandshakeFailed> {
        let Visitor { stream, entered, tls, .. } = self;
        let Some(config) = tls else { return Ok((VisitorStream::Plain(stream), entered)) };
        let accepted = timeout(HANDSHAKE_MAX, TlsAcceptor::from(config).accept(stream)).await;
        match accepted.map_err(|_| HandshakeFailed::TooSlow).and_then(|accepted| Ok(accepted?)) {
            Ok(stream) => Ok((VisitorStream::Tls(Box::new(stream)), entered)),
            Err(failed) => {
                entered.handshake_failed();
                Err(failed)
            }
        }
    }
}

/// A connection as a service on the runtime reads and writes it.
#[derive(Debug)]
pub(crate) enum VisitorStream {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for VisitorStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            VisitorStream::Plain(stream) => Pin::new(stream).poll_read(context, into),
            VisitorStream::Tls(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for VisitorStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            VisitorStream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            VisitorStream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            VisitorStream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            VisitorStream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            VisitorStream::Plain(stream) => stream.is_write_vectored(),
            VisitorStream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            VisitorStream::Plain(stream) => Pin::new(stream).poll_flush(context),
            VisitorStream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            VisitorStream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            VisitorStream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
