//! Acknowledgements between neighbors: which of this server's own updates each neighbor covers.
//!
//! A server that waits for copies of its updates asks its neighbors for acknowledgements (ACKS_WANTED). A neighbor
//! answers with ACK whenever it covers more updates of the asking server, whichever link has brought the marker. One
//! flush sends at most one ACK of a shard, behind nothing. So acknowledgements never delay records, and under load one
//! ACK acknowledges many updates.
//!
//! A neighbor's vectors, markers and IHAVE show the same, so they count, too. A server of an earlier version skips
//! ACKS_WANTED. Such a neighbor only counts by these other frames, which may come seconds later or not at all.
//!
//! What a neighbor covers is counted in *own positions* ([`Shard::issued`]): they go on when this server begins a new
//! incarnation. This server then asks again. Updates of earlier incarnations count as covered when the neighbor covers
//! all records that were issued again.
//!
//! Invariants:
//! - A neighbor whose link is down covers nothing, because it may have died. When its link is up again, its vector
//!   shows what it still holds.
//! - This server acknowledges an update only when its vector, by a marker, covers the update.
//! - Without a wish, nothing is kept or sent, and a marker costs one comparison.
//!
//! A server that comes back with its journal holds records of its earlier lives, which nobody acknowledges. If a client
//! reports such a record again, because it got no acknowledgement, this server issues the record again.
//!
//! This module does not know who waits for copies, nor how many copies they need.

use super::{LinkId, Shard, Wake, links::bits, origins::ME};
use crate::{
    codec::link::{Ack, Encoder},
    limits::LINKS_MAX,
    store::{LinkMask, SlotId},
    types::{Origin, ServerName},
};

/// The acknowledgements of one shard, in both directions.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// Whether this server wants its neighbors to acknowledge.
    is_wanted: bool,
    /// The number of records that this server issued again when its present incarnation began.
    reissued: u64,
    /// Whether what any neighbor covers has changed since the last call of [`Shard::take_copies_changed`].
    has_changed: bool,
    /// The links whose neighbors want acknowledgements.
    owing: LinkMask,
    ends: [AckEnd; LINKS_MAX],
}

/// The acknowledgements of one link.
#[derive(Debug, Default)]
struct AckEnd {
    /// The server at the other end. `None`: the ends have not agreed on the link.
    neighbor: Option<ServerName>,
    /// The incarnation for which the neighbor was asked. `None`: the neighbor has not been asked yet.
    asked: Option<u64>,
    /// The own position up to which the neighbor covers this server's updates.
    covered: u64,
    owed: Option<Owed>,
}

/// What this server acknowledges to a neighbor.
#[derive(Debug)]
struct Owed {
    /// The neighbor, with the incarnation of its wish.
    origin: Origin,
    /// The sequence up to which this server covers that origin. The table of origins does not have an origin without
    /// live records, so this is noted here.
    covered: u64,
    /// The last acknowledged sequence.
    acked: u64,
}

impl Shard {
    /// The ends of a link have just agreed.
    pub fn begin_acks(&mut self, link: LinkId, neighbor: &ServerName) {
        self.end_acks(link);
        self.acks.ends[link.index()].neighbor = Some(neighbor.clone());
    }

    /// The link has ended. Nothing is owed to the neighbor any more, and the neighbor counts as holding nothing.
    pub(super) fn end_acks(&mut self, link: LinkId) {
        self.acks.has_changed |= self.acks.ends[link.index()].covered > 0;
        self.acks.ends[link.index()] = AckEnd::default();
        self.acks.owing &= !link.bit();
    }

    /// From now on, this server wants its neighbors to acknowledge its updates.
    pub fn want_acks(&mut self) -> Wake {
        self.acks.is_wanted = true;
        self.ask_again()
    }

    /// The links whose neighbors have to be asked for acknowledgements.
    fn ask_again(&mut self) -> Wake {
        if !self.acks.is_wanted {
            return Wake::default();
        }
        let is_up = |index: &usize| self.outboxes[*index].is_some();
        let links = (0..LINKS_MAX).filter(is_up).fold(0, |mask, index| mask | 1 << index);
        self.ready(links)
    }

    /// Notes that this server has just begun a new incarnation, under which it has issued this number of records again.
    pub(super) fn renew_acks(&mut self, reissued: u64) -> Wake {
        self.acks.reissued = reissued;
        self.ask_again()
    }

    /// Handles ACKS_WANTED: the neighbor wants to know what this server covers of the neighbor's updates.
    pub fn hear_acks_wanted(&mut self, link: LinkId, incarnation: u64) -> Wake {
        if self.outboxes[link.index()].is_none() {
            return Wake::default();
        }
        let Some(server) = self.acks.ends[link.index()].neighbor.clone() else { return Wake::default() };
        let origin = Origin { server, incarnation };
        let covered = self.origins.covered_of(&origin);
        self.acks.ends[link.index()].owed = Some(Owed { origin, covered, acked: 0 });
        self.acks.owing |= link.bit();
        if covered > 0 { self.ready(link.bit()) } else { Wake::default() }
    }

