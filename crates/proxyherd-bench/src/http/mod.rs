//! Measures the HTTP door of one proxyherd server: single reports, batches, and searches for the nearest clients.
//!
//! - Single reports are compared with a server whose handler does nothing, in alternating rounds.
//! - Batches show the processor time that the server takes for a report.
//! - Searches run while clients move, at two radii in alternating rounds.

mod answer;
mod driver;
mod requests;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

pub(crate) use requests::CLIENTS_MAX;

use crate::format::{duration, grouped};
use crate::procfs;
use crate::stats::{Histogram, Spread};
use crate::target::handler;
use crate::target::herd::{LoneServer, program};
use driver::{DrivePlan, Driven, Feeder, drive};
use requests::{Kind, NEAREST};

/// The target for the rate of single reports, as a share of the rate of the idle handler.
const PUT_TARGET: f64 = 0.5;
/// The target for batches: reports in each second of the server's processor time.
const BATCH_TARGET: f64 = 500_000.0;
/// The target for searches in a second.
const NEAR_TARGET: f64 = 20_000.0;
/// Number of reports in a batch that is measured.
const BATCH: u32 = 100;
/// Number of reports in a batch that loads clients.
const LOAD_BATCH: u32 = 500;
/// Number of clients of single reports and of batches.
const REPORTING: u32 = 10_000;
const RADII_M: [u32; 2] = [1_000, 1_000_000];

/// A part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Single reports, compared with a handler that does nothing.
    Put,
    /// Batches of reports.
    Batch,
    /// Searches for the nearest clients.
    Near,
}

/// What to measure.
pub(crate) struct HttpPlan {
    pub(crate) parts: Vec<Part>,
    pub(crate) connections: u32,
    pub(crate) rounds: u32,
    /// Length of a round.
    pub(crate) round: Duration,
    /// Number of clients among which the nearest ones are searched.
    pub(crate) clients: u32,
    /// Number of clients that move in a second during the searches.
    pub(crate) moves: u32,
}

/// Measures and prints the results. Returns whether all targets are met. Progress goes to standard error.
pub(crate) fn run(plan: &HttpPlan, server_bin: Option<&Path>) -> Result<bool> {
    let program = program(server_bin)?;
    let mut is_met = true;
    for part in &plan.parts {
        let settings = ["limits.connections_per_address=10_000"];
        let herd = LoneServer::start_with(&program, None, &settings)?;
        is_met &= match part {
            Part::Put => puts(plan, &herd)?,
            Part::Batch => batches(plan, &herd)?,
            Part::Near => searches(plan, &herd)?,
        };
    }
    Ok(is_met)
}

/// The number of reports that one server acknowledges in `duration`, of clients that report alone (PUT) or
/// in batches of 100 (NDJSON).
pub(crate) fn reports(
    address: SocketAddr,
    is_batch: bool,
    connections: u32,
    duration: Duration,
) -> Result<u64> {
    let kind = if is_batch { Kind::Ndjson(BATCH) } else { Kind::Put };
    let plan = DrivePlan { address, kind, connections, clients: 0..REPORTING, duration };
    let driven = drive(&plan).with_context(|| format!("sending {kind:?} to {address}"))?;
    Ok(driven.requests * u64::from(kind.items()))
}

/// The rounds of one kind of request at one server.
struct Rounds {
    address: SocketAddr,
    pid: u32,
    kind: Kind,
    /// Requests per second, one sample per round.
    rates: Vec<f64>,
    requests: u64,
    server_time: Option<Duration>,
    latency: Histogram,
}

impl Rounds {
    fn new(address: SocketAddr, pid: u32, kind: Kind) -> Rounds {
        let (rates, latency) = (Vec::new(), Histogram::new());
        Rounds { address, pid, kind, rates, requests: 0, server_time: Some(Duration::ZERO), latency }
    }

