//! Reads a store into the replica, on as many threads as there are processors, and shows the progress.
//!
//! A restart of a large herd takes seconds, in which clients wait. So the log says every few seconds how far the
//! reading has come. People at a terminal see it on standard error.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use proxyherd_config::clock;
use proxyherd_core::journal::{
    Damage, Disk, DiskError, Part, ReadProgress, RecoverError, Recovered, Restore, StoreIdentity, recover,
};
use proxyherd_log::{LogLevel, ServerLog, Subject};

use crate::herd::RecoveryFigures;

/// Bounds of the number of threads that read a store. Even one processor gains from a second thread, which computes
/// while the first waits for the disk.
const PARTS: (usize, usize) = (2, 8);
/// Time between two lines on a terminal.
const SHOWN_EVERY: Duration = Duration::from_millis(200);
/// Time between two lines in the log.
const LOGGED_EVERY: Duration = Duration::from_secs(5);
/// A store whose last time is further in the future means that this machine's clock is wrong, or was wrong.
const AHEAD_MAX: Duration = Duration::from_secs(60);
/// Maximum number of damaged places that the log names one by one. The number of the others is logged.
const DAMAGE_LOGGED_MAX: usize = 20;

/// Reads the whole store on `disk` into `into`. Blocks. `what` names the store in the log. `observer` is told several
/// times a second how far all parts together have come.
pub(super) fn read<D: Disk + Sync>(
    disk: &D,
    identity: &StoreIdentity,
    into: &(impl Restore + Sync),
    log: &ServerLog,
    what: &str,
    observer: &dyn Fn(ReadProgress),
) -> Result<(Recovered, RecoveryFigures), RecoverError> {
    let (low, high) = PARTS;
    let parts = thread::available_parallelism().map_or(low, usize::from).clamp(low, high);
    let (began, now_ns) = (Instant::now(), clock::now_ns());
    let (sender, receiver) = channel();
    let found = thread::scope(|scope| {
        let read_part = |part: usize, sender: Sender<(usize, ReadProgress)>| {
            let mut told = |progress| {
                let _ = sender.send((part, progress));
            };
            recover(disk, identity, into, now_ns, Part { part, parts }, &mut told)
        };
        let start = |part| {
            let sender = sender.clone();
            thread::Builder::new()
                .name(format!("recovery-{part}"))
                .spawn_scoped(scope, move || read_part(part, sender))
        };
        let threads: Vec<_> = (0..parts).map(start).collect();
        drop(sender);
        Shown::new(parts, what, log, observer).show(&receiver);
        let ended = threads.into_iter().map(|thread| match thread {
            Ok(thread) => {
                thread.join().unwrap_or_else(|_| Err(failed("a thread that reads it has panicked")))
            }
            Err(error) => Err(failed(&format!("the system refuses a thread: {error}"))),
        });
        ended.collect::<Result<Vec<_>, _>>()
    })?;
    let recovered = found.into_iter().reduce(Recovered::merge).unwrap_or_default();
    let figures = RecoveryFigures {
        records: recovered.records,
        damage: recovered.damage.len() as u64,
        time: began.elapsed(),
    };
    log_found(log, what, &recovered, figures.time);
    Ok((recovered, figures))
}

fn failed(why: &str) -> RecoverError {
    RecoverError::Disk(DiskError::Failed(why.to_owned()))
}

/// How far the parts have come, and when this was shown.
struct Shown<'a> {
    parts: Vec<ReadProgress>,
    what: &'a str,
    log: &'a ServerLog,
    observer: &'a dyn Fn(ReadProgress),
    is_terminal: bool,
    began: Instant,
    logged: Instant,
}

