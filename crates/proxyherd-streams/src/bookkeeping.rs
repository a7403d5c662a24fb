//! The bookkeeping of all streams: their places, their entries in the lists of clients, the indices, and what is
//! dropped when something is full.
//!
//! Invariant: a stream is in the indices as long as it has not ended. The number of entries of all streams, with the
//! void ones, is that of the lists of clients ([`Streams::contradiction`]). The place of a stream that has void entries
//! is given to no other stream.

use super::{
    ResetReason, Slot, StreamEnd, StreamKey, StreamKind, StreamKinds, Streams, StreamsFull,
    entries::{Entry, Flag},
    event::EventId,
    filter_index::Part,
    matcher::Matcher,
    stream::{Phase, Reader, Stream},
};

impl<B: Clone> Streams<B> {
    pub(super) fn key(&self, slot: u32) -> StreamKey {
        StreamKey { slot, connection: self.slots[slot as usize].connection }
    }

    pub(super) fn stream(&self, key: StreamKey) -> Option<&Stream<B>> {
        let slot = self.slots.get(key.slot as usize).filter(|slot| slot.connection == key.connection)?;
        slot.stream.as_deref()
    }

    pub(super) fn stream_mut(&mut self, key: StreamKey) -> Option<&mut Stream<B>> {
        let slot = self.slots.get_mut(key.slot as usize).filter(|slot| slot.connection == key.connection)?;
        slot.stream.as_deref_mut()
    }

    pub(super) fn at(&mut self, slot: u32) -> &mut Stream<B> {
        self.slots[slot as usize].stream.as_mut().expect("the caller knows that there is a stream")
    }

