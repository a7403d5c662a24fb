//! Digests of this server's own records that other servers' records have displaced, kept for a while.
//!
//! Clients move from server to server, so most displaced records are of no further interest. They matter only when
//! somebody sends a record in this server's name that this server does not hold. This server may have issued that
//! record, and a lie in a third server's name may have displaced it.

use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    limits::{DISPLACED_MAX, DISPLACED_NS},
    types::{Body, KeyHash, Record},
};

/// The latest displaced records, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Displaced {
    entries: VecDeque<Displacement>,
}

#[derive(Debug)]
struct Displacement {
    digest: u64,
    noted_ns: u64,
}

impl Displaced {
    /// Notes that another server's record is about to replace one of this server's own records.
    pub(super) fn note(&mut self, now_ns: u64, key: KeyHash, record: &Record<'_>) {
        let Some(digest) = digest(key, &record.body) else { return };
        if self.entries.len() == DISPLACED_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(Displacement { digest, noted_ns: now_ns });
    }

    /// Whether this server has lately issued a record with this content.
    pub(super) fn knows(&self, now_ns: u64, key: KeyHash, record: &Record<'_>) -> bool {
        let Some(digest) = digest(key, &record.body) else { return false };
        let is_it =
            |entry: &Displacement| entry.digest == digest && now_ns.abs_diff(entry.noted_ns) <= DISPLACED_NS;
        self.entries.iter().any(is_it)
    }
}

/// The digest of a key and of a record's body, without the time. Tombstones are not remembered, because a server
/// without a record answers with a tombstone in any case.
fn digest(key: KeyHash, body: &Body<'_>) -> Option<u64> {
    match body {
        Body::Gone => None,
        Body::Location { coordinates, attributes } => {
            let place = coordinates.latitude().to_bits().rotate_left(32) ^ coordinates.longitude().to_bits();
            Some(
                xxh3_64_with_seed(attributes.as_bytes(), key.bits())
                    ^ xxh3_64_with_seed(&place.to_le_bytes(), 1),
            )
        }
        Body::Data { keep_s, bytes } => Some(xxh3_64_with_seed(bytes, key.bits() ^ u64::from(*keep_s))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Attributes, Coordinates, Difference, Kind, Timestamp};

    fn with(place: &str, check: impl FnOnce(KeyHash, &Record<'_>)) {
        let coordinates = Coordinates::parse(place.as_bytes()).unwrap();
        let timestamp = Timestamp::from_nanos(1).unwrap();
        let body = Body::Location { coordinates, attributes: Attributes::NONE };
        let (kind, difference) = (Kind::CLIENT, Difference::at_receipt(1, timestamp));
        let record = Record { kind, key: b"kiwi", body, timestamp, difference };
        check(KeyHash::of(b"kiwi"), &record);
    }

    #[test]
    fn what_was_displaced_is_known_for_a_while_and_of_much_the_last() {
        let mut displaced = Displaced::default();
        with("+1.5+2.5", |key, record| {
            displaced.note(1, key, record);
            assert!(displaced.knows(1 + DISPLACED_NS, key, record));
            assert!(!displaced.knows(2 + DISPLACED_NS, key, record));
            assert!(!displaced.knows(1, KeyHash::of(b"lime"), record));
            let gone = Record { body: Body::Gone, ..*record };
            displaced.note(1, key, &gone);
            assert!(!displaced.knows(1, key, &gone));
        });
        with("+2.5+1.5", |key, record| {
            assert!(!displaced.knows(1, key, record));
            (0..DISPLACED_MAX).for_each(|_| displaced.note(1, key, record));
            assert!(displaced.knows(1, key, record));
        });
        with("+1.5+2.5", |key, record| assert!(!displaced.knows(1, key, record)));
        assert_eq!(displaced.entries.len(), DISPLACED_MAX);
    }
}
