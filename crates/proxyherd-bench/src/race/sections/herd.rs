//! The highest rate of a whole herd: every server must show every report within a second of the last one.

use std::time::Duration;

use anyhow::Result;

use super::{CONNECTIONS, Course, drive};
use crate::format::grouped;
use crate::load::ClientReport;
use crate::race::field::Running;

/// Numbers of servers.
pub(super) const SERVERS: [usize; 4] = [1, 3, 5, 9];
/// The figures with the depths of their loads.
const DEPTHS: [(&str, u32); 2] = [("herd-rate", 128), ("herd-one-rate", 1)];
/// Time after the last report within which every server should show it. A herd that takes longer has a lower rate.
const SETTLED_IN: Duration = Duration::from_secs(1);
/// Longest time that a herd may take until every server shows the last reports.
pub(super) const SETTLE_MAX: Duration = Duration::from_secs(60);
/// Number of clients whose last reports every server must show.
const ASKED: usize = 500;

pub(super) fn measure(course: &mut Course<'_>) -> Result<()> {
    let mut herds = course.herds();
    let rounds = course.lengths.long_rounds;
    for servers in sizes(course) {
        course.herd_rounds(&mut herds, (servers, rounds), one_herd)?;
    }
    Ok(())
}

/// The numbers of servers that are measured.
pub(super) fn sizes(course: &Course<'_>) -> Vec<usize> {
    if course.lengths.is_quick { vec![1, 3] } else { SERVERS.to_vec() }
}

fn one_herd(course: &mut Course<'_>, running: &Running, round: u32) -> Result<()> {
    let label = running.label;
    let warm_up = drive(running, CONNECTIONS, DEPTHS[0].1, course.lengths.warm_up)?;
    running.wait_until_settled(&some_of(&warm_up.last_reports), SETTLE_MAX)?;
    let servers = running.servers();
    for (figure, depth) in DEPTHS {
        let result = drive(running, CONNECTIONS, depth, 2 * course.lengths.round)?;
        let asked = some_of(&result.last_reports);
        let settled = running.wait_until_settled(&asked, SETTLE_MAX)?.unwrap_or_else(|| {
            let text = format!(
                "{servers} servers of {label} did not show the last reports within {} s.",
                SETTLE_MAX.as_secs()
            );
            course.results.remark(figure, text);
            SETTLE_MAX
        });
        let rate = result.lines as f64 / (result.duration + settled.saturating_sub(SETTLED_IN)).as_secs_f64();
        course.add(figure, running.name, servers as f64, round, rate)?;
        if figure == DEPTHS[0].0 {
            course.add("herd-settled", running.name, servers as f64, round, settled.as_secs_f64())?;
        }
        course.show(|| {
            let settled = settled.as_secs_f64();
            format!(
                "{servers} servers of {label}, depth {depth}: {}/s, settled in {settled:.2} s",
                grouped(rate)
            )
        });
    }
    Ok(())
}

/// Some of these reports, evenly chosen.
pub(super) fn some_of(reports: &[ClientReport]) -> Vec<ClientReport> {
    reports.iter().copied().step_by(reports.len().div_ceil(ASKED).max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evenly_chosen_reports_are_few_and_from_all_parts() {
        for count in [0_u32, 1, 499, 500, 501, 10_000] {
            let reports: Vec<ClientReport> = (0..count).map(|client| (client, 7)).collect();
            let some = some_of(&reports);
            assert!(some.len() <= ASKED && (some.is_empty() == reports.is_empty()), "{count}");
            assert!(some.last().is_none_or(|(client, _)| client + 50 > count), "{count}");
        }
    }
}
