//! How many files and sockets this process may have open, and how many of them are left for clients.

use std::{num::NonZero, thread::available_parallelism};

use proxyherd_core::limits::HANDSHAKES_MAX;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::{config::ADDRESSES_PER_DOOR_MAX, door_kind::DoorKind};

/// Descriptors set aside for logs, the runtime, files and whatever else a server opens now and then ...
const OWN: u64 = 48;
/// ... for the listeners of its doors ...
const LISTENERS: u64 = (DoorKind::ALL.len() * ADDRESSES_PER_DOOR_MAX) as u64;
/// ... and for each thread of the door for clients, of which there is one a processor.
const PER_THREAD: u64 = 2;
/// Requests to providers over the network get no more than this part of the limit: they can wait.
const REQUESTS_PART: u64 = 4;
/// Descriptors set aside for each link: the one that is up, and another that comes to replace it.
const PER_LINK: u64 = 2;
/// Descriptors set aside for whoever else comes to the peer port of a server that has links.
const STRANGERS: u64 = HANDSHAKES_MAX as u64;
/// Descriptors set aside for operators at the HTTP door: for its reserve, from which they are answered when clients have all
/// the others, ...
pub(crate) const OPERATORS: usize = 64;
/// ... and, of these, for so many operators beside the clients. More operators take clients' places.
pub(crate) const OPERATORS_APART: usize = 16;

/// Raises the process's limit as far as it may be raised without a privilege. Best called once, at the start.
pub fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it can't be raised, less is served.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// How many connections of clients fit under the process's limit, beside `links` links and `requests` requests to
/// providers of places.
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
