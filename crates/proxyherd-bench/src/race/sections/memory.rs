//! Memory of a client: of each contestant's process, and of proxyherd's data alone.

use anyhow::Result;

use super::Course;
use crate::load::client_name;
use crate::memory::measure_apart;
use crate::race::field::{OURS, Running};

/// Numbers of clients.
const CLIENTS: [u32; 2] = [100_000, 1_000_000];
const TEN_MILLION: u32 = 10_000_000;
/// Clients that report before the memory is first read, so that buffers and compilers do not count.
const WARM_UP_PART: u32 = 100;

pub(super) fn measure(course: &mut Course<'_>) -> Result<()> {
    let mut holders = course.herds();
    let mut counts = CLIENTS.map(|count| count / course.lengths.divisor).to_vec();
    if course.has_ten_million {
        counts.push(TEN_MILLION);
    } else {
        course.results.remark("memory-client", "Ten million clients were not measured (`--ten-million`).");
    }
    for clients in counts {
        let rounds = course.lengths.long_rounds.min(2);
        course.herd_rounds(&mut holders, (1, rounds), |course, running, round| {
            of_process(course, running, clients, round)
        })?;
        for round in 1..=rounds {
            if course.field.has_ours() {
                of_data(course, clients, round)?;
            }
        }
    }
    Ok(())
}

/// By how much a contestant's process grows.
fn of_process(course: &mut Course<'_>, running: &Running, clients: u32, round: u32) -> Result<()> {
    let (label, first) = (running.label, clients / WARM_UP_PART);
    course.show(|| format!("filling {label} with {clients} clients"));
    running.fill(first)?;
    let before = running.resident()?;
    running.fill(clients)?;
    let grown = running.resident()?.saturating_sub(before);
    // The clients of the first part are the same, and were there before.
    let (added, id) = (f64::from(clients - first), client_name(0).len() as f64);
    course.add("memory-client", running.name, clients.into(), round, grown as f64 / added - id)
}

/// The data of proxyherd alone, without the index and with it.
fn of_data(course: &mut Course<'_>, clients: u32, round: u32) -> Result<()> {
    for (figure, has_index) in [("memory-replica", false), ("memory-replica-index", true)] {
        course.add(figure, OURS, clients.into(), round, measure_apart(clients, has_index)?)?;
    }
    Ok(())
}
