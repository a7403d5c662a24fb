//! Replicas that are restored from what an earlier life held: what comes back, what does not, and what neighbors still
//! have to send.

use std::num::NonZeroU32;

use proptest::prelude::*;
use proxyherd_core::{
    flood::{Begin, FollowerEvent, FollowerId, Following, Offered, Restored, Update},
    limits::{FOLLOWER_BITE_MAX, INCARNATIONS_MAX, OWN_LIVES_MAX, SHARDS, TOMBSTONE_TTL_NS},
    replica::{Offer, Replica, ReplicaSettings, shard_index},
    types::{AttributesBuf, ClientId, Kind, Origin, Report},
};

use crate::herd::{
    End, NOW_NS, SECOND_NS, Seen, content, join, link, origin, replica, report, seen, settings, settle,
};

const HOUR_NS: u64 = 3600 * SECOND_NS;
const DAY_NS: u64 = TOMBSTONE_TTL_NS;

/// A life of a server.
fn life(server: &str, incarnation: u64) -> Replica {
    Replica::new(ReplicaSettings { me: origin(server, incarnation), ..settings(server) })
}

fn client(name: &str) -> ClientId<'_> {
    ClientId::new(name.as_bytes()).unwrap()
}

fn tell(replica: &Replica, name: &str, at_ns: u64) {
    assert!(replica.report(at_ns, &report(name.as_bytes(), at_ns)).0.is_taken());
}

fn is_shown(replica: &Replica, now_ns: u64, name: &str) -> bool {
    replica.locate(now_ns, client(name), |held| seen(held).place).is_some_and(|place| !place.is_empty())
}

/// Restores everything that an earlier life held when it ended.
fn load(now_ns: u64, store: &Replica, into: &Replica, alive_until_ns: u64) {
    for shard in 0..SHARDS {
        load_records(now_ns, store, into, shard);
        let mut vector = Vec::new();
        store.for_each_covered(shard, |origin, covered| vector.push((origin.clone(), covered)));
        let _ = into.restore(now_ns, shard, |restoring| assert!(restoring.vector(&vector)));
    }
    let _ = into.restore_end(now_ns, alive_until_ns);
    assert_eq!(into.contradiction(), None);
}

fn load_records(now_ns: u64, store: &Replica, into: &Replica, shard: usize) {
    let more = store.scan_shard(shard, 0, usize::MAX, |held| {
        let _ = into.restore(now_ns, shard, |restoring| {
            let _ = restoring.record(held);
        });
    });
    assert_eq!(more, None);
}

/// Restores one record of an earlier life.
fn restore_one(into: &Replica, now_ns: u64, from: &Replica, name: &str) -> Restored {
    let shard = shard_index(name.as_bytes());
    let mut restored = None;
    let _ = from.scan_shard(shard, 0, usize::MAX, |held| {
        if held.record.key == name.as_bytes() {
            let _ = into.restore(now_ns, shard, |restoring| restored = Some(restoring.record(held)));
        }
    });
    restored.unwrap()
}

/// Moves everything between two ends. Returns the number of records that each has sent.
fn sent(one: &mut End<'_>, other: &mut End<'_>) -> (u64, u64) {
    settle(one, other);
    assert_eq!((one.replica.contradiction(), other.replica.contradiction()), (None, None));
    (one.encoder.records(), other.encoder.records())
}

fn incarnations_of(replica: &Replica, server: &str) -> usize {
    let mut most = 0;
    for shard in 0..SHARDS {
        let mut lives = std::collections::BTreeSet::new();
        let _ = replica.scan_shard(shard, 0, usize::MAX, |held| {
            if held.origin.server.as_str() == server {
                lives.insert(held.origin.incarnation);
            }
        });
        most = most.max(lives.len());
    }
    most
}

