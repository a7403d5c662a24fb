//! One client's connection: reads, answers and writes in turn until either end has had enough.
//!
//! Reads land in a buffer that all connections of a thread share, and replies are gathered in another, so an
//! idle connection owns no buffers, and a busy one copies nothing but the start of a line whose end has not
//! come yet. A connection reads again only when its replies are written: whoever does not read is not read from.
//!
//! It never waits: a turn does what can be done now and says what it is waiting for. It does not know who calls.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr},
    time::{Duration, Instant},
};

use mio::net::TcpStream;
use proxyherd_core::{codec::line::Lines, limits::LINE_LEN_MAX};

use super::batch::{self, End, Handled};
use crate::{
    admission::Ticket, caller::Caller, clock, config::Limits, herd::Herd, log::Direction, places::Question,
};

/// How much is read at once, bytes.
const READ_LEN: usize = 64 * 1024;
/// How long a client that is turned out may take to notice.
const PARTING_MAX: Duration = Duration::from_secs(1);
/// Buffers that a connection owns for a while are given back when they are larger than this, bytes.
const KEPT_LEN_MAX: usize = 4 * 1024;
/// A connection that brings so many lines in one read is a busy one.
const BUSY_LINES: u64 = 16;

/// Why a connection was closed before its client closed it.
#[derive(Debug)]
pub(super) enum Closed {
    /// The network says so.
    Broken(io::Error),
    /// A line was longer than lines may be.
    LineTooLong,
    /// A line was the request line of HTTP.
    HttpRequest,
    /// The rest of a line did not come.
    HalfLine(Duration),
    /// Nothing came for long.
    Idle(Duration),
    /// The client did not take its replies.
    NotReading(Duration),
    /// More of its replies and lines wait than there is room for.
    NoRoom,
    /// The server is stopping.
    Stopping,
}

impl Closed {
    /// Whether the client did something that it should not.
    pub(super) fn is_fault(&self) -> bool {
        match self {
            Closed::LineTooLong
            | Closed::HttpRequest
            | Closed::HalfLine(_)
            | Closed::NotReading(_)
            | Closed::NoRoom => true,
            Closed::Broken(_) | Closed::Idle(_) | Closed::Stopping => false,
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Closed::Broken(error) => write!(f, "{error}"),
            Closed::LineTooLong => write!(f, "a line of more than {LINE_LEN_MAX} bytes"),
            Closed::HttpRequest => {
                write!(
                    f,
                    "it sent an HTTP request, which belongs to the server's `http` port; what came behind its first line \
                     was not read"
                )
            }
            Closed::HalfLine(limit) => write!(f, "a line's end did not come within {} s", limit.as_secs()),
            Closed::Idle(limit) => write!(f, "nothing came for {} s", limit.as_secs()),
            Closed::NotReading(limit) => write!(f, "it did not take its replies for {} s", limit.as_secs()),
            Closed::NoRoom => {
                write!(
                    f,
                    "it asked for more than it took, and there is no more room for that (`buffers_mb` in [limits])"
                )
            }
            Closed::Stopping => write!(f, "this server is stopping"),
        }
    }
}

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Closed {
        Closed::Broken(error)
    }
}

/// Buffers of a thread, for the time of one turn.
pub(super) struct Scratch {
    input: Box<[u8]>,
    replies: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Scratch {
        let input = vec![0; LINE_LEN_MAX + 1 + READ_LEN].into_boxed_slice();
        Scratch { input, replies: Vec::with_capacity(READ_LEN) }
    }
}

/// What a turn leaves to be done.
pub(super) enum Next {
    /// Nothing, until the socket or the time says so.
    Wait,
    /// More, when others have had their turn.
    Again,
    /// Wait for the answer about places, and bring the rest of the reply.
    Ask(Box<Question>, u8),
    /// It is over; `Ok` if that was the client's wish.
    Close(Result<(), Closed>),
}

