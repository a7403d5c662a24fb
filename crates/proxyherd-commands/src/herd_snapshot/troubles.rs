//! Finds the troubles in a herd's status that an operator should look at, and describes them in sentences.

use std::collections::{BTreeMap, BTreeSet};

use proxyherd_config::{
    credentials::DAYS_LEFT_MIN,
    server_status::{JournalStatus, LinkStatus, Status},
};
use proxyherd_core::flood::Nonsense;

use super::{AskedServer, HerdSnapshot, StatusAnswer};
use crate::door_client::url;

/// Time that changes may wait for a link, seconds. A link with a longer wait is reported.
const LAG_S_MAX: f64 = 1.0;

/// Difference that the clocks at the ends of a link may have, seconds. A link with a larger difference is reported.
const CLOCK_OFFSET_S_MAX: f64 = 1.0;

/// Time for which a sync of the journal may run, milliseconds. A longer one is reported.
const SYNC_MS_MAX: f64 = 1000.0;

/// The troubles of each server, followed by the troubles of the herd.
pub(crate) fn of(snapshot: &HerdSnapshot) -> Vec<String> {
    snapshot
        .servers
        .iter()
        .flat_map(of_server)
        .chain(of_refused(snapshot))
        .chain(of_removed(snapshot))
        .chain(of_parts(snapshot))
        .collect()
}

/// The servers that do not show their status to this token. Servers with the same reason share a sentence.
fn of_refused(snapshot: &HerdSnapshot) -> Vec<String> {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for server in &snapshot.servers {
        if let StatusAnswer::Refused(why) = &server.answer {
            by_reason.entry(why).or_default().push(&server.name);
        }
    }
    let sentence = |(why, names): (&str, Vec<&str>)| match names.as_slice() {
        [name] => format!("{name} does not show its status: {why}"),
        names => format!("{} do not show their status: {why}", names.join(", ")),
    };
    by_reason.into_iter().map(sentence).collect()
}

/// Servers that still have links with servers of the file, although the file does not name them.
fn of_removed(snapshot: &HerdSnapshot) -> Option<String> {
    let is_named = |name: &&str| snapshot.servers.iter().any(|server| server.name == **name);
    let reached = snapshot.up().flat_map(|(_, status)| &status.reaches).map(String::as_str);
    let removed: BTreeSet<&str> = reached.filter(|name| !is_named(name)).collect();
    let names = removed.into_iter().collect::<Vec<_>>().join(", ");
    (!names.is_empty())
        .then(|| format!("{names} still runs and has links, but this herd.toml does not name that server"))
}

fn of_server(server: &AskedServer) -> Vec<String> {
    let name = &server.name;
    // A server that --at names has its URL for its name until it answers.
    let at = server.http.as_ref().map(|door| format!(" at {}", url(door))).unwrap_or_default();
    let status = match &server.answer {
        StatusAnswer::NoDoor | StatusAnswer::Refused(_) => return Vec::new(),
        StatusAnswer::Silent(why) => return vec![format!("{name} does not answer{at}: {why}")],
        StatusAnswer::Up(status) => status,
    };
    let mut troubles = Vec::new();
    if !status.stuck.is_empty() {
        troubles
            .push(format!("{name} is stuck: {}; restart it if this does not end", status.stuck.join(", ")));
    }
    if status.namesake {
        troubles.push(format!("another process runs as {name} in this herd: stop one of the two"));
    }
    if status.removed {
        troubles.push(format!(
            "{name} runs, but its herd.toml no longer names it: the server ends within seconds, or runs without links if `removed` is \
             \"stay\""
        ));
    }
    if status.log_left_out > 0 {
        troubles.push(format!(
            "{name} has left {} lines out of its log, because they came faster than the log could be written",
            status.log_left_out
        ));
    }
    troubles.extend(status.certificate_days_left.and_then(|days| of_certificate(name, days)));
    if status.root_mismatches > 0 {
        troubles.push(format!(
            "{name} has found {} differences between its records and its neighbors', and repaired them; look at its log",
            status.root_mismatches
        ));
    }
    troubles.extend(status.journal.as_ref().and_then(|journal| of_journal(name, journal)));
    troubles.extend(status.links.iter().filter_map(|link| of_link(name, link)));
    troubles.extend(status.links.iter().filter_map(|link| of_nonsense(name, link)));
    troubles
}

/// The trouble with a server's journal.
fn of_journal(name: &str, journal: &JournalStatus) -> Option<String> {
    let why = journal.why.as_deref().unwrap_or("it does not say why");
    match journal.state.as_str() {
        "failed" => Some(format!(
            "{name}'s journal has failed, and {name} acknowledges no report until it is started again: {why}"
        )),
        "running" if journal.damage > 0 => Some(format!(
            "{name} found {} damaged {} in its store when it started: look at its log and its disk",
            journal.damage,
            if journal.damage == 1 { "place" } else { "places" }
        )),
        "running" if journal.fsync_running_ms > SYNC_MS_MAX => Some(format!(
            "{name}'s disk has been syncing the journal for {:.1} s, and no report is acknowledged meanwhile",
            journal.fsync_running_ms / 1e3
        )),
        "running" => None,
        _ => Some(format!("{name} acknowledges no report: {why}")),
    }
}

