//! The names of the files of a store.

use std::fmt;

use crate::limits::SHARDS;

/// What a file of a store is, according to its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::journal) enum FileName {
    /// A segment: changes in their order.
    Segment {
        /// The number of the segment, from 1.
        number: u64,
    },
    /// A snapshot: what a shard held while the segment with this number was written.
    Snapshot {
        /// The shard.
        shard: u8,
        /// The number of the segment whose changes come after the snapshot's content.
        number: u64,
    },
}

/// What the name of a file that is not complete ends with. A crash may leave such a file behind.
const UNFINISHED: &str = ".tmp";

/// The greatest number of a file. No store gets that far, so the next number always exists.
const NUMBER_MAX: u64 = u64::MAX / 2;

impl FileName {
    /// Reads a name. `None`: it is no file of a store, or the file is not complete.
    pub(in crate::journal) fn parse(name: &str) -> Option<FileName> {
        let parsed = if let Some(number) = name.strip_prefix("journal-") {
            FileName::Segment { number: number.parse().ok()? }
        } else {
            let (shard, number) = name.strip_prefix("snapshot-")?.split_once('-')?;
            FileName::Snapshot { shard: shard.parse().ok()?, number: number.parse().ok()? }
        };
        let is_shard = !matches!(parsed, FileName::Snapshot { shard, .. } if usize::from(shard) >= SHARDS);
        // `parse` also takes `+7` and `007`.
        (is_shard && (1..=NUMBER_MAX).contains(&parsed.number()) && parsed.to_string() == name)
            .then_some(parsed)
    }

    /// Whether this is the name of a file that is not complete.
    pub(in crate::journal) fn is_unfinished(name: &str) -> bool {
        name.strip_suffix(UNFINISHED).is_some_and(|name| FileName::parse(name).is_some())
    }

    /// The name of the file as long as it is not complete.
    pub(in crate::journal) fn unfinished(self) -> String {
        format!("{self}{UNFINISHED}")
    }

    /// The number of the segment or snapshot.
    pub(in crate::journal) fn number(self) -> u64 {
        match self {
            FileName::Segment { number } | FileName::Snapshot { number, .. } => number,
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileName::Segment { number } => write!(f, "journal-{number}"),
            FileName::Snapshot { shard, number } => write!(f, "snapshot-{shard}-{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_went() {
        for file in [
            FileName::Segment { number: 1 },
            FileName::Segment { number: NUMBER_MAX },
            FileName::Snapshot { shard: 15, number: 7 },
        ] {
            assert_eq!(FileName::parse(&file.to_string()), Some(file));
            assert_eq!(FileName::parse(&file.unfinished()), None);
            assert!(FileName::is_unfinished(&file.unfinished()));
            assert!(!FileName::is_unfinished(&file.to_string()));
        }
    }

    #[test]
    fn other_names_are_no_files_of_a_store() {
        for name in [
            "",
            "lock",
            "journal-",
            "journal-0",
            "journal-07",
            "journal-+7",
            "journal-18446744073709551615",
            "journal-7.tmp",
            "snapshot-7",
            "snapshot-16-1",
            "snapshot-01-1",
            "snapshot-1-1-1",
        ] {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
        assert!(!FileName::is_unfinished("notes.tmp"));
    }
}
