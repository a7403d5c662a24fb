//! What the demo shows: every address with a line to paste, and on a terminal how it goes.

use std::{
    future::pending,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use tokio::time::interval;

use super::Demo;
use crate::door::http::Status;

const STRONG: Style = Style::new().bold();
const COMMAND: Style = AnsiColor::Cyan.on_default();
const FAINT: Style = Style::new().dimmed();

/// Prints where everything is and what to try.
pub fn introduce(demo: &Demo) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let count = demo.client_count();
    writeln!(
        out,
        "{STRONG}proxyherd demo{STRONG:#}: five servers on this machine, {count} clients around Los Angeles"
    )?;
    if !demo.has_classic_ports() {
        writeln!(out, "{FAINT}(on free ports; the classic herd listens at 12000 to 12004){FAINT:#}")?;
    }
    writeln!(out)?;
    for (name, addresses, log) in demo.places() {
        let http = addresses.http.map_or(String::new(), |http| format!("http://{http}"));
        let line = addresses.line.to_string();
        writeln!(out, "  {STRONG}{name:<9}{STRONG:#} {line:<16} {http:<23} {}", log.display())?;
    }
    writeln!(out, "\nAny server answers for any client. To try, paste a line:")?;
    for (purpose, command) in to_try(demo) {
        writeln!(out, "\n  {FAINT}# {purpose}{FAINT:#}\n  {COMMAND}{command}{COMMAND:#}")?;
    }
    writeln!(out, "\nCtrl-C ends it all.")?;
    out.flush()
}

/// What a line is for, and the line.
fn to_try(demo: &Demo) -> Vec<(&'static str, String)> {
    let servers: Vec<_> = demo.places().collect();
    let at = |index: usize| format!("nc {} {}", servers[index].1.line.ip(), servers[index].1.line.port());
    let http = servers[0].1.http.map_or(String::new(), |http| http.to_string());
    let program = std::env::current_exe().map_or("proxyherd".to_owned(), |path| path.display().to_string());
    let here = "IAMAT me +34.068930-118.445127 $(date +%s)";
    vec![
        (
            "where is kiwi, and which places are near? (Ctrl-C ends nc)",
            format!("printf 'WHATSAT kiwi.cs.ucla.edu 10 5\\n' | {}", at(1)),
        ),
        ("report to one server ...", format!("printf \"{here}\\n\" | {}", at(0))),
        ("... and ask another", format!("printf 'WHATSAT me 10 5\\n' | {}", at(4))),
        ("talk to the herd", format!("{program} client {} {}", servers[2].1.line, servers[3].1.line)),
        ("follow a server's log", format!("tail -F {}", servers[0].2.display())),
        ("how a server is, and its metrics", format!("curl http://{http}/v1/status http://{http}/metrics")),
    ]
}

/// Shows how it goes, every second, until dropped. Does nothing where nobody looks.
pub async fn follow(demo: &Demo, quiet: bool) -> io::Result<()> {
    if quiet || !io::stdout().is_terminal() {
        return pending().await;
    }
    let mut seconds = interval(Duration::from_secs(1));
    let mut reports_before = None;
    loop {
        seconds.tick().await;
        let statuses: Vec<Status> = demo.herds().map(|herd| Status::of(herd)).collect();
        let reports: u64 = statuses.iter().map(|status| status.reports.accepted).sum();
        let rate = reports - reports_before.replace(reports).unwrap_or(reports);
        let links_up: usize =
            statuses.iter().map(|status| status.links.iter().filter(|link| link.up).count()).sum();
        let links: usize = statuses.iter().map(|status| status.links.len()).sum();
        let records: Vec<_> = statuses.iter().map(|status| status.records).collect();
        let agreement = match (records.iter().min(), records.iter().max()) {
            (Some(least), Some(most)) if least != most => format!("{least} to {most} clients"),
            (_, most) => format!("{} clients everywhere", most.unwrap_or(&0)),
        };
        let mut out = anstream::stdout().lock();
        write!(
            out,
            "\r\x1b[K{FAINT}{reports} reports, {rate} a second; {agreement}; {links_up} of {links} link ends up{FAINT:#}"
        )?;
        out.flush()?;
    }
}

/// The last words.
pub fn farewell(demo: &Demo, quiet: bool) -> io::Result<()> {
    if quiet {
        return Ok(());
    }
    let logs = demo.places().next().and_then(|(_, _, log)| log.parent().map(|dir| dir.display().to_string()));
    let logs = logs.unwrap_or_default();
    let mut out = anstream::stdout().lock();
    writeln!(out, "\nThe herd goes home; its logs stay in {logs}.")?;
    out.flush()
}
