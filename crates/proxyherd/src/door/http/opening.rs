//! The first bytes of a connection: which version of HTTP they belong to, and a stream that returns them once more.
//!
//! hyper-util can tell the versions apart, too. But it passes the first bytes on apart from the rest, so hyper gets a
//! request in two pieces. Between the two, hyper doubles its buffer, and keeps 16 KiB instead of 8 KiB as long as the
//! connection lives. A stream of events may live for hours. Here the first bytes come together with the rest of a usual
//! request.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// The first bytes of an HTTP/2 connection (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Maximum number of bytes that are returned together. Most requests are shorter.
const OPENING_LEN_MAX: usize = 4 * 1024;

/// The version of HTTP that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HttpVersion {
    /// HTTP/1.0 or HTTP/1.1, or nothing that is known.
    Http1,
    Http2,
}

/// Waits for the first bytes of a connection. Returns a stream that returns these bytes once more.
pub(super) async fn version_of<S>(mut stream: S) -> io::Result<(HttpVersion, ReplayedStream<S>)>
where
    S: AsyncRead + Unpin,
{
    // Many connections wait here for their first request, so the buffer is short.
    let mut first = [0; PREFACE.len()];
    let mut len = 0;
    while len < PREFACE.len() && PREFACE.starts_with(&first[..len]) {
        match stream.read(&mut first[len..]).await? {
            0 => break,
            read_len => len += read_len,
        }
    }
    let first = &first[..len];
    if first == PREFACE {
        return Ok((HttpVersion::Http2, ReplayedStream::new(first.to_vec(), stream)));
    }
    let mut opening = Vec::with_capacity(if len == PREFACE.len() { OPENING_LEN_MAX } else { len });
    opening.extend_from_slice(first);
    if opening.capacity() > len {
        read_more(&mut stream, &mut opening).await?;
    }
    Ok((HttpVersion::Http1, ReplayedStream::new(opening, stream)))
}

/// Appends what has already arrived, up to the capacity of `opening`.
async fn read_more(stream: &mut (impl AsyncRead + Unpin), opening: &mut Vec<u8>) -> io::Result<()> {
    let len = opening.len();
    opening.resize(opening.capacity(), 0);
    let mut room = ReadBuf::new(&mut opening[len..]);
    let read = poll_fn(|context| Poll::Ready(Pin::new(&mut *stream).poll_read(context, &mut room))).await;
    let read_len = room.filled().len();
    opening.truncate(len + read_len);
    match read {
        Poll::Ready(read) => read,
        Poll::Pending => Ok(()),
    }
}

/// A stream that returns bytes that were already read before all others.
#[derive(Debug)]
pub(super) struct ReplayedStream<S> {
    stream: S,
    opening: Vec<u8>,
    /// Number of bytes of `opening` that were returned.
    returned: usize,
}

impl<S> ReplayedStream<S> {
    pub(super) fn new(opening: Vec<u8>, stream: S) -> ReplayedStream<S> {
        ReplayedStream { stream, opening, returned: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReplayedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.opening[self.returned..];
        if rest.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let len = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..len]);
        self.returned += len;
        if self.returned == self.opening.len() {
            (self.opening, self.returned) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReplayedStream<S> {
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
    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    /// The version of a connection that sends these pieces, and everything that is read from it.
    async fn opened(pieces: &[&[u8]]) -> (HttpVersion, Vec<u8>) {
        let (mut client, server) = duplex(64 * 1024);
        let sending = async {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(client);
        };
        let reading = async {
            let (version, mut stream) = version_of(server).await.unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            (version, all)
        };
        tokio::join!(sending, reading).1
    }

    #[tokio::test]
    async fn the_version_is_known_wherever_the_first_bytes_are_cut_and_no_byte_is_lost() {
        let settings = [&PREFACE[..], b"\0\0\0\x04\0\0\0\0\0"].concat();
        let long = [b"GET / HTTP/1.1\r\nx: ", &[b'y'; 2 * OPENING_LEN_MAX][..], b"\r\n\r\n"].concat();
        for (bytes, version) in [
            (&settings[..], HttpVersion::Http2),
            (b"GET /health/livez HTTP/1.1\r\nhost: localhost\r\n\r\n", HttpVersion::Http1),
            (b"PRI * HTTP/1.1\r\nhost: localhost\r\n\r\n", HttpVersion::Http1),
            (b"PRI", HttpVersion::Http1),
            (b"", HttpVersion::Http1),
            (&long, HttpVersion::Http1),
        ] {
            for cut in 0..bytes.len().min(40) {
                let (one, other) = bytes.split_at(cut);
                assert_eq!(opened(&[one, other]).await, (version, bytes.to_vec()), "cut at {cut}");
            }
        }
    }

    #[tokio::test]
    async fn a_usual_request_is_returned_in_one_piece() {
        let request = b"GET /v1/stream?box=48.00,11.00,48.02,11.05 HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let (mut client, server) = duplex(1024);
        client.write_all(request).await.unwrap();
        let (_, mut stream) = version_of(server).await.unwrap();
        let mut buffer = [0; 1024];
        let len = stream.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..len], request);
        assert_eq!(stream.opening.capacity(), 0, "the memory is given back");
    }
}
