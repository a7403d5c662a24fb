//! Searches for the nearest clients in proxyherd's replica, and in Redis if its program is on the PATH.

use anyhow::{Context, Result};

use super::Course;
use crate::near::{self, NearPlan};
use crate::race::field::{OURS, REDIS};
use crate::target::redis;

/// Number of clients.
const CLIENTS: u32 = 1_000_000;

pub(super) fn measure(course: &mut Course<'_>) -> Result<()> {
    let server = if redis::version().is_some() {
        Some(redis::start(0).context("Redis does not start")?)
    } else {
        course.results.remark("near-rate", "Redis is not on the PATH, so it was not measured.");
        None
    };
    let clients = CLIENTS / course.lengths.divisor;
    let address = server.as_ref().map(|redis| redis.servers[0].address);
    let plan = NearPlan::new(clients, course.lengths.long_rounds, course.lengths.round, address);
    course.show(|| format!("searches among {clients} clients"));
    for (place, of_radius) in near::measure(&plan)?.radii.iter().enumerate() {
        let all = [(OURS, &of_radius.ours), (REDIS, &of_radius.redis_deep)];
        for (who, rates) in all {
            for (round, rate) in (1..).zip(rates) {
                course.add("near-rate", who, place as f64, round, *rate)?;
            }
        }
    }
    Ok(())
}
