//! When to dial again: soon at first, then more and more rarely, never in step with others.

use std::time::Duration;

use crate::limits::{DIAL_DELAY_MAX, DIAL_DELAY_MIN};

/// The delays before one neighbor is dialled again and again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The link was up: the next failure is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure: between half of a delay and all of it, as `random` says, where
    /// the delay doubles from [`DIAL_DELAY_MIN`] up to [`DIAL_DELAY_MAX`].
    pub fn next_delay(&mut self, random: u64) -> Duration {
        self.next_delay_up_to(DIAL_DELAY_MAX, random)
    }

    /// [`Backoff::next_delay`], where the delay doubles up to `most`.
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
