//! How a shard takes back what a store has kept of an earlier life of this server.
//!
//! The caller restores records and removals in the order in which the store has them, then the last vector that the
//! store knows, and then ends the restore ([`Replica::restore`](crate::replica::Replica::restore)). Records are merged
//! by the same rules as records from neighbors. So the caller may restore while the server runs and its links are up (a
//! *late* restore), and the order among the files of a store does not matter for records.
//!
//! Invariants:
//! - A vector counts only if each record of the store that is not held any more has lost to a newer record, or has
//!   expired. So I1 (see [`flood`](super)) holds. If a record found no room, or was removed without having expired, the
//!   vector does not count, and neighbors send everything that may be missing.
//! - No record is restored under an incarnation of this server's present life.
//! - A record whose time of receipt was in the future gives way to the own record that replaced it when the clock was
//!   put back, because the own record comes later in the store. In a late restore this order is not known.
//! - A tombstone, and a report with a time to live of its own, is restored even if it has expired, because the store
//!   may also have an older record of the key.
//! - A tombstone that expired while the server was off is issued again by this server, with the same version and the
//!   present time as its time of receipt. Otherwise another server that was off could bring back the record that the
//!   tombstone has ended. In a late restore, a report with a time to live of its own that has expired becomes such a
//!   tombstone if it ends a held record, because neighbors may hold that record. After the load of an old store,
//!   tombstones that expire soon are issued again when they expire, and not earlier: until then the original wins over
//!   the one that is issued again.
//! - A server that restarts often has records of many earlier lives. When these are more than [`OWN_LIVES_MAX`], the
//!   records of the half with the fewest records are issued again under the present life, once the server is caught up.
//!   Without this, neighbors would have to merge these lives into one that no vector covers, and would send its records
//!   whenever a link comes up.
//!
//! This module does not know the format of a store.

use std::{cmp::Ordering, collections::BTreeSet};

use super::{
    Offered, Shard, Taken, UNCOVERED, Update, Wake,
    expiry::{is_hidden, own_ttl_ns},
    origins::ME,
    room,
};
use crate::{
    limits::{INCARNATIONS_MAX, OWN_LIVES_MAX, RESTORE_REMOVED_MAX, TOMBSTONE_RENEW_NS},
    store::{Slot, SlotId},
    types::{Body, Difference, KeyHash, Kind, Origin, Record, Timestamp},
};

/// The result of restoring one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// The record is held now.
    Kept,
    /// The record has expired, or the held record is at least as new.
    Stale,
    /// There is no room for the record.
    Full,
    /// No server would keep the record: its key is of another shard, or it is in the name of another server.
    Impossible,
}

/// What a shard remembers while it is being restored.
#[derive(Debug, Default)]
pub(super) struct Restore {
    /// Other servers or clients may already have changed the shard.
    is_late: bool,
    /// The hashes of the keys whose records were removed or gave way without having expired, and not restored again
    /// since.
    removed: BTreeSet<u64>,
    /// Something is missing, so no vector counts.
    pub(super) has_missed: bool,
}

impl Shard {
    /// Begins to restore, unless that has begun.
    pub(crate) fn begin_restore(&mut self, is_late: bool) {
        let is_late = is_late || self.changes > 0;
        self.restore.get_or_insert_with(|| Box::new(Restore { is_late, ..Restore::default() }));
    }

