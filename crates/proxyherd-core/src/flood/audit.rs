//! Checks of a shard's own bookkeeping: the conditions that must hold between any two calls. Tests and the simulator
//! call these checks. Servers need not call them.

use super::{Shard, bits};
use crate::store::{LinkMask, SlotId};

impl Shard {
    /// A contradiction in the shard's bookkeeping, if there is one.
    pub fn contradiction(&self) -> Option<String> {
        self.contradiction_of_counts()
            .or_else(|| self.contradiction_of_queues())
            .or_else(|| self.contradiction_of_followers())
            .or_else(|| self.contradiction_of_hash_tree())
            .or_else(|| self.contradiction_of_room())
            .or_else(|| self.contradiction_of_client_index())
    }

    /// The length of the FIFO of the link at `place`. The maximum is one entry for each slot that was ever in use, and
    /// one marker.
    pub fn queue_len(&self, place: usize) -> usize {
        self.outboxes[place].as_ref().map_or(0, |outbox| outbox.queued().len())
    }

    /// The links whose flush has something to do, one bit each.
    pub(crate) fn ready_links(&self) -> LinkMask {
        bits(self.up)
            .filter(|link| self.outboxes[link.index()].as_ref().is_some_and(|it| it.is_ready))
            .fold(0, |mask, link| mask | link.bit())
    }

    fn contradiction_of_counts(&self) -> Option<String> {
        let mut live = vec![0; self.origins.places_used()];
        for (_, slot) in self.store.live() {
            live[usize::from(slot.origin)] += 1;
        }
        if live.iter().sum::<u32>() as usize != self.len() {
            return Some(format!("{} slots are live but {} records are held", live.len(), self.len()));
        }
        for (place, &live) in (0..).zip(&live) {
            let counted = self.origins.live(place);
            let origin = self.origins.origin(place);
            if counted != live {
                return Some(format!("{origin:?} has {live} records but {counted} are counted"));
            }
            if live > 0 && self.origins.place_of(origin) != Some(place) {
                return Some(format!("{origin:?} has records at a place that belongs to another origin"));
            }
        }
        let with_place = 1 + live.iter().skip(1).filter(|&&live| live > 0).count();
        (with_place != self.origins.len()).then(|| "an origin without records has a place".to_owned())
    }

    fn contradiction_of_queues(&self) -> Option<String> {
        let mut queued: Vec<LinkMask> = vec![0; self.store.slots_used()];
        for (place, outbox) in self.outboxes.iter().enumerate() {
            let is_up = self.up & 1 << place != 0;
            let Some(outbox) = outbox else {
                if is_up {
                    return Some(format!("link {place} is up but has no outbox"));
                }
                continue;
            };
            if !is_up && !outbox.is_empty() && !outbox.is_once {
                return Some(format!("link {place} is lazy but has a queue"));
            }
            if outbox.queued().filter(Option::is_none).count() != usize::from(outbox.has_marker()) {
                return Some(format!(
                    "link {place} has a marker without a snapshot, or a snapshot without a marker"
                ));
            }
            if !outbox.is_empty() && !outbox.is_ready {
                return Some(format!("link {place} has something to flush but was not woken"));
            }
            for SlotId(slot) in outbox.queued().flatten() {
                if queued[slot as usize] & 1 << place != 0 {
                    return Some(format!("slot {slot} is twice in the FIFO of link {place}"));
                }
                queued[slot as usize] |= 1 << place;
            }
        }
        let differs =
            (0u32..).zip(&queued).find(|&(slot, &mask)| self.store.slot(SlotId(slot)).queued != mask);
        differs.map(|(slot, _)| format!("slot {slot} has bits that do not match the queues"))
    }
}
