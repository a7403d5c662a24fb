//! One core and two, and the time that a start takes.

use anyhow::{Context, Result};

use super::{CONNECTIONS, Course, drive, turns};
use crate::format::grouped;
use crate::target;

/// Depth of the load that compares cores.
const DEPTH: u32 = 128;
/// Numbers of cores.
const CORES: [usize; 2] = [1, 2];

/// Rates of one server that may use one core, and two.
pub(super) fn cores(course: &mut Course<'_>) -> Result<()> {
    for (place, cores) in CORES.into_iter().enumerate() {
        if target::cores() < cores {
            course.results.remark("cores-rate", format!("This machine does not have {cores} cores."));
            continue;
        }
        let mut running = Vec::new();
        for contestant in &course.field.contestants {
            let started = contestant.start_on(cores);
            running.push(started.with_context(|| format!("{} does not start", contestant.label))?);
        }
        for round in 0..=course.lengths.rounds {
            for turn in turns(running.len(), round) {
                let server = &running[turn];
                let rate = drive(server, CONNECTIONS, DEPTH, course.lengths.round)?.lines_per_second();
                course.add("cores-rate", server.name, place as f64, round, rate)?;
                course.show(|| format!("{cores} cores: {} {}/s", server.name, grouped(rate)));
            }
        }
    }
    Ok(())
}

/// The time from the start of a process until its first answer.
pub(super) fn startup(course: &mut Course<'_>) -> Result<()> {
    let contestants = &course.field.contestants;
    for round in 0..=course.lengths.rounds {
        for turn in turns(contestants.len(), round) {
            let contestant = &contestants[turn];
            let running =
                contestant.start(1).with_context(|| format!("{} does not start", contestant.label))?;
            let millis = running.started_in()?.as_secs_f64() * 1e3;
            course.add("startup-time", running.name, 0.0, round, millis)?;
            course.show(|| format!("{} serves after {millis:.0} ms", contestant.label));
        }
    }
    Ok(())
}
