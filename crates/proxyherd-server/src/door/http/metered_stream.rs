//! A connection's byte stream. The stream reports to the connection's slot how many bytes it reads, and when the socket
//! has taken all bytes that were written. Writing fails when the socket takes nothing for too long; the slot says how
//! long that is.
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
    time::{Instant, Sleep, sleep_until},
};

use super::slot::ConnectionSlot;

/// A stream whose input is counted at a slot.
pub(super) struct MeteredStream<S> {
    // Fields are dropped in this order, so the socket is closed before another connection gets the slot.
    stream: S,
    slot: Arc<ConnectionSlot>,
    /// Since when the socket takes nothing, although there is something to write.
    stuck_since: Option<Instant>,
    /// Wakes the task when this has lasted too long. It is there once the socket has taken nothing for the first time.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> MeteredStream<S> {
    pub(super) fn new(stream: S, slot: Arc<ConnectionSlot>) -> MeteredStream<S> {
        MeteredStream { stream, slot, stuck_since: None, timer: None }
    }

    /// Passes on the result of a write to the socket, or an error if the socket has taken nothing for too long.
    fn in_time<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stuck_since = None;
            return polled;
        }
        let MeteredStream { slot, timer, .. } = self;
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now())));
        let since = *self.stuck_since.get_or_insert_with(|| {
            let now = Instant::now();
            timer.as_mut().reset(now + slot.write_timeout());
            now
        });
        while timer.as_mut().poll(context).is_ready() {
            // A request can have become a stream meanwhile.
            let timeout = slot.write_timeout();
            if since.elapsed() >= timeout {
                slot.cut();
                let message = format!("the client has taken nothing for {} s", timeout.as_secs());
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)));
            }
            timer.as_mut().reset(since + timeout);
        }
        Poll::Pending
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
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(polled, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        ready!(self.in_time(polled, context))?;
        self.slot.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.in_time(polled, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.in_time(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
