//! `proxyherd top`: shows the running herd on a terminal, and keeps it up to date.

use std::time::Duration;

use super::{HerdArgs, TokenArgs, heading, token::parse_at};

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd top
  proxyherd top --config /etc/herd.toml --every 5s
  proxyherd top --at http://127.0.0.1:8000

",
    heading!("Keys"),
    "  Tab        the next table; Shift-Tab the one before
  arrows     move in the table; also j, k, PgUp, PgDn, Home and End
  s, S       sort by the next column, by the column before
  r          reverse the order
  ?          help, with what the columns mean
  q          quit; also Esc and Ctrl-C

",
    heading!("Environment"),
    "  PROXYHERD_TOKEN  the token to show to the servers
  NO_COLOR         no colors

",
    heading!("Exit codes"),
    "  0   the person has quit, or a signal has ended the command
  1   the terminal failed
  2   the command line is wrong, or there is no terminal
  78  the configuration is wrong
",
);

/// Watch the running herd on a terminal: its servers, links, rates and what changes
///
/// The command asks each server at the first address of its HTTP door, again and again. A server that does not answer
/// is shown as away, with the time since then. Without a herd.toml, the command asks the servers of `proxyherd demo`.
/// If herd.toml has tokens = "on", the command shows the token in PROXYHERD_TOKEN, or else in operator.token beside
/// herd.toml. `proxyherd status` prints the same once, also where there is no terminal.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
#[cfg_attr(not(feature = "top"), allow(dead_code, reason = "a build without `top` takes the arguments, too"))]
pub(super) struct Args {
    #[command(flatten)]
    config: HerdArgs,

    /// The beginning of the URL of an HTTP door to ask instead of the doors in the configuration, such as
    /// https://herd.example.org; repeatable
    #[arg(long, value_name = "URL", value_parser = parse_at)]
    at: Vec<String>,

    /// Time between two questions to one server, from 200ms to 60s
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_every)]
    every: Duration,

    /// Draw with ASCII characters only
    #[arg(long)]
    ascii: bool,

    #[command(flatten)]
    token: TokenArgs,
}

/// Reads `2s` or `500ms`.
fn parse_every(text: &str) -> Result<Duration, String> {
    let wrong = || "a time from 200ms to 60s, for example 2s or 500ms".to_owned();
    let (digits, unit_ms) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => (text.strip_suffix('s').ok_or_else(wrong)?, 1000),
    };
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    let every_ms = count.checked_mul(unit_ms).filter(|every_ms| (200..=60_000).contains(every_ms));
    every_ms.map(Duration::from_millis).ok_or_else(wrong)
}

/// Shows the herd until the person quits.
#[cfg(feature = "top")]
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    shown::run(args)
}

/// Says that this program is built without the command.
#[cfg(not(feature = "top"))]
pub(super) fn run(_: &Args) -> anyhow::Result<()> {
    anyhow::bail!(
        "this program was built without `top`; build it with `--features top`, or use `proxyherd status --watch`"
    )
}

#[cfg(feature = "top")]
mod shown {
    use std::{
        env,
        io::{self, IsTerminal as _},
    };

    use proxyherd_commands::{
        door_client,
        herd_snapshot::{Asker, Target},
        top::{self, TopSettings},
    };
    use proxyherd_config::door_kind::DoorKind;
    use proxyherd_places::http_client;

    use super::{
        super::{UsageError, block_on},
        Args,
    };

    pub(super) fn run(args: &Args) -> anyhow::Result<()> {
        needs_terminal()?;
        let (herd, targets, asker) = if args.at.is_empty() { of_config(args)? } else { at(args)? };
        let has_colors = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
        let settings =
            TopSettings { herd, targets, asker, every: args.every, has_colors, is_ascii: args.ascii };
        block_on(top::run(settings))
    }

    fn needs_terminal() -> anyhow::Result<()> {
        let what = if !io::stdout().is_terminal() {
            "standard output is not a terminal"
        } else if !io::stdin().is_terminal() {
            "standard input is not a terminal"
        } else if env::var_os("TERM").is_some_and(|term| term == "dumb") {
            "this terminal (TERM=dumb) cannot move its cursor"
        } else {
            return Ok(());
        };
        let message =
            format!("`top` draws on a terminal, but {what}; `proxyherd status` prints the herd once");
        Err(UsageError(message).into())
    }

    fn of_config(args: &Args) -> anyhow::Result<(String, Vec<Target>, Asker)> {
        let config = args.config.herd()?;
        let token = args.token.given_or_operators(&config)?;
        let doors = || config.servers.iter().filter_map(|server| server.door(DoorKind::Http));
        args.token.check(token.as_ref(), |token| token.check_doors(doors()))?;
        let asker = Asker::of(&config, token.as_ref()).map_err(anyhow::Error::msg)?;
        Ok((config.herd.id.clone(), Target::all(&config), asker))
    }

    /// URLs need no configuration, but the configuration may have the token and the certificate.
    fn at(args: &Args) -> anyhow::Result<(String, Vec<Target>, Asker)> {
        let config = if args.config.is_classic() { None } else { Some(args.config.herd()?) };
        let token = match &config {
            Some(config) => args.token.given_or_operators(config)?,
            None => args.token.given()?,
        };
        args.token.check(token.as_ref(), |token| token.check_urls(&args.at))?;
        let has_tls = args.at.iter().any(|url| url.starts_with("https:"));
        let certificate =
            config.as_ref().and_then(|config| config.tls.as_ref()).map(|tls| tls.cert.as_path());
        let client = door_client::client(has_tls, certificate);
        let client = client.map_err(|error| anyhow::anyhow!(http_client::trouble(&error)))?;
        let targets = args.at.iter().map(|url| Target::at(url)).collect();
        Ok((String::new(), targets, Asker::new(client, token)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_and_bounds() {
        for (text, expected_ms) in [
            ("1s", Some(1000)),
            ("200ms", Some(200)),
            ("60s", Some(60_000)),
            ("199ms", None),
            ("61s", None),
            ("1", None),
            ("s", None),
            ("-1s", None),
            ("18446744073709551615s", None),
        ] {
            let expected = expected_ms.map(Duration::from_millis);
            assert_eq!(parse_every(text).ok(), expected, "{text}");
        }
    }
}
