//! Watchers receive the changes of clients as they happen. [`Herd::watch`](super::Herd::watch) makes a [`WatchHandle`].
//! When the watcher's bell rings, the watcher takes changes from this handle.
//!
//! All watchers of a server share one follower of the replica and one thread. The first watcher starts both, and both
//! end after the last one. The thread takes the IDs of changed clients from the replica, in small batches, and queues
//! each ID for the watchers that want this client. A queue holds each ID at most once. A watcher that takes an ID reads
//! the client's *current* record. So a slow watcher gets fewer changes, and never an old record.
//!
//! **Limits.** If more than [`QUEUE_LEN_MAX`] clients wait for one watcher, its queue is emptied and the watcher must
//! begin anew ([`Change::Anew`]). Nothing is queued for this watcher until it has taken this change. All watchers begin
//! anew after a panic in the thread, and if the thread falls behind so far that the replica requires this. A new
//! watcher in excess of [`WATCHERS_MAX`] or [`PREFIX_WATCHERS_MAX`] is refused.
//!
//! **Locks.** The lock of all watchers is held while the replica is followed and unfollowed, so it is locked before the
//! shards' locks. Bells are called without any lock.
//!
//! This module does not know what doors do with changes.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use parking_lot::Mutex;
use proxyherd_core::{
    command::Watch,
    flood::{Begin, FollowerEvent, FollowerId, Following},
    replica::Replica,
    types::Kind,
};

use super::Whereabouts;
use crate::{
    caller::Rights,
    liveness::{Liveness, Pulse},
};

/// Maximum number of watchers of a server. A further watcher is refused.
const WATCHERS_MAX: usize = 65_536;
/// Maximum number of watchers of a prefix or of all clients. Each change is compared with all these watchers. A further
/// watcher is refused.
const PREFIX_WATCHERS_MAX: usize = 256;
/// Maximum number of clients in one watcher's queue. With one more client the watcher begins anew.
const QUEUE_LEN_MAX: usize = 4096;
/// Maximum number of changes that are taken from the replica at once. This limits how long the lock of all watchers is
/// held.
const BATCH_LEN: usize = 128;

/// One change, as a watcher receives it.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// The present position of a client. The watcher may have received the same position before.
    Moved(&'a Whereabouts<'a>),
    /// The client with this ID is no longer known. The watcher may have received this change before, or may never have
    /// heard of the client.
    Gone(&'a [u8]),
    /// Changes were omitted, so the watcher's knowledge may be wrong. The watcher should ask where its clients are. It
    /// receives all changes from now on.
    Anew,
}

/// One watcher. Dropping it ends the watch.
#[derive(Debug)]
pub struct WatchHandle {
    replica: Arc<Replica>,
    shared: Arc<Mutex<WatchersState>>,
    /// The ID of the watched client. With `is_prefix`: the prefix of the IDs of the watched clients.
    watched: Box<[u8]>,
    is_prefix: bool,
    outbox: Arc<WatcherOutbox>,
    /// The rights with which the watch began.
    rights: Rights,
}

impl WatchHandle {
    /// Takes the next change, with the record as it is at `now_ns`. `tell` may be called under a shard's lock, so
    /// `tell` must be quick. `None`: no change is left, or the rights of the watch have ended. The bell rings when
    /// there is a change again.
    pub fn take<T>(&self, now_ns: u64, tell: impl FnOnce(Change<'_>) -> T) -> Option<T> {
        if !self.rights.are_valid(now_ns) {
            return None;
        }
        let client = match self.outbox.queue.lock().next()? {
            NextChange::Anew => return Some(tell(Change::Anew)),
            NextChange::Client(client) => client,
        };
        let mut tell = Some(tell);
        let mut tell = |change: Change<'_>| tell.take().map(|tell| tell(change));
        let told = self.replica.find(now_ns, Kind::CLIENT, &client, |held| {
            Whereabouts::of(&held.record, &held.origin.server).and_then(|found| tell(Change::Moved(&found)))
        });
        told.flatten().or_else(|| tell(Change::Gone(&client)))
    }
}

impl Drop for WatchHandle {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let is_other = |outbox: &Arc<WatcherOutbox>| !Arc::ptr_eq(outbox, &self.outbox);
        if self.is_prefix {
            state.by_prefix.retain(|(_, outbox)| is_other(outbox));
        } else if let Some(outboxes) = state.by_client.get_mut(&self.watched) {
            outboxes.retain(is_other);
            if outboxes.is_empty() {
                state.by_client.remove(&self.watched);
            }
        }
        state.len -= 1;
        state.end_if_idle();
    }
}

