//! The herd's map as one server holds it: its shards, each behind a lock, and which links have something to
//! flush.
//!
//! A key's shard is the same at every server, because sequences and vectors are counted per shard. A lock is
//! held for one visit of one shard and never while waiting for anything. Every call that may give a link
//! something to send says so in a [`Wake`].

use std::{
    sync::atomic::{
        AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst,
    },
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    codec::{
        check::{Branches, Check, Leaves},
        link::Encoder,
    },
    flood::{Held, LinkId, Offered, Rules, Shard, ShardSettings, Wake},
    limits::{BATCH_LEN_MAX, CHECKS_PER_HEARTBEAT, LINK_BATCH_LEN, LINKS_MAX, SHARDS},
    tree::Tree,
    types::{ClientId, Kind, LinkState, Origin, Record, Report, ServerName},
};

/// In a link's ready word, beside the shards' bits: the tree has something to tell.
const TREE_READY: u32 = 1 << SHARDS;

/// What a map is told once.
#[derive(Clone, Debug)]
pub struct MapSettings {
    /// This life of this server.
    pub me: Origin,
    /// Scatters the tables; nobody outside should know it.
    pub seed: u64,
    /// A new client past so many records is refused here; what neighbours tell is always merged.
    pub max_clients: u64,
    /// Forget a client this long after its report was received, nanoseconds.
    pub client_ttl_ns: Option<u64>,
    /// A client's report is refused so shortly after its last one that this server took, nanoseconds.
    pub client_interval_ns: u64,
    /// As they should be.
    pub rules: Rules,
}

/// How many reports met which end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportCounts {
    /// They were news.
    pub accepted: u64,
    /// Something newer was held.
    pub stale: u64,
    /// They were of clients for which there was no room, or came too soon.
    pub refused: u64,
}

/// A report on its way into the map, and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The report.
    pub report: Report<'a>,
    /// What became of it; [`Offered::Stale`] until it has been offered.
    pub outcome: Offered,
}

impl<'a> Offer<'a> {
    /// A report that has not been offered yet.
    pub fn new(report: Report<'a>) -> Offer<'a> {
        Offer { report, outcome: Offered::Stale }
    }
}

/// All shards.
#[derive(Debug)]
pub struct Map {
    me: Origin,
    shards: Box<[Mutex<Counted>]>,
    /// For each link, the shards that have something to flush, one bit each.
    ready: Box<[AtomicU32]>,
    /// For each link, the shard at which its next flush begins: where links are always behind, every shard has
    /// its turn.
    first: Box<[AtomicU8]>,
    /// For each link, what its heartbeats go by.
    beats: Box<[Beat]>,
    /// Locked before any shard, never after one.
    tree: Mutex<Tree>,
    records: AtomicU64,
    root_mismatches: AtomicU64,
    max_clients: u64,
}

/// What both ends of a link can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The version of the link protocol that they speak.
    pub version: u16,
    /// Whether both know of spanning trees.
    pub has_tree: bool,
}

/// What the heartbeats of one link go by.
#[derive(Debug)]
struct Beat {
    /// The version that both ends speak.
    version: AtomicU32,
    /// Whether both know of spanning trees.
    has_tree: AtomicBool,
    /// The shard that is checked next.
    shard: AtomicU8,
    /// By how much at least the neighbour's clock is ahead, nanoseconds.
    ahead_ns: AtomicI64,
    /// By how much it is surely off.
    offset_ns: AtomicI64,
}

impl Default for Beat {
    fn default() -> Beat {
        Beat {
            version: AtomicU32::new(1),
            has_tree: AtomicBool::new(false),
            shard: AtomicU8::new(0),
            ahead_ns: AtomicI64::new(i64::MIN),
            offset_ns: AtomicI64::new(0),
        }
    }
}

/// A shard and what is counted under its lock.
#[derive(Debug)]
struct Counted {
    shard: Shard,
    reports: ReportCounts,
}

