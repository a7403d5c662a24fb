//! What the log says of the lines that it has not written.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::budget::{Counts, Kind, Reason};

/// Lines that were left out, since when and why.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeftOut {
    pub(super) counts: Counts,
    pub(super) since: Timestamp,
    pub(super) reason: Reason,
    pub(super) lines_per_s: u32,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.counts.total();
        write!(f, "left out {total} line{} (", if total == 1 { "" } else { "s" })?;
        let kinds = Kind::ALL.map(|kind| (self.counts.of(kind), kind)).into_iter();
        for (index, (count, kind)) in kinds.filter(|(count, _)| *count > 0).enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{count} {}", words(kind))?;
        }
        write!(f, ") since {}: ", self.since.strftime("%H:%M:%S"))?;
        match self.reason {
            Reason::Budget => write!(f, "above lines_per_s = {}", self.lines_per_s),
            Reason::Buffer => f.write_str("they came faster than the file could take them"),
        }
    }
}

fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::In => "in",
        Kind::Out => "out",
        Kind::Link => "of links",
        Kind::Event => "of events",
    }
}

/// `{"in":1,"out":2,"links":3,"events":4}`
impl Serialize for LeftOut {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Kind::ALL.len()))?;
        for (name, kind) in ["in", "out", "links", "events"].into_iter().zip(Kind::ALL) {
            map.serialize_entry(name, &self.counts.of(kind))?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::budget::Budget;

    fn left_out(reason: Reason, lines: &[(Kind, u64)]) -> LeftOut {
        let budget = Budget::new(10_000);
        for &(kind, count) in lines {
            budget.leave_out(reason, kind, count);
        }
        let since = "2026-11-23T18:31:02Z".parse().unwrap();
        LeftOut { counts: budget.left_out(reason), since, reason, lines_per_s: budget.lines_per_s() }
    }

    #[test]
    fn people_read_how_many_of_what_since_when_and_why() {
        for (left_out, expected) in [
            (
                left_out(Reason::Budget, &[(Kind::In, 406_172), (Kind::Out, 406_172)]),
                "left out 812344 lines (406172 in, 406172 out) since 18:31:02: above lines_per_s = 10000",
            ),
            (
                left_out(Reason::Buffer, &[(Kind::Link, 1)]),
                "left out 1 line (1 of links) since 18:31:02: they came faster than the file could take them",
            ),
        ] {
            assert_eq!(left_out.to_string(), expected);
        }
    }

    #[test]
    fn programs_read_the_numbers() {
        let left_out = left_out(Reason::Budget, &[(Kind::In, 1), (Kind::Event, 4)]);
        assert_eq!(serde_json::to_string(&left_out).unwrap(), r#"{"in":1,"out":0,"links":0,"events":4}"#);
    }
}
