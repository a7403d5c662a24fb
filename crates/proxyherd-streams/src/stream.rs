//! One stream: what its reader holds, what has changed, and how its reader resumes.
//!
//! The stream has an entry for each client that its reader may hold, that waits in the queue, that the filter names, or
//! that was removed lately (`entries`). When the reader takes a client out of the queue, the caller reads the client's
//! current record and lets [`Stream::settle`] compare it with the entry.
//!
//! **Resuming.** A reader that resumes names the sequence of the last event that it has received. It may have missed
//! every later event. So each client whose last event is later is queued again. If that event was a removal, the reader
//! may still hold the client, so the client counts as held again: the reader is then told that the client left, is
//! gone, or where it is. The stream forgets the oldest removals if it has more of them than clients that the reader
//! holds, and more than [`REMOVALS_KEPT_MIN`]: beginning anew costs less then. [`Stream::reach`] is the least sequence
//! from which a reader can resume.
//!
//! Invariants: a client is in the queue exactly once if its entry has [`Flag::Queued`], and otherwise not at all;
//! `held` is the number of entries with [`Flag::Held`]; each entry with [`Flag::Removed`] is in `removals`, with the
//! same bits of its sequence.
//!
//! This module does not know records, filters, nor other streams.

use std::{collections::VecDeque, sync::Arc};

use super::{
    counts::ResetReason,
    entries::{EachEntry, Entries, Entry, Flag, bits},
    event::{StreamKind, StreamKinds},
    matcher::Matcher,
    opening::StreamEnd,
    presence_log::PresenceLog,
};
use crate::limits::REMOVALS_KEPT_MIN;

/// In the queue: here the reader is told `Synced`.
const SYNCED: u32 = u32::MAX;
/// A queue with more room than this gives it back when it is empty.
const QUEUE_LEN_KEPT: usize = 4096;

/// One stream.
#[derive(Debug)]
pub(super) struct Stream<B> {
    /// The stream's number in IDs of events.
    pub(super) number: u64,
    pub(super) matcher: Arc<Matcher>,
    pub(super) kinds: StreamKinds,
    pub(super) owner: Option<Box<[u8]>>,
    /// The number that the streams of one caller share.
    pub(super) caller: u64,
    pub(super) reader: Reader<B>,
    pub(super) phase: Phase,
    /// The number of times that the stream began anew.
    pub(super) round: u32,
    /// The reader must be told to begin anew, for this reason, before everything else.
    pub(super) reset: Option<ResetReason>,
    /// The reader is told the state, or what it has missed. Until it is told `Synced`, it is told no presence event.
    pub(super) is_syncing: bool,
    /// The number of events that were told.
    pub(super) sequence: u64,
    pub(super) entries: Entries,
    /// Void entries, whose clients have not been released yet. A stream that is not over is [`Phase::Emptying`] then.
    pub(super) void: Option<EachEntry>,
    pub(super) presence: PresenceLog,
    queue: VecDeque<u32>,
    held: usize,
    /// Removals, the oldest first: the client, and the bits of the sequence of its removal. A removal is void if the
    /// client's entry says something else.
    removals: VecDeque<(u32, u32)>,
    /// The reader was told to begin anew, or a removal was forgotten, at this sequence.
    forgotten: u64,
}

/// Who reads the stream.
#[derive(Debug)]
pub(super) enum Reader<B> {
    /// A connection with this bell.
    Open {
        bell: B,
        /// The reader has found nothing to take, and waits for its bell.
        waits: bool,
    },
    /// Nobody, since this time.
    Kept { since_ns: u64 },
    /// Nobody ever again. The stream is over, and its place is free as soon as its void entries are released.
    Nobody,
}

/// How far the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The stream begins anew, and its void entries are released first. Changes do not matter until then, because the
    /// state is gathered afterwards.
    Emptying,
    /// The state must be gathered.
    Gathering,
    /// The reader is told changes.
    Telling,
    /// The stream is over.
    Ended(StreamEnd),
}

/// What the reader takes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Synced,
    Client(u32),
    Nothing,
}

/// What a client's current record is for the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Match,
    NoMatch,
    NoRecord,
}

/// What the stream tells after it has compared a record with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The client matches.
    Present,
    /// The reader holds the client, but it no longer matches.
    Left,
    /// The reader holds the client, but it is no longer known.
    Gone,
    /// Nothing.
    None,
}

