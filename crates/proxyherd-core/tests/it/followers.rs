//! Followers of a replica's changes: what they are sent, in which order, how far it is covered, and what waits for
//! them.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use proptest::prelude::*;
use proxyherd_core::{
    command::Position,
    flood::{Begin, FollowerEvent, FollowerId, Following, Interest},
    limits::{ABSENCE_NS, FOLLOWER_BITE_MAX, FOLLOWERS_MAX, REMOVED_WAITING_MIN, SHARDS},
    replica::{Offer, Replica, ReplicaSettings, shard_index},
    types::{ClientId, Kind, Origin, Record},
};

use crate::herd::{NOW_NS, SECOND_NS, Seen, join, link, replica, report, seen, settings, settle};

const ALL: Following = Following { begins: Begin::WithAllHeld, wants_removed: true };
const NEWS: Following = Following { begins: Begin::Now, wants_removed: true };
const REPORTS_ONLY: Following = Following { begins: Begin::Now, wants_removed: false };
/// Long after everything that was received at [`NOW_NS`] has expired.
const LATER_NS: u64 = NOW_NS + 1000 * SECOND_NS;

type Key = (Kind, Vec<u8>);

/// A record with its origin and sequence.
type Whole = (Seen, Origin, u64);

/// What a follower knows.
#[derive(Debug, Default)]
struct Mirror {
    held: BTreeMap<Key, Whole>,
    covered: [u64; SHARDS],
    /// Everything that it was sent except positions, as text.
    told: Vec<String>,
}

impl Mirror {
    fn take(&mut self, told: FollowerEvent<'_>) {
        match told {
            FollowerEvent::Anew { shard } => {
                self.held.retain(|(_, key), _| shard_index(key) != shard);
                self.told.push("anew".to_owned());
            }
            FollowerEvent::Record(held) => {
                let key = (held.record.kind, held.record.key.to_vec());
                self.told.push(text(held.record.key));
                self.held.insert(key, (seen(held), held.origin.clone(), held.seq));
            }
            FollowerEvent::Hidden(held) => {
                self.take(FollowerEvent::Removed { kind: held.record.kind, key: held.record.key });
            }
            FollowerEvent::Removed { kind, key } => {
                self.held.remove(&(kind, key.to_vec()));
                self.told.push(format!("no {}", text(key)));
            }
            FollowerEvent::Covered { position: Position { shard, seq }, .. } => {
                assert!(seq > self.covered[shard], "positions go forward");
                self.covered[shard] = seq;
            }
        }
    }

    /// Takes everything, and returns it as text, without beginnings.
    fn drain(&mut self, replica: &Replica, follower: &FollowerId) -> Vec<String> {
        while !replica.drain(follower, FOLLOWER_BITE_MAX, |told| self.take(told)) {}
        assert_eq!(replica.contradiction(), None);
        let told = std::mem::take(&mut self.told);
        told.into_iter().filter(|told| told != "anew").collect()
    }
}

fn text(key: &[u8]) -> String {
    String::from_utf8(key.to_vec()).unwrap()
}

/// Everything that a replica holds.
fn held(replica: &Replica) -> BTreeMap<Key, Whole> {
    let mut all = BTreeMap::new();
    replica.for_each(|held| {
        let key = (held.record.kind, held.record.key.to_vec());
        all.insert(key, (seen(held), held.origin.clone(), held.seq));
    });
    all
}

fn client(name: &str) -> ClientId<'_> {
    ClientId::new(name.as_bytes()).unwrap()
}

/// A client reports, at a time that is also the server's.
fn tell(replica: &Replica, name: &str, at_ns: u64) {
    let (outcome, _) = replica.report(at_ns, &report(name.as_bytes(), at_ns));
    assert!(outcome.is_taken(), "{name}: {outcome:?}");
}

/// A replica in which reports expire after a second and are swept then.
fn forgetful() -> Replica {
    Replica::new(ReplicaSettings {
        client_ttl_ns: Some(SECOND_NS),
        clock_offset_max_ns: 0,
        max_clients: 10_000,
        ..settings("Riley")
    })
}

fn follow(replica: &Replica, following: Following) -> FollowerId {
    replica.follow(following, || ()).unwrap()
}

