//! The table of targets: what should be reached, what was measured, and whether it is met. A target whose values are
//! missing is "not measured", and never met.

use std::fmt::Write as _;

use super::table::value_text;
use super::{cell, paragraph};
use crate::load::client_name;
use crate::race::field::{OURS, REDIS};
use crate::race::figures::Unit;
use crate::race::results::Results;

/// The herds in other languages.
const OTHERS: [&str; 4] = ["asyncio", "uvloop", "node", "java"];
const ECHO: &str = "echo";

/// What a target compares.
#[derive(Clone, Copy)]
enum Measure {
    /// A value of proxyherd: figure and place.
    Value(&'static str, f64),
    /// The ratio of proxyherd to another contestant.
    Ratio(&'static str, f64, &'static str),
    /// The ratio of proxyherd to the best of several contestants.
    RatioToBest(&'static str, f64, &'static [&'static str]),
    /// The memory of ten million clients with their IDs, GiB.
    TenMillion,
    /// Times that an update is sent in a herd of nine, divided by the eight times that it must be sent.
    Linearity,
}

/// The side on which the measured value must be.
#[derive(Clone, Copy)]
enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

use Limit::{AtLeast, AtMost};
use Measure::{Linearity, Ratio, RatioToBest, TenMillion, Value};

/// All targets, in the order of the report.
const TARGETS: [(&str, Measure, Limit); 23] = [
    (
        "one server, depth 1: rate, divided by the echo server's",
        Ratio("depth-rate", 1.0, ECHO),
        AtLeast(0.95),
    ),
    ("one server, depth 16: the same", Ratio("depth-rate", 16.0, ECHO), AtLeast(0.8)),
    (
        "one server, depth 16: p99 of a burst, divided by the echo server's",
        Ratio("depth-p99", 16.0, ECHO),
        AtMost(3.0),
    ),
    (
        "one server, depth 128: rate, divided by the echo server's",
        Ratio("depth-rate", 128.0, ECHO),
        AtLeast(0.5),
    ),
    (
        "one server, depth 128: rate, divided by Redis's GEOADD",
        Ratio("depth-rate", 128.0, REDIS),
        AtLeast(6.0),
    ),
    (
        "herd of five, depth 128: rate, divided by the best herd in another language",
        RatioToBest("herd-rate", 5.0, &OTHERS),
        AtLeast(6.0),
    ),
    (
        "herd of five, depth 128: rate, divided by Redis with four replicas",
        Ratio("herd-rate", 5.0, REDIS),
        AtLeast(6.0),
    ),
    (
        "herd of five, depth 1: rate, divided by the best other herd",
        RatioToBest("herd-one-rate", 5.0, &["asyncio", "uvloop", "node", "java", REDIS]),
        AtLeast(2.0),
    ),
    ("herd of five, idle: cores", Value("paced-cores", 0.0), AtMost(0.1)),
    ("herd of five, 20,000 reports a second: cores", Value("paced-cores", 20_000.0), AtMost(0.45)),
    ("herd of five, 150,000 reports a second: cores", Value("paced-cores", 150_000.0), AtMost(1.3)),
    ("herd of five, 300,000 reports a second: cores", Value("paced-cores", 300_000.0), AtMost(1.6)),
    (
        "herd of five, idle: p50 to the farthest server, ms (0.2, rounded)",
        Value("visible-p50", 0.0),
        AtMost(0.25),
    ),
    (
        "herd of five, 150,000 a second: p99 to the farthest server, ms",
        Value("visible-p99", 150_000.0),
        AtMost(2.5),
    ),
    (
        "herd of five, 300,000 a second: p99 to the farthest server, ms",
        Value("visible-p99", 300_000.0),
        AtMost(6.0),
    ),
    (
        "herd of five, half of the full rate: p99 to the farthest server, ms",
        Value("half-visible-p99", 0.0),
        AtMost(30.0),
    ),
    (
        "herd of five, half of the full rate: share that is answered in time",
        Value("half-kept", 0.0),
        AtLeast(0.95),
    ),
    (
        "a million clients without the index: bytes a client beyond its ID",
        Value("memory-replica", 1e6),
        AtMost(100.0),
    ),
    ("a million clients with the index: the same", Value("memory-replica-index", 1e6), AtMost(116.0)),
    (
        "a million clients: growth of the process, divided by that of Redis's GEO set",
        Ratio("memory-client", 1e6, REDIS),
        AtMost(1.0),
    ),
    ("ten million clients: memory, GiB", TenMillion, AtMost(2.0)),
    ("herd of nine: times that an update is sent, divided by eight", Linearity, AtMost(1.1)),
    (
        "rate with a thousand streams at depth 128, divided by the rate without",
        Value("streams-share", 3.0),
        AtLeast(0.8),
    ),
];

/// Writes the table of targets.
pub(super) fn write(text: &mut String, results: &Results) {
    text.push_str("## Targets\n\n");
    paragraph(
        text,
        "What proxyherd should reach, beside what these results show. A ratio is the median of the ratios of the rounds \
         that both contestants have run.",
    );
    if results.is_quick {
        paragraph(text, "These are the results of a quick run, so no verdict counts.");
    }
    text.push_str("| what | target | measured | verdict |\n|---|---:|---:|---|\n");
    let mut counts = [0; 3];
    for (what, measure, limit) in TARGETS {
        let measured = measure.value(results);
        let (target, verdict, place) = match (limit, measured) {
            (AtLeast(least), None) => (format!("at least {least}"), "not measured", 2),
            (AtMost(most), None) => (format!("at most {most}"), "not measured", 2),
            (AtLeast(least), Some(value)) if value >= least => (format!("at least {least}"), "met", 0),
            (AtMost(most), Some(value)) if value <= most => (format!("at most {most}"), "met", 0),
            (AtLeast(least), Some(_)) => (format!("at least {least}"), "**not met**", 1),
            (AtMost(most), Some(_)) => (format!("at most {most}"), "**not met**", 1),
        };
        counts[place] += 1;
        let measured = measured.map_or("–".to_owned(), |value| value_text(Unit::Number, value));
        let beside = measure.beside(results).map_or(String::new(), |label| format!(" ({label})"));
        let _ = writeln!(text, "| {}{} | {target} | {measured} | {verdict} |", cell(what), cell(&beside));
    }
    let [met, not_met, missing] = counts;
    text.push('\n');
    paragraph(text, &format!("{met} met, {not_met} not met, {missing} not measured."));
}

impl Measure {
    /// What was measured. `None`: a value is missing.
    fn value(self, results: &Results) -> Option<f64> {
        match self {
            Value(figure, x) => results.median(figure, OURS, x),
            Ratio(figure, x, other) => results.ratio(figure, OURS, other, x),
            RatioToBest(figure, x, others) => {
                results.ratio(figure, OURS, best_of(results, figure, x, others)?, x)
            }
            TenMillion => {
                let each = results.median("memory-client", OURS, 1e7)? + client_name(0).len() as f64;
                Some(1e7 * each / f64::from(1 << 30))
            }
            Linearity => results.median("cost-payloads", OURS, 9.0).map(|times| times / 8.0),
        }
    }

    /// The label of the contestant that was the best.
    fn beside(self, results: &Results) -> Option<&str> {
        let RatioToBest(figure, x, others) = self else { return None };
        let best = best_of(results, figure, x, others)?;
        results.contestants.iter().find(|entrant| entrant.name == best).map(|entrant| entrant.label.as_str())
    }
}

/// The contestant with the highest value.
fn best_of<'a>(results: &Results, figure: &str, x: f64, others: &[&'a str]) -> Option<&'a str> {
    let measured = others.iter().filter_map(|other| Some((results.median(figure, other, x)?, *other)));
    measured.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::figures::of;
    use crate::race::results::tests::results;

