//! Who waits for which changes to be durable.
//!
//! A [`Ledger`] holds waiters with the positions that each needs, and two coverages: what the journal has synced, and
//! what enough neighbors hold. It releases a waiter when, at one moment, every coverage that counts includes the
//! waiter's positions. What the journal covers only grows. What neighbors cover can go back, because a neighbor that is
//! gone does not count: then waiters that are not released yet need another neighbor. A released waiter stays released.
//!
//! Bounds: a waiter leaves when it is released, when its time is over ([`Ledger::expire`]), or when all are given up. A
//! connection that ends leaves its waiter behind until then. So there are at most as many waiters as connections and
//! requests can come in that time, and each release looks at each waiter once.
//!
//! The ledger does not know what a waiter is, and knows no clock.

use std::collections::VecDeque;

use crate::command::Positions;

/// Which coverages count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// A change counts as durable only when the journal has synced it.
    pub journal: bool,
    /// A change counts as durable only when enough neighbors hold it.
    pub neighbors: bool,
}

/// The waiters of one server.
#[derive(Debug)]
pub struct Ledger<W> {
    needs: Needs,
    /// What the journal has synced: positions among all changes.
    journal: Positions,
    /// What enough neighbors hold: positions among this server's own updates.
    neighbors: Positions,
    /// In the order in which they came, which is the order in which their times are over.
    waiters: VecDeque<Waiting<W>>,
}

#[derive(Debug)]
struct Waiting<W> {
    needed: Positions,
    until_ns: u64,
    waiter: W,
}

impl<W> Ledger<W> {
    /// A ledger without waiters, in which nothing is covered.
    pub fn new(needs: Needs) -> Ledger<W> {
        let covered = Positions::default();
        Ledger { needs, journal: covered, neighbors: covered, waiters: VecDeque::new() }
    }

    /// Adds a waiter, whose time is over at `until_ns`. Returns it at once if its positions are covered already.
    pub fn wait(&mut self, needed: Positions, until_ns: u64, waiter: W) -> Option<W> {
        if self.is_covered(&needed) {
            return Some(waiter);
        }
        self.waiters.push_back(Waiting { needed, until_ns, waiter });
        None
    }

    /// Whether everything that is needed is covered by each coverage that counts.
    fn is_covered(&self, needed: &Positions) -> bool {
        (!self.needs.journal || needed.is_within(&self.journal))
            && (!self.needs.neighbors || needed.is_own_within(&self.neighbors))
    }

    /// The number of waiters.
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// The journal has synced everything up to these positions. Returns the waiters that are released, in the order in
    /// which they came.
    pub fn journal_covers(&mut self, covered: &Positions) -> Vec<W> {
        self.journal.note_all(covered);
        self.release()
    }

    /// Enough neighbors hold everything up to these positions now, and nothing more. Returns the waiters that are
    /// released, in the order in which they came.
    pub fn neighbors_cover(&mut self, covered: &Positions) -> Vec<W> {
        self.neighbors = *covered;
        self.release()
    }

    /// Notes what enough neighbors hold now, for waiters that come next. Releases nobody: if this is more than before,
    /// the caller calls [`Ledger::neighbors_cover`] soon.
    pub fn note_neighbors(&mut self, covered: &Positions) {
        self.neighbors = *covered;
    }

    fn release(&mut self) -> Vec<W> {
        let mut released = Vec::new();
        // Most often either nobody or everybody is released, so the waiters that stay are moved only if any leaves.
        let is_any = self.waiters.iter().any(|waiting| self.is_covered(&waiting.needed));
        if is_any {
            for waiting in std::mem::take(&mut self.waiters) {
                if self.is_covered(&waiting.needed) {
                    released.push(waiting.waiter);
                } else {
                    self.waiters.push_back(waiting);
                }
            }
        }
        released
    }

    /// Gives up the waiters whose time is over. The caller drops or refuses them.
    pub fn expire(&mut self, now_ns: u64) -> Vec<W> {
        let over = self.waiters.iter().take_while(|waiting| waiting.until_ns <= now_ns).count();
        self.waiters.drain(..over).map(|waiting| waiting.waiter).collect()
    }

