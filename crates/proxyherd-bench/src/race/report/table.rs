//! The table of a figure: its rows are the places on the x-axis, and its columns are the contestants.

use std::fmt::Write as _;

use crate::format::grouped;
use crate::race::figures::{Axis, Figure, Unit};
use crate::race::results::Results;
use crate::stats::Spread;

/// Writes the table. A cell without a value has a dash.
pub(super) fn write(text: &mut String, figure: &Figure, results: &Results) {
    let runners = results.runners(figure.id);
    let head = match figure.axis {
        Axis::None | Axis::Names(_) => "",
        Axis::Numbers { label, .. } => label,
    };
    let names: Vec<&str> = runners.iter().map(|entrant| entrant.label.as_str()).collect();
    let _ = writeln!(text, "| {head} | {} |\n|---|{}", names.join(" | "), "---:|".repeat(names.len()));
    for x in results.places(figure.id) {
        let cells: Vec<String> = runners
            .iter()
            .map(|entrant| {
                let spread = results.spread(figure.id, &entrant.name, x);
                spread.map_or("–".to_owned(), |spread| spread_text(figure.unit, spread))
            })
            .collect();
        let _ = writeln!(text, "| {} | {} |", place(figure.axis, x), cells.join(" | "));
    }
    text.push('\n');
}

fn place(axis: Axis, x: f64) -> String {
    match axis {
        Axis::None => String::new(),
        Axis::Names(names) => names.get(x as usize).map_or_else(|| grouped(x), |name| (*name).to_owned()),
        Axis::Numbers { .. } => grouped(x),
    }
}

/// The median with its range. One round has no range.
fn spread_text(unit: Unit, spread: Spread) -> String {
    let Spread { low, median, high } = spread;
    if low == high {
        return value_text(unit, median);
    }
    format!("{} ({} to {})", value_text(unit, median), value_text(unit, low), value_text(unit, high))
}

/// A value with as many decimals as its size deserves.
pub(super) fn value_text(unit: Unit, value: f64) -> String {
    let decimals = match unit {
        Unit::PerSecond if value >= 100.0 => 0,
        _ if value >= 100.0 => 0,
        _ if value >= 10.0 => 1,
        _ => 2,
    };
    if decimals == 0 { grouped(value) } else { format!("{value:.decimals$}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::figures::of;
    use crate::race::results::tests::results;

    #[test]
    fn a_table_has_a_dash_where_nothing_was_measured() {
        let results = results(
            "depth-p99",
            &[
                ("ours", 1.0, 1, 12.34),
                ("ours", 16.0, 1, 1234.0),
                ("ours", 16.0, 2, 1236.0),
                ("echo", 16.0, 1, 0.5),
            ],
        );
        let mut text = String::new();
        write(&mut text, of("depth-p99").unwrap(), &results);
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows[1], "|---|---:|---:|");
        assert_eq!(rows[2], "| 1 | 12.3 | – |");
        assert_eq!(rows[3], "| 16 | 1,235 (1,234 to 1,236) | 0.50 |");
    }

    #[test]
    fn places_with_names_have_their_names() {
        let results = results("cores-rate", &[("ours", 0.0, 1, 10.0), ("ours", 1.0, 1, 20.0)]);
        let mut text = String::new();
        write(&mut text, of("cores-rate").unwrap(), &results);
        assert!(text.contains("| one core | 10.0 |\n| two cores | 20.0 |"), "{text}");
    }
}
