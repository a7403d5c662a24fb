//! Followers of a shard's changes besides its links: live streams, a database, a journal, another region.
//!
//! A follower takes changes whenever it is ready. Like a link, a follower has a queue of slots, and it is sent the
//! *current* record of each slot. So a slow follower is sent fewer changes, but never outdated ones. A slot is at most
//! once in a follower's queue, and it is there exactly when the follower's bit in `Slot::followed` is set. A follower
//! is sent more than a link: every change, whichever link brought it; every record that moved to another origin or
//! sequence; and, if the follower wants them, removals. A follower that gives an interest is sent only some changes
//! (`interest`).
//!
//! **Removed records.** The slot of a removed record stays in use, without content, until all followers that want
//! removals have taken the removal. If the slot was in a follower's queue before, it keeps its position there;
//! otherwise it is added at the end. No other record can use the slot meanwhile. So a follower is sent the events of
//! one key in their order: it is never sent a report and after that the removal of an older report. When a record
//! replaces an expired one, the removal of the expired record is not sent. A record that is kept but no longer shown is
//! sent as a removal, too (`expiry`).
//!
//! **Bounds.** A queue has one entry for each slot, and one marker. The number of slots that removed records occupy is
//! bounded, too. If a follower has more removed records in its queue than the shard holds records, and more than
//! [`REMOVED_WAITING_MIN`], the follower loses its queue and *begins anew*. When this follower takes changes the next
//! time, it is first told to forget everything that it was sent of the shard. Then the shard is scanned once, and the
//! follower is sent every held record. A follower that wants all held records at its start begins the same way.
//!
//! **Positions.** A marker holds the number of changes that the shard had made when the marker was queued. The marker
//! is behind everything queued by then. When a follower takes the marker, the follower has been sent each of those
//! changes, or a newer change of the same key. Under load there is always one marker in the queue. Without load, an
//! empty queue shows the same. Only an empty queue shows more: what the follower was sent makes up for everything that
//! the vector covers, so the follower is shown the vector, too.
//!
//! This module does not know what a follower does with the changes, nor who wakes the follower.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Broken, Shard, Update, Wake,
    interest::{Interest, Interests},
    origins::Origins,
};
use crate::{
    command::Position,
    limits::{FOLLOWERS_MAX, REMOVED_WAITING_MIN},
    store::{FollowerMask, SlotId},
    types::{Kind, Origin},
};

const _: () = assert!(FollowerMask::BITS as usize == FOLLOWERS_MAX);

/// Number of records that a follower reads into the processor's cache before it takes them.
const WARM_ENTRIES: usize = 16;
/// In a queue: the place of the marker.
const MARKER: u32 = u32::MAX;

/// The ID of one follower of a replica, until the owner gives it back. Only the owner takes the follower's changes.
#[derive(Debug, PartialEq, Eq)]
pub struct FollowerId(pub(crate) u8);

/// What a follower wants to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Following {
    /// What the follower is sent first.
    pub begins: Begin,
    /// Whether the follower is sent removals of records that expired, lost their room, or must not be held.
    pub wants_removed: bool,
}

/// What a follower is sent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Nothing: only changes from now on.
    Now,
    /// All held records, and then changes.
    WithAllHeld,
}

/// One thing that a follower is sent.
#[derive(Clone, Copy, Debug)]
pub enum FollowerEvent<'a> {
    /// Everything that the follower was sent of this shard before is void. The follower begins anew: all records that
    /// the shard holds follow.
    Anew {
        /// The shard.
        shard: usize,
    },
    /// This record is held now. The record may have expired without having been swept yet.
    Record(Update<'a>),
    /// This record is held now, and is no longer shown. Only followers that want removals are sent this event; for most
    /// of them it is the same as a removal.
    Hidden(Update<'a>),
    /// The record of this key was removed. The follower may never have been sent the record.
    Removed {
        /// The kind of the key.
        kind: Kind,
        /// The key.
        key: &'a [u8],
    },
    /// Since it began to follow, the follower has been sent every change of the shard up to a position, or a newer
    /// change of the same key.
    Covered {
        /// The position among all changes.
        position: Position,
        /// The shard's vector, if the follower has been sent everything. Records that the follower was sent before
        /// belong to this vector: the follower has them, or newer ones, or their removals.
        vector: Option<VectorView<'a>>,
    },
}

/// A shard's vector at one moment.
#[derive(Clone, Copy, Debug)]
pub struct VectorView<'a>(&'a Origins);

