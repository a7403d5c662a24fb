//! Examples: what a reader is told, step by step.

use super::world::{INCARNATION, SECOND, World, filter_of};
use crate::{
    EventId, Polygon, PolygonError, StreamEnd, StreamFilter, StreamKind, StreamKinds, StreamLimits,
    StreamOpening, StreamsFull, Taken,
    limits::{PRESENCE_KEPT_MAX, PRESENCE_WAITING_MAX, REMOVALS_KEPT_MIN, STREAM_IDS_MAX, STREAM_KEPT_NS},
    presence::{PresenceEvent, PresenceKind},
};
use proxyherd_core::{command::Bounds, places::Point, replica::Effort, types::IdPattern};

const HERE: &str = "+10+10";
const THERE: &str = "-30+100";

fn here() -> StreamFilter {
    StreamFilter { circle: Point::new(10.0, 10.0).map(|point| (point, 1000.0)), ..StreamFilter::default() }
}

fn opened(world: &mut World, filter: StreamFilter) -> usize {
    world.open(filter, StreamKinds::default()).unwrap()
}

#[test]
fn a_reader_is_told_the_state_and_then_changes() {
    let mut world = World::new();
    world.report("kiwi", HERE, 50);
    world.report("emu", THERE, 50);
    let reader = opened(&mut world, here());
    assert_eq!(world.take_all(reader), ["reset", "+kiwi", "synced"]);
    world.report("emu", HERE, 50);
    world.report("kiwi", THERE, 50);
    world.follow_all();
    assert_eq!(world.take_all(reader).len(), 2);
    world.report("kiwi", "-31+100", 50);
    world.follow_all();
    assert_eq!(world.take_all(reader), Vec::<String>::new(), "a client that left is no longer told");
    world.forget("emu");
    world.follow_all();
    assert_eq!(world.take_all(reader), ["gone emu"]);
    assert_eq!(world.streams.contradiction(), None);
}

#[test]
fn the_effort_of_a_search_is_for_all_shards_together() {
    let mut world = World::new();
    for number in 0..400 {
        world.report(&format!("kiwi-{number}"), HERE, 50);
    }
    let reader = opened(&mut world, StreamFilter::default());
    // Each shard alone needs far less.
    assert!(world.gather_within(reader, &mut Effort::visits(200)).is_err());
    let mut effort = Effort::visits(400);
    assert_eq!(world.gather_within(reader, &mut effort), Ok(()));
    let told = world.take_all(reader);
    assert_eq!((told.len(), &*told[0], &*told[401]), (402, "reset", "synced"));
}

#[test]
fn a_slow_reader_is_told_the_last_of_several_changes() {
    let mut world = World::new();
    let reader = opened(&mut world, filter_of(&["kiwi"]));
    world.take_all(reader);
    for battery in 0..5 {
        world.report("kiwi", HERE, battery);
        world.follow_all();
    }
    assert_eq!(world.take_all(reader), ["+kiwi"]);
    assert_eq!(world.streams.counts().conflated, 4);
}

#[test]
fn a_bell_rings_once_when_there_is_something_and_the_reader_found_nothing_before() {
    let mut world = World::new();
    let reader = opened(&mut world, filter_of(&["k*"]));
    world.take_all(reader);
    let mut rings = Vec::new();
    for client in ["kiwi", "koala", "emu"] {
        world.report(client, HERE, 1);
        world.follow_all();
        rings.push(std::mem::take(&mut world.readers[reader].is_rung));
    }
    assert_eq!(rings, [true, false, false]);
}

#[test]
fn an_expired_client_is_gone_as_soon_as_a_sweep_finds_it() {
    let mut world = World::new();
    let reader = opened(&mut world, StreamFilter::default());
    world.report("kiwi", HERE, 1);
    world.follow_all();
    assert_eq!(world.take_all(reader), ["reset", "+kiwi", "synced"]);
    world.pass(super::world::TTL_S);
    world.follow_all();
    assert_eq!(world.take_all(reader), ["gone kiwi"]);
}

