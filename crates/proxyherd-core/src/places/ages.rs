//! The ages up to which a cached answer can be used.

use std::time::Duration;

/// The ages up to which answers can be used, counted from their receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ages {
    /// An answer younger than this is fresh; 0: nothing is cached.
    pub fresh: Duration,
    /// For this long after `fresh`, the answer is given while it is being renewed.
    pub stale: Duration,
    /// For this long after `fresh`, the answer is given if its provider fails.
    pub stale_if_error: Duration,
    /// For this long an empty answer is cached, and never longer. A place that appears there is news, and another
    /// provider may already know it.
    pub zero_results: Duration,
}

/// How an answer of a certain age can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The answer is given.
    Fresh,
    /// The answer is given, and renewed.
    Stale,
    /// The answer is given if the provider fails.
    LastResort,
    /// The answer is no longer given.
    Gone,
}

impl Ages {
    /// Whether answers are cached at all.
    pub fn keep_any(&self) -> bool {
        !self.fresh.is_zero()
    }

    /// The time for which an answer, with places or empty, is fresh.
    pub fn lifetime(&self, is_empty: bool) -> Duration {
        match (self.keep_any(), is_empty) {
            (false, _) => Duration::ZERO,
            (true, false) => self.fresh,
            (true, true) => self.zero_results,
        }
    }

    /// How an answer of this age, with places or empty, can be used.
    pub fn judge(&self, age: Duration, is_empty: bool) -> Freshness {
        let lifetime = self.lifetime(is_empty);
        if age < lifetime {
            Freshness::Fresh
        } else if is_empty || !self.keep_any() {
            Freshness::Gone
        } else if age < lifetime.saturating_add(self.stale) {
            Freshness::Stale
        } else if age < lifetime.saturating_add(self.stale_if_error) {
            Freshness::LastResort
        } else {
            Freshness::Gone
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Freshness::{Fresh, Gone, LastResort, Stale};

    fn ages([fresh, stale, stale_if_error, zero_results]: [u64; 4]) -> Ages {
        let [fresh, stale, stale_if_error, zero_results] =
            [fresh, stale, stale_if_error, zero_results].map(Duration::from_secs);
        Ages { fresh, stale, stale_if_error, zero_results }
    }

    #[test]
    fn an_answer_grows_old_step_by_step() {
        let check = |of: [u64; 4], is_empty: bool, steps: &[(u64, Freshness)]| {
            for &(seconds, expected) in steps {
                let age = Duration::from_secs(seconds);
                assert_eq!(ages(of).judge(age, is_empty), expected, "{of:?} {is_empty} {seconds}");
                // A step begins exactly on the second.
                if let Some(before) = age.checked_sub(Duration::from_nanos(1)) {
                    assert_ne!(ages(of).judge(before, is_empty), expected, "{of:?} {is_empty} {seconds}");
                }
            }
        };
        let usual = [300, 600, 3600, 60];
        check(usual, false, &[(0, Fresh), (300, Stale), (900, LastResort), (3900, Gone)]);
        check(usual, true, &[(0, Fresh), (60, Gone)]);
        check([300, 0, 3600, 0], false, &[(0, Fresh), (300, LastResort), (3900, Gone)]);
        check([300, 600, 0, 0], false, &[(0, Fresh), (300, Stale), (900, Gone)]);
        check([300, 600, 10, 0], false, &[(0, Fresh), (300, Stale), (900, Gone)]);
        check([300, 0, 0, 0], false, &[(0, Fresh), (300, Gone)]);
        check([300, 600, 3600, 0], true, &[(0, Gone)]);
        check([300, 600, 3600, 900], true, &[(0, Fresh), (900, Gone)]);
        // Nothing is cached.
        check([0, 600, 3600, 60], false, &[(0, Gone)]);
        check([0, 600, 3600, 60], true, &[(0, Gone)]);
    }

    proptest! {
        #[test]
        fn no_answer_grows_younger(
            of in [0u64..100, 0u64..100, 0u64..100, 0u64..100], ages_s in (0u64..400, 0u64..400), is_empty: bool,
        ) {
            let rank = |seconds| match ages(of).judge(Duration::from_secs(seconds), is_empty) {
                Fresh => 0,
                Stale => 1,
                LastResort => 2,
                Gone => 3,
            };
            let (younger, older) = (ages_s.0.min(ages_s.1), ages_s.0.max(ages_s.1));
            prop_assert!(rank(younger) <= rank(older));
        }
    }
}
