//! How many lines a second the log takes from one kind of caller.
//!
//! [`RateLimit::take`] asks for lines and says how many are granted. At load nearly every batch is refused, so a
//! refusal is cheap: one load of a word that nobody writes any more. Nothing here reads a clock: the writer calls
//! [`RateLimit::renew`] when a second has passed. While the writer hangs, on a disk that hangs, no second passes, and
//! the limit stays used up.
//!
//! The limit is not quite exact: a batch that is taken while the writer renews the limit may be granted twice. What is
//! refused is counted elsewhere (`left_out`).

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// The lines of a second, and how many of them are left.
///
/// It has a cache line of its own (two, as processors fetch them), so that a thread that counts beside it does not slow
/// those that read it.
#[repr(align(128))]
pub(super) struct RateLimit {
    lines_per_s: i64,
    /// Below zero after a batch that was larger than what was left, never by more than those batches.
    remaining: AtomicI64,
}

impl RateLimit {
    pub(super) fn new(lines_per_s: u32) -> RateLimit {
        let lines_per_s = i64::from(lines_per_s);
        RateLimit { lines_per_s, remaining: AtomicI64::new(lines_per_s) }
    }

    pub(super) fn lines_per_s(&self) -> i64 {
        self.lines_per_s
    }

    /// How many of `wanted` lines may be kept.
    pub(super) fn take(&self, wanted: u64) -> u64 {
        if self.remaining.load(Relaxed) <= 0 {
            return 0;
        }
        let wanted = i64::try_from(wanted).unwrap_or(i64::MAX / 2);
        let had = self.remaining.fetch_sub(wanted, Relaxed);
        had.clamp(0, wanted).unsigned_abs()
    }

    /// Begins a second: all its lines can be taken.
    pub(super) fn renew(&self) {
        self.remaining.store(self.lines_per_s, Relaxed);
    }

    /// Whether nothing was taken since the limit was renewed.
    pub(super) fn is_whole(&self) -> bool {
        self.remaining.load(Relaxed) == self.lines_per_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_beyond_the_limit_is_granted_in_part() {
        let limit = RateLimit::new(10);
        assert_eq!([4, 8, 1, 5].map(|wanted| limit.take(wanted)), [4, 6, 0, 0]);
    }

    #[test]
    fn a_new_second_has_all_its_lines_again() {
        let limit = RateLimit::new(10);
        assert!(limit.is_whole());
        limit.take(30);
        assert!(!limit.is_whole());
        limit.renew();
        assert!(limit.is_whole());
        assert_eq!(limit.take(10), 10);
    }

    #[test]
    fn a_limit_of_no_lines_grants_none() {
        assert_eq!(RateLimit::new(0).take(3), 0);
    }

    #[test]
    fn no_line_is_granted_twice_when_threads_race() {
        let limit = RateLimit::new(1_000);
        let granted: u64 = std::thread::scope(|scope| {
            let takers: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..500).map(|_| limit.take(3)).sum::<u64>())).collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(granted, 1_000);
    }
}
