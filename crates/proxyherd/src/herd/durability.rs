//! When reports are durable: what a door waits for before it acknowledges them.
//!
//! A door collects the [`Positions`] of the reports that its replies acknowledge. It passes them to the herd's
//! [`Durability`], which tells it by a [`Notice`] when they are durable. A journal, or neighbors that hold the reports
//! too, can implement [`Durability`]. This module knows neither.

use std::{fmt, time::Duration};

use proxyherd_core::limits::SHARDS;

/// One position in each shard: all updates up to this sequence. 0: none of the shard's updates. Core's
/// `command::Position` is the position of a single update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Positions([u64; SHARDS]);

impl Positions {
    /// Includes the update of `shard` with this sequence, and all before it.
    pub fn note(&mut self, shard: usize, sequence: u64) {
        self.0[shard] = self.0[shard].max(sequence);
    }

    /// The sequence up to which updates of `shard` are included.
    pub fn of(&self, shard: usize) -> u64 {
        self.0[shard]
    }

    /// Whether no update is included.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; SHARDS]
    }

    /// Whether `covered` includes all updates that `self` includes.
    pub fn is_within(&self, covered: &Positions) -> bool {
        self.0.iter().zip(&covered.0).all(|(own, covered)| own <= covered)
    }
}

/// What makes reports durable.
pub trait Durability: fmt::Debug + Send + Sync {
    /// Calls [`Notice::covered`] once all updates that `positions` includes are durable, on any thread, perhaps before
    /// this returns. If the notice is dropped instead, the updates count as not durable.
    fn await_covered(&self, positions: Positions, notice: Notice);

    /// How long a door waits. After that it closes the connection without a reply.
    fn patience(&self) -> Duration;
}

/// Tells whoever waits that its positions are covered.
pub struct Notice(Box<dyn FnOnce() + Send>);

impl Notice {
    /// A notice that calls `tell`.
    pub fn new(tell: impl FnOnce() + Send + 'static) -> Notice {
        Notice(Box::new(tell))
    }

    /// Tells that the positions are covered.
    pub fn covered(self) {
        (self.0)();
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notice")
    }
}