#[test]
fn a_restored_server_holds_what_it_held_and_is_sent_only_the_difference() {
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    for number in 0..300 {
        let replica = if number % 2 == 0 { &riley } else { &jaquez };
        tell(replica, &format!("client-{number}"), NOW_NS + number);
    }
    let (mut one, mut other) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    assert_eq!(sent(&mut one, &mut other), (150, 150));
    let _ = jaquez.link_down(link(0));
    for number in 0..7 {
        tell(&jaquez, &format!("client-{number}"), NOW_NS + SECOND_NS);
    }
    let again = life("Riley", 2);
    load(NOW_NS + HOUR_NS, &riley, &again, NOW_NS + SECOND_NS);
    assert_eq!(content(&again), content(&riley));
    for number in 0..5 {
        tell(&again, &format!("new-{number}"), NOW_NS + HOUR_NS);
    }
    let (mut one, mut other) = join(NOW_NS + HOUR_NS, (&again, link(0)), (&jaquez, link(0)));
    assert_eq!(sent(&mut one, &mut other), (5, 7));
    assert_eq!(content(&again), content(&jaquez));
}

#[test]
fn a_server_that_restarts_often_keeps_its_tables_small_and_sends_only_the_difference() {
    let jaquez = replica("Jaquez");
    let in_shard = |life: u64, shard: usize| {
        let mut names = (0..).map(|number| format!("client-{life}-{number}"));
        names.find(|name| shard_index(name.as_bytes()) == shard).unwrap()
    };
    let lives = 3 * INCARNATIONS_MAX as u64 + 8;
    let (mut before, mut issued) = (replica("Riley"), 0);
    for number in 1..=lives {
        let now_ns = NOW_NS + number * HOUR_NS / 60;
        let riley = life("Riley", number + 1);
        load(now_ns, &before, &riley, now_ns);
        let (mut one, mut other) = join(now_ns, (&riley, link(0)), (&jaquez, link(0)));
        assert_eq!(sent(&mut one, &mut other), (0, 0), "life {number}");
        for shard in 0..SHARDS {
            // Riley's record stays for ever. Jaquez's record brings a marker, so Riley is caught up.
            tell(&riley, &in_shard(number, shard), now_ns);
            tell(&jaquez, &in_shard(0, shard), now_ns);
        }
        settle(&mut one, &mut other);
        let _ = (riley.mend(now_ns), jaquez.mend(now_ns));
        issued += sent(&mut one, &mut other).0;
        assert_eq!(content(&riley), content(&jaquez), "life {number}");
        for replica in [&riley, &jaquez] {
            assert!(incarnations_of(replica, "Riley") <= OWN_LIVES_MAX + 1, "life {number}");
        }
        let _ = jaquez.link_down(link(0));
        before = riley;
    }
    let held = lives * SHARDS as u64;
    assert_eq!(before.len(), held + SHARDS as u64);
    assert!((held + 1..4 * held).contains(&issued), "{held} records were issued {issued} times");
}

#[test]
fn a_tombstone_that_expired_while_the_server_was_off_still_wins_over_an_older_record() {
    let (riley, old) = (replica("Riley"), replica("Old"));
    tell(&old, "kiwi", NOW_NS);
    tell(&old, "lime", NOW_NS);
    let (mut one, mut other) = join(NOW_NS, (&riley, link(0)), (&old, link(0)));
    settle(&mut one, &mut other);
    let (_, _) = (riley.forget(NOW_NS + SECOND_NS, client("kiwi")), riley.forget(NOW_NS, client("lime")));
    let _ = old.link_down(link(0));
    // The herd is off for more than a day, except for a server that takes a newer report.
    let now_ns = NOW_NS + HOUR_NS + DAY_NS;
    let again = life("Riley", 2);
    load(now_ns, &riley, &again, NOW_NS + HOUR_NS);
    tell(&old, "lime", now_ns);
    let (mut one, mut other) = join(now_ns, (&again, link(0)), (&old, link(0)));
    settle(&mut one, &mut other);
    for replica in [&again, &old] {
        assert!(!is_shown(replica, now_ns, "kiwi") && is_shown(replica, now_ns, "lime"));
        let tombstone = replica.locate(now_ns, client("kiwi"), |held| {
            (held.origin.clone(), held.record.received_ns(), held.record.version())
        });
        let version = riley.locate(NOW_NS + SECOND_NS, client("kiwi"), |held| held.record.version()).unwrap();
        assert_eq!(tombstone, Some((origin("Riley", 2), now_ns, version)));
    }
    assert_eq!(content(&again), content(&old));
    // Once more a day later it is gone.
    let _ = (again.sweep(now_ns + DAY_NS + HOUR_NS, 1000), old.sweep(now_ns + DAY_NS + HOUR_NS, 1000));
    assert_eq!((again.len(), old.len()), (1, 1));
}

