//! The story of a run, for a person: the last events. They are kept only on request.

use std::collections::{BTreeSet, VecDeque};

use crate::timeline::{Nanos, SECOND};

/// Number of lines that are kept.
const LINES_MAX: usize = 60;

/// The lines of the story, and the numbers of the faults that take part in the run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    lines: Option<VecDeque<String>>,
    faults: Option<BTreeSet<u64>>,
}

impl Story {
    /// A run with all faults, which keeps no events.
    pub(crate) fn untold() -> Story {
        Story::default()
    }

    /// A run that keeps its last events. If `faults` are given, only these take part.
    pub(crate) fn of(faults: Option<BTreeSet<u64>>) -> Story {
        Story { lines: Some(VecDeque::new()), faults }
    }

    /// Whether the fault of this number takes part.
    pub(crate) fn has_fault(&self, number: u64) -> bool {
        self.faults.as_ref().is_none_or(|faults| faults.contains(&number))
    }

    /// Adds an event.
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
