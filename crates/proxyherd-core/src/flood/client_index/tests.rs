//! The index against a list of all clients.

use std::cell::Cell as Counter;

use proptest::prelude::*;

use super::{ClientIndex, Entries, LEAF_LEN, Nearest, Seen};
use crate::{
    command::Bounds,
    places::{Center, Separation},
    store::SlotId,
    types::Coordinates,
};

/// Clients in slots: their positions and IDs. Counts how often a position is read.
#[derive(Default)]
struct Clients {
    at: Vec<Option<Coordinates>>,
    ids: Vec<String>,
    reads: Counter<usize>,
}

impl Entries for Clients {
    fn coordinates(&self, slot: u32) -> Coordinates {
        self.reads.set(self.reads.get() + 1);
        self.at[slot as usize].expect("the index asks for its clients only")
    }

    fn id(&self, slot: u32) -> &[u8] {
        self.ids[slot as usize].as_bytes()
    }
}

/// Clients and their index.
struct World {
    clients: Clients,
    index: ClientIndex,
}

impl World {
    fn new(slots: usize) -> World {
        // IDs in another order than the slots'.
        let ids = (0..slots).map(|slot| format!("client-{:07}", (slot * 7919 + 13) % 1_000_003)).collect();
        let clients = Clients { at: vec![None; slots], ids, reads: Counter::new(0) };
        World { clients, index: ClientIndex::new() }
    }

    fn set(&mut self, slot: usize, at: Option<Coordinates>) {
        let id = SlotId(slot as u32);
        let was_at = self.clients.at[slot];
        if at.is_none() {
            self.index.change(&self.clients, id, was_at, None).unwrap();
            self.clients.at[slot] = None;
        } else {
            self.clients.at[slot] = at;
            self.index.change(&self.clients, id, was_at, at).unwrap();
        }
    }

    fn held(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.clients.at).filter(|(_, at)| at.is_some()).map(|(slot, _)| slot)
    }

    fn check(&self) {
        assert_eq!(self.index.contradiction(&self.clients, self.held()), None);
    }

    fn rank(&self, center: &Center, slot: u32) -> (Separation, &[u8]) {
        let at = self.clients.at[slot as usize].unwrap();
        (center.separation(at.latitude().degrees(), at.longitude().degrees()), self.clients.id(slot))
    }

    /// The nearest clients whose slots `step` divides, as the index finds them, and the number of visits.
    fn nearest(&self, center: &Center, limit: usize, step: u32, visits_max: usize) -> (Vec<u32>, usize) {
        let mut search = Search { world: self, center, limit, step, found: Vec::new(), visits: 0 };
        let rest = self.index.nearest(&self.clients, center, visits_max, &mut Vec::new(), &mut search);
        for slot in rest.rest.expect("the search notes the rest") {
            search.visit(slot);
        }
        (search.found, search.visits)
    }

    fn nearest_by_sorting(&self, center: &Center, limit: usize, step: u32) -> Vec<u32> {
        let mut all: Vec<u32> = self.held().filter(|slot| slot % step == 0).collect();
        all.sort_by(|&one, &other| self.rank(center, one).cmp(&self.rank(center, other)));
        all.truncate(limit);
        all
    }
}

struct Search<'a> {
    world: &'a World,
    center: &'a Center,
    limit: usize,
    step: u32,
    found: Vec<u32>,
    visits: usize,
}

impl Nearest for Search<'_> {
    fn reach(&self) -> f64 {
        match self.found.last() {
            Some(&last) if self.found.len() == self.limit => self.world.rank(self.center, last).0.haversine(),
            _ => f64::INFINITY,
        }
    }

    fn notes_rest(&self) -> bool {
        true
    }

    fn warm(&self, _: SlotId) {}

    fn visit(&mut self, SlotId(slot): SlotId) -> Seen {
        self.visits += 1;
        let rank = self.world.rank(self.center, slot);
        let at = self.found.partition_point(|&other| self.world.rank(self.center, other) < rank);
        if at == self.limit {
            return Seen::TooFar;
        }
        if slot % self.step == 0 {
            self.found.insert(at, slot);
            self.found.truncate(self.limit);
        }
        Seen::Near
    }
}

