//! How changes reach the neighbors. A change marks its slot on every eager link. A link's flush sends the current
//! record of each marked slot in the order of the marks, with markers between them.

use super::{
    Broken, LinkId, Shard, Wake,
    links::bits,
    outbox::{Item, Outbox},
};
use crate::{
    codec::link::Encoder,
    store::{LinkMask, SlotId},
};

impl Shard {
    /// The eager links except `from`, the link that brought a change.
    pub(super) fn others(&self, from: Option<LinkId>) -> LinkMask {
        match from {
            Some(_) if self.settings.rules.breaks(Broken::KeepToMyself) => 0,
            Some(link) => self.up & !link.bit(),
            None => self.up,
        }
    }

    /// Queues a slot on each of `links` whose queue does not contain it yet.
    pub(super) fn mark(&mut self, id: SlotId, links: LinkMask) -> Wake {
        let slot = self.store.slot_mut(id);
        let added = links & !slot.queued;
        slot.queued |= added;
        for link in bits(added) {
            self.outbox(link).push(id);
        }
        self.copy_for(id, added);
        self.ready(added)
    }

    /// Notes that these links have something to flush. Returns the links among them that were not ready before. Those
    /// links have to be woken.
    pub(super) fn ready(&mut self, links: LinkMask) -> Wake {
        let mut wake = 0;
        for link in bits(links) {
            let outbox = self.outbox(link);
            if !outbox.is_ready {
                outbox.is_ready = true;
                wake |= link.bit();
            }
        }
        Wake::of_links(wake)
    }

    pub(super) fn outbox(&mut self, link: LinkId) -> &mut Outbox {
        self.outboxes[link.index()].as_mut().expect("only links that are up are marked")
    }

    /// Encodes what `link` still needs, until the encoder holds `most` bytes. Returns whether everything is encoded. If
    /// not, flush again when the socket has taken the bytes.
    pub fn flush(&mut self, link: LinkId, encoder: &mut Encoder, most: usize) -> bool {
        let Some(mut outbox) = self.outboxes[link.index()].take() else { return true };
        self.write_acks(link, encoder);
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
            // Under load the queue may never become empty. A snapshot behind the entries that are queued now lets the
            // neighbor's vector advance.
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
        if let Some(copy) = outbox.copies.take(id) {
            return self.send_copy(&copy, outbox, encoder);
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

    /// The vector's entries that the neighbor has not been sent yet. From now on these entries count as sent.
    pub(super) fn news_of_vector(&self, outbox: &mut Outbox) -> Vec<(u16, u64)> {
        let mut news = outbox.spare_marker();
        let vector = self.origins.vector_with(self.always_told());
        let untold = vector.filter(|&(place, _, covered)| outbox.tell(place, covered));
        news.extend(untold.map(|(place, _, covered)| (place, covered)));
        news
    }

    fn send_marker(&self, outbox: &mut Outbox, covered: Vec<(u16, u64)>, encoder: &mut Encoder) {
        self.send_covered(outbox, covered, encoder, Encoder::marker);
    }

    /// Encodes vector entries, whose origins are given by their places in this shard. Each frame gets its own
    /// indices, because all indices of one frame must come from one numbering.
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
