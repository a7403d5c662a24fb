//! Waits of reports at a fixed rate, which is a part of each contestant's own capacity.

use anyhow::{Context, Result};

use super::{CLIENTS, CONNECTIONS, Course, KEPT_MIN, drive, turns};
use crate::format::{duration, grouped};
use crate::load::paced::{self, PacedPlan};
use crate::stats::Spread;

/// The loads, percent of the capacity.
const LOADS: [u32; 3] = [10, 50, 80];
/// The figures with their percentiles.
const PERCENTILES: [(&str, f64); 3] = [("latency-p50", 0.5), ("latency-p99", 0.99), ("latency-p999", 0.999)];

pub(super) fn measure(course: &mut Course<'_>) -> Result<()> {
    let running = course.start_all(|_| true)?;
    let mut capacities = vec![Vec::new(); running.len()];
    for round in 0..=course.lengths.long_rounds {
        for turn in turns(running.len(), round) {
            let result = drive(&running[turn], CONNECTIONS, 1, course.lengths.round)?;
            if round > 0 {
                capacities[turn].push(result.lines_per_second());
            }
        }
    }
    let capacities: Vec<f64> = capacities.into_iter().map(|rates| Spread::of(rates).median).collect();
    for load in LOADS {
        for round in 0..=course.lengths.long_rounds {
            for turn in turns(running.len(), round) {
                let server = &running[turn];
                let plan = PacedPlan {
                    addresses: server.addresses.clone(),
                    dialect: server.dialect,
                    connections: CONNECTIONS,
                    clients: CLIENTS,
                    per_second: capacities[turn] * f64::from(load) / 100.0,
                    tick: None,
                    duration: course.lengths.long_round,
                };
                let result = paced::run(&plan).with_context(|| format!("sending to {}", server.name))?;
                for (figure, share) in PERCENTILES {
                    let wait_us = result.latency.percentile(share).as_secs_f64() * 1e6;
                    course.add(figure, server.name, f64::from(load), round, wait_us)?;
                }
                if result.kept() < KEPT_MIN && round > 0 {
                    let text = format!(
                        "{} did not keep up at {load} %: it answered {:.0} % of what was due.",
                        server.name,
                        100.0 * result.kept()
                    );
                    course.results.remark("latency-p50", text);
                }
                let (rate, p99) = (result.answered_per_second(), result.latency.percentile(0.99));
                course.show(|| {
                    format!(
                        "{load} % of capacity: {} {}/s, p99 {}",
                        server.name,
                        grouped(rate),
                        duration(p99)
                    )
                });
            }
        }
    }
    Ok(())
}