    /// One more round. The first round of `plan.rounds` and one is not counted: in this round tables and caches fill.
    fn add(&mut self, plan: &HttpPlan, round: u32) -> Result<()> {
        let clients = 0..REPORTING;
        let drive_plan = DrivePlan {
            address: self.address,
            kind: self.kind,
            connections: plan.connections,
            clients,
            duration: plan.round,
        };
        let (before, began) = (procfs::cpu_time(self.pid), Instant::now());
        let Driven { requests, latency } =
            drive(&drive_plan).with_context(|| format!("sending {:?} to {}", self.kind, self.address))?;
        let (after, took) = (procfs::cpu_time(self.pid), began.elapsed());
        if round > 0 {
            // Requests that were outstanding at the end of the round are in the server's time, and not in the count.
            // They are at most one for each connection.
            self.rates.push(requests as f64 / plan.round.as_secs_f64().min(took.as_secs_f64()));
            self.requests += requests;
            self.latency.merge(&latency);
            let spent = after.zip(before).and_then(|(after, before)| after.checked_sub(before));
            self.server_time = self.server_time.zip(spent).map(|(sum, spent)| sum + spent);
        }
        Ok(())
    }

    fn rate(&self) -> Spread {
        Spread::of(self.rates.iter().copied())
    }

    fn last(&self) -> f64 {
        self.rates.last().copied().unwrap_or_default()
    }

    /// Processor time of the server for each request, microseconds.
    fn server_us(&self) -> Option<f64> {
        Some(self.server_time?.as_secs_f64() * 1e6 / self.requests as f64)
    }

    fn percentiles(&self) -> String {
        let [p50, p99] = [0.5, 0.99].map(|share| duration(self.latency.percentile(share)));
        format!("p50 {p50}, p99 {p99}")
    }

    fn server_us_text(&self) -> String {
        self.server_us().map_or("unknown".to_owned(), |us| format!("{us:.1} us"))
    }
}

fn puts(plan: &HttpPlan, herd: &LoneServer) -> Result<bool> {
    let (idle_process, idle_address) = handler::start(None)?;
    let mut idle = Rounds::new(idle_address, idle_process.id(), Kind::Put);
    let mut puts = Rounds::new(herd.http, herd.target.process.id(), Kind::Put);
    for round in 0..=plan.rounds {
        // The server that comes first changes from pair to pair.
        let mut pair = [&mut idle, &mut puts];
        if round % 2 == 1 {
            pair.reverse();
        }
        pair.into_iter().try_for_each(|rounds| rounds.add(plan, round))?;
        let (floor, rate) = (idle.last(), puts.last());
        eprintln!(
            "PUT, round {round} of {}: handler that does nothing {floor:.0}/s, proxyherd {rate:.0}/s",
            plan.rounds
        );
    }
    let ratio = Spread::of(puts.rates.iter().zip(&idle.rates).map(|(rate, floor)| rate / floor));
    let is_met = ratio.median >= PUT_TARGET;
    println!(
        "PUT over {} connections: proxyherd {}/s, handler that does nothing {}/s, ratio {:.2} ({:.2} to {:.2}); \
         target {PUT_TARGET:.2}, {}",
        plan.connections,
        grouped(puts.rate().median),
        grouped(idle.rate().median),
        ratio.median,
        ratio.low,
        ratio.high,
        verdict(is_met)
    );
    for (name, rounds) in [("proxyherd", &puts), ("handler that does nothing", &idle)] {
        println!(
            "  {name}: {}; processor time of the server {}",
            rounds.percentiles(),
            rounds.server_us_text()
        );
    }
    Ok(is_met)
}

