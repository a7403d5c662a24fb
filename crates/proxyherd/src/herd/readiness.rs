//! Whether clients may be sent to a server, and the next server of an upgrade may be restarted.

use std::time::Duration;

use super::{Herd, Inside as _};

/// From this version of the link protocol on, a neighbor that has nothing to tell says so.
const CHECK_VERSION: u16 = 2;
/// A server that has links but no neighbor that answers takes clients all the same, so long after its start ...
const ALONE_AFTER: Duration = Duration::from_secs(5);
/// ... and one that no neighbor has told all within this time.
const BEHIND_MAX: Duration = Duration::from_secs(60);

/// Whether a server is ready, or why it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It holds what its neighbors held, or has had enough time for that.
    Ready,
    /// It is on its way out.
    Stopping,
    /// Its configuration no longer names it.
    Removed,
    /// It has links, and none is up yet.
    Alone,
    /// No neighbor has told all that it holds yet.
    Behind,
}

impl Herd {
    /// Whether clients may be sent here. Anybody may ask.
    pub fn readiness(&self) -> Readiness {
        let (links, age) = (self.links.all(), self.started.elapsed());
        let spoken = links.iter().filter_map(|link| link.state().version).max();
        if self.is_draining() {
            Readiness::Stopping
        } else if self.is_removed() {
            Readiness::Removed
        } else if links.is_empty() || self.map.is_caught_up() {
            Readiness::Ready
        } else if spoken.is_none() && age < ALONE_AFTER {
            Readiness::Alone
        } else if spoken >= Some(CHECK_VERSION) && age < BEHIND_MAX {
            Readiness::Behind
        } else {
            Readiness::Ready
        }
    }
}
