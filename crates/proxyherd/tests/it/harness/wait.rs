//! Waiting for something to be so: the one way for all tests of this crate, those in `src` too.
//!
//! Nothing waits for time to pass. [`eventually`] asks again and again until the answer is yes, and fails with what it
//! waited for and what it saw instead. Asking may block, so an asynchronous test that uses it needs a runtime of
//! several threads.

use std::{
    fmt::Display,
    thread::sleep,
    time::{Duration, Instant},
};

/// How long anything may take before a test gives up on it: far longer than it ever takes, even on a machine that
/// has other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Pauses between questions grow up to this.
const PAUSE_MAX: Duration = Duration::from_millis(10);

/// What a test sees when it asks: a result, whose error says what was seen; something or nothing; yes or no.
pub(crate) trait Answer {
    /// What a yes brings.
    type Found;

    /// What was found, or in words what was seen instead.
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

/// Asks until the answer is yes. `what` names what is waited for, and the last answer is shown if it never is.
pub(crate) fn eventually<A: Answer>(what: &str, ask: impl FnMut() -> A) -> A::Found {
    within(PATIENCE, what, ask)
}

/// [`eventually`], for what has to be so by a certain time.
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
