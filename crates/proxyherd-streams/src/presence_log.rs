//! The presence events of one stream: those that wait for the reader, and the last ones that it was told, for a reader
//! that resumes.
//!
//! Presence events are not conflated: each is told. If too many wait, the oldest is dropped.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    limits::{PRESENCE_KEPT_MAX, PRESENCE_WAITING_MAX},
    presence::PresenceEvent,
};

/// An event, which all streams share.
#[derive(Debug)]
pub(super) struct SharedEvent {
    event: PresenceEvent<'static>,
    client: Box<[u8]>,
}

impl SharedEvent {
    pub(super) fn new(event: &PresenceEvent<'_>) -> Arc<SharedEvent> {
        Arc::new(SharedEvent { event: PresenceEvent { client: &[], ..*event }, client: event.client.into() })
    }

    pub(super) fn event(&self) -> PresenceEvent<'_> {
        PresenceEvent { client: &self.client, ..self.event }
    }
}

/// The presence events of a stream.
#[derive(Debug, Default)]
pub(super) struct PresenceLog {
    /// Events, the oldest first, each with the sequence under which it was told.
    events: VecDeque<(u64, Arc<SharedEvent>)>,
    /// The number of events at the front that were told.
    told: usize,
    /// The sequence of the last event that is no longer remembered.
    forgotten: u64,
}

impl PresenceLog {
    pub(super) fn waits(&self) -> bool {
        self.told < self.events.len()
    }

    /// Adds an event. Returns whether an older event was dropped, because too many wait. After a resume a few more
    /// can wait, those that are told again ([`PRESENCE_KEPT_MAX`]), until they are told. Their number does not grow.
    pub(super) fn push(&mut self, event: &Arc<SharedEvent>) -> bool {
        let is_full = self.events.len() - self.told >= PRESENCE_WAITING_MAX;
        if is_full {
            self.events.remove(self.told);
        }
        self.events.push_back((0, Arc::clone(event)));
        is_full
    }

    /// The next event, which is told under this sequence.
    pub(super) fn next(&mut self, sequence: u64) -> Option<Arc<SharedEvent>> {
        let (told_under, event) = self.events.get_mut(self.told)?;
        *told_under = sequence;
        let event = Arc::clone(event);
        self.told += 1;
        if self.told > PRESENCE_KEPT_MAX {
            self.told -= 1;
            self.forgotten = self.events.pop_front().map_or(self.forgotten, |(sequence, _)| sequence);
        }
        Some(event)
    }

    /// The least sequence from which a reader can resume.
    pub(super) fn reach(&self) -> u64 {
        self.forgotten
    }

    /// Tells again what was told after this sequence.
    pub(super) fn resume(&mut self, sequence: u64) {
        self.told = self.events.iter().take(self.told).filter(|(told, _)| *told <= sequence).count();
    }

    pub(super) fn bytes(&self) -> usize {
        self.events.capacity() * size_of::<(u64, Arc<SharedEvent>)>()
    }
}
