//! The readers of streams: each has one connection, and remembers what the server has told it.
//!
//! All readers belong to one thread, which polls their sockets and passes each event to [`Readers::take`]. Reading
//! costs little, because the readers share the cores with the server: an event is searched for the client and for the
//! time of its report, and for nothing else.
//!
//! A reader can stop reading ([`Readers::stop`]) and begin again ([`Readers::resume`]). If the server has closed its
//! connection meanwhile, it opens another one with the ID of its last event.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use memchr::memmem;
use mio::{Interest, Poll, Token, net::TcpStream};
use socket2::{Domain, Socket, Type};

use super::event_stream::{Event, EventStream};
use super::town::Town;
use crate::load::Clock;
use crate::stats::Histogram;

/// Length of the receive buffer of a reader that stops, bytes. Linux doubles this. With its own default, a socket takes
/// so much that it would be full only after minutes.
const SMALL_RECEIVE_BUFFER_LEN: usize = 4096;
/// Maximum length of a segment to a reader that stops, bytes: what every host takes (RFC 9293, section 3.7.1). Over
/// loopback, segments are 64 KiB long by default, and the server's send buffer grows with them.
const SMALL_SEGMENT_LEN: u32 = 536;
/// Length of the buffer into which sockets are read, bytes.
const READ_BUFFER_LEN: usize = 64 * 1024;

/// The size of a reader's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SocketSize {
    /// As the system makes it.
    Default,
    /// Small, so that it is soon full when nobody reads.
    Small,
}

/// What the readers were told.
#[derive(Clone)]
pub(super) struct Told {
    pub(super) locations: u64,
    pub(super) left: u64,
    pub(super) resets: u64,
    /// The time from a report to its event, without the events that told a state.
    pub(super) latency: Histogram,
}

impl Told {
    pub(super) fn nothing() -> Told {
        Told { locations: 0, left: 0, resets: 0, latency: Histogram::new() }
    }
}

/// All readers. The reader of the box with a number has the token of the same number.
pub(super) struct Readers {
    address: SocketAddr,
    readers: Vec<Reader>,
    pub(super) told: Told,
    /// Number of readers that read and that were not told `synced` since their connections began.
    pub(super) unsynced: usize,
    clock: Clock,
    buffer: Vec<u8>,
}

/// A reader that does not hold what it must: clients, and the time of each one's report.
#[derive(Debug)]
pub(super) struct WrongReader {
    pub(super) number: usize,
    pub(super) held: Vec<(u32, u64)>,
    pub(super) expected: Vec<(u32, u64)>,
}

struct Reader {
    stream: TcpStream,
    socket_size: SocketSize,
    events: EventStream,
    last_id: Vec<u8>,
    /// The clients that this reader holds, and the time of each one's report.
    held: Vec<(u32, u64)>,
    is_synced: bool,
    is_stopped: bool,
}

impl Readers {
    pub(super) fn none(address: SocketAddr, clock: Clock) -> Readers {
        let buffer = vec![0; READ_BUFFER_LEN];
        Readers { address, readers: Vec::new(), told: Told::nothing(), unsynced: 0, clock, buffer }
    }

    pub(super) fn len(&self) -> usize {
        self.readers.len()
    }

    /// Opens the stream of the next box.
    pub(super) fn open(&mut self, poll: &Poll, socket_size: SocketSize) -> Result<()> {
        let number = self.readers.len();
        let stream = self.connect(poll, number, socket_size, b"")?;
        self.unsynced += 1;
        self.readers.push(Reader {
            stream,
            socket_size,
            events: EventStream::default(),
            last_id: Vec::new(),
            held: Vec::new(),
            is_synced: false,
            is_stopped: false,
        });
        Ok(())
    }

