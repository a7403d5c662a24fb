//! One link's outbox for one shard: the slots that the neighbor still has to be sent, in their order, and the markers
//! between them. The outbox holds slot numbers, not messages.

use std::collections::{BTreeMap, VecDeque};

use super::{gap::Gap, indices::Indices, rules::Copies};
use crate::{
    codec::link::{GraftMode, check::Level},
    store::SlotId,
    types::Origin,
};

/// The FIFO entry that stands for the marker.
const MARKER: u32 = u32::MAX;

/// One link's outbox for one shard. The outbox exists while the link is up.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    fifo: VecDeque<u32>,
    /// The content of the marker in the FIFO: up to which sequence each origin (by place) was covered when the marker
    /// was queued. The FIFO has at most one marker.
    marker: Option<Vec<(u16, u64)>>,
    /// An empty marker whose memory is used again, because markers are frequent.
    spare: Vec<(u16, u64)>,
    /// Up to which sequence the neighbor knows each origin (by place) to be covered, because either end has sent that.
    told: Vec<u64>,
    /// The index that the link uses for each origin (by place).
    pub(super) indices: Indices,
    /// Whether the queue answers a GRAFT that asked for one answer, on a lazy link.
    pub(super) is_once: bool,
    /// Whether the neighbor sends its changes on this link. Such a neighbor has nothing to promise.
    pub(super) is_fed: bool,
    /// Promises of a neighbor that does not send its changes here: up to which sequence the neighbor covers each
    /// origin. The second map holds what the neighbor promised after the first promise was made.
    pub(super) promised: BTreeMap<Origin, u64>,
    pub(super) promised_next: BTreeMap<Origin, u64>,
    /// The first is the number of heartbeats during which the promise has not been met. The second is the number of
    /// heartbeats after which this server asks; 0 stands for [`PATIENCE_MIN`](crate::limits::PATIENCE_MIN).
    pub(super) promised_age: u8,
    pub(super) patience: u8,
    /// The number of scans of the shard that the neighbor has caused since the last heartbeat, and the neighbor's GRAFT
    /// that has to wait for the next heartbeat.
    pub(super) looks: u8,
    pub(super) grafted: Option<Grafted>,
    /// The first is the number of the neighbor's next GRAFT, if the neighbor sent a fence. The second is the number of
    /// the GRAFT whose answer has not been announced by PASSED yet.
    pub(super) fence: Option<u64>,
    pub(super) passes: Option<u64>,
    /// The outbox has something to flush, and the task that flushes it has been woken.
    pub(super) is_ready: bool,
    /// Records sent and received since the link came up.
    pub(super) sent: u64,
    pub(super) received: u64,
    /// What is missing here of the records that the neighbor sent.
    pub(super) gap: Gap,
    /// The first: branches whose children's sums the neighbor is to be sent. The second: branches whose records are
    /// queued.
    pub(super) branches: Option<(Level, Vec<u64>)>,
    pub(super) leaves: Option<(Level, Vec<u64>)>,
    /// How many more of the neighbor's checks are ignored.
    pub(super) check_pause: u8,
    pub(super) copies: Copies,
}

/// A GRAFT that waits to be answered.
#[derive(Debug)]
pub(super) struct Grafted {
    pub(super) vector: Vec<(Origin, u64)>,
    pub(super) mode: GraftMode,
    /// The number of the GRAFT's fence, if it had one.
    pub(super) fence: Option<u64>,
}

/// The next entry of an outbox.
pub(super) enum Item {
    Slot(SlotId),
    Marker(Vec<(u16, u64)>),
}

impl Outbox {
    /// An empty outbox for the same connection. Counters and promises are kept.
    pub(super) fn renewed(self) -> Outbox {
        Outbox {
            sent: self.sent,
            received: self.received,
            gap: self.gap,
            fence: self.fence,
            check_pause: self.check_pause,
            looks: self.looks,
            is_fed: self.is_fed,
            promised: self.promised,
            promised_next: self.promised_next,
            promised_age: self.promised_age,
            patience: self.patience,
            ..Outbox::default()
        }
    }