impl Map {
    /// An empty map of a server that has just started.
    pub fn new(settings: MapSettings) -> Map {
        let shard = |index: usize| {
            Shard::new(ShardSettings {
                me: settings.me.clone(),
                index: index as u8,
                seed: settings.seed.wrapping_add(index as u64),
                client_ttl_ns: settings.client_ttl_ns,
                client_interval_ns: settings.client_interval_ns,
                rules: settings.rules,
            })
        };
        let counted = |index| Mutex::new(Counted { shard: shard(index), reports: ReportCounts::default() });
        Map {
            shards: (0..SHARDS).map(counted).collect(),
            ready: (0..LINKS_MAX).map(|_| AtomicU32::new(0)).collect(),
            first: (0..LINKS_MAX).map(|_| AtomicU8::new(0)).collect(),
            beats: (0..LINKS_MAX).map(|_| Beat::default()).collect(),
            records: AtomicU64::new(0),
            root_mismatches: AtomicU64::new(0),
            tree: Mutex::new(Tree::new(settings.me.clone())),
            max_clients: settings.max_clients,
            me: settings.me,
        }
    }

    /// This life of this server.
    pub fn me(&self) -> &Origin {
        &self.me
    }

    /// How many records are held.
    pub fn len(&self) -> u64 {
        self.records.load(Relaxed)
    }

    /// Whether no record is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many reports of clients met which end since the start.
    pub fn report_counts(&self) -> ReportCounts {
        self.shards.iter().map(|shard| shard.lock().reports).fold(ReportCounts::default(), |sum, one| {
            ReportCounts {
                accepted: sum.accepted + one.accepted,
                stale: sum.stale + one.stale,
                refused: sum.refused + one.refused,
            }
        })
    }

    /// Takes a client's report, at `now_ns` by this server's clock.
    pub fn report(&self, now_ns: u64, report: &Report<'_>) -> (Offered, Wake) {
        let mut offers = [Offer::new(*report)];
        let wake = self.report_all(now_ns, &mut offers);
        (offers[0].outcome, wake)
    }