    /// Reads what has arrived for the reader with this number.
    pub(super) fn take(&mut self, poll: &Poll, number: usize, is_closed: bool) -> Result<()> {
        let Some(reader) = self.readers.get_mut(number).filter(|reader| !reader.is_stopped) else {
            return Ok(());
        };
        loop {
            match reader.stream.read(&mut self.buffer) {
                Ok(0) => return self.reconnect(poll, number),
                Ok(len) => {
                    let now_ns = self.clock.unix_ns(Instant::now());
                    let was_synced = reader.is_synced;
                    reader.take(&self.buffer[..len], now_ns, &mut self.told)?;
                    self.unsynced -= usize::from(reader.is_synced && !was_synced);
                    if len < self.buffer.len() && !is_closed {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return self.reconnect(poll, number);
                }
                Err(error) => return Err(error).context("cannot read a stream"),
            }
        }
    }

    /// Makes every reader with a small socket stop.
    pub(super) fn stop(&mut self, poll: &Poll) -> Result<()> {
        for reader in self.readers.iter_mut().filter(|reader| reader.socket_size == SocketSize::Small) {
            reader.is_stopped = true;
            poll.registry().deregister(&mut reader.stream).context("cannot stop watching a stream")?;
        }
        Ok(())
    }

    /// Makes every reader that has stopped read again. Call this for all numbers.
    pub(super) fn resume(&mut self, poll: &Poll, number: usize) -> Result<()> {
        let reader = &mut self.readers[number];
        if !std::mem::take(&mut reader.is_stopped) {
            return Ok(());
        }
        poll.registry()
            .register(&mut reader.stream, Token(number), Interest::READABLE)
            .context("cannot watch a stream")?;
        self.take(poll, number, true)
    }

    /// A reader that reads and holds something else than `expected`, which has the clients of each box.
    pub(super) fn first_wrong(&mut self, expected: &[Vec<(u32, u64)>]) -> Option<WrongReader> {
        let all = self.readers.iter_mut().zip(expected).enumerate();
        let mut reading = all.filter(|(_, (reader, _))| !reader.is_stopped);
        reading.find_map(|(number, (reader, expected))| {
            reader.held.sort_unstable();
            let (held, expected) = (&reader.held, expected);
            (held != expected).then(|| WrongReader { number, held: held.clone(), expected: expected.clone() })
        })
    }

    /// Opens the stream of a reader again whose connection the server has closed. Only a reader that had stopped may
    /// lose its connection.
    fn reconnect(&mut self, poll: &Poll, number: usize) -> Result<()> {
        let (socket_size, last_id) = {
            let reader = &self.readers[number];
            (reader.socket_size, reader.last_id.clone())
        };
        if socket_size == SocketSize::Default {
            bail!("the server closed the stream of a reader that reads");
        }
        let stream = self.connect(poll, number, socket_size, &last_id)?;
        let reader = &mut self.readers[number];
        self.unsynced += usize::from(reader.is_synced);
        (reader.stream, reader.events, reader.is_synced) = (stream, EventStream::default(), false);
        Ok(())
    }

    /// Connects, asks for the box with this number, and registers the socket.
    fn connect(&self, poll: &Poll, number: usize, size: SocketSize, last_id: &[u8]) -> Result<TcpStream> {
        let area = Town::box_text(number as u32);
        let mut stream = request(self.address, size, &area, last_id)
            .with_context(|| format!("cannot open stream {number}"))?;
        poll.registry()
            .register(&mut stream, Token(number), Interest::READABLE)
            .context("cannot watch a stream")?;
        Ok(stream)
    }
}

/// Connects and asks for the stream of an area. The socket does not block afterward.
pub(super) fn request(
    address: SocketAddr,
    size: SocketSize,
    area: &str,
    last_id: &[u8],
) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if size == SocketSize::Small {
        socket.set_recv_buffer_size(SMALL_RECEIVE_BUFFER_LEN)?;
        socket.set_tcp_mss(SMALL_SEGMENT_LEN)?;
    }
    socket.connect(&address.into())?;
    let mut stream = std::net::TcpStream::from(socket);
    let mut text = format!("GET /v1/stream?box={area} HTTP/1.1\r\nHost: {address}\r\n").into_bytes();
    if !last_id.is_empty() {
        text.extend_from_slice(b"Last-Event-ID: ");
        text.extend_from_slice(last_id);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    stream.write_all(&text)?;
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream))
}

impl Reader {
    fn take(&mut self, piece: &[u8], now_ns: u64, told: &mut Told) -> Result<()> {
        let Reader { events, last_id, held, is_synced, .. } = self;
        let mut wrong = None;
        events.take(piece, |event| {
            let Event { id, kind, data } = event;
            last_id.clear();
            last_id.extend_from_slice(id);
            match kind {
                b"location" => match client_of(data).zip(reported_at(data)) {
                    Some((client, stamp)) => {
                        told.locations += 1;
                        if *is_synced {
                            told.latency
                                .record(std::time::Duration::from_nanos(now_ns.saturating_sub(stamp)));
                        }
                        match held.iter_mut().find(|(of, _)| *of == client) {
                            Some((_, at)) => *at = stamp,
                            None => held.push((client, stamp)),
                        }
                    }
                    None => wrong = Some(data.escape_ascii().to_string()),
                },
                b"left" => match client_of(data) {
                    Some(client) => {
                        told.left += 1;
                        held.retain(|(of, _)| *of != client);
                    }
                    None => wrong = Some(data.escape_ascii().to_string()),
                },
                b"reset" => {
                    told.resets += 1;
                    held.clear();
                }
                b"synced" => *is_synced = true,
                _ => wrong = Some(kind.escape_ascii().to_string()),
            }
        })?;
        match wrong {
            Some(wrong) => bail!("the server told something unexpected: {wrong}"),
            None => Ok(()),
        }
    }
}

/// The number of the client in the data of an event. See [`client_name`](crate::load::client_name).
fn client_of(data: &[u8]) -> Option<u32> {
    let digits = data.strip_prefix(b"{\"id\":\"courier-")?.get(..6)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The time of the report in the data of an event, nanoseconds of POSIX time: the end of the AT line.
fn reported_at(data: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"\"at\":\"";
    let line = &data[memmem::find(data, NAME)? + NAME.len()..];
    let line = &line[..memchr::memchr(b'"', line)?];
    let stamp = &line[memchr::memrchr(b' ', line)? + 1..];
    let (seconds, decimals) = stamp.split_at_checked(memchr::memchr(b'.', stamp)?)?;
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u64>().ok();
    (decimals.len() == 10).then_some(())?;
    Some(1_000_000_000 * number(seconds)? + number(&decimals[1..])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &[u8] = b"{\"id\":\"courier-000042.herd.example.com\",\"lat\":48.01,\
        \"at\":\"AT Riley +0.000012345 courier-000042.herd.example.com +48.01+11.02 1621464827.959498503\"}";

    #[test]
    fn the_client_and_the_time_are_found() {
        assert_eq!(client_of(DATA), Some(42));
        assert_eq!(reported_at(DATA), Some(1_621_464_827_959_498_503));
        assert_eq!(client_of(b"{\"id\":\"kiwi\"}"), None);
        assert_eq!(reported_at(b"{\"at\":\"AT Riley\"}"), None);
    }
}
