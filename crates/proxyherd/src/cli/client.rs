//! `proxyherd client`: a prompt to a running herd.

use std::time::Duration;

use super::{HerdArgs, heading};
use crate::config::Address;

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd client
  proxyherd client --config /etc/herd.toml
  proxyherd client 127.0.0.1:12001 127.0.0.1:12002
  printf 'WHATSAT kiwi.cs.ucla.edu 10 5\\n' | proxyherd client
  printf \"IAMAT me +34.07-118.45 $(date +%s.%N)\\n\" | proxyherd client

",
    heading!("What to type"),
    "  IAMAT <client> <latitude><longitude> <time>
      says where a client was at that time, seconds since 1970
  WHATSAT <client> <kilometers> <most places>
      asks where a client is, and which places are near it

",
    heading!("At the prompt"),
    "  An IAMAT without a time takes the present time; `help` shows what else can be typed. The prompt keeps earlier \
     lines in $XDG_STATE_HOME/proxyherd/history, by default ~/.local/state/proxyherd/history, except those that begin \
     with a space.

",
    heading!("Exit codes"),
    "  0   every line has its reply
  1   no server answers
  2   the command line makes no sense
  78  the configuration is wrong
",
);

/// Talk to a running herd: a prompt with history, or a pipe
///
/// It connects to the first address that answers, and goes on to the next when a server goes away; lines without a
/// reply are sent again there. Where standard input or output is no terminal it sends the lines, prints exactly
/// their replies, and ends.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Servers to talk to, tried in this order: HOST:PORT, [IPv6]:PORT or NAME:PORT. With any, no configuration is
    /// read; without any, they are those of the configuration
    #[arg(value_name = "ADDR")]
    pub(super) addresses: Vec<Address>,

    #[command(flatten)]
    config: HerdArgs,

    /// How long a server may say nothing when it is asked; by default 15, or as long as the configuration gives the
    /// providers of places and 10 more
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    patience_s: Option<u64>,
}

/// Longest usual silence.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How much longer than for the places one waits for a server.
const AFTER_PLACES: Duration = Duration::from_secs(10);

/// Talks until there is nothing left to say.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (addresses, silence_max) = meant(args)?;
    crate::client::run(addresses, silence_max)
}

/// Whom to talk to, and how long one may say nothing.
pub(super) fn meant(args: &Args) -> anyhow::Result<(Vec<Address>, Duration)> {
    let (addresses, usual) = if args.addresses.is_empty() {
        let config = args.config.herd()?;
        let addresses = config.servers.into_iter().map(|server| server.listen).collect();
        (addresses, SILENCE_MAX.max(config.places.deadline + AFTER_PLACES))
    } else {
        (args.addresses.clone(), SILENCE_MAX)
    };
    Ok((addresses, args.patience_s.map_or(usual, Duration::from_secs)))
}
