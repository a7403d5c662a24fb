//! The thread that formats, writes and rotates one server's log, and notes which lines were left out.
//!
//! Only this thread uses the file, so a slow or full disk delays no other thread. If the disk is too slow, callers fill
//! the bounded buffer. Further lines are then left out and counted. After a failed write the thread keeps its lines and
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
    left_out::{LeftOutNote, LeftOutReason, LeftOutTotals},
    limits::{GATHER, RETRY_AFTER, SECOND, TELL_AGAIN_AFTER},
    queue::{Queue, WriterPlan},
};

pub(super) struct Writer {
    queue: Arc<Queue>,
    file: LogFile,
    draining: Draining,
    /// One line, formatted.
    line: Vec<u8>,
    /// The earliest time of the next write.
    write_at: Instant,
    /// The time at which the current second ends and the rate limits are renewed.
    second_at: Instant,
    /// The counts of left-out lines that the file already has notes about. The next field is the time of the last note.
    noted: LeftOutTotals,
    noted_at: Timestamp,
    outage: Option<Outage>,
    /// The time at which an outage was last reported on stderr.
    stderr_told_at: Option<Instant>,
}

/// A period in which the file takes no lines.
struct Outage {
    since: Timestamp,
    error: io::Error,
}

impl Writer {
    /// Starts a thread that writes the lines of `queue` to `file`.
    pub(super) fn start(queue: Arc<Queue>, file: LogFile) -> io::Result<JoinHandle<()>> {
        let name = format!("log-{}", file.form().server());
        let writer = Writer::new(queue, file);
        thread::Builder::new().name(name).spawn(move || writer.run())
    }

    fn new(queue: Arc<Queue>, file: LogFile) -> Writer {
        let now = Instant::now();
        Writer {
            noted: queue.left_out(),
            queue,
            file,
            draining: Draining::with_room(),
            line: Vec::new(),
            write_at: now,
            second_at: now + SECOND,
            noted_at: Timestamp::now(),
            outage: None,
            stderr_told_at: None,
        }
    }

    fn run(mut self) {
        let _ended = EndNotice(Arc::clone(&self.queue));
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

    fn plan(&self, is_quiet: bool) -> WriterPlan {
        WriterPlan {
            has_backlog: !self.draining.is_done() || self.file.is_pending(),
            write_at: self.write_at,
            can_hurry: self.outage.is_none(),
            second_at: (!is_quiet).then_some(self.second_at),
        }
    }

    /// Begins a new second if the last one is over or was not counted. Returns whether a new second has begun.
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
        // After a failed write the file is opened again, because the fault may affect only the open file handle. Once a
        // second the writer checks whether the file was moved or deleted.
        if self.outage.is_some() || (is_new_second && self.file.was_moved()) {
            self.file.reopen();
        }
        match self.try_write(is_new_second) {
            Ok(()) => self.write_at = Instant::now() + GATHER,
            Err(error) => self.fail(error),
        }
    }

    fn try_write(&mut self, is_new_second: bool) -> io::Result<()> {
        let left_out = self.put_lines()?;
        self.file.write_out()?;
        self.note_outage()?;
        if is_new_second {
            self.note_left_out(&left_out)?;
        }
        self.file.write_out()
    }

    /// Formats and writes all lines that were handed over. Returns the counts of left-out lines that a note after these
    /// lines may report.
    fn put_lines(&mut self) -> io::Result<LeftOutTotals> {
        self.drain()?;
        let left_out = self.queue.swap(&mut self.draining);
        self.drain()?;
        Ok(left_out)
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

    /// Notes an outage when it is over.
    fn note_outage(&mut self) -> io::Result<()> {
        let Some(Outage { since, error }) = &self.outage else { return Ok(()) };
        let message = format!("the log could not be written since {}: {error}", since.strftime("%H:%M:%S"));
        self.line.clear();
        self.file.form().event(Timestamp::now(), LogLevel::Warn, &message, &mut self.line);
        self.file.put(&self.line)?;
        self.outage = None;
        Ok(())
    }

    /// Notes the lines that were left out since the last note.
    fn note_left_out(&mut self, left_out: &LeftOutTotals) -> io::Result<()> {
        let now = Timestamp::now();
        for reason in LeftOutReason::ALL {
            let counts = left_out[reason as usize].since(&self.noted[reason as usize]);
            if counts.total() > 0 {
                let lines_per_s = self.queue.traffic_limit().most();
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
        if self.stderr_told_at.is_none_or(|stderr_told_at| now - stderr_told_at >= TELL_AGAIN_AFTER) {
            self.stderr_told_at = Some(now);
            say_on_stderr(format_args!(
                "cannot write the log {}: {error}; the server continues, and leaves out and counts lines that do not fit its buffer",
                self.file.path().display()
            ));
        }
        self.outage.get_or_insert(Outage { since: Timestamp::now(), error });
    }

    /// Ends the log. Lines that could not be written are lost, and their number is printed on stderr.
    fn finish(mut self) {
        let Some(outage) = &self.outage else { return };
        let mut lost = self.file.lines_pending() + self.draining.discard();
        self.queue.swap(&mut self.draining);
        lost += self.draining.discard();
        let path = self.file.path().display();
        say_on_stderr(format_args!("the last {lost} lines of the log {path} are lost: {}", outage.error));
    }
}

/// Prints on stderr a message about the log itself, while the log cannot be written. A failure of stderr is ignored.
fn say_on_stderr(message: std::fmt::Arguments<'_>) {
    drop(writeln!(io::stderr(), "proxyherd: {message}"));
}

/// Tells the callers that wait for the writer that it has ended, even after a panic.
struct EndNotice(Arc<Queue>);

impl Drop for EndNotice {
    fn drop(&mut self) {
        self.0.ended();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proxyherd_core::types::ServerName;

    use super::*;
    use crate::{Direction, LogFormat, LogSettings, buffer::LineSource, form::Form};

    fn writer(dir: &tempfile::TempDir, lines_per_s: u32) -> Writer {
        let settings = LogSettings {
            dir: dir.path().to_path_buf(),
            level: LogLevel::Info,
            format: LogFormat::Text,
            max_bytes: 1024 * 1024,
            keep: 0,
            lines_per_s,
            positions: true,
        };
        let form = Form::new(LogFormat::Text, ServerName::new("Riley").unwrap());
        let file = LogFile::open(&settings, form).unwrap();
        Writer::new(Arc::new(Queue::new(lines_per_s)), file)
    }

    #[test]
    fn a_note_about_lines_left_out_never_stands_above_lines_of_the_same_batch() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(&dir, 1);
        let left_out = writer.put_lines().unwrap();
        // A batch that comes while the writer writes.
        let client = LineSource::Client(([127, 0, 0, 1], 51234).into());
        writer.queue.offer_run(Direction::In, client, b"one\ntwo\n", 2, crate::queue::unmasked);
        writer.note_left_out(&left_out).unwrap();
        writer.try_write(true).unwrap();
        let text = fs::read_to_string(writer.file.path()).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let [line, note] = lines[..] else { panic!("{lines:?}") };
        assert!(line.ends_with("<  one") && note.contains("left out 1 line"), "{lines:?}");
    }
}
