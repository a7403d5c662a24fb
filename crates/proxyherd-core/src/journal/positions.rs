//! One position in each shard.

use crate::limits::SHARDS;

/// One position in each shard. A position includes all changes up to its sequence. 0: no change of the shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Positions([u64; SHARDS]);

impl Positions {
    /// Includes the change of `shard` with this sequence, and all before it.
    pub fn note(&mut self, shard: usize, sequence: u64) {
        self.0[shard] = self.0[shard].max(sequence);
    }

    /// The sequence up to which changes of `shard` are included.
    pub fn of(&self, shard: usize) -> u64 {
        self.0[shard]
    }

    /// Whether `covered` includes all changes that `self` includes.
    pub fn is_within(&self, covered: &Positions) -> bool {
        self.0.iter().zip(&covered.0).all(|(own, covered)| own <= covered)
    }
}