#[test]
fn a_follower_takes_the_current_record_of_each_key_once() {
    let (replica, mut mirror) = (replica("Riley"), Mirror::default());
    tell(&replica, "before", NOW_NS);
    let follower = follow(&replica, NEWS);
    for later_ns in 1..=3 {
        tell(&replica, "kiwi", NOW_NS + later_ns);
    }
    assert_eq!(replica.waiting_len(&follower, shard_index(b"kiwi")), 1);
    assert_eq!(mirror.drain(&replica, &follower), ["kiwi"]);
    assert_eq!(mirror.held.values().next().unwrap().0.received_ns(), NOW_NS + 3);
    assert_eq!(mirror.drain(&replica, &follower), [""; 0]);
    assert!(replica.forget(NOW_NS + 4, client("kiwi")).0);
    assert_eq!(mirror.drain(&replica, &follower), ["kiwi"], "a tombstone is a record");
}

#[test]
fn a_follower_that_begins_with_all_that_is_held_is_told_so_of_each_shard() {
    let (replica, mut mirror) = (replica("Riley"), Mirror::default());
    for number in 0..100 {
        tell(&replica, &format!("client-{number}"), NOW_NS);
    }
    let follower = follow(&replica, ALL);
    let mut bites = 0;
    while !replica.drain(&follower, 7, |told| mirror.take(told)) {
        bites += 1;
    }
    assert!(bites >= 100 / 7, "{bites} bites");
    assert_eq!(mirror.told.iter().filter(|told| *told == "anew").count(), SHARDS);
    assert_eq!((mirror.told.len(), mirror.held), (100 + SHARDS, held(&replica)));
}

#[test]
fn a_removed_record_is_told_once_and_before_what_comes_after_it() {
    let (replica, mut mirror) = (forgetful(), Mirror::default());
    let follower = follow(&replica, NEWS);
    tell(&replica, "kiwi", NOW_NS);
    assert_eq!(mirror.drain(&replica, &follower), ["kiwi"]);
    assert_eq!(replica.sweep(LATER_NS, 100), 1);
    assert_eq!(
        (replica.clients(), replica.locate(NOW_NS, client("kiwi"), |_| ())),
        (0, None),
        "it is not held"
    );
    assert_eq!(mirror.drain(&replica, &follower), ["no kiwi"]);
    assert_eq!(mirror.drain(&replica, &follower), [""; 0]);
    // It goes and comes back while nobody looks.
    for round in 0..3 {
        tell(&replica, "kiwi", LATER_NS + round * 10 * SECOND_NS);
        assert_eq!(replica.sweep(LATER_NS + round * 10 * SECOND_NS + 5 * SECOND_NS, 100), 1);
    }
    tell(&replica, "kiwi", 2 * LATER_NS);
    assert_eq!(mirror.drain(&replica, &follower), ["no kiwi", "no kiwi", "no kiwi", "kiwi"]);
    assert_eq!(mirror.held, held(&replica));
}

#[test]
fn who_does_not_want_removed_records_is_not_told_and_keeps_nothing() {
    let (replica, mut mirror) = (forgetful(), Mirror::default());
    let follower = follow(&replica, REPORTS_ONLY);
    tell(&replica, "kiwi", NOW_NS);
    assert_eq!(replica.sweep(LATER_NS, 100), 1);
    assert_eq!(mirror.drain(&replica, &follower), [""; 0]);
    tell(&replica, "kiwi", LATER_NS);
    assert_eq!(mirror.drain(&replica, &follower), ["kiwi"]);
}

#[test]
fn a_record_waits_until_all_who_want_to_know_have_been_told_that_it_is_gone() {
    let replica = forgetful();
    let [swift, slow] = [NEWS, NEWS].map(|following| (follow(&replica, following), Mirror::default()));
    let ((swift, mut one), (slow, mut other)) = (swift, slow);
    tell(&replica, "kiwi", NOW_NS);
    assert_eq!(replica.sweep(LATER_NS, 100), 1);
    assert_eq!(one.drain(&replica, &swift), ["no kiwi"]);
    tell(&replica, "kiwi", LATER_NS);
    assert_eq!(one.drain(&replica, &swift), ["kiwi"]);
    assert_eq!(other.drain(&replica, &slow), ["no kiwi", "kiwi"]);
    // A follower that leaves does not keep what nobody else waits for.
    assert_eq!(replica.sweep(2 * LATER_NS, 100), 1);
    assert_eq!(one.drain(&replica, &swift), ["no kiwi"]);
    replica.unfollow(slow);
    assert_eq!(replica.contradiction(), None);
}

