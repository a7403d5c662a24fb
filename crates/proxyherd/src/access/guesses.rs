//! Slows down callers that show wrong tokens.
//!
//! The first failures of an address are answered at once. Each further one is answered later than the one before, up to
//! [`DELAY_MAX`]. The door waits; no thread is blocked. An address is forgotten after [`FORGOTTEN_NS`] without a
//! failure. All addresses of one subscriber count as one address. Valid tokens are never slowed, so a stranger behind
//! the same address does not slow the others.

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
/// Maximum number of addresses that are remembered. If they are more, further addresses get the longest delay.
const ADDRESSES_MAX: usize = 65_536;

/// The failures of all addresses.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    by_address: Mutex<HashMap<IpAddr, Failures>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last_ns: u64,
}

impl Guesses {
    /// Counts a failure, and returns the time after which it is to be answered. The time is that of a clock that is
    /// never put back.
    pub(super) fn failed(&self, address: IpAddr, monotonic_ns: u64) -> Duration {
        let mut by_address = self.by_address.lock();
        let address = subscriber(address);
        let is_recent = |failures: &Failures| monotonic_ns.saturating_sub(failures.last_ns) < FORGOTTEN_NS;
        if by_address.len() >= ADDRESSES_MAX && !by_address.contains_key(&address) {
            by_address.retain(|_, failures| is_recent(failures));
            if by_address.len() >= ADDRESSES_MAX {
                return DELAY_MAX;
            }
        }
        let failures = by_address.entry(address).or_insert(Failures { count: 0, last_ns: monotonic_ns });
        if !is_recent(failures) {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last_ns = monotonic_ns;
        delay(failures.count)
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
        let millis: Vec<u128> = (0..10).map(|_| guesses.failed(one, 0).as_millis()).collect();
        assert_eq!(millis, [0, 0, 0, 100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(guesses.failed("127.0.0.2".parse().unwrap(), 0), Duration::ZERO);
        assert_eq!(
            guesses.failed(one, FORGOTTEN_NS),
            Duration::ZERO,
            "a minute later the address begins anew"
        );
        let neighbors = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"];
        let last = neighbors.map(|address| guesses.failed(address.parse().unwrap(), 0))[3];
        assert_eq!(last, DELAY_MIN, "a /64 counts as one address");
    }

    #[test]
    fn when_too_many_addresses_fail_strangers_wait_longest() {
        let guesses = Guesses::default();
        for index in 0..ADDRESSES_MAX as u32 {
            guesses.failed(IpAddr::V4(index.into()), 0);
        }
        let stranger = "255.0.0.1".parse().unwrap();
        assert_eq!(guesses.failed(stranger, 1), DELAY_MAX);
        assert_eq!(guesses.failed(stranger, FORGOTTEN_NS), Duration::ZERO, "the others are forgotten");
    }
}
