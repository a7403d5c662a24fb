//! What was written comes back.

use std::{cell::RefCell, rc::Rc};

use proptest::prelude::*;

use super::*;
use crate::journal::format::{Blocks, FILE_HEADERS_LEN, FileHeader, FileName};
use crate::limits::{TOMBSTONE_RENEW_NS, TOMBSTONE_TTL_NS};

#[test]
fn a_store_comes_back_as_it_was_after_each_restart() {
    let disk = MemoryDisk::default();
    let mut expected = BTreeMap::new();
    for life in 1..=4_u64 {
        let (mut server, recovered) = Server::start(&disk, life, NOW_NS + life * 20 * SECOND_NS);
        assert_eq!(held_by(&server.replica), expected, "life {life}");
        assert_eq!((&recovered.damage, &recovered.torn), (&vec![], &vec![]));
        assert_eq!(recovered.last_number, life - 1);
        for client in 0..50 {
            server.report(&format!("client-{client}-{}", client as u64 * life % 7));
        }
        server.forget("client-0-0");
        server.commit();
        if life == 3 {
            server.compact();
            server.report("after-compaction");
            server.commit();
        }
        expected = held_by(&server.replica);
        if life == 3 {
            // The compaction began a segment of its own.
            break;
        }
    }
    let (server, _) = Server::start(&disk, 9, NOW_NS + 90 * SECOND_NS);
    assert_eq!(held_by(&server.replica), expected);
}

#[test]
fn vectors_come_back_and_cover_what_was_taken() {
    let mut server = Server::new();
    server.report("kiwi");
    server.commit();
    server.now_ns += 2 * SECOND_NS;
    server.commit();
    let (told, recovered) = read(&server.disk);
    let shard = shard_index(b"kiwi");
    assert_eq!(told.vectors[&shard], [(server.replica.me().clone(), 1)]);
    assert_eq!(told.all.len(), 1);
    assert_eq!(recovered.records, 1);
    assert_eq!(recovered.bytes, server.disk.used());
    assert_eq!(server.journal.disk_bytes(), server.disk.used());
}

#[test]
fn a_server_was_alive_until_its_last_entry_says() {
    assert_eq!(alive_until(&MemoryDisk::default(), &identity()), Ok(None));
    let mut server = Server::new();
    server.commit();
    assert_eq!(alive_until(&server.disk, &identity()), Ok(Some(NOW_NS)));
    server.now_ns += 25 * SECOND_NS;
    server.report("kiwi");
    server.commit();
    let alive_ns = server.now_ns;
    assert_eq!(alive_until(&server.disk, &identity()), Ok(Some(alive_ns)));
    server.now_ns += SECOND_NS;
    server.commit();
    assert_eq!(alive_until(&server.disk, &identity()), Ok(Some(alive_ns)), "an entry each ten seconds");
    server.compact();
    server.commit();
    assert_eq!(alive_until(&server.disk, &identity()), Ok(Some(alive_ns)), "a new segment says it again");
    assert_eq!(read(&server.disk).1.alive_until_ns, alive_ns);
}

#[test]
fn positions_are_durable_only_after_a_sync() {
    let mut server = Server::new();
    server.report("kiwi");
    let shard = shard_index(b"kiwi");
    server.take();
    assert_eq!(server.journal.durable().of(shard), 0);
    assert!(server.journal.is_dirty());
    server.journal.write().unwrap();
    assert_eq!(server.journal.durable().of(shard), 0);
    server.report("kiwi");
    server.take();
    assert_eq!(server.journal.sync().unwrap().of(shard), 1, "the second report is not written");
    server.journal.write().unwrap();
    assert_eq!(server.journal.sync().unwrap().of(shard), 2);
    assert!(!server.journal.is_dirty());
}

#[test]
fn a_full_disk_loses_nothing_and_the_store_goes_on_when_there_is_room() {
    let mut server = Server::new();
    server.report("before");
    server.commit();
    let before = held_by(&server.replica);
    server.disk.set_room(Some(server.disk.used() + 70));
    for client in 0..20 {
        server.report(&format!("client-{client}"));
        server.take();
        assert_eq!(server.journal.write(), Err(DiskError::Full));
        let (told, recovered) = read(&server.disk);
        assert_eq!(recovered.damage, []);
        let is_older = |(key, whole): (&Key, &Whole)| told.held.get(key) == Some(whole);
        assert!(before.iter().all(is_older), "{:?}", told.held);
    }
    assert_eq!(server.journal.begin_compaction(server.now_ns).unwrap_err(), DiskError::Full);
    assert!(!server.journal.is_compaction_due(&server.replica, server.now_ns));
    server.disk.set_room(None);
    server.commit();
    assert_eq!(read(&server.disk).0.held, held_by(&server.replica));
    assert_eq!(read(&server.disk).1.torn, []);
}

