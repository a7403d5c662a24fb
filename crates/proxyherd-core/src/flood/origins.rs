//! A shard's table of origins: up to which sequence each origin is covered, and how many live records it has.
//!
//! An origin without live records leaves the table, because its vector entry could only say that there is nothing to
//! send. This server's present origin always stays. A freed place is used again, so every part of the code that
//! remembers places must be notified.
//!
//! Any member can invent origins, so the table bounds them. One server name has at most [`INCARNATIONS_MAX`] origins,
//! and at most [`STRANGERS_MAX`] names may belong to servers that are not members. So the table always has room for
//! every member. If there is no room for a record's incarnation, the record is kept under another incarnation of its
//! server ([`Origins::adopter`]), because the record's content does not depend on the incarnation.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use xxhash_rust::xxh3::xxh3_64;

use super::{Broken, Rules};
use crate::{
    limits::{INCARNATIONS_MAX, ORIGINS_LEFT_MAX, ORIGINS_MAX, STRANGERS_MAX},
    types::{Origin, ServerName},
};

/// The size of the table when [`Broken::OriginsUnbounded`] turns the other bounds off. The table is small, so that it
/// fills soon.
const PLACES_MAX_UNBOUNDED: usize = 512;

/// The table of origins. A place is a small number that fits into a slot.
#[derive(Debug)]
pub(super) struct Origins {
    entries: Vec<OriginEntry>,
    places: BTreeMap<Origin, u16>,
    free: Vec<u16>,
    /// The number of origins of each name.
    names: BTreeMap<ServerName, u16>,
    /// The number of names that belong to no member.
    strangers: usize,
    /// The herd's servers. `None`: every server counts as a member.
    members: Option<Arc<BTreeSet<ServerName>>>,
    /// The origins that left the table last, each with the sequence up to which it was covered.
    left: VecDeque<(Origin, u64)>,
    /// The names that have no room for another incarnation, and the name that was returned last.
    crowded: BTreeSet<ServerName>,
    crowded_last: Option<ServerName>,
    /// The vector leaves out this server's present origin.
    is_unsure_of_me: bool,
    rules: Rules,
}

#[derive(Debug)]
struct OriginEntry {
    origin: Origin,
    /// All of the origin's updates up to this one are covered.
    covered: u64,
    live: u32,
    /// A hash of the server's name. It is part of the digests of the server's records.
    digest: u64,
}

impl OriginEntry {
    fn new(origin: Origin) -> OriginEntry {
        let digest = xxh3_64(origin.server.as_str().as_bytes());
        OriginEntry { origin, covered: 0, live: 0, digest }
    }
}

/// The place of this server's own origin.
pub(super) const ME: u16 = 0;

impl Origins {
    pub(super) fn new(me: Origin, rules: Rules) -> Origins {
        let entry = OriginEntry::new(me.clone());
        Origins {
            entries: vec![entry],
            names: BTreeMap::from([(me.server.clone(), 1)]),
            places: BTreeMap::from([(me, ME)]),
            free: Vec::new(),
            strangers: 0,
            members: None,
            left: VecDeque::new(),
            crowded: BTreeSet::new(),
            crowded_last: None,
            is_unsure_of_me: false,
            rules,
        }
    }

    /// Sets the herd's servers.
    pub(super) fn set_members(&mut self, members: Arc<BTreeSet<ServerName>>) {
        self.strangers = self.names.keys().filter(|name| !members.contains(*name)).count();
        self.members = Some(members);
    }

    fn is_stranger(&self, server: &ServerName) -> bool {
        self.members.as_ref().is_some_and(|members| !members.contains(server))
    }

    /// Whether a server of this name is a member, as far as this server knows.
    pub(super) fn is_member(&self, server: &str) -> bool {
        self.members.as_ref().is_none_or(|members| members.contains(server))
    }

    pub(super) fn place_of(&self, origin: &Origin) -> Option<u16> {
        self.places.get(origin).copied()
    }

