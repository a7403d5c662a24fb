//! Finds out which version of HTTP a connection speaks, by its first bytes.
//!
//! [`read`] takes the first bytes, and returns the connection with these bytes in front again. hyper-util can find the
//! version, too. But it passes the first bytes to hyper in a read of their own, and then hyper doubles its buffer for
//! the next read. This would take 8 KiB more for each connection of HTTP/1.1 for as long as it lives.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// The first bytes of an HTTP/2 connection (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The version that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HttpVersion {
    One,
    Two,
}

/// Reads the first bytes of a connection. `None`: the client has closed the connection before its first byte.
pub(super) async fn read<S: AsyncRead + Unpin>(mut stream: S) -> io::Result<Option<(HttpVersion, Begun<S>)>> {
    let (mut first, mut len) = ([0; PREFACE.len()], 0);
    while len < first.len() && PREFACE.starts_with(&first[..len]) {
        match stream.read(&mut first[len..]).await? {
            0 if len == 0 => return Ok(None),
            // hyper answers an incomplete request.
            0 => break,
            more => len += more,
        }
    }
    let version = if first[..len] == PREFACE[..] { HttpVersion::Two } else { HttpVersion::One };
    Ok(Some((version, Begun { first, read_len: 0, len, stream })))
}

/// A connection whose first bytes come again.
#[derive(Debug)]
pub(super) struct Begun<S> {
    first: [u8; PREFACE.len()],
    /// Number of these bytes that were read again ...
    read_len: usize,
    /// ... and of all of them.
    len: usize,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let rest = &this.first[this.read_len..this.len];
        if rest.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, into);
        }
        let len = rest.len().min(into.remaining());
        into.put_slice(&rest[..len]);
        this.read_len += len;
        if into.remaining() > 0 {
            // What has arrived since comes with these bytes. An error comes again at the next read.
            let _ = Pin::new(&mut this.stream).poll_read(context, into);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(sent: &[u8], expected: HttpVersion) {
        for cut in 0..=sent.len() {
            let (one, two) = sent.split_at(cut);
            let (version, mut begun) = read(one.chain(two)).await.unwrap().unwrap();
            let mut again = Vec::new();
            begun.read_to_end(&mut again).await.unwrap();
            assert_eq!((version, &*again), (expected, sent), "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn the_first_bytes_tell_the_version_and_come_again() {
        check(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", HttpVersion::One).await;
        check(b"PRI", HttpVersion::One).await;
        check(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\nmore", HttpVersion::One).await;
        check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore", HttpVersion::Two).await;
        assert!(read(&b""[..]).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_has_arrived_comes_with_the_first_bytes_in_one_read() {
        let sent = [b'x'; 1000];
        let (_, mut begun) = read(&sent[..]).await.unwrap().unwrap();
        assert_eq!(begun.read(&mut [0; 2000]).await.unwrap(), 1000);
    }
}
