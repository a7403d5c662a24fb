//! Servers that hold different records: they notice it, and send each other what differs and little else.

use proxyherd_core::{
    codec::link::{Encoder, check::Check},
    flood::{Broken, Rules, Shard, ShardSettings},
    limits::{CHECK_PAUSE, CHECKS_PER_HEARTBEAT, SHARDS},
    replica::{Agreed, Replica, ReplicaSettings},
    types::Kind,
};

use crate::herd::{End, NOW_NS, SECOND_NS, content, join, link, origin, replica, report, settings, settle};

const CLIENTS: usize = 20_000;

/// One heartbeat in each direction, and what follows from it.
fn beat<'m>(now_ns: u64, a: &mut End<'m>, b: &mut End<'m>) {
    for end in [&mut *a, &mut *b] {
        end.now_ns = now_ns;
        end.replica.write_heartbeat(end.link, now_ns, &mut end.encoder);
    }
    settle(a, b);
}

fn agree(replica: &Replica) {
    let agreed = Agreed { version: 2, has_tree: false };
    let _ = replica.agree(link(0), &replica.me().server, agreed, &mut Encoder::default());
}

fn report_all(replica: &Replica) {
    for client in 0..CLIENTS {
        let _ = replica.report(NOW_NS, &report(format!("client-{client}").as_bytes(), NOW_NS));
    }
}

/// A replica that loses some of the records that come.
fn forgetful() -> Replica {
    Replica::new(ReplicaSettings { rules: Rules { broken: Some(Broken::LoseSome) }, ..settings("Jaquez") })
}

#[test]
fn a_difference_is_noticed_and_only_what_differs_is_sent() {
    let (riley, jaquez) = (replica("Riley"), forgetful());
    agree(&riley);
    agree(&jaquez);
    let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    report_all(&riley);
    settle(&mut to_jaquez, &mut to_riley);
    let lost = CLIENTS as u64 - jaquez.len();
    assert!(lost > 500);
    let sent = to_riley.incoming.records() + to_jaquez.incoming.records();
    let mut beats = 0;
    while content(&riley) != content(&jaquez) {
        beats += 1;
        assert!(beats < 100, "{} records are still missing", riley.len() - jaquez.len());
        beat(NOW_NS, &mut to_jaquez, &mut to_riley);
    }
    assert!(riley.root_mismatches() + jaquez.root_mismatches() >= SHARDS as u64);
    let sent = to_riley.incoming.records() + to_jaquez.incoming.records() - sent;
    assert!(sent < 3 * lost, "{sent} records to bring back {lost}");
    // From here on nothing is lost.
    let found = || riley.root_mismatches() + jaquez.root_mismatches();
    let before = found();
    (0..20).for_each(|_| beat(NOW_NS, &mut to_jaquez, &mut to_riley));
    assert_eq!(found(), before);
    assert_eq!((riley.contradiction(), jaquez.contradiction()), (None, None));
}

#[test]
fn a_difference_among_records_of_many_kinds_with_one_key_is_found() {
    let (riley, jaquez) = (replica("Riley"), forgetful());
    agree(&riley);
    agree(&jaquez);
    let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    for thing in 0..200 {
        for kind in 200..206 {
            let _ = riley.tell(NOW_NS, Kind(kind), format!("thing-{thing}").as_bytes(), 0, b"told");
        }
    }
    settle(&mut to_jaquez, &mut to_riley);
    assert!(jaquez.len() < riley.len());
    for _ in 0..100 {
        beat(NOW_NS, &mut to_jaquez, &mut to_riley);
    }
    assert_eq!(jaquez.len(), riley.len());
}

/// An empty shard with a link that is up.
fn linked_shard() -> Shard {
    let mut shard = Shard::new(ShardSettings {
        me: origin("Riley", 1),
        index: 3,
        seed: 7,
        client_ttl_ns: None,
        client_interval_ns: 0,
        report_rules: proxyherd_core::flood::ReportRules::default(),
        clock_offset_max_ns: 0,
        client_index: true,
        rules: Rules::default(),
    });
    let _ = shard.link_up(link(0), &[]);
    while !shard.flush(link(0), &mut Encoder::default(), usize::MAX) {}
    shard
}

#[test]
fn a_server_whose_clock_is_ahead_knows_from_an_equal_sum_that_it_has_been_told_all() {
    let mut shard = linked_shard();
    // By this clock, everything that the neighbor's sum leaves out has expired long ago.
    let from_ns = NOW_NS - 3 * SECOND_NS;
    let mut check = Check { shard: 3, received: 0, from_ns, client_ttl_ns: 0, root: 9 };
    assert!(!shard.check(link(0), NOW_NS, &check, true).0, "an unequal sum says nothing");
    assert!(!shard.is_caught_up());
    check.root = 0;
    assert!(!shard.check(link(0), NOW_NS, &check, true).0);
    assert!(shard.is_caught_up());
}

