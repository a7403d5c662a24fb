//! Prints the results of `floor`: a line for each pair of rounds, tables for people, and JSON for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{DepthResult, FloorResult, ServerRounds};
use crate::format::{BOLD, DIM, duration, grouped, size, spread_json, verdict};
use crate::load::{LINE_LEN, SAMPLE_EVERY};
use crate::target;

/// One line about the pair of rounds that has just ended.
pub(crate) fn progress(so_far: &DepthResult, round: u32, rounds: u32) -> String {
    let last = |rounds: &ServerRounds| rounds.rates.last().copied().unwrap_or_default();
    let (floor, herd) = (last(&so_far.floor), last(&so_far.herd));
    format!(
        "depth {:>3}, round {round} of {rounds}: echo server {:>10}/s, proxyherd {:>10}/s, {:.3} of it",
        so_far.depth,
        grouped(floor),
        grouped(herd),
        herd / floor
    )
}

/// The results as tables.
pub(crate) fn table(result: &FloorResult) -> String {
    let mut text = String::new();
    heading(&mut text, result);
    rates(&mut text, result);
    latencies(&mut text, result);
    costs(&mut text, result);
    let _ = writeln!(text, "\n{DIM}{}{DIM:#}", notes(result));
    text
}

fn heading(text: &mut String, result: &FloorResult) {
    let plan = &result.plan;
    let _ = writeln!(
        text,
        "\n{BOLD}One proxyherd server compared with an echo server{BOLD:#}\n\
         {} connections, {} clients, lines of {LINE_LEN} bytes; {} alternating rounds of {} s each; {} cores\n",
        plan.connections,
        grouped(f64::from(plan.clients)),
        plan.rounds,
        plan.round.as_secs_f64(),
        target::cores()
    );
}

fn rates(text: &mut String, result: &FloorResult) {
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

/// The latencies at depth 1, where the time of a burst is the time of a line.
fn latencies(text: &mut String, result: &FloorResult) {
    for depth in result.depths.iter().filter(|depth| depth.depth == 1) {
        let _ =
            writeln!(text, "\n{BOLD}{:<26}  {:>10}  {:>10}{BOLD:#}", "round trip at depth 1", "p50", "p99");
        for (name, rounds) in [("echo server", &depth.floor), ("proxyherd", &depth.herd)] {
            let [p50, p99] = [0.5, 0.99].map(|share| duration(rounds.latency.percentile(share)));
            let _ = writeln!(text, "{name:<26}  {p50:>10}  {p99:>10}");
        }
    }
}

fn costs(text: &mut String, result: &FloorResult) {
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

fn notes(result: &FloorResult) -> String {
    format!(
        "Rates are medians of the rounds; the ratio is the median of the pairs' ratios. The beginning of every reply was\n\
         checked, and all of it for one burst in {SAMPLE_EVERY}. The generator takes the same time for each line of either\n\
         server, so the ratio of the servers alone is lower. The proxyherd server wrote {} of log.",
        size(result.log_len)
    )
}

/// The results for programs: rates in lines per second, times in the unit at the end of each name.
pub(crate) fn json(result: &FloorResult) -> Value {
    let plan = &result.plan;
    json!({
        "connections": plan.connections,
        "clients": plan.clients,
        "generator_threads": plan.threads,
        "rounds": plan.rounds,
        "round_s": plan.round.as_secs_f64(),
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

fn rounds_json(rounds: &ServerRounds) -> Value {
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
