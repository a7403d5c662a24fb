//! Compaction keeps the store small, loses nothing, and leaves nothing that was forgotten.

use super::*;
use crate::limits::{
    COMPACTION_PAUSE_NS, REMOVED_WAITING_MIN, STORE_FORGETS_NS, STORE_SLACK_LEN, STORE_SLACK_LEN_MAX,
};

/// The bytes of all files together.
fn all_bytes(disk: &MemoryDisk) -> Vec<u8> {
    disk.list().unwrap().iter().flat_map(|(name, _)| disk.read(name).unwrap()).collect()
}

fn holds(disk: &MemoryDisk, text: &str) -> bool {
    memchr::memmem::find(&all_bytes(disk), text.as_bytes()).is_some()
}

#[test]
fn the_disk_stays_within_three_times_the_live_records_under_many_updates() {
    let mut server = Server::new();
    let clients = 30_000;
    let (mut most, mut compactions) = (0, 0);
    for round in 0..30 {
        for client in 0..clients {
            server.report(&format!("client-{client}"));
            if client % 5000 == 0 {
                server.commit();
                if server.journal.is_compaction_due(&server.replica, server.now_ns) {
                    server.compact();
                    compactions += 1;
                }
                if round > 0 {
                    most = most.max(server.disk.used());
                }
            }
        }
    }
    assert!(compactions > 5, "{compactions}");
    server.commit();
    let live = server.compact().record_bytes;
    assert!(most <= 3 * live + STORE_SLACK_LEN, "{most} bytes for {live}");
    assert_eq!(read(&server.disk).0.held, held_by(&server.replica));
}

#[test]
fn a_small_store_is_compacted_again_only_after_a_pause_or_when_it_has_grown_much() {
    let mut server = Server::new();
    server.report("kiwi");
    server.commit();
    let begun_ns = server.now_ns;
    server.compact();
    let grow_to = |server: &mut Server, len: u64| {
        while server.disk.used() <= len {
            (0..1000).for_each(|client| server.report(&format!("client-{client}")));
            server.commit();
        }
    };
    let is_due =
        |server: &Server, later_ns| server.journal.is_compaction_due(&server.replica, begun_ns + later_ns);
    assert!(!is_due(&server, COMPACTION_PAUSE_NS), "the store is small");
    let live_max = 1 << 20;
    grow_to(&mut server, live_max + STORE_SLACK_LEN);
    assert!(!is_due(&server, COMPACTION_PAUSE_NS - 1) && is_due(&server, COMPACTION_PAUSE_NS));
    grow_to(&mut server, live_max + STORE_SLACK_LEN_MAX);
    assert!(is_due(&server, COMPACTION_PAUSE_NS - 1), "however soon that is");
}

#[test]
fn a_crash_at_any_step_of_a_compaction_loses_nothing() {
    let mut server = Server::new();
    for client in 0..3000 {
        server.report(&format!("client-{client}"));
    }
    server.commit();
    server.forget("client-3");
    server.compact();
    let mut compaction = server.journal.begin_compaction(server.now_ns).unwrap();
    for step in 0_u64.. {
        server.report(&format!("client-{}", step * 31 % 3000));
        server.report(&format!("new-{step}"));
        if step % 3 == 0 {
            server.forget(&format!("client-{}", step * 17 % 3000));
        }
        server.commit();
        let (told, recovered) = read(&server.disk);
        assert_eq!((recovered.damage, recovered.torn), (vec![], vec![]), "step {step}");
        assert_eq!(told.held, held_by(&server.replica), "step {step}");
        match compaction.step(&server.replica, server.journal.durable()).unwrap() {
            Progress::More => {}
            Progress::WaitsForJournal => {
                server.now_ns += SECOND_NS;
            }
            Progress::Done(done) => {
                assert!(step > 30, "{step} steps");
                assert!(done.removed_bytes > 0);
                server.journal.compacted(&done);
                break;
            }
        }
    }
    let (told, _) = read(&server.disk);
    assert_eq!(told.held, held_by(&server.replica));
    assert_eq!(segments(&server.disk).len(), 1);
    assert_eq!(server.journal.disk_bytes(), server.disk.used());
}

#[test]
fn a_snapshot_waits_until_the_journal_has_synced_what_it_holds() {
    let mut server = Server::new();
    server.commit();
    let mut compaction = server.journal.begin_compaction(server.now_ns).unwrap();
    server.report("kiwi");
    let durable = *server.journal.durable();
    let mut waits = 0;
    for _ in 0..200 {
        waits += u64::from(compaction.step(&server.replica, &durable).unwrap() == Progress::WaitsForJournal);
    }
    assert!(waits > 0);
    let shard = shard_index(b"kiwi");
    assert!(server.disk.read(&format!("snapshot-{shard}-2")).is_none());
    server.commit();
    let mut last = Progress::More;
    for _ in 0..200 {
        last = compaction.step(&server.replica, server.journal.durable()).unwrap();
        if last != Progress::More {
            break;
        }
    }
    assert!(matches!(last, Progress::Done(_)), "{last:?}");
    assert!(server.disk.read(&format!("snapshot-{shard}-2")).is_some());
}

