//! Gaps: a shard lacks something that a neighbor sent, because this server refused it or has given it up. This module
//! decides when the neighbor's markers count again.
//!
//! A marker covers everything that the neighbor has sent, including records that this server refused and updates that
//! those records had replaced at the neighbor. So a refusal opens a gap in this shard on this link, and
//! [`Shard::give_up`] opens a gap on all links. While a gap is open,
//!
//! - markers of the link do not count;
//! - a CHECK carries [`Check::GAP`](crate::codec::link::check::Check::GAP) instead of the number of received records,
//!   so that the neighbor does not raise an alarm. This server raises no alarm over a difference either, but it still
//!   looks for differences.
//!
//! To close a gap, this server asks the neighbor for everything above its vector. It sends a *fence*, which is a FENCE
//! frame with a number, and then a GRAFT with its vector. The neighbor binds the number to this GRAFT, which it may
//! answer later. When the neighbor begins to answer, it first sends PASSED with the number. Markers that follow PASSED
//! were made after the neighbor began to answer. They cover only what this server's vector covers, the records that the
//! link has brought since, and updates that those records had replaced. So PASSED closes the gap, unless this server
//! has refused or given up something since it sent the fence. In that case the server sends another fence later, and
//! the answer to that fence closes the gap. A refusal after PASSED opens a new gap.
//!
//! This server asks some heartbeats after the last refusal. The pause doubles each time, up to
//! [`GAP_PAUSE_MAX`](crate::limits::GAP_PAUSE_MAX), until a marker counts. The pause has to grow because the neighbor
//! sends everything above the vector in vain as long as the neighbor holds a record that this server refuses. The
//! server asks at once after it has given up something itself, and when a CHECK shows that both ends hold the same
//! records.
//!
//! If this link is lazy for a neighbor, the neighbor sends only the markers that answer a GRAFT. While a gap is open,
//! each such GRAFT carries a fence, so no other fence is needed.
//!
//! A neighbor that speaks a version before [`FENCE_VERSION`](crate::codec::link::spanning_tree::FENCE_VERSION) does not
//! answer fences. With such a neighbor a gap closes when a CHECK shows that both ends hold the same records and no
//! records are in transit, or when the link ends.

use super::{LinkId, Nonsense, Shard, links::bits};
use crate::{
    codec::link::{Encoder, GraftMode},
    limits::{GAP_PAUSE_MAX, GAP_PAUSE_MIN},
};

/// The gap of one shard on one link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gap {
    is_open: bool,
    /// A record is missing that this server should hold, and not only a record that found no room.
    is_behind: bool,
    /// The server refused something. Otherwise it has only given something up.
    has_refused: bool,
    /// The neighbor has to be asked with the next heartbeat.
    asks_now: bool,
    /// The number of heartbeats until the neighbor is asked, and the pause before the neighbor is asked again.
    wait: u16,
    pause: u16,
    /// The number of the last fence, and whether its answer will close the gap.
    fence: u64,
    is_asked: bool,
}

impl Gap {
    /// Opens the gap because something was refused.
    fn refuse(&mut self, is_behind: bool) {
        self.open(is_behind);
        self.has_refused = true;
    }

    /// Opens the gap because a held record was given up. The neighbor is asked with the next heartbeat, or later.
    pub(super) fn give_up(&mut self, asks_now: bool) {
        self.open(true);
        self.asks_now |= asks_now;
    }

    fn open(&mut self, is_behind: bool) {
        (self.is_open, self.is_asked) = (true, false);
        self.wait = self.pause.max(GAP_PAUSE_MIN);
        self.is_behind |= is_behind;
    }

    fn close(&mut self) {
        (self.is_open, self.is_behind, self.has_refused, self.is_asked) = (false, false, false, false);
    }

    /// Whether the neighbor's markers do not count.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether a marker that does not count may cover a record that this server should hold.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Whether a CHECK carries the number of received records. A neighbor without fences needs that number to close its
    /// own gap. So such a neighbor gets the number unless a difference would make the neighbor raise an alarm.
    pub(super) fn tells_received(&self, answers_fences: bool) -> bool {
        !self.is_open || !answers_fences && !self.has_refused
    }

    /// Notes that a marker has counted.
    pub(super) fn note_marker(&mut self) {
        self.pause = 0;
    }

    /// Notes that a check has shown that both ends hold the same records.
    pub(super) fn note_same(&mut self, answers_fences: bool, nothing_is_under_way: bool) {
        if !self.is_open || self.is_asked {
            return;
        }
        if !answers_fences {
            if !nothing_is_under_way {
                return;
            }
            // The updates that the neighbor's markers have covered in the meantime have to be sent again.
            self.close();
        }
        self.asks_now = true;
    }

    /// Handles one heartbeat. Returns whether to ask the neighbor now. `may_ask` is true if the neighbor answers fences
    /// and sends its changes here.
    fn is_due(&mut self, may_ask: bool) -> bool {
        if std::mem::take(&mut self.asks_now) {
            return true;
        }
        if !self.is_open || !may_ask {
            return false;
        }
        // If no answer comes in time, ask again: the answer may have been dropped together with its queue.
        self.wait = self.wait.saturating_sub(1);
        self.wait == 0
    }

