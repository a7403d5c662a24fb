//! Each server's log, `<dir>/<server>.log`: the input and output of its clients, and events of the server and its
//! links.
//!
//! [`ServerLog::open`] opens the file and starts its writer. Callers then hand over traffic as raw bytes
//! ([`ServerLog::traffic`]) and events as messages ([`ServerLog::event`]).
//!
//! The invariant: **the log never slows the herd.** A caller copies its bytes into a buffer and continues. The caller
//! formats no line of traffic, opens no file and waits for no other thread. A line passes these steps on its way from
//! the caller to the file:
//!
//! 1. Levels. At level `warn`, traffic is neither written nor counted. Traffic on links and requests over HTTP are
//!    written only at level `debug`.
//! 2. A limit of `lines_per_s` for all lines that clients and neighbors can cause (a `FixedWindow` that the writer
//!    renews each second). When the limit is used up, the caller only adds the number of its lines to a counter. If the
//!    caller does not know this number, it counts the newlines first. Events of the server, its links and places have
//!    no limit: they are few, and operators look for them.
//! 3. A buffer of fixed size behind a mutex that is held for one copy (`queue`, `buffer`). Clients cannot fill the last
//!    eighth of the buffer.
//! 4. One thread per server that formats lines, writes them and rotates the file (`writer`, `form`, `file`). The thread
//!    gathers lines for a fifth of a second, so a line is in the file in much less than a second.
//!
//! Lines that are left out are counted, exactly and by kind. Once a second, a note in the log says how many lines were
//! left out and why (`left_out`). A disk that is full or hangs delays only the writer. Crates such as h2 report through
//! `crates`.
//!
//! Text from outside passes [`escape`] before it reaches a log or a terminal. [`refusal`] explains why the system
//! refuses a path.
//!
//! The log does not know what a line means, with two exceptions. A `{` at the beginning of a line of a reply begins the
//! JSON of places, and an empty line ends it (`pieces`, `answer`): this makes replies readable. If the settings hide
//! positions, the log leaves positions out of the lines of the line protocol (`redact`).

mod answer;
mod buffer;
mod crates;
pub mod escape;
mod file;
mod form;
mod left_out;
mod limits;
mod pieces;
mod queue;
mod redact;
pub mod refusal;
mod settings;
#[cfg(test)]
mod tests;
#[cfg(test)]
#[path = "../../proxyherd/tests/it/harness/wait.rs"]
mod wait;
mod writer;

use std::{borrow::Cow, fmt, io, net::SocketAddr, sync::Arc, thread::JoinHandle, time::Instant};

use proxyherd_core::types::ServerName;

use self::{
    buffer::{LineMark, LineSource},
    crates::OPEN_LOGS,
    file::LogFile,
    form::Form,
    queue::{Queue, unmasked},
    writer::Writer,
};
pub use self::{
    crates::hear_crates,
    settings::{LogFormat, LogLevel, LogSettings},
};

/// The direction of traffic, as the server sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a client or a neighbor to the server.
    In,
    /// From the server to a client or a neighbor.
    Out,
}

/// What an event is about.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// The server itself.
    Server,
    /// The link with a neighbor.
    Link(&'a ServerName),
    /// A client's connection. Clients can cause any number of events. So these events share the rate limit and the
    /// buffer space of clients' traffic, at every level.
    Client(SocketAddr),
    /// The server's provider of places.
    Places,
}

/// A handle to one server's log. A handle is cheap to clone. When the last clone is dropped, the log writes the
/// remaining lines and ends the writer's thread.
#[derive(Clone)]
pub struct ServerLog(Option<Arc<OpenLog>>);

struct OpenLog {
    level: LogLevel,
    shows_positions: bool,
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
}

impl ServerLog {
    /// Opens `<dir>/<server>.log` for appending and starts its writer. Creates the file and its directory if they are
    /// missing. The error names the path and says what to do. If this returns an error, no thread was started.
    pub fn open(settings: &LogSettings, server: &ServerName) -> io::Result<ServerLog> {
        let form = Form::new(settings.format, server.clone()).with_positions(settings.positions);
        let file = LogFile::open(settings, form)?;
        let queue = Arc::new(Queue::new(settings.lines_per_s));
        let writer = Some(Writer::start(Arc::clone(&queue), file)?);
        OPEN_LOGS.add(settings.level, &queue);
        let (level, shows_positions) = (settings.level, settings.positions);
        Ok(ServerLog(Some(Arc::new(OpenLog { level, shows_positions, queue, writer }))))
    }

    /// Whether [`ServerLog::open`] would succeed. Changes nothing. The error is the one that `open` would return.
    pub fn check(settings: &LogSettings, server: &ServerName) -> io::Result<()> {
        LogFile::check(settings, server)
    }

