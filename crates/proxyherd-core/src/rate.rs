//! All rate limiters of the program. A rate limiter decides how often something may happen.
//!
//! There are three rate limiters because they promise different things, and none can keep the promise of another:
//!
//! | type | promise | state | time |
//! |---|---|---|---|
//! | [`LeakyBucket`] and its [`Pace`] | a mean rate after a burst; excess is paid back | one word | an argument |
//! | [`SlidingWindow`] | never more than the limit within *any* second | 16 bytes an event | an argument |
//! | [`FixedWindow`] | the limit in each window, which its owner begins | two words | none |
//!
//! Nothing here reads a clock, waits, or knows what is counted.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

const SECOND: Duration = Duration::from_secs(1);

/// A [`LeakyBucket`] holds the units of one second.
const BURST_NS: u64 = 1_000_000_000;
/// When a bucket is full, it takes nothing until it has room for this many units, or for one unit if one unit is more.
/// Checking again for each single unit would cost more than the unit.
const RESUMED_NS: u64 = BURST_NS / 10;

/// The rate of leaky buckets. A bucket takes the units of one second at once, and loses as many units in each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    interval_ns: u64,
}

/// The part of its [`Pace`] that one source has consumed. The algorithm is the generic cell rate algorithm (ITU-T
/// I.371). The only state is its theoretical arrival time. Threads may share a bucket.
///
/// Times are nanoseconds of a clock that is never put back.
///
/// ```
/// use proxyherd_core::rate::{LeakyBucket, Pace};
/// let (bucket, pace) = (LeakyBucket::default(), Pace::per_second(10).unwrap());
/// assert_eq!(bucket.allowed(pace, 0), Ok(10));
/// bucket.take(pace, 10, 0);
/// assert!(bucket.allowed(pace, 0).is_err());
/// ```
#[derive(Debug, Default)]
pub struct LeakyBucket {
    empty_at_ns: AtomicU64,
}

impl Pace {
    /// A pace of this many units in a second. `None` for 0, which means that there is no limit.
    pub fn per_second(units: u32) -> Option<Pace> {
        BURST_NS.checked_div(units.into()).map(|interval_ns| Pace { interval_ns })
    }
}

impl LeakyBucket {
    /// The number of units that may be taken at `now_ns`, at least one; or the time for which no unit may be taken.
    /// Nothing changes.
    pub fn allowed(&self, pace: Pace, now_ns: u64) -> Result<u64, Duration> {
        let used_ns = self.empty_at_ns.load(Relaxed).saturating_sub(now_ns);
        match BURST_NS.saturating_sub(used_ns) / pace.interval_ns {
            0 => {
                let needed_ns = pace.interval_ns.max(RESUMED_NS);
                Err(Duration::from_nanos(used_ns.saturating_add(needed_ns) - BURST_NS))
            }
            units => Ok(units),
        }
    }

    /// Takes `units`, even if they are more than are allowed. In that case nothing is allowed until the excess is paid
    /// back.
    pub fn take(&self, pace: Pace, units: u64, now_ns: u64) {
        let taken_ns = units.saturating_mul(pace.interval_ns);
        let after = |empty_at_ns: u64| empty_at_ns.max(now_ns).saturating_add(taken_ns);
        let _ = self.empty_at_ns.fetch_update(Relaxed, Relaxed, |empty_at_ns| Some(after(empty_at_ns)));
    }

    /// Whether all taken units are paid back, so that the bucket is like a new one.
    pub fn is_empty(&self, now_ns: u64) -> bool {
        self.empty_at_ns.load(Relaxed) <= now_ns
    }
}

/// Allows at most a number of events in *any* second, not only in the seconds that a clock counts. To do so, it
/// remembers the time of each event of the last second.
///
/// Times are durations since some fixed moment.
#[derive(Clone, Debug)]
pub struct SlidingWindow {
    most: usize,
    taken: VecDeque<Duration>,
}

impl SlidingWindow {
    /// A window that allows at most `most` events, at least 1, in any second.
    pub fn per_second(most: u32) -> SlidingWindow {
        SlidingWindow { most: most.max(1) as usize, taken: VecDeque::new() }
    }

    /// Takes one event, or returns the time until the next event is allowed.
    pub fn take(&mut self, now: Duration) -> Result<(), Duration> {
        while self.taken.front().is_some_and(|&taken| now.saturating_sub(taken) >= SECOND) {
            self.taken.pop_front();
        }
        match self.taken.front() {
            Some(&oldest) if self.taken.len() >= self.most => Err(SECOND - now.saturating_sub(oldest)),
            _ => {
                self.taken.push_back(now);
                Ok(())
            }
        }
    }
}

/// Allows a number of units in each window. Its owner begins a new window by [`FixedWindow::renew`].
///
/// Threads may share it. A refusal costs one load of a word that no thread writes any more. Units that are taken while
/// another thread renews the window may be taken twice.
#[derive(Debug)]
pub struct FixedWindow {
    most: i64,
    /// The number of units left. It is below zero after a batch that was larger than the number left, but never by more
    /// than the sizes of those batches.
    left: AtomicI64,
}

