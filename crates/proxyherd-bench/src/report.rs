//! How results are told: lines of progress, tables for people, JSON for programs.
//!
//! Everything here only formats. Colours are put in always; the stream that prints them takes them out where there
//! is no terminal.

use std::fmt::Write;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use crate::floor::{DepthResult, RaceResult, Rounds};
use crate::heal::Healing;
use crate::load::{LINE_LEN, Outcome, Plan, SAMPLE_EVERY};
use crate::stats::Spread;
use crate::steady::{Look, Steadiness, Watched};
use crate::target;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const MET: Style = AnsiColor::Green.on_default().bold();
const NOT_MET: Style = AnsiColor::Red.on_default().bold();

/// One line about the round that has just ended.
pub(crate) fn progress(so_far: &DepthResult, round: u32, rounds: u32) -> String {
    let last = |rounds: &Rounds| rounds.rates.last().copied().unwrap_or_default();
    let (floor, herd) = (last(&so_far.floor), last(&so_far.herd));
    format!(
        "depth {:>3}, round {round} of {rounds}: echo server {:>10}/s, proxyherd {:>10}/s, {:.3} of it",
        so_far.depth,
        grouped(floor),
        grouped(herd),
        herd / floor
    )
}

/// The race as tables.
pub(crate) fn floor_table(result: &RaceResult) -> String {
    let mut text = String::new();
    heading(&mut text, result);
    rates(&mut text, result);
    latencies(&mut text, result);
    costs(&mut text, result);
    let _ = writeln!(text, "\n{DIM}{}{DIM:#}", small_print(result));
    text
}

fn heading(text: &mut String, result: &RaceResult) {
    let race = &result.race;
    let _ = writeln!(
        text,
        "\n{BOLD}One proxyherd server against an echo server of the same bytes{BOLD:#}\n\
         {} connections, {} clients, lines of {LINE_LEN} bytes; {} rounds of {} s each, in turns; {} cores\n",
        race.connections,
        grouped(f64::from(race.clients)),
        race.rounds,
        race.round.as_secs_f64(),
        target::cores()
    );
}

fn rates(text: &mut String, result: &RaceResult) {
    let _ = writeln!(
        text,
        "{BOLD}{:>5}  {:>16}  {:>16}  {:>13}  {:>13}  {:>6}{BOLD:#}",
        "depth", "echo, lines/s", "herd, lines/s", "herd / echo", "range", "target"
    );
    for depth in &result.depths {
        let ratio = depth.ratio();
        let range = format!("{:.3} - {:.3}", ratio.low, ratio.high);
        let (style, verdict) = verdict(depth.is_met());
        let _ = writeln!(
            text,
            "{:>5}  {:>16}  {:>16}  {BOLD}{:>13.3}{BOLD:#}  {range:>13}  {:>6}  {style}{verdict}{style:#}",
            depth.depth,
            grouped(depth.floor.rate().median),
            grouped(depth.herd.rate().median),
            ratio.median,
            depth.target,
        );
    }
}

/// Only where one line is outstanding is a burst's time a line's time.
fn latencies(text: &mut String, result: &RaceResult) {
    for depth in result.depths.iter().filter(|depth| depth.depth == 1) {
        let _ =
            writeln!(text, "\n{BOLD}{:<26}  {:>10}  {:>10}{BOLD:#}", "round trip at depth 1", "p50", "p99");
        for (name, rounds) in [("echo server", &depth.floor), ("proxyherd", &depth.herd)] {
            let [p50, p99] = [0.5, 0.99].map(|share| duration(rounds.latency.percentile(share)));
            let _ = writeln!(text, "{name:<26}  {p50:>10}  {p99:>10}");
        }
    }
}

fn costs(text: &mut String, result: &RaceResult) {
    let _ = writeln!(
        text,
        "\n{BOLD}{:<26}  {:>10}  {:>10}  {:>10}{BOLD:#}",
        "processor time, us a line", "echo", "herd", "generator"
    );
    for depth in &result.depths {
        let figure = |figure: Option<f64>| figure.map_or("unknown".to_owned(), |us| format!("{us:.3}"));
        let _ = writeln!(
            text,
            "{:<26}  {:>10}  {:>10}  {:>10}",
            format!("at depth {}", depth.depth),
            figure(depth.floor.server_us_per_line()),
            figure(depth.herd.server_us_per_line()),
            figure(depth.herd.generator_us_per_line()),
        );
    }
}

fn small_print(result: &RaceResult) -> String {
    format!(
        "Rates are medians of the rounds; the ratio is the median of the rounds' own ratios. Every answer's beginning\n\
         was checked, and one burst in {SAMPLE_EVERY} to the last byte. The generator's time is spent on both servers\n\
         alike and brings their rates closer. The herd's server wrote {} of log.",
        size(result.log_len)
    )
}