impl<B> Stream<B> {
    /// A stream that has not begun. See [`Stream::begin_anew`].
    pub(super) fn new(number: u64, matcher: Arc<Matcher>, kinds: StreamKinds, bell: B) -> Stream<B> {
        Stream {
            number,
            matcher,
            kinds,
            owner: None,
            caller: 0,
            reader: Reader::Open { bell, waits: false },
            phase: Phase::Telling,
            round: 0,
            reset: None,
            is_syncing: true,
            sequence: 0,
            entries: Entries::default(),
            void: None,
            presence: PresenceLog::default(),
            queue: VecDeque::new(),
            held: 0,
            removals: VecDeque::new(),
            forgotten: 0,
        }
    }

    /// Whether the stream follows the records of clients. A stream of presence events alone need not, unless its filter
    /// depends on the records.
    pub(super) fn tracks(&self) -> bool {
        let is_told_records = [StreamKind::Location, StreamKind::Left, StreamKind::Gone];
        is_told_records.into_iter().any(|kind| self.kinds.contains(kind))
            || self.kinds.contains(StreamKind::Presence) && self.matcher.filter().depends_on_records()
    }

    pub(super) fn is_kept(&self) -> bool {
        matches!(self.reader, Reader::Kept { .. })
    }

    /// The reader forgets everything. All entries are void, except that named clients keep theirs; the caller takes
    /// them out ([`Stream::take_entries`]) and releases the other clients.
    pub(super) fn begin_anew(&mut self, reason: ResetReason) {
        (self.queue, self.removals, self.held) = (VecDeque::new(), VecDeque::new(), 0);
        (self.reset, self.round, self.is_syncing) = (Some(reason), self.round.wrapping_add(1), true);
        if self.tracks() {
            self.phase = Phase::Gathering;
        } else {
            self.phase = Phase::Telling;
            self.queue.push_back(SYNCED);
        }
    }

    /// Ends the stream. The caller releases the clients of all entries ([`Stream::take_entries`]).
    pub(super) fn end(&mut self, why: StreamEnd) {
        (self.queue, self.removals, self.held) = (VecDeque::new(), VecDeque::new(), 0);
        (self.phase, self.presence) = (Phase::Ended(why), PresenceLog::default());
    }

    /// Takes all entries, after the stream was emptied.
    pub(super) fn take_entries(&mut self) -> Entries {
        debug_assert!(self.queue.iter().all(|client| *client == SYNCED) && self.held == 0);
        std::mem::take(&mut self.entries)
    }

    /// The state has been gathered.
    pub(super) fn gathered(&mut self) {
        self.phase = Phase::Telling;
        self.queue.push_back(SYNCED);
    }

    /// Queues a client that has an entry. Returns whether the client was in the queue before.
    pub(super) fn queue(&mut self, client: u32) -> bool {
        let entry = self.entries.find_mut(client).expect("the caller knows the entry");
        let is_queued = entry.has(Flag::Queued);
        if !is_queued {
            entry.set(Flag::Queued);
            self.queue.push_back(client);
        }
        is_queued
    }

    /// Whether the reader has something to take.
    pub(super) fn has_something(&self) -> bool {
        match self.phase {
            Phase::Emptying => false,
            Phase::Gathering | Phase::Ended(_) => true,
            Phase::Telling => self.reset.is_some() || !self.queue.is_empty() || self.presence.waits(),
        }
    }

    /// What the reader takes next. If this is a client, the caller reads the client's record and then calls
    /// [`Stream::settle`].
    pub(super) fn next(&mut self) -> Next {
        let next = self.queue.pop_front();
        if self.queue.is_empty() && self.queue.capacity() > QUEUE_LEN_KEPT {
            self.queue = VecDeque::new();
        }
        match next {
            Some(SYNCED) => {
                self.is_syncing = false;
                Next::Synced
            }
            Some(client) => Next::Client(client),
            None => Next::Nothing,
        }
    }

    /// The sequence of the next event.
    pub(super) fn next_sequence(&self) -> u64 {
        self.sequence + 1
    }

    /// The reader has been told to begin anew.
    pub(super) fn told_reset(&mut self) {
        self.sequence += 1;
        (self.reset, self.forgotten) = (None, self.sequence);
    }

    /// What the stream tells of a client whose record was found so.
    pub(super) fn news(&self, client: u32, found: Found) -> News {
        let is_held = self.entries.find(client).is_some_and(|entry| entry.has(Flag::Held));
        match found {
            Found::Match => News::Present,
            Found::NoMatch if is_held => News::Left,
            Found::NoRecord if is_held => News::Gone,
            Found::NoMatch | Found::NoRecord => News::None,
        }
    }

