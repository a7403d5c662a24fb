//! A connection's socket, plain or within TLS: both read and write the protocol's bytes without waiting.
//!
//! TLS is `rustls` without I/O. Each turn reads once from the network, into a buffer that the connections of a thread share,
//! and everything that was read is decrypted in the same turn. So no plain bytes stay behind in TLS, and a read that leaves
//! room has emptied the socket, encrypted or not.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    sync::Arc,
};

use mio::net::TcpStream;
use rustls::{ServerConfig, ServerConnection};

use super::close_reason::CloseReason;
use crate::door::entrance::HandshakeFailed;

/// How many more bytes than one read brings decrypting it may bring: a record, whose beginning came before.
pub(super) const RECORD_LEN_MAX: usize = 20 * 1024;
/// Most bytes of a client that bring nothing to its protocol: those of a handshake, of a record that is not whole yet, of
/// what TLS says of itself. A connection with more is closed.
const UNDECRYPTED_LEN_MAX: usize = 32 * 1024;

pub(super) struct Socket {
    stream: TcpStream,
    tls: Option<Box<Tls>>,
    /// Whether a read may bring something, as far as is known.
    is_readable: bool,
    /// Whether the network says that the client's end is closed: then a short read is not the last one.
    is_read_closed: bool,
}

/// What a read brought.
#[derive(Debug)]
pub(super) enum ReadOutcome {
    /// So many bytes for the protocol.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// Nothing ever again.
    Ended,
}

struct Tls {
    session: ServerConnection,
    /// How many bytes the client has sent since the last ones that were for its protocol. TLS holds no more than these.
    undecrypted_len: usize,
    /// What is wrong, once what came before it has been taken.
    failure: Option<rustls::Error>,
    /// Whether the client has said that it will say nothing more.
    is_over: bool,
    has_sent_close_notify: bool,
    /// About how many bytes wait in TLS to be written.
    unsent_len: usize,
}

impl Socket {
    /// The error is that of a configuration that can't work.
    pub(super) fn new(
        stream: std::net::TcpStream,
        tls: Option<Arc<ServerConfig>>,
    ) -> Result<Socket, rustls::Error> {
        let tls = match tls {
            Some(config) => Some(Box::new(Tls {
                session: ServerConnection::new(config)?,
                undecrypted_len: 0,
                failure: None,
                is_over: false,
                has_sent_close_notify: false,
                unsent_len: 0,
            })),
            None => None,
        };
        Ok(Socket { stream: TcpStream::from_std(stream), tls, is_readable: false, is_read_closed: false })
    }

    pub(super) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Takes note of what the network says of the socket.
    pub(super) fn note(&mut self, is_readable: bool, is_read_closed: bool) {
        self.is_readable |= is_readable;
        self.is_read_closed |= is_read_closed;
    }

    pub(super) fn is_readable(&self) -> bool {
        self.is_readable
    }