impl Shown<'_> {
    fn new<'a>(
        parts: usize,
        what: &'a str,
        log: &'a ServerLog,
        observer: &'a dyn Fn(ReadProgress),
    ) -> Shown<'a> {
        let now = Instant::now();
        let parts = vec![ReadProgress::default(); parts];
        Shown { parts, what, log, observer, is_terminal: io::stderr().is_terminal(), began: now, logged: now }
    }

    /// Shows the progress until all parts have ended.
    fn show(&mut self, progress: &std::sync::mpsc::Receiver<(usize, ReadProgress)>) {
        let (mut next, mut has_shown) = (Instant::now() + SHOWN_EVERY, false);
        loop {
            match progress.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok((part, told)) => self.parts[part] = told,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= next {
                next = Instant::now() + SHOWN_EVERY;
                has_shown |= self.show_once();
            }
        }
        if has_shown {
            eprint_line("\r\x1b[K");
        }
    }

    /// Returns whether a line was written to the terminal.
    fn show_once(&mut self) -> bool {
        let text = self.text();
        (self.observer)(self.sum());
        if self.logged.elapsed() >= LOGGED_EVERY {
            self.logged = Instant::now();
            self.log.event(LogLevel::Info, Subject::Server, format_args!("{text}"));
        }
        if self.is_terminal {
            eprint_line(&format!("\r\x1b[K{text}"));
        }
        self.is_terminal
    }

    /// How far all parts together have come.
    fn sum(&self) -> ReadProgress {
        let sum = |value: fn(&ReadProgress) -> u64| self.parts.iter().map(value).sum::<u64>();
        ReadProgress {
            read: sum(|part| part.read),
            total: sum(|part| part.total),
            records: sum(|part| part.records),
        }
    }

    fn text(&self) -> String {
        let ReadProgress { read, total, records } = self.sum();
        let percent = (read * 100).checked_div(total).unwrap_or(0);
        let seconds = self.began.elapsed().as_secs_f64();
        format!("reading {}: {percent} %, {records} records in {seconds:.1} s", self.what)
    }
}

/// A failure is ignored: whoever has closed standard error does not want the progress.
fn eprint_line(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

fn log_found(log: &ServerLog, what: &str, recovered: &Recovered, took: Duration) {
    let say = |level, message: std::fmt::Arguments<'_>| log.event(level, Subject::Server, message);
    let Recovered { records, bytes, torn, damage, alive_until_ns, .. } = recovered;
    let age = match alive_until_ns {
        0 => "it was new".to_owned(),
        alive => format!("it was last written {}", ago(*alive)),
    };
    say(
        LogLevel::Info,
        format_args!("read {what}: {records} records, {bytes} bytes, {:.3} s; {age}", took.as_secs_f64()),
    );
    let ahead_ns = alive_until_ns.saturating_sub(clock::now_ns());
    if ahead_ns >= AHEAD_MAX.as_nanos() as u64 {
        say(
            LogLevel::Warn,
            format_args!(
                "the clock of this machine is {} behind the last time in {what}: put the clock right",
                clock::age_text(ahead_ns / 1_000_000_000)
            ),
        );
    }
    for Damage { file, offset, len } in torn {
        say(
            LogLevel::Info,
            format_args!(
                "the end of {file} was not complete, and {len} bytes from offset {offset} on are cut: nothing in them \
                 was acknowledged"
            ),
        );
    }
    for wrong in damage.iter().take(DAMAGE_LOGGED_MAX) {
        say(
            LogLevel::Error,
            format_args!(
                "{what} is damaged: {wrong}. Nothing of that is used, and the neighbors send what may be missing. \
                 Check the disk"
            ),
        );
    }
    if let Some(more) = damage.len().checked_sub(DAMAGE_LOGGED_MAX).filter(|more| *more > 0) {
        say(LogLevel::Error, format_args!("{what} is damaged at {more} further places"));
    }
}

/// How long ago a time was: `3 s ago`, `5 h ago`.
pub(super) fn ago(then_ns: u64) -> String {
    format!("{} ago", clock::age_text(clock::now_ns().saturating_sub(then_ns) / 1_000_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_of_all_parts_is_one_sum() {
        let log = ServerLog::discard();
        let told = std::cell::Cell::new(ReadProgress::default());
        let observer = |progress| told.set(progress);
        let mut shown = Shown::new(2, "the store /s", &log, &observer);
        shown.parts = vec![
            ReadProgress { read: 10, total: 100, records: 1 },
            ReadProgress { read: 65, total: 200, records: 2 },
        ];
        let text = shown.text();
        assert!(text.starts_with("reading the store /s: 25 %, 3 records in "), "{text}");
        shown.show_once();
        assert_eq!(told.get(), ReadProgress { read: 75, total: 300, records: 3 });
    }
}
