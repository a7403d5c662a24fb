//! Events of presence, and the IDs that they have at every server of the herd.
//!
//! An event's ID is a hash of what caused the event: the client, and one record. Every server that learns of the event
//! knows both. So the servers of a herd tell one event with one ID, and a reader of several servers can drop the event
//! that it has already read.

use xxhash_rust::xxh3::Xxh3;

/// What happened to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PresenceKind {
    /// The client is known now, and was not known before.
    Came,
    /// No report of the client was received for the time of `presence_silent_s`.
    Silent,
    /// A report of a silent client was received.
    Back,
    /// The client was forgotten, or its last report has expired.
    Gone,
}

impl PresenceKind {
    /// All kinds.
    pub const ALL: [PresenceKind; 4] =
        [PresenceKind::Came, PresenceKind::Silent, PresenceKind::Back, PresenceKind::Gone];

    /// The kind in a word, as events and metrics name it.
    pub const fn label(self) -> &'static str {
        match self {
            PresenceKind::Came => "came",
            PresenceKind::Silent => "silent",
            PresenceKind::Back => "back",
            PresenceKind::Gone => "gone",
        }
    }
}

/// An event in the life of a client, the same at every server of the herd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresenceEvent<'a> {
    /// The number of the event, the same at every server. Doors write it as 32 hexadecimal digits.
    pub event_id: u128,
    /// What happened.
    pub kind: PresenceKind,
    /// The client's ID.
    pub client: &'a [u8],
}

/// What caused an event, in addition to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The record that was received at this time.
    Received(u64),
    /// The tombstone with this version.
    Tombstone(u64),
    /// Nothing is known of an earlier life of the client. Its first known report was received on this day since 1970.
    Day(u64),
}

impl<'a> PresenceEvent<'a> {
    pub(super) fn new(kind: PresenceKind, client: &'a [u8], cause: Cause) -> PresenceEvent<'a> {
        let (tag, number) = match cause {
            Cause::Received(received_ns) => (b'r', received_ns),
            Cause::Tombstone(version) => (b't', version),
            Cause::Day(day) => (b'd', day),
        };
        let mut hash = Xxh3::new();
        hash.update(kind.label().as_bytes());
        hash.update(&[0, tag]);
        hash.update(&number.to_le_bytes());
        hash.update(client);
        PresenceEvent { event_id: hash.digest128(), kind, client }
    }
}
