//! What the herd shares besides clients: records with data, of kinds that are known and kinds that are not.

use proxyherd_core::{
    flood::Offered,
    map::{Map, MapSettings},
    types::{Body, ClientId, Kind},
};

use crate::herd::{NOW_NS, SECOND_NS, join, link, map, report, settings, settle};

const KEY: &[u8] = b"day/2026-10-05/Riley";

fn data(map: &Map, now_ns: u64, kind: Kind, key: &[u8]) -> Option<Vec<u8>> {
    map.find(now_ns, kind, key, |held| match held.record.body {
        Body::Data { bytes, .. } => bytes.to_vec(),
        _ => panic!("{:?}", held.record),
    })
}

#[test]
fn data_is_kept_apart_from_a_client_of_the_same_name() {
    let map = map("Riley");
    assert_eq!(map.tell(NOW_NS, Kind::BUDGET, KEY, 60, b"told").0, Offered::Inserted);
    let client = ClientId::new(KEY).unwrap();
    assert!(map.locate(NOW_NS, client, |_| ()).is_none());
    let _ = map.report(NOW_NS, &report(KEY, NOW_NS));
    assert!(map.locate(NOW_NS, client, |_| ()).is_some());
    assert_eq!(data(&map, NOW_NS, Kind::BUDGET, KEY).unwrap(), b"told");
    assert_eq!(map.len(), 2);
    assert_eq!(map.contradiction(), None);
}

#[test]
fn kinds_that_nobody_knows_are_passed_on() {
    let (one, middle, other) = (map("Riley"), map("Jaquez"), map("Juzang"));
    let _ = one.tell(NOW_NS, Kind(200), b"fence", 0, b"of a later version");
    let (mut a, mut b) = join(NOW_NS, (&one, link(0)), (&middle, link(0)));
    settle(&mut a, &mut b);
    let (mut a, mut b) = join(NOW_NS, (&middle, link(1)), (&other, link(0)));
    settle(&mut a, &mut b);
    assert_eq!(data(&other, u64::MAX, Kind(200), b"fence").unwrap(), b"of a later version");
}

#[test]
fn what_is_told_later_wins_over_a_clock_that_is_ahead() {
    let (one, other) = (map("Riley"), map("Jaquez"));
    let _ = one.tell(NOW_NS + 50 * SECOND_NS, Kind::BUDGET, KEY, 0, b"first, by a clock that is ahead");
    let (mut a, mut b) = join(NOW_NS, (&one, link(0)), (&other, link(0)));
    settle(&mut a, &mut b);
    for bytes in [&b"then"[..], b"", b"and at last this"] {
        assert_eq!(other.tell(NOW_NS, Kind::BUDGET, KEY, 0, bytes).0, Offered::Updated);
        settle(&mut a, &mut b);
        assert_eq!(data(&one, NOW_NS, Kind::BUDGET, KEY).unwrap(), bytes);
    }
}

#[test]
fn only_reports_come_too_soon() {
    let one = Map::new(MapSettings { client_interval_ns: SECOND_NS, ..settings("Riley") });
    for bytes in [b"1", b"2"] {
        let _ = one.tell(NOW_NS, Kind::BUDGET, KEY, 0, bytes);
        assert_eq!(data(&one, NOW_NS, Kind::BUDGET, KEY).unwrap(), bytes);
    }
    let _ = one.report(NOW_NS, &report(b"kiwi", NOW_NS));
    let next = report(b"kiwi", NOW_NS + 1);
    assert_eq!(one.report(NOW_NS + SECOND_NS - 1, &next).0, Offered::TooSoon);
    assert_eq!(one.report(NOW_NS + SECOND_NS, &next).0, Offered::Updated);
    assert!(one.forget(NOW_NS, ClientId::new(b"kiwi").unwrap()).0);
}

#[test]
fn data_expires_by_its_own_time_and_takes_no_clients_room() {
    let one =
        Map::new(MapSettings { max_clients: 1, client_ttl_ns: Some(5 * SECOND_NS), ..settings("Riley") });
    let _ = one.report(NOW_NS, &report(b"kiwi", NOW_NS));
    assert_eq!(one.tell(NOW_NS, Kind::BUDGET, KEY, 10, b"x").0, Offered::Inserted);
    assert_eq!(one.tell(NOW_NS, Kind::BUDGET, b"for/ever", 0, b"x").0, Offered::Inserted);
    assert!(data(&one, NOW_NS + 9 * SECOND_NS, Kind::BUDGET, KEY).is_some());
    assert!(data(&one, NOW_NS + 10 * SECOND_NS, Kind::BUDGET, KEY).is_none());
    // For as long as clocks may differ it is carried for others.
    assert_eq!(one.sweep(NOW_NS + 65 * SECOND_NS, 1000), 1, "the client");
    assert_eq!(one.sweep(NOW_NS + 70 * SECOND_NS, 1000), 1, "what was told for ten seconds");
    assert!(data(&one, u64::MAX, Kind::BUDGET, b"for/ever").is_some());
    assert_eq!(one.contradiction(), None);
}
