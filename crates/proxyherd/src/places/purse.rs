//! Requests at hand: reserved in the herd's budget and kept for a crash, so that making one asks nobody.
//!
//! Whoever keeps the books fills it ahead of need, and is told when it runs low. What is in it belongs to one day:
//! past midnight nothing is taken until it has been filled anew. Nothing here waits for a disk or a neighbor.

use parking_lot::Mutex;
use proxyherd_core::places::quota::{Period, PurseNews, Span, Standing};
use tokio::sync::Notify;

use super::Allowance;
use crate::clock;

/// The purse of one server, for all budgets that it has.
#[derive(Debug, Default)]
pub struct Purse {
    inside: Mutex<Inside>,
    low: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    left: u64,
    /// For which day it was filled.
    day: Option<Period>,
    /// Below this it is low.
    low: u64,
    asked: u64,
    taken: u64,
    standings: Vec<Standing>,
}

impl Purse {
    /// Takes one request, at `now_ns`.
    fn take_at(&self, now_ns: u64) -> bool {
        let mut inside = self.inside.lock();
        inside.asked += 1;
        let has_one = inside.left > 0 && inside.day == Some(Span::Day.at(now_ns));
        if has_one {
            inside.left -= 1;
            inside.taken += 1;
        }
        let is_low = !has_one || inside.left < inside.low;
        drop(inside);
        if is_low {
            self.low.notify_one();
        }
        has_one
    }

    /// What has happened since this was last asked. With `empty` set, all that is in it is given back.
    pub(crate) fn news(&self, empty: bool) -> PurseNews {
        let mut inside = self.inside.lock();
        let returned = if empty { std::mem::take(&mut inside.left) } else { 0 };
        let (asked, taken) = (std::mem::take(&mut inside.asked), std::mem::take(&mut inside.taken));
        PurseNews { asked, taken, returned, left: inside.left }
    }

    /// Puts in what was reserved at `now_ns` and has been kept.
    pub(crate) fn fill(&self, now_ns: u64, reserved: u64) {
        let mut inside = self.inside.lock();
        inside.left += reserved;
        inside.day = Some(Span::Day.at(now_ns));
        inside.low = inside.left.div_ceil(2);
    }

    /// Says how the budgets stand.
    pub(crate) fn show(&self, standings: Vec<Standing>) {
        self.inside.lock().standings = standings;
    }

    /// How the budgets stood a second or so ago; none before their first period has begun.
    pub fn standings(&self) -> Vec<Standing> {
        self.inside.lock().standings.clone()
    }

    /// Waits until it runs low, or somebody has asked in vain.
    pub(crate) async fn is_low(&self) {
        self.low.notified().await;
    }
}

impl Allowance for Purse {
    fn take(&self) -> bool {
        self.take_at(clock::now_ns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_NS: u64 = 1_791_158_400_000_000_000;
    const DAY_NS: u64 = 24 * 3600 * 1_000_000_000;

    #[test]
    fn what_was_put_in_is_taken_once() {
        let purse = Purse::default();
        assert!(!purse.take_at(NOW_NS));
        purse.fill(NOW_NS, 3);
        let taken = (0..5).filter(|_| purse.take_at(NOW_NS)).count();
        assert_eq!(taken, 3);
        assert_eq!(purse.news(false), PurseNews { asked: 6, taken: 3, returned: 0, left: 0 });
        assert_eq!(purse.news(false), PurseNews::default());
    }

    #[test]
    fn what_is_left_at_midnight_is_not_taken_but_given_back() {
        let purse = Purse::default();
        purse.fill(NOW_NS, 3);
        assert!(purse.take_at(NOW_NS + DAY_NS - 1));
        assert!(!purse.take_at(NOW_NS + DAY_NS));
        assert_eq!(purse.news(true), PurseNews { asked: 2, taken: 1, returned: 2, left: 0 });
    }

    #[tokio::test]
    async fn whoever_fills_it_hears_before_it_is_empty() {
        let purse = Purse::default();
        purse.fill(NOW_NS, 4);
        assert!(purse.take_at(NOW_NS) && purse.take_at(NOW_NS));
        assert!(tokio::time::timeout(std::time::Duration::ZERO, purse.is_low()).await.is_err());
        assert!(purse.take_at(NOW_NS));
        purse.is_low().await;
        assert_eq!(purse.news(false).left, 1);
    }
}
