//! Who is near: the search finds the same as sorting everybody.

use proptest::prelude::*;
use proxyherd_core::{
    command::{Around, Limit, Near},
    limits::NEAR_MAX,
    places::{Center, Point, Separation},
    replica::{Replica, ReplicaSettings},
    types::{AttributeValue, AttributesBuf, ClientId, Coordinates, Kind, Report},
};

use crate::herd::{NOW_NS, SECOND_NS, replica, report, settings};

const TTL_NS: u64 = 100 * SECOND_NS;

/// A client, its position in degrees, and what became of it.
#[derive(Clone, Copy, Debug)]
struct Made {
    number: u16,
    at: (i32, i32),
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Here,
    Forgotten,
    Expired,
}

impl Made {
    fn name(&self) -> String {
        format!("client-{:03}", self.number)
    }

    fn coordinates(&self) -> Coordinates {
        Coordinates::parse(format!("{:+}{:+}", self.at.0, self.at.1).as_bytes()).unwrap()
    }
}

/// Few places, so that distances are equal often; poles and the antimeridian among them.
fn made() -> impl Strategy<Value = Made> {
    let at = (
        prop::sample::select(vec![-90, -1, 0, 1, 89, 90]),
        prop::sample::select(vec![-180, -179, -1, 0, 1, 179, 180]),
    );
    let fate = prop_oneof![6 => Just(Fate::Here), 1 => Just(Fate::Forgotten), 1 => Just(Fate::Expired)];
    (0u16..200, at, fate).prop_map(|(number, at, fate)| Made { number, at, fate })
}

fn filled(all: &[Made]) -> Replica {
    let replica = Replica::new(ReplicaSettings { client_ttl_ns: Some(TTL_NS), ..settings("Riley") });
    for made in all {
        let name = made.name();
        let received_ns = if made.fate == Fate::Expired { NOW_NS - TTL_NS } else { NOW_NS };
        let sent = Report { coordinates: made.coordinates(), ..report(name.as_bytes(), received_ns) };
        let _ = replica.report(received_ns, &sent);
        if made.fate == Fate::Forgotten {
            let _ = replica.forget(NOW_NS, ClientId::new(name.as_bytes()).unwrap());
        }
    }
    let _ = replica.tell(NOW_NS, Kind::QUOTA, b"no/client", 0, b"told");
    replica
}

fn limit(limit: usize) -> Limit {
    Limit::new(limit).unwrap()
}

proptest! {
    #[test]
    fn the_nearest_are_those_a_full_sort_puts_first(
        all in prop::collection::vec(made(), 0..60)
            .prop_map(|all| all.into_iter().map(|made| (made.number, made)).collect::<std::collections::BTreeMap<_, _>>()),
        center in (-90i32..=90, -180i32..=180),
        radius_m in prop::option::of(0f64..2e7),
        most in 0usize..40,
    ) {
        let all: Vec<Made> = all.into_values().collect();
        let replica = filled(&all);
        let around = Around::Point(Point::new(center.0.into(), center.1.into()).unwrap());
        let near = Near { around, radius_m, limit: limit(most) };
        let is_even = |key: &[u8]| key.last().unwrap().is_multiple_of(2);
        let found = replica.near(NOW_NS, &near, |held| is_even(held.record.key)).unwrap();

        let from = Center::new(center.0.into(), center.1.into());
        let separation = |made: &Made| from.separation(made.at.0.into(), made.at.1.into());
        let mut expected: Vec<_> = all
            .iter()
            .filter(|made| made.fate == Fate::Here && is_even(made.name().as_bytes()))
            .filter(|made| radius_m.is_none_or(|radius_m| separation(made) <= Separation::of_meters(radius_m)))
            .map(|made| (separation(made), made.name()))
            .collect();
        expected.sort();
        expected.truncate(most);
        let found: Vec<_> = found
            .iter()
            .map(|found| (found.separation().unwrap(), String::from_utf8(found.client().as_bytes().to_vec()).unwrap()))
            .collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_client_is_near_itself_and_nobody_is_near_one_that_is_not_known() {
    let replica = replica("Riley");
    let mut note = AttributesBuf::default();
    note.set("note", AttributeValue::Text("on my way")).unwrap();
    let kiwi = Report { attributes: note.borrow(), ..report(b"kiwi", NOW_NS - 7) };
    let _ = replica.report(NOW_NS, &kiwi);
    let far = Coordinates::parse(b"-34.068930+61.554873").unwrap();
    let _ = replica.report(NOW_NS, &Report { coordinates: far, ..report(b"antipode", NOW_NS) });
    let around = |client: &'static [u8]| Around::Client(ClientId::new(client).unwrap());
    let near =
        |around, radius_m| replica.near(NOW_NS, &Near { around, radius_m, limit: limit(10) }, |_| true);
    let found = near(around(b"kiwi"), Some(0.0)).unwrap();
    let [found] = &found[..] else { panic!("{found:?}") };
    assert_eq!(
        (found.client(), found.attributes(), found.separation().unwrap().meters()),
        (kiwi.client, note.borrow(), 0.0)
    );
    assert_eq!((Some(found.timestamp), found.difference.nanos()), (kiwi.stamp.told(), 7));
    assert_eq!((found.coordinates, found.server.as_str()), (kiwi.coordinates, "Riley"));
    for radius_m in [None, Some(3e7), Some(f64::INFINITY)] {
        assert_eq!(near(around(b"kiwi"), radius_m).unwrap().len(), 2, "{radius_m:?}");
    }
    assert_eq!(near(around(b"nobody"), None), None);
    let _ = replica.forget(NOW_NS, kiwi.client);
    assert_eq!(near(around(b"kiwi"), None), None);
}

#[test]
fn a_limit_is_bounded() {
    assert_eq!(Limit::new(NEAR_MAX).map(Limit::get), Some(NEAR_MAX));
    assert_eq!(Limit::new(NEAR_MAX + 1), None);
}
