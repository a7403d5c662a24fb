//! The durability of reports and of other changes. A door waits until they are durable before it acknowledges them.
//!
//! A door collects the [`Positions`] of what its replies acknowledge. It passes them to the herd's
//! [`Durability`], which notifies the door by a [`Notice`] when the reports are durable.
//!
//! [`ServerDurability`] is what a server uses: the reports must be in the journal, or at enough neighbors, or both, as
//! the settings say. The thread of the journal says what is synced ([`ServerDurability::cover_journal`]), and the
//! replica says what neighbors hold. Core's `ledger` decides who is released.
//!
//! This module knows no file and no link.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use proxyherd_config::{clock, config::DurabilitySettings};
use proxyherd_core::{
    command::Positions,
    ledger::{Ledger, Needs},
    replica::Replica,
};

/// Time for which a notice is kept after its door has lost patience. So a door finds out by itself that the time is
/// over, and does not take that for a failure of the journal.
const GRACE_NS: u64 = 1_000_000_000;

/// Makes reports durable.
pub trait Durability: fmt::Debug + Send + Sync {
    /// Calls [`Notice::covered`] when all updates that `positions` includes are durable. The call may come on any
    /// thread, even before this method returns. If the notice is dropped instead, the updates count as not durable.
    fn await_covered(&self, positions: Positions, notice: Notice);

    /// Maximum time that a door waits. After this time the door closes the connection without a reply.
    fn patience(&self) -> Duration;
}

/// Notifies the waiting connection that its positions are covered.
pub struct Notice(Box<dyn FnOnce() + Send>);

impl Notice {
    /// A notice that calls `tell`.
    pub fn new(tell: impl FnOnce() + Send + 'static) -> Notice {
        Notice(Box::new(tell))
    }

    /// Reports that the positions are covered.
    pub fn covered(self) {
        (self.0)();
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notice")
    }
}

/// The durability of one server.
#[derive(Debug)]
pub struct ServerDurability {
    replica: Arc<Replica>,
    patience: Duration,
    /// Never locked while a shard is locked, nor while a notice is called.
    waiting: Mutex<WaitingNotices>,
}

#[derive(Debug)]
struct WaitingNotices {
    ledger: Ledger<Notice>,
    /// Nothing becomes durable any more, so nobody needs to wait.
    has_failed: bool,
}

impl ServerDurability {
    /// The durability of a server with these settings. `None` if a report is acknowledged without waiting. If neighbors
    /// count, this asks them to acknowledge.
    pub fn new(replica: &Arc<Replica>, settings: &DurabilitySettings) -> Option<Arc<ServerDurability>> {
        if !settings.waits() {
            return None;
        }
        let needs = Needs { journal: settings.journal, neighbors: settings.replicas > 0 };
        let waiting = WaitingNotices { ledger: Ledger::new(needs), has_failed: false };
        let durability = Arc::new(ServerDurability {
            replica: Arc::clone(replica),
            patience: settings.ack_timeout,
            waiting: Mutex::new(waiting),
        });
        if needs.neighbors {
            let weak: Weak<ServerDurability> = Arc::downgrade(&durability);
            let wake = move || weak.upgrade().iter().for_each(|durability| durability.cover_copies());
            let links = replica.want_acks(settings.replicas, wake);
            debug_assert!(links.is_empty(), "no link is up before the server has started");
        }
        Some(durability)
    }

    /// The journal has synced everything up to these positions.
    pub fn cover_journal(&self, covered: &Positions) {
        self.release(clock::monotonic_ns(), |ledger| ledger.journal_covers(covered));
    }

    /// The journal has failed: nothing becomes durable until the server is started again. Whoever waits is told so at
    /// once, and so is whoever comes later.
    pub fn journal_failed(&self) {
        let mut waiting = self.waiting.lock();
        waiting.has_failed = true;
        let given_up = waiting.ledger.give_up();
        drop(waiting);
        drop(given_up);
    }

    /// The number of connections and requests whose reports are not durable yet.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().ledger.len()
    }

    /// Gives up whoever has waited too long. The doors no longer wait for these notices. To be called about once a
    /// second.
    pub fn sweep(&self) {
        self.release(clock::monotonic_ns(), |_| Vec::new());
    }

    /// Neighbors have acknowledged something, or a neighbor is gone.
    fn cover_copies(&self) {
        // The coverage is read under the ledger's lock, so that an older coverage never replaces a newer one.
        self.release(clock::monotonic_ns(), |ledger| ledger.neighbors_cover(&self.replica.copies()));
    }

    fn release(&self, now_ns: u64, cover: impl FnOnce(&mut Ledger<Notice>) -> Vec<Notice>) {
        let mut waiting = self.waiting.lock();
        let expired = waiting.ledger.expire(now_ns);
        let released = cover(&mut waiting.ledger);
        drop(waiting);
        released.into_iter().for_each(Notice::covered);
        drop(expired);
    }
}

