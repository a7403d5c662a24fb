//! A minute of load at the same fixed rate for all: peak memory and the longest wait.

use anyhow::{Context, Result};

use super::{CLIENTS, CONNECTIONS, Course, KEPT_MIN, drive};
use crate::format::duration;
use crate::load::paced::{self, PacedPlan};

/// Reports a second.
const RATE: u32 = 10_000;

pub(super) fn measure(course: &mut Course<'_>) -> Result<()> {
    for contestant in &course.field.contestants {
        let running = contestant.start(1).with_context(|| format!("{} does not start", contestant.label))?;
        drive(&running, CONNECTIONS, 16, course.lengths.warm_up)?;
        course.show(|| format!("{}: {} s of load", contestant.label, course.lengths.minute.as_secs()));
        let plan = PacedPlan {
            addresses: running.addresses.clone(),
            dialect: running.dialect,
            connections: CONNECTIONS,
            clients: CLIENTS,
            per_second: (RATE / course.lengths.divisor).into(),
            tick: None,
            duration: course.lengths.minute,
        };
        let result = paced::run(&plan).with_context(|| format!("sending to {}", contestant.label))?;
        let millis = |share| result.latency.percentile(share).as_secs_f64() * 1e3;
        course.add("minute-memory", running.name, 0.0, 1, running.resident_max()? as f64 / 1e6)?;
        course.add("minute-pause", running.name, 0.0, 1, millis(1.0))?;
        course.add("minute-p99", running.name, 0.0, 1, millis(0.99))?;
        if result.kept() < KEPT_MIN {
            let kept = 100.0 * result.kept();
            let text = format!("{} did not keep up: it answered {kept:.0} %.", contestant.label);
            course.results.remark("minute-pause", text);
        }
        let longest = duration(result.latency.percentile(1.0));
        course.show(|| format!("{}: longest wait {longest}", contestant.label));
    }
    Ok(())
}
