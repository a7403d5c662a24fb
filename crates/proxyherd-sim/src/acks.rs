//! The acknowledgements of one life of a server: they wait until their reports are durable, as the operator chose. The
//! core's ledger decides; this module gives it the positions and takes the released acknowledgements.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use proxyherd_core::{
    command::Positions,
    ledger::{Ledger, Needs},
    replica::Replica,
};

use crate::{
    ledger::Taken,
    scenario::Durability,
    timeline::{Nanos, SECOND},
};

/// The patience of clients: an acknowledgement that comes later is worth nothing.
const PATIENCE: Nanos = 10 * SECOND;

/// The acknowledgements that wait.
#[derive(Debug)]
pub(crate) struct Acks {
    ledger: Ledger<Waiting>,
    /// Whether more updates have enough copies.
    has_more_copies: Arc<AtomicBool>,
}

/// An acknowledgement that waits, or that has just been released.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// What the client was promised: this record, or one that wins over it.
    pub(crate) record: Taken,
    /// When the report came.
    pub(crate) since: Nanos,
    /// The time on a clock that was right then.
    pub(crate) taken_ns: u64,
    /// The number of losses in the herd before the record was taken.
    pub(crate) moment: u64,
    /// Whether copies at neighbors are promised, too. They are if the server itself has issued the record in this life.
    pub(crate) is_own: bool,
}

impl Acks {
    /// No acknowledgements. The replica's neighbors are asked to acknowledge if acknowledgements wait for them. `None`:
    /// acknowledgements wait for nothing.
    pub(crate) fn new(durability: Durability, replica: &Replica) -> Option<Acks> {
        let Durability { has_journal, replicas } = durability;
        let has_more_copies = Arc::new(AtomicBool::new(false));
        if replicas > 0 {
            let more = Arc::clone(&has_more_copies);
            let wake = replica.want_acks(replicas, move || more.store(true, Relaxed));
            debug_assert!(wake.links().next().is_none(), "a server that has just started has no links");
        }
        let needs = Needs { journal: has_journal, neighbors: replicas > 0 };
        (has_journal || replicas > 0).then(|| Acks { ledger: Ledger::new(needs), has_more_copies })
    }

    /// Lets an acknowledgement wait. Returns it if it need not wait.
    pub(crate) fn wait(&mut self, needed: Positions, waiting: Waiting) -> Option<Waiting> {
        let until = waiting.since + PATIENCE;
        self.ledger.wait(needed, until, waiting)
    }

    /// The number of acknowledgements that wait.
    pub(crate) fn len(&self) -> usize {
        self.ledger.len()
    }

    /// The journal has synced everything up to these positions. Returns what may leave now.
    pub(crate) fn journal_covers(&mut self, now: Nanos, durable: &Positions) -> Vec<Waiting> {
        drop(self.ledger.expire(now));
        self.ledger.journal_covers(durable)
    }

    /// Returns what may leave now because neighbors hold more than before.
    pub(crate) fn neighbors_cover(&mut self, now: Nanos, replica: &Replica) -> Vec<Waiting> {
        drop(self.ledger.expire(now));
        if !self.has_more_copies.swap(false, Relaxed) {
            return Vec::new();
        }
        self.ledger.neighbors_cover(&replica.copies())
    }

    /// Drops everything that waits: it will never be durable.
    pub(crate) fn give_up(&mut self) {
        drop(self.ledger.give_up());
    }
}
