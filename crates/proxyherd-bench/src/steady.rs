//! A long run at a part of what a herd takes in: does any of its servers grow?
//!
//! The herd is the classic one, in processes of its own. What it takes in is measured first; then as many clients as
//! before roam between the servers, at a share of that rate, while each server's memory and descriptors are looked at.
//! The clients are always the same, so that what a server needs does not grow.

pub(crate) mod told;

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::load::roam::{self, Roaming, Tally};
use crate::load::{self, Dialect};
use crate::process_memory::resident;
use crate::progress::Progress;
use crate::report::{duration, grouped};
use crate::stats::Histogram;
use crate::target;
use crate::target::group::{CLASSIC, Draft, Group};
use crate::target::herd;

/// Lines outstanding on each connection.
const DEPTH: u32 = 16;
/// Different clients.
const CLIENTS: u32 = 10_000;
/// For how long it is measured what the herd takes in.
const MEASURED: Duration = Duration::from_secs(5);
/// How long a connection lives before it moves to another server.
const LIFE: Duration = Duration::from_secs(3);
/// How often the servers are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// What is seen before this part of the time has passed is not judged: buffers, tables and caches fill.
const SETTLES: f64 = 0.1;
/// How much a server's memory may grow: a part of it, and bytes. A herd that was held up for a moment has larger buffers
/// from then on, and the allocator takes memory in pieces; what leaks a byte in twenty lines grows by more in an hour.
const GROWTH_MAX: (f64, f64) = (0.02, 4.0 * 1024.0 * 1024.0);

/// What is measured.
pub(crate) struct Plan {
    pub(crate) duration: Duration,
    /// Of what the herd takes in.
    pub(crate) share: f64,
    pub(crate) connections: u32,
}

/// What was found.
pub(crate) struct Steadiness {
    pub(crate) plan: Plan,
    /// Lines in a second that the herd took in when it was sent as many as it took.
    pub(crate) rate_max: f64,
    pub(crate) lines: u64,
    pub(crate) latency: Histogram,
    pub(crate) servers: Vec<Watched>,
}

impl Steadiness {
    pub(crate) fn is_flat(&self) -> bool {
        self.servers.iter().all(Watched::is_flat)
    }
}

/// One server over time.
pub(crate) struct Watched {
    pub(crate) name: &'static str,
    pub(crate) looks: Vec<Look>,
    /// Descriptors while no client was connected, before and after.
    pub(crate) idle_descriptors: [usize; 2],
    connections: usize,
}

/// What a look at a server showed.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    /// Seconds since the start.
    pub(crate) at_s: f64,
    /// Bytes.
    pub(crate) memory: f64,
    pub(crate) descriptors: usize,
}

impl Watched {
    /// What was seen once things had settled.
    pub(crate) fn settled(&self) -> &[Look] {
        let end = self.looks.last().map_or(0.0, |look| look.at_s);
        let first = self.looks.partition_point(|look| look.at_s < SETTLES * end);
        &self.looks[first..]
    }

    /// How much higher, bytes, the memory came in the last third of what is judged than in the first. Between them it may
    /// fall and rise again, as an allocator gives back what it does not need for now.
    pub(crate) fn growth(&self) -> f64 {
        let looks = self.settled();
        let third = looks.len() / 3;
        let high = |looks: &[Look]| looks.iter().map(|look| look.memory).fold(0.0, f64::max);
        high(&looks[looks.len() - third..]) - high(&looks[..third])
    }

    pub(crate) fn memory_max(&self) -> f64 {
        self.looks.iter().map(|look| look.memory).fold(0.0, f64::max)
    }

    pub(crate) fn descriptors_max(&self) -> usize {
        self.looks.iter().map(|look| look.descriptors).max().unwrap_or(0)
    }

    /// Neither memory nor descriptors grow: there are never more of these than connections account for, and without
    /// clients as many as before.
    pub(crate) fn is_flat(&self) -> bool {
        let memory = self.settled().first().map_or(0.0, |look| look.memory);
        let [before, after] = self.idle_descriptors;
        self.growth() <= GROWTH_MAX.0 * memory + GROWTH_MAX.1
            && after <= before
            && self.descriptors_max() <= before + self.connections
    }
}

/// Measures for as long as the plan says. Progress goes to standard error.
pub(crate) fn run(plan: Plan, server_bin: Option<&Path>) -> Result<Steadiness> {
    let group = Draft::of(&CLASSIC)?.start(&herd::program(server_bin)?, false)?;
    let rate_max = rate_max(&plan, &group)?;
    let before = idle_descriptors(&group)?;
    let roaming = Roaming {
        addresses: group.servers.iter().map(|server| server.line).collect(),
        connections: plan.connections,
        clients: CLIENTS,
        depth: DEPTH,
        lines_per_second: plan.share * rate_max,
        life: LIFE,
        duration: plan.duration,
    };
    let tally = Mutex::new(Tally::new());
    let mut watch = Watch::of(&group, &plan, &before);
    thread::scope(|scope| {
        let running = scope.spawn(|| roam::run(&roaming, &tally));
        while !running.is_finished() {
            watch.look(&group, &tally)?;
            thread::sleep(LOOK_EVERY.min(plan.duration / 100));
        }
        running.join().map_err(|_| anyhow!("a thread panicked"))?
    })?;
    let Watch { mut servers, latency, .. } = watch;
    for (server, after) in servers.iter_mut().zip(idle_descriptors(&group)?) {
        server.idle_descriptors[1] = after;
    }
    let lines = tally.into_inner().unwrap_or_else(PoisonError::into_inner).lines;
    Ok(Steadiness { plan, rate_max, lines, latency, servers })
}

