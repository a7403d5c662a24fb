//! Each server's own log: its clients' input and output, and what happens to its links, in `<dir>/<server>.log`.
//!
//! The rule that shapes everything here: **the log never slows the herd.** A caller hands over raw bytes and goes
//! on; it formats no line, opens no file and waits for nobody. How that is kept, from the outside in:
//!
//! 1. Levels. At `warn` no line of traffic is even counted; the links' own traffic, and requests over HTTP, appear at
//!    `debug` only.
//! 2. A limit of `lines_per_s` for all that clients and neighbors can cause (`rate_limit`): once it is used up, a
//!    batch of lines costs its caller one addition (and a count of the batch's newlines, if nobody has counted). Events of the server, its
//!    links and places are not under the limit: there are few of them, and they are what one looks for.
//! 3. A buffer of fixed size behind a short mutex (`queue`, `buffer`), the last eighth of which clients cannot
//!    fill.
//! 4. One thread a server that formats, writes and rotates (`writer`, `form`, `file`). It gathers for a
//!    fifth of a second, so a line is in the file well within a second.
//!
//! What is left out is counted, exactly and by kind, and once a second the log itself says how much that was and
//! why. A disk that is full or hangs is the writer's trouble alone.
//!
//! The log does not know what a line means. It knows two things of replies, to be readable: that a `{` at the
//! beginning of a line begins the JSON of places, and that an empty line ends it (`pieces`, `answer`).

mod answer;
mod buffer;
mod crates;
mod file;
mod form;
mod left_out;
mod limits;
mod pieces;
mod queue;
mod rate_limit;
#[cfg(test)]
mod tests;
mod writer;

use std::{borrow::Cow, fmt, io, net::SocketAddr, sync::Arc, thread::JoinHandle, time::Instant};

use proxyherd_core::types::ServerName;

pub(crate) use self::crates::hear_crates;
use self::{
    buffer::{LineSource, Mark},
    crates::OPEN_LOGS,
    file::LogFile,
    form::Form,
    queue::Queue,
    writer::Writer,
};
pub use crate::config::{Log as LogSettings, LogFormat, LogLevel};

/// Which way bytes went, as the server sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A client or a neighbor sent them.
    In,
    /// The server sent them.
    Out,
}

/// What an event is about.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// The server itself.
    Server,
    /// The link with a neighbor.
    Link(&'a ServerName),
    /// A client's connection. Clients can cause as many events as they like, so these, whatever their level,
    /// share the rate limit and the room of clients' traffic.
    Client(SocketAddr),
    /// The provider of places.
    Places,
}

/// A handle on one server's log. Cheap to clone; dropping the last clone writes what is left and ends the
/// writer's thread.
#[derive(Clone)]
pub struct ServerLog(Option<Arc<Open>>);

struct Open {
    level: LogLevel,
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
}

impl ServerLog {
    /// Opens `<dir>/<server>.log` for appending, makes it and its directory if missing, and starts its writer.
    /// The error names the path and says what to do; nothing was started then.
    pub fn open(settings: &LogSettings, server: &ServerName) -> io::Result<ServerLog> {
        let file = LogFile::open(settings, Form::new(settings.format, server.clone()))?;
        let queue = Arc::new(Queue::new(settings.lines_per_s));
        let writer = Some(Writer::start(Arc::clone(&queue), file)?);
        OPEN_LOGS.add(settings.level, &queue);
        Ok(ServerLog(Some(Arc::new(Open { level: settings.level, queue, writer }))))
    }

    /// Whether [`ServerLog::open`] could do that; changes nothing. The error is the one that it would give.
    pub fn check(settings: &LogSettings, server: &ServerName) -> io::Result<()> {
        LogFile::check(settings, server)
    }

    /// A log that nothing is written to.
    pub fn discard() -> ServerLog {
        ServerLog(None)
    }

    /// Whether lines of this level are written.
    pub fn enabled(&self, level: LogLevel) -> bool {
        self.at(level).is_some()
    }

    /// Input or output of a client's connection, at level `info`. `lines` is a run of complete lines as on the
    /// wire, each ended by LF. Replies are best handed over whole, so that the JSON of places is told in one line.
    pub fn traffic(&self, direction: Direction, peer: SocketAddr, lines: &[u8]) {
        if let Some(open) = self.at(LogLevel::Info) {
            let count = pieces::count(direction, lines);
            open.queue.offer_run(direction, LineSource::Client(peer), lines, count);
        }
    }

    /// [`ServerLog::traffic`] for a caller that has counted: at load even looking for newlines costs more than all
    /// the rest. `count` is how many lines the log makes of it: the lines in `lines`, where the JSON of places,
    /// with the empty line after it, is one.
    pub fn traffic_counted(&self, direction: Direction, peer: SocketAddr, lines: &[u8], count: u64) {
        if let Some(open) = self.at(LogLevel::Info) {
            debug_assert_eq!(
                count,
                pieces::count(direction, lines),
                "lines are counted as the log shows them"
            );
            open.queue.offer_run(direction, LineSource::Client(peer), lines, count);
        }
    }

    /// One line that tells of a client's request or of its answer, at level `debug`: where the bytes on the wire are no
    /// lines. Where making `line` costs something, ask [`ServerLog::enabled`] first.
    pub(crate) fn request(&self, direction: Direction, client: SocketAddr, line: &[u8]) {
        if let Some(open) = self.at(LogLevel::Debug) {
            open.queue.offer_run(direction, LineSource::Client(client), &[line, b"\n"].concat(), 1);
        }
    }

    /// One line of a link's traffic, at level `debug`. Where making `line` costs something, ask
    /// [`ServerLog::enabled`] first.
    pub fn link_traffic(&self, direction: Direction, neighbor: &ServerName, line: &[u8]) {
        if let Some(open) = self.at(LogLevel::Debug) {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            open.queue.offer_line(LineSource::Link(neighbor.clone()), Mark::Traffic(direction), line);
        }
    }

    /// Something that happened.
    pub fn event(&self, level: LogLevel, subject: Subject<'_>, message: fmt::Arguments<'_>) {
        if let Some(open) = self.at(level) {
            let message = message.as_str().map_or_else(|| Cow::from(message.to_string()), Cow::from);
            open.queue.offer_line(subject.into(), Mark::Event(level), message.as_bytes());
        }
    }

    /// How many lines were left out since the log was opened.
    pub fn left_out(&self) -> u64 {
        self.0.as_ref().map_or(0, |open| open.queue.left_out_total())
    }

    /// Blocks until all that was accepted before is in the file; if the disk refuses it, until that was tried. A disk
    /// that hangs is waited for until `end`, and then by nobody any more.
    pub fn flush(&self, end: Instant) {
        if let Some(open) = &self.0 {
            open.queue.flush(end);
        }
    }

    /// Reopens the file at its path, for a tool that has moved the old file away. The writer also notices a moved file by
    /// itself, within a second.
    pub fn reopen(&self) {
        if let Some(open) = &self.0 {
            open.queue.reopen();
        }
        self.event(LogLevel::Info, Subject::Server, format_args!("log file reopened (SIGUSR1)"));
    }

    fn at(&self, level: LogLevel) -> Option<&Open> {
        self.0.as_deref().filter(|open| level <= open.level)
    }
}

impl fmt::Debug for ServerLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "ServerLog(open)" } else { "ServerLog(discard)" })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take()
            && !self.queue.is_late()
        {
            // A writer that panicked has said so on stderr; the rest of the process ends as it was about to.
            drop(writer.join());
        }
    }
}
