//! What the demo shows: every address with a line to paste, and on a terminal how it goes.

use std::{
    future::pending,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use tokio::time::interval;

use super::{Demo, picture};
use crate::door::http::Status;

/// A picture of fewer rows shows nothing, and one of more shows no more.
const PICTURE_HEIGHT_MIN: usize = 8;
const PICTURE_HEIGHT_MAX: usize = 24;

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
        (
            "places around kiwi, as Google's clients ask for them",
            format!(
                "curl 'http://{http}/maps/api/place/nearbysearch/json?client=kiwi.cs.ucla.edu&radius=2000'"
            ),
        ),
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
    let height = picture_height(demo);
    let mut seconds = interval(Duration::from_secs(1));
    let (mut reports_before, mut is_first) = (None, true);
    loop {
        seconds.tick().await;
        let statuses: Vec<Status> = demo.herds().map(|herd| Status::of(herd)).collect();
        let reports: u64 = statuses.iter().map(|status| status.reports.accepted).sum();
        let rate = reports - reports_before.replace(reports).unwrap_or(reports);
        let mut out = anstream::stdout().lock();
        if let Some(height) = height {
            if !std::mem::take(&mut is_first) {
                // Back to where the picture began.
                write!(out, "\r\x1b[{}A", height + 1)?;
            }
            out.write_all(picture(demo, &statuses, height).as_bytes())?;
        }
        write!(out, "\r\x1b[K{FAINT}{}{FAINT:#}", summary(&statuses, reports, rate))?;
        out.flush()?;
    }
}

/// How many rows there are for a picture below the introduction, so that both are seen at once; `None` if too few.
fn picture_height(demo: &Demo) -> Option<usize> {
    let rows = usize::from(terminal_size::terminal_size()?.1.0);
    let introduced = 13 + demo.places().count() + 3 * to_try(demo).len();
    let height = rows.checked_sub(introduced)?.min(PICTURE_HEIGHT_MAX);
    (height >= PICTURE_HEIGHT_MIN).then_some(height)
}

/// What the first server knows, with the servers' colours above it.
fn picture(demo: &Demo, statuses: &[Status], height: usize) -> String {
    let names: Vec<&str> = statuses.iter().map(|status| status.server.as_str()).collect();
    let mut text = format!("  {FAINT}as {} sees it; last heard by{FAINT:#}", names[0]);
    for (place, name) in names.iter().enumerate() {
        let style = picture::colour(place);
        text += &format!(" {style}● {name}{style:#}");
    }
    text += "\n";
    text += &demo.herds().next().map_or(String::new(), |herd| picture::draw(herd, &names, height));
    text
}

fn summary(statuses: &[Status], reports: u64, rate: u64) -> String {
    let links = || statuses.iter().flat_map(|status| &status.links);
    let (links_up, link_count) = (links().filter(|link| link.up).count(), links().count());
    let records = || statuses.iter().map(|status| status.records);
    let agreement = match (records().min().unwrap_or(0), records().max().unwrap_or(0)) {
        (least, most) if least == most => format!("{most} clients at every server"),
        (least, most) => format!("{least} to {most} clients at a server"),
    };
    format!("{reports} reports, {rate} a second; {agreement}; {links_up} of {link_count} link ends up")
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
