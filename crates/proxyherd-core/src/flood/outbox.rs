//! What one neighbor still has to be told of one shard: not messages, but which slots, in which order, and
//! the markers between them.

use std::collections::{BTreeMap, VecDeque};

use super::{gap::Gap, indices::Indices, rules::Copies};
use crate::{codec::link::check::Level, store::SlotId, types::Origin};

/// In the FIFO: the marker stands here.
const MARKER: u32 = u32::MAX;

/// One link's side of one shard. It exists while the link is up.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    fifo: VecDeque<u32>,
    /// The marker in the FIFO: how far each origin (by place) was covered when it was queued. One at a time.
    marker: Option<Vec<(u16, u64)>>,
    /// An empty marker, for its memory: markers are frequent.
    spare: Vec<(u16, u64)>,
    /// How far the neighbor has been told, or has told us, that each origin (by place) is covered.
    told: Vec<u64>,
    /// By which index the link knows each origin (by place).
    pub(super) indices: Indices,
    /// Whether what is queued was asked for once, by a neighbor that is told nothing of changes.
    pub(super) is_once: bool,
    /// Whether the neighbor tells of changes here, and so has nothing to promise.
    pub(super) is_fed: bool,
    /// What the neighbor has and does not tell by itself: up to where origins are covered there; and what it said
    /// after that.
    pub(super) promised: BTreeMap<Origin, u64>,
    pub(super) promised_next: BTreeMap<Origin, u64>,
    /// For how many heartbeats it has been lacking, and how many that may be; 0: as few as may be.
    pub(super) promised_age: u8,
    pub(super) patience: u8,
    /// How often the neighbor has had the shard looked through since the last heartbeat, and what it has asked for since
    /// then in vain: what is above its vector, once or from then on.
    pub(super) looks: u8,
    pub(super) grafted: Option<Grafted>,
    /// The number of the neighbor's next GRAFT, if it has one; and of the one that is being answered, until that is said.
    pub(super) fence: Option<u64>,
    pub(super) passes: Option<u64>,
    /// There is something to flush, and whoever flushes has been told.
    pub(super) is_ready: bool,
    /// Records sent and received since the link came up.
    pub(super) sent: u64,
    pub(super) received: u64,
    /// What is missing of what the neighbor told.
    pub(super) gap: Gap,
    /// Branches of which the neighbor is to be told the children's sums, and those whose records are queued.
    pub(super) branches: Option<(Level, Vec<u64>)>,
    pub(super) leaves: Option<(Level, Vec<u64>)>,
    /// So many of the neighbor's next checks are not looked at.
    pub(super) check_pause: u8,
    pub(super) copies: Copies,
}

/// A GRAFT that waits.
#[derive(Debug)]
pub(super) struct Grafted {
    pub(super) vector: Vec<(Origin, u64)>,
    pub(super) is_once: bool,
    /// Its number, if it has one.
    pub(super) fence: Option<u64>,
}

/// What comes next in an outbox.
pub(super) enum Item {
    Slot(SlotId),
    Marker(Vec<(u16, u64)>),
}

impl Outbox {
    /// An empty one for the same connection, on which what was counted and promised goes on.
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
        debug_assert_ne!(slot.0, MARKER, "a shard holds fewer records than that");
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

    /// Puts a marker behind everything queued.
    pub(super) fn push_marker(&mut self, covered: Vec<(u16, u64)>) {
        debug_assert!(!self.has_marker(), "markers are queued one at a time");
        if !covered.is_empty() {
            self.marker = Some(covered);
            self.fifo.push_back(MARKER);
        }
    }

    /// What is queued, in order; `None` is the marker.
    pub(super) fn queued(&self) -> impl ExactSizeIterator<Item = Option<SlotId>> {
        self.fifo.iter().map(|&slot| (slot != MARKER).then_some(SlotId(slot)))
    }

    /// An empty marker to fill.
    pub(super) fn spare_marker(&mut self) -> Vec<(u16, u64)> {
        std::mem::take(&mut self.spare)
    }

    /// Keeps the memory of a marker that has been sent.
    pub(super) fn keep_spare(&mut self, mut marker: Vec<(u16, u64)>) {
        marker.clear();
        self.spare = marker;
    }

    /// All slots that are queued; empties the outbox.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = SlotId> {
        self.marker = None;
        self.fifo.drain(..).filter(|&slot| slot != MARKER).map(SlotId)
    }

    /// How far the neighbor has been told that each origin (by place) is covered.
    #[cfg(any(test, feature = "broken-rules"))]
    pub(super) fn told(&self) -> impl Iterator<Item = (u16, u64)> {
        (0..).zip(&self.told).filter(|(_, told)| **told > 0).map(|(place, told)| (place, *told))
    }

    /// Notes that the neighbor knows the origin at `place` to be covered up to `seq`; says whether it was less.
    pub(super) fn tell(&mut self, place: u16, seq: u64) -> bool {
        let told = entry(&mut self.told, place, 0);
        let is_news = seq > *told;
        *told = seq.max(*told);
        is_news
    }

    /// This server gives up something that it holds: a marker that is queued may cover it, and what the neighbor's markers
    /// have covered may be missing. It is asked for with the next heartbeat, or later.
    pub(super) fn give_up(&mut self, asks_now: bool) {
        self.gap.give_up(asks_now);
        if let Some(marker) = &mut self.marker {
            marker.clear();
        }
        self.untell();
    }

    /// Whatever the neighbor was told to be covered is to be told again.
    pub(super) fn untell(&mut self) {
        self.told.fill(0);
    }

    /// The origin at `place` has left: what was noted of it must not be taken for its successor's.
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
