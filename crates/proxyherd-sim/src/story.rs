//! The story of a run, for a person: the last events, and the faults before them. They are kept only on request.

use std::collections::{BTreeSet, VecDeque};

use crate::timeline::{Nanos, SECOND};

/// Number of lines that are kept. The oldest events go first, and faults stay as long as there are events.
const LINES_MAX: usize = 60;

/// The lines of the story, and the numbers of the faults that take part in the run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    lines: Option<VecDeque<Line>>,
    faults: Option<BTreeSet<u64>>,
}

#[derive(Clone, Debug)]
struct Line {
    text: String,
    is_fault: bool,
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
        self.add(at, line, false);
    }

    /// Adds a fault.
    pub(crate) fn tell_fault(&mut self, at: Nanos, line: impl FnOnce() -> String) {
        self.add(at, line, true);
    }

    fn add(&mut self, at: Nanos, line: impl FnOnce() -> String, is_fault: bool) {
        let Some(lines) = &mut self.lines else { return };
        if lines.len() == LINES_MAX {
            lines.remove(lines.iter().position(|line| !line.is_fault).unwrap_or(0));
        }
        let text = format!("{:>10.4} s  {}", at as f64 / SECOND as f64, line());
        lines.push_back(Line { text, is_fault });
    }

    /// The lines that were kept.
    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default().into_iter().map(|line| line.text).collect()
    }
}
