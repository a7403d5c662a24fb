//! Rates of one server by pipeline depth and by connections, with the waits and the processor time at full load.

use anyhow::Result;

use super::{CONNECTIONS, Course, drive, turns};
use crate::format::grouped;

const DEPTHS: [u32; 5] = [1, 4, 16, 64, 128];
const QUICK_DEPTHS: [u32; 2] = [1, 16];
/// Numbers of connections, and the depth at which they are compared.
const CONNECTION_COUNTS: [u32; 4] = [1, 10, 50, 200];
const DEPTH: u32 = 16;

pub(super) fn measure(course: &mut Course<'_>) -> Result<()> {
    let running = course.start_all(|_| true)?;
    let depths: &[u32] = if course.lengths.is_quick { &QUICK_DEPTHS } else { &DEPTHS };
    for &depth in depths {
        for round in 0..=course.lengths.rounds {
            for turn in turns(running.len(), round) {
                let server = &running[turn];
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
                course.show(|| {
                    format!("depth {depth}, round {round} of {rounds}: {} {}/s", server.name, grouped(rate))
                });
            }
        }
    }
    let counts = if course.lengths.is_quick { &CONNECTION_COUNTS[1..2] } else { &CONNECTION_COUNTS[..] };
    for &connections in counts {
        for round in 0..=course.lengths.rounds {
            for turn in turns(running.len(), round) {
                let server = &running[turn];
                let rate = drive(server, connections, DEPTH, course.lengths.round)?.lines_per_second();
                course.add("connections-rate", server.name, f64::from(connections), round, rate)?;
                course.show(|| format!("{connections} connections: {} {}/s", server.name, grouped(rate)));
            }
        }
    }
    Ok(())
}
