//! Waits for conditions. All tests of this crate use this module, including the tests in `src`. So do the tests
//! of `proxyherd-commands`.
//!
//! Nothing waits for time to pass. [`eventually`] checks a condition again and again until the condition holds. If the
//! condition never holds, it fails with the name of the condition and the last observation. A check may block, so an
//! asynchronous test that uses this module needs a runtime with several threads.

use std::{
    fmt::Display,
    thread::sleep,
    time::{Duration, Instant},
};

/// Maximum time that a test waits for any condition. This is far longer than any condition needs, even on a busy
/// machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Maximum pause between two checks. Pauses grow up to this time.
const PAUSE_MAX: Duration = Duration::from_millis(10);

/// The outcome of a check. It may be a `Result` whose error describes the observation, an `Option`, or a `bool`.
pub(crate) trait Answer {
    /// The value if the condition holds.
    type Found;

    /// The value if the condition holds. Otherwise the observation in words.
    fn found(self) -> Result<Self::Found, String>;
}

impl<T, E: Display> Answer for Result<T, E> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.map_err(|seen| seen.to_string())
    }
}

impl<T> Answer for Option<T> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".to_owned())
    }
}

impl Answer for bool {
    type Found = ();

    fn found(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("it is not so".to_owned()) }
    }
}

/// Checks until the condition holds. `what` describes the condition. If the condition never holds, this fails and shows
/// the last observation.
pub(crate) fn eventually<A: Answer>(what: &str, ask: impl FnMut() -> A) -> A::Found {
    within(PATIENCE, what, ask)
}

/// [`eventually`] for a condition that must hold within a given time.
pub(crate) fn within<A: Answer>(limit: Duration, what: &str, mut ask: impl FnMut() -> A) -> A::Found {
    let (began, mut pause) = (Instant::now(), Duration::from_millis(1));
    loop {
        match ask().found() {
            Ok(found) => return found,
            Err(seen) if began.elapsed() > limit => panic!("not within {limit:?}: {what}; instead: {seen}"),
            Err(_) => sleep(pause),
        }
        pause = (2 * pause).min(PAUSE_MAX);
    }
}