impl FixedWindow {
    /// A limiter with `most` units in each window. The first window begins now.
    pub fn new(most: u32) -> FixedWindow {
        FixedWindow { most: most.into(), left: AtomicI64::new(most.into()) }
    }

    /// The units of a whole window.
    pub fn most(&self) -> u32 {
        u32::try_from(self.most).expect("the limit was made of a u32")
    }

    /// Takes up to `wanted` units, and returns the number of taken units.
    pub fn take(&self, wanted: u64) -> u64 {
        if self.is_used_up() {
            return 0;
        }
        let wanted = i64::try_from(wanted).unwrap_or(i64::MAX / 2);
        let had = self.left.fetch_sub(wanted, Relaxed);
        had.clamp(0, wanted).unsigned_abs()
    }

    /// Begins a new window.
    pub fn renew(&self) {
        self.left.store(self.most, Relaxed);
    }

    /// Whether nothing was taken from this window.
    pub fn is_whole(&self) -> bool {
        self.left.load(Relaxed) == self.most
    }

    /// Whether nothing is left of this window.
    pub fn is_used_up(&self) -> bool {
        self.left.load(Relaxed) <= 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bucket_takes_a_seconds_units_at_once_and_pays_back_what_was_too_much() {
        let pace = Pace::per_second(10).unwrap();
        let (bucket, now, ms) = (LeakyBucket::default(), 100 * BURST_NS, 1_000_000);
        let wait = |ms| Err(Duration::from_millis(ms));
        assert_eq!(bucket.allowed(pace, now), Ok(10));
        bucket.take(pace, 6, now);
        assert_eq!(bucket.allowed(pace, now), Ok(4));
        bucket.take(pace, 4, now);
        assert_eq!(bucket.allowed(pace, now), wait(100));
        bucket.take(pace, 5, now);
        assert_eq!(bucket.allowed(pace, now), wait(600));
        assert_eq!(bucket.allowed(pace, now + 600 * ms), Ok(1));
        assert!(!bucket.is_empty(now + 1499 * ms) && bucket.is_empty(now + 1500 * ms));
        assert_eq!(bucket.allowed(pace, now + 1500 * ms), Ok(10));
        bucket.take(pace, u64::MAX, now);
        assert!(bucket.allowed(pace, now).unwrap_err() > Duration::from_secs(1000));
        assert_eq!(Pace::per_second(0), None);
    }

    #[test]
    fn a_full_bucket_rests_for_a_tenth_of_a_second_and_a_slow_one_for_a_unit() {
        for (per_second, rest_ms) in [(1000, 100), (10, 100), (2, 500), (1, 1000)] {
            let (bucket, pace) = (LeakyBucket::default(), Pace::per_second(per_second).unwrap());
            bucket.take(pace, per_second.into(), 7);
            assert_eq!(bucket.allowed(pace, 7), Err(Duration::from_millis(rest_ms)), "{per_second}");
        }
    }

    #[test]
    fn a_second_holds_the_limit_and_then_there_is_room_again() {
        let at = Duration::from_millis;
        let mut window = SlidingWindow::per_second(2);
        assert_eq!(window.take(at(100)), Ok(()));
        assert_eq!(window.take(at(700)), Ok(()));
        assert_eq!(window.take(at(800)), Err(at(300)));
        assert_eq!(window.take(at(1100)), Ok(()));
        assert_eq!(window.take(at(1101)), Err(at(599)));
        assert_eq!(window.take(at(9000)), Ok(()));
    }

    #[test]
    fn a_fixed_window_gives_what_it_has_and_all_of_it_again_once_it_is_renewed() {
        let window = FixedWindow::new(10);
        assert!(window.is_whole());
        assert_eq!((window.take(4), window.take(8), window.take(1)), (4, 6, 0));
        assert!(window.is_used_up() && !window.is_whole());
        window.renew();
        assert!(window.is_whole());
        assert_eq!((window.take(u64::MAX), window.most()), (10, 10));
        let nothing = FixedWindow::new(0);
        assert!(nothing.is_used_up() && nothing.take(3) == 0);
    }

    #[test]
    fn threads_that_race_take_no_unit_twice() {
        let window = FixedWindow::new(1_000);
        let taken: u64 = std::thread::scope(|scope| {
            let takers: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..500).map(|_| window.take(3)).sum::<u64>())).collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(taken, 1_000);
    }

    proptest! {
        #[test]
        fn no_second_holds_more_and_none_waits_in_vain(
            most in 1u32..6, gaps in proptest::collection::vec(0u64..700, 1..100),
        ) {
            let mut window = SlidingWindow::per_second(most);
            let (mut now, mut let_through) = (Duration::ZERO, Vec::<Duration>::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                let within = let_through.iter().filter(|&&taken| now - taken < SECOND).count();
                let taken = window.take(now);
                prop_assert_eq!(taken.is_ok(), within < most as usize);
                if let Err(wait) = taken {
                    now += wait;
                    prop_assert_eq!(window.take(now), Ok(()));
                }
                let_through.push(now);
            }
        }
    }
}
