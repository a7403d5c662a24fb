//! How a run against given servers is told.

use super::{Outcome, Plan};
use crate::report::{BOLD, DIM, duration, grouped};

/// One run against given servers as a table.
pub(crate) fn table(plan: &Plan, outcome: &Outcome) -> String {
    let percentile = |share| duration(outcome.latency.percentile(share));
    format!(
        "{BOLD}{} lines/s{BOLD:#}   {} lines in {} s, {} connections at depth {}\n\
         round trip of a burst: p50 {}, p99 {}, p99.9 {}, longest {}\n\
         {DIM}{} bursts were checked to the last byte, every other answer at its beginning.{DIM:#}\n",
        grouped(outcome.lines_per_second()),
        grouped(outcome.lines as f64),
        plan.duration.as_secs_f64(),
        plan.connections,
        plan.depth,
        percentile(0.5),
        percentile(0.99),
        percentile(0.999),
        percentile(1.0),
        grouped(outcome.sampled_bursts as f64),
    )
}
