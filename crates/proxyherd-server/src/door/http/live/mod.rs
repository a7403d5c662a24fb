//! Live streams: `/v1/stream` (server-sent events) and `/v1/ws` (WebSocket).
//!
//! `wanted` reads which stream a client wants, from a query or from a message. `events` opens the stream at the herd
//! and takes its events in batches. `sse` is the body of a response that never ends by itself. `handshake` turns a
//! request into a WebSocket, and `websocket` is the conversation over one.
//!
//! A batch is taken only when the client's connection has taken everything before. So a client that reads slowly costs
//! one short batch, and is told fewer events, which are as new as others'. A client that reads nothing is disconnected
//! after a while; the herd keeps its stream, so that the client can resume it.
//!
//! Nothing here knows which events there are to tell: the herd decides that.

mod events;
mod handshake;
mod sse;
mod wanted;
mod websocket;

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

// The description of the API names them.
#[cfg(test)]
pub(super) use self::wanted::KINDS;
pub(super) use self::{handshake::get_ws, sse::get_stream};
use super::searches::Searches;

/// What all streams of the door share.
#[derive(Clone, Debug)]
pub(super) struct Live {
    /// Whose turn it is to search for the state of a stream.
    pub(super) searches: Arc<Searches>,
    /// A stop of the server waits for these tasks.
    pub(super) tasks: TaskTracker,
    /// Canceled when the server stops.
    pub(super) stop: CancellationToken,
}