    /// Gives up all waiters, for example because the journal failed. The caller drops or refuses them.
    pub fn give_up(&mut self) -> Vec<W> {
        std::mem::take(&mut self.waiters).into_iter().map(|waiting| waiting.waiter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Position;

    const JOURNAL: Needs = Needs { journal: true, neighbors: false };
    const NEIGHBORS: Needs = Needs { journal: false, neighbors: true };
    const BOTH: Needs = Needs { journal: true, neighbors: true };

    /// Changes up to the first number, and own updates up to the second, both in shard 3.
    fn at(change: u64, own: u64) -> Positions {
        let mut positions = Positions::default();
        positions.note(Position { shard: 3, seq: change });
        positions.note_own(Position { shard: 3, seq: own });
        positions
    }

    #[test]
    fn a_waiter_is_released_when_all_that_counts_covers_it_and_in_order() {
        let mut ledger = Ledger::new(BOTH);
        for (needed, waiter) in [(at(5, 2), 'a'), (at(9, 3), 'b'), (at(6, 3), 'c')] {
            assert_eq!(ledger.wait(needed, 100, waiter), None);
        }
        assert_eq!(ledger.journal_covers(&at(8, 0)), []);
        assert_eq!(ledger.neighbors_cover(&at(0, 2)), ['a']);
        assert_eq!(ledger.neighbors_cover(&at(0, 3)), ['c']);
        assert_eq!((ledger.journal_covers(&at(9, 0)), ledger.len()), (vec!['b'], 0));
        assert_eq!(ledger.wait(at(9, 3), 100, 'd'), Some('d'), "what is covered need not wait");
    }

    #[test]
    fn a_coverage_that_does_not_count_is_not_waited_for() {
        let mut journal = Ledger::new(JOURNAL);
        assert_eq!(journal.wait(at(5, 9), 100, 'a'), None);
        assert_eq!(journal.neighbors_cover(&at(9, 9)), []);
        assert_eq!(journal.journal_covers(&at(5, 0)), ['a']);
        let mut neighbors = Ledger::new(NEIGHBORS);
        assert_eq!(neighbors.wait(at(9, 5), 100, 'a'), None);
        assert_eq!(neighbors.journal_covers(&at(9, 9)), []);
        assert_eq!(neighbors.neighbors_cover(&at(0, 5)), ['a']);
        assert_eq!(Ledger::new(Needs::default()).wait(at(1, 1), 100, 'a'), Some('a'));
    }

    #[test]
    fn a_neighbor_that_is_gone_counts_for_no_later_waiter() {
        let mut ledger = Ledger::new(NEIGHBORS);
        assert_eq!(ledger.neighbors_cover(&at(0, 7)), []);
        assert_eq!(ledger.wait(at(0, 7), 100, 'a'), Some('a'));
        ledger.note_neighbors(&at(0, 0));
        assert_eq!(ledger.wait(at(0, 7), 100, 'b'), None);
        ledger.note_neighbors(&at(0, 7));
        assert_eq!(ledger.neighbors_cover(&at(0, 7)), ['b']);
    }

    #[test]
    fn what_the_journal_has_synced_stays_synced() {
        let mut ledger = Ledger::new(JOURNAL);
        assert_eq!(ledger.journal_covers(&at(7, 0)), []);
        assert_eq!(ledger.journal_covers(&at(3, 0)), []);
        assert_eq!(ledger.wait(at(7, 0), 100, 'a'), Some('a'));
    }

    #[test]
    fn a_waiter_whose_time_is_over_leaves_and_is_not_released_later() {
        let mut ledger = Ledger::new(JOURNAL);
        for (until_ns, waiter) in [(10, 'a'), (10, 'b'), (20, 'c')] {
            assert_eq!(ledger.wait(at(5, 0), until_ns, waiter), None);
        }
        assert_eq!((ledger.expire(9), ledger.expire(10)), (vec![], vec!['a', 'b']));
        assert_eq!((ledger.journal_covers(&at(5, 0)), ledger.is_empty()), (vec!['c'], true));
        assert_eq!(ledger.wait(at(6, 0), 30, 'd'), None);
        assert_eq!((ledger.give_up(), ledger.is_empty()), (vec!['d'], true));
    }
}
