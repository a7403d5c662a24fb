//! A progress line on standard error. A terminal redraws the line in place. If there is no terminal, the line is
//! printed once a minute.
//!
//! A measurement may call [`Progress::show`] at any rate.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Interval between two lines if there is no terminal.
const PRINT_INTERVAL: Duration = Duration::from_secs(60);
/// Interval between two drawings of the line on a terminal.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

pub(crate) struct Progress {
    is_terminal: bool,
    shown_at: Option<Instant>,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        Progress { is_terminal: stderr().is_terminal(), shown_at: None }
    }

    /// Shows `line`, if enough time has passed since the last line.
    pub(crate) fn show(&mut self, line: impl FnOnce() -> String) {
        let every = if self.is_terminal { REDRAW_INTERVAL } else { PRINT_INTERVAL };
        if self.shown_at.is_some_and(|at| at.elapsed() < every) {
            return;
        }
        self.shown_at = Some(Instant::now());
        let (before, after) = if self.is_terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        // A failure is ignored: if standard error is closed, nobody sees the progress.
        let _ = write!(stderr(), "{before}{}{after}", line());
        let _ = stderr().flush();
    }

    /// Makes [`Progress::show`] print the next line at once, because a new part of the measurement begins.
    pub(crate) fn begin_anew(&mut self) {
        self.shown_at = None;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_terminal {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
