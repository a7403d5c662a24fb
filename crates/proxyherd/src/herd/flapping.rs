//! Whether a link flaps: comes up again and again and does not stay up.
//!
//! Nothing is stuck in a link that breaks every second, and still little gets through it. The watchdog looks at each
//! link about once a second and tells its [`FlapDetector`] how often the link has come up so far. The detector keeps a
//! weight, which rises each time the link comes up and falls with each look. It knows no clock: it counts time in
//! looks.

/// How much the weight rises when the link comes up. Each look lowers it by 1.
const WEIGHT_PER_UP: u32 = 20;
/// From this weight on the link flaps: it has come up six times within a few seconds, or more often within a minute.
const FLAPPING_FROM: u32 = 100;
/// The greatest weight. So a link that stays up no longer counts as flapping after this many looks.
const WEIGHT_MAX: u32 = 120;

/// What a look at a link has found to be different.
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
    /// Takes how often the link has come up since the start, and says whether it flaps. Once it does, it counts as
    /// flapping until its weight is 0.
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

    /// How many of `looks` looks find that the link flaps, if it comes up once in `every` looks.
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
