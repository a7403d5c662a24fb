//! What a request has to pass before it leaves this machine: the provider's breaker, the rate, the budget.
//!
//! The log hears when a provider comes to be left alone, why, and when it answers again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use proxyherd_core::{
    limits::BREAKER_FAILURES,
    places::{Breaker, Cause, Shut, Verdict},
    rate::SlidingWindow,
};
use tokio::time::Instant;

use super::Allowance;
use crate::{
    clock,
    log::{LogLevel, ServerLog, Subject},
    provider::Failure,
};

/// What all requests of this server share, whomever they go to.
pub(super) struct Toll {
    began: Instant,
    log: ServerLog,
    rate: Option<Mutex<SlidingWindow>>,
    allowance: Arc<dyn Allowance>,
}

impl Toll {
    /// At most `per_second` requests in any second, 0 for any number, and as many as `allowance` has.
    pub(super) fn new(per_second: u32, allowance: Arc<dyn Allowance>, log: ServerLog) -> Toll {
        let rate = (per_second > 0).then(|| Mutex::new(SlidingWindow::per_second(per_second)));
        Toll { began: Instant::now(), log, rate, allowance }
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
    provider: &'static str,
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
    pub(super) fn new(provider: &'static str, toll: Arc<Toll>) -> Gate {
        Gate { provider, toll, state: Mutex::default(), refused: Default::default() }
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

    /// A request has come to its end.
    fn end(&self, verdict: Verdict, failure: Option<&Failure>) {
        let mut state = self.state.lock();
        if verdict == Verdict::Denied {
            state.denial = failure.cloned();
        }
        let (now, before) = (self.toll.began.elapsed(), state.breaker.cause());
        state.breaker.end(now, verdict, clock::random());
        let (after, shut) = (state.breaker.cause(), state.breaker.check(now).err());
        drop(state);
        if after != before {
            self.tell(shut, failure);
        }
    }

    /// A provider that goes on failing is told of once, however often it is tried meanwhile. A request that was broken
    /// off has nothing to tell: the server is stopping.
    fn tell(&self, shut: Option<Shut>, failure: Option<&Failure>) {
        let (log, name) = (&self.toll.log, self.provider);
        match (shut, failure) {
            (None, _) => log.event(LogLevel::Info, Subject::Places, format_args!("{name} answers again")),
            (Some(Shut { cause, remaining }), Some(failure)) => {
                let (seconds, advice) = (remaining.as_secs_f64(), advice(cause));
                let message = format_args!(
                    "{name} is left alone for {seconds:.1} s, then tried again: {failure}{advice}"
                );
                log.event(LogLevel::Warn, Subject::Places, message);
            }
            (Some(_), None) => {}
        }
    }
}

/// What an operator can do.
fn advice(cause: Cause) -> &'static str {
    match cause {
        Cause::Denied => "; see to its key and account",
        Cause::OverLimit => "; `per_second` and the cache's ages bound how often it is asked",
        Cause::Failing => "",
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
        self.is_used = true;
        self.gate.end(verdict(failure), failure);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_used {
            self.gate.end(Verdict::Failed, None);
        }
    }
}

/// A provider that refuses a question as invalid works well. So does one whose answer found no room in this process.
fn verdict(failure: Option<&Failure>) -> Verdict {
    match failure {
        None | Some(Failure::BadQuery(_) | Failure::NoRoom) => Verdict::Answered,
        Some(Failure::Denied(_)) => Verdict::Denied,
        Some(Failure::OverLimit { retry_after }) => Verdict::OverLimit(*retry_after),
        Some(Failure::Unavailable(_) | Failure::Unreadable(_) | Failure::Late(_)) => Verdict::Failed,
    }
}
