//! A shard's table of origins: how far each is covered, and how many live records it still has.
//!
//! An origin without live records leaves the table, unless it is this server now: its entry could only mean
//! that there is nothing to send. Its place is taken again, so whoever remembers places must be told.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::{limits::ORIGINS_MAX, types::Origin};

/// The table. Places are small numbers that fit a slot.
#[derive(Debug)]
pub(super) struct Origins {
    entries: Vec<Entry>,
    places: BTreeMap<Origin, u16>,
    free: Vec<u16>,
}

#[derive(Debug)]
struct Entry {
    origin: Origin,
    /// All of the origin's updates up to here are covered.
    covered: u64,
    live: u32,
    /// A hash of the server's name.
    digest: u64,
}

impl Entry {
    fn new(origin: Origin) -> Entry {
        let digest = xxh3_64(origin.server.as_str().as_bytes());
        Entry { origin, covered: 0, live: 0, digest }
    }
}

/// The place of this server's own origin.
pub(super) const ME: u16 = 0;

impl Origins {
    pub(super) fn new(me: Origin) -> Origins {
        let entry = Entry::new(me.clone());
        Origins { entries: vec![entry], places: BTreeMap::from([(me, ME)]), free: Vec::new() }
    }

    pub(super) fn place_of(&self, origin: &Origin) -> Option<u16> {
        self.places.get(origin).copied()
    }

    /// The place of an origin that is about to have a live record; `None` when the table is full.
    ///
    /// `guess` is where it was the last time, which spares the search.
    pub(super) fn place_or_insert(&mut self, origin: &Origin, guess: u16) -> Option<u16> {
        if self.entries.get(usize::from(guess)).is_some_and(|entry| entry.origin == *origin) {
            // A free place keeps its old origin's name, but that origin may have a new place by now.
            if self.entries[usize::from(guess)].live > 0 || guess == ME {
                return Some(guess);
            }
        }
        match self.place_of(origin) {
            Some(place) => Some(place),
            None => self.insert(origin),
        }
    }

    fn insert(&mut self, origin: &Origin) -> Option<u16> {
        let entry = Entry::new(origin.clone());
        let place = match self.free.pop() {
            Some(place) => {
                self.entries[usize::from(place)] = entry;
                place
            }
            None if self.entries.len() < ORIGINS_MAX => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u16
            }
            None => return None,
        };
        self.places.insert(origin.clone(), place);
        Some(place)
    }

    pub(super) fn origin(&self, place: u16) -> &Origin {
        &self.entries[usize::from(place)].origin
    }

    /// A hash of the server's name at `place`.
    pub(super) fn digest(&self, place: u16) -> u64 {
        self.entries[usize::from(place)].digest
    }

    pub(super) fn covered(&self, place: u16) -> u64 {
        self.entries[usize::from(place)].covered
    }

    /// Raises how far an origin is covered; says whether that was news.
    pub(super) fn cover(&mut self, place: u16, seq: u64) -> bool {
        let covered = &mut self.entries[usize::from(place)].covered;
        let is_news = seq > *covered;
        *covered = seq.max(*covered);
        is_news
    }

    pub(super) fn add_live(&mut self, place: u16) {
        self.entries[usize::from(place)].live += 1;
    }

    /// One record less. Says whether the origin has left the table, and its place with it.
    pub(super) fn remove_live(&mut self, place: u16) -> bool {
        let entry = &mut self.entries[usize::from(place)];
        entry.live -= 1;
        let leaves = entry.live == 0 && place != ME;
        if leaves {
            entry.covered = 0;
            self.places.remove(&entry.origin);
            self.free.push(place);
        }
        leaves
    }

    /// The vector: every origin with live records, and how far it is covered.
    pub(super) fn vector(&self) -> impl Iterator<Item = (u16, &Origin, u64)> {
        let numbered = (0..).zip(&self.entries);
        let told = numbered.filter(|(_, entry)| entry.live > 0 && entry.covered > 0);
        told.map(|(place, entry)| (place, &entry.origin, entry.covered))
    }

    /// How many live records the origin at `place` has, by this table's count.
    pub(super) fn live(&self, place: u16) -> u32 {
        self.entries[usize::from(place)].live
    }

    /// How many origins have a place.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// One more than the highest place ever taken.
    pub(super) fn places_used(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ServerName;

    fn origin(server: &str, incarnation: u64) -> Origin {
        Origin { server: ServerName::new(server).unwrap(), incarnation }
    }

    fn table() -> Origins {
        Origins::new(origin("Riley", 1))
    }

    #[test]
    fn an_origin_that_has_left_is_given_a_place_again() {
        let (mut table, jaquez) = (table(), origin("Jaquez", 1));
        let place = table.place_or_insert(&jaquez, u16::MAX).unwrap();
        table.add_live(place);
        assert_eq!(table.place_or_insert(&jaquez, place), Some(place));
        assert!(table.remove_live(place));
        assert_eq!((table.place_of(&jaquez), table.len()), (None, 1));
        // The place still has its name.
        assert_eq!(table.place_or_insert(&jaquez, place), Some(place));
        assert_eq!((table.place_of(&jaquez), table.len()), (Some(place), 2));
    }

    #[test]
    fn a_full_table_takes_in_nobody_until_someone_leaves() {
        let mut table = table();
        for life in 1..ORIGINS_MAX as u64 {
            let place = table.place_or_insert(&origin("Jaquez", life), u16::MAX).unwrap();
            table.add_live(place);
        }
        assert_eq!((table.len(), table.places_used()), (ORIGINS_MAX, ORIGINS_MAX));
        let juzang = origin("Juzang", 1);
        assert_eq!(table.place_or_insert(&juzang, u16::MAX), None);
        assert!(table.remove_live(9));
        assert_eq!(table.place_or_insert(&juzang, u16::MAX), Some(9));
    }

    #[test]
    fn what_is_covered_is_news_once_and_told_once_there_is_something() {
        let (mut table, jaquez) = (table(), origin("Jaquez", 1));
        let place = table.place_or_insert(&jaquez, u16::MAX).unwrap();
        table.add_live(place);
        assert_eq!(table.vector().count(), 0);
        assert!(table.cover(place, 5));
        assert!(!table.cover(place, 5) && !table.cover(place, 4));
        assert_eq!(table.vector().collect::<Vec<_>>(), [(place, &jaquez, 5)]);
    }

    #[test]
    fn servers_have_digests_and_all_lives_of_one_have_the_same() {
        let mut table = table();
        let [first, second, other] = [("Jaquez", 1), ("Jaquez", 2), ("Juzang", 1)].map(|(server, life)| {
            let place = table.place_or_insert(&origin(server, life), u16::MAX).unwrap();
            table.digest(place)
        });
        assert_eq!(first, second);
        assert_ne!(first, other);
    }
}
