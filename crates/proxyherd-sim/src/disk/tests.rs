//! What a disk keeps, loses and lies about.

use proxyherd_core::{
    journal::{Journal, Recovered, StoreIdentity, alive_until},
    types::ServerName,
};

use super::*;

fn content(disk: &SimDisk, name: &str) -> Option<Vec<u8>> {
    let (_, len) = disk.list().unwrap().into_iter().find(|(listed, _)| listed == name)?;
    let mut bytes = vec![0; len as usize];
    assert_eq!(disk.read_at(name, 0, &mut bytes).unwrap(), bytes.len());
    Some(bytes)
}

/// A disk with a synced file `a`.
fn with_a_synced_file() -> (SimDisk, SimFile) {
    let disk = SimDisk::default();
    let mut file = disk.create("a").unwrap();
    file.write_at(0, b"synced").unwrap();
    file.sync().unwrap();
    disk.sync_names().unwrap();
    (disk, file)
}

#[test]
fn what_was_synced_survives_any_crash() {
    for seed in 0..200 {
        let (disk, mut file) = with_a_synced_file();
        file.write_at(6, &[7; 3000]).unwrap();
        disk.rename("a", "b").unwrap();
        assert_eq!(disk.crash(&mut Rng::new(seed)), Forgotten(false));
        let left = content(&disk, "a").or_else(|| content(&disk, "b")).unwrap();
        assert_eq!(left[..6], *b"synced", "seed {seed}");
        assert!(left[6..].iter().all(|&byte| byte == 7 || byte == 0), "seed {seed}");
    }
}

#[test]
fn what_was_not_synced_is_kept_dropped_torn_and_kept_in_parts() {
    let (mut kept, mut dropped, mut torn, mut holes) = (0, 0, 0, 0);
    for seed in 0..200 {
        let (disk, mut file) = with_a_synced_file();
        file.write_at(6, &[7; 3000]).unwrap();
        let _ = disk.crash(&mut Rng::new(seed));
        let left = content(&disk, "a").unwrap();
        match left.len() {
            6 => dropped += 1,
            3006 if left[6..] == [7; 3000] => kept += 1,
            _ if left[6..].contains(&0) => holes += 1,
            _ => torn += 1,
        }
    }
    assert!(
        [kept, dropped, torn, holes].into_iter().all(|count| count > 20),
        "{kept} {dropped} {torn} {holes}"
    );
}

#[test]
fn names_that_were_not_synced_may_be_lost_and_may_come_back() {
    let (mut created, mut removed) = (0, 0);
    for seed in 0..200 {
        let (disk, _) = with_a_synced_file();
        let mut other = disk.create("b").unwrap();
        other.write_at(0, b"other").unwrap();
        other.sync().unwrap();
        disk.remove("a").unwrap();
        assert_eq!(disk.list().unwrap(), [("b".to_owned(), 5)]);
        let _ = disk.crash(&mut Rng::new(seed));
        created += u32::from(content(&disk, "b") == Some(b"other".to_vec()));
        removed += u32::from(content(&disk, "a").is_none());
        assert_eq!(content(&disk, "a").unwrap_or(b"synced".to_vec()), b"synced");
    }
    assert!((50..150).contains(&created) && (50..150).contains(&removed), "{created} {removed}");
}

#[test]
fn a_disk_that_lies_forgets_at_a_crash_and_says_so_to_the_simulator_alone() {
    let mut forgotten = 0;
    for seed in 0..100 {
        let (disk, mut file) = with_a_synced_file();
        disk.set_lying(true);
        file.write_at(6, b" not").unwrap();
        file.sync().unwrap();
        assert_eq!(content(&disk, "a").unwrap(), b"synced not");
        let Forgotten(has_forgotten) = disk.crash(&mut Rng::new(seed));
        assert_eq!(has_forgotten, content(&disk, "a").unwrap() != b"synced not");
        forgotten += u32::from(has_forgotten);
    }
    assert!((20..90).contains(&forgotten), "{forgotten}");
}

#[test]
fn an_honest_sync_makes_good_what_an_earlier_one_lied_about() {
    for seed in 0..50 {
        let (disk, mut file) = with_a_synced_file();
        disk.set_lying(true);
        file.write_at(6, b" now").unwrap();
        file.sync().unwrap();
        disk.mend();
        file.sync().unwrap();
        assert_eq!(disk.crash(&mut Rng::new(seed)), Forgotten(false));
        assert_eq!(content(&disk, "a").unwrap(), b"synced now");
    }
}

