//! Repeats a failed request, while there is time and another request may succeed.
//!
//! [`Retrying::ask`] makes the requests of one question to one provider over the network. Every request passes the
//! throttle first and is counted by its result. All requests of a question together end within the deadline. This
//! module does not know the callers that wait for the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use proxyherd_core::places::{Answer, Query, jittered};
use tokio::time::{Instant, sleep, timeout};

use super::throttle::{Permit, Throttle};
use crate::Environment;
use crate::failure::Failure;
use crate::provider::Provider;

/// The pause before the first retry, without jitter. Each further pause is twice as long.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// A provider over the network whose requests are repeated, and the counts of their results.
pub(super) struct Retrying {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) throttle: Arc<Throttle>,
    /// Maximum number of requests after the first request.
    pub(super) retries: u32,
    /// The time within which all requests of a question end.
    pub(super) deadline: Duration,
    pub(super) environment: Environment,
    pub(super) counts: RequestCounts,
}

impl Retrying {
    /// Sends requests until there is an answer. Stops if another request would be useless or too late, or if the
    /// throttle refuses it. `permit` is for the first request.
    ///
    /// Every request except for the last may use half of the time that is left. So even if the provider hangs, there is
    /// time for another request.
    pub(super) async fn ask(&self, query: &Query, mut permit: Permit) -> Result<Answer, Failure> {
        let start = Instant::now();
        let mut retry = 0;
        loop {
            let left = self.deadline.saturating_sub(start.elapsed());
            let is_last = retry == self.retries;
            let failure = match self.once(query, permit, if is_last { left } else { left / 2 }).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Late(_)) => Failure::Late(start.elapsed()),
                Err(failure) => failure,
            };
            let delay = RETRY_DELAY.saturating_mul(1 << retry.min(10));
            let pause = jittered(delay, (self.environment.random)());
            if is_last || !may_pass(&failure) || start.elapsed() + pause >= self.deadline {
                return Err(failure);
            }
            sleep(pause).await;
            permit = match self.throttle.pass() {
                Ok(permit) => permit,
                Err(_) => return Err(failure),
            };
            retry += 1;
        }
    }

    async fn once(&self, query: &Query, permit: Permit, within: Duration) -> Result<Answer, Failure> {
        let outcome = match timeout(within, self.provider.nearby(query)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::Late(within)),
        };
        permit.end(outcome.as_ref().err());
        self.counts.add(outcome.as_ref().err());
        outcome
    }
}

/// Whether another request may succeed after this failure.
fn may_pass(failure: &Failure) -> bool {
    match failure {
        Failure::Unavailable(_) | Failure::Unreadable(_) | Failure::Late(_) => true,
        Failure::BadQuery(_) | Failure::Denied(_) | Failure::OverLimit { .. } | Failure::NoRoom => false,
    }
}

/// The words of the metric's label `result`, in the order of [`place`].
const RESULTS: [&str; 8] =
    ["answered", "bad_query", "denied", "over_limit", "unavailable", "unreadable", "late", "no_room"];

/// The number of requests by their result.
#[derive(Debug, Default)]
pub(super) struct RequestCounts([AtomicU64; RESULTS.len()]);

impl RequestCounts {
    fn add(&self, failure: Option<&Failure>) {
        self.0[place(failure)].fetch_add(1, Relaxed);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RESULTS.into_iter().zip(self.0.iter().map(|count| count.load(Relaxed)))
    }
}

fn place(failure: Option<&Failure>) -> usize {
    match failure {
        None => 0,
        Some(Failure::BadQuery(_)) => 1,
        Some(Failure::Denied(_)) => 2,
        Some(Failure::OverLimit { .. }) => 3,
        Some(Failure::Unavailable(_)) => 4,
        Some(Failure::Unreadable(_)) => 5,
        Some(Failure::Late(_)) => 6,
        Some(Failure::NoRoom) => 7,
    }
}
