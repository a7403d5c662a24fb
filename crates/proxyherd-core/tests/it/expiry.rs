//! Reports with a time to live of their own.

use std::num::NonZeroU32;

use proxyherd_core::{
    command::{Around, Condition, Limit, Near, Outcome},
    flood::{Begin, FollowerEvent, Following},
    limits::{FOLLOWER_BITE_MAX, TOMBSTONE_TTL_NS},
    places::Point,
    replica::{Effort, Offer, Replica, ReplicaSettings},
    types::{Attributes, AttributesBuf, ClientId, Report},
};

use crate::herd::{NOW_NS, SECOND_NS, content, join, link, replica, report, settings, settle};

const TTL_S: u64 = 10;
const TTL_NS: u64 = TTL_S * SECOND_NS;
const KIWI: &[u8] = b"kiwi";

fn short_lived() -> AttributesBuf {
    let mut attributes = AttributesBuf::default();
    attributes.set_ttl_s(NonZeroU32::new(TTL_S as u32).unwrap()).unwrap();
    attributes
}

/// Reports at a time that is also the server's, with attributes.
fn tell(replica: &Replica, at_ns: u64, attributes: Attributes<'_>) -> Outcome {
    replica.report(at_ns, &Report { attributes, ..report(KIWI, at_ns) }).0
}

/// Whether a client is found by its ID. A search finds the same clients.
fn is_shown(replica: &Replica, now_ns: u64) -> bool {
    let is_found = replica.locate(now_ns, ClientId::new(KIWI).unwrap(), |_| ()).is_some();
    let around = Around::Point(Point::new(34.0, -118.0).unwrap());
    let near = Near { around, radius_m: None, limit: Limit::new(10).unwrap() };
    let near = replica.near(now_ns, &near, Effort::ANY, |_| true).unwrap().unwrap();
    assert_eq!(near.len(), usize::from(is_found), "a search finds the same clients");
    is_found
}

#[test]
fn a_report_is_shown_for_its_own_time_or_the_herds_whichever_is_shorter() {
    for (client_ttl_s, shown_s) in [(None, TTL_S), (Some(60), TTL_S), (Some(5), 5)] {
        let client_ttl_ns = client_ttl_s.map(|ttl_s: u64| ttl_s * SECOND_NS);
        let riley = Replica::new(ReplicaSettings { client_ttl_ns, ..settings("Riley") });
        assert_eq!(tell(&riley, NOW_NS, short_lived().borrow()), Outcome::Added);
        let end_ns = NOW_NS + shown_s * SECOND_NS;
        assert!(is_shown(&riley, end_ns - 1) && !is_shown(&riley, end_ns), "{client_ttl_s:?}");
        assert_eq!(tell(&riley, end_ns, Attributes::NONE), Outcome::Added, "the client is not known");
    }
}

#[test]
fn a_report_without_a_time_to_live_clears_it() {
    let riley = replica("Riley");
    assert_eq!(tell(&riley, NOW_NS, short_lived().borrow()), Outcome::Added);
    assert_eq!(tell(&riley, NOW_NS + 1, Attributes::NONE), Outcome::Moved);
    assert!(is_shown(&riley, NOW_NS + 1000 * TTL_NS));
}

#[test]
fn what_is_no_longer_shown_is_not_known_and_still_wins_over_older_reports() {
    let riley = replica("Riley");
    let _ = tell(&riley, NOW_NS, short_lived().borrow());
    let later_ns = NOW_NS + TTL_NS;
    assert_eq!(riley.report(later_ns, &report(KIWI, NOW_NS - 1)).0, Outcome::Stale);
    for (condition, outcome) in [(Condition::Known, Outcome::Unmet), (Condition::New, Outcome::Added)] {
        let mut offers = [Offer::on(condition, report(KIWI, later_ns))];
        let _ = riley.report_all(later_ns, &mut offers);
        assert_eq!(offers[0].outcome, outcome);
    }
}

#[test]
fn an_older_position_does_not_come_back_from_a_server_that_was_away() {
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    let _ = tell(&jaquez, NOW_NS, Attributes::NONE);
    let _ = tell(&riley, NOW_NS + 1, short_lived().borrow());
    let later_ns = NOW_NS + 1 + TTL_NS;
    let (mut to_jaquez, mut to_riley) = join(later_ns, (&riley, link(0)), (&jaquez, link(0)));
    settle(&mut to_jaquez, &mut to_riley);
    assert_eq!(content(&riley), content(&jaquez));
    assert!(!is_shown(&riley, later_ns) && !is_shown(&jaquez, later_ns));
}

