//! What the herd holds of a client and tells on its links.

use std::cmp::Ordering;

use super::{Attributes, Coordinates, Difference, ServerName, Timestamp, Version};

/// What a record is about. All kinds share one map, one flood and one repair; a key is unique within its kind.
///
/// A kind that this version does not know is kept and passed on like any other: its records say themselves for how
/// long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u8);

impl Kind {
    /// A client's newest report; the key is the client's ID.
    pub const CLIENT: Kind = Kind(0);
    /// What one server may spend, and has spent, of a budget; the key names budget, period and server.
    pub const BUDGET: Kind = Kind(1);
}

/// The newest thing said about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What the key names.
    pub kind: Kind,
    /// The client's ID, for [`Kind::CLIENT`]; 1 to 256 bytes without white space for any.
    pub key: &'a [u8],
    /// What was said.
    pub body: Body<'a>,
    /// When, by the client's clock.
    pub timestamp: Timestamp,
    /// When it was received, counted from `timestamp`.
    pub difference: Difference,
}

/// What a record says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Body<'a> {
    /// It is here.
    Location {
        /// Where.
        coordinates: Coordinates,
        /// What else the report said.
        attributes: Attributes<'a>,
    },
    /// It asked to be forgotten: a tombstone, which holds nothing of what was known.
    Gone,
    /// What records of other kinds than [`Kind::CLIENT`] say; what it means is known to whoever deals in the kind.
    Data {
        /// Every server forgets the record so many seconds after its receipt; 0: never.
        keep_s: u32,
        /// At most [`DATA_LEN_MAX`](crate::limits::DATA_LEN_MAX) bytes.
        bytes: &'a [u8],
    },
}

impl Record<'_> {
    /// By what it wins over other records of its key.
    pub fn version(&self) -> Version {
        Version::of(self.timestamp, self.difference)
    }

    /// When its server took it, POSIX time in nanoseconds.
    pub fn received_ns(&self) -> u64 {
        self.difference.received_ns(self.timestamp)
    }

    /// Orders two records of one key by version, and equal versions by a fixed rule, so that servers which
    /// have seen the same records hold the same one; the greater is kept. `Equal` means the same content.
    ///
    /// Of equal versions a tombstone wins, then the one that was received first: a client that sends the same
    /// line again, here or elsewhere, changes nothing and floods nothing. What follows only has to be the
    /// same everywhere.
    pub fn precedence(&self, server: &ServerName, other: &Record<'_>, other_server: &ServerName) -> Ordering {
        debug_assert_eq!((self.kind, self.key), (other.kind, other.key), "only records of one key compare");
        self.version().cmp(&other.version()).then_with(|| {
            let is_gone = |record: &Record<'_>| record.body == Body::Gone;
            (is_gone(self).cmp(&is_gone(other)))
                .then_with(|| other.received_ns().cmp(&self.received_ns()))
                .then_with(|| self.timestamp.cmp(&other.timestamp))
                .then_with(|| server.cmp(other_server))
                .then_with(|| self.body.cmp(&other.body))
        })
    }
}