#[test]
fn a_follower_that_does_not_drain_begins_anew_and_holds_up_a_bounded_number_of_slots() {
    let (replica, mut mirror) = (forgetful(), Mirror::default());
    let [slow, swift] = [NEWS, NEWS].map(|following| follow(&replica, following));
    let shard = shard_index(b"kiwi");
    let mut most = 0;
    for round in 0..3 * REMOVED_WAITING_MIN as u64 {
        let now_ns = NOW_NS + round * 10 * SECOND_NS;
        tell(&replica, "kiwi", now_ns);
        assert_eq!(replica.sweep(now_ns + 5 * SECOND_NS, usize::MAX / 2), 1);
        most = most.max(replica.waiting_len(&slow, shard));
        let told = replica.drain(&swift, 10, |_| ());
        assert!(told, "a swift follower has little to take");
    }
    assert_eq!(replica.contradiction(), None);
    assert!((REMOVED_WAITING_MIN..=REMOVED_WAITING_MIN + 2).contains(&most), "{most} entries");
    assert_eq!(replica.waiting_len(&slow, shard), 0, "it has lost its queue");
    tell(&replica, "kiwi", u64::MAX / 4);
    while !replica.drain(&slow, 10, |told| mirror.take(told)) {}
    assert_eq!(
        (&mirror.told[..], &mirror.held),
        (&["anew".to_owned(), "kiwi".to_owned()][..], &held(&replica))
    );
}

#[test]
fn a_follower_that_fails_while_it_is_told_leaves_reports_alone_and_gives_its_place_back() {
    let (replica, mut mirror) = (forgetful(), Mirror::default());
    let other = follow(&replica, NEWS);
    for following in [ALL, NEWS] {
        let failing = follow(&replica, following);
        tell(&replica, "kiwi", NOW_NS);
        let drain = || replica.drain(&failing, FOLLOWER_BITE_MAX, |_| panic!("a fault of its own"));
        assert!(catch_unwind(AssertUnwindSafe(drain)).is_err());
        tell(&replica, "kiwi", NOW_NS + 1);
        assert_eq!(replica.sweep(LATER_NS, 1000), 1);
        tell(&replica, "kiwi", NOW_NS);
        replica.unfollow(failing);
        assert_eq!(replica.contradiction(), None);
        assert_eq!(mirror.drain(&replica, &other), ["no kiwi", "kiwi"]);
        assert_eq!(mirror.held, held(&replica));
        assert_eq!(replica.sweep(LATER_NS, 1000), 1);
        assert_eq!(mirror.drain(&replica, &other), ["no kiwi"]);
    }
}

#[test]
fn a_follower_is_woken_when_it_has_something_and_does_not_know() {
    let replica = forgetful();
    let woken = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&woken);
    let wake = move || {
        count.fetch_add(1, SeqCst);
    };
    let follower = replica.follow(NEWS, wake).unwrap();
    assert_eq!(woken.load(SeqCst), 1, "it looks once");
    assert!(replica.drain(&follower, 1, |_| ()));
    for (later_ns, name) in (0..).zip(["kiwi", "kiwi", "apple", "pear"]) {
        tell(&replica, name, NOW_NS + later_ns);
        assert_eq!(woken.load(SeqCst), 2, "{name}");
    }
    while !replica.drain(&follower, 1, |_| ()) {}
    assert!(!replica.is_ready_for(&follower));
    assert_eq!((replica.sweep(LATER_NS, 100), woken.load(SeqCst)), (3, 3), "what is removed wakes it");
    assert!(replica.is_ready_for(&follower));
}

#[test]
fn there_is_room_for_so_many_followers_and_for_another_when_one_has_gone() {
    let replica = replica("Riley");
    let mut followers: Vec<_> = (0..FOLLOWERS_MAX).map(|_| follow(&replica, ALL)).collect();
    assert!(replica.follow(ALL, || ()).is_none());
    tell(&replica, "kiwi", NOW_NS);
    let mut gone = Mirror::default();
    assert_eq!(gone.drain(&replica, &followers[3]), ["kiwi"]);
    tell(&replica, "kiwi", NOW_NS + 1);
    replica.unfollow(followers.remove(3));
    assert_eq!(replica.contradiction(), None);
    let next = follow(&replica, NEWS);
    assert_eq!(
        Mirror::default().drain(&replica, &next),
        [""; 0],
        "what waited for the last one is not told to it"
    );
}

