//! `proxyherd health`: whether one server is ready, or lives.

use std::{io, io::Write as _, time::Duration};

use anyhow::bail;
use proxyherd_commands::health::{Question, ask};
use proxyherd_config::door_kind::DoorKind;

use super::{ConfigArgs, UsageError, heading, serve};

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd health --name Riley
  proxyherd health --name Riley --live
  systemctl restart proxyherd@Riley && proxyherd health --name Riley --wait-s 60

",
    heading!("Exit codes"),
    "  0   the server is ready; with --live: nothing in the server is stuck
  1   it is not, or it does not answer
  2   the command line is wrong
  78  the configuration is wrong
",
);

/// Ask one server whether it is ready
///
/// A server is ready when clients may be sent to it: it holds what its neighbors hold, and it does not stop. With
/// --live, the question is only whether the server works: restart a server that does not. The command asks the first
/// address of the server's HTTP door, and needs no token. It is the health check of the container image.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    /// The name of the server in the file
    #[arg(long, short, value_name = "SERVER", env = "PROXYHERD_NAME")]
    name: String,

    /// Ask only whether nothing in the server is stuck
    #[arg(long)]
    live: bool,

    /// Seconds for which to ask again until the answer is yes
    #[arg(long, value_name = "N", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u32).range(..=86_400))]
    wait_s: u32,
}

/// Asks the server, and prints `ready` or `live`.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let config = super::load(&args.config, &[])?;
    let server = serve::named(&config, &args.name)?;
    let Some(http) = server.door(DoorKind::Http) else {
        let message = format!("{} has no HTTP door, so it cannot be asked: give it `http`", server.name);
        return Err(UsageError(message).into());
    };
    let (question, healthy) = if args.live { (Question::Live, "live") } else { (Question::Ready, "ready") };
    let wait = Duration::from_secs(args.wait_s.into());
    super::block_on(async {
        if let Err(why) = ask(&config, http, question, wait).await {
            bail!("{} is not {healthy}: {why}", server.name);
        }
        writeln!(io::stdout(), "{healthy}")?;
        Ok(())
    })
}
