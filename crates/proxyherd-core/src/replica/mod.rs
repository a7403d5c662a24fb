//! The replica: all of the herd's data that one server holds. It consists of shards, each behind a lock, and knows
//! which links have something to flush.
//!
//! A key is in the same shard at every server, because sequences and vectors are counted per shard. A shard's lock is
//! held for one visit of that shard, and never while waiting for anything. Each call that may give a link something to
//! send returns the link in a [`Wake`].
//!
//! Searches for clients (`near`, `list`) visit one shard after the other. A search visits at most a bounded number of
//! clients before others can take the shard's lock (`visit`).

mod among;
mod beats;
mod copies;
mod counts;
mod effort;
mod followers;
mod horizon;
mod links;
mod list;
mod mend;
mod near;
mod offer;
mod restore;
mod visit;

use std::{
    sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};

use self::{
    beats::Beat, copies::Copies, followers::FollowerPlaces, horizon::Horizon, mend::Mending, offer::by_shard,
};
pub use self::{
    counts::{RefusedCounts, ReportCounts},
    effort::{Effort, Unfinished},
    horizon::{Objection, is_old_store},
    links::Agreed,
    list::ClientPage,
    near::FoundClient,
    offer::Offer,
    restore::Restoring,
};
pub use crate::spanning_tree::TreeView;
use crate::{
    command::{Outcome, Position, Positions},
    flood::{
        Class, Expected, LinkId, NewClients, Offered, ReportRules, Rules, Shard, ShardSettings, Update,
        Usage, Wake,
    },
    limits::{LINKS_MAX, SHARDS},
    spanning_tree::SpanningTree,
    types::{ClientId, KeyHash, Kind, Origin, Report, Stamp},
};

/// One bit for each shard.
const ALL_SHARDS: u32 = (1 << SHARDS) - 1;

/// The settings of a replica.
#[derive(Clone, Debug)]
pub struct ReplicaSettings {
    /// This life of this server.
    pub me: Origin,
    /// The seed of the tables' hashes. Keep the seed secret: whoever knows it can choose keys that collide.
    pub seed: u64,
    /// Maximum number of clients. Beyond this number, this server refuses reports of new clients. Clients that
    /// neighbors send are always merged.
    pub max_clients: u64,
    /// Forget a client this long after its report was received, nanoseconds.
    pub client_ttl_ns: Option<u64>,
    /// The least time between two reports of one client that this server accepts, nanoseconds. An earlier report is
    /// refused.
    pub client_interval_ns: u64,
    /// The rules by which this server refuses reports that cannot be true.
    pub report_rules: ReportRules,
    /// Maximum offset between two clocks, nanoseconds. Records with a time of receipt further in the future are not
    /// merged. An expired record is passed on for this long, to servers at which it has not expired.
    pub clock_offset_max_ns: u64,
    /// Whether an index finds clients by their positions. Without it, a search visits every client.
    pub client_index: bool,
    /// The rules of the flood. Tests may break one of them.
    pub rules: Rules,
}

/// A replica.
#[derive(Debug)]
pub struct Replica {
    me: Origin,
    rules: Rules,
    shards: Box<[Mutex<Counted>]>,
    /// For each link, the shards that have something to flush, one bit each.
    ready: Box<[AtomicU32]>,
    /// For each link, the shard at which its next flush begins. So every shard gets its turn on a link that never
    /// catches up.
    first: Box<[AtomicU8]>,
    /// For each link, what is known for its heartbeats.
    beats: Box<[Beat]>,
    followers: FollowerPlaces,
    copies: Copies,
    /// Locked before any shard, and never after a shard.
    tree: Mutex<SpanningTree>,
    /// The number of records about clients, tombstones included ...
    clients: AtomicU64,
    /// ... and the number of other records. Both are as of the last visit of each shard.
    others: AtomicU64,
    /// Locked before any shard, never after a shard, and never together with the tree.
    mending: Mutex<Mending>,
    /// The links whose ends have agreed and that have not ended, one bit each.
    agreed: AtomicU32,
    /// Whether any link has ever been up. Before that, no other server can have received anything that this life of the
    /// server has issued.
    was_linked: AtomicBool,
    horizon: Horizon,
    root_mismatches: AtomicU64,
    /// The shards that are [caught up](Shard::is_caught_up), one bit each.
    caught_up: AtomicU32,
    max_clients: u64,
    /// The time as CHECK carries it: 0 for never.
    client_ttl_ns: u64,
    clock_offset_max_ns: u64,
}