    /// Notes that this server covers an origin up to `covered`. Returns the links on which that is acknowledged.
    #[inline]
    pub(super) fn owe(&mut self, origin: &Origin, covered: u64) -> LinkMask {
        if self.acks.owing == 0 {
            return 0;
        }
        let mut links = 0;
        for link in bits(self.acks.owing) {
            if let Some(owed) = &mut self.acks.ends[link.index()].owed
                && owed.origin.incarnation == origin.incarnation
                && owed.origin == *origin
            {
                owed.covered = owed.covered.max(covered);
                links |= if owed.covered > owed.acked { link.bit() } else { 0 };
            }
        }
        links
    }

    /// Notes that this server has given up a record, so it may cover nothing of what it was about to acknowledge.
    pub(super) fn owe_nothing(&mut self) {
        for owed in self.acks.ends.iter_mut().filter_map(|end| end.owed.as_mut()) {
            owed.covered = 0;
        }
    }

    /// Appends the wish for acknowledgements, if the neighbor has not been asked, and what has to be acknowledged.
    pub fn write_acks(&mut self, link: LinkId, encoder: &mut Encoder) {
        let shard = self.settings.index;
        let end = &mut self.acks.ends[link.index()];
        if self.acks.is_wanted && end.neighbor.is_some() {
            let incarnation = self.origins.origin(ME).incarnation;
            if end.asked.replace(incarnation) != Some(incarnation) {
                encoder.acks_wanted(shard, incarnation);
            }
        }
        if let Some(owed) = &mut end.owed {
            owed.covered = owed.covered.max(self.origins.covered_of(&owed.origin));
            if owed.covered > owed.acked {
                owed.acked = owed.covered;
                encoder.ack(Ack { shard, incarnation: owed.origin.incarnation, seq: owed.covered });
            }
        }
    }

    /// Handles ACK: the neighbor covers what this server issued under `incarnation` up to `seq`.
    pub fn hear_ack(&mut self, link: LinkId, incarnation: u64, seq: u64) {
        if incarnation == self.origins.origin(ME).incarnation && !self.is_beyond_own(ME, seq) {
            self.note_copy(link, seq);
        }
    }

    /// Notes that a neighbor covers this server's present incarnation up to `seq`, which exists.
    pub(super) fn note_copy(&mut self, link: LinkId, seq: u64) {
        debug_assert!(seq <= self.origins.covered(ME), "the caller has checked that the update exists");
        if !self.acks.is_wanted || seq < self.acks.reissued || self.outboxes[link.index()].is_none() {
            return;
        }
        let position = self.own.issued_before + seq;
        let covered = &mut self.acks.ends[link.index()].covered;
        self.acks.has_changed |= position > *covered;
        *covered = position.max(*covered);
    }

    /// The own position up to which the neighbor at `link` covers this server's updates. 0 while the link is down.
    pub fn covered_by(&self, link: LinkId) -> u64 {
        self.acks.ends[link.index()].covered
    }

    /// The own position that at least `copies` neighbors cover. `copies` is at least 1.
    pub fn covered_by_best(&self, copies: usize) -> u64 {
        let mut covered = self.acks.ends.each_ref().map(|end| end.covered);
        covered.sort_unstable_by(|one, other| other.cmp(one));
        covered.get(copies.saturating_sub(1)).copied().unwrap_or(0)
    }

    /// Whether what any neighbor covers has changed since the last call.
    pub fn take_copies_changed(&mut self) -> bool {
        std::mem::take(&mut self.acks.has_changed)
    }

    /// Issues a held record again, with the same content, if an earlier life of this server has issued it. To be called
    /// when a report is acknowledged because of the held record: neighbors acknowledge only what this life has issued.
    #[inline]
    pub(super) fn issue_for_copies(&mut self, id: SlotId) -> Wake {
        if !self.acks.is_wanted { Wake::default() } else { self.issue_earlier_again(id) }
    }

    #[cold]
    fn issue_earlier_again(&mut self, id: SlotId) -> Wake {
        let place = self.store.slot(id).origin;
        if place == ME || self.origins.origin(place).server != self.origins.origin(ME).server {
            return Wake::default();
        }
        self.reissue(id)
    }

    /// The place of the origin that markers name even if it has no live record: this server's present one, if it waits
    /// for copies. Neighbors then acknowledge its last update, even if another server's record has replaced that
    /// update.
    pub(super) fn always_told(&self) -> Option<u16> {
        self.acks.is_wanted.then_some(ME)
    }
}
