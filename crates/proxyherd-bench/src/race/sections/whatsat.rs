//! Questions about places (WHATSAT): answered from the cache, and without one. Only proxyherd answers with places.

use anyhow::{Context, Result};

use super::{CLIENTS, CONNECTIONS, Course};
use crate::format::grouped;
use crate::load::{self, Dialect, LOS_ANGELES, LoadPlan};
use crate::race::field::OURS;
use crate::restart::fill::fill;
use crate::target::herd::LoneServer;

/// The settings of the servers, in the order of the figure's places.
const SETTINGS: [&[&str]; 2] =
    [&["places.provider=embedded"], &["places.provider=embedded", "places.cache_mb=0"]];

pub(super) fn measure(course: &mut Course<'_>) -> Result<()> {
    if !course.field.has_ours() {
        course.results.remark("whatsat-rate", "proxyherd did not take part.");
        return Ok(());
    }
    let start = |settings: &&[&str]| LoneServer::start_with(course.field.program(), None, settings);
    let servers: Vec<LoneServer> = SETTINGS.iter().map(start).collect::<Result<_>>()?;
    let ask = |server: &LoneServer| {
        let plan = LoadPlan {
            addresses: vec![server.target.address],
            dialect: Dialect::Nearby,
            connections: CONNECTIONS,
            threads: 1,
            clients: CLIENTS,
            around: LOS_ANGELES,
            depth: 1,
            duration: course.lengths.round,
        };
        load::run(&plan).context("asking for places").map(|result| result.lines_per_second())
    };
    let mut measured = Vec::new();
    for server in &servers {
        // Each client reports, so that it can be asked for.
        fill(server.target.address, CLIENTS)?;
    }
    for round in 0..=course.lengths.rounds {
        for (place, server) in servers.iter().enumerate() {
            measured.push((place, round, ask(server)?));
        }
    }
    for (place, round, rate) in measured {
        course.add("whatsat-rate", OURS, place as f64, round, rate)?;
        course.show(|| format!("WHATSAT: {}/s", grouped(rate)));
    }
    Ok(())
}
