//! Who is near, who is in a box, and who has an ID that matches: the searches find the same as a scan, with an index
//! and without.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use proptest::prelude::*;
use proxyherd_core::{
    command::{Around, Bounds, Limit, List, Near},
    flood::Update,
    limits::NEAR_MAX,
    places::{Center, Point, Separation},
    replica::{Effort, Replica, ReplicaSettings, Unfinished, shard_index},
    types::{AttributeValue, AttributesBuf, ClientId, Coordinates, IdPattern, Kind, Report},
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
            .prop_map(|all| all.into_iter().map(|made| (made.number, made)).collect::<BTreeMap<_, _>>()),
        center in (-90i32..=90, -180i32..=180),
        radius_m in prop::option::of(0f64..2e7),
        most in 0usize..40,
    ) {
        let all: Vec<Made> = all.into_values().collect();
        let replica = filled(&all);
        let around = Around::Point(Point::new(center.0.into(), center.1.into()).unwrap());
        let near = Near { around, radius_m, limit: limit(most) };
        let is_even = |key: &[u8]| key.last().unwrap().is_multiple_of(2);
        let found = replica.near(NOW_NS, &near, Effort::ANY, |held| is_even(held.record.key)).unwrap().unwrap();

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
    let near = |around, radius_m| {
        let near = Near { around, radius_m, limit: limit(10) };
        replica.near(NOW_NS, &near, Effort::ANY, |_| true).unwrap()
    };
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

/// What happens to a client, and what is asked, in a random order.
#[derive(Clone, Debug)]
enum Step {
    /// A report from these degrees, in units of a millionth.
    Report(u8, (i32, i32)),
    Forget(u8),
    /// Time passes, and records expire.
    Pass,
    Sweep,
}

/// Reports from few points and from anywhere.
fn step() -> impl Strategy<Value = Step> {
    let anywhere = (-90_000_000..=90_000_000, -180_000_000..=180_000_000);
    let few = prop::sample::select(vec![
        (0, 0),
        (90_000_000, 0),
        (-90_000_000, 180_000_000),
        (1_000_000, 180_000_000),
        (1_000_000, -180_000_000),
        (1_000_000, 179_999_999),
        (48_100_000, 11_500_000),
        (48_100_001, 11_500_000),
    ]);
    prop_oneof![
        8 => (0..120u8, anywhere).prop_map(|(client, at)| Step::Report(client, at)),
        16 => (0..120u8, few).prop_map(|(client, at)| Step::Report(client, at)),
        3 => (0..120u8).prop_map(Step::Forget),
        1 => Just(Step::Pass),
        1 => Just(Step::Sweep),
    ]
}

/// The clients that should be found: position and time of receipt by ID.
type Expected = BTreeMap<String, ((f64, f64), u64)>;

/// Plays the steps on a replica. Returns it with the present time and the clients that have not expired.
fn played(steps: &[Step], client_index: bool) -> (Replica, u64, Expected) {
    let replica =
        Replica::new(ReplicaSettings { client_ttl_ns: Some(TTL_NS), client_index, ..settings("Riley") });
    let (mut now_ns, mut expected) = (NOW_NS, Expected::new());
    for step in steps {
        now_ns += 1;
        match *step {
            Step::Report(client, (latitude, longitude)) => {
                let name = format!("client-{client}");
                let degrees = [latitude, longitude].map(|millionths| f64::from(millionths) / 1e6);
                let text = format!("{:+.6}{:+.6}", degrees[0], degrees[1]);
                let coordinates = Coordinates::parse(text.as_bytes()).unwrap();
                let _ = replica.report(now_ns, &Report { coordinates, ..report(name.as_bytes(), now_ns) });
                let at = (coordinates.latitude().degrees(), coordinates.longitude().degrees());
                expected.insert(name, (at, now_ns));
            }
            Step::Forget(client) => {
                let name = format!("client-{client}");
                let _ = replica.forget(now_ns, ClientId::new(name.as_bytes()).unwrap());
                expected.remove(&name);
            }
            Step::Pass => now_ns += TTL_NS / 2,
            // Records are removed when they have expired by the clocks of all servers. Expired ones are not found
            // before that either.
            Step::Sweep => _ = replica.sweep(now_ns + 60 * SECOND_NS, 1000),
        }
        assert_eq!(replica.contradiction(), None);
    }
    expected.retain(|_, (_, received_ns)| *received_ns + TTL_NS > now_ns);
    (replica, now_ns, expected)
}

/// All pages of a list, one after the other.
fn pages(
    replica: &Replica,
    now_ns: u64,
    bounds: Option<Bounds>,
    ids: &[IdPattern],
    most: usize,
) -> Vec<String> {
    let (mut names, mut after) = (Vec::new(), None::<Box<[u8]>>);
    loop {
        let cursor = after.as_deref().map(|id| ClientId::new(id).unwrap());
        let list = List { bounds, ids, after: cursor, limit: limit(most) };
        let page = replica.list(now_ns, &list, Effort::ANY, |held| !held.record.key.ends_with(b"7")).unwrap();
        let found: Vec<&[u8]> = page.clients.iter().map(|found| found.client().as_bytes()).collect();
        assert!(found.len() <= most && page.clients.iter().all(|found| found.separation().is_none()));
        assert!(page.next.as_deref().is_none_or(|next| found.len() == most && found.last() == Some(&next)));
        names.extend(found.into_iter().map(|id| String::from_utf8(id.to_vec()).unwrap()));
        after = page.next;
        if after.is_none() {
            return names;
        }
    }
}

fn patterns() -> impl Strategy<Value = Vec<IdPattern>> {
    let texts = prop::sample::select(vec![
        vec!["*"],
        vec!["client-1*"],
        vec!["client-12", "client-3", "nobody", "client-12"],
        vec!["client-2", "client-1*"],
        vec!["x*"],
        vec![],
    ]);
    texts.prop_map(|texts| texts.iter().map(|text| IdPattern::parse(text.as_bytes()).unwrap()).collect())
}

fn box_of_degrees() -> impl Strategy<Value = Bounds> {
    let edges = (-90f64..=90.0, -90f64..=90.0, -180f64..=180.0, -180f64..=180.0)
        .prop_map(|(one, other, west, east)| (one.min(other), west, one.max(other), east));
    let special = prop::sample::select(vec![
        (-90.0, -180.0, 90.0, 180.0),
        (0.0, 170.0, 10.0, -170.0),
        (0.0, 170.0, 10.0, 180.0),
        (0.0, -180.0, 10.0, -179.0),
        (90.0, -180.0, 90.0, 180.0),
        (48.1, 11.5, 48.1, 11.5),
    ]);
    prop_oneof![edges, special]
        .prop_map(|(south, west, north, east)| Bounds::new(south, west, north, east).unwrap())
}

proptest! {
    #[test]
    fn after_any_changes_the_searches_find_what_a_scan_finds(
        steps in prop::collection::vec(step(), 0..400),
        client_index: bool,
        center in prop_oneof![
            (-90f64..=90.0, -180f64..=180.0),
            prop::sample::select(vec![(48.1, 11.5), (90.0, -90.0), (1.0, 180.0), (0.0, 0.0)]),
        ],
        radius_m in prop_oneof![Just(None), Just(Some(0.0)), (0f64..2e7).prop_map(Some), (0f64..1.0).prop_map(Some)],
        most in 1usize..40,
        bounds in prop::option::of(box_of_degrees()),
        ids in patterns(),
    ) {
        let (replica, now_ns, expected) = played(&steps, client_index);
        let is_wanted = |name: &str| !name.ends_with('7');

        let from = Center::new(center.0, center.1);
        let reach = radius_m.map(Separation::of_meters);
        let mut near: Vec<(Separation, &str)> = expected
            .iter()
            .map(|(name, (at, _))| (from.separation(at.0, at.1), &**name))
            .filter(|(separation, name)| is_wanted(name) && reach.is_none_or(|reach| *separation <= reach))
            .collect();
        near.sort();
        near.truncate(most);
        let around = Around::Point(Point::new(center.0, center.1).unwrap());
        let asked = Near { around, radius_m, limit: limit(most) };
        let found = replica.near(now_ns, &asked, Effort::ANY, |held| !held.record.key.ends_with(b"7")).unwrap().unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|found| (found.separation().unwrap(), std::str::from_utf8(found.client().as_bytes()).unwrap()))
            .collect();
        prop_assert_eq!(found, near);

        let mut listed: Vec<&str> = expected
            .iter()
            .filter(|(name, (at, _))| {
                let is_match = ids.is_empty() || ids.iter().any(|pattern| pattern.matches(name.as_bytes()));
                is_wanted(name) && is_match && bounds.is_none_or(|bounds| bounds.contains(at.0, at.1))
            })
            .map(|(name, _)| &**name)
            .collect();
        listed.sort_by_key(|name| (shard_index(name.as_bytes()), *name));
        prop_assert_eq!(pages(&replica, now_ns, bounds, &ids, most), listed);
    }
}

