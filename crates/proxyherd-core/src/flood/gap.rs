//! A gap: something that a neighbor told is missing in a shard, because it was refused or has been given up. How the
//! neighbor's markers come to count again.
//!
//! A marker covers all that the neighbor has sent: also a record that was refused here, and whatever that had overtaken
//! there. So a refusal opens a gap in this shard on this link, and so does [`Shard::give_up`] on all links. While a gap is
//! open
//!
//! - markers of the link do not count;
//! - a CHECK says so in the place of how much has been received, so that the neighbor does not take this server for one that
//!   has lost something; and this server raises no alarm over a difference itself. It looks into differences all the same.
//!
//! A gap closes by being told anew. This server sends a *fence*, FENCE with a number, and behind it a GRAFT with its
//! vector. The neighbor binds the number to this GRAFT, which may have to wait there. When it begins to tell what is above
//! the vector it first answers PASSED with the number. All markers behind that answer were made after the neighbor had
//! begun, so they cover nothing but what the vector covers, what the link has brought since, and what that had overtaken.
//! The answer closes the gap, unless something was refused or given up since the fence was sent: then the answer to a later
//! fence does. What is refused behind the answer opens a gap again.
//!
//! This server asks some heartbeats after the last refusal. The pause doubles, up to
//! [`GAP_PAUSE_MAX`](crate::limits::GAP_PAUSE_MAX), until a marker counts: as long as the neighbor holds what is refused
//! here, all above the vector is sent in vain. It asks at once after it has given up something itself, or when a CHECK shows
//! that both hold the same.
//!
//! A neighbor that does not tell of changes here, because the link is no edge of the tree, sends no markers but those that
//! this server asks for by GRAFT. Each such GRAFT has a fence while a gap is open, so none is needed besides.
//!
//! A neighbor that speaks a version before [`FENCE_VERSION`](crate::codec::link::spanning_tree::FENCE_VERSION) does not answer. There a gap
//! closes when a CHECK shows that both hold the same and nothing is on its way, or when the link ends.

use super::{LinkId, Nonsense, Shard, links::bits};
use crate::{
    codec::link::Encoder,
    limits::{GAP_PAUSE_MAX, GAP_PAUSE_MIN},
};

/// What is missing of what one link brought to one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gap {
    is_open: bool,
    /// Something is missing that ought to be held here, and not only what finds no room.
    is_behind: bool,
    /// Something was refused, and not only given up.
    has_refused: bool,
    /// The neighbor is to be asked with the next heartbeat.
    asks_now: bool,
    /// It is asked after so many heartbeats, and after so many the next time.
    wait: u16,
    pause: u16,
    /// The number of the last fence, and whether its answer closes the gap.
    fence: u64,
    is_asked: bool,
}

impl Gap {
    /// Something was refused.
    fn refuse(&mut self, is_behind: bool) {
        self.open(is_behind);
        self.has_refused = true;
    }

    /// Something that is held is given up, for which the neighbor is asked with the next heartbeat, or later.
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

    /// Whether a marker that does not count covers something that ought to be held here.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Whether a CHECK tells how much has been received. It does where the neighbor closes a gap of its own only by comparing
    /// what both have, unless a difference would be an alarm there.
    pub(super) fn tells_received(&self, answers_fences: bool) -> bool {
        !self.is_open || !answers_fences && !self.has_refused
    }

    /// A marker counts.
    pub(super) fn note_marker(&mut self) {
        self.pause = 0;
    }

    /// A check shows that both ends hold the same.
    pub(super) fn note_same(&mut self, answers_fences: bool, nothing_is_under_way: bool) {
        if !self.is_open || self.is_asked {
            return;
        }
        if !answers_fences {
            if !nothing_is_under_way {
                return;
            }
            // What its markers have covered meanwhile is to be told again.
            self.close();
        }
        self.asks_now = true;
    }

    /// One heartbeat: whether the neighbor is to be asked. `may_ask`: it answers fences, and tells of changes.
    fn is_due(&mut self, may_ask: bool) -> bool {
        if std::mem::take(&mut self.asks_now) {
            return true;
        }
        if !self.is_open || !may_ask {
            return false;
        }
        // A question that is not answered in time is asked again: it may have been dropped with the queue that it began.
        self.wait = self.wait.saturating_sub(1);
        self.wait == 0
    }

    /// The neighbor is about to be asked: the number of the fence.
    fn next_fence(&mut self) -> u64 {
        self.pause = (self.pause * 2).clamp(GAP_PAUSE_MIN, GAP_PAUSE_MAX);
        self.wait = self.pause;
        self.fence += 1;
        self.is_asked = true;
        self.fence
    }

    /// The neighbor answers a fence.
    fn pass(&mut self, number: u64) {
        if self.is_asked && number == self.fence {
            self.close();
        }
    }
}

impl Shard {
    /// Notes that a neighbor told something that was not merged.
    #[cold]
    pub(super) fn note_refused(&mut self, from: LinkId, why: Nonsense) {
        self.found = Some(why);
        if let Some(outbox) = &mut self.outboxes[from.index()] {
            outbox.gap.refuse(matches!(why, Nonsense::Receipt | Nonsense::Incarnation));
        }
    }

    /// One heartbeat: asks the neighbor for all above this server's vector, if something is missing and it is time.
    pub fn write_question(&mut self, link: LinkId, encoder: &mut Encoder) {
        let Some(outbox) = &mut self.outboxes[link.index()] else { return };
        if outbox.gap.is_due(encoder.answers_fences() && outbox.is_fed) {
            self.write_graft(link, encoder, true);
        }
    }

    /// Appends a fence, if something is missing. A GRAFT has to follow.
    pub(super) fn write_fence(&mut self, link: LinkId, encoder: &mut Encoder) {
        let Some(outbox) = &mut self.outboxes[link.index()] else { return };
        if outbox.gap.is_open && encoder.answers_fences() {
            encoder.fence(self.settings.index, outbox.gap.next_fence());
        }
    }

    /// On how many of the links that are told of changes something is missing.
    pub fn gaps(&self) -> usize {
        let outboxes = bits(self.up).filter_map(|link| self.outboxes[link.index()].as_ref());
        outboxes.filter(|outbox| outbox.gap.is_open).count()
    }

    /// The neighbor sends a fence, which belongs to its next GRAFT.
    pub fn hear_fence(&mut self, link: LinkId, number: u64) {
        if let Some(outbox) = &mut self.outboxes[link.index()] {
            outbox.fence = Some(number);
        }
    }

    /// The neighbor has begun to tell what is above the vector that stood behind the fence of this number.
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
        assert!(!gap.is_due(true), "it is asked already");
        let mut gap = Gap::default();
        gap.refuse(true);
        assert!((0..1000).all(|_| !gap.is_due(false)));
        gap.note_same(false, false);
        assert!(gap.is_open());
        gap.note_same(false, true);
        assert!(!gap.is_open() && gap.is_due(false) && !gap.is_due(false));
    }
}
