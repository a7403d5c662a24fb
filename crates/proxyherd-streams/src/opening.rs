//! How a connection opens, reads and leaves a stream.

use super::{
    event::{EventId, StreamKinds},
    filter::StreamFilter,
};
use crate::limits::{
    ALL_STREAM_ENTRIES_MAX, STREAM_ENTRIES_MAX, STREAM_IDS_MAX, STREAMS_KEPT_MAX, STREAMS_MAX,
    UNINDEXED_STREAMS_MAX,
};

/// One connection's hold of one stream, until the owner gives it back ([`Streams::detach`](super::Streams::detach)).
/// Another connection may take the stream over meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamKey {
    /// The place of the stream.
    pub(super) slot: u32,
    /// The number of the connection among all connections of that place.
    pub(super) connection: u32,
}

/// What opens a stream.
#[derive(Debug)]
pub struct StreamOpening<'a, B> {
    /// The clients that the stream is about.
    pub filter: StreamFilter,
    /// The kinds of events that the reader wants.
    pub kinds: StreamKinds,
    /// The ID of the reader's token. Only the same owner can resume the stream.
    pub owner: Option<&'a [u8]>,
    /// A number that the streams of one caller share. It matters when too many streams are kept.
    pub caller: u64,
    /// The last event that the reader has received, if it resumes a stream.
    pub last_event_id: Option<EventId>,
    /// A random number, which nobody else can guess.
    pub random: u64,
    /// The connection's bell.
    pub bell: B,
}

/// A stream was not opened, because something is full. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamsFull {
    /// As many streams are open as one server serves.
    #[error("this server serves no more streams; try later, or ask another server of the herd")]
    Streams,
    /// As many streams without IDs and without a place are open as one server serves: each change is compared with all
    /// of them.
    #[error(
        "this server serves no more streams of clients anywhere; name IDs, a prefix of IDs or a smaller place"
    )]
    Unindexed,
    /// The filter names more IDs than one stream may.
    #[error("a stream names at most {} IDs", crate::limits::STREAM_IDS_MAX)]
    Ids,
}

/// What a reader takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// An event, as `tell` returned it.
    Event(T),
    /// There is nothing to take. The bell rings when there is.
    Empty,
    /// The stream begins anew: its state must be gathered first ([`Streams::gathering`](super::Streams::gathering)).
    Gather,
    /// The stream is over for this connection.
    Ended(StreamEnd),
}

/// Why a stream is over for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// The reader's rights have ended.
    RightsEnded,
    /// Another connection has resumed this stream.
    TakenOver,
    /// More clients match than one stream can hold.
    TooLarge,
    /// All streams of this server together hold as many clients as they can, and this stream held the most.
    ServerFull,
    /// A fault has ended the stream.
    Failed,
    /// The server shuts down.
    ShuttingDown,
}

/// How much the streams of a server may take.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// See [`STREAMS_MAX`](crate::limits::STREAMS_MAX).
    pub streams: usize,
    /// See [`UNINDEXED_STREAMS_MAX`](crate::limits::UNINDEXED_STREAMS_MAX).
    pub unindexed: usize,
    /// See [`STREAM_ENTRIES_MAX`](crate::limits::STREAM_ENTRIES_MAX).
    pub entries: usize,
    /// See [`ALL_STREAM_ENTRIES_MAX`](crate::limits::ALL_STREAM_ENTRIES_MAX).
    pub all_entries: usize,
    /// See [`STREAMS_KEPT_MAX`](crate::limits::STREAMS_KEPT_MAX).
    pub kept: usize,
    /// The number of entries of a stream that are released at once when it ends or begins anew. With more, all are
    /// released in bites ([`Streams::release`](super::Streams::release)).
    pub released_at_once: usize,
}

impl Default for StreamLimits {
    fn default() -> StreamLimits {
        StreamLimits {
            streams: STREAMS_MAX,
            unindexed: UNINDEXED_STREAMS_MAX,
            entries: STREAM_ENTRIES_MAX,
            all_entries: ALL_STREAM_ENTRIES_MAX,
            kept: STREAMS_KEPT_MAX,
            // A filter names no more clients than this.
            released_at_once: STREAM_IDS_MAX,
        }
    }
}
