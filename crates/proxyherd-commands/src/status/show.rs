//! Shows a herd to people. First comes a table of its servers, then its troubles, then whether the servers agree.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};
use proxyherd_config::server_status::{BudgetStatus, JournalStatus, Status};
use proxyherd_log::escape;

use super::table::{Alignment, Cell, Table};
use crate::{
    amounts::{duration, short},
    herd_snapshot::{AskedServer, HerdSnapshot, StatusAnswer, troubles},
    window::wrapped,
};

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::BrightRed.on_default();
const DOUBTFUL: Style = AnsiColor::Yellow.on_default();

const HEAD: [(&str, Alignment); 9] = [
    ("SERVER", Alignment::Left),
    ("STATE", Alignment::Left),
    ("UPTIME", Alignment::Right),
    ("RECORDS", Alignment::Right),
    ("CONNS", Alignment::Right),
    ("ACCEPTED", Alignment::Right),
    ("STALE", Alignment::Right),
    ("REJECTED", Alignment::Right),
    ("LINKS", Alignment::Right),
];

/// The columns that a narrow window leaves out, the first to go first.
const SPARE: [&str; 6] = ["STALE", "REJECTED", "CONNS", "UPTIME", "ACCEPTED", "STATE"];
/// The largest width of the table if there is no window.
const USUAL_COLUMNS: usize = 80;

/// The whole text, with colors.
pub(super) fn text(snapshot: &HerdSnapshot, columns: Option<usize>) -> String {
    let mut out = String::new();
    let mut table = Table::new(&HEAD, FAINT);
    for server in &snapshot.servers {
        table.push(row(server));
    }
    match columns {
        Some(columns) => table.fit(columns, &SPARE),
        // Programs may count columns, so no column is left out.
        None => table.fit(USUAL_COLUMNS, &[]),
    }
    let up = snapshot.up().count();
    let columns = columns.unwrap_or(usize::MAX);
    let title = format!("{}: {up} of {} servers answer", snapshot.herd, snapshot.servers.len());
    out.push_str(&sentence(&title, STRONG, columns));
    out.push('\n');
    table.write(&mut out);
    let paragraphs = [
        troubles(snapshot, columns),
        journals(snapshot, columns),
        budgets(snapshot, columns),
        agreement(snapshot, columns),
    ];
    for paragraph in paragraphs.into_iter().filter(|text| !text.is_empty()) {
        out.push('\n');
        out.push_str(&paragraph);
    }
    out
}

fn row(server: &AskedServer) -> Vec<Cell> {
    let name = Cell::new(server.name.as_str(), STRONG);
    let state = match &server.answer {
        StatusAnswer::Up(status) => return [vec![name], numbers(status)].concat(),
        StatusAnswer::Silent(_) => Cell::new("unreachable", BAD),
        StatusAnswer::Refused(_) => Cell::new("refused", BAD),
        StatusAnswer::NoDoor => Cell::new("no http door", FAINT),
    };
    let unknown = vec![Cell::new("-", FAINT); HEAD.len() - 2];
    [vec![name, state], unknown].concat()
}

/// The cells after the server's name.
fn numbers(status: &Status) -> Vec<Cell> {
    let state = if status.draining { Cell::new("stopping", DOUBTFUL) } else { Cell::new("up", GOOD) };
    let up = status.links.iter().filter(|link| link.up).count();
    let all = status.links.len();
    let links = Cell::new(format!("{up}/{all}"), if up < all { DOUBTFUL } else { Style::new() });
    let number = |number: u64| Cell::plain(short(number));
    vec![
        state,
        Cell::plain(duration(status.uptime_s)),
        number(status.records),
        number(status.connections as u64),
        number(status.reports.accepted),
        number(status.reports.stale),
        number(status.reports.rejected),
        links,
    ]
}

fn troubles(snapshot: &HerdSnapshot, columns: usize) -> String {
    let mark = format!("{DOUBTFUL}!{DOUBTFUL:#} ");
    let lines = |trouble: String| {
        let lines = wrapped(&printable(&trouble), columns.saturating_sub(2), 0);
        let marked = lines.iter().enumerate().map(|(line, text)| match line {
            0 => format!("{mark}{text}\n"),
            _ => format!("  {text}\n"),
        });
        marked.collect::<String>()
    };
    troubles::of(snapshot).into_iter().map(lines).collect()
}

/// A sentence in a style, broken into lines.
fn sentence(text: &str, style: Style, columns: usize) -> String {
    let lines = wrapped(&printable(text), columns, 0);
    lines.iter().map(|line| format!("{style}{line}{style:#}\n")).collect()
}

/// What each journal takes of its disk, and how fast the disk is.
fn journals(snapshot: &HerdSnapshot, columns: usize) -> String {
    let line = |(AskedServer { name, .. }, status): (&AskedServer, &Status)| {
        let JournalStatus { state, disk_bytes, waiting, fsync_last_ms, .. } = status.journal.as_ref()?;
        let style = if state == "running" { Style::new() } else { DOUBTFUL };
        let text = format!(
            "{name}'s journal is {state}: {} bytes on disk, {waiting} waiting, last sync {fsync_last_ms:.1} ms.",
            short(*disk_bytes)
        );
        Some(sentence(&text, style, columns))
    };
    snapshot.up().filter_map(line).collect()
}

/// The rest of each places budget. If servers know different numbers of requests, the line shows the largest number.
fn budgets(snapshot: &HerdSnapshot, columns: usize) -> String {
    let mut by_date: BTreeMap<&str, &BudgetStatus> = BTreeMap::new();
    for budget in snapshot.up().flat_map(|(_, status)| &status.places_budgets) {
        let known = by_date.entry(&budget.date).or_insert(budget);
        if budget.spent > known.spent {
            *known = budget;
        }
    }
    let line = |budget: &BudgetStatus| {
        let BudgetStatus { date, spent, whole, left, .. } = budget;
        let style = if *left == 0 { DOUBTFUL } else { Style::new() };
        let text = format!("Requests for places in {date}: {spent} of {whole}, {left} left.");
        sentence(&text, style, columns)
    };
    by_date.into_values().map(line).collect()
}

/// Whether the servers agree, and when the first certificate expires.
fn agreement(snapshot: &HerdSnapshot, columns: usize) -> String {
    let agreement = match troubles::agreement(snapshot) {
        Some(Ok(text)) => sentence(&text, Style::new(), columns),
        Some(Err(text)) => sentence(&text, DOUBTFUL, columns),
        None => String::new(),
    };
    let expiry = troubles::first_to_expire(snapshot).map(|text| sentence(&text, Style::new(), columns));
    agreement + &expiry.unwrap_or_default()
}

/// Escapes text of an answer, because the answer may come from any program and must not control the terminal.
fn printable(text: &str) -> String {
    escape::shown(text.as_bytes())
}
