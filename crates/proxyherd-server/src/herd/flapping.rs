//! Whether a link flaps, which means that the link comes up repeatedly and does not stay up.
//!
//! A link that breaks every second is not stuck, but carries little. The watchdog checks each link about once a second.
//! It tells the link's [`FlapDetector`] how often the link has come up since the start. The detector keeps a weight.
//! The weight rises each time the link comes up, and falls at each check. The detector has no clock. It counts time in
//! checks.

/// Amount by which the weight rises when the link comes up. Each check lowers the weight by 1.
const WEIGHT_PER_UP: u32 = 20;
/// Minimum weight at which the link flaps. The link then has come up six times within a few seconds, or more often
/// within a minute.
const FLAPPING_FROM: u32 = 100;
/// Maximum weight. After this number of checks, a link that stays up no longer counts as flapping.
const WEIGHT_MAX: u32 = 120;

/// The change that a check of a link has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlapChange {
    /// The link has begun to flap.
    Began,
    /// The link no longer flaps.
    Ended,
}

/// Finds out whether one link flaps.
#[derive(Debug, Default)]
pub(crate) struct FlapDetector {
    times_up: u64,
    weight: u32,
    is_flapping: bool,
}

impl FlapDetector {
    /// Updates the weight. The argument is how often the link has come up since the start. Returns whether the link
    /// flaps. A flapping link counts as flapping until its weight is 0.
    pub(crate) fn look(&mut self, times_up: u64) -> bool {
        let ups = u32::try_from(times_up.saturating_sub(self.times_up)).unwrap_or(u32::MAX);
        self.times_up = times_up;
        let added = ups.saturating_mul(WEIGHT_PER_UP);
        self.weight = self.weight.saturating_sub(1).saturating_add(added).min(WEIGHT_MAX);
        self.is_flapping = self.weight >= FLAPPING_FROM || self.is_flapping && self.weight > 0;
        self.is_flapping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of checks out of `looks` that find a flapping link, if the link comes up once in `every` checks.
    fn flapping_looks(detector: &mut FlapDetector, looks: u64, every: u64) -> usize {
        let began = detector.times_up;
        (1..=looks).filter(|look| detector.look(began + look / every)).count()
    }

    #[test]
    fn a_link_that_comes_up_every_second_flaps_after_a_few_and_one_that_seldom_does_not() {
        let mut detector = FlapDetector::default();
        assert_eq!(flapping_looks(&mut detector, 10, 2), 0);
        assert_eq!(flapping_looks(&mut detector, 10, 2), 9);
        let mut detector = FlapDetector::default();
        assert_eq!(
            flapping_looks(&mut detector, 10_000, WEIGHT_PER_UP.into()),
            0,
            "a server is started again now and then"
        );
    }

    #[test]
    fn a_link_is_steady_again_after_it_has_stayed_up_for_long() {
        let mut detector = FlapDetector::default();
        flapping_looks(&mut detector, 100, 1);
        assert_eq!(flapping_looks(&mut detector, 1000, 1001), WEIGHT_MAX as usize - 1);
    }
}
