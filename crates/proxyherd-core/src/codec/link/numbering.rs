//! The indices by which one direction of a link names origins.
//!
//! An ORIGIN frame gives an origin the next index: 0, 1, 2 and so on. Frames after it use the index. Any member can
//! invent origins, so a link may have to name more origins than there are indices. From version 3 of the protocol on,
//! the sender then begins a new numbering: an ORIGIN frame with index 0 voids all indices that were given before. An
//! origin that is still needed is named again, so the sender does not have to know which origins are needed.
//!
//! Invariant: frames are read in the order in which they were encoded. A new numbering begins only in
//! `Numbering::make_room`, which is called before the first index of a frame is looked up. So every index in a frame
//! means the same origin at both ends.
//!
//! Before version 3, a link that has given all indices is *exhausted* and has to be closed.

use std::collections::BTreeMap;

use crate::{limits::ORIGINS_NAMED_MAX, types::Origin};

/// The first version of the protocol in which new numberings can begin.
pub const ANEW_VERSION: u16 = 3;

/// In earlier versions, indices are below this number.
const INDICES_MAX: usize = u16::MAX as usize;

/// The sending end's indices.
#[derive(Debug)]
pub(super) struct Numbering {
    indices: BTreeMap<Origin, u16>,
    /// The number of indices after which a new numbering begins.
    most: usize,
    /// Whether the other end understands new numberings.
    can_begin_anew: bool,
    begun_anew: u64,
    is_exhausted: bool,
}

impl Default for Numbering {
    fn default() -> Numbering {
        Numbering {
            indices: BTreeMap::new(),
            most: ORIGINS_NAMED_MAX,
            can_begin_anew: false,
            begun_anew: 0,
            is_exhausted: false,
        }
    }
}

impl Numbering {
    /// Sets the version of the protocol that the other end speaks.
    pub(super) fn agree(&mut self, version: u16) {
        self.can_begin_anew = version >= ANEW_VERSION;
    }

    /// Begins a new numbering after `most` indices instead of [`ORIGINS_NAMED_MAX`].
    pub(super) fn set_most(&mut self, most: usize) {
        self.most = most.clamp(1, ORIGINS_NAMED_MAX);
    }

    /// The number of indices after which a new numbering begins.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// The number of new numberings that have begun. An index is valid as long as this number stays the same.
    pub(super) fn begun_anew(&self) -> u64 {
        self.begun_anew
    }

    /// Whether an origin could not be named.
    pub(super) fn is_exhausted(&self) -> bool {
        self.is_exhausted
    }

    /// Makes room for the indices of `count` more origins, at most [`most`](Numbering::most). If there is no room, a
    /// new numbering begins.
    pub(super) fn make_room(&mut self, count: usize) {
        debug_assert!(count <= self.most, "no frame names more origins");
        if self.can_begin_anew && self.indices.len() + count > self.most {
            self.indices.clear();
            self.begun_anew += 1;
        }
    }

    /// The index of an origin, and whether the index has just been given. `None` if no index is left.
    pub(super) fn index_of(&mut self, origin: &Origin) -> Option<(u16, bool)> {
        if let Some(&index) = self.indices.get(origin) {
            return Some((index, false));
        }
        let most = if self.can_begin_anew { self.most } else { INDICES_MAX };
        let index = u16::try_from(self.indices.len()).ok().filter(|&index| usize::from(index) < most);
        let Some(index) = index else {
            self.is_exhausted = true;
            return None;
        };
        self.indices.insert(origin.clone(), index);
        Some((index, true))
    }
}

/// What the receiving end knows of each named origin, by index.
#[derive(Debug)]
pub struct Named<T> {
    named: Vec<T>,
}

impl<T> Default for Named<T> {
    fn default() -> Named<T> {
        Named { named: Vec::new() }
    }
}

impl<T> Named<T> {
    /// The number of valid indices.
    pub fn len(&self) -> usize {
        self.named.len()
    }

    /// Whether no index is valid.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// Handles an ORIGIN frame. Its index must be the next one, or 0, which begins a new numbering. Otherwise nothing
    /// changes and this method returns `false`.
    pub fn introduce(&mut self, index: u16, named: T) -> bool {
        if index == 0 {
            self.named.clear();
        }
        let is_next = usize::from(index) == self.named.len();
        if is_next {
            self.named.push(named);
        }
        is_next
    }