#[test]
fn a_reader_that_resumes_is_told_what_it_has_missed() {
    let mut world = World::new();
    let reader = opened(&mut world, here());
    ["a", "b", "c", "d"].iter().for_each(|client| world.report(client, HERE, 1));
    world.follow_all();
    world.take_all(reader);
    world.report("a", THERE, 1);
    world.forget("b");
    world.follow_all();
    assert_eq!(world.take_all(reader).len(), 2);
    world.detach(reader);
    world.report("c", HERE, 2);
    world.follow_all();
    world.resume(reader, 2).unwrap();
    let mut told = world.take_all(reader);
    assert_eq!(told.pop().as_deref(), Some("synced"));
    told.sort();
    assert_eq!(told, ["+c", "gone b", "left a"]);
    let counts = world.streams.counts();
    assert_eq!((counts.resumed, counts.resets.iter().sum::<u64>()), (1, 1));
}

#[test]
fn a_reader_that_lacks_more_removals_than_are_kept_begins_anew() {
    let mut world = World::new();
    let reader = opened(&mut world, here());
    let clients: Vec<String> = (0..=REMOVALS_KEPT_MIN).map(|number| format!("client-{number}")).collect();
    clients.iter().for_each(|client| world.report(client, HERE, 1));
    world.follow_all();
    world.take_all(reader);
    clients.iter().for_each(|client| world.report(client, THERE, 1));
    world.follow_all();
    world.take_all(reader);
    world.resume(reader, clients.len() - 1).unwrap();
    assert_eq!(world.take_all(reader).len(), REMOVALS_KEPT_MIN + 1, "the stream reaches back so far");
    world.detach(reader);
    world.resume(reader, clients.len() + REMOVALS_KEPT_MIN + 1).unwrap();
    assert_eq!(world.take_all(reader), ["reset", "synced"]);
    assert_eq!(world.streams.counts().resets, [1, 0, 1, 0]);
}

#[test]
fn only_the_same_reader_with_the_same_filter_resumes_a_stream() {
    let mut world = World::new();
    world.report("kiwi", HERE, 1);
    let reader = opened(&mut world, filter_of(&["kiwi", "emu"]));
    world.take_all(reader);
    let id = world.readers[reader].history.last().unwrap().0;
    world.detach(reader);
    let open = |world: &mut World, filter: StreamFilter, owner: Option<&[u8]>, id: EventId| {
        let kinds = StreamKinds::default();
        let opening = StreamOpening {
            filter,
            kinds,
            owner,
            caller: 0,
            last_event_id: Some(id),
            random: 1 << 40,
            bell: 0,
        };
        world.streams.open(opening).unwrap();
        world.streams.counts().resumed
    };
    assert_eq!(open(&mut world, filter_of(&["kiwi"]), None, id), 0);
    assert_eq!(open(&mut world, filter_of(&["kiwi", "emu"]), Some(b"token"), id), 0);
    let later = EventId { sequence: id.sequence + 1, ..id };
    assert_eq!(open(&mut world, filter_of(&["kiwi", "emu"]), None, later), 0);
    let elsewhere = EventId { incarnation: INCARNATION + 1, ..id };
    assert_eq!(open(&mut world, filter_of(&["kiwi", "emu"]), None, elsewhere), 0);
    assert_eq!(open(&mut world, filter_of(&["emu", "kiwi", "kiwi"]), None, id), 1);
}

#[test]
fn a_stream_is_taken_over_from_a_connection_that_is_still_open() {
    let mut world = World::new();
    let reader = opened(&mut world, StreamFilter::default());
    world.take_all(reader);
    let former = world.readers[reader].key.unwrap();
    world.resume(reader, 0).unwrap();
    let taken = world.streams.take(former, &world.replica, world.now_ns, |_, _| ());
    assert_eq!(taken, Taken::Ended(StreamEnd::TakenOver));
    world.streams.detach(former, world.now_ns);
    assert_eq!(world.take_all(reader), ["synced"], "the former connection changes nothing");
    assert_eq!(world.streams.counts().open, 1);
}