    /// The place of an origin that is about to have a live record; `None` when there is no room for it.
    ///
    /// `guess` is the place where the origin was last found, which may spare the search.
    pub(super) fn place_or_insert(&mut self, origin: &Origin, guess: u16) -> Option<u16> {
        if self.entries.get(usize::from(guess)).is_some_and(|entry| entry.origin == *origin) {
            // A free place keeps the name of its last origin, and that origin may have another place in the meantime.
            if self.entries[usize::from(guess)].live > 0 || guess == ME {
                return Some(guess);
            }
        }
        match self.place_of(origin) {
            Some(place) => Some(place),
            None => self.insert(origin),
        }
    }

    /// Whether there is room for another incarnation of this server.
    fn has_room(&mut self, server: &ServerName) -> bool {
        if self.rules.breaks(Broken::OriginsUnbounded) {
            return self.len() < PLACES_MAX_UNBOUNDED;
        }
        match self.names.get(server) {
            Some(&places) if usize::from(places) >= INCARNATIONS_MAX => {
                self.crowded.insert(server.clone());
                false
            }
            Some(_) => true,
            None => self.strangers < STRANGERS_MAX || !self.is_stranger(server),
        }
    }

    /// The latest incarnation in the table among those of other servers and those of this server's earlier lives.
    pub(super) fn latest_incarnation(&self) -> u64 {
        let others = self.entries.iter().skip(1).filter(|entry| entry.live > 0);
        others.map(|entry| entry.origin.incarnation).max().unwrap_or(0)
    }

    /// Whether this origin has a place or can get one.
    pub(super) fn has_room_for(&mut self, origin: &Origin) -> bool {
        self.places.contains_key(origin) || self.has_room(&origin.server)
    }

    /// The place under which a record is kept when there is no room for the record's own incarnation: the place of the
    /// latest earlier incarnation of the same server, or else of the earliest one. `None` if the server has no other
    /// incarnation.
    pub(super) fn adopter(&self, origin: &Origin) -> Option<u16> {
        if self.rules.breaks(Broken::OriginsUnbounded) {
            return None;
        }
        let places = self.incarnations(&origin.server);
        let later = places.partition_point(|&place| self.origin(place).incarnation < origin.incarnation);
        places.get(later.saturating_sub(1)).copied()
    }

    /// The next of the servers that have no room for another incarnation. Each such server gets its turn.
    pub(super) fn take_crowded(&mut self) -> Option<ServerName> {
        let last = self.crowded_last.take();
        let is_later = |name: &&ServerName| last.as_ref().is_none_or(|last| *name > last);
        let next = self.crowded.iter().find(is_later).or_else(|| self.crowded.first()).cloned()?;
        self.crowded.remove(&next);
        self.crowded_last = Some(next.clone());
        Some(next)
    }

    /// The places of a server's incarnations, the oldest first. For this server, the present incarnation is left out.
    pub(super) fn incarnations(&self, server: &ServerName) -> Vec<u16> {
        let [first, last] = [0, u64::MAX].map(|incarnation| Origin { server: server.clone(), incarnation });
        self.places.range(first..=last).map(|(_, &place)| place).filter(|&place| place != ME).collect()
    }

    /// Gives this server a new incarnation, of which nothing is covered yet. This is `incarnation`, or the next number
    /// that nobody has invented.
    pub(super) fn renew_me(&mut self, incarnation: u64) -> u64 {
        let mut me = Origin { server: self.origin(ME).server.clone(), incarnation };
        while self.places.contains_key(&me) {
            me.incarnation = me.incarnation.wrapping_add(1);
        }
        let entry = &mut self.entries[usize::from(ME)];
        let before = std::mem::replace(&mut entry.origin, me.clone());
        entry.covered = 0;
        self.is_unsure_of_me = false;
        self.places.remove(&before);
        let incarnation = me.incarnation;
        self.places.insert(me, ME);
        incarnation
    }

    fn insert(&mut self, origin: &Origin) -> Option<u16> {
        if !self.has_room(&origin.server) {
            return None;
        }
        let entry = OriginEntry::new(origin.clone());
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
        if !self.names.contains_key(&origin.server) {
            self.strangers += usize::from(self.is_stranger(&origin.server));
        }
        let places = self.names.entry(origin.server.clone()).or_default();
        *places += 1;
        if usize::from(*places) >= INCARNATIONS_MAX && !self.rules.breaks(Broken::OriginsUnbounded) {
            self.crowded.insert(origin.server.clone());
        }
        Some(place)
    }

