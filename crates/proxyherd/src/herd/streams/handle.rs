//! What a door sees of a stream: the request that opens it, the handle, and what the handle gives.

use std::{fmt, sync::Arc};

use proxyherd_core::{
    replica::{Effort, Unfinished},
    streams::{EventId, StreamEvent, StreamFilter, StreamKinds},
};

use crate::herd::Denied;

/// The stream that a caller wants.
#[derive(Clone, Debug)]
pub struct StreamRequest {
    /// The clients of the stream. `Herd` fills in [`StreamFilter::readable`].
    pub filter: StreamFilter,
    /// The kinds of events.
    pub kinds: StreamKinds,
    /// The ID of the last event that the caller has read of an earlier stream. The stream goes on from that event if
    /// this server has kept that stream. Otherwise it begins anew.
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
    /// The server has its maximum number of streams, or its streams hold as many clients as they may together.
    #[error("this server has no room for another stream: try again later, or ask another server of the herd")]
    Server,
    /// The caller's token, or its address without a token, has as many open streams as it may.
    #[error("{0} streams of this token or address are open, and more are not allowed: end one of them first")]
    Caller(usize),
}

/// What [`StreamHandle::take`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// An event, as `tell` has returned it.
    Event(T),
    /// Nothing is left. The bell rings when there is something again.
    Empty,
    /// The stream begins anew. Call [`StreamHandle::gather`] on a thread that may wait, and then take again.
    Gather,
    /// The stream has ended. Nothing more comes.
    Ended(StreamEnd),
}

/// Why a stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// The caller's token was revoked or has expired.
    RightsEnded,
    /// Another connection has resumed the stream.
    TakenOver,
    /// More clients match than one stream, or all streams together, may hold.
    TooLarge,
    /// The server is stopping.
    ShuttingDown,
}

impl StreamEnd {
    /// The reason in words, for the reader of the stream.
    pub const fn reason(self) -> &'static str {
        match self {
            StreamEnd::RightsEnded => "the token was revoked or has expired",
            StreamEnd::TakenOver => "another connection has resumed this stream",
            StreamEnd::TooLarge => "too many clients match: ask for fewer clients or a smaller area",
            StreamEnd::ShuttingDown => "the server is stopping",
        }
    }
}