#[test]
fn a_stream_is_kept_for_its_time_and_goes_on_queueing() {
    let mut world = World::new();
    let reader = opened(&mut world, filter_of(&["kiwi"]));
    world.take_all(reader);
    world.detach(reader);
    world.report("kiwi", HERE, 1);
    world.follow_all();
    world.streams.expire(world.now_ns + STREAM_KEPT_NS - SECOND);
    assert_eq!(world.streams.counts().kept, 1);
    world.resume(reader, 0).unwrap();
    assert_eq!(world.take_all(reader), ["+kiwi", "synced"]);
    world.detach(reader);
    world.streams.expire(world.now_ns + STREAM_KEPT_NS);
    assert!(world.streams.is_empty());
    assert_eq!(world.streams.counts().entries, 0);
}

#[test]
fn a_stream_ends_when_rights_end_and_cannot_be_resumed() {
    let mut world = World::new();
    let reader = opened(&mut world, StreamFilter::default());
    world.take_all(reader);
    world.streams.end_if(StreamEnd::RightsEnded, |bell| *bell == reader);
    world.ring();
    world.take_all(reader);
    assert_eq!(world.readers[reader].ended, Some(StreamEnd::RightsEnded));
    world.resume(reader, 0).unwrap();
    assert_eq!(world.take_all(reader), ["reset", "synced"]);
}

#[test]
fn a_stream_with_too_many_clients_ends_and_says_so() {
    let limits = StreamLimits { entries: 3, ..StreamLimits::default() };
    let mut world = World::with_limits(limits);
    ["a", "b", "c"].iter().for_each(|client| world.report(client, HERE, 1));
    let (all, one) = (opened(&mut world, StreamFilter::default()), opened(&mut world, filter_of(&["a"])));
    world.settle();
    assert_eq!((world.readers[all].ended, world.readers[all].view.clients.len()), (None, 3));
    world.report("d", HERE, 1);
    world.settle();
    assert_eq!(world.readers[all].ended, Some(StreamEnd::TooLarge));
    assert_eq!(world.readers[one].ended, None);
    assert_eq!((world.streams.counts().entries, world.streams.counts().too_large), (1, 1));
}

fn report_some(world: &mut World, prefix: &str, count: usize) {
    (0..count).for_each(|number| world.report(&format!("{prefix}{number}"), HERE, 1));
    world.settle();
}

#[test]
fn a_stream_that_needs_room_ends_the_largest_stream_and_not_a_smaller_one() {
    let limits = StreamLimits { all_entries: 2000, ..StreamLimits::default() };
    let mut world = World::with_limits(limits);
    let [large, small, other] = ["a*", "b*", "c*"].map(|ids| opened(&mut world, filter_of(&[ids])));
    report_some(&mut world, "a", 1500);
    report_some(&mut world, "c", 300);
    report_some(&mut world, "b", 250);
    let ended = |world: &World| [large, small, other].map(|reader| world.readers[reader].ended);
    assert_eq!(ended(&world), [Some(StreamEnd::ServerFull), None, None]);
    assert_eq!(world.readers[small].view.clients.len(), 250);
    assert_eq!(world.streams.counts().server_full, 1);
    report_some(&mut world, "b", 1800);
    assert_eq!(ended(&world)[1..], [Some(StreamEnd::ServerFull), None], "the largest has asked itself");
    while !world.streams.release(100) {}
    assert_eq!((world.streams.contradiction(), world.streams.counts().entries), (None, 300));
}

