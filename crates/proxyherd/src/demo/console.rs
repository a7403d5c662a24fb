//! Prints the demo's sentences and reads its commands.
//!
//! On a terminal the last line is a prompt, and the line editor prints the demo's sentences above it. Otherwise the
//! demo reads and writes plain lines. The demo never waits for a reader: a few lines are kept, and further lines are
//! dropped.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use rustyline::{Config, DefaultEditor, ExternalPrinter, error::ReadlineError};
use tokio::sync::mpsc;

/// Maximum number of lines that wait to be printed. Further lines are dropped.
const LINES_MAX: usize = 64;
/// Maximum number of commands that wait to be carried out. Further commands are read later.
const COMMANDS_MAX: usize = 16;
/// Maximum length of a command, bytes. A longer line is read as several unknown commands.
const COMMAND_LEN_MAX: u64 = 1024;
/// Maximum time that the demo waits at its end until everything is printed.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);
const PROMPT: &str = "demo> ";

/// Input from the person at the console.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ConsoleInput {
    Line(String),
    /// Ctrl-C or Ctrl-D at the prompt.
    End,
}

/// The demo's end of the console.
pub(super) struct Console {
    lines: SyncSender<String>,
    typed: mpsc::Receiver<ConsoleInput>,
    printed: Receiver<()>,
    terminal: Option<SavedTerminal>,
}

/// The terminal's settings before the prompt. Dropping this value restores the settings, because the demo may end while
/// the prompt is in the middle of a line.
struct SavedTerminal(Termios);

impl Drop for SavedTerminal {
    fn drop(&mut self) {
        // If the terminal is gone, there is nothing to restore.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Prints a text that ends in a newline. Returns whether that succeeded.
type PrintLine = Box<dyn FnMut(String) -> bool + Send>;

impl Console {
    /// Opens the console, with a prompt if it is a terminal.
    pub(super) fn open() -> io::Result<Console> {
        let (commands, typed) = mpsc::channel(COMMANDS_MAX);
        let (lines, to_print) = sync_channel(LINES_MAX);
        let (is_printed, printed) = sync_channel(1);
        let (terminal, print) = match prompt(&commands) {
            Some((terminal, print)) => (Some(terminal), print),
            None => {
                if !is_in_background() {
                    spawn("input", move || read_plainly(&commands))?;
                }
                let plain: PrintLine = Box::new(|text| anstream::stdout().write_all(text.as_bytes()).is_ok());
                (None, plain)
            }
        };
        spawn("screen", move || {
            print_all(&to_print, print);
            // This fails if the demo has ended without waiting.
            let _ = is_printed.send(());
        })?;
        Ok(Console { lines, typed, printed, terminal })
    }

    /// Prints a line, or drops it if the reader is far behind.
    pub(super) fn say(&self, text: &str) {
        let _ = self.lines.try_send(format!("{text}\n"));
    }

    /// The next input. Never returns after the end of the input.
    pub(super) async fn typed(&mut self) -> ConsoleInput {
        match self.typed.recv().await {
            Some(typed) => typed,
            None => std::future::pending().await,
        }
    }

    /// Restores the terminal, and waits for at most [`LAST_WORDS_MAX`] until everything is printed.
    pub(super) fn close(self) {
        let Console { lines, printed, terminal, .. } = self;
        drop((terminal, lines));
        let _ = printed.recv_timeout(LAST_WORDS_MAX);
    }
}

fn print_all(lines: &Receiver<String>, mut print: PrintLine) {
    let mut is_read = true;
    for text in lines {
        // After a failed print nothing more is printed, because nobody reads the output. The demo continues, because
        // clients may still use its servers.
        is_read = is_read && print(text);
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

/// Opens a prompt if the console is a terminal that can have one. Returns the terminal's settings, and a function that
/// prints above the prompt.
fn prompt(commands: &mpsc::Sender<ConsoleInput>) -> Option<(SavedTerminal, PrintLine)> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() || is_in_background() {
        return None;
    }
    let terminal = SavedTerminal(tcgetattr(io::stdin()).ok()?);
    let config = Config::builder().auto_add_history(true).bracketed_paste(false).build();
    let mut editor = DefaultEditor::with_config(config).ok()?;
    let mut printer = editor.create_external_printer().ok()?;
    let has_colors = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
    let commands = commands.clone();
    spawn("prompt", move || {
        loop {
            let typed = match editor.readline(PROMPT) {
                Ok(line) => ConsoleInput::Line(line),
                Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => continue,
                Err(_) => ConsoleInput::End,
            };
            let is_end = typed == ConsoleInput::End;
            if commands.blocking_send(typed).is_err() || is_end {
                return;
            }
        }
    })
    .ok()?;
    let print = move |text: String| {
        let text = if has_colors { text } else { anstream::adapter::strip_str(&text).to_string() };
        printer.print(text).is_ok()
    };
    Some((terminal, Box::new(print)))
}

/// Reads one command per line. The demo continues after the end of the input.
fn read_plainly(commands: &mpsc::Sender<ConsoleInput>) {
    let mut input = io::stdin().lock();
    loop {
        let mut line = Vec::new();
        match input.by_ref().take(COMMAND_LEN_MAX).read_until(b'\n', &mut line) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        if commands.blocking_send(ConsoleInput::Line(line)).is_err() {
            return;
        }
    }
}

/// Whether this process runs in the background of a shell. The system stops a background process that reads the
/// terminal.
fn is_in_background() -> bool {
    io::stdin().is_terminal()
        && tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground != rustix::process::getpgrp())
}
