//! `proxyherd client`: a prompt to a running herd.

use super::heading;
use crate::config::{Address, Config};

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd client
  proxyherd client 127.0.0.1:12001 127.0.0.1:12002
  printf 'WHATSAT kiwi 10 5\\n' | proxyherd client localhost:12000

",
    heading!("What to type"),
    "  IAMAT <client> <latitude><longitude> <time>
      IAMAT kiwi +34.068930-118.445127 1621464827.959498503
  WHATSAT <client> <kilometres> <at most so many places>
      WHATSAT kiwi 10 5

",
    heading!("At the prompt"),
    "  An IAMAT without a time is of now; `help` shows what else can be typed. Earlier lines are kept in
  $XDG_STATE_HOME/proxyherd/history, by default ~/.local/state/proxyherd/history; one that begins with a space
  is not.

",
    heading!("Exit codes"),
    "  0 every line has its reply, 1 no server answers, 2 usage
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
    /// Servers to talk to, tried in this order: HOST:PORT, [IPv6]:PORT or NAME:PORT
    #[arg(value_name = "ADDR", default_values_t = classic_addresses())]
    pub(super) addresses: Vec<Address>,
}

/// Talks until there is nothing left to say.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    crate::client::run(&args.addresses)
}

fn classic_addresses() -> Vec<Address> {
    Config::classic().servers.into_iter().map(|server| server.listen).collect()
}
