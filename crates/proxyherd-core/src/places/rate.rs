//! A throttle: a limited number of requests in any second.

use std::collections::VecDeque;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Lets a limited number through in *any* second, not only in the seconds that a clock counts. For that it remembers
/// when it let each one of the last second through, 16 bytes each.
///
/// Times are durations since some fixed moment.
#[derive(Clone, Debug)]
pub struct Rate {
    most: usize,
    taken: VecDeque<Duration>,
}

impl Rate {
    /// At most `per_second`, at least 1, in any second.
    pub fn new(per_second: u32) -> Rate {
        Rate { most: per_second.max(1) as usize, taken: VecDeque::new() }
    }

    /// Lets one through, or returns how long it will be until the next.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_second_holds_so_many_and_then_there_is_room_again() {
        let at = Duration::from_millis;
        let mut rate = Rate::new(2);
        assert_eq!(rate.take(at(100)), Ok(()));
        assert_eq!(rate.take(at(700)), Ok(()));
        assert_eq!(rate.take(at(800)), Err(at(300)));
        assert_eq!(rate.take(at(1100)), Ok(()));
        assert_eq!(rate.take(at(1101)), Err(at(599)));
        assert_eq!(rate.take(at(9000)), Ok(()));
    }

    proptest! {
        #[test]
        fn no_second_holds_more_and_none_waits_in_vain(
            most in 1u32..6, gaps in proptest::collection::vec(0u64..700, 1..100),
        ) {
            let mut rate = Rate::new(most);
            let (mut now, mut let_through) = (Duration::ZERO, Vec::<Duration>::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                let within = let_through.iter().filter(|&&taken| now - taken < SECOND).count();
                let taken = rate.take(now);
                prop_assert_eq!(taken.is_ok(), within < most as usize);
                if let Err(wait) = taken {
                    now += wait;
                    prop_assert_eq!(rate.take(now), Ok(()));
                }
                let_through.push(now);
            }
        }
    }
}
