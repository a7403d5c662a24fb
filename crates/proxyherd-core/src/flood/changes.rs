//! The one place through which every change of a record passes, under the shard's lock.
//!
//! Each insert, update and tombstone passes [`Shard::keep`]. Each removal of a record, because the record expired or
//! for any other reason, passes [`Shard::remove`]. [`Shard::refile`] gives a record another origin or sequence and
//! changes nothing else in the record. These methods do everything that must follow a change: they update what is
//! derived from the records (`derived`), and they queue the change for links (`send`) and for other `followers`.

use super::{Broken, Offered, Shard, Taken, Wake, derived::Before, expiry::is_hidden, origins::ME};
use crate::{
    store::{Slot, SlotId},
    types::{KeyHash, Record},
};

impl Shard {
    /// The number of changes since the start: records that were kept, filed under another origin or sequence, or
    /// removed.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The number of tombstones that other records have replaced since the start. A follower may never have been sent
    /// such a tombstone.
    pub(crate) fn tombstones_replaced(&self) -> u64 {
        self.tombstones_replaced
    }

    /// Keeps a record that has won, and marks it on every eager link except the one that brought it.
    pub(super) fn keep(
        &mut self,
        held: Option<SlotId>,
        record: &Record<'_>,
        hash: KeyHash,
        Taken { place, seq, from }: Taken,
    ) -> (Offered, Wake) {
        let before = held.map_or(Before::default(), |id| self.before_change(id, hash));
        let followers = held.map_or(0, |id| self.followers_of(id));
        self.tombstones_replaced += u64::from(held.is_some_and(|id| self.store.slot(id).is_gone()));
        self.own.received_max_ns = self.own.received_max_ns.max(record.received_ns());
        // The store never refuses a key that it holds.
        let Ok(id) = self.store.place(held, record) else { return (Offered::Full, Wake::default()) };
        self.changes += 1;
        let slot = self.store.slot_mut(id);
        let overtaken = held.map(|_| slot.origin);
        (slot.origin, slot.seq) = (place, seq);
        slot.set_from(from.map(|link| link.0));
        if overtaken != Some(place) {
            self.origins.add_live(place);
            if let Some(overtaken) = overtaken {
                self.leave(overtaken);
            }
        }
        let class = self.after_change(id, hash, before);
        let (is_held, removed) = self.make_room(class, id);
        if !is_held {
            return (Offered::Full, removed);
        }
        if place == ME {
            self.origins.cover(ME, seq);
        }
        let wake = self.mark(id, self.others(from)).and(self.tell_followers(id, followers)).and(removed);
        (if held.is_some() { Offered::Updated } else { Offered::Inserted }, wake)
    }

    /// Moves a record to another origin or sequence. No link is sent this change.
    pub(super) fn refile(&mut self, id: SlotId, place: u16, seq: u64) -> Wake {
        self.changes += 1;
        let slot = self.store.slot_mut(id);
        let before = slot.origin;
        (slot.origin, slot.seq) = (place, seq);
        if before != place {
            self.origins.add_live(place);
            self.leave(before);
        }
        self.tell_followers(id, 0)
    }

    /// Issues a held record again, with the same content, as this server's next update. All eager links are sent it.
    pub(super) fn reissue(&mut self, id: SlotId) -> Wake {
        let seq = self.origins.covered(ME) + 1;
        self.origins.cover(ME, seq);
        let wake = self.refile(id, ME, seq);
        self.store.slot_mut(id).set_from(None);
        wake.and(self.mark(id, self.up))
    }

    /// Notes that the origin at `place` has one live record less.
    pub(super) fn leave(&mut self, place: u16) {
        if self.origins.remove_live(place) {
            for outbox in self.outboxes.iter_mut().flatten() {
                outbox.forget(place);
            }
        }
    }

    /// Forgets expired records in the next `slots` slots, beginning where the last sweep ended. Tells followers of
    /// records that are kept but no longer shown. Returns the number of removed records.
    pub fn sweep(&mut self, now_ns: u64, slots: usize) -> (usize, Wake) {
        let end = (self.swept + slots).min(self.store.slots_used());
        let (mut removed, mut wake) = (0, Wake::default());
        for id in (self.swept..end).map(|at| SlotId(at as u32)) {
            let slot = self.store.slot(id);
            if !slot.is_live() {
                continue;
            }
            if self.is_over(now_ns, &slot.record()) && !self.waits_for_restore(slot) {
                if slot.is_gone() && now_ns < self.renew_until_ns {
                    wake = wake.and(self.reissue_tombstone(now_ns, id));
                    continue;
                }
                if slot.origin == ME {
                    self.own.expired(now_ns);
                }
                wake = wake.and(self.remove(id));
                removed += 1;
            } else if !slot.is_hidden() && self.is_no_longer_shown(now_ns, slot) {
                self.store.slot_mut(id).hide();
                if !self.settings.rules.breaks(Broken::RemoveSilently) {
                    wake = wake.and(self.tell_followers(id, 0));
                }
            }
        }
        let is_round = end == self.store.slots_used();
        self.swept = if is_round { 0 } else { end };
        (removed, wake)
    }

    /// Whether a client's report has expired, or its own time to live has passed.
    fn is_no_longer_shown(&self, now_ns: u64, slot: &Slot) -> bool {
        let record = slot.record();
        slot.is_location()
            && (self.is_expired(now_ns, &record) || slot.has_tail() && is_hidden(now_ns, &record))
    }

    /// Forgets the record in a slot. No link is sent the removal, because every server expires records by the same
    /// rules.
    pub(super) fn remove(&mut self, id: SlotId) -> Wake {
        self.changes += 1;
        let place = self.store.slot(id).origin;
        let before = self.before_change(id, self.key_hash(id));
        self.before_removal(id, before);
        let wake = self.remove_for_followers(id);
        self.leave(place);
        wake
    }
}
