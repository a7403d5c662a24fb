//! What is torn is cut, and what is damaged is found and never served.

use super::*;
use crate::journal::{
    format::{BLOCK_HEADER_LEN, BLOCK_MAGIC, FILE_HEADERS_LEN, FileName, NO_SHARD},
    scan::{Found, Scan},
};

/// The length of the segment after a commit, and what was held then.
type Commit = (usize, BTreeMap<Key, Whole>);

/// A server whose segment has some commits, with vectors between them.
fn history() -> (Server, Vec<Commit>) {
    let mut server = Server::new();
    let mut commits = Vec::new();
    for round in 0..6 {
        for client in 0..4 {
            server.report(&format!("client-{}", (client * 7 + round * 3) % 11));
        }
        if round == 3 {
            server.forget("client-0");
            server.now_ns += 11 * SECOND_NS;
        }
        server.now_ns += SECOND_NS;
        server.commit();
        commits.push((server.disk.read(&server.segment()).unwrap().len(), held_by(&server.replica)));
    }
    (server, commits)
}

/// The blocks of a file: offset, length, shard.
fn blocks(disk: &MemoryDisk, name: &str) -> Vec<(usize, usize, u8)> {
    let len = disk.read(name).unwrap().len() as u64;
    let file = FileName::parse(name).unwrap();
    let mut scan = Scan::new(disk, name, (file, SALT + 1, len), Vec::new());
    let mut blocks = Vec::new();
    loop {
        match scan.next(|_| true).unwrap() {
            Found::End => return blocks,
            Found::Block { shard, payload, offset } => {
                blocks.push((offset as usize, BLOCK_HEADER_LEN + payload.len(), shard));
            }
            Found::Bad { offset, .. } => panic!("a bad block at {offset}"),
        }
    }
}

#[test]
fn a_torn_tail_is_cut_at_every_byte_and_what_was_committed_before_it_is_kept() {
    let (server, commits) = history();
    let (whole, _) = read(&server.disk);
    let name = server.segment();
    let bytes = server.disk.read(&name).unwrap();
    let ends: Vec<usize> = blocks(&server.disk, &name).iter().map(|(at, len, _)| at + len).collect();
    let disk = server.disk.copy();
    for cut in FILE_HEADERS_LEN..bytes.len() {
        disk.replace(&name, bytes[..cut].to_vec());
        let (told, recovered) = read(&disk);
        assert_eq!(recovered.damage, [], "{cut}");
        let is_whole = cut == FILE_HEADERS_LEN || ends.contains(&cut);
        assert_eq!(recovered.torn.is_empty(), is_whole, "{cut}");
        check_consistent(&told, &whole, &format!("cut at {cut}"));
        let committed = commits.iter().rev().find(|(len, _)| *len <= cut).map(|(_, held)| held);
        for (key, held) in committed.into_iter().flatten() {
            let is_kept = told.held.get(key).is_some_and(|told| told.version >= held.version);
            assert!(is_kept, "cut at {cut}: {key:?} was durable");
        }
    }
}

#[test]
fn each_flipped_byte_of_a_segment_is_found_and_only_its_block_is_lost() {
    let (mut server, _) = history();
    // A later block says that everything before it was durable, so nothing of it can be torn.
    server.now_ns += 11 * SECOND_NS;
    server.commit();
    let (whole, _) = read(&server.disk);
    let name = server.segment();
    let bytes = server.disk.read(&name).unwrap();
    let blocks = blocks(&server.disk, &name);
    assert!(blocks.len() > 20);
    let last_at = blocks.last().unwrap().0;
    let disk = server.disk.copy();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        disk.replace(&name, flipped);
        let (told, recovered) = read(&disk);
        check_consistent(&told, &whole, &format!("flipped at {at}"));
        let found = if at < last_at { &recovered.damage } else { &recovered.torn };
        assert_eq!(found.len(), 1, "flipped at {at}: {recovered:?}");
        let run = found[0].offset..found[0].offset + found[0].len;
        assert!(run.contains(&(at as u64)), "flipped at {at}: {run:?}");
        if at < FILE_HEADERS_LEN {
            assert_eq!(told, whole, "the other copy of the header counts");
            continue;
        }
        // Everything but the block is told, in its order.
        let &(block_at, len, shard) =
            blocks.iter().find(|(block_at, len, _)| (*block_at..block_at + len).contains(&at)).unwrap();
        assert_eq!(run, block_at as u64..(block_at + len) as u64);
        let lost = whole.all.len() - told.all.len();
        assert_eq!(lost > 0, shard != NO_SHARD && has_changes(&bytes[block_at..block_at + len]), "{at}");
        let mut rest = whole.all.iter();
        assert!(told.all.iter().all(|entry| rest.any(|other| other == entry)), "{at}");
        let of_others = |all: &[(usize, Key, Option<Whole>)]| {
            all.iter().filter(|(other, ..)| *other != usize::from(shard)).cloned().collect::<Vec<_>>()
        };
        assert_eq!(of_others(&told.all), of_others(&whole.all), "only one shard is affected");
    }
}

