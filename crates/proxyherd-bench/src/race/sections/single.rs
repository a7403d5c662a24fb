//! One core and two, and the time that a start takes.

use anyhow::Result;

use super::{CONNECTIONS, Course, drive};
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
        let mut running = course.start_all(|contestant| contestant.start_on(cores))?;
        let rounds = course.lengths.rounds;
        course.rounds(&mut running, rounds, |course, server, round| {
            let rate = drive(server, CONNECTIONS, DEPTH, course.lengths.round)?.lines_per_second();
            course.show(|| format!("cores: {cores}: {} {}/s", server.label, grouped(rate)));
            course.add("cores-rate", server.name, place as f64, round, rate)
        })?;
    }
    Ok(())
}

/// The time from the start of a process until its first answer.
pub(super) fn startup(course: &mut Course<'_>) -> Result<()> {
    let mut contestants = course.field.contestants.iter().collect();
    let rounds = course.lengths.rounds;
    course.herd_rounds(&mut contestants, (1, rounds), |course, running, round| {
        let millis = running.started_in()?.as_secs_f64() * 1e3;
        course.show(|| format!("{} serves after {millis:.0} ms", running.label));
        course.add("startup-time", running.name, 0.0, round, millis)
    })
}
