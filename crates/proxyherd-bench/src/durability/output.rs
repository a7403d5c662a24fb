//! Prints the results of `durability`.

use std::fmt::Write;

use super::{ChoiceRounds, DepthResult, DurabilityResult, SYNC_MAX, TARGET};
use crate::disk::SYNC_LEN;
use crate::format::{BOLD, DIM, duration, grouped, verdict};
use crate::stats::Spread;
use crate::target;

/// One line about the round that has just ended.
pub(super) fn progress(so_far: &DepthResult, round: u32, rounds: u32) -> String {
    let last = |rounds: &ChoiceRounds| rounds.rates.last().copied().unwrap_or_default();
    let none = last(&so_far.choices[0]);
    let shares = so_far.choices[1..].iter().map(|choice| {
        let share = last(choice) / none;
        format!(", {share:.3} of it with {}", choice.choice.text())
    });
    format!(
        "depth {:>3}, round {round} of {rounds}: {}/s without durability{}",
        so_far.depth,
        grouped(none),
        shares.collect::<String>()
    )
}

/// The results as tables.
pub(super) fn table(result: &DurabilityResult<'_>) -> String {
    let plan = result.plan;
    let mut text = format!(
        "\n{BOLD}What an acknowledgement costs that waits for the disk or for a neighbor{BOLD:#}\n\
         {} connections; {} alternating rounds of {} s each; {} cores\n\n\
         {BOLD}{:>5}  {:<16}  {:>10}  {:>8}  {:>15}  {:>10}  {:>10}{BOLD:#}\n",
        plan.connections,
        plan.rounds,
        plan.seconds.as_secs_f64(),
        target::cores(),
        "depth",
        "acknowledged",
        "lines/s",
        "ratio",
        "range",
        "p50",
        "p99"
    );
    for depth in &result.depths {
        for choice in &depth.choices {
            row(&mut text, depth, choice);
        }
    }
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| duration(result.sync.percentile(share)));
    let _ = writeln!(
        text,
        "\n{BOLD}fdatasync of this disk{BOLD:#}, after {} KiB: p50 {p50}, p99 {p99}, longest {most}",
        SYNC_LEN / 1024
    );
    for (depth, is_met) in result.depths.iter().filter_map(|depth| Some((depth.depth, depth.is_met()?))) {
        if result.has_target() {
            let (style, verdict) = verdict(is_met);
            let _ = writeln!(
                text,
                "ratio with a journal at depth {depth}: target {TARGET}, {style}{verdict}{style:#}"
            );
        } else {
            let limit = duration(SYNC_MAX);
            let _ = writeln!(
                text,
                "the target {TARGET} for a journal holds for disks whose fdatasync takes at most {limit}"
            );
        }
    }
    let _ = writeln!(
        text,
        "\n{DIM}Rates are medians of the rounds; the ratio is the median of the ratios to the rounds beside them. Times are\n\
         from the write of a burst to its last reply.{DIM:#}"
    );
    text
}

fn row(text: &mut String, depth: &DepthResult, choice: &ChoiceRounds) {
    let (rate, ratio) = (Spread::of(choice.rates.iter().copied()).median, depth.ratio(choice));
    let [p50, p99] = [0.5, 0.99].map(|share| duration(choice.latency.percentile(share)));
    let range = format!("{:.3} - {:.3}", ratio.low, ratio.high);
    let _ = writeln!(
        text,
        "{:>5}  {:<16}  {:>10}  {BOLD}{:>8.3}{BOLD:#}  {range:>15}  {p50:>10}  {p99:>10}",
        depth.depth,
        choice.choice.text(),
        grouped(rate),
        ratio.median,
    );
}
