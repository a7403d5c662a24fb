//! `proxyherd client`: a prompt to a running herd.

use std::{path::PathBuf, time::Duration};

use super::{HerdArgs, heading};
use crate::{
    config::{Door, DoorError},
    door_kind::DoorKind,
};

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
    /// Servers to talk to, tried in this order: HOST:PORT, [IPv6]:PORT or NAME:PORT, each with tls:// before it where
    /// the server speaks TLS. Without any, they are those of the configuration, each by the first address of its `listen`.
    /// With any, the configuration is read only where one has tls://, for the certificate that `[tls]` names
    #[arg(value_name = "ADDR", value_parser = line_door)]
    pub(super) addresses: Vec<Door>,

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
    let Meant { doors, certificate, silence_max } = meant(args)?;
    crate::client::run(doors, certificate.as_deref(), silence_max)
}

/// Whom to talk to.
pub(super) struct Meant {
    pub(super) doors: Vec<Door>,
    /// The file that the configuration names for doors with TLS.
    pub(super) certificate: Option<PathBuf>,
    /// How long one may say nothing.
    pub(super) silence_max: Duration,
}

pub(super) fn meant(args: &Args) -> anyhow::Result<Meant> {
    let (doors, certificate, usual) = if args.addresses.is_empty() {
        let config = args.config.herd()?;
        let doors = config.servers.iter().filter_map(|server| server.door(DoorKind::Line).cloned());
        let usual = SILENCE_MAX.max(config.places.deadline + AFTER_PLACES);
        (doors.collect(), config.tls.map(|tls| tls.cert), usual)
    } else {
        let doors = args.addresses.clone();
        let config = if doors.iter().any(|door| door.tls) { Some(args.config.herd()?) } else { None };
        let certificate = config.and_then(|config| config.tls).map(|tls| tls.cert);
        (doors, certificate, SILENCE_MAX)
    };
    let silence_max = args.patience_s.map_or(usual, Duration::from_secs);
    Ok(Meant { doors, certificate, silence_max })
}

fn line_door(text: &str) -> Result<Door, DoorError> {
    Door::parse(DoorKind::Line, text)
}
