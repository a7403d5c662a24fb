//! The race: one proxyherd server against an echo server of the same bytes, in rounds taken in turns.
//!
//! The two run one at a time, in short rounds close together, and each round's pair is compared on its own: whatever
//! else the machine is doing then hits both. Which of the two goes first changes from round to round.

pub(crate) mod told;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::load::{self, Outcome, Plan};
use crate::process_time;
use crate::stats::{Histogram, Spread};
use crate::target::herd::{self, Herd};
use crate::target::{Target, echo};

/// What is raced, and how much of the floor's rate is asked for.
const TARGETS: [(u32, f64); 2] = [(1, 0.9), (128, 0.4)];
/// Length of the uncounted round before the others: connections, tables and caches fill.
const WARM_UP: Duration = Duration::from_secs(1);

/// How to race.
pub(crate) struct Race {
    pub(crate) connections: u32,
    pub(crate) clients: u32,
    pub(crate) threads: usize,
    pub(crate) rounds: u32,
    /// Length of a round.
    pub(crate) round: Duration,
    /// Worker threads of both servers, or as many as there are cores.
    pub(crate) workers: Option<usize>,
}

/// What a race found.
pub(crate) struct RaceResult {
    pub(crate) race: Race,
    pub(crate) depths: Vec<DepthResult>,
    /// Bytes that the herd's server had in its log at the end.
    pub(crate) log_len: u64,
}

/// What it found at one depth.
pub(crate) struct DepthResult {
    pub(crate) depth: u32,
    pub(crate) target: f64,
    pub(crate) floor: Rounds,
    pub(crate) herd: Rounds,
}

impl DepthResult {
    /// The herd's rate as a part of the floor's, round by round.
    pub(crate) fn ratio(&self) -> Spread {
        let pairs = self.herd.rates.iter().zip(&self.floor.rates);
        Spread::of(pairs.map(|(herd, floor)| herd / floor))
    }

    pub(crate) fn is_met(&self) -> bool {
        self.ratio().median >= self.target
    }
}

/// One server's rounds at one depth.
pub(crate) struct Rounds {
    /// Lines per second, one figure a round.
    pub(crate) rates: Vec<f64>,
    pub(crate) latency: Histogram,
    lines: u64,
    server_time: Option<Duration>,
    generator_time: Option<Duration>,
}

impl Rounds {
    fn none() -> Rounds {
        let (server_time, generator_time) = (Some(Duration::ZERO), Some(Duration::ZERO));
        Rounds { rates: Vec::new(), latency: Histogram::new(), lines: 0, server_time, generator_time }
    }

    pub(crate) fn rate(&self) -> Spread {
        Spread::of(self.rates.iter().copied())
    }

    /// Processor time that the server took for a line, microseconds.
    pub(crate) fn server_us_per_line(&self) -> Option<f64> {
        Some(self.server_time?.as_secs_f64() * 1e6 / self.lines as f64)
    }

    /// Processor time that the generator took for a line, microseconds.
    pub(crate) fn generator_us_per_line(&self) -> Option<f64> {
        Some(self.generator_time?.as_secs_f64() * 1e6 / self.lines as f64)
    }

    fn add(&mut self, outcome: &Outcome, server_time: Option<Duration>, generator_time: Option<Duration>) {
        self.rates.push(outcome.lines_per_second());
        self.latency.merge(&outcome.latency);
        self.lines += outcome.lines;
        self.server_time = sum(self.server_time, server_time);
        self.generator_time = sum(self.generator_time, generator_time);
    }
}

fn sum(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one?.checked_add(other?)
}

/// Starts both servers, races them at each depth, and ends them. Progress goes to standard error.
pub(crate) fn run(race: Race, server_bin: Option<&Path>) -> Result<RaceResult> {
    let program = herd::program(server_bin)?;
    let floor = echo::start(race.workers)?;
    let herd = Herd::start(&program, race.workers)?;
    let mut depths = Vec::new();
    for (depth, target) in TARGETS {
        depths.push(race_at(depth, target, &race, &floor, &herd.target)?);
    }
    Ok(RaceResult { race, depths, log_len: herd.log_len()? })
}

fn race_at(depth: u32, target: f64, race: &Race, floor: &Target, herd: &Target) -> Result<DepthResult> {
    let mut result = DepthResult { depth, target, floor: Rounds::none(), herd: Rounds::none() };
    for server in [floor, herd] {
        drive(server, race, depth, WARM_UP)?;
    }
    for round in 0..race.rounds {
        let mut pair = [(floor, &mut result.floor), (herd, &mut result.herd)];
        if round % 2 == 1 {
            pair.reverse();
        }
        for (server, rounds) in pair {
            drive_measured(server, race, depth, rounds)?;
        }
        eprintln!("{}", told::progress(&result, round + 1, race.rounds));
    }
    Ok(result)
}

fn drive_measured(server: &Target, race: &Race, depth: u32, rounds: &mut Rounds) -> Result<()> {
    let times = || (process_time::used_by(server.process.id()), process_time::used_by(std::process::id()));
    let (server_before, generator_before) = times();
    let outcome = drive(server, race, depth, race.round)?;
    let (server_after, generator_after) = times();
    let took = |after: Option<Duration>, before: Option<Duration>| after?.checked_sub(before?);
    rounds.add(&outcome, took(server_after, server_before), took(generator_after, generator_before));
    Ok(())
}

fn drive(server: &Target, race: &Race, depth: u32, duration: Duration) -> Result<Outcome> {
    let plan = Plan {
        addresses: vec![server.address],
        dialect: server.dialect,
        connections: race.connections,
        threads: race.threads,
        clients: race.clients,
        around: load::LOS_ANGELES,
        depth,
        duration,
    };
    load::run(&plan).with_context(|| format!("driving the {} at depth {depth}", server.name))
}