    /// Removes the origin at a place from the table.
    fn forget(&mut self, place: u16) {
        let origin = &self.entries[usize::from(place)].origin;
        self.places.remove(origin);
        let places = self.names.get_mut(&origin.server).expect("each origin's name is counted");
        *places -= 1;
        if *places == 0 {
            let server = origin.server.clone();
            self.names.remove(&server);
            self.strangers -= usize::from(self.is_stranger(&server));
        }
        self.free.push(place);
    }

    pub(super) fn origin(&self, place: u16) -> &Origin {
        &self.entries[usize::from(place)].origin
    }

    /// A hash of the name of the server at `place`.
    pub(super) fn digest(&self, place: u16) -> u64 {
        self.entries[usize::from(place)].digest
    }

    pub(super) fn covered(&self, place: u16) -> u64 {
        self.entries[usize::from(place)].covered
    }

    /// Raises the sequence up to which an origin is covered. Returns whether the sequence rose.
    pub(super) fn cover(&mut self, place: u16, seq: u64) -> bool {
        let covered = &mut self.entries[usize::from(place)].covered;
        let is_news = seq > *covered;
        *covered = seq.max(*covered);
        is_news
    }

    /// The sequence up to which the origin's updates are covered, or were covered when the origin left the table.
    pub(super) fn covered_of(&self, origin: &Origin) -> u64 {
        let present = self.place_of(origin).map_or(0, |place| self.covered(place));
        let left = self.left.iter().filter(|(left, _)| left == origin).map(|(_, covered)| *covered);
        left.fold(present, u64::max)
    }

    /// Whether all of the origin's updates up to `seq` are covered, or were covered when the origin left the table.
    pub(super) fn has_covered(&self, origin: &Origin, seq: u64) -> bool {
        self.place_of(origin).is_some_and(|place| self.covered(place) >= seq)
            || self.left.iter().any(|(left, covered)| left == origin && *covered >= seq)
    }

    /// Resets the covered sequences of all other origins. Leaves this server's present origin out of the vector, too,
    /// until this server has another incarnation: some of its updates are neither held here nor replaced by newer
    /// records.
    pub(super) fn uncover(&mut self) {
        self.is_unsure_of_me = true;
        self.left.clear();
        self.entries.iter_mut().skip(1).for_each(|entry| entry.covered = 0);
    }

    pub(super) fn add_live(&mut self, place: u16) {
        self.entries[usize::from(place)].live += 1;
    }

    /// Notes that the origin at a place has one live record less. Returns whether the origin has left the table.
    pub(super) fn remove_live(&mut self, place: u16) -> bool {
        let entry = &mut self.entries[usize::from(place)];
        entry.live -= 1;
        let leaves = entry.live == 0 && place != ME;
        if leaves {
            let covered = std::mem::take(&mut entry.covered);
            if covered > 0 {
                let origin = entry.origin.clone();
                self.left.truncate(ORIGINS_LEFT_MAX - 1);
                self.left.push_front((origin, covered));
            }
            self.forget(place);
        }
        leaves
    }

    /// The vector: every origin with live records, and the sequence up to which it is covered.
    pub(super) fn vector(&self) -> impl Iterator<Item = (u16, &Origin, u64)> {
        self.vector_with(None)
    }

    /// The vector. It names the origin at `always`, if there is one, even if that origin has no live record.
    pub(super) fn vector_with(&self, always: Option<u16>) -> impl Iterator<Item = (u16, &Origin, u64)> {
        let numbered = (0..).zip(&self.entries).skip(usize::from(self.is_unsure_of_me));
        let told = numbered
            .filter(move |(place, entry)| (entry.live > 0 || always == Some(*place)) && entry.covered > 0);
        told.map(|(place, entry)| (place, &entry.origin, entry.covered))
    }

    /// The number of live records of the origin at `place`, by this table's count.
    pub(super) fn live(&self, place: u16) -> u32 {
        self.entries[usize::from(place)].live
    }