#[test]
fn a_large_stream_gives_its_clients_back_in_bites_and_its_place_after_that() {
    let mut world = World::new();
    let (all, kiwi) = (opened(&mut world, filter_of(&["*"])), opened(&mut world, filter_of(&["kiwi"])));
    report_some(&mut world, "a", 3000);
    world.streams.begin_anew();
    world.ring();
    assert_eq!(world.take_all(all), Vec::<String>::new(), "it begins after its entries are released");
    world.report("kiwi", HERE, 1);
    assert!(!world.streams.release(2999) && world.streams.contradiction().is_none());
    world.follow_all();
    let told = world.take_all(all);
    assert_eq!((told.len(), &*told[0], &*told[3002]), (3003, "reset", "synced"));
    world.take_all(kiwi);
    let key = world.readers[all].key.take().unwrap();
    world.streams.end_if(StreamEnd::RightsEnded, |bell| *bell == all);
    world.streams.detach(key, world.now_ns);
    let next = opened(&mut world, filter_of(&["*"]));
    assert_eq!((world.streams.counts().open, world.streams.contradiction()), (2, None));
    world.take_all(next);
    assert_eq!(world.streams.counts().entries, 3001 + 3001 + 1, "those of the former stream are still held");
    assert!(!world.streams.release(1000) && world.streams.contradiction().is_none());
    assert!(world.streams.must_release());
    world.settle();
    assert_eq!((world.streams.counts().entries, world.streams.contradiction()), (3002, None));
    assert_eq!(world.readers[next].view.clients.len(), 3001);
}

#[test]
fn a_client_of_many_streams_is_told_to_all_of_them_and_forgotten_with_the_last() {
    let mut world = World::new();
    let readers: Vec<_> = (0..300).map(|_| opened(&mut world, filter_of(&["k*"]))).collect();
    world.settle();
    world.report("kiwi", HERE, 1);
    world.settle();
    assert!(readers.iter().all(|&reader| world.readers[reader].view.clients.len() == 1));
    for (at, &reader) in readers.iter().enumerate() {
        assert_eq!((world.streams.counts().entries, world.streams.contradiction()), (300 - at, None));
        let key = world.readers[reader].key.take().unwrap();
        world.streams.end_if(StreamEnd::RightsEnded, |bell| *bell == reader);
        world.streams.detach(key, world.now_ns);
    }
    assert_eq!((world.streams.counts().clients, world.streams.is_empty()), (0, true));
}

#[test]
fn a_caller_with_many_kept_streams_loses_its_own_and_nobody_else_does() {
    let mut world = World::with_limits(StreamLimits { kept: 4, ..StreamLimits::default() });
    let keep = |world: &mut World, caller| {
        world.caller = caller;
        let reader = opened(world, filter_of(&["kiwi"]));
        world.take_all(reader);
        world.detach(reader);
        reader
    };
    let others = [keep(&mut world, 1), keep(&mut world, 2)];
    let many: Vec<_> = (0..10).map(|_| keep(&mut world, 3)).collect();
    assert_eq!((world.streams.counts().kept, world.streams.contradiction()), (4, None));
    for reader in others.into_iter().chain([many[8], many[9]]) {
        world.resume(reader, 0).unwrap();
    }
    assert_eq!(world.streams.counts().resumed, 4);
}

#[test]
fn a_full_server_drops_the_longest_kept_stream_and_then_refuses() {
    let limits = StreamLimits { streams: 2, unindexed: 1, ..StreamLimits::default() };
    let mut world = World::with_limits(limits);
    let kept = opened(&mut world, filter_of(&["a"]));
    world.take_all(kept);
    world.detach(kept);
    opened(&mut world, StreamFilter::default());
    opened(&mut world, filter_of(&["b"]));
    assert_eq!(world.streams.counts().kept, 0, "the kept stream gave way");
    let refused = |world: &mut World, filter| world.open(filter, StreamKinds::default()).unwrap_err();
    assert_eq!(refused(&mut world, filter_of(&["c"])), StreamsFull::Streams);
    assert_eq!(refused(&mut world, StreamFilter::default()), StreamsFull::Unindexed);
    let many = vec![IdPattern::parse(b"a").unwrap(); STREAM_IDS_MAX + 1];
    let many = StreamFilter { ids: many, ..StreamFilter::default() };
    assert_eq!(refused(&mut world, many), StreamsFull::Ids);
}

#[test]
fn a_reader_is_told_only_the_kinds_that_it_wants() {
    let mut world = World::new();
    let kinds = StreamKinds::NONE.with(StreamKind::Left);
    let reader = world.open(here(), kinds).unwrap();
    world.report("kiwi", HERE, 1);
    world.settle();
    world.report("kiwi", THERE, 1);
    world.follow_all();
    assert_eq!(world.take_all(reader), ["left kiwi"]);
    world.report("kiwi", HERE, 1);
    world.settle();
    world.forget("kiwi");
    world.settle();
    assert_eq!(world.readers[reader].view.told, ["reset", "synced", "left kiwi"]);
}