    /// Takes a record out of a store. `guess` is as in [`Shard::apply`].
    pub(crate) fn restore(
        &mut self,
        now_ns: u64,
        told: Update<'_>,
        hash: KeyHash,
        guess: &mut u16,
    ) -> (Restored, Wake) {
        let stays = |restored| (restored, Wake::default());
        let Update { record, origin, seq } = told;
        if hash.shard() != usize::from(self.settings.index)
            || room::is_in_anothers_name(&record, &origin.server)
        {
            return stays(Restored::Impossible);
        }
        let is_gone = record.body == Body::Gone;
        if !ends_older(&record) && self.is_over(now_ns, &record) {
            return stays(Restored::Stale);
        }
        let is_late = self.restore.as_ref().is_some_and(|restore| restore.is_late);
        let held = self.store.find(record.kind, record.key);
        let gives_way = !is_late && held.is_some_and(|id| self.gave_way(told, self.store.slot(id)));
        if let Some(id) = held {
            let order = self.contest_restored(now_ns, told, self.store.slot(id));
            if !gives_way && (order.is_le() || self.would_stay(told, id)) {
                return stays(Restored::Stale);
            }
            if self.store.slot(id).origin == ME {
                self.own.displaced.note(now_ns, hash, &self.store.slot(id).record());
            }
        }
        // Neighbors may already hold the older record that ended.
        let is_renewed = is_late
            && self.is_expired(now_ns, &record)
            && (is_gone || held.is_some_and(|id| !self.is_expired(now_ns, &self.store.slot(id).record())));
        let record = if is_renewed { renewed(now_ns, &record) } else { record };
        let own = Taken { place: ME, seq: self.origins.covered(ME) + 1, from: None };
        let taken = if is_renewed || self.is_of_this_life(origin) {
            own
        } else if let Some(place) = self.origins.place_or_insert(origin, *guess) {
            *guess = place;
            Taken { place, seq: seq.max(1), from: None }
        } else if let Some(place) = self.origins.adopter(origin) {
            Taken { place, seq: UNCOVERED, from: None }
        } else {
            self.miss();
            return stays(Restored::Full);
        };
        let (offered, wake) = self.keep(held, &record, hash, taken);
        if offered == Offered::Full {
            self.miss();
            return (Restored::Full, wake);
        }
        if gives_way {
            self.note_removed(hash);
        } else if let Some(restore) = self.restore.as_mut().filter(|restore| !restore.removed.is_empty()) {
            restore.removed.remove(&hash.bits());
        }
        (Restored::Kept, wake)
    }

    /// Whether the held record of a store gave way to an own record that comes later in the store, although the own
    /// record does not win over it: the own record was received so much earlier that its clock must have been put back
    /// in between. Of two records of one origin, the sequences show which came first. Otherwise the order of the
    /// store shows it: only records of a snapshot come too early, and they come again.
    fn gave_way(&self, told: Update<'_>, held: &Slot) -> bool {
        let holder = self.origins.origin(held.origin);
        let is_earlier = holder != told.origin || held.seq < told.seq;
        told.origin.server == self.origins.origin(ME).server
            && is_earlier
            && self.is_ahead(told.record.received_ns(), held.record().received_ns())
    }

    /// Notes that a record of the store was removed, or gave way, without having expired. The vector counts only if a
    /// record of the key comes again that wins.
    fn note_removed(&mut self, hash: KeyHash) {
        let Some(restore) = &mut self.restore else { return };
        restore.removed.insert(hash.bits());
        restore.has_missed |= restore.removed.len() > RESTORE_REMOVED_MAX;
        if restore.has_missed {
            restore.removed.clear();
        }
    }

    /// Compares a record of a store with the held record of its key. Records that [end older ones](ends_older) do not
    /// expire until the restore ends. But one that had expired when the other was received had given way to the other
    /// already, also if the other has the same version: a tombstone that was issued again, or a report that was sent
    /// again.
    fn contest_restored(&self, now_ns: u64, told: Update<'_>, held: &Slot) -> Ordering {
        let ends_one = ends_older(&told.record) || ends_older(&held.record());
        self.contest(if ends_one { 0 } else { now_ns }, told, held)
    }

    /// Whether an origin is the present life of this server.
    fn is_of_this_life(&self, origin: &Origin) -> bool {
        origin.server == self.origins.origin(ME).server && self.own.knows(origin.incarnation)
    }

    /// Notes that something of the store is missing, so its vector does not count.
    fn miss(&mut self) {
        if let Some(restore) = &mut self.restore {
            restore.has_missed = true;
        }
    }

    /// Takes the removal of a key out of a store. In a late restore, the held record may be newer than the removal, so
    /// the record stays.
    pub(crate) fn restore_removed(&mut self, now_ns: u64, kind: Kind, key: &[u8]) -> Wake {
        let is_late = self.restore.as_ref().is_none_or(|restore| restore.is_late);
        let Some(id) = self.store.find(kind, key).filter(|_| !is_late) else { return Wake::default() };
        let record = self.store.slot(id).record();
        // Such a record was shown no longer, and is still held.
        if is_hidden(now_ns, &record) && !self.is_expired(now_ns, &record) {
            return Wake::default();
        }
        if !self.is_expired(now_ns, &record) {
            self.note_removed(KeyHash::of(key));
        }
        self.remove(id)
    }

    /// Takes the vector out of a store whose records are restored. Entries of origins without records do not matter.
    /// Returns whether the vector counts.
    pub(crate) fn restore_vector(&mut self, vector: &[(Origin, u64)]) -> (bool, Wake) {
        let counts =
            self.restore.as_ref().is_some_and(|restore| !restore.has_missed && restore.removed.is_empty());
        if !counts {
            return (false, Wake::default());
        }
        let mut is_news = false;
        for (origin, covered) in vector {
            if let Some(place) = self.origins.place_of(origin)
                && place != ME
                && !self.is_of_this_life(origin)
            {
                is_news |= self.origins.cover(place, *covered);
            }
        }
        (true, if is_news { self.ready(self.up) } else { Wake::default() })
    }

