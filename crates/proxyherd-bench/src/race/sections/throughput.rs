//! Rates of one server by pipeline depth and by connections, with the waits and the processor time at full load.

use anyhow::Result;

use super::{CONNECTIONS, Course, drive};
use crate::format::grouped;
use crate::race::field::Running;

const DEPTHS: [u32; 5] = [1, 4, 16, 64, 128];
const QUICK_DEPTHS: [u32; 2] = [1, 16];
/// Numbers of connections, and the depth at which they are compared.
const CONNECTION_COUNTS: [u32; 4] = [1, 10, 50, 200];
const DEPTH: u32 = 16;

pub(super) fn measure(course: &mut Course<'_>) -> Result<()> {
    let mut running = course.start_all(|contestant| contestant.start(1))?;
    let (rounds, is_quick) = (course.lengths.rounds, course.lengths.is_quick);
    let depths: &[u32] = if is_quick { &QUICK_DEPTHS } else { &DEPTHS };
    for &depth in depths {
        course
            .rounds(&mut running, rounds, |course, server, round| at_depth(course, server, depth, round))?;
    }
    let counts = if is_quick { &CONNECTION_COUNTS[1..2] } else { &CONNECTION_COUNTS[..] };
    for &connections in counts {
        course.rounds(&mut running, rounds, |course, server, round| {
            let rate = drive(server, connections, DEPTH, course.lengths.round)?.lines_per_second();
            course.show(|| format!("{connections} connections: {} {}/s", server.label, grouped(rate)));
            course.add("connections-rate", server.name, f64::from(connections), round, rate)
        })?;
    }
    Ok(())
}

fn at_depth(course: &mut Course<'_>, server: &Running, depth: u32, round: u32) -> Result<()> {
    let before = server.cpu_time()?;
    let result = drive(server, CONNECTIONS, depth, course.lengths.round)?;
    let spent = server.cpu_time()?.saturating_sub(before);
    let (rate, x) = (result.lines_per_second(), f64::from(depth));
    course.add("depth-rate", server.name, x, round, rate)?;
    let p99_us = result.latency.percentile(0.99).as_secs_f64() * 1e6;
    course.add("depth-p99", server.name, x, round, p99_us)?;
    let each_us = spent.as_secs_f64() * 1e6 / result.lines as f64;
    course.add("depth-cpu", server.name, x, round, each_us)?;
    let rounds = course.lengths.rounds;
    course.show(|| format!("depth {depth}, round {round} of {rounds}: {} {}/s", server.label, grouped(rate)));
    Ok(())
}
