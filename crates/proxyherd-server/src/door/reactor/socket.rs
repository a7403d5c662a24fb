//! A connection's socket, plain or with TLS. The socket reads and writes the protocol's bytes, and never waits.
//!
//! TLS is `rustls` without its own I/O. Each turn reads once from the network into a buffer that the connections of a
//! thread share. The turn then decrypts everything that it has read. So no decrypted bytes stay in TLS between turns.
//! With and without TLS, a read that does not fill the buffer has emptied the socket. This module does not know what
//! the bytes mean.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    sync::Arc,
};

use mio::{event::Event, net::TcpStream};
use rustls::{ServerConfig, ServerConnection};

use super::close_reason::CloseReason;
use crate::door::entrance::HandshakeFailed;

/// Maximum number of decrypted bytes in excess of the bytes of one read. They come from a record whose start came with
/// an earlier read.
pub(super) const RECORD_LEN_MAX: usize = 20 * 1024;
/// Maximum number of consecutive bytes from a client that contain no data for the protocol: handshakes, the start of a
/// record, messages of TLS itself. After more such bytes the connection is closed.
const UNDECRYPTED_LEN_MAX: usize = 32 * 1024;

/// The socket of one connection.
pub(super) struct Socket {
    stream: TcpStream,
    tls: Option<Box<TlsSession>>,
    /// Whether a read may return something.
    is_readable: bool,
    /// Whether the system has reported that the client shut down its sending side (half-close). If so, a read that does
    /// not fill the buffer is not the last read: the next read returns the end.
    is_read_closed: bool,
    /// Whether the system has reported that the connection has failed.
    has_failed: bool,
}

/// The result of a read.
#[derive(Debug)]
pub(super) enum ReadOutcome {
    /// This many bytes for the protocol.
    Bytes(usize),
    /// Nothing for the protocol now.
    Nothing,
    /// The client has shut down its sending side.
    Ended,
}

/// The TLS of one connection.
struct TlsSession {
    session: ServerConnection,
    /// Number of bytes that the client has sent since the last data for its protocol. TLS holds no more bytes than
    /// these.
    undecrypted_len: usize,
    /// An error of TLS. The next read returns the error, so the protocol takes the data before the error first.
    failure: Option<rustls::Error>,
    /// Whether the client has shut down its sending side within TLS (`close_notify`).
    has_ended: bool,
    has_sent_close_notify: bool,
    /// Approximate number of bytes that wait in TLS to be written.
    unsent_len: usize,
}

impl Socket {
    /// An error means that the TLS configuration can't work.
    pub(super) fn new(
        stream: std::net::TcpStream,
        tls: Option<Arc<ServerConfig>>,
    ) -> Result<Socket, rustls::Error> {
        let tls = match tls {
            Some(config) => Some(Box::new(TlsSession {
                session: ServerConnection::new(config)?,
                undecrypted_len: 0,
                failure: None,
                has_ended: false,
                has_sent_close_notify: false,
                unsent_len: 0,
            })),
            None => None,
        };
        let stream = TcpStream::from_std(stream);
        Ok(Socket { stream, tls, is_readable: false, is_read_closed: false, has_failed: false })
    }

    pub(super) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Records what the system reports about the socket.
    pub(super) fn note(&mut self, event: &Event) {
        self.is_readable |= event.is_readable();
        self.is_read_closed |= event.is_read_closed();
        self.has_failed |= event.is_error();
    }

    /// Makes the next turn read, even if no event has come.
    pub(super) fn expect_input(&mut self) {
        self.is_readable = true;
    }

    /// Whether the system has reported that the connection has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Why the connection has failed.
    pub(super) fn failure(&self) -> io::Error {
        match self.stream.take_error() {
            Ok(Some(error)) | Err(error) => error,
            Ok(None) => io::ErrorKind::ConnectionReset.into(),
        }
    }

    pub(super) fn is_readable(&self) -> bool {
        self.is_readable
    }

