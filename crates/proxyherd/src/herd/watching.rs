//! Who is told of clients' changes as they happen: one follower of the map for all of a server's watchers.
//!
//! The first watcher has the map followed and a thread started, and after the last one that thread ends the following. It
//! takes the IDs of what has changed, in small bites, and puts them into the outbox of each watcher that wants them. An outbox
//! holds IDs, each at most once: a watcher that takes one reads the client's *current* record. So a slow watcher is told
//! less often, and never anything old.
//!
//! **Bounds.** A watcher for which more than [`WAITING_MAX`] clients wait loses its outbox, and is told to begin anew
//! ([`Change::Anew`]); until it has taken that, nothing is kept for it. The same happens to all watchers if the thread falls so
//! far behind that the map has it begin anew. Past [`WATCHERS_MAX`] or [`WIDE_MAX`] a new watcher finds no room.
//!
//! **Locks.** The watchers' lock is held while the map is followed and left, so it comes before those of shards. Bells are
//! called without any lock.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
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
use crate::liveness::{Liveness, Pulse};

/// Most watchers of a server. One more is not taken.
const WATCHERS_MAX: usize = 65_536;
/// Most of them that watch more than one client, since each of these is looked at for every change. One more is not taken.
const WIDE_MAX: usize = 256;
/// Most clients that wait for one watcher. With one more it begins anew.
const WAITING_MAX: usize = 4096;
/// Most changes that are taken at once: so long the watchers' lock is held.
const BITE: usize = 128;

/// What a watcher is told.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// A client is here now. It may have been told so already.
    Moved(&'a Whereabouts<'a>),
    /// A client of this ID is not known any more. It may have been told so already, or never have been told of it.
    Gone(&'a [u8]),
    /// Changes were left out: whatever it has been told counts no more. It should ask where the clients are that it
    /// watches. It is told of all that changes from now on.
    Anew,
}

/// Somebody watches, until this is dropped.
#[derive(Debug)]
pub struct Watching {
    map: Arc<Replica>,
    shared: Arc<Mutex<State>>,
    /// Whom it watches: one client, or all whose IDs begin with it.
    whom: Box<[u8]>,
    is_wide: bool,
    outbox: Arc<Outbox>,
}

impl Watching {
    /// Takes the next change, as it is at `now_ns`. `tell` may be called under a lock: it must not take long. `None`: there is
    /// nothing left, and the bell rings when there is.
    pub fn take<T>(&self, now_ns: u64, tell: impl FnOnce(Change<'_>) -> T) -> Option<T> {
        let client = match self.outbox.waiting.lock().next()? {
            Next::Anew => return Some(tell(Change::Anew)),
            Next::Client(client) => client,
        };
        let mut tell = Some(tell);
        let mut tell = |change: Change<'_>| tell.take().map(|tell| tell(change));
        let told = self.map.find(now_ns, Kind::CLIENT, &client, |held| {
            Whereabouts::of(held).and_then(|found| tell(Change::Moved(&found)))
        });
        told.flatten().or_else(|| tell(Change::Gone(&client)))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let is_other = |outbox: &Arc<Outbox>| !Arc::ptr_eq(outbox, &self.outbox);
        if self.is_wide {
            state.wide.retain(|(_, outbox)| is_other(outbox));
        } else if let Some(outboxes) = state.of_one.get_mut(&self.whom) {
            outboxes.retain(is_other);
            if outboxes.is_empty() {
                state.of_one.remove(&self.whom);
            }
        }
        state.len -= 1;
        state.end_if_idle();
    }
}

/// What waits for one watcher, and how it learns of that.
struct Outbox {
    waiting: Mutex<Waiting>,
    bell: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Waiting {
    begins_anew: bool,
    fifo: VecDeque<Arc<[u8]>>,
    /// The same.
    queued: HashSet<Arc<[u8]>>,
}

enum Next {
    Anew,
    Client(Arc<[u8]>),
}

impl Waiting {
    fn is_empty(&self) -> bool {
        !self.begins_anew && self.fifo.is_empty()
    }

    fn next(&mut self) -> Option<Next> {
        if std::mem::take(&mut self.begins_anew) {
            return Some(Next::Anew);
        }
        let client = self.fifo.pop_front()?;
        self.queued.remove(&client);
        Some(Next::Client(client))
    }

    fn begin_anew(&mut self) {
        *self = Waiting { begins_anew: true, ..Waiting::default() };
    }

    /// Queues a client; `shared` is its ID, once somebody has needed it.
    fn put(&mut self, client: &[u8], shared: &mut Option<Arc<[u8]>>) {
        if self.begins_anew || self.queued.contains(client) {
            return;
        }
        if self.fifo.len() == WAITING_MAX {
            return self.begin_anew();
        }
        let client = shared.get_or_insert_with(|| client.into());
        self.fifo.push_back(Arc::clone(client));
        self.queued.insert(Arc::clone(client));
    }
}

/// All watchers of a server.
#[derive(Debug)]
pub(super) struct Watchers {
    map: Arc<Replica>,
    shared: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    of_one: HashMap<Box<[u8]>, Vec<Arc<Outbox>>>,
    wide: Vec<(Box<[u8]>, Arc<Outbox>)>,
    len: usize,
    /// Wakes the thread, while there is one.
    alarm: Option<SyncSender<()>>,
    /// The server has gone.
    is_over: bool,
}

impl State {
    fn is_idle(&self) -> bool {
        self.len == 0 || self.is_over
    }

