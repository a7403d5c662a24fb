//! Counts the bytes of a link that the network has accepted and delivered.
//!
//! The bytes are counted below the encryption. TLS accepts and delivers whole records, so above TLS a slow network
//! looks like a dead network.

use std::{
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use proxyherd_core::limits::LINK_SILENCE_MAX;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};

use super::Trouble;

/// Bytes of one connection since it began.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    taken: Arc<AtomicU64>,
    brought: Arc<AtomicU64>,
}

impl Meter {
    /// Bytes that the network has delivered.
    pub(super) fn brought(&self) -> u64 {
        self.brought.load(Relaxed)
    }

    /// Waits until `written` is ready, as long as the network accepts some bytes in each [`LINK_SILENCE_MAX`]. So a
    /// slow link does not count as a dead link.
    pub(super) async fn while_taken<T>(
        &self,
        written: impl Future<Output = io::Result<T>>,
    ) -> Result<T, Trouble> {
        let mut written = pin!(written);
        loop {
            let before = self.taken.load(Relaxed);
            match timeout(LINK_SILENCE_MAX, &mut written).await {
                Ok(outcome) => return Ok(outcome?),
                Err(_) if self.taken.load(Relaxed) > before => {}
                Err(_) => return Err(Trouble::Stuck),
            }
        }
    }
}

/// A stream whose bytes are counted.
#[derive(Debug)]
pub(super) struct Metered<S> {
    stream: S,
    meter: Meter,
}

impl<S> Metered<S> {
    pub(super) fn new(stream: S) -> Metered<S> {
        Metered { stream, meter: Meter::default() }
    }

    pub(super) fn meter(&self) -> Meter {
        self.meter.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Metered { stream, meter } = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(stream).poll_read(cx, buffer))?;
        meter.brought.fetch_add((buffer.filled().len() - before) as u64, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Metered { stream, meter } = self.get_mut();
        let len = ready!(Pin::new(stream).poll_write(cx, bytes))?;
        meter.taken.fetch_add(len as u64, Relaxed);
        Poll::Ready(Ok(len))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Metered { stream, meter } = self.get_mut();
        let len = ready!(Pin::new(stream).poll_write_vectored(cx, bytes))?;
        meter.taken.fetch_add(len as u64, Relaxed);
        Poll::Ready(Ok(len))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::{Instant, sleep},
    };

    use super::*;

    /// Writes bytes to a reader. The reader reads 100 bytes after each pause, for the given number of times.
    async fn written(len: usize, pause: Duration, times: usize) -> (Result<(), Trouble>, Duration) {
        let (here, mut there) = duplex(100);
        let mut stream = Metered::new(here);
        let meter = stream.meter();
        tokio::spawn(async move {
            for _ in 0..times {
                sleep(pause).await;
                let mut taken = [0; 100];
                there.read_exact(&mut taken).await.unwrap();
            }
            std::future::pending::<()>().await;
        });
        let began = Instant::now();
        (meter.while_taken(stream.write_all(&vec![0; len])).await, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_some_now_and_then_is_waited_for_and_who_takes_no_more_is_not() {
        let pause = LINK_SILENCE_MAX * 9 / 10;
        let (slow, took) = written(2000, pause, 100).await;
        assert!(slow.is_ok() && took > 15 * pause, "{slow:?} after {took:?}");
        let (dead, took) = written(2000, pause, 5).await;
        assert!(matches!(dead, Err(Trouble::Stuck)), "{dead:?}");
        assert!(took > 5 * pause && took < 5 * pause + 3 * LINK_SILENCE_MAX, "{took:?}");
    }
}
