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

/// The number of refused reports, by reason. The replica does not know callers, so it counts none of the last three
/// reasons.
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
    /// The caller's token had no room for another client.
    pub token_full: u64,
    /// The caller's token had used up its rate.
    pub too_fast: u64,
    /// The caller may not report the client.
    pub denied: u64,
}

impl RefusedCounts {
    /// Each reason's name, and the number of reports.
    pub fn by_reason(&self) -> [(&'static str, u64); 8] {
        [
            (Outcome::Full.label(), self.full),
            (Outcome::TooSoon.label(), self.too_soon),
            (Outcome::Unmet.label(), self.unmet),
            (Outcome::Inaccurate.label(), self.inaccurate),
            (Outcome::Implausible.label(), self.implausible),
            (Outcome::TokenFull.label(), self.token_full),
            (Outcome::TooFast.label(), self.too_fast),
            (Outcome::Denied.label(), self.denied),
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
        self.refused.token_full += other.refused.token_full;
        self.refused.too_fast += other.refused.too_fast;
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
            Outcome::TokenFull => &mut self.refused.token_full,
            Outcome::TooFast => &mut self.refused.too_fast,
            Outcome::Denied => &mut self.refused.denied,
        };
        *count += 1;
    }
}