fn of_certificate(name: &str, days: i64) -> Option<String> {
    let advice = format!("renew it with `proxyherd init --server {name}`");
    match days {
        ..0 => Some(format!("{name}'s certificate has expired, and no new link with it comes up: {advice}")),
        0..DAYS_LEFT_MIN => Some(format!("{name}'s certificate expires in {}: {advice}", in_days(days))),
        _ => None,
    }
}

fn in_days(days: i64) -> String {
    match days {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

/// The sentence that names the certificate that expires first. `None` if links are not encrypted.
pub(crate) fn first_to_expire(snapshot: &HerdSnapshot) -> Option<String> {
    let certified =
        snapshot.up().filter_map(|(_, status)| Some((&status.server, status.certificate_days_left?)));
    let (server, days) = certified.min_by_key(|(_, days)| *days).filter(|(_, days)| *days >= 0)?;
    Some(format!("The first certificate to expire is {server}'s, in {}.", in_days(days)))
}

fn of_link(name: &str, link: &LinkStatus) -> Option<String> {
    let neighbor = &link.neighbor;
    if link.unsteady {
        let ups = link.times_up;
        Some(format!(
            "{name}'s link with {neighbor} does not stay up and has come up {ups} times: look at the logs of both servers"
        ))
    } else if !link.up {
        let why = match &link.trouble {
            Some(trouble) => trouble.clone(),
            None if link.dials => "it has not come up yet".to_owned(),
            None => format!("{neighbor} has not connected yet; if {neighbor} runs, its log says why"),
        };
        Some(format!("{name}'s link with {neighbor} is down: {why}"))
    } else if link.lag_s > LAG_S_MAX {
        Some(format!("{name}'s link with {neighbor} is behind: changes have waited for {:.1} s", link.lag_s))
    } else if link.clock_offset_s.abs() > CLOCK_OFFSET_S_MAX {
        let side = if link.clock_offset_s > 0.0 { "ahead of" } else { "behind" };
        let seconds = link.clock_offset_s.abs();
        Some(format!("{neighbor}'s clock is {seconds:.1} s {side} {name}'s"))
    } else {
        None
    }
}

/// The trouble with records from a neighbor that the server has refused.
fn of_nonsense(name: &str, link: &LinkStatus) -> Option<String> {
    let neighbor = &link.neighbor;
    let told = |(label, count): (&String, &u64)| {
        let what = Nonsense::of_label(label).map_or(label.as_str(), |what| what.told());
        format!("{what} ({count})")
    };
    let told: Vec<_> = link.nonsense.iter().map(told).collect();
    (!told.is_empty()).then(|| {
        format!(
            "{neighbor} sent {name} records that {name} does not keep: {}; look at {neighbor}, and at the servers behind it, for \
             which it may only have passed this on",
            told.join(", ")
        )
    })
}

/// The sentence about parts of a herd that are not connected, as far as the answers show. A server reaches the servers
/// that its status names as reached. The server also reaches its neighbors, because a version without spanning trees
/// names no reached servers.
fn of_parts(snapshot: &HerdSnapshot) -> Option<String> {
    let mut parts: Vec<BTreeSet<&str>> = Vec::new();
    for (_, status) in snapshot.up() {
        let neighbors = status.links.iter().filter(|link| link.up).map(|link| &link.neighbor);
        let near = neighbors.chain(&status.reaches).chain([&status.server]).map(String::as_str);
        let mut part: BTreeSet<_> = near.collect();
        for joined in parts.extract_if(.., |other| !other.is_disjoint(&part)).collect::<Vec<_>>() {
            part.extend(joined);
        }
        parts.push(part);
    }
    let told: Vec<_> = parts.iter().map(|part| part.iter().copied().collect::<Vec<_>>().join(", ")).collect();
    (told.len() > 1).then(|| {
        format!(
            "the herd is split into {} parts that have no links with each other: {}",
            told.len(),
            told.join("; ")
        )
    })
}

/// Whether all servers that answer hold the same number of records. `None` if no server answers.
pub(crate) fn agreement(snapshot: &HerdSnapshot) -> Option<Result<String, String>> {
    let up: Vec<&Status> = snapshot.up().map(|(_, status)| status).collect();
    let least = up.iter().min_by_key(|status| status.records)?;
    let most = up.iter().max_by_key(|status| status.records)?;
    let records = match most.records {
        1 => "1 record".to_owned(),
        count => format!("{count} records"),
    };
    Some(match up.len() {
        1 => Ok(format!("The one server that answers holds {records}.")),
        count if least.records == most.records => {
            Ok(format!("All {count} servers that answer hold {records} each."))
        }
        _ => Err(format!(
            "The servers that answer do not hold equally many records: {} has {}, {} has {}.",
            least.server, least.records, most.server, most.records
        )),
    })
}
