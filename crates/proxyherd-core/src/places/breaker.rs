//! A circuit breaker: it decides when a provider is not queried.
//!
//! If a provider refuses this herd, was queried too often, or fails again and again, its circuit breaker opens, and the
//! provider is not queried for a while. Then one query probes the provider, and the other queries wait for the outcome.
//! This module does not know what a request is, nor what is answered while the circuit breaker is open. Times are
//! durations since some fixed moment.

use std::time::Duration;

use crate::limits::{
    BREAKER_FAILURES, BREAKER_PAUSE_DENIED, BREAKER_PAUSE_MAX, BREAKER_PAUSE_MIN, BREAKER_PROBE_MAX,
    BREAKER_RETRY_AFTER, BREAKER_RETRY_AFTER_MAX, BREAKER_RETRY_AFTER_MIN,
};

/// The outcome of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// The provider answered, even if the answer is that the query was invalid.
    Answered,
    /// No answer came, or an answer that cannot be read.
    Failed,
    /// The provider refuses to serve this herd.
    Denied,
    /// The provider was queried too often. It may say how long to wait.
    OverLimit(Option<Duration>),
}

/// Why a circuit breaker is open, and the remaining time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shut {
    /// The cause.
    pub cause: ShutCause,
    /// The remaining time. While one query probes the provider, this is the time until that query is given up.
    pub remaining: Duration,
}

/// Why a circuit breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutCause {
    /// The provider failed again and again.
    Failing,
    /// The provider does not serve this herd.
    Denied,
    /// The provider was queried too often.
    OverLimit,
}

/// A circuit breaker for one provider.
#[derive(Clone, Copy, Debug)]
pub struct Breaker {
    state: BreakerState,
    /// The number of times that the breaker has opened for failures since the last answer. Each time the pause doubles.
    trips: u32,
}

#[derive(Clone, Copy, Debug)]
enum BreakerState {
    Closed { failures: u32 },
    Open { until: Duration, cause: ShutCause },
    Probing { until: Duration, cause: ShutCause },
}

impl Default for Breaker {
    fn default() -> Breaker {
        Breaker { state: BreakerState::Closed { failures: 0 }, trips: 0 }
    }
}

impl Breaker {
    /// Whether the provider may be queried now.
    pub fn check(&self, now: Duration) -> Result<(), Shut> {
        match self.state {
            BreakerState::Open { until, cause } | BreakerState::Probing { until, cause } if now < until => {
                Err(Shut { cause, remaining: until - now })
            }
            _ => Ok(()),
        }
    }

    /// Begins a request, which [`Breaker::check`] has just allowed. The first request after a pause is the probe.
    pub fn begin(&mut self, now: Duration) {
        if let BreakerState::Open { cause, .. } | BreakerState::Probing { cause, .. } = self.state {
            // A request whose outcome never comes does not block the provider for ever.
            self.state = BreakerState::Probing { until: now + BREAKER_PROBE_MAX, cause };
        }
    }

    /// Ends a request. `random` adds jitter, so that servers do not retry at the same moments.
    pub fn end(&mut self, now: Duration, verdict: RequestOutcome, random: u64) {
        match (self.state, verdict) {
            // This request began before the breaker opened. The later probe tells more.
            (BreakerState::Open { .. }, RequestOutcome::Answered | RequestOutcome::Failed) => {}
            (_, RequestOutcome::Answered) => *self = Breaker::default(),
            (BreakerState::Closed { failures }, RequestOutcome::Failed)
                if failures + 1 < BREAKER_FAILURES =>
            {
                self.state = BreakerState::Closed { failures: failures + 1 };
            }
            (_, RequestOutcome::Failed) => {
                let pause = jittered(self.next_pause(), random);
                self.open(now + pause, ShutCause::Failing);
            }
            (_, RequestOutcome::Denied) => self.open(now + BREAKER_PAUSE_DENIED, ShutCause::Denied),
            (BreakerState::Open { cause: ShutCause::Denied, .. }, RequestOutcome::OverLimit(_)) => {}
            (_, RequestOutcome::OverLimit(asked)) => {
                let pause = asked.unwrap_or(BREAKER_RETRY_AFTER);
                self.open(
                    now + pause.clamp(BREAKER_RETRY_AFTER_MIN, BREAKER_RETRY_AFTER_MAX),
                    ShutCause::OverLimit,
                );
            }
        }
    }

    /// Whether the breaker is open, including the time in which one query probes the provider.
    pub fn is_open(&self) -> bool {
        self.cause().is_some()
    }

    /// Why the breaker is open, or why only one query probes the provider. `None` if neither is the case.
    pub fn cause(&self) -> Option<ShutCause> {
        match self.state {
            BreakerState::Closed { .. } => None,
            BreakerState::Open { cause, .. } | BreakerState::Probing { cause, .. } => Some(cause),
        }
    }

    /// Opens the breaker. A later cause does not shorten an earlier pause.
    fn open(&mut self, until: Duration, cause: ShutCause) {
        let until = match self.state {
            BreakerState::Open { until: earlier, .. } => until.max(earlier),
            _ => until,
        };
        self.state = BreakerState::Open { until, cause };
    }

    fn next_pause(&mut self) -> Duration {
        let pause = BREAKER_PAUSE_MIN.saturating_mul(1 << self.trips.min(16)).min(BREAKER_PAUSE_MAX);
        self.trips = self.trips.saturating_add(1);
        pause
    }
}

