//! Anti-entropy: neighbors find out whether they hold the same records, and send each other the records that differ.
//!
//! When a shard has nothing left to send on a link, each heartbeat's CHECK carries the sum of all records in the shard,
//! and the number of records that have come from the neighbor. Suppose that this number equals the number of records
//! that the neighbor has sent, and that the neighbor has nothing left to send either. Then no records are in transit in
//! either direction. Both ends have offered all the records that they hold, so their sums must be equal. Vectors could
//! not prove this: records arrive before the markers that cover them, and the last records of a server that has died
//! are never covered. After this server has refused something, a difference is expected and raises no alarm (`gap`).
//!
//! Unequal sums raise an alarm. The hash tree then finds the records that differ (`hash_tree`): the ends compare
//! branches, with four bits of the keys' hashes for each step, and follow only branches whose sums differ. The sums
//! below the root are computed on demand, by a scan of the whole shard, so they cost nothing while both ends hold the
//! same records. A record that is about to expire is part of no sum. But in branches that differ, such records are
//! sent, too.

use super::{
    LinkId, Outbox, Shard, Wake,
    hash_tree::{HashRoot, Sums, Weight, child_bits, child_of, place_of},
};
use crate::{
    codec::link::{
        Encoder,
        check::{Branches, Check, DEPTH_MAX, FAN_OUT, Leaves, Level},
    },
    limits::{CHECK_BRANCHES_MAX, CHECK_MARGIN_NS, CHECK_PAUSE, HANDSHAKE_MAX, LOOKS_PER_HEARTBEAT},
    store::{Slot, SlotId},
    types::KeyHash,
};

/// The maximum by which a neighbor's `from_ns` may be ahead, beyond the allowed clock offset, nanoseconds.
const SLACK_NS: u64 = CHECK_MARGIN_NS + HANDSHAKE_MAX.as_nanos() as u64;
const _: () = assert!(LOOKS_PER_HEARTBEAT > DEPTH_MAX + 1, "a comparison can reach the deepest level");

impl Shard {
    /// Appends a CHECK of this shard, unless the shard still has something to send on the link. `latest_ns` is the time
    /// on the clock that is ahead (this server's or the neighbor's), as far as that time is known.
    pub fn write_check(&self, link: LinkId, latest_ns: u64, encoder: &mut Encoder) {
        let Some(outbox) = self.outbox_if_quiet(link) else { return };
        let tells_received = outbox.gap.tells_received(encoder.answers_fences());
        let from_ns = latest_ns.saturating_add(CHECK_MARGIN_NS);
        encoder.check(&Check {
            shard: self.settings.index,
            received: if tells_received { outbox.received } else { Check::GAP },
            from_ns,
            client_ttl_ns: self.settings.client_ttl_ns.unwrap_or(0),
            root: self.derived.root.from(from_ns),
        });
    }

    /// Compares a neighbor's CHECK with the records that this server holds. Returns whether to raise an alarm. If both
    /// ends differ, the repair begins with the next flush.
    pub fn check(&mut self, link: LinkId, now_ns: u64, check: &Check, answers_fences: bool) -> (bool, Wake) {
        let nothing = (false, Wake::default());
        let Some(outbox) = self.outbox_if_quiet(link) else { return nothing };
        let is_of_kind = check.client_ttl_ns == self.settings.client_ttl_ns.unwrap_or(0);
        let is_comparable = is_of_kind && outbox.sent == check.received;
        // A neighbor that speaks an earlier version does not count the records that it has refused. With an open gap,
        // differences are expected. They are repaired without an alarm.
        let is_looked_into = is_comparable || is_of_kind && outbox.gap.is_open();
        // A sum that leaves out almost everything proves nothing.
        let from_max_ns = now_ns.saturating_add(self.settings.clock_offset_max_ns).saturating_add(SLACK_NS);
        let are_equal = self.derived.root.from(check.from_ns) == check.root;
        let is_same = is_of_kind && check.from_ns <= from_max_ns && are_equal;
        self.is_caught_up |= is_same;
        // Equal sums prove equality, whatever the clocks show. Unequal sums prove nothing if this server's clock has
        // passed the time from which the sums count, because then this server may have forgotten records that the
        // neighbor still holds.
        let differs = is_looked_into && now_ns < check.from_ns && !are_equal;
        let outbox = self.outbox(link);
        if is_same {
            outbox.gap.note_same(answers_fences, is_comparable);
        }
        if outbox.check_pause > 0 {
            outbox.check_pause -= 1;
            return nothing;
        }
        if !differs {
            return nothing;
        }
        outbox.check_pause = CHECK_PAUSE;
        let level = Level { shard: check.shard, depth: 0, from_ns: check.from_ns };
        outbox.branches = Some((level, vec![0]));
        let is_alarm = !outbox.gap.is_open();
        (is_alarm, self.ready(link.bit()))
    }

