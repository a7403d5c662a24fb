//! Who follows one server's map, and whether what it is told is so.
//!
//! A follower takes what there is when it has been woken and otherwise never, a little at a time if it is slow. Like a journal
//! it has replies to hold until they are covered. What must hold, whatever goes wrong in the herd:
//!
//! - Whatever it is told is held is what the map holds at that moment.
//! - When it has taken all, it holds what the map holds, record for record. One that is not told what is removed may hold more.
//! - When it is told that all is covered up to a report, it has been told of that report's client since the report.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use proxyherd_core::{
    command::Position,
    flood::{Begin, FollowerId, Following, Held, Told},
    limits::SHARDS,
    map::{Map, Offer, shard_index},
    types::{Kind, Origin},
};

use crate::ledger::{Key, Taken};

/// A record, with its place in the vectors.
type Whole = (Taken, Origin, u64);

/// One follower of one life.
#[derive(Debug)]
pub(crate) struct Follower {
    id: FollowerId,
    wants_removed: bool,
    /// There may be something to take.
    is_woken: Arc<AtomicBool>,
    replica: BTreeMap<Key, Whole>,
    /// How much it has been told, and when, by that count, last of each key and of each shard's beginning.
    count: u64,
    told_at: HashMap<Key, u64>,
    anew_at: [u64; SHARDS],
    /// Replies that it holds, and how much it had been told when they were made.
    replies: Vec<(Position, Key, u64)>,
    counts: Counts,
}

/// How much a follower was told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Records.
    pub(crate) records: u64,
    /// Records that were gone.
    pub(crate) removed: u64,
    /// Replies that were let go.
    pub(crate) replies: u64,
}

/// What it was told, owned.
enum Entry {
    Anew(usize),
    Record(Key, Whole),
    Removed(Key),
    Covered(Position),
}

impl Entry {
    fn of(told: Told<'_>) -> Entry {
        match told {
            Told::Anew { shard } => Entry::Anew(shard),
            Told::Record(held) => Entry::Record(key_of(held.record.kind, held.record.key), whole(held)),
            Told::Removed { kind, key } => Entry::Removed(key_of(kind, key)),
            Told::Covered(position) => Entry::Covered(position),
        }
    }
}

impl Follower {
    /// One that follows a map from here on. One that does not begin with all that is held knows that already.
    pub(crate) fn new(map: &Map, following: Following) -> Option<Follower> {
        let is_woken = Arc::new(AtomicBool::new(false));
        let waker = Arc::clone(&is_woken);
        let id = map.follow(following, move || waker.store(true, Relaxed))?;
        let replica = if following.begins == Begin::Now { content(map) } else { BTreeMap::new() };
        Some(Follower {
            id,
            wants_removed: following.wants_removed,
            is_woken,
            replica,
            count: 0,
            told_at: HashMap::new(),
            anew_at: [0; SHARDS],
            replies: Vec::new(),
            counts: Counts::default(),
        })
    }

    /// It goes.
    pub(crate) fn leave(self, map: &Map) {
        map.unfollow(self.id);
    }

    /// A report was taken, and its reply waits until that is covered. What is removed would have to be told for that.
    pub(crate) fn hold(&mut self, offer: &Offer<'_>) {
        if let Some(position) = offer.position().filter(|_| self.wants_removed) {
            let key = key_of(Kind::CLIENT, offer.report.client.as_bytes());
            self.replies.push((position, key, self.count));
        }
    }

    /// How much it was told since this was last asked.
    pub(crate) fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// Takes at most `most` entries, if it has been woken. Says whether it has taken all that it knows of.
    pub(crate) fn drain(&mut self, map: &Map, most: usize) -> Result<bool, String> {
        if !self.is_woken.swap(false, Relaxed) {
            return Ok(true);
        }
        let mut entries = Vec::new();
        let is_all = map.drain(&self.id, most, |told| entries.push(Entry::of(told)));
        self.is_woken.fetch_or(!is_all, Relaxed);
        entries.into_iter().try_for_each(|entry| self.take(map, entry))?;
        Ok(is_all)
    }

    fn take(&mut self, map: &Map, entry: Entry) -> Result<(), String> {
        self.count += 1;
        match entry {
            Entry::Anew(shard) => {
                self.replica.retain(|(_, key), _| shard_index(key) != shard);
                self.anew_at[shard] = self.count;
            }
            Entry::Record(key, told) => {
                let held = map.find(0, key.0, &key.1, whole);
                if held.as_ref() != Some(&told) {
                    return Err(format!("told {told:?}, and {held:?} is held"));
                }
                self.counts.records += 1;
                self.told_at.insert(key.clone(), self.count);
                self.replica.insert(key, told);
            }
            Entry::Removed(key) => {
                self.counts.removed += 1;
                self.replica.remove(&key);
                self.told_at.insert(key, self.count);
            }
            Entry::Covered(position) => self.let_replies_go(map, position)?,
        }
        Ok(())
    }

    fn let_replies_go(&mut self, map: &Map, covered: Position) -> Result<(), String> {
        let is_covered = |(position, ..): &(Position, Key, u64)| {
            position.shard == covered.shard && position.seq <= covered.seq
        };
        for (position, key, since) in self.replies.extract_if(.., |reply| is_covered(reply)) {
            self.counts.replies += 1;
            let is_told = self.told_at.get(&key).is_some_and(|&told_at| told_at > since);
            // What had been removed when it began anew is told by not being told.
            let began = self.anew_at[position.shard] > since;
            if !is_told && (!began || map.find(0, key.0, &key.1, |_| ()).is_some()) {
                let key = String::from_utf8_lossy(&key.1);
                return Err(format!("{covered:?} covers {position:?} of {key}, which was not told"));
            }
        }
        Ok(())
    }

    /// Holds what it knows against the map, now that it has taken all.
    pub(crate) fn compare(&self, map: &Map) -> Result<(), String> {
        let held = content(map);
        if let Some((_, one)) = held.iter().find(|(key, one)| self.replica.get(*key) != Some(one)) {
            let known = self.replica.get(&one.0.key);
            return Err(format!("{one:?} is held, and it knows {known:?}"));
        }
        let mut more = self.replica.iter().filter(|(key, _)| self.wants_removed && !held.contains_key(*key));
        more.next().map_or(Ok(()), |(_, one)| Err(format!("it knows {one:?}, which is not held")))
    }
}

fn key_of(kind: Kind, key: &[u8]) -> Key {
    (kind, key.into())
}

fn whole(held: Held<'_>) -> Whole {
    (Taken::from(held), held.origin.clone(), held.seq)
}

/// All that a map holds.
fn content(map: &Map) -> BTreeMap<Key, Whole> {
    let mut content = BTreeMap::new();
    map.for_each(|held| drop(content.insert(key_of(held.record.kind, held.record.key), whole(held))));
    content
}
