//! The tables of `top` as texts: one row for each server, link, and end of a link, in the order that the person chose.

use std::cmp::Ordering;

use super::{
    history::History,
    model::{LinkEnd, Model, ServerState, ServerView},
};
use crate::amounts::{duration, short};
use proxyherd_config::server_status::LinkStatus;

/// How a text is to be read at a glance. The text says the same without colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Strong,
    Faint,
    Good,
    Doubtful,
    Bad,
}

/// What a cell is sorted by.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SortKey {
    Text(String),
    Number(f64),
    /// Unknown values come last.
    Unknown,
}

#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) tone: Tone,
    pub(super) key: SortKey,
}

/// One row. The history, if there is one, fills the rest of the line.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    pub(super) history: Option<History>,
}

/// A column: its heading, whether its texts end below each other, and its rank. In a narrow window the columns with the
/// greatest ranks are left out first; rank 0 always stays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) is_right: bool,
    pub(super) rank: u8,
}

const fn left(name: &'static str, rank: u8) -> Column {
    Column { name, is_right: false, rank }
}

const fn right(name: &'static str, rank: u8) -> Column {
    Column { name, is_right: true, rank }
}

pub(super) const SERVER_COLUMNS: [Column; 10] = [
    left("SERVER", 0),
    left("STATE", 0),
    right("UPTIME", 3),
    right("RECORDS", 2),
    right("CONNS", 5),
    right("ACCEPT/S", 1),
    right("STALE/S", 7),
    right("REJECT/S", 6),
    left("JOURNAL", 8),
    right("HITS", 4),
];

pub(super) const LINK_COLUMNS: [Column; 9] = [
    left("LINK", 0),
    left("STATE", 0),
    left("TREE", 4),
    right("THERE/S", 1),
    right("BACK/S", 2),
    right("LAG", 3),
    right("CLOCK", 5),
    right("UPS", 7),
    left("TROUBLE", 6),
];

pub(super) const PEER_COLUMNS: [Column; 3] = [left("FROM > TO", 0), right("LAG", 0), right("SENT/S", 1)];

fn text(text: impl Into<String>, tone: Tone) -> Cell {
    let text = text.into();
    Cell { key: SortKey::Text(text.clone()), text, tone }
}

fn number(value: Option<f64>, show: impl Fn(f64) -> String) -> Cell {
    match value.filter(|value| value.is_finite()) {
        Some(value) => Cell { text: show(value), tone: Tone::Plain, key: SortKey::Number(value) },
        None => Cell { text: "-".to_owned(), tone: Tone::Faint, key: SortKey::Unknown },
    }
}

/// A count in a second: one decimal below ten.
pub(super) fn rate(value: f64) -> String {
    if value > 0.0 && value < 9.95 { format!("{value:.1}") } else { short(value.round() as u64) }
}

fn seconds(value: f64) -> String {
    match value {
        ..0.001 => "0".to_owned(),
        0.001..1.0 => format!("{:.0}ms", value * 1000.0),
        1.0..60.0 => format!("{value:.1}s"),
        _ => duration(value),
    }
}

fn offset(value: f64) -> String {
    match value.abs() {
        ..0.0005 => "0".to_owned(),
        ..1.0 => format!("{:+.0}ms", value * 1000.0),
        _ => format!("{value:+.1}s"),
    }
}

/// A row for each server, in the order of the configuration.
pub(super) fn servers(model: &Model) -> Vec<Row> {
    model.servers.iter().map(|server| server_row(server, model.now.at_s)).collect()
}

fn server_row(server: &ServerView, now_s: f64) -> Row {
    let since = duration(now_s - server.since.at_s);
    let state = match &server.state {
        ServerState::Asked => text("asked", Tone::Faint),
        ServerState::Up => text("up", Tone::Good),
        ServerState::Stopping => text("stopping", Tone::Doubtful),
        ServerState::Away(_) => text(format!("AWAY {since}"), Tone::Bad),
        ServerState::Refused(_) => text(format!("REFUSED {since}"), Tone::Bad),
        ServerState::NoDoor => text("no http door", Tone::Faint),
    };
    let status = server.present();
    let rates = server.rates;
    let count = |value: f64| short(value as u64);
    let journal = match status.map(|status| &status.journal) {
        Some(Some(journal)) if journal.state == "running" => text("running", Tone::Plain),
        Some(Some(journal)) => text(super::model::printable(&journal.state), Tone::Bad),
        Some(None) => text("none", Tone::Faint),
        None => text("-", Tone::Faint),
    };
    let cells = vec![
        text(&server.name, Tone::Strong),
        state,
        number(status.map(|status| status.uptime_s), duration),
        number(status.map(|status| status.records as f64), count),
        number(status.map(|status| status.connections as f64), count),
        number(rates.map(|rates| rates.accepted), rate),
        number(rates.map(|rates| rates.stale), rate),
        number(rates.map(|rates| rates.rejected), rate),
        journal,
        number(server.places_hits(), |share| format!("{:.0}%", share * 100.0)),
    ];
    Row { cells, history: Some(server.accepted.clone()) }
}

