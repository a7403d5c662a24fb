//! Limits the number of requests to providers over the network.
//!
//! Each request is first taken from a [`Quota`]. A program that limits requests per day and per month for several
//! servers together uses a [`ReservedQuota`]. The part of the program that keeps the books reserves requests in advance
//! and adds them to the quota. So [`Quota::take`] waits neither for a disk nor for another server. Settings, metrics
//! and the books call the quota the *places budget*.
//!
//! Invariant: a reserved request is taken at most once, and only on the day (UTC) on which it was reserved. This module
//! does not know who keeps the books, or for how many servers.

use parking_lot::Mutex;
use proxyherd_core::places::quota::{Period, ReserveNews, Span, Standing};
use tokio::sync::Notify;

/// Requests that may still be made.
pub trait Quota: Send + Sync {
    /// Takes one request at `now_ns`, POSIX time. Returns false if no request is left. This is called before every
    /// request, even before a retry, so it must not block.
    fn take(&self, now_ns: u64) -> bool;
}

/// A quota without a limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlimited;

impl Quota for Unlimited {
    fn take(&self, _now_ns: u64) -> bool {
        true
    }
}

/// What [`ReservedQuota::take_news`] does with the requests that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The requests stay in the quota.
    Keep,
    /// The requests are returned to the keeper of the books.
    Return,
}

/// Requests that were reserved for one server.
#[derive(Debug, Default)]
pub struct ReservedQuota {
    reserved: Mutex<Reserved>,
    low: Notify,
}

#[derive(Debug, Default)]
struct Reserved {
    left: u64,
    /// The day for which the requests were reserved.
    day: Option<Period>,
    /// If fewer requests than this are left, more requests must be reserved.
    low: u64,
    asked: u64,
    taken: u64,
    standings: Vec<Standing>,
}

impl ReservedQuota {
    /// The changes since the last call.
    pub fn take_news(&self, rest: Rest) -> ReserveNews {
        let mut reserved = self.reserved.lock();
        let returned = match rest {
            Rest::Keep => 0,
            Rest::Return => std::mem::take(&mut reserved.left),
        };
        let (asked, taken) = (std::mem::take(&mut reserved.asked), std::mem::take(&mut reserved.taken));
        ReserveNews { asked, taken, returned, left: reserved.left }
    }

    /// Adds requests that were reserved at `now_ns`. The books on the disk must already contain this reservation.
    /// Otherwise, after a restart, requests that were already taken could be taken again.
    pub fn fill(&self, now_ns: u64, requests: u64) {
        let mut reserved = self.reserved.lock();
        reserved.left += requests;
        reserved.day = Some(Span::Day.at(now_ns));
        reserved.low = reserved.left.div_ceil(2);
    }

    /// Keeps `standings` for [`ReservedQuota::standings`].
    pub fn show(&self, standings: Vec<Standing>) {
        self.reserved.lock().standings = standings;
    }

    /// The state of the budgets when the books were last updated. Empty before the first period has begun.
    pub fn standings(&self) -> Vec<Standing> {
        self.reserved.lock().standings.clone()
    }

    /// Waits until few requests are left, or until a request was refused.
    pub async fn is_low(&self) {
        self.low.notified().await;
    }
}

impl Quota for ReservedQuota {
    fn take(&self, now_ns: u64) -> bool {
        let mut reserved = self.reserved.lock();
        reserved.asked += 1;
        let has_one = reserved.left > 0 && reserved.day == Some(Span::Day.at(now_ns));
        if has_one {
            reserved.left -= 1;
            reserved.taken += 1;
        }
        let is_low = !has_one || reserved.left < reserved.low;
        drop(reserved);
        if is_low {
            self.low.notify_one();
        }
        has_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_NS: u64 = 1_791_158_400_000_000_000;
    const DAY_NS: u64 = 24 * 3600 * 1_000_000_000;

    #[test]
    fn what_was_put_in_is_taken_once() {
        let quota = ReservedQuota::default();
        assert!(!quota.take(NOW_NS));
        quota.fill(NOW_NS, 3);
        let taken = (0..5).filter(|_| quota.take(NOW_NS)).count();
        assert_eq!(taken, 3);
        assert_eq!(quota.take_news(Rest::Keep), ReserveNews { asked: 6, taken: 3, returned: 0, left: 0 });
        assert_eq!(quota.take_news(Rest::Keep), ReserveNews::default());
    }

    #[test]
    fn what_is_left_at_midnight_is_not_taken_but_given_back() {
        let quota = ReservedQuota::default();
        quota.fill(NOW_NS, 3);
        assert!(quota.take(NOW_NS + DAY_NS - 1));
        assert!(!quota.take(NOW_NS + DAY_NS));
        assert_eq!(quota.take_news(Rest::Return), ReserveNews { asked: 2, taken: 1, returned: 2, left: 0 });
    }

    #[tokio::test]
    async fn whoever_fills_it_hears_before_it_is_empty() {
        let quota = ReservedQuota::default();
        quota.fill(NOW_NS, 4);
        assert!(quota.take(NOW_NS) && quota.take(NOW_NS));
        assert!(tokio::time::timeout(std::time::Duration::ZERO, quota.is_low()).await.is_err());
        assert!(quota.take(NOW_NS));
        quota.is_low().await;
        assert_eq!(quota.take_news(Rest::Keep).left, 1);
    }
}
