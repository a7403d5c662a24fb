//! Live streams: [`Herd::stream`](super::Herd::stream) opens a stream and returns a [`StreamHandle`], from which a door
//! takes events. When there is something to take, and there was nothing before, the stream's bell rings.
//!
//! The crate `proxyherd_streams` decides what a stream tells, and which clients come, fall silent and go (`presence`).
//! This module has what a pure crate must not have: the lock, the thread, the bells, the clock, and the callers'
//! rights.
//!
//! All streams of a server share one lock, one follower of the replica and one thread (`follower`). The first stream
//! starts the thread. The thread ends when no stream is open or kept for a reader that may resume it.
//!
//! **Rights.** A stream holds only clients that its caller may read. The caller's token is checked at each
//! [`StreamHandle::take`]. When a token is revoked or has expired, its streams end, and their bells ring
//! ([`HerdStreams::recheck`], which runs five times a second).
//!
//! **Limits.** Core bounds the number of streams and of their clients. In addition, no caller takes all streams
//! (`callers`).
//!
//! **Locks.** The lock of the streams comes before the shards' locks. Bells are rung without any lock. A stream's state
//! is gathered without the lock of the streams, because this takes long.
//!
//! This module does not know what doors do with events.

mod callers;
mod follower;
mod handle;
mod presence;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc::SyncSender},
};

use parking_lot::Mutex;
use proxyherd_config::clock;
use proxyherd_core::{
    replica::{Effort, Replica, Unfinished},
    types::IdPattern,
};
use proxyherd_streams::{EventId, StreamCounts, StreamEvent, StreamKey, StreamOpening, Streams};
pub use proxyherd_streams::{StreamEnd, Taken};

use self::callers::{CallerKey, CallerStreams};
pub use self::handle::{StreamRefusal, StreamRequest, StreamsFull};
pub(super) use self::presence::PresenceRules;
use crate::{
    caller::{Caller, Rights},
    liveness::Liveness,
};

/// A connection that reads a stream: its bell, and its rights when the stream was opened.
struct Connection {
    rights: Rights,
    bell: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("rights", &self.rights).finish_non_exhaustive()
    }
}

/// Rings bells, without any lock. A bell that panics is a fault of one connection, and must not silence the others.
fn ring(rings: &mut Vec<Arc<Connection>>) {
    for connection in rings.drain(..) {
        let _ = catch_unwind(AssertUnwindSafe(|| (connection.bell)()));
    }
}

/// The streams of a server, behind their lock.
#[derive(Debug)]
struct StreamsState {
    streams: Streams<Arc<Connection>>,
    callers: CallerStreams,
    /// Wakes the thread. `None`: there is no thread.
    wake_thread: Option<SyncSender<()>>,
    /// Whether no stream can be opened any more, because the server has ended or is stopping.
    is_over: bool,
    /// The time at which the thread last offered changes.
    offered_ns: u64,
    /// The number of clients whose presence the thread follows.
    presence_clients: usize,
    /// Whether a panic has left the streams in a state that cannot be repaired. They are not touched any more.
    has_failed: bool,
    /// Whether the thread panics at the next change.
    #[cfg(test)]
    fails: bool,
}

impl StreamsState {
    /// Whether the thread has nothing to do.
    fn is_idle(&self) -> bool {
        self.is_over || self.has_failed || self.streams.is_empty()
    }

    /// Wakes the thread if it must end, or has clients to release.
    fn wake_thread(&self) {
        if (self.is_idle() || self.streams.must_release())
            && let Some(wake_thread) = &self.wake_thread
        {
            // If the channel is full, the thread has already been woken and will find what there is to do.
            let _ = wake_thread.try_send(());
        }
    }

    /// The thread starts presence when a stream wants it. What happens to clients before that is told to nobody, so the
    /// thread does not wait for its next look.
    fn wake_for_presence(&self) {
        if self.streams.wants_presence()
            && let Some(wake_thread) = &self.wake_thread
        {
            let _ = wake_thread.try_send(());
        }
    }

    fn take_rings(&mut self) -> Vec<Arc<Connection>> {
        let mut rings = Vec::new();
        self.streams.take_rings(&mut rings);
        rings
    }
}

/// The streams of a server, and the replica of which they tell.
#[derive(Debug)]
struct Hub {
    replica: Arc<Replica>,
    state: Mutex<StreamsState>,
}

/// The streams of a server.
#[derive(Debug)]
pub(super) struct HerdStreams {
    hub: Arc<Hub>,
    presence: PresenceRules,
}

impl HerdStreams {
    pub(super) fn new(replica: &Arc<Replica>, presence: PresenceRules) -> HerdStreams {
        let state = StreamsState {
            streams: Streams::new(replica.me().incarnation, clock::random()),
            callers: CallerStreams::default(),
            wake_thread: None,
            is_over: false,
            offered_ns: 0,
            presence_clients: 0,
            has_failed: false,
            #[cfg(test)]
            fails: false,
        };
        HerdStreams {
            hub: Arc::new(Hub { replica: Arc::clone(replica), state: Mutex::new(state) }),
            presence,
        }
    }

