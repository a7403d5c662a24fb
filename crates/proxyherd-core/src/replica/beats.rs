//! Heartbeats: what each link sends with them, and what they show about the neighbor: whether the neighbor's clock is
//! off, and whether the neighbor holds other records.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::{Agreed, Replica};
use crate::{
    codec::link::{
        Encoder,
        check::{Branches, Check, Leaves},
        spanning_tree::FENCE_VERSION,
    },
    flood::{LinkId, Nonsense, Wake},
    limits::{CHECKS_PER_HEARTBEAT, SHARDS},
};

/// What is known about one link for its heartbeats.
#[derive(Debug)]
pub(super) struct Beat {
    /// The protocol version that both ends speak.
    version: AtomicU32,
    /// Whether both ends support spanning trees.
    has_tree: AtomicBool,
    /// The shard that the next heartbeat checks first.
    shard: AtomicU8,
    /// The least lead of the neighbor's clock, nanoseconds.
    ahead_ns: AtomicI64,
    /// The certain offset of the neighbor's clock, nanoseconds.
    offset_ns: AtomicI64,
    /// The time after which the neighbor forgets clients, nanoseconds; 0: never; all ones: the neighbor has not sent
    /// the time yet.
    client_ttl_ns: AtomicU64,
    /// The number of times that the neighbor has sent each kind of nonsense.
    nonsense: [AtomicU64; Nonsense::ALL.len()],
}

/// The value of [`Beat::client_ttl_ns`] before the neighbor has sent one.
const UNTOLD: u64 = u64::MAX;

impl Default for Beat {
    fn default() -> Beat {
        Beat {
            version: AtomicU32::new(1),
            has_tree: AtomicBool::new(false),
            shard: AtomicU8::new(0),
            ahead_ns: AtomicI64::new(i64::MIN),
            offset_ns: AtomicI64::new(0),
            client_ttl_ns: AtomicU64::new(UNTOLD),
            nonsense: Default::default(),
        }
    }
}

impl Beat {
    /// Notes that the link is up. Nothing is known about the neighbor's clock yet.
    pub(super) fn begin(&self, agreed: Agreed) {
        self.version.store(agreed.version.into(), Relaxed);
        self.has_tree.store(agreed.has_tree, Relaxed);
        self.ahead_ns.store(i64::MIN, Relaxed);
        self.offset_ns.store(0, Relaxed);
        self.client_ttl_ns.store(UNTOLD, Relaxed);
    }

    /// Notes that the link is removed. Nothing is known about the next neighbor at the link's number.
    pub(super) fn end(&self) {
        self.offset_ns.store(0, Relaxed);
        self.nonsense.iter().for_each(|count| count.store(0, Relaxed));
    }
}

impl Replica {
    /// Appends what `link` sends with each heartbeat: this server's clock, the lead of the neighbor's clock, and checks
    /// of some shards.
    pub fn write_heartbeat(&self, link: LinkId, now_ns: u64, encoder: &mut Encoder) {
        encoder.heartbeat(now_ns);
        self.write_horizon(link, now_ns, encoder);
        for (index, counted) in self.shards.iter().enumerate() {
            let mut counted = counted.lock();
            let wake = counted.shard.begin_beat(link);
            // A GRAFT that waited for this heartbeat may have been nonsense. If so, the nonsense counts for this
            // neighbor.
            self.note_nonsense(link, counted.shard.take_found());
            drop(counted);
            // The caller of this method flushes before it waits again, or with the next heartbeat.
            let _ = self.ready(index, wake);
        }
        let mut tree = self.tree.lock();
        if tree.beat() {
            // As above, the caller flushes.
            let _ = self.tree_ready(&tree);
        }
        drop(tree);
        let beat = &self.beats[link.index()];
        if beat.version.load(Relaxed) < 2 {
            return;
        }
        let ahead_ns = beat.ahead_ns.load(Relaxed);
        if ahead_ns > i64::MIN {
            encoder.offset(ahead_ns);
        }
        if beat.has_tree.load(Relaxed) {
            for counted in &self.shards {
                counted.lock().shard.beat(link, encoder);
            }
        }
        for counted in &self.shards {
            counted.lock().shard.write_question(link, encoder);
        }
        let first = usize::from(beat.shard.load(Relaxed));
        // The clock that is ahead counts. If the neighbor's clock has passed the time from which records count, the
        // neighbor has forgotten some of these records and compares nothing.
        let latest_ns = now_ns.saturating_add(ahead_ns.max(0).unsigned_abs());
        for shard in (first..first + CHECKS_PER_HEARTBEAT).map(|shard| shard % SHARDS) {
            self.shards[shard].lock().shard.write_check(link, latest_ns, encoder);
        }
        beat.shard.store(((first + CHECKS_PER_HEARTBEAT) % SHARDS) as u8, Relaxed);
    }