#[test]
fn a_tombstone_that_expired_before_the_server_went_off_is_forgotten() {
    let riley = replica("Riley");
    tell(&riley, "kiwi", NOW_NS);
    let _ = riley.forget(NOW_NS + 1, client("kiwi"));
    let again = life("Riley", 2);
    load(NOW_NS + 3 * DAY_NS, &riley, &again, NOW_NS + 2 * DAY_NS + DAY_NS / 2);
    assert_eq!(again.len(), 0);
}

#[test]
fn a_tombstone_and_an_older_record_of_a_store_may_come_in_any_order() {
    let (before, after) = (replica("Riley"), replica("Riley"));
    for riley in [&before, &after] {
        tell(riley, "kiwi", NOW_NS);
    }
    let _ = after.forget(NOW_NS + 1, client("kiwi"));
    let now_ns = NOW_NS + DAY_NS + HOUR_NS;
    for files in [[&before, &after], [&after, &before]] {
        let again = life("Riley", 2);
        for store in files {
            // A sweep between the files must not forget the tombstone.
            load_records(now_ns, store, &again, shard_index(b"kiwi"));
            let _ = again.sweep(now_ns + HOUR_NS, 1000);
        }
        let _ = again.restore_end(now_ns, NOW_NS + HOUR_NS);
        assert!(!is_shown(&again, now_ns, "kiwi"));
        assert_eq!(again.len(), 1, "the tombstone is held for another day");
    }
}

#[test]
fn a_herd_that_comes_back_with_clocks_that_were_put_back_keeps_what_it_held() {
    let (riley, jaquez) = (life("Riley", NOW_NS), life("Jaquez", NOW_NS));
    tell(&riley, "kiwi", NOW_NS);
    tell(&jaquez, "mango", NOW_NS);
    let (mut one, mut other) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    settle(&mut one, &mut other);
    let now_ns = NOW_NS - 2 * DAY_NS;
    let again = [("Riley", &riley), ("Jaquez", &jaquez)].map(|(name, store)| {
        let again = life(name, now_ns);
        load(now_ns, store, &again, NOW_NS);
        let _ = again.mend(now_ns);
        let _ = again.trust_clock(link(0), now_ns);
        assert_eq!(again.contradiction(), None);
        again
    });
    let (mut one, mut other) = join(now_ns, (&again[0], link(0)), (&again[1], link(0)));
    settle(&mut one, &mut other);
    for replica in &again {
        for name in ["kiwi", "mango"] {
            assert!(is_shown(replica, now_ns, name), "{name} at {:?}", replica.origin());
            assert!(is_shown(replica, NOW_NS, name), "also when the clock is right again");
        }
        assert_eq!(replica.contradiction(), None);
    }
    assert_eq!(content(&again[0]), content(&again[1]));
}

#[test]
fn tombstones_of_an_old_store_that_expire_soon_are_issued_again_when_they_expire() {
    let riley = replica("Riley");
    tell(&riley, "kiwi", NOW_NS);
    let _ = riley.forget(NOW_NS + 1, client("kiwi"));
    let (again, now_ns) = (life("Riley", 2), NOW_NS + DAY_NS - HOUR_NS / 2);
    load(now_ns, &riley, &again, NOW_NS + SECOND_NS);
    let received =
        |replica: &Replica, now_ns| replica.locate(now_ns, client("kiwi"), |held| held.record.received_ns());
    assert_eq!(received(&again, now_ns), Some(NOW_NS + 1));
    let later_ns = now_ns + HOUR_NS * 3 / 4;
    let _ = again.sweep(later_ns, 1000);
    assert_eq!(received(&again, later_ns), Some(later_ns));
    let _ = again.sweep(later_ns + DAY_NS + HOUR_NS, 1000);
    assert_eq!(again.len(), 0, "it is issued again once");
    assert_eq!(again.contradiction(), None);
}

