//! Measures in a long run whether the memory or the number of descriptors of a server grows.
//!
//! The herd is the classic herd. First its highest rate is measured. Then clients roam between the servers and send at
//! a share of that rate. During this time the memory and the descriptors of each server are read at intervals. The
//! clients are always the same, so the memory that a server really needs does not grow.

pub(crate) mod output;

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::format::{duration, grouped};
use crate::load::roam::{self, RoamCounts, RoamPlan};
use crate::load::{self, Dialect};
use crate::procfs::{descriptors, resident};
use crate::progress::Progress;
use crate::stats::Histogram;
use crate::target;
use crate::target::group::{CLASSIC, Group, GroupConfig, LinkEncryption};
use crate::target::herd;

/// Number of lines outstanding on each connection.
const DEPTH: u32 = 16;
/// Number of clients.
const CLIENTS: u32 = 10_000;
/// Length of the run that measures the highest rate.
const RATE_RUN: Duration = Duration::from_secs(5);
/// After this time a connection reconnects to another server.
const STAY: Duration = Duration::from_secs(3);
/// Interval between two readings of the servers' memory and descriptors.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(2);
/// The share of the run at its beginning that is not judged, because buffers, tables and caches fill in this time.
const SETTLING_SHARE: f64 = 0.1;
/// Maximum growth of a server's memory. The first number is a share of the memory, and the second is a number of bytes
/// in addition. Some growth is normal: a short delay makes a herd's buffers larger, and the allocator takes memory in
/// large pieces. A leak of one byte for every twenty lines exceeds this limit in an hour.
const GROWTH_MAX: (f64, f64) = (0.02, 4.0 * 1024.0 * 1024.0);

/// What to measure.
pub(crate) struct SteadyPlan {
    pub(crate) duration: Duration,
    /// Share of the highest rate that is sent.
    pub(crate) share: f64,
    pub(crate) connections: u32,
}

/// What was measured.
pub(crate) struct SteadyResult {
    pub(crate) plan: SteadyPlan,
    /// The herd's highest rate, lines per second.
    pub(crate) rate_max: f64,
    pub(crate) lines: u64,
    pub(crate) latency: Histogram,
    pub(crate) servers: Vec<ServerHistory>,
}

impl SteadyResult {
    pub(crate) fn is_flat(&self) -> bool {
        self.servers.iter().all(ServerHistory::is_flat)
    }
}

/// The samples of one server.
pub(crate) struct ServerHistory {
    pub(crate) name: &'static str,
    pub(crate) samples: Vec<Sample>,
    /// Number of descriptors while no client was connected, before the run and after it.
    pub(crate) idle_descriptors: [usize; 2],
    connections: usize,
}

/// One reading of a server's memory and descriptors.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// Seconds since the start.
    pub(crate) at_s: f64,
    /// Bytes.
    pub(crate) memory: f64,
    pub(crate) descriptors: usize,
}

impl ServerHistory {
    /// The samples that are judged.
    pub(crate) fn settled(&self) -> &[Sample] {
        let end = self.samples.last().map_or(0.0, |sample| sample.at_s);
        let first = self.samples.partition_point(|sample| sample.at_s < SETTLING_SHARE * end);
        &self.samples[first..]
    }

    /// The growth, bytes: the highest memory in the last third of the judged samples minus the highest memory in the
    /// first third. The memory may fall and rise in between, because an allocator returns memory that it does not need
    /// at the moment.
    pub(crate) fn growth(&self) -> f64 {
        let samples = self.settled();
        let third = samples.len() / 3;
        let high = |samples: &[Sample]| samples.iter().map(|sample| sample.memory).fold(0.0, f64::max);
        high(&samples[samples.len() - third..]) - high(&samples[..third])
    }

    pub(crate) fn memory_max(&self) -> f64 {
        self.samples.iter().map(|sample| sample.memory).fold(0.0, f64::max)
    }

    pub(crate) fn descriptors_max(&self) -> usize {
        self.samples.iter().map(|sample| sample.descriptors).max().unwrap_or(0)
    }

    /// Whether neither memory nor descriptors grow. During the run there may be one additional descriptor for each
    /// connection. After the clients have left, there may be no more descriptors than before the run.
    pub(crate) fn is_flat(&self) -> bool {
        let memory = self.settled().first().map_or(0.0, |sample| sample.memory);
        let [before, after] = self.idle_descriptors;
        self.growth() <= GROWTH_MAX.0 * memory + GROWTH_MAX.1
            && after <= before
            && self.descriptors_max() <= before + self.connections
    }
}

/// Measures for `plan.duration`. Progress goes to standard error.
pub(crate) fn run(plan: SteadyPlan, server_bin: Option<&Path>) -> Result<SteadyResult> {
    let group = GroupConfig::of(&CLASSIC)?.start(&herd::program(server_bin)?, LinkEncryption::Off)?;
    let rate_max = rate_max(&plan, &group)?;
    let before = idle_descriptors(&group)?;
    let roam_plan = RoamPlan {
        addresses: group.servers.iter().map(|server| server.line).collect(),
        connections: plan.connections,
        clients: CLIENTS,
        depth: DEPTH,
        lines_per_second: plan.share * rate_max,
        stay: STAY,
        duration: plan.duration,
    };
    let counts = Mutex::new(RoamCounts::new());
    let mut monitor = Monitor::of(&group, &plan, &before);
    thread::scope(|scope| {
        let running = scope.spawn(|| roam::run(&roam_plan, &counts));
        while !running.is_finished() {
            monitor.sample(&group, &counts)?;
            thread::sleep(SAMPLE_INTERVAL.min(plan.duration / 100));
        }
        running.join().map_err(|_| anyhow!("a thread panicked"))?
    })?;
    let Monitor { mut servers, latency, .. } = monitor;
    for (server, after) in servers.iter_mut().zip(idle_descriptors(&group)?) {
        server.idle_descriptors[1] = after;
    }
    let lines = counts.into_inner().unwrap_or_else(PoisonError::into_inner).lines;
    Ok(SteadyResult { plan, rate_max, lines, latency, servers })
}

