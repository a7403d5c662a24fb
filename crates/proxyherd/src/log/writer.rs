//! The thread that formats, writes and rotates one server's log, and says what was left out.
//!
//! It alone touches the file, so a disk that is slow or full holds up nobody else: what callers hand over gathers
//! in the bounded buffer, and beyond that is left out and counted. What it holds when a write fails it keeps, and
//! tries again every second.

use std::{
    io::{self, Write},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Instant,
};

use jiff::Timestamp;

use super::{
    LogLevel,
    buffer::Draining,
    file::LogFile,
    left_out::{LeftOutCounts, LeftOutNote, LeftOutReason},
    limits::{GATHER, RETRY_AFTER, SECOND, TELL_AGAIN_AFTER},
    queue::{Plan, Queue},
};

pub(super) struct Writer {
    queue: Arc<Queue>,
    file: LogFile,
    draining: Draining,
    /// One line, formatted.
    line: Vec<u8>,
    /// The earliest time of the next write.
    write_at: Instant,
    /// When this second ends.
    second_at: Instant,
    /// What the file says was left out, and up to when.
    noted: [LeftOutCounts; LeftOutReason::ALL.len()],
    noted_at: Timestamp,
    outage: Option<Outage>,
    /// When stderr was told of an outage.
    told_at: Option<Instant>,
}

/// Since when the file takes nothing, and why.
struct Outage {
    since: Timestamp,
    error: io::Error,
}

impl Writer {
    /// Starts the thread of `queue` and `file`.
    pub(super) fn start(queue: Arc<Queue>, file: LogFile) -> io::Result<JoinHandle<()>> {
        let now = Instant::now();
        let name = format!("log-{}", file.form().server());
        let writer = Writer {
            noted: queue.left_out(),
            queue,
            file,
            draining: Draining::with_room(),
            line: Vec::new(),
            write_at: now,
            second_at: now + SECOND,
            noted_at: Timestamp::now(),
            outage: None,
            told_at: None,
        };
        thread::Builder::new().name(name).spawn(move || writer.run())
    }

    fn run(mut self) {
        let _ended = Ended(Arc::clone(&self.queue));
        loop {
            let is_quiet = self.queue.is_quiet(&self.noted);
            let call = self.queue.wait(&self.plan(is_quiet));
            let is_new_second = self.turn_second(is_quiet);
            if call.reopens {
                self.file.reopen();
            }
            if call.writes || (is_new_second && self.outage.is_none()) {
                self.write(is_new_second || call.closing);
            }
            self.queue.flushed(call.flush);
            if call.closing {
                return self.finish();
            }
        }
    }

    fn plan(&self, is_quiet: bool) -> Plan {
        Plan {
            has_backlog: !self.draining.is_done() || self.file.is_pending(),
            write_at: self.write_at,
            can_hurry: self.outage.is_none(),
            second_at: (!is_quiet).then_some(self.second_at),
        }
    }

    /// Begins a second if one is over, or if none was counted; says whether that is so.
    fn turn_second(&mut self, was_quiet: bool) -> bool {
        let now = Instant::now();
        if was_quiet {
            self.noted_at = Timestamp::now();
        } else if now < self.second_at {
            return false;
        } else {
            self.queue.renew_limits();
        }
        self.second_at = now + SECOND;
        true
    }

    fn write(&mut self, is_new_second: bool) {
        // A file that failed is opened again: it may be that only the open one is beyond help. One that was moved
        // away or deleted is looked for once a second.
        if self.outage.is_some() || (is_new_second && self.file.was_moved()) {
            self.file.reopen();
        }
        match self.try_write(is_new_second) {
            Ok(()) => self.write_at = Instant::now() + GATHER,
            Err(error) => self.fail(error),
        }
    }

    fn try_write(&mut self, is_new_second: bool) -> io::Result<()> {
        self.drain()?;
        self.queue.swap(&mut self.draining);
        self.drain()?;
        self.file.write_out()?;
        self.note_outage()?;
        if is_new_second {
            self.note_left_out()?;
        }
        self.file.write_out()
    }

    fn drain(&mut self) -> io::Result<()> {
        while let Some((tag, piece)) = self.draining.peek() {
            self.line.clear();
            self.file.form().line(tag, piece, &mut self.line);
            self.file.put(&self.line)?;
            self.draining.advance();
        }
        Ok(())
    }

    /// Says that there was an outage, once it is over.
    fn note_outage(&mut self) -> io::Result<()> {
        let Some(Outage { since, error }) = &self.outage else { return Ok(()) };
        let message = format!("the log could not be written since {}: {error}", since.strftime("%H:%M:%S"));
        self.line.clear();
        self.file.form().event(Timestamp::now(), LogLevel::Warn, &message, &mut self.line);
        self.file.put(&self.line)?;
        self.outage = None;
        Ok(())
    }

    /// Says what was left out since that was last said.
    fn note_left_out(&mut self) -> io::Result<()> {
        let now = Timestamp::now();
        let left_out = self.queue.left_out();
        for reason in LeftOutReason::ALL {
            let counts = left_out[reason as usize].since(&self.noted[reason as usize]);
            if counts.total() > 0 {
                let lines_per_s = self.queue.traffic_limit().lines_per_s();
                let note = LeftOutNote { counts, since: self.noted_at, reason, lines_per_s };
                self.line.clear();
                self.file.form().left_out(now, &note, &mut self.line);
                self.file.put(&self.line)?;
                self.noted[reason as usize] = left_out[reason as usize];
            }
        }
        self.noted_at = now;
        Ok(())
    }

    fn fail(&mut self, error: io::Error) {
        let now = Instant::now();
        self.write_at = now + RETRY_AFTER;
        if self.told_at.is_none_or(|told_at| now - told_at >= TELL_AGAIN_AFTER) {
            self.told_at = Some(now);
            tell(format_args!(
                "cannot write the log {}: {error}; the herd goes on, lines beyond a buffer are left out and counted",
                self.file.path().display()
            ));
        }
        self.outage.get_or_insert(Outage { since: Timestamp::now(), error });
    }

    /// The last handle is gone: what could not be written now is lost, and that is said.
    fn finish(mut self) {
        let Some(outage) = &self.outage else { return };
        let mut lost = self.file.lines_pending() + self.draining.discard();
        self.queue.swap(&mut self.draining);
        lost += self.draining.discard();
        let path = self.file.path().display();
        tell(format_args!("the last {lost} lines of the log {path} are lost: {}", outage.error));
    }
}

/// Says something where the file cannot. If nobody reads stderr either, that is all one can do.
fn tell(message: std::fmt::Arguments<'_>) {
    drop(writeln!(io::stderr(), "proxyherd: {message}"));
}

/// Tells those who wait for the writer that it has ended, even if it panicked.
struct Ended(Arc<Queue>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended();
    }
}
