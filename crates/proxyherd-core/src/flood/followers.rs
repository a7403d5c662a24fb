//! Who follows a shard's changes besides its links: live streams, a database, a journal, another region.
//!
//! A follower takes changes when it likes. Like a link it has a queue of slots, and what it takes is the slot's *current*
//! record; so a slow follower takes fewer changes and no older ones. A slot stands at most once in a follower's queue, exactly
//! when its bit in `Slot::followed` is set. A follower is told of more than a link: of every change, wherever it came from;
//! of a record that stands elsewhere in the vectors than before; and, if it wants, of records that are removed.
//!
//! **Removed records.** A removed record whose followers are to be told keeps its slot, without its content, until all of
//! them have been: it stands in their queues where it stood, or behind all that is queued. No other record can take that slot
//! meanwhile. So of one key a follower is told in the order in which things happened: never a report, and then that an older
//! one is gone. A record that takes the place of an expired one is told without that.
//!
//! **Bounds.** A queue has one entry for each slot, and one marker. The slots that removed records keep are bounded, too: if
//! more wait for one follower than there are records, and more than [`REMOVED_WAITING_MIN`], the follower loses its queue and
//! *begins anew*: when it next asks, it is told to forget what it has of the shard, and then everything that is held, for
//! which the whole shard is looked at once. A follower that wants all that is held begins in the same way.
//!
//! **Positions.** A marker stands behind all that was queued when this server had taken so many updates. When it comes up, the
//! follower has been told of all of them, or of what has overtaken them. Under load there is one in the queue at any time;
//! otherwise an empty queue says the same.
//!
//! What a follower does with what it takes, and who wakes it, is not known here.

use std::collections::VecDeque;

use super::{Broken, Held, Shard, Wake};
use crate::{
    command::Position,
    limits::{FOLLOWERS_MAX, REMOVED_WAITING_MIN},
    store::{FollowerMask, SlotId},
    types::Kind,
};

const _: () = assert!(FollowerMask::BITS as usize == FOLLOWERS_MAX);

/// In a queue: the marker stands here.
const MARKER: u32 = u32::MAX;

/// One follower of a map, until it is given back. Whoever has it takes what there is for it.
#[derive(Debug, PartialEq, Eq)]
pub struct FollowerId(pub(crate) u8);

/// What a follower wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Following {
    /// Of what it is told.
    pub begins: Begin,
    /// Whether it is told when a record is removed: because it has expired, or has lost its room, or must not be held.
    pub wants_removed: bool,
}

/// Of what a follower is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Of what changes from now on.
    Now,
    /// Of all that is held, and of what changes.
    WithAllHeld,
}

/// What a follower is told.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// Whatever it has been told of this shard counts no more: it begins anew, and all that is held there follows.
    Anew {
        /// The shard.
        shard: usize,
    },
    /// This is held now. It may have expired and wait for a sweep.
    Record(Held<'a>),
    /// The record of this key has been removed. It may not have been told of before.
    Removed {
        /// The kind of the key.
        kind: Kind,
        /// The key.
        key: &'a [u8],
    },
    /// It has been told of every update that this server has taken in this shard up to here, since it began to follow, or of
    /// what overtook it.
    Covered(Position),
}

/// All followers of a shard.
#[derive(Debug, Default)]
pub(super) struct Followers {
    queues: [Option<Box<Queue>>; FOLLOWERS_MAX],
    /// Those that are told of changes now ...
    told: FollowerMask,
    /// ... and which of them are told of removed records.
    told_removed: FollowerMask,
}

/// What one follower still has to be told.
#[derive(Debug)]
struct Queue {
    fifo: VecDeque<u32>,
    /// The marker in the FIFO: how many updates this server had taken when it was queued.
    marker: Option<u64>,
    /// What the follower was last told to be covered.
    covered: u64,
    /// How many of the slots are those of removed records.
    removed: usize,
    wants_removed: bool,
    /// It is told nothing until it asks.
    begins_anew: bool,
    /// There is something to take, and whoever takes it has been told.
    is_ready: bool,
}

impl Queue {
    /// Puts a marker behind all that is queued, if there is none.
    fn mark(&mut self, taken: u64) {
        if self.marker.is_none() && taken > self.covered {
            self.marker = Some(taken);
            self.fifo.push_back(MARKER);
        }
    }
}

impl Shard {
    /// From here on there is a follower at `at`. It is to be woken, whether or not there is anything for it.
    pub(crate) fn follow(&mut self, at: usize, following: Following) {
        let begins_anew = following.begins == Begin::WithAllHeld;
        let queue = Queue {
            fifo: VecDeque::new(),
            marker: None,
            covered: if begins_anew { 0 } else { self.taken() },
            removed: 0,
            wants_removed: following.wants_removed,
            begins_anew,
            is_ready: begins_anew,
        };
        if !begins_anew {
            self.tell_from_now(at, queue.wants_removed);
        }
        self.followers.queues[at] = Some(Box::new(queue));
    }