/// The herd's highest rate, lines per second. Afterwards every server holds every client.
fn rate_max(plan: &SteadyPlan, group: &Group) -> Result<f64> {
    let result = load::run(&load::LoadPlan {
        addresses: group.servers.iter().map(|server| server.line).collect(),
        dialect: Dialect::Herd,
        connections: plan.connections,
        threads: (target::cores() / 2).max(1).min(plan.connections as usize),
        clients: CLIENTS,
        around: load::LOS_ANGELES,
        depth: DEPTH,
        duration: RATE_RUN,
    })?;
    let clients = u64::from(CLIENTS / plan.connections * plan.connections);
    group.wait_for("every server holds every client", |group| {
        let mut held = group.servers.iter().map(|server| Ok(server.metrics()?.sum("proxyherd_records")));
        held.try_fold(true, |all, held: Result<u64>| Ok(all && held? == clients))
    })?;
    Ok(result.lines_per_second())
}

/// Number of descriptors of each server after all clients have disconnected.
fn idle_descriptors(group: &Group) -> Result<Vec<usize>> {
    group.wait_for("no client is connected", |group| {
        let mut open = group.servers.iter().map(|server| Ok(server.metrics()?.sum("proxyherd_connections")));
        open.try_fold(true, |all, open: Result<u64>| Ok(all && open? == 0))
    })?;
    // A request for metrics takes a descriptor for a moment, so the lowest of several readings counts.
    let mut least = vec![usize::MAX; group.servers.len()];
    for _ in 0..10 {
        for (least, server) in least.iter_mut().zip(&group.servers) {
            *least = descriptors(server.process.id())?.min(*least);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(least)
}

/// Reads the servers' memory and descriptors during the run.
struct Monitor {
    start: Instant,
    duration: Duration,
    /// The time of the last sample, and the number of lines at that time.
    last_seen: (Instant, u64),
    servers: Vec<ServerHistory>,
    latency: Histogram,
    progress: Progress,
}

impl Monitor {
    fn of(group: &Group, plan: &SteadyPlan, idle_descriptors: &[usize]) -> Monitor {
        let servers = group.servers.iter().zip(idle_descriptors).map(|(server, &idle)| ServerHistory {
            name: server.name,
            samples: Vec::new(),
            idle_descriptors: [idle, idle],
            connections: plan.connections as usize,
        });
        let start = Instant::now();
        Monitor {
            start,
            duration: plan.duration,
            last_seen: (start, 0),
            servers: servers.collect(),
            latency: Histogram::new(),
            progress: Progress::new(),
        }
    }

    fn sample(&mut self, group: &Group, counts: &Mutex<RoamCounts>) -> Result<()> {
        let at_s = self.start.elapsed().as_secs_f64();
        for (history, server) in self.servers.iter_mut().zip(&group.servers) {
            let pid = server.process.id();
            let context = || format!("{} is gone", server.name);
            let memory = resident(pid).with_context(context)? as f64;
            let descriptors = descriptors(pid).with_context(context)?;
            history.samples.push(Sample { at_s, memory, descriptors });
        }
        let (lines, latest) = {
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            (counts.lines, std::mem::replace(&mut counts.latency, Histogram::new()))
        };
        let (then, before) = std::mem::replace(&mut self.last_seen, (Instant::now(), lines));
        let rate = (lines - before) as f64 / then.elapsed().as_secs_f64();
        self.latency.merge(&latest);
        let left = self.duration.saturating_sub(self.start.elapsed()).as_secs();
        let last = self.servers.iter().filter_map(|server| server.samples.last());
        let memory = last.clone().map(|sample| sample.memory).fold(0.0, f64::max) / 1e6;
        let descriptors = last.map(|sample| sample.descriptors).max().unwrap_or(0);
        self.progress.show(|| {
            format!(
                "{}:{:02} left, {}/s, p99 {}, at most {memory:.1} MB and {descriptors} descriptors",
                left / 60,
                left % 60,
                grouped(rate),
                duration(latest.percentile(0.99)),
            )
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(memory: impl Fn(f64) -> f64, descriptors: usize, idle: [usize; 2]) -> ServerHistory {
        let samples =
            (0..100).map(|at| Sample { at_s: f64::from(at), memory: memory(f64::from(at)), descriptors });
        ServerHistory { name: "Riley", samples: samples.collect(), idle_descriptors: idle, connections: 50 }
    }

    #[test]
    fn growth_is_found_and_early_growth_is_ignored() {
        let check = |memory: fn(f64) -> f64, descriptors, idle, is_flat| {
            let history = history(memory, descriptors, idle);
            assert_eq!(history.is_flat(), is_flat, "growth {}", history.growth());
        };
        check(|_| 2e7, 60, [10, 10], true);
        check(|at| 2e7 + 5e5 * at.min(9.0), 60, [10, 10], true);
        check(|at| 2e7 + 1e4 * at, 60, [10, 10], true);
        check(|at| if (30.0..60.0).contains(&at) { 1e7 } else { 2e7 }, 60, [10, 10], true);
        check(|at| if at < 30.0 { 2e7 } else { 1e7 + 1.5e5 * at }, 60, [10, 10], false);
        check(|at| 2e7 + 1e5 * at, 60, [10, 10], false);
        check(|_| 2e7, 61, [10, 10], false);
        check(|_| 2e7, 60, [10, 11], false);
    }
}