/// One run against given servers as a table.
pub(crate) fn load_table(plan: &Plan, outcome: &Outcome) -> String {
    let percentile = |share| duration(outcome.latency.percentile(share));
    format!(
        "{BOLD}{} lines/s{BOLD:#}   {} lines in {} s, {} connections at depth {}\n\
         round trip of a burst: p50 {}, p99 {}, p99.9 {}, longest {}\n\
         {DIM}{} bursts were checked to the last byte, every other answer at its beginning.{DIM:#}\n",
        grouped(outcome.lines_per_second()),
        grouped(outcome.lines as f64),
        plan.duration.as_secs_f64(),
        plan.connections,
        plan.depth,
        percentile(0.5),
        percentile(0.99),
        percentile(0.999),
        percentile(1.0),
        grouped(outcome.sampled_bursts as f64),
    )
}

/// What cuts cost as a table: each round, and the median and the worst of them against the aims.
pub(crate) fn heal_table(healing: &Healing) -> String {
    let plan = &healing.plan;
    let mut text = format!(
        "\n{BOLD}Two servers, {} records, of which {} change during a cut{BOLD:#}\n\
         {} links through a relay; {} cores\n\n\
         {BOLD}{:>8}  {:>10}  {:>10}  {:>12}  {:>12}  {:>6}  {:>12}{BOLD:#}\n",
        grouped(f64::from(plan.records)),
        grouped(f64::from(plan.changed)),
        if plan.is_encrypted { "encrypted" } else { "plain" },
        target::cores(),
        "cut",
        "dialed",
        "healed",
        "wire, bytes",
        "own, bytes",
        "ratio",
        "after 1 s",
    );
    for (index, round) in healing.rounds.iter().enumerate() {
        let _ = writeln!(
            text,
            "{:>8}  {:>10}  {:>10}  {:>12}  {:>12}  {:>6.3}  {:>12}",
            index + 1,
            duration(round.dial),
            duration(round.heal),
            grouped(round.bytes as f64),
            grouped(healing.own_bytes as f64),
            round.bytes as f64 / healing.own_bytes as f64,
            grouped(round.bytes_settled as f64),
        );
    }
    let (time, ratio) = (healing.time_s(), healing.ratio());
    let _ = writeln!(text, "\n{BOLD}{:<28}  {:>10}  {:>10}  {:>6}{BOLD:#}", "", "median", "worst", "aim");
    for (what, [median, worst], aim, is_met) in [
        ("from the return to healed", [time.median, time.high].map(seconds), "1 s", healing.is_in_time()),
        (
            "wire / the records' own",
            [ratio.median, ratio.high].map(|ratio| format!("{ratio:.3}")),
            "1.2",
            healing.is_sparing(),
        ),
    ] {
        let (style, verdict) = verdict(is_met);
        let _ = writeln!(text, "{what:<28}  {median:>10}  {worst:>10}  {aim:>6}  {style}{verdict}{style:#}");
    }
    let _ = writeln!(
        text,
        "\n{DIM}`dialed` counts from the link's return, `healed` from then on; bytes of both ways from the return on.\n\
         After each round both servers were asked for every changed record and for a sample of the others.{DIM:#}"
    );
    text
}

fn verdict(is_met: bool) -> (Style, &'static str) {
    if is_met { (MET, "met") } else { (NOT_MET, "not met") }
}

fn seconds(seconds: f64) -> String {
    duration(Duration::from_secs_f64(seconds))
}

