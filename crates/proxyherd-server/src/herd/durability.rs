//! The durability of reports. A door waits until reports are durable before it acknowledges them.
//!
//! A door collects the [`Positions`] of the reports that its replies acknowledge. It passes them to the herd's
//! [`Durability`], which notifies the door by a [`Notice`] when the reports are durable. A journal can implement
//! [`Durability`], and so can neighbors that hold copies of the reports. This module knows neither of these two.

use std::{fmt, time::Duration};

use proxyherd_core::{limits::SHARDS, replica::Offer};

/// One position in each shard. A position includes all updates up to its sequence. 0: no update of the shard. Core's
/// `command::Position` is the position of a single update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Positions([u64; SHARDS]);

impl Positions {
    /// Includes the update that an offer has become, if the report was taken.
    pub fn note_offer(&mut self, offer: &Offer<'_>) {
        if let Some(position) = offer.position() {
            self.note(position.shard, position.seq);
        }
    }

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

/// Makes reports durable.
pub trait Durability: fmt::Debug + Send + Sync {
    /// Calls [`Notice::covered`] when all updates that `positions` includes are durable. The call may come on any
    /// thread, even before this method returns. If the notice is dropped instead, the updates count as not durable.
    fn await_covered(&self, positions: Positions, notice: Notice);

    /// Maximum time that a door waits. After this time the door closes the connection without a reply.
    fn patience(&self) -> Duration;
}

/// Notifies the waiting connection that its positions are covered.
pub struct Notice(Box<dyn FnOnce() + Send>);

impl Notice {
    /// A notice that calls `tell`.
    pub fn new(tell: impl FnOnce() + Send + 'static) -> Notice {
        Notice(Box::new(tell))
    }

    /// Reports that the positions are covered.
    pub fn covered(self) {
        (self.0)();
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notice")
    }
}