    /// Notes in the entry of a client that was taken out of the queue what the reader knows now. `is_told`: the news is
    /// of a kind that the reader wants, so it was told. The entry may be void afterwards.
    pub(super) fn settle(&mut self, client: u32, news: News, is_told: bool) {
        self.sequence += u64::from(is_told);
        let sequence = self.sequence;
        let entry = self.entries.find_mut(client).expect("a queued client has an entry");
        entry.clear(Flag::Queued);
        match news {
            News::None => {}
            News::Present => {
                self.held += usize::from(!entry.has(Flag::Held));
                entry.set(Flag::Held);
                entry.clear(Flag::Removed);
                entry.clear(Flag::Gone);
                entry.set_sequence(sequence);
            }
            News::Left | News::Gone => {
                self.held -= 1;
                entry.clear(Flag::Held);
                entry.set(Flag::Removed);
                if news == News::Gone {
                    entry.set(Flag::Gone);
                }
                entry.set_sequence(sequence);
                self.removals.push_back((client, bits(sequence)));
            }
        }
    }

    /// Forgets the oldest removals if there are too many. Returns a client whose entry may be void now. Call this until
    /// it returns [`None`].
    pub(super) fn forget_removal(&mut self) -> Option<u32> {
        while self.removals.len() > self.held.max(REMOVALS_KEPT_MIN) {
            let (client, removed_at) = self.removals.pop_front()?;
            let entry = self.entries.find_mut(client);
            let entry = entry.filter(|entry| entry.has(Flag::Removed) && entry.sequence_bits() == removed_at);
            if let Some(entry) = entry {
                entry.clear(Flag::Removed);
                entry.clear(Flag::Gone);
                self.forgotten = self.forgotten.max(entry.sequence(self.sequence));
                return Some(client);
            }
        }
        None
    }

    /// The least sequence from which a reader can resume.
    fn reach(&self) -> u64 {
        self.forgotten.max(self.presence.reach())
    }

    /// The reader has received the events up to this sequence, and resumes. Returns false if the stream does not reach
    /// back so far. Then it must begin anew.
    pub(super) fn resume(&mut self, sequence: u64) -> bool {
        if sequence < self.reach() {
            return false;
        }
        self.presence.resume(sequence);
        if self.phase != Phase::Telling || self.reset.is_some() {
            // The stream begins anew in any case.
            return true;
        }
        let now = self.sequence;
        for entry in self.entries.iter_mut() {
            let is_known = entry.has(Flag::Held) || entry.has(Flag::Removed);
            if !is_known || entry.sequence(now) <= sequence {
                continue;
            }
            self.held += usize::from(!entry.has(Flag::Held));
            entry.clear(Flag::Removed);
            entry.clear(Flag::Gone);
            entry.set(Flag::Held);
            if !entry.has(Flag::Queued) {
                entry.set(Flag::Queued);
                self.queue.push_back(entry.client);
            }
        }
        self.queue.retain(|client| *client != SYNCED);
        self.queue.push_back(SYNCED);
        self.is_syncing = true;
        true
    }

    /// The number of bytes that the stream takes, without its filter and without its clients.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Stream<B>>()
            + self.entries.bytes()
            + self.void.as_ref().map_or(0, |void| void.len() * size_of::<Entry>())
            + self.queue.capacity() * size_of::<u32>()
            + self.removals.capacity() * size_of::<(u32, u32)>()
            + self.presence.bytes()
    }

    /// A contradiction in the bookkeeping, if there is one.
    pub(super) fn contradiction(&self) -> Option<String> {
        let count = |flag| self.entries.iter().filter(|entry: &&Entry| entry.has(flag)).count();
        let queued: Vec<u32> = self.queue.iter().copied().filter(|client| *client != SYNCED).collect();
        let is_queued = |client: &u32| self.entries.find(*client).is_some_and(|e| e.has(Flag::Queued));
        if count(Flag::Queued) != queued.len() || !queued.iter().all(is_queued) {
            return Some(format!(
                "{} clients are queued, {} entries say so",
                queued.len(),
                count(Flag::Queued)
            ));
        }
        if count(Flag::Held) != self.held {
            return Some(format!("{} clients are held, {} are counted", count(Flag::Held), self.held));
        }
        if self.entries.iter().any(Entry::is_void) {
            return Some("an entry is void".to_owned());
        }
        let is_listed = |entry: &Entry| self.removals.contains(&(entry.client, entry.sequence_bits()));
        let unlisted = self.entries.iter().any(|entry| entry.has(Flag::Removed) && !is_listed(entry));
        unlisted.then(|| "a removal is not in the list of removals".to_owned())
    }
}
