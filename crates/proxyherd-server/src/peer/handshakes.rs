//! Limits for strangers at the peer port: the number of handshakes in progress, and the number of log lines.
//!
//! Anybody can connect to the peer port. When too many handshakes are in progress, the oldest handshake is dropped. A
//! neighbor's handshake takes milliseconds. So it succeeds even if many strangers keep their handshakes open.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use proxyherd_core::{limits::HANDSHAKES_MAX, rate::FixedWindow};
use tokio_util::sync::CancellationToken;

use crate::subscriber::subscriber;

/// Maximum number of log lines about one address in [`PERIOD`]. The last line says that no more lines follow.
const LINES_MAX: u32 = 20;
const PERIOD: Duration = Duration::from_secs(60);
/// Maximum number of addresses that have their own period. Further addresses share one period.
const ADDRESSES_MAX: usize = 256;

/// The handshakes in progress, oldest first.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    under_way: Mutex<VecDeque<(u64, CancellationToken)>>,
}

/// One handshake, until it is dropped.
#[derive(Debug)]
pub(super) struct Handshake<'a> {
    number: u64,
    gives_way: CancellationToken,
    all: &'a Handshakes,
}

impl Handshakes {
    /// Begins a handshake. If too many handshakes are in progress, the oldest is dropped.
    pub(super) fn begin(&self) -> Handshake<'_> {
        let gives_way = CancellationToken::new();
        let mut under_way = self.under_way.lock();
        if under_way.len() >= HANDSHAKES_MAX
            && let Some((_, oldest)) = under_way.pop_front()
        {
            oldest.cancel();
        }
        let number = under_way.back().map_or(0, |(number, _)| number + 1);
        under_way.push_back((number, gives_way.clone()));
        Handshake { number, gives_way, all: self }
    }
}

impl Handshake<'_> {
    /// The output of `done`. `None` if the handshake is dropped before.
    pub(super) async fn run<T>(&self, done: impl Future<Output = T>) -> Option<T> {
        self.gives_way.run_until_cancelled(done).await
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        let mut under_way = self.all.under_way.lock();
        if let Ok(place) = under_way.binary_search_by_key(&self.number, |(number, _)| *number) {
            under_way.remove(place);
        }
    }
}

/// Whether the log gets a line about a connection that got no link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// The log gets a line.
    Yes,
    /// The log gets a line. The line says that no more lines about this address follow for a while.
    Last,
    /// The log gets no line. The connection still counts.
    No,
}

/// The number of recent log lines about each address.
#[derive(Debug, Default)]
pub(super) struct Tellings {
    periods: Mutex<HashMap<Option<IpAddr>, Period>>,
}

#[derive(Debug)]
struct Period {
    began: Instant,
    lines: FixedWindow,
    /// Reasons that the log has already given.
    reasons: Vec<String>,
}

impl Period {
    fn new(began: Instant) -> Period {
        Period { began, lines: FixedWindow::new(LINES_MAX), reasons: Vec::new() }
    }
}

impl Tellings {
    /// Whether the log gets a line at `now` about a connection from `address` that got no link. The log gives each
    /// `reason` once in a period.
    pub(super) fn allow(&self, address: IpAddr, reason: Option<&str>, now: Instant) -> Telling {
        let mut periods = self.periods.lock();
        let mut key = Some(subscriber(address));
        if !periods.contains_key(&key) && periods.len() >= ADDRESSES_MAX {
            periods.retain(|_, period| now.duration_since(period.began) < PERIOD);
            key = key.filter(|_| periods.len() < ADDRESSES_MAX);
        }
        let period = periods.entry(key).or_insert_with(|| Period::new(now));
        if now.duration_since(period.began) >= PERIOD {
            *period = Period::new(now);
        }
        match reason {
            Some(reason) if period.reasons.iter().any(|told| told == reason) => return Telling::No,
            Some(reason) if !period.lines.is_used_up() => period.reasons.push(reason.to_owned()),
            _ => {}
        }
        match (period.lines.take(1), period.lines.is_used_up()) {
            (0, _) => Telling::No,
            (_, false) => Telling::Yes,
            (_, true) => Telling::Last,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn the_oldest_handshake_gives_way_and_no_other() {
        let all = Handshakes::default();
        let mut begun: Vec<_> = (0..HANDSHAKES_MAX).map(|_| all.begin()).collect();
        drop(begun.remove(1));
        let last = all.begin();
        assert_eq!(begun[0].run(ready(())).await, Some(()), "one had ended, so there was room");
        let one_more = all.begin();
        assert_eq!(begun[0].run(pending::<()>()).await, None);
        for handshake in begun[1..].iter().chain([&last, &one_more]) {
            assert!(!handshake.gives_way.is_cancelled());
        }
        drop((begun, last, one_more));
        assert!(all.under_way.lock().is_empty());
    }

    #[test]
    fn an_address_is_told_of_so_often_in_a_minute_and_no_other_suffers() {
        let tellings = Tellings::default();
        let (now, one, two) = (Instant::now(), [10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        for _ in 1..LINES_MAX {
            assert_eq!(tellings.allow(one, None, now), Telling::Yes);
        }
        assert_eq!(tellings.allow(one, None, now), Telling::Last);
        assert_eq!(tellings.allow(one, None, now), Telling::No);
        assert_eq!(tellings.allow(two, None, now), Telling::Yes);
        assert_eq!(tellings.allow(one, None, now + PERIOD), Telling::Yes);
    }

    #[test]
    fn the_same_reason_is_told_once_in_a_minute() {
        let tellings = Tellings::default();
        let (now, address) = (Instant::now(), [10, 0, 0, 1].into());
        assert_eq!(tellings.allow(address, Some("Eve is no neighbor"), now), Telling::Yes);
        for _ in 0..2 * LINES_MAX {
            assert_eq!(tellings.allow(address, Some("Eve is no neighbor"), now), Telling::No);
        }
        assert_eq!(tellings.allow(address, Some("her clock is off"), now), Telling::Yes);
        assert_eq!(tellings.allow(address, None, now), Telling::Yes, "nothing was used up");
        assert_eq!(tellings.allow(address, Some("Eve is no neighbor"), now + PERIOD), Telling::Yes);
    }

    #[test]
    fn many_addresses_share_what_is_left_until_the_first_are_forgotten() {
        let tellings = Tellings::default();
        let now = Instant::now();
        for number in 0..10 * ADDRESSES_MAX as u32 {
            tellings.allow(IpAddr::V4(number.into()), None, now);
        }
        assert_eq!(tellings.periods.lock().len(), ADDRESSES_MAX + 1);
        assert_eq!(tellings.allow([200, 0, 0, 1].into(), None, now), Telling::No);
        assert_eq!(tellings.allow([200, 0, 0, 1].into(), None, now + PERIOD), Telling::Yes);
        assert_eq!(tellings.periods.lock().len(), 1);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let (tellings, now) = (Tellings::default(), Instant::now());
        let tell = |address: &str| tellings.allow(address.parse().unwrap(), None, now);
        for _ in 0..LINES_MAX {
            tell("2001:db8:1:2:3:4:5:6");
        }
        assert_eq!(tell("2001:db8:1:2::9"), Telling::No);
        assert_eq!(tell("2001:db8:1:3::9"), Telling::Yes);
    }
}
