//! A connection's socket, plain or with TLS. It reads and writes the protocol's bytes, and never waits.
//!
//! TLS is `rustls` without its own I/O. Each turn reads once from the network, into a buffer that the connections of a
//! thread share, and decrypts everything that it has read. No decrypted bytes therefore stay in TLS between turns, and
//! with and without TLS a read that does not fill the buffer has emptied the socket. This module does not know what the
//! bytes mean.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    sync::Arc,
};

use mio::{event::Event, net::TcpStream};
use rustls::{ServerConfig, ServerConnection};

use super::close_reason::CloseReason;
use crate::door::entrance::HandshakeFailed;

/// How many bytes decrypting may bring beyond those of one read: a record whose start came with an earlier read.
pub(super) const RECORD_LEN_MAX: usize = 20 * 1024;
/// Most bytes of a client in a row that bring no data to its protocol: handshakes, the start of a record, messages of
/// TLS itself. A connection with more is closed.
const UNDECRYPTED_LEN_MAX: usize = 32 * 1024;

/// The socket of one connection.
pub(super) struct Socket {
    stream: TcpStream,
    tls: Option<Box<TlsSession>>,
    /// Whether a read may bring something.
    is_readable: bool,
    /// Whether the system has said that the client ended its sending half. Then a short read is not the last one: the
    /// end is still to be read.
    is_read_closed: bool,
    /// Whether the system has said that the connection has failed.
    has_failed: bool,
}

/// What a read brought.
#[derive(Debug)]
pub(super) enum ReadOutcome {
    /// This many bytes for the protocol.
    Bytes(usize),
    /// Nothing for the protocol now.
    Nothing,
    /// The client has ended its sending half.
    Ended,
}

/// The TLS of one connection.
struct TlsSession {
    session: ServerConnection,
    /// How many bytes the client has sent since the last data for its protocol. TLS holds no more than these.
    undecrypted_len: usize,
    /// What TLS refused. The next read returns it, so that the protocol takes what came before it.
    failure: Option<rustls::Error>,
    /// Whether the client has ended its sending half within TLS (`close_notify`).
    has_ended: bool,
    has_sent_close_notify: bool,
    /// About how many bytes wait in TLS to be written.
    unsent_len: usize,
}

impl Socket {
    /// The error says that the configuration of TLS can't work.
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

    /// Notes what the system says of the socket.
    pub(super) fn note(&mut self, event: &Event) {
        self.is_readable |= event.is_readable();
        self.is_read_closed |= event.is_read_closed();
        self.has_failed |= event.is_error();
    }

    /// Has the next turn read, whether or not something has come.
    pub(super) fn expect_input(&mut self) {
        self.is_readable = true;
    }

    /// Whether the system has said that the connection has failed.
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

    /// Reads once. `wire` is a buffer for encrypted bytes. `into` takes the protocol's bytes; it must be longer than
    /// `wire` by [`RECORD_LEN_MAX`], which only TLS uses.
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

    /// A read that has not filled the buffer has emptied the socket. Only the end may still be to come.
    fn after_read(&mut self, len: Option<usize>, room: usize) -> ReadOutcome {
        self.is_readable = len.is_some_and(|len| len == room || self.is_read_closed);
        match len {
            Some(0) => ReadOutcome::Ended,
            Some(len) => ReadOutcome::Bytes(len),
            None => ReadOutcome::Nothing,
        }
    }

    /// Reads bytes that nobody needs. False at the end.
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

    /// Writes until all is written or the socket takes no more. Says how many of `bytes` are written or kept by TLS.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => write_some(&mut self.stream, bytes),
            Some(tls) => tls.write(bytes, &mut self.stream),
        }
    }

    /// Writes more of what TLS keeps. Says whether that was all.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        self.tls.as_mut().map_or(Ok(true), |tls| tls.flush(&mut self.stream))
    }

    /// About how many bytes TLS keeps that the socket has not taken.
    pub(super) fn unsent_len(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.unsent_len)
    }

    /// About how many of the client's bytes TLS keeps because it can't decrypt them yet.
    pub(super) fn undecrypted_len(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.undecrypted_len)
    }

    /// Whether TLS keeps anything that the socket has not taken.
    pub(super) fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.session.wants_write())
    }

    /// Tells the client, within TLS, that nothing more will come. Says whether all is written. Without TLS there is
    /// nothing to tell.
    pub(super) fn send_close_notify(&mut self) -> io::Result<bool> {
        if let Some(tls) = &mut self.tls
            && !std::mem::replace(&mut tls.has_sent_close_notify, true)
        {
            tls.session.send_close_notify();
        }
        self.flush()
    }

    /// Tells the client, by the network, that nothing more will come.
    pub(super) fn shut_down_sending(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }
}

impl TlsSession {
    /// Decrypts what has come, and says how many bytes that brought. Whatever comes behind an error is dropped, and the
    /// next read returns the error.
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
            // TLS takes a few records of the greatest length at once.
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

/// Reads once. `None`: there is nothing to read now.
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

/// Writes until all is written or the socket takes no more. Says how many bytes that was.
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
