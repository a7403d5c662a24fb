//! Links that are no edges of the spanning tree: nothing is marked for them, and nothing queued.
//!
//! Who is told what is the receiver's to say, each direction for itself. GRAFT brings the vector of whoever wants to be
//! told; what is above it is queued, and changes are marked from then on, so no switch loses anything. PRUNE ends
//! that: the FIFO is cleared and *no* marker is sent, for what was in it has not been. A neighbor that is not told of
//! changes is told, by IHAVE, how far all is covered here; when it does not get there by its tree, because that is
//! slow, or broken and nobody knows yet, it asks once for what it lacks. It does not lack what was covered here before the
//! origin's last record was overtaken.

use super::{Broken, LinkId, Outbox, Shard, Wake, origins::ME, outbox::Grafted};
use crate::{
    codec::link::Encoder,
    limits::{LOOKS_PER_HEARTBEAT, PATIENCE_MAX, PATIENCE_MIN, PROMISES_MAX},
    types::Origin,
};

impl Shard {
    /// The link is up, and its neighbor has not asked to be told of changes, or does not want to be any more.
    pub fn link_lazy(&mut self, link: LinkId) -> Wake {
        let Some(mut outbox) = self.outboxes[link.index()].take() else {
            self.outboxes[link.index()] = Some(Box::default());
            return Wake::default();
        };
        self.up &= !link.bit();
        for id in outbox.drain() {
            self.store.slot_mut(id).queued &= !link.bit();
        }
        outbox.copies.clear();
        outbox.is_once = false;
        outbox.grafted.take_if(|grafted| !grafted.is_once);
        (outbox.branches, outbox.leaves) = (None, None);
        // Markers that were queued and taken for told were not: IHAVE tells all again.
        outbox.untell();
        let mut wake = Wake::default();
        if self.settings.rules.breaks(Broken::MarkWhatWasCleared) {
            let news = self.news_of_vector(&mut outbox);
            outbox.push_marker(news);
            wake = Wake::of_links(link.bit());
            outbox.is_ready = true;
        }
        self.outboxes[link.index()] = Some(outbox);
        wake
    }

    /// The neighbor wants to be told what is above its vector: once, or from now on.
    pub fn graft(&mut self, link: LinkId, vector: &[(Origin, u64)], is_once: bool) -> Wake {
        let fence = self.outboxes[link.index()].as_mut().and_then(|outbox| outbox.fence.take());
        self.answer_graft(link, Grafted { vector: vector.to_vec(), is_once, fence })
    }

    fn answer_graft(&mut self, link: LinkId, mut asked: Grafted) -> Wake {
        let is_answered =
            self.outboxes[link.index()].as_ref().is_some_and(|outbox| outbox.is_once && !outbox.is_empty());
        let has_to_wait = asked.is_once && is_answered;
        if has_to_wait && asked.fence.is_none() {
            // What is on its way is all that this asks for, and to begin again would be never to end.
            return Wake::default();
        }
        if (has_to_wait || !self.may_look(link))
            && let Some(outbox) = &mut self.outboxes[link.index()]
        {
            asked.is_once &= outbox.grafted.as_ref().is_none_or(|earlier| earlier.is_once);
            outbox.grafted = Some(asked);
            return Wake::default();
        }
        let wake = self.tell_above(link, &asked.vector, asked.is_once && !self.is_eager(link));
        self.outbox(link).passes = asked.fence;
        wake
    }

    /// Whether a neighbor may have the whole shard looked through once more before the next heartbeat.
    pub(super) fn may_look(&mut self, link: LinkId) -> bool {
        let Some(outbox) = &mut self.outboxes[link.index()] else { return true };
        outbox.looks = outbox.looks.saturating_add(1);
        outbox.looks <= LOOKS_PER_HEARTBEAT
    }

    /// A heartbeat begins: the neighbor may have the shard looked through again, and has what it has asked for meanwhile.
    pub fn begin_beat(&mut self, link: LinkId) -> Wake {
        let Some(outbox) = &mut self.outboxes[link.index()] else { return Wake::default() };
        outbox.looks = 0;
        let Some(asked) = outbox.grafted.take() else { return Wake::default() };
        self.answer_graft(link, asked)
    }

    /// From now on the neighbor tells of changes by itself, or no more.
    pub fn feed(&mut self, link: LinkId, is_fed: bool) {
        if let Some(outbox) = &mut self.outboxes[link.index()] {
            outbox.is_fed = is_fed;
            (outbox.promised_age, outbox.patience) = (0, 0);
            outbox.promised.clear();
            outbox.promised_next.clear();
        }
    }

    /// Appends the vector as a question for all that is above it, behind a fence where something is missing.
    pub fn write_graft(&mut self, link: LinkId, encoder: &mut Encoder, is_once: bool) {
        self.write_fence(link, encoder);
        let vector = self.indexed_vector(encoder);
        encoder.graft(self.settings.index, &vector, is_once);
    }

    /// The neighbor has what is covered up to here.
    pub fn hear_promise(&mut self, link: LinkId, covered: Vec<(Origin, u64)>) {
        // Nobody has more of this server's present updates than it has itself.
        let me = self.origins.origin(ME).clone();
        let own = covered.iter().filter(|(origin, _)| *origin == me).map(|(_, seq)| *seq).max();
        let is_beyond = own.is_some_and(|seq| self.is_beyond_own(ME, seq));
        let Some(outbox) = self.outboxes[link.index()].as_mut().filter(|outbox| !outbox.is_fed) else {
            return;
        };
        // No update has the sequence 0.
        let covered = covered.into_iter().filter(|(origin, seq)| *seq > 0 && !(is_beyond && *origin == me));
        let list = if outbox.promised.is_empty() { &mut outbox.promised } else { &mut outbox.promised_next };
        for (origin, seq) in covered {
            if list.len() < PROMISES_MAX || list.contains_key(&origin) {
                let held = list.entry(origin).or_default();
                *held = seq.max(*held);
            }
        }
    }

    /// One heartbeat: appends, where changes are not told, how far all is covered here; and asks for what the neighbor
    /// has had for too long.
    pub fn beat(&mut self, link: LinkId, encoder: &mut Encoder) {
        let Some(mut outbox) = self.outboxes[link.index()].take() else { return };
        if !self.is_eager(link) {
            let news = self.news_of_vector(&mut outbox);
            self.send_covered(&mut outbox, news, encoder, Encoder::ihave);
        }
        let is_overdue = self.is_overdue(&mut outbox);
        self.outboxes[link.index()] = Some(outbox);
        if is_overdue {
            self.write_graft(link, encoder, true);
        }
    }

    /// Whether what was promised has been lacking for too long; if so, it is taken for asked for.
    fn is_overdue(&self, outbox: &mut Outbox) -> bool {
        let is_here = |(origin, seq): (&Origin, &u64)| self.origins.has_covered(origin, *seq);
        if outbox.promised.iter().all(is_here) {
            outbox.promised_age = 0;
            outbox.promised = std::mem::take(&mut outbox.promised_next);
            return false;
        }
        outbox.promised_age += 1;
        if outbox.promised_age <= outbox.patience.max(PATIENCE_MIN) {
            return false;
        }
        outbox.patience = (outbox.patience.max(PATIENCE_MIN) * 2).min(PATIENCE_MAX);
        outbox.promised_age = 0;
        outbox.promised.clear();
        outbox.promised_next.clear();
        true
    }

    /// Whether the link is told of changes.
    pub fn is_eager(&self, link: LinkId) -> bool {
        self.up & link.bit() != 0
    }
}