#[test]
fn a_server_that_starts_on_a_full_disk_begins_its_segment_when_there_is_room() {
    let mut server = Server::new();
    server.report("before");
    server.commit();
    let disk = server.disk.clone();
    for (life, room) in (2..).zip([0, 10, 600]) {
        disk.set_room(Some(disk.used() + room));
        let (mut server, recovered) = Server::start(&disk, life, NOW_NS + life * SECOND_NS);
        server.report("kiwi");
        server.take();
        assert_eq!(server.journal.write(), Err(DiskError::Full), "{room} bytes are free");
        assert_eq!(server.journal.begin_compaction(server.now_ns).unwrap_err(), DiskError::Full);
        assert_eq!(read(&disk).1.damage, []);
        disk.set_room(None);
        server.commit();
        assert_eq!(segments(&disk).len() as u64, recovered.last_number + 1);
        assert_eq!(read(&disk).0.held, held_by(&server.replica));
        assert_eq!(server.journal.disk_bytes(), disk.used());
    }
}

#[test]
fn a_long_segment_ends_and_a_torn_end_is_allowed_only_in_the_last_one_of_a_life() {
    let mut server = Server::new();
    server.journal.segment_len_max = 50_000;
    let mut rounds = 0;
    while segments(&server.disk).len() < 3 {
        for client in 0..100 {
            server.report(&format!("client-{client}"));
        }
        server.commit();
        rounds += 1;
        assert!(rounds < 100, "a segment ends");
    }
    server.report("kiwi");
    server.commit();
    let expected = held_by(&server.replica);
    assert_eq!(read(&server.disk).0.held, expected);
    let names = segments(&server.disk);
    for (at, name) in names.iter().enumerate() {
        let disk = server.disk.copy();
        let mut bytes = disk.read(name).unwrap();
        bytes.truncate(bytes.len() - 3);
        disk.replace(name, bytes);
        let (_, recovered) = read(&disk);
        assert_eq!(recovered.damage.is_empty(), at + 1 == names.len(), "{name}");
    }
    // A segment that ends too early, although every block in it is intact.
    let disk = server.disk.copy();
    let bytes = disk.read(&names[0]).unwrap()[..FILE_HEADERS_LEN].to_vec();
    disk.replace(&names[0], bytes);
    assert_eq!(read(&disk).1.damage.len(), 1);
    disk.remove(&names[1]).unwrap();
    let (told, recovered) = read(&disk);
    assert_eq!(recovered.damage.len(), 2, "a missing segment is damage");
    assert_eq!(told.vectors, BTreeMap::new());
}

#[test]
fn stores_of_others_are_refused() {
    let mut server = Server::new();
    server.report("kiwi");
    server.commit();
    server.compact();
    let check = |identity: &StoreIdentity, expected: &str| {
        let sink = Sink::default();
        let refused = recover(&server.disk, identity, &sink, NOW_NS, Part::ALL, &mut |_| ()).unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
        assert_eq!(alive_until(&server.disk, identity), Err(refused));
        assert_eq!(sink.0.into_inner(), Told::default());
    };
    check(&StoreIdentity { herd: "herd-2".into(), ..identity() }, "belongs to the herd herd-1");
    let other = StoreIdentity { server: ServerName::new("Jaquez").unwrap(), ..identity() };
    check(&other, "belongs to the server Riley");
    assert_eq!(identity_of(&server.disk), Ok(Some(identity())));
    assert_eq!(identity_of(&MemoryDisk::default()), Ok(None));
}

#[test]
fn a_store_of_a_newer_format_is_refused() {
    let server = Server::new();
    let name = server.segment();
    let mut bytes = server.disk.read(&name).unwrap();
    for copy in bytes[..FILE_HEADERS_LEN].chunks_mut(FileHeader::COPY_LEN) {
        copy[8] = 2;
        let checksum = xxhash_rust::xxh3::xxh3_64(&copy[..FileHeader::COPY_LEN - 8]);
        copy[FileHeader::COPY_LEN - 8..].copy_from_slice(&checksum.to_le_bytes());
    }
    server.disk.replace(&name, bytes);
    let sink = Sink::default();
    let refused = recover(&server.disk, &identity(), &sink, NOW_NS, Part::ALL, &mut |_| ());
    assert_eq!(refused, Err(RecoverError::Newer { file: name, version: 2 }));
}

