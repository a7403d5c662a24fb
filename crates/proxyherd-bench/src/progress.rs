//! One line about what is going on, on standard error: redrawn in place on a terminal, said now and then elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// How often the line is said where there is no terminal.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// How often it is redrawn on one.
const DRAW_EVERY: Duration = Duration::from_millis(200);

pub(crate) struct Progress {
    is_terminal: bool,
    told: Option<Instant>,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        Progress { is_terminal: stderr().is_terminal(), told: None }
    }

    /// Tells `line` if it is time to.
    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        let every = if self.is_terminal { DRAW_EVERY } else { SAY_EVERY };
        if self.told.is_some_and(|told| told.elapsed() < every) {
            return;
        }
        self.told = Some(Instant::now());
        let (before, after) = if self.is_terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        // Without a standard error there is nobody to tell.
        let _ = write!(stderr(), "{before}{}{after}", line());
        let _ = stderr().flush();
    }

    /// Something else is about to be told: the next line is said at once.
    pub(crate) fn next(&mut self) {
        self.told = None;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_terminal {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