/// One watcher's queue and bell.
struct WatcherOutbox {
    queue: Mutex<WatcherQueue>,
    bell: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for WatcherOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatcherOutbox").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// The changes that wait for one watcher.
#[derive(Debug, Default)]
struct WatcherQueue {
    /// [`Change::Anew`] waits. Nothing else is queued meanwhile.
    begins_anew: bool,
    /// The IDs of changed clients, the oldest change first.
    fifo: VecDeque<Arc<[u8]>>,
    /// The same IDs, to look them up.
    queued: HashSet<Arc<[u8]>>,
}

enum NextChange {
    Anew,
    Client(Arc<[u8]>),
}

impl WatcherQueue {
    fn is_empty(&self) -> bool {
        !self.begins_anew && self.fifo.is_empty()
    }

    fn next(&mut self) -> Option<NextChange> {
        if std::mem::take(&mut self.begins_anew) {
            return Some(NextChange::Anew);
        }
        let client = self.fifo.pop_front()?;
        self.queued.remove(&client);
        Some(NextChange::Client(client))
    }

    fn begin_anew(&mut self) {
        *self = WatcherQueue { begins_anew: true, ..WatcherQueue::default() };
    }

    /// Queues a client. All queues share one allocation of the client's ID. The first queue that needs the ID fills
    /// `shared_id`.
    fn put(&mut self, client: &[u8], shared_id: &mut Option<Arc<[u8]>>) {
        if self.begins_anew || self.queued.contains(client) {
            return;
        }
        if self.fifo.len() == QUEUE_LEN_MAX {
            return self.begin_anew();
        }
        let client = shared_id.get_or_insert_with(|| client.into());
        self.fifo.push_back(Arc::clone(client));
        self.queued.insert(Arc::clone(client));
    }
}

/// All watchers of a server.
#[derive(Debug)]
pub(super) struct Watchers {
    replica: Arc<Replica>,
    shared: Arc<Mutex<WatchersState>>,
}

#[derive(Debug, Default)]
struct WatchersState {
    /// The watchers of single clients, by the client's ID.
    by_client: HashMap<Box<[u8]>, Vec<Arc<WatcherOutbox>>>,
    /// The watchers of prefixes. A watcher of all clients has the empty prefix.
    by_prefix: Vec<(Box<[u8]>, Arc<WatcherOutbox>)>,
    /// Number of watchers.
    len: usize,
    /// Wakes the thread. `None`: there is no thread.
    wake_thread: Option<SyncSender<()>>,
    /// Whether the server has ended.
    is_over: bool,
}

impl WatchersState {
    fn is_idle(&self) -> bool {
        self.len == 0 || self.is_over
    }

    fn end_if_idle(&self) {
        if self.is_idle()
            && let Some(wake_thread) = &self.wake_thread
        {
            // If the channel is full, the thread has already been woken and will find that nobody watches.
            let _ = wake_thread.try_send(());
        }
    }

    fn for_each(&self, mut visit: impl FnMut(&Arc<WatcherOutbox>)) {
        self.by_client.values().flatten().for_each(&mut visit);
        self.by_prefix.iter().for_each(|(_, outbox)| visit(outbox));
    }