#[test]
fn parts_together_find_the_same_as_one() {
    let mut server = Server::new();
    for client in 0..500 {
        server.report(&format!("client-{client}"));
        if client % 50 == 0 {
            server.commit();
        }
        if client == 300 {
            server.compact();
        }
    }
    server.forget("client-1");
    server.now_ns += 2 * SECOND_NS;
    server.commit();
    // One damaged block, and a torn end.
    let name = server.segment();
    let mut bytes = server.disk.read(&name).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes.extend_from_slice(&[7; 100]);
    server.disk.replace(&name, bytes);
    let (whole, found) = read(&server.disk);
    assert_eq!((found.damage.len(), found.torn.len()), (1, 1));
    for parts in [1, 2, 3, 4, 16] {
        let sink = Sink::default();
        let found_by = |part| {
            let (mut last, part) = (ReadProgress::default(), Part { part, parts });
            let found =
                recover(&server.disk, &identity(), &sink, NOW_NS, part, &mut |now| last = now).unwrap();
            assert_eq!((last.read, last.records), (last.total, found.records));
            found
        };
        let all = (0..parts).map(found_by).reduce(Recovered::merge).unwrap();
        let told = sink.0.into_inner();
        assert_eq!((told.held, told.vectors), (whole.held.clone(), whole.vectors.clone()), "{parts}");
        assert_eq!(all, found, "{parts}");
    }
}

#[test]
fn a_vector_of_any_length_comes_back() {
    let disk = MemoryDisk::default();
    let file = FileName::Segment { number: 1 };
    let header = FileHeader { identity: identity(), file, salt: SALT, is_first: true };
    let origin = |incarnation| Origin { server: identity().server, incarnation };
    let vector: Vec<_> = (1..=5000).map(|incarnation| (origin(incarnation), incarnation * 3)).collect();
    let mut blocks = Blocks::new(file, SALT, FILE_HEADERS_LEN as u64);
    blocks.vector(4, &vector[..2]);
    blocks.vector(5, &[]);
    blocks.vector(4, &vector);
    let bytes = [&header.encode()[..], blocks.waiting().1].concat();
    disk.replace(&file.to_string(), bytes.clone());
    let (told, recovered) = read(&disk);
    assert_eq!((&recovered.torn, &recovered.damage), (&vec![], &vec![]));
    assert_eq!(told.vectors, BTreeMap::from([(4, vector.clone()), (5, vec![])]));
    disk.replace(&file.to_string(), bytes[..bytes.len() - 1].to_vec());
    assert_eq!(read(&disk).0.vectors[&4], vector[..2], "the last part is missing");
}

#[test]
fn files_that_are_not_complete_are_removed_at_the_next_start_and_others_are_left_alone() {
    let server = Server::new();
    server.disk.replace("snapshot-3-1.tmp", vec![1]);
    server.disk.replace("journal-2.tmp", vec![2]);
    server.disk.replace("lock", vec![3]);
    server.disk.replace("notes.tmp", vec![4]);
    let (_, recovered) = Server::start(&server.disk, 2, NOW_NS);
    assert_eq!((recovered.damage, recovered.last_number), (vec![], 1));
    let names: Vec<_> = server.disk.list().unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["journal-1", "journal-2", "lock", "notes.tmp"]);
}

/// A disk that notes which files and names are made safe, and what is removed.
#[derive(Clone)]
struct NotingDisk(MemoryDisk, Rc<RefCell<Vec<String>>>);

impl Disk for NotingDisk {
    type File = MemoryFile;

    fn list(&self) -> Result<Vec<(String, u64)>, DiskError> {
        self.0.list()
    }

    fn read_at(&self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        self.0.read_at(name, offset, into)
    }

    fn create(&self, name: &str) -> Result<MemoryFile, DiskError> {
        self.1.borrow_mut().push(format!("create {name}"));
        self.0.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.1.borrow_mut().push(format!("remove {name}"));
        self.0.remove(name)
    }

    fn sync_file(&self, name: &str) -> Result<(), DiskError> {
        self.1.borrow_mut().push(format!("sync {name}"));
        self.0.sync_file(name)
    }

    fn sync_names(&self) -> Result<(), DiskError> {
        self.1.borrow_mut().push("sync names".into());
        self.0.sync_names()
    }
}

