//! What a shard does when a link comes up or goes down. When a link comes up, each end sends its vector, and each end
//! queues the records that the other lacks. Queued records are sent like any other change (`send`).

use super::{Broken, LinkId, Shard, Wake, origins::ME, outbox::Outbox};
use crate::{
    codec::link::{Encoder, GraftMode},
    store::Slot,
    types::Origin,
};

impl Shard {
    /// The vector: each origin with live records, and the sequence up to which the origin is covered.
    pub fn vector(&self) -> impl Iterator<Item = (&Origin, u64)> {
        self.origins.vector().map(|(_, origin, covered)| (origin, covered))
    }

    /// Appends this shard's vector as a frame, for a link that has just come up.
    pub fn write_vector(&self, encoder: &mut Encoder) {
        let vector = self.indexed_vector(encoder);
        encoder.vector(self.settings.index, &vector);
    }

    /// The vector with its origins by their indices on a link, cut to what fits one frame.
    pub(super) fn indexed_vector(&self, encoder: &mut Encoder) -> Vec<(u16, u64)> {
        let most = encoder.origins_per_frame();
        encoder.make_room(self.vector().take(most).count());
        let vector = self.vector().take(most);
        vector.filter_map(|(origin, covered)| Some((encoder.index_of(origin)?, covered))).collect()
    }

    /// Handles the vector of a neighbor whose link is up: queues every record that the neighbor lacks, and makes the
    /// link eager.
    pub fn link_up(&mut self, link: LinkId, vector: &[(Origin, u64)]) -> Wake {
        self.tell_above(link, vector, GraftMode::Onward)
    }

    /// Queues every record above a neighbor's vector. Then makes the link eager. If the neighbor asked for one answer
    /// only, puts a marker behind the queued records instead. That marker is a snapshot of this moment, because a later
    /// snapshot would also cover changes that were not queued. A record that no vector covers is queued, too, because
    /// the record may have replaced one that the vector covers.
    pub(super) fn tell_above(&mut self, link: LinkId, vector: &[(Origin, u64)], mode: GraftMode) -> Wake {
        let mut outbox =
            self.take_outbox(link).map_or_else(Box::default, |before| Box::new(before.renewed()));
        let mut covered_there = vec![0; self.origins.places_used()];
        let mut copied = 0;
        for (origin, covered) in vector {
            if let Some(place) = self.origins.place_of(origin)
                && !self.is_beyond_own(place, *covered)
            {
                covered_there[usize::from(place)] = *covered;
                outbox.tell(place, *covered);
                copied = if place == ME { copied.max(*covered) } else { copied };
            }
        }
        self.trust_what_was_sent(link, &mut covered_there);
        let lacks = |slot: &Slot| slot.seq > covered_there[usize::from(slot.origin)];
        let is_again = outbox.sent > 0 && self.settings.rules.breaks(Broken::SkipTheResend);
        let lacks = |slot: &Slot| lacks(slot) && !is_again;
        let mut lacking: Vec<_> =
            self.store.live().filter(|(_, slot)| lacks(slot)).map(|(id, _)| id).collect();
        let resume_at = self.resume_at[link.index()];
        let earlier = lacking.partition_point(|id| id.0 < resume_at.0);
        lacking.rotate_left(earlier);
        let is_once = mode == GraftMode::Once;
        let snapshot = if is_once { self.news_of_vector(&mut outbox) } else { Vec::new() };
        outbox.is_once = is_once;
        self.outboxes[link.index()] = Some(outbox);
        self.note_copy(link, copied);
        if !is_once {
            self.up |= link.bit();
        }
        for id in lacking {
            let slot = self.store.slot_mut(id);
            if slot.is_from(link.0) {
                // The neighbor may have lost records that it sent in an earlier life.
                slot.set_from(None);
            }
            let _ = self.mark(id, link.bit());
        }
        self.outbox(link).push_marker(snapshot);
        // The first flush sends the new entries of the vector, even if there are no records to send.
        self.outbox(link).is_ready = true;
        Wake::of_links(link.bit())
    }

    /// Handles the end of a link. The queued entries are dropped, because the neighbor's next vector will show what it
    /// lacks.
    pub fn link_down(&mut self, link: LinkId) {
        drop(self.take_outbox(link));
        self.end_acks(link);
    }

    /// Takes the link's outbox and empties its queue. The link is neither eager nor lazy until it gets an outbox
    /// again.
    fn take_outbox(&mut self, link: LinkId) -> Option<Box<Outbox>> {
        self.up &= !link.bit();
        let mut outbox = self.outboxes[link.index()].take()?;
        self.note_what_was_sent(link, &outbox);
        if let Some(next) = outbox.queued().flatten().next() {
            self.resume_at[link.index()] = next;
        }
        for id in outbox.drain() {
            self.store.slot_mut(id).queued &= !link.bit();
        }
        Some(outbox)
    }

    /// Handles a marker that came over `from`: everything that the marker covers is covered here, too.
    pub fn cover(&mut self, from: LinkId, origin: &Origin, covered: u64) -> Wake {
        let place = self.origins.place_of(origin);
        // Sequences begin at 1, so an entry that covers up to 0 is meaningless.
        if covered == 0 || place.is_some_and(|place| self.is_beyond_own(place, covered)) {
            return Wake::default();
        }
        if place == Some(ME) {
            self.note_copy(from, covered);
        }
        if let Some(outbox) = &mut self.outboxes[from.index()] {
            if let Some(place) = place {
                outbox.tell(place, covered);
            }
            if outbox.gap.is_open() {
                // The marker may cover records that are missing here. Records that merely found no room are not waited
                // for.
                self.is_caught_up |= !outbox.gap.is_behind();
                return Wake::default();
            }
            outbox.gap.note_marker();
        }
        self.is_caught_up = true;
        let acks = self.owe(origin, covered);
        match place {
            Some(place) if place != ME && self.origins.cover(place, covered) => {
                self.ready(self.up & !from.bit() | acks)
            }
            _ => self.ready(acks),
        }
    }
}
