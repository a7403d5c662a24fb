//! Damaged files of a store. A server writes a small store, and then every byte is flipped in turn, and the file is cut
//! at every length. Core reads these files from memory. The program reads some of them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proxyherd_core::{
    journal::{
        Disk as _, MemoryDisk, Part, RecoverError, Recovered, Restore, StoreIdentity, Stored, is_store_file,
        recover,
    },
    types::{Origin, ServerName},
};

use super::{files_of, load::report_in, with_journal};
use crate::harness::{Herd, Plan, ats_of, eventually};

/// The clients of the small store. Each reports twice, so the store also holds older versions.
const CLIENTS: usize = 12;
const HERD_ID: &str = "crash";
/// Length of both copies of a file's header, bytes. They are durable before the server is ready, so no crash cuts them.
const HEADERS_LEN: usize = 512;

/// One change: the key, what it is now, and the sequence of an update.
type Change = (Vec<u8>, String, Option<u64>);

/// What a recovery has restored.
#[derive(Default)]
struct Kept {
    /// The changes of each shard, in their order.
    changes: RefCell<BTreeMap<usize, Vec<Change>>>,
    /// The greatest sequence that a shard claims to cover.
    claims: RefCell<BTreeMap<usize, u64>>,
}

impl Restore for Kept {
    fn restore(&self, _: u64, shard: usize, changes: &[Stored<'_>]) {
        let kept = changes.iter().map(|change| match change {
            Stored::Update(update) => {
                let what = format!("{:?} of {:?}", update.record, update.origin);
                (update.record.key.to_vec(), what, Some(update.seq))
            }
            Stored::Removed { kind, key } => (key.to_vec(), format!("no {kind:?}"), None),
        });
        self.changes.borrow_mut().entry(shard).or_default().extend(kept);
    }

    fn restore_vector(&self, _: u64, shard: usize, vector: &[(Origin, u64)]) {
        // The server has no neighbors, so all updates are its own.
        let claim = vector.iter().map(|(_, seq)| *seq).max().unwrap_or_default();
        self.claims.borrow_mut().insert(shard, claim);
    }
}

/// The store that a server without neighbors has written until it was killed, and the AT lines of its clients.
fn written() -> (MemoryDisk, BTreeMap<String, String>) {
    let plan = with_journal(&Plan::single()).herd(&format!("id = {HERD_ID:?}"));
    let mut herd = plan.start();
    let mut riley = herd.client("Riley");
    let names: Vec<String> = (0..CLIENTS).map(|number| format!("client-{number}")).collect();
    for time_s in [1_600_000_001, 1_600_000_002] {
        for name in &names {
            let at = riley.ask(&format!("IAMAT {name} +10.000000-20.000000 {time_s}"));
            assert!(at.starts_with("AT "), "{at}");
        }
    }
    let lines = names.iter().cloned().zip(herd.located("Riley", &as_strs(&names))).collect();
    herd.kill_all(&["Riley"]);
    let disk = MemoryDisk::default();
    for (path, _) in files_of(&herd.store_of("Riley")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        disk.replace(name, fs::read(&path).unwrap());
    }
    (disk, lines)
}

/// The name of the file with the most bytes and its content. Everything that was acknowledged is in this segment.
fn segment(disk: &MemoryDisk) -> (String, Vec<u8>) {
    let files = disk.list().unwrap();
    let (name, _) = files.into_iter().max_by_key(|(_, len)| *len).expect("the store has files");
    let bytes = disk.read(&name).expect("it was listed");
    (name, bytes)
}

/// Reads the store with other bytes in one file.
fn recovered(disk: &MemoryDisk, name: &str, bytes: Vec<u8>) -> (Result<Recovered, RecoverError>, Kept) {
    let disk = disk.copy();
    disk.replace(name, bytes);
    let identity = StoreIdentity { herd: HERD_ID.to_owned(), server: ServerName::new("Riley").unwrap() };
    let kept = Kept::default();
    let found = recover(&disk, &identity, &kept, 1_700_000_000_000_000_000, Part::ALL, &mut |_| ());
    (found, kept)
}

impl Kept {
    /// What is restored and was never written, or what is claimed and not restored.
    fn mistake(&self, intact: &Kept) -> Option<String> {
        let (written, kept) = (intact.changes.borrow(), self.changes.borrow());
        let invented = kept.iter().find_map(|(shard, changes)| {
            let known: BTreeSet<_> = written.get(shard).into_iter().flatten().collect();
            changes.iter().find(|change| !known.contains(change))
        });
        if let Some(invented) = invented {
            return Some(format!("{invented:?} was never written"));
        }
        self.claims.borrow().iter().find_map(|(shard, claim)| {
            let kept: Vec<_> = kept.get(shard).into_iter().flatten().collect();
            // A later change of the same key replaces an update.
            let is_kept = |key: &[u8], seq: u64| kept.iter().any(|(k, _, s)| k == key && *s >= Some(seq));
            let lost = written
                .get(shard)
                .into_iter()
                .flatten()
                .find(|(key, _, seq)| seq.is_some_and(|seq| seq <= *claim && !is_kept(key, seq)));
            lost.map(|lost| format!("shard {shard} claims {claim} and lacks {lost:?}"))
        })
    }

