//! Taking events out of a stream.

use super::{
    StreamEvent, StreamKey, StreamKind, Streams, Taken,
    event::EventId,
    stream::{Found, News, Next, Phase, Reader},
};
use proxyherd_core::{command::Whereabouts, replica::Replica, types::Kind};

/// The number of clients that one call may look at without telling anything. After that the bell rings again, so that
/// others get the lock.
const SILENT_MAX: usize = 64;

impl<B: Clone> Streams<B> {
    /// Takes the next event, with the client's record as it is at `now_ns`. `tell` may be called under a shard's lock,
    /// so it must be quick.
    pub fn take<T>(
        &mut self,
        key: StreamKey,
        replica: &Replica,
        now_ns: u64,
        tell: impl FnOnce(&StreamEvent<'_>, EventId) -> T,
    ) -> Taken<T> {
        let incarnation = self.incarnation;
        let Some(stream) = self.stream_mut(key) else { return Taken::Ended(super::StreamEnd::TakenOver) };
        match stream.phase {
            Phase::Ended(why) => return Taken::Ended(why),
            Phase::Gathering => return Taken::Gather,
            Phase::Emptying => {
                if let Reader::Open { waits, .. } = &mut stream.reader {
                    *waits = true;
                }
                return Taken::Empty;
            }
            Phase::Telling => {}
        }
        let id = EventId { incarnation, stream: stream.number, sequence: stream.next_sequence() };
        if let Some(reason) = stream.reset {
            stream.told_reset();
            self.counts.resets[reason as usize] += 1;
            return Taken::Event(tell(&StreamEvent::Reset, id));
        }
        let mut tell = Some(tell);
        // Presence events and changes take turns, so that neither waits for long. Presence is no part of the state.
        if !stream.is_syncing
            && stream.sequence.is_multiple_of(2)
            && let Some(told) = self.take_presence(key.slot, id, &mut tell)
        {
            return Taken::Event(told);
        }
        for _ in 0..SILENT_MAX {
            match self.at(key.slot).next() {
                Next::Nothing => {
                    let told = self.take_presence(key.slot, id, &mut tell);
                    if told.is_none()
                        && let Reader::Open { waits, .. } = &mut self.at(key.slot).reader
                    {
                        *waits = true;
                    }
                    return told.map_or(Taken::Empty, Taken::Event);
                }
                Next::Synced => {
                    self.at(key.slot).sequence += 1;
                    let told = tell.take().map(|tell| tell(&StreamEvent::Synced, id));
                    return told.map_or(Taken::Empty, Taken::Event);
                }
                Next::Client(client) => {
                    if let Some(told) = self.take_client(key.slot, client, replica, now_ns, id, &mut tell) {
                        return Taken::Event(told);
                    }
                }
            }
        }
        if let Reader::Open { bell, .. } = &self.at(key.slot).reader {
            let bell = bell.clone();
            self.rings.push(bell);
        }
        Taken::Empty
    }

    fn take_presence<T, F: FnOnce(&StreamEvent<'_>, EventId) -> T>(
        &mut self,
        slot: u32,
        id: EventId,
        tell: &mut Option<F>,
    ) -> Option<T> {
        let stream = self.at(slot);
        let event = stream.presence.next(id.sequence)?;
        stream.sequence += 1;
        self.count(StreamKind::Presence);
        tell.take().map(|tell| tell(&StreamEvent::Presence(event.event()), id))
    }

    /// Reads the record of a client that was in the queue, and tells what the reader does not know yet.
    fn take_client<T, F: FnOnce(&StreamEvent<'_>, EventId) -> T>(
        &mut self,
        slot: u32,
        client: u32,
        replica: &Replica,
        now_ns: u64,
        event_id: EventId,
        tell: &mut Option<F>,
    ) -> Option<T> {
        let stream = self.slots[slot as usize].stream.as_ref().expect("the caller takes from this stream");
        let id = self.clients.id(client);
        let mut told = None;
        let mut tell = |event: &StreamEvent<'_>| told = tell.take().map(|tell| tell(event, event_id));
        let found = replica.find(now_ns, Kind::CLIENT, id, |held| {
            let found = Whereabouts::of(&held.record, &held.origin.server)?;
            if !stream.matcher.matches(id, found.coordinates, found.attributes) {
                return Some(Found::NoMatch);
            }
            if stream.kinds.contains(StreamKind::Location) {
                tell(&StreamEvent::Location(&found));
            }
            Some(Found::Match)
        });
        let news = stream.news(client, found.flatten().unwrap_or(Found::NoRecord));
        let kind = match news {
            News::Present => Some(StreamKind::Location),
            News::Left => Some(StreamKind::Left),
            News::Gone => Some(StreamKind::Gone),
            News::None => None,
        };
        let kind = kind.filter(|kind| stream.kinds.contains(*kind));
        match (news, kind) {
            (News::Left, Some(_)) => tell(&StreamEvent::Left(id)),
            (News::Gone, Some(_)) => tell(&StreamEvent::Gone(id)),
            _ => {}
        }
        self.at(slot).settle(client, news, kind.is_some());
        if let Some(kind) = kind {
            self.count(kind);
        }
        self.remove_if_void(slot, client);
        while let Some(forgotten) = self.at(slot).forget_removal() {
            self.remove_if_void(slot, forgotten);
        }
        told
    }

    fn count(&mut self, kind: StreamKind) {
        self.counts.told[(kind as u8).trailing_zeros() as usize] += 1;
    }
}
