//! What a shard does when a rule is broken: see [`Rules`](super::Rules).
//!
//! The flood's code calls these methods at the places that the rules are about. Without the feature `broken-rules` each
//! of the methods is empty or a constant, and the compiler removes the call.

use super::{Broken, LinkId, Outbox, Shard, Wake};
use crate::{
    codec::link::Encoder,
    store::{LinkMask, Slot, SlotId},
    types::Origin,
};

/// What a shard remembers for broken rules.
#[cfg(feature = "broken-rules")]
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// What each neighbor had been told to be covered when the neighbor's link went down.
    sent_once: Vec<(LinkId, Origin, u64)>,
    /// The number of records that have come.
    applied: u64,
}

impl Shard {
    /// [`Broken::AdvanceByRecord`]: advances the vector by a record.
    pub(super) fn advance_naively(&mut self, origin: &Origin, seq: u64) -> Wake {
        if self.settings.rules.breaks(Broken::AdvanceByRecord)
            && let Some(place) = self.origins.place_of(origin)
            && self.origins.cover(place, seq)
        {
            return self.ready(self.up);
        }
        Wake::default()
    }

    /// [`Broken::OldVersion`]: sends the content that a slot had when it was queued.
    #[cold]
    pub(super) fn send_copy(&self, slot: &Slot, outbox: &mut Outbox, encoder: &mut Encoder) {
        encoder.make_room(1);
        if slot.is_live()
            && let Some(index) = outbox.indices.of(slot.origin, &self.origins, encoder)
        {
            encoder.record(index, slot.seq, &slot.record());
            outbox.sent += 1;
        }
    }
}

#[cfg(feature = "broken-rules")]
impl Shard {
    /// [`Broken::LoseSome`]: whether this record is one of those that get lost.
    #[cold]
    pub(super) fn loses_this_one(&mut self) -> bool {
        if !self.settings.rules.breaks(Broken::LoseSome) {
            return false;
        }
        self.memory.applied += 1;
        self.memory.applied.is_multiple_of(31)
    }

    /// [`Broken::OldVersion`]: remembers the content of a slot that was queued on `links`.
    #[cold]
    pub(super) fn copy_for(&mut self, id: SlotId, links: LinkMask) {
        if !self.settings.rules.breaks(Broken::OldVersion) {
            return;
        }
        for link in super::bits(links) {
            let copy = self.store.slot(id).clone();
            self.outbox(link).copies.slots.push((id, copy));
        }
    }

    /// [`Broken::TrustWhatWasSent`], when a link goes down: remembers what the link's neighbor was told.
    #[cold]
    pub(super) fn note_what_was_sent(&mut self, link: LinkId, outbox: &Outbox) {
        if self.settings.rules.breaks(Broken::TrustWhatWasSent) {
            let told =
                outbox.told().map(|(place, covered)| (link, self.origins.origin(place).clone(), covered));
            self.memory.sent_once.extend(told);
        }
    }

    /// [`Broken::TrustWhatWasSent`], when a link comes up: counts what the neighbor was told as received.
    #[cold]
    pub(super) fn trust_what_was_sent(&self, link: LinkId, covered_there: &mut [u64]) {
        if self.settings.rules.breaks(Broken::TrustWhatWasSent) {
            for (_, origin, covered) in self.memory.sent_once.iter().filter(|(at, ..)| *at == link) {
                if let Some(place) = self.origins.place_of(origin) {
                    covered_there[usize::from(place)] = *covered;
                }
            }
        }
    }
}

#[cfg(not(feature = "broken-rules"))]
impl Shard {
    #[inline(always)]
    pub(super) fn loses_this_one(&mut self) -> bool {
        false
    }

    #[inline(always)]
    pub(super) fn copy_for(&mut self, _: SlotId, _: LinkMask) {}

    #[inline(always)]
    pub(super) fn note_what_was_sent(&mut self, _: LinkId, _: &Outbox) {}

    #[inline(always)]
    pub(super) fn trust_what_was_sent(&self, _: LinkId, _: &mut [u64]) {}
}