    fn len(&self) -> usize {
        self.changes.borrow().values().map(Vec::len).sum()
    }
}

fn as_strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// A store, its segment, and what the intact store holds, which must be everything that was acknowledged.
fn intact() -> (MemoryDisk, (String, Vec<u8>), Kept) {
    let (disk, lines) = written();
    let (name, bytes) = segment(&disk);
    let (found, kept) = recovered(&disk, &name, bytes.clone());
    let found = found.unwrap();
    assert_eq!((found.damage, found.torn), (vec![], vec![]), "nothing is damaged yet");
    let held = |client: &str| {
        kept.changes.borrow().values().flatten().filter(|(key, ..)| key == client.as_bytes()).count()
    };
    assert!(lines.keys().all(|client| held(client) > 0) && kept.len() >= CLIENTS, "{}", kept.len());
    (disk, (name, bytes), kept)
}

#[test]
fn each_flipped_byte_of_a_segment_is_detected_and_no_wrong_record_is_served() {
    let (disk, (name, bytes), intact) = intact();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let (found, kept) = recovered(&disk, &name, flipped);
        assert_eq!(kept.mistake(&intact), None, "byte {at} of {} was flipped", bytes.len());
        match found {
            // The store is refused.
            Err(_) => assert_eq!(kept.len(), 0, "byte {at}"),
            Ok(found) => {
                let is_told = !found.damage.is_empty() || !found.torn.is_empty();
                assert!(is_told, "byte {at} of {} was flipped, and nobody has noticed", bytes.len());
            }
        }
    }
    println!("{} bytes were flipped, one at a time", bytes.len());
}

#[test]
fn a_segment_that_is_cut_anywhere_behind_its_header_is_an_older_state_and_no_damage() {
    let (disk, (name, bytes), intact) = intact();
    let mut lens = BTreeSet::new();
    for cut in HEADERS_LEN..bytes.len() {
        let (found, kept) = recovered(&disk, &name, bytes[..cut].to_vec());
        let found = found.unwrap_or_else(|error| panic!("cut at {cut} of {}: {error}", bytes.len()));
        assert_eq!(found.damage, [], "cut at {cut} of {}", bytes.len());
        assert_eq!(kept.mistake(&intact), None, "cut at {cut} of {}", bytes.len());
        let written = intact.changes.borrow();
        for (shard, changes) in kept.changes.borrow().iter() {
            assert!(written[shard].starts_with(changes), "cut at {cut}: a shard is no beginning");
        }
        lens.insert(kept.len());
    }
    assert!(lens.contains(&0) && lens.len() > 3, "the longer the rest, the more is left: {lens:?}");
}

