//! Runs seeds, and says for each that fails how to run it again.

mod progress;

use std::{
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use clap::{Parser, ValueEnum};
use proxyherd_core::flood::Rules;
use proxyherd_sim::{
    outcome::Outcome,
    scenario::{Given, SERVERS_MAX, SERVERS_MIN, Scenario},
    timeline::SECOND,
};

use crate::progress::Progress;

/// Many servers of a herd on a seeded network, in virtual time, and checkers that watch them.
///
/// Each seed is a herd with its own topology, wires, clocks, clients and faults. A seed that fails is printed
/// with the command that runs it again; the same seed always does the same.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  proxyherd-sim --seeds 1000\n  proxyherd-sim --seed 17 --servers 5\n  \
                        proxyherd-sim --seeds 200 --bad-rule advance-by-record"
)]
struct Arguments {
    /// Run this seed, or begin with it
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Run so many seeds [default: 100, or 1 with --seed]
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Servers of each herd [default: 3 to 8, as the seed says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(SERVERS_MIN..=SERVERS_MAX))]
    servers: Option<u64>,
    /// How long things go wrong, virtual minutes
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Break a rule of the flood, to see the checkers notice
    #[arg(long, value_name = "NAME")]
    bad_rule: Option<BadRule>,
    /// Seeds run at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    jobs: u64,
}

/// A rule, broken.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum BadRule {
    /// The vector advances for each record as it arrives, and not by markers alone
    AdvanceByRecord,
}

impl Arguments {
    fn seeds(&self) -> std::ops::Range<u64> {
        let first = self.seed.unwrap_or(0);
        let count = self.seeds.unwrap_or(if self.seed.is_some() { 1 } else { 100 });
        first..first.saturating_add(count)
    }

    fn run(&self, seed: u64) -> Outcome {
        let servers = self.servers.map(|servers| servers as usize);
        let given = Given { servers, length: self.minutes * 60 * SECOND };
        let rules = Rules { advance_by_record: matches!(self.bad_rule, Some(BadRule::AdvanceByRecord)) };
        proxyherd_sim::run(Scenario::draw(seed, given), rules)
    }

    /// What runs one seed again.
    fn command(&self, seed: u64) -> String {
        let mut command = format!("cargo run --release -p proxyherd-sim -- --seed {seed}");
        if let Some(servers) = self.servers {
            command += &format!(" --servers {servers}");
        }
        if self.minutes != 10 {
            command += &format!(" --minutes {}", self.minutes);
        }
        if let Some(name) = self.bad_rule.and_then(|rule| rule.to_possible_value()) {
            command += &format!(" --bad-rule {}", name.get_name());
        }
        command
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seeds = arguments.seeds();
    let progress = Mutex::new(Progress::new(seeds.end - seeds.start));
    let next = AtomicU64::new(seeds.start);
    let run = || {
        while let Some(seed) = Some(next.fetch_add(1, Relaxed)).filter(|seed| seeds.contains(seed)) {
            let began = Instant::now();
            let outcome = arguments.run(seed);
            let mut progress = progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            progress.done(&outcome, began.elapsed(), &arguments.command(seed));
        }
    };
    std::thread::scope(|scope| {
        (1..arguments.jobs).for_each(|_| drop(scope.spawn(run)));
        run();
    });
    progress.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).finish()
}