    fn for_each_of(&self, client: &[u8], mut visit: impl FnMut(&Arc<WatcherOutbox>)) {
        self.by_client.get(client).into_iter().flatten().for_each(&mut visit);
        let of_prefixes = self.by_prefix.iter().filter(|(prefix, _)| client.starts_with(prefix));
        of_prefixes.for_each(|(_, outbox)| visit(outbox));
    }
}

impl Watchers {
    pub(super) fn new(replica: &Arc<Replica>) -> Watchers {
        Watchers { replica: Arc::clone(replica), shared: Arc::default() }
    }

    /// Adds a watcher. `None`: the maximum number of watchers is reached, the replica has no place for a follower, or
    /// the thread can't be started.
    pub(super) fn watch(
        &self,
        liveness: &Liveness,
        watch: Watch<'_>,
        rights: Rights,
        bell: impl Fn() + Send + Sync + 'static,
    ) -> Option<WatchHandle> {
        let (watched, is_prefix): (Box<[u8]>, _) = match watch {
            Watch::Client(client) => (client.as_bytes().into(), false),
            Watch::Prefix(prefix) => (prefix.as_bytes().into(), true),
            Watch::All => (Box::default(), true),
        };
        let mut state = self.shared.lock();
        if state.len == WATCHERS_MAX || is_prefix && state.by_prefix.len() == PREFIX_WATCHERS_MAX {
            return None;
        }
        if state.wake_thread.is_none() {
            state.wake_thread = Some(self.start(liveness)?);
        }
        let outbox = Arc::new(WatcherOutbox { queue: Mutex::default(), bell: Box::new(bell) });
        if is_prefix {
            state.by_prefix.push((watched.clone(), Arc::clone(&outbox)));
        } else {
            state.by_client.entry(watched.clone()).or_default().push(Arc::clone(&outbox));
        }
        state.len += 1;
        let (replica, shared) = (Arc::clone(&self.replica), Arc::clone(&self.shared));
        Some(WatchHandle { replica, shared, watched, is_prefix, outbox, rights })
    }

    fn start(&self, liveness: &Liveness) -> Option<SyncSender<()>> {
        let (wake_thread, woken) = sync_channel(1);
        let follower = Follower::new(&self.replica, wake_thread.clone())?;
        let (shared, pulse) = (Arc::clone(&self.shared), liveness.pulse("telling watchers"));
        let run = move || run_thread(follower, &shared, &woken, &pulse);
        thread::Builder::new().name("watchers".to_owned()).spawn(run).ok()?;
        Some(wake_thread)
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_over = true;
        state.end_if_idle();
    }
}

/// The watchers' follower of the replica. Dropping the follower gives its place back, even if its thread could not be
/// started.
struct Follower {
    replica: Arc<Replica>,
    id: Option<FollowerId>,
    wake_thread: SyncSender<()>,
}

impl Follower {
    fn new(replica: &Arc<Replica>, wake_thread: SyncSender<()>) -> Option<Follower> {
        let mut follower = Follower { replica: Arc::clone(replica), id: None, wake_thread };
        follower.follow().then_some(follower)
    }

    /// Follows the replica's changes from now on, and wakes the thread once. Returns whether the replica had a place
    /// for the follower.
    fn follow(&mut self) -> bool {
        let wake_thread = self.wake_thread.clone();
        let following = Following { begins: Begin::Now, wants_removed: true };
        self.id = self.replica.follow(following, move || {
            let _ = wake_thread.try_send(());
        });
        self.id.is_some()
    }

