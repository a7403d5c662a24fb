//! Waiting for something to be so.

use std::{
    fmt::Display,
    thread::sleep,
    time::{Duration, Instant},
};

/// How long anything may take before a test gives up on it: far longer than it ever takes, even on a machine that
/// has other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// Asks until the answer is `Ok`; the error says what was seen instead, and the last one is shown.
pub(crate) fn eventually<T, E: Display>(what: &str, ask: impl FnMut() -> Result<T, E>) -> T {
    within(PATIENCE, what, ask)
}

/// [`eventually`], for what has to be so by a certain time.
pub(crate) fn within<T, E: Display>(limit: Duration, what: &str, mut ask: impl FnMut() -> Result<T, E>) -> T {
    let began = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(seen) if began.elapsed() > limit => panic!("not within {limit:?}: {what}; instead: {seen}"),
            Err(_) => sleep(LOOK_AGAIN_AFTER),
        }
    }
}
