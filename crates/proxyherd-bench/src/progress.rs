//! A progress line on standard error. A terminal shows it in place; elsewhere it is printed once a minute.
//!
//! A measurement calls [`Progress::show`] as often as it likes.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// How often the line is printed where there is no terminal.
const PRINT_INTERVAL: Duration = Duration::from_secs(60);
/// How often the line is redrawn on a terminal.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

pub(crate) struct Progress {
    is_terminal: bool,
    shown_at: Option<Instant>,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        Progress { is_terminal: stderr().is_terminal(), shown_at: None }
    }

    /// Shows `line` if the last one is old enough.
    pub(crate) fn show(&mut self, line: impl FnOnce() -> String) {
        let every = if self.is_terminal { REDRAW_INTERVAL } else { PRINT_INTERVAL };
        if self.shown_at.is_some_and(|at| at.elapsed() < every) {
            return;
        }
        self.shown_at = Some(Instant::now());
        let (before, after) = if self.is_terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        // Where standard error is closed, nobody sees the progress.
        let _ = write!(stderr(), "{before}{}{after}", line());
        let _ = stderr().flush();
    }

    /// Has the next line shown at once, because it is about something new.
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