    fn unfollow(&mut self) {
        if let Some(id) = self.id.take() {
            self.replica.unfollow(id);
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.unfollow();
    }
}

/// Runs the thread. It ends when nobody watches any more.
///
/// A panic, in a bell or in this module, must not leave the watchers without news. They all begin anew, and the thread
/// continues with a new place in the replica, since changes at the old place may be lost. If another follower has taken
/// the place meanwhile, the thread ends, and the next watcher starts another one.
fn run_thread(mut follower: Follower, shared: &Mutex<WatchersState>, woken: &Receiver<()>, pulse: &Pulse) {
    let mut batch = ChangeBatch::default();
    while catch_unwind(AssertUnwindSafe(|| {
        tell_watchers(&mut follower, shared, woken, pulse, &mut batch);
    }))
    .is_err()
    {
        batch.replace_by_anew();
        follower.unfollow();
        let mut state = shared.lock();
        if state.is_idle() || !follower.follow() {
            state.wake_thread = None;
            drop(state);
            return batch.hand_out(shared);
        }
    }
}

/// Hands changes to watchers until nobody watches any more.
fn tell_watchers(
    follower: &mut Follower,
    shared: &Mutex<WatchersState>,
    woken: &Receiver<()>,
    pulse: &Pulse,
    batch: &mut ChangeBatch,
) {
    while woken.recv().is_ok() {
        let working = pulse.work();
        loop {
            let mut state = shared.lock();
            if state.is_idle() {
                // This happens under the lock. So a watcher that comes now starts the next thread and finds a place for
                // that thread's follower.
                state.wake_thread = None;
                return follower.unfollow();
            }
            drop(state);
            let Some(id) = &follower.id else { return };
            let is_all = follower.replica.drain(id, BATCH_LEN, |told| batch.take(told));
            batch.hand_out(shared);
            working.again();
            if is_all {
                break;
            }
        }
    }
}

/// Changes taken from the replica at once. They are copied, because the replica shows them under a shard's lock.
#[derive(Default)]
struct ChangeBatch {
    begins_anew: bool,
    /// The changed clients' IDs, one after the other, and the position where each ID ends.
    ids: Vec<u8>,
    ends: Vec<usize>,
    /// The outboxes whose bells must still be rung.
    rings: Vec<Arc<WatcherOutbox>>,
}

impl ChangeBatch {
    fn take(&mut self, told: FollowerEvent<'_>) {
        let (kind, key) = match told {
            FollowerEvent::Anew { .. } => {
                self.begins_anew = true;
                return;
            }
            FollowerEvent::Covered(_) => return,
            FollowerEvent::Record(held) => (held.record.kind, held.record.key),
            FollowerEvent::Removed { kind, key } => (kind, key),
        };
        if kind == Kind::CLIENT {
            self.ids.extend_from_slice(key);
            self.ends.push(self.ids.len());
        }
    }

    /// Drops the changes that were taken, because all watchers begin anew. Bells that must still be rung stay in the
    /// list.
    fn replace_by_anew(&mut self) {
        self.ids.clear();
        self.ends.clear();
        self.begins_anew = true;
    }

    /// Queues the changes for the watchers that want them, and rings the bells of the watchers whose queues were empty.
    fn hand_out(&mut self, shared: &Mutex<WatchersState>) {
        let ChangeBatch { begins_anew, ids, ends, rings } = self;
        let mut change = |outbox: &Arc<WatcherOutbox>, change: &mut dyn FnMut(&mut WatcherQueue)| {
            let mut queue = outbox.queue.lock();
            let was_empty = queue.is_empty();
            change(&mut queue);
            if was_empty && !queue.is_empty() {
                rings.push(Arc::clone(outbox));
            }
        };
        let state = shared.lock();
        if std::mem::take(begins_anew) {
            state.for_each(|outbox| change(outbox, &mut WatcherQueue::begin_anew));
        }
        let mut begin = 0;
        for end in ends.drain(..) {
            let (client, mut shared_id) = (&ids[begin..end], None);
            state.for_each_of(client, |outbox| {
                change(outbox, &mut |queue| queue.put(client, &mut shared_id));
            });
            begin = end;
        }
        drop(state);
        ids.clear();
        // Each bell is removed from the list before it is rung. So a bell that panics is not rung forever.
        while let Some(outbox) = rings.pop() {
            (outbox.bell)();
        }
    }
}
