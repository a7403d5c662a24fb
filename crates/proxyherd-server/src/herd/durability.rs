//! The durability of reports and of other changes. A door waits until they are durable before it acknowledges them.
//!
//! A door collects the [`Positions`] of what its replies acknowledge. It passes them to the herd's
//! [`Durability`], which notifies the door by a [`Notice`] when the reports are durable. A journal can implement
//! [`Durability`], and so can neighbors that hold copies of the reports. This module knows neither of these two.

use std::{fmt, time::Duration};

use proxyherd_core::command::Positions;

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
