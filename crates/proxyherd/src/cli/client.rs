//! `proxyherd client`: talks to a running herd.

use std::{path::PathBuf, time::Duration};

use proxyherd_commands::command_token::CommandToken;
use proxyherd_config::{
    config::{Door, DoorError},
    door_kind::DoorKind,
};

use super::{HerdArgs, TokenArgs, heading};

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd client
  proxyherd client --config /etc/herd.toml
  proxyherd client 127.0.0.1:12001 127.0.0.1:12002
  proxyherd client --config /etc/herd.toml tls://127.0.0.1:12443
  printf 'WHATSAT kiwi.cs.ucla.edu 10 5\\n' | proxyherd client
  printf \"IAMAT me +34.07-118.45 $(date +%s.%N)\\n\" | proxyherd client

",
    heading!("What to type"),
    "  IAMAT <client> <latitude><longitude> <time>
      says where a client was at that time, seconds since 1970
  WHATSAT <client> <kilometers> <most places>
      asks where a client is, and which places are near it
  AUTH <token>
      shows a token; the client does this by itself if it has one

",
    heading!("At the prompt"),
    "  An IAMAT without a time gets the present time; `help` shows what else can be typed. The prompt keeps earlier \
     lines in $XDG_STATE_HOME/proxyherd/history, by default ~/.local/state/proxyherd/history, except those that begin \
     with a space or show a token.

",
    heading!("Environment"),
    "  PROXYHERD_TOKEN  the token to show to the servers

",
    heading!("Exit codes"),
    "  0   every line has its reply
  1   no server answers, or none accepts the token
  2   the command line is wrong
  78  the configuration is wrong
",
);

/// Talk to a running herd: a prompt with history, or a pipe
///
/// The client connects to the first address that answers. When that server fails, the client moves to the next server,
/// and sends the lines without a reply again. If standard input or output is not a terminal, the client sends all
/// lines, prints exactly the replies, and ends.
///
/// The token that the client shows is the one of --token-file, or else the one in PROXYHERD_TOKEN. Otherwise, if no
/// address is given and herd.toml has tokens = "on", it is the operator's token in operator.token beside herd.toml.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Servers to talk to, tried in this order: HOST:PORT, [IPv6]:PORT or NAME:PORT, with tls:// before it if the
    /// server speaks TLS. By default the servers of the configuration are used, each at the first address of its
    /// `listen`. If addresses are given, the configuration is read only if an address has tls://, to find the
    /// certificate that `[tls]` names
    #[arg(value_name = "ADDR", value_parser = line_door)]
    pub(super) addresses: Vec<Door>,

    #[command(flatten)]
    config: HerdArgs,

    #[command(flatten)]
    token: TokenArgs,

    /// Maximum time that a server with lines to answer may be silent; by default 15, or the configuration's deadline
    /// for places plus 10 if that is longer
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    patience_s: Option<u64>,
}

/// Maximum time that a server may be silent, unless the configuration's deadline for places requires a longer time.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Time that the client waits for a server in addition to the deadline for places.
const AFTER_PLACES: Duration = Duration::from_secs(10);

/// Talks to the herd until the input ends.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let ClientTarget { doors, certificate, token, silence_max } = target(args)?;
    proxyherd_commands::client::run(doors, certificate.as_deref(), token, silence_max)
}

/// The servers to talk to.
pub(super) struct ClientTarget {
    pub(super) doors: Vec<Door>,
    /// The certificate file that the configuration names for doors with TLS.
    pub(super) certificate: Option<PathBuf>,
    /// The token to show to each server.
    pub(super) token: Option<CommandToken>,
    /// Maximum time that a server with lines to answer may be silent.
    pub(super) silence_max: Duration,
}

pub(super) fn target(args: &Args) -> anyhow::Result<ClientTarget> {
    let mut token = args.token.given()?;
    let (doors, certificate, usual) = if args.addresses.is_empty() {
        let config = args.config.herd()?;
        if token.is_none() {
            token = args.token.given_or_operators(&config)?;
        }
        let doors = config.servers.iter().filter_map(|server| server.door(DoorKind::Line).cloned());
        let usual = SILENCE_MAX.max(config.places.deadline + AFTER_PLACES);
        (doors.collect::<Vec<_>>(), config.tls.map(|tls| tls.cert), usual)
    } else {
        let doors = args.addresses.clone();
        let config = if doors.iter().any(|door| door.tls) { Some(args.config.herd()?) } else { None };
        let certificate = config.and_then(|config| config.tls).map(|tls| tls.cert);
        (doors, certificate, SILENCE_MAX)
    };
    args.token.check(token.as_ref(), |token| token.check_doors(&doors))?;
    let silence_max = args.patience_s.map_or(usual, Duration::from_secs);
    Ok(ClientTarget { doors, certificate, token, silence_max })
}

fn line_door(text: &str) -> Result<Door, DoorError> {
    Door::parse(DoorKind::Line, text)
}
