//! Which of this server's links: one, or some.

use crate::{
    limits::LINKS_MAX,
    store::{FollowerMask, LinkMask},
};

/// One of this server's links, 0 to 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub(super) u8);

impl LinkId {
    /// The link of this number; one that has gone leaves its number to another, perhaps with another neighbor.
    pub fn new(index: usize) -> Option<LinkId> {
        (index < LINKS_MAX).then_some(LinkId(index as u8))
    }

    /// Its number.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(super) fn bit(self) -> LinkMask {
        1 << self.0
    }
}

/// Some of this server's links: those whose flush has something to do and does not know yet. Within the map, followers too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "links that are not woken do not flush"]
pub struct Wake(u64);

/// Where the followers' bits sit in a [`Wake`], above those of the links. One word for both goes through registers, with an
/// outcome beside it, on the way of every report.
const FOLLOWERS_SHIFT: u32 = LinkMask::BITS;

impl Wake {
    pub(super) fn of_links(links: LinkMask) -> Wake {
        Wake(links.into())
    }

    pub(super) fn of_followers(followers: FollowerMask) -> Wake {
        Wake(u64::from(followers) << FOLLOWERS_SHIFT)
    }

    /// Both.
    pub fn and(self, other: Wake) -> Wake {
        Wake(self.0 | other.0)
    }

    /// The followers that have something to take and do not know yet.
    pub(crate) fn followers(self) -> FollowerMask {
        (self.0 >> FOLLOWERS_SHIFT) as FollowerMask
    }

    /// Whether there is none.
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