#[test]
fn a_record_that_loses_its_room_during_a_snapshot_is_not_claimed_by_it_alone() {
    let mut server = Server::new();
    let kind = Kind(200);
    let keys = || (0..).map(|at: u64| format!("key-{at}")).filter(|key| shard_index(key.as_bytes()) == 0);
    let jaquez = Origin { server: ServerName::new("Jaquez").unwrap(), incarnation: 5 };
    let first = keys().next().unwrap();
    let body = crate::types::Body::Data { keep_s: 0, bytes: b"old" };
    let record = Record { kind, body, ..record(first.as_bytes(), server.now_ns) };
    let update = crate::flood::Update { record, origin: &jaquez, seq: 1 };
    let _ = server.replica.restore(server.now_ns, 0, |restoring| {
        assert_eq!(restoring.record(update), crate::flood::Restored::Kept);
        assert!(restoring.vector(&[(jaquez.clone(), 1)]));
    });
    let _ = server.replica.restore_end(server.now_ns, server.now_ns);
    server.commit();
    let mut compaction = server.journal.begin_compaction(server.now_ns).unwrap();
    assert_eq!(compaction.step(&server.replica, server.journal.durable()), Ok(Progress::More));
    let is_held =
        |server: &Server| server.replica.find(server.now_ns, kind, first.as_bytes(), |_| ()).is_some();
    for key in keys().skip(1) {
        server.now_ns += 1_000_000;
        let _ = server.replica.tell(server.now_ns, kind, key.as_bytes(), 0, &[7; 16_000]);
        if !is_held(&server) {
            break;
        }
    }
    let mut whole = Told::default();
    whole.all.push((0, (kind, first.clone().into_bytes()), Some(Whole::of(&update))));
    for _ in 0..50 {
        // A crash drops what the journal has not taken.
        let (told, _) = read(&server.disk);
        check_consistent(&Told { all: vec![], ..told }, &whole, "a snapshot");
        let _ = compaction.step(&server.replica, server.journal.durable()).unwrap();
    }
}

#[test]
fn what_was_forgotten_or_has_expired_is_gone_from_all_files_within_an_hour() {
    let mut server = Server::new();
    server.report("forgotten-client");
    server.report("expired-client");
    server.commit();
    server.compact();
    assert!(holds(&server.disk, "forgotten-client") && holds(&server.disk, "expired-client"));
    assert!(!server.journal.is_compaction_due(&server.replica, server.now_ns + 2 * STORE_FORGETS_NS));
    server.forget("forgotten-client");
    let forgotten_ns = server.now_ns;
    server.commit();
    let mut compactions = 0;
    while server.now_ns < forgotten_ns + 3600 * SECOND_NS {
        server.expire(60 * SECOND_NS);
        server.report("another-client");
        server.commit();
        if server.journal.is_compaction_due(&server.replica, server.now_ns) {
            server.compact();
            compactions += 1;
        }
    }
    assert!((1..=3).contains(&compactions), "{compactions}");
    assert!(!holds(&server.disk, "expired-client"));
    // The key of a client that asked to be forgotten stays, as a tombstone, and nothing else of it does.
    let sink = read(&server.disk).0;
    let of_it = sink.all.iter().filter(|(_, (_, key), _)| key == b"forgotten-client");
    assert!(of_it.clone().count() > 0);
    for (.., whole) in of_it {
        assert!(whole.as_ref().is_some_and(|whole| whole.text.contains("Gone")), "{whole:?}");
    }
}

#[test]
fn what_a_client_had_forgotten_before_it_came_back_at_once_is_gone_too() {
    let mut server = Server::new();
    server.report("kiwi");
    server.commit();
    server.compact();
    let before = held_by(&server.replica);
    // The follower is only sent the second report.
    server.forget("kiwi");
    server.report("kiwi");
    server.now_ns += 10 * SECOND_NS;
    server.commit();
    assert!(
        read(&server.disk)
            .0
            .all
            .iter()
            .all(|(.., whole)| whole.as_ref().is_some_and(|it| !it.text.contains("Gone")))
    );
    let later_ns = server.now_ns + STORE_FORGETS_NS;
    assert!(server.journal.is_compaction_due(&server.replica, later_ns));
    server.compact();
    assert!(
        read(&server.disk)
            .0
            .all
            .iter()
            .all(|(.., whole)| before.values().all(|it| whole.as_ref() != Some(it)))
    );
    assert!(!server.journal.is_compaction_due(&server.replica, later_ns + STORE_FORGETS_NS));
}

