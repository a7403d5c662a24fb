//! The flood's rules. The simulator can break one of them to show that its checkers notice.
//!
//! A server runs with [`Rules::default`]. Rules can only be broken with the cargo feature `broken-rules`. The simulator
//! and this crate's own tests turn the feature on. Without it [`Rules`] has no size, [`Rules::breaks`] is always false,
//! and no field of a shard or an outbox takes any memory for broken rules.
//!
//! Cargo unites the features of all packages that one command builds. So `cargo build`, `cargo build -p proxyherd` and
//! `cargo install --path crates/proxyherd` build the program without the feature, and only `--workspace` builds the
//! program with it.

use crate::store::{Slot, SlotId};

/// The flood's rules. Either all of them hold, or all but one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The rule that is broken, if there is one.
    #[cfg(feature = "broken-rules")]
    pub broken: Option<Broken>,
}

/// A rule that an implementer could plausibly get wrong. Each variant is named for what happens when the rule is
/// broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The vector advances for each record as it arrives, and not only by markers. This is a plausible mistake: a
    /// server can replace a record before it has passed the record on, count the record's sequence as covered, and then
    /// crash.
    AdvanceByRecord,
    /// A marker is sent at once, before queued records that it covers.
    MarkerOvertakes,
    /// A slot that changes while it is queued is sent with the content that it had when it was queued.
    OldVersion,
    /// When a link comes up again, everything that its neighbor was once sent counts as received, whatever the
    /// neighbor's vector says.
    TrustWhatWasSent,
    /// A record that comes over a link is kept and not passed on.
    KeepToMyself,
    /// If two records of a key come, the record that comes last over a link is kept, and not the newest one.
    MergeByArrival,
    /// Now and then a record that has come is not kept.
    LoseSome,
    /// When a link becomes lazy and its FIFO is cleared, a marker is still sent.
    MarkWhatWasCleared,
    /// When a link becomes eager again, the records that the neighbor has missed are not sent.
    SkipTheResend,
    /// A server does not contradict lies told in its own name.
    CloseOnLies,
    /// A record is merged even if its time of receipt is far in the future.
    TrustReceipts,
    /// A record is not passed on once it has expired by this server's own clock.
    CarryByOwnRule,
    /// One server's name may have any number of incarnations.
    OriginsUnbounded,
    /// A follower is told that all updates are covered while part of them is still in its queue.
    CoverWhatWaits,
    /// A record expires or is removed, and followers that want removals are not told.
    RemoveSilently,
    /// A link state is believed even if its stamp is far ahead of all clocks.
    BelieveStates,
    /// A journal says that changes are durable, and has not synced its file.
    SkipTheSync,
    /// A journal says that changes are durable as soon as they are written, before its file is synced.
    DurableWhenWritten,
    /// When a store is read, vectors behind damaged bytes count.
    TrustBehindDamage,
}

impl Rules {
    /// Whether this rule is broken.
    #[cfg(feature = "broken-rules")]
    pub(crate) fn breaks(self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }

    /// Whether this rule is broken. Without the feature, always false.
    #[cfg(not(feature = "broken-rules"))]
    #[inline(always)]
    pub(crate) const fn breaks(self, _: Broken) -> bool {
        false
    }
}

/// What an outbox remembers for [`Broken::OldVersion`]: the queued slots with the content that they had when they were
/// queued.
#[derive(Debug, Default)]
pub(super) struct Copies {
    #[cfg(feature = "broken-rules")]
    pub(super) slots: Vec<(SlotId, Slot)>,
}

impl Copies {
    /// The copy of a slot, if there is one.
    #[cfg(feature = "broken-rules")]
    pub(super) fn take(&mut self, id: SlotId) -> Option<Slot> {
        let at = self.slots.iter().position(|(copied, _)| *copied == id)?;
        Some(self.slots.swap_remove(at).1)
    }

    #[cfg(feature = "broken-rules")]
    pub(super) fn clear(&mut self) {
        self.slots.clear();
    }

    #[cfg(not(feature = "broken-rules"))]
    #[inline(always)]
    pub(super) fn take(&mut self, _: SlotId) -> Option<Slot> {
        None
    }

    #[cfg(not(feature = "broken-rules"))]
    #[inline(always)]
    pub(super) fn clear(&mut self) {}
}

#[cfg(not(feature = "broken-rules"))]
const _: () = assert!(size_of::<Rules>() == 0 && size_of::<Copies>() == 0);
