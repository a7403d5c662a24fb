//! Who waits for which changes to be durable.
//!
//! A [`Ledger`] holds waiters with the positions that each needs, and two coverages: what the journal has synced, and
//! what enough neighbors hold. It releases a waiter when every coverage that counts includes the waiter's positions.
//! Coverages only grow. The ledger does not know what a waiter is, and knows no time: a waiter that loses its patience
//! is simply never told.

use crate::{
    command::{Position, Positions},
    limits::SHARDS,
};

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
    /// What the journal has synced, by its positions among all changes, and what enough neighbors hold, by its
    /// positions among this server's own updates.
    covered: Positions,
    waiters: Vec<(Positions, W)>,
}

impl<W> Ledger<W> {
    /// A ledger without waiters, in which nothing is covered.
    pub fn new(needs: Needs) -> Ledger<W> {
        Ledger { needs, covered: Positions::default(), waiters: Vec::new() }
    }

    /// Adds a waiter. Returns it at once if its positions are covered already.
    pub fn wait(&mut self, needed: Positions, waiter: W) -> Option<W> {
        if is_covered(self.needs, &needed, &self.covered) {
            return Some(waiter);
        }
        self.waiters.push((needed, waiter));
        None
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
        for shard in 0..SHARDS {
            self.covered.note(Position { shard, seq: covered.of(shard) });
        }
        self.release()
    }

    /// Enough neighbors hold all of this server's own updates up to these positions. Returns the waiters that are
    /// released, in the order in which they came.
    pub fn neighbors_cover(&mut self, covered: &Positions) -> Vec<W> {
        for shard in 0..SHARDS {
            self.covered.note_own(Position { shard, seq: covered.own_of(shard) });
        }
        self.release()
    }

    fn release(&mut self) -> Vec<W> {
        let (needs, covered) = (self.needs, self.covered);
        let released = self.waiters.extract_if(.., |(needed, _)| is_covered(needs, needed, &covered));
        released.map(|(_, waiter)| waiter).collect()
    }

    /// Gives up all waiters, for example because the journal failed. The caller drops or refuses them.
    pub fn give_up(&mut self) -> Vec<W> {
        std::mem::take(&mut self.waiters).into_iter().map(|(_, waiter)| waiter).collect()
    }
}

fn is_covered(needs: Needs, needed: &Positions, covered: &Positions) -> bool {
    (!needs.journal || needed.is_within(covered)) && (!needs.neighbors || needed.is_own_within(covered))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(shard: usize, seq: u64, own: u64) -> Positions {
        let mut positions = Positions::default();
        positions.note(Position { shard, seq });
        positions.note_own(Position { shard, seq: own });
        positions
    }

    #[test]
    fn a_waiter_is_released_when_every_coverage_that_counts_includes_its_positions() {
        let mut ledger = Ledger::new(Needs { journal: true, neighbors: true });
        assert_eq!(ledger.wait(positions(3, 7, 5), "both"), None);
        assert_eq!(ledger.wait(positions(4, 7, 5), "another shard"), None);
        assert!(ledger.journal_covers(&positions(3, 6, 9)).is_empty());
        assert!(
            ledger.journal_covers(&positions(3, 7, 9)).is_empty(),
            "the journal says nothing about neighbors"
        );
        assert!(ledger.neighbors_cover(&positions(3, 9, 4)).is_empty());
        assert_eq!(ledger.neighbors_cover(&positions(3, 9, 5)), ["both"]);
        assert_eq!((ledger.len(), ledger.is_empty()), (1, false));
        assert_eq!(ledger.give_up(), ["another shard"]);
        assert!(ledger.is_empty());
    }

    #[test]
    fn only_the_coverages_that_are_needed_count() {
        let check = |journal, neighbors, released: &[&str]| {
            let mut ledger = Ledger::new(Needs { journal, neighbors });
            let at_once = ledger.wait(positions(3, 7, 5), "it");
            assert_eq!(at_once.is_some(), !journal && !neighbors);
            assert_eq!(ledger.journal_covers(&positions(3, 7, 0)), released);
            assert_eq!(ledger.neighbors_cover(&positions(3, 0, 5)).is_empty(), !neighbors);
        };
        check(false, false, &[]);
        check(true, false, &["it"]);
        check(false, true, &[]);
        check(true, true, &[]);
    }

    #[test]
    fn what_is_covered_already_needs_no_wait_and_coverage_never_shrinks() {
        let mut ledger = Ledger::new(Needs { journal: true, neighbors: false });
        assert!(ledger.journal_covers(&positions(3, 7, 0)).is_empty());
        assert!(ledger.journal_covers(&positions(4, 1, 0)).is_empty());
        assert_eq!(ledger.wait(positions(3, 7, 1), "it"), Some("it"));
        assert_eq!(ledger.wait(positions(3, 8, 1), "next"), None);
        assert_eq!(ledger.wait(positions(3, 8, 2), "after it"), None);
        assert_eq!(ledger.journal_covers(&positions(3, 8, 0)), ["next", "after it"], "in their order");
    }
}
