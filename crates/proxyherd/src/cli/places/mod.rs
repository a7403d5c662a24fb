//! `proxyherd places`: imports OpenStreetMap's places, and shows them.

mod import;
mod near;

use clap::Subcommand;

/// Import OpenStreetMap's places for the provider "osm", and look at them
///
/// `import` reads an extract, for example from <https://download.geofabrik.de>, and writes an index. A server with
/// `provider = "osm"` answers from such an index. `near` queries an index without a server.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Import(import::Args),
    Near(near::Args),
}

/// Runs the chosen command.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Import(args) => import::run(args),
        Command::Near(args) => near::run(args),
    }
}