/// Whether a block has records or removals: entries of the types 2 and 3.
fn has_changes(block: &[u8]) -> bool {
    let mut entries = &block[BLOCK_HEADER_LEN..];
    while let [low, high, kind, ..] = *entries {
        if kind == 2 || kind == 3 {
            return true;
        }
        entries = &entries[4 + usize::from(u16::from_le_bytes([low, high]))..];
    }
    false
}

#[test]
fn each_flipped_byte_of_a_snapshot_is_found_and_no_vector_of_its_shard_counts() {
    let (mut server, _) = history();
    server.compact();
    server.commit();
    let (whole, _) = read(&server.disk);
    let shard = shard_index(b"client-3");
    let name = format!("snapshot-{shard}-2");
    let bytes = server.disk.read(&name).unwrap();
    assert!(whole.vectors.contains_key(&shard));
    let disk = server.disk.copy();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        disk.replace(&name, flipped);
        let (told, recovered) = read(&disk);
        assert_eq!(recovered.damage.len(), 1, "flipped at {at}: {recovered:?}");
        assert_eq!(recovered.torn, []);
        check_consistent(&told, &whole, &format!("flipped at {at}"));
        assert_eq!(told.vectors.contains_key(&shard), at < FILE_HEADERS_LEN, "flipped at {at}");
        assert_eq!(told.vectors.len() + usize::from(at >= FILE_HEADERS_LEN), whole.vectors.len());
    }
    for cut in 0..bytes.len() {
        disk.replace(&name, bytes[..cut].to_vec());
        let (told, recovered) = read(&disk);
        assert!(!recovered.damage.is_empty(), "cut at {cut}");
        assert!(!told.vectors.contains_key(&shard));
        check_consistent(&told, &whole, &format!("cut at {cut}"));
    }
    disk.remove(&name).unwrap();
    let (told, recovered) = read(&disk);
    assert!(!recovered.damage.is_empty(), "a missing snapshot is damage");
    assert!(!told.vectors.contains_key(&shard));
}

#[test]
fn vectors_behind_damage_do_not_count_until_a_compaction_has_written_the_shard_anew() {
    let mut server = Server::new();
    server.report("kiwi");
    server.commit();
    server.now_ns += 2 * SECOND_NS;
    server.report("kiwi");
    server.commit();
    let (shard, name) = (shard_index(b"kiwi"), server.segment());
    assert!(read(&server.disk).0.vectors.contains_key(&shard));
    let &(at, ..) = blocks(&server.disk, &name).iter().find(|(_, _, of)| usize::from(*of) == shard).unwrap();
    let mut bytes = server.disk.read(&name).unwrap();
    bytes[at + BLOCK_HEADER_LEN + 3] ^= 1;
    server.disk.replace(&name, bytes);
    assert_eq!(read(&server.disk).0.vectors.get(&shard), None);

    let (mut server, recovered) = Server::start(&server.disk, 2, server.now_ns);
    assert_eq!(recovered.damage.len(), 1);
    server.report("kiwi");
    server.commit();
    let (told, recovered) = read(&server.disk);
    assert_eq!((told.vectors.get(&shard), recovered.damage.len()), (None, 1), "a later life changes nothing");
    assert!(server.journal.is_compaction_due(&server.replica, server.now_ns), "at once");
    server.compact();
    let (told, recovered) = read(&server.disk);
    assert_eq!(recovered.damage, []);
    assert!(told.vectors.contains_key(&shard));
    assert!(!server.journal.is_compaction_due(&server.replica, server.now_ns));
}

