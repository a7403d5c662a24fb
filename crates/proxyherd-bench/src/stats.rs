//! Statistics: the median and range of the samples of several rounds ([`Spread`]), and percentiles of durations
//! ([`Histogram`]).
//!
//! The histogram has a fixed size and allocates nothing when it records, so it disturbs the measurement little.

use std::time::Duration;

/// The median of some samples, with the lowest and the highest sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// The spread of `figures`. There must be at least one sample, and no sample may be NaN.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Spread {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        assert!(!sorted.is_empty(), "a spread needs at least one sample");
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Spread { low: sorted[0], median, high: sorted[sorted.len() - 1] }
    }
}

/// Number of buckets into which the range between two powers of two is divided. So the width of a bucket is at most
/// 1/64 of its values.
const BUCKETS_PER_DOUBLING: usize = 64;
const BITS_PER_DOUBLING: u32 = BUCKETS_PER_DOUBLING.ilog2();
const BUCKETS: usize = BUCKETS_PER_DOUBLING * (64 - BITS_PER_DOUBLING as usize + 1);

/// The number of times that each duration occurred. Durations are exact to 1.6 %.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
}

impl Histogram {
    pub(crate) fn new() -> Histogram {
        Histogram { counts: vec![0; BUCKETS] }
    }

    pub(crate) fn record(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket_of(nanoseconds)] += 1;
    }

    /// Records the duration of something that is due once in `interval`. If it took longer, it has delayed others that
    /// were due meanwhile, so their durations are recorded, too (the correction of coordinated omission of
    /// HdrHistogram).
    pub(crate) fn record_with_omitted(&mut self, duration: Duration, interval: Duration) {
        assert!(!interval.is_zero(), "what is due all the time has no interval");
        let mut left = Some(duration);
        while let Some(duration) = left {
            self.record(duration);
            left = duration.checked_sub(interval).filter(|left| !left.is_zero());
        }
    }

    pub(crate) fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }

    /// The duration that `share` (between 0 and 1) of the recorded durations do not exceed, rounded up to the end of
    /// its bucket. Zero if nothing was recorded.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let total: u64 = self.counts.iter().sum();
        let wanted = (share * total as f64).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return Duration::from_nanos(last_of(bucket));
            }
        }
        Duration::ZERO
    }
}

/// Each value below 64 has its own bucket. For a greater value, the position of the highest bit selects the range
/// between two powers of two, and the next six bits select the bucket in that range.
fn bucket_of(value: u64) -> usize {
    if value < BUCKETS_PER_DOUBLING as u64 {
        return value as usize;
    }
    let shift = value.ilog2() - BITS_PER_DOUBLING;
    let within = (value >> shift) as usize - BUCKETS_PER_DOUBLING;
    (shift as usize + 1) * BUCKETS_PER_DOUBLING + within
}

/// The greatest value in `bucket`.
fn last_of(bucket: usize) -> u64 {
    if bucket < BUCKETS_PER_DOUBLING {
        return bucket as u64;
    }
    let shift = bucket / BUCKETS_PER_DOUBLING - 1;
    let first = ((bucket % BUCKETS_PER_DOUBLING + BUCKETS_PER_DOUBLING) as u64) << shift;
    first + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_median_and_both_ends() {
        let check = |figures: &[f64], low, median, high| {
            assert_eq!(Spread::of(figures.iter().copied()), Spread { low, median, high }, "{figures:?}");
        };
        check(&[7.0], 7.0, 7.0, 7.0);
        check(&[3.0, 1.0, 2.0], 1.0, 2.0, 3.0);
        check(&[4.0, 1.0, 3.0, 2.0], 1.0, 2.5, 4.0);
    }

    #[test]
    fn every_value_lies_in_its_bucket_and_buckets_are_narrow() {
        for shift in 0..64 {
            for value in [1_u64 << shift, (1 << shift) + (1 << shift) / 3, u64::MAX >> shift] {
                let bucket = bucket_of(value);
                assert!(value <= last_of(bucket), "{value}");
                assert!(bucket == 0 || last_of(bucket - 1) < value, "{value}");
                assert!(last_of(bucket) - value <= value / 64, "{value}");
            }
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert_eq!(last_of(BUCKETS - 1), u64::MAX);
    }

    #[test]
    fn percentiles_of_1_to_1000_microseconds() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.percentile(0.5), Duration::ZERO);
        for microseconds in 1..=1000 {
            histogram.record(Duration::from_micros(microseconds));
        }
        for (share, microseconds) in [(0.0, 1), (0.5, 500), (0.99, 990), (1.0, 1000)] {
            let exact = Duration::from_micros(microseconds);
            let found = histogram.percentile(share);
            assert!(exact <= found && found <= exact.mul_f64(1.016), "{share}: {found:?}");
        }
    }

    #[test]
    fn what_was_delayed_by_a_long_wait_counts_too() {
        let mut histogram = Histogram::new();
        let millis = Duration::from_millis;
        histogram.record_with_omitted(millis(5), millis(20));
        assert_eq!(histogram.counts.iter().sum::<u64>(), 1);
        histogram.record_with_omitted(millis(100), millis(20));
        // 100, 80, 60, 40 and 20 ms.
        assert_eq!(histogram.counts.iter().sum::<u64>(), 6);
        let median = histogram.percentile(0.5);
        assert!(millis(40) <= median && median <= millis(41), "{median:?}");
    }

    #[test]
    fn merged_histograms_hold_what_both_held() {
        let (mut one, mut other) = (Histogram::new(), Histogram::new());
        one.record(Duration::from_nanos(10));
        other.record(Duration::from_nanos(20));
        other.record(Duration::from_nanos(30));
        one.merge(&other);
        assert_eq!(one.percentile(0.5), Duration::from_nanos(20));
        assert_eq!(one.percentile(1.0), Duration::from_nanos(30));
    }
}