    /// Whether the client and this server have not agreed on their keys yet.
    pub(super) fn is_in_handshake(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.session.is_handshaking())
    }

    /// Reads once. `into` has room for as much as `wire`, and for [`RECORD_LEN_MAX`] bytes more, which only TLS uses.
    pub(super) fn read(&mut self, into: &mut [u8], wire: &mut [u8]) -> Result<ReadOutcome, CloseReason> {
        let Some(tls) = &mut self.tls else {
            let room = into.len() - RECORD_LEN_MAX;
            let len = read_once(&mut self.stream, &mut into[..room])?;
            return Ok(self.after_read(len, room));
        };
        if let Some(error) = tls.failure.take() {
            return Err(tls.failed(error));
        }
        if tls.is_over {
            return Ok(ReadOutcome::Ended);
        }
        let len = match read_once(&mut self.stream, wire)? {
            Some(0) if tls.session.is_handshaking() => {
                return Err(CloseReason::Handshake(HandshakeFailed::Ended));
            }
            Some(0) => return Err(CloseReason::Truncated),
            len => len,
        };
        let taken = tls.take(&wire[..len.unwrap_or(0)], into)?;
        tls.flush(&mut self.stream)?;
        let has_more = tls.is_over || tls.failure.is_some();
        let got = self.after_read(len, wire.len());
        self.is_readable |= has_more;
        Ok(if matches!(got, ReadOutcome::Bytes(_)) && taken > 0 {
            ReadOutcome::Bytes(taken)
        } else {
            ReadOutcome::Nothing
        })
    }

    /// A read that leaves room has emptied the socket; only its end may still be to come.
    fn after_read(&mut self, len: Option<usize>, room: usize) -> ReadOutcome {
        self.is_readable = len.is_some_and(|len| len == room || self.is_read_closed);
        match len {
            Some(0) => ReadOutcome::Ended,
            Some(len) => ReadOutcome::Bytes(len),
            None => ReadOutcome::Nothing,
        }
    }

    /// Reads what nobody wants to know. False at the end.
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

    /// Writes until all is written or the socket takes no more; says how much of `bytes` needs no keeping.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => write_some(&mut self.stream, bytes),
            Some(tls) => tls.write(bytes, &mut self.stream),
        }
    }

    /// Writes more of what TLS holds. Says whether that was all.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        self.tls.as_mut().map_or(Ok(true), |tls| tls.flush(&mut self.stream))
    }

    /// About how many bytes TLS holds that the socket has not taken.
    pub(super) fn unsent_len(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.unsent_len)
    }

    /// About how many bytes of the client TLS holds that it can't decrypt yet.
    pub(super) fn undecrypted_len(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.undecrypted_len)
    }

    /// Whether TLS holds anything that the socket has not taken.
    pub(super) fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.session.wants_write())
    }

    /// Says within TLS that nothing more will come. Says whether all is written.
    pub(super) fn send_close_notify(&mut self) -> io::Result<bool> {
        if let Some(tls) = &mut self.tls
            && !std::mem::replace(&mut tls.has_sent_close_notify, true)
        {
            tls.session.send_close_notify();
        }
        self.flush()
    }

    /// Closes this end.
    pub(super) fn shut_down_sending(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }
}

impl Tls {
    /// Decrypts what has come. What is behind an error does not count, and the error comes with the next read.
    fn take(&mut self, mut wire: &[u8], into: &mut [u8]) -> Result<usize, CloseReason> {
        let mut taken = 0;
        while !wire.is_empty() && !self.is_over && self.failure.is_none() {
            let (was_in_handshake, before) = (self.session.is_handshaking(), wire.len());
            self.session.read_tls(&mut wire)?;
            self.undecrypted_len += before - wire.len();
            if self.undecrypted_len > UNDECRYPTED_LEN_MAX {
                return Err(match was_in_handshake {
                    true => CloseReason::Handshake(HandshakeFailed::TooLong),
                    false => CloseReason::Tls(rustls::Error::General(
                        "32 KiB came in a row without data".to_owned(),
                    )),
                });
            }
            self.failure = self.session.process_new_packets().err();
            let len = self.take_plain(&mut into[taken..])?;
            if len > 0 {
                self.undecrypted_len = 0;
            }
            taken += len;
        }
        Ok(taken)
    }

    fn take_plain(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut taken = 0;
        loop {
            assert!(taken < into.len(), "there is room for all that was read, and for a record");
            match self.session.reader().read(&mut into[taken..]) {
                Ok(0) => {
                    self.is_over = true;
                    return Ok(taken);
                }
                Ok(len) => taken += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(taken),
                Err(error) => return Err(error),
            }
        }
    }

    fn failed(&self, error: rustls::Error) -> CloseReason {
        if self.session.is_handshaking() {
            CloseReason::Handshake(error.into())
        } else {
            CloseReason::Tls(error)
        }
    }

    fn write(&mut self, bytes: &[u8], stream: &mut TcpStream) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            // TLS takes so much that a few records of the greatest length are under way.
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

/// `None` if there is nothing to read now.
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

/// Writes until all is written or the socket takes no more; says how much that was.
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
