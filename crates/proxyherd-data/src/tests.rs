//! Stores that are restored from dumps, checked, and dumped again.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use proxyherd_core::{
    flood::Update,
    journal::StoreIdentity,
    types::{
        Attributes, Body, Coordinates, Difference, Kind, Origin, Record, ServerName, Timestamp, Version,
    },
};
use proxyherd_journal::{FileDisk, directory};

use crate::{
    check::{Checked, RecordCounts, check},
    dump::dump,
    dump_file::{DumpReader, DumpWriter, Entry, Header},
    restore::{Restoration, RestoreError, Source, TargetHerd, Wanted, restore},
    store::{ReadError, SteadyStore},
};

const S: u64 = 1_000_000_000;
/// The present time, POSIX time in nanoseconds.
const NOW_NS: u64 = 1_700_000_000 * S;
const MADE_AT_NS: u64 = NOW_NS - 600 * S;
const ALIVE_NS: u64 = NOW_NS - 700 * S;

fn server(name: &str) -> ServerName {
    ServerName::new(name).unwrap()
}

/// A herd in a directory of its own.
fn herd_of(dir: &Path, id: &str, servers: &[&str]) -> TargetHerd {
    TargetHerd {
        id: id.to_owned(),
        data: dir.join("data"),
        servers: servers.iter().map(|name| server(name)).collect(),
        client_ttl: None,
        clock_offset_max: Duration::from_secs(60),
    }
}

fn record<'a>(kind: Kind, key: &'a [u8], body: Body<'a>) -> Record<'a> {
    let timestamp = Timestamp::parse(b"1699999000.50").unwrap();
    let difference = Difference::from_nanos(263_873_386, timestamp).unwrap();
    Record { kind, key, body, timestamp, difference }
}

fn place<'a>() -> Body<'a> {
    let coordinates = Coordinates::parse(b"+034.068930-118.44").unwrap();
    Body::Location { coordinates, attributes: Attributes::NONE }
}

/// A dump of Riley's store with clients of these servers, a tombstone, a token and an account of a budget.
fn dump_text(herd: &str, servers: &[&str]) -> Vec<u8> {
    let header = Header {
        program: "0.1.0".to_owned(),
        herd: herd.to_owned(),
        server: server("Riley"),
        made_at_ns: MADE_AT_NS,
        alive_until_ns: ALIVE_NS,
    };
    let mut text = Vec::new();
    let mut writer = DumpWriter::begin(&mut text, &header).unwrap();
    let mut put = |record: Record<'_>, name: &str, seq| {
        let origin = Origin { server: server(name), incarnation: 77 };
        writer.record(&Update { record, origin: &origin, seq }).unwrap();
    };
    for (at, name) in servers.iter().enumerate() {
        put(record(Kind::CLIENT, format!("of-{name}").as_bytes(), place()), name, at as u64 + 1);
    }
    let token = Body::Data { keep_s: 0, bytes: b"\x01\x00" };
    put(record(Kind::CLIENT, b"gone", Body::Gone), servers[0], 50);
    put(record(Kind::TOKEN, b"k1w1", token), servers[0], 51);
    let account = Body::Data { keep_s: 0, bytes: b"account" };
    put(record(Kind::QUOTA, format!("day/19675/{}", servers[0]).as_bytes(), account), servers[0], 52);
    writer.finish().unwrap();
    text
}

fn restored(mut text: &[u8], wanted: &Wanted<'_>) -> Result<Restoration, RestoreError> {
    let mut shares = Vec::new();
    let len = Some(text.len() as u64);
    let source = Source { input: &mut text, name: "riley.dump", len };
    let restored = restore(source, wanted, NOW_NS, 42, &mut |share| shares.push(share));
    assert!(shares.is_sorted() && shares.iter().all(|share| (0.0..=1.0).contains(share)), "{shares:?}");
    assert_eq!(restored.is_ok(), shares.last() == Some(&1.0), "{shares:?}");
    restored
}

fn wanted<'c>(herd: &'c TargetHerd, server: &'c ServerName) -> Wanted<'c> {
    Wanted { herd, server, with_tokens: true, replaces: false }
}

fn identity(herd: &TargetHerd, server: &ServerName) -> StoreIdentity {
    StoreIdentity { herd: herd.id.clone(), server: server.clone() }
}

fn checked(herd: &TargetHerd, server: &ServerName) -> Checked {
    let store = SteadyStore::open(&herd.data, server).unwrap();
    check(&store, &identity(herd, server), NOW_NS, &mut |_| {}).unwrap()
}