/// A row for each link.
pub(super) fn links(model: &Model) -> Vec<Row> {
    model.link_names().iter().map(|names| link_row(model, names)).collect()
}

fn link_row(model: &Model, names: &[String; 2]) -> Row {
    let [one, other] = names;
    let (there, back) = (model.link_of(one, other), model.link_of(other, one));
    let ends: Vec<(&LinkStatus, &LinkEnd)> = [there, back].into_iter().flatten().collect();
    let state = match model.is_link_up(names) {
        Some(true) if ends.iter().any(|(link, _)| link.unsteady) => text("unsteady", Tone::Doubtful),
        Some(true) => text("up", Tone::Good),
        Some(false) => text("DOWN", Tone::Bad),
        None => text("unknown", Tone::Faint),
    };
    let tree = match model.is_link_up(names) {
        Some(true) if ends.iter().any(|(link, _)| link.eager) => text("tree", Tone::Plain),
        Some(true) => text("lazy", Tone::Faint),
        _ => text("-", Tone::Faint),
    };
    let sent = |end: Option<(&LinkStatus, &LinkEnd)>| end.and_then(|(_, end)| end.sent);
    let received = |end: Option<(&LinkStatus, &LinkEnd)>| end.and_then(|(_, end)| end.received);
    let lag = ends.iter().map(|(link, _)| link.lag_s).reduce(f64::max);
    // Positive: the clock of the second server is ahead of the clock of the first.
    let clock = there.map(|(link, _)| link.clock_offset_s).or(back.map(|(link, _)| -link.clock_offset_s));
    let ups = ends.iter().map(|(link, _)| link.times_up as f64).reduce(f64::max);
    let trouble = ends.iter().find_map(|(link, _)| link.trouble.as_deref()).unwrap_or_default();
    let mut lag_cell = number(lag, seconds);
    if lag.is_some_and(|lag| lag > 1.0) {
        lag_cell.tone = Tone::Doubtful;
    }
    let cells = vec![
        text(format!("{one} - {other}"), Tone::Strong),
        state,
        tree,
        number(sent(there).or(received(back)), rate),
        number(sent(back).or(received(there)), rate),
        lag_cell,
        number(clock, offset),
        number(ups, |ups| short(ups as u64)),
        text(super::model::printable(trouble), Tone::Doubtful),
    ];
    Row { cells, history: None }
}

/// A row for each end of a link that is up, the one with the longest lag first.
pub(super) fn peers(model: &Model) -> Vec<Row> {
    let mut rows: Vec<Row> = model
        .link_names()
        .into_iter()
        .flat_map(|[one, other]| [(one.clone(), other.clone()), (other, one)])
        .filter_map(|(from, to)| {
            let (link, end) = model.link_of(&from, &to).filter(|(link, _)| link.up)?;
            let cells = vec![
                text(format!("{from} > {to}"), Tone::Strong),
                number(Some(link.lag_s), seconds),
                number(end.sent, rate),
            ];
            Some(Row { cells, history: Some(end.lag.clone()) })
        })
        .collect();
    sort(&mut rows, 1, true);
    rows
}

/// Sorts by a column. Rows that are equal keep their order, and unknown values come last.
pub(super) fn sort(rows: &mut [Row], column: usize, is_descending: bool) {
    rows.sort_by(|one, other| {
        let keys = (&one.cells[column].key, &other.cells[column].key);
        let (order, is_known) = match keys {
            (SortKey::Number(one), SortKey::Number(other)) => (one.total_cmp(other), true),
            (SortKey::Text(one), SortKey::Text(other)) => (one.cmp(other), true),
            (SortKey::Unknown, SortKey::Unknown) => (Ordering::Equal, false),
            (SortKey::Unknown, _) => (Ordering::Greater, false),
            (_, SortKey::Unknown) => (Ordering::Less, false),
            (SortKey::Text(_), SortKey::Number(_)) => (Ordering::Greater, true),
            (SortKey::Number(_), SortKey::Text(_)) => (Ordering::Less, true),
        };
        if is_descending && is_known { order.reverse() } else { order }
    });
}