    /// The number of origins that have a place.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// One more than the highest place that was ever used.
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
        Origins::new(origin("Riley", 1), Rules::default())
    }

    /// Gives an origin a live record.
    fn enter(table: &mut Origins, origin: &Origin) -> Option<u16> {
        let place = table.place_or_insert(origin, u16::MAX)?;
        table.add_live(place);
        Some(place)
    }

    #[test]
    fn an_origin_that_has_left_is_given_a_place_again() {
        let (mut table, jaquez) = (table(), origin("Jaquez", 1));
        let place = table.place_or_insert(&jaquez, u16::MAX).unwrap();
        table.add_live(place);
        assert_eq!(table.place_or_insert(&jaquez, place), Some(place));
        assert!(table.remove_live(place));
        assert_eq!((table.place_of(&jaquez), table.len()), (None, 1));
        // The place still has the name of its last origin.
        assert_eq!(table.place_or_insert(&jaquez, place), Some(place));
        assert_eq!((table.place_of(&jaquez), table.len()), (Some(place), 2));
    }

    #[test]
    fn a_server_has_room_for_so_many_incarnations_until_one_leaves_and_others_have_theirs() {
        let mut table = table();
        for life in 1..=INCARNATIONS_MAX as u64 {
            assert!(enter(&mut table, &origin("Jaquez", life)).is_some());
        }
        let next = origin("Jaquez", u64::MAX);
        assert_eq!((table.take_crowded(), table.take_crowded()), (Some(next.server.clone()), None));
        assert_eq!(enter(&mut table, &next), None);
        assert_eq!((table.take_crowded(), table.take_crowded()), (Some(next.server.clone()), None));
        assert!(enter(&mut table, &origin("Juzang", 1)).is_some());
        assert_eq!(table.incarnations(&next.server), (1..=INCARNATIONS_MAX as u16).collect::<Vec<_>>());
        assert!(table.remove_live(9));
        assert_eq!(enter(&mut table, &next), Some(9));
        assert_eq!(table.incarnations(&next.server).last(), Some(&9));
    }

    #[test]
    fn of_several_servers_that_have_no_room_each_has_its_turn() {
        let mut table = table();
        let names = ["Bernard", "Campbell", "Jaquez"];
        let crowd = |table: &mut Origins, name: &str| {
            for life in 1..=INCARNATIONS_MAX as u64 + 1 {
                enter(table, &origin(name, life));
            }
        };
        names.iter().for_each(|name| crowd(&mut table, name));
        let mut taken = Vec::new();
        for _ in 0..6 {
            taken.extend(table.take_crowded());
            // One of the servers never has enough room.
            crowd(&mut table, "Campbell");
        }
        let taken: Vec<_> = taken.iter().map(ServerName::as_str).collect();
        assert_eq!(taken, ["Bernard", "Campbell", "Jaquez", "Campbell", "Campbell", "Campbell"]);
    }

    #[test]
    fn a_member_has_room_whatever_names_are_made_up() {
        let mut table = table();
        let member = origin("Jaquez", 1);
        table.set_members(Arc::new([member.server.clone(), origin("Riley", 1).server].into()));
        for stranger in 0..STRANGERS_MAX {
            assert!(enter(&mut table, &origin(&format!("s{stranger}"), 1)).is_some());
        }
        assert!(enter(&mut table, &origin("s0", 2)).is_some());
        assert_eq!(enter(&mut table, &origin("more", 1)), None);
        assert!(enter(&mut table, &member).is_some());
        let place = table.place_of(&origin("s1", 1)).unwrap();
        assert!(table.remove_live(place));
        assert!(enter(&mut table, &origin("more", 1)).is_some());
        assert_eq!(enter(&mut table, &origin("s1", 1)), None);
        // A stranger that has become a member.
        let members = [member.server, origin("s1", 1).server];
        table.set_members(Arc::new(members.into()));
        assert!(enter(&mut table, &origin("s1", 1)).is_some());
    }

    #[test]
    fn this_server_begins_anew_under_an_incarnation_that_nobody_has_made_up() {
        let mut table = table();
        enter(&mut table, &origin("Riley", 7));
        table.add_live(ME);
        table.cover(ME, 5);
        assert_eq!(table.renew_me(7), 8);
        assert_eq!((table.origin(ME), table.covered(ME), table.live(ME)), (&origin("Riley", 8), 0, 1));
        assert_eq!((table.place_of(&origin("Riley", 1)), table.len()), (None, 2));
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
