//! Whether a server is ready: whether load balancers may send it clients, and whether the next server of an upgrade may
//! be restarted.
//!
//! A server that has just started holds nothing. It is ready once its neighbors have sent what they hold, or after a
//! bounded time without them. This module knows no paths and no status codes.

use std::time::Duration;

use super::{Herd, Internals as _};

/// From this version of the link protocol on, a neighbor says when it has sent everything.
const CHECK_VERSION: u16 = 2;
/// How long after its start a server is ready although none of its links is up.
const ALONE_AFTER: Duration = Duration::from_secs(5);
/// How long after its start a server is ready although no neighbor has sent everything yet.
const BEHIND_MAX: Duration = Duration::from_secs(60);

/// Whether a server is ready, or why it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The server holds what a neighbor held, or has waited long enough for that.
    Ready,
    /// The server is stopping.
    Stopping,
    /// The configuration no longer names the server.
    Removed,
    /// The server has links, and none is up yet.
    Alone,
    /// No neighbor has sent everything that it holds yet.
    Behind,
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
}
