//! A connection's byte stream. The stream reports to the connection's slot how many bytes it reads, and when the socket
//! has taken all bytes that were written.
//!
//! The stream keeps the slot as long as the stream lives. When a connection is upgraded, another protocol takes over
//! its stream, so the connection keeps its slot. Reading fails when the slot allows no more input.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::slot::ConnectionSlot;

/// A stream whose input is counted at a slot.
pub(super) struct MeteredStream<S> {
    // Fields are dropped in this order, so the socket is closed before another connection gets the slot.
    stream: S,
    slot: Arc<ConnectionSlot>,
}

impl<S> MeteredStream<S> {
    pub(super) fn new(stream: S, slot: Arc<ConnectionSlot>) -> MeteredStream<S> {
        MeteredStream { stream, slot }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MeteredStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let len = buffer.filled().len() - before;
        Poll::Ready(self.slot.received(len, Instant::now()).map_err(io::Error::other))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MeteredStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.slot.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
