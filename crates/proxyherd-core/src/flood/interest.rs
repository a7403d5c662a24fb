//! Followers that want only some changes: they give an [`Interest`], and most changes then cost them nothing.
//!
//! Without an interest, a follower's queue takes every change, and the follower's thread has to look at all of them. At
//! a million reports a second this costs as much as the reports themselves. With an interest, the shard asks first, and
//! a change that the follower does not want is neither queued nor copied.
//!
//! **What a follower is sent.** A change is queued if the interest wants the record before the change or the record
//! after it. So a follower is told when a client begins to be wanted and when it ceases to be.
//!
//! **Proof that nothing is missed.** A follower reads the shard, under the shard's lock, after its interest has begun
//! to want certain records. From then on, the follower knows all these records whenever its queue is empty. For each
//! change, one of three cases holds:
//!
//! - *The change came before the follower read the shard.* Then the follower has found the changed record.
//! - *The change came later, and the record before it or after it is wanted.* Both events take the shard's lock, so the
//!   interest already wanted the record when it was asked, and the change was queued. The follower takes the slot later
//!   and is sent what the slot holds then: the record after the change, or one that has replaced it, or its removal.
//! - *The change came later, and neither record is wanted.* Then the follower did not know the record before the
//!   change, and need not know the record after it.
//!
//! An interest may want more than the follower: the follower is then sent more. It may cease to want a record only when
//! the follower has ceased to want it.
//!
//! A follower with an interest is also sent the removals of wanted records. Otherwise it would go on to know a record
//! that was removed: a later record of the same key is not sent if the interest does not want it.
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

    /// Whether any of these followers wants only some changes.
    #[inline]
    fn are_choosy(&self, told: FollowerMask) -> bool {
        told & self.choosy != 0
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
    /// record, and after the change for the new record. Often there are no followers, or none with an
    /// interest, and this call only tests masks.
    #[inline(always)]
    pub(super) fn followers_of(&self, id: SlotId) -> FollowerMask {
        match self.followers.told {
            0 => 0,
            told if !self.followers.interests.are_choosy(told) => told,
            told => self.followers_wanting(told, self.store.slot(id)),
        }
    }

    #[inline(never)]
    pub(super) fn followers_wanting(&self, told: FollowerMask, slot: &Slot) -> FollowerMask {
        self.followers.interests.wanting(told, &slot.record())
    }
}
