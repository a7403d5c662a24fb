//! Shows how far a command has come, on a terminal.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The steps of a bar.
const STEPS: u64 = 1000;

/// A bar on standard error. Nothing is shown if standard error is not a terminal.
pub(super) struct Bar(Option<ProgressBar>);

impl Bar {
    /// Begins with nothing done.
    pub(super) fn new(title: &'static str) -> Bar {
        if !io::stderr().is_terminal() {
            return Bar(None);
        }
        Bar(Some(Bar::drawn(title)))
    }

    fn drawn(title: &'static str) -> ProgressBar {
        let template = "{msg:18} {bar:30} {percent:>3} %  {eta} left";
        let style = ProgressStyle::with_template(template).expect("a test draws it").progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
        bar.set_style(style);
        bar.set_message(title);
        bar
    }

    /// Shows a share, from 0 to 1.
    pub(super) fn set(&self, share: f64) {
        if let Some(bar) = &self.0 {
            bar.set_position((share * STEPS as f64) as u64);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_drawn() {
        let bar = Bar(Some(Bar::drawn("Reading")));
        bar.set(0.5);
        assert_eq!(bar.0.as_ref().map(ProgressBar::position), Some(STEPS / 2));
    }
}