#[test]
fn a_revoked_token_stays_revoked_whatever_an_older_store_says() {
    const VALID: &[u8] = b"\x01\x00";
    const REVOKED: &[u8] = b"\x01\x01";
    let (valid, riley) = (replica("Riley"), life("Riley", 2));
    let _ = riley.tell(NOW_NS, Kind::TOKEN, b"aaaaaaaaaaaaa", 0, REVOKED);
    let revoked = riley.find(NOW_NS, Kind::TOKEN, b"aaaaaaaaaaaaa", |held| held.record.is_revocation());
    assert_eq!(revoked, Some(true));
    assert_eq!(valid.tell(NOW_NS + HOUR_NS, Kind::TOKEN, b"aaaaaaaaaaaaa", 0, VALID).0, Offered::Inserted);
    assert_eq!(restore_one(&riley, NOW_NS + HOUR_NS, &valid, "aaaaaaaaaaaaa"), Restored::Stale);
    // The other way round, the revocation of the store wins.
    assert_eq!(restore_one(&valid, NOW_NS + HOUR_NS, &riley, "aaaaaaaaaaaaa"), Restored::Kept);
}

#[test]
fn a_record_from_the_future_gives_way_again_to_what_replaced_it_when_the_clock_was_put_back() {
    let (riley, again, shard) = (replica("Riley"), life("Riley", 2), shard_index(b"kiwi"));
    let wrong_ns = NOW_NS + HOUR_NS;
    tell(&riley, "kiwi", wrong_ns);
    load_records(NOW_NS, &riley, &again, shard);
    tell(&riley, "kiwi", NOW_NS);
    load_records(NOW_NS, &riley, &again, shard);
    let mut counts = true;
    let _ = again.restore(NOW_NS, shard, |restoring| counts = restoring.vector(&[(origin("Riley", 1), 2)]));
    assert!(!counts, "what the first record had replaced may be missing");
    // Also when the time at which the first record claims to have been received has passed.
    let now_ns = wrong_ns + HOUR_NS;
    let _ = again.restore_end(now_ns, NOW_NS);
    assert_eq!(again.locate(now_ns, client("kiwi"), |held| held.record.received_ns()), Some(NOW_NS));
    assert_eq!(again.contradiction(), None);
}

#[test]
fn an_older_record_that_comes_again_behind_a_snapshot_does_not_win() {
    let (riley, again, shard) = (replica("Riley"), life("Riley", 2), shard_index(b"kiwi"));
    let older = replica("Riley");
    for riley in [&older, &riley] {
        tell(riley, "kiwi", NOW_NS);
    }
    tell(&riley, "kiwi", NOW_NS + HOUR_NS);
    load_records(NOW_NS + HOUR_NS, &riley, &again, shard);
    assert_eq!(restore_one(&again, NOW_NS + HOUR_NS, &older, "kiwi"), Restored::Stale);
    let _ = again.restore(NOW_NS, shard, |restoring| assert!(restoring.vector(&[(origin("Riley", 1), 2)])));
}

#[test]
fn a_removal_takes_the_record_back_and_the_vector_counts_only_if_the_key_came_again() {
    let (store, shard) = (replica("Jaquez"), shard_index(b"kiwi"));
    tell(&store, "kiwi", NOW_NS);
    let vector = [(origin("Jaquez", 1), 1)];
    for comes_again in [false, true] {
        let riley = replica("Riley");
        load_records(NOW_NS, &store, &riley, shard);
        let _ = riley.restore(NOW_NS, shard, |restoring| restoring.removed(Kind::CLIENT, b"kiwi"));
        assert_eq!(riley.len(), 0);
        if comes_again {
            load_records(NOW_NS, &store, &riley, shard);
        }
        let mut counts = false;
        let _ = riley.restore(NOW_NS, shard, |restoring| counts = restoring.vector(&vector));
        assert_eq!(counts, comes_again);
        let mut covered = Vec::new();
        riley.for_each_covered(shard, |origin, seq| covered.push((origin.clone(), seq)));
        assert_eq!(covered, if comes_again { vector.to_vec() } else { vec![] });
    }
}

