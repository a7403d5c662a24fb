//! Live streams: each tells its reader the state of the clients that match a filter, and then every change.
//!
//! One [`Streams`] value holds all streams of a server, and its owner keeps it behind one lock. The owner follows the
//! replica, and offers changes to the streams ([`Streams::wants`], [`ChangeBatch`]). A door opens a stream
//! ([`Streams::open`]) and takes events ([`Streams::take`]) as fast as its client reads them.
//!
//! **What a reader is told.** First [`StreamEvent::Reset`], then the state as [`StreamEvent::Location`]s, then
//! [`StreamEvent::Synced`], then changes. A change is not kept as an event: the stream only queues *which* client has
//! changed, each client at most once, and reads the client's current record when the reader takes the event. So a slow
//! reader is told fewer events, never old ones, and the number of clients that match bounds a stream's memory.
//!
//! **Locks.** The lock of `Streams` comes before the shards' locks: `take` reads the replica. So a follower drains the
//! replica with `Streams` locked. [`Gathering::search`] takes long and runs without the lock of `Streams`.
//!
//! **Bells.** Each connection has a bell, a value of the owner's type `B`. A stream that has something to take, and had
//! nothing when its reader last looked, puts its bell into a list ([`Streams::take_rings`]). The owner rings these bells
//! after it has released the lock.
//!
//! This module knows no clock, no thread and no door.

mod event;
mod filter;
mod interest_map;
mod polygon;

use std::sync::Arc;

pub use self::{
    event::{EventId, StreamEvent, StreamKind, StreamKinds},
    filter::StreamFilter,
    interest_map::InterestMap,
    polygon::{Polygon, PolygonError},
};
pub use crate::presence::{PresenceEvent, PresenceKind};
use crate::{
    flood::FollowerEvent,
    replica::{Effort, Replica, Unfinished},
};

/// All streams of a server. `B` is the bell of a connection.
#[derive(Debug)]
pub struct Streams<B> {
    rings: Vec<B>,
}

/// One connection's hold of one stream, until the owner gives it back ([`Streams::detach`]). Another connection may take
/// the stream over meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamKey {
    /// The place of the stream.
    slot: u32,
    /// The number of the connection among all connections of that place.
    connection: u32,
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
    #[error("this server serves no more streams")]
    Streams,
    /// As many streams without IDs and without a place are open as one server serves: each change is compared with all
    /// of them.
    #[error("this server serves no more streams that have neither IDs nor a place; name IDs or a place")]
    Unindexed,
    /// The filter names more IDs than one stream may.
    #[error("a stream names too many IDs")]
    Ids,
}

/// What a reader takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// An event, as `tell` returned it.
    Event(T),
    /// There is nothing to take. The bell rings when there is.
    Empty,
    /// The stream begins anew: its state must be gathered first ([`Streams::gathering`]).
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
    /// More clients match than one stream, or all streams of this server together, can hold.
    TooLarge,
    /// The server shuts down.
    ShuttingDown,
}

/// The numbers of all streams of a server, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounts {
    /// The number of streams that a connection reads ...
    pub open: usize,
    /// ... and of streams that are kept for a reader that may resume them.
    pub kept: usize,
    /// The number of pairs of a stream and a client that the stream remembers.
    pub members: usize,
    /// Events told since the start, by kind, in the order of [`StreamKind::ALL`].
    pub told: [u64; 5],
    /// Changes that were not told, because a newer change of the same client was queued before the reader took them.
    pub conflated: u64,
    /// Resets since the start, by reason, in the order of [`ResetReason::ALL`].
    pub resets: [u64; 4],
    /// Presence events that were dropped because a reader was too slow.
    pub presence_dropped: u64,
}

/// Why a reader was told to begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// The stream is new, and the reader did not ask to resume one.
    New,
    /// The reader asked to resume a stream that this server does not keep (any more).
    Unknown,
    /// The stream does not reach back to the last event that the reader has received.
    TooOld,
    /// The server has lost changes.
    ChangesLost,
}

impl ResetReason {
    /// All reasons.
    pub const ALL: [ResetReason; 4] =
        [ResetReason::New, ResetReason::Unknown, ResetReason::TooOld, ResetReason::ChangesLost];

    /// The reason in a word, for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            ResetReason::New => "new",
            ResetReason::Unknown => "unknown",
            ResetReason::TooOld => "too_old",
            ResetReason::ChangesLost => "changes_lost",
        }
    }
}

#[allow(clippy::todo, unused_variables, clippy::needless_pass_by_value, reason = "the interface comes first")]
impl<B: Clone> Streams<B> {
    /// No streams, at a server whose life has this number ([`Origin`](crate::types::Origin)). Keep `seed` secret: whoever
    /// knows it can choose IDs that collide.
    pub fn new(incarnation: u64, seed: u64) -> Streams<B> {
        Streams { rings: Vec::new() }
    }