    /// Takes up to [`BATCH_LEN_MAX`] reports, those of one client in their order, at `now_ns` by this server's
    /// clock; each learns its outcome. Every shard that they touch is visited once.
    pub fn report_all(&self, now_ns: u64, offers: &mut [Offer<'_>]) -> Wake {
        if self.len() + offers.len() as u64 > self.max_clients {
            return self.report_in_turn(now_ns, offers);
        }
        let (order, ends) = by_shard(offers);
        let (mut wake, mut start) = (Wake::default(), 0);
        for (index, &end) in ends.iter().enumerate() {
            let end = usize::from(end);
            if start < end {
                wake = wake.and(self.report_to(index, now_ns, offers, &order[start..end]));
            }
            start = end;
        }
        wake
    }

    /// Where not all may find room, whoever comes first does.
    fn report_in_turn(&self, now_ns: u64, offers: &mut [Offer<'_>]) -> Wake {
        (0..offers.len()).fold(Wake::default(), |wake, place| {
            let index = shard_index(offers[place].report.client.as_bytes());
            wake.and(self.report_to(index, now_ns, offers, &[place as u8]))
        })
    }

    /// Takes those of `offers` that `places` names, all of one shard.
    fn report_to(&self, index: usize, now_ns: u64, offers: &mut [Offer<'_>], places: &[u8]) -> Wake {
        let mut guard = self.shards[index].lock();
        let Counted { shard, reports } = &mut *guard;
        if places.len() > 1 {
            places.iter().for_each(|&place| shard.expect(offers[usize::from(place)].report.client));
        }
        let (mut wake, mut inserted) = (Wake::default(), 0);
        for &place in places {
            let offer = &mut offers[usize::from(place)];
            let has_room = self.records.load(Relaxed) + inserted < self.max_clients;
            let (outcome, woken) = shard.report(now_ns, &offer.report, has_room);
            offer.outcome = outcome;
            wake = wake.and(woken);
            match outcome {
                Offered::Inserted => {
                    inserted += 1;
                    reports.accepted += 1;
                }
                Offered::Updated => reports.accepted += 1,
                Offered::Stale => reports.stale += 1,
                Offered::Full | Offered::TooSoon | Offered::Forged => reports.refused += 1,
            }
        }
        if inserted > 0 {
            self.records.fetch_add(inserted, Relaxed);
        }
        drop(guard);
        self.ready(index, wake)
    }

    /// Forgets a client for the whole herd. Says whether it was known.
    pub fn forget(&self, now_ns: u64, client: ClientId<'_>) -> (bool, Wake) {
        let (index, mut counted) = self.shard_of(client.as_bytes());
        let (offered, wake) = counted.shard.forget(now_ns, client);
        self.count(offered);
        drop(counted);
        (offered == Offered::Updated, self.ready(index, wake))
    }

    /// Says something to the whole herd that is not about a client, in the place of what is held of that key. Every
    /// server forgets it `keep_s` seconds from now; 0: never. There is room for it whatever the number of clients.
    pub fn tell(&self, now_ns: u64, kind: Kind, key: &[u8], keep_s: u32, bytes: &[u8]) -> (Offered, Wake) {
        let (index, mut counted) = self.shard_of(key);
        let (offered, wake) = counted.shard.tell(now_ns, kind, key, keep_s, bytes);
        self.count(offered);
        drop(counted);
        (offered, self.ready(index, wake))
    }

    /// Takes a record that came over `from`.
    pub(crate) fn apply(
        &self,
        now_ns: u64,
        from: LinkId,
        record: &Record<'_>,
        origin: &Origin,
        seq: u64,
        guesses: &mut [u16; SHARDS],
    ) -> (Offered, Wake) {
        let (index, mut counted) = self.shard_of(record.key);
        let (offered, wake) = counted.shard.apply(now_ns, from, record, origin, seq, &mut guesses[index]);
        self.count(offered);
        drop(counted);
        (offered, self.ready(index, wake))
    }

    /// Calls `read` with the record of a client, unless it is unknown or expired; of one that asked to
    /// be forgotten there is a tombstone.
    pub fn locate<T>(
        &self,
        now_ns: u64,
        client: ClientId<'_>,
        read: impl FnOnce(Held<'_>) -> T,
    ) -> Option<T> {
        self.find(now_ns, Kind::CLIENT, client.as_bytes(), read)
    }

    /// Calls `read` with the record of a key, unless it is unknown or expired.
    pub fn find<T>(
        &self,
        now_ns: u64,
        kind: Kind,
        key: &[u8],
        read: impl FnOnce(Held<'_>) -> T,
    ) -> Option<T> {
        let (_, counted) = self.shard_of(key);
        counted.shard.locate(now_ns, kind, key).map(read)
    }

    /// Calls `visit` with every record, shard by shard, each shard under its lock.
    pub fn for_each(&self, mut visit: impl FnMut(Held<'_>)) {
        for counted in &self.shards {
            counted.lock().shard.records().for_each(&mut visit);
        }
    }

    /// Looks at up to `slots` slots of each shard for what has expired; says how many records went.
    pub fn sweep(&self, now_ns: u64, slots: usize) -> usize {
        let swept: usize =
            self.shards.iter().map(|counted| counted.lock().shard.sweep(now_ns, slots).0).sum();
        self.records.fetch_sub(swept as u64, Relaxed);
        swept
    }

    fn shard_of(&self, key: &[u8]) -> (usize, MutexGuard<'_, Counted>) {
        let index = shard_index(key);
        (index, self.shards[index].lock())
    }

    /// Counts a record that is new. The caller holds its shard, so that no sweep takes it away before it is counted.
    fn count(&self, offered: Offered) {
        if offered == Offered::Inserted {
            self.records.fetch_add(1, Relaxed);
        }
    }

    /// Notes which shard the links are to flush; says which links did not know of any.
    fn ready(&self, index: usize, wake: Wake) -> Wake {
        wake.links().filter(|link| self.ready[link.index()].fetch_or(1 << index, SeqCst) == 0).collect()
    }
}

/// Looking on, for tests, status and the simulator's checkers.
impl Map {
    /// Calls `visit` with each entry of the vector of one shard: all updates of the origin up to so far are
    /// covered here.
    pub fn for_each_covered(&self, shard: usize, mut visit: impl FnMut(&Origin, u64)) {
        for (origin, covered) in self.shards[shard].lock().shard.vector() {
            visit(origin, covered);
        }
    }

    /// Whether one shard's lock is to be had within `wait`.
    pub fn is_free_within(&self, shard: usize, wait: Duration) -> bool {
        self.shards[shard].try_lock_for(wait).is_some()
    }

    /// How many entries wait for `link` in one shard's outbox.
    pub fn queue_len(&self, link: LinkId, shard: usize) -> usize {
        self.shards[shard].lock().shard.queue_len(link.index())
    }

    /// What of the bookkeeping contradicts itself, if anything does. Only says something while no other thread
    /// changes the map.
    pub fn contradiction(&self) -> Option<String> {
        for (index, counted) in self.shards.iter().enumerate() {
            let Counted { shard, .. } = &*counted.lock();
            let found = shard.contradiction().or_else(|| {
                let is_noted = |link: &AtomicU32| link.load(SeqCst) & 1 << index != 0;
                let unnoted = (0..)
                    .zip(&self.ready)
                    .find(|&(link, noted)| shard.ready_links() & 1 << link != 0 && !is_noted(noted));
                unnoted.map(|(link, _): (u32, _)| format!("link {link} is not to flush what is ready"))
            });
            if let Some(found) = found {
                return Some(format!("shard {index}: {found}"));
            }
        }
        let held: usize = self.shards.iter().map(|counted| counted.lock().shard.len()).sum();
        (held as u64 != self.len()).then(|| format!("{held} records are held and {} counted", self.len()))
    }
}

/// In which shard a key is, at every server.
pub fn shard_index(key: &[u8]) -> usize {
    xxh3_64(key) as usize % SHARDS
}

/// Links coming, going and sending.
impl Map {
    /// Encodes the vectors of all shards, for a link that has just agreed.
    pub fn write_vectors(&self, encoder: &mut Encoder) {
        for counted in &self.shards {
            counted.lock().shard.write_vector(encoder);
        }
    }

    /// The link at `link`, which is down here, has just been agreed upon with `neighbour`. Appends what is said
    /// first.
    pub fn agree(&self, link: LinkId, neighbour: &ServerName, agreed: Agreed, encoder: &mut Encoder) -> Wake {
        let beat = &self.beats[link.index()];
        beat.version.store(agreed.version.into(), Relaxed);
        beat.has_tree.store(agreed.has_tree, Relaxed);
        beat.ahead_ns.store(i64::MIN, Relaxed);
        beat.offset_ns.store(0, Relaxed);
        if !agreed.has_tree {
            self.write_vectors(encoder);
            return Wake::default();
        }
        for counted in &self.shards {
            let _ = counted.lock().shard.link_lazy(link);
        }
        let mut tree = self.tree.lock();
        tree.link_up(link, neighbour.clone());
        // The writer of this link is just beginning: it is told whatever its last life left behind.
        self.tree_ready(&tree).and([link].into_iter().collect())
    }

    /// A neighbour tells what a server says of its links.
    pub(crate) fn hear_state(&self, link: LinkId, state: LinkState) -> Wake {
        let mut tree = self.tree.lock();
        if !tree.hear(link, state) {
            return Wake::default();
        }
        self.tree_ready(&tree)
    }

    /// Lets the links tell what the tree has for them.
    fn tree_ready(&self, tree: &Tree) -> Wake {
        let is_woken = |link: &LinkId| self.ready[link.index()].fetch_or(TREE_READY, SeqCst) == 0;
        tree.links_untold().filter(is_woken).collect()
    }

    /// Appends what the tree has for the neighbour at `link`.
    fn write_tree(&self, link: LinkId, encoder: &mut Encoder) {
        let (untold, wish) = {
            let mut tree = self.tree.lock();
            (tree.take_untold(link), tree.take_wish(link))
        };
        untold.iter().for_each(|state| encoder.state(state));
        let Some(is_fed) = wish else { return };
        for counted in &self.shards {
            let shard = &mut counted.lock().shard;
            shard.feed(link, is_fed);
            if is_fed {
                shard.write_graft(encoder, false);
            }
        }
        if !is_fed {
            encoder.prune();
        }
    }

    /// The neighbour at `link` wants to be told what is above its vector of one shard.
    pub(crate) fn graft(&self, link: LinkId, shard: usize, vector: &[(Origin, u64)], is_once: bool) -> Wake {
        let wake = self.shards[shard].lock().shard.graft(link, vector, is_once);
        self.ready(shard, wake)
    }

    /// The neighbour at `link` does not want to be told of changes.
    pub(crate) fn prune(&self, link: LinkId) -> Wake {
        let prune = |(index, counted): (usize, &Mutex<Counted>)| {
            let wake = counted.lock().shard.link_lazy(link);
            self.ready(index, wake)
        };
        self.shards.iter().enumerate().map(prune).fold(Wake::default(), Wake::and)
    }

    /// The neighbour at `link` says how far all is covered there.
    pub(crate) fn hear_promise(&self, link: LinkId, shard: usize, covered: Vec<(Origin, u64)>) {
        self.shards[shard].lock().shard.hear_promise(link, covered);
    }

    /// Whether the neighbour at `link` is told of changes as they come.
    pub fn is_eager(&self, link: LinkId) -> bool {
        self.shards[0].lock().shard.is_eager(link)
    }

    /// Appends what is said on `link` in each heartbeat: this server's clock, what is known of the neighbour's, and
    /// of some shards what is held.
    pub fn write_heartbeat(&self, link: LinkId, now_ns: u64, encoder: &mut Encoder) {
        encoder.heartbeat(now_ns);
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
        let first = usize::from(beat.shard.load(Relaxed));
        for shard in (first..first + CHECKS_PER_HEARTBEAT).map(|shard| shard % SHARDS) {
            self.shards[shard].lock().shard.write_check(link, now_ns, encoder);
        }
        beat.shard.store(((first + CHECKS_PER_HEARTBEAT) % SHARDS) as u8, Relaxed);
    }

    /// By how much the clock of the neighbour at `link` is at least ahead, and by how much it is surely off.
    pub(crate) fn note_clocks(&self, link: LinkId, ahead_ns: i64, offset_ns: i64) {
        let beat = &self.beats[link.index()];
        beat.ahead_ns.store(ahead_ns, Relaxed);
        beat.offset_ns.store(offset_ns, Relaxed);
    }

    /// By how much the clock of the neighbour at `link` is surely off from this server's, nanoseconds: ahead, or, if
    /// negative, behind.
    pub fn clock_offset_ns(&self, link: LinkId) -> i64 {
        self.beats[link.index()].offset_ns.load(Relaxed)
    }

    /// How often a neighbour turned out to hold something else than this server, with nothing on its way that could
    /// explain it.
    pub fn root_mismatches(&self) -> u64 {
        self.root_mismatches.load(Relaxed)
    }

    /// The neighbour at `link` has told what it holds of one shard.
    pub(crate) fn check(&self, link: LinkId, shard: usize, now_ns: u64, check: &Check) -> (bool, Wake) {
        let (differs, wake) = self.shards[shard].lock().shard.check(link, now_ns, check);
        self.root_mismatches.fetch_add(u64::from(differs), Relaxed);
        (differs, self.ready(shard, wake))
    }

    /// The neighbour at `link` has told of branches that may differ.
    pub(crate) fn compare(&self, link: LinkId, shard: usize, branches: &Branches<'_>) -> Wake {
        let wake = self.shards[shard].lock().shard.compare(link, branches);
        self.ready(shard, wake)
    }

    /// The neighbour at `link` has told of branches whose records it sends.
    pub(crate) fn answer_leaves(&self, link: LinkId, shard: usize, leaves: &Leaves<'_>) -> Wake {
        let wake = self.shards[shard].lock().shard.answer_leaves(link, leaves);
        self.ready(shard, wake)
    }

    /// The neighbour at `link` has told its vector of one shard: from here on it is sent what it lacks.
    pub(crate) fn link_up(&self, link: LinkId, shard: usize, vector: &[(Origin, u64)]) -> Wake {
        let wake = self.shards[shard].lock().shard.link_up(link, vector);
        // Whoever marked for the link's last life may have noted it here after that life's end, and so may have
        // woken nobody: this wake is not to be spared.
        let _ = self.ready(shard, wake);
        wake
    }

    /// The neighbour at `link` has told how far it has sent everything of one shard.
    pub(crate) fn cover(&self, from: LinkId, shard: usize, origin: &Origin, covered: u64) -> Wake {
        let wake = self.shards[shard].lock().shard.cover(from, origin, covered);
        self.ready(shard, wake)
    }

    /// The link is down: nothing more is queued for it until it is up again. The tree may have something to tell on
    /// others.
    pub fn link_down(&self, link: LinkId) -> Wake {
        for counted in &self.shards {
            counted.lock().shard.link_down(link);
        }
        self.ready[link.index()].store(0, SeqCst);
        let mut tree = self.tree.lock();
        if tree.link_down(link) { self.tree_ready(&tree) } else { Wake::default() }
    }

    /// Whether `link` has something to flush.
    pub fn is_ready(&self, link: LinkId) -> bool {
        self.ready[link.index()].load(SeqCst) != 0
    }

    /// Encodes up to about [`LINK_BATCH_LEN`] bytes of what `link` still needs. Says whether that was all; if
    /// not, flush again when the bytes are written.
    pub fn flush(&self, link: LinkId, encoder: &mut Encoder) -> bool {
        let (ready, first) = (&self.ready[link.index()], &self.first[link.index()]);
        let begin = usize::from(first.load(Relaxed));
        let mut shards = ready.swap(0, SeqCst);
        if shards & TREE_READY != 0 {
            shards &= !TREE_READY;
            self.write_tree(link, encoder);
        }
        for at in begin..begin + SHARDS {
            let index = at % SHARDS;
            if shards & 1 << index == 0 {
                continue;
            }
            let has_room = encoder.len() < LINK_BATCH_LEN;
            if !has_room || !self.shards[index].lock().shard.flush(link, encoder, LINK_BATCH_LEN) {
                ready.fetch_or(shards, SeqCst);
                first.store(((at + usize::from(has_room)) % SHARDS) as u8, Relaxed);
                return false;
            }
            shards &= !(1 << index);
        }
        true
    }
}

/// The places of `offers` in the order of their shards, and where each shard's end in it. Offers of one shard
/// keep their order.
fn by_shard(offers: &[Offer<'_>]) -> ([u8; BATCH_LEN_MAX], [u8; SHARDS]) {
    let mut shards = [0; BATCH_LEN_MAX];
    let mut ends = [0; SHARDS];
    for (shard, offer) in shards[..offers.len()].iter_mut().zip(offers) {
        *shard = shard_index(offer.report.client.as_bytes()) as u8;
        ends[usize::from(*shard)] += 1;
    }
    let mut starts = [0; SHARDS];
    let mut end = 0;
    for (start, count) in starts.iter_mut().zip(&mut ends) {
        *start = end;
        end += *count;
        *count = end;
    }
    let mut order = [0; BATCH_LEN_MAX];
    for (place, &shard) in (0..).zip(&shards[..offers.len()]) {
        let next = &mut starts[usize::from(shard)];
        order[usize::from(*next)] = place;
        *next += 1;
    }
    (order, ends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Attributes, Coordinates, ServerName, Timestamp};

    fn map(max_clients: u64, client_ttl_ns: Option<u64>) -> Map {
        let me = Origin { server: ServerName::new("Riley").unwrap(), incarnation: 1 };
        Map::new(MapSettings {
            me,
            seed: 1,
            max_clients,
            client_ttl_ns,
            client_interval_ns: 0,
            rules: Rules::default(),
        })
    }

    fn report<'a>(client: &'a [u8], timestamp: &str) -> Report<'a> {
        Report {
            client: ClientId::new(client).unwrap(),
            coordinates: Coordinates::parse(b"+34.068930-118.445127").unwrap(),
            timestamp: Timestamp::parse(timestamp.as_bytes()).unwrap(),
            attributes: Attributes::NONE,
        }
    }

    #[test]
    fn a_new_client_past_the_limit_is_refused_and_a_known_one_is_not() {
        let map = map(2, None);
        for (client, timestamp, offered) in [
            (b"a", "1", Offered::Inserted),
            (b"b", "1", Offered::Inserted),
            (b"c", "1", Offered::Full),
            (b"a", "2", Offered::Updated),
            (b"a", "1", Offered::Stale),
        ] {
            assert_eq!(map.report(1_000_000_000, &report(client, timestamp)).0, offered);
        }
        assert_eq!(map.report_counts(), ReportCounts { accepted: 3, stale: 1, refused: 1 });
        assert_eq!(map.len(), 2);
    }

    #[test]
    fn a_link_that_comes_up_is_woken_whatever_its_last_life_left_behind() {
        let map = map(10, None);
        let link = LinkId::new(0).unwrap();
        // A thread marked a record while the link was up, and only comes to say so when it is down.
        map.ready[link.index()].fetch_or(1, SeqCst);
        let woken = (0..SHARDS).map(|shard| map.link_up(link, shard, &[])).reduce(Wake::and);
        assert!(woken.unwrap().links().eq([link]));
    }

    #[test]
    fn the_limit_holds_within_a_batch_and_a_batch_keeps_each_clients_order() {
        let map = map(3, None);
        let told =
            [(b"a", "1"), (b"b", "1"), (b"a", "3"), (b"c", "1"), (b"a", "2"), (b"d", "1"), (b"b", "1")];
        let mut offers: Vec<_> = told.iter().map(|(client, at)| Offer::new(report(*client, at))).collect();
        let _ = map.report_all(1_000_000_000, &mut offers);
        let outcomes: Vec<_> = offers.iter().map(|offer| offer.outcome).collect();
        use Offered::{Full, Inserted, Stale, Updated};
        assert_eq!(outcomes, [Inserted, Inserted, Updated, Inserted, Stale, Full, Stale]);
        assert_eq!(map.len(), 3);
    }

    #[test]
    fn a_client_is_forgotten_so_long_after_its_report_was_received() {
        let map = map(10, Some(1_000_000_000));
        let client = ClientId::new(b"kiwi").unwrap();
        let (received, _) = (5_000_000_000, map.report(5_000_000_000, &report(b"kiwi", "1")));
        assert!(map.locate(received + 999_999_999, client, |_| ()).is_some());
        assert!(map.locate(received + 1_000_000_000, client, |_| ()).is_none());
        assert_eq!((map.sweep(received + 999_999_999, 1000), map.len()), (0, 1));
        assert_eq!((map.sweep(received + 1_000_000_000, 1000), map.len()), (1, 0));
        let (offered, _) = map.report(received + 2_000_000_000, &report(b"kiwi", "0"));
        assert_eq!(offered, Offered::Inserted, "a forgotten client may begin again, whatever its clock says");
    }

    #[test]
    fn forgetting_a_client_leaves_nothing_of_it_and_wins_over_what_was_known() {
        let map = map(10, None);
        let client = ClientId::new(b"kiwi").unwrap();
        assert!(!map.forget(1, client).0, "there is nothing to forget");
        let _ = map.report(5_000_000_000, &report(b"kiwi", "9"));
        assert!(map.forget(5_000_000_000, client).0);
        assert!(!map.forget(5_000_000_000, client).0, "a client is forgotten once");
        let (offered, _) = map.report(5_000_000_000, &report(b"kiwi", "9"));
        assert_eq!(offered, Offered::Stale);
        let (offered, _) = map.report(5_000_000_000, &report(b"kiwi", "9.5"));
        assert_eq!(offered, Offered::Updated);
    }
}
