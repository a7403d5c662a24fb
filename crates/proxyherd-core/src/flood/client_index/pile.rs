//! A pile: clients that are too many for one leaf, in a cell that is not worth halving. Most piles are many clients at
//! one point.
//!
//! The clients are in the order of their coordinates, and at one point in the order of their IDs. So the search for the
//! nearest, which ranks clients at one point by ID, visits only the first ones of each point. The order is by
//! coordinates as they are written, not by place.
//!
//! A pile is a list of sorted blocks of bounded length. A client is found by binary search, so a change costs about the
//! same however many clients the pile has.

use std::cmp::Ordering;

use super::Entries;
use crate::types::Coordinates;

/// Maximum number of clients in one block. A full block is halved.
const BLOCK_LEN_MAX: usize = 512;

/// Many clients of one cell.
#[derive(Debug, Default)]
pub(super) struct Pile {
    blocks: Vec<Vec<u32>>,
    len: usize,
    /// The link that leads to the pile.
    pub(super) parent: u32,
    /// The depth of the pile's cell.
    pub(super) depth: u32,
    /// All clients are in one cell of this depth. After clients have left, their common cell may be deeper than this.
    pub(super) common: u32,
}

impl Pile {
    /// A pile of these slots.
    pub(super) fn of(mut slots: Vec<u32>, entries: &impl Entries) -> Pile {
        slots.sort_unstable_by(|&one, &other| rank(entries, one).cmp(&rank(entries, other)));
        let blocks: Vec<Vec<u32>> = slots.chunks(BLOCK_LEN_MAX / 2).map(<[u32]>::to_vec).collect();
        Pile { blocks, len: slots.len(), ..Pile::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// One of the slots.
    pub(super) fn any(&self) -> u32 {
        self.blocks[0][0]
    }

    /// All slots in their order.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> {
        self.blocks.iter().flatten().copied()
    }

    pub(super) fn insert(&mut self, slot: u32, entries: &impl Entries) {
        let key = rank(entries, slot);
        let is_before = |&other: &u32| rank(entries, other) < key;
        let block = self.blocks.partition_point(|block| is_before(&block[0])).saturating_sub(1);
        let at = self.blocks[block].partition_point(is_before);
        self.blocks[block].insert(at, slot);
        self.len += 1;
        if self.blocks[block].len() == BLOCK_LEN_MAX {
            let half = self.blocks[block].split_off(BLOCK_LEN_MAX / 2);
            self.blocks[block].shrink_to_fit();
            self.blocks.insert(block + 1, half);
        }
    }

    /// Removes a slot that is in the pile with these coordinates. The slot may hold other coordinates already.
    pub(super) fn remove(&mut self, slot: u32, was_at: Coordinates, entries: &impl Entries) {
        let key = (was_at, entries.id(slot));
        let order = |&other: &u32| match other == slot {
            true => Ordering::Equal,
            false => rank(entries, other).cmp(&key),
        };
        let block = self.blocks.partition_point(|block| order(&block[0]).is_le()).saturating_sub(1);
        let at = self.blocks[block].binary_search_by(order);
        self.blocks[block].remove(at.expect("a slot whose home is the pile is in the pile"));
        self.len -= 1;
        if self.blocks[block].is_empty() {
            self.blocks.remove(block);
        }
    }

    /// Calls `visit` with slots in their order. `visit` returns whether to visit the next slot at the same point, too,
    /// and whether to go on. Returns the slots that were not visited because `visit` did not go on.
    pub(super) fn visit_points(
        &self,
        entries: &impl Entries,
        mut visit: impl FnMut(u32) -> (bool, bool),
    ) -> Vec<u32> {
        let (mut block, mut at) = (0, 0);
        while block < self.blocks.len() {
            let slot = self.blocks[block][at];
            let (stays, goes_on) = visit(slot);
            if stays {
                at += 1;
            } else {
                let point = entries.coordinates(slot);
                let is_passed = |&other: &u32| entries.coordinates(other) <= point;
                block = self.blocks.partition_point(|block| is_passed(&block[0])).saturating_sub(1);
                at = self.blocks[block].partition_point(is_passed);
            }
            if !goes_on {
                let rest = self.blocks[block][at..].iter().chain(self.blocks[block + 1..].iter().flatten());
                return rest.copied().collect();
            }
            if at == self.blocks[block].len() {
                (block, at) = (block + 1, 0);
            }
        }
        Vec::new()
    }

    /// The number of allocated bytes.
    pub(super) fn bytes(&self) -> usize {
        let blocks = self.blocks.iter().map(|block| block.capacity() * size_of::<u32>());
        self.blocks.capacity() * size_of::<Vec<u32>>() + blocks.sum::<usize>()
    }

    /// Whether the slots are in their order.
    pub(super) fn is_sorted(&self, entries: &impl Entries) -> bool {
        let slots: Vec<u32> = self.slots().collect();
        slots.len() == self.len && slots.is_sorted_by_key(|&slot| rank(entries, slot))
    }
}

fn rank<E: Entries>(entries: &E, slot: u32) -> (Coordinates, &[u8]) {
    (entries.coordinates(slot), entries.id(slot))
}