#[test]
fn writes_that_waited_for_a_failed_sync_are_never_synced() {
    let (disk, mut file) = with_a_synced_file();
    file.write_at(6, b"lost").unwrap();
    disk.fail_a_sync();
    assert!(matches!(file.sync(), Err(DiskError::Failed(_))));
    file.write_at(10, b"kept").unwrap();
    file.sync().unwrap();
    assert_eq!(content(&disk, "a").unwrap(), b"syncedlostkept");
    let _ = disk.crash(&mut Rng::new(1));
    assert_eq!(content(&disk, "a").unwrap(), b"synced\0\0\0\0kept");
}

#[test]
fn a_full_disk_takes_a_part_of_a_write_and_the_same_write_fits_later() {
    let (disk, mut file) = with_a_synced_file();
    disk.set_room(Some(3));
    assert!(matches!(file.write_at(6, b"1234567"), Err(DiskError::Full)));
    assert_eq!(content(&disk, "a").unwrap(), b"synced123");
    assert!(matches!(disk.create("b"), Err(DiskError::Full)));
    file.write_at(0, b"SYNCED").expect("bytes that replace others need no room");
    disk.set_room(None);
    file.write_at(6, b"1234567").unwrap();
    file.sync().unwrap();
    assert_eq!(content(&disk.synced(), "a").unwrap(), b"SYNCED1234567");
}

#[test]
fn an_earlier_image_replaces_everything() {
    let (disk, mut file) = with_a_synced_file();
    let image = disk.image();
    file.write_at(0, b"LATER").unwrap();
    drop(disk.create("b").unwrap());
    disk.restore(&image);
    assert_eq!(disk.list().unwrap(), [("a".to_owned(), 6)]);
    assert_eq!(content(&disk, "a").unwrap(), b"synced");
    assert!(file.write_at(0, b"stale handle").is_err());
    assert_eq!(disk.crash(&mut Rng::new(1)), Forgotten(false));
    assert_eq!(content(&disk, "a").unwrap(), b"synced");
}

#[test]
fn a_flipped_bit_is_one_bit_of_one_file() {
    let (disk, _) = with_a_synced_file();
    assert!(disk.flip_a_bit(&mut Rng::new(3)).is_some());
    let flipped = content(&disk, "a").unwrap();
    let bits: u32 = flipped.iter().zip(b"synced").map(|(one, other)| (one ^ other).count_ones()).sum();
    assert_eq!(bits, 1);
    assert_eq!(content(&disk.synced(), "a").unwrap(), flipped);
    assert_eq!(SimDisk::default().flip_a_bit(&mut Rng::new(3)), None);
}

#[test]
fn what_a_killed_server_had_not_synced_is_safe_when_the_next_one_has_started() {
    let identity = StoreIdentity { herd: "herd".to_owned(), server: ServerName::new("Riley").unwrap() };
    let disk = SimDisk::default();
    let mut killed = Journal::start(disk.clone(), &identity, &Recovered::default(), 7, 1).unwrap();
    killed.write().unwrap();
    // The next process sees what the system still has in memory, and takes it for durable.
    assert_eq!(alive_until(&disk, &identity), Ok(Some(1)));
    assert_eq!(alive_until(&disk.synced(), &identity), Ok(None));
    let recovered = Recovered { last_number: 1, ..Recovered::default() };
    Journal::start(disk.clone(), &identity, &recovered, 8, 2).unwrap();
    assert_eq!(alive_until(&disk.synced(), &identity), Ok(Some(1)));
}

#[test]
fn a_killed_server_leaves_what_it_wrote_and_a_later_crash_may_drop_it_unless_it_is_synced() {
    let mut dropped = 0;
    for seed in 0..100 {
        let (disk, mut file) = with_a_synced_file();
        file.write_at(6, b" seen").unwrap();
        assert_eq!(disk.kill(), Forgotten(false));
        assert!(file.write_at(0, b"stale handle").is_err());
        assert_eq!(content(&disk, "a").unwrap(), b"synced seen");
        let _ = disk.crash(&mut Rng::new(seed));
        dropped += u32::from(content(&disk, "a").unwrap() != b"synced seen");
    }
    assert!(dropped > 20, "{dropped}");
    let (disk, mut file) = with_a_synced_file();
    file.write_at(6, b" seen").unwrap();
    assert_eq!(disk.kill(), Forgotten(false));
    disk.sync_file("a").unwrap();
    assert_eq!(content(&disk.synced(), "a").unwrap(), b"synced seen");
}