    /// A log that drops every line.
    pub fn discard() -> ServerLog {
        ServerLog(None)
    }

    /// Whether lines of this level are written.
    pub fn enabled(&self, level: LogLevel) -> bool {
        self.at(level).is_some()
    }

    /// Whether lines may have the positions of clients. The log hides them in traffic by itself. A caller of
    /// [`ServerLog::request`] and [`ServerLog::event`] hides them.
    pub fn shows_positions(&self) -> bool {
        self.0.as_ref().is_none_or(|open| open.shows_positions)
    }

    /// Logs input or output of a client's connection, at level `info`. `lines` is a run of complete lines as on the
    /// wire, each ended by LF. Hand over a reply whole, so that the JSON of places becomes one line.
    pub fn traffic(&self, direction: Direction, peer: SocketAddr, lines: &[u8]) {
        if let Some(open) = self.at(LogLevel::Info) {
            let count = pieces::count(direction, lines);
            open.queue.offer_run(direction, LineSource::Client(peer), lines, count, unmasked);
        }
    }

    /// [`ServerLog::traffic`] for a caller that has counted the lines: under load, the search for newlines would take
    /// longer than all other work of this call. `count` is the number of lines in `lines`. The JSON of places and the
    /// empty line after it count as one line. `mask` hides secrets and keeps the number of lines. Only the lines that
    /// the log takes are passed to `mask`: under load, masking all lines would take too long, too.
    pub fn traffic_counted(
        &self,
        direction: Direction,
        peer: SocketAddr,
        lines: &[u8],
        count: u64,
        mask: impl FnOnce(&[u8]) -> Cow<'_, [u8]>,
    ) {
        if let Some(open) = self.at(LogLevel::Info) {
            debug_assert_eq!(
                count,
                pieces::count(direction, lines),
                "lines are counted as the log shows them"
            );
            open.queue.offer_run(direction, LineSource::Client(peer), lines, count, mask);
        }
    }

    /// Logs one line about a client's request or its answer, at level `debug`. This is for protocols whose bytes are
    /// not lines. If `line` is costly to make, ask [`ServerLog::enabled`] first.
    pub fn request(&self, direction: Direction, client: SocketAddr, line: &[u8]) {
        if let Some(open) = self.at(LogLevel::Debug) {
            open.queue.offer_run(direction, LineSource::Request(client), line, 1, unmasked);
        }
    }

    /// Logs one line of a link's traffic, at level `debug`. If `line` is costly to make, ask [`ServerLog::enabled`]
    /// first.
    pub fn link_traffic(&self, direction: Direction, neighbor: &ServerName, line: &[u8]) {
        if let Some(open) = self.at(LogLevel::Debug) {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            open.queue.offer_line(LineSource::Link(neighbor.clone()), LineMark::Traffic(direction), line);
        }
    }

    /// Logs an event.
    pub fn event(&self, level: LogLevel, subject: Subject<'_>, message: fmt::Arguments<'_>) {
        if let Some(open) = self.at(level) {
            let message = message.as_str().map_or_else(|| Cow::from(message.to_string()), Cow::from);
            open.queue.offer_line(subject.into(), LineMark::Event(level), message.as_bytes());
        }
    }

    /// The number of lines that were left out since the log was opened.
    pub fn left_out(&self) -> u64 {
        self.0.as_ref().map_or(0, |open| open.queue.left_out_total())
    }

    /// Blocks until all lines that were accepted before are in the file, or until the disk has refused them. If the
    /// disk hangs, this call returns at `end`, and later calls do not wait at all.
    pub fn flush(&self, end: Instant) {
        if let Some(open) = &self.0 {
            open.queue.flush(end);
        }
    }

    /// Reopens the file at its path, after a tool has moved the old file away. Without this call the writer notices a
    /// moved file within a second.
    pub fn reopen(&self) {
        if let Some(open) = &self.0 {
            open.queue.reopen();
        }
        self.event(LogLevel::Info, Subject::Server, format_args!("log file reopened (SIGUSR1)"));
    }

    fn at(&self, level: LogLevel) -> Option<&OpenLog> {
        self.0.as_deref().filter(|open| level <= open.level)
    }
}

impl fmt::Debug for ServerLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "ServerLog(open)" } else { "ServerLog(discard)" })
    }
}

impl Drop for OpenLog {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take()
            && !self.queue.is_late()
        {
            // If the writer has panicked, the panic message is on stderr already. This drop ignores the panic, so that
            // the process ends as planned.
            drop(writer.join());
        }
    }
}
