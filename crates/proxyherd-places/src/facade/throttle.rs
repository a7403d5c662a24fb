//! Decides whether a request to a provider over the network may be made now.
//!
//! [`Throttle::pass`] checks three limits, in this order: the circuit breaker of the provider, the rate limit of this
//! process, and the quota. If all three allow the request, it returns a [`Permit`]. The caller must report the result
//! of the request to the permit. A refused request was never made, so it says nothing about the provider.
//!
//! The observer gets an event when a breaker opens, with the reason, and when the breaker closes again. This module
//! does not know what a request asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use proxyherd_core::limits::BREAKER_FAILURES;
use proxyherd_core::places::{Breaker, RequestOutcome, Shut, ShutCause};
use proxyherd_core::rate::SlidingWindow;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::{Environment, PlacesEvent, Quota};

/// The limits that all requests of this process share, for all providers together.
pub(super) struct SharedThrottle {
    began: Instant,
    environment: Environment,
    rate: Option<Mutex<SlidingWindow>>,
    quota: Arc<dyn Quota>,
}

impl SharedThrottle {
    /// Allows `per_second` requests in any second (0 means any number), and those that `quota` allows.
    pub(super) fn new(per_second: u32, quota: Arc<dyn Quota>, environment: Environment) -> SharedThrottle {
        let rate = (per_second > 0).then(|| Mutex::new(SlidingWindow::per_second(per_second)));
        SharedThrottle { began: Instant::now(), environment, rate, quota }
    }

    /// Checks the rate limit first, so that a request that the rate limit refuses takes nothing from the quota.
    fn take(&self) -> Result<(), (RefusalReason, Failure)> {
        if let Some(rate) = &self.rate {
            let mut rate = rate.lock();
            let taken = rate.take(self.began.elapsed());
            taken.map_err(|wait| (RefusalReason::Rate, Failure::OverLimit { retry_after: Some(wait) }))?;
        }
        match self.quota.take((self.environment.now_ns)()) {
            true => Ok(()),
            false => Err((RefusalReason::Quota, Failure::OverLimit { retry_after: None })),
        }
    }
}

/// Why a request was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalReason {
    Breaker,
    Rate,
    Quota,
    Flights,
}

impl RefusalReason {
    pub(super) const ALL: [RefusalReason; 4] =
        [RefusalReason::Breaker, RefusalReason::Rate, RefusalReason::Quota, RefusalReason::Flights];

    /// The word for this reason in the metric. The metric, like the settings, calls the quota a budget.
    pub(super) fn label(self) -> &'static str {
        match self {
            RefusalReason::Breaker => "breaker",
            RefusalReason::Rate => "rate",
            RefusalReason::Quota => "budget",
            RefusalReason::Flights => "flights",
        }
    }
}

/// The limits for the requests to one provider.
pub(super) struct Throttle {
    provider: &'static str,
    shared: Arc<SharedThrottle>,
    state: Mutex<ProviderState>,
    refused: [AtomicU64; RefusalReason::ALL.len()],
}

#[derive(Default)]
struct ProviderState {
    breaker: Breaker,
    /// The failure with which the provider last denied its service. Questions get this failure while the breaker is
    /// open for this cause.
    denial: Option<Failure>,
}

impl Throttle {
    pub(super) fn new(provider: &'static str, shared: Arc<SharedThrottle>) -> Throttle {
        Throttle { provider, shared, state: Mutex::default(), refused: Default::default() }
    }

    /// Allows one request, or returns the reason for the refusal.
    pub(super) fn pass(self: &Arc<Throttle>) -> Result<Permit, Failure> {
        let mut state = self.state.lock();
        let now = self.shared.began.elapsed();
        let passed = match state.breaker.check(now) {
            Err(shut) => Err((RefusalReason::Breaker, state.why(shut))),
            Ok(()) => self.shared.take(),
        };
        if let Err((reason, failure)) = passed {
            return Err(self.refuse(reason, failure));
        }
        state.breaker.begin(now);
        Ok(Permit { throttle: Arc::clone(self), state: PermitUse::Pending })
    }