#[test]
fn wrong_bytes_of_one_shard_do_not_hide_that_the_end_of_a_segment_is_missing() {
    let (mut server, _) = history();
    let first = server.segment();
    // The next segment begins.
    (server.journal.segment_len_max, server.now_ns) = (1, server.now_ns + SECOND_NS);
    server.report("client-1");
    server.commit();
    server.journal.segment_len_max = u64::MAX;
    server.now_ns += 2 * SECOND_NS;
    (0..11).for_each(|client| server.report(&format!("client-{client}")));
    server.commit();
    assert_ne!(server.segment(), first);
    assert!(!read(&server.disk).0.vectors.is_empty());
    let blocks = blocks(&server.disk, &first);
    let mut bytes = server.disk.read(&first).unwrap();
    let &(at, len, _) = blocks.iter().find(|(_, _, shard)| *shard != NO_SHARD).unwrap();
    bytes.truncate(at + len);
    bytes[at + BLOCK_HEADER_LEN + 3] ^= 1;
    server.disk.replace(&first, bytes);
    let (told, recovered) = read(&server.disk);
    assert_eq!((recovered.damage.len(), told.vectors.len()), (1, 0));
}

#[test]
fn a_hole_in_what_was_not_synced_is_torn_and_the_vectors_of_the_next_life_count() {
    let (mut server, _) = history();
    let name = server.segment();
    let synced = server.disk.read(&name).unwrap().len();
    for client in 0..40 {
        server.report(&format!("client-{client}"));
    }
    server.now_ns += SECOND_NS;
    server.take();
    server.journal.write().unwrap();
    let (whole, _) = read(&server.disk);
    // The disk has kept the end of what was not synced, and lost its beginning.
    let mut bytes = server.disk.read(&name).unwrap();
    bytes[synced..synced + 100].fill(0);
    server.disk.replace(&name, bytes);
    let (told, recovered) = read(&server.disk);
    assert_eq!((recovered.damage.len(), recovered.torn.len()), (0, 1));
    check_consistent(&told, &whole, "with a hole");
    let (mut server, _) = Server::start(&server.disk, 2, server.now_ns);
    server.report("client-1");
    server.commit();
    server.now_ns += 2 * SECOND_NS;
    server.commit();
    let (told, recovered) = read(&server.disk);
    assert_eq!(recovered.damage, []);
    let shard = shard_index(b"client-1");
    assert!(told.vectors[&shard].contains(&(server.replica.me().clone(), 1)));
}

#[test]
fn no_client_can_forge_a_block_inside_its_own_data() {
    let mut server = Server::new();
    // The bytes of a real block, sent back by a client in the data of its report.
    server.report("kiwi");
    server.commit();
    let name = server.segment();
    let bytes = server.disk.read(&name).unwrap();
    let block = blocks(&server.disk, &name)
        .into_iter()
        .find(|(_, _, shard)| *shard != NO_SHARD)
        .map(|(at, len, _)| bytes[at..at + len].to_vec())
        .unwrap();
    assert_eq!(block[..4], BLOCK_MAGIC);
    let _ = server.replica.tell(server.now_ns, Kind(200), b"forged", 0, &block);
    server.commit();
    let (whole, _) = read(&server.disk);
    let forged_at = |bytes: &[u8]| bytes.windows(block.len()).rposition(|window| window == block).unwrap();
    let mut bytes = server.disk.read(&name).unwrap();
    let at = forged_at(&bytes);
    // The block around the forged one is damaged, so the reader searches for the next block.
    let outer = blocks(&server.disk, &name).into_iter().rev().find(|(outer, ..)| *outer < at).unwrap().0;
    bytes[outer] ^= 1;
    server.disk.replace(&name, bytes);
    let (told, _) = read(&server.disk);
    assert_eq!(told.all.len(), whole.all.len() - 1);
    check_consistent(&told, &whole, "with a forged block");
}
