//! Measures what each choice of durability costs: an acknowledgement as soon as the report is merged, after the report
//! is on the disk (`journal`), after a neighbor covers the report (`replicas`), and after both.
//!
//! Each choice has servers of its own. All of them get the same load in turns, in short rounds, and each round is
//! compared with the round without durability beside it. The choice that comes first changes from round to round. In
//! each round this program also measures how long the disk takes for an fdatasync, because the rates with a journal
//! depend on it.

mod output;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::disk::Probe;
use crate::load::{self, Dialect, LOS_ANGELES, LoadPlan};
use crate::stats::{Histogram, Spread};
use crate::target;
use crate::target::group::{Group, GroupConfig, LONE, LinkEncryption, PAIR};
use crate::target::herd;

/// The depths that are measured.
const DEPTHS: [u32; 2] = [1, 128];
/// The target for the rate with a journal at the greatest depth, as a share of the rate without one.
const TARGET: f64 = 0.5;
/// The target holds where an fdatasync takes at most this long (p50).
const SYNC_MAX: Duration = Duration::from_millis(1);
/// Number of clients.
const CLIENTS: u32 = 10_000;

/// What to measure.
#[derive(Args)]
pub(crate) struct DurabilityPlan {
    /// Number of concurrent connections, each of which always has lines outstanding.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=78))]
    connections: u32,
    /// Number of rounds for each choice at each depth; the choices alternate.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Length of one round, seconds.
    #[arg(long, default_value = "1", value_parser = crate::seconds)]
    seconds: Duration,
    /// Folder for the servers' data, on the disk to be measured. In memory (/dev/shm), an fdatasync takes no time.
    /// Default: the folder for temporary files.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What an acknowledgement waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// For nothing.
    None,
    Journal,
    Replicas,
    Both,
}

const CHOICES: [Choice; 4] = [Choice::None, Choice::Journal, Choice::Replicas, Choice::Both];

impl Choice {
    fn text(self) -> &'static str {
        match self {
            Choice::None => "neither",
            Choice::Journal => "journal = true",
            Choice::Replicas => "replicas = 1",
            Choice::Both => "both",
        }
    }

    /// Starts the servers. The first of them is measured.
    fn start(self, program: &Path, dir: Option<&Path>) -> Result<Group> {
        let (names, settings): (&'static [_], &[&str]) = match self {
            Choice::None => (&LONE, &[]),
            Choice::Journal => (&LONE, &["journal=true"]),
            Choice::Replicas => (&PAIR, &["replicas=1"]),
            Choice::Both => (&PAIR, &["journal=true", "replicas=1"]),
        };
        let config = GroupConfig::of(names)?.with(settings, dir);
        config
            .start(program, LinkEncryption::Off)
            .with_context(|| format!("starting the servers with {}", self.text()))
    }
}

/// What was measured.
struct DurabilityResult<'a> {
    plan: &'a DurabilityPlan,
    depths: Vec<DepthResult>,
    /// The time that an fdatasync takes.
    sync: Histogram,
}

struct DepthResult {
    depth: u32,
    /// In the order of [`CHOICES`].
    choices: Vec<ChoiceRounds>,
}

/// The rounds of one choice at one depth.
struct ChoiceRounds {
    choice: Choice,
    /// Lines per second, one sample per round.
    rates: Vec<f64>,
    /// The time from the write of a burst to its last reply.
    latency: Histogram,
}

impl DurabilityResult<'_> {
    /// Whether the target holds on this disk.
    fn has_target(&self) -> bool {
        self.sync.percentile(0.5) <= SYNC_MAX
    }

    fn is_met(&self) -> bool {
        !self.has_target() || self.depths.iter().all(|depth| depth.is_met().unwrap_or(true))
    }
}

impl DepthResult {
    /// The rate of a choice as a share of the rate without durability, round by round.
    fn ratio(&self, choice: &ChoiceRounds) -> Spread {
        Spread::of(choice.rates.iter().zip(&self.choices[0].rates).map(|(rate, none)| rate / none))
    }

    /// Whether the target is met. `None`: there is no target for this depth.
    fn is_met(&self) -> Option<bool> {
        let journal = self.choices.iter().find(|rounds| rounds.choice == Choice::Journal)?;
        (self.depth == DEPTHS[1]).then(|| self.ratio(journal).median >= TARGET)
    }
}

/// Measures and prints the results. Returns whether the target is met, or does not hold on this disk. Progress goes to
/// standard error.
pub(crate) fn run(plan: &DurabilityPlan, server_bin: Option<&Path>) -> Result<bool> {
    let program = herd::program(server_bin)?;
    let start = |choice: Choice| choice.start(&program, plan.dir.as_deref());
    let groups: Vec<Group> = CHOICES.into_iter().map(start).collect::<Result<_>>()?;
    let mut probe = Probe::create(groups[0].home())?;
    let mut result = DurabilityResult { plan, depths: Vec::new(), sync: Histogram::new() };
    for depth in DEPTHS {
        let of_depth = measure_at(depth, plan, &groups, &mut probe)?;
        result.depths.push(of_depth);
    }
    result.sync.merge(&probe.sync);
    anstream::print!("{}", output::table(&result));
    Ok(result.is_met())
}

fn measure_at(depth: u32, plan: &DurabilityPlan, groups: &[Group], probe: &mut Probe) -> Result<DepthResult> {
    let none = |choice| ChoiceRounds { choice, rates: Vec::new(), latency: Histogram::new() };
    let mut result = DepthResult { depth, choices: CHOICES.map(none).into() };
    // The first round is not counted: in this round connections, tables and caches fill.
    for round in 0..=plan.rounds {
        for turn in 0..groups.len() {
            let number = (turn + round as usize) % groups.len();
            let driven = drive(&groups[number], plan, depth)
                .with_context(|| format!("with {}, at depth {depth}", CHOICES[number].text()))?;
            if round > 0 {
                let choice = &mut result.choices[number];
                choice.rates.push(driven.lines_per_second());
                choice.latency.merge(&driven.latency);
            }
        }
        probe.measure()?;
        if round > 0 {
            eprintln!("{}", output::progress(&result, round, plan.rounds));
        }
    }
    Ok(result)
}

fn drive(group: &Group, plan: &DurabilityPlan, depth: u32) -> Result<load::LoadResult> {
    load::run(&LoadPlan {
        addresses: vec![group.servers[0].line],
        dialect: Dialect::Herd,
        connections: plan.connections,
        threads: (target::cores() / 2).clamp(1, plan.connections as usize),
        clients: CLIENTS,
        around: LOS_ANGELES,
        depth,
        duration: plan.seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(choice: Choice, rates: &[f64]) -> ChoiceRounds {
        ChoiceRounds { choice, rates: rates.to_vec(), latency: Histogram::new() }
    }

    #[test]
    fn the_target_is_about_the_journal_at_the_greatest_depth() {
        for (depth, rate, is_met) in [(128, 0.5, Some(true)), (128, 0.4, Some(false)), (1, 0.1, None)] {
            let choices = vec![
                rounds(Choice::None, &[100.0, 200.0]),
                rounds(Choice::Journal, &[100.0 * rate, 200.0 * rate]),
                rounds(Choice::Both, &[1.0, 1.0]),
            ];
            assert_eq!(DepthResult { depth, choices }.is_met(), is_met, "{depth} {rate}");
        }
    }
}