    pub(super) fn vacant(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { connection: 0, stream: None });
            (self.slots.len() - 1) as u32
        })
    }

    /// Drops kept streams until there is room for one more.
    pub(super) fn make_room(&mut self, matcher: &Matcher) -> Result<(), StreamsFull> {
        if matches!(Part::of(matcher), Part::Rest) && self.unindexed == self.limits.unindexed {
            let slots = &self.slots;
            let is_unindexed = |key: &StreamKey| {
                let stream = slots[key.slot as usize].stream.as_ref();
                is_kept(slots, *key) && stream.is_some_and(|it| matches!(Part::of(&it.matcher), Part::Rest))
            };
            let key = self.kept.find(is_unindexed).ok_or(StreamsFull::Unindexed)?;
            self.remove(key.slot);
        }
        if self.len() >= self.limits.streams && !self.drop_oldest() {
            return Err(StreamsFull::Streams);
        }
        Ok(())
    }

    pub(super) fn can_resume(
        &self,
        id: EventId,
        matcher: &Matcher,
        kinds: StreamKinds,
        owner: Option<&[u8]>,
    ) -> bool {
        let slot = self.slots.get(id.stream as u32 as usize);
        let stream = slot.and_then(|slot| slot.stream.as_ref());
        stream.is_some_and(|stream| {
            id.incarnation == self.incarnation
                && id.stream == stream.number
                && id.sequence <= stream.sequence
                && owner == stream.owner.as_deref()
                && kinds == stream.kinds
                && matcher.filter() == stream.matcher.filter()
                && !matches!(stream.phase, Phase::Ended(_))
        })
    }

    pub(super) fn resume(&mut self, id: EventId, bell: B) -> StreamKey {
        let slot = id.stream as u32;
        let of_slot = &mut self.slots[slot as usize];
        of_slot.connection = of_slot.connection.wrapping_add(1);
        let stream = self.at(slot);
        match std::mem::replace(&mut stream.reader, Reader::Open { bell, waits: false }) {
            // The former connection learns that its stream was taken over.
            Reader::Open { bell, .. } => self.rings.push(bell),
            Reader::Kept { .. } => {
                let caller = self.at(slot).caller;
                self.kept.remove(caller);
            }
            Reader::Nobody => {}
        }
        if self.at(slot).resume(id.sequence) {
            self.counts.resumed += 1;
        } else {
            self.begin_anew_at(slot, ResetReason::TooOld);
        }
        self.key(slot)
    }

    pub(super) fn begin_anew_at(&mut self, slot: u32, reason: ResetReason) {
        self.at(slot).begin_anew(reason);
        self.empty(slot);
        let stream = self.at(slot);
        if stream.void.is_some() {
            stream.phase = Phase::Emptying;
        }
        self.ring(slot);
    }

    /// Adds an entry of a client that has none in this stream. `None`: there was no room, so the stream has ended.
    pub(super) fn add_entry(&mut self, slot: u32, client: Option<u32>, id: &[u8], flag: Flag) -> Option<u32> {
        if self.at(slot).entries.len() >= self.limits.entries {
            self.counts.too_large += 1;
            self.end(slot, StreamEnd::TooLarge);
            return None;
        }
        while self.entries >= self.limits.all_entries {
            self.make_room_for_entry(slot);
            let stream = self.slots[slot as usize].stream.as_ref()?;
            if matches!(stream.phase, Phase::Ended(_)) {
                return None;
            }
        }
        // The client may have been forgotten together with a dropped stream.
        let client = client.filter(|client| *self.clients.id(*client) == *id);
        let client = self.clients.hold(client, id, slot);
        self.at(slot).entries.add(Entry::new(client, flag));
        self.entries += 1;
        Some(client)
    }

    /// Makes room for an entry that this stream needs: releases void entries, drops the stream that has been kept
    /// longest, or ends the largest stream, which may be this one.
    fn make_room_for_entry(&mut self, slot: u32) {
        if !self.emptying.is_empty() {
            self.release(self.limits.released_at_once);
        } else if !self.drop_oldest() {
            let slots = (0..).zip(&self.slots);
            let sizes = slots.filter_map(|(at, slot)| Some((slot.stream.as_ref()?.entries.len(), at)));
            let largest = sizes.max().filter(|(len, _)| *len > self.entries_of(slot));
            self.counts.server_full += 1;
            self.end(largest.map_or(slot, |(_, at)| at), StreamEnd::ServerFull);
        }
    }

    fn entries_of(&self, slot: u32) -> usize {
        self.slots[slot as usize].stream.as_ref().map_or(0, |stream| stream.entries.len())
    }

    /// Removes the entry of a client if it is void.
    pub(super) fn remove_if_void(&mut self, slot: u32, client: u32) {
        let entries = &mut self.at(slot).entries;
        if entries.find(client).is_some_and(Entry::is_void) {
            entries.remove(client);
            self.clients.release(client, slot);
            self.entries -= 1;
        }
    }

    /// Makes all entries of a stream void. Few are released at once, many by [`Streams::release`].
    fn empty(&mut self, slot: u32) {
        let at_once = self.limits.released_at_once;
        let stream = self.at(slot);
        let entries = stream.take_entries().into_each();
        // A stream that has void entries already has few others: those that its filter names.
        if stream.void.is_none() && entries.len() > at_once {
            stream.void = Some(entries);
            return self.emptying.push_back(slot);
        }
        entries.for_each(|entry| self.release_one(slot, &entry));
    }

    /// Releases the client of a void entry. Clients that the filter names stay as long as the stream.
    fn release_one(&mut self, slot: u32, entry: &Entry) {
        let stream = self.at(slot);
        if entry.has(Flag::Named) && !matches!(stream.phase, Phase::Ended(_)) {
            return stream.entries.add(Entry::new(entry.client, Flag::Named));
        }
        self.clients.release(entry.client, slot);
        self.entries -= 1;
    }

    /// Releases the clients of up to `most` void entries. Call this until it returns true: nothing is left to release.
    pub fn release(&mut self, most: usize) -> bool {
        let mut left = most.max(1);
        while let Some(&slot) = self.emptying.front() {
            while let Some(entry) = self.at(slot).void.as_mut().and_then(Iterator::next) {
                self.release_one(slot, &entry);
                left -= 1;
                if left == 0 {
                    return false;
                }
            }
            self.emptying.pop_front();
            let stream = self.at(slot);
            stream.void = None;
            if matches!(stream.reader, Reader::Nobody) {
                self.dropping -= 1;
                self.vacate(slot);
            } else if stream.phase == Phase::Emptying {
                stream.phase = Phase::Gathering;
                self.ring(slot);
            }
        }
        true
    }

    /// Whether void entries wait for [`Streams::release`].
    pub fn must_release(&self) -> bool {
        !self.emptying.is_empty()
    }

    fn vacate(&mut self, slot: u32) {
        self.slots[slot as usize].stream = None;
        self.free.push(slot);
    }

    /// The number of streams that are open or kept.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len() - self.dropping
    }

    /// Lets a stream take part in the search for streams that a change interests.
    pub(super) fn index(&mut self, slot: u32, stream: &Stream<B>) {
        if stream.tracks() {
            self.changes.add(slot, &stream.matcher);
            self.interest.add(stream.matcher.filter());
        }
        if stream.kinds.contains(StreamKind::Presence) {
            self.presence.add(slot, &stream.matcher);
            self.presence_len += 1;
        }
        self.unindexed += usize::from(matches!(Part::of(&stream.matcher), Part::Rest));
    }

    pub(super) fn unindex(&mut self, slot: u32) {
        let Some(stream) = &self.slots[slot as usize].stream else { return };
        if stream.tracks() {
            self.changes.remove(slot, &stream.matcher);
            self.interest.remove(stream.matcher.filter());
        }
        if stream.kinds.contains(StreamKind::Presence) {
            self.presence.remove(slot, &stream.matcher);
            self.presence_len -= 1;
        }
        self.unindexed -= usize::from(matches!(Part::of(&stream.matcher), Part::Rest));
    }

    /// Ends a stream. Its reader takes the reason; a kept stream is dropped.
    pub(super) fn end(&mut self, slot: u32, why: StreamEnd) {
        if self.at(slot).is_kept() {
            return self.remove(slot);
        }
        self.unindex(slot);
        let stream = self.at(slot);
        stream.end(why);
        self.empty(slot);
        self.ring(slot);
    }

    /// Drops a stream.
    pub(super) fn remove(&mut self, slot: u32) {
        let stream = self.at(slot);
        let (is_kept, caller) = (stream.is_kept(), stream.caller);
        let is_over = matches!(stream.phase, Phase::Ended(_));
        if !is_over {
            self.unindex(slot);
        }
        let stream = self.at(slot);
        stream.end(StreamEnd::TakenOver);
        stream.reader = Reader::Nobody;
        self.empty(slot);
        if is_kept {
            self.kept.remove(caller);
        }
        let of_slot = &mut self.slots[slot as usize];
        of_slot.connection = of_slot.connection.wrapping_add(1);
        if self.at(slot).void.is_some() {
            self.dropping += 1;
        } else {
            self.vacate(slot);
        }
    }

    /// Drops a kept stream: the one that has been kept longest of the callers that have the most kept ones. So one
    /// caller cannot push out those of all others.
    pub(super) fn drop_one_of_most(&mut self) {
        let (slots, kept, most) = (&self.slots, &self.kept, self.kept.most());
        let is_of_most = |key: &StreamKey| {
            let stream = slots[key.slot as usize].stream.as_ref();
            is_kept(slots, *key) && stream.is_some_and(|stream| kept.len_of(stream.caller) == most)
        };
        if let Some(key) = kept.find(is_of_most) {
            self.remove(key.slot);
        }
    }

    pub(super) fn first_kept(&mut self) -> Option<StreamKey> {
        let slots = &self.slots;
        self.kept.first(|key| is_kept(slots, *key))
    }

    /// Drops the stream that has been kept longest. False: no stream is kept.
    pub(super) fn drop_oldest(&mut self) -> bool {
        let oldest = self.first_kept();
        if let Some(key) = oldest {
            self.remove(key.slot);
        }
        oldest.is_some()
    }

    /// Rings the bell of a stream whose reader waits, if there is something to take.
    pub(super) fn ring(&mut self, slot: u32) {
        let stream = self.slots[slot as usize].stream.as_mut();
        let Some(stream) = stream.filter(|stream| stream.has_something()) else { return };
        if let Reader::Open { bell, waits } = &mut stream.reader
            && std::mem::take(waits)
        {
            self.rings.push(bell.clone());
        }
    }
}

/// Whether a stream is kept since this connection of it has ended.
pub(super) fn is_kept<B>(slots: &[Slot<B>], key: StreamKey) -> bool {
    let slot = slots.get(key.slot as usize).filter(|slot| slot.connection == key.connection);
    slot.and_then(|slot| slot.stream.as_ref()).is_some_and(|stream| stream.is_kept())
}
