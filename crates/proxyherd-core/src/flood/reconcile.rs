//! What a shard does when links come and go, and what it sends on them: vectors, the records that a neighbour
//! lacks, markers.

use super::{
    Broken, LinkId, Shard, Wake,
    origins::ME,
    outbox::{Item, Outbox},
};
use crate::{
    codec::link::Encoder,
    store::{Slot, SlotId},
    types::Origin,
};

impl Shard {
    /// The vector: each origin with live records, and up to where all its updates are covered.
    pub fn vector(&self) -> impl Iterator<Item = (&Origin, u64)> {
        self.origins.vector().map(|(_, origin, covered)| (origin, covered))
    }

    /// Appends this shard's vector as a frame, for a link that has just come up.
    pub fn write_vector(&self, encoder: &mut Encoder) {
        let vector = self.indexed_vector(encoder);
        encoder.vector(self.settings.index, &vector);
    }

    /// The vector with its origins by their indices on a link, as much of it as fits one frame.
    pub(super) fn indexed_vector(&self, encoder: &mut Encoder) -> Vec<(u16, u64)> {
        let most = encoder.origins_per_frame();
        encoder.make_room(self.vector().take(most).count());
        let vector = self.vector().take(most);
        vector.filter_map(|(origin, covered)| Some((encoder.index_of(origin)?, covered))).collect()
    }

    /// A link is up and its neighbour has told its vector: queues every record that it lacks. From here on the
    /// link is marked for changes.
    pub fn link_up(&mut self, link: LinkId, vector: &[(Origin, u64)]) -> Wake {
        self.tell_above(link, vector, false)
    }

    /// Queues every record above a neighbour's vector, and marks the link for changes; or, once, does not, and puts a
    /// marker behind what is queued: one of later would cover what has come since. What no vector covers is queued too,
    /// for it may have overtaken what is.
    pub(super) fn tell_above(&mut self, link: LinkId, vector: &[(Origin, u64)], is_once: bool) -> Wake {
        let mut outbox =
            self.take_outbox(link).map_or_else(Box::default, |before| Box::new(before.renewed()));
        let mut covered_there = vec![0; self.origins.places_used()];
        for (origin, covered) in vector {
            if let Some(place) = self.origins.place_of(origin)
                && !self.is_beyond_own(place, *covered)
            {
                covered_there[usize::from(place)] = *covered;
                outbox.tell(place, *covered);
            }
        }
        if self.settings.rules.breaks(Broken::TrustWhatWasSent) {
            self.trust_what_was_sent(link, &mut covered_there);
        }
        let lacks = |slot: &Slot| slot.seq > covered_there[usize::from(slot.origin)];
        let is_again = outbox.sent > 0 && self.settings.rules.breaks(Broken::SkipTheResend);
        let lacks = |slot: &Slot| lacks(slot) && !is_again;
        let mut lacking: Vec<_> =
            self.store.live().filter(|(_, slot)| lacks(slot)).map(|(id, _)| id).collect();
        let resume_at = self.resume_at[link.index()];
        let earlier = lacking.partition_point(|id| id.0 < resume_at.0);
        lacking.rotate_left(earlier);
        let snapshot = if is_once { self.news_of_vector(&mut outbox) } else { Vec::new() };
        outbox.is_once = is_once;
        self.outboxes[link.index()] = Some(outbox);
        if !is_once {
            self.up |= link.bit();
        }
        for id in lacking {
            let slot = self.store.slot_mut(id);
            if slot.is_from(link.0) {
                // What the neighbour told us in an earlier life it may have lost.
                slot.set_from(None);
            }
            let _ = self.mark(id, link.bit());
        }
        self.outbox(link).push_marker(snapshot);
        // The first flush tells how far we are, whether or not there was anything to send.
        self.outbox(link).is_ready = true;
        Wake(link.bit())
    }

    /// A link is down: what was queued on it is dropped, since the next vector will say what is lacking.
    pub fn link_down(&mut self, link: LinkId) {
        drop(self.take_outbox(link));
    }

    /// The link's outbox, emptied; the link is told of nothing until it is given one again.
    fn take_outbox(&mut self, link: LinkId) -> Option<Box<Outbox>> {
        self.up &= !link.bit();
        let mut outbox = self.outboxes[link.index()].take()?;
        if self.settings.rules.breaks(Broken::TrustWhatWasSent) {
            self.note_what_was_sent(link, &outbox);
        }
        if let Some(next) = outbox.queued().flatten().next() {
            self.resume_at[link.index()] = next;
        }
        for id in outbox.drain() {
            self.store.slot_mut(id).queued &= !link.bit();
        }
        Some(outbox)
    }

    /// A broken rule, the first half.
    #[cold]
    fn note_what_was_sent(&mut self, link: LinkId, outbox: &Outbox) {
        let told = outbox.told().map(|(place, covered)| (link, self.origins.origin(place).clone(), covered));
        self.sent_once.extend(told);
    }

    /// And the second.
    #[cold]
    fn trust_what_was_sent(&self, link: LinkId, covered_there: &mut [u64]) {
        for (_, origin, covered) in self.sent_once.iter().filter(|(at, ..)| *at == link) {
            if let Some(place) = self.origins.place_of(origin) {
                covered_there[usize::from(place)] = *covered;
            }
        }
    }