    fn row(results: &Results, beginning: &str) -> String {
        let mut text = String::new();
        write(&mut text, results);
        text.lines().find(|line| line.starts_with(&format!("| {beginning}"))).unwrap().to_owned()
    }

    #[test]
    fn every_target_is_about_a_figure_that_there_is() {
        for (what, measure, _) in TARGETS {
            let (Value(figure, _) | Ratio(figure, ..) | RatioToBest(figure, ..)) = measure else { continue };
            assert!(of(figure).is_some(), "{what}: {figure}");
        }
    }

    #[test]
    fn a_target_is_met_or_not_met_or_not_measured() {
        let all = results(
            "depth-rate",
            &[
                ("ours", 1.0, 1, 95.0),
                ("echo", 1.0, 1, 100.0),
                ("ours", 16.0, 1, 79.0),
                ("echo", 16.0, 1, 100.0),
                ("ours", 128.0, 1, 9.0),
            ],
        );
        assert!(row(&all, "one server, depth 1:").ends_with("| at least 0.95 | 0.95 | met |"));
        assert!(
            row(&all, "one server, depth 16: the same").ends_with("| at least 0.8 | 0.79 | **not met** |")
        );
        assert!(row(&all, "one server, depth 128").ends_with("| at least 0.5 | – | not measured |"));
        let mut text = String::new();
        write(&mut text, &all);
        assert!(text.contains(&format!("1 met, 1 not met, {} not measured.", TARGETS.len() - 2)), "{text}");
    }

    #[test]
    fn the_best_other_herd_is_named() {
        let all = results(
            "herd-rate",
            &[
                ("ours", 5.0, 1, 900.0),
                ("node", 5.0, 1, 100.0),
                ("java", 5.0, 1, 300.0),
                ("echo", 5.0, 1, 1e9),
            ],
        );
        let row = row(&all, "herd of five, depth 128: rate, divided by the best");
        assert!(row.contains("(the java)") && row.ends_with("| at least 6 | 3.00 | **not met** |"), "{row}");
    }

    #[test]
    fn ten_million_clients_count_with_their_ids() {
        let all = results("memory-client", &[("ours", 1e7, 1, 1000.0)]);
        assert!(row(&all, "ten million clients").contains("**not met**"));
    }
}