    /// Notes the least lead and the certain offset of the clock of the neighbor at `link`.
    pub(crate) fn note_clocks(&self, link: LinkId, ahead_ns: i64, offset_ns: i64) {
        let beat = &self.beats[link.index()];
        beat.ahead_ns.store(ahead_ns, Relaxed);
        beat.offset_ns.store(offset_ns, Relaxed);
    }

    /// Records the clock offset, in nanoseconds, for which the link at `link` was refused: positive if the neighbor's
    /// clock is ahead. [`Replica::clock_offset_ns`] returns the offset until the link comes up.
    pub fn note_refused_clock(&self, link: LinkId, offset_ns: i64) {
        self.beats[link.index()].offset_ns.store(offset_ns, Relaxed);
    }

    /// Whether more neighbors' clocks agree with this server's clock than differ from it by more than the allowed
    /// offset. The links in `agreed` are those of neighbors that agree. Neighbors that have not shown their clocks do
    /// not count.
    pub(super) fn is_agreed_with(&self, agreed: u32) -> bool {
        let is_off = |(at, beat): &(usize, &Beat)| {
            agreed & 1 << at == 0 && beat.offset_ns.load(Relaxed).unsigned_abs() > self.clock_offset_max_ns
        };
        let off = self.beats.iter().enumerate().filter(is_off).count();
        agreed.count_ones() as usize > off
    }

    /// Notes that this server's clock was put back, so the offsets of refused neighbors are void.
    pub(super) fn forget_refused_clocks(&self) {
        let agreed = self.agreed.load(Relaxed);
        let down = self.beats.iter().enumerate().filter(|(at, _)| agreed & 1 << at == 0);
        down.for_each(|(_, beat)| beat.offset_ns.store(0, Relaxed));
    }

    /// The certain offset of the clock of the neighbor at `link` from this server's clock, nanoseconds: positive if the
    /// neighbor's clock is ahead, negative if it is behind.
    pub fn clock_offset_ns(&self, link: LinkId) -> i64 {
        self.beats[link.index()].offset_ns.load(Relaxed)
    }

    /// The number of times that the neighbor at `link` has sent each kind of nonsense, in the order of
    /// [`Nonsense::ALL`]. The counts begin when the link gets this neighbor. The neighbor may only have relayed the
    /// nonsense.
    pub fn nonsense(&self, link: LinkId) -> [u64; Nonsense::ALL.len()] {
        self.beats[link.index()].nonsense.each_ref().map(|count| count.load(Relaxed))
    }

    /// Counts nonsense that the neighbor at `link` has sent. Does nothing if there was none.
    pub(super) fn note_nonsense(&self, link: LinkId, what: Option<Nonsense>) {
        if let Some(what) = what {
            self.beats[link.index()].nonsense[what.index()].fetch_add(1, Relaxed);
        }
    }

    /// The number of times that a neighbor turned out to hold other records than this server while no records in
    /// transit could explain the difference.
    pub fn root_mismatches(&self) -> u64 {
        self.root_mismatches.load(Relaxed)
    }

    /// The time after which the neighbor at `link` forgets clients, if that time differs from this server's time:
    /// nanoseconds after the receipt of a client's report; 0: never. Such neighbors do not compare what they hold.
    pub fn other_client_ttl_ns(&self, link: LinkId) -> Option<u64> {
        let theirs = self.beats[link.index()].client_ttl_ns.load(Relaxed);
        (theirs != UNTOLD && theirs != self.client_ttl_ns).then_some(theirs)
    }

    /// Handles a CHECK of one shard from the neighbor at `link`.
    pub(crate) fn check(&self, link: LinkId, shard: usize, now_ns: u64, check: &Check) -> (bool, Wake) {
        let beat = &self.beats[link.index()];
        beat.client_ttl_ns.store(check.client_ttl_ns, Relaxed);
        let answers_fences = beat.version.load(Relaxed) >= FENCE_VERSION.into();
        let mut counted = self.shards[shard].lock();
        let (differs, wake) = counted.shard.check(link, now_ns, check, answers_fences);
        self.note_caught_up(shard, &counted.shard);
        drop(counted);
        self.root_mismatches.fetch_add(u64::from(differs), Relaxed);
        (differs, self.ready(shard, wake))
    }

    /// Handles BRANCHES from the neighbor at `link`.
    pub(crate) fn compare(&self, link: LinkId, shard: usize, branches: &Branches<'_>) -> Wake {
        let wake = self.shards[shard].lock().shard.compare(link, branches);
        self.ready(shard, wake)
    }

    /// Handles LEAVES from the neighbor at `link`.
    pub(crate) fn answer_leaves(&self, link: LinkId, shard: usize, leaves: &Leaves<'_>) -> Wake {
        let wake = self.shards[shard].lock().shard.answer_leaves(link, leaves);
        self.ready(shard, wake)
    }
}
