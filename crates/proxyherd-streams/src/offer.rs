//! Offering changes and presence events to the streams that want them.

use std::ops::ControlFlow;

use super::{
    StreamKind, Streams,
    batch::{ChangeBatch, Present},
    entries::Flag,
    presence_log::SharedEvent,
    stream::Phase,
};
use crate::presence::{PresenceEvent, PresenceKind};
use proxyherd_core::{
    command::Whereabouts,
    flood::FollowerEvent,
    replica::Replica,
    types::{Attributes, Body, Coordinates, Kind},
};

impl<B: Clone> Streams<B> {
    /// Whether any stream, open or kept, wants this change. A follower calls this under the shard's lock, and copies
    /// the change only if it is wanted; see [`ChangeBatch::take`].
    #[inline]
    pub fn wants(&self, told: &FollowerEvent<'_>) -> bool {
        match told {
            FollowerEvent::Anew { .. } => !self.is_empty(),
            FollowerEvent::Covered { .. } => false,
            FollowerEvent::Record(held) if held.record.kind == Kind::CLIENT => {
                let key = held.record.key;
                self.clients.find(key).is_some()
                    || match held.record.body {
                        Body::Location { coordinates, attributes } => {
                            self.matches_any(key, coordinates, attributes)
                        }
                        Body::Gone | Body::Data { .. } => false,
                    }
            }
            FollowerEvent::Removed { kind, key } => *kind == Kind::CLIENT && self.clients.find(key).is_some(),
            FollowerEvent::Hidden(held) => {
                held.record.kind == Kind::CLIENT && self.clients.find(held.record.key).is_some()
            }
            FollowerEvent::Record(_) => false,
        }
    }

    fn matches_any(&self, client: &[u8], at: Coordinates, attributes: Attributes<'_>) -> bool {
        let found = self.changes.visit(client, Some(at), |slot| {
            let stream = self.slots[slot as usize].stream.as_ref();
            if stream.is_some_and(|stream| stream.matcher.matches(client, at, attributes)) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        found.is_break()
    }

    /// Queues the changes of a batch for the streams that want them, and empties the batch.
    pub fn offer(&mut self, batch: &mut ChangeBatch) {
        if batch.begins_anew() {
            self.begin_anew();
        }
        batch.for_each(|client, present| self.change(client, present));
        batch.clear();
    }

    /// Queues a changed client for the streams that want it.
    fn change(&mut self, id: &[u8], present: Present<'_>) {
        let mut client = self.clients.find(id);
        let mut slots = std::mem::take(&mut self.scratch);
        if let Some(client) = client {
            self.clients.add_streams(client, &mut slots);
            slots.drain(..).for_each(|slot| self.change_known(slot, client, id, present));
        }
        if let Some((at, attributes)) = present {
            let _ = self.changes.visit(id, Some(at), |slot| {
                slots.push(slot);
                ControlFlow::Continue(())
            });
            for slot in slots.drain(..) {
                // An earlier stream may have needed so much room that this one has ended.
                let stream = self.slots[slot as usize].stream.as_ref();
                let stream =
                    stream.filter(|stream| !matches!(stream.phase, Phase::Ended(_) | Phase::Emptying));
                if stream.is_some_and(|stream| stream.matcher.matches(id, at, attributes)) {
                    client = self.put(slot, client, id);
                }
            }
        }
        self.scratch = slots;
    }

    /// A client of which the stream has an entry has changed.
    fn change_known(&mut self, slot: u32, client: u32, id: &[u8], present: Present<'_>) {
        let stream = self.at(slot);
        let Some(entry) = stream.entries.find(client) else { return };
        let is_match = || present.is_some_and(|(at, attributes)| stream.matcher.matches(id, at, attributes));
        let is_wanted = stream.tracks()
            && stream.phase != Phase::Emptying
            && (entry.has(Flag::Queued) || entry.has(Flag::Held) || entry.has(Flag::Named) && is_match());
        if is_wanted {
            let was_queued = stream.queue(client);
            self.counts.conflated += u64::from(was_queued);
            self.ring(slot);
        }
    }

    /// Queues a client that matches, if the stream does not hold it yet. Returns the client's number.
    pub(super) fn put(&mut self, slot: u32, client: Option<u32>, id: &[u8]) -> Option<u32> {
        let client = client.filter(|client| *self.clients.id(*client) == *id);
        let entry = client.and_then(|client| self.at(slot).entries.find(client));
        let is_known = entry.is_some();
        if entry.is_some_and(|entry| entry.has(Flag::Queued) || entry.has(Flag::Held)) {
            return client;
        }
        let client = match client.filter(|_| is_known) {
            Some(client) => client,
            None => {
                let Some(client) = self.add_entry(slot, client, id, Flag::Queued) else {
                    return self.clients.find(id);
                };
                let entry = self.at(slot).entries.find_mut(client).expect("it was just added");
                entry.clear(Flag::Queued);
                client
            }
        };
        self.at(slot).queue(client);
        self.ring(slot);
        Some(client)
    }

    /// Queues a presence event for the streams that want it: those whose filters match the client's ID and, if a filter
    /// depends on records, that hold the client or match it now. A stream in whose queue the client waits also wants
    /// the event that the client is gone.
    pub fn offer_presence(&mut self, replica: &Replica, now_ns: u64, event: &PresenceEvent<'_>) {
        if !self.wants_presence() {
            return;
        }
        let record = replica.find(now_ns, Kind::CLIENT, event.client, |held| {
            let found = Whereabouts::of(&held.record, &held.origin.server)?;
            Some((found.coordinates, found.attributes.as_bytes().to_vec()))
        });
        let record = record.flatten();
        let present = record.as_ref().map(|(at, attributes)| (*at, Attributes::trusted(attributes)));
        let client = self.clients.find(event.client);
        let mut slots = std::mem::take(&mut self.scratch);
        if let Some(client) = client {
            self.clients.add_streams(client, &mut slots);
        }
        let _ = self.presence.visit(event.client, present.map(|(at, _)| at), |slot| {
            slots.push(slot);
            ControlFlow::Continue(())
        });
        slots.sort_unstable();
        slots.dedup();
        let mut shared = None;
        for slot in slots.drain(..) {
            if self.wants_event(slot, client, present, event) {
                let shared = shared.get_or_insert_with(|| SharedEvent::new(event));
                let was_full = self.at(slot).presence.push(shared);
                self.counts.presence_dropped += u64::from(was_full);
                self.ring(slot);
            }
        }
        self.scratch = slots;
    }

    fn wants_event(
        &self,
        slot: u32,
        client: Option<u32>,
        present: Present<'_>,
        event: &PresenceEvent<'_>,
    ) -> bool {
        let Some(stream) = &self.slots[slot as usize].stream else { return false };
        if matches!(stream.phase, Phase::Ended(_)) || !stream.kinds.contains(StreamKind::Presence) {
            return false;
        }
        if !stream.matcher.filter().depends_on_records() {
            return stream.matcher.matches_id(event.client);
        }
        let entry = client.and_then(|client| stream.entries.find(client));
        // A reader that was told that the client came is also told that the client is gone: if it has been told `gone`
        // before presence has found out, and if it is so slow that it has not taken the client since it came.
        let is_gone = event.kind == PresenceKind::Gone;
        let is_member = entry.is_some_and(|entry| {
            entry.has(Flag::Held) || is_gone && (entry.has(Flag::Gone) || entry.has(Flag::Queued))
        });
        is_member
            || present.is_some_and(|(at, attributes)| stream.matcher.matches(event.client, at, attributes))
    }
}