    /// Returns the number of the next fence. The caller sends the fence.
    fn next_fence(&mut self) -> u64 {
        self.pause = (self.pause * 2).clamp(GAP_PAUSE_MIN, GAP_PAUSE_MAX);
        self.wait = self.pause;
        self.fence += 1;
        self.is_asked = true;
        self.fence
    }

    /// Handles the neighbor's answer to a fence.
    fn pass(&mut self, number: u64) {
        if self.is_asked && number == self.fence {
            self.close();
        }
    }
}

impl Shard {
    /// Notes that something from a neighbor was not merged.
    #[cold]
    pub(super) fn note_refused(&mut self, from: LinkId, why: Nonsense) {
        self.found = Some(why);
        if let Some(outbox) = &mut self.outboxes[from.index()] {
            outbox.gap.refuse(matches!(why, Nonsense::Receipt | Nonsense::Incarnation));
        }
    }

    /// Handles one heartbeat: if a gap is open and it is time, asks the neighbor for everything above this server's
    /// vector.
    pub fn write_question(&mut self, link: LinkId, encoder: &mut Encoder) {
        let Some(outbox) = &mut self.outboxes[link.index()] else { return };
        if outbox.gap.is_due(encoder.answers_fences() && outbox.is_fed) {
            self.write_graft(link, encoder, GraftMode::Once);
        }
    }

    /// Appends a fence if a gap is open. The caller must append a GRAFT next.
    pub(super) fn write_fence(&mut self, link: LinkId, encoder: &mut Encoder) {
        let Some(outbox) = &mut self.outboxes[link.index()] else { return };
        if outbox.gap.is_open && encoder.answers_fences() {
            encoder.fence(self.settings.index, outbox.gap.next_fence());
        }
    }

    /// The number of eager links with an open gap.
    pub fn gaps(&self) -> usize {
        let outboxes = bits(self.up).filter_map(|link| self.outboxes[link.index()].as_ref());
        outboxes.filter(|outbox| outbox.gap.is_open).count()
    }

    /// Handles a fence from the neighbor. The fence belongs to the neighbor's next GRAFT.
    pub fn hear_fence(&mut self, link: LinkId, number: u64) {
        if let Some(outbox) = &mut self.outboxes[link.index()] {
            outbox.fence = Some(number);
        }
    }

    /// Handles PASSED: the neighbor has begun to answer the GRAFT behind the fence of this number.
    pub fn hear_passed(&mut self, link: LinkId, number: u64) {
        if let Some(outbox) = &mut self.outboxes[link.index()] {
            outbox.gap.pass(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(gap: &mut Gap) -> u64 {
        while !gap.is_due(true) {}
        gap.next_fence()
    }

    #[test]
    fn only_the_answer_to_the_last_fence_closes_a_gap_and_only_if_nothing_was_missed_since() {
        let mut gap = Gap::default();
        gap.refuse(true);
        gap.pass(0);
        assert!(gap.is_open() && gap.is_behind());
        let first = asked(&mut gap);
        let second = asked(&mut gap);
        gap.pass(first);
        assert!(gap.is_open());
        gap.refuse(false);
        gap.pass(second);
        assert!(gap.is_open() && gap.is_behind());
        let third = asked(&mut gap);
        gap.give_up(true);
        gap.pass(third);
        assert!(gap.is_open());
        let fourth = asked(&mut gap);
        gap.pass(fourth);
        assert!(!gap.is_open() && !gap.is_behind());
        gap.refuse(false);
        gap.pass(fourth);
        assert!(gap.is_open() && !gap.is_behind());
    }

    #[test]
    fn the_pause_doubles_up_to_a_bound_until_a_marker_counts() {
        let mut gap = Gap::default();
        let pause = |gap: &mut Gap| {
            gap.refuse(false);
            let waited = (1..).find(|_| gap.is_due(true)).unwrap();
            let number = gap.next_fence();
            gap.pass(number);
            waited
        };
        let pauses: Vec<u16> = (0..10).map(|_| pause(&mut gap)).collect();
        let doubled = (0..10).map(|times| (GAP_PAUSE_MIN << times.max(1) >> 1).min(GAP_PAUSE_MAX));
        assert_eq!(pauses[1..], doubled.collect::<Vec<_>>()[1..]);
        gap.note_marker();
        assert_eq!(pause(&mut gap), GAP_PAUSE_MIN);
    }

    #[test]
    fn who_holds_the_same_is_asked_at_once_and_closes_the_gap_where_fences_are_not_answered() {
        let mut gap = Gap::default();
        gap.note_same(true, true);
        assert!(!gap.is_due(true));
        gap.refuse(true);
        gap.note_same(true, false);
        assert!(gap.is_open() && gap.is_due(true));
        gap.next_fence();
        gap.note_same(true, true);
        assert!(!gap.is_due(true), "the neighbor is asked already");
        let mut gap = Gap::default();
        gap.refuse(true);
        assert!((0..1000).all(|_| !gap.is_due(false)));
        gap.note_same(false, false);
        assert!(gap.is_open());
        gap.note_same(false, true);
        assert!(!gap.is_open() && gap.is_due(false) && !gap.is_due(false));
    }
}
