//! Who waits for which changes to be durable.
//!
//! A [`Ledger`] holds waiters with the positions that each needs, and two coverages: what the journal has synced, and
//! what enough neighbors hold. It releases a waiter when every coverage that counts includes the waiter's positions.
//! Coverages only grow. The ledger does not know what a waiter is, and knows no time: a waiter that loses its patience
//! is simply never told.

use super::Positions;

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
        if self.is_covered(&needed) {
            return Some(waiter);
        }
        self.waiters.push((needed, waiter));
        None
    }

    fn is_covered(&self, needed: &Positions) -> bool {
        (!self.needs.journal || needed.is_within(&self.covered))
            && (!self.needs.neighbors || needed.is_own_within(&self.covered))
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
        self.covered.note_all(covered);
        self.release()
    }

    /// Enough neighbors hold everything up to these positions. Returns the waiters that are released, in the order in
    /// which they came.
    pub fn neighbors_cover(&mut self, covered: &Positions) -> Vec<W> {
        self.covered.note_all(covered);
        self.release()
    }

    fn release(&mut self) -> Vec<W> {
        let (needs, covered) = (self.needs, self.covered);
        let is_covered = |(needed, _): &mut (Positions, W)| {
            (!needs.journal || needed.is_within(&covered))
                && (!needs.neighbors || needed.is_own_within(&covered))
        };
        self.waiters.extract_if(.., is_covered).map(|(_, waiter)| waiter).collect()
    }

    /// Gives up all waiters, for example because the journal failed. The caller drops or refuses them.
    pub fn give_up(&mut self) -> Vec<W> {
        std::mem::take(&mut self.waiters).into_iter().map(|(_, waiter)| waiter).collect()
    }
}
