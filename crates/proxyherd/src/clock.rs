//! The outside world's time and randomness, which core takes as arguments.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::LazyLock,
    time::{Instant, SystemTime},
};

/// POSIX time by this machine's clock, nanoseconds.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// POSIX time by this machine's clock, whole seconds.
pub fn now_s() -> i64 {
    i64::try_from(now_ns() / 1_000_000_000).unwrap_or(i64::MAX)
}

/// Whether HTTP can write this machine's time as a date: it can from 1970 to 9999.
pub(crate) fn has_date() -> bool {
    /// The first second of the year 10,000.
    const END_S: u64 = 253_402_300_800;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.is_ok_and(|since| since.as_secs() < END_S)
}

/// Time that no clock's setting changes, nanoseconds since this was first asked.
pub fn monotonic_ns() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGAN.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// A number that nobody outside can foresee; good enough for jitter and for scattering tables, not for keys.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