#[test]
fn bytes_behind_the_end_of_a_segment_are_cut() {
    let (disk, (name, bytes), intact) = intact();
    for garbage in [&[0; 1][..], &[0; 5000], &[0xFF; 700], &bytes[..100]] {
        let (found, kept) = recovered(&disk, &name, [&bytes[..], garbage].concat());
        let found = found.unwrap();
        assert_eq!((found.torn.len(), found.damage), (1, vec![]), "{} bytes", garbage.len());
        assert_eq!(kept.len(), intact.len());
    }
}

/// A pair of servers with 40 clients that both know, and the clients' AT lines.
fn pair_of_forty() -> (Herd, BTreeMap<String, String>) {
    let herd = with_journal(&Plan::pair()).start();
    let mut riley = herd.client("Riley");
    let names: Vec<String> = (0..40).map(|number| format!("client-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        // The position and the time belong together, as those of `load` do.
        let (time_s, offset) = (1_600_000_000 + number, number as f64 / 1e6);
        riley.send(format!("IAMAT {name} {:+.6}{:+.6} {time_s}\n", 10.0 + offset, -20.0 - offset).as_bytes());
    }
    let ats = names.iter().map(|_| riley.line());
    let lines: BTreeMap<_, _> = names.iter().cloned().zip(ats).collect();
    herd.agree(&["Riley", "Jaquez"], &lines);
    (herd, lines)
}

/// The longest file of a store. What a killed compaction has left does not count.
fn longest_file(store: &Path) -> PathBuf {
    let is_whole = |path: &Path| is_store_file(&path.file_name().unwrap().to_string_lossy());
    let files = files_of(store).into_iter().filter(|(path, _)| is_whole(path));
    files.max_by_key(|(_, len)| *len).expect("there is one").0
}

#[test]
fn a_server_whose_segment_has_a_flipped_byte_says_so_serves_no_wrong_record_and_is_repaired() {
    let (mut herd, lines) = pair_of_forty();
    let names: Vec<String> = lines.keys().cloned().collect();
    for part in 1..6 {
        herd.kill_all(&["Riley", "Jaquez"]);
        let segment = longest_file(&herd.store_of("Riley"));
        let mut bytes = fs::read(&segment).unwrap();
        let at = bytes.len() * part / 7;
        bytes[at] ^= 0x10;
        fs::write(&segment, bytes).unwrap();
        herd.start("Riley");
        let name = segment.file_name().unwrap().to_str().unwrap();
        herd.wait_for_log("Riley", name);
        let told = ats_of(&mut herd.client("Riley"), &as_strs(&names));
        for (client, at) in names.iter().zip(told) {
            let is_right = lines[client] == at || !at.starts_with("AT ");
            assert!(is_right && (at.starts_with('?') || report_in(&at, client).is_some()), "{at}");
        }
        herd.start("Jaquez");
        herd.wait_for_links(&["Riley", "Jaquez"]);
        herd.agree(&["Riley", "Jaquez"], &lines);
    }
}

#[test]
fn a_server_whose_segment_ends_in_a_torn_block_starts_and_is_repaired() {
    let (mut herd, lines) = pair_of_forty();
    for cut in [1, 10, 200] {
        herd.kill_all(&["Riley", "Jaquez"]);
        let segment = longest_file(&herd.store_of("Riley"));
        let bytes = fs::read(&segment).unwrap();
        fs::write(&segment, &bytes[..bytes.len() - cut]).unwrap();
        herd.start_all(&["Riley", "Jaquez"]);
        herd.wait_for_links(&["Riley", "Jaquez"]);
        herd.agree(&["Riley", "Jaquez"], &lines);
    }
    // Everything is in Riley's own store again.
    herd.kill_all(&["Riley", "Jaquez"]);
    herd.start("Riley");
    eventually("Riley knows all by itself", || {
        let told = herd.located("Riley", &lines.keys().map(String::as_str).collect::<Vec<_>>());
        if told.iter().eq(lines.values()) { Ok(()) } else { Err(format!("{told:?}")) }
    });
}
