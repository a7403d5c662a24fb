//! `proxyherd status`: shows the running herd.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use proxyherd_commands::{
    command_token::CommandToken,
    herd_snapshot::HerdSnapshot,
    status,
    window::{Window, cut},
};
use proxyherd_config::{config::Config, door_kind::DoorKind};
use tokio::time::{MissedTickBehavior, interval};

use super::{HerdArgs, TokenArgs, UsageError, heading, outcome::counted, signals};

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd status
  proxyherd status --watch
  proxyherd status --json | jq -r '.[] | select(.error) | .server'

",
    heading!("JSON"),
    "  An array with an object for each server: its name in `server`, the first address of its HTTP door in `http` (null if it \
     has none), and either `status`, which is what /v1/status answers, or `error`, which says why there is no answer.

",
    heading!("Environment"),
    "  PROXYHERD_TOKEN  the token to show to the servers

",
    heading!("Exit codes"),
    "  0   every server with an HTTP door shows its status
  1   a server with an HTTP door does not answer, or does not accept the token
  2   the command line is wrong
  78  the configuration is wrong
",
);

/// Moves the cursor to the upper left corner. Each line that is drawn then first clears its old text.
const HOME: &str = "\x1b[H";
const CLEAR_ALL: &str = "\x1b[2J";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// Show the running herd as a table: its servers, their links and what they hold
///
/// The command asks each server at the first address of its HTTP door. A server that cannot be reached still has a row,
/// and a line below the table says why. Without a herd.toml, the command asks the servers of `proxyherd demo`. If
/// herd.toml has tokens = "on", the command shows the token in PROXYHERD_TOKEN, or else in operator.token beside
/// herd.toml.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    config: HerdArgs,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,

    /// Show the table again every second, until Ctrl-C
    #[arg(long, short, conflicts_with = "json")]
    watch: bool,

    #[command(flatten)]
    token: TokenArgs,
}

/// Asks every server and shows the answers.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if args.watch && !io::stdout().is_terminal() {
        let message = "--watch redraws a terminal, but standard output is not a terminal; leave out --watch, or use --json";
        return Err(UsageError(message.to_owned()).into());
    }
    let config = args.config.herd()?;
    let token = args.token.given_or_operators(&config)?;
    let doors = || config.servers.iter().filter_map(|server| server.door(DoorKind::Http));
    args.token.check(token.as_ref(), |token| token.check_doors(doors()))?;
    if args.watch {
        return super::block_on(watch(config, token));
    }
    let snapshot = HerdSnapshot::ask(&config, token.as_ref());
    if args.json {
        writeln!(io::stdout(), "{}", status::json(&snapshot))?;
    } else {
        let columns = Window::of_stdout().map(|window| window.columns);
        write!(anstream::stdout(), "{}", status::text(&snapshot, columns))?;
    }
    match (snapshot.silent_count(), snapshot.refused_count()) {
        (0, 0) => Ok(()),
        (0, refused) => bail!(refusal(refused, snapshot.door_count())),
        (silent, _) if args.config.is_classic() => {
            bail!("{}; {CLASSIC}", silence(silent, snapshot.door_count()))
        }
        (silent, _) => bail!(silence(silent, snapshot.door_count())),
    }
}

/// Explains which servers were asked when there is no herd.toml.
const CLASSIC: &str = "there is no herd.toml here, so the servers of `proxyherd demo` were asked; --config FILE names \
                       another herd";

/// `1 of 5 servers does not answer`
fn silence(silent: usize, of: usize) -> String {
    let verb = if silent == 1 { "does" } else { "do" };
    format!("{silent} of {} {verb} not answer", counted(of, "server"))
}

/// `1 of 5 servers does not show its status`
fn refusal(refused: usize, of: usize) -> String {
    let (verb, whose) = if refused == 1 { ("does", "its") } else { ("do", "their") };
    format!("{refused} of {} {verb} not show {whose} status", counted(of, "server"))
}

