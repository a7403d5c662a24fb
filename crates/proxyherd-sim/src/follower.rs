//! A follower of one server's replica, and checks of the events that the follower is sent.
//!
//! A follower takes changes only when it has been woken. A slow follower takes a few changes at a time. Like a journal,
//! a follower holds replies until their reports are covered. The following must hold, whatever goes wrong in the herd:
//!
//! - When the follower is sent a record, the replica holds that record at that moment.
//! - When the follower has taken everything, it holds exactly the records that the replica holds. A follower that does
//!   not want removals may hold more.
//! - When the follower is told that everything up to a report is covered, it has been sent a record of the report's
//!   client since the report.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use proxyherd_core::{
    command::Position,
    flood::{Begin, FollowerEvent, FollowerId, Following, Update},
    limits::SHARDS,
    replica::{Offer, Replica, shard_index},
    types::{Kind, Origin},
};

use crate::ledger::{Key, Taken};

/// A record, with its origin and sequence.
type Whole = (Taken, Origin, u64);

/// One follower of one life.
#[derive(Debug)]
pub(crate) struct Follower {
    id: FollowerId,
    wants_removed: bool,
    /// Whether there may be something to take.
    is_woken: Arc<AtomicBool>,
    mirror: BTreeMap<Key, Whole>,
    /// The number of entries that the follower has been sent. For each key and each shard, the number at which the
    /// follower was last sent the key or last began the shard anew.
    count: u64,
    told_at: HashMap<Key, u64>,
    anew_at: [u64; SHARDS],
    /// The replies that the follower holds, each with the number of entries that the follower had been sent when the
    /// reply was made.
    replies: Vec<(Position, Key, u64)>,
    counts: Counts,
}

/// How much a follower was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Records.
    pub(crate) records: u64,
    /// Records that were removed.
    pub(crate) removed: u64,
    /// Replies that were released.
    pub(crate) replies: u64,
}

/// An entry that the follower was sent, owned.
enum Entry {
    Anew(usize),
    Record(Key, Whole),
    Removed(Key),
    Covered(Position),
}

impl Entry {
    fn of(told: FollowerEvent<'_>) -> Entry {
        match told {
            FollowerEvent::Anew { shard } => Entry::Anew(shard),
            FollowerEvent::Record(held) => {
                Entry::Record(key_of(held.record.kind, held.record.key), whole(held))
            }
            FollowerEvent::Hidden(held) => Entry::Removed(key_of(held.record.kind, held.record.key)),
            FollowerEvent::Removed { kind, key } => Entry::Removed(key_of(kind, key)),
            FollowerEvent::Covered { position, .. } => Entry::Covered(position),
        }
    }
}

impl Follower {
    /// A follower of a replica from now on. A follower that does not begin with all held records starts with a copy of
    /// them.
    pub(crate) fn new(replica: &Replica, following: Following) -> Option<Follower> {
        let is_woken = Arc::new(AtomicBool::new(false));
        let waker = Arc::clone(&is_woken);
        let id = replica.follow(following, move || waker.store(true, Relaxed))?;
        let mirror = if following.begins == Begin::Now { content(replica) } else { BTreeMap::new() };
        Some(Follower {
            id,
            wants_removed: following.wants_removed,
            is_woken,
            mirror,
            count: 0,
            told_at: HashMap::new(),
            anew_at: [0; SHARDS],
            replies: Vec::new(),
            counts: Counts::default(),
        })
    }

    /// Ends the follower.
    pub(crate) fn leave(self, replica: &Replica) {
        replica.unfollow(self.id);
    }

    /// Notes that a report was taken. The report's reply waits until the report is covered. Only a follower that wants
    /// removals can hold replies, so other followers hold none.
    pub(crate) fn hold(&mut self, offer: &Offer<'_>) {
        let is_held = self.wants_removed && offer.outcome.is_taken();
        if let Some(position) = offer.position().filter(|_| is_held) {
            let key = key_of(Kind::CLIENT, offer.report.client.as_bytes());
            self.replies.push((position, key, self.count));
        }
    }