/// A shard, and the counts that are kept under its lock.
#[derive(Debug)]
struct Counted {
    shard: Shard,
    reports: ReportCounts,
    /// The numbers that this shard adds to [`Replica::clients`] and to [`Replica::others`].
    counted: [u64; 2],
}

impl Replica {
    /// An empty replica of a server that has just started.
    pub fn new(settings: ReplicaSettings) -> Replica {
        let shard = |index: usize| {
            Shard::new(ShardSettings {
                me: settings.me.clone(),
                index: index as u8,
                seed: settings.seed.wrapping_add(index as u64),
                client_ttl_ns: settings.client_ttl_ns,
                client_interval_ns: settings.client_interval_ns,
                report_rules: settings.report_rules,
                clock_offset_max_ns: settings.clock_offset_max_ns,
                client_index: settings.client_index,
                rules: settings.rules,
            })
        };
        let counted = |index| {
            Mutex::new(Counted { shard: shard(index), reports: ReportCounts::default(), counted: [0; 2] })
        };
        Replica {
            shards: (0..SHARDS).map(counted).collect(),
            ready: (0..LINKS_MAX).map(|_| AtomicU32::new(0)).collect(),
            first: (0..LINKS_MAX).map(|_| AtomicU8::new(0)).collect(),
            beats: (0..LINKS_MAX).map(|_| Beat::default()).collect(),
            followers: FollowerPlaces::default(),
            copies: Copies::default(),
            clients: AtomicU64::new(0),
            others: AtomicU64::new(0),
            horizon: Horizon::default(),
            root_mismatches: AtomicU64::new(0),
            caught_up: AtomicU32::new(0),
            tree: Mutex::new(SpanningTree::new(settings.me.clone(), settings.rules)),
            mending: Mutex::new(Mending::new(settings.me.incarnation, settings.clock_offset_max_ns)),
            agreed: AtomicU32::new(0),
            was_linked: AtomicBool::new(false),
            max_clients: settings.max_clients,
            client_ttl_ns: settings.client_ttl_ns.unwrap_or(0),
            clock_offset_max_ns: settings.clock_offset_max_ns,
            rules: settings.rules,
            me: settings.me,
        }
    }

    /// The rules of this server. Tests may break one of them.
    pub(crate) fn rules(&self) -> Rules {
        self.rules
    }

    /// This life of this server, with the incarnation under which it began to issue updates. [`Replica::origin`] has
    /// the present one.
    pub fn me(&self) -> &Origin {
        &self.me
    }

    /// The number of held records.
    pub fn len(&self) -> u64 {
        self.clients() + self.others.load(Relaxed)
    }

    /// The number of records about clients, tombstones included. These records count against `max_clients`.
    pub fn clients(&self) -> u64 {
        self.clients.load(Relaxed)
    }

    /// The room that the records of `class` take.
    pub fn usage(&self, class: Class) -> Usage {
        self.shards.iter().map(|shard| shard.lock().shard.usage(class)).fold(Usage::default(), |sum, one| {
            Usage { bytes: sum.bytes + one.bytes, dropped: sum.dropped + one.dropped }
        })
    }

    /// Whether no record is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of clients' reports with each outcome since the start.
    pub fn report_counts(&self) -> ReportCounts {
        let mut sum = ReportCounts::default();
        for shard in &self.shards {
            sum += shard.lock().reports;
        }
        sum
    }

    /// Takes a client's report, at `now_ns` by this server's clock.
    pub fn report(&self, now_ns: u64, report: &Report<'_>) -> (Outcome, Wake) {
        let mut offers = [Offer::new(*report)];
        let wake = self.report_all(now_ns, &mut offers);
        (offers[0].outcome, wake)
    }

