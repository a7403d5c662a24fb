//! How many reports had which outcome since the server's start.

use std::ops::AddAssign;

use crate::command::Outcome;

/// The number of reports with each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportCounts {
    /// Reports that were taken.
    pub accepted: u64,
    /// Reports of clients for which a newer record was held.
    pub stale: u64,
    /// Reports that were refused, by reason.
    pub refused: RefusedCounts,
}

/// The number of refused reports, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefusedCounts {
    /// There was no room for another client.
    pub full: u64,
    /// The report came too soon after the client's last report.
    pub too_soon: u64,
    /// The report's condition was not met.
    pub unmet: u64,
    /// The report said that its position is less accurate than this server takes.
    pub inaccurate: u64,
    /// The client could not have come from its held position so fast.
    pub implausible: u64,
    /// The caller may not report the client, or not so often. The replica does not know callers, so it counts none.
    pub denied: u64,
}

impl RefusedCounts {
    /// Each reason's name, and the number of reports.
    pub fn by_reason(&self) -> [(&'static str, u64); 6] {
        [
            ("full", self.full),
            ("too_soon", self.too_soon),
            ("unmet", self.unmet),
            ("inaccurate", self.inaccurate),
            ("implausible", self.implausible),
            ("denied", self.denied),
        ]
    }

    /// The number of all refused reports.
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, count)| count).sum()
    }
}

impl AddAssign for ReportCounts {
    fn add_assign(&mut self, other: ReportCounts) {
        self.accepted += other.accepted;
        self.stale += other.stale;
        self.refused.full += other.refused.full;
        self.refused.too_soon += other.refused.too_soon;
        self.refused.unmet += other.refused.unmet;
        self.refused.inaccurate += other.refused.inaccurate;
        self.refused.implausible += other.refused.implausible;
        self.refused.denied += other.refused.denied;
    }
}

impl ReportCounts {
    /// Counts a report.
    pub(super) fn note(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Added | Outcome::Moved => &mut self.accepted,
            Outcome::Stale => &mut self.stale,
            Outcome::Full => &mut self.refused.full,
            Outcome::TooSoon => &mut self.refused.too_soon,
            Outcome::Unmet => &mut self.refused.unmet,
            Outcome::Inaccurate => &mut self.refused.inaccurate,
            Outcome::Implausible => &mut self.refused.implausible,
            Outcome::TooFast | Outcome::Denied => &mut self.refused.denied,
        };
        *count += 1;
    }
}
