//! Random reports, forgotten clients, expiries, takes, connections that end and resume, and limits that are reached.
//! When everything has been taken, each reader must hold exactly what its filter matches.

use proptest::prelude::*;

use super::world::{World, filter_of};
use crate::{Polygon, StreamFilter, StreamKinds, StreamLimits, limits::STREAM_KEPT_NS};
use proxyherd_core::{codec::where_clause::WhereClause, command::Bounds, places::Point, types::IdPattern};

const CLIENTS: [&str; 8] = ["a", "ab", "abc", "b", "bc", "courier-1", "courier-2", "kiwi"];
const PLACES: [&str; 8] = [
    "+0+0",
    "+0.001+0.001",
    "+10+10",
    "+34.068930-118.445127",
    "-17+179.9999",
    "-17-179.9999",
    "-17+180",
    "+90+12",
];

#[derive(Clone, Debug)]
enum Step {
    Report(usize, usize, u32),
    Forget(usize),
    /// Seconds pass, and expired records are swept.
    Pass(u64),
    /// The follower takes up to so many changes.
    Follow(usize),
    /// A reader takes up to so many events.
    Take(usize, usize),
    /// A reader searches so many shards.
    Gather(usize, usize),
    Open(usize),
    Detach(usize),
    /// A reader connects again, after it has lost its last events.
    Resume(usize, usize),
    /// The server has lost changes.
    LoseChanges,
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..CLIENTS.len(), 0..PLACES.len(), 0u32..100).prop_map(|(c, p, b)| Step::Report(c, p, b)),
        2 => (0..CLIENTS.len()).prop_map(Step::Forget),
        3 => (1u64..40).prop_map(Step::Pass),
        8 => (1usize..6).prop_map(Step::Follow),
        8 => (0usize..8, 1usize..6).prop_map(|(reader, most)| Step::Take(reader, most)),
        3 => (0usize..8, 1usize..17).prop_map(|(reader, shards)| Step::Gather(reader, shards)),
        3 => (0..filters().len()).prop_map(Step::Open),
        2 => (0usize..8).prop_map(Step::Detach),
        4 => (0usize..8, 0usize..12).prop_map(|(reader, lost)| Step::Resume(reader, lost)),
        1 => Just(Step::LoseChanges),
        1 => Just(Step::Expire),
    ]
}

/// Filters of all sorts.
fn filters() -> Vec<StreamFilter> {
    let point = |latitude, longitude| Point::new(latitude, longitude).unwrap();
    let all = StreamFilter::default;
    let fiji = vec![vec![(-20.0, 179.0), (-20.0, -179.0), (-10.0, -179.0), (-10.0, 179.0), (-20.0, 179.0)]];
    let readable = IdPattern::parse(b"courier-*").unwrap();
    vec![
        all(),
        filter_of(&["a*"]),
        filter_of(&["a", "kiwi", "nobody"]),
        filter_of(&["ab", "courier-*", "a*"]),
        StreamFilter { circle: Some((point(0.0, 0.0), 100.0)), ..all() },
        StreamFilter { circle: Some((point(0.0, 0.0), 2_000_000.0)), ..all() },
        StreamFilter { circle: Some((point(89.0, 0.0), 500_000.0)), ..all() },
        StreamFilter { bounds: Bounds::new(-20.0, 179.0, 0.0, -179.0), ..all() },
        StreamFilter { bounds: Bounds::new(-90.0, -180.0, 90.0, 180.0), ..all() },
        StreamFilter { polygon: Some(Polygon::new(fiji).unwrap()), ..all() },
        StreamFilter { clause: Some(WhereClause::parse("battery_pct < 20").unwrap()), ..all() },
        StreamFilter {
            clause: Some(WhereClause::parse("battery_pct < 50").unwrap()),
            circle: Some((point(0.0, 0.0), 1_000.0)),
            ..filter_of(&["a*", "b"])
        },
        StreamFilter { readable: vec![readable], ..all() },
    ]
}

fn run(steps: Vec<Step>, limits: StreamLimits) -> Result<(), TestCaseError> {
    let mut world = World::with_limits(limits);
    for step in steps {
        let modulo = |reader: usize| reader % world.readers.len().max(1);
        let has_readers = !world.readers.is_empty();
        match step {
            Step::Report(client, place, battery) => world.report(CLIENTS[client], PLACES[place], battery),
            Step::Forget(client) => world.forget(CLIENTS[client]),
            Step::Pass(seconds) => world.pass(seconds),
            Step::Follow(most) => drop(world.follow(most)),
            Step::Open(filter) => drop(world.open(filters()[filter].clone(), StreamKinds::default())),
            Step::Take(reader, most) if has_readers => {
                let reader = modulo(reader);
                (0..most).all(|_| world.take(reader));
            }
            Step::Gather(reader, shards) if has_readers => {
                let reader = modulo(reader);
                world.gather(reader, shards);
            }
            Step::Detach(reader) if has_readers => {
                let reader = modulo(reader);
                world.detach(reader);
            }
            Step::Resume(reader, lost) if has_readers => {
                let reader = modulo(reader);
                let _ = world.resume(reader, lost);
            }
            Step::LoseChanges => {
                world.streams.begin_anew();
                world.ring();
            }
            Step::Expire => {
                world.now_ns += STREAM_KEPT_NS / 3;
                world.streams.expire(world.now_ns);
            }
            _ => {}
        }
        prop_assert_eq!(world.streams.contradiction(), None);
    }
    end(world)
}

/// Everybody connects again, and everything is taken.
fn end(mut world: World) -> Result<(), TestCaseError> {
    world.pass(0);
    // A record that has expired and was not swept yet is told as soon as it is swept.
    world.pass(10);
    for reader in 0..world.readers.len() {
        if world.readers[reader].key.is_none() || world.readers[reader].ended.is_some() {
            let _ = world.resume(reader, 0);
        }
    }
    world.settle();
    world.settle();
    prop_assert_eq!(world.streams.contradiction(), None);
    for reader in &world.readers {
        if reader.ended.is_none() && reader.key.is_some() {
            prop_assert!(reader.view.is_synced, "{:?}", reader);
            prop_assert_eq!(&reader.view.clients, &world.matching(&reader.filter), "{:?}", reader);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn whoever_has_taken_everything_holds_what_matches(steps in proptest::collection::vec(step(), 1..120)) {
        run(steps, StreamLimits::default())?;
    }

    #[test]
    fn streams_stay_right_when_their_limits_are_reached(steps in proptest::collection::vec(step(), 1..120)) {
        let limits = StreamLimits {
            streams: 6,
            unindexed: 2,
            entries: 5,
            all_entries: 14,
            kept: 3,
            released_at_once: 2,
        };
        run(steps, limits)?;
    }
}
