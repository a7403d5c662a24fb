//! One client's connection: reads, answers and writes in turn until either end has had enough.
//!
//! Reads land in a buffer that all connections of a thread share, and replies are gathered in another, so an
//! idle connection owns no buffers, and a busy one copies nothing but the start of a line whose end has not
//! come yet. A connection reads again only when its replies are written: whoever does not read is not read from.

use std::{
    cell::RefCell,
    fmt,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use proxyherd_core::{codec::line::Lines, limits::LINE_LEN_MAX, places::Query};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    task::yield_now,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    batch::{self, End, Handled},
    watch::Watch,
};
use crate::{config::Limits, herd::Herd, log::Direction};

/// How much is read at once, bytes.
const READ_LEN: usize = 64 * 1024;
/// How long a client that is turned out may take to notice.
const PARTING_MAX: Duration = Duration::from_secs(1);
/// Buffers that a connection owns for a while are given back when they are larger than this, bytes.
const KEPT_LEN_MAX: usize = 4 * 1024;

/// Why a connection was closed before its client closed it.
#[derive(Debug)]
pub(super) enum Closed {
    /// The network says so.
    Broken(io::Error),
    /// A line was longer than lines may be.
    LineTooLong,
    /// The rest of a line did not come.
    HalfLine(Duration),
    /// Nothing came for long.
    Idle(Duration),
    /// The client did not take its replies.
    NotReading(Duration),
    /// The server is stopping.
    Stopping,
}

impl Closed {
    /// Whether the client did something that it should not.
    pub(super) fn is_fault(&self) -> bool {
        matches!(self, Closed::LineTooLong | Closed::HalfLine(_) | Closed::NotReading(_))
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Closed::Broken(error) => write!(f, "{error}"),
            Closed::LineTooLong => write!(f, "a line of more than {LINE_LEN_MAX} bytes"),
            Closed::HalfLine(limit) => write!(f, "a line's end did not come within {} s", limit.as_secs()),
            Closed::Idle(limit) => write!(f, "nothing came for {} s", limit.as_secs()),
            Closed::NotReading(limit) => write!(f, "it did not take its replies for {} s", limit.as_secs()),
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
struct Scratch {
    input: Box<[u8]>,
    replies: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        input: vec![0; LINE_LEN_MAX + 1 + READ_LEN].into_boxed_slice(),
        replies: Vec::with_capacity(READ_LEN),
    });
}

/// What a turn leaves to be done.
enum Turn {
    /// Go on: there may be more.
    Go,
    /// Ask the places, then go on.
    Ask(Query, u8),
    /// The client has sent its last line, and it is answered.
    Finish,
    /// The last answer was to a line that was too long.
    TooLong,
}

/// Serves `stream` until it ends; `Ok` if that was the client's wish.
pub(super) async fn serve(
    herd: &Herd,
    limits: &Limits,
    stream: &mut TcpStream,
    client: SocketAddr,
    stop: &CancellationToken,
) -> Result<(), Closed> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.split();
    let mut connection = Connection::new(herd, reader, writer, client);
    let mut watch = Watch::new(limits, stop);
    loop {
        let turn = if connection.has_lines {
            // Many questions may have come at once; others want their turn between them.
            yield_now().await;
            connection.handle_held()?
        } else {
            poll_fn(|cx| connection.poll_turn(cx, &mut watch)).await?
        };
        match turn {
            Turn::Go => connection.write_rest(limits).await?,
            Turn::Ask(query, limit) => connection.ask(&query, limit, limits).await?,
            Turn::Finish => return connection.write_rest(limits).await,
            Turn::TooLong => {
                connection.write_rest(limits).await?;
                connection.part().await;
                return Err(Closed::LineTooLong);
            }
        }
        // Whoever never stops sending is not waited for, and so never sees the watch.
        if herd.is_draining() && !connection.has_lines {
            connection.part().await;
            return Err(Closed::Stopping);
        }
    }
}

pub(super) struct Connection<'a> {
    herd: &'a Herd,
    reader: ReadHalf<'a>,
    writer: WriteHalf<'a>,
    client: SocketAddr,
    lines: Lines,
    /// Input that is not done with: the start of a line, or lines behind one that has to wait.
    held: Vec<u8>,
    /// Whether `held` may hold complete lines.
    has_lines: bool,
    /// Replies that the socket has not taken yet.
    unsent: Vec<u8>,
    has_ended: bool,
    heard: Instant,
    line_began: Option<Instant>,
}

