//! The merge is a join: the same records make the same replica, in whatever order, however often, and over whatever
//! links they come.

use proptest::prelude::*;
use proxyherd_core::{
    codec::link::Encoder,
    command::Outcome,
    flood::Wake,
    limits::SHARDS,
    link::Incoming,
    replica::{Replica, shard_index},
    types::{
        AttributeValue, Attributes, AttributesBuf, Body, Coordinates, Difference, Kind, Origin, Record,
        Timestamp, Version,
    },
};

use crate::herd::{NOW_NS, SECOND_NS, Seen, content, empty_vectors, link, origin, replica, report};

/// A record as a server may have taken it. Small ranges make keys, versions and whole records collide often.
#[derive(Clone, Debug)]
struct Made {
    key: u8,
    server: u8,
    incarnation: u64,
    seq: u64,
    timestamp_ns: u64,
    difference_ns: i64,
    /// `None`: a tombstone.
    place: Option<u8>,
    note: Option<u8>,
}

impl Made {
    fn origin(&self) -> Origin {
        origin(["Riley", "Jaquez", "Juzang"][usize::from(self.server)], self.incarnation)
    }

    /// Calls `with` with the record.
    fn record<T>(&self, with: impl FnOnce(&Record<'_>) -> T) -> T {
        let timestamp = Timestamp::from_nanos(self.timestamp_ns).unwrap();
        let mut attributes = AttributesBuf::default();
        if let Some(note) = self.note {
            attributes.set("note", AttributeValue::Text(&note.to_string())).unwrap();
        }
        let attributes = if self.note.is_some() { attributes.borrow() } else { Attributes::NONE };
        let body = self.place.map_or(Body::Gone, |place| Body::Location {
            coordinates: Coordinates::parse(format!("+{place}.5-118").as_bytes()).unwrap(),
            attributes,
        });
        let difference = Difference::from_nanos(self.difference_ns, timestamp).unwrap();
        with(&Record { kind: Kind::CLIENT, key: &[b'a' + self.key], body, timestamp, difference })
    }
}

fn made() -> impl Strategy<Value = Made> {
    let ahead_ns = 5 * SECOND_NS.cast_signed();
    // Around the bound on fast clocks as well as well below it.
    let differences = prop_oneof![-2i64..3, (-ahead_ns - 2)..(-ahead_ns + 3)];
    let origin = (0u8..3, 1u64..3, 1u64..9);
    let body = (prop::option::weighted(0.8, 0u8..2), prop::option::weighted(0.3, 0u8..2));
    (0u8..3, origin, 0u64..4, differences, body).prop_map(|(key, origin, ago_ns, difference_ns, body)| Made {
        key,
        server: origin.0,
        incarnation: origin.1,
        seq: origin.2,
        timestamp_ns: NOW_NS - ago_ns,
        difference_ns,
        place: body.0,
        note: body.0.and(body.1),
    })
}

/// Lets `replica` take these records over one link.
fn offer(replica: &Replica, place: usize, records: &[Made]) {
    let mut encoder = Encoder::default();
    for one in records {
        let index = encoder.index_of(&one.origin()).unwrap();
        one.record(|record| encoder.record(index, one.seq, record));
    }
    let mut incoming = Incoming::new(link(place));
    let mut wake = Wake::default();
    let taken = incoming.receive(replica, NOW_NS, encoder.bytes(), &mut wake).unwrap();
    assert_eq!(taken, encoder.len());
}

fn merged(records: &[Made]) -> Vec<Seen> {
    let replica = replica("Merger");
    offer(&replica, 0, records);
    assert_eq!(replica.contradiction(), None);
    content(&replica)
}

/// The greatest record of a key, found by comparing all of them.
fn greatest(records: &[Made], key: u8) -> Option<&Made> {
    records.iter().filter(|one| one.key == key).reduce(|best, one| {
        let order = one.record(|one_record| {
            best.record(|best_record| {
                one_record.precedence(&one.origin().server, best_record, &best.origin().server)
            })
        });
        if order.is_gt() { one } else { best }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_order_with_any_repetition_makes_the_same_replica(
        (records, shuffled) in prop::collection::vec(made(), 1..40).prop_flat_map(|records| {
            let again = prop::sample::subsequence(records.clone(), 0..=records.len());
            let shuffled = again.prop_flat_map({
                let records = records.clone();
                move |again| Just([records.clone(), again].concat()).prop_shuffle()
            });
            (Just(records), shuffled)
        }),
    ) {
        prop_assert_eq!(merged(&records), merged(&shuffled));
    }

    #[test]
    fn it_does_not_matter_what_is_merged_first(
        one in prop::collection::vec(made(), 0..15),
        other in prop::collection::vec(made(), 0..15),
        third in prop::collection::vec(made(), 0..15),
    ) {
        // (one + other) + third = one + (other + third), where a sum is offered as the replica that it makes.
        let (left, right) = (replica("Left"), replica("Right"));
        offer(&left, 0, &one);
        offer(&left, 1, &other);
        offer(&right, 0, &other);
        offer(&right, 1, &third);
        let of = |replica: &Replica, all: &[&[Made]]| -> Vec<Made> {
            let held = content(replica);
            let all = all.iter().flat_map(|records| records.iter());
            all.filter(|one| one.record(|record| held.iter().any(|seen| {
                seen.key == record.key && seen.timestamp == record.timestamp
                    && seen.difference == record.difference && seen.server == one.origin().server
            }))).cloned().collect()
        };
        let sum_left = [of(&left, &[&one, &other]), third.clone()].concat();
        let sum_right = [one.clone(), of(&right, &[&other, &third])].concat();
        prop_assert_eq!(merged(&sum_left), merged(&sum_right));
    }

    #[test]
    fn what_is_kept_is_the_greatest_and_who_took_it(records in prop::collection::vec(made(), 1..40)) {
        let held = merged(&records);
        let keys: Vec<_> = held.iter().map(|seen| seen.key[0] - b'a').collect();
        prop_assert!(keys.is_sorted());
        for (seen, &key) in held.iter().zip(&keys) {
            let best = greatest(&records, key).unwrap();
            prop_assert_eq!(&seen.server, &best.origin().server);
            let version = Version::of(seen.timestamp, seen.difference);
            for one in records.iter().filter(|one| one.key == key) {
                // timestamp + min(difference + 5 s, 0)
                let bound = (one.difference_ns + 5_000_000_000).min(0);
                prop_assert!(version.0 >= one.timestamp_ns.checked_add_signed(bound).unwrap());
            }
        }
        for one in &records {
            prop_assert!(keys.contains(&one.key));
        }
    }

    #[test]
    fn the_order_of_records_is_total(one in made(), other in made(), third in made()) {
        let order = |a: &Made, b: &Made| {
            let (a, b) = (Made { key: 0, ..a.clone() }, Made { key: 0, ..b.clone() });
            a.record(|one| b.record(|other| one.precedence(&a.origin().server, other, &b.origin().server)))
        };
        prop_assert_eq!(order(&one, &other), order(&other, &one).reverse());
        if order(&one, &other).is_ge() && order(&other, &third).is_ge() {
            prop_assert!(order(&one, &third).is_ge());
        }
        // Only the same content is equal.
        if order(&one, &other).is_eq() {
            let key = Made { key: 0, ..other.clone() };
            let same = Made { key: 0, ..one.clone() }.record(|one| key.record(|other| one == other));
            prop_assert!(same && one.server == other.server);
        }
    }

    #[test]
    fn what_loses_is_told_to_nobody(records in prop::collection::vec(made(), 1..40)) {
        let replica = replica("Merger");
        offer(&replica, 0, &records);
        // A neighbor comes up at another link and is sent everything; from then on it waits for changes.
        let (mut incoming, mut encoder) = (Incoming::new(link(1)), Encoder::default());
        incoming.receive(&replica, NOW_NS, empty_vectors().bytes(), &mut Wake::default()).unwrap();
        while !replica.flush(link(1), &mut encoder) {}
        for one in &records {
            let timestamp_ns = one.timestamp_ns.min(one.timestamp_ns.saturating_add_signed(
                one.difference_ns + 5_000_000_000,
            ));
            let key = [b'a' + one.key];
            let (outcome, wake) = replica.report(NOW_NS + 10, &report(&key, timestamp_ns - 1));
            prop_assert_eq!((outcome, wake), (Outcome::Stale, Wake::default()));
        }
        offer(&replica, 2, &records);
        prop_assert!(!replica.is_ready(link(1)));
        let queued: usize = (0..SHARDS).map(|shard| replica.queue_len(link(1), shard)).sum();
        prop_assert_eq!(queued, 0);
    }
}

#[test]
fn the_line_that_was_sent_again_elsewhere_changes_nothing_and_floods_nothing() {
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    let (mut to_jaquez, mut to_riley) = crate::herd::join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    let sent = report(b"kiwi", NOW_NS);
    let _ = riley.report(NOW_NS, &sent);
    crate::herd::settle(&mut to_jaquez, &mut to_riley);
    let before = content(&jaquez);
    for later_ns in [1, SECOND_NS] {
        let (outcome, wake) = jaquez.report(NOW_NS + later_ns, &sent);
        assert_eq!((outcome, wake), (Outcome::Stale, Wake::default()));
    }
    assert_eq!(content(&jaquez), before);
    assert!(!jaquez.is_ready(link(0)));
    assert_eq!(jaquez.queue_len(link(0), shard_index(b"kiwi")), 0);
}
