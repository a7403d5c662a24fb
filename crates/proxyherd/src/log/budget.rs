//! How many lines of clients' and links' traffic a second may cost, and the account of what was left out.
//!
//! At load nearly every batch of lines is refused, so refusing is made cheap: one load of a word that nobody
//! writes any more, and one relaxed addition to a counter. Nothing here reads a clock: the writer says when a
//! second has passed. If the writer hangs (on a disk that hangs), no second passes, and the budget stays used up.
//!
//! Counters are exact. The budget is not quite: a batch taken while the writer renews it may be taken twice.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use proxyherd_core::rate::FixedWindow;

/// What a line was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    In,
    Out,
    Link,
    Event,
}

/// Why a line was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The second's budget was used up.
    Budget,
    /// The writer did not keep up: its buffer was full.
    Buffer,
}

impl Kind {
    pub(super) const ALL: [Kind; 4] = [Kind::In, Kind::Out, Kind::Link, Kind::Event];
}

impl Reason {
    pub(super) const ALL: [Reason; 2] = [Reason::Budget, Reason::Buffer];
}

/// How many lines of each kind were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts([u64; Kind::ALL.len()]);

impl Counts {
    pub(super) fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// What was added since `earlier` was read.
    pub(super) fn since(&self, earlier: &Counts) -> Counts {
        Counts(std::array::from_fn(|kind| self.0[kind] - earlier.0[kind]))
    }
}

/// Its own cache line (two, as processors fetch them): what one thread counts does not slow what another reads.
#[repr(align(128))]
struct Apart<T>(T);

/// The lines that are left of this second, and the account of what was left out since the log was opened.
pub(super) struct Budget {
    remaining: Apart<FixedWindow>,
    left_out: Apart<[[AtomicU64; Kind::ALL.len()]; Reason::ALL.len()]>,
}

impl Budget {
    pub(super) fn new(lines_per_s: u32) -> Budget {
        Budget { remaining: Apart(FixedWindow::new(lines_per_s)), left_out: Apart(Default::default()) }
    }

    pub(super) fn lines_per_s(&self) -> u32 {
        self.remaining.0.most()
    }

    /// How many of `wanted` lines may be kept. The others are counted as left out.
    pub(super) fn take(&self, kind: Kind, wanted: u64) -> u64 {
        let kept = self.remaining.0.take(wanted);
        if kept < wanted {
            self.leave_out(Reason::Budget, kind, wanted - kept);
        }
        kept
    }

    /// A new second: all its lines are to be had.
    pub(super) fn renew(&self) {
        self.remaining.0.renew();
    }

    /// Whether nothing was taken since the budget was renewed.
    pub(super) fn is_whole(&self) -> bool {
        self.remaining.0.is_whole()
    }

    pub(super) fn leave_out(&self, reason: Reason, kind: Kind, lines: u64) {
        self.left_out.0[reason as usize][kind as usize].fetch_add(lines, Relaxed);
    }

    /// What was left out for `reason` since the log was opened.
    pub(super) fn left_out(&self, reason: Reason) -> Counts {
        Counts(std::array::from_fn(|kind| self.left_out.0[reason as usize][kind].load(Relaxed)))
    }

    /// What was left out since the log was opened, lines.
    pub(super) fn left_out_total(&self) -> u64 {
        Reason::ALL.iter().map(|&reason| self.left_out(reason).total()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_beyond_the_budget_is_kept_in_part_and_the_rest_is_counted() {
        let budget = Budget::new(10);
        assert_eq!(budget.take(Kind::In, 4), 4);
        assert_eq!(budget.take(Kind::Out, 8), 6);
        assert_eq!(budget.take(Kind::Out, 1), 0);
        assert_eq!(budget.take(Kind::In, 5), 0);
        let left_out = budget.left_out(Reason::Budget);
        assert_eq!(Kind::ALL.map(|kind| left_out.of(kind)), [5, 3, 0, 0]);
        assert_eq!(budget.left_out_total(), 8);
    }

    #[test]
    fn a_new_second_has_the_whole_budget_again_and_keeps_the_account() {
        let budget = Budget::new(10);
        assert!(budget.is_whole());
        budget.take(Kind::In, 30);
        assert!(!budget.is_whole());
        budget.renew();
        assert!(budget.is_whole());
        assert_eq!(budget.take(Kind::In, 10), 10);
        assert_eq!(budget.left_out_total(), 20);
    }

    #[test]
    fn without_a_budget_everything_is_left_out() {
        let budget = Budget::new(0);
        assert_eq!(budget.take(Kind::Link, 3), 0);
        assert_eq!(budget.left_out(Reason::Budget).of(Kind::Link), 3);
    }

    #[test]
    fn no_line_is_both_kept_and_left_out_when_threads_race() {
        let budget = Budget::new(1_000);
        let kept: u64 = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..500).map(|_| budget.take(Kind::In, 3)).sum::<u64>()))
                .collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(kept, 1_000);
        assert_eq!(budget.left_out_total(), 4 * 500 * 3 - 1_000);
    }
}
