//! The things that the program provides for this crate: the time of day, random numbers, and an observer of events.
//!
//! A program makes one [`Environment`] and passes it to [`Places::open`](crate::Places::open). Tests make an
//! environment with a clock that stands still. Durations are measured with the runtime's own clock, and not with this
//! clock.
//!
//! A [`PlacesEvent`] is an event that an operator should know of. This module does not know how an event is logged.

use std::{fmt, sync::Arc, time::Duration};

use proxyherd_core::places::ShutCause;

use crate::failure::Failure;

/// Nanoseconds in a second.
const SECOND_NS: u64 = 1_000_000_000;

/// The time, random numbers and the observer that a program provides. An environment is cheap to clone.
#[derive(Clone)]
pub struct Environment {
    /// POSIX time, nanoseconds.
    pub now_ns: fn() -> u64,
    /// A random number that outsiders cannot predict. It is good enough for jitter, but not for keys.
    pub random: fn() -> u64,
    /// Gets every [`PlacesEvent`].
    pub observer: Arc<dyn Observer>,
}

/// Gets events. A call must not block, because it may come from any thread while a question is being answered.
pub trait Observer: Send + Sync {
    /// Called when an event has happened.
    fn notice(&self, event: &PlacesEvent<'_>);
}

/// An event that an operator should know of.
#[derive(Debug)]
pub enum PlacesEvent<'a> {
    /// The breaker has opened: this provider gets no requests for the time `remaining`, and then one trial request. If
    /// a provider continues to fail in the same way, the event is sent only once.
    BreakerOpened {
        /// What operators call the provider.
        provider: &'static str,
        /// The time for which the provider gets no requests.
        remaining: Duration,
        /// Why the breaker has opened.
        cause: ShutCause,
        /// The failure that opened the breaker.
        failure: &'a Failure,
    },
    /// The breaker has closed: the provider answers again.
    BreakerClosed {
        /// What operators call the provider.
        provider: &'static str,
    },
    /// The evaluator panicked at the opening hours of a place, which is therefore shown without `open_now`. The event
    /// is sent once for each text.
    HoursFailed {
        /// The place's ID.
        place_id: &'a str,
        /// Its opening hours, which anybody may have written.
        hours: &'a str,
    },
    /// A search in the index of OpenStreetMap's places panicked. Its question is answered with an error, and other
    /// questions are not affected. The event is sent once for each message.
    SearchPanicked {
        /// The panic's message.
        message: &'a str,
    },
    /// A block of the index of OpenStreetMap's places cannot be read. Questions that need the block are answered with
    /// an error, and a map does without the labels of the block. The event is sent once for each block.
    BlockUnreadable {
        /// The block's number in the index.
        block: u32,
        /// Why the block cannot be read.
        why: &'a str,
    },
}

impl Environment {
    /// An environment with this clock and these random numbers. Its events are ignored.
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
