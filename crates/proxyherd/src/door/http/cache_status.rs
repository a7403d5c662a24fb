//! The header Cache-Status (RFC 9211), which says how an answer about places was obtained. Pure.

use crate::places::{Answered, Outcome};

/// The value of Cache-Status: the answer was in the cache (`hit`, and for how many seconds more it is fresh), or a provider
/// was asked (`fwd=miss`).
pub(super) fn cache_status(answered: &Answered) -> String {
    let how = match (answered.outcome, &answered.failure) {
        (Outcome::Hit | Outcome::Stale, _) => "hit",
        (Outcome::Joined, _) => "fwd=miss; collapsed",
        (Outcome::Fetched, _) if answered.lifetime.is_some() => "fwd=miss; stored",
        (Outcome::Fetched, _) => "fwd=miss",
        (Outcome::Fallback, _) => "fwd=miss; detail=fallback",
        (Outcome::Failed, _) => "fwd=miss; detail=failed",
    };
    let mut status = format!("proxyherd; {how}");
    if let (Outcome::Hit | Outcome::Stale, Some(ttl_s)) = (answered.outcome, answered.ttl_s()) {
        status += &format!("; ttl={ttl_s}");
    }
    // The provider was asked and failed. RFC 5861 has this name for it.
    if answered.outcome == Outcome::Stale && answered.failure.is_some() {
        status += "; detail=stale-if-error";
    }
    status
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use proxyherd_core::places::Answer;

    use super::*;
    use crate::provider::Failure;

    #[test]
    fn each_outcome_has_its_value() {
        let failure = Some(Failure::Unreadable("no results".to_owned()));
        for (outcome, age_s, lifetime_s, failure, expected) in [
            (Outcome::Hit, Some(177), Some(300), None, "proxyherd; hit; ttl=123"),
            (Outcome::Hit, Some(5), None, None, "proxyherd; hit"),
            (Outcome::Stale, Some(330), Some(300), None, "proxyherd; hit; ttl=-30"),
            (
                Outcome::Stale,
                Some(330),
                Some(300),
                failure.clone(),
                "proxyherd; hit; ttl=-30; detail=stale-if-error",
            ),
            (Outcome::Joined, None, Some(300), None, "proxyherd; fwd=miss; collapsed"),
            (Outcome::Fetched, None, Some(300), None, "proxyherd; fwd=miss; stored"),
            (Outcome::Fetched, None, None, None, "proxyherd; fwd=miss"),
            (Outcome::Fallback, None, None, failure.clone(), "proxyherd; fwd=miss; detail=fallback"),
            (Outcome::Failed, None, None, failure, "proxyherd; fwd=miss; detail=failed"),
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
