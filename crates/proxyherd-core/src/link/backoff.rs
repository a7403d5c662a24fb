//! When to dial a neighbor again: soon at first, then with growing delays. Jitter keeps servers from dialing at the
//! same moments.

use std::time::Duration;

use crate::limits::{DIAL_DELAY_MAX, DIAL_DELAY_MIN};

/// The delays between attempts to dial one neighbor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Notes that the link was up, so the next failure counts as the first.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The time to wait after one more failure. The delay doubles from [`DIAL_DELAY_MIN`] up to [`DIAL_DELAY_MAX`].
    /// `random` chooses a value between half of the delay and the whole delay.
    pub fn next_delay(&mut self, random: u64) -> Duration {
        self.next_delay_up_to(DIAL_DELAY_MAX, random)
    }

    /// Like [`Backoff::next_delay`], but the delay doubles up to `most`.
    pub fn next_delay_up_to(&mut self, most: Duration, random: u64) -> Duration {
        let delay = DIAL_DELAY_MIN.saturating_mul(1 << self.failures.min(16)).min(most);
        self.failures = self.failures.saturating_add(1);
        delay / 2 + (delay / 2).mul_f64(random as f64 / u64::MAX as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_limit_and_begin_again_after_success() {
        let mut backoff = Backoff::default();
        let longest: Vec<_> = (0..8).map(|_| backoff.next_delay(u64::MAX)).collect();
        assert_eq!(longest[0], DIAL_DELAY_MIN);
        assert_eq!(longest[1], DIAL_DELAY_MIN * 2);
        assert_eq!(longest[7], DIAL_DELAY_MAX);
        backoff.reset();
        assert_eq!(backoff.next_delay(0), DIAL_DELAY_MIN / 2);
        assert!((0..8).any(|_| backoff.next_delay_up_to(5 * DIAL_DELAY_MAX, u64::MAX) == 5 * DIAL_DELAY_MAX));
        for _ in 0..100 {
            assert_eq!(backoff.next_delay(u64::MAX / 2).max(DIAL_DELAY_MAX), DIAL_DELAY_MAX);
        }
    }
}
