//! `proxyherd token`: makes, lists and revokes tokens.

mod create;
mod list;
mod revoke;
mod servers;

use clap::Subcommand;

pub(super) use self::servers::parse_at;

/// Make, list and revoke tokens, which say who may do what
///
/// The commands ask the HTTP door of a server of the configuration, and the next one if that server does not answer.
/// They show the operator's token, which `proxyherd init` has written into operator.token beside herd.toml, or the
/// token in PROXYHERD_TOKEN, which needs the scope `operate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(create::Args),
    List(list::Args),
    Revoke(revoke::Args),
}

/// Runs the chosen command.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Create(args) => create::run(args),
        Command::List(args) => list::run(args),
        Command::Revoke(args) => revoke::run(args),
    }
}