#[test]
fn a_follower_that_has_missed_removals_compacts_at_once() {
    let mut server = Server::new();
    let shard = shard_index(b"kiwi");
    server.report("kiwi");
    server.commit();
    let others =
        (0..).map(|at: u64| format!("other-{at}")).filter(|key| shard_index(key.as_bytes()) == shard);
    for other in others.take(REMOVED_WAITING_MIN + 1) {
        server.report(&other);
    }
    server.expire(2 * CLIENT_TTL_NS);
    server.commit();
    assert!(
        server.replica.is_empty()
            && read(&server.disk).0.held.contains_key(&(Kind::CLIENT, b"kiwi".to_vec()))
    );
    assert!(server.journal.is_compaction_due(&server.replica, server.now_ns));
    server.compact();
    assert!(!holds(&server.disk, "kiwi"));
    assert!(!server.journal.is_compaction_due(&server.replica, server.now_ns));
}

#[test]
fn a_restart_does_not_forget_that_something_has_to_go() {
    let mut server = Server::new();
    server.report("kiwi");
    server.forget("kiwi");
    server.commit();
    let forgotten_ns = server.now_ns;
    let (server, recovered) = Server::start(&server.disk, 2, forgotten_ns + SECOND_NS);
    let since_ns = recovered.forgotten_since_ns.unwrap();
    assert!((NOW_NS..=forgotten_ns).contains(&since_ns));
    assert!(!server.journal.is_compaction_due(&server.replica, forgotten_ns + 60 * SECOND_NS));
    assert!(server.journal.is_compaction_due(&server.replica, since_ns + STORE_FORGETS_NS));
}

#[test]
fn a_compaction_that_a_crash_has_ended_is_made_up_for_at_the_next_start() {
    let mut server = Server::new();
    for client in 0..100 {
        server.report(&format!("client-{client}"));
        server.forget(&format!("client-{client}"));
    }
    server.commit();
    let mut compaction = server.journal.begin_compaction(server.now_ns).unwrap();
    // All shards but the last one have a snapshot, and the old segment is still there.
    while server.disk.read("snapshot-14-2").is_none() {
        assert_eq!(compaction.step(&server.replica, server.journal.durable()), Ok(Progress::More));
    }
    let segment = server.disk.read("journal-1").unwrap();
    assert!(memchr::memmem::find(&segment, b"client-7").is_some());
    let (mut server, _) = Server::start(&server.disk, 2, server.now_ns);
    assert!(server.journal.is_compaction_due(&server.replica, server.now_ns));
    server.compact();
    assert!(server.disk.read("journal-1").is_none());
    assert!(!server.journal.is_compaction_due(&server.replica, server.now_ns));
}

#[test]
fn what_expired_while_the_server_was_off_is_gone_half_an_hour_after_its_start() {
    let mut server = Server::new();
    server.report("expired-client");
    server.commit();
    let later_ns = server.now_ns + 3600 * SECOND_NS;
    let (mut server, recovered) = Server::start(&server.disk, 2, later_ns);
    assert_eq!(recovered.forgotten_since_ns, None);
    assert!(server.replica.is_empty() && holds(&server.disk, "expired-client"));
    assert!(server.journal.is_compaction_due(&server.replica, later_ns + STORE_FORGETS_NS));
    server.compact();
    assert!(!holds(&server.disk, "expired-client"));
}

#[test]
fn a_compaction_that_fails_is_tried_again_and_leaves_what_counts() {
    let mut server = Server::new();
    for client in 0..2000 {
        server.report(&format!("client-{client}"));
    }
    server.commit();
    let mut compaction = server.journal.begin_compaction(server.now_ns).unwrap();
    server.disk.set_room(Some(server.disk.used() + 40_000));
    let error = loop {
        match compaction.step(&server.replica, server.journal.durable()) {
            Ok(progress) => assert_eq!(progress, Progress::More),
            Err(error) => break error,
        }
    };
    assert_eq!(error, DiskError::Full);
    server.journal.compaction_failed(&compaction.abort(), server.now_ns);
    assert_eq!(server.journal.disk_bytes(), server.disk.used());
    assert_eq!(read(&server.disk).0.held, held_by(&server.replica));
    server.disk.set_room(None);
    assert!(!server.journal.is_compaction_due(&server.replica, server.now_ns + 9 * SECOND_NS));
    assert!(server.journal.is_compaction_due(&server.replica, server.now_ns + 10 * SECOND_NS));
    let set_back_ns = server.now_ns - 3 * 24 * 3600 * SECOND_NS;
    assert!(
        server.journal.is_compaction_due(&server.replica, set_back_ns),
        "a clock that is set back delays nothing"
    );
    server.journal.room_is_back();
    assert!(server.journal.is_compaction_due(&server.replica, server.now_ns), "now it can be done");
    server.compact();
    assert_eq!(read(&server.disk).0.held, held_by(&server.replica));
    let names = server.disk.list().unwrap();
    assert_eq!(names.len(), SHARDS + 1, "{names:?}");
}
