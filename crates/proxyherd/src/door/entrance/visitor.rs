//! Somebody who was let in, on the way from the entrance to a service.
//!
//! A service on threads of its own takes the parts ([`Visitor::into_parts`]) and drives TLS itself. A service on the runtime takes
//! a [`VisitorStream`], which is open when its TLS handshake is over ([`Visitor::open`]).

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

/// Somebody who was let in.
#[derive(Debug)]
pub(crate) struct Visitor {
    stream: TcpStream,
    listener: usize,
    caller: Caller,
    ticket: Option<Ticket>,
    entered: Entered,
    tls: Option<Arc<ServerConfig>>,
}

/// A visitor for a service on threads of its own.
#[derive(Debug)]
pub(crate) struct VisitorParts {
    /// The connection, which does not block.
    pub(crate) stream: std::net::TcpStream,
    /// Who it is.
    pub(crate) caller: Caller,
    /// The right to be connected; none where the service bounds its visitors itself.
    pub(crate) ticket: Option<Ticket>,
    /// That it is counted.
    pub(crate) entered: Entered,
    /// What TLS is spoken with, if it is.
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

/// Why a TLS handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeFailed {
    /// It took too long.
    #[error("the TLS handshake was not over within {} s", HANDSHAKE_MAX.as_secs())]
    TooSlow,
    /// The client hung up.
    #[error("it ended the TLS handshake")]
    Ended,
    /// There were too many others.
    #[error("its TLS handshake gave way to newer ones: there were too many at once")]
    Crowded,
    /// The client's first bytes are no TLS.
    #[error("it does not speak TLS, and this address does (`tls://`)")]
    NotTls,
    /// The client sent more than a handshake takes.
    #[error("its TLS handshake is longer than one may be")]
    TooLong,
    /// Anything else that TLS says.
    #[error("the TLS handshake failed: {0}")]
    Tls(rustls::Error),
    /// The network.
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
        // What is written is whole; there is nothing to wait for. Where that can't be set, it is only slower.
        let _ = stream.set_nodelay(true);
        Visitor { stream, listener, caller, ticket, entered, tls }
    }

    /// Who it is.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// At which of the entrance's listening sockets it came.
    pub(crate) fn listener(&self) -> usize {
        self.listener
    }

    /// For a service on threads of its own.
    pub(crate) fn into_parts(self) -> io::Result<VisitorParts> {
        let Visitor { stream, caller, ticket, entered, tls, .. } = self;
        Ok(VisitorParts { stream: stream.into_std()?, caller, ticket, entered, tls })
    }

    /// For a service on the runtime: the stream, once its TLS handshake is over, and that it is counted.
    pub(crate) async fn open(self) -> Result<(VisitorStream, Entered), HandshakeFailed> {
        let Visitor { stream, entered, tls, .. } = self;
        let Some(config) = tls else { return Ok((VisitorStream::Plain(stream), entered)) };
        let accepted = timeout(HANDSHAKE_MAX, TlsAcceptor::from(config).accept(stream)).await;
        match accepted.map_err(|_| HandshakeFailed::TooSlow).and_then(|shaken| Ok(shaken?)) {
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
    /// As the network has it.
    Plain(TcpStream),
    /// Within TLS.
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
