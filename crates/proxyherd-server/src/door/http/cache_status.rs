//! The header Cache-Status (RFC 9211), which says how an answer about places was obtained. Pure.

use crate::places::{Answered, LookupOutcome};

/// The value of Cache-Status. `hit`: the answer was in the cache, and `ttl` is the number of seconds for which the
/// answer will still be fresh. `fwd=miss`: the server asked a provider.
pub(super) fn cache_status(answered: &Answered) -> String {
    let how = match (answered.outcome, &answered.failure) {
        (LookupOutcome::Hit | LookupOutcome::Stale, _) => "hit",
        (LookupOutcome::Joined, _) => "fwd=miss; collapsed",
        (LookupOutcome::Fetched, _) if answered.lifetime.is_some() => "fwd=miss; stored",
        (LookupOutcome::Fetched, _) => "fwd=miss",
        (LookupOutcome::Fallback, _) => "fwd=miss; detail=fallback",
        (LookupOutcome::Failed, _) => "fwd=miss; detail=failed",
    };
    let mut status = format!("proxyherd; {how}");
    if let (LookupOutcome::Hit | LookupOutcome::Stale, Some(ttl_s)) = (answered.outcome, answered.ttl_s()) {
        status += &format!("; ttl={ttl_s}");
    }
    // The provider failed, and the answer is an old one from the cache. RFC 5861 calls this stale-if-error.
    if answered.outcome == LookupOutcome::Stale && answered.failure.is_some() {
        status += "; detail=stale-if-error";
    }
    status
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use proxyherd_core::places::Answer;

    use super::*;
    use crate::places::Failure;

    #[test]
    fn each_outcome_has_its_value() {
        let failure = Some(Failure::Unreadable("no results".to_owned()));
        for (outcome, age_s, lifetime_s, failure, expected) in [
            (LookupOutcome::Hit, Some(177), Some(300), None, "proxyherd; hit; ttl=123"),
            (LookupOutcome::Hit, Some(5), None, None, "proxyherd; hit"),
            (LookupOutcome::Stale, Some(330), Some(300), None, "proxyherd; hit; ttl=-30"),
            (
                LookupOutcome::Stale,
                Some(330),
                Some(300),
                failure.clone(),
                "proxyherd; hit; ttl=-30; detail=stale-if-error",
            ),
            (LookupOutcome::Joined, None, Some(300), None, "proxyherd; fwd=miss; collapsed"),
            (LookupOutcome::Fetched, None, Some(300), None, "proxyherd; fwd=miss; stored"),
            (LookupOutcome::Fetched, None, None, None, "proxyherd; fwd=miss"),
            (LookupOutcome::Fallback, None, None, failure.clone(), "proxyherd; fwd=miss; detail=fallback"),
            (LookupOutcome::Failed, None, None, failure, "proxyherd; fwd=miss; detail=failed"),
        ] {
            let answered = Answered {
                answer: Arc::new(Answer::found(vec![], vec![])),
                outcome,
                provider: "google",
                age: age_s.map(Duration::from_secs),
                lifetime: lifetime_s.map(Duration::from_secs),
                failure,
            };
            assert_eq!(cache_status(&answered), expected);
        }
    }
}
