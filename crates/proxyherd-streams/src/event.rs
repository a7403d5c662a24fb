//! What a stream tells its reader: events, and the IDs by which a reader resumes.
//!
//! A door writes a [`StreamEvent`] in its own protocol. An [`EventId`] is opaque to readers: a door writes it with
//! `Display`, and reads it back with [`EventId::parse`]. This module knows neither protocols nor streams.

use std::fmt;

use crate::presence::PresenceEvent;
use proxyherd_core::command::Whereabouts;

/// One event of a stream.
#[derive(Clone, Copy, Debug)]
pub enum StreamEvent<'a> {
    /// The reader forgets everything that this stream has told it. The state follows as [`StreamEvent::Location`]s.
    Reset,
    /// The present position of a client that matches. The reader may have been told the same position before.
    Location(&'a Whereabouts<'a>),
    /// The reader holds everything that matched when the state was read, or something newer. Changes follow.
    Synced,
    /// The client with this ID no longer matches.
    Left(&'a [u8]),
    /// The client with this ID is no longer known: it was forgotten, or has expired.
    Gone(&'a [u8]),
    /// A client came, fell silent, came back or is gone.
    Presence(PresenceEvent<'a>),
}

/// The ID of one event of one stream. The text has hexadecimal digits and dashes, at most [`EventId::LEN_MAX`] bytes.
///
/// ```
/// # use proxyherd_streams::EventId;
/// let id = EventId::parse(b"18f3-a0b1-2c").unwrap();
/// assert_eq!(id.to_string(), "18f3-a0b1-2c");
/// assert_eq!(EventId::parse(b"another server's"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    /// The life of the server that told the event.
    pub(super) incarnation: u64,
    /// The number of the stream.
    pub(super) stream: u64,
    /// The number of the event among the events of its stream, from 1.
    pub(super) sequence: u64,
}

impl EventId {
    /// Maximum length of the text, bytes.
    pub const LEN_MAX: usize = 3 * 16 + 2;

    /// Reads the text of an ID. `None`: no server has written this text.
    pub fn parse(text: &[u8]) -> Option<EventId> {
        let mut parts = text.split(|&byte| byte == b'-').map(hexadecimal);
        let mut next = || parts.next().flatten();
        let id = EventId { incarnation: next()?, stream: next()?, sequence: next()? };
        parts.next().is_none().then_some(id)
    }
}

/// The number that the digits mean, as `Display` writes them: without leading zeros and in lower case.
fn hexadecimal(digits: &[u8]) -> Option<u64> {
    if !(1..=16).contains(&digits.len()) || digits.len() > 1 && digits[0] == b'0' {
        return None;
    }
    digits.iter().try_fold(0, |number: u64, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}", self.incarnation, self.stream, self.sequence)
    }
}

/// One kind of events that a reader can ask for. Every stream tells `Reset` and `Synced`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StreamKind {
    /// [`StreamEvent::Location`].
    Location = 1,
    /// [`StreamEvent::Left`].
    Left = 2,
    /// [`StreamEvent::Gone`].
    Gone = 4,
    /// [`StreamEvent::Presence`].
    Presence = 8,
    /// Fences. Accepted; no server tells such events yet.
    Fence = 16,
}

impl StreamKind {
    /// All kinds.
    pub const ALL: [StreamKind; 5] =
        [StreamKind::Location, StreamKind::Left, StreamKind::Gone, StreamKind::Presence, StreamKind::Fence];

    /// The kind in a word, as doors write it.
    pub const fn label(self) -> &'static str {
        match self {
            StreamKind::Location => "location",
            StreamKind::Left => "left",
            StreamKind::Gone => "gone",
            StreamKind::Presence => "presence",
            StreamKind::Fence => "fence",
        }
    }
}

/// The kinds of events that a reader wants. The default: locations, `left` and `gone`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamKinds(u8);

impl StreamKinds {
    /// No kind at all.
    pub const NONE: StreamKinds = StreamKinds(0);

    /// These kinds and `kind`.
    #[must_use]
    pub const fn with(self, kind: StreamKind) -> StreamKinds {
        StreamKinds(self.0 | kind as u8)
    }

    /// Whether the kind is wanted.
    pub const fn contains(self, kind: StreamKind) -> bool {
        self.0 & kind as u8 != 0
    }
}

impl Default for StreamKinds {
    fn default() -> StreamKinds {
        StreamKinds::NONE.with(StreamKind::Location).with(StreamKind::Left).with(StreamKind::Gone)
    }
}
