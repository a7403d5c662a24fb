//! Followers of the whole replica: which followers there are, which shards have something for them, and how they are
//! woken.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering::Relaxed, Ordering::SeqCst},
    },
};

use parking_lot::Mutex;

use super::{ALL_SHARDS, Replica};
use crate::{
    flood::{Begin, FollowerEvent, FollowerId, Following, Interest, places},
    limits::{FOLLOWER_BITE_MAX, FOLLOWERS_MAX, SHARDS},
    store::FollowerMask,
    types::Origin,
};

type Waker = Arc<dyn Fn() + Send + Sync>;

/// The places of all followers.
#[derive(Debug, Default)]
pub(super) struct FollowerPlaces([FollowerPlace; FOLLOWERS_MAX]);

/// The place of one follower.
#[derive(Default)]
struct FollowerPlace {
    /// The shards that have something for the follower, one bit each.
    ready: AtomicU32,
    /// The shard at which the follower's next turn begins, so that every shard gets its turn.
    first: AtomicU8,
    /// Wakes the follower; `None`: the place is free. Locked before any shard, never after one.
    waker: Mutex<Option<Waker>>,
}

impl fmt::Debug for FollowerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowerPlace").field("ready", &self.ready).finish_non_exhaustive()
    }
}

impl FollowerPlaces {
    /// Notes that a shard has something for these followers. Wakes each follower for which no shard had anything
    /// before.
    #[inline(never)]
    pub(super) fn wake(&self, index: usize, followers: FollowerMask) {
        for place in places(followers).map(|at| &self.0[at]) {
            if place.ready.fetch_or(1 << index, SeqCst) == 0 {
                place.wake();
            }
        }
    }

    /// A contradiction between the bits that are noted here and the queues of a shard's followers, if there is one.
    pub(super) fn contradiction(&self, index: usize, ready: FollowerMask) -> Option<String> {
        let is_unnoted = |&at: &usize| self.0[at].ready.load(SeqCst) & 1 << index == 0;
        places(ready)
            .find(is_unnoted)
            .map(|at| format!("follower {at} has something to take but was not woken"))
    }
}

impl FollowerPlace {
    fn wake(&self) {
        let waker = self.waker.lock().clone();
        if let Some(waker) = waker {
            waker();
        }
    }
}

