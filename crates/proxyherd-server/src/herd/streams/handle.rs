//! What a door sees of a stream: the request that opens the stream, and the reasons for which it is refused.

use proxyherd_streams::{self as streams, StreamFilter, StreamKinds};

use crate::herd::Denied;

/// The stream that a caller wants.
#[derive(Clone, Debug)]
pub struct StreamRequest {
    /// The clients that the stream is about. `Herd` fills in [`StreamFilter::readable`].
    pub filter: StreamFilter,
    /// The kinds of events.
    pub kinds: StreamKinds,
    /// The ID of the last event that the caller has received of an earlier stream. If this server has kept that stream,
    /// the stream goes on from that event. Otherwise it begins anew.
    pub last_event_id: Option<Box<[u8]>>,
}

/// Why a stream was not opened. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamRefusal {
    /// The caller lacks the right.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// There is no room for the stream.
    #[error(transparent)]
    Full(#[from] StreamsFull),
}

/// What is full when a stream is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamsFull {
    /// A limit of all streams, or of each stream.
    #[error(transparent)]
    Streams(#[from] streams::StreamsFull),
    /// The caller's token, or its address without a token, has as many open streams as it may.
    #[error("{0} streams of this token or address are open, which is the maximum: end one of them first")]
    Caller(usize),
    /// This caller has as many streams of clients anywhere as it may.
    #[error(
        "{0} streams of this token or address are about clients anywhere, which is the maximum: name IDs, a prefix of \
         IDs or a place"
    )]
    CallerWide(usize),
    /// The server has no place for the follower that serves streams, or cannot start its thread.
    #[error(
        "this server cannot serve streams at present: try again later, or ask another server of the herd"
    )]
    Follower,
}