/// The records of the store, by their keys.
fn held(herd: &TargetHerd, server: &ServerName) -> BTreeMap<String, Entry> {
    let store = SteadyStore::open(&herd.data, server).unwrap();
    let mut text = Vec::new();
    let mut shares = Vec::new();
    let mut progress = |share| shares.push(share);
    let dumped = dump(&store, &identity(herd, server), "0.1.0", NOW_NS, &mut text, &mut progress).unwrap();
    assert!(shares.is_sorted() && shares.last() == Some(&1.0), "{shares:?}");
    assert_eq!((dumped.bytes, dumped.damage), (text.len() as u64, Vec::new()));
    let mut reader = DumpReader::open(&text[..]).unwrap();
    let mut held = BTreeMap::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        held.insert(String::from_utf8(entry.update().record.key.to_vec()).unwrap(), entry);
    }
    assert_eq!(dumped.records, held.len() as u64);
    held
}

fn entries(text: &[u8]) -> BTreeMap<String, Entry> {
    let mut reader = DumpReader::open(text).unwrap();
    let next = || reader.next_entry().unwrap();
    let named = |entry: Entry| (String::from_utf8(entry.update().record.key.to_vec()).unwrap(), entry);
    std::iter::from_fn(next).map(named).collect()
}

#[test]
fn a_restored_store_holds_the_same_records_with_their_origins_and_its_old_age() {
    let dir = tempfile::tempdir().unwrap();
    let (herd, riley) = (herd_of(dir.path(), "herd", &["Riley", "Jaquez"]), server("Riley"));
    let text = dump_text("herd", &["Riley", "Jaquez", "Departed"]);
    let done = restored(&text, &wanted(&herd, &riley)).unwrap();
    let records = RecordCounts { clients: 3, tombstones: 1, tokens: 1, quota: 1, others: 0 };
    assert_eq!((done.records, done.adopted, done.left_out, done.stale, done.refused), (records, 0, 0, 0, 0));
    assert_eq!(done.dir, directory(&herd.data, &riley));
    assert_eq!(held(&herd, &riley), entries(&text));
    let checked = checked(&herd, &riley);
    assert_eq!((checked.sound, checked.records, checked.age_s), (true, records, Some(700)));
    assert_eq!((checked.torn, checked.damage), (Vec::new(), Vec::new()));
    let beside: Vec<_> =
        fs::read_dir(done.dir.parent().unwrap()).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(beside.len(), 2, "only the store and its lock are left: {beside:?}");
}

#[test]
fn another_herd_takes_records_of_unknown_servers_in_the_restoring_servers_name() {
    let dir = tempfile::tempdir().unwrap();
    let (herd, ada) = (herd_of(dir.path(), "new-herd", &["Ada", "Riley"]), server("Ada"));
    let text = dump_text("herd", &["Riley", "Jaquez"]);
    let done = restored(&text, &wanted(&herd, &ada)).unwrap();
    assert_eq!((done.adopted, done.left_out, done.records.total()), (1, 1, 4));
    let (before, after) = (entries(&text), held(&herd, &ada));
    assert_eq!(after.keys().collect::<Vec<_>>(), ["gone", "k1w1", "of-Jaquez", "of-Riley"]);
    for (key, entry) in &after {
        assert_eq!(entry.update().record, before[key].update().record, "a record keeps its texts");
    }
    let origin = |key: &str| after[key].update().origin.clone();
    assert_eq!(origin("of-Riley"), Origin { server: server("Riley"), incarnation: 77 });
    assert_eq!(origin("of-Jaquez"), Origin { server: ada.clone(), incarnation: NOW_NS });
    assert_eq!(checked(&herd, &ada).age_s, Some(0), "the operator brings the records now");
    let version: Version = after["of-Jaquez"].update().record.version();
    assert_eq!(version.0, 1_699_999_000 * S + S / 2);
}

#[test]
fn tokens_are_left_out_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let (herd, riley) = (herd_of(dir.path(), "new-herd", &["Riley"]), server("Riley"));
    let wanted = Wanted { with_tokens: false, ..wanted(&herd, &riley) };
    let done = restored(&dump_text("herd", &["Riley"]), &wanted).unwrap();
    assert_eq!((done.records.tokens, done.left_out), (0, 2));
    assert!(!held(&herd, &riley).contains_key("k1w1"));
}

#[test]
fn clients_that_the_herd_has_forgotten_are_not_restored() {
    // The client's report is 999.2 seconds old. Clocks may differ by 60 seconds, so a report is kept that much longer
    // than its time to live.
    for (client_ttl_s, clients, stale) in [(939, 0, 1), (940, 1, 0)] {
        let dir = tempfile::tempdir().unwrap();
        let client_ttl = Some(Duration::from_secs(client_ttl_s));
        let (herd, riley) =
            (TargetHerd { client_ttl, ..herd_of(dir.path(), "herd", &["Riley"]) }, server("Riley"));
        let done = restored(&dump_text("herd", &["Riley"]), &wanted(&herd, &riley)).unwrap();
        assert_eq!((done.records.clients, done.stale), (clients, stale), "{client_ttl_s}");
    }
}

