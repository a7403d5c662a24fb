//! How a question went: what its asker is told beside the answer, and what is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use proxyherd_core::places::Answer;

use crate::failure::Failure;

/// An answer and how it was come by: enough to tell a `Cache-Status` (RFC 9211) from.
///
/// | `outcome` | `failure` | the answer |
/// |---|---|---|
/// | `Hit` | none | was kept, and counts as new: `hit` |
/// | `Stale` | none | was kept and is old; it is being renewed: `hit` with a `ttl` below 0 |
/// | `Stale` | some | was kept and is old, and its provider failed: stale-if-error |
/// | `Joined` | none | came by a request that another question had begun: `fwd=miss; collapsed` |
/// | `Fetched` | none | came by a request of this question's own, or from this machine: `fwd=miss` |
/// | `Fallback` | some | came from another provider, since the first failed |
/// | `Failed` | some | says why there is none |
#[derive(Clone, Debug)]
pub struct Answered {
    /// What was found, or why nothing was.
    pub answer: Arc<Answer>,
    /// How it was come by.
    pub outcome: Outcome,
    /// Who gave it, as the configuration calls it; where all failed, who is asked first.
    pub provider: &'static str,
    /// How long ago it was received. None where it has not been kept.
    pub age: Option<Duration>,
    /// For how long after its receipt it counts as new. None where nothing is kept of it.
    pub lifetime: Option<Duration>,
    /// Why the provider that is asked first has not answered just now. None where it has, or was not asked.
    pub failure: Option<Failure>,
}

impl Answered {
    /// An answer from this machine.
    pub(super) fn here(provider: &'static str, answer: Answer) -> Answered {
        let outcome = Outcome::Fetched;
        Answered { answer: Arc::new(answer), outcome, provider, age: None, lifetime: None, failure: None }
    }

    /// For how many seconds more the answer counts as new, below 0 where it is old: `Cache-Status`'s `ttl`. None
    /// where nothing is kept of it.
    pub fn ttl_s(&self) -> Option<i64> {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        Some(seconds(self.lifetime?) - seconds(self.age.unwrap_or_default()))
    }
}

/// How a question went: the metric `proxyherd_places_total`'s label `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered from the cache.
    Hit,
    /// Answered from the cache, though the answer was old.
    Stale,
    /// Answered by a fetch that another question had begun.
    Joined,
    /// Answered by the provider.
    Fetched,
    /// Answered by the provider that stands in for the first.
    Fallback,
    /// Not answered: the status and the message say why.
    Failed,
}

impl Outcome {
    /// Every way a question can go.
    pub const ALL: [Outcome; 6] =
        [Outcome::Hit, Outcome::Stale, Outcome::Joined, Outcome::Fetched, Outcome::Fallback, Outcome::Failed];

    /// The metric's word for it.
    pub fn label(self) -> &'static str {
        match self {
            Outcome::Hit => "hit",
            Outcome::Stale => "stale",
            Outcome::Joined => "joined",
            Outcome::Fetched => "fetched",
            Outcome::Fallback => "fallback",
            Outcome::Failed => "failed",
        }
    }
}

/// One count an outcome, in the order of the enum.
#[derive(Debug, Default)]
pub(super) struct Counts([AtomicU64; Outcome::ALL.len()]);

impl Counts {
    pub(super) fn add(&self, outcome: Outcome) {
        self.0[outcome as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn of(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize].load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use proxyherd_core::places::Status;

    use super::*;

    #[test]
    fn each_outcome_has_a_count_of_its_own() {
        let counts = Counts::default();
        for (times, outcome) in Outcome::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| counts.add(outcome));
        }
        assert_eq!(Outcome::ALL.map(|outcome| counts.of(outcome)), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_is_left_of_a_lifetime_is_told_below_zero_too() {
        for (lifetime, age, ttl_s) in [
            (None, None, None),
            (None, Some(3), None),
            (Some(300), None, Some(300)),
            (Some(300), Some(40), Some(260)),
            (Some(300), Some(340), Some(-40)),
        ] {
            let answered = Answered {
                answer: Arc::new(Answer::failed(Status::UnknownError, "")),
                outcome: Outcome::Hit,
                provider: "scripted",
                age: age.map(Duration::from_secs),
                lifetime: lifetime.map(Duration::from_secs),
                failure: None,
            };
            assert_eq!(answered.ttl_s(), ttl_s, "{lifetime:?} {age:?}");
        }
    }
}