    /// How much the follower was sent since the last call.
    pub(crate) fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// Takes at most `most` entries, if the follower has been woken. Returns whether the follower has taken everything
    /// that it knows of.
    pub(crate) fn drain(&mut self, replica: &Replica, most: usize) -> Result<bool, String> {
        if !self.is_woken.swap(false, Relaxed) {
            return Ok(true);
        }
        let mut entries = Vec::new();
        let is_all = replica.drain(&self.id, most, |told| entries.push(Entry::of(told)));
        self.is_woken.fetch_or(!is_all, Relaxed);
        entries.into_iter().try_for_each(|entry| self.take(replica, entry))?;
        Ok(is_all)
    }

    fn take(&mut self, replica: &Replica, entry: Entry) -> Result<(), String> {
        self.count += 1;
        match entry {
            Entry::Anew(shard) => {
                self.mirror.retain(|(_, key), _| shard_index(key) != shard);
                self.anew_at[shard] = self.count;
            }
            Entry::Record(key, told) => {
                let held = replica.find(0, key.0, &key.1, whole);
                if held.as_ref() != Some(&told) {
                    return Err(format!("the follower was sent {told:?}, but the replica holds {held:?}"));
                }
                self.counts.records += 1;
                self.told_at.insert(key.clone(), self.count);
                self.mirror.insert(key, told);
            }
            Entry::Removed(key) => {
                self.counts.removed += 1;
                self.mirror.remove(&key);
                self.told_at.insert(key, self.count);
            }
            Entry::Covered(position) => self.let_replies_go(replica, position)?,
        }
        Ok(())
    }

    fn let_replies_go(&mut self, replica: &Replica, covered: Position) -> Result<(), String> {
        let is_covered = |(position, ..): &(Position, Key, u64)| {
            position.shard == covered.shard && position.seq <= covered.seq
        };
        for (position, key, since) in self.replies.extract_if(.., |reply| is_covered(reply)) {
            self.counts.replies += 1;
            let is_told = self.told_at.get(&key).is_some_and(|&told_at| told_at > since);
            // Records that were removed before the follower began anew are not sent.
            let began = self.anew_at[position.shard] > since;
            if !is_told && (!began || replica.find(0, key.0, &key.1, |_| ()).is_some()) {
                let key = String::from_utf8_lossy(&key.1);
                return Err(format!(
                    "{covered:?} covers {position:?} of {key}, which the follower was not sent"
                ));
            }
        }
        Ok(())
    }

    /// Compares the follower's records with the replica's, after the follower has taken everything.
    pub(crate) fn compare(&self, replica: &Replica, clock_ns: u64) -> Result<(), String> {
        let held = content(replica);
        // A follower that wants removals is not shown a report that has expired, or whose own time has passed.
        let is_over = |key: &Key, one: &Whole| {
            one.0.own_ttl().is_some() || replica.find(clock_ns, key.0, &key.1, |_| ()).is_none()
        };
        let may_lack = |key: &Key, one: &Whole| {
            self.wants_removed && !self.mirror.contains_key(key) && is_over(key, one)
        };
        let differs = |(key, one): &(&Key, &Whole)| self.mirror.get(*key) != Some(one) && !may_lack(key, one);
        if let Some((_, one)) = held.iter().find(differs) {
            let known = self.mirror.get(&one.0.key);
            return Err(format!("the replica holds {one:?}, but the follower holds {known:?}"));
        }
        let mut more = self.mirror.iter().filter(|(key, _)| self.wants_removed && !held.contains_key(*key));
        more.next().map_or(Ok(()), |(_, one)| {
            Err(format!("the follower holds {one:?}, which the replica does not hold"))
        })
    }
}

fn key_of(kind: Kind, key: &[u8]) -> Key {
    (kind, key.into())
}

fn whole(held: Update<'_>) -> Whole {
    (Taken::from(held), held.origin.clone(), held.seq)
}

/// All records that a replica holds.
fn content(replica: &Replica) -> BTreeMap<Key, Whole> {
    let mut content = BTreeMap::new();
    replica.for_each(|held| drop(content.insert(key_of(held.record.kind, held.record.key), whole(held))));
    content
}
