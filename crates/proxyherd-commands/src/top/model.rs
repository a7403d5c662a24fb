//! What `top` knows about the herd: the newest answer of each server, rates, histories, and what has changed.
//!
//! The model is pure. It takes the answers of servers ([`Model::take`]) and the passing of time ([`Model::tick`]), and
//! does not know how servers are asked and how the screen is drawn. Rates come from two answers of one incarnation of a
//! server and from the time between them by the server's own clock. So a restarted server never has a negative rate,
//! and a late answer does not change a rate.

use std::collections::{BTreeMap, VecDeque};

use proxyherd_config::{
    config::Door,
    server_status::{LinkStatus, PlacesStatus, Status},
};
use proxyherd_log::escape;

use super::history::History;
use crate::{
    amounts::duration,
    herd_snapshot::{AskedServer, HerdSnapshot, StatusAnswer, Target, troubles},
};

/// Number of links that are read of one status. The server's own limit is 32. Further links are not shown.
const LINKS_MAX: usize = 64;
/// Number of changes that are kept. Older ones are dropped.
const CHANGES_MAX: usize = 200;
/// Characters of a text of an answer that are shown. The rest is left out.
const TEXT_LEN_MAX: usize = 300;
/// Number of ticks over which the share of places from the cache is computed.
const PLACES_TICKS: usize = 60;

/// A moment, as the caller's clocks tell it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moment {
    /// Seconds since `top` was started.
    pub(super) at_s: f64,
    /// Seconds since 1970.
    pub(super) unix_s: u64,
}

impl Moment {
    /// `12:34:56` in UTC.
    pub(super) fn clock(self) -> String {
        let second = self.unix_s % 86400;
        format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
    }
}

/// Whether a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ServerState {
    /// The server has not been asked yet, or its first answer is still awaited.
    Asked,
    Up,
    Stopping,
    /// No answer, or not the right server's. The text says why.
    Away(String),
    /// The server does not take the token. The text says why.
    Refused(String),
    NoDoor,
}

/// Reports of clients in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ReportRates {
    pub(super) accepted: f64,
    pub(super) stale: f64,
    pub(super) rejected: f64,
}

/// What one server says of one of its links.
#[derive(Clone, Debug, Default)]
pub(super) struct LinkEnd {
    /// Records in a second. `None`: not known.
    pub(super) sent: Option<f64>,
    pub(super) received: Option<f64>,
    pub(super) lag: History,
}

/// One server.
#[derive(Debug)]
pub(super) struct ServerView {
    pub(super) name: String,
    http: Option<Door>,
    /// Whether `name` is a URL until the server tells its name.
    is_nameless: bool,
    pub(super) state: ServerState,
    /// When the state began.
    pub(super) since: Moment,
    /// The newest status, which a server that is away keeps.
    pub(super) status: Option<Box<Status>>,
    pub(super) rates: Option<ReportRates>,
    pub(super) accepted: History,
    places: VecDeque<PlacesStatus>,
    pub(super) ends: BTreeMap<String, LinkEnd>,
}

/// Something that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// `12:34:56` in UTC.
    pub(super) clock: String,
    pub(super) text: String,
    pub(super) is_good: bool,
}

/// The herd.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) herd: String,
    pub(super) servers: Vec<ServerView>,
    /// The accepted reports of all servers in a second.
    pub(super) accepted: History,
    /// The newest last.
    pub(super) changes: VecDeque<Change>,
    /// The last known state of each link.
    links: BTreeMap<[String; 2], bool>,
    pub(super) now: Moment,
}

