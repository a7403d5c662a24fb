//! One question's requests: the first, and those made again where it fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use proxyherd_core::places::{Answer, Query, jittered};
use tokio::time::{Instant, sleep, timeout};

use super::limits::RETRY_DELAY;
use super::throttle::{Gate, Permit};
use crate::Environment;
use crate::provider::{Failure, Provider};

/// How one provider is asked over the network, and how often that went how.
pub(super) struct Requests {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) gate: Arc<Gate>,
    pub(super) retries: u32,
    /// In this time a question is answered or given up, with all its requests.
    pub(super) deadline: Duration,
    pub(super) environment: Environment,
    pub(super) counts: RequestCounts,
}

impl Requests {
    /// Asks until there is an answer, or nothing is left to be tried or no time to try it. The first request has its
    /// permit; each further one has to pass the gate as well.
    ///
    /// While there may be another request, one may take half of the time that is left: a provider that hangs leaves
    /// time to ask it again.
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
            let pause = jittered(RETRY_DELAY.saturating_mul(1 << retry.min(10)), (self.environment.random)());
            if is_last || !may_pass(&failure) || start.elapsed() + pause >= self.deadline {
                return Err(failure);
            }
            sleep(pause).await;
            permit = match self.gate.pass() {
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

/// Whether asking again may help.
fn may_pass(failure: &Failure) -> bool {
    match failure {
        Failure::Unavailable(_) | Failure::Unreadable(_) | Failure::Late(_) => true,
        Failure::BadQuery(_) | Failure::Denied(_) | Failure::OverLimit { .. } | Failure::NoRoom => false,
    }
}

/// The words of the metric's label `result`, in the order of [`place`].
const RESULTS: [&str; 8] =
    ["answered", "bad_query", "denied", "over_limit", "unavailable", "unreadable", "late", "no_room"];

/// How many requests went how.
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
