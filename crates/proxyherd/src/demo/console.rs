//! Where the demo's words go, and where its commands come from.
//!
//! On a terminal there is a prompt in the last line, and the line editor prints what the demo says above it. Elsewhere the
//! demo reads and writes plain lines. It never waits for a reader: a few lines are kept, and further ones are left out.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use rustyline::{Config, DefaultEditor, ExternalPrinter, error::ReadlineError};
use tokio::sync::mpsc;

/// How many lines may wait to be printed. Further ones are left out.
const LINES_MAX: usize = 64;
/// How many commands may wait to be carried out. Further ones are read later.
const COMMANDS_MAX: usize = 16;
/// The longest command that is read, bytes. A longer one is read as several, none of which is known.
const COMMAND_LEN_MAX: u64 = 1024;
/// How long the last words may take to be printed.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);
const PROMPT: &str = "demo> ";

/// What a person wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ConsoleInput {
    Line(String),
    /// Ctrl-C or Ctrl-D at the prompt.
    End,
}

/// What the demo holds of it.
pub(super) struct Console {
    lines: SyncSender<String>,
    typed: mpsc::Receiver<ConsoleInput>,
    printed: Receiver<()>,
    terminal: Option<SavedTerminal>,
}

/// How the terminal was before the prompt, and is again when this is dropped: the prompt may be in the middle of a line
/// when the demo ends.
struct SavedTerminal(Termios);

impl Drop for SavedTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing put back.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// What prints a text, which ends in a newline, and says whether it could.
type PrintLine = Box<dyn FnMut(String) -> bool + Send>;

impl Console {
    /// Opens it: with a prompt where a person sits in front of it.
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
            // The demo may have ended without waiting.
            let _ = is_printed.send(());
        })?;
        Ok(Console { lines, typed, printed, terminal })
    }

    /// Prints something, or leaves it out if the reader is far behind.
    pub(super) fn say(&self, text: &str) {
        let _ = self.lines.try_send(format!("{text}\n"));
    }

    /// What is typed next. Never returns once the input has ended.
    pub(super) async fn typed(&mut self) -> ConsoleInput {
        match self.typed.recv().await {
            Some(typed) => typed,
            None => std::future::pending().await,
        }
    }

    /// Gives the terminal back, and waits a little until everything is said.
    pub(super) fn close(self) {
        let Console { lines, printed, terminal, .. } = self;
        drop((terminal, lines));
        let _ = printed.recv_timeout(LAST_WORDS_MAX);
    }
}

fn print_all(lines: &Receiver<String>, mut print: PrintLine) {
    let mut is_read = true;
    for text in lines {
        // Once a print fails, nobody reads any more. The demo continues, because clients may still use its servers.
        is_read = is_read && print(text);
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

/// A prompt, if this is a terminal that can have one: how the terminal was, and what prints above the prompt.
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

/// Reads commands, one a line. Where the input ends, the demo goes on.
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

/// Whether this runs in the background of a shell. The system stops a background process that reads the terminal.
fn is_in_background() -> bool {
    io::stdin().is_terminal()
        && tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground != rustix::process::getpgrp())
}