    /// Opens a stream, or resumes the one that `last_event_id` names. Its reader should take at once, without waiting
    /// for the bell.
    pub fn open(&mut self, now_ns: u64, opening: StreamOpening<'_, B>) -> Result<StreamKey, StreamsFull> {
        todo!()
    }

    /// Takes the next event, with the client's record as it is at `now_ns`. `tell` may be called under a shard's lock,
    /// so it must be quick.
    pub fn take<T>(
        &mut self,
        key: StreamKey,
        replica: &Replica,
        now_ns: u64,
        tell: impl FnOnce(&StreamEvent<'_>, EventId) -> T,
    ) -> Taken<T> {
        todo!()
    }

    /// What must be searched before a stream that begins anew tells its state. `None`: nothing (any more).
    pub fn gathering(&self, key: StreamKey) -> Option<Gathering> {
        todo!()
    }

    /// Takes what a search has found in one shard, and forgets it there. After the last shard, the reader can take.
    pub fn gathered(&mut self, gathering: &mut Gathering) {
        todo!()
    }

    /// The connection has ended. The stream is kept for [`STREAM_KEPT_NS`](crate::limits::STREAM_KEPT_NS), so that its
    /// reader can resume it, unless the stream has ended, or another connection has taken it over.
    pub fn detach(&mut self, key: StreamKey, now_ns: u64) {
        todo!()
    }

    /// Drops streams that have been kept long enough. Call this about once a second.
    pub fn expire(&mut self, now_ns: u64) {
        todo!()
    }

    /// Whether any stream, open or kept, wants this change. A follower calls this under the shard's lock, and copies the
    /// change only if it is wanted; see [`ChangeBatch::take`].
    pub fn wants(&self, told: &FollowerEvent<'_>) -> bool {
        todo!()
    }

    /// Queues the changes of a batch for the streams that want them, and empties the batch.
    pub fn offer(&mut self, batch: &mut ChangeBatch) {
        todo!()
    }

    /// Queues a presence event for the streams that want it.
    pub fn offer_presence(&mut self, replica: &Replica, now_ns: u64, event: &PresenceEvent<'_>) {
        todo!()
    }

    /// Whether any stream, open or kept, wants presence events.
    pub fn wants_presence(&self) -> bool {
        todo!()
    }

    /// Changes were lost: all streams tell `Reset` and gather their state again.
    pub fn begin_anew(&mut self) {
        todo!()
    }

    /// Ends the open streams of the connections for which `is_over` returns true: for example, those whose tokens were
    /// revoked. Their bells ring, and their readers take the reason. These streams cannot be resumed.
    pub fn end_if(&mut self, why: StreamEnd, is_over: impl FnMut(&B) -> bool) {
        todo!()
    }

    /// Moves the bells that must be rung to `rings`. Ring them without any lock.
    pub fn take_rings(&mut self, rings: &mut Vec<B>) {
        rings.append(&mut self.rings);
    }

    /// Whether no stream is open or kept.
    pub fn is_empty(&self) -> bool {
        todo!()
    }

    /// The numbers of all streams.
    pub fn counts(&self) -> StreamCounts {
        todo!()
    }
}

/// A search for the clients that match a stream's filter, shard by shard. Use it as in this example, where `lock` is the
/// lock of the streams:
///
/// ```ignore
/// let Some(mut gathering) = lock().gathering(key) else { return Ok(()) };
/// while gathering.search(&replica, now_ns, effort)? {
///     lock().gathered(&mut gathering);
/// }
/// ```
#[derive(Debug)]
pub struct Gathering {
    filter: Arc<StreamFilter>,
}

#[allow(clippy::todo, unused_variables, reason = "the interface comes first")]
impl Gathering {
    /// Searches the next shard. False: all shards were searched. Call this without a lock.
    pub fn search(&mut self, replica: &Replica, now_ns: u64, effort: Effort<'_>) -> Result<bool, Unfinished> {
        todo!()
    }
}

/// Changes that were copied while a shard was locked. One batch is used again and again, so that it allocates nothing in
/// the long run.
#[derive(Debug, Default)]
pub struct ChangeBatch {}

#[allow(clippy::todo, unused_variables, reason = "the interface comes first")]
impl ChangeBatch {
    /// Copies a change if any stream wants it. Pass this to [`Replica::drain`], with `streams` locked before.
    pub fn take<B: Clone>(&mut self, streams: &Streams<B>, told: FollowerEvent<'_>) {
        todo!()
    }
}