impl VectorView<'_> {
    /// Calls `visit` with each origin that has live records, and with the sequence up to which the shard covers the
    /// origin's updates.
    pub fn for_each(&self, mut visit: impl FnMut(&Origin, u64)) {
        self.0.vector().for_each(|(_, origin, covered)| visit(origin, covered));
    }
}

/// All followers of a shard.
#[derive(Debug, Default)]
pub(super) struct FollowerQueues {
    queues: [Option<Box<FollowerQueue>>; FOLLOWERS_MAX],
    /// The followers that are sent changes now ...
    pub(super) told: FollowerMask,
    /// ... and the followers among them that are sent removals.
    told_removed: FollowerMask,
    pub(super) interests: Interests,
}

/// One follower's queue.
#[derive(Debug)]
struct FollowerQueue {
    fifo: VecDeque<u32>,
    /// The content of the marker in the FIFO: the number of the shard's changes when the marker was queued.
    marker: Option<u64>,
    /// The last position that the follower was sent.
    covered: u64,
    /// The number of queued slots that belong to removed records.
    removed: usize,
    wants_removed: bool,
    /// The follower begins anew. Nothing is queued for it until it takes changes.
    begins_anew: bool,
    /// The queue has something to take, and the follower has been woken.
    is_ready: bool,
}

impl FollowerQueue {
    /// Puts a marker behind all entries, if the queue has no marker.
    fn mark(&mut self, changes: u64) {
        if self.marker.is_none() && changes > self.covered {
            self.marker = Some(changes);
            self.fifo.push_back(MARKER);
        }
    }
}