impl Durability for ServerDurability {
    fn await_covered(&self, positions: Positions, notice: Notice) {
        let mut waiting = self.waiting.lock();
        if waiting.has_failed {
            drop(waiting);
            return drop(notice);
        }
        // A neighbor that is gone no longer counts, and nobody has been told of that.
        waiting.ledger.note_neighbors(&self.replica.copies());
        let patience_ns = u64::try_from(self.patience.as_nanos()).unwrap_or(u64::MAX);
        let until_ns = clock::monotonic_ns().saturating_add(patience_ns).saturating_add(GRACE_NS);
        let covered = waiting.ledger.wait(positions, until_ns, notice);
        drop(waiting);
        covered.into_iter().for_each(Notice::covered);
    }

    fn patience(&self) -> Duration {
        self.patience
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, TryRecvError, channel};

    use proxyherd_core::{
        command::Position,
        flood::{ReportRules, Rules},
        replica::ReplicaSettings,
        types::{Origin, ServerName},
    };

    use super::*;

    fn replica() -> Arc<Replica> {
        Arc::new(Replica::new(ReplicaSettings {
            me: Origin { server: ServerName::new("Riley").unwrap(), incarnation: 1 },
            seed: 1,
            max_clients: 10,
            client_ttl_ns: None,
            client_interval_ns: 0,
            report_rules: ReportRules::default(),
            clock_offset_max_ns: 0,
            client_index: false,
            rules: Rules::default(),
        }))
    }

    fn durability(journal: bool, replicas: usize, ack_timeout: Duration) -> Option<Arc<ServerDurability>> {
        ServerDurability::new(&replica(), &DurabilitySettings { journal, replicas, ack_timeout })
    }

    fn up_to(seq: u64) -> Positions {
        let mut positions = Positions::default();
        positions.note(Position { shard: 3, seq });
        positions.note_own(Position { shard: 3, seq });
        positions
    }

    /// Waits for a change. The receiver is told when the change is covered, and is cut off when the notice is dropped.
    fn wait(durability: &ServerDurability, seq: u64) -> Receiver<()> {
        let (sender, receiver) = channel();
        durability.await_covered(up_to(seq), Notice::new(move || sender.send(()).unwrap()));
        receiver
    }

    #[test]
    fn without_journal_and_replicas_nobody_waits() {
        assert!(durability(false, 0, Duration::ZERO).is_none());
    }

    #[test]
    fn a_notice_comes_when_the_journal_has_synced_and_not_before() {
        let durability = durability(true, 0, Duration::from_secs(60)).unwrap();
        let waits = [3, 5].map(|seq| wait(&durability, seq));
        assert_eq!((durability.waiting(), durability.patience()), (2, Duration::from_secs(60)));
        durability.cover_journal(&up_to(4));
        assert_eq!(waits.each_ref().map(Receiver::try_recv), [Ok(()), Err(TryRecvError::Empty)]);
        durability.cover_journal(&up_to(5));
        assert_eq!((waits[1].try_recv(), durability.waiting()), (Ok(()), 0));
        assert_eq!(wait(&durability, 5).try_recv(), Ok(()), "that is synced already");
    }

    #[test]
    fn once_the_journal_has_failed_every_notice_is_dropped_at_once() {
        let durability = durability(true, 0, Duration::from_secs(60)).unwrap();
        let before = wait(&durability, 3);
        durability.journal_failed();
        let gone = Err(TryRecvError::Disconnected);
        assert_eq!((before.try_recv(), wait(&durability, 4).try_recv()), (gone, gone));
    }

    #[test]
    fn with_replicas_the_journal_alone_is_not_enough() {
        let durability = durability(true, 1, Duration::from_secs(60)).unwrap();
        let waits = wait(&durability, 3);
        durability.cover_journal(&up_to(3));
        assert_eq!(waits.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(durability.waiting(), 1);
    }

    #[test]
    fn whoever_has_waited_too_long_is_given_up() {
        let durability = durability(true, 0, Duration::ZERO).unwrap();
        let waits = wait(&durability, 3);
        durability.sweep();
        assert_eq!(waits.try_recv(), Err(TryRecvError::Empty), "the door finds out first");
        durability.release(clock::monotonic_ns() + GRACE_NS, |_| Vec::new());
        assert_eq!((waits.try_recv(), durability.waiting()), (Err(TryRecvError::Disconnected), 0));
    }
}
