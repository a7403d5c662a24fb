//! Does a link stay up?
//!
//! A link that is up is not worth much if it breaks every second: nothing is stuck then, and yet little gets through.
//! Whoever looks at a link every so often says how often it has come up so far; this says whether that was too often of
//! late. Time is counted in looks, like all that the watchdog does.

/// What one coming up adds. Each look takes 1 away.
const WEIGHT_PER_UP: u32 = 20;
/// From here on a link does not stay up: it has come up six times within a few seconds, or more often in a minute.
const FLAPPING_FROM: u32 = 100;
/// More is not remembered, so that a link which stays up is steady again after so many looks, about a minute.
const WEIGHT_MAX: u32 = 120;

/// One link's flapping.
#[derive(Debug, Default)]
pub(crate) struct FlapDetector {
    times_up: u64,
    weight: u32,
    is_flapping: bool,
}

impl FlapDetector {
    /// One look at a link that has come up so often since the start. Says whether it comes up again and again and does
    /// not stay up; once it does, it is unsteady until it has been quiet for long.
    pub(crate) fn look(&mut self, times_up: u64) -> bool {
        let ups = u32::try_from(times_up.saturating_sub(self.times_up)).unwrap_or(u32::MAX);
        self.times_up = times_up;
        self.weight =
            self.weight.saturating_sub(1).saturating_add(ups.saturating_mul(WEIGHT_PER_UP)).min(WEIGHT_MAX);
        self.is_flapping = self.weight >= FLAPPING_FROM || self.is_flapping && self.weight > 0;
        self.is_flapping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many looks of `looks` find it unsteady, where the link comes up once in so many.
    fn flapping_looks(flapping: &mut FlapDetector, looks: u64, every: u64) -> usize {
        let began = flapping.times_up;
        (1..=looks).filter(|look| flapping.look(began + look / every)).count()
    }

    #[test]
    fn a_link_that_comes_up_every_second_is_unsteady_after_a_few_and_one_that_seldom_does_is_not() {
        let mut flapping = FlapDetector::default();
        assert_eq!(flapping_looks(&mut flapping, 10, 2), 0);
        assert_eq!(flapping_looks(&mut flapping, 10, 2), 9);
        let mut flapping = FlapDetector::default();
        assert_eq!(
            flapping_looks(&mut flapping, 10_000, WEIGHT_PER_UP.into()),
            0,
            "a server is started again now and then"
        );
    }

    #[test]
    fn a_link_is_steady_again_after_it_has_stayed_up_for_long() {
        let mut flapping = FlapDetector::default();
        flapping_looks(&mut flapping, 100, 1);
        assert_eq!(flapping_looks(&mut flapping, 1000, 1001), WEIGHT_MAX as usize - 1);
    }
}
