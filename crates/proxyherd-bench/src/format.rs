//! Formats numbers, durations and sizes for the results that the measurements print.
//!
//! The tables themselves are in the modules of the measurements (`output`). Text always has colors. The stream that
//! prints the text (`anstream`) removes the colors if there is no terminal.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use crate::stats::Spread;

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const MET: Style = AnsiColor::Green.on_default().bold();
pub(crate) const NOT_MET: Style = AnsiColor::Red.on_default().bold();

pub(crate) fn verdict(is_met: bool) -> (Style, &'static str) {
    if is_met { (MET, "met") } else { (NOT_MET, "not met") }
}

pub(crate) fn seconds(seconds: f64) -> String {
    duration(Duration::from_secs_f64(seconds))
}

/// A line of at most `width` bars for samples that are not negative. The bars begin at 0.
pub(crate) fn sparkline(figures: &[f64], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = figures.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let width = width.min(figures.len());
    let mean = |column: usize| {
        let part = &figures[column * figures.len() / width..(column + 1) * figures.len() / width];
        part.iter().sum::<f64>() / part.len() as f64
    };
    (0..width).map(|column| BARS[((mean(column) / most * 8.0) as usize).min(7)]).collect()
}

pub(crate) fn spread_json(spread: Spread) -> Value {
    json!({ "median": spread.median, "low": spread.low, "high": spread.high })
}

/// A whole number with commas between its thousands.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn duration(duration: Duration) -> String {
    let microseconds = duration.as_secs_f64() * 1e6;
    if microseconds < 1000.0 {
        format!("{microseconds:.0} us")
    } else {
        format!("{:.2} ms", microseconds / 1000.0)
    }
}

pub(crate) fn size(bytes: u64) -> String {
    if bytes < 10_000_000 {
        format!("{} kB", grouped(bytes as f64 / 1e3))
    } else {
        format!("{} MB", grouped(bytes as f64 / 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0.0, "0"), (999.4, "999"), (999.5, "1,000"), (1_234_567.0, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn the_bars_of_a_sparkline_begin_at_zero() {
        for (figures, width, line) in [
            (&[][..], 8, ""),
            (&[0.0, 0.0], 8, "▁▁"),
            (&[5.0, 5.0, 5.0], 8, "███"),
            (&[0.0, 2.0, 4.0, 8.0], 8, "▁▃▅█"),
            (&[0.0, 0.0, 8.0, 8.0], 2, "▁█"),
        ] {
            assert_eq!(sparkline(figures, width), line, "{figures:?}");
        }
    }

    #[test]
    fn durations_and_sizes_have_a_fitting_unit() {
        assert_eq!(duration(Duration::from_nanos(412_300)), "412 us");
        assert_eq!(duration(Duration::from_micros(1234)), "1.23 ms");
        assert_eq!(size(1_500_000), "1,500 kB");
        assert_eq!(size(812_000_000), "812 MB");
    }
}
