//! The cache of blocks in memory, limited by the size of the blocks.
//!
//! Each block has a slot of its own, so that readers of different blocks never wait for each other. When there is no
//! room, the cache visits blocks in the order in which they came (the clock algorithm). A block that was used since the
//! last visit is kept once more, and any other block is dropped. A reader that still uses a dropped block keeps its
//! reference.
//!
//! Invariant: the blocks together take no more than `len_max` bytes. This module does not know where blocks come from.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};

use super::block::IndexBlock;

/// Blocks by number.
#[derive(Debug)]
pub(super) struct BlockCache {
    slots: Box<[BlockSlot]>,
    held: Mutex<HeldBlocks>,
    len_max: usize,
}

#[derive(Debug, Default)]
struct BlockSlot {
    block: RwLock<Option<Arc<IndexBlock>>>,
    asked_for: AtomicBool,
}

/// Which blocks are in memory.
#[derive(Debug, Default)]
struct HeldBlocks {
    /// The blocks in the order in which the clock visits them.
    round: VecDeque<u32>,
    bytes: usize,
}

impl BlockCache {
    /// A cache for `len_max` bytes, of a file with `blocks` blocks.
    pub(super) fn new(blocks: usize, len_max: usize) -> BlockCache {
        BlockCache {
            slots: (0..blocks).map(|_| BlockSlot::default()).collect(),
            held: Mutex::default(),
            len_max,
        }
    }

    /// The block, if it is in memory.
    pub(super) fn find(&self, number: u32) -> Option<Arc<IndexBlock>> {
        let slot = &self.slots[number as usize];
        let block = slot.block.read().clone()?;
        // The flag is written only if it changes. Otherwise the cache line would move between processors at every read.
        if !slot.asked_for.load(Ordering::Relaxed) {
            slot.asked_for.store(true, Ordering::Relaxed);
        }
        Some(block)
    }

    /// Keeps the block, unless another reader has already stored it. Drops other blocks until all blocks fit. A block
    /// that is larger than the whole cache is not kept.
    pub(super) fn keep(&self, number: u32, block: &Arc<IndexBlock>) {
        let mut held = self.held.lock();
        let size = block.size();
        if size > self.len_max || self.slots[number as usize].block.read().is_some() {
            return;
        }
        while held.bytes + size > self.len_max {
            self.drop_one(&mut held);
        }
        *self.slots[number as usize].block.write() = Some(Arc::clone(block));
        held.round.push_back(number);
        held.bytes += size;
    }

    fn drop_one(&self, held: &mut HeldBlocks) {
        // Each block is kept at most once more per call, even if readers use it again during the call.
        let mut sparing = held.round.len();
        while let Some(number) = held.round.pop_front() {
            let slot = &self.slots[number as usize];
            if slot.asked_for.swap(false, Ordering::Relaxed) && sparing > 0 {
                sparing -= 1;
                held.round.push_back(number);
            } else {
                let dropped = slot.block.write().take();
                held.bytes -= dropped.expect("what goes round is in its slot").size();
                return;
            }
        }
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.held.lock().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::block::{BlockDraft, IndexPoint};
    use super::super::record::{IndexRecord, Object, ObjectId};
    use super::*;

    fn block() -> Arc<IndexBlock> {
        let record = IndexRecord {
            id: ObjectId { object: Object::Node, number: 1 },
            locale: 0,
            kinds: &[],
            name: "x",
            vicinity: "",
            hours: "",
            also: "",
        };
        let (mut bytes, mut encoded, mut draft) = (Vec::new(), Vec::new(), BlockDraft::default());
        record.encode(&mut encoded);
        draft.push(IndexPoint { longitude: 0, latitude: 0 }, &encoded);
        let entry = draft.finish(0, &mut bytes);
        Arc::new(IndexBlock::read(&entry, &bytes).unwrap())
    }

    #[test]
    fn what_was_not_asked_for_goes_first() {
        let block = block();
        let cache = BlockCache::new(5, 3 * block.size());
        for number in 0..3 {
            assert!(cache.find(number).is_none());
            cache.keep(number, &block);
        }
        assert!(cache.find(0).is_some() && cache.find(2).is_some());
        cache.keep(3, &block);
        assert!(cache.find(1).is_none(), "nobody asked for it");
        assert!(cache.find(0).is_some() && cache.find(2).is_some() && cache.find(3).is_some());
        cache.keep(4, &block);
        assert_eq!((0..5).filter(|&number| cache.find(number).is_some()).count(), 3);
        assert_eq!(cache.bytes(), 3 * block.size());
    }

    #[test]
    fn a_block_is_kept_once_and_never_past_the_bound() {
        let block = block();
        let cache = BlockCache::new(2, block.size());
        cache.keep(0, &block);
        cache.keep(0, &block);
        assert_eq!(cache.bytes(), block.size());
        let none = BlockCache::new(2, block.size() - 1);
        none.keep(0, &block);
        assert!(none.find(0).is_none());
    }
}