    pub(super) fn push(&mut self, slot: SlotId) {
        debug_assert_ne!(
            slot.0, MARKER,
            "a shard holds fewer records than the number that stands for the marker"
        );
        self.fifo.push_back(slot.0);
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        match self.fifo.pop_front()? {
            MARKER => Some(Item::Marker(self.marker.take().expect("a queued marker has its snapshot"))),
            slot => Some(Item::Slot(SlotId(slot))),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fifo.is_empty()
    }

    pub(super) fn has_marker(&self) -> bool {
        self.marker.is_some()
    }

    /// Puts a marker behind everything that is queued.
    pub(super) fn push_marker(&mut self, covered: Vec<(u16, u64)>) {
        debug_assert!(!self.has_marker(), "markers are queued one at a time");
        if !covered.is_empty() {
            self.marker = Some(covered);
            self.fifo.push_back(MARKER);
        }
    }

    /// The queue in order; `None` is the marker.
    pub(super) fn queued(&self) -> impl ExactSizeIterator<Item = Option<SlotId>> {
        self.fifo.iter().map(|&slot| (slot != MARKER).then_some(SlotId(slot)))
    }

    /// An empty marker to fill.
    pub(super) fn spare_marker(&mut self) -> Vec<(u16, u64)> {
        std::mem::take(&mut self.spare)
    }

    /// Keeps the memory of a marker that has been sent, for the next one.
    pub(super) fn keep_spare(&mut self, mut marker: Vec<(u16, u64)>) {
        marker.clear();
        self.spare = marker;
    }

    /// All slots that are queued; empties the outbox.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = SlotId> {
        self.marker = None;
        self.fifo.drain(..).filter(|&slot| slot != MARKER).map(SlotId)
    }

    /// Up to which sequence the neighbor knows each origin (by place) to be covered.
    #[cfg(any(test, feature = "broken-rules"))]
    pub(super) fn told(&self) -> impl Iterator<Item = (u16, u64)> {
        (0..).zip(&self.told).filter(|(_, told)| **told > 0).map(|(place, told)| (place, *told))
    }

    /// Notes that the neighbor knows the origin at `place` to be covered up to `seq`. Returns whether the neighbor knew
    /// less before.
    pub(super) fn tell(&mut self, place: u16, seq: u64) -> bool {
        let told = entry(&mut self.told, place, 0);
        let is_news = seq > *told;
        *told = seq.max(*told);
        is_news
    }

    /// This server gives up a record that it held. So a queued marker may cover too much, and records that the
    /// neighbor's markers have covered may be missing here. The neighbor is asked for them with the next heartbeat, or
    /// later.
    pub(super) fn give_up(&mut self, asks_now: bool) {
        self.gap.give_up(asks_now);
        if let Some(marker) = &mut self.marker {
            marker.clear();
        }
        self.untell();
    }

    /// Forgets what the neighbor knows to be covered, so that the whole vector is sent again.
    pub(super) fn untell(&mut self) {
        self.told.fill(0);
    }

    /// The origin at `place` has left. Everything noted about that origin must not apply to the next origin at that
    /// place.
    pub(super) fn forget(&mut self, place: u16) {
        *entry(&mut self.told, place, 0) = 0;
        self.indices.forget(place);
        if let Some(marker) = &mut self.marker {
            marker.retain(|(at, _)| *at != place);
        }
    }
}

fn entry<T: Clone>(entries: &mut Vec<T>, place: u16, empty: T) -> &mut T {
    let place = usize::from(place);
    if entries.len() <= place {
        entries.resize(place + 1, empty);
    }
    &mut entries[place]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ServerName;

    #[test]
    fn what_is_renewed_is_empty_and_goes_on_counting() {
        let origin = Origin { server: ServerName::new("Riley").unwrap(), incarnation: 1 };
        let mut gap = Gap::default();
        gap.give_up(true);
        let mut outbox = Outbox {
            is_fed: true,
            promised: BTreeMap::from([(origin.clone(), 1)]),
            promised_next: BTreeMap::from([(origin, 2)]),
            promised_age: 3,
            patience: 4,
            sent: 5,
            received: 6,
            gap: gap.clone(),
            fence: Some(8),
            passes: Some(9),
            check_pause: 7,
            is_once: true,
            is_ready: true,
            ..Outbox::default()
        };
        outbox.push(SlotId(1));
        outbox.tell(0, 1);
        let renewed = outbox.renewed();
        assert!(
            renewed.is_empty() && !renewed.is_once && !renewed.is_ready && renewed.told().next().is_none()
        );
        assert!(renewed.is_fed);
        assert_eq!((renewed.promised.len(), renewed.promised_next.len()), (1, 1));
        assert_eq!((renewed.promised_age, renewed.patience), (3, 4));
        assert_eq!((renewed.sent, renewed.received, renewed.check_pause), (5, 6, 7));
        assert_eq!((renewed.gap, renewed.fence, renewed.passes), (gap, Some(8), None));
    }
}