    /// Opens or resumes a stream of a caller who may read the IDs in the filter.
    pub(super) fn open(
        &self,
        liveness: &Liveness,
        caller: &Caller,
        request: StreamRequest,
        bell: impl Fn() + Send + Sync + 'static,
    ) -> Result<StreamHandle, StreamsFull> {
        let StreamRequest { mut filter, kinds, last_event_id } = request;
        // Named IDs may all be read; that was checked before.
        filter.readable = if filter.ids.is_empty() { readable(&caller.rights) } else { Vec::new() };
        let connection = Arc::new(Connection { rights: caller.rights.clone(), bell: Box::new(bell) });
        let caller = CallerKey::of(caller, &filter);
        let mut state = self.hub.state.lock();
        if state.is_over || state.has_failed {
            return Err(StreamsFull::Follower);
        }
        if state.wake_thread.is_none() {
            let started = follower::start(&self.hub, &state, self.presence.clone(), liveness);
            state.wake_thread = Some(started.ok_or(StreamsFull::Follower)?);
        }
        state.callers.enter(&caller)?;
        let grant = connection.rights.grant();
        let owner = grant.map(|grant| grant.id().map_or(&b""[..], |id| id.as_str().as_bytes()));
        let opening = StreamOpening {
            filter,
            kinds,
            owner,
            caller: state.callers.number(&caller),
            last_event_id: last_event_id.and_then(|id| EventId::parse(&id)),
            random: clock::random(),
            bell: Arc::clone(&connection),
        };
        let opened = state.streams.open(opening).inspect_err(|_| state.callers.leave(&caller));
        state.wake_thread();
        state.wake_for_presence();
        // Another connection may have had the stream.
        let mut rings = state.take_rings();
        drop(state);
        ring(&mut rings);
        Ok(StreamHandle { hub: Arc::clone(&self.hub), key: opened?, connection, caller })
    }

    /// Ends the streams whose callers have lost their rights.
    pub(super) fn recheck(&self, now_ns: u64) {
        self.end_if(StreamEnd::RightsEnded, |connection| !connection.rights.are_valid(now_ns));
    }

    /// Ends all streams, because the server is stopping. No further stream is opened.
    pub(super) fn stop(&self) {
        self.hub.state.lock().is_over = true;
        self.end_if(StreamEnd::ShuttingDown, |_| true);
    }

    /// The numbers of all streams.
    pub(super) fn counts(&self) -> StreamCounts {
        let state = self.hub.state.lock();
        if state.has_failed { StreamCounts::default() } else { state.streams.counts() }
    }

    /// The number of clients whose presence the server follows.
    pub(super) fn presence_clients(&self) -> usize {
        self.hub.state.lock().presence_clients
    }

    fn end_if(&self, why: StreamEnd, is_over: impl Fn(&Connection) -> bool) {
        let mut state = self.hub.state.lock();
        if state.has_failed {
            return;
        }
        state.streams.end_if(why, |connection| is_over(connection));
        state.wake_thread();
        let mut rings = state.take_rings();
        drop(state);
        ring(&mut rings);
    }
}

impl Drop for HerdStreams {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The patterns of all clients that a caller may read; none: every client.
fn readable(rights: &Rights) -> Vec<IdPattern> {
    let Some(grant) = rights.grant().filter(|grant| !grant.scopes().may_read_all(&IdPattern::all())) else {
        return Vec::new();
    };
    grant.scopes().readable().cloned().collect()
}

/// An open stream. Dropping the handle detaches the stream: its reader can resume the stream for some time.
#[derive(Debug)]
pub struct StreamHandle {
    hub: Arc<Hub>,
    key: StreamKey,
    connection: Arc<Connection>,
    caller: CallerKey,
}

impl StreamHandle {
    /// Searches the state of a stream that begins anew. A door calls this, on a thread that may wait, whenever
    /// [`StreamHandle::take`] returns [`Taken::Gather`], and then takes again. If the search does not finish, the door
    /// gathers again later, or drops the handle.
    pub fn gather(&self, now_ns: u64, mut effort: Effort<'_>) -> Result<(), Unfinished> {
        let state = self.hub.state.lock();
        let gathering = if state.has_failed { None } else { state.streams.gathering(self.key) };
        drop(state);
        let Some(mut gathering) = gathering else { return Ok(()) };
        while gathering.search(&self.hub.replica, now_ns, &mut effort)? {
            let mut state = self.hub.state.lock();
            let is_wanted = !state.has_failed && state.streams.gathered(&mut gathering);
            state.wake_thread();
            let mut rings = state.take_rings();
            drop(state);
            ring(&mut rings);
            if !is_wanted {
                break;
            }
        }
        Ok(())
    }

    /// Takes the next event, with the client's record as it is at `now_ns`, or when changes were last offered if that
    /// was later. `tell` may be called under locks, so it must be quick, and it must not call the herd.
    pub fn take<T>(&self, now_ns: u64, tell: impl FnOnce(&StreamEvent<'_>, EventId) -> T) -> Taken<T> {
        if !self.connection.rights.are_valid(now_ns) {
            return Taken::Ended(StreamEnd::RightsEnded);
        }
        let mut state = self.hub.state.lock();
        if state.has_failed {
            return Taken::Ended(StreamEnd::Failed);
        }
        // The caller can have read its clock before a report expired, and take after the thread has offered that. With
        // the earlier time, the report would be told again, and nothing would tell its end.
        let now_ns = now_ns.max(state.offered_ns);
        let taken = state.streams.take(self.key, &self.hub.replica, now_ns, tell);
        let mut rings = state.take_rings();
        drop(state);
        ring(&mut rings);
        taken
    }
}

impl Drop for StreamHandle {
    fn drop(&mut self) {
        let now_ns = clock::now_ns();
        let mut state = self.hub.state.lock();
        state.callers.leave(&self.caller);
        if state.has_failed {
            return;
        }
        state.streams.detach(self.key, now_ns);
        state.wake_thread();
    }
}