fn batches(plan: &HttpPlan, herd: &LoneServer) -> Result<bool> {
    let of_kind = |kind| Rounds::new(herd.http, herd.target.process.id(), kind);
    let mut formats =
        [("NDJSON", of_kind(Kind::Ndjson(BATCH))), ("a JSON array", of_kind(Kind::Json(BATCH)))];
    for round in 0..=plan.rounds {
        for (name, rounds) in &mut formats {
            rounds.add(plan, round)?;
            let rate = rounds.last() * f64::from(BATCH);
            eprintln!("batches as {name}, round {round} of {}: {rate:.0} reports/s", plan.rounds);
        }
    }
    let mut is_met = true;
    for (name, rounds) in &formats {
        let rate = rounds.rate().median * f64::from(BATCH);
        let us = rounds.server_us().context("Linux tells no processor time")? / f64::from(BATCH);
        let per_core = 1e6 / us;
        is_met &= per_core >= BATCH_TARGET;
        println!(
            "batches of {BATCH} as {name}: {} reports/s; processor time of the server {us:.2} us a report, so {} \
             reports/s a core used; target {}, {}",
            grouped(rate),
            grouped(per_core),
            grouped(BATCH_TARGET),
            verdict(per_core >= BATCH_TARGET)
        );
    }
    Ok(is_met)
}

fn searches(plan: &HttpPlan, herd: &LoneServer) -> Result<bool> {
    let began = Instant::now();
    let mut loader = Feeder::connect(herd.http, Kind::Ndjson(LOAD_BATCH), 0..plan.clients)?;
    for _ in 0..plan.clients.div_ceil(LOAD_BATCH) {
        loader.feed()?;
    }
    eprintln!("{} clients are loaded after {:.1} s", plan.clients, began.elapsed().as_secs_f64());
    let stop = AtomicBool::new(false);
    let (rounds, moved) = thread::scope(|scope| {
        let moving = scope.spawn(|| move_clients(plan, herd.http, &stop));
        let rounds = search_rounds(plan, herd);
        stop.store(true, Relaxed);
        let moved = moving.join().map_err(|_| anyhow!("the thread that moves clients panicked"))?;
        Ok::<_, anyhow::Error>((rounds?, moved?))
    })?;
    let mut is_met = true;
    for rounds in &rounds {
        let Kind::Near { radius_m } = rounds.kind else { continue };
        let Spread { low, median, high } = rounds.rate();
        is_met &= median >= NEAR_TARGET;
        println!(
            "{NEAREST} nearest of {} clients within {} km, while {} clients/s move: {}/s ({} to {}), {}; processor \
             time of the server {}; target {}, {}",
            grouped(plan.clients.into()),
            radius_m / 1000,
            grouped(moved),
            grouped(median),
            grouped(low),
            grouped(high),
            rounds.percentiles(),
            rounds.server_us_text(),
            grouped(NEAR_TARGET),
            verdict(median >= NEAR_TARGET)
        );
    }
    Ok(is_met)
}

fn search_rounds(plan: &HttpPlan, herd: &LoneServer) -> Result<Vec<Rounds>> {
    let pid = herd.target.process.id();
    let mut all = RADII_M.map(|radius_m| Rounds::new(herd.http, pid, Kind::Near { radius_m }));
    for round in 0..=plan.rounds {
        for rounds in &mut all {
            rounds.add(plan, round)?;
            let rate = rounds.last();
            eprintln!("{:?}, round {round} of {}: {rate:.0}/s", rounds.kind, plan.rounds);
        }
    }
    Ok(all.into())
}

/// Moves clients until `stop`, in batches that are due at equal intervals. Returns the number of moves in a second.
fn move_clients(plan: &HttpPlan, http: SocketAddr, stop: &AtomicBool) -> Result<f64> {
    if plan.moves == 0 {
        return Ok(0.0);
    }
    let mut feeder = Feeder::connect(http, Kind::Ndjson(BATCH), 0..plan.clients)?;
    let interval = Duration::from_secs_f64(f64::from(BATCH) / f64::from(plan.moves));
    let (began, mut batches) = (Instant::now(), 0);
    while !stop.load(Relaxed) {
        feeder.feed()?;
        batches += 1;
        let due = began + interval * batches;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(f64::from(batches * BATCH) / began.elapsed().as_secs_f64())
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "not met" }
}