/// A disk, and the replies that wait for it.
#[derive(Default)]
struct Journal {
    disk: Mirror,
    /// Replies by the position from which on they may be released, and what each promises.
    waiting: Vec<(Position, Key, u64)>,
    released: BTreeMap<Key, u64>,
}

impl Journal {
    fn hold(&mut self, offer: &Offer<'_>, at_ns: u64) {
        let key = (Kind::CLIENT, offer.report.client.as_bytes().to_vec());
        self.waiting.push((offer.position().unwrap(), key, at_ns));
    }

    /// Writes a bite to the disk, and releases replies. Each promises that the disk has its report.
    fn write(&mut self, replica: &Replica, follower: &FollowerId, most: usize) -> bool {
        let is_all = replica.drain(follower, most, |told| self.disk.take(told));
        let covered = self.disk.covered;
        let is_covered = |position: &Position| position.seq <= covered[position.shard];
        let (go, stay): (Vec<_>, _) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(position, ..)| is_covered(position));
        self.waiting = stay;
        for (_, key, at_ns) in go {
            let on_disk = self.disk.held.get(&key).map(|(seen, ..)| seen.received_ns());
            assert!(on_disk >= Some(at_ns), "{key:?} was acknowledged at {at_ns}, on disk is {on_disk:?}");
            self.released.insert(key, at_ns);
        }
        is_all
    }
}

#[test]
fn a_journal_holds_replies_until_what_they_promise_is_written() {
    let (replica, mut journal) = (replica("Riley"), Journal::default());
    let follower = follow(&replica, ALL);
    let mut clock_ns = NOW_NS;
    let _ = replica.mend(clock_ns);
    for round in 0..400u64 {
        let names: Vec<_> =
            (0..8).map(|number| format!("client-{}", (round * 7 + number * 13) % 90)).collect();
        clock_ns += 1;
        let mut offers: Vec<_> =
            names.iter().map(|name| Offer::new(report(name.as_bytes(), clock_ns))).collect();
        let _ = replica.report_all(clock_ns, &mut offers);
        offers.iter().for_each(|offer| journal.hold(offer, clock_ns));
        // It never catches up, and its bites end anywhere; positions still advance.
        let _ = journal.write(&replica, &follower, 1 + round as usize % 9);
        if round == 200 {
            // The server begins a new incarnation, and sequences begin anew.
            let before = replica.origin();
            clock_ns += 2 * ABSENCE_NS;
            let _ = replica.mend(clock_ns);
            assert_ne!(replica.origin(), before);
        }
    }
    assert!(journal.released.len() > 50, "{} replies have left under load", journal.released.len());
    while !journal.write(&replica, &follower, 5) {}
    assert!(journal.waiting.is_empty(), "{:?} wait for ever", journal.waiting);
    assert_eq!(journal.disk.covered, std::array::from_fn(|shard| replica.changes(shard)));
}

#[test]
fn a_follower_that_never_catches_up_is_told_how_far_it_is_all_the_same() {
    let (replica, mut mirror) = (replica("Riley"), Mirror::default());
    let follower = follow(&replica, NEWS);
    let all = (0..).map(|number| format!("client-{number}"));
    let names: Vec<_> = all.filter(|name| shard_index(name.as_bytes()) == 0).take(50).collect();
    let (mut now_ns, mut positions) = (NOW_NS, Vec::new());
    for turn in names.iter().cycle().take(1000).collect::<Vec<_>>().chunks(10) {
        for name in turn {
            now_ns += 1;
            tell(&replica, name, now_ns);
        }
        let is_all = replica.drain(&follower, 9, |told| mirror.take(told));
        assert!(!is_all, "ten come and nine go");
        if positions.last() != Some(&mirror.covered[0]) {
            positions.push(mirror.covered[0]);
        }
    }
    assert!(positions.len() > 10 && positions.last() > Some(&800), "{positions:?}");
    assert_eq!(replica.contradiction(), None);
}

#[test]
fn records_that_come_from_a_neighbor_and_those_of_other_kinds_are_told_too() {
    let (riley, jaquez, mut mirror) = (replica("Riley"), replica("Jaquez"), Mirror::default());
    tell(&jaquez, "kiwi", NOW_NS);
    let _ = jaquez.tell(NOW_NS, Kind(200), b"fence", 0, b"here");
    let follower = follow(&riley, NEWS);
    let (mut one, mut other) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    settle(&mut one, &mut other);
    let mut told = mirror.drain(&riley, &follower);
    told.sort();
    assert_eq!(told, ["fence", "kiwi"]);
    let changes: Vec<u64> = (0..SHARDS).map(|shard| riley.changes(shard)).collect();
    assert_eq!((mirror.covered.to_vec(), changes.iter().sum::<u64>()), (changes, 2));
    assert!((0..SHARDS).all(|shard| riley.issued(shard) == 0), "the neighbor has issued both");
}

