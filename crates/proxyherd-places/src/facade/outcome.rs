//! How a question was answered: the data that the caller gets in addition to the answer, and the outcomes that are
//! counted.
//!
//! [`Answered`] holds an answer and information about its origin. This is enough to write a `Cache-Status` field (RFC
//! 9211). This module does not know any protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use proxyherd_core::places::Answer;

use crate::failure::Failure;

/// An answer and how it was obtained.
///
/// | `outcome` | `failure` | the answer |
/// |---|---|---|
/// | `Hit` | none | came from the cache, and counts as new: `hit` |
/// | `Stale` | none | came from the cache and is old; a request is renewing it: `hit` with a `ttl` below 0 |
/// | `Stale` | some | came from the cache and is old, because its provider failed: stale-if-error |
/// | `Joined` | none | came by a request that another question had started: `fwd=miss; collapsed` |
/// | `Fetched` | none | came by a request of this question's own, or from this machine: `fwd=miss` |
/// | `Fallback` | some | came from another provider, because the first one failed |
/// | `Failed` | some | has no places, and says why |
#[derive(Clone, Debug)]
pub struct Answered {
    /// The places that were found, or why there are none.
    pub answer: Arc<Answer>,
    /// How the answer was obtained.
    pub outcome: LookupOutcome,
    /// The operators' name for the provider that gave the answer. If all providers failed, this is the first provider.
    pub provider: &'static str,
    /// Time since the answer was received. `None` if the answer did not come from the cache.
    pub age: Option<Duration>,
    /// Time after its receipt for which the answer counts as new. `None` if the answer is not kept.
    pub lifetime: Option<Duration>,
    /// Why the first provider has not answered this question. `None` if the provider has answered or was not asked.
    pub failure: Option<Failure>,
}

impl Answered {
    /// An answer from this machine.
    pub(super) fn here(provider: &'static str, answer: Answer) -> Answered {
        let outcome = LookupOutcome::Fetched;
        Answered { answer: Arc::new(answer), outcome, provider, age: None, lifetime: None, failure: None }
    }

    /// The number of seconds for which the answer still counts as new: the `ttl` of `Cache-Status`. The number is below
    /// 0 if the answer is old. `None` if the answer is not kept.
    pub fn ttl_s(&self) -> Option<i64> {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        Some(seconds(self.lifetime?) - seconds(self.age.unwrap_or_default()))
    }
}

/// How a question was answered: the label `result` of the metric `proxyherd_places_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookupOutcome {
    /// From the cache.
    Hit,
    /// From the cache, although the answer was old.
    Stale,
    /// By a request that another question had started.
    Joined,
    /// By the first provider.
    Fetched,
    /// By another provider, because the first one failed.
    Fallback,
    /// The question was not answered. The answer's status and message say why.
    Failed,
}

impl LookupOutcome {
    /// Every way in which a question can be answered.
    pub const ALL: [LookupOutcome; 6] = [
        LookupOutcome::Hit,
        LookupOutcome::Stale,
        LookupOutcome::Joined,
        LookupOutcome::Fetched,
        LookupOutcome::Fallback,
        LookupOutcome::Failed,
    ];

    /// The word for this outcome in the metric.
    pub fn label(self) -> &'static str {
        match self {
            LookupOutcome::Hit => "hit",
            LookupOutcome::Stale => "stale",
            LookupOutcome::Joined => "joined",
            LookupOutcome::Fetched => "fetched",
            LookupOutcome::Fallback => "fallback",
            LookupOutcome::Failed => "failed",
        }
    }
}

/// The number of questions with each outcome, in the order of the enum.
#[derive(Debug, Default)]
pub(super) struct OutcomeCounts([AtomicU64; LookupOutcome::ALL.len()]);

impl OutcomeCounts {
    pub(super) fn add(&self, outcome: LookupOutcome) {
        self.0[outcome as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn of(&self, outcome: LookupOutcome) -> u64 {
        self.0[outcome as usize].load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use proxyherd_core::places::AnswerStatus;

    use super::*;

    #[test]
    fn each_outcome_has_a_count_of_its_own() {
        let counts = OutcomeCounts::default();
        for (times, outcome) in LookupOutcome::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| counts.add(outcome));
        }
        assert_eq!(LookupOutcome::ALL.map(|outcome| counts.of(outcome)), [0, 1, 2, 3, 4, 5]);
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
                answer: Arc::new(Answer::failed(AnswerStatus::UnknownError, "")),
                outcome: LookupOutcome::Hit,
                provider: "scripted",
                age: age.map(Duration::from_secs),
                lifetime: lifetime.map(Duration::from_secs),
                failure: None,
            };
            assert_eq!(answered.ttl_s(), ttl_s, "{lifetime:?} {age:?}");
        }
    }
}