/// Untrusted text as a terminal can show it.
pub(super) fn printable(text: &str) -> String {
    let shown = escape::shown(text.as_bytes());
    match shown.char_indices().nth(TEXT_LEN_MAX) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

impl Model {
    pub(super) fn new(herd: &str, targets: &[Target], now: Moment) -> Model {
        let server = |target: &Target| ServerView {
            name: printable(&target.name),
            http: target.http().cloned(),
            is_nameless: !target.has_name(),
            state: ServerState::Asked,
            since: now,
            status: None,
            rates: None,
            accepted: History::default(),
            places: VecDeque::new(),
            ends: BTreeMap::new(),
        };
        Model {
            herd: printable(herd),
            servers: targets.iter().map(server).collect(),
            accepted: History::default(),
            changes: VecDeque::new(),
            links: BTreeMap::new(),
            now,
        }
    }

    /// Takes the answer of the server at a place of the targets.
    pub(super) fn take(&mut self, place: usize, answer: StatusAnswer, now: Moment) {
        self.now = now;
        let server = &mut self.servers[place];
        let changes = server.take(answer, now);
        for (text, is_good) in changes {
            self.note(text, is_good);
        }
        if self.herd.is_empty()
            && let Some(status) = &self.servers[place].status
        {
            self.herd = printable(&status.herd);
        }
        self.compare_links();
    }

    /// The end of one interval: each history gets its next value.
    pub(super) fn tick(&mut self, now: Moment) {
        self.now = now;
        self.servers.iter_mut().for_each(ServerView::tick);
        let known = self.servers.iter().any(|server| server.rates.is_some());
        self.accepted.push(known.then(|| self.accepted_rate()));
    }

    /// The accepted reports of all servers in a second, as far as they are known.
    pub(super) fn accepted_rate(&self) -> f64 {
        self.servers.iter().filter_map(|server| Some(server.rates?.accepted)).sum()
    }

    pub(super) fn up_count(&self) -> usize {
        self.servers.iter().filter(|server| server.is_up()).count()
    }

    /// The greatest number of records that a server holds.
    pub(super) fn records(&self) -> u64 {
        self.servers.iter().filter_map(|server| Some(server.present()?.records)).max().unwrap_or(0)
    }

    /// What an operator should look at, in sentences.
    pub(super) fn troubles(&self) -> Vec<String> {
        let asked = |server: &ServerView| {
            let answer = match (&server.state, &server.status) {
                (ServerState::Up | ServerState::Stopping, Some(status)) => StatusAnswer::Up(status.clone()),
                (ServerState::Away(why), _) => StatusAnswer::Silent(why.clone()),
                (ServerState::Refused(why), _) => StatusAnswer::Refused(why.clone()),
                _ => StatusAnswer::NoDoor,
            };
            AskedServer { name: server.name.clone(), http: server.http.clone(), answer }
        };
        let servers = self.servers.iter().map(asked).collect();
        let snapshot = HerdSnapshot { herd: self.herd.clone(), servers };
        troubles::of(&snapshot).iter().map(|text| printable(text)).collect()
    }

    /// The links of servers that have told of them, by the names of their ends.
    pub(super) fn link_names(&self) -> Vec<[String; 2]> {
        let mut names: Vec<_> = self.servers.iter().flat_map(ServerView::link_names).collect();
        names.sort();
        names.dedup();
        names
    }

    pub(super) fn server(&self, name: &str) -> Option<&ServerView> {
        self.servers.iter().find(|server| server.name == name)
    }

    /// The link as `from` tells it; `None` if `from` does not answer now.
    pub(super) fn link_of(&self, from: &str, to: &str) -> Option<(&LinkStatus, &LinkEnd)> {
        let server = self.server(from)?;
        let status = server.present()?;
        let link = links_of(status).find(|link| printable(&link.neighbor) == to)?;
        Some((link, server.ends.get(to)?))
    }

    /// Whether a link is up. If its ends disagree, it is down. `None`: no end answers.
    pub(super) fn is_link_up(&self, [one, other]: &[String; 2]) -> Option<bool> {
        let ends = [self.link_of(one, other), self.link_of(other, one)];
        let mut known = ends.iter().flatten().map(|(link, _)| link.up).peekable();
        known.peek()?;
        Some(known.all(|up| up))
    }

    fn compare_links(&mut self) {
        let names = self.link_names();
        for name in &names {
            let Some(up) = self.is_link_up(name) else { continue };
            if self.links.insert(name.clone(), up).is_some_and(|before| before != up) {
                let [one, other] = name;
                let ends = [self.link_of(one, other), self.link_of(other, one)];
                let why = ends.iter().flatten().find_map(|(link, _)| link.trouble.clone());
                let why = why.filter(|_| !up).map_or(String::new(), |why| format!(": {}", printable(&why)));
                let state = if up { "up" } else { "down" };
                self.note(format!("the link {one} - {other} is {state}{why}"), up);
            }
        }
        self.links.retain(|name, _| names.contains(name));
    }

    fn note(&mut self, text: String, is_good: bool) {
        if self.changes.len() == CHANGES_MAX {
            self.changes.pop_front();
        }
        self.changes.push_back(Change { clock: self.now.clock(), text, is_good });
    }
}

fn links_of(status: &Status) -> impl Iterator<Item = &LinkStatus> {
    status.links.iter().take(LINKS_MAX)
}

impl ServerView {
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, ServerState::Up | ServerState::Stopping)
    }

    /// The status, if the server answers now.
    pub(super) fn present(&self) -> Option<&Status> {
        self.status.as_deref().filter(|_| self.is_up())
    }

    /// The part of the recent questions about places that the cache answered. `None`: no question, or an older server.
    pub(super) fn places_hits(&self) -> Option<f64> {
        let (first, last) = (self.places.front()?, self.places.back()?);
        let recent = last.total().checked_sub(first.total()).filter(|asked| *asked > 0);
        let (hits, asked) = match recent {
            Some(asked) => (last.hit.saturating_sub(first.hit), asked),
            None => (last.hit, last.total()),
        };
        (asked > 0 && self.is_up()).then(|| hits as f64 / asked as f64)
    }

    fn link_names(&self) -> Vec<[String; 2]> {
        let status = self.status.iter().flat_map(|status| links_of(status));
        let pair = |link: &LinkStatus| {
            let mut pair = [self.name.clone(), printable(&link.neighbor)];
            pair.sort();
            pair
        };
        status.map(pair).collect()
    }

    /// Takes an answer, and returns what has changed, and whether that is good.
    fn take(&mut self, answer: StatusAnswer, now: Moment) -> Vec<(String, bool)> {
        let state = match &answer {
            StatusAnswer::Up(status) if status.draining => ServerState::Stopping,
            StatusAnswer::Up(_) => ServerState::Up,
            StatusAnswer::Silent(why) => ServerState::Away(printable(why)),
            StatusAnswer::Refused(why) => ServerState::Refused(printable(why)),
            StatusAnswer::NoDoor => ServerState::NoDoor,
        };
        let mut changes = Vec::new();
        if let StatusAnswer::Up(status) = answer {
            changes.extend(self.learn(status));
        } else {
            self.rates = None;
            self.ends.values_mut().for_each(|end| (end.sent, end.received) = (None, None));
        }
        if std::mem::discriminant(&state) != std::mem::discriminant(&self.state) {
            changes.extend(self.changed(&state, now));
            self.since = now;
        }
        self.state = state;
        changes
    }

    /// The change from the present state to `state`. The first answer is no change.
    fn changed(&self, state: &ServerState, now: Moment) -> Option<(String, bool)> {
        let name = &self.name;
        if self.state == ServerState::Asked {
            return None;
        }
        Some(match state {
            ServerState::Up => {
                let away = duration(now.at_s - self.since.at_s);
                (format!("{name} is back after {away}"), true)
            }
            ServerState::Stopping => (format!("{name} is stopping"), false),
            ServerState::Away(why) => (format!("{name} is away: {why}"), false),
            ServerState::Refused(why) => (format!("{name} does not show its status: {why}"), false),
            ServerState::Asked | ServerState::NoDoor => return None,
        })
    }

    /// Takes a status, computes the rates, and returns what has changed within the server.
    fn learn(&mut self, status: Box<Status>) -> Vec<(String, bool)> {
        let mut changes = Vec::new();
        let before = self.status.take();
        if std::mem::take(&mut self.is_nameless) {
            self.name = printable(&status.server);
        }
        let name = &self.name;
        let same = before.as_deref().filter(|before| before.incarnation == status.incarnation);
        if before.is_some() && same.is_none() {
            changes.push((format!("{name} was started again"), true));
            self.places.clear();
        }
        if let (Some(before), Some(journal)) = (same.and_then(|same| same.journal.as_ref()), &status.journal)
            && before.state != journal.state
        {
            let state = printable(&journal.state);
            changes.push((format!("{name}'s journal is {state}"), journal.state == "running"));
        }
        let elapsed_s = same.map(|same| status.uptime_s - same.uptime_s).filter(|elapsed| *elapsed > 0.0);
        match (same, elapsed_s) {
            (Some(before), Some(elapsed_s)) => {
                self.rates = report_rates(before, &status, elapsed_s);
                let ends = links_of(&status).map(|link| {
                    let neighbor = printable(&link.neighbor);
                    let lag = self.ends.remove(&neighbor).unwrap_or_default().lag;
                    let old = links_of(before).find(|old| old.neighbor == link.neighbor);
                    let rate = |count: fn(&LinkStatus) -> u64| rate(count(old?), count(link), elapsed_s);
                    let (sent, received) =
                        (rate(|link| link.payloads_sent), rate(|link| link.payloads_received));
                    (neighbor, LinkEnd { sent, received, lag })
                });
                self.ends = ends.collect();
            }
            // The same answer again says nothing new.
            (Some(_), None) => {}
            (None, _) => {
                self.rates = None;
                let ends = links_of(&status).map(|link| (printable(&link.neighbor), LinkEnd::default()));
                self.ends = ends.collect();
            }
        }
        self.status = Some(status);
        changes
    }

    fn tick(&mut self) {
        self.accepted.push(self.rates.map(|rates| rates.accepted));
        let status =
            self.status.as_deref().filter(|_| matches!(self.state, ServerState::Up | ServerState::Stopping));
        if let Some(places) = status.and_then(|status| status.places) {
            if self.places.len() == PLACES_TICKS {
                self.places.pop_front();
            }
            self.places.push_back(places);
        }
        for (neighbor, end) in &mut self.ends {
            let link = status
                .and_then(|status| links_of(status).find(|link| printable(&link.neighbor) == *neighbor));
            end.lag.push(link.map(|link| link.lag_s));
        }
    }
}

fn report_rates(before: &Status, now: &Status, elapsed_s: f64) -> Option<ReportRates> {
    let (old, new) = (&before.reports, &now.reports);
    Some(ReportRates {
        accepted: rate(old.accepted, new.accepted, elapsed_s)?,
        stale: rate(old.stale, new.stale, elapsed_s)?,
        rejected: rate(old.rejected, new.rejected, elapsed_s)?,
    })
}

/// The growth of a count in a second. `None`: the count has begun anew.
fn rate(before: u64, now: u64, elapsed_s: f64) -> Option<f64> {
    now.checked_sub(before).map(|grown| grown as f64 / elapsed_s)
}