/// A long run as a table: each server's memory and descriptors over time.
pub(crate) fn steady_table(found: &Steadiness) -> String {
    let plan = &found.plan;
    let mut text = format!(
        "\n{BOLD}Five servers, {:.0} % of {} lines/s for {} s, {} roaming connections{BOLD:#}\n\
         {} lines answered, p50 {}, p99 {}; {} cores\n\n\
         {BOLD}{:<9}  {:>9}  {:>9}  {:>9}  {:>9}  {:>11}  {:<24}  verdict{BOLD:#}\n",
        100.0 * plan.share,
        grouped(found.rate_max),
        plan.duration.as_secs(),
        plan.connections,
        grouped(found.lines as f64),
        duration(found.latency.percentile(0.5)),
        duration(found.latency.percentile(0.99)),
        target::cores(),
        "server",
        "10 %, MB",
        "end, MB",
        "most, MB",
        "grew, MB",
        "descriptors",
        "memory",
    );
    for server in &found.servers {
        let at = |look: Option<&Look>| look.map_or((0.0, 0), |look| (look.memory / 1e6, look.descriptors));
        let ((settled, settled_fds), (end, end_fds)) =
            (at(server.settled().first()), at(server.looks.last()));
        let (style, verdict) = if server.is_flat() { (MET, "flat") } else { (NOT_MET, "not flat") };
        let memory: Vec<f64> = server.looks.iter().map(|look| look.memory).collect();
        let _ = writeln!(
            text,
            "{:<9}  {settled:>9.2}  {end:>9.2}  {:>9.2}  {:>9.2}  {:>11}  {:<24}  {style}{verdict}{style:#}",
            server.name,
            server.memory_max() / 1e6,
            server.growth() / 1e6,
            format!("{settled_fds} {end_fds} {}", server.descriptors_max()),
            sparkline(&memory, 24),
        );
    }
    let _ = writeln!(
        text,
        "\n{DIM}Descriptors at 10 % of the time, at the end, and most; without clients {}. The sparkline begins at 0.\n\
         `grew` is how much higher the memory came in the last third of the time than in the first, from 10 % on.{DIM:#}",
        found
            .servers
            .iter()
            .map(|server| format!("{} and {}", server.idle_descriptors[0], server.idle_descriptors[1]))
            .collect::<Vec<_>>()
            .join(", ")
    );
    text
}

/// A long run for programs.
pub(crate) fn steady_json(found: &Steadiness) -> Value {
    let server = |server: &Watched| {
        let looks = server.looks.iter().map(|look| json!([look.at_s, look.memory, look.descriptors]));
        json!({
            "name": server.name,
            "flat": server.is_flat(),
            "growth_bytes": server.growth(),
            "memory_max_bytes": server.memory_max(),
            "idle_descriptors": server.idle_descriptors,
            "looks_s_bytes_descriptors": looks.collect::<Vec<_>>(),
        })
    };
    json!({
        "duration_s": found.plan.duration.as_secs_f64(),
        "share": found.plan.share,
        "connections": found.plan.connections,
        "rate_max_lines_per_s": found.rate_max,
        "lines": found.lines,
        "burst_p50_us": found.latency.percentile(0.5).as_secs_f64() * 1e6,
        "burst_p99_us": found.latency.percentile(0.99).as_secs_f64() * 1e6,
        "flat": found.is_flat(),
        "servers": found.servers.iter().map(server).collect::<Vec<_>>(),
    })
}

/// The course of figures that are not negative, drawn from 0 up, in at most so many characters.
fn sparkline(figures: &[f64], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = figures.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let width = width.min(figures.len());
    let mean = |column: usize| {
        let part = &figures[column * figures.len() / width..(column + 1) * figures.len() / width];
        part.iter().sum::<f64>() / part.len() as f64
    };
    (0..width).map(|column| BARS[((mean(column) / most * 8.0) as usize).min(7)]).collect()
}

/// The race for programs: rates in lines per second, times in the unit that each name ends with.
pub(crate) fn floor_json(result: &RaceResult) -> Value {
    let race = &result.race;
    json!({
        "connections": race.connections,
        "clients": race.clients,
        "generator_threads": race.threads,
        "rounds": race.rounds,
        "round_s": race.round.as_secs_f64(),
        "line_bytes": LINE_LEN,
        "cores": target::cores(),
        "herd_log_bytes": result.log_len,
        "depths": result.depths.iter().map(depth_json).collect::<Vec<_>>(),
    })
}

fn depth_json(depth: &DepthResult) -> Value {
    json!({
        "depth": depth.depth,
        "target": depth.target,
        "met": depth.is_met(),
        "ratio": spread_json(depth.ratio()),
        "floor": rounds_json(&depth.floor),
        "herd": rounds_json(&depth.herd),
    })
}

fn rounds_json(rounds: &Rounds) -> Value {
    let percentile_us = |share| rounds.latency.percentile(share).as_secs_f64() * 1e6;
    json!({
        "lines_per_s": spread_json(rounds.rate()),
        "lines_per_s_by_round": rounds.rates,
        "burst_p50_us": percentile_us(0.5),
        "burst_p99_us": percentile_us(0.99),
        "server_cpu_us_per_line": rounds.server_us_per_line(),
        "generator_cpu_us_per_line": rounds.generator_us_per_line(),
    })
}

fn spread_json(spread: Spread) -> Value {
    json!({ "median": spread.median, "low": spread.low, "high": spread.high })
}

/// A whole number with its thousands apart.
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

fn size(bytes: u64) -> String {
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
    fn a_sparkline_shows_the_course_from_zero_up() {
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