    /// Handles the neighbor's sums of branches that may differ. Follows the branches that do differ. If a differing
    /// branch holds few records, makes both ends send the records of that branch.
    pub fn compare(&mut self, link: LinkId, branches: &Branches<'_>) -> Wake {
        if !self.is_eager(link) || !self.may_look(link) {
            return Wake::default();
        }
        let level = branches.level;
        let theirs: Vec<_> = branches.iter().collect();
        let places: Vec<_> = theirs.iter().map(|(place, _)| *place).collect();
        let below = Level { depth: (level.depth + 1).min(DEPTH_MAX), ..level };
        let (mut deeper, mut leaves) = (Vec::new(), Vec::new());
        for ((place, theirs), ours) in theirs.iter().zip(self.sums(level, &places)) {
            for child in (0..FAN_OUT).filter(|&child| theirs[child] != ours.sums[child]) {
                let is_leaf = ours.is_leaf(child) || below.depth == DEPTH_MAX;
                let list = if is_leaf { &mut leaves } else { &mut deeper };
                list.push(place | child_bits(child, below.depth));
            }
        }
        // A later check finds the branches that are left out here.
        deeper.truncate(CHECK_BRANCHES_MAX);
        let wake = self.send_all(link, below, &leaves);
        let outbox = self.outbox(link);
        outbox.branches = (!deeper.is_empty()).then_some((below, deeper));
        outbox.leaves = (!leaves.is_empty()).then_some((below, leaves));
        wake.and(self.ready(link.bit()))
    }

    /// Handles the neighbor's list of branches whose records it is sending: sends this server's records of the same
    /// branches back.
    pub fn answer_leaves(&mut self, link: LinkId, leaves: &Leaves<'_>) -> Wake {
        if !self.is_eager(link) || !self.may_look(link) {
            return Wake::default();
        }
        self.send_all(link, leaves.level, &leaves.iter().collect::<Vec<_>>())
    }

    /// Appends the branches and leaves that [`Shard::check`] and [`Shard::compare`] have queued.
    pub(super) fn write_branches(&self, outbox: &mut Outbox, encoder: &mut Encoder) {
        if let Some((level, places)) = outbox.branches.take() {
            let sums = self.sums(level, &places).into_iter().map(|sums| sums.sums);
            encoder.branches(level, &places.iter().copied().zip(sums).collect::<Vec<_>>());
        }
        if let Some((level, places)) = outbox.leaves.take() {
            encoder.leaves(level, &places);
        }
    }

    /// The outbox of an eager link that has nothing left to send.
    fn outbox_if_quiet(&self, link: LinkId) -> Option<&Outbox> {
        let outbox = self.outboxes[link.index()].as_deref().filter(|_| self.is_eager(link))?;
        let is_quiet = outbox.is_empty() && outbox.branches.is_none() && outbox.leaves.is_none();
        is_quiet.then_some(outbox)
    }

    /// What a record adds to the sums. `key` is the hash of its key.
    #[inline(always)]
    pub(super) fn weight(&self, slot: &Slot, key: KeyHash) -> Weight {
        let record = slot.record();
        let digest = slot.digest(key, self.origins.digest(slot.origin));
        Weight::new(record.received_ns(), self.ttl_ns(&record), digest)
    }

    /// The sums and record counts of the children of these branches, which are all of one level.
    fn sums(&self, level: Level, places: &[u64]) -> Vec<Sums> {
        let mut order: Vec<_> = places.iter().copied().zip(0..).collect();
        order.sort_unstable();
        let mut sums = vec![Sums::default(); places.len()];
        for (_, slot) in self.store.live() {
            let hash = KeyHash::of(slot.record().key);
            let Ok(found) = order.binary_search_by_key(&place_of(hash, level.depth), |(place, _)| *place)
            else {
                continue;
            };
            let weight = self.weight(slot, hash);
            let (at, child) = (order[found].1, child_of(hash, level.depth));
            let digest = if weight.counts_from(level.from_ns) { weight.digest } else { 0 };
            sums[at].add(child, hash, digest);
        }
        sums
    }

    /// Queues all records of these branches, which are all of one level. Records that are about to expire are queued
    /// too, because they may win over records that are compared.
    fn send_all(&mut self, link: LinkId, level: Level, places: &[u64]) -> Wake {
        if places.is_empty() {
            return Wake::default();
        }
        let mut places = places.to_vec();
        places.sort_unstable();
        let is_in = |slot: &Slot| {
            places.binary_search(&place_of(KeyHash::of(slot.record().key), level.depth)).is_ok()
        };
        let found: Vec<SlotId> =
            self.store.live().filter(|(_, slot)| is_in(slot)).map(|(id, _)| id).collect();
        // The vector is sent again behind these records, because a neighbor without records of an origin may have
        // dropped the origin.
        self.outbox(link).untell();
        let mut wake = Wake::default();
        for id in found {
            let slot = self.store.slot_mut(id);
            if slot.is_from(link.0) {
                // The neighbor once sent this record and no longer holds it, so the record has to be sent back.
                slot.set_from(None);
            }
            wake = wake.and(self.mark(id, link.bit()));
        }
        wake
    }

    /// A contradiction between the hash tree's root and the records, if there is one.
    pub(super) fn contradiction_of_hash_tree(&self) -> Option<String> {
        let mut root = HashRoot::default();
        for (_, slot) in self.store.live() {
            root.add(self.weight(slot, KeyHash::of(slot.record().key)));
        }
        (root != self.derived.root)
            .then(|| format!("the records sum up to {root:?}, but the root is {:?}", self.derived.root))
    }
}
