//! Sets of this server's links: a [`LinkId`] names one link, and a [`Wake`] names some links.

use crate::{
    limits::LINKS_MAX,
    store::{FollowerMask, LinkMask},
};

/// The number of one of this server's links, 0 to 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub(super) u8);

impl LinkId {
    /// The link with this number. When a link is removed, its number can go to another link.
    pub fn new(index: usize) -> Option<LinkId> {
        (index < LINKS_MAX).then_some(LinkId(index as u8))
    }

    /// The link's number.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(super) fn bit(self) -> LinkMask {
        1 << self.0
    }
}

/// Links that have something to flush and have to be woken. Inside this crate, the set can also contain followers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "links that are not woken do not flush"]
pub struct Wake(u64);

/// In a [`Wake`], the followers' bits are above the links' bits. Every report passes through this value, and one word
/// for both sets fits a register together with an outcome.
const FOLLOWERS_SHIFT: u32 = LinkMask::BITS;

impl Wake {
    pub(super) fn of_links(links: LinkMask) -> Wake {
        Wake(links.into())
    }

    pub(super) fn of_followers(followers: FollowerMask) -> Wake {
        Wake(u64::from(followers) << FOLLOWERS_SHIFT)
    }

    /// The union of both sets.
    pub fn and(self, other: Wake) -> Wake {
        Wake(self.0 | other.0)
    }

    /// The followers that have to be woken.
    pub(crate) fn followers(self) -> FollowerMask {
        (self.0 >> FOLLOWERS_SHIFT) as FollowerMask
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The links, one by one.
    pub fn links(self) -> impl Iterator<Item = LinkId> {
        bits(self.0 as LinkMask)
    }
}

impl FromIterator<LinkId> for Wake {
    fn from_iter<T: IntoIterator<Item = LinkId>>(links: T) -> Wake {
        Wake::of_links(links.into_iter().fold(0, |mask, link| mask | link.bit()))
    }
}

/// The links of a mask, one by one.
pub(super) fn bits(mut mask: LinkMask) -> impl Iterator<Item = LinkId> {
    std::iter::from_fn(move || {
        let lowest = mask.trailing_zeros();
        mask &= mask.checked_sub(1)?;
        Some(LinkId(lowest as u8))
    })
}
