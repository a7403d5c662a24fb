//! Live streams: each tells its reader the state of the clients that match a filter, and then every change.
//!
//! One [`Streams`] value holds all streams of a server, and its owner keeps it behind one lock. The owner follows the
//! replica, and offers changes to the streams ([`ChangeBatch`], [`Streams::offer`]). A door opens a stream
//! ([`Streams::open`]) and takes events ([`Streams::take`]) as fast as its client reads them.
//!
//! **What a reader is told.** First [`StreamEvent::Reset`], then the state as [`StreamEvent::Location`]s, then
//! [`StreamEvent::Synced`], then changes. A change is not kept as an event: the stream only queues *which* client has
//! changed, each client at most once, and reads the client's current record when the reader takes the event. So a slow
//! reader is told fewer events, never old ones, and the number of clients that match bounds a stream's memory.
//!
//! **Beginning.** The filter enters the index first, and then the state is gathered. So a change during the search is
//! queued, too. The reader is told `Synced` after everything that the search has found.
//!
//! **Resuming.** When a connection ends, its stream is kept for some time and goes on queueing changes. A reader that
//! resumes with the ID of the last event that it has received is told everything later, or that it must begin anew
//! (`stream`). A reader can also take over a stream whose connection is still open, because the server may learn late
//! that a connection has ended.
//!
//! **Locks.** The lock of `Streams` comes before the shards' locks: `take` reads the replica. So a follower drains the
//! replica with `Streams` locked. [`Gathering::search`] takes long and runs without the lock of `Streams`.
//!
//! **Bells.** Each connection has a bell, a value of the owner's type `B`. A stream that has something to take, and had
//! nothing when its reader last looked, puts its bell into a list ([`Streams::take_rings`]). The owner rings these
//! bells after it has released the lock.
//!
//! **Interest.** The follower gives the shards an [`InterestMap`] ([`Streams::interest`]), so changes that no stream
//! can want are neither queued nor offered.
//!
//! **Limits** ([`StreamLimits`]). A stream with too many clients ends. If all streams together have too many, the
//! streams that have been kept longest are dropped first, and then the largest stream ends.
//!
//! **Bites.** A stream that ends or begins anew may have a million entries. They are void at once, and
//! [`Streams::release`] releases their clients in bites, so that the lock is not held for long.
//!
//! This crate is pure, as core is: it knows no clock, no thread and no door, and does no input or output.

mod batch;
mod bookkeeping;
mod clients;
mod counts;
mod entries;
mod event;
mod filter;
mod filter_index;
mod gather;
mod interest_map;
mod kept;
pub mod limits;
mod matcher;
mod offer;
mod opening;
mod polygon;
pub mod presence;
mod presence_log;
mod stream;
mod take;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc};

pub use self::{
    batch::ChangeBatch,
    counts::{ResetReason, StreamCounts},
    event::{EventId, StreamEvent, StreamKind, StreamKinds},
    filter::StreamFilter,
    gather::Gathering,
    interest_map::InterestMap,
    opening::{StreamEnd, StreamKey, StreamLimits, StreamOpening, StreamsFull, Taken},
    polygon::{Polygon, PolygonError},
};
use self::{
    bookkeeping::is_kept,
    clients::Clients,
    entries::{EachEntry, Flag},
    filter_index::FilterIndex,
    kept::KeptStreams,
    matcher::Matcher,
    stream::{Phase, Reader, Stream},
};
use crate::limits::{STREAM_IDS_MAX, STREAM_KEPT_NS};

/// All streams of a server. `B` is the bell of a connection.
#[derive(Debug)]
pub struct Streams<B> {
    incarnation: u64,
    limits: StreamLimits,
    slots: Vec<Slot<B>>,
    free: Vec<u32>,
    clients: Clients,
    /// The filters of the streams that follow clients' records ...
    changes: FilterIndex,
    /// ... and of the streams that want presence events.
    presence: FilterIndex,
    /// The filters in `changes`, in the form that shards ask.
    interest: Arc<InterestMap>,
    /// The number of streams that want presence events.
    presence_len: usize,
    /// The number of streams whose filters the indices compare with every client.
    unindexed: usize,
    /// The number of entries of all streams.
    entries: usize,
    kept: KeptStreams,
    /// The streams with void entries, which [`Streams::release`] releases ...
    emptying: VecDeque<u32>,
    /// ... and the number of those whose places are free afterwards.
    dropping: usize,
    rings: Vec<B>,
    /// Memory of a call, which the next call uses again.
    scratch: Vec<u32>,
    counts: StreamCounts,
}

