//! What an update costs as the herd grows: processor time, and what links carry.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::{CLIENTS, CONNECTIONS, Course, KEPT_MIN, drive, herd};
use crate::format::grouped;
use crate::load::paced::{self, PacedPlan};
use crate::procfs;
use crate::race::field::Running;

/// Reports a second.
const RATE: u32 = 20_000;
const TICK: Duration = Duration::from_millis(1);
/// The metric of proxyherd that counts the records that were sent on links.
const PAYLOADS: &str = "proxyherd_link_payloads_sent_total";

pub(super) fn measure(course: &mut Course<'_>) -> Result<()> {
    let mut herds = course.askable();
    let rounds = course.lengths.long_rounds;
    // What clients send and receive, by contestant and round: the bytes of a single server.
    let mut of_clients = BTreeMap::new();
    for servers in herd::sizes(course) {
        course.herd_rounds(&mut herds, (servers, rounds), |course, running, round| {
            let Some(octets) = one_herd(course, running, round)? else { return Ok(()) };
            let place = (running.name, round);
            if servers == 1 {
                of_clients.insert(place, octets);
            }
            let Some(clients) = of_clients.get(&place) else { return Ok(()) };
            let on_links = octets - clients;
            if on_links < 0.0 {
                let text = "Other traffic of this machine has disturbed a round, so its bytes are left out.";
                course.results.remark("cost-bytes", text);
                return Ok(());
            }
            course.add("cost-bytes", running.name, servers as f64, round, on_links)
        })?;
    }
    Ok(())
}

/// One round of one herd. Returns the bytes that this machine has sent for each report, or `None` if the herd did not
/// keep up.
fn one_herd(course: &mut Course<'_>, running: &Running, round: u32) -> Result<Option<f64>> {
    let (servers, label) = (running.servers(), running.label);
    let warm_up = drive(running, CONNECTIONS, 16, course.lengths.warm_up)?;
    crate::load::asking::wait_until_shown(
        &running.addresses,
        &herd::some_of(&warm_up.last_reports),
        herd::SETTLE_MAX,
    )?;
    let rate = RATE / course.lengths.divisor;
    let plan = PacedPlan {
        addresses: running.addresses.clone(),
        dialect: running.dialect,
        connections: servers as u32,
        clients: CLIENTS,
        per_second: rate.into(),
        tick: Some(TICK),
        duration: course.lengths.long_round,
    };
    let (before, payloads, octets) = (running.cpu_time()?, running.metric(PAYLOADS)?, procfs::sent_octets()?);
    let result = paced::run(&plan)?;
    let spent = running.cpu_time()?.saturating_sub(before);
    let octets = procfs::sent_octets()?.saturating_sub(octets);
    if result.kept() < KEPT_MIN {
        let kept = 100.0 * result.kept();
        let rate = grouped(rate.into());
        let text = format!("{servers} servers of {label} did not keep up with {rate} a second: {kept:.0} %.");
        course.results.remark("cost-cpu", text);
        return Ok(None);
    }
    let answered = result.answered as f64;
    let each_us = spent.as_secs_f64() * 1e6 / answered;
    course.add("cost-cpu", running.name, servers as f64, round, each_us)?;
    if let (Some(before), Some(after)) = (payloads, running.metric(PAYLOADS)?) {
        course.add(
            "cost-payloads",
            running.name,
            servers as f64,
            round,
            (after - before) as f64 / answered,
        )?;
    }
    course.show(|| format!("{servers} servers of {label}: {each_us:.1} us a report"));
    Ok(Some(octets as f64 / answered))
}
