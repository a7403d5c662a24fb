//! Shows a herd to people. First comes a table of its servers, then its troubles, then whether the servers agree.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};
use proxyherd_config::server_status::{BudgetStatus, JournalStatus, Status};
use proxyherd_log::escape;

use super::{
    AskedServer, HerdSnapshot, StatusAnswer,
    table::{Alignment, Cell, Table},
    troubles,
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

/// A number with at most seven characters. Numbers from a million on are rounded down. `--json` has all digits.
fn short(number: u64) -> String {
    let (unit, sign) = match number {
        0..1_000_000 => return number.to_string(),
        1_000_000..1_000_000_000 => (1_000_000, 'M'),
        1_000_000_000..1_000_000_000_000 => (1_000_000_000, 'G'),
        _ => (1_000_000_000_000, 'T'),
    };
    format!("{}.{:02}{sign}", number / unit, number % unit / (unit / 100))
}

/// Escapes text of an answer, because the answer may come from any program and must not control the terminal.
fn printable(text: &str) -> String {
    escape::shown(text.as_bytes())
}

/// The two largest units of a time in seconds: `42s`, `12m 05s`, `3h 07m`, `4d 09h`.
fn duration(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    if minutes == 0 {
        format!("{seconds}s")
    } else if hours == 0 {
        format!("{minutes}m {:02}s", seconds % 60)
    } else if days == 0 {
        format!("{hours}h {:02}m", minutes % 60)
    } else {
        format!("{days}d {:02}h", hours % 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_number_is_short() {
        for (number, text) in [
            (0, "0"),
            (999_999, "999999"),
            (1_000_000, "1.00M"),
            (12_345_678, "12.34M"),
            (999_999_999, "999.99M"),
            (1_000_000_000, "1.00G"),
            (641_000_000_000, "641.00G"),
            (u64::MAX, "18446744.07T"),
        ] {
            assert_eq!(short(number), text);
        }
    }

    #[test]
    fn a_time_is_told_in_its_two_largest_units() {
        for (seconds, text) in [
            (0.0, "0s"),
            (59.9, "59s"),
            (60.0, "1m 00s"),
            (3599.0, "59m 59s"),
            (3600.0, "1h 00m"),
            (86399.0, "23h 59m"),
            (86400.0, "1d 00h"),
            (1e7, "115d 17h"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }
}
