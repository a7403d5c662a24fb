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
pub struct Wake {
    links: LinkMask,
    followers: FollowerMask,
}

impl Wake {
    pub(super) fn of_links(links: LinkMask) -> Wake {
        Wake { links, followers: 0 }
    }

    pub(super) fn of_followers(followers: FollowerMask) -> Wake {
        Wake { links: 0, followers }
    }

    /// Both.
    pub fn and(self, other: Wake) -> Wake {
        Wake { links: self.links | other.links, followers: self.followers | other.followers }
    }

    /// The followers that have something to take and do not know yet.
    pub(crate) fn followers(self) -> FollowerMask {
        self.followers
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.links == 0 && self.followers == 0
    }

    /// The links, one by one.
    pub fn links(self) -> impl Iterator<Item = LinkId> {
        bits(self.links)
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
