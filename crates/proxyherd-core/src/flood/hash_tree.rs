//! The hash tree of a shard: its root, kept up to date with every change, and the geometry of its branches.
//!
//! A key's place in the tree is the key's hash, with four bits for each step. The root is one sum of the digests of all
//! records. The sums of branches below the root are computed on demand (`anti_entropy`).
//!
//! Servers forget expired records at different moments, so a record that is about to expire must not count. Therefore
//! the root keeps one sum for each slice of time in which records expire. The sum *from* a time leaves out every slice
//! that begins before that time. If the clocks of two servers have not reached that time, both servers still hold all
//! records that the sum counts.

use std::collections::BTreeMap;

use crate::{
    codec::link::check::FAN_OUT,
    limits::{CHECK_LEAF_RECORDS_MAX, CHECK_SLICE_MIN_NS, CHECK_SLICES},
    types::KeyHash,
};

/// Bits of the hash that one step uses.
const STEP: u32 = FAN_OUT.trailing_zeros();

/// What a record adds to a sum, and the slice of time that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weight {
    /// The begin of the slice in which the record expires; `None` if it never expires.
    pub(super) slice: Option<u64>,
    pub(super) digest: u64,
}

impl Weight {
    /// The weight of a record that was received at `received_ns` and is kept for `ttl_ns`.
    pub(super) fn new(received_ns: u64, ttl_ns: Option<u64>, digest: u64) -> Weight {
        let slice = ttl_ns.map(|ttl_ns| {
            let expiry_ns = received_ns.saturating_add(ttl_ns);
            expiry_ns - expiry_ns % (ttl_ns / CHECK_SLICES).max(CHECK_SLICE_MIN_NS)
        });
        Weight { slice, digest }
    }

    /// Whether the record is part of a sum from this time.
    pub(super) fn counts_from(self, from_ns: u64) -> bool {
        self.slice.is_none_or(|slice| slice >= from_ns)
    }
}

/// The sums of the digests of all records, by slice. These are sums and not exclusive ors, because two equal digests
/// would cancel out under exclusive or.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HashRoot {
    lasting: u64,
    slices: BTreeMap<u64, Slice>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slice {
    sum: u64,
    records: u32,
}

impl HashRoot {
    pub(super) fn add(&mut self, weight: Weight) {
        let Some(slice) = weight.slice else {
            self.lasting = self.lasting.wrapping_add(weight.digest);
            return;
        };
        let slice = self.slices.entry(slice).or_default();
        slice.sum = slice.sum.wrapping_add(weight.digest);
        slice.records += 1;
    }

    pub(super) fn remove(&mut self, weight: Weight) {
        let Some(at) = weight.slice else {
            self.lasting = self.lasting.wrapping_sub(weight.digest);
            return;
        };
        let slice = self.slices.entry(at).or_default();
        slice.sum = slice.sum.wrapping_sub(weight.digest);
        slice.records -= 1;
        if slice.records == 0 {
            self.slices.remove(&at);
        }
    }

    /// The sum of all records that count from this time.
    pub(super) fn from(&self, from_ns: u64) -> u64 {
        let slices = self.slices.range(from_ns..).map(|(_, slice)| slice.sum);
        slices.fold(self.lasting, u64::wrapping_add)
    }
}

/// The sums of one branch's children at this server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) sums: [u64; FAN_OUT],
    records: [u32; FAN_OUT],
    /// The hash of the first key, and the bits in which other keys' hashes differ from it. Records of several kinds
    /// can share a key.
    hashes: [(u64, u64); FAN_OUT],
}

impl Sums {
    pub(super) fn add(&mut self, child: usize, hash: KeyHash, digest: u64) {
        let (first, differing) = &mut self.hashes[child];
        if self.records[child] == 0 {
            *first = hash.bits();
        }
        *differing |= *first ^ hash.bits();
        self.records[child] += 1;
        self.sums[child] = self.sums[child].wrapping_add(digest);
    }

    /// Whether it is useless to follow this child further, because the child holds few records or records of only one
    /// key.
    pub(super) fn is_leaf(&self, child: usize) -> bool {
        self.records[child] <= CHECK_LEAF_RECORDS_MAX || self.hashes[child].1 == 0
    }
}

/// The place of a branch: the first bits of a hash, the other bits 0.
pub(super) fn place_of(hash: KeyHash, depth: u8) -> u64 {
    let bits = u32::from(depth) * STEP;
    hash.bits() & !u64::MAX.checked_shr(bits).unwrap_or(0)
}

/// The child of its branch at `depth` to which a hash belongs.
pub(super) fn child_of(hash: KeyHash, depth: u8) -> usize {
    let above = 64 - (u32::from(depth) + 1) * STEP;
    (hash.bits() >> above) as usize % FAN_OUT
}

/// The bits that a child at `depth` adds to its branch's place.
pub(super) fn child_bits(child: usize, depth: u8) -> u64 {
    (child as u64) << (64 - u32::from(depth) * STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn what_expires_before_a_time_is_no_part_of_the_sum_from_it() {
        let mut root = HashRoot::default();
        let soon = Weight::new(100 * SECOND_NS, Some(32 * SECOND_NS), 5);
        let late = Weight::new(150 * SECOND_NS, Some(32 * SECOND_NS), 7);
        let never = Weight::new(0, None, 11);
        [soon, late, never].into_iter().for_each(|weight| root.add(weight));
        assert_eq!(soon.slice, Some(132 * SECOND_NS));
        assert_eq!(root.from(132 * SECOND_NS), 23);
        assert_eq!(root.from(132 * SECOND_NS + 1), 18);
        let mut swept = root.clone();
        swept.remove(soon);
        assert_eq!(swept.from(140 * SECOND_NS), root.from(140 * SECOND_NS));
        [late, never].into_iter().for_each(|weight| swept.remove(weight));
        assert_eq!(swept, HashRoot::default());
    }
}
