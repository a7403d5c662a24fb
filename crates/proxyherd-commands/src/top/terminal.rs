//! The terminal while `top` has it: the alternate screen, raw mode, and the way back.
//!
//! Invariant: when `top` ends, panics or is suspended, the terminal is as it was before. Only SIGKILL and SIGSTOP leave
//! it as it is.

use std::io::{self, Stdout};

use ratatui::{
    Frame, Terminal, TerminalOptions, Viewport,
    backend::CrosstermBackend,
    crossterm::{
        cursor::{Hide, Show},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
    layout::Rect,
};
use rustix::process::{Signal, kill_current_process_group};

use crate::window::Window;

/// The terminal at standard output. Dropping it gives the terminal back.
pub(super) struct FullScreen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    area: Rect,
}

impl FullScreen {
    /// Takes the terminal. From now on a panic gives the terminal back before its message is printed.
    pub(super) fn open() -> io::Result<FullScreen> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            before(panic);
        }));
        let area = area();
        let options = TerminalOptions { viewport: Viewport::Fixed(area) };
        let terminal = Terminal::with_options(CrosstermBackend::new(io::stdout()), options)?;
        // From here on, dropping the screen gives the terminal back, also if `enter` fails halfway.
        let mut screen = FullScreen { terminal, area };
        screen.enter()?;
        Ok(screen)
    }

    /// Draws a frame. If the window has another size than before, everything is drawn again.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        let area = area();
        if area != self.area {
            self.terminal.resize(area)?;
            self.area = area;
        }
        self.terminal.draw(draw)?;
        Ok(())
    }

    /// Stops the process group, as Ctrl-Z does for other programs. Where no shell could continue the group, the system
    /// does not stop it. The caller calls [`FullScreen::resume`] when the process goes on.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        leave();
        Ok(kill_current_process_group(Signal::TSTP)?)
    }

    /// Takes the terminal again, after other programs may have used it.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        // Raw mode is otherwise thought to be on, even if a shell has changed it.
        disable_raw_mode()?;
        self.enter()
    }

    /// Draws everything again with the next frame. `Terminal::clear` would ask the terminal for its cursor, and not
    /// every terminal answers.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.terminal.resize(self.area)
    }

    fn enter(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        self.clear()
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        leave();
    }
}

/// Gives the terminal back. If the terminal is gone, there is nothing to give back.
fn leave() {
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

fn area() -> Rect {
    let window = Window::of_stdout().unwrap_or(Window { columns: 80, rows: 24 });
    let short = |size: usize| u16::try_from(size).unwrap_or(u16::MAX);
    Rect::new(0, 0, short(window.columns), short(window.rows))
}
