//! How many streams each caller has open. A caller is a token, or the address of a caller without a token. So no caller
//! takes all streams of a server.
//!
//! Streams that are kept for a reader that may resume them do not count here. Core drops the oldest of them when there
//! is no room.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
    net::IpAddr,
};

use proxyherd_core::access::TokenId;
use proxyherd_streams::{
    StreamFilter,
    limits::{STREAMS_MAX, UNINDEXED_STREAMS_MAX},
};

use super::StreamsFull;
use crate::{caller::Caller, subscriber::subscriber};

/// Maximum number of open streams of one caller: a quarter of all. A further stream is refused.
const CALLER_STREAMS_MAX: usize = STREAMS_MAX / 4;
/// Maximum number of these streams that are about clients anywhere with any ID ([`StreamFilter::is_wide`]): a quarter
/// of all. A further stream is refused. The end of a connection that nothing is written to is seen only at the next
/// comment, so a caller that opens and closes streams quickly has more of them here than it reads.
const CALLER_WIDE_STREAMS_MAX: usize = UNINDEXED_STREAMS_MAX / 4;

/// Whose stream it is, and whether it counts as wide.
#[derive(Clone, Debug)]
pub(super) struct CallerKey {
    caller: CallerName,
    is_wide: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum CallerName {
    Token(TokenId),
    Address(IpAddr),
}

impl CallerKey {
    pub(super) fn of(caller: &Caller, filter: &StreamFilter) -> CallerKey {
        let token = caller.rights.grant().and_then(|grant| grant.id());
        let name = token.map_or_else(
            || CallerName::Address(subscriber(caller.address.ip())),
            |id| CallerName::Token(id.clone()),
        );
        CallerKey { caller: name, is_wide: filter.is_wide() }
    }
}

/// The number of open streams of each caller, and how many of them are wide.
#[derive(Debug, Default)]
pub(super) struct CallerStreams {
    of: HashMap<CallerName, (usize, usize)>,
    numbers: RandomState,
}

impl CallerStreams {
    /// A number that all streams of a caller share.
    pub(super) fn number(&self, key: &CallerKey) -> u64 {
        self.numbers.hash_one(&key.caller)
    }

    /// Counts one more stream of a caller, if the caller may have one more.
    pub(super) fn enter(&mut self, key: &CallerKey) -> Result<(), StreamsFull> {
        let (all, wide) = self.of.get(&key.caller).copied().unwrap_or_default();
        if all >= CALLER_STREAMS_MAX {
            return Err(StreamsFull::Caller(all));
        }
        if key.is_wide && wide >= CALLER_WIDE_STREAMS_MAX {
            return Err(StreamsFull::CallerWide(wide));
        }
        self.of.insert(key.caller.clone(), (all + 1, wide + usize::from(key.is_wide)));
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Counts one stream of a caller less.
    pub(super) fn leave(&mut self, key: &CallerKey) {
        if let Some((all, wide)) = self.of.get_mut(&key.caller) {
            *all -= 1;
            *wide -= usize::from(key.is_wide);
            if *all == 0 {
                self.of.remove(&key.caller);
            }
        }
    }
}
