//! What asking over a network may take and hold, beside what the operator sets; the breaker's bounds are core's.

use std::time::Duration;

/// How long the first request made again waits, jittered; each further one waits twice as long as the one before.
pub(super) const RETRY_DELAY: Duration = Duration::from_millis(100);
/// How much of the deadline is left to providers on this machine where one over the network is asked first: a quarter,
/// and at most this.
pub(super) const LOCAL_RESERVE_MAX: Duration = Duration::from_millis(250);
/// How often answers that have become good for nothing are looked for.
pub(super) const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// What a cache is laid out for, bytes an answer: twenty places with their texts. Others fit as well.
pub(super) const ANSWER_LEN_USUAL: u64 = 16 * 1024;
/// Most answers that a cache is laid out for.
pub(super) const ANSWERS_USUAL_MAX: u64 = 1 << 20;
/// What the cache itself spends on an answer, bytes: its slot, its place in the order, the counts of what is shared.
pub(super) const ANSWER_OVERHEAD: u64 = 128;