/// The place of a stream.
#[derive(Debug)]
struct Slot<B> {
    /// The number of connections that have had a stream of this place.
    connection: u32,
    stream: Option<Box<Stream<B>>>,
}

impl<B: Clone> Streams<B> {
    /// No streams, at a server whose life has this number ([`Origin`](proxyherd_core::types::Origin)). Keep `seed`
    /// secret: whoever knows it can choose IDs that collide.
    pub fn new(incarnation: u64, seed: u64) -> Streams<B> {
        Streams {
            incarnation,
            limits: StreamLimits::default(),
            slots: Vec::new(),
            free: Vec::new(),
            clients: Clients::new(seed),
            changes: FilterIndex::new(seed),
            presence: FilterIndex::new(seed),
            interest: Arc::new(InterestMap::new(seed)),
            presence_len: 0,
            unindexed: 0,
            entries: 0,
            kept: KeptStreams::default(),
            emptying: VecDeque::new(),
            dropping: 0,
            rings: Vec::new(),
            scratch: Vec::new(),
            counts: StreamCounts::default(),
        }
    }

    /// The same with other limits, for tests.
    #[must_use]
    pub fn with_limits(self, limits: StreamLimits) -> Streams<B> {
        Streams { limits, ..self }
    }

    /// Opens a stream, or resumes the one that `last_event_id` names. Its reader should take at once, without waiting
    /// for the bell.
    pub fn open(&mut self, opening: StreamOpening<'_, B>) -> Result<StreamKey, StreamsFull> {
        let StreamOpening { filter, kinds, owner, caller, last_event_id, random, bell } = opening;
        if filter.ids.len() > STREAM_IDS_MAX {
            return Err(StreamsFull::Ids);
        }
        let matcher = Matcher::new(filter);
        let resumed = last_event_id.filter(|id| self.can_resume(*id, &matcher, kinds, owner));
        if let Some(id) = resumed {
            return Ok(self.resume(id, bell));
        }
        self.make_room(&matcher)?;
        let slot = self.vacant();
        let number = random & !u64::from(u32::MAX) | u64::from(slot);
        let mut stream = Stream::new(number, Arc::new(matcher), kinds, bell);
        (stream.owner, stream.caller) = (owner.map(Into::into), caller);
        self.index(slot, &stream);
        let matcher = Arc::clone(&stream.matcher);
        self.slots[slot as usize].stream = Some(Box::new(stream));
        let key = self.key(slot);
        if matcher.names_all() {
            for id in matcher.named() {
                let client = self.clients.find(id.prefix());
                if self.add_entry(slot, client, id.prefix(), Flag::Named).is_none() {
                    return Ok(key);
                }
            }
        }
        let reason = if last_event_id.is_some() { ResetReason::Unknown } else { ResetReason::New };
        self.begin_anew_at(slot, reason);
        Ok(key)
    }

    /// The connection has ended. The stream is kept for [`STREAM_KEPT_NS`], so that its reader can resume it, unless it
    /// has told nothing yet, has ended, or another connection has taken it over.
    pub fn detach(&mut self, key: StreamKey, now_ns: u64) {
        let Some(stream) = self.stream_mut(key) else { return };
        if matches!(stream.phase, Phase::Ended(_)) || stream.sequence == 0 {
            return self.remove(key.slot);
        }
        stream.reader = Reader::Kept { since_ns: now_ns };
        let caller = stream.caller;
        let slots = &self.slots;
        self.kept.add(key, caller, |key| is_kept(slots, *key));
        while self.kept.len() > self.limits.kept {
            self.drop_one_of_most();
        }
    }

