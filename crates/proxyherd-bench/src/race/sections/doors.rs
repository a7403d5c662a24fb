//! Reports through each door of one server of proxyherd, beside each other.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{CLIENTS, CONNECTIONS, Course, turns};
use crate::format::grouped;
use crate::load::{self, Dialect, LOS_ANGELES, LoadPlan};
use crate::race::field::OURS;
use crate::target::herd::LoneServer;
use crate::{http, procfs};

/// The doors, in the order of the figure's places.
#[derive(Clone, Copy)]
enum Door {
    /// The line door, with so many reports under way on each connection.
    Line(u32),
    /// The HTTP door, with single reports or with batches.
    Http { is_batch: bool },
}

const DOORS: [Door; 4] =
    [Door::Line(1), Door::Line(128), Door::Http { is_batch: false }, Door::Http { is_batch: true }];

pub(super) fn measure(course: &mut Course<'_>) -> Result<()> {
    if !course.field.has_ours() {
        course.results.remark("doors-rate", "proxyherd did not take part.");
        return Ok(());
    }
    let settings = ["limits.connections_per_address=1_000_000"];
    let server = LoneServer::start_with(course.field.program(), None, &settings)?;
    let cpu_time = || procfs::cpu_time(server.target.process.id()).context("Linux tells no processor time");
    let round_s = course.lengths.round;
    for round in 0..=course.lengths.rounds {
        for place in turns(DOORS.len(), round) {
            let before = cpu_time()?;
            let reports = reports(&server, DOORS[place], round_s)? as f64;
            let spent = cpu_time()?.saturating_sub(before);
            let rate = reports / round_s.as_secs_f64();
            course.add("doors-rate", OURS, place as f64, round, rate)?;
            course.add("doors-cpu", OURS, place as f64, round, spent.as_secs_f64() * 1e6 / reports)?;
            course.show(|| format!("round {round}: {} reports/s", grouped(rate)));
        }
    }
    Ok(())
}

/// The number of reports that were answered in a round.
fn reports(server: &LoneServer, door: Door, duration: Duration) -> Result<u64> {
    match door {
        Door::Http { is_batch } => http::reports(server.http, is_batch, CONNECTIONS, duration),
        Door::Line(depth) => {
            let plan = LoadPlan {
                addresses: vec![server.target.address],
                dialect: Dialect::Herd,
                connections: CONNECTIONS,
                threads: 1,
                clients: CLIENTS,
                around: LOS_ANGELES,
                depth,
                duration,
            };
            Ok(load::run(&plan)?.lines)
        }
    }
}
