//! `proxyherd completions`: prints the script by which a shell completes the command line.

use std::io::{self, Write as _};

use clap_complete::Shell;

use super::heading;

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd completions bash > /etc/bash_completion.d/proxyherd
  proxyherd completions zsh  > ~/.zfunc/_proxyherd
  proxyherd completions fish > ~/.config/fish/completions/proxyherd.fish
",
);

/// Print the script by which a shell completes this command line
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The shell that will run the script
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the completions.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "proxyherd", &mut script);
    io::stdout().write_all(&script)?;
    Ok(())
}