/// What the herd takes in, lines in a second; afterwards every server knows every client.
fn rate_max(plan: &Plan, group: &Group) -> Result<f64> {
    let outcome = load::run(&load::Plan {
        addresses: group.servers.iter().map(|server| server.line).collect(),
        dialect: Dialect::Herd,
        connections: plan.connections,
        threads: (target::cores() / 2).max(1).min(plan.connections as usize),
        clients: CLIENTS,
        around: load::LOS_ANGELES,
        depth: DEPTH,
        duration: MEASURED,
    })?;
    let clients = u64::from(CLIENTS / plan.connections * plan.connections);
    group.wait_for("every server knows every client", |group| {
        let mut held = group.servers.iter().map(|server| Ok(server.counts()?.sum("proxyherd_records")));
        held.try_fold(true, |all, held: Result<u64>| Ok(all && held? == clients))
    })?;
    Ok(outcome.lines_per_second())
}

/// Descriptors of each server once no client is connected any more.
fn idle_descriptors(group: &Group) -> Result<Vec<usize>> {
    group.wait_for("no client is connected", |group| {
        let mut open = group.servers.iter().map(|server| Ok(server.counts()?.sum("proxyherd_connections")));
        open.try_fold(true, |all, open: Result<u64>| Ok(all && open? == 0))
    })?;
    // Being asked takes a descriptor, too, for a moment.
    let mut least = vec![usize::MAX; group.servers.len()];
    for _ in 0..10 {
        for (least, server) in least.iter_mut().zip(&group.servers) {
            *least = descriptors(server.process.id())?.min(*least);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(least)
}

/// Open descriptors of a process.
fn descriptors(pid: u32) -> Result<usize> {
    let path = format!("/proc/{pid}/fd");
    Ok(fs::read_dir(&path).with_context(|| format!("cannot read {path}"))?.count())
}

/// The servers as they are looked at.
struct Watch {
    start: Instant,
    duration: Duration,
    seen: (Instant, u64),
    servers: Vec<Watched>,
    latency: Histogram,
    progress: Progress,
}

impl Watch {
    fn of(group: &Group, plan: &Plan, idle_descriptors: &[usize]) -> Watch {
        let servers = group.servers.iter().zip(idle_descriptors).map(|(server, &idle)| Watched {
            name: server.name,
            looks: Vec::new(),
            idle_descriptors: [idle, idle],
            connections: plan.connections as usize,
        });
        let start = Instant::now();
        Watch {
            start,
            duration: plan.duration,
            seen: (start, 0),
            servers: servers.collect(),
            latency: Histogram::new(),
            progress: Progress::new(),
        }
    }

    fn look(&mut self, group: &Group, tally: &Mutex<Tally>) -> Result<()> {
        let at_s = self.start.elapsed().as_secs_f64();
        for (watched, server) in self.servers.iter_mut().zip(&group.servers) {
            let pid = server.process.id();
            let context = || format!("{} is gone", server.name);
            let memory = resident(pid).with_context(context)? as f64;
            let descriptors = descriptors(pid).with_context(context)?;
            watched.looks.push(Look { at_s, memory, descriptors });
        }
        let (lines, latest) = {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            (tally.lines, std::mem::replace(&mut tally.latency, Histogram::new()))
        };
        let (then, before) = std::mem::replace(&mut self.seen, (Instant::now(), lines));
        let rate = (lines - before) as f64 / then.elapsed().as_secs_f64();
        self.latency.merge(&latest);
        let left = self.duration.saturating_sub(self.start.elapsed()).as_secs();
        let last = self.servers.iter().filter_map(|server| server.looks.last());
        let memory = last.clone().map(|look| look.memory).fold(0.0, f64::max) / 1e6;
        let descriptors = last.map(|look| look.descriptors).max().unwrap_or(0);
        self.progress.tell(|| {
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

    fn watched(memory: impl Fn(f64) -> f64, descriptors: usize, idle: [usize; 2]) -> Watched {
        let looks =
            (0..100).map(|at| Look { at_s: f64::from(at), memory: memory(f64::from(at)), descriptors });
        Watched { name: "Riley", looks: looks.collect(), idle_descriptors: idle, connections: 50 }
    }

    #[test]
    fn what_grows_is_not_flat_and_what_settles_early_is() {
        let check = |memory: fn(f64) -> f64, descriptors, idle, is_flat| {
            let watched = watched(memory, descriptors, idle);
            assert_eq!(watched.is_flat(), is_flat, "growth {}", watched.growth());
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