    /// Drops streams that have been kept long enough. Call this about once a second.
    pub fn expire(&mut self, now_ns: u64) {
        while let Some(key) = self.first_kept() {
            let stream = self.slots[key.slot as usize].stream.as_ref();
            let since_ns = stream.map_or(0, |stream| match stream.reader {
                Reader::Kept { since_ns } => since_ns,
                Reader::Open { .. } | Reader::Nobody => now_ns,
            });
            if now_ns.saturating_sub(since_ns) < STREAM_KEPT_NS {
                return;
            }
            self.remove(key.slot);
        }
    }

    /// Changes were lost: all streams tell `Reset` and gather their state again.
    pub fn begin_anew(&mut self) {
        for slot in 0..self.slots.len() as u32 {
            let stream = &self.slots[slot as usize].stream;
            if stream.as_ref().is_some_and(|stream| !matches!(stream.phase, Phase::Ended(_))) {
                self.begin_anew_at(slot, ResetReason::ChangesLost);
            }
        }
    }

    /// Ends the open streams of the connections for which `is_over` returns true: for example, those whose tokens were
    /// revoked. Their bells ring, and their readers take the reason. These streams cannot be resumed.
    pub fn end_if(&mut self, why: StreamEnd, mut is_over: impl FnMut(&B) -> bool) {
        for slot in 0..self.slots.len() as u32 {
            let Some(stream) = &self.slots[slot as usize].stream else { continue };
            let Reader::Open { bell, .. } = &stream.reader else { continue };
            if !matches!(stream.phase, Phase::Ended(_)) && is_over(bell) {
                self.end(slot, why);
            }
        }
    }

    /// Moves the bells that must be rung to `rings`. Ring them without any lock.
    pub fn take_rings(&mut self, rings: &mut Vec<B>) {
        rings.append(&mut self.rings);
    }

    /// Whether no stream is open or kept, and nothing is left to release.
    pub fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    /// What the streams want. A follower that offers changes gives this to
    /// [`Replica::follow_some`](proxyherd_core::replica::Replica::follow_some).
    pub fn interest(&self) -> &Arc<InterestMap> {
        &self.interest
    }

    /// Whether any stream, open or kept, wants presence events.
    pub fn wants_presence(&self) -> bool {
        self.presence_len > 0
    }

    /// The numbers of all streams.
    pub fn counts(&self) -> StreamCounts {
        StreamCounts {
            open: self.len() - self.kept.len(),
            kept: self.kept.len(),
            entries: self.entries,
            clients: self.clients.len(),
            ..self.counts
        }
    }

    /// A contradiction in the bookkeeping, if there is one. For tests and the simulator's checkers.
    pub fn contradiction(&self) -> Option<String> {
        let streams = || (0..).zip(&self.slots).filter_map(|(at, slot)| Some((at, slot.stream.as_deref()?)));
        let of_stream =
            |(at, stream): (u32, &Stream<B>)| Some(format!("stream {at}: {}", stream.contradiction()?));
        let len = |stream: &Stream<B>| stream.entries.len() + stream.void.as_ref().map_or(0, EachEntry::len);
        let entries: usize = streams().map(|(_, stream)| len(stream)).sum();
        let is_unlisted = |(at, stream): (u32, &Stream<B>)| {
            stream.entries.iter().any(|entry| !self.clients.lists(entry.client, at))
        };
        let dropping = streams().filter(|(_, stream)| matches!(stream.reader, Reader::Nobody)).count();
        if dropping != self.dropping {
            return Some(format!("{dropping} streams are being dropped, {} are counted", self.dropping));
        }
        let kept = streams().filter(|(_, stream)| stream.is_kept()).count();
        if entries != self.entries || entries != self.clients.listed() {
            return Some(format!(
                "{entries} entries, {} counted, {} listed",
                self.entries,
                self.clients.listed()
            ));
        }
        if kept != self.kept.len() {
            return Some(format!("{kept} streams are kept, {} are counted", self.kept.len()));
        }
        if streams().any(is_unlisted) {
            return Some("a client does not list a stream with an entry of it".to_owned());
        }
        streams().find_map(of_stream)
    }

    /// The number of bytes that one stream takes, without its filter and without the clients that all streams share.
    pub fn stream_bytes(&self, key: StreamKey) -> usize {
        self.stream(key).map_or(0, Stream::bytes)
    }
}
