//! A minute of load at the same fixed rate for all: peak memory and the longest wait.

use anyhow::{Context, Result};

use super::{CLIENTS, CONNECTIONS, Course, KEPT_MIN, drive};
use crate::format::duration;
use crate::load::paced::{self, PacedPlan};
use crate::race::field::Running;

/// Reports a second.
const RATE: u32 = 10_000;

pub(super) fn measure(course: &mut Course<'_>) -> Result<()> {
    let mut contestants = course.field.contestants.iter().collect();
    course.herd_rounds(&mut contestants, (1, 1), one_minute)
}

fn one_minute(course: &mut Course<'_>, running: &Running, round: u32) -> Result<()> {
    drive(running, CONNECTIONS, 16, course.lengths.warm_up)?;
    let (label, length) = (running.label, course.lengths.minute);
    course.show(|| format!("{label}: {} s of load", length.as_secs()));
    let plan = PacedPlan {
        addresses: running.addresses.clone(),
        dialect: running.dialect,
        connections: CONNECTIONS,
        clients: CLIENTS,
        per_second: (RATE / course.lengths.divisor).into(),
        tick: None,
        duration: length,
    };
    let result = paced::run(&plan).with_context(|| format!("sending to {label}"))?;
    let millis = |share| result.latency.percentile(share).as_secs_f64() * 1e3;
    course.add("minute-memory", running.name, 0.0, round, running.resident_max()? as f64 / 1e6)?;
    course.add("minute-pause", running.name, 0.0, round, millis(1.0))?;
    course.add("minute-p99", running.name, 0.0, round, millis(0.99))?;
    if result.kept() < KEPT_MIN {
        let kept = 100.0 * result.kept();
        course.results.remark("minute-pause", format!("{label} did not keep up: it answered {kept:.0} %."));
    }
    course.show(|| format!("{label}: longest wait {}", duration(result.latency.percentile(1.0))));
    Ok(())
}
