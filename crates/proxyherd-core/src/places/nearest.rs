//! The few nearest of many items.

use super::Separation;
use crate::limits::PLACES_MAX;

const CAPACITY: usize = PLACES_MAX as usize;

/// Keeps the nearest of all items that it is offered, in order of distance. It takes a fixed amount of memory, and does
/// not sort the items that it drops.
///
/// Items at equal distance are ordered by `Ord`, so the result does not depend on the order in which items are offered.
#[derive(Clone, Debug)]
pub struct Nearest<T> {
    kept: [Option<(Separation, T)>; CAPACITY],
    len: usize,
    most: usize,
}

impl<T: Ord + Copy> Nearest<T> {
    /// Keeps at most `most` items, and never more than [`PLACES_MAX`].
    pub fn new(most: usize) -> Nearest<T> {
        Nearest { kept: [None; CAPACITY], len: 0, most: most.min(CAPACITY) }
    }

    /// Takes the item if there is room, or if the item is nearer than a kept one.
    pub fn offer(&mut self, separation: Separation, item: T) {
        let offered = Some((separation, item));
        if self.len < self.most {
            self.len += 1;
        } else if self.len == 0 || self.kept[self.len - 1] <= offered {
            return;
        }
        let mut at = self.len - 1;
        while at > 0 && self.kept[at - 1] > offered {
            self.kept[at] = self.kept[at - 1];
            at -= 1;
        }
        self.kept[at] = offered;
    }

    /// The distance below which an item is kept, once there is no more room.
    pub fn threshold(&self) -> Option<Separation> {
        let last = self.most.checked_sub(1)?;
        self.kept[last].map(|(separation, _)| separation)
    }

    /// The kept items, the nearest first.
    pub fn iter(&self) -> impl Iterator<Item = (Separation, T)> {
        self.kept.iter().take(self.len).flatten().copied()
    }

    /// The number of kept items.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no item was kept.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_nearest_are_those_a_full_sort_puts_first(
            mut offers in proptest::collection::vec((0u32..50, 0u32..1000), 0..100), most in 0usize..30,
        ) {
            let mut nearest = Nearest::new(most);
            for &(meters, item) in &offers {
                nearest.offer(Separation::of_meters(f64::from(meters)), item);
            }
            offers.sort_unstable();
            offers.truncate(most.min(CAPACITY));
            let expected: Vec<u32> = offers.iter().map(|&(_, item)| item).collect();
            prop_assert_eq!(nearest.len(), expected.len());
            let last = offers.last().map(|&(meters, _)| Separation::of_meters(f64::from(meters)));
            prop_assert_eq!(nearest.threshold(), last.filter(|_| offers.len() == most.min(CAPACITY)));
            prop_assert_eq!(nearest.iter().map(|(_, item)| item).collect::<Vec<_>>(), expected);
        }
    }
}
