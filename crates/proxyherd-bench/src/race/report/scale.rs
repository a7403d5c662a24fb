//! The scales of charts: from values to pixels, and the values at which an axis has ticks.
//!
//! A logarithmic scale has no zero: a value that is not positive is drawn at the lower end.

/// A scale from values to pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    is_log: bool,
    low: f64,
    high: f64,
    pixels: (f64, f64),
}

impl Scale {
    /// A linear scale from 0, or from the lowest value if that is negative, to the highest value or a little more.
    pub(super) fn linear(values: impl Iterator<Item = f64>, pixels: (f64, f64)) -> Scale {
        let (low, high) = range(values.chain([0.0]));
        let high = if high > low { high } else { low + 1.0 };
        let step = nice_step(high - low);
        Scale { is_log: false, low, high: low + ((high - low) / step).ceil() * step, pixels }
    }

    /// A logarithmic scale around all positive values.
    pub(super) fn log(values: impl Iterator<Item = f64>, pixels: (f64, f64)) -> Scale {
        let (low, high) = range(values.filter(|value| *value > 0.0));
        let (low, high) = if low <= high { (low, high) } else { (1.0, 10.0) };
        // A little room, so that no point lies on the edge.
        Scale { is_log: true, low: low / 1.25, high: high * 1.25, pixels }
    }

    /// The pixel of a value. Values outside of the scale are drawn at its end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.pixels.0 + share.clamp(0.0, 1.0) * (self.pixels.1 - self.pixels.0)
    }

    /// The values that have ticks, in order. There are two at least and ten at most.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if self.is_log { self.log_ticks() } else { self.linear_ticks() }
    }

    fn linear_ticks(&self) -> Vec<f64> {
        let step = nice_step(self.high - self.low);
        let count = ((self.high - self.low) / step).round() as usize;
        (0..=count).map(|index| self.low + step * index as f64).collect()
    }

    /// Powers of ten. If there are few of them, also twice and five times each, and otherwise not each of them.
    fn log_ticks(&self) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let all = |parts: &[f64], every: usize| -> Vec<f64> {
            (first..=last)
                .step_by(every)
                .flat_map(|power| parts.iter().map(move |part| part * 10_f64.powi(power)))
                .filter(|tick| (self.low..=self.high).contains(tick))
                .collect()
        };
        let fine: [&[f64]; 3] =
            [&[1.0], &[1.0, 2.0, 5.0], &[1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]];
        let mut ticks = fine.iter().map(|parts| all(parts, 1)).find(|ticks| ticks.len() >= 3);
        if ticks.as_ref().is_some_and(|ticks| ticks.len() > 10) {
            ticks = Some(all(fine[0], (last - first) as usize / 8 + 1));
        }
        ticks.unwrap_or_else(|| vec![self.low, self.high])
    }
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

/// A step of 1, 2 or 5 times a power of ten that divides `length` into four to ten parts.
fn nice_step(length: f64) -> f64 {
    let rough = length / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let part = rough / power;
    let nice = if part < 1.5 {
        1.0
    } else if part < 3.5 {
        2.0
    } else if part < 7.5 {
        5.0
    } else {
        10.0
    };
    nice * power
}

/// A number as a tick has it: at most three digits, with k, M or G.
pub(super) fn short(number: f64) -> String {
    let (scaled, suffix) = match number.abs() {
        size if size >= 1e9 => (number / 1e9, " G"),
        size if size >= 1e6 => (number / 1e6, " M"),
        size if size >= 1e3 => (number / 1e3, " k"),
        _ => (number, ""),
    };
    format!("{}{suffix}", three_digits(scaled))
}

/// A number with at most three digits that count, without zeros behind its point.
fn three_digits(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let decimals = (2.0 - number.abs().log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{number:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_scale_begins_at_zero_and_ends_at_a_tick() {
        let scale = Scale::linear([30.0, 87.0].into_iter(), (100.0, 200.0));
        assert_eq!(scale.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!([0.0, 50.0, 100.0, 1e9].map(|value| scale.at(value)), [100.0, 150.0, 200.0, 200.0]);
    }

    #[test]
    fn a_logarithmic_scale_has_the_same_length_for_each_factor() {
        let scale = Scale::log([10.0, 1e5].into_iter(), (0.0, 400.0));
        let decade = scale.at(1000.0) - scale.at(100.0);
        assert!((scale.at(1e5) - scale.at(1e4) - decade).abs() < 1e-9);
        assert_eq!((scale.at(0.0), scale.at(-5.0)), (0.0, 0.0), "what is not positive is at the end");
        assert_eq!(scale.ticks(), [10.0, 100.0, 1000.0, 1e4, 1e5]);
    }

    #[test]
    fn every_scale_has_two_to_ten_ticks_in_order() {
        for high in [1e-6, 0.3, 1.0, 1.1, 9.9, 128.0, 4.2e7, 1e15] {
            for low in [high, high / 1.05, high / 3.0, high / 1e4, high / 1e12] {
                for scale in [Scale::linear, Scale::log].map(|make: fn(std::vec::IntoIter<f64>, _) -> _| {
                    make(vec![low, high].into_iter(), (0.0, 1.0))
                }) {
                    let ticks = scale.ticks();
                    assert!((2..=11).contains(&ticks.len()), "{low} {high}: {ticks:?}");
                    assert!(ticks.is_sorted(), "{low} {high}: {ticks:?}");
                }
            }
        }
    }

    #[test]
    fn scales_of_nothing_can_be_drawn() {
        for scale in
            [Scale::linear(std::iter::empty(), (0.0, 9.0)), Scale::log([0.0].into_iter(), (0.0, 9.0))]
        {
            assert!(scale.at(1.0).is_finite() && scale.ticks().len() >= 2);
        }
    }

    #[test]
    fn ticks_have_three_digits_at_most() {
        for (number, text) in [
            (0.0, "0"),
            (0.05, "0.05"),
            (1.0, "1"),
            (12.5, "12.5"),
            (128.0, "128"),
            (1500.0, "1.5 k"),
            (2_000_000.0, "2 M"),
            (3e9, "3 G"),
            (-20.0, "-20"),
        ] {
            assert_eq!(short(number), text);
        }
    }
}