    /// There is no follower at `at` any more.
    pub(crate) fn unfollow(&mut self, at: usize) {
        if let Some(mut queue) = self.followers.queues[at].take() {
            self.tell_no_more(at, &mut queue);
        }
    }

    fn tell_from_now(&mut self, at: usize, wants_removed: bool) {
        self.followers.told |= 1 << at;
        self.followers.told_removed |= FollowerMask::from(wants_removed) << at;
    }

    /// Empties a follower's queue. It is told of nothing more.
    fn tell_no_more(&mut self, at: usize, queue: &mut Queue) {
        self.followers.told &= !(1 << at);
        self.followers.told_removed &= !(1 << at);
        (queue.marker, queue.removed) = (None, 0);
        for slot in std::mem::take(&mut queue.fifo).into_iter().filter(|&slot| slot != MARKER) {
            self.take_mark(SlotId(slot), at);
            self.release_if_told(SlotId(slot));
        }
    }

    fn take_mark(&mut self, id: SlotId, at: usize) {
        let slot = self.store.slot_mut(id);
        slot.set_followed(slot.followed() & !(1 << at));
    }

    /// Lets the slot of a removed record be taken again, once all that are told of removed records know of it.
    fn release_if_told(&mut self, id: SlotId) {
        let slot = self.store.slot(id);
        if slot.removed().is_some() && slot.followed() & self.followers.told_removed == 0 {
            self.store.release(id);
        }
    }

    /// Tells the followers of what a slot holds from here on. Nearly always there are none: one look at a mask.
    #[inline(always)]
    pub(super) fn tell_followers(&mut self, id: SlotId) -> Wake {
        match self.followers.told {
            0 => Wake::default(),
            told => self.queue_for(id, told),
        }
    }

    /// Queues a slot for those of `followers` for which it is not queued already.
    #[inline(never)]
    fn queue_for(&mut self, id: SlotId, followers: FollowerMask) -> Wake {
        let slot = self.store.slot_mut(id);
        let (before, mut wake) = (slot.followed(), 0);
        slot.set_followed(before | followers);
        for at in places(followers & !before) {
            let queue = self.followers.queues[at].as_mut().expect("who is told has a queue");
            queue.fifo.push_back(id.0);
            if !queue.is_ready {
                queue.is_ready = true;
                wake |= 1 << at;
            }
        }
        Wake::of_followers(wake)
    }

    /// Forgets the record in a slot; the slot remains as long as there are followers to be told.
    pub(super) fn remove_for_followers(&mut self, id: SlotId) -> Wake {
        let followers = self.followers.told_removed;
        if followers == 0 || self.settings.rules.breaks(Broken::RemoveSilently) {
            self.store.remove(id);
            return Wake::default();
        }
        self.store.retire(id);
        let wake = self.queue_for(id, followers);
        let most = self.len().max(REMOVED_WAITING_MIN);
        for at in places(followers) {
            let queue = self.queue(at);
            queue.removed += 1;
            if queue.removed > most {
                self.let_begin_anew(at);
            }
        }
        wake
    }

    /// A follower that does not take what there is for it loses it.
    #[cold]
    fn let_begin_anew(&mut self, at: usize) {
        let Some(mut queue) = self.followers.queues[at].take() else { return };
        self.tell_no_more(at, &mut queue);
        queue.begins_anew = true;
        self.followers.queues[at] = Some(queue);
    }