/// All files below the directory, with their contents.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn a_wrong_dump_makes_nothing_and_says_which_line() {
    let dir = tempfile::tempdir().unwrap();
    let (herd, riley) = (herd_of(dir.path(), "herd", &["Riley"]), server("Riley"));
    let text = dump_text("herd", &["Riley"]);
    let wrong = String::from_utf8(text.clone()).unwrap().replace("+034.068930", "+94.068930").into_bytes();
    for (text, reason) in [
        (
            &wrong[..],
            "riley.dump: line 2: coordinates: \"+94.068930-118.44\" are no coordinates; nothing was restored",
        ),
        (&text[..text.len() - 1], "riley.dump: the dump is cut: it ends after line 5"),
        (b"[herd]\n", "riley.dump: this is no dump of proxyherd"),
        (
            b"{\"format\":\"proxyherd-dump\",\"version\":2}\n",
            "riley.dump: the dump has version 2 of the format",
        ),
    ] {
        let error = restored(text, &wanted(&herd, &riley)).unwrap_err().to_string();
        assert!(error.starts_with(reason), "{error}");
        assert!(files(dir.path()).is_empty(), "{reason}");
    }
}

#[test]
fn a_store_that_exists_is_replaced_only_by_force_and_only_by_a_whole_dump() {
    let dir = tempfile::tempdir().unwrap();
    let (herd, riley) = (herd_of(dir.path(), "herd", &["Riley", "Jaquez"]), server("Riley"));
    restored(&dump_text("herd", &["Riley"]), &wanted(&herd, &riley)).unwrap();
    let before = files(dir.path());
    let text = dump_text("herd", &["Jaquez"]);
    let error = restored(&text, &wanted(&herd, &riley)).unwrap_err();
    assert!(matches!(error, RestoreError::NotEmpty { .. }), "{error}");
    let forced = Wanted { replaces: true, ..wanted(&herd, &riley) };
    let error = restored(&text[..text.len() / 2], &forced).unwrap_err();
    assert!(matches!(error, RestoreError::Dump { .. }), "{error}");
    assert_eq!(files(dir.path()), before);
    restored(&text, &forced).unwrap();
    assert_eq!(held(&herd, &riley), entries(&text));
    assert_eq!(files(dir.path()).len(), before.len(), "the old files are gone");
}

#[test]
fn a_store_in_use_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (herd, riley) = (herd_of(dir.path(), "herd", &["Riley"]), server("Riley"));
    let open = FileDisk::open(&herd.data, &riley).unwrap();
    let forced = Wanted { replaces: true, ..wanted(&herd, &riley) };
    let error = restored(&dump_text("herd", &["Riley"]), &forced).unwrap_err().to_string();
    assert!(error.contains("is open in another process"), "{error}");
    drop(open);
    restored(&dump_text("herd", &["Riley"]), &forced).unwrap();
}

#[test]
fn a_flipped_byte_is_named_with_its_file_and_offset_and_everything_else_is_dumped() {
    let dir = tempfile::tempdir().unwrap();
    let (herd, riley) = (herd_of(dir.path(), "herd", &["Riley"]), server("Riley"));
    let done = restored(&dump_text("herd", &["Riley"]), &wanted(&herd, &riley)).unwrap();
    let file = done.dir.join("journal-1");
    let whole = fs::read(&file).unwrap();
    let at = whole.windows(7).position(|bytes| bytes == b"of-Rile").unwrap();
    let mut flipped = whole.clone();
    flipped[at] ^= 1;
    fs::write(&file, &flipped).unwrap();
    let checked = checked(&herd, &riley);
    assert!(!checked.sound && checked.damage.len() == 1, "{checked:?}");
    let damage = &checked.damage[0];
    assert_eq!(damage.file, file.file_name().unwrap().to_str().unwrap());
    assert!((damage.offset..damage.offset + damage.length).contains(&(at as u64)), "{damage:?}");
    assert_eq!(checked.records.clients, 0, "nothing of the damaged block counts");
    let store = SteadyStore::open(&herd.data, &riley).unwrap();
    let mut text = Vec::new();
    let dumped = dump(&store, &identity(&herd, &riley), "0.1.0", NOW_NS, &mut text, &mut |_| {}).unwrap();
    assert_eq!(dumped.damage.len(), 1);
    assert!(entries(&text).contains_key("k1w1") && !entries(&text).contains_key("of-Riley"));
}

#[test]
fn a_store_says_whose_it_is_and_others_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (herd, riley) = (herd_of(dir.path(), "herd", &["Riley"]), server("Riley"));
    let done = restored(&dump_text("herd", &["Riley"]), &wanted(&herd, &riley)).unwrap();
    let store = SteadyStore::open_at(&done.dir).unwrap();
    assert_eq!(store.identity().unwrap(), Some(identity(&herd, &riley)));
    for (herd, name, reason) in
        [("other", "Riley", "belongs to the herd herd"), ("herd", "Jaquez", "server Riley")]
    {
        let other = StoreIdentity { herd: herd.to_owned(), server: server(name) };
        let error = check(&store, &other, NOW_NS, &mut |_| {}).unwrap_err();
        assert!(matches!(&error, ReadError::Refused { .. }) && error.to_string().contains(reason), "{error}");
    }
}
