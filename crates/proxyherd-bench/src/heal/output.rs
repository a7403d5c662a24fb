//! Prints the results of `heal`.

use std::fmt::Write;

use super::HealResult;
use crate::format::{BOLD, DIM, duration, grouped, seconds, verdict};
use crate::target::{self, group::LinkEncryption};

/// The results as tables: each round, and the median and the worst round with the targets.
pub(super) fn table(result: &HealResult) -> String {
    let plan = &result.plan;
    let mut text = format!(
        "\n{BOLD}Two servers, {} records, of which {} change during a cut{BOLD:#}\n\
         {} links through a relay; {} cores\n\n\
         {BOLD}{:>8}  {:>10}  {:>10}  {:>12}  {:>12}  {:>6}  {:>12}{BOLD:#}\n",
        grouped(f64::from(plan.records)),
        grouped(f64::from(plan.changed)),
        match plan.encryption {
            LinkEncryption::On => "encrypted",
            LinkEncryption::Off => "plain",
        },
        target::cores(),
        "cut",
        "dialed",
        "healed",
        "wire, bytes",
        "own, bytes",
        "ratio",
        "after 1 s",
    );
    for (index, round) in result.rounds.iter().enumerate() {
        let _ = writeln!(
            text,
            "{:>8}  {:>10}  {:>10}  {:>12}  {:>12}  {:>6.3}  {:>12}",
            index + 1,
            duration(round.dial),
            duration(round.heal),
            grouped(round.bytes as f64),
            grouped(result.record_bytes as f64),
            round.bytes as f64 / result.record_bytes as f64,
            grouped(round.bytes_settled as f64),
        );
    }
    let (time, ratio) = (result.time_s(), result.ratio());
    let _ = writeln!(text, "\n{BOLD}{:<28}  {:>10}  {:>10}  {:>6}{BOLD:#}", "", "median", "worst", "aim");
    for (what, [median, worst], aim, is_met) in [
        ("from the return to healed", [time.median, time.high].map(seconds), "1 s", result.is_in_time()),
        (
            "wire / the records' own",
            [ratio.median, ratio.high].map(|ratio| format!("{ratio:.3}")),
            "1.2",
            result.is_within_bytes(),
        ),
    ] {
        let (style, verdict) = verdict(is_met);
        let _ = writeln!(text, "{what:<28}  {median:>10}  {worst:>10}  {aim:>6}  {style}{verdict}{style:#}");
    }
    let _ = writeln!(
        text,
        "\n{DIM}`dialed` counts from the link's return, `healed` from the dial, and bytes of both directions from the return.\n\
         After each round both servers were asked for every changed record and for a sample of the others.{DIM:#}"
    );
    text
}