impl Shard {
    /// Adds a follower at `at`, which is sent the changes that its interest wants; `None`: all changes. The caller
    /// wakes it, whether or not there is anything to take.
    pub(crate) fn follow(&mut self, at: usize, following: Following, interest: Option<Arc<dyn Interest>>) {
        self.followers.interests.set(at, interest);
        let begins_anew = following.begins == Begin::WithAllHeld;
        let queue = FollowerQueue {
            fifo: VecDeque::new(),
            marker: None,
            covered: if begins_anew { 0 } else { self.changes },
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

    /// Removes the follower at `at`.
    pub(crate) fn unfollow(&mut self, at: usize) {
        if let Some(mut queue) = self.followers.queues[at].take() {
            self.tell_no_more(at, &mut queue);
        }
        self.followers.interests.set(at, None);
    }

    fn tell_from_now(&mut self, at: usize, wants_removed: bool) {
        self.followers.told |= 1 << at;
        self.followers.told_removed |= FollowerMask::from(wants_removed) << at;
    }

    /// Empties a follower's queue and queues nothing more for the follower.
    fn tell_no_more(&mut self, at: usize, queue: &mut FollowerQueue) {
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

    /// Frees the slot of a removed record once all followers that want removals have taken the removal.
    fn release_if_told(&mut self, id: SlotId) {
        let slot = self.store.slot(id);
        if slot.removed().is_some() && slot.followed() & self.followers.told_removed == 0 {
            self.store.release(id);
        }
    }

    /// Queues a changed slot for the followers that want the present record or are in `before`: those that wanted the
    /// record before the change ([`Shard::followers_of`]).
    #[inline(always)]
    pub(super) fn tell_followers(&mut self, id: SlotId, before: FollowerMask) -> Wake {
        match self.followers_of(id) | before {
            0 => Wake::default(),
            told => self.queue_for(id, told),
        }
    }

    /// Queues a slot for each of `followers` whose queue does not contain it yet.
    #[inline(never)]
    fn queue_for(&mut self, id: SlotId, followers: FollowerMask) -> Wake {
        let slot = self.store.slot_mut(id);
        let (before, mut wake) = (slot.followed(), 0);
        slot.set_followed(before | followers);
        for at in places(followers & !before) {
            let queue =
                self.followers.queues[at].as_mut().expect("a follower that is sent changes has a queue");
            queue.fifo.push_back(id.0);
            if !queue.is_ready {
                queue.is_ready = true;
                wake |= 1 << at;
            }
        }
        Wake::of_followers(wake)
    }

    /// Forgets the record in a slot. The slot stays in use as long as followers have not been sent the removal.
    pub(super) fn remove_for_followers(&mut self, id: SlotId) -> Wake {
        // A follower whose queue has the slot may know an earlier record of the key.
        let waiting = self.store.slot(id).followed();
        let followers = (self.followers_of(id) | waiting) & self.followers.told_removed;
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

    /// A follower that does not take its removals loses its queue.
    #[cold]
    fn let_begin_anew(&mut self, at: usize) {
        let Some(mut queue) = self.followers.queues[at].take() else { return };
        self.tell_no_more(at, &mut queue);
        queue.begins_anew = true;
        self.followers.queues[at] = Some(queue);
    }

    /// Takes at most `left` entries out of a follower's queue, and subtracts them from `left`. Returns whether the
    /// queue is empty now.
    ///
    /// An entry leaves the queue after `tell` has returned. So if `tell` panics, reports can still be queued for the
    /// follower.
    pub(crate) fn drain(
        &mut self,
        at: usize,
        left: &mut usize,
        tell: &mut impl FnMut(FollowerEvent<'_>),
    ) -> bool {
        let Some(queue) = &self.followers.queues[at] else { return true };
        if queue.begins_anew {
            tell(FollowerEvent::Anew { shard: self.index() });
            self.begin_anew(at);
        }
        let mut warm = 0;
        while *left > 0
            && let Some(&entry) = self.queue(at).fifo.front()
        {
            if warm == 0 {
                warm = self.warm_waiting(at);
            }
            (*left, warm) = (*left - 1, warm - 1);
            match entry {
                MARKER => {
                    let queue = self.queue(at);
                    queue.fifo.pop_front();
                    let changes = queue.marker.take().expect("a queued marker has its content");
                    self.cover_for(at, changes, tell);
                }
                slot => self.take(at, SlotId(slot), tell),
            }
        }
        let changes = self.changes;
        let is_all = self.queue(at).fifo.is_empty();
        if is_all || self.settings.rules.breaks(Broken::CoverWhatWaits) {
            self.cover_for(at, changes, tell);
        } else {
            self.queue(at).mark(changes);
        }
        self.queue(at).is_ready = !is_all;
        is_all
    }

    /// Reads the first records of a follower's queue into the processor's cache. They come from other threads, and the
    /// processor waits for all of them at once instead of for one after the other. Returns the number of entries.
    fn warm_waiting(&self, at: usize) -> usize {
        let Some(queue) = &self.followers.queues[at] else { return 0 };
        let first = || queue.fifo.iter().take(WARM_ENTRIES);
        for &slot in first().filter(|&&slot| slot != MARKER) {
            self.store.warm_record(SlotId(slot));
        }
        first().count()
    }

    fn queue(&mut self, at: usize) -> &mut FollowerQueue {
        self.followers.queues[at].as_mut().expect("a follower that is sent changes has a queue")
    }

    /// Queues all held records.
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

    /// Sends a follower the content of the first slot in its queue, and removes the slot from the queue.
    fn take(&mut self, at: usize, id: SlotId, tell: &mut impl FnMut(FollowerEvent<'_>)) {
        let slot = self.store.slot(id);
        let is_told_removed = self.followers.told_removed & 1 << at != 0;
        let removed = slot.removed().filter(|_| is_told_removed);
        if slot.is_live() && slot.is_hidden() && is_told_removed {
            tell(FollowerEvent::Hidden(self.held(slot)));
        } else if slot.is_live() {
            tell(FollowerEvent::Record(self.held(slot)));
        } else if let Some((kind, key)) = removed {
            tell(FollowerEvent::Removed { kind, key });
        }
        let removed = usize::from(removed.is_some());
        self.take_mark(id, at);
        let queue = self.queue(at);
        queue.fifo.pop_front();
        queue.removed -= removed;
        self.release_if_told(id);
    }

    fn cover_for(&mut self, at: usize, changes: u64, tell: &mut impl FnMut(FollowerEvent<'_>)) {
        let shard = self.index();
        let queue = self.queue(at);
        if changes > queue.covered {
            queue.covered = changes;
            let is_all = queue.fifo.is_empty();
            let vector = is_all.then_some(VectorView(&self.origins));
            tell(FollowerEvent::Covered { position: Position { shard, seq: changes }, vector });
        }
    }

    /// The vector, if the follower at `at` has been sent everything.
    pub(crate) fn vector_for(&self, at: usize) -> Option<VectorView<'_>> {
        let queue = self.followers.queues[at].as_ref()?;
        (queue.fifo.is_empty() && !queue.begins_anew).then_some(VectorView(&self.origins))
    }

    fn index(&self) -> usize {
        usize::from(self.settings.index)
    }

    /// The followers whose queues have something to take.
    pub(crate) fn ready_followers(&self) -> FollowerMask {
        let queues = (0..).zip(&self.followers.queues);
        let ready = queues.filter(|(_, queue)| queue.as_ref().is_some_and(|queue| queue.is_ready));
        ready.fold(0, |mask, (at, _)| mask | 1 << at)
    }

    /// The number of entries in the queue of the follower at `at`.
    pub(crate) fn waiting_len(&self, at: usize) -> usize {
        self.followers.queues[at].as_ref().map_or(0, |queue| queue.fifo.len())
    }

    /// A contradiction between the followers' queues and the slots, if there is one.
    pub(super) fn contradiction_of_followers(&self) -> Option<String> {
        let mut queued: Vec<FollowerMask> = vec![0; self.store.slots_used()];
        for (at, queue) in self.followers.queues.iter().enumerate() {
            let Some(queue) = queue else {
                if self.followers.told & 1 << at != 0 {
                    return Some(format!("follower {at} is sent changes but has no queue"));
                }
                continue;
            };
            if queue.begins_anew == (self.followers.told & 1 << at != 0) {
                return Some(format!(
                    "follower {at} must either begin anew or be sent changes, and not both"
                ));
            }
            if (!queue.fifo.is_empty() || queue.begins_anew) && !queue.is_ready {
                return Some(format!("follower {at} has something to take but was not woken"));
            }
            let mut removed = 0;
            for slot in queue.fifo.iter().filter(|&&slot| slot != MARKER).map(|&slot| SlotId(slot)) {
                if queued[slot.0 as usize] & 1 << at != 0 {
                    return Some(format!("slot {} is twice in the queue of follower {at}", slot.0));
                }
                queued[slot.0 as usize] |= 1 << at;
                removed += usize::from(self.store.slot(slot).removed().is_some());
            }
            if queue.wants_removed && removed != queue.removed {
                return Some(format!(
                    "{removed} removed records are queued but {} are counted",
                    queue.removed
                ));
            }
        }
        (0u32..).zip(&queued).find_map(|(at, &mask)| {
            let slot = self.store.slot(SlotId(at));
            if slot.followed() != mask {
                return Some(format!("slot {at} has bits that do not match the queues"));
            }
            let is_kept_in_vain = slot.removed().is_some() && mask & self.followers.told_removed == 0;
            is_kept_in_vain.then(|| format!("slot {at} is kept although no follower waits for its removal"))
        })
    }
}

/// The numbers of the bits that are set in a mask.
pub(crate) fn places(mut mask: FollowerMask) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = mask.trailing_zeros();
        mask &= mask.checked_sub(1)?;
        Some(lowest as usize)
    })
}
