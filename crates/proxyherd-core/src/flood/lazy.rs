//! Lazy links: links that are no edges of the spanning tree, for which nothing is marked or queued.
//!
//! Each end of a link chooses whether it is sent the other end's changes, so the two directions are independent. With
//! GRAFT an end sends its vector and asks for changes. The other end then queues the records above the vector and marks
//! changes from then on, so switching a link never loses an update. With PRUNE an end declines changes: the other end
//! clears the FIFO and sends *no* marker, because the records in the FIFO were not sent. On a lazy link an end sends
//! IHAVE, which says up to which sequence it covers each origin. The neighbor waits until its tree brings the same
//! updates. If the tree is too slow, or is broken without anybody knowing yet, the neighbor asks once for what it
//! lacks. An origin that has left the table in the meantime counts as covered up to the sequence that it had when it
//! left.

use super::{Broken, LinkId, Outbox, Shard, Wake, origins::ME, outbox::Grafted};
use crate::{
    codec::link::{Encoder, GraftMode},
    limits::{LOOKS_PER_HEARTBEAT, PATIENCE_MAX, PATIENCE_MIN, PROMISES_MAX},
    types::Origin,
};

impl Shard {
    /// The link is up, and its neighbor has not asked for changes, or the neighbor declines changes from now on.
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
        outbox.grafted.take_if(|grafted| grafted.mode == GraftMode::Onward);
        (outbox.branches, outbox.leaves) = (None, None);
        // Queued markers counted as sent but are dropped here, so IHAVE has to send the whole vector again.
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

    /// The neighbor asks for the records above its vector, either once or from now on.
    pub fn graft(&mut self, link: LinkId, vector: &[(Origin, u64)], mode: GraftMode) -> Wake {
        let fence = self.outboxes[link.index()].as_mut().and_then(|outbox| outbox.fence.take());
        self.answer_graft(link, Grafted { vector: vector.to_vec(), mode, fence })
    }

    fn answer_graft(&mut self, link: LinkId, mut asked: Grafted) -> Wake {
        let is_answered =
            self.outboxes[link.index()].as_ref().is_some_and(|outbox| outbox.is_once && !outbox.is_empty());
        let has_to_wait = asked.mode == GraftMode::Once && is_answered;
        if has_to_wait && asked.fence.is_none() {
            // The queued records already answer this GRAFT, too. If each such GRAFT began anew, the answer might never
            // end.
            return Wake::default();
        }
        if (has_to_wait || !self.may_look(link))
            && let Some(outbox) = &mut self.outboxes[link.index()]
        {
            if outbox.grafted.as_ref().is_some_and(|earlier| earlier.mode == GraftMode::Onward) {
                asked.mode = GraftMode::Onward;
            }
            outbox.grafted = Some(asked);
            return Wake::default();
        }
        let mode = if self.is_eager(link) { GraftMode::Onward } else { asked.mode };
        let wake = self.tell_above(link, &asked.vector, mode);
        self.outbox(link).passes = asked.fence;
        wake
    }

    /// Counts a scan of the shard that the neighbor causes. Returns whether the neighbor may cause another scan before
    /// the next heartbeat.
    pub(super) fn may_look(&mut self, link: LinkId) -> bool {
        let Some(outbox) = &mut self.outboxes[link.index()] else { return true };
        outbox.looks = outbox.looks.saturating_add(1);
        outbox.looks <= LOOKS_PER_HEARTBEAT
    }

    /// A heartbeat begins: the neighbor may cause scans again, and a GRAFT of the neighbor that had to wait is
    /// answered.
    pub fn begin_beat(&mut self, link: LinkId) -> Wake {
        let Some(outbox) = &mut self.outboxes[link.index()] else { return Wake::default() };
        outbox.looks = 0;
        let Some(asked) = outbox.grafted.take() else { return Wake::default() };
        self.answer_graft(link, asked)
    }

    /// Notes whether the neighbor sends its changes on this link from now on.
    pub fn feed(&mut self, link: LinkId, is_fed: bool) {
        if let Some(outbox) = &mut self.outboxes[link.index()] {
            outbox.is_fed = is_fed;
            (outbox.promised_age, outbox.patience) = (0, 0);
            outbox.promised.clear();
            outbox.promised_next.clear();
        }
    }

    /// Appends a GRAFT, which asks for everything above this server's vector. If a gap is open, a fence precedes the
    /// GRAFT.
    pub fn write_graft(&mut self, link: LinkId, encoder: &mut Encoder, mode: GraftMode) {
        self.write_fence(link, encoder);
        let vector = self.indexed_vector(encoder);
        encoder.graft(self.settings.index, &vector, mode);
    }

    /// Handles IHAVE: the neighbor covers each of these origins up to the given sequence.
    pub fn hear_promise(&mut self, link: LinkId, covered: Vec<(Origin, u64)>) {
        // Nobody else can have more updates of this server's present incarnation than the server itself.
        let me = self.origins.origin(ME).clone();
        let own = covered.iter().filter(|(origin, _)| *origin == me).map(|(_, seq)| *seq).max();
        let is_beyond = own.is_some_and(|seq| self.is_beyond_own(ME, seq));
        if let Some(seq) = own.filter(|_| !is_beyond) {
            self.note_copy(link, seq);
        }
        let Some(outbox) = self.outboxes[link.index()].as_mut().filter(|outbox| !outbox.is_fed) else {
            return;
        };
        // Sequences begin at 1.
        let covered = covered.into_iter().filter(|(origin, seq)| *seq > 0 && !(is_beyond && *origin == me));
        let list = if outbox.promised.is_empty() { &mut outbox.promised } else { &mut outbox.promised_next };
        for (origin, seq) in covered {
            if list.len() < PROMISES_MAX || list.contains_key(&origin) {
                let held = list.entry(origin).or_default();
                *held = seq.max(*held);
            }
        }
    }

    /// Handles one heartbeat: appends IHAVE on a lazy link, and asks for updates that the neighbor has promised and the
    /// tree has not brought in time.
    pub fn beat(&mut self, link: LinkId, encoder: &mut Encoder) {
        let Some(mut outbox) = self.outboxes[link.index()].take() else { return };
        if !self.is_eager(link) {
            let news = self.news_of_vector(&mut outbox);
            self.send_covered(&mut outbox, news, encoder, Encoder::ihave);
        }
        let is_overdue = self.is_overdue(&mut outbox);
        self.outboxes[link.index()] = Some(outbox);
        if is_overdue {
            self.write_graft(link, encoder, GraftMode::Once);
        }
    }

    /// Whether a promise has not been met for too long. Then the promise is dropped, because the caller asks the
    /// neighbor for it.
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

    /// Whether the neighbor on this link is sent changes.
    pub fn is_eager(&self, link: LinkId) -> bool {
        self.up & link.bit() != 0
    }
}