/// What a connection is about.
enum Phase {
    /// Lines are read and answered.
    Serving,
    /// The places have been asked, and nothing is read until they have answered.
    Asking,
    /// The client has sent its last line, and only the replies are to be written.
    Finishing,
    /// The client is being turned out. It is told so in time for the last replies to arrive: closing while input
    /// lies unread would reset the connection and take them away from it.
    Parting(Parting),
}

impl Phase {
    fn parting(reason: Closed) -> Phase {
        Phase::Parting(Parting { reason: Some(reason), since: None })
    }
}

struct Parting {
    reason: Option<Closed>,
    /// When this end was closed, once the last replies were written.
    since: Option<Instant>,
}

pub(super) struct Connection {
    stream: TcpStream,
    caller: Caller,
    serial: u64,
    lines: Lines,
    phase: Phase,
    /// Input that is not done with: the start of a line, or lines behind one that has to wait.
    held: Vec<u8>,
    /// Replies that the socket has not taken yet, and how many bytes of them it has.
    unsent: Vec<u8>,
    sent: usize,
    /// Whether `held` may hold complete lines.
    has_lines: bool,
    /// Whether a read may bring something, as far as is known.
    is_readable: bool,
    /// Whether the client has closed its end: then a short read is not the last one.
    is_read_closed: bool,
    has_ended: bool,
    is_busy: bool,
    /// Whether it stands on its reactor's list.
    pub(super) is_queued: bool,
    /// Whether it has been sent where busy connections go.
    pub(super) has_moved: bool,
    heard: Instant,
    line_began: Option<Instant>,
    /// Since when replies have been waiting for the client to take them.
    write_began: Option<Instant>,
    /// Until when nothing is read, because its address is over its rate.
    paced_until: Option<Instant>,
    ticket: Ticket,
}

impl Connection {
    pub(super) fn new(ticket: Ticket, stream: std::net::TcpStream, caller: Caller) -> Connection {
        Connection {
            stream: TcpStream::from_std(stream),
            caller,
            serial: 0,
            lines: Lines::default(),
            phase: Phase::Serving,
            held: Vec::new(),
            unsent: Vec::new(),
            sent: 0,
            has_lines: false,
            is_readable: false,
            is_read_closed: false,
            has_ended: false,
            is_busy: false,
            is_queued: false,
            has_moved: false,
            heard: Instant::now(),
            line_began: None,
            write_began: None,
            paced_until: None,
            ticket,
        }
    }

    /// A reactor has taken it, and knows it by this number.
    pub(super) fn begin(&mut self, serial: u64, now: Instant) {
        self.serial = serial;
        self.heard = self.heard.max(now);
    }

    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    pub(super) fn client(&self) -> SocketAddr {
        self.caller.address
    }

    pub(super) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Takes note of what the socket says of itself.
    pub(super) fn note(&mut self, is_readable: bool, is_read_closed: bool) {
        self.is_readable |= is_readable;
        self.is_read_closed |= is_read_closed;
    }

    /// Whether a turn would do anything.
    pub(super) fn wants_turn(&self) -> bool {
        self.is_readable || self.has_lines || !self.unsent.is_empty()
    }

    /// Whether it brings many lines at once and has not been moved for that. In the middle of a question it stays.
    pub(super) fn is_to_move(&self) -> bool {
        self.is_busy && !self.has_moved && matches!(self.phase, Phase::Serving)
    }

    /// The rest of a reply whose AT line has been handed over before.
    pub(super) fn take_reply(&mut self, herd: &Herd, reply: &[u8], now: Instant) {
        self.log(herd, Direction::Out, reply, 1);
        self.phase = Phase::Serving;
        // Until now it was for the places to say something.
        self.heard = now;
        self.line_began = self.line_began.map(|_| now);
        self.unsent.extend_from_slice(reply);
        self.write_began.get_or_insert(now);
    }

    /// When it wants a turn though its socket says nothing, if it does.
    pub(super) fn paced_until(&self) -> Option<Instant> {
        self.paced_until
    }

    /// Does what can be done without waiting: reads once, answers every line, writes once.
    pub(super) fn turn(&mut self, herd: &Herd, scratch: &mut Scratch, now: Instant) -> Next {
        self.try_turn(herd, scratch, now).unwrap_or_else(|closed| Next::Close(Err(closed)))
    }

