//! Waiting in unit tests: in the same way as in the tests of whole processes, or next to other tasks of one thread.

#[path = "../../proxyherd/tests/it/harness/wait.rs"]
mod harness;

use std::time::Instant;

use tokio::task::yield_now;

use self::harness::Answer;
pub(crate) use self::harness::{PATIENCE, eventually};

/// [`eventually`] in a runtime of one thread. Between two checks the other tasks continue. Paused time stays paused.
pub(crate) async fn eventually_yielding<A: Answer>(what: &str, mut ask: impl FnMut() -> A) -> A::Found {
    let began = Instant::now();
    loop {
        match ask().found() {
            Ok(found) => return found,
            Err(seen) if began.elapsed() > PATIENCE => {
                panic!("not within {PATIENCE:?}: {what}; instead: {seen}")
            }
            Err(_) => yield_now().await,
        }
    }
}
