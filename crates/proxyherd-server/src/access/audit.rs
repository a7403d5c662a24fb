//! The audit log: who made and revoked which token, who tried to, and when the operator's token changed.
//!
//! Each line is appended to a file of its own and is on disk before the token is made or revoked. The level and the
//! limits of the server's log do not apply. If the line cannot be written, nothing is made or revoked. The file is
//! opened for each line, so other tools may rotate it. No line has a secret.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use proxyherd_core::rate::{LeakyBucket, Pace};

/// The audit log of one server.
#[derive(Debug)]
pub(crate) struct AuditLog {
    /// `None`: lines are dropped.
    path: Option<PathBuf>,
    denied: LeakyBucket,
}

/// The number of lines in a second about callers that may not operate tokens.
const DENIED_PER_SECOND: u32 = 1;

impl AuditLog {
    /// The audit log in this file. The file need not exist.
    pub(crate) fn at(path: PathBuf) -> AuditLog {
        AuditLog { path: Some(path), denied: LeakyBucket::default() }
    }

    /// An audit log that drops every line.
    pub(crate) fn discard() -> AuditLog {
        AuditLog { path: None, denied: LeakyBucket::default() }
    }

    /// Whether a line about a caller that may not operate tokens may be written now. The time is that of a clock that
    /// is never put back.
    pub(crate) fn takes_denied(&self, monotonic_ns: u64) -> bool {
        let Some(pace) = Pace::per_second(DENIED_PER_SECOND) else { return true };
        let is_taken = self.denied.allowed(pace, monotonic_ns).is_ok();
        if is_taken {
            self.denied.take(pace, 1, monotonic_ns);
        }
        is_taken
    }

    /// Appends a line. When this returns, the line is on disk.
    pub(crate) fn write(&self, line: &str) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let time = jiff::Timestamp::now();
        let append = || {
            let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
            file.write_all(format!("{time:.3} {line}\n").as_bytes())?;
            file.sync_data()
        };
        append().map_err(named)
    }
}