/// Redraws the herd every second until the process is asked to end. The last drawing stays on the terminal.
async fn watch(config: Config, token: Option<CommandToken>) -> anyhow::Result<()> {
    let asked_to_end = signals::asked_to_end()?;
    tokio::pin!(asked_to_end);
    let (config, token) = (Arc::new(config), Arc::new(token));
    let _cursor = HiddenCursor::hide()?;
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut window = None;
    loop {
        let (config, token) = (Arc::clone(&config), Arc::clone(&token));
        let ask = async {
            seconds.tick().await;
            tokio::task::spawn_blocking(move || HerdSnapshot::ask(&config, (*token).as_ref())).await
        };
        tokio::select! {
            snapshot = ask => draw(&snapshot.context("asking the servers failed")?, &mut window)?,
            () = &mut asked_to_end => return Ok(()),
        }
    }
}

/// Draws over the last drawing line by line, so that nothing flickers. If the size of the window has changed, the
/// window is cleared first, because the terminal may have wrapped the old lines.
fn draw(snapshot: &HerdSnapshot, before: &mut Option<Window>) -> io::Result<()> {
    let window = Window::of_stdout().unwrap_or(Window { columns: 80, rows: 24 });
    let text = status::text(snapshot, Some(window.columns));
    let has_colors = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
    let text = if has_colors { text } else { anstream::adapter::strip_str(&text).to_string() };
    let is_same = before.replace(window) == Some(window);
    let frame = frame(&text, window.rows, is_same);
    let mut out = io::stdout().lock();
    out.write_all(frame.as_bytes())?;
    out.flush()
}

/// Clears each line before writing it: clearing after a character in the last column would clear that character. If the
/// window is full, no newline follows the last line, because that newline would scroll the first line out.
fn frame(text: &str, rows: usize, is_same: bool) -> String {
    let short = if text.lines().count() > rows { troubles_first(text) } else { text.to_owned() };
    let lines = cut(&short.lines().collect::<Vec<_>>(), rows);
    let below = if lines.len() < rows { format!("\n{CLEAR_BELOW}") } else { String::new() };
    let lines: Vec<String> = lines.iter().map(|line| format!("{CLEAR_LINE}{line}")).collect();
    let clear = if is_same { "" } else { CLEAR_ALL };
    format!("{clear}{HOME}{}{below}", lines.join("\n"))
}

/// Moves the sentences above the table. If not everything fits, the sentences matter more than the rows.
fn troubles_first(text: &str) -> String {
    match text.trim_end().split("\n\n").collect::<Vec<_>>().as_slice() {
        [title, table, sentences @ ..] => [&[*title], sentences, &[*table]].concat().join("\n\n"),
        _ => text.to_owned(),
    }
}

/// Hides the cursor until this is dropped.
struct HiddenCursor;

impl HiddenCursor {
    fn hide() -> io::Result<HiddenCursor> {
        write!(io::stdout(), "{CLEAR_ALL}{HIDE_CURSOR}")?;
        Ok(HiddenCursor)
    }
}

impl Drop for HiddenCursor {
    fn drop(&mut self) {
        // If standard output is closed, there is no cursor to show.
        let _ = writeln!(io::stdout(), "{SHOW_CURSOR}");
        let _ = io::stdout().flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_in_words() {
        assert_eq!(silence(1, 5), "1 of 5 servers does not answer");
        assert_eq!(silence(2, 5), "2 of 5 servers do not answer");
        assert_eq!(silence(1, 1), "1 of 1 server does not answer");
    }

    #[test]
    fn a_frame_has_no_more_lines_than_the_window_and_does_not_scroll_it() {
        let frame = frame("a\n\nb\nc\n", 2, true);
        assert_eq!(frame, "\x1b[H\x1b[Ka\n\x1b[K(2 more)");
        let frame = super::frame("title\n\nhead\nrow\nrow\n\n! trouble\n\nagreement\n", 5, true);
        let lines: Vec<&str> = frame.lines().map(|line| line.rsplit('K').next().unwrap()).collect();
        assert_eq!(lines, ["title", "! trouble", "agreement", "head", "(2 more)"]);
        assert_eq!(super::frame("a\n", 2, false), "\x1b[2J\x1b[H\x1b[Ka\n\x1b[J");
    }
}