/// What happens to a replica that is followed.
#[derive(Clone, Debug)]
enum Step {
    Report(u8),
    ReportElsewhere(u8),
    Forget(u8),
    Data(u8, u32),
    Sweep(u8),
    Settle,
    /// The server looks at its clock, after a pause that may make it begin a new incarnation.
    Mend(bool),
    Pass(u64),
    /// The place, and whether the follower begins with all that is held, wants removals, and wants only some records.
    Join(u8, bool, bool, bool),
    Leave(u8),
    Drain(u8, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..12u8).prop_map(Step::Report),
        4 => (0..12u8).prop_map(Step::ReportElsewhere),
        1 => (0..12u8).prop_map(Step::Forget),
        1 => (0..3u8, 1..9u32).prop_map(|(key, keep_s)| Step::Data(key, keep_s)),
        4 => (0..8u8).prop_map(Step::Sweep),
        2 => Just(Step::Settle),
        1 => any::<bool>().prop_map(Step::Mend),
        4 => (0..4 * SECOND_NS).prop_map(Step::Pass),
        2 => (0..4u8, any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(at, all, removed, some)| Step::Join(at, all, removed, some)),
        1 => (0..4u8).prop_map(Step::Leave),
        6 => (0..4u8, 0..9u8).prop_map(|(at, most)| Step::Drain(at, most)),
    ];
    prop::collection::vec(step, 1..250)
}

/// Wants the records whose time is odd. So most changes lead to or from a record that is wanted.
#[derive(Debug)]
struct Odd;

