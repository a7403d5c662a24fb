//! Followers that want only some changes: they give an [`Interest`], and most changes then cost them nothing.
//!
//! Without an interest, a follower's queue takes every change, and the follower's thread has to look at all of them. At
//! a million reports a second this costs as much as the reports themselves. With an interest, the shard asks first, and
//! a change that the follower does not want is neither queued nor copied.
//!
//! **What a follower is sent.** A change is queued if the interest wants the record before the change or the record
//! after it. So a follower is told when a client enters and when it leaves what is wanted:
//!
//! Claim: Let `W` be what the follower wants, a set of records, and let the interest want every record of `W` from some
//! moment on. Let the follower read the shard's records after that moment, under the shard's lock, and let it know the
//! records of `W` that it has found. From then on, as soon as its queue is empty, it was sent for every key whose
//! record has entered, changed within or left `W` the present record of the key, or its removal.
//!
//! Proof: The interest is asked under the shard's lock. So each change of the shard either came before the follower
//! read the shard, and then the follower found the changed record, or it came after that, and then it was asked of an
//! interest that wants all of `W`. In the second case, let `p` be the record before the change and `q` the record after
//! it. If one of them is in `W`, the change was queued. The follower takes the slot after the change, and is sent what
//! the slot holds then: `q`, or what has replaced `q`. If neither is in `W`, the follower did not know `p`, and need
//! not know `q`. The removal of `q` is also sent to a follower whose queue has the slot, because the follower may still
//! know `p`. An interest may want more than `W`: the follower is then sent more. It may want less only when the
//! follower wants less.
//!
//! A follower with an interest is always sent removals. Otherwise it would not be told that a record that it knows is
//! gone, and after that a record of the same key that it does not want would not be sent either.
//!
//! An interest must decide by the record alone, it must be quick, and it must not lock anything. It reads what it needs
//! from atomics, in any order: whoever changes them and then locks the shard makes the change visible to everybody who
//! locks the shard later.
//!
//! This module does not know what is wanted and why.

use std::{fmt, sync::Arc};

use super::Shard;
use crate::{
    limits::FOLLOWERS_MAX,
    store::{FollowerMask, Slot, SlotId},
    types::Record,
};

/// Decides which changes a follower is sent.
pub trait Interest: fmt::Debug + Send + Sync {
    /// Whether the follower wants to know of a change from or to this record.
    fn wants(&self, record: &Record<'_>) -> bool;
}

/// The interests of a shard's followers.
#[derive(Debug, Default)]
pub(super) struct Interests {
    /// The followers that want only some changes.
    choosy: FollowerMask,
    of: [Option<Arc<dyn Interest>>; FOLLOWERS_MAX],
}

impl Interests {
    pub(super) fn set(&mut self, at: usize, interest: Option<Arc<dyn Interest>>) {
        self.choosy &= !(1 << at);
        self.choosy |= FollowerMask::from(interest.is_some()) << at;
        self.of[at] = interest;
    }

    /// The followers among `told` that want to know of a change from or to this record.
    #[inline]
    pub(super) fn wanting(&self, told: FollowerMask, record: &Record<'_>) -> FollowerMask {
        let choosy = told & self.choosy;
        let wants_it = |at: &usize| choosy & 1 << at != 0 && self.is_wanted(*at, record);
        (0..FOLLOWERS_MAX).filter(wants_it).fold(told & !choosy, |mask, at| mask | 1 << at)
    }

    #[inline(never)]
    fn is_wanted(&self, at: usize, record: &Record<'_>) -> bool {
        self.of[at].as_ref().is_none_or(|interest| interest.wants(record))
    }
}

impl Shard {
    /// The followers that want to know of a change of the record in a slot. To be called before the change for the old
    /// record, and after the change for the new record. Nearly always there are no followers, and this call only tests
    /// a mask.
    #[inline(always)]
    pub(super) fn followers_of(&self, id: SlotId) -> FollowerMask {
        match self.followers.told {
            0 => 0,
            told => self.followers_wanting(told, self.store.slot(id)),
        }
    }

    #[inline(never)]
    pub(super) fn followers_wanting(&self, told: FollowerMask, slot: &Slot) -> FollowerMask {
        self.followers.interests.wanting(told, &slot.record())
    }
}