    /// A marker came over `from`: what it covers is covered here.
    pub fn cover(&mut self, from: LinkId, origin: &Origin, covered: u64) -> Wake {
        let place = self.origins.place_of(origin);
        // No update has the sequence 0, so nobody has reason to say that it is covered.
        if covered == 0 || place.is_some_and(|place| self.is_beyond_own(place, covered)) {
            return Wake::default();
        }
        if let Some(outbox) = &mut self.outboxes[from.index()] {
            if let Some(place) = place {
                outbox.tell(place, covered);
            }
            if outbox.gap.is_open() {
                // Among what is covered there may be what is missing here. What finds no room is not waited for.
                self.is_caught_up |= !outbox.gap.is_behind();
                return Wake::default();
            }
            outbox.gap.note_marker();
        }
        self.is_caught_up = true;
        let Some(place) = place else { return Wake::default() };
        if place == ME || !self.origins.cover(place, covered) {
            return Wake::default();
        }
        self.ready(self.up & !from.bit())
    }

    /// Encodes what `link` still needs until the encoder has `most` bytes. Says whether all is told; if not,
    /// flush again when the socket has taken the bytes.
    pub fn flush(&mut self, link: LinkId, encoder: &mut Encoder, most: usize) -> bool {
        let Some(mut outbox) = self.outboxes[link.index()].take() else { return true };
        if let Some(number) = outbox.passes.take() {
            encoder.passed(self.settings.index, number);
        }
        if !self.is_eager(link) && outbox.is_empty() {
            outbox.is_ready = false;
            self.outboxes[link.index()] = Some(outbox);
            return true;
        }
        self.write_branches(&mut outbox, encoder);
        while encoder.len() < most
            && let Some(item) = outbox.pop()
        {
            match item {
                Item::Slot(id) => self.send(link, &mut outbox, id, encoder),
                Item::Marker(covered) => self.send_marker(&mut outbox, covered, encoder),
            }
        }
        let is_drained = outbox.is_empty();
        if outbox.is_once {
            outbox.is_once = !is_drained;
        } else if is_drained || self.settings.rules.breaks(Broken::MarkerOvertakes) {
            let news = self.news_of_vector(&mut outbox);
            self.send_marker(&mut outbox, news, encoder);
        } else if !outbox.has_marker() {
            // Under load the queue may never drain; a snapshot behind what is queued now keeps the vector moving.
            let news = self.news_of_vector(&mut outbox);
            outbox.push_marker(news);
        }
        outbox.is_ready = !is_drained;
        self.outboxes[link.index()] = Some(outbox);
        is_drained
    }

    fn send(&mut self, link: LinkId, outbox: &mut Outbox, id: SlotId, encoder: &mut Encoder) {
        let slot = self.store.slot_mut(id);
        slot.queued &= !link.bit();
        if let Some(at) = outbox.copies.iter().position(|(copied, _)| *copied == id) {
            return self.send_copy(&outbox.copies.swap_remove(at).1, outbox, encoder);
        }
        if !slot.is_live() || slot.is_from(link.0) {
            return;
        }
        encoder.make_room(1);
        if let Some(index) = outbox.indices.of(slot.origin, &self.origins, encoder) {
            encoder.record(index, slot.seq, &slot.record());
            outbox.sent += 1;
        }
    }

    /// A broken rule: what the slot held when it was queued.
    #[cold]
    fn send_copy(&self, slot: &Slot, outbox: &mut Outbox, encoder: &mut Encoder) {
        encoder.make_room(1);
        if slot.is_live()
            && let Some(index) = outbox.indices.of(slot.origin, &self.origins, encoder)
        {
            encoder.record(index, slot.seq, &slot.record());
            outbox.sent += 1;
        }
    }

    /// How far origins are covered of which the neighbour has not been told, from now on taken for told.
    pub(super) fn news_of_vector(&self, outbox: &mut Outbox) -> Vec<(u16, u64)> {
        let mut news = outbox.spare_marker();
        let untold = self.origins.vector().filter(|&(place, _, covered)| outbox.tell(place, covered));
        news.extend(untold.map(|(place, _, covered)| (place, covered)));
        news
    }

    fn send_marker(&self, outbox: &mut Outbox, covered: Vec<(u16, u64)>, encoder: &mut Encoder) {
        self.send_covered(outbox, covered, encoder, Encoder::marker);
    }

    /// Encodes how far origins, by their places here, are covered: frame by frame, since the indices of one frame must be of
    /// one numbering.
    pub(super) fn send_covered(
        &self,
        outbox: &mut Outbox,
        mut covered: Vec<(u16, u64)>,
        encoder: &mut Encoder,
        encode: impl Fn(&mut Encoder, u8, &[(u16, u64)]),
    ) {
        for entries in covered.chunks_mut(encoder.origins_per_frame()) {
            outbox.indices.make_room(entries.iter().map(|(place, _)| *place), encoder);
            let are_named = entries.iter_mut().all(|(place, _)| {
                let index = outbox.indices.of(*place, &self.origins, encoder);
                index.is_some_and(|index| {
                    *place = index;
                    true
                })
            });
            if are_named {
                encode(encoder, self.settings.index, entries);
            }
        }
        outbox.keep_spare(covered);
    }
}