fn point(latitude: f64, longitude: f64) -> Coordinates {
    Coordinates::parse(format!("{latitude:+.9}{longitude:+.9}").as_bytes()).unwrap()
}

/// Positions of all kinds: anywhere, in two towns, at few points that many share, at poles and the antimeridian, and
/// close to the edges of cells.
fn position() -> impl Strategy<Value = Coordinates> {
    let town = |latitude: f64, longitude: f64| {
        (-0.01..0.01, -0.01..0.01).prop_map(move |(y, x): (f64, f64)| point(latitude + y, longitude + x))
    };
    let edge = prop::sample::select(vec![0.0, 45.0, 22.5, -45.0, 45.0 + 1e-9, 45.0 - 1e-9]);
    prop_oneof![
        2 => (-90f64..=90.0, -180f64..=180.0).prop_map(|(latitude, longitude)| point(latitude, longitude)),
        2 => town(48.1, 11.5),
        1 => town(89.99, 179.98),
        1 => town(-17.0, -179.99),
        4 => prop::sample::select(vec![(0.0, 0.0), (48.1, 11.5), (90.0, 7.0), (-90.0, -180.0), (3.0, 180.0)])
            .prop_map(|(latitude, longitude)| point(latitude, longitude)),
        1 => (edge.clone(), edge).prop_map(|(latitude, longitude)| point(latitude, longitude)),
    ]
}

fn center() -> impl Strategy<Value = (f64, f64)> {
    prop_oneof![
        (-90f64..=90.0, -180f64..=180.0),
        prop::sample::select(vec![
            (48.1, 11.5),
            (90.0, 0.0),
            (-90.0, 10.0),
            (3.0, -180.0),
            (0.0, 0.0),
            (-17.0, 180.0)
        ]),
    ]
}

/// A change of each slot that is named: to a position, or away.
fn changes(slots: usize) -> impl Strategy<Value = Vec<(usize, Option<Coordinates>)>> {
    let change = (0..slots, prop_oneof![3 => position().prop_map(Some), 1 => Just(None)]);
    prop::collection::vec(change, 0..600)
}

