//! What a request has to pass before it leaves this machine: the provider's breaker, the rate, the budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use proxyherd_core::limits::BREAKER_FAILURES;
use proxyherd_core::places::{Breaker, Cause, Rate, Shut, Verdict};
use tokio::time::Instant;

use super::Allowance;
use crate::{clock, provider::Failure};

/// What all requests of this server share, whomever they go to.
pub(super) struct Toll {
    began: Instant,
    rate: Option<Mutex<Rate>>,
    allowance: Arc<dyn Allowance>,
}

impl Toll {
    /// At most `per_second` requests in any second, 0 for any number, and as many as `allowance` has.
    pub(super) fn new(per_second: u32, allowance: Arc<dyn Allowance>) -> Toll {
        let rate = (per_second > 0).then(|| Mutex::new(Rate::new(per_second)));
        Toll { began: Instant::now(), rate, allowance }
    }

    /// The rate goes first: what it holds back has cost nothing.
    fn take(&self) -> Result<(), (Reason, Failure)> {
        if let Some(rate) = &self.rate {
            let mut rate = rate.lock();
            let taken = rate.take(self.began.elapsed());
            taken.map_err(|wait| (Reason::Rate, Failure::OverLimit { retry_after: Some(wait) }))?;
        }
        match self.allowance.take() {
            true => Ok(()),
            false => Err((Reason::Budget, Failure::OverLimit { retry_after: None })),
        }
    }
}

/// Why a request was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Breaker,
    Rate,
    Budget,
    Flights,
}

impl Reason {
    pub(super) const ALL: [Reason; 4] = [Reason::Breaker, Reason::Rate, Reason::Budget, Reason::Flights];

    /// The metric's word for it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Reason::Breaker => "breaker",
            Reason::Rate => "rate",
            Reason::Budget => "budget",
            Reason::Flights => "flights",
        }
    }
}

/// The way to one provider.
pub(super) struct Gate {
    toll: Arc<Toll>,
    state: Mutex<State>,
    refused: [AtomicU64; Reason::ALL.len()],
}

#[derive(Default)]
struct State {
    breaker: Breaker,
    /// What the provider said when it last refused this herd: it is told for as long as that lasts.
    denial: Option<Failure>,
}

impl Gate {
    pub(super) fn new(toll: Arc<Toll>) -> Gate {
        Gate { toll, state: Mutex::default(), refused: Default::default() }
    }

    /// Lets one request pass, or says why not. What does not pass was never asked, and tells nothing of the provider.
    pub(super) fn pass(self: &Arc<Gate>) -> Result<Permit, Failure> {
        let mut state = self.state.lock();
        let now = self.toll.began.elapsed();
        let passed = match state.breaker.check(now) {
            Err(shut) => Err((Reason::Breaker, state.why(shut))),
            Ok(()) => self.toll.take(),
        };
        if let Err((reason, failure)) = passed {
            return Err(self.refuse(reason, failure));
        }
        state.breaker.begin(now);
        Ok(Permit { gate: Arc::clone(self), is_used: false })
    }

    /// Counts a request that was not made, and hands its failure back.
    pub(super) fn refuse(&self, reason: Reason, failure: Failure) -> Failure {
        self.refused[reason as usize].fetch_add(1, Relaxed);
        failure
    }

    /// How many requests were not made.
    pub(super) fn refused(&self, reason: Reason) -> u64 {
        self.refused[reason as usize].load(Relaxed)
    }

    /// Whether the provider is left alone.
    pub(super) fn is_open(&self) -> bool {
        self.state.lock().breaker.is_open()
    }
}

impl State {
    fn why(&self, shut: Shut) -> Failure {
        match (shut.cause, &self.denial) {
            (Cause::Denied, Some(denial)) => denial.clone(),
            (Cause::OverLimit, _) => Failure::OverLimit { retry_after: Some(shut.remaining) },
            (Cause::Denied | Cause::Failing, _) => {
                let wait_ms = shut.remaining.as_millis();
                let message = format!(
                    "it has failed {BREAKER_FAILURES} times in a row or more, and is left alone for {wait_ms} ms"
                );
                Failure::Unavailable(message)
            }
        }
    }
}

/// One request that may be made. Dropped without a word of how it went, it counts as failed.
pub(super) struct Permit {
    gate: Arc<Gate>,
    is_used: bool,
}

impl Permit {
    /// Tells how the request went.
    pub(super) fn end(mut self, failure: Option<&Failure>) {
        self.tell(verdict(failure), failure);
    }

    fn tell(&mut self, verdict: Verdict, failure: Option<&Failure>) {
        self.is_used = true;
        let mut state = self.gate.state.lock();
        if verdict == Verdict::Denied {
            state.denial = failure.cloned();
        }
        state.breaker.end(self.gate.toll.began.elapsed(), verdict, clock::random());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_used {
            self.tell(Verdict::Failed, None);
        }
    }
}

/// A provider that says a question makes no sense is alive and well.
fn verdict(failure: Option<&Failure>) -> Verdict {
    match failure {
        None | Some(Failure::BadQuery(_)) => Verdict::Answered,
        Some(Failure::Denied(_)) => Verdict::Denied,
        Some(Failure::OverLimit { retry_after }) => Verdict::OverLimit(*retry_after),
        Some(Failure::Unavailable(_) | Failure::Unreadable(_) | Failure::Late(_)) => Verdict::Failed,
    }
}
