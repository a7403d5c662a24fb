//! Slows down callers that show wrong tokens.
//!
//! The first failures of an address are answered at once. Each further one is answered later than the one before, up to
//! [`DELAY_MAX`]. The door waits; no thread is blocked. The number of failures of one address that wait at the same
//! time is bounded ([`DELAYED_MAX`]). An address is forgotten after [`FORGOTTEN_NS`] without a failure. All addresses
//! of one subscriber count as one address. Valid tokens are never slowed, so a stranger behind the same address does
//! not slow the others.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use parking_lot::Mutex;

use crate::subscriber::subscriber;

/// Number of failures of an address that are answered at once.
const FREE: u32 = 3;
/// The delay of the first failure that is answered late. It doubles with each further failure.
const DELAY_MIN: Duration = Duration::from_millis(100);
/// The longest delay.
const DELAY_MAX: Duration = Duration::from_secs(2);
/// Time without a failure after which an address is forgotten, nanoseconds.
const FORGOTTEN_NS: u64 = 60_000_000_000;
/// Maximum number of addresses that are remembered. If there are more, further addresses get the longest delay.
const ADDRESSES_MAX: usize = 65_536;

/// Maximum number of failures of an address that begin to wait within [`DELAY_MAX`]. So at most twice as many wait at
/// the same time.
const DELAYED_MAX: u32 = 32;
/// Time between two searches for addresses that can be forgotten, nanoseconds. A search looks at all addresses.
const PURGE_INTERVAL_NS: u64 = 1_000_000_000;

/// The failures of all addresses.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    known: Mutex<KnownGuesses>,
}

#[derive(Debug, Default)]
struct KnownGuesses {
    by_address: HashMap<IpAddr, Failures>,
    /// The time of the last search for addresses that can be forgotten. `None`: there was none.
    purged_ns: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last_ns: u64,
    /// The number of failures that began to wait since `window_ns`.
    delayed: u32,
    window_ns: u64,
}

impl Guesses {
    /// Counts a failure, and returns the time after which it is to be answered. `None`: too many failures of this
    /// address wait. The time is that of a clock that is never put back.
    pub(super) fn failed(&self, address: IpAddr, monotonic_ns: u64) -> Option<Duration> {
        let mut known = self.known.lock();
        let address = subscriber(address);
        if !known.by_address.contains_key(&address) && !known.has_room(monotonic_ns) {
            return Some(DELAY_MAX);
        }
        let new = Failures { count: 0, last_ns: monotonic_ns, delayed: 0, window_ns: monotonic_ns };
        known.by_address.entry(address).or_insert(new).one_more(monotonic_ns)
    }
}

impl KnownGuesses {
    /// Whether there is room for another address. Forgets addresses if there is none, but not for each failure.
    fn has_room(&mut self, monotonic_ns: u64) -> bool {
        let is_due = |purged_ns: u64| monotonic_ns.saturating_sub(purged_ns) >= PURGE_INTERVAL_NS;
        if self.by_address.len() >= ADDRESSES_MAX && self.purged_ns.is_none_or(is_due) {
            self.purged_ns = Some(monotonic_ns);
            self.by_address.retain(|_, failures| failures.is_recent(monotonic_ns));
        }
        self.by_address.len() < ADDRESSES_MAX
    }
}

impl Failures {
    fn is_recent(&self, monotonic_ns: u64) -> bool {
        monotonic_ns.saturating_sub(self.last_ns) < FORGOTTEN_NS
    }

    fn one_more(&mut self, monotonic_ns: u64) -> Option<Duration> {
        if !self.is_recent(monotonic_ns) {
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.last_ns = monotonic_ns;
        let delay = delay(self.count);
        if delay.is_zero() {
            return Some(delay);
        }
        if u128::from(monotonic_ns.saturating_sub(self.window_ns)) >= DELAY_MAX.as_nanos() {
            (self.delayed, self.window_ns) = (0, monotonic_ns);
        }
        self.delayed = self.delayed.saturating_add(1);
        (self.delayed <= DELAYED_MAX).then_some(delay)
    }
}

fn delay(failures: u32) -> Duration {
    match failures.checked_sub(FREE + 1) {
        None => Duration::ZERO,
        Some(doublings) => DELAY_MIN.saturating_mul(1 << doublings.min(10)).min(DELAY_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_after_the_first_ones_takes_longer_up_to_a_bound() {
        let (guesses, one) = (Guesses::default(), "127.0.0.1".parse().unwrap());
        let millis: Vec<u128> = (0..10).map(|_| guesses.failed(one, 0).unwrap().as_millis()).collect();
        assert_eq!(millis, [0, 0, 0, 100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(guesses.failed("127.0.0.2".parse().unwrap(), 0), Some(Duration::ZERO));
        assert_eq!(
            guesses.failed(one, FORGOTTEN_NS),
            Some(Duration::ZERO),
            "a minute later the address begins anew"
        );
        let neighbors = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"];
        let last = neighbors.map(|address| guesses.failed(address.parse().unwrap(), 0))[3];
        assert_eq!(last, Some(DELAY_MIN), "a /64 counts as one address");
    }

    #[test]
    fn when_too_many_addresses_fail_strangers_wait_longest() {
        let guesses = Guesses::default();
        for index in 0..ADDRESSES_MAX as u32 {
            guesses.failed(IpAddr::V4(index.into()), 0);
        }
        let stranger = "255.0.0.1".parse().unwrap();
        assert_eq!(guesses.failed(stranger, 1), Some(DELAY_MAX));
        let later_ns = FORGOTTEN_NS + 1;
        assert_eq!(guesses.failed(stranger, later_ns), Some(Duration::ZERO), "the others are forgotten");
    }

    #[test]
    fn a_full_table_is_searched_at_most_once_a_second() {
        let guesses = Guesses::default();
        for index in 0..ADDRESSES_MAX as u32 {
            guesses.failed(IpAddr::V4(index.into()), 0);
        }
        let stranger = "255.0.0.1".parse().unwrap();
        let almost_ns = FORGOTTEN_NS - 1;
        assert_eq!(guesses.failed(stranger, almost_ns), Some(DELAY_MAX), "this has searched");
        assert_eq!(guesses.failed(stranger, FORGOTTEN_NS), Some(DELAY_MAX), "so this does not search");
        assert_eq!(guesses.failed(stranger, almost_ns + PURGE_INTERVAL_NS), Some(Duration::ZERO));
    }

    #[test]
    fn only_so_many_failures_of_an_address_wait() {
        let (guesses, one) = (Guesses::default(), "127.0.0.1".parse().unwrap());
        let answered: Vec<bool> =
            (0..FREE + DELAYED_MAX + 2).map(|_| guesses.failed(one, 0).is_some()).collect();
        let waiting = (FREE + DELAYED_MAX) as usize;
        assert!(answered[..waiting].iter().all(|&is_answered| is_answered));
        assert_eq!(answered[waiting..], [false, false]);
        assert_eq!(guesses.failed("127.0.0.2".parse().unwrap(), 0), Some(Duration::ZERO));
        let later_ns = DELAY_MAX.as_nanos() as u64;
        assert_eq!(guesses.failed(one, later_ns), Some(DELAY_MAX), "those have been answered");
    }
}
