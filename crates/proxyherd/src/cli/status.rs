//! `proxyherd status`: the running herd at a glance.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::time::{MissedTickBehavior, interval};

use super::{ConfigArgs, UsageError, heading, outcome::counted, signals};
use crate::{config::Config, status::Seen};

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd status
  proxyherd status --watch
  proxyherd status --json | jq -r '.[] | select(.error) | .server'

",
    heading!("JSON"),
    "  An array with an object for each server: its name in `server`, its HTTP door's address in `http` (null if it
  has none), and either `status`, which is what /v1/status answers, or `error`, which says why nothing came.

",
    heading!("Exit codes"),
    "  0 every server with an HTTP door answers, 1 one does not, 2 usage, 78 the configuration is wrong
",
);

/// Move to the upper left corner; to be followed by lines that clear what stood behind them.
const HOME: &str = "\x1b[H";
const CLEAR_ALL: &str = "\x1b[2J";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// Show the running herd as a table: its servers, their links and what they hold
///
/// It asks the HTTP door of each server that has one. A server that cannot be reached is a row that says why.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,

    /// Go on, and show what changes, until Ctrl-C
    #[arg(long, short, conflicts_with = "json")]
    watch: bool,
}

/// Asks every server and shows what they say.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if args.watch && !io::stdout().is_terminal() {
        let message = "--watch redraws a terminal, and standard output is none; leave it out, or take --json";
        return Err(UsageError(message.to_owned()).into());
    }
    let config = super::load(&args.config, &[])?;
    if args.watch {
        return super::block_on(watch(config));
    }
    let seen = Seen::ask(&config);
    if args.json {
        writeln!(io::stdout(), "{}", seen.json())?;
    } else {
        write!(anstream::stdout(), "{}", seen.text())?;
    }
    match seen.silent_count() {
        0 => Ok(()),
        silent => bail!(silence(silent, seen.door_count())),
    }
}

/// `1 of 5 servers does not answer`
fn silence(silent: usize, of: usize) -> String {
    let verb = if silent == 1 { "does" } else { "do" };
    format!("{silent} of {} {verb} not answer", counted(of, "server"))
}

/// Redraws the herd every second, until it is asked to end. What was drawn last stays.
async fn watch(config: Config) -> anyhow::Result<()> {
    let asked_to_end = signals::asked_to_end()?;
    tokio::pin!(asked_to_end);
    let config = Arc::new(config);
    let _cursor = HiddenCursor::hide()?;
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let config = Arc::clone(&config);
        let ask = async {
            seconds.tick().await;
            tokio::task::spawn_blocking(move || Seen::ask(&config)).await
        };
        tokio::select! {
            seen = ask => draw(&seen.context("asking the servers failed")?)?,
            () = &mut asked_to_end => return Ok(()),
        }
    }
}

/// Draws over what was drawn before, line by line, so that nothing flickers.
fn draw(seen: &Seen) -> io::Result<()> {
    let text = seen.text();
    let coloured = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
    let text = if coloured { text } else { anstream::adapter::strip_str(&text).to_string() };
    let mut frame = HOME.to_owned();
    for line in text.lines() {
        frame.extend([line, CLEAR_LINE, "\n"]);
    }
    frame.push_str(CLEAR_BELOW);
    let mut out = io::stdout().lock();
    out.write_all(frame.as_bytes())?;
    out.flush()
}

/// A screen without a cursor; it is back when this is dropped.
struct HiddenCursor;

impl HiddenCursor {
    fn hide() -> io::Result<HiddenCursor> {
        write!(io::stdout(), "{CLEAR_ALL}{HIDE_CURSOR}")?;
        Ok(HiddenCursor)
    }
}

impl Drop for HiddenCursor {
    fn drop(&mut self) {
        // Where standard output is gone, so is the cursor.
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
}
