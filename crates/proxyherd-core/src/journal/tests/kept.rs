//! Reads a store that version 1 of the format wrote. The files are in the folder `kept`.
//!
//! To write the files again, for example for another version, run
//! `cargo test -p proxyherd-core --lib journal::tests::kept -- --ignored`. The files of earlier versions have to stay.

use super::*;
use crate::{
    journal::Progress,
    types::{AttributeValue, AttributesBuf},
};

/// The files of the kept store.
const FILES: [(&str, &[u8]); 3] = [
    ("journal-1", include_bytes!("kept/journal-1")),
    ("journal-2", include_bytes!("kept/journal-2")),
    ("snapshot-0-2", include_bytes!("kept/snapshot-0-2")),
];

/// Everything that a store can hold: records of each kind and body, a removal, vectors, and a snapshot.
fn written() -> MemoryDisk {
    let mut server = Server::new();
    let mut attributes = AttributesBuf::default();
    attributes.set("note", AttributeValue::Text("on my way")).unwrap();
    let report = Report {
        client: ClientId::new(b"kiwi").unwrap(),
        coordinates: Coordinates::parse(b"+34.068930-118.445127").unwrap(),
        stamp: Stamp::Client(Timestamp::parse(b"1699999999.5").unwrap()),
        attributes: attributes.borrow(),
    };
    let _ = server.replica.report(NOW_NS, &report);
    let _ = server.replica.tell(NOW_NS, Kind::QUOTA, b"day/1/Riley", 0, b"an account");
    for client in 0..40 {
        server.report(&format!("client-{client}"));
    }
    server.commit();
    server.forget("client-7");
    server.expire(2 * SECOND_NS);
    server.commit();
    let mut compaction = server.journal.begin_compaction(server.now_ns).unwrap();
    while server.disk.read("snapshot-0-2").is_none() {
        assert_eq!(compaction.step(&server.replica, server.journal.durable()), Ok(Progress::More));
    }
    server.journal.compaction_failed(&compaction.abort(), server.now_ns);
    server.expire(CLIENT_TTL_NS + 10 * SECOND_NS);
    server.report("the-last");
    server.commit();
    server.disk
}

#[test]
fn a_store_that_the_first_version_wrote_is_read() {
    let disk = MemoryDisk::default();
    for (name, bytes) in FILES {
        disk.replace(name, bytes.to_vec());
    }
    let (told, recovered) = read(&disk);
    assert_eq!((&recovered.torn, &recovered.damage), (&vec![], &vec![]));
    assert_eq!(recovered.last_number, 2);
    assert_eq!(recovered.alive_until_ns, NOW_NS + 112 * SECOND_NS + 42_000_000);
    let of = |key: &[u8]| {
        told.all
            .iter()
            .filter(|(_, (_, told), _)| told == key)
            .filter_map(|(.., whole)| whole.clone())
            .collect()
    };
    let kiwi: Vec<Whole> = of(b"kiwi");
    for part in ["+34.068930-118.445127", "on my way", "1699999999.5"] {
        assert!(kiwi[0].text.contains(part), "{}", kiwi[0].text);
    }
    assert_eq!(kiwi[0].origin, Origin { server: identity().server, incarnation: 1 });
    let forgotten: Vec<Whole> = of(b"client-7");
    assert!(forgotten.last().unwrap().text.contains("Gone"));
    let left: Vec<_> = told.held.keys().map(|(kind, key)| (kind.0, String::from_utf8_lossy(key))).collect();
    assert_eq!(left, [(0, "client-7".into()), (0, "the-last".into()), (1, "day/1/Riley".into())]);
    assert!(told.vectors.len() == SHARDS, "{:?}", told.vectors);
    check_consistent(&told, &told, "the kept store");
}

#[test]
fn todays_version_writes_the_same_bytes() {
    let disk = written();
    for (name, bytes) in FILES {
        assert!(disk.read(name).unwrap() == bytes, "{name} has changed: a new format needs a new version");
    }
    assert_eq!(disk.list().unwrap().len(), FILES.len());
}

#[test]
#[ignore = "writes the files of the folder `kept`"]
fn write_the_kept_store() {
    let disk = written();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/journal/tests/kept");
    for (name, _) in disk.list().unwrap() {
        std::fs::write(folder.join(&name), disk.read(&name).unwrap()).unwrap();
    }
}
