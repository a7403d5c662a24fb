//! How much a search may do, and how it ends early.
//!
//! A search looks at its [`Effort`] before it visits many clients, and after each bite (`visit`). If the search was
//! canceled or needs more than its effort, it ends without a result. This module knows neither a clock nor who waits
//! for the result.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// How much a search may do.
#[derive(Clone, Copy, Debug)]
pub struct Effort<'a> {
    is_canceled: Option<&'a AtomicBool>,
    visits_max: usize,
    comparisons: usize,
}

/// A search ended without a result: it was canceled, or it needs more effort than it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the search has ended before it had looked at all clients")]
pub struct Unfinished;

/// The number of comparisons that cost about as much as the visit of a client.
const COMPARISONS_PER_VISIT: usize = 8;

impl<'a> Effort<'a> {
    /// As much as the search needs.
    pub const ANY: Effort<'static> = Effort { is_canceled: None, visits_max: usize::MAX, comparisons: 0 };

    /// As much as the search needs, until somebody sets `is_canceled`.
    pub fn until(is_canceled: &'a AtomicBool) -> Effort<'a> {
        Effort { is_canceled: Some(is_canceled), ..Effort::ANY }
    }

    /// Visits of about this many clients.
    pub fn visits(visits_max: usize) -> Effort<'static> {
        Effort { visits_max, ..Effort::ANY }
    }

    /// The search's filter makes up to this many comparisons for each client. With more of them, the search visits
    /// fewer clients before it lets others take the shard's lock.
    pub fn comparing(self, comparisons: usize) -> Effort<'a> {
        Effort { comparisons, ..self }
    }

    /// [`Effort::comparing`], in addition to what the filter compares already.
    pub fn and_comparing(self, comparisons: usize) -> Effort<'a> {
        self.comparing(self.comparisons.saturating_add(comparisons))
    }

    /// This effort, with as many visits left as `other` has: for a search whose filter compares more than its caller
    /// knows, which ran with an effort of its own.
    pub fn with_visits_of(self, other: &Effort<'_>) -> Effort<'a> {
        Effort { visits_max: other.visits_max, ..self }
    }

    pub(super) fn visits_max(&self) -> usize {
        self.visits_max
    }

    /// Whether the search may visit any number of clients.
    pub(super) fn is_unbounded(&self) -> bool {
        self.visits_max == usize::MAX
    }

    /// The effort that is left after `visits` visits.
    pub(super) fn less(self, visits: usize) -> Effort<'a> {
        let visits_max =
            if self.is_unbounded() { usize::MAX } else { self.visits_max.saturating_sub(visits) };
        Effort { visits_max, ..self }
    }

    /// The number of visits that cost as much as `visits` visits without a filter. At least one.
    pub(super) fn bite(&self, visits: usize) -> usize {
        let cost = COMPARISONS_PER_VISIT.saturating_add(self.comparisons);
        (visits * COMPARISONS_PER_VISIT / cost).max(1)
    }

    /// An error if the search was canceled.
    pub(super) fn check(&self) -> Result<(), Unfinished> {
        match self.is_canceled {
            Some(is_canceled) if is_canceled.load(Relaxed) => Err(Unfinished),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bite_shrinks_with_the_cost_of_the_filter() {
        let bites = [0, 8, 56, usize::MAX].map(|comparisons| Effort::ANY.comparing(comparisons).bite(1024));
        assert_eq!(bites, [1024, 512, 128, 1]);
    }
}