#[test]
fn after_a_difference_some_checks_pass_to_give_the_repair_time() {
    let mut shard = linked_shard();
    // A neighbor that always holds something else.
    let mut differs = |from_ns: u64| {
        let mut encoder = Encoder::default();
        while !shard.flush(link(0), &mut encoder, usize::MAX) {}
        let check = Check { shard: 3, received: 0, from_ns, client_ttl_ns: 0, root: 9 };
        shard.check(link(0), NOW_NS, &check, true).0
    };
    assert!(!differs(NOW_NS), "what expires now is not compared");
    for _ in 0..3 {
        assert!(differs(NOW_NS + 1));
        assert!((0..CHECK_PAUSE).all(|_| !differs(NOW_NS + 1)));
    }
}

#[test]
fn servers_that_forget_at_different_moments_find_no_difference() {
    let expiring = |server: &str| {
        Replica::new(ReplicaSettings { client_ttl_ns: Some(60 * SECOND_NS), ..settings(server) })
    };
    let (riley, jaquez) = (expiring("Riley"), expiring("Jaquez"));
    agree(&riley);
    agree(&jaquez);
    let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    for second in 0..200 {
        let now_ns = NOW_NS + second * SECOND_NS;
        let client = format!("client-{}", second % 150);
        let _ = riley.report(now_ns, &report(client.as_bytes(), now_ns));
        // Jaquez never sweeps.
        let _ = riley.sweep(now_ns, 1000);
        beat(now_ns, &mut to_jaquez, &mut to_riley);
    }
    assert!(jaquez.len() > riley.len());
    assert_eq!(riley.root_mismatches() + jaquez.root_mismatches(), 0);
}

/// One heartbeat in each direction, where `a`'s clock is ahead by this much.
fn beat_apart<'m>(now_ns: u64, ahead_ns: u64, a: &mut End<'m>, b: &mut End<'m>) {
    (a.now_ns, b.now_ns) = (now_ns + ahead_ns, now_ns);
    for end in [&mut *a, &mut *b] {
        end.replica.write_heartbeat(end.link, end.now_ns, &mut end.encoder);
    }
    settle(a, b);
}

#[test]
fn servers_that_hold_nothing_know_it_soon_however_far_their_clocks_are_apart() {
    for ahead_s in [0, 1, 3, 50] {
        let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
        agree(&riley);
        agree(&jaquez);
        let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
        // One round of all shards, after the heartbeat that shows whose clock is ahead.
        for _ in 0..=SHARDS / CHECKS_PER_HEARTBEAT {
            beat_apart(NOW_NS, ahead_s * SECOND_NS, &mut to_jaquez, &mut to_riley);
        }
        assert!(riley.is_caught_up() && jaquez.is_caught_up(), "{ahead_s} s");
    }
}

#[test]
fn servers_whose_clocks_are_apart_find_no_difference_in_what_one_of_them_has_forgotten() {
    const AHEAD_NS: u64 = 9 * SECOND_NS;
    let expiring = |server: &str| {
        Replica::new(ReplicaSettings { client_ttl_ns: Some(60 * SECOND_NS), ..settings(server) })
    };
    let (riley, jaquez) = (expiring("Riley"), expiring("Jaquez"));
    agree(&riley);
    agree(&jaquez);
    let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    for second in 0..200 {
        let now_ns = NOW_NS + second * SECOND_NS;
        let client = format!("client-{}", second % 150);
        let _ = riley.report(now_ns + AHEAD_NS, &report(client.as_bytes(), now_ns));
        let _ = riley.sweep(now_ns + AHEAD_NS, 1000);
        beat_apart(now_ns, AHEAD_NS, &mut to_jaquez, &mut to_riley);
    }
    assert!(jaquez.len() > riley.len() && riley.is_caught_up() && jaquez.is_caught_up());
    assert_eq!(riley.root_mismatches() + jaquez.root_mismatches(), 0);
}

#[test]
fn heartbeats_show_whose_clock_is_ahead() {
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    agree(&riley);
    agree(&jaquez);
    let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    for _ in 0..3 {
        // Riley's clock is two seconds ahead, and each message takes half a second.
        riley.write_heartbeat(link(0), NOW_NS + 2 * SECOND_NS, &mut to_jaquez.encoder);
        jaquez.write_heartbeat(link(0), NOW_NS, &mut to_riley.encoder);
        (to_jaquez.now_ns, to_riley.now_ns) = (NOW_NS + 5 * SECOND_NS / 2, NOW_NS + SECOND_NS / 2);
        let _ = to_riley.take_from(&mut to_jaquez);
        let _ = to_jaquez.take_from(&mut to_riley);
    }
    assert_eq!(jaquez.clock_offset_ns(link(0)), 3 * SECOND_NS.cast_signed() / 2);
    assert_eq!(riley.clock_offset_ns(link(0)), -3 * SECOND_NS.cast_signed() / 2);
}