    /// Takes out of a follower's queue at most `left` entries, and counts them; says whether there are no more.
    ///
    /// An entry leaves the queue when `tell` has returned. So a follower that fails while it is told does not take its queue
    /// away from those who report.
    pub(crate) fn drain(&mut self, at: usize, left: &mut usize, tell: &mut impl FnMut(Told<'_>)) -> bool {
        let Some(queue) = &self.followers.queues[at] else { return true };
        if queue.begins_anew {
            tell(Told::Anew { shard: self.index() });
            self.begin_anew(at);
        }
        while *left > 0
            && let Some(&entry) = self.queue(at).fifo.front()
        {
            *left -= 1;
            match entry {
                MARKER => {
                    let queue = self.queue(at);
                    queue.fifo.pop_front();
                    let taken = queue.marker.take().expect("a queued marker has its number");
                    self.cover_for(at, taken, tell);
                }
                slot => self.take(at, SlotId(slot), tell),
            }
        }
        let taken = self.taken();
        let is_all = self.queue(at).fifo.is_empty();
        if is_all || self.settings.rules.breaks(Broken::CoverWhatWaits) {
            self.cover_for(at, taken, tell);
        } else {
            self.queue(at).mark(taken);
        }
        self.queue(at).is_ready = !is_all;
        is_all
    }

    fn queue(&mut self, at: usize) -> &mut Queue {
        self.followers.queues[at].as_mut().expect("who is told has a queue")
    }

    /// Queues all that is held.
    fn begin_anew(&mut self, at: usize) {
        let all: VecDeque<u32> = self.store.live().map(|(id, _)| id.0).collect();
        for &slot in &all {
            let slot = self.store.slot_mut(SlotId(slot));
            slot.set_followed(slot.followed() | 1 << at);
        }
        let queue = self.queue(at);
        (queue.begins_anew, queue.fifo) = (false, all);
        let wants_removed = queue.wants_removed;
        self.tell_from_now(at, wants_removed);
    }

    /// Tells a follower what the slot holds that stands first in its queue, and takes it out.
    fn take(&mut self, at: usize, id: SlotId, tell: &mut impl FnMut(Told<'_>)) {
        let slot = self.store.slot(id);
        let is_told_removed = self.followers.told_removed & 1 << at != 0;
        let removed = slot.removed().filter(|_| is_told_removed);
        if slot.is_live() {
            tell(Told::Record(self.held(slot)));
        } else if let Some((kind, key)) = removed {
            tell(Told::Removed { kind, key });
        }
        let removed = usize::from(removed.is_some());
        self.take_mark(id, at);
        let queue = self.queue(at);
        queue.fifo.pop_front();
        queue.removed -= removed;
        self.release_if_told(id);
    }

    fn cover_for(&mut self, at: usize, taken: u64, tell: &mut impl FnMut(Told<'_>)) {
        let shard = self.index();
        let queue = self.queue(at);
        if taken > queue.covered {
            queue.covered = taken;
            tell(Told::Covered(Position { shard, seq: taken }));
        }
    }

    fn index(&self) -> usize {
        usize::from(self.settings.index)
    }

    /// The followers that have something to take.
    pub(crate) fn ready_followers(&self) -> FollowerMask {
        let queues = (0..).zip(&self.followers.queues);
        let ready = queues.filter(|(_, queue)| queue.as_ref().is_some_and(|queue| queue.is_ready));
        ready.fold(0, |mask, (at, _)| mask | 1 << at)
    }

    /// How many entries wait for the follower at `at`.
    pub(crate) fn waiting_len(&self, at: usize) -> usize {
        self.followers.queues[at].as_ref().map_or(0, |queue| queue.fifo.len())
    }

    /// What of the followers' queues contradicts the slots.
    pub(super) fn contradiction_of_followers(&self) -> Option<String> {
        let mut queued: Vec<FollowerMask> = vec![0; self.store.slots_used()];
        for (at, queue) in self.followers.queues.iter().enumerate() {
            let Some(queue) = queue else {
                if self.followers.told & 1 << at != 0 {
                    return Some(format!("follower {at} is told of changes and has no queue"));
                }
                continue;
            };
            if queue.begins_anew == (self.followers.told & 1 << at != 0) {
                return Some(format!("follower {at} begins anew and is told of changes, or neither"));
            }
            if (!queue.fifo.is_empty() || queue.begins_anew) && !queue.is_ready {
                return Some(format!("follower {at} has something to take and nobody has been told"));
            }
            let mut removed = 0;
            for slot in queue.fifo.iter().filter(|&&slot| slot != MARKER).map(|&slot| SlotId(slot)) {
                if queued[slot.0 as usize] & 1 << at != 0 {
                    return Some(format!("slot {} stands twice in the queue of follower {at}", slot.0));
                }
                queued[slot.0 as usize] |= 1 << at;
                removed += usize::from(self.store.slot(slot).removed().is_some());
            }
            if queue.wants_removed && removed != queue.removed {
                return Some(format!("{removed} removed records wait and {} are noted", queue.removed));
            }
        }
        (0u32..).zip(&queued).find_map(|(at, &mask)| {
            let slot = self.store.slot(SlotId(at));
            if slot.followed() != mask {
                return Some(format!("slot {at} is not queued where its bits say that it is"));
            }
            let is_kept_in_vain = slot.removed().is_some() && mask & self.followers.told_removed == 0;
            is_kept_in_vain.then(|| format!("slot {at} waits for nobody"))
        })
    }
}

/// The places of a mask, one by one.
pub(crate) fn places(mut mask: FollowerMask) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = mask.trailing_zeros();
        mask &= mask.checked_sub(1)?;
        Some(lowest as usize)
    })
}
