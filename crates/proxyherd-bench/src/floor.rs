//! Compares one proxyherd server with an echo server. The echo server shows the floor: the minimum time that lines of
//! this length take.
//!
//! The two servers are measured in alternating short rounds, and the two rounds of each pair are compared with each
//! other. So other work of the machine affects both servers equally. The server that comes first changes from pair to
//! pair.

pub(crate) mod output;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::load::{self, LoadPlan, LoadResult};
use crate::procfs;
use crate::stats::{Histogram, Spread};
use crate::target::herd::{self, LoneServer};
use crate::target::{Target, echo};

/// The depths that are measured. The second number is the target at this depth, as a share of the echo server's rate.
const TARGETS: [(u32, f64); 2] = [(1, 0.9), (128, 0.4)];
/// Length of a first round that is not counted. In this round connections, tables and caches fill.
const WARM_UP: Duration = Duration::from_secs(1);

/// How to compare.
pub(crate) struct FloorPlan {
    pub(crate) connections: u32,
    pub(crate) clients: u32,
    pub(crate) threads: usize,
    pub(crate) rounds: u32,
    /// Length of a round.
    pub(crate) round: Duration,
    /// Number of worker threads of each server. `None` means the number of cores.
    pub(crate) workers: Option<usize>,
}

/// What was measured.
pub(crate) struct FloorResult {
    pub(crate) plan: FloorPlan,
    pub(crate) depths: Vec<DepthResult>,
    /// Length of the proxyherd server's log at the end, bytes.
    pub(crate) log_len: u64,
}

/// What was measured at one depth.
pub(crate) struct DepthResult {
    pub(crate) depth: u32,
    pub(crate) target: f64,
    pub(crate) floor: ServerRounds,
    pub(crate) herd: ServerRounds,
}

impl DepthResult {
    /// The proxyherd server's rate as a share of the echo server's, pair by pair.
    pub(crate) fn ratio(&self) -> Spread {
        let pairs = self.herd.rates.iter().zip(&self.floor.rates);
        Spread::of(pairs.map(|(herd, floor)| herd / floor))
    }

    pub(crate) fn is_met(&self) -> bool {
        self.ratio().median >= self.target
    }
}

/// One server's rounds at one depth.
pub(crate) struct ServerRounds {
    /// Lines per second, one sample per round.
    pub(crate) rates: Vec<f64>,
    pub(crate) latency: Histogram,
    lines: u64,
    server_time: Option<Duration>,
    generator_time: Option<Duration>,
}

impl ServerRounds {
    fn none() -> ServerRounds {
        let (server_time, generator_time) = (Some(Duration::ZERO), Some(Duration::ZERO));
        ServerRounds { rates: Vec::new(), latency: Histogram::new(), lines: 0, server_time, generator_time }
    }

    pub(crate) fn rate(&self) -> Spread {
        Spread::of(self.rates.iter().copied())
    }

    /// Processor time of the server for each line, microseconds.
    pub(crate) fn server_us_per_line(&self) -> Option<f64> {
        Some(self.server_time?.as_secs_f64() * 1e6 / self.lines as f64)
    }

    /// Processor time of the generator for each line, microseconds.
    pub(crate) fn generator_us_per_line(&self) -> Option<f64> {
        Some(self.generator_time?.as_secs_f64() * 1e6 / self.lines as f64)
    }

    fn add(&mut self, result: &LoadResult, server_time: Option<Duration>, generator_time: Option<Duration>) {
        self.rates.push(result.lines_per_second());
        self.latency.merge(&result.latency);
        self.lines += result.lines;
        self.server_time = sum(self.server_time, server_time);
        self.generator_time = sum(self.generator_time, generator_time);
    }
}

fn sum(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one?.checked_add(other?)
}

/// Starts both servers, measures them at each depth, and ends them. Progress goes to standard error.
pub(crate) fn run(plan: FloorPlan, server_bin: Option<&Path>) -> Result<FloorResult> {
    let program = herd::program(server_bin)?;
    let floor = echo::start(plan.workers)?;
    let herd = LoneServer::start(&program, plan.workers)?;
    let mut depths = Vec::new();
    for (depth, target) in TARGETS {
        depths.push(measure_at(depth, target, &plan, &floor, &herd.target)?);
    }
    Ok(FloorResult { plan, depths, log_len: herd.log_len()? })
}

fn measure_at(
    depth: u32,
    target: f64,
    plan: &FloorPlan,
    floor: &Target,
    herd: &Target,
) -> Result<DepthResult> {
    let mut result = DepthResult { depth, target, floor: ServerRounds::none(), herd: ServerRounds::none() };
    for server in [floor, herd] {
        drive(server, plan, depth, WARM_UP)?;
    }
    for round in 0..plan.rounds {
        let mut pair = [(floor, &mut result.floor), (herd, &mut result.herd)];
        if round % 2 == 1 {
            pair.reverse();
        }
        for (server, rounds) in pair {
            drive_measured(server, plan, depth, rounds)?;
        }
        eprintln!("{}", output::progress(&result, round + 1, plan.rounds));
    }
    Ok(result)
}

fn drive_measured(server: &Target, plan: &FloorPlan, depth: u32, rounds: &mut ServerRounds) -> Result<()> {
    let times = || (procfs::cpu_time(server.process.id()), procfs::cpu_time(std::process::id()));
    let (server_before, generator_before) = times();
    let result = drive(server, plan, depth, plan.round)?;
    let (server_after, generator_after) = times();
    let took = |after: Option<Duration>, before: Option<Duration>| after?.checked_sub(before?);
    rounds.add(&result, took(server_after, server_before), took(generator_after, generator_before));
    Ok(())
}

fn drive(server: &Target, plan: &FloorPlan, depth: u32, duration: Duration) -> Result<LoadResult> {
    let load_plan = LoadPlan {
        addresses: vec![server.address],
        dialect: server.dialect,
        connections: plan.connections,
        threads: plan.threads,
        clients: plan.clients,
        around: load::LOS_ANGELES,
        depth,
        duration,
    };
    load::run(&load_plan).with_context(|| format!("driving the {} at depth {depth}", server.name))
}