    fn try_turn(&mut self, herd: &Herd, scratch: &mut Scratch, now: Instant) -> Result<Next, Closed> {
        if !self.write_rest()? {
            return Ok(Next::Wait);
        }
        self.paced_until = None;
        match &self.phase {
            Phase::Asking => Ok(Next::Wait),
            Phase::Finishing => Ok(Next::Close(Ok(()))),
            Phase::Parting(_) => self.part(scratch, now),
            Phase::Serving if self.has_lines || self.is_readable => match self.lines_allowed(herd) {
                Ok(most) if self.has_lines => self.answer_held(herd, scratch, most, now),
                Ok(most) => self.read(herd, scratch, most, now),
                Err(wait) => {
                    self.paced_until = Some(now + wait);
                    Ok(Next::Wait)
                }
            },
            Phase::Serving if herd.is_draining() => Err(Closed::Stopping),
            Phase::Serving => Ok(Next::Wait),
        }
    }

    /// How many lines may be answered now, or when to ask again. What has come before a stop is answered.
    fn lines_allowed(&self, herd: &Herd) -> Result<u64, Duration> {
        if herd.is_draining() { Ok(u64::MAX) } else { self.ticket.lines_allowed(clock::monotonic_ns) }
    }

    fn read(&mut self, herd: &Herd, scratch: &mut Scratch, most: u64, now: Instant) -> Result<Next, Closed> {
        let Scratch { input, replies } = scratch;
        let held_len = self.held.len();
        let read_len = match self.stream.read(&mut input[held_len..]) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_readable = false;
                return if herd.is_draining() { Err(Closed::Stopping) } else { Ok(Next::Wait) };
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Next::Again),
            Err(error) => return Err(Closed::Broken(error)),
        };
        self.has_ended = read_len == 0;
        // A read that leaves room has emptied the socket; only its end may still be to come.
        self.is_readable = held_len + read_len == input.len() || self.is_read_closed;
        self.heard = now;
        input[..held_len].copy_from_slice(&self.held);
        self.held.clear();
        self.answer(herd, &input[..held_len + read_len], most, replies, now)
    }

    /// Answers lines that came behind one that had to wait.
    fn answer_held(
        &mut self,
        herd: &Herd,
        scratch: &mut Scratch,
        most: u64,
        now: Instant,
    ) -> Result<Next, Closed> {
        let held = std::mem::take(&mut self.held);
        self.answer(herd, &held, most, &mut scratch.replies, now)
    }

    /// Answers up to `most` of the lines in `input`, keeps what is left of it, writes the replies.
    fn answer(
        &mut self,
        herd: &Herd,
        input: &[u8],
        most: u64,
        replies: &mut Vec<u8>,
        now: Instant,
    ) -> Result<Next, Closed> {
        replies.clear();
        let Handled { consumed, lines, end } =
            batch::handle(herd, &self.caller, &mut self.lines, input, self.has_ended, most, replies);
        self.is_busy |= lines.0 >= BUSY_LINES;
        self.ticket.took(lines.0, clock::monotonic_ns);
        self.log(herd, Direction::In, &input[..consumed], lines.0);
        self.log(herd, Direction::Out, replies, lines.1);
        self.hold(&input[consumed..]);
        self.has_lines = matches!(end, End::Full | End::Ask(..));
        self.line_began =
            (!self.held.is_empty()).then(|| self.line_began.filter(|_| consumed == 0).unwrap_or(self.heard));
        self.write(replies, now)?;
        self.account()?;
        self.go_on(herd, end)
    }

    fn go_on(&mut self, herd: &Herd, end: End) -> Result<Next, Closed> {
        self.phase = match end {
            End::Ask(question, limit) => {
                self.phase = Phase::Asking;
                return Ok(Next::Ask(question, limit));
            }
            End::TooLong => Phase::parting(Closed::LineTooLong),
            End::HttpRequest => Phase::parting(Closed::HttpRequest),
            End::Done if self.has_ended => Phase::Finishing,
            // Whoever never stops sending would not notice the stop otherwise.
            End::Done if herd.is_draining() => Phase::parting(Closed::Stopping),
            End::Done | End::Full => Phase::Serving,
        };
        let is_waiting = matches!(self.phase, Phase::Serving) && !self.has_lines && !self.is_readable;
        Ok(if is_waiting || !self.unsent.is_empty() { Next::Wait } else { Next::Again })
    }

    fn log(&self, herd: &Herd, direction: Direction, run: &[u8], lines: u64) {
        if !run.is_empty() {
            herd.log().traffic_counted(direction, self.client(), run, lines);
        }
    }

    fn hold(&mut self, input: &[u8]) {
        if self.held.capacity() > KEPT_LEN_MAX {
            self.held = Vec::new();
        }
        self.held.extend_from_slice(input);
    }

    /// Says what it owns, but for the little that any connection may.
    fn account(&self) -> Result<(), Closed> {
        let held_len = if self.held.len() > KEPT_LEN_MAX { self.held.len() } else { 0 };
        if self.ticket.buffer(self.unsent.len() + held_len) { Ok(()) } else { Err(Closed::NoRoom) }
    }

    /// Writes what the socket takes at once, and keeps the rest.
    fn write(&mut self, replies: &[u8], now: Instant) -> Result<(), Closed> {
        debug_assert!(self.unsent.is_empty(), "a turn begins when all replies are written");
        let len = write_some(&mut self.stream, replies)?;
        if len < replies.len() {
            self.unsent.extend_from_slice(&replies[len..]);
            self.write_began = Some(now);
        }
        Ok(())
    }

    /// Writes more of what was kept. Says whether that was all.
    fn write_rest(&mut self) -> Result<bool, Closed> {
        if self.unsent.is_empty() {
            return Ok(true);
        }
        self.sent += write_some(&mut self.stream, &self.unsent[self.sent..])?;
        if self.sent < self.unsent.len() {
            self.account()?;
            return Ok(false);
        }
        (self.sent, self.write_began) = (0, None);
        if self.unsent.capacity() > KEPT_LEN_MAX {
            self.unsent = Vec::new();
        } else {
            self.unsent.clear();
        }
        self.account()?;
        Ok(true)
    }

    /// Closes this end, and reads on until the client has closed the other.
    fn part(&mut self, scratch: &mut Scratch, now: Instant) -> Result<Next, Closed> {
        let Phase::Parting(parting) = &mut self.phase else { return Ok(Next::Wait) };
        if parting.since.is_none() {
            parting.since = Some(now);
            self.stream.shutdown(Shutdown::Write)?;
        }
        match self.stream.read(&mut scratch.input) {
            Ok(1..) => Ok(Next::Again),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_readable = false;
                Ok(Next::Wait)
            }
            _ => Ok(Next::Close(parting.reason.take().map_or(Ok(()), Err))),
        }
    }

    /// When it is too late for what it is waiting for.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        if let Some(began) = self.write_began {
            return Some(began + limits.write);
        }
        match &self.phase {
            // It waits for the server: the idle limit is none of its business.
            Phase::Serving if self.paced_until.is_some() => None,
            Phase::Serving => {
                let idle = self.heard + limits.idle;
                Some(self.line_began.map_or(idle, |began| idle.min(began + limits.line)))
            }
            Phase::Parting(parting) => parting.since.map(|since| since + PARTING_MAX),
            // The places have a deadline of their own.
            Phase::Asking | Phase::Finishing => None,
        }
    }

    /// What the client missed, once the deadline has passed.
    pub(super) fn overdue(&mut self, limits: &Limits) -> Closed {
        match &mut self.phase {
            _ if self.write_began.is_some() => Closed::NotReading(limits.write),
            Phase::Parting(parting) => parting.reason.take().unwrap_or(Closed::Stopping),
            _ if self.line_began.is_some() => Closed::HalfLine(limits.line),
            _ => Closed::Idle(limits.idle),
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
