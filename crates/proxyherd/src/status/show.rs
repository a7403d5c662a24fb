//! The herd for a person: a table of its servers, what is wrong, and whether they agree.

use std::{collections::BTreeMap, fmt::Write as _};

use anstyle::{AnsiColor, Style};

use super::{
    Answer, Asked, Seen,
    table::{Cell, Side, Table},
    troubles,
};
use crate::{
    door::http::{BudgetStatus, Status},
    escape,
};

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::BrightRed.on_default();
const DOUBTFUL: Style = AnsiColor::Yellow.on_default();

const HEAD: [(&str, Side); 9] = [
    ("SERVER", Side::Left),
    ("STATE", Side::Left),
    ("UPTIME", Side::Right),
    ("RECORDS", Side::Right),
    ("CONNECTIONS", Side::Right),
    ("ACCEPTED", Side::Right),
    ("STALE", Side::Right),
    ("REJECTED", Side::Right),
    ("LINKS", Side::Right),
];

/// The whole text, with colours.
pub(super) fn text(seen: &Seen) -> String {
    let mut out = String::new();
    let mut table = Table::new(&HEAD, FAINT);
    for server in &seen.servers {
        table.push(row(server));
    }
    let up = seen.up().count();
    let written =
        writeln!(out, "{STRONG}{}{STRONG:#}: {up} of {} servers answer\n", seen.herd, seen.servers.len());
    written.expect("writing to a String does not fail");
    table.write(&mut out);
    for paragraph in
        [troubles(seen), budgets(seen), agreement(seen)].into_iter().filter(|text| !text.is_empty())
    {
        out.push('\n');
        out.push_str(&paragraph);
    }
    out
}

fn row(server: &Asked) -> Vec<Cell> {
    let name = Cell::new(server.name.as_str(), STRONG);
    let state = match &server.answer {
        Answer::Up(status) => return [vec![name], numbers(status)].concat(),
        Answer::Silent(_) => Cell::new("unreachable", BAD),
        Answer::NoDoor => Cell::new("no http door", FAINT),
    };
    let unknown = vec![Cell::new("-", FAINT); HEAD.len() - 2];
    [vec![name, state], unknown].concat()
}

/// The cells after the name.
fn numbers(status: &Status) -> Vec<Cell> {
    let state = if status.draining { Cell::new("stopping", DOUBTFUL) } else { Cell::new("up", GOOD) };
    let up = status.links.iter().filter(|link| link.up).count();
    let all = status.links.len();
    let links = Cell::new(format!("{up}/{all}"), if up < all { DOUBTFUL } else { Style::new() });
    let number = |number: u64| Cell::plain(number.to_string());
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

fn troubles(seen: &Seen) -> String {
    let line = |trouble: String| format!("{DOUBTFUL}!{DOUBTFUL:#} {}\n", printable(&trouble));
    troubles::of(seen).into_iter().map(line).collect()
}

/// What is left of the places budgets, as whoever knows most tells it.
fn budgets(seen: &Seen) -> String {
    let mut by_date: BTreeMap<&str, &BudgetStatus> = BTreeMap::new();
    for budget in seen.up().flat_map(|(_, status)| &status.places_budgets) {
        let known = by_date.entry(&budget.date).or_insert(budget);
        if budget.spent > known.spent {
            *known = budget;
        }
    }
    let line = |budget: &BudgetStatus| {
        let BudgetStatus { date, spent, whole, left, .. } = budget;
        let style = if *left == 0 { DOUBTFUL } else { Style::new() };
        format!(
            "{style}Requests for places in {}: {spent} of {whole}, {left} left.{style:#}\n",
            printable(date)
        )
    };
    by_date.into_values().map(line).collect()
}

/// Whether the servers agree, and how long their links can go on.
fn agreement(seen: &Seen) -> String {
    let agreement = match troubles::agreement(seen) {
        Some(Ok(sentence)) => format!("{sentence}\n"),
        Some(Err(sentence)) => format!("{DOUBTFUL}{}{DOUBTFUL:#}\n", printable(&sentence)),
        None => String::new(),
    };
    let expiry = troubles::first_to_expire(seen).map(|sentence| printable(&sentence) + "\n");
    agreement + &expiry.unwrap_or_default()
}

/// Whoever answers may be anyone, and must not move the terminal.
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
