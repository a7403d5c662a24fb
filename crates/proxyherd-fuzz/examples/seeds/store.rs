//! Seeds of the files of a store: a whole segment, and entries of blocks without checksums.

use proxyherd_core::{
    codec::link::Encoder,
    journal::fuzzing,
    replica::shard_index,
    types::{Attributes, Body, Coordinates, Difference, Kind, Record, Timestamp},
};

use super::{NOW_NS, Seed};

/// The types of entries.
const ORIGIN: u8 = 1;
const RECORD: u8 = 2;
const REMOVED: u8 = 3;
const VECTOR: u8 = 4;
const ALIVE: u8 = 5;
const END: u8 = 6;
/// In a block: the entries are about no shard.
const NO_SHARD: u8 = 255;

/// All seeds.
pub(super) fn store() -> Vec<Seed> {
    let blocks = [records(), block(NO_SHARD, &[alive(), entry(END, 0, &[])].concat())].concat();
    let segment = fuzzing::segment(&blocks);
    let torn = segment[..segment.len() - 5].to_vec();
    let vector = [origin(), entry(VECTOR, 3, &[&[0, 0][..], &9_u64.to_le_bytes()].concat())].concat();
    let parts = [origin(), entry(VECTOR, 1, &[]), entry(VECTOR, 0, &[]), entry(VECTOR, 2, &[])].concat();
    vec![
        ("alive", block(NO_SHARD, &alive())),
        ("blocks", blocks),
        ("records", records()),
        ("removed", block(shard(b"kiwi"), &entry(REMOVED, 0, b"\0kiwi"))),
        ("segment", segment),
        ("torn-segment", torn),
        ("vector", block(3, &vector)),
        ("vector-in-parts", block(3, &parts)),
        ("wrong-shard", block(shard(b"kiwi") ^ 1, &entry(REMOVED, 0, b"\0kiwi"))),
    ]
}

fn shard(key: &[u8]) -> u8 {
    shard_index(key) as u8
}

fn block(shard: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16).to_le_bytes();
    [&[shard], &len[..], payload].concat()
}

fn entry(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let [low, high] = (body.len() as u16).to_le_bytes();
    [&[low, high, kind, flags][..], body].concat()
}

fn alive() -> Vec<u8> {
    entry(ALIVE, 0, &NOW_NS.to_le_bytes())
}

fn origin() -> Vec<u8> {
    entry(ORIGIN, 0, &[&[5][..], b"Riley", &7_u64.to_le_bytes()].concat())
}

/// A block with a record and a tombstone of one client. An entry has the same framing as a frame of a link.
fn records() -> Vec<u8> {
    let timestamp = Timestamp::parse(b"1621464827.959498503").expect("this is a time");
    let coordinates = Coordinates::parse(b"+34.068930-118.445127").expect("these are coordinates");
    let body = Body::Location { coordinates, attributes: Attributes::NONE };
    let difference = Difference::at_receipt(NOW_NS, timestamp);
    let record = Record { kind: Kind::CLIENT, key: b"kiwi", body, timestamp, difference };
    let mut payload = origin();
    for record in [record, Record { body: Body::Gone, ..record }] {
        let mut encoder = Encoder::default();
        encoder.record(0, 9, &record);
        let mut frame = encoder.bytes().to_vec();
        frame[2] = RECORD;
        payload.extend(frame);
    }
    block(shard(b"kiwi"), &payload)
}
