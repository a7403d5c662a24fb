//! The bookkeeping of all streams: their places, their entries in the lists of clients, the indices, and what is dropped
//! when something is full.
//!
//! Invariant: a stream is in the indices as long as it has not ended. The number of entries of all streams is that of the
//! lists of clients ([`Streams::contradiction`]).

use super::{
    ResetReason, Slot, StreamEnd, StreamKey, StreamKind, StreamKinds, Streams, StreamsFull,
    entries::{Entries, Entry, Flag},
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
        if self.slots.len() - self.free.len() == self.limits.streams && !self.drop_oldest() {
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
            Reader::Kept { .. } => self.kept.remove(),
        }
        if self.at(slot).resume(id.sequence) {
            self.counts.resumed += 1;
        } else {
            self.begin_anew_at(slot, ResetReason::TooOld);
        }
        self.key(slot)
    }

    pub(super) fn begin_anew_at(&mut self, slot: u32, reason: ResetReason) {
        let stream = self.at(slot);
        stream.begin_anew(reason);
        let entries = stream.take_entries();
        self.release_all(slot, &entries, |entry| !entry.has(Flag::Named));
        let stream = self.at(slot);
        let named = entries.iter().filter(|entry| entry.has(Flag::Named));
        named.for_each(|entry| stream.entries.add(Entry::new(entry.client, Flag::Named)));
        self.ring(slot);
    }

    /// Adds an entry of a client that has none in this stream. `None`: there was no room, so the stream has ended.
    pub(super) fn add_entry(&mut self, slot: u32, client: Option<u32>, id: &[u8], flag: Flag) -> Option<u32> {
        let mut is_full = self.at(slot).entries.len() >= self.limits.entries;
        while !is_full && self.entries >= self.limits.all_entries {
            is_full = !self.drop_oldest();
            self.slots[slot as usize].stream.as_ref()?;
        }
        if is_full {
            self.counts.too_large += 1;
            self.end(slot, StreamEnd::TooLarge);
            return None;
        }
        // The client may have been forgotten together with a dropped stream.
        let client = client.filter(|client| *self.clients.id(*client) == *id);
        let client = self.clients.hold(client, id, slot);
        self.at(slot).entries.add(Entry::new(client, flag));
        self.entries += 1;
        Some(client)
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

    pub(super) fn release_all(
        &mut self,
        slot: u32,
        entries: &Entries,
        mut is_released: impl FnMut(&Entry) -> bool,
    ) {
        for entry in entries.iter().filter(|entry| is_released(entry)) {
            self.clients.release(entry.client, slot);
            self.entries -= 1;
        }
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
        let entries = stream.take_entries();
        self.release_all(slot, &entries, |_| true);
        self.ring(slot);
    }

    /// Drops a stream.
    pub(super) fn remove(&mut self, slot: u32) {
        let stream = self.at(slot);
        let (is_kept, is_over) = (stream.is_kept(), matches!(stream.phase, Phase::Ended(_)));
        if !is_over {
            self.unindex(slot);
        }
        let entries = std::mem::take(&mut self.at(slot).entries);
        self.release_all(slot, &entries, |_| true);
        if is_kept {
            self.kept.remove();
        }
        let of_slot = &mut self.slots[slot as usize];
        (of_slot.stream, of_slot.connection) = (None, of_slot.connection.wrapping_add(1));
        self.free.push(slot);
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
