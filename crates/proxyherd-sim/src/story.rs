//! What happened in a run, for a person: kept only where somebody asks, and then the last of it.

use std::collections::{BTreeSet, VecDeque};

use crate::timeline::{Nanos, SECOND};

/// How many lines are kept.
const LINES_MAX: usize = 60;

/// The lines, and which faults are part of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    lines: Option<VecDeque<String>>,
    faults: Option<BTreeSet<u64>>,
}

impl Story {
    /// Nobody listens, and everything happens.
    pub(crate) fn untold() -> Story {
        Story::default()
    }

    /// Of the faults only these come, if they are given.
    pub(crate) fn of(faults: Option<BTreeSet<u64>>) -> Story {
        Story { lines: Some(VecDeque::new()), faults }
    }

    /// Whether the fault of this number comes.
    pub(crate) fn has_fault(&self, number: u64) -> bool {
        self.faults.as_ref().is_none_or(|faults| faults.contains(&number))
    }

    /// Something has happened.
    pub(crate) fn tell(&mut self, at: Nanos, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            if lines.len() == LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(format!("{:>10.4} s  {}", at as f64 / SECOND as f64, line()));
        }
    }

    /// The last lines.
    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default().into()
    }
}