#[test]
fn a_report_is_kept_for_a_day_or_for_its_own_time_or_as_long_as_any_client() {
    let day_s = TOMBSTONE_TTL_NS / SECOND_NS;
    for (own_s, client_ttl_s, kept_s) in
        [(10, None, day_s), (2 * day_s, None, 2 * day_s), (10, Some(100), 100), (200, Some(100), 100)]
    {
        let client_ttl_ns = client_ttl_s.map(|ttl_s| ttl_s * SECOND_NS);
        let settings = ReplicaSettings { client_ttl_ns, clock_offset_max_ns: 0, ..settings("Riley") };
        let riley = Replica::new(settings);
        let mut attributes = AttributesBuf::default();
        attributes.set_ttl_s(NonZeroU32::new(own_s as u32).unwrap()).unwrap();
        let _ = tell(&riley, NOW_NS, attributes.borrow());
        for (later_ns, len) in [(kept_s * SECOND_NS - 1, 1), (kept_s * SECOND_NS, 0)] {
            let _ = riley.sweep(NOW_NS + later_ns, 1000);
            assert_eq!(riley.len(), len, "{own_s} {client_ttl_s:?}");
        }
    }
}

#[test]
fn followers_are_told_once_that_a_report_is_no_longer_shown() {
    let riley = replica("Riley");
    let drain = |follower| {
        let mut told = Vec::new();
        let _ = riley.drain(follower, FOLLOWER_BITE_MAX, |event| match event {
            FollowerEvent::Record(_) => told.push("record"),
            FollowerEvent::Removed { .. } => told.push("removed"),
            FollowerEvent::Hidden(_) => told.push("hidden"),
            FollowerEvent::Anew { .. } | FollowerEvent::Covered { .. } => {}
        });
        told
    };
    let follow = |wants_removed| {
        let following = Following { begins: Begin::Now, wants_removed };
        riley.follow(following, || ()).unwrap()
    };
    let (stream, store) = (follow(true), follow(false));
    let _ = tell(&riley, NOW_NS, short_lived().borrow());
    assert_eq!((drain(&stream), drain(&store)), (vec!["record"], vec!["record"]));
    let _ = riley.sweep(NOW_NS + TTL_NS - 1, 1000);
    assert_eq!(drain(&stream), [""; 0]);
    let _ = riley.sweep(NOW_NS + TTL_NS, 1000);
    assert_eq!((drain(&stream), drain(&store)), (vec!["hidden"], vec!["record"]));
    let _ = riley.sweep(NOW_NS + TTL_NS + 1, 1000);
    assert_eq!(drain(&stream), [""; 0]);
    let _ = tell(&riley, NOW_NS + TTL_NS + 2, Attributes::NONE);
    assert_eq!(drain(&stream), ["record"]);
}

#[test]
fn followers_are_told_that_a_report_has_expired_before_the_server_stops_passing_it_on() {
    let settings = ReplicaSettings {
        client_ttl_ns: Some(100 * SECOND_NS),
        clock_offset_max_ns: 60 * SECOND_NS,
        ..settings("Riley")
    };
    let riley = Replica::new(settings);
    let follower = riley.follow(Following { begins: Begin::Now, wants_removed: true }, || ()).unwrap();
    let removed = || {
        let mut removed = 0;
        let _ = riley.drain(&follower, FOLLOWER_BITE_MAX, |event| {
            removed += usize::from(matches!(event, FollowerEvent::Removed { .. } | FollowerEvent::Hidden(_)));
        });
        removed
    };
    let _ = tell(&riley, NOW_NS, Attributes::NONE);
    let _ = riley.sweep(NOW_NS + 100 * SECOND_NS - 1, 1000);
    assert_eq!(removed(), 0);
    let _ = riley.sweep(NOW_NS + 100 * SECOND_NS, 1000);
    assert_eq!((removed(), riley.len()), (1, 1));
    let _ = riley.sweep(NOW_NS + 101 * SECOND_NS, 1000);
    assert_eq!(removed(), 0);
    let _ = riley.sweep(NOW_NS + 160 * SECOND_NS, 1000);
    assert_eq!(riley.len(), 0);
}
