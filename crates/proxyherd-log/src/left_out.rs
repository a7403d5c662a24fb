//! Counts the lines that the log has not written, by kind and by reason, and formats the note about them in the file.
//!
//! Every line that a caller hands over is either written to the file or counted in this module. The counts are exact.

use std::{
    fmt,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Release},
    },
};

use jiff::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::limits::CRATE_LINES_PER_S;

/// What a line was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind {
    In,
    Out,
    Link,
    Event,
}

/// Why a line was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftOutReason {
    /// Clients and links had already caused `lines_per_s` lines in this second.
    RateLimit,
    /// Crates that the program is built from had already caused `CRATE_LINES_PER_S` lines in this second.
    CrateRateLimit,
    /// The writer did not keep up: its buffer was full.
    FullBuffer,
}

impl LineKind {
    pub(super) const ALL: [LineKind; 4] = [LineKind::In, LineKind::Out, LineKind::Link, LineKind::Event];

    fn words(self) -> &'static str {
        match self {
            LineKind::In => "in",
            LineKind::Out => "out",
            LineKind::Link => "of links",
            LineKind::Event => "of events",
        }
    }
}

impl LeftOutReason {
    pub(super) const ALL: [LeftOutReason; 3] =
        [LeftOutReason::RateLimit, LeftOutReason::CrateRateLimit, LeftOutReason::FullBuffer];
}

/// The number of lines of each kind that were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOutCounts([u64; LineKind::ALL.len()]);

impl LeftOutCounts {
    pub(super) fn of(&self, kind: LineKind) -> u64 {
        self.0[kind as usize]
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The difference to `earlier`, which was read before.
    pub(super) fn since(&self, earlier: &LeftOutCounts) -> LeftOutCounts {
        LeftOutCounts(std::array::from_fn(|kind| self.0[kind] - earlier.0[kind]))
    }
}

/// The counts for each reason, in the order of [`LeftOutReason::ALL`].
pub(super) type LeftOutTotals = [LeftOutCounts; LeftOutReason::ALL.len()];

/// The lines that were left out since the log was opened. Every thread that hands over lines adds to the counts.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct LeftOutLines([[AtomicU64; LineKind::ALL.len()]; LeftOutReason::ALL.len()]);

impl LeftOutLines {
    /// Adds lines. A thread that reads these lines in [`LeftOutLines::counts`] also sees all earlier writes of this
    /// thread.
    pub(super) fn add(&self, reason: LeftOutReason, kind: LineKind, lines: u64) {
        self.0[reason as usize][kind as usize].fetch_add(lines, Release);
    }

    pub(super) fn counts(&self, reason: LeftOutReason) -> LeftOutCounts {
        LeftOutCounts(std::array::from_fn(|kind| self.0[reason as usize][kind].load(Acquire)))
    }

    pub(super) fn total(&self) -> u64 {
        LeftOutReason::ALL.iter().map(|&reason| self.counts(reason).total()).sum()
    }
}

/// The line of the log that says how many lines were left out, since when and why.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeftOutNote {
    pub(super) counts: LeftOutCounts,
    pub(super) since: Timestamp,
    pub(super) reason: LeftOutReason,
    pub(super) lines_per_s: u32,
}

impl fmt::Display for LeftOutNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.counts.total();
        write!(f, "left out {total} line{} (", if total == 1 { "" } else { "s" })?;
        let kinds = LineKind::ALL.map(|kind| (self.counts.of(kind), kind)).into_iter();
        for (index, (count, kind)) in kinds.filter(|(count, _)| *count > 0).enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{count} {}", kind.words())?;
        }
        write!(f, ") since {}: ", self.since.strftime("%H:%M:%S"))?;
        match self.reason {
            LeftOutReason::RateLimit => write!(f, "above lines_per_s = {}", self.lines_per_s),
            LeftOutReason::CrateRateLimit => {
                write!(f, "crates reported more than {CRATE_LINES_PER_S} in a second")
            }
            LeftOutReason::FullBuffer => f.write_str("they came faster than the file could take them"),
        }
    }
}

/// `{"in":1,"out":2,"links":3,"events":4}`
impl Serialize for LeftOutNote {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(LineKind::ALL.len()))?;
        for (name, kind) in ["in", "out", "links", "events"].into_iter().zip(LineKind::ALL) {
            map.serialize_entry(name, &self.counts.of(kind))?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(reason: LeftOutReason, lines: &[(LineKind, u64)]) -> LeftOutNote {
        let left_out = LeftOutLines::default();
        for &(kind, count) in lines {
            left_out.add(reason, kind, count);
        }
        let since = "2026-11-23T18:31:02Z".parse().unwrap();
        LeftOutNote { counts: left_out.counts(reason), since, reason, lines_per_s: 10_000 }
    }

    #[test]
    fn lines_are_counted_by_kind_and_reason() {
        let left_out = LeftOutLines::default();
        left_out.add(LeftOutReason::RateLimit, LineKind::In, 5);
        left_out.add(LeftOutReason::RateLimit, LineKind::Out, 2);
        let earlier = left_out.counts(LeftOutReason::RateLimit);
        left_out.add(LeftOutReason::RateLimit, LineKind::Out, 1);
        left_out.add(LeftOutReason::FullBuffer, LineKind::Link, 3);
        let counts = left_out.counts(LeftOutReason::RateLimit);
        assert_eq!(LineKind::ALL.map(|kind| counts.of(kind)), [5, 3, 0, 0]);
        assert_eq!(counts.since(&earlier).total(), 1);
        assert_eq!(left_out.counts(LeftOutReason::FullBuffer).of(LineKind::Link), 3);
        assert_eq!(left_out.total(), 11);
    }

    #[test]
    fn people_read_how_many_of_what_since_when_and_why() {
        for (note, expected) in [
            (
                note(LeftOutReason::RateLimit, &[(LineKind::In, 406_172), (LineKind::Out, 406_172)]),
                "left out 812344 lines (406172 in, 406172 out) since 18:31:02: above lines_per_s = 10000",
            ),
            (
                note(LeftOutReason::CrateRateLimit, &[(LineKind::Event, 7)]),
                "left out 7 lines (7 of events) since 18:31:02: crates reported more than 20 in a second",
            ),
            (
                note(LeftOutReason::FullBuffer, &[(LineKind::Link, 1)]),
                "left out 1 line (1 of links) since 18:31:02: they came faster than the file could take them",
            ),
        ] {
            assert_eq!(note.to_string(), expected);
        }
    }

    #[test]
    fn programs_read_the_numbers() {
        let note = note(LeftOutReason::RateLimit, &[(LineKind::In, 1), (LineKind::Event, 4)]);
        assert_eq!(serde_json::to_string(&note).unwrap(), r#"{"in":1,"out":0,"links":0,"events":4}"#);
    }
}
