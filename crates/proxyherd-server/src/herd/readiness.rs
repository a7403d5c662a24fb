//! Whether a server is ready. If so, load balancers may send clients to the server, and an upgrade may restart the next
//! server.
//!
//! A server that has just started holds no records. The server is ready when a neighbor has sent all its records, or
//! after a limited time without neighbors. A server whose journal cannot make reports durable is not ready. This module
//! knows no paths and no status codes.

use std::time::Duration;

use super::{Herd, Internals as _, JournalState};

/// The first version of the link protocol in which a neighbor says when it has sent everything.
const CHECK_VERSION: u16 = 2;
/// Time after its start at which a server is ready even if none of its links is up.
const ALONE_AFTER: Duration = Duration::from_secs(5);
/// Time after its start at which a server is ready even if no neighbor has sent everything.
const BEHIND_MAX: Duration = Duration::from_secs(60);

/// Whether a server is ready, or why it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The server holds all records of a neighbor, or has waited long enough for them.
    Ready,
    /// The server is stopping.
    Stopping,
    /// The configuration no longer names the server.
    Removed,
    /// The server has links, but no link is up yet.
    Alone,
    /// No neighbor has sent everything that it holds yet.
    Behind,
    /// The disk of the journal is full. The server answers, and acknowledges no report.
    JournalFull,
    /// The journal has failed, for this reason. The server acknowledges no report until it is started again.
    JournalFailed(String),
}

impl Herd {
    /// Whether clients may be sent here. This needs no right.
    pub fn readiness(&self) -> Readiness {
        let (links, age) = (self.links.all(), self.started.elapsed());
        let version_max = links.iter().filter_map(|link| link.state().version).max();
        if self.is_draining() {
            Readiness::Stopping
        } else if self.is_removed() {
            Readiness::Removed
        } else if let Some(unready) = self.journal_unreadiness() {
            unready
        } else if links.is_empty() || self.replica.is_caught_up() {
            Readiness::Ready
        } else if version_max.is_none() && age < ALONE_AFTER {
            Readiness::Alone
        } else if version_max >= Some(CHECK_VERSION) && age < BEHIND_MAX {
            Readiness::Behind
        } else {
            Readiness::Ready
        }
    }

    /// Why the journal keeps the server from being ready.
    fn journal_unreadiness(&self) -> Option<Readiness> {
        match self.journal()?.state() {
            JournalState::Running => None,
            JournalState::Full => Some(Readiness::JournalFull),
            JournalState::Failed(why) => Some(Readiness::JournalFailed(why)),
        }
    }
}