    /// For the end of a restore: looks at the tombstones in up to `most` slots from `slot` on. Issues those again that
    /// expired after `alive_until_ns`, and forgets those that expired before. Returns the slot at which to go on.
    /// `None`: there are no more.
    pub(crate) fn renew_tombstones(
        &mut self,
        now_ns: u64,
        alive_until_ns: u64,
        slot: usize,
        most: usize,
    ) -> (Option<usize>, Wake) {
        let end = slot.saturating_add(most).min(self.store.slots_used());
        let mut wake = Wake::default();
        for id in (slot..end).map(|at| SlotId(at as u32)) {
            let held = self.store.slot(id);
            if !held.is_live() || !held.is_gone() || !self.is_expired(now_ns, &held.record()) {
                continue;
            }
            // Sweeps and clocks are not exact, so a tombstone that expired shortly before is issued again, too.
            if self.is_expired(alive_until_ns.saturating_sub(TOMBSTONE_RENEW_NS), &held.record()) {
                wake = wake.and(self.remove(id));
            } else {
                wake = wake.and(self.reissue_tombstone(now_ns, id));
            }
        }
        ((end < self.store.slots_used()).then_some(end), wake)
    }

    pub(super) fn reissue_tombstone(&mut self, now_ns: u64, id: SlotId) -> Wake {
        let slot = self.store.slot(id).clone();
        let record = renewed(now_ns, &slot.record());
        let own = Taken { place: ME, seq: self.origins.covered(ME) + 1, from: None };
        self.keep(Some(id), &record, KeyHash::of(record.key), own).1
    }

    /// Ends a restore. The caller has renewed the tombstones. Until `renew_until_ns`, tombstones that expire are issued
    /// again.
    pub(crate) fn end_restore(&mut self, renew_until_ns: u64) {
        self.renew_until_ns = renew_until_ns;
        self.was_restored |= self.restore.take().is_some();
    }

    /// If this server has restored records of too many of its earlier lives, issues those of the lives with the fewest
    /// records again. `None`: there was nothing to do.
    pub(super) fn fold_own_lives(&mut self) -> Option<Wake> {
        if !self.was_restored {
            return None;
        }
        let server = self.origins.origin(ME).server.clone();
        let mut lives = self.origins.incarnations(&server);
        // Neighbors that are down would send the records of these lives when they come back.
        let is_time = self.is_caught_up || lives.len() + 1 >= INCARNATIONS_MAX;
        if lives.len() <= OWN_LIVES_MAX || !is_time {
            return None;
        }
        lives.sort_by_key(|&place| self.origins.live(place));
        lives.truncate(lives.len() / 2);
        Some(self.reissue_lives(&lives))
    }

    /// Issues all records of the earlier incarnations at `lives` again, under the present incarnation.
    fn reissue_lives(&mut self, lives: &[u16]) -> Wake {
        let is_of_them = |slot: &Slot| lives.contains(&slot.origin);
        let ids: Vec<_> = self.store.live().filter(|(_, slot)| is_of_them(slot)).map(|(id, _)| id).collect();
        let mut wake = Wake::default();
        for id in ids {
            wake = wake.and(self.reissue(id));
        }
        wake
    }

    /// Whether a sweep leaves a record, because the shard is being restored and the record ends older ones.
    pub(super) fn waits_for_restore(&self, slot: &Slot) -> bool {
        self.restore.is_some() && ends_older(&slot.record())
    }
}

/// Whether a record can expire before an older record of its key: it is a tombstone, or has a time to live of its own.
/// The store may also have the older record.
fn ends_older(record: &Record<'_>) -> bool {
    record.body == Body::Gone || own_ttl_ns(record).is_some()
}

/// A tombstone with the version of a record that [ends older ones](ends_older), received at `now_ns`.
fn renewed<'a>(now_ns: u64, record: &Record<'a>) -> Record<'a> {
    let timestamp = Timestamp::from_nanos(record.version().0).unwrap_or(record.timestamp);
    let received_ns = now_ns.max(record.received_ns());
    let difference = Difference::at_receipt(received_ns, timestamp);
    Record { body: Body::Gone, timestamp, difference, ..*record }
}
