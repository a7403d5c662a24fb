//! Answers questions about places for every door: always well formed, always within the deadline.
//!
//! The doors ask here and nowhere else. This module does not know where answers come from, which is the
//! provider's business, nor how they leave. It is where caching, retries and fallbacks will stand.

mod allowance;
mod outcome;

use std::sync::Arc;
use std::time::Duration;

use proxyherd_core::limits::PLACES_MAX;
use proxyherd_core::places::{Answer, Query};
use tokio::time::timeout;

use crate::config;
use crate::provider::{self, Failure, OpenError, Provider};

pub use allowance::{Allowance, Unlimited};
use outcome::Counts;
pub use outcome::{Answered, Outcome};

/// The configured providers, the deadline, and the count of how it went.
pub struct Places {
    provider: Arc<dyn Provider>,
    deadline: Duration,
    counts: Counts,
}

impl Places {
    /// Opens the providers that `config` names. Whatever they are asked over the network is taken from `allowance`.
    pub fn open(config: &config::Places, allowance: Arc<dyn Allowance>) -> Result<Places, OpenError> {
        drop(allowance); // Nothing is asked over the network yet.
        Ok(Places::new(provider::open(config.provider, config)?, config.deadline))
    }

    /// Questions go to `provider`; one that it has not answered after `deadline` is given up.
    fn new(provider: Arc<dyn Provider>, deadline: Duration) -> Places {
        Places { provider, deadline, counts: Counts::default() }
    }

    /// What the configuration calls the provider.
    pub fn provider_name(&self) -> &'static str {
        self.provider.name()
    }

    /// Appends the answer as JSON with at most `limit` results, if it is at hand; otherwise appends nothing
    /// and says false, and [`Places::answer`] will have to wait for it.
    pub fn answer_now(&self, query: &Query, limit: usize, out: &mut Vec<u8>) -> bool {
        let Some(answer) = self.provider.nearby_now(query, limit.clamp(1, PLACES_MAX.into())) else {
            return false;
        };
        self.counts.add(Outcome::Fetched);
        answer.write_json(limit, out);
        true
    }

    /// Appends the answer as JSON with at most `limit` results, within the deadline. If there is none, the
    /// JSON says why.
    pub async fn answer(&self, query: &Query, limit: usize, out: &mut Vec<u8>) {
        if !self.answer_now(query, limit, out) {
            self.ask(query).await.answer.write_json(limit, out);
        }
    }

    /// The answer, within the deadline. If there is none, it says why.
    pub async fn ask(&self, query: &Query) -> Answered {
        let (answer, outcome, failure) = match self.fetched(query).await {
            Ok(answer) => (answer, Outcome::Fetched, None),
            Err(failure) => (Answer::from(&failure), Outcome::Failed, Some(failure)),
        };
        self.counts.add(outcome);
        let provider = self.provider.name();
        Answered { answer: Arc::new(answer), outcome, provider, age: None, lifetime: None, failure }
    }

    /// How many questions went this way since the start.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.counts.of(outcome)
    }

    async fn fetched(&self, query: &Query) -> Result<Answer, Failure> {
        match timeout(self.deadline, self.provider.nearby(query)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::Late(self.deadline)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proxyherd_core::places::{Geometry, Place, Point, Viewport};
    use serde_json::Value;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::provider::{Embedded, Pending};

    /// Waits, then gives the outcome that it was made with.
    struct Slow(Duration, Result<Answer, Failure>);

    impl Provider for Slow {
        fn name(&self) -> &'static str {
            "slow"
        }

        fn nearby<'a>(&'a self, _query: &'a Query) -> Pending<'a> {
            Box::pin(async {
                sleep(self.0).await;
                self.1.clone()
            })
        }
    }

    const DEADLINE: Duration = Duration::from_millis(5000);

    fn places(provider: impl Provider + 'static) -> Places {
        Places::new(Arc::new(provider), DEADLINE)
    }

    fn query() -> Query {
        Query::within(Point::new(34.068930, -118.445127).unwrap(), 10_000.0).unwrap()
    }

    fn answer_of(count: usize) -> Answer {
        let corner = Point::new(1.0, 2.0).unwrap();
        let geometry =
            Geometry { location: corner, viewport: Viewport { northeast: corner, southwest: corner } };
        let place = |number: usize| Place::new(format!("id {number}"), format!("place {number}"), geometry);
        Answer::found((0..count).map(place).collect(), vec![])
    }

    async fn asked(places: &Places, limit: usize) -> Value {
        let mut out = b"AT\n".to_vec();
        places.answer(&query(), limit, &mut out).await;
        serde_json::from_slice(out.strip_prefix(b"AT\n").unwrap()).unwrap()
    }

    fn counts(places: &Places) -> Vec<(&'static str, u64)> {
        let counts = Outcome::ALL.into_iter().map(|outcome| (outcome.label(), places.count(outcome)));
        counts.filter(|&(_, count)| count > 0).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_never_answers_is_given_up_at_the_deadline() {
        let places = places(Slow(Duration::MAX, Ok(answer_of(1))));
        let start = Instant::now();
        let answer = asked(&places, 5).await;
        assert_eq!(start.elapsed(), DEADLINE);
        assert_eq!(answer["status"], "UNKNOWN_ERROR");
        assert_eq!(answer["error_message"], "the places provider did not answer within 5000 ms");
        assert_eq!(answer["results"], Value::Array(vec![]));
        assert_eq!(counts(&places), [("failed", 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_just_before_the_deadline_counts() {
        let places = places(Slow(DEADLINE - Duration::from_millis(1), Ok(answer_of(7))));
        let answer = asked(&places, 5).await;
        assert_eq!(answer["status"], "OK");
        assert_eq!(answer["results"].as_array().unwrap().len(), 5);
        assert_eq!(counts(&places), [("fetched", 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_a_well_formed_answer() {
        let places = places(Slow(Duration::ZERO, Err(Failure::Denied("no such key".into()))));
        let answer = asked(&places, 5).await;
        assert_eq!(answer["status"], "REQUEST_DENIED");
        assert_eq!(answer["error_message"], "the places provider refused this server: no such key");
        assert_eq!(counts(&places), [("failed", 1)]);
    }

    #[test]
    fn a_provider_that_has_to_wait_appends_nothing_now() {
        let mut out = b"AT\n".to_vec();
        let places = places(Slow(Duration::ZERO, Ok(answer_of(1))));
        assert!(!places.answer_now(&query(), 5, &mut out));
        assert_eq!(out, b"AT\n");
        assert_eq!(counts(&places), []);
    }

    #[tokio::test]
    async fn the_embedded_provider_answers_now_up_to_the_limit() {
        let places = places(Embedded);
        assert_eq!(places.provider_name(), "embedded");
        for (limit, count) in [(0, 0), (1, 1), (5, 5), (20, 15), (99, 15)] {
            let mut out = Vec::new();
            assert!(places.answer_now(&query(), limit, &mut out));
            let answer: Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(answer["status"], "OK", "{limit}");
            assert_eq!(answer["results"].as_array().unwrap().len(), count, "{limit}");
            assert_eq!(asked(&places, limit).await, answer);
        }
        assert_eq!(counts(&places), [("fetched", 10)]);
    }
}