    /// Counts a request that was not made, and returns its failure.
    pub(super) fn refuse(&self, reason: RefusalReason, failure: Failure) -> Failure {
        self.refused[reason as usize].fetch_add(1, Relaxed);
        failure
    }

    /// The number of requests that were refused for this reason.
    pub(super) fn refused(&self, reason: RefusalReason) -> u64 {
        self.refused[reason as usize].load(Relaxed)
    }

    /// Whether the breaker is open.
    pub(super) fn is_open(&self) -> bool {
        self.state.lock().breaker.is_open()
    }

    /// Reports the result of a request to the breaker.
    fn end(&self, verdict: RequestOutcome, failure: Option<&Failure>) {
        let mut state = self.state.lock();
        if verdict == RequestOutcome::Denied {
            state.denial = failure.cloned();
        }
        let (now, before) = (self.shared.began.elapsed(), state.breaker.cause());
        state.breaker.end(now, verdict, (self.shared.environment.random)());
        let (after, shut) = (state.breaker.cause(), state.breaker.check(now).err());
        drop(state);
        if after != before {
            self.tell(shut, failure);
        }
    }

    /// Reports to the observer that the breaker has opened for another cause than before, or that the breaker has
    /// closed. A canceled request has no failure and is not reported, because the process is stopping.
    fn tell(&self, shut: Option<Shut>, failure: Option<&Failure>) {
        let (observer, provider) = (&self.shared.environment.observer, self.provider);
        match (shut, failure) {
            (None, _) => observer.notice(&PlacesEvent::BreakerClosed { provider }),
            (Some(Shut { cause, remaining }), Some(failure)) => {
                observer.notice(&PlacesEvent::BreakerOpened { provider, remaining, cause, failure });
            }
            (Some(_), None) => {}
        }
    }
}

impl ProviderState {
    fn why(&self, shut: Shut) -> Failure {
        match (shut.cause, &self.denial) {
            (ShutCause::Denied, Some(denial)) => denial.clone(),
            (ShutCause::OverLimit, _) => Failure::OverLimit { retry_after: Some(shut.remaining) },
            (ShutCause::Denied | ShutCause::Failing, _) => {
                let wait_ms = shut.remaining.as_millis();
                let message = format!(
                    "it has failed at least {BREAKER_FAILURES} times in a row, so it gets no requests for {wait_ms} ms"
                );
                Failure::Unavailable(message)
            }
        }
    }
}

/// One request that may be made. If it is dropped before [`Permit::end`], the request counts as failed.
pub(super) struct Permit {
    throttle: Arc<Throttle>,
    state: PermitUse,
}

/// Whether the result of a request was reported to its permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PermitUse {
    Pending,
    Ended,
}

impl Permit {
    /// Reports the result of the request.
    pub(super) fn end(mut self, failure: Option<&Failure>) {
        self.state = PermitUse::Ended;
        self.throttle.end(verdict(failure), failure);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.state == PermitUse::Pending {
            self.throttle.end(RequestOutcome::Failed, None);
        }
    }
}

/// What a failure says about the provider. A provider that refuses a question as invalid works well. A provider also
/// works well if its answer found no room in the memory of this process.
fn verdict(failure: Option<&Failure>) -> RequestOutcome {
    match failure {
        None | Some(Failure::BadQuery(_) | Failure::NoRoom) => RequestOutcome::Answered,
        Some(Failure::Denied(_)) => RequestOutcome::Denied,
        Some(Failure::OverLimit { retry_after }) => RequestOutcome::OverLimit(*retry_after),
        Some(Failure::Unavailable(_) | Failure::Unreadable(_) | Failure::Late(_)) => RequestOutcome::Failed,
    }
}