impl Interest for Odd {
    fn wants(&self, record: &Record<'_>) -> bool {
        record.timestamp.nanos() % 2 == 1
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_follower_that_has_taken_all_holds_what_the_map_holds(steps in steps()) {
        let [riley, jaquez] = ["Riley", "Jaquez"].map(|server| Replica::new(ReplicaSettings {
            client_ttl_ns: Some(5 * SECOND_NS),
            clock_offset_max_ns: SECOND_NS,
            ..settings(server)
        }));
        let (mut one, mut other) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
        let mut followers: [Option<(FollowerId, Following, bool, Mirror)>; 4] = Default::default();
        let mut now_ns = NOW_NS;
        let name = |key: u8| format!("client-{key}");
        for step in steps {
            now_ns += 1;
            (one.now_ns, other.now_ns) = (now_ns, now_ns);
            match step {
                Step::Report(key) => drop(riley.report(now_ns, &report(name(key).as_bytes(), now_ns))),
                Step::ReportElsewhere(key) => drop(jaquez.report(now_ns, &report(name(key).as_bytes(), now_ns))),
                Step::Forget(key) => drop(riley.forget(now_ns, client(&name(key)))),
                Step::Data(key, keep_s) => drop(riley.tell(now_ns, Kind(99), name(key).as_bytes(), keep_s, b"x")),
                Step::Sweep(slots) => drop(riley.sweep(now_ns, slots.into())),
                Step::Settle => settle(&mut one, &mut other),
                Step::Mend(is_late) => {
                    now_ns += if is_late { 2 * ABSENCE_NS } else { 0 };
                    let _ = riley.mend(now_ns);
                }
                Step::Pass(pass_ns) => now_ns += pass_ns,
                Step::Join(at, all, wants_removed, some) => {
                    let begins = if all { Begin::WithAllHeld } else { Begin::Now };
                    let following = Following { begins, wants_removed: wants_removed || some };
                    let seat = &mut followers[usize::from(at)];
                    if seat.is_none() {
                        let mut mirror = Mirror::default();
                        if !all {
                            mirror.held = held(&riley);
                        }
                        let odd: Arc<dyn Interest> = Arc::new(Odd);
                        let follower = match some {
                            true => riley.follow_some(begins, &odd, || ()).unwrap(),
                            false => follow(&riley, following),
                        };
                        *seat = Some((follower, following, some, mirror));
                    }
                }
                Step::Leave(at) => if let Some((follower, ..)) = followers[usize::from(at)].take() {
                    riley.unfollow(follower);
                },
                Step::Drain(at, most) => if let Some((follower, .., mirror)) = &mut followers[usize::from(at)] {
                    let _ = riley.drain(follower, most.into(), |told| mirror.take(told));
                },
            }
            prop_assert_eq!(riley.contradiction(), None);
        }
        for (follower, following, some, mirror) in followers.iter_mut().flatten() {
            mirror.drain(&riley, follower);
            let mut held = held(&riley);
            if following.wants_removed {
                // An expired report is held for another second, but it is not shown, and followers may know this.
                let is_shown = |(kind, _): &Key, (seen, ..): &Whole| {
                    *kind != Kind::CLIENT || seen.received_ns() + 5 * SECOND_NS > now_ns
                };
                held.retain(|key, whole| is_shown(key, whole));
                mirror.held.retain(|key, whole| is_shown(key, whole));
            } else {
                mirror.held.retain(|key, _| held.contains_key(key));
            }
            if *some {
                held.retain(|_, (seen, ..)| seen.timestamp.nanos() % 2 == 1);
                mirror.held.retain(|_, (seen, ..)| seen.timestamp.nanos() % 2 == 1);
            }
            prop_assert_eq!(&mirror.held, &held);
        }
    }
}

const PHASES: u64 = 60;
const REPORTERS: u64 = 3;
/// Reports of each reporter in each phase.
const REPORTS: u64 = 500;
/// For how long a woken follower may go on taking.
const WAKE_MAX: Duration = Duration::from_secs(60);

/// What a draining thread shares with the others: whether it was woken, and how far it has come.
#[derive(Default)]
struct Shared {
    is_woken: Mutex<bool>,
    woken: Condvar,
    mirror: Mutex<Mirror>,
    drained: Condvar,
}

#[test]
fn under_real_threads_no_wake_is_lost_and_nothing_is_told_backwards() {
    let replica = replica("Riley");
    let shared = Arc::new(Shared::default());
    let waker = Arc::clone(&shared);
    let wake = move || {
        *waker.is_woken.lock().unwrap() = true;
        waker.woken.notify_one();
    };
    let follower = replica.follow(ALL, wake.clone()).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // It drains only when it is woken.
        scope.spawn(|| {
            while !is_over.load(SeqCst) {
                let is_woken = shared.is_woken.lock().unwrap();
                let mut is_woken = shared.woken.wait_while(is_woken, |is_woken| !*is_woken).unwrap();
                *is_woken = false;
                drop(is_woken);
                let mut mirror = shared.mirror.lock().unwrap();
                while !replica.drain(&follower, 50, |told| {
                    if let FollowerEvent::Record(now) = told
                        && let Some((before, ..)) =
                            mirror.held.get(&(now.record.kind, now.record.key.to_vec()))
                    {
                        assert!(before.received_ns() < now.record.received_ns(), "{now:?} after {before:?}");
                    }
                    mirror.take(told);
                }) {}
                shared.drained.notify_one();
            }
        });
        for phase in 0..PHASES {
            thread::scope(|scope| {
                for reporter in 0..REPORTERS {
                    let replica = &replica;
                    scope.spawn(move || {
                        for number in 0..REPORTS {
                            let at_ns = NOW_NS + (phase * REPORTS + number) * REPORTERS + reporter;
                            let name = format!("client-{}", number % 50);
                            let _ = replica.report(at_ns, &report(name.as_bytes(), at_ns));
                        }
                    });
                }
            });
            let changes: [u64; SHARDS] = std::array::from_fn(|shard| replica.changes(shard));
            let mirror = shared.mirror.lock().unwrap();
            let lags = |mirror: &mut Mirror| mirror.covered != changes;
            let (mirror, late) = shared.drained.wait_timeout_while(mirror, WAKE_MAX, lags).unwrap();
            let is_held = mirror.held == held(&replica);
            drop(mirror);
            if late.timed_out() || !is_held {
                // Otherwise the scope would wait for the thread, which nobody has woken.
                is_over.store(true, SeqCst);
                wake();
            }
            assert!(!late.timed_out(), "phase {phase}: a wake was lost");
            assert!(is_held, "phase {phase}: all is covered, and the mirror is another");
        }
        is_over.store(true, SeqCst);
        wake();
    });
    assert_eq!(replica.contradiction(), None);
}