#[test]
fn a_start_first_makes_durable_what_a_killed_process_has_written() {
    let mut server = Server::new();
    server.report("kiwi");
    server.commit();
    server.compact();
    server.report("lime");
    server.take();
    // The process is killed before its sync. The next one reads the record all the same.
    server.journal.write().unwrap();
    server.disk.replace("snapshot-0-1", vec![]);
    let (told, recovered) = read(&server.disk);
    assert!(told.held.contains_key(&(Kind::CLIENT, b"lime".to_vec())));
    let disk = NotingDisk(server.disk.clone(), Rc::default());
    drop(Journal::start(disk.clone(), &identity(), &recovered, SALT, server.now_ns).unwrap());
    let noted = ["sync journal-2", "sync names", "remove snapshot-0-1", "create journal-3.tmp", "sync names"];
    assert_eq!(*disk.1.borrow(), noted);
}

#[test]
fn a_store_says_that_the_server_was_alive_only_if_it_has_everything_up_to_then() {
    let mut server = Server::new();
    server.commit();
    server.now_ns += 25 * SECOND_NS;
    for client in 0..100_000 {
        server.report(&format!("client-{client}"));
    }
    assert!(!server.journal.take(&server.replica, &server.follower, server.now_ns));
    server.journal.write().unwrap();
    server.journal.sync().unwrap();
    assert_eq!(alive_until(&server.disk, &identity()), Ok(Some(NOW_NS)));
    while !server.journal.take(&server.replica, &server.follower, server.now_ns) {
        server.journal.write().unwrap();
    }
    server.commit();
    assert_eq!(alive_until(&server.disk, &identity()), Ok(Some(server.now_ns)));
}

#[test]
fn a_tombstone_that_was_issued_again_comes_back_although_the_store_has_the_expired_one_too() {
    let mut server = Server::new();
    server.report("kiwi");
    server.forget("kiwi");
    server.commit();
    let kiwi = (Kind::CLIENT, b"kiwi".to_vec());
    let mut now_ns = server.now_ns + TOMBSTONE_TTL_NS + 2 * TOMBSTONE_RENEW_NS;
    let mut renewed = None;
    for life in 2..5 {
        let (mut server, _) = Server::start(&server.disk, life, now_ns);
        server.commit();
        let held = held_by(&server.replica).remove(&kiwi).unwrap();
        assert!(held.text.contains("Gone"));
        assert_eq!(*renewed.get_or_insert(held.received_ns), held.received_ns, "life {life}");
        now_ns += 60 * SECOND_NS;
    }
}

/// One thing that happens to a server with a store.
#[derive(Clone, Debug)]
enum Event {
    Report(u8),
    Forget(u8),
    Expire(u16),
    Commit,
    Compact,
    Restart,
    /// A neighbor's record.
    Merge(u8),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        12 => any::<u8>().prop_map(Event::Report),
        2 => any::<u8>().prop_map(Event::Forget),
        1 => (0..2000_u16).prop_map(Event::Expire),
        4 => Just(Event::Commit),
        1 => Just(Event::Compact),
        1 => Just(Event::Restart),
        4 => any::<u8>().prop_map(Event::Merge),
    ];
    proptest::collection::vec(event, 1..120)
}

proptest! {
    #[test]
    fn what_was_durable_comes_back_after_any_history(events in events()) {
        let disk = MemoryDisk::default();
        let mut server = Server::start(&disk, 1, NOW_NS).0;
        let mut life = 1;
        for event in events {
            let name = |client: u8| format!("client-{}", client % 40);
            match event {
                Event::Report(client) => server.report(&name(client)),
                Event::Forget(client) => server.forget(&name(client)),
                Event::Expire(tenths) => server.expire(u64::from(tenths) * SECOND_NS / 10),
                Event::Commit => server.commit(),
                Event::Compact => {
                    server.compact();
                }
                Event::Merge(client) => {
                    server.now_ns += 1_000_000;
                    let key = name(client);
                    let origin = Origin { server: ServerName::new("Jaquez").unwrap(), incarnation: 5 };
                    let record = record(key.as_bytes(), server.now_ns);
                    let update = crate::flood::Update { record, origin: &origin, seq: server.now_ns };
                    let _ = server.replica.restore(server.now_ns, shard_index(record.key), |restoring| {
                        restoring.record(update);
                    });
                }
                Event::Restart => {
                    server.commit();
                    life += 1;
                    let expected = fresh(held_by(&server.replica), server.now_ns);
                    let (next, recovered) = Server::start(&disk, life, server.now_ns);
                    prop_assert_eq!(fresh(held_by(&next.replica), server.now_ns), expected);
                    prop_assert_eq!((recovered.damage, recovered.torn), (vec![], vec![]));
                    server = next;
                }
            }
        }
        server.commit();
        let (told, _) = read(&disk);
        let now_ns = server.now_ns;
        prop_assert_eq!(fresh(told.held.clone(), now_ns), fresh(held_by(&server.replica), now_ns));
        check_consistent(&told, &told, "the whole store");
    }
}
