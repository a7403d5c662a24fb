//! When reports are safe: what a door waits for before it acknowledges them.
//!
//! A door says up to which positions of each shard its replies speak of ([`Positions`]), and is told once that is covered.
//! Who covers it, a journal or neighbors, implements [`Durability`]; this module knows neither.

use std::{fmt, time::Duration};

use proxyherd_core::limits::SHARDS;

/// Of each shard, up to which of its sequences; 0 where nothing is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Positions([u64; SHARDS]);

impl Positions {
    /// Takes in an update of a shard.
    pub fn note(&mut self, shard: usize, sequence: u64) {
        self.0[shard] = self.0[shard].max(sequence);
    }

    /// Up to which sequence of a shard.
    pub fn of(&self, shard: usize) -> u64 {
        self.0[shard]
    }

    /// Whether no update is meant.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; SHARDS]
    }

    /// Whether all that `self` means is within `covered`.
    pub fn is_within(&self, covered: &Positions) -> bool {
        self.0.iter().zip(&covered.0).all(|(own, covered)| own <= covered)
    }
}

/// What makes reports safe.
pub trait Durability: fmt::Debug + Send + Sync {
    /// Calls [`Notice::covered`] as soon as `positions` is covered, on any thread, perhaps at once. Who drops the notice
    /// instead has nothing covered.
    fn await_covered(&self, positions: Positions, notice: Notice);

    /// How long a door waits. Then it closes the connection and sends no reply.
    fn patience(&self) -> Duration;
}

/// Lets somebody know that the positions for which they wait is covered.
pub struct Notice(Box<dyn FnOnce() + Send>);

impl Notice {
    /// One that does this.
    pub fn new(tell: impl FnOnce() + Send + 'static) -> Notice {
        Notice(Box::new(tell))
    }

    /// It is covered.
    pub fn covered(self) {
        (self.0)();
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notice")
    }
}