fn presence(kind: PresenceKind, client: &[u8], event_id: u128) -> PresenceEvent<'_> {
    PresenceEvent { event_id, kind, client }
}

#[test]
fn presence_is_told_to_the_streams_that_hold_or_match_the_client() {
    let mut world = World::new();
    let kinds = StreamKinds::NONE.with(StreamKind::Presence);
    let by_id = world.open(filter_of(&["k*"]), kinds).unwrap();
    let by_place = world.open(here(), kinds.with(StreamKind::Gone)).unwrap();
    let without = opened(&mut world, StreamFilter::default());
    world.report("kiwi", HERE, 1);
    world.report("koala", THERE, 1);
    world.settle();
    let offer = |world: &mut World, kind, client: &str, id| {
        let event = presence(kind, client.as_bytes(), id);
        world.streams.offer_presence(&world.replica, world.now_ns, &event);
        world.ring();
    };
    offer(&mut world, PresenceKind::Came, "kiwi", 1);
    offer(&mut world, PresenceKind::Came, "koala", 2);
    offer(&mut world, PresenceKind::Came, "emu", 3);
    world.forget("kiwi");
    world.settle();
    offer(&mut world, PresenceKind::Gone, "kiwi", 4);
    world.settle();
    assert_eq!(world.readers[by_id].view.presence, [1, 2, 4]);
    assert_eq!(world.readers[by_place].view.presence, [1, 4], "the reader held the client until it was gone");
    assert!(world.readers[without].view.presence.is_empty());
}

#[test]
fn a_slow_reader_is_told_that_a_client_came_and_is_gone() {
    let mut world = World::new();
    let reader = world.open(here(), StreamKinds::default().with(StreamKind::Presence)).unwrap();
    world.settle();
    let offer = |world: &mut World, kind, id| {
        world.follow_all();
        world.streams.offer_presence(&world.replica, world.now_ns, &presence(kind, b"kiwi", id));
        world.ring();
    };
    world.report("kiwi", HERE, 1);
    offer(&mut world, PresenceKind::Came, 1);
    world.forget("kiwi");
    offer(&mut world, PresenceKind::Gone, 2);
    world.settle();
    assert_eq!(world.readers[reader].view.presence, [1, 2], "the reader never held the client");
}

#[test]
fn presence_events_are_not_conflated_and_a_reader_that_resumes_is_told_those_it_lacks() {
    let mut world = World::new();
    let kinds = StreamKinds::NONE.with(StreamKind::Presence);
    let reader = world.open(filter_of(&["kiwi"]), kinds).unwrap();
    world.take_all(reader);
    let offer = |world: &mut World, ids: std::ops::Range<u128>| {
        for id in ids {
            let event = presence(PresenceKind::Back, b"kiwi", id);
            world.streams.offer_presence(&world.replica, world.now_ns, &event);
        }
        world.ring();
    };
    offer(&mut world, 0..10);
    assert_eq!(world.take_all(reader).len(), 10);
    world.resume(reader, 4).unwrap();
    world.take_all(reader);
    assert_eq!(world.readers[reader].view.presence, (0..10).collect::<Vec<_>>(), "no gap and nothing twice");
    let waiting = PRESENCE_WAITING_MAX as u128;
    offer(&mut world, 10..waiting + 15);
    world.take_all(reader);
    assert_eq!(world.streams.counts().presence_dropped, 5);
    assert_eq!(world.readers[reader].view.presence[10], 15, "the oldest were dropped");
    world.resume(reader, PRESENCE_KEPT_MAX + 2).unwrap();
    assert_eq!(world.take_all(reader)[0], "reset", "an honest reset, because events are no longer kept");
}

