//! The last values of one figure, and how they are drawn as a sparkline.

use std::collections::VecDeque;

/// Number of values that a history keeps. Older values are dropped.
pub(super) const HISTORY_LEN_MAX: usize = 240;

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 8] = ['_', '.', ':', '-', '=', '+', '*', '#'];

/// Values at equal distances in time, the newest last. `None`: the value was not known at that time.
#[derive(Clone, Debug, Default)]
pub(super) struct History(VecDeque<Option<f64>>);

impl History {
    pub(super) fn push(&mut self, value: Option<f64>) {
        if self.0.len() == HISTORY_LEN_MAX {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }

    /// The newest values as `width` characters, the newest at the right. The greatest of these values has the highest
    /// block. A space stands for an unknown value.
    pub(super) fn sparkline(&self, width: usize, is_ascii: bool) -> String {
        let blocks = if is_ascii { ASCII } else { BLOCKS };
        let shown: Vec<_> = self.0.iter().skip(self.0.len().saturating_sub(width)).copied().collect();
        let greatest = shown.iter().flatten().copied().fold(0.0, f64::max);
        let block = |value: f64| match greatest > 0.0 {
            true => blocks[((value / greatest * 7.0).round() as usize).min(7)],
            false => blocks[0],
        };
        let line: String = shown.iter().map(|value| value.map_or(' ', block)).collect();
        format!("{line:>width$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[Option<f64>]) -> History {
        let mut history = History::default();
        values.iter().for_each(|value| history.push(*value));
        history
    }

    #[test]
    fn the_greatest_value_that_is_shown_has_the_highest_block() {
        let history = of(&[Some(1e9), Some(0.0), Some(7.0), None, Some(14.0)]);
        assert_eq!(history.sparkline(4, false), "▁▅ █");
        assert_eq!(history.sparkline(7, true), "  #__ _");
        assert_eq!(of(&[Some(0.0)]).sparkline(3, false), "  ▁");
        assert_eq!(of(&[]).sparkline(2, false), "  ");
    }

    #[test]
    fn a_history_is_bounded() {
        let mut history = History::default();
        (0..2 * HISTORY_LEN_MAX).for_each(|value| history.push(Some(value as f64)));
        assert_eq!(history.0.len(), HISTORY_LEN_MAX);
        assert_eq!(history.0.front(), Some(&Some(HISTORY_LEN_MAX as f64)));
    }
}