#[test]
fn a_filter_that_rejects_most_clients_still_finds_the_others() {
    let replica = replica("Riley");
    let number_of = |key: &[u8]| std::str::from_utf8(&key[7..]).unwrap().parse::<u32>().unwrap();
    for number in 0..60_000u32 {
        let name = format!("client-{number}");
        // Half of the clients are at one point.
        let at = if number % 2 == 0 { 0 } else { number };
        let text = format!("+{:.4}+{:.4}", f64::from(at % 300) / 10.0, f64::from(at / 300) / 10.0);
        let coordinates = Coordinates::parse(text.as_bytes()).unwrap();
        let _ = replica.report(NOW_NS, &Report { coordinates, ..report(name.as_bytes(), NOW_NS) });
    }
    let around = Around::Point(Point::new(10.0, 10.0).unwrap());
    let near = Near { around, radius_m: None, limit: limit(1000) };
    let (mut visited, mut seen) = (0, BTreeSet::new());
    let found = replica.near(NOW_NS, &near, Effort::ANY, |held| {
        visited += 1;
        assert!(seen.insert(held.record.key.to_vec()), "a client is visited once");
        number_of(held.record.key) % 1000 < 2
    });
    assert_eq!((found.unwrap().unwrap().len(), visited), (120, 60_000));
}