impl<'a> Connection<'a> {
    fn new(
        herd: &'a Herd,
        reader: ReadHalf<'a>,
        writer: WriteHalf<'a>,
        client: SocketAddr,
    ) -> Connection<'a> {
        Connection {
            herd,
            reader,
            writer,
            client,
            lines: Lines::default(),
            held: Vec::new(),
            has_lines: false,
            unsent: Vec::new(),
            has_ended: false,
            heard: Instant::now(),
            line_began: None,
        }
    }

    /// Reads once, answers every line, writes once; or finds that it is too late for that.
    fn poll_turn(&mut self, cx: &mut Context<'_>, watch: &mut Watch<'_>) -> Poll<Result<Turn, Closed>> {
        if let Poll::Ready(turn) = self.poll_read(cx) {
            return Poll::Ready(turn.map_err(Closed::Broken));
        }
        watch.poll(cx, self).map(Err)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Turn>> {
        SCRATCH.with_borrow_mut(|Scratch { input, replies }| {
            let held_len = self.held.len();
            let mut buffer = ReadBuf::new(&mut input[held_len..]);
            ready!(Pin::new(&mut self.reader).poll_read(cx, &mut buffer))?;
            let read_len = buffer.filled().len();
            self.has_ended = read_len == 0;
            self.heard = Instant::now();
            input[..held_len].copy_from_slice(&self.held);
            self.held.clear();
            Poll::Ready(self.handle(&input[..held_len + read_len], replies))
        })
    }

    /// Answers lines that came behind one that had to wait.
    fn handle_held(&mut self) -> io::Result<Turn> {
        let held = std::mem::take(&mut self.held);
        SCRATCH.with_borrow_mut(|scratch| self.handle(&held, &mut scratch.replies))
    }

    /// Answers the lines in `input`, keeps what is left of it, writes the replies.
    fn handle(&mut self, input: &[u8], replies: &mut Vec<u8>) -> io::Result<Turn> {
        replies.clear();
        let Handled { consumed, lines, end } =
            batch::handle(self.herd, &mut self.lines, input, self.has_ended, replies);
        self.log(Direction::In, &input[..consumed], lines.0);
        self.log(Direction::Out, replies, lines.1);
        self.hold(&input[consumed..]);
        self.has_lines = matches!(end, End::Full | End::Ask(..));
        self.line_began =
            (!self.held.is_empty()).then(|| self.line_began.filter(|_| consumed == 0).unwrap_or(self.heard));
        self.write(replies)?;
        Ok(match end {
            End::Ask(query, limit) => Turn::Ask(query, limit),
            End::TooLong => Turn::TooLong,
            End::Done if self.has_ended => Turn::Finish,
            End::Done | End::Full => Turn::Go,
        })
    }

    fn log(&self, direction: Direction, run: &[u8], lines: u64) {
        if !run.is_empty() {
            self.herd.log.traffic_counted(direction, self.client, run, lines);
        }
    }

    fn hold(&mut self, input: &[u8]) {
        if self.held.capacity() > KEPT_LEN_MAX {
            self.held = Vec::new();
        }
        self.held.extend_from_slice(input);
    }

    /// Writes what the socket takes at once, and keeps the rest.
    fn write(&mut self, replies: &[u8]) -> io::Result<()> {
        if replies.is_empty() {
            return Ok(());
        }
        debug_assert!(self.unsent.is_empty(), "a turn begins when all replies are written");
        let len = match self.writer.try_write(replies) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.unsent.extend_from_slice(&replies[len..]);
        Ok(())
    }

    /// Waits until the socket has taken all replies, as long as it takes some now and then.
    async fn write_rest(&mut self, limits: &Limits) -> Result<(), Closed> {
        let mut written = 0;
        while written < self.unsent.len() {
            let writable = timeout(limits.write, self.writer.writable()).await;
            writable.map_err(|_| Closed::NotReading(limits.write))??;
            match self.writer.try_write(&self.unsent[written..]) {
                Ok(len) => written += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        if self.unsent.capacity() > KEPT_LEN_MAX {
            self.unsent = Vec::new();
        } else {
            self.unsent.clear();
        }
        Ok(())
    }

    /// Ends the reply to a question whose AT line has been written.
    async fn ask(&mut self, query: &Query, limit: u8, limits: &Limits) -> Result<(), Closed> {
        let mut reply = Vec::new();
        self.herd.places.answer(query, usize::from(limit), &mut reply).await;
        batch::end_reply(&mut reply);
        self.log(Direction::Out, &reply, 1);
        self.unsent.extend_from_slice(&reply);
        self.write_rest(limits).await
    }

    /// Says goodbye so that the last replies arrive: closing while input lies unread would reset the connection
    /// and take them away from the client.
    async fn part(&mut self) {
        let mut ignored = vec![0; KEPT_LEN_MAX];
        let parting = async {
            self.writer.shutdown().await?;
            while self.reader.read(&mut ignored).await? > 0 {}
            Ok::<_, io::Error>(())
        };
        // A client that neither reads nor goes has had its time.
        let _ = timeout(PARTING_MAX, parting).await;
    }

    /// When it is too late for more input.
    pub(super) fn deadline(&self, limits: &Limits) -> Instant {
        let idle = self.heard + limits.idle;
        self.line_began.map_or(idle, |began| idle.min(began + limits.line))
    }

    pub(super) fn overdue(&self, limits: &Limits) -> Closed {
        if self.line_began.is_some() { Closed::HalfLine(limits.line) } else { Closed::Idle(limits.idle) }
    }

    pub(super) fn is_draining(&self) -> bool {
        self.herd.is_draining()
    }
}
