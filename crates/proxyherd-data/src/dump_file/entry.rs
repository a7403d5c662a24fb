//! A record of a dump, which owns what a record borrows.

use proxyherd_core::{
    flood::Update,
    types::{Attributes, Body, Coordinates, Difference, Kind, Origin, Record, Timestamp},
};

/// One record of a dump, with its origin and sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub(super) kind: Kind,
    pub(super) key: Vec<u8>,
    pub(super) content: Content,
    pub(super) timestamp: Timestamp,
    pub(super) difference: Difference,
    pub(super) origin: Origin,
    pub(super) seq: u64,
}

/// The content of the record, as [`Body`] has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Location {
        coordinates: Coordinates,
        /// The encoding that `Attributes::from_bytes` has accepted.
        attributes: Vec<u8>,
    },
    Gone,
    Data {
        keep_s: u32,
        bytes: Vec<u8>,
    },
}

impl Entry {
    /// A copy of an update.
    pub fn of(update: &Update<'_>) -> Entry {
        let Record { kind, key, body, timestamp, difference } = update.record;
        let content = match body {
            Body::Location { coordinates, attributes } => {
                Content::Location { coordinates, attributes: attributes.as_bytes().to_vec() }
            }
            Body::Gone => Content::Gone,
            Body::Data { keep_s, bytes } => Content::Data { keep_s, bytes: bytes.to_vec() },
        };
        let (key, origin) = (key.to_vec(), update.origin.clone());
        Entry { kind, key, content, timestamp, difference, origin, seq: update.seq }
    }

    /// The record as an update.
    pub fn update(&self) -> Update<'_> {
        let body = match &self.content {
            Content::Location { coordinates, attributes } => Body::Location {
                coordinates: *coordinates,
                attributes: Attributes::from_bytes(attributes)
                    .expect("the reader has checked the attributes"),
            },
            Content::Gone => Body::Gone,
            Content::Data { keep_s, bytes } => Body::Data { keep_s: *keep_s, bytes },
        };
        let Entry { kind, timestamp, difference, .. } = *self;
        let record = Record { kind, key: &self.key, body, timestamp, difference };
        Update { record, origin: &self.origin, seq: self.seq }
    }
}