    /// The entry of an index, if the index is valid.
    pub fn at(&self, index: u16) -> Option<&T> {
        self.named.get(usize::from(index))
    }

    /// See [`Named::at`].
    pub fn at_mut(&mut self, index: u16) -> Option<&mut T> {
        self.named.get_mut(usize::from(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ServerName;

    fn life(incarnation: u64) -> Origin {
        Origin { server: ServerName::new("Riley").unwrap(), incarnation }
    }

    fn numbering(version: u16, most: usize) -> Numbering {
        let mut numbering = Numbering::default();
        numbering.agree(version);
        numbering.set_most(most);
        numbering
    }

    #[test]
    fn an_origin_keeps_its_index_until_the_numbering_begins_anew() {
        let mut numbering = numbering(ANEW_VERSION, 3);
        for (incarnation, index) in [(7, 0), (8, 1), (9, 2)] {
            numbering.make_room(1);
            assert_eq!(numbering.index_of(&life(incarnation)), Some((index, true)));
        }
        assert_eq!((numbering.index_of(&life(8)), numbering.begun_anew()), (Some((1, false)), 0));
        numbering.make_room(1);
        assert_eq!(numbering.begun_anew(), 1);
        assert_eq!(numbering.index_of(&life(9)), Some((0, true)));
        assert_eq!(numbering.index_of(&life(7)), Some((1, true)));
    }

    #[test]
    fn a_numbering_never_begins_anew_between_the_indices_of_one_frame() {
        let mut numbering = numbering(ANEW_VERSION, 5);
        numbering.index_of(&life(1));
        for frame in 1..100 {
            numbering.make_room(3);
            let before = numbering.begun_anew();
            let named = [0, 1, 2].map(|at| numbering.index_of(&life(10 * frame + at)).unwrap().0);
            assert_eq!(numbering.begun_anew(), before);
            assert_eq!([named[1] - named[0], named[2] - named[1]], [1, 1]);
        }
        assert!(numbering.begun_anew() > 40 && !numbering.is_exhausted());
    }

    #[test]
    fn whoever_does_not_make_room_exhausts_the_link_instead_of_changing_what_an_index_means() {
        let mut numbering = numbering(ANEW_VERSION, 2);
        assert!(numbering.index_of(&life(1)).is_some() && numbering.index_of(&life(2)).is_some());
        assert!(!numbering.is_exhausted());
        assert_eq!(numbering.index_of(&life(3)), None);
        assert!(numbering.is_exhausted());
        assert_eq!(numbering.index_of(&life(2)), Some((1, false)));
    }

    #[test]
    fn a_neighbor_of_a_version_before_is_given_each_index_once() {
        for version in 0..ANEW_VERSION {
            let mut numbering = numbering(version, 2);
            let named = (0..u64::MAX).take_while(|&incarnation| {
                numbering.make_room(1);
                numbering.index_of(&life(incarnation)).is_some()
            });
            assert_eq!(named.count(), INDICES_MAX);
            assert_eq!((numbering.is_exhausted(), numbering.begun_anew()), (true, 0));
        }
    }

    #[test]
    fn an_index_that_was_given_before_the_numbering_began_anew_means_nothing() {
        let mut named = Named::default();
        assert!(named.is_empty() && !named.introduce(1, 'x') && named.at(0).is_none());
        assert!(named.introduce(0, 'a') && named.introduce(1, 'b') && named.introduce(2, 'c'));
        assert!(!named.introduce(1, 'x') && !named.introduce(4, 'x'));
        assert_eq!((named.len(), named.at(1), named.at(2)), (3, Some(&'b'), Some(&'c')));
        assert!(named.introduce(0, 'd'));
        assert_eq!((named.len(), named.at(0), named.at(1)), (1, Some(&'d'), None));
        assert!(!named.introduce(2, 'x') && named.introduce(1, 'e'));
        assert_eq!(named.at_mut(1), Some(&mut 'e'));
    }
}