/// A box of all kinds, some of them across the antimeridian or at a pole.
fn bounds() -> impl Strategy<Value = Bounds> {
    let latitude = prop_oneof![-90f64..=90.0, prop::sample::select(vec![-90.0, 90.0, 0.0, 48.1])];
    let longitude = prop_oneof![-180f64..=180.0, prop::sample::select(vec![-180.0, 180.0, 0.0, 11.5])];
    (latitude.clone(), longitude.clone(), latitude, longitude)
        .prop_map(|(one, west, other, east)| Bounds::new(one.min(other), west, one.max(other), east).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_index_follows_every_change(changes in changes(200)) {
        let mut world = World::new(200);
        for (number, (slot, at)) in changes.into_iter().enumerate() {
            world.set(slot, at);
            if number % 16 == 0 {
                world.check();
            }
        }
        world.check();
        for slot in 0..200 {
            world.set(slot, None);
        }
        world.check();
        prop_assert_eq!(world.index.root, super::NONE);
    }

    #[test]
    fn the_nearest_are_those_that_sorting_puts_first(
        changes in changes(300),
        center in center(),
        limit in 1usize..30,
        step in 1u32..4,
        visits_max in prop_oneof![Just(usize::MAX), 0usize..100],
    ) {
        let mut world = World::new(300);
        changes.into_iter().for_each(|(slot, at)| world.set(slot, at));
        let center = Center::new(center.0, center.1);
        let (found, _) = world.nearest(&center, limit, step, visits_max);
        prop_assert_eq!(found, world.nearest_by_sorting(&center, limit, step));
    }

    #[test]
    fn a_box_has_the_clients_that_a_scan_finds(changes in changes(300), bounds in bounds()) {
        let mut world = World::new(300);
        changes.into_iter().for_each(|(slot, at)| world.set(slot, at));
        let is_inside = |&slot: &u32| {
            let at = world.clients.at[slot as usize].unwrap();
            bounds.contains(at.latitude().degrees(), at.longitude().degrees())
        };
        let mut found: Vec<u32> =
            world.index.in_box(&bounds).iter().map(|id| id.0).filter(is_inside).collect();
        found.sort_unstable();
        let expected: Vec<u32> = world.held().filter(is_inside).collect();
        prop_assert_eq!(found, expected);
    }
}

/// Numbers that look random, the same in each run.
struct Dice(u64);

impl Dice {
    /// A number from 0 to 1.
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn anywhere(&mut self) -> Coordinates {
        let (latitude, longitude) = (self.roll(), self.roll());
        point(latitude * 180.0 - 90.0, longitude * 360.0 - 180.0)
    }

    /// A point near one of a hundred towns, mostly near its middle.
    fn in_town(&mut self) -> Coordinates {
        let town = (self.roll() * 100.0).floor();
        let (y, x) = (self.roll() * self.roll() * 0.2, self.roll() * self.roll() * 0.2);
        point(town * 1.3 - 65.0 + y, (town * 37.0) % 350.0 - 175.0 + x)
    }
}

#[test]
fn a_client_takes_at_most_16_bytes_wherever_the_clients_are() {
    for name in ["anywhere", "in towns"] {
        let place = if name == "anywhere" { Dice::anywhere } else { Dice::in_town };
        let mut dice = Dice(7);
        // A shard of a million clients has 62,500. With each doubling, leaves are once fullest and once emptiest.
        let mut world = World::new(125_000);
        for slot in 0..125_000 {
            world.set(slot, Some(place(&mut dice)));
            let len = slot + 1;
            if len >= 50_000 && len % 5_000 == 0 {
                let bytes = world.index.bytes() as f64 / len as f64;
                assert!(bytes <= 16.0, "{name}: {len} clients take {bytes} bytes each");
            }
        }
        // The same while clients move.
        for round in 0..250_000 {
            world.set(round % 125_000, Some(place(&mut dice)));
        }
        let bytes = world.index.bytes() as f64 / 125_000.0;
        assert!(bytes <= 16.0, "{name}: moved clients take {bytes} bytes each");
        world.check();
    }
}

#[test]
fn many_clients_at_one_point_slow_nothing_down() {
    const LEN: usize = 100_000;
    let mut world = World::new(LEN + 1000);
    let mut dice = Dice(3);
    for slot in LEN..LEN + 1000 {
        world.set(slot, Some(dice.anywhere()));
    }
    for slot in 0..LEN {
        world.set(slot, Some(point(48.1, 11.5)));
    }
    world.check();
    for (latitude, longitude) in [(48.1, 11.5), (48.2, 11.5), (-48.0, -170.0), (48.1, 11.500000001)] {
        let center = Center::new(latitude, longitude);
        let (found, visits) = world.nearest(&center, 10, 1, usize::MAX);
        assert_eq!(found, world.nearest_by_sorting(&center, 10, 1), "{latitude} {longitude}");
        assert!(visits <= 20 * LEAF_LEN, "{visits} clients are visited from {latitude} {longitude}");
    }
    // One client leaves the point and comes back: the search for its place among the others reads few of them.
    world.clients.reads.set(0);
    for at in [point(48.1, 11.5001), point(-3.0, 4.0), point(48.1, 11.5)] {
        world.set(LEN / 2, Some(at));
    }
    let reads = world.clients.reads.get();
    assert!(reads <= 200, "{reads} positions are read for 3 changes");
    world.check();
    let bytes = world.index.bytes() / LEN;
    assert!(bytes <= 16, "a client takes {bytes} bytes");
}

#[test]
fn a_box_with_nothing_in_it_and_a_search_among_many_visit_few() {
    let mut world = World::new(60_000);
    let mut dice = Dice(5);
    for slot in 0..60_000 {
        world.set(slot, Some(dice.in_town()));
    }
    assert_eq!(world.index.in_box(&Bounds::new(-89.0, 10.0, -80.0, -10.0).unwrap()), []);
    let searches = (0..100).map(|_| {
        let at = dice.in_town();
        let center = Center::new(at.latitude().degrees(), at.longitude().degrees());
        world.nearest(&center, 10, 1, usize::MAX).1
    });
    let visits = searches.sum::<usize>() / 100;
    assert!(visits <= 20 * LEAF_LEN, "{visits} clients are visited");
}
