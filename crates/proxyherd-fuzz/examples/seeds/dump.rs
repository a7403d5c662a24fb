//! Seeds of dumps: a whole one with records of every kind, and dumps that a reader refuses.

use std::num::NonZeroU32;

use proxyherd_core::{
    flood::Update,
    types::{
        AttributeValue, Attributes, AttributesBuf, Body, Coordinates, Difference, Kind, Origin, Record,
        ServerName, Timestamp,
    },
};
use proxyherd_data::dump_file::{DumpWriter, Header};

use super::{NOW_NS, Seed};

pub(super) fn dump() -> Vec<Seed> {
    let mut attributes = AttributesBuf::default();
    for (name, value) in [
        ("note", AttributeValue::Text("on my \"way\" \u{1}\u{e4}")),
        ("speed", AttributeValue::Number("1.50E+3")),
        ("battery", AttributeValue::Text("80")),
    ] {
        attributes.set(name, value).expect("the attribute is small");
    }
    attributes.set_ttl_s(NonZeroU32::MIN).expect("there is room");
    let client = |key, attributes| Record {
        kind: Kind::CLIENT,
        key,
        body: Body::Location {
            coordinates: Coordinates::parse(b"+034.068930-118.44").expect("these are coordinates"),
            attributes,
        },
        timestamp: timestamp(),
        difference: Difference::at_receipt(NOW_NS, timestamp()),
    };
    let kiwi = client(b"kiwi", attributes.borrow());
    let earlier = Attributes::from_bytes(b"\x05ttl_s\x02\x0060").expect("an earlier version wrote it");
    let gone = Record { body: Body::Gone, ..kiwi };
    let data = |kind, key, bytes| Record { kind, key, body: Body::Data { keep_s: 60, bytes }, ..kiwi };
    let records = [
        kiwi,
        client(b"\xff", earlier),
        client(b"bare", Attributes::NONE),
        gone,
        data(Kind::TOKEN, b"k1w1", b"\x01\x00\x01"),
        data(Kind::QUOTA, b"day/1/Riley", b""),
        data(Kind(200), b"later", b"\x00\xff"),
    ];
    let whole = written(&records);
    let one = written(&records[..1]);
    let cut = one[..one.len() - 9].to_vec();
    let newer = b"{\"format\":\"proxyherd-dump\",\"version\":2}\n".to_vec();
    let twice = String::from_utf8(one.clone()).expect("a dump is text");
    let twice = twice.replace("\"note\"", "\"speed\":1,\"note\"").into_bytes();
    vec![
        ("whole", whole),
        ("one", one),
        ("empty", written(&[])),
        ("cut", cut),
        ("newer", newer),
        ("attribute-twice", twice),
        ("another-file", b"[herd]\nid = \"herd\"\n".to_vec()),
    ]
}

fn timestamp() -> Timestamp {
    Timestamp::parse(b"1621464827.50").expect("this is a time")
}

fn written(records: &[Record<'_>]) -> Vec<u8> {
    let server = ServerName::new("Riley").expect("this is a name");
    let header = Header {
        program: "0.1.0".to_owned(),
        herd: "herd".to_owned(),
        server: server.clone(),
        made_at_ns: NOW_NS,
        alive_until_ns: NOW_NS - 1,
    };
    let origin = Origin { server, incarnation: 7 };
    let mut dump = Vec::new();
    let mut writer = DumpWriter::begin(&mut dump, &header).expect("a vector takes all bytes");
    for (at, record) in records.iter().enumerate() {
        let update = Update { record: *record, origin: &origin, seq: at as u64 };
        writer.record(&update).expect("a vector takes all bytes");
    }
    writer.finish().expect("a vector takes all bytes");
    dump
}
