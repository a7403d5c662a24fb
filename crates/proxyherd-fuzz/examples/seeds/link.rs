//! Seeds of the link protocol: single frames and streams of frames.

use proxyherd_core::{
    codec::link::{
        Encoder, GraftMode, Hello,
        check::{Check, Level},
        numbering::ANEW_VERSION,
    },
    types::{Advertisement, Attributes, Body, Coordinates, Difference, Kind, Origin, Record, Timestamp},
};

use super::{
    NOW_NS, Seed,
    values::{name, origin, some_attributes},
};

fn hello(encoder: &mut Encoder) {
    encoder.hello(&Hello {
        lowest: 1,
        highest: 2,
        features: 1,
        herd: "herd".to_owned(),
        origin: origin("Jaquez"),
        shards: 16,
        clock_ns: Some(NOW_NS),
    });
}

fn record<'a>(key: &'a [u8], body: Body<'a>, kind: Kind) -> Record<'a> {
    let timestamp = Timestamp::parse(b"1621464827.959498503").expect("this is a time");
    let difference = Difference::at_receipt(NOW_NS, timestamp);
    Record { kind, key, body, timestamp, difference }
}

fn place(attributes: Attributes<'_>) -> Body<'_> {
    let coordinates = Coordinates::parse(b"+34.068930-118.445127").expect("this is a place");
    Body::Location { coordinates, attributes }
}

/// Records of each kind from Jaquez.
fn records(encoder: &mut Encoder) {
    let jaquez = encoder.index_of(&origin("Jaquez")).expect("it is the first");
    let attributes = some_attributes();
    encoder.record(jaquez, 1, &record(b"kiwi", place(Attributes::NONE), Kind::CLIENT));
    encoder.record(jaquez, 2, &record(b"plum", place(attributes.borrow()), Kind::CLIENT));
    encoder.record(jaquez, 3, &record(b"kiwi", Body::Gone, Kind::CLIENT));
    encoder.record(jaquez, 4, &record(&[0xff; 256], place(Attributes::NONE), Kind::CLIENT));
    let data = Body::Data { keep_s: 3600, bytes: b"of a later version" };
    encoder.record(jaquez, 5, &record(b"day/2021-05-19/Jaquez", data, Kind(200)));
}

/// The bytes that `write` writes.
fn encoded(write: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let mut encoder = Encoder::default();
    write(&mut encoder);
    encoder.bytes().to_vec()
}

/// Records of more origins than can have an index at the same time, followed by a use of an index that is no longer
/// assigned.
fn numbered_anew() -> Vec<u8> {
    let mut encoder = Encoder::default().with_origins_max(2);
    encoder.agree(ANEW_VERSION);
    for server in ["Jaquez", "Juzang", "Bernard", "Campbell", "Jaquez"] {
        encoder.make_room(1);
        let index = encoder.index_of(&origin(server)).expect("there is room");
        encoder.record(index, 1, &record(server.as_bytes(), place(Attributes::NONE), Kind::CLIENT));
        (0..16).for_each(|shard| encoder.marker(shard, &[(index, 1)]));
    }
    encoder.marker(0, &[(1, 1)]);
    encoder.bytes().to_vec()
}

fn checks(encoder: &mut Encoder) {
    let level = Level { shard: 3, depth: 1, from_ns: NOW_NS };
    encoder.check(&Check {
        shard: 3,
        received: 0,
        from_ns: NOW_NS,
        client_ttl_ns: 3_600_000_000_000,
        root: 1,
    });
    encoder.branches(Level { depth: 0, ..level }, &[(0, [7; 16])]);
    encoder.branches(level, &[(0x1000_0000_0000_0000, [7; 16])]);
    encoder.leaves(Level { depth: 15, ..level }, &[0, u64::MAX]);
}

fn tree(encoder: &mut Encoder) {
    let up = ["Riley", "Juzang"].map(name).into();
    encoder.state(&Advertisement { origin: origin("Jaquez"), stamp: 9, up });
    let up = ["Jaquez", "Riley"].map(name).into();
    encoder.state(&Advertisement { origin: origin("Juzang"), stamp: 3, up });
    let jaquez = encoder.index_of(&origin("Jaquez")).expect("it is the first");
    for shard in 0..16 {
        encoder.ihave(shard, &[(jaquez, 5)]);
        let mode = if shard % 2 == 0 { GraftMode::Once } else { GraftMode::Onward };
        encoder.graft(shard, &[], mode);
    }
    encoder.prune();
}

pub(super) fn link() -> Vec<Seed> {
    vec![
        ("hello", encoded(hello)),
        ("refusal", encoded(|encoder| encoder.refusal("it belongs to the herd \"a\""))),
        ("records", encoded(records)),
        ("checks", encoded(checks)),
        ("tree", encoded(tree)),
        (
            "clocks",
            encoded(|encoder| {
                encoder.heartbeat(NOW_NS);
                encoder.offset(-5);
            }),
        ),
        (
            "covered",
            encoded(|encoder| {
                let jaquez = encoder.index_of(&origin("Jaquez")).expect("it is the first");
                encoder.vector(3, &[(jaquez, 9), (jaquez, u64::MAX)]);
                encoder.marker(15, &[(jaquez, 13)]);
                encoder.vector(0, &[]);
            }),
        ),
        ("numbered-anew", numbered_anew()),
        ("skipped", vec![1, 0, 99, 0x80, 42, 0, 0, 99, 0]),
        ("long-refusal", [&[255, 0, 2, 0, 254][..], "é".repeat(127).as_bytes()].concat()),
        ("no-entries", vec![3, 0, 6, 0, 1, 0, 0, 3, 0, 13, 0, 2, 0, 0]),
        ("too-many-entries", vec![3, 0, 6, 0, 1, 0xff, 0xff]),
        ("stranger", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
    ]
}

pub(super) fn incoming() -> Vec<Seed> {
    let vectors = |encoder: &mut Encoder| (0..16).for_each(|shard| encoder.vector(shard, &[]));
    let markers = |encoder: &mut Encoder| {
        let jaquez = encoder.index_of(&origin("Jaquez")).expect("it is the first");
        (0..16).for_each(|shard| encoder.marker(shard, &[(jaquez, 5)]));
    };
    vec![
        ("hello", encoded(hello)),
        (
            "vectors-and-records",
            encoded(|encoder| {
                vectors(encoder);
                records(encoder);
                markers(encoder);
            }),
        ),
        ("records", encoded(records)),
        (
            "tree-and-records",
            encoded(|encoder| {
                tree(encoder);
                records(encoder);
                markers(encoder);
            }),
        ),
        (
            "checks",
            encoded(|encoder| {
                vectors(encoder);
                records(encoder);
                checks(encoder);
            }),
        ),
        (
            "clocks",
            encoded(|encoder| {
                encoder.heartbeat(NOW_NS + 2_000_000_000);
                encoder.offset(2_000_000_000);
            }),
        ),
        ("clock-far-off", encoded(|encoder| encoder.heartbeat(u64::MAX))),
        (
            "own-origin",
            encoded(|encoder| {
                let origin = Origin { server: name("Riley"), incarnation: 1 };
                let me = encoder.index_of(&origin).expect("it is the first");
                encoder.record(me, 1, &record(b"kiwi", place(Attributes::NONE), Kind::CLIENT));
            }),
        ),
        ("numbered-anew", numbered_anew()),
        ("unknown-shard", encoded(|encoder| encoder.vector(16, &[]))),
    ]
}
