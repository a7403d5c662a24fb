//! A herd of five at given rates: the cores that it uses, the processor time of a report, and the time until the
//! farthest server shows a report.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::{CLIENTS, CONNECTIONS, Course, KEPT_MIN, drive};
use crate::format::grouped;
use crate::load::CLIENTS_MAX;
use crate::load::asking::Probe;
use crate::load::paced::{self, PacedPlan, PacedResult};
use crate::race::field::Running;
use crate::stats::Histogram;

const SERVERS: usize = 5;
/// Reports a second.
const RATES: [u32; 5] = [0, 20_000, 50_000, 150_000, 300_000];
/// Each connection writes what is due at these intervals.
const TICK: Duration = Duration::from_millis(1);
/// Depth of the load that measures the highest rate.
const FULL_DEPTH: u32 = 128;
/// Interval at which probes are due.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);
/// Number of probes that find the farthest server.
const PROBES: u32 = 20;
/// The client that probes report. No other client has this number.
const PROBE_CLIENT: u32 = CLIENTS_MAX - 1;

pub(super) fn measure(course: &mut Course<'_>) -> Result<()> {
    let mut herds = course.askable();
    let rounds = course.lengths.long_rounds;
    course.herd_rounds(&mut herds, (SERVERS, rounds), one_herd)
}

/// One round of one herd.
fn one_herd(course: &mut Course<'_>, running: &Running, round: u32) -> Result<()> {
    let label = running.label;
    let full = drive(running, CONNECTIONS, FULL_DEPTH, course.lengths.warm_up)?;
    settle(running, &full.last_reports)?;
    let farthest = farthest(running)?;
    for rate in RATES.map(|rate| rate / course.lengths.divisor) {
        let measured = at_rate(course, running, farthest, f64::from(rate))?;
        if rate > 0 && measured.result.kept() < KEPT_MIN {
            let kept = 100.0 * measured.result.kept();
            let rate = grouped(rate.into());
            let text =
                format!("{label} did not keep up at {rate} reports a second: it answered {kept:.0} %.");
            course.results.remark("paced-cores", text);
            break;
        }
        let (who, x) = (running.name, f64::from(rate));
        course.add("paced-cores", who, x, round, measured.cores)?;
        if rate > 0 {
            let each_us = measured.cores * measured.result.duration.as_secs_f64() * 1e6;
            course.add("paced-cpu", who, x, round, each_us / measured.result.answered as f64)?;
        }
        let millis = |share| measured.visible.percentile(share).as_secs_f64() * 1e3;
        course.add("visible-p50", who, x, round, millis(0.5))?;
        course.add("visible-p99", who, x, round, millis(0.99))?;
        course.show(|| {
            let (cores, p99) = (measured.cores, millis(0.99));
            format!("{label} at {}/s: {cores:.2} cores, visible within {p99:.1} ms", grouped(x))
        });
    }
    // The herd is warm now, so this is its highest rate.
    let full = drive(running, CONNECTIONS, FULL_DEPTH, course.lengths.round)?;
    settle(running, &full.last_reports)?;
    let half = at_rate(course, running, farthest, full.lines_per_second() / 2.0)?;
    course.add("half-rate", running.name, 0.0, round, half.result.answered_per_second())?;
    course.add("half-kept", running.name, 0.0, round, half.result.kept())?;
    let p99 = half.visible.percentile(0.99).as_secs_f64() * 1e3;
    course.add("half-visible-p99", running.name, 0.0, round, p99)?;
    if half.result.kept() < KEPT_MIN {
        let text = format!(
            "{label} did not keep up at half of its full rate: it answered {:.0} %.",
            100.0 * half.result.kept()
        );
        course.results.remark("half-rate", text);
    }
    Ok(())
}

/// Waits until a herd has nothing more to tell.
fn settle(running: &Running, reports: &[crate::load::ClientReport]) -> Result<()> {
    let some = super::herd::some_of(reports);
    crate::load::asking::wait_until_shown(&running.addresses, &some, super::herd::SETTLE_MAX).map(drop)
}

/// The server that shows last what was reported at the first one, by the median of some probes.
fn farthest(running: &Running) -> Result<usize> {
    let mut found = (Duration::ZERO, 0);
    for server in 1..running.addresses.len() {
        let mut probe = Probe::between(running.addresses[0], running.addresses[server], PROBE_CLIENT)?;
        let mut histogram = Histogram::new();
        for _ in 0..PROBES {
            histogram.record(probe.measure()?);
            thread::sleep(PROBE_INTERVAL);
        }
        found = found.max((histogram.percentile(0.5), server));
    }
    Ok(found.1)
}

/// What was measured at one rate.
struct AtRate {
    result: PacedResult,
    cores: f64,
    visible: Histogram,
}

fn at_rate(course: &Course<'_>, running: &Running, farthest: usize, per_second: f64) -> Result<AtRate> {
    let plan = PacedPlan {
        addresses: running.addresses.clone(),
        dialect: running.dialect,
        connections: SERVERS as u32,
        clients: CLIENTS,
        per_second,
        tick: Some(TICK),
        duration: course.lengths.long_round,
    };
    let is_over = AtomicBool::new(false);
    let ends = [running.addresses[0], running.addresses[farthest]];
    let (began, before) = (Instant::now(), running.cpu_time()?);
    thread::scope(|scope| {
        let probing = scope.spawn(|| probe_until(ends, &is_over));
        let result = paced::run(&plan);
        let (took, spent) = (began.elapsed(), running.cpu_time()?.saturating_sub(before));
        is_over.store(true, Relaxed);
        let visible = probing.join().map_err(|_| anyhow!("the thread that probes panicked"))?;
        let cores = spent.as_secs_f64() / took.as_secs_f64();
        Ok(AtRate { result: result?, cores, visible: visible? })
    })
}

/// Measures until `is_over`, at least once, how soon the second server shows what was reported at the first one.
fn probe_until([first, farthest]: [SocketAddr; 2], is_over: &AtomicBool) -> Result<Histogram> {
    let mut probe = Probe::between(first, farthest, PROBE_CLIENT)?;
    let mut visible = Histogram::new();
    loop {
        let took = probe.measure()?;
        visible.record_with_omitted(took, PROBE_INTERVAL);
        if is_over.load(Relaxed) {
            return Ok(visible);
        }
        thread::sleep(PROBE_INTERVAL.saturating_sub(took));
    }
}