#[test]
fn a_late_restore_changes_nothing_newer_and_reaches_the_neighbors() {
    let (before, riley, jaquez) = (replica("Riley"), life("Riley", 2), replica("Jaquez"));
    for name in ["kiwi", "lime", "fig"] {
        tell(&before, name, NOW_NS);
    }
    let (mut one, mut other) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    for name in ["kiwi", "plum"] {
        tell(&riley, name, NOW_NS + SECOND_NS);
    }
    settle(&mut one, &mut other);
    for shard in 0..SHARDS {
        load_records(NOW_NS + SECOND_NS, &before, &riley, shard);
    }
    let _ = riley.restore(NOW_NS, shard_index(b"kiwi"), |restoring| {
        restoring.removed(Kind::CLIENT, b"kiwi");
    });
    let _ = riley.restore_end(NOW_NS + SECOND_NS, NOW_NS);
    settle(&mut one, &mut other);
    assert_eq!(content(&riley), content(&jaquez));
    let names: Vec<_> = content(&jaquez).into_iter().map(|it| (it.key.clone(), it.received_ns())).collect();
    let at = |name: &str, at_ns| (name.as_bytes().to_vec(), at_ns);
    let later_ns = NOW_NS + SECOND_NS;
    assert_eq!(names, [at("fig", NOW_NS), at("kiwi", later_ns), at("lime", NOW_NS), at("plum", later_ns)]);
}

/// A report that is shown for ten seconds and kept for a day.
fn tell_briefly(replica: &Replica, name: &str, stamp_ns: u64, at_ns: u64) {
    let mut attributes = AttributesBuf::default();
    attributes.set_ttl_s(NonZeroU32::new(10).unwrap()).unwrap();
    let report = Report { attributes: attributes.borrow(), ..report(name.as_bytes(), stamp_ns) };
    assert!(replica.report(at_ns, &report).0.is_taken());
}

#[test]
fn a_report_that_is_sent_again_when_it_has_expired_comes_back_as_it_was_taken_last() {
    let (riley, jaquez, again) = (replica("Riley"), replica("Jaquez"), life("Riley", 2));
    let (shard, now_ns) = (shard_index(b"kiwi"), NOW_NS + DAY_NS + HOUR_NS);
    let received = |replica: &Replica| {
        let mut received = None;
        replica.for_each(|held| received = Some((held.origin.server.clone(), held.record.received_ns())));
        received
    };
    for files in [[&riley, &jaquez], [&jaquez, &riley]] {
        for (replica, at_ns) in [(&riley, NOW_NS), (&jaquez, now_ns)] {
            if replica.is_empty() {
                tell_briefly(replica, "kiwi", NOW_NS, at_ns);
            }
        }
        // Each report has expired when the other came, or before, and none has been swept.
        files.iter().for_each(|store| load_records(now_ns, store, &again, shard));
        let _ = again.restore_end(now_ns, now_ns);
        assert_eq!(received(&again), received(&jaquez));
        let _ = again.sweep(now_ns, 1000);
        assert_eq!(again.len(), 1);
    }
}

