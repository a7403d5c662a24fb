//! This machine's time and randomness. Core has no clock and takes both as arguments. [`age_text`] tells people a time
//! that has passed.
//!
//! Doors ask for the time at every read, so [`now_ns`] and [`monotonic_ns`] are compiled where they are called: this
//! crate is not optimized for speed.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::LazyLock,
    time::{Instant, SystemTime},
};

/// POSIX time by this machine's clock, nanoseconds. 0 if that clock is before 1970.
#[inline]
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// POSIX time by this machine's clock, whole seconds.
pub fn now_s() -> i64 {
    i64::try_from(now_ns() / 1_000_000_000).unwrap_or(i64::MAX)
}

/// Whether HTTP can write this machine's time as a date. HTTP's dates are those from 1970 to 9999.
pub fn has_date() -> bool {
    /// The first second of the year 10,000.
    const END_S: u64 = 253_402_300_800;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.is_ok_and(|since| since.as_secs() < END_S)
}

/// Nanoseconds since the first call. Unlike [`now_ns`], this time does not jump when somebody sets the clock.
#[inline]
pub fn monotonic_ns() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGAN.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// A time that has passed, in one unit: `90 s`, `5 h`.
pub fn age_text(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A number that nobody outside can predict. It is good enough for jitter and for hash tables, but not for keys.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_one_unit() {
        let told = [0, 119, 120, 7199, 7200, 172_800].map(age_text);
        assert_eq!(told, ["0 s", "119 s", "2 min", "119 min", "2 h", "2 days"]);
    }
}
