//! `proxyherd demo`: runs a whole herd in one process, with clients that walk about.

use std::{os::unix::fs::DirBuilderExt as _, path::PathBuf};

use anyhow::Context as _;
use proxyherd_log::hear_crates;

use super::{heading, signals};
use crate::demo::{Demo, Options, screen};
use proxyherd_server::admission::descriptors;

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd demo
  proxyherd demo --clients 500 --log-dir log
  proxyherd demo --any-ports    leave the classic ports to another herd
",
);

/// Run the classic herd of five servers with walking clients, to try things out
///
/// The demo needs no file, no key and no network. It runs five servers on this machine, with places that are part of
/// the program. Its clients walk and drive around Los Angeles, and change servers on the way. The demo first prints
/// the address of its map, every other address, and lines to paste into another terminal. Then it shows which clients
/// move where. Type or pipe in `kill Riley` or `stop Riley` to end one server, `start Riley` to start it again, and
/// `cut Riley Jaquez` and `heal Riley Jaquez` to cut and heal a link; the map has buttons for these. Ctrl-C ends the
/// demo.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Use any free ports instead of the classic 12000 to 12004; the demo also uses free ports if a classic port is
    /// taken
    #[arg(long)]
    any_ports: bool,

    /// Number of clients that walk about
    #[arg(long, value_name = "N", default_value_t = 36)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=100_000))]
    clients: u32,

    /// The folder of the servers' logs; by default a new temporary folder
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,

    /// Print the addresses and answers to commands, and nothing else
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the herd until the user asks the demo to end.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    descriptors::raise_limit();
    hear_crates();
    super::block_on(show(args))
}

async fn show(args: &Args) -> anyhow::Result<()> {
    let asked_to_end = signals::asked_to_end()?;
    let log_dir = match &args.log_dir {
        Some(dir) => dir.clone(),
        None => temporary_dir()?,
    };
    let options = Options { any_ports: args.any_ports, clients: args.clients as usize, log_dir };
    let mut demo = Demo::start(options).await?;
    screen::introduce(&demo)?;
    let ended = tokio::select! {
        ended = screen::follow(&mut demo, args.quiet) => ended,
        () = asked_to_end => Ok(()),
    };
    ended?;
    signals::end_at_once_when_asked_again()?;
    screen::farewell(&demo, args.quiet)?;
    demo.stop().await;
    Ok(())
}

/// Creates a new folder for the demo. Fails if another user has already made a folder of that name.
fn temporary_dir() -> anyhow::Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("proxyherd-demo-{}", std::process::id()));
    let made = std::fs::DirBuilder::new().mode(0o700).create(&dir);
    made.with_context(|| {
        format!("can't make the folder {} for the logs; name one with --log-dir", dir.display())
    })?;
    Ok(dir)
}