#[test]
fn what_an_expired_report_of_an_old_store_ends_does_not_stay_at_the_neighbors() {
    let (before, riley, jaquez) = (replica("Riley"), life("Riley", 2), replica("Jaquez"));
    let (shard, now_ns) = (shard_index(b"kiwi"), NOW_NS + DAY_NS + HOUR_NS);
    let (mut one, mut other) = join(now_ns, (&riley, link(0)), (&jaquez, link(0)));
    // A shard with changes is restored late.
    let mut names = (0..).map(|number| format!("plum-{number}"));
    tell(&riley, &names.find(|name| shard_index(name.as_bytes()) == shard).unwrap(), now_ns);
    settle(&mut one, &mut other);
    tell(&before, "kiwi", NOW_NS);
    load_records(now_ns, &before, &riley, shard);
    settle(&mut one, &mut other);
    assert!(is_shown(&jaquez, now_ns, "kiwi"));
    tell_briefly(&before, "kiwi", NOW_NS + 1, NOW_NS + 1);
    load_records(now_ns, &before, &riley, shard);
    let _ = riley.restore_end(now_ns, NOW_NS + 1);
    let _ = riley.sweep(now_ns, 1000);
    settle(&mut one, &mut other);
    for replica in [&riley, &jaquez] {
        assert!(!is_shown(replica, now_ns, "kiwi"));
    }
    assert_eq!(content(&riley), content(&jaquez));
}

#[test]
fn a_record_under_the_present_incarnation_becomes_the_next_own_update_and_its_vector_does_not_count() {
    let (before, riley, shard) = (replica("Riley"), replica("Riley"), shard_index(b"kiwi"));
    (0..9).for_each(|later| tell(&before, "kiwi", NOW_NS + later));
    assert_eq!(restore_one(&riley, NOW_NS + 9, &before, "kiwi"), Restored::Kept);
    let _ = riley.restore(NOW_NS, shard, |restoring| assert!(restoring.vector(&[(origin("Riley", 1), 9)])));
    let mut covered = Vec::new();
    riley.for_each_covered(shard, |origin, seq| covered.push((origin.clone(), seq)));
    assert_eq!(covered, [(origin("Riley", 1), 1)]);
    assert_eq!(riley.issued(shard), 1);
}

#[test]
fn what_has_expired_or_belongs_elsewhere_is_not_restored() {
    let short = || Replica::new(ReplicaSettings { client_ttl_ns: Some(HOUR_NS), ..settings("Riley") });
    let (before, riley) = (replica("Riley"), short());
    tell(&before, "kiwi", NOW_NS);
    assert_eq!(restore_one(&riley, NOW_NS + 2 * HOUR_NS, &before, "kiwi"), Restored::Stale);
    let other = (shard_index(b"kiwi") + 1) % SHARDS;
    let _ = before.scan_shard(shard_index(b"kiwi"), 0, 10, |held| {
        let _ = riley.restore(NOW_NS, other, |restoring| {
            assert_eq!(restoring.record(held), Restored::Impossible);
        });
    });
    assert_eq!(riley.len(), 0);
}

/// The journal of a follower: everything that it was sent, in order.
#[derive(Debug, Default)]
struct Journal {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
enum Entry {
    Record(usize, Box<(Seen, Origin, u64)>),
    Removed(usize, Kind, Vec<u8>),
    /// Covers everything before it, up to this position.
    Covered(usize, u64, Option<Vec<(Origin, u64)>>),
}

impl Journal {
    fn take(&mut self, told: FollowerEvent<'_>) {
        self.entries.push(match told {
            // These followers begin with nothing, and take everything soon enough.
            FollowerEvent::Anew { .. } => panic!("a journal lost its queue"),
            FollowerEvent::Record(held) | FollowerEvent::Hidden(held) => Entry::Record(
                shard_index(held.record.key),
                Box::new((seen(held), held.origin.clone(), held.seq)),
            ),
            FollowerEvent::Removed { kind, key } => Entry::Removed(shard_index(key), kind, key.to_vec()),
            FollowerEvent::Covered { position, vector } => {
                let vector = vector.map(|vector| {
                    let mut entries = Vec::new();
                    vector.for_each(|origin, covered| entries.push((origin.clone(), covered)));
                    entries
                });
                Entry::Covered(position.shard, position.seq, vector)
            }
        });
    }