    fn end_if_idle(&self) {
        if self.is_idle()
            && let Some(alarm) = &self.alarm
        {
            // If it cannot be sent, the thread is about to look anyway.
            let _ = alarm.try_send(());
        }
    }

    fn for_each(&self, mut visit: impl FnMut(&Arc<Outbox>)) {
        self.of_one.values().flatten().for_each(&mut visit);
        self.wide.iter().for_each(|(_, outbox)| visit(outbox));
    }

    fn for_each_of(&self, client: &[u8], mut visit: impl FnMut(&Arc<Outbox>)) {
        self.of_one.get(client).into_iter().flatten().for_each(&mut visit);
        let wide = self.wide.iter().filter(|(prefix, _)| client.starts_with(prefix));
        wide.for_each(|(_, outbox)| visit(outbox));
    }
}

impl Watchers {
    pub(super) fn new(map: &Arc<Replica>) -> Watchers {
        Watchers { map: Arc::clone(map), shared: Arc::default() }
    }

    /// `None`: there is no room, no follower's place, or no thread.
    pub(super) fn watch(
        &self,
        liveness: &Liveness,
        watch: Watch<'_>,
        bell: impl Fn() + Send + Sync + 'static,
    ) -> Option<Watching> {
        let (whom, is_wide): (Box<[u8]>, _) = match watch {
            Watch::Client(client) => (client.as_bytes().into(), false),
            Watch::Prefix(prefix) => (prefix.as_bytes().into(), true),
            Watch::All => (Box::default(), true),
        };
        let mut state = self.shared.lock();
        if state.len == WATCHERS_MAX || is_wide && state.wide.len() == WIDE_MAX {
            return None;
        }
        if state.alarm.is_none() {
            state.alarm = Some(self.start(liveness)?);
        }
        let outbox = Arc::new(Outbox { waiting: Mutex::default(), bell: Box::new(bell) });
        if is_wide {
            state.wide.push((whom.clone(), Arc::clone(&outbox)));
        } else {
            state.of_one.entry(whom.clone()).or_default().push(Arc::clone(&outbox));
        }
        state.len += 1;
        let (map, shared) = (Arc::clone(&self.map), Arc::clone(&self.shared));
        Some(Watching { map, shared, whom, is_wide, outbox })
    }

    fn start(&self, liveness: &Liveness) -> Option<SyncSender<()>> {
        let (alarm, heard) = sync_channel(1);
        let wake = alarm.clone();
        let following = Following { begins: Begin::Now, wants_removed: true };
        let follower = self.map.follow(following, move || {
            let _ = wake.try_send(());
        })?;
        let follower = Follower { map: Arc::clone(&self.map), id: Some(follower) };
        let (shared, pulse) = (Arc::clone(&self.shared), liveness.pulse("telling watchers"));
        let run = move || tell_watchers(follower, &shared, &heard, &pulse);
        thread::Builder::new().name("watchers".to_owned()).spawn(run).ok()?;
        Some(alarm)
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_over = true;
        state.end_if_idle();
    }
}

/// Gives its place back when it is dropped, also where its thread could not be started or has failed.
struct Follower {
    map: Arc<Replica>,
    id: Option<FollowerId>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.map.unfollow(id);
        }
    }
}

/// The thread: until nobody watches any more.
fn tell_watchers(follower: Follower, shared: &Mutex<State>, heard: &Receiver<()>, pulse: &Pulse) {
    let mut bite = Bite::default();
    while heard.recv().is_ok() {
        let working = pulse.work();
        loop {
            let mut state = shared.lock();
            if state.is_idle() {
                // Under the lock, so that a watcher that comes now starts the next thread with a place for it.
                state.alarm = None;
                drop(follower);
                return;
            }
            drop(state);
            let Some(id) = &follower.id else { return };
            let is_all = follower.map.drain(id, BITE, |told| bite.take(told));
            bite.hand_out(shared);
            working.again();
            if is_all {
                break;
            }
        }
    }
}

/// What was taken from the map at once: copied, because it is under its shard's lock.
#[derive(Default)]
struct Bite {
    begins_anew: bool,
    /// IDs, one behind the other, and where each of them ends.
    ids: Vec<u8>,
    ends: Vec<usize>,
}

impl Bite {
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

    /// Puts everything into the outboxes that want it, and rings for those that were empty.
    fn hand_out(&mut self, shared: &Mutex<State>) {
        let mut rings = Vec::new();
        let mut change = |outbox: &Arc<Outbox>, change: &mut dyn FnMut(&mut Waiting)| {
            let mut waiting = outbox.waiting.lock();
            let was_empty = waiting.is_empty();
            change(&mut waiting);
            if was_empty && !waiting.is_empty() {
                rings.push(Arc::clone(outbox));
            }
        };
        let state = shared.lock();
        if std::mem::take(&mut self.begins_anew) {
            state.for_each(|outbox| change(outbox, &mut Waiting::begin_anew));
        }
        let mut begin = 0;
        for end in self.ends.drain(..) {
            let (client, mut its_own) = (&self.ids[begin..end], None);
            state.for_each_of(client, |outbox| {
                change(outbox, &mut |waiting| waiting.put(client, &mut its_own));
            });
            begin = end;
        }
        drop(state);
        self.ids.clear();
        rings.iter().for_each(|outbox| (outbox.bell)());
    }
}
