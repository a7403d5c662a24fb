//! Does a neighbor hold the same? And where not, what is different?
//!
//! Each end tells of a shard the sum of all that it holds, whenever it has nothing left to send of it, together with how
//! many records have come from the other. If that is how many the other has sent, and it has nothing left to send
//! either, then nothing is on its way in either direction: both have offered all they hold, and the sums must be
//! equal. Vectors could not say as much: records run ahead of the markers that cover them, and the last records of a
//! server that has died are never covered. Where something was refused, a difference is no alarm (`gap`).
//!
//! Unequal sums are an alarm. What differs is found by the hash tree: places are the first bits of the keys' hashes,
//! four a step, and only branches whose sums differ are looked into. The sums below the root are made when they are
//! asked for, by a look at the whole shard, so that they cost nothing while all is well. What is about to expire is not
//! part of any sum, but where something differs it is sent as well.

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

/// By how much more than clocks may differ a neighbor's sums may leave out of what is still to come, nanoseconds.
const SLACK_NS: u64 = CHECK_MARGIN_NS + HANDSHAKE_MAX.as_nanos() as u64;
const _: () = assert!(LOOKS_PER_HEARTBEAT > DEPTH_MAX + 1, "a comparison can go all the way down");

impl Shard {
    /// Appends what this shard holds, unless there is something left to send. `latest_ns` is what the clock shows that
    /// is ahead, this server's or the neighbor's, as far as it is known.
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

    /// Holds what a neighbor, which may answer fences, holds against what this server holds. Says whether they differ; then
    /// the repair begins.
    pub fn check(&mut self, link: LinkId, now_ns: u64, check: &Check, answers_fences: bool) -> (bool, Wake) {
        let nothing = (false, Wake::default());
        let Some(outbox) = self.outbox_if_quiet(link) else { return nothing };
        let is_of_kind = check.client_ttl_ns == self.settings.client_ttl_ns.unwrap_or(0);
        let is_comparable = is_of_kind && outbox.sent == check.received;
        // A neighbor of an earlier version does not count what it has refused. Where something is missing here, differences
        // are looked for all the same: there is no alarm.
        let is_looked_into = is_comparable || is_of_kind && outbox.gap.is_open();
        // Sums that leave out almost everything are soon the same.
        let from_max_ns = now_ns.saturating_add(self.settings.clock_offset_max_ns).saturating_add(SLACK_NS);
        let are_equal = self.derived.root.from(check.from_ns) == check.root;
        let is_same = is_of_kind && check.from_ns <= from_max_ns && are_equal;
        self.is_caught_up |= is_same;
        // Equal sums are equal whatever the clocks show. Unequal ones say nothing once this server's clock is past the
        // time from which they count: it may have forgotten what the neighbor still holds.
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

    /// The neighbor tells of branches that may differ: looks into those that do, and lets both ends send what is in
    /// those that hold little.
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
        // What is left out is found again by a later check.
        deeper.truncate(CHECK_BRANCHES_MAX);
        let wake = self.send_all(link, below, &leaves);
        let outbox = self.outbox(link);
        outbox.branches = (!deeper.is_empty()).then_some((below, deeper));
        outbox.leaves = (!leaves.is_empty()).then_some((below, leaves));
        wake.and(self.ready(link.bit()))
    }

    /// The neighbor's records in these branches are on their way: this server's are to go there, too.
    pub fn answer_leaves(&mut self, link: LinkId, leaves: &Leaves<'_>) -> Wake {
        if !self.is_eager(link) || !self.may_look(link) {
            return Wake::default();
        }
        self.send_all(link, leaves.level, &leaves.iter().collect::<Vec<_>>())
    }

    /// Appends what [`Shard::check`] and [`Shard::compare`] want told.
    pub(super) fn write_branches(&self, outbox: &mut Outbox, encoder: &mut Encoder) {
        if let Some((level, places)) = outbox.branches.take() {
            let sums = self.sums(level, &places).into_iter().map(|sums| sums.sums);
            encoder.branches(level, &places.iter().copied().zip(sums).collect::<Vec<_>>());
        }
        if let Some((level, places)) = outbox.leaves.take() {
            encoder.leaves(level, &places);
        }
    }

    /// The link's outbox, if it is told of changes and has been told all.
    fn outbox_if_quiet(&self, link: LinkId) -> Option<&Outbox> {
        let outbox = self.outboxes[link.index()].as_deref().filter(|_| self.is_eager(link))?;
        let is_quiet = outbox.is_empty() && outbox.branches.is_none() && outbox.leaves.is_none();
        is_quiet.then_some(outbox)
    }

    /// What a record counts in the sums; `key` is its key's hash.
    #[inline(always)]
    pub(super) fn weight(&self, slot: &Slot, key: KeyHash) -> Weight {
        let record = slot.record();
        let digest = slot.digest(key, self.origins.digest(slot.origin));
        Weight::new(record.received_ns(), self.ttl_ns(&record), digest)
    }

    /// The children of these branches, which are of one level: the sums of what counts, and how many records there are.
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

    /// Queues all records of these branches, which are of one level; also those that are about to expire, for they may win
    /// over what is compared.
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
        // Behind them the neighbor is told again how far all is covered: with a record it may have lost an origin.
        self.outbox(link).untell();
        let mut wake = Wake::default();
        for id in found {
            let slot = self.store.slot_mut(id);
            if slot.is_from(link.0) {
                // It came from there and is not there: it is not had again by not being sent.
                slot.set_from(None);
            }
            wake = wake.and(self.mark(id, link.bit()));
        }
        wake
    }

    /// What of the sums contradicts the records.
    pub(super) fn contradiction_of_hash_tree(&self) -> Option<String> {
        let mut root = HashRoot::default();
        for (_, slot) in self.store.live() {
            root.add(self.weight(slot, KeyHash::of(slot.record().key)));
        }
        (root != self.derived.root)
            .then(|| format!("the records sum up to {root:?} and {:?} is noted", self.derived.root))
    }
}