/// A herd of 20,000 clients, with an index and without one.
fn crowds() -> [Replica; 2] {
    [true, false].map(|client_index| {
        let replica = Replica::new(ReplicaSettings { client_index, ..settings("Riley") });
        for number in 0..20_000u32 {
            let text =
                format!("+{:.4}+{:.4}", f64::from(number % 200) / 10.0, f64::from(number / 200) / 10.0);
            let coordinates = Coordinates::parse(text.as_bytes()).unwrap();
            let name = format!("client-{number}");
            let _ = replica.report(NOW_NS, &Report { coordinates, ..report(name.as_bytes(), NOW_NS) });
        }
        replica
    })
}

#[test]
fn a_search_whose_effort_is_bounded_ends_when_it_has_visited_so_many() {
    let [indexed, bare] = crowds();
    let around = Around::Point(Point::new(10.0, 5.0).unwrap());
    let near = Near { around, radius_m: None, limit: limit(10) };
    let nearest = indexed.near(NOW_NS, &near, Effort::ANY, |_| true).unwrap().unwrap();
    let found = indexed.near(NOW_NS, &near, Effort::visits(4096), |_| true);
    assert_eq!(found, Ok(Some(nearest)), "the nearest need few visits");
    for (replica, what) in [(&indexed, "index"), (&bare, "no index")] {
        let mut visits = 0;
        let rejects = |_: &Update<'_>| {
            visits += 1;
            false
        };
        assert_eq!(replica.near(NOW_NS, &near, Effort::visits(4096), rejects), Err(Unfinished), "{what}");
        assert!(visits < 5000, "{what}: {visits}");
        let list = List { bounds: None, ids: &[], after: None, limit: limit(10) };
        assert_eq!(replica.list(NOW_NS, &list, Effort::visits(200), |_| true), Err(Unfinished), "{what}");
    }
}