    /// Takes up to [`BATCH_LEN_MAX`](crate::limits::BATCH_LEN_MAX) reports at `now_ns` by this server's clock, and
    /// notes the outcome of each. Reports of one client keep their order. Each shard is visited once.
    pub fn report_all(&self, now_ns: u64, offers: &mut [Offer<'_>]) -> Wake {
        if self.clients() + offers.len() as u64 > self.max_clients {
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

    /// Takes the reports in their order, because there may not be room for all of them.
    fn report_in_turn(&self, now_ns: u64, offers: &mut [Offer<'_>]) -> Wake {
        (0..offers.len()).fold(Wake::default(), |wake, place| {
            wake.and(self.report_to(offers[place].hash.shard(), now_ns, offers, &[place as u8]))
        })
    }

    /// Takes those of `offers` at the indices in `places`, which are all of one shard.
    fn report_to(&self, index: usize, now_ns: u64, offers: &mut [Offer<'_>], places: &[u8]) -> Wake {
        let mut guard = self.shards[index].lock();
        let Counted { shard, reports, .. } = &mut *guard;
        for &place in places {
            let offer = &mut offers[usize::from(place)];
            offer.table_hash = shard.expect(offer.report.client, offer.hash).table_hash;
        }
        let (mut wake, len_before) = (Wake::default(), shard.len());
        for &place in places {
            let offer = &mut offers[usize::from(place)];
            // Since this shard was locked, only records about clients were added.
            let inserted = (shard.len() - len_before) as u64;
            let has_room = self.clients() + inserted < self.max_clients;
            let new_clients = if has_room { NewClients::Admit } else { NewClients::Refuse };
            let expected = Expected { hash: offer.hash, table_hash: offer.table_hash };
            let (outcome, woken) =
                shard.report(now_ns, &offer.report, offer.condition, expected, new_clients, offer.spacing);
            offer.outcome = outcome;
            wake = wake.and(woken);
            reports.note(outcome);
            if matches!(outcome, Outcome::Added | Outcome::Moved | Outcome::Stale) {
                offer.stands_at(shard.changes(), shard.issued());
            }
            if outcome.is_taken() && offer.report.stamp == Stamp::Server {
                offer.stamped_ns = shard.stamped_ns(offer.report.client).unwrap_or_default();
            }
        }
        self.recount(&mut guard);
        drop(guard);
        self.ready(index, wake)
    }

    /// Forgets a client in the whole herd. Returns whether the client was known. [`Replica::positions_of`] has what
    /// must be durable before this is acknowledged.
    pub fn forget(&self, now_ns: u64, client: ClientId<'_>) -> (bool, Wake) {
        let (index, mut counted) = self.shard_of(client.as_bytes());
        let (offered, wake) = counted.shard.forget(now_ns, client);
        self.recount(&mut counted);
        drop(counted);
        (offered == Offered::Updated, self.ready(index, wake))
    }

    /// Writes a record that is not about a client, for the whole herd, in place of the held record of that key. Every
    /// server forgets the record `keep_s` seconds from now; 0: never. The maximum number of clients does not limit such
    /// records. [`Replica::positions_of`] has what must be durable before the write is acknowledged.
    pub fn tell(&self, now_ns: u64, kind: Kind, key: &[u8], keep_s: u32, bytes: &[u8]) -> (Offered, Wake) {
        let (index, mut counted) = self.shard_of(key);
        let (offered, wake) = counted.shard.tell(now_ns, kind, key, keep_s, bytes);
        self.recount(&mut counted);
        drop(counted);
        (offered, self.ready(index, wake))
    }

    /// What must be durable before anybody is told what this server holds of a key now, or that it holds nothing:
    /// everything that the key's shard has kept up to now. To be called after the change that is to be acknowledged.
    pub fn positions_of(&self, key: &[u8]) -> Positions {
        let (shard, counted) = self.shard_of(key);
        let mut positions = Positions::default();
        positions.note(Position { shard, seq: counted.shard.changes() });
        positions.note_own(Position { shard, seq: counted.shard.issued() });
        positions
    }

    /// Whether there is room for a new valid token with this key and a record of this length, and also for the
    /// revocations of this token and of all others. So revocations displace each other only if servers that do not know
    /// of each other's tokens make too many.
    pub fn has_room_for_token(&self, key: &[u8], len: usize) -> bool {
        self.has_room_in_part(key, len, 1)
    }

    /// Like [`Replica::has_room_for_token`], for a share. Half of the room is only for tokens that are no shares.
    pub fn has_room_for_share(&self, key: &[u8], len: usize) -> bool {
        self.has_room_in_part(key, len, 2)
    }

    /// Whether there is room for a token and its revocation in one of so many equal parts of the room.
    fn has_room_in_part(&self, key: &[u8], len: usize, parts: usize) -> bool {
        let (_, counted) = self.shard_of(key);
        let (valid, revoked) = (counted.shard.usage(Class::Token), counted.shard.usage(Class::RevokedToken));
        // The revocation of a token is as long as the token's record.
        let scaled = |bytes: usize| Usage { bytes: bytes * parts, dropped: 0 };
        let len = (key.len() + len) * parts;
        Class::Token.has_room(scaled(valid.bytes), len)
            && Class::RevokedToken.has_room(scaled(valid.bytes + revoked.bytes), len)
    }

    /// Calls `visit` with each shown record of a kind that is not about clients, and its origin. Each shard is locked
    /// during its visits, so `visit` must be quick.
    pub fn for_each_of(&self, now_ns: u64, kind: Kind, mut visit: impl FnMut(Update<'_>)) {
        for counted in &self.shards {
            counted.lock().shard.for_each_other(now_ns, kind, &mut visit);
        }
    }

    /// Takes a record that came over `from`.
    pub(crate) fn apply(
        &self,
        now_ns: u64,
        from: LinkId,
        told: Update<'_>,
        guesses: &mut [u16; SHARDS],
    ) -> (Offered, Wake) {
        let hash = KeyHash::of(told.record.key);
        let index = hash.shard();
        let mut counted = self.shards[index].lock();
        let (offered, wake) = counted.shard.apply(now_ns, from, told, hash, &mut guesses[index]);
        self.recount(&mut counted);
        self.note_nonsense(from, counted.shard.take_found());
        drop(counted);
        (offered, self.ready(index, wake))
    }

    /// Calls `read` with the record of a client, unless the client is unknown or the record has expired. The record
    /// of a client that asked to be forgotten is a tombstone.
    pub fn locate<T>(
        &self,
        now_ns: u64,
        client: ClientId<'_>,
        read: impl FnOnce(Update<'_>) -> T,
    ) -> Option<T> {
        self.find(now_ns, Kind::CLIENT, client.as_bytes(), read)
    }

    /// Calls `read` with the record of a key, unless there is none or it has expired.
    pub fn find<T>(
        &self,
        now_ns: u64,
        kind: Kind,
        key: &[u8],
        read: impl FnOnce(Update<'_>) -> T,
    ) -> Option<T> {
        let (_, counted) = self.shard_of(key);
        counted.shard.locate(now_ns, kind, key).map(read)
    }

    /// Whether a client counts among the clients of this replica. A client that was forgotten counts until its
    /// tombstone is gone. A client whose report is no longer shown counts until the report is gone.
    pub fn holds(&self, client: ClientId<'_>) -> bool {
        let (_, counted) = self.shard_of(client.as_bytes());
        counted.shard.holds(Kind::CLIENT, client.as_bytes())
    }

    /// Calls `visit` with every record, shard by shard, each shard under its lock.
    pub fn for_each(&self, mut visit: impl FnMut(Update<'_>)) {
        for counted in &self.shards {
            counted.lock().shard.records().for_each(&mut visit);
        }
    }

    /// Removes expired records among up to `slots` slots of each shard. Returns the number of removed records.
    pub fn sweep(&self, now_ns: u64, slots: usize) -> usize {
        let sweep = |(index, counted): (usize, &Mutex<Counted>)| {
            let mut counted = counted.lock();
            let (swept, wake) = counted.shard.sweep(now_ns, slots);
            self.recount(&mut counted);
            drop(counted);
            // Links are not woken for removals. They have something to send only if a tombstone was issued again, and
            // they send it after the next heartbeat.
            let _ = self.ready(index, wake);
            swept
        };
        self.shards.iter().enumerate().map(sweep).sum()
    }

    fn shard_of(&self, key: &[u8]) -> (usize, MutexGuard<'_, Counted>) {
        let index = shard_index(key);
        (index, self.shards[index].lock())
    }

    /// Updates the counts of all shards after a visit of one shard. The caller still holds that shard's lock, so that
    /// no record can be removed before it is counted.
    fn recount(&self, counted: &mut Counted) {
        let others = counted.shard.others_len() as u64;
        let now = [counted.shard.len() as u64 - others, others];
        let before = std::mem::replace(&mut counted.counted, now);
        for ((sum, now), before) in [&self.clients, &self.others].into_iter().zip(now).zip(before) {
            if now != before {
                // This is a sum of differences, some of them negative. The sum may wrap around, and then wraps back.
                sum.fetch_add(now.wrapping_sub(before), Relaxed);
            }
        }
    }

    /// Notes that the links in `wake` have to flush a shard. Returns the links that have to be woken. Followers are
    /// woken at once. Do not call this method while a shard is locked.
    fn ready(&self, index: usize, wake: Wake) -> Wake {
        if wake.followers() != 0 {
            self.followers.wake(index, wake.followers());
        }
        wake.links().filter(|link| self.ready[link.index()].fetch_or(1 << index, SeqCst) == 0).collect()
    }
}

/// Observations for tests, status and the simulator's checkers.
impl Replica {
    /// Whether one shard's lock can be taken within `wait`.
    pub fn is_free_within(&self, shard: usize, wait: Duration) -> bool {
        self.shards[shard].try_lock_for(wait).is_some()
    }

    /// Whether each shard is caught up: at some time since this server started, some neighbor has sent all records that
    /// the neighbor held.
    pub fn is_caught_up(&self) -> bool {
        self.caught_up.load(Relaxed) == ALL_SHARDS
    }

    /// Notes whether one shard is caught up.
    fn note_caught_up(&self, index: usize, shard: &Shard) {
        if shard.is_caught_up() && self.caught_up.load(Relaxed) & 1 << index == 0 {
            self.caught_up.fetch_or(1 << index, Relaxed);
        }
    }

    /// The number of open gaps on eager links, in all shards together.
    pub fn gaps(&self) -> usize {
        self.shards.iter().map(|counted| counted.lock().shard.gaps()).sum()
    }

    /// The number of entries for `link` in one shard's outbox.
    pub fn queue_len(&self, link: LinkId, shard: usize) -> usize {
        self.shards[shard].lock().shard.queue_len(link.index())
    }

    /// A contradiction in the bookkeeping, if there is one. The result is only meaningful while no other thread changes
    /// the replica.
    pub fn contradiction(&self) -> Option<String> {
        for (index, counted) in self.shards.iter().enumerate() {
            let Counted { shard, .. } = &*counted.lock();
            let found = shard.contradiction().or_else(|| {
                let is_noted = |link: &AtomicU32| link.load(SeqCst) & 1 << index != 0;
                let unnoted = (0..)
                    .zip(&self.ready)
                    .find(|&(link, noted)| shard.ready_links() & 1 << link != 0 && !is_noted(noted));
                unnoted.map(|(link, _): (u32, _)| format!("link {link} is not marked as ready"))
            });
            let found = found.or_else(|| self.followers.contradiction(index, shard.ready_followers()));
            if let Some(found) = found {
                return Some(format!("shard {index}: {found}"));
            }
        }
        let held: usize = self.shards.iter().map(|counted| counted.lock().shard.len()).sum();
        (held as u64 != self.len()).then(|| format!("{held} records are held but {} are counted", self.len()))
    }
}

/// The shard of a key, the same at every server.
pub fn shard_index(key: &[u8]) -> usize {
    KeyHash::of(key).shard()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Attributes, Coordinates, ServerName, Timestamp};

    fn replica(max_clients: u64, client_ttl_ns: Option<u64>) -> Replica {
        let me = Origin { server: ServerName::new("Riley").unwrap(), incarnation: 1 };
        Replica::new(ReplicaSettings {
            me,
            seed: 1,
            max_clients,
            client_ttl_ns,
            client_interval_ns: 0,
            report_rules: ReportRules::default(),
            clock_offset_max_ns: 0,
            client_index: true,
            rules: Rules::default(),
        })
    }

    fn report<'a>(client: &'a [u8], timestamp: &str) -> Report<'a> {
        Report {
            client: ClientId::new(client).unwrap(),
            coordinates: Coordinates::parse(b"+34.068930-118.445127").unwrap(),
            stamp: Stamp::Client(Timestamp::parse(timestamp.as_bytes()).unwrap()),
            attributes: Attributes::NONE,
        }
    }

    #[test]
    fn a_new_client_past_the_limit_is_refused_and_a_known_one_is_not() {
        let replica = replica(2, None);
        for (client, timestamp, offered) in [
            (b"a", "1", Outcome::Added),
            (b"b", "1", Outcome::Added),
            (b"c", "1", Outcome::Full),
            (b"a", "2", Outcome::Moved),
            (b"a", "1", Outcome::Stale),
        ] {
            assert_eq!(replica.report(1_000_000_000, &report(client, timestamp)).0, offered);
        }
        assert_eq!(
            replica.report_counts(),
            ReportCounts {
                accepted: 3,
                stale: 1,
                refused: RefusedCounts { full: 1, ..RefusedCounts::default() }
            }
        );
        assert_eq!(replica.len(), 2);
    }

    #[test]
    fn a_link_that_comes_up_is_woken_whatever_its_last_life_left_behind() {
        let replica = replica(10, None);
        let link = LinkId::new(0).unwrap();
        // A thread marked a record while the link was up, and only notes this when the link is down.
        replica.ready[link.index()].fetch_or(1, SeqCst);
        let woken = (0..SHARDS).map(|shard| replica.link_up(link, shard, &[])).reduce(Wake::and);
        assert!(woken.unwrap().links().eq([link]));
    }

    #[test]
    fn the_limit_holds_within_a_batch_and_a_batch_keeps_each_clients_order() {
        let replica = replica(3, None);
        let told =
            [(b"a", "1"), (b"b", "1"), (b"a", "3"), (b"c", "1"), (b"a", "2"), (b"d", "1"), (b"b", "1")];
        let mut offers: Vec<_> = told.iter().map(|(client, at)| Offer::new(report(*client, at))).collect();
        let _ = replica.report_all(1_000_000_000, &mut offers);
        let outcomes: Vec<_> = offers.iter().map(|offer| offer.outcome).collect();
        use Outcome::{Added, Full, Moved, Stale};
        assert_eq!(outcomes, [Added, Added, Moved, Added, Stale, Full, Stale]);
        assert_eq!(replica.len(), 3);
    }

    #[test]
    fn a_client_is_forgotten_so_long_after_its_report_was_received() {
        let replica = replica(10, Some(1_000_000_000));
        let client = ClientId::new(b"kiwi").unwrap();
        let (received, _) = (5_000_000_000, replica.report(5_000_000_000, &report(b"kiwi", "1")));
        assert!(replica.locate(received + 999_999_999, client, |_| ()).is_some());
        assert!(replica.locate(received + 1_000_000_000, client, |_| ()).is_none());
        assert_eq!((replica.sweep(received + 999_999_999, 1000), replica.len()), (0, 1));
        assert_eq!((replica.sweep(received + 1_000_000_000, 1000), replica.len()), (1, 0));
        let (outcome, _) = replica.report(received + 2_000_000_000, &report(b"kiwi", "0"));
        assert_eq!(outcome, Outcome::Added, "a forgotten client may begin again, whatever its clock says");
    }

    #[test]
    fn forgetting_a_client_leaves_nothing_of_it_and_wins_over_what_was_known() {
        let replica = replica(10, None);
        let client = ClientId::new(b"kiwi").unwrap();
        assert!(!replica.forget(1, client).0, "an unknown client cannot be forgotten");
        let _ = replica.report(5_000_000_000, &report(b"kiwi", "9"));
        assert!(replica.forget(5_000_000_000, client).0);
        assert!(!replica.forget(5_000_000_000, client).0, "a client is forgotten once");
        let (outcome, _) = replica.report(5_000_000_000, &report(b"kiwi", "9"));
        assert_eq!(outcome, Outcome::Stale);
        let (outcome, _) = replica.report(5_000_000_000, &report(b"kiwi", "9.5"));
        assert_eq!(outcome, Outcome::Added, "a client that was forgotten is not known");
    }
}