impl Replica {
    /// Adds a follower of the replica's changes, until [`Replica::unfollow`]. `wake` is called when there is something
    /// for the follower and the follower has not been woken yet. `wake` is also called once before this method returns.
    /// It runs on the thread that made the change, while no shard is locked. It should only notify another thread or
    /// task.
    ///
    /// Returns `None` if there are already [`FOLLOWERS_MAX`] followers.
    pub fn follow(
        &self,
        following: Following,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Option<FollowerId> {
        self.follow_if(following, None, wake)
    }

    /// Like [`Replica::follow`], for a follower that wants only the changes from or to records that `interest` wants,
    /// and their removals.
    pub fn follow_some(
        &self,
        begins: Begin,
        interest: &Arc<dyn Interest>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Option<FollowerId> {
        self.follow_if(Following { begins, wants_removed: true }, Some(interest), wake)
    }

    fn follow_if(
        &self,
        following: Following,
        interest: Option<&Arc<dyn Interest>>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Option<FollowerId> {
        let waker: Waker = Arc::new(wake);
        let is_taken = |place: &FollowerPlace| {
            let mut held = place.waker.lock();
            held.is_none() && held.replace(Arc::clone(&waker)).is_none()
        };
        let at = self.followers.0.iter().position(is_taken)?;
        for counted in &self.shards {
            counted.lock().shard.follow(at, following, interest.cloned());
        }
        // A thread that marked a slot for the last follower at this place may have set a bit here after that follower's
        // end.
        self.followers.0[at].ready.store(ALL_SHARDS, SeqCst);
        waker();
        Some(FollowerId(at as u8))
    }

    /// Removes a follower. The entries in its queues are forgotten.
    #[allow(clippy::needless_pass_by_value, reason = "whoever has given back its id must not drain with it")]
    pub fn unfollow(&self, follower: FollowerId) {
        let at = usize::from(follower.0);
        for counted in &self.shards {
            counted.lock().shard.unfollow(at);
        }
        let place = &self.followers.0[at];
        place.ready.store(0, SeqCst);
        *place.waker.lock() = None;
    }

    /// Whether any shard has something for the follower.
    pub fn is_ready_for(&self, follower: &FollowerId) -> bool {
        self.followers.0[usize::from(follower.0)].ready.load(SeqCst) != 0
    }

    /// Takes at most `most` entries of the follower's queues, and at most [`FOLLOWER_BITE_MAX`]; a `most` of 0 counts
    /// as 1. Calls `tell` with each of them, shard by shard, under the shard's lock; `tell` must not call the replica.
    /// Returns whether all queues are empty now. If not, drain again.
    ///
    /// ```
    /// # use proxyherd_core::{flood::{Begin, Following, Rules, FollowerEvent}, replica::{Replica, ReplicaSettings},
    /// types::{Origin, ServerName}};
    /// # let me = Origin { server: ServerName::new("Riley").unwrap(), incarnation: 1 };
    /// # let replica = Replica::new(ReplicaSettings {
    /// #     me, seed: 1, max_clients: 10, client_ttl_ns: None, client_interval_ns: 0, clock_offset_max_ns: 0,
    /// #     report_rules: Default::default(), client_index: true, rules: Rules::default(),
    /// # });
    /// let following = Following { begins: Begin::WithAllHeld, wants_removed: true };
    /// let follower = replica.follow(following, || { /* Let the thread that drains know. */ }).unwrap();
    /// let mut held = std::collections::BTreeMap::new();
    /// while !replica.drain(&follower, 100, |told| match told {
    ///     FollowerEvent::Anew { shard } => held.retain(|(_, key): &(_, Vec<u8>), _|
    ///     proxyherd_core::replica::shard_index(key) != shard), FollowerEvent::Record(it) =>
    ///     drop(held.insert((it.record.kind, it.record.key.to_vec()), it.seq)), FollowerEvent::Removed { kind, key } =>
    ///     drop(held.remove(&(kind, key.to_vec()))), FollowerEvent::Hidden(it) =>
    ///     drop(held.remove(&(it.record.kind, it.record.key.to_vec()))), FollowerEvent::Covered { .. } => {}
    /// }) {}
    /// ```
    pub fn drain(&self, follower: &FollowerId, most: usize, mut tell: impl FnMut(FollowerEvent<'_>)) -> bool {
        self.drain_shards(follower, most, |_, event| tell(event))
    }

    /// Like [`Replica::drain`]. Also tells the shard of each entry, so that the caller need not hash its key.
    pub fn drain_shards(
        &self,
        follower: &FollowerId,
        most: usize,
        mut tell: impl FnMut(usize, FollowerEvent<'_>),
    ) -> bool {
        let at = usize::from(follower.0);
        let (FollowerPlace { ready, first, .. }, mut left) =
            (&self.followers.0[at], most.clamp(1, FOLLOWER_BITE_MAX));
        let begin = usize::from(first.load(Relaxed));
        let mut shards = ready.swap(0, SeqCst);
        for turn in begin..begin + SHARDS {
            let index = turn % SHARDS;
            if shards & 1 << index == 0 {
                continue;
            }
            let has_room = left > 0;
            let mut tell_of = |event: FollowerEvent<'_>| tell(index, event);
            if !has_room || !self.shards[index].lock().shard.drain(at, &mut left, &mut tell_of) {
                ready.fetch_or(shards, SeqCst);
                first.store(((turn + usize::from(has_room)) % SHARDS) as u8, Relaxed);
                return false;
            }
            shards &= !(1 << index);
        }
        true
    }

    /// Calls `visit` with each entry of one shard's vector, if the follower has been sent everything of the shard.
    /// Returns whether it has. The vector can advance without any change: when a neighbor's marker counts. So a
    /// follower that keeps vectors asks for them from time to time.
    pub fn vector_for(&self, follower: &FollowerId, shard: usize, visit: impl FnMut(&Origin, u64)) -> bool {
        let counted = self.shards[shard].lock();
        let vector = counted.shard.vector_for(usize::from(follower.0));
        vector.map(|vector| vector.for_each(visit)).is_some()
    }

    /// Calls `visit` with each entry of one shard's vector: an origin, and the sequence up to which it is covered.
    /// Returns the number of the shard's changes at that moment.
    pub fn for_each_covered(&self, shard: usize, mut visit: impl FnMut(&Origin, u64)) -> u64 {
        let counted = self.shards[shard].lock();
        counted.shard.vector().for_each(|(origin, covered)| visit(origin, covered));
        counted.shard.changes()
    }

    /// The number of changes of one shard since the start; see [`Position`](crate::command::Position).
    pub fn changes(&self, shard: usize) -> u64 {
        self.shards[shard].lock().shard.changes()
    }

    /// The number of tombstones that other records have replaced since the start, in all shards together. A follower
    /// may never have been sent such a tombstone, although it was sent the record that the tombstone ended.
    pub(crate) fn tombstones_replaced(&self) -> u64 {
        self.shards.iter().map(|counted| counted.lock().shard.tombstones_replaced()).sum()
    }

    /// The number of updates that this server has issued in one shard since its start.
    pub fn issued(&self, shard: usize) -> u64 {
        self.shards[shard].lock().shard.issued()
    }

    /// The number of updates that this server issued in one shard before its present incarnation. Sequences begin anew
    /// with each incarnation.
    pub fn issued_before(&self, shard: usize) -> u64 {
        self.shards[shard].lock().shard.issued_before()
    }

    /// The number of entries in a follower's queue in one shard.
    pub fn waiting_len(&self, follower: &FollowerId, shard: usize) -> usize {
        self.shards[shard].lock().shard.waiting_len(usize::from(follower.0))
    }
}
