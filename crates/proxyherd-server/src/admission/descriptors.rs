//! Computes how many descriptors (files and sockets) this process may have open, and how many of them are left for
//! clients.

use std::{num::NonZero, thread::available_parallelism};

use proxyherd_config::{config::ADDRESSES_PER_DOOR_MAX, door_kind::DoorKind};
use proxyherd_core::limits::HANDSHAKES_MAX;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Number of descriptors reserved for logs, the runtime, and files that a server opens for a short time.
const OWN: u64 = 48;
/// Number of descriptors reserved for the listeners of the doors.
const LISTENERS: u64 = (DoorKind::ALL.len() * ADDRESSES_PER_DOOR_MAX) as u64;
/// Number of descriptors reserved for each thread of the door for clients. There is one thread for each processor.
const PER_THREAD: u64 = 2;
/// Requests to providers over the network get at most one in this many descriptors of the limit, because requests can
/// wait.
const REQUESTS_PART: u64 = 4;
/// Number of descriptors reserved for each link: one for its connection, and one for a new connection that replaces the
/// old one.
const PER_LINK: u64 = 2;
/// Number of descriptors reserved for strangers at the peer port of a server that has links.
const STRANGERS: u64 = HANDSHAKES_MAX as u64;
/// Number of descriptors reserved for operators at the HTTP door. The door's reserve uses them to answer operators when
/// clients have all other descriptors.
pub(crate) const OPERATORS: usize = 64;
/// Number of connections of operators that do not count against the limit of clients. They use the descriptors of
/// [`OPERATORS`]. Further connections of operators count as connections of clients.
pub(crate) const OPERATORS_APART: usize = 16;

/// Raises the process's limit on descriptors as far as possible without a privilege. Call this once, at the start.
pub fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If the limit can't be raised, the server serves fewer clients.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Number of client connections that fit under the process's limit, in addition to `links` links and `requests`
/// requests to providers of places.
pub fn left_for_clients(links: usize, requests: usize) -> usize {
    let threads = available_parallelism().map_or(1, NonZero::get);
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| left_of(limit, threads, links, requests))
}

fn left_of(limit: u64, threads: usize, links: usize, requests: usize) -> usize {
    let strangers = if links > 0 { STRANGERS } else { 0 };
    let own = OWN + LISTENERS + PER_THREAD * threads as u64 + (requests as u64).min(limit / REQUESTS_PART);
    let set_aside = own + PER_LINK * links as u64 + strangers + OPERATORS as u64;
    usize::try_from(limit.saturating_sub(set_aside)).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_need_is_set_aside_first() {
        let listeners = 8 * DoorKind::ALL.len();
        assert_eq!(left_of(1024, 2, 3, 0), 1024 - 48 - listeners - 4 - 6 - 64 - 64);
        assert_eq!(
            left_of(1024, 2, 0, 0),
            1024 - 48 - listeners - 4 - 64,
            "whoever has no links has nobody at a peer port"
        );
        assert_eq!(left_of(1024, 2, 0, 100), 1024 - 48 - listeners - 4 - 64 - 100);
        assert_eq!(left_of(1024, 2, 0, 1000), 1024 - 48 - listeners - 4 - 64 - 256);
        assert_eq!(left_of(16, 2, 0, 0), 1, "somebody is served all the same");
    }
}