#[test]
fn presence_is_told_after_the_state_and_after_what_was_missed() {
    let mut world = World::new();
    ["a", "b", "c", "d"].iter().for_each(|client| world.report(client, HERE, 1));
    let kinds = StreamKinds::default().with(StreamKind::Presence);
    let reader = world.open(here(), kinds).unwrap();
    let offer = |world: &mut World, id| {
        let event = presence(PresenceKind::Back, b"a", id);
        world.streams.offer_presence(&world.replica, world.now_ns, &event);
        world.ring();
    };
    offer(&mut world, 1);
    let told = world.take_all(reader);
    assert_eq!((&*told[0], &*told[5], told.len()), ("reset", "synced", 7), "{told:?}");
    world.resume(reader, 5).unwrap();
    offer(&mut world, 2);
    let told = world.take_all(reader);
    assert_eq!((&*told[3], told.len()), ("synced", 6), "{told:?}");
    assert_eq!(world.readers[reader].view.presence, [1, 2]);
    assert_eq!(world.streams.contradiction(), None);
}

#[test]
fn presence_events_that_are_told_again_do_not_let_the_waiting_ones_grow() {
    let mut world = World::new();
    let reader = world.open(filter_of(&["kiwi"]), StreamKinds::NONE.with(StreamKind::Presence)).unwrap();
    world.take_all(reader);
    let offer = |world: &mut World, ids: std::ops::Range<usize>| {
        for id in ids {
            let event = presence(PresenceKind::Back, b"kiwi", id as u128);
            world.streams.offer_presence(&world.replica, world.now_ns, &event);
        }
        world.ring();
    };
    offer(&mut world, 0..10);
    world.take_all(reader);
    world.detach(reader);
    offer(&mut world, 10..10 + PRESENCE_WAITING_MAX);
    world.resume(reader, 5).unwrap();
    world.detach(reader);
    offer(&mut world, 0..5 * PRESENCE_WAITING_MAX);
    world.resume(reader, 0).unwrap();
    assert!(world.take_all(reader).len() <= PRESENCE_WAITING_MAX + PRESENCE_KEPT_MAX + 1);
}

#[test]
fn a_thousand_streams_take_little_memory() {
    let mut world = World::new();
    for number in 0..1000 {
        let client = format!("client-{number}");
        world.report(&client, &format!("+{}.{:03}+10", number / 100, number % 100 * 10), 1);
    }
    for number in 0..100 {
        let (south, west) = (f64::from(number) / 10.0, 9.95);
        let bounds = Bounds::new(south, west, south + 0.0995, west + 0.1);
        let reader = opened(&mut world, StreamFilter { bounds, ..StreamFilter::default() });
        world.settle();
        assert_eq!(world.readers[reader].view.clients.len(), 10);
    }
    // Every client moves a little, and comes back, many times.
    for battery in 0..20 {
        for number in 0..1000 {
            let client = format!("client-{number}");
            let at = if battery % 2 == 0 { "+10.001" } else { "+10" };
            world.report(&client, &format!("+{}.{:03}{at}", number / 100, number % 100 * 10), battery);
        }
        world.settle();
    }
    let most = world.readers.iter().map(|reader| world.streams.stream_bytes(reader.key.unwrap())).max();
    assert!(most < Some(2048), "{most:?}");
}

#[test]
fn rings_that_are_no_polygon_are_refused() {
    let square = || vec![(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)];
    let refused = |rings: Vec<Vec<(f64, f64)>>| Polygon::new(rings).unwrap_err();
    assert_eq!(refused(vec![]), PolygonError::NoRing);
    assert_eq!(refused(vec![square()[..3].to_vec()]), PolygonError::TooFewPoints { ring: 0 });
    assert_eq!(refused(vec![square(), square()[..4].to_vec()]), PolygonError::NotClosed { ring: 1 });
    let off = vec![(0.0, 0.0), (0.0, 181.0), (1.0, 1.0), (0.0, 0.0)];
    assert_eq!(refused(vec![off]), PolygonError::OutOfRange { ring: 0 });
    let around = vec![(80.0, -120.0), (80.0, 0.0), (80.0, 120.0), (80.0, -120.0)];
    assert_eq!(refused(vec![around]), PolygonError::AroundThePole { ring: 0 });
    // Twice around the Earth, and back.
    let steps = (0..=14).chain((0..14).rev()).map(|step| f64::from(step) * 60.0);
    let mut wide: Vec<_> = steps.map(|east| (1.0, (east + 180.0).rem_euclid(360.0) - 180.0)).collect();
    wide[7].0 = 2.0;
    assert_eq!(refused(vec![wide]), PolygonError::TooWide { ring: 0 });
    let nan = vec![(f64::NAN, 0.0); 4];
    assert_eq!(refused(vec![nan]), PolygonError::OutOfRange { ring: 0 });
    let many = vec![(0.0, 0.0); 2000];
    assert_eq!(refused(vec![many]), PolygonError::TooManyPoints);
}

