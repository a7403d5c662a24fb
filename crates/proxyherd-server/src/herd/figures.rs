//! The state of a server, gathered on request: its status ([`Herd::status`]), and the values that metrics show
//! ([`Herd::figures`]).
//!
//! This module reads the counts of other parts and keeps no counts itself. It does not know the text formats of metrics
//! and status.

use std::sync::atomic::Ordering::Relaxed;

use proxyherd_config::{
    clock,
    door_kind::DoorKind,
    server_status::{BudgetStatus, LinkStatus, PlacesStatus, ReportStatus, Status},
};
use proxyherd_core::{
    flood::{Class, Nonsense, Usage},
    places::quota::Standing,
    replica::RefusedCounts,
};
use proxyherd_streams::StreamCounts;

use super::{Denied, Herd, Internals as _, JournalFigures, Link};
use crate::{
    admission::DoorCounts,
    caller::Caller,
    places::{LookupOutcome, RemoteStatus},
};

/// Everything that metrics show.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The status, which `/v1/status` shows too.
    pub status: Status,
    /// The memory that each class of records uses of its limit.
    pub rooms: [(&'static str, Usage); Class::ALL.len()],
    /// Client connections that were turned away, since the start.
    pub connections_turned_away: u64,
    /// The counts of each kind of door.
    pub doors: [(DoorKind, DoorCounts); DoorKind::ALL.len()],
    /// The reports that have come through each kind of door.
    pub reports: [(DoorKind, ReportStatus); DoorKind::ALL.len()],
    /// Bytes of replies that clients have not read, and of input that waits behind these replies.
    pub buffered: usize,
    /// Reports that could be read and were refused, by reason, since the start.
    pub refused: RefusedCounts,
    /// Lines that were answered with a question mark, since the start.
    pub lines_invalid: u64,
    /// Wrong tokens that clients have shown at each kind of door, since the start.
    pub auth_failures: [(DoorKind, u64); DoorKind::ALL.len()],
    /// Seconds until the certificate for links expires. Negative: it has expired.
    pub certificate_left_s: Option<i64>,
    /// Number of queries about places with each outcome, since the start.
    pub places: [(LookupOutcome, u64); LookupOutcome::ALL.len()],
    /// The numbers of all live streams.
    pub streams: StreamCounts,
    /// Streams whose connections were closed because their readers took nothing, since the start.
    pub streams_cut: u64,
    /// The number of clients whose presence the server follows. 0: no live stream tells presence.
    pub presence_clients: usize,
    /// Connections and requests that wait until their reports are durable. `None`: reports are acknowledged at once.
    pub acks_waiting: Option<usize>,
    /// The journal. `None`: the server keeps no journal.
    pub journal: Option<JournalFigures>,
    /// First, the number of answers about places in the cache. Second, the bytes of these answers.
    pub kept: (u64, u64),
    /// The requests to each provider over the network, and their results.
    pub remotes: Vec<RemoteStatus>,
}

impl Herd {
    /// The status of this server. The caller needs the right to operate.
    pub fn status(&self, caller: &Caller) -> Result<Status, Denied> {
        Denied::unless_operates(caller, clock::now_ns())?;
        Ok(self.gather())
    }

    /// The values that metrics show. The caller needs the right to operate.
    pub fn figures(&self, caller: &Caller) -> Result<Figures, Denied> {
        Denied::unless_operates(caller, clock::now_ns())?;
        Ok(Figures {
            status: self.gather(),
            rooms: Class::ALL.map(|class| (class.label(), self.replica.usage(class))),
            connections_turned_away: self.admission.turned_away(),
            doors: DoorKind::ALL.map(|door| (door, self.admission.door(door))),
            reports: DoorKind::ALL.map(|door| (door, self.counters.reports.of(door))),
            buffered: self.admission.buffered(),
            refused: self.refused(),
            lines_invalid: self.counters.lines_invalid.load(Relaxed),
            auth_failures: DoorKind::ALL.map(|door| (door, self.tokens.failures(door))),
            certificate_left_s: self.credentials.as_ref().map(|credentials| credentials.seconds_left()),
            places: LookupOutcome::ALL.map(|outcome| (outcome, self.places.count(outcome))),
            streams: self.streams.counts(),
            streams_cut: self.counters.streams_cut.load(Relaxed),
            presence_clients: self.streams.presence_clients(),
            acks_waiting: self.acks_waiting(),
            journal: self.journal().map(|journal| journal.figures()),
            kept: self.places.kept(),
            remotes: self.places.remotes(),
        })
    }

    /// The status, without a check of a caller's rights.
    pub(super) fn gather(&self) -> Status {
        Status {
            server: self.name().to_string(),
            herd: self.identity.herd.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            incarnation: self.identity.me.incarnation,
            uptime_s: self.started.elapsed().as_secs_f64(),
            draining: self.is_draining(),
            removed: self.is_removed(),
            stuck: self.liveness.stuck(),
            namesake: self.has_namesake(),
            records: self.replica.len(),
            connections: self.admission.connections(),
            reports: self.report_status(),
            root_mismatches: self.replica.root_mismatches(),
            log_left_out: self.log.left_out(),
            places: Some(self.places_status()),
            places_budgets: self.budget_statuses(),
            certificate_days_left: self.credentials.as_ref().map(|credentials| credentials.days_left()),
            peers_refused: self.counters.peers_refused.load(Relaxed),
            reaches: self.replica.tree_servers().iter().map(ToString::to_string).collect(),
            journal: self.journal().map(|journal| journal.status(self.acks_waiting().unwrap_or(0))),
            links: self.links.all().iter().map(|link| self.link_status(link)).collect(),
        }
    }

    /// The number of connections and requests whose reports are not durable yet.
    fn acks_waiting(&self) -> Option<usize> {
        self.server_durability().map(|durability| durability.waiting())
    }

    /// The refused reports. Rights are checked here, so the replica does not count what they refuse.
    fn refused(&self) -> RefusedCounts {
        let counts = self.replica.report_counts().refused;
        RefusedCounts {
            denied: self.counters.reports_denied.load(Relaxed),
            too_fast: self.counters.reports_too_fast.load(Relaxed),
            token_full: self.counters.reports_token_full.load(Relaxed),
            ..counts
        }
    }

    fn report_status(&self) -> ReportStatus {
        let counts = self.replica.report_counts();
        let rejected = self.refused().total() + self.counters.reports.unreadable();
        ReportStatus { accepted: counts.accepted, stale: counts.stale, rejected }
    }

    fn places_status(&self) -> PlacesStatus {
        let count = |outcome| self.places.count(outcome);
        PlacesStatus {
            hit: count(LookupOutcome::Hit),
            stale: count(LookupOutcome::Stale),
            joined: count(LookupOutcome::Joined),
            fetched: count(LookupOutcome::Fetched),
            fallback: count(LookupOutcome::Fallback),
            failed: count(LookupOutcome::Failed),
        }
    }

    fn budget_statuses(&self) -> Vec<BudgetStatus> {
        let standings = self.quota.iter().flat_map(|quota| quota.standings());
        standings.map(|standing| budget_status(&standing)).collect()
    }

    fn link_status(&self, link: &Link) -> LinkStatus {
        let state = link.state();
        let nonsense = Nonsense::ALL.into_iter().map(Nonsense::label).zip(self.replica.nonsense(link.id));
        LinkStatus {
            neighbor: link.neighbor.to_string(),
            address: link.address().to_string(),
            dials: link.dials,
            up: state.up_since.is_some(),
            version: state.version,
            eager: self.replica.is_eager(link.id),
            up_s: state.up_since.map(|since| since.elapsed().as_secs_f64()),
            times_up: state.times_up,
            unsteady: link.is_flapping(),
            payloads_sent: link.payloads_sent(),
            payloads_received: link.payloads_received(),
            lag_s: link.lag().as_secs_f64(),
            clock_offset_s: self.replica.clock_offset_ns(link.id) as f64 / 1e9,
            nonsense: nonsense
                .filter(|(_, count)| *count > 0)
                .map(|(label, count)| (label.to_owned(), count))
                .collect(),
            trouble: state.trouble,
        }
    }
}

fn budget_status(standing: &Standing) -> BudgetStatus {
    BudgetStatus {
        period: standing.period.span.as_str().to_owned(),
        date: standing.period.to_string(),
        whole: standing.whole,
        spent: standing.spent,
        left: standing.whole.saturating_sub(standing.spent),
        own_left: standing.own,
    }
}
