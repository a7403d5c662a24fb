//! `proxyherd status`: the running herd at a glance.

use anyhow::bail;

use super::{ConfigArgs, heading};

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd status
  proxyherd status --watch
  proxyherd status --json | jq '.servers[].name'
",
);

/// Show the running herd as a table: its servers, their links and what they hold
///
/// It asks the HTTP door of each server that has one.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,

    /// Go on, and show what changes, until Ctrl-C
    #[arg(long, short)]
    watch: bool,
}

/// Asks every server and shows what they say.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let config = super::load(&args.config, &[])?;
    bail!("status of {} is not built yet", config.path.display())
}