#[test]
fn a_canceled_search_ends_at_its_next_bite() {
    let ids = [IdPattern::parse(b"client-*").unwrap(), IdPattern::parse(b"client-1").unwrap()];
    for replica in crowds() {
        let is_canceled = AtomicBool::new(false);
        let effort = Effort::until(&is_canceled).comparing(1_000_000);
        let mut visits = 0;
        let mut cancels = |_: &Update<'_>| {
            visits += 1;
            is_canceled.store(true, Relaxed);
            false
        };
        let around = Around::Point(Point::new(10.0, 5.0).unwrap());
        let near = Near { around, radius_m: None, limit: limit(10) };
        assert_eq!(replica.near(NOW_NS, &near, effort, &mut cancels), Err(Unfinished));
        is_canceled.store(false, Relaxed);
        for ids in [&[], &ids[..]] {
            let list = List { bounds: None, ids, after: None, limit: limit(10) };
            assert_eq!(replica.list(NOW_NS, &list, effort, &mut cancels), Err(Unfinished));
            is_canceled.store(false, Relaxed);
        }
        assert!(visits < 100, "{visits}");
    }
}

#[test]
fn a_page_of_no_clients_ends_the_list() {
    let replica = replica("Riley");
    let _ = replica.report(NOW_NS, &report(b"kiwi", NOW_NS));
    let list = List { bounds: None, ids: &[], after: None, limit: limit(0) };
    assert_eq!(replica.list(NOW_NS, &list, Effort::ANY, |_| true), Ok(Default::default()));
    let near = Near { around: Around::Point(Point::new(0.0, 0.0).unwrap()), radius_m: None, limit: limit(0) };
    assert_eq!(replica.near(NOW_NS, &near, Effort::ANY, |_| true), Ok(Some(Vec::new())));
}

#[test]
fn a_box_has_its_edges_and_both_names_of_the_antimeridian() {
    for (south, west, north, east, at, is_inside) in [
        (0.0, 170.0, 10.0, -170.0, (5.0, 175.0), true),
        (0.0, 170.0, 10.0, -170.0, (5.0, -175.0), true),
        (0.0, 170.0, 10.0, -170.0, (5.0, 0.0), false),
        (0.0, 170.0, 10.0, 180.0, (5.0, -180.0), true),
        (0.0, -180.0, 10.0, -170.0, (5.0, 180.0), true),
        (0.0, 180.0, 10.0, 180.0, (5.0, -180.0), true),
        (0.0, -180.0, 10.0, 180.0, (10.0, 77.0), true),
        (0.0, -170.0, 10.0, 170.0, (5.0, 180.0), false),
        (0.0, 0.0, 10.0, 10.0, (0.0, 10.0), true),
        (0.0, 0.0, 10.0, 10.0, (10.000001, 5.0), false),
    ] {
        let bounds = Bounds::new(south, west, north, east).unwrap();
        assert_eq!(bounds.contains(at.0, at.1), is_inside, "{bounds:?} {at:?}");
    }
    for (south, west, north, east) in
        [(1.0, 0.0, 0.0, 1.0), (-91.0, 0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 181.0), (0.0, f64::NAN, 1.0, 1.0)]
    {
        assert_eq!(Bounds::new(south, west, north, east), None);
    }
}

#[test]
fn a_client_that_moves_within_a_box_is_once_in_each_list_of_the_box() {
    const CLIENTS: u32 = 20_000;
    let replica = replica("Riley");
    let is_over = AtomicBool::new(false);
    let move_all = |round: u32| {
        for number in 0..CLIENTS {
            let place = number.wrapping_mul(7919).wrapping_add(round * 104_729) % 1_000_000;
            let text = format!("+{:.6}-{:.6}", f64::from(place) / 1e6, f64::from(place % 1000) / 1e3);
            let coordinates = Coordinates::parse(text.as_bytes()).unwrap();
            let name = format!("client-{number:05}");
            let now_ns = NOW_NS + u64::from(round);
            let _ = replica.report(now_ns, &Report { coordinates, ..report(name.as_bytes(), now_ns) });
        }
    };
    move_all(0);
    std::thread::scope(|scope| {
        scope.spawn(|| (1..).take_while(|_| !is_over.load(Relaxed)).for_each(move_all));
        let bounds = Bounds::new(0.0, -1.0, 1.0, 0.0);
        for _ in 0..5 {
            let found = pages(&replica, NOW_NS, bounds, &[], 7000);
            let wanted = (0..CLIENTS).filter(|number| number % 10 != 7).count();
            let distinct: BTreeSet<&String> = found.iter().collect();
            assert_eq!((found.len(), distinct.len()), (wanted, wanted));
        }
        is_over.store(true, Relaxed);
    });
    assert_eq!(replica.contradiction(), None);
}
