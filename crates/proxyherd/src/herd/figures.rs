//! How a server is, gathered when somebody asks: its status, and what metrics tell beyond it.

use std::sync::atomic::Ordering::Relaxed;

use proxyherd_core::{
    flood::{Class, Nonsense, Usage},
    places::quota::Standing,
};

use super::{
    Denied, Herd, Inside as _, Link,
    status::{BudgetStatus, LinkStatus, ReportStatus, Status},
};
use crate::{
    admission::DoorCounts,
    caller::Caller,
    door_kind::DoorKind,
    places::{LookupOutcome, RemoteStatus},
};

/// All that metrics are made of.
#[derive(Clone, Debug)]
pub struct Figures {
    /// What `/v1/status` tells too.
    pub status: Status,
    /// What the records of each class take of their room.
    pub rooms: [(&'static str, Usage); Class::ALL.len()],
    /// Client connections not let in, since the start.
    pub connections_turned_away: u64,
    /// What was counted of each kind of door.
    pub doors: [(DoorKind, DoorCounts); DoorKind::ALL.len()],
    /// Bytes of replies that wait for clients, and of what waits behind these.
    pub buffered: usize,
    /// Lines answered with a question mark, since the start.
    pub lines_invalid: u64,
    /// Until the certificate for links expires, seconds; negative once it has.
    pub certificate_left_s: Option<i64>,
    /// How many questions about places went which way, since the start.
    pub places: [(LookupOutcome, u64); LookupOutcome::ALL.len()],
    /// How many answers about places are kept, and how much memory they take, bytes.
    pub kept: (u64, u64),
    /// What became of the requests to each provider over the network.
    pub remotes: Vec<RemoteStatus>,
}

impl Herd {
    /// How this server is. Operators may ask.
    pub fn status(&self, caller: &Caller) -> Result<Status, Denied> {
        Denied::Operate.unless(caller)?;
        Ok(self.gather())
    }

    /// What metrics tell. Operators may ask.
    pub fn figures(&self, caller: &Caller) -> Result<Figures, Denied> {
        Denied::Operate.unless(caller)?;
        Ok(Figures {
            status: self.gather(),
            rooms: Class::ALL.map(|class| (class.label(), self.map.usage(class))),
            connections_turned_away: self.admission.turned_away(),
            doors: DoorKind::ALL.map(|door| (door, self.admission.door(door))),
            buffered: self.admission.buffered(),
            lines_invalid: self.counts.lines_invalid.load(Relaxed),
            certificate_left_s: self.credentials.as_ref().map(|credentials| credentials.seconds_left()),
            places: LookupOutcome::ALL.map(|outcome| (outcome, self.places.count(outcome))),
            kept: self.places.kept(),
            remotes: self.places.remotes(),
        })
    }

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
            records: self.map.len(),
            connections: self.admission.connections(),
            reports: self.report_status(),
            root_mismatches: self.map.root_mismatches(),
            log_left_out: self.log.left_out(),
            places_budgets: self.budget_statuses(),
            certificate_days_left: self.credentials.as_ref().map(|credentials| credentials.days_left()),
            peers_refused: self.counts.peers_refused.load(Relaxed),
            reaches: self.map.tree_servers().iter().map(ToString::to_string).collect(),
            links: self.links.all().iter().map(|link| self.link_status(link)).collect(),
        }
    }

    fn report_status(&self) -> ReportStatus {
        let counts = self.map.report_counts();
        let rejected = counts.refused + self.counts.reports_unreadable.load(Relaxed);
        ReportStatus { accepted: counts.accepted, stale: counts.stale, rejected }
    }

    fn budget_statuses(&self) -> Vec<BudgetStatus> {
        let standings = self.purse.iter().flat_map(|purse| purse.standings());
        standings.map(|standing| budget_status(&standing)).collect()
    }

    fn link_status(&self, link: &Link) -> LinkStatus {
        let state = link.state();
        let nonsense = Nonsense::ALL.into_iter().map(Nonsense::label).zip(self.map.nonsense(link.id));
        LinkStatus {
            neighbor: link.neighbor.to_string(),
            address: link.address().to_string(),
            dials: link.dials,
            up: state.up_since.is_some(),
            version: state.version,
            eager: self.map.is_eager(link.id),
            up_s: state.up_since.map(|since| since.elapsed().as_secs_f64()),
            times_up: state.times_up,
            unsteady: link.is_unsteady(),
            payloads_sent: link.payloads_sent(),
            payloads_received: link.payloads_received(),
            lag_s: link.lag().as_secs_f64(),
            clock_offset_s: self.map.clock_offset_ns(link.id) as f64 / 1e9,
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
