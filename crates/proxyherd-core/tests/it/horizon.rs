//! What servers tell their neighbors about the time before which they have forgotten, and which old stores they object
//! to.

use proxyherd_core::{
    codec::link::Encoder,
    limits::TOMBSTONE_TTL_NS,
    link::HIGHEST,
    replica::{Agreed, Objection, Replica, is_old_store},
    types::ServerName,
};

use crate::herd::{NOW_NS, SECOND_NS, link, replica};

const HOUR_NS: u64 = 3600 * SECOND_NS;
const DAY_NS: u64 = TOMBSTONE_TTL_NS;

/// Agrees on a link between two replicas as servers do. Only what comes first is exchanged.
fn agree(now_ns: u64, one: &Replica, other: &Replica) {
    let agreed = Agreed { version: HIGHEST, has_tree: false };
    let encoders = [(one, other), (other, one)].map(|(replica, neighbor)| {
        let mut encoder = Encoder::default();
        let _ = replica.trust_clock(link(0), now_ns);
        let _ = replica.agree(link(0), &neighbor.me().server, agreed, &mut encoder);
        encoder
    });
    for (replica, encoder) in [(one, &encoders[1]), (other, &encoders[0])] {
        hear(now_ns, replica, encoder);
    }
}

fn hear(now_ns: u64, replica: &Replica, encoder: &Encoder) {
    let mut incoming = proxyherd_core::link::Incoming::new(link(0)).with_version(HIGHEST);
    let taken = incoming.receive(replica, now_ns, encoder.bytes(), &mut Default::default()).unwrap();
    assert_eq!(taken, encoder.len());
}

#[test]
fn a_store_is_old_an_hour_before_the_herd_forgets_what_it_has_forgotten() {
    assert!(!is_old_store(NOW_NS, NOW_NS - 23 * HOUR_NS + 1));
    assert!(is_old_store(NOW_NS, NOW_NS - 23 * HOUR_NS));
    assert!(!is_old_store(NOW_NS, NOW_NS + HOUR_NS), "a clock that was set back does not make a store old");
}

#[test]
fn a_server_that_has_just_started_objects_to_no_store() {
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    assert_eq!(riley.objection(), Objection::default());
    assert!(!riley.objection().is_complete(), "nobody has been asked");
    agree(NOW_NS, &riley, &jaquez);
    let objection = riley.objection();
    assert!(objection.is_complete() && !objection.is_to(1), "{objection:?}");
    let _ = riley.link_down(link(0));
    assert_eq!(riley.objection(), Objection::default());
}

#[test]
fn a_neighbor_of_an_earlier_version_never_tells_its_horizon() {
    let riley = replica("Riley");
    let mut encoder = Encoder::default();
    let neighbor = ServerName::new("Jaquez").unwrap();
    let _ = riley.agree(link(0), &neighbor, Agreed { version: 1, has_tree: false }, &mut encoder);
    assert!(!riley.objection().is_complete());
}

#[test]
fn who_has_run_for_a_day_objects_to_stores_of_an_earlier_time_and_who_has_asked_objects_too() {
    let (riley, jaquez, juzang) = (replica("Riley"), replica("Jaquez"), replica("Juzang"));
    // A clock that jumps shows no time for which the server has run.
    let _ = (riley.mend(NOW_NS - 400 * DAY_NS), riley.mend(NOW_NS));
    assert_eq!(riley.horizon_ns(NOW_NS), 0);
    for look in 1..=DAY_NS / (30 * SECOND_NS) + 2 {
        let _ = riley.mend(NOW_NS + look * 30 * SECOND_NS);
    }
    let now_ns = NOW_NS + DAY_NS + 60 * SECOND_NS;
    assert_eq!(riley.horizon_ns(now_ns), now_ns - DAY_NS);
    agree(now_ns, &riley, &jaquez);
    assert!(jaquez.objection().is_to(now_ns - DAY_NS - 1) && !jaquez.objection().is_to(now_ns - DAY_NS));
    agree(now_ns, &jaquez, &juzang);
    assert!(juzang.objection().is_to(now_ns - DAY_NS - 1));
}

#[test]
fn who_has_loaded_an_old_store_objects_only_to_stores_of_a_day_before_and_tells_so_with_the_next_heartbeat() {
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    agree(NOW_NS, &riley, &jaquez);
    let alive_until_ns = NOW_NS - 3 * DAY_NS;
    riley.set_horizon(NOW_NS, alive_until_ns);
    let mut encoder = Encoder::default();
    riley.write_heartbeat(link(0), NOW_NS, &mut encoder);
    hear(NOW_NS, &jaquez, &encoder);
    let objection = jaquez.objection();
    assert!(!objection.is_to(alive_until_ns) && objection.is_to(alive_until_ns - DAY_NS - 1));
    // A younger store is loaded without asking. After that, tombstones of the store expire as usual.
    riley.set_horizon(NOW_NS, NOW_NS - HOUR_NS);
    assert_eq!(riley.horizon_ns(NOW_NS), NOW_NS - DAY_NS);
}

#[test]
fn a_horizon_that_no_honest_server_tells_counts_as_the_latest_possible_one() {
    let riley = replica("Riley");
    let mut encoder = Encoder::default();
    encoder.horizon(u64::MAX);
    hear(NOW_NS, &riley, &encoder);
    assert_eq!(riley.objection().before_ns, NOW_NS + 60 * SECOND_NS - DAY_NS);
}