    /// Whether the TLS handshake is not over yet.
    pub(super) fn is_in_handshake(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.session.is_handshaking())
    }

    /// Reads once. `wire` is a buffer for encrypted bytes. `into` receives the protocol's bytes. `into` must be longer
    /// than `wire` by [`RECORD_LEN_MAX`] bytes, which only TLS uses.
    pub(super) fn read(&mut self, into: &mut [u8], wire: &mut [u8]) -> Result<ReadOutcome, CloseReason> {
        let Some(tls) = &mut self.tls else {
            let room = into.len() - RECORD_LEN_MAX;
            let len = read_once(&mut self.stream, &mut into[..room])?;
            return Ok(self.after_read(len, room));
        };
        if let Some(error) = tls.failure.take() {
            return Err(tls.close_reason(error));
        }
        if tls.has_ended {
            return Ok(ReadOutcome::Ended);
        }
        let len = match read_once(&mut self.stream, wire)? {
            Some(0) if tls.session.is_handshaking() => {
                return Err(CloseReason::Handshake(HandshakeFailed::Ended));
            }
            Some(0) => return Err(CloseReason::Truncated),
            len => len,
        };
        let decrypted_len = tls.decrypt(&wire[..len.unwrap_or(0)], into)?;
        tls.flush(&mut self.stream)?;
        let has_more = tls.has_ended || tls.failure.is_some();
        let outcome = self.after_read(len, wire.len());
        self.is_readable |= has_more;
        Ok(if matches!(outcome, ReadOutcome::Bytes(_)) && decrypted_len > 0 {
            ReadOutcome::Bytes(decrypted_len)
        } else {
            ReadOutcome::Nothing
        })
    }

    /// Records the length of a read. A read that has not filled the buffer has emptied the socket. Only the end may
    /// still follow.
    fn after_read(&mut self, len: Option<usize>, room: usize) -> ReadOutcome {
        self.is_readable = len.is_some_and(|len| len == room || self.is_read_closed);
        match len {
            Some(0) => ReadOutcome::Ended,
            Some(len) => ReadOutcome::Bytes(len),
            None => ReadOutcome::Nothing,
        }
    }

    /// Reads and discards bytes. Returns false at the end.
    pub(super) fn discard(&mut self, into: &mut [u8]) -> bool {
        match read_once(&mut self.stream, into) {
            Ok(Some(1..)) => true,
            Ok(None) => {
                self.is_readable = false;
                true
            }
            Ok(Some(0)) | Err(_) => false,
        }
    }

    /// Writes until all bytes are written or the socket accepts no more. Returns how many of `bytes` are written or
    /// kept by TLS.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => write_some(&mut self.stream, bytes),
            Some(tls) => tls.write(bytes, &mut self.stream),
        }
    }

    /// Writes more of the bytes that TLS keeps. Returns whether TLS keeps no more.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        self.tls.as_mut().map_or(Ok(true), |tls| tls.flush(&mut self.stream))
    }

    /// Approximate number of bytes that TLS keeps because the socket has not accepted them.
    pub(super) fn unsent_len(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.unsent_len)
    }

    /// Approximate number of the client's bytes that TLS keeps because it can't decrypt them yet.
    pub(super) fn undecrypted_len(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.undecrypted_len)
    }

    /// Whether TLS keeps any bytes that the socket has not accepted.
    pub(super) fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.session.wants_write())
    }

    /// Tells the client, within TLS, that no more bytes follow (`close_notify`). Returns whether everything is written.
    /// Without TLS this does nothing.
    pub(super) fn send_close_notify(&mut self) -> io::Result<bool> {
        if let Some(tls) = &mut self.tls
            && !std::mem::replace(&mut tls.has_sent_close_notify, true)
        {
            tls.session.send_close_notify();
        }
        self.flush()
    }

    /// Shuts down the sending side of the TCP connection, which tells the client that no more bytes follow.
    pub(super) fn shut_down_sending(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }
}

impl TlsSession {
    /// Decrypts the bytes that have arrived. Returns the number of decrypted bytes. Bytes after an error are dropped,
    /// and the next read returns the error.
    fn decrypt(&mut self, mut wire: &[u8], into: &mut [u8]) -> Result<usize, CloseReason> {
        let mut decrypted_len = 0;
        while !wire.is_empty() && !self.has_ended && self.failure.is_none() {
            let (was_in_handshake, before) = (self.session.is_handshaking(), wire.len());
            self.session.read_tls(&mut wire)?;
            self.undecrypted_len += before - wire.len();
            if self.undecrypted_len > UNDECRYPTED_LEN_MAX {
                return Err(match was_in_handshake {
                    true => CloseReason::Handshake(HandshakeFailed::TooLong),
                    false => CloseReason::TlsWithoutData(UNDECRYPTED_LEN_MAX),
                });
            }
            self.failure = self.session.process_new_packets().err();
            let len = self.take_decrypted(&mut into[decrypted_len..])?;
            if len > 0 {
                self.undecrypted_len = 0;
            }
            decrypted_len += len;
        }
        Ok(decrypted_len)
    }

    fn take_decrypted(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut taken_len = 0;
        loop {
            assert!(taken_len < into.len(), "there is room for all that was read, and for a record");
            match self.session.reader().read(&mut into[taken_len..]) {
                Ok(0) => {
                    self.has_ended = true;
                    return Ok(taken_len);
                }
                Ok(len) => taken_len += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(taken_len),
                Err(error) => return Err(error),
            }
        }
    }

    fn close_reason(&self, error: rustls::Error) -> CloseReason {
        if self.session.is_handshaking() {
            CloseReason::Handshake(error.into())
        } else {
            CloseReason::Tls(error)
        }
    }

    fn write(&mut self, bytes: &[u8], stream: &mut TcpStream) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            // TLS accepts a few records of maximum length at once.
            let len = self.session.writer().write(&bytes[written..])?;
            written += len;
            self.unsent_len += len;
            if !self.flush(stream)? {
                break;
            }
        }
        Ok(written)
    }

    fn flush(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(stream) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => self.unsent_len = self.unsent_len.saturating_sub(len),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.unsent_len = 0;
        Ok(true)
    }
}

/// Reads once. `None`: nothing can be read now.
fn read_once(stream: &mut TcpStream, into: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match stream.read(into) {
            Ok(len) => return Ok(Some(len)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes until all bytes are written or the socket accepts no more. Returns the number of bytes written.
fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => written += len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}
