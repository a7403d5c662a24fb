//! Records: what the herd holds about a key and sends on its links.

use std::cmp::Ordering;

use super::{Attributes, Coordinates, Difference, ServerName, Timestamp, Version};

/// The kind of a key. All kinds share one replica, one flood and one repair. A key is unique within its kind.
///
/// A server keeps and passes on records of a kind that its version does not know. Such a record contains the time for
/// which it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u8);

impl Kind {
    /// A client's newest report; the key is the client's ID.
    pub const CLIENT: Kind = Kind(0);
    /// One server's account of a quota; the key names the span, the period and the server. Settings and metrics call
    /// a quota a budget.
    pub const QUOTA: Kind = Kind(1);
    /// An access token; the key is the token's ID. `access::TokenRecord` is the content.
    pub const TOKEN: Kind = Kind(2);
}

/// The second byte of the record of a valid token.
pub(crate) const TOKEN_LIVE: u8 = 0;
/// The second byte of the record of a revoked token.
pub(crate) const TOKEN_REVOKED: u8 = 1;

/// The newest record of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The kind of thing that the key names.
    pub kind: Kind,
    /// The client's ID, for [`Kind::CLIENT`]; 1 to 256 bytes without white space for any.
    pub key: &'a [u8],
    /// The content.
    pub body: Body<'a>,
    /// The time at which the record was made, by the client's clock.
    pub timestamp: Timestamp,
    /// The server's clock at receipt minus `timestamp`.
    pub difference: Difference,
}

/// The content of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Body<'a> {
    /// A client's position.
    Location {
        /// The client's coordinates.
        coordinates: Coordinates,
        /// The other contents of the report.
        attributes: Attributes<'a>,
    },
    /// A tombstone: the client asked to be forgotten. The tombstone holds no earlier content.
    Gone,
    /// The content of records of other kinds than [`Kind::CLIENT`]. Only the code that handles the kind understands
    /// it.
    Data {
        /// Every server forgets the record this many seconds after its receipt; 0: never.
        keep_s: u32,
        /// At most [`DATA_LEN_MAX`](crate::limits::DATA_LEN_MAX) bytes.
        bytes: &'a [u8],
    },
}

impl Record<'_> {
    /// The version, which orders this record among other records of its key.
    pub fn version(&self) -> Version {
        Version::of(self.timestamp, self.difference)
    }

    /// The time at which the record's server took it, POSIX time in nanoseconds.
    pub fn received_ns(&self) -> u64 {
        self.difference.received_ns(self.timestamp)
    }

    /// Whether this is the revocation of a token.
    pub fn is_revocation(&self) -> bool {
        let is_revoked = |bytes: &[u8]| bytes.get(1) == Some(&TOKEN_REVOKED);
        self.kind == Kind::TOKEN && matches!(self.body, Body::Data { bytes, .. } if is_revoked(bytes))
    }

    /// Orders two records of one key. The revocation of a token wins over every other record of the token. Otherwise
    /// the version decides, and a fixed rule decides between equal versions. The greater record is kept, so
    /// servers that have seen the same records keep the same one. `Equal` means equal contents.
    ///
    /// If the versions are equal, a tombstone wins, and then the record that was received first. So if a client sends
    /// the same line again, to this server or to another, nothing changes and nothing is flooded. The rest of the rule
    /// only has to be the same at every server.
    pub fn precedence(&self, server: &ServerName, other: &Record<'_>, other_server: &ServerName) -> Ordering {
        debug_assert_eq!(
            (self.kind, self.key),
            (other.kind, other.key),
            "only records with the same key can be compared"
        );
        if self.kind == Kind::TOKEN && self.is_revocation() != other.is_revocation() {
            return self.is_revocation().cmp(&other.is_revocation());
        }
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