/// A duration between half of a delay and the whole delay.
pub fn jittered(delay: Duration, random: u64) -> Duration {
    delay / 2 + (delay / 2).mul_f64(random as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use RequestOutcome::{Answered, Denied, Failed, OverLimit};

    const LONGEST: u64 = u64::MAX;

    /// Ends consecutive requests, each as soon as the breaker allows one. Returns the time for which the breaker then
    /// stays open.
    fn shut_after(verdicts: &[RequestOutcome]) -> Option<(ShutCause, Duration)> {
        let (mut breaker, mut now) = (Breaker::default(), Duration::from_secs(1000));
        for &verdict in verdicts {
            now += breaker.check(now).err().map_or(Duration::ZERO, |shut| shut.remaining);
            assert_eq!(breaker.check(now), Ok(()), "each pause ends");
            breaker.begin(now);
            breaker.end(now, verdict, LONGEST);
        }
        breaker.check(now).err().map(|shut| (shut.cause, shut.remaining))
    }

    #[test]
    fn it_opens_for_what_will_go_on_and_for_as_long_as_that_may_take() {
        let seconds = Duration::from_secs;
        let failing = |count| vec![Failed; count];
        let then = |mut first: Vec<RequestOutcome>, rest: &[RequestOutcome]| {
            first.extend_from_slice(rest);
            first
        };
        let enough = BREAKER_FAILURES as usize;
        for (verdicts, expected) in [
            (vec![Answered], None),
            (failing(enough - 1), None),
            (then(failing(enough - 1), &[Answered, Failed]), None),
            (failing(enough), Some((ShutCause::Failing, BREAKER_PAUSE_MIN))),
            // Each failed probe doubles the pause, up to the maximum.
            (failing(enough + 1), Some((ShutCause::Failing, BREAKER_PAUSE_MIN * 2))),
            (failing(enough + 2), Some((ShutCause::Failing, BREAKER_PAUSE_MIN * 4))),
            (failing(enough + 100), Some((ShutCause::Failing, BREAKER_PAUSE_MAX))),
            (then(failing(enough), &[Answered]), None),
            (
                then(failing(enough + 9), &then(vec![Answered], &failing(enough))),
                Some((ShutCause::Failing, BREAKER_PAUSE_MIN)),
            ),
            (vec![Denied], Some((ShutCause::Denied, BREAKER_PAUSE_DENIED))),
            (vec![Denied, Denied, Denied], Some((ShutCause::Denied, BREAKER_PAUSE_DENIED))),
            (vec![Denied, Answered], None),
            (vec![OverLimit(Some(seconds(30)))], Some((ShutCause::OverLimit, seconds(30)))),
            (vec![OverLimit(None)], Some((ShutCause::OverLimit, BREAKER_RETRY_AFTER))),
            (vec![OverLimit(Some(seconds(0)))], Some((ShutCause::OverLimit, BREAKER_RETRY_AFTER_MIN))),
            (vec![OverLimit(Some(Duration::MAX))], Some((ShutCause::OverLimit, BREAKER_RETRY_AFTER_MAX))),
            (vec![OverLimit(None), Answered], None),
        ] {
            assert_eq!(shut_after(&verdicts), expected, "{verdicts:?}");
        }
    }

    #[test]
    fn one_question_tries_at_a_time() {
        let mut breaker = Breaker::default();
        breaker.end(Duration::ZERO, Denied, LONGEST);
        let now = BREAKER_PAUSE_DENIED;
        assert_eq!(breaker.check(now), Ok(()));
        breaker.begin(now);
        assert_eq!(breaker.check(now), Err(Shut { cause: ShutCause::Denied, remaining: BREAKER_PROBE_MAX }));
        // The probe has been lost, so another query probes the provider.
        assert_eq!(breaker.check(now + BREAKER_PROBE_MAX), Ok(()));
    }

    #[test]
    fn what_was_asked_before_it_opened_does_not_close_it() {
        let at = Duration::from_secs;
        let mut breaker = Breaker::default();
        breaker.end(at(0), OverLimit(Some(at(60))), LONGEST);
        for (verdict, remaining) in [
            (Answered, at(59)),
            (Failed, at(59)),
            (OverLimit(Some(at(5))), at(59)),
            (OverLimit(Some(at(90))), at(90)),
        ] {
            breaker.end(at(1), verdict, LONGEST);
            assert_eq!(
                breaker.check(at(1)),
                Err(Shut { cause: ShutCause::OverLimit, remaining }),
                "{verdict:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_pause_always_ends(
            steps in proptest::collection::vec((0u8..4, 0u64..100_000, any::<u64>(), any::<bool>()), 0..200),
        ) {
            let (mut breaker, mut now) = (Breaker::default(), Duration::ZERO);
            for (kind, milliseconds, random, is_asked) in steps {
                now += Duration::from_millis(milliseconds);
                if is_asked && breaker.check(now).is_ok() {
                    let was_open = breaker.is_open();
                    breaker.begin(now);
                    prop_assert_eq!(breaker.check(now).is_err(), was_open, "there is only one probe");
                }
                let retry_after = Some(Duration::from_millis(random >> 32));
                let verdict = [Answered, Failed, Denied, OverLimit(retry_after)][usize::from(kind)];
                breaker.end(now, verdict, random);
                if let Err(shut) = breaker.check(now) {
                    prop_assert!(shut.remaining <= BREAKER_RETRY_AFTER_MAX);
                    prop_assert_eq!(breaker.check(now + shut.remaining), Ok(()));
                }
            }
        }

        #[test]
        fn jitter_takes_at_most_half(milliseconds in 0u64..1_000_000, random: u64) {
            let delay = Duration::from_millis(milliseconds);
            let jittered = jittered(delay, random);
            prop_assert!(delay / 2 <= jittered && jittered <= delay);
        }
    }
}
