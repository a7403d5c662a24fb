//! When a record is no longer shown, and when it is no longer kept.
//!
//! Most records are kept as long as they are shown: clients for `client_ttl_ns`, tombstones for a day, other kinds as
//! long as they say. A report may have a time to live of its own
//! ([`Attributes::ttl_s`](crate::types::Attributes::ttl_s)), and then the shorter time counts. After its own time the
//! report is *hidden*: nobody is shown the record. But like a tombstone, the record is kept, and an older report does
//! not win over it. Otherwise a server that receives the report only after its time would still hold the client's older
//! position, and would pass that position on to the whole herd. The record is kept as long as any client's record;
//! where clients are kept for ever, it is kept for a day, or for its own time if that is longer.
//!
//! Invariant: how long a record is kept follows from the record and `client_ttl_ns` alone. So every server expires it
//! at the same time by its own clock, and the hash trees of all servers have it in the same slice. A server of an
//! earlier version, which does not know the time to live, keeps the same records in the same slices if `client_ttl_ns`
//! is set. If it is not, such a server keeps and shows the report for ever, and its hash tree differs from the others'
//! from the day on which they forget the report.

use super::{Broken, Shard};
use crate::{
    limits::TOMBSTONE_TTL_NS,
    types::{Body, Record},
};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl Shard {
    /// The time for which a record is kept after its receipt, nanoseconds.
    pub(super) fn ttl_ns(&self, record: &Record<'_>) -> Option<u64> {
        match record.body {
            Body::Gone => Some(TOMBSTONE_TTL_NS),
            Body::Location { .. } => self
                .settings
                .client_ttl_ns
                .or_else(|| own_ttl_ns(record).map(|ttl_ns| ttl_ns.max(TOMBSTONE_TTL_NS))),
            Body::Data { keep_s, .. } => (keep_s > 0).then(|| u64::from(keep_s) * NANOS_PER_SECOND),
        }
    }

    /// Whether a record is no longer kept. Nobody is shown such a record.
    pub(super) fn is_expired(&self, now_ns: u64, record: &Record<'_>) -> bool {
        self.ttl_ns(record).is_some_and(|ttl_ns| record.received_ns().saturating_add(ttl_ns) <= now_ns)
    }

    /// Whether a record may be shown to clients.
    pub(crate) fn is_shown(&self, now_ns: u64, record: &Record<'_>) -> bool {
        !self.is_expired(now_ns, record) && !is_hidden(now_ns, record)
    }

    /// Returns whether a record has expired at every server whose clock is within the allowed offset. Until then this
    /// server still passes the record on to servers at which the record has not expired, but shows the record to no
    /// client.
    pub(super) fn is_over(&self, now_ns: u64, record: &Record<'_>) -> bool {
        let offset_ns = match self.settings.rules.breaks(Broken::CarryByOwnRule) {
            true => 0,
            false => self.settings.clock_offset_max_ns,
        };
        self.is_expired(now_ns.saturating_sub(offset_ns), record)
    }
}

/// The time at which a client's report is no longer shown, at a server with this `client_ttl_ns`. `u64::MAX`: never.
pub fn shown_until_ns(record: &Record<'_>, client_ttl_ns: Option<u64>) -> u64 {
    let ttl_ns = [client_ttl_ns, own_ttl_ns(record)].into_iter().flatten().min();
    ttl_ns.map_or(u64::MAX, |ttl_ns| record.received_ns().saturating_add(ttl_ns))
}

/// Whether the record's own time to live has passed.
pub(super) fn is_hidden(now_ns: u64, record: &Record<'_>) -> bool {
    own_ttl_ns(record).is_some_and(|ttl_ns| record.received_ns().saturating_add(ttl_ns) <= now_ns)
}

/// The time to live that the record itself has, nanoseconds.
pub(super) fn own_ttl_ns(record: &Record<'_>) -> Option<u64> {
    let Body::Location { attributes, .. } = record.body else { return None };
    attributes.ttl_s().map(|ttl_s| u64::from(ttl_s.get()) * NANOS_PER_SECOND)
}