    /// Restores the first `len` entries.
    fn restore(&self, len: usize, now_ns: u64, into: &Replica) {
        let mut vectors = vec![Vec::new(); SHARDS];
        for entry in &self.entries[..len] {
            match entry {
                Entry::Record(shard, whole) => {
                    let (seen, origin, seq) = &**whole;
                    seen.record(|record| {
                        let _ = into.restore(now_ns, *shard, |restoring| {
                            let _ = restoring.record(Update { record: *record, origin, seq: *seq });
                        });
                    });
                }
                Entry::Removed(shard, kind, key) => {
                    let _ = into.restore(now_ns, *shard, |restoring| restoring.removed(*kind, key));
                }
                Entry::Covered(shard, _, Some(vector)) => vectors[*shard].clone_from(vector),
                Entry::Covered(_, _, None) => {}
            }
        }
        for (shard, vector) in vectors.iter().enumerate() {
            let _ = into.restore(now_ns, shard, |restoring| {
                let _ = restoring.vector(vector);
            });
        }
        let _ = into.restore_end(now_ns, now_ns);
    }

    /// The positions that the first `len` entries cover.
    fn covered(&self, len: usize) -> [u64; SHARDS] {
        let mut positions = [0; SHARDS];
        for entry in &self.entries[..len] {
            if let Entry::Covered(shard, seq, _) = entry {
                positions[*shard] = *seq;
            }
        }
        positions
    }
}

#[test]
fn a_report_whose_own_time_has_passed_is_journaled_and_still_keeps_older_reports_out_after_a_restart() {
    let (riley, mut journal) = (replica("Riley"), Journal::default());
    let follower = Herd::follow(&riley);
    tell_briefly(&riley, "kiwi", NOW_NS, NOW_NS);
    // The journal is slow: it has not taken the report when the report's time has passed.
    let now_ns = NOW_NS + 20 * SECOND_NS;
    let _ = riley.sweep(now_ns, 1000);
    assert!(riley.drain(&follower, FOLLOWER_BITE_MAX, |told| journal.take(told)));
    let again = life("Riley", 2);
    journal.restore(journal.entries.len(), now_ns, &again);
    assert!(!is_shown(&again, now_ns, "kiwi"));
    assert_eq!(content(&again), content(&riley));
    assert!(!again.report(now_ns, &report(b"kiwi", NOW_NS - SECOND_NS)).0.is_taken());
}

/// What happens to three servers in a row: Riley, which has the journal, Jaquez, and Juzang.
#[derive(Clone, Debug)]
enum Step {
    Report(usize, u8, bool),
    Forget(usize, u8),
    Exchange,
    Drain(usize),
    Sweep,
    /// Riley dies, and its journal keeps this part of what was written since the last cover, of 256.
    Restart(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..3usize, any::<u8>(), any::<bool>()).prop_map(|(at, key, late)| Step::Report(at, key % 24, late)),
        1 => (0..3usize, any::<u8>()).prop_map(|(at, key)| Step::Forget(at, key % 24)),
        2 => Just(Step::Exchange),
        3 => (1..40usize).prop_map(Step::Drain),
        1 => Just(Step::Sweep),
        1 => any::<u8>().prop_map(Step::Restart),
    ];
    proptest::collection::vec(step, 1..120)
}

struct Herd {
    servers: [Replica; 3],
    follower: FollowerId,
    journal: Journal,
    /// The reports that Riley has taken or called stale, and what each promises.
    promised: Vec<(usize, u64, Vec<u8>, u64)>,
    now_ns: u64,
}

impl Herd {
    fn settings(server: &str, incarnation: u64) -> ReplicaSettings {
        let ttl = Some(600 * SECOND_NS);
        ReplicaSettings { me: origin(server, incarnation), client_ttl_ns: ttl, ..settings(server) }
    }

    fn new() -> Herd {
        let servers = ["Riley", "Jaquez", "Juzang"].map(|name| Replica::new(Herd::settings(name, NOW_NS)));
        let follower = Herd::follow(&servers[0]);
        Herd { servers, follower, journal: Journal::default(), promised: Vec::new(), now_ns: NOW_NS }
    }

    fn follow(replica: &Replica) -> FollowerId {
        replica.follow(Following { begins: Begin::Now, wants_removed: true }, || ()).unwrap()
    }

