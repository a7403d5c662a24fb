//! Measures live streams (`/v1/stream`) at one server.
//!
//! - `many` opens ten thousand streams and measures memory, processor time and latency while clients report, also while
//!   half of the readers do not read. It checks that no reader misses the last position of a client.
//! - `rate` measures how much a thousand streams lower the rate of the line protocol.

mod event_stream;
mod many;
pub(crate) mod rate;
mod readers;
mod reporters;
mod town;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

use crate::target::herd::program;
use town::BOXES_IN_A_ROW;

/// A part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Many open streams, while clients report at a steady rate.
    Many,
    /// The rate of the line protocol with a thousand streams, compared with the rate without streams.
    Rate,
}

/// What to measure.
#[derive(Args)]
pub(crate) struct StreamsPlan {
    /// What to measure. Default: everything.
    #[arg(long, value_enum)]
    part: Vec<Part>,
    /// Number of open streams of the part `many`, a multiple of 100. Ten streams match each report.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1000..=100_000))]
    streams: u32,
    /// Number of reports in a second in the part `many`.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    reports: u32,
    /// Length of each run of the part `many`, seconds.
    #[arg(long, default_value = "20", value_parser = crate::seconds)]
    seconds: Duration,
    /// Number of rounds of one second for each server in the part `rate`; the servers alternate.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
}

/// Measures and prints the results. Returns whether all targets are met. Progress goes to standard error.
pub(crate) fn run(plan: &StreamsPlan, server_bin: Option<&Path>) -> Result<bool> {
    ensure!(plan.streams.is_multiple_of(BOXES_IN_A_ROW), "--streams must be a multiple of {BOXES_IN_A_ROW}");
    let program = program(server_bin)?;
    let parts = if plan.part.is_empty() { Part::value_variants() } else { &plan.part };
    parts.iter().try_fold(true, |is_met, part| {
        let is_part_met = match part {
            Part::Many => many::measure(plan, &program)?,
            Part::Rate => rate::measure(plan, &program)?,
        };
        Ok(is_met && is_part_met)
    })
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "not met" }
}

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    /// One of the numbers below `count`.
    fn below(&mut self, count: u32) -> u32 {
        // Knuth's MMIX. The upper bits look more random than the lower bits.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((self.0 >> 32) * u64::from(count)) >> 32) as u32
    }
}
