//! Which of this server's own updates its neighbors hold copies of.
//!
//! A server that acknowledges reports only when enough neighbors cover them calls [`Replica::want_acks`] once, with the
//! number of neighbors. From then on the neighbors acknowledge this server's updates, and [`Replica::copies`] has, for
//! each shard, the own position that this number of neighbors covers. A position can go back: a neighbor whose link is
//! down does not count, because it may have died.
//!
//! This module does not know what waits for the copies.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
};

use super::Replica;
use crate::{
    codec::link::Ack,
    command::{Position, Positions},
    flood::{LinkId, Shard, Wake},
    limits::SHARDS,
};

/// The coverage of this server's updates by its neighbors.
#[derive(Default)]
pub(super) struct Copies {
    wanted: OnceLock<WantedCopies>,
    /// For each shard, the own position that enough neighbors cover.
    covered: [AtomicU64; SHARDS],
    has_advanced: AtomicBool,
}

struct WantedCopies {
    /// The number of neighbors.
    count: usize,
    /// Called when the position of some shard has advanced.
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copies").field("covered", &self.covered).finish_non_exhaustive()
    }
}

impl Replica {
    /// From now on, neighbors are asked to acknowledge this server's updates, and [`Replica::copies`] returns what at
    /// least `count` neighbors cover. `wake` is called when that has advanced, on the thread that has received the
    /// news, while no shard is locked. Only the first call counts. `count` is at least 1.
    pub fn want_acks(&self, count: usize, wake: impl Fn() + Send + Sync + 'static) -> Wake {
        let wanted = WantedCopies { count: count.max(1), wake: Arc::new(wake) };
        if self.copies.wanted.set(wanted).is_err() {
            return Wake::default();
        }
        let ask = |(index, counted): (usize, &parking_lot::Mutex<super::Counted>)| {
            let wake = counted.lock().shard.want_acks();
            self.ready(index, wake)
        };
        self.shards.iter().enumerate().map(ask).fold(Wake::default(), Wake::and)
    }

    /// For each shard, the own position that enough neighbors cover, as [`Replica::want_acks`] was told. Nothing before
    /// that call.
    pub fn copies(&self) -> Positions {
        let mut copies = Positions::default();
        for (shard, covered) in self.copies.covered.iter().enumerate() {
            copies.note_own(Position { shard, seq: covered.load(SeqCst) });
        }
        copies
    }

    /// The own position up to which the neighbor at `link` covers this server's updates of a shard. 0 while the link is
    /// down.
    pub fn covered_by(&self, link: LinkId, shard: usize) -> u64 {
        self.shards[shard].lock().shard.covered_by(link)
    }

    /// Handles ACKS_WANTED of one shard from the neighbor at `link`.
    pub(crate) fn hear_acks_wanted(&self, link: LinkId, shard: usize, incarnation: u64) -> Wake {
        let wake = self.shards[shard].lock().shard.hear_acks_wanted(link, incarnation);
        self.ready(shard, wake)
    }

    /// Handles ACK of one shard from the neighbor at `link`.
    pub(crate) fn hear_ack(&self, link: LinkId, shard: usize, ack: &Ack) {
        let mut counted = self.shards[shard].lock();
        counted.shard.hear_ack(link, ack.incarnation, ack.seq);
        self.note_nonsense(link, counted.shard.take_found());
        self.note_copies(shard, &mut counted.shard);
    }

    /// Notes what neighbors cover after a visit of a shard. The caller still holds the shard's lock, so that an older
    /// value never replaces a newer one.
    pub(super) fn note_copies(&self, index: usize, shard: &mut Shard) {
        if !shard.take_copies_changed() {
            return;
        }
        let Some(wanted) = self.copies.wanted.get() else { return };
        let covered = shard.covered_by_best(wanted.count);
        if self.copies.covered[index].swap(covered, SeqCst) < covered {
            self.copies.has_advanced.store(true, SeqCst);
        }
    }

    /// Wakes whoever waits for copies, if more updates have enough of them since the last call.
    pub(crate) fn tell_copies(&self) {
        if self.copies.has_advanced.load(Relaxed)
            && self.copies.has_advanced.swap(false, SeqCst)
            && let Some(wanted) = self.copies.wanted.get()
        {
            (wanted.wake)();
        }
    }
}
