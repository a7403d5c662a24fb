//! Waits of reports at a fixed rate, which is a part of each contestant's own capacity.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::{CLIENTS, CONNECTIONS, Course, KEPT_MIN, drive};
use crate::format::{duration, grouped};
use crate::load::paced::{self, PacedPlan};
use crate::race::field::Running;
use crate::stats::Spread;

/// The loads, percent of the capacity.
const LOADS: [u32; 3] = [10, 50, 80];
/// The figures with their percentiles.
const PERCENTILES: [(&str, f64); 3] = [("latency-p50", 0.5), ("latency-p99", 0.99), ("latency-p999", 0.999)];

pub(super) fn measure(course: &mut Course<'_>) -> Result<()> {
    let mut running = course.start_all(|contestant| contestant.start(1))?;
    let rounds = course.lengths.long_rounds;
    let mut rates: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    course.rounds(&mut running, rounds, |course, server, round| {
        let result = drive(server, CONNECTIONS, 1, course.lengths.round)?;
        if round > 0 {
            rates.entry(server.name).or_default().push(result.lines_per_second());
        }
        Ok(())
    })?;
    for load in LOADS {
        course.rounds(&mut running, rounds, |course, server, round| {
            let capacity = rates.get(server.name).context("its capacity was not measured")?;
            let capacity = Spread::of(capacity.iter().copied()).median;
            at_load(course, server, (load, capacity), round)
        })?;
    }
    Ok(())
}

fn at_load(
    course: &mut Course<'_>,
    server: &Running,
    (load, capacity): (u32, f64),
    round: u32,
) -> Result<()> {
    let plan = PacedPlan {
        addresses: server.addresses.clone(),
        dialect: server.dialect,
        connections: CONNECTIONS,
        clients: CLIENTS,
        per_second: capacity * f64::from(load) / 100.0,
        tick: None,
        duration: course.lengths.long_round,
    };
    let result = paced::run(&plan).with_context(|| format!("sending to {}", server.label))?;
    for (figure, share) in PERCENTILES {
        let wait_us = result.latency.percentile(share).as_secs_f64() * 1e6;
        course.add(figure, server.name, f64::from(load), round, wait_us)?;
    }
    if result.kept() < KEPT_MIN && round > 0 {
        let (label, kept) = (server.label, 100.0 * result.kept());
        let text = format!("{label} did not keep up at {load} % in round {round}: it answered {kept:.0} %.");
        course.results.remark("latency-p50", text);
    }
    let (rate, p99) = (result.answered_per_second(), result.latency.percentile(0.99));
    course.show(|| {
        format!("{load} % of capacity: {} {}/s, p99 {}", server.label, grouped(rate), duration(p99))
    });
    Ok(())
}