#[test]
fn a_polygon_without_area_is_refused_because_it_would_match_nobody() {
    let edges = |longitudes: &[f64]| {
        let (north, south) = (longitudes.iter().map(|at| (60.0, *at)), longitudes.iter().rev());
        Polygon::new(vec![north.chain(south.map(|at| (90.0, *at))).chain([(60.0, longitudes[0])]).collect()])
    };
    assert_eq!(edges(&[-180.0, 180.0]), Err(PolygonError::NoArea), "the short way around the Earth");
    let cap = edges(&[-180.0, 0.0, 180.0]).unwrap();
    assert!(cap.contains(75.0, 179.0) && cap.contains(75.0, -10.0) && !cap.contains(50.0, 0.0));
    let flat = vec![(5.0, 0.0), (5.0, 1.0), (5.0, 2.0), (5.0, 0.0)];
    assert_eq!(Polygon::new(vec![flat]), Err(PolygonError::NoArea));
}

#[test]
fn a_polygon_has_holes_and_crosses_the_antimeridian() {
    let ring = |south: f64, west: f64, north: f64, east: f64| {
        vec![(south, west), (south, east), (north, east), (north, west), (south, west)]
    };
    let fiji = Polygon::new(vec![ring(-20.0, 176.0, -10.0, -176.0), ring(-16.0, 179.0, -14.0, -179.0)]);
    let fiji = fiji.unwrap();
    for (latitude, longitude, is_inside) in [
        (-12.0, 177.0, true),
        (-12.0, -177.0, true),
        (-12.0, 180.0, true),
        (-12.0, -180.0, true),
        (-15.0, 180.0, false),
        (-15.0, -179.5, false),
        (-15.0, 178.0, true),
        (-12.0, 0.0, false),
        (-12.0, -175.0, false),
        (-21.0, 177.0, false),
    ] {
        assert_eq!(fiji.contains(latitude, longitude), is_inside, "{latitude} {longitude}");
        let is_in_box = fiji.bounds().contains(latitude, longitude);
        assert!(is_in_box || !is_inside, "{latitude} {longitude}");
    }
    // The hole is named from the other side of the antimeridian.
    let same = Polygon::new(vec![ring(-20.0, 176.0, -10.0, -176.0), ring(-16.0, -179.9, -14.0, -179.0)]);
    assert!(!same.unwrap().contains(-15.0, -179.5));
    let west = Polygon::new(vec![ring(0.0, -180.0, 1.0, -170.0)]).unwrap();
    assert!(west.contains(0.5, 180.0) || west.contains(0.5, -179.999));
}

#[test]
fn ids_of_events_are_what_was_written_and_nothing_else() {
    let id = EventId { incarnation: u64::MAX, stream: 0, sequence: 0x1F };
    assert_eq!(id.to_string(), "ffffffffffffffff-0-1f");
    assert_eq!(EventId::parse(b"ffffffffffffffff-0-1f"), Some(id));
    for bad in ["", "1-2", "1-2-3-4", "01-2-3", "1-2-G", "1-2-A", "1--3", "10000000000000000-1-1", "1-2-3 "] {
        assert_eq!(EventId::parse(bad.as_bytes()), None, "{bad}");
    }
    assert!(
        EventId { incarnation: u64::MAX, stream: u64::MAX, sequence: u64::MAX }.to_string().len()
            == EventId::LEN_MAX
    );
}
