//! What the crate takes from the program around it: the time of day, random numbers, and an ear for events.
//!
//! A program makes one [`Environment`] and hands it to [`Places::open`](crate::Places::open). Tests make one with a
//! clock that stands still. How long something takes is measured by the runtime's own clock, not by this one.
//!
//! [`PlacesEvent`] is everything that an operator should hear of. This module does not know how an event is written down.

use std::{fmt, sync::Arc, time::Duration};

use proxyherd_core::places::ShutCause;

use crate::failure::Failure;

/// Nanoseconds in a second.
const SECOND_NS: u64 = 1_000_000_000;

/// The time, random numbers and the observer that a program provides. It is cheap to clone.
#[derive(Clone)]
pub struct Environment {
    /// POSIX time, nanoseconds.
    pub now_ns: fn() -> u64,
    /// A number that nobody outside can foresee. It serves for jitter and not for keys.
    pub random: fn() -> u64,
    /// Hears of every [`PlacesEvent`].
    pub observer: Arc<dyn Observer>,
}

/// Hears of events. A call must not block, because it may come from any thread while a question is being answered.
pub trait Observer: Send + Sync {
    /// Something has happened.
    fn notice(&self, event: &PlacesEvent<'_>);
}

/// Something that an operator should hear of.
#[derive(Debug)]
pub enum PlacesEvent<'a> {
    /// The breaker has opened: nobody asks this provider for `remaining`, and then one request tries it. A provider
    /// that goes on failing in the same way is told of once.
    BreakerOpened {
        /// What operators call the provider.
        provider: &'static str,
        /// For how long it is not asked.
        remaining: Duration,
        /// Why the breaker has opened.
        cause: ShutCause,
        /// The failure that opened it.
        failure: &'a Failure,
    },
    /// The breaker has closed: the provider answers again.
    BreakerClosed {
        /// What operators call the provider.
        provider: &'static str,
    },
    /// The evaluator panicked at the opening hours of a place, which is therefore shown without `open_now`. Each text
    /// is told of once.
    HoursFailed {
        /// The place's ID.
        place_id: &'a str,
        /// Its opening hours, which anybody may have written.
        hours: &'a str,
    },
    /// A search in the index of OpenStreetMap's places panicked. Its question is answered with an error, and other
    /// questions are not affected. Each message is told of once.
    SearchPanicked {
        /// What the panic said.
        message: &'a str,
    },
}

impl Environment {
    /// An environment with this clock and these random numbers. Nobody hears its events.
    pub fn silent(now_ns: fn() -> u64, random: fn() -> u64) -> Environment {
        Environment { now_ns, random, observer: Arc::new(Deaf) }
    }

    /// POSIX time, whole seconds.
    pub(crate) fn now_s(&self) -> i64 {
        i64::try_from((self.now_ns)() / SECOND_NS).unwrap_or(i64::MAX)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}

/// Ignores every event.
struct Deaf;

impl Observer for Deaf {
    fn notice(&self, _event: &PlacesEvent<'_>) {}
}