    fn step(&mut self, step: &Step) {
        self.now_ns += 7 * SECOND_NS;
        let now_ns = self.now_ns;
        match step {
            Step::Report(at, key, late) => {
                let name = format!("client-{key}");
                let said_ns = if *late { now_ns - 60 * SECOND_NS } else { now_ns };
                let mut offers = [Offer::new(report(name.as_bytes(), said_ns))];
                let _ = self.servers[*at].report_all(now_ns, &mut offers);
                if let (0, Some(position)) = (at, offers[0].position()) {
                    self.promised.push((position.shard, position.seq, name.into_bytes(), said_ns));
                }
            }
            Step::Forget(at, key) => {
                let _ = self.servers[*at].forget(now_ns, client(&format!("client-{key}")));
            }
            Step::Exchange => self.exchange(),
            Step::Drain(most) => {
                let Herd { servers, follower, journal, .. } = self;
                let _ = servers[0].drain(follower, *most, |told| journal.take(told));
            }
            Step::Sweep => self.sweep(),
            Step::Restart(part) => self.restart(*part),
        }
    }

    fn sweep(&self) {
        for server in &self.servers {
            let _ = server.sweep(self.now_ns, 1000);
        }
    }

    /// Joins the servers, moves everything, and lets the links go down.
    fn exchange(&self) {
        let [riley, jaquez, juzang] = &self.servers;
        let (mut a, mut b) = join(self.now_ns, (riley, link(0)), (jaquez, link(0)));
        let (mut c, mut d) = join(self.now_ns, (jaquez, link(1)), (juzang, link(0)));
        for _ in 0..4 {
            settle(&mut a, &mut b);
            settle(&mut c, &mut d);
        }
        for (server, links) in self.servers.iter().zip([1, 2, 1]) {
            for at in 0..links {
                let _ = server.link_down(link(at));
            }
            assert_eq!(server.contradiction(), None);
        }
    }

    fn restart(&mut self, part: u8) {
        let entries = &self.journal.entries;
        let synced =
            entries.iter().rposition(|entry| matches!(entry, Entry::Covered(..))).map_or(0, |at| at + 1);
        let len = synced + (entries.len() - synced) * usize::from(part) / 256;
        let riley = Replica::new(Herd::settings("Riley", self.now_ns));
        self.journal.restore(len, self.now_ns, &riley);
        assert_eq!(riley.contradiction(), None);
        let covered = self.journal.covered(len);
        for (shard, seq, key, said_ns) in self.promised.drain(..) {
            if seq > covered[shard] {
                continue;
            }
            let held_ns = riley.find(0, Kind::CLIENT, &key, |held| held.record.timestamp.nanos());
            let is_over = said_ns + 600 * SECOND_NS <= self.now_ns;
            assert!(is_over || held_ns >= Some(said_ns), "{:?} was promised", String::from_utf8_lossy(&key));
        }
        // The journal of the next life begins with all that was restored.
        self.journal = Journal::default();
        self.servers[0] = riley;
        let following = Following { begins: Begin::WithAllHeld, wants_removed: true };
        self.follower = self.servers[0].follow(following, || ()).unwrap();
        let Herd { servers, follower, journal, .. } = self;
        let mut take = |told: FollowerEvent<'_>| {
            if !matches!(told, FollowerEvent::Anew { .. }) {
                journal.take(told);
            }
        };
        while !servers[0].drain(follower, FOLLOWER_BITE_MAX, &mut take) {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn a_server_restored_from_its_journal_keeps_what_it_promised_and_the_herd_agrees(steps in steps()) {
        let mut herd = Herd::new();
        for step in &steps {
            herd.step(step);
        }
        herd.step(&Step::Restart(0));
        herd.exchange();
        herd.exchange();
        herd.sweep();
        let [riley, jaquez, juzang] = &herd.servers;
        prop_assert_eq!(content(riley), content(jaquez));
        prop_assert_eq!(content(jaquez), content(juzang));
    }
}
