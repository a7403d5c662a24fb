//! `proxyherd check`: says what is wrong with a configuration.

use std::io::Write as _;

use anstyle::{AnsiColor, Style};

use super::{ConfigArgs, SetArgs, heading, outcome::counted};
use crate::config::Config;

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd check
  proxyherd check --config /etc/herd.toml --set log.level=debug

",
    heading!("Exit codes"),
    "  0 a herd can run with it, 2 usage, 78 it is wrong
",
);

const FINE: Style = AnsiColor::BrightGreen.on_default().bold();

/// Say what is wrong with a configuration, by key and line
///
/// All mistakes are reported, not only the first. What is set by PROXYHERD_* variables and --set is checked too, as
/// `serve` would take it.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    #[command(flatten)]
    set: SetArgs,
}

/// Reads the configuration and nothing else.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let config = super::load(&args.config, &args.set.set)?;
    writeln!(anstream::stdout(), "{}: {FINE}fine{FINE:#}, {}", config.path.display(), summary(&config))?;
    Ok(())
}

fn summary(config: &Config) -> String {
    let ends: usize = config.servers.iter().map(|server| config.links_of(&server.name).len()).sum();
    let warnings = match config.warnings.len() {
        0 => String::new(),
        count => format!("; {}", counted(count, "warning")),
    };
    format!(
        "herd {:?} of {} and {}{warnings}",
        config.herd.id,
        counted(config.servers.len(), "server"),
        counted(ends / 2, "link")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_each_link_once() {
        assert_eq!(summary(&Config::classic()), "herd \"herd\" of 5 servers and 6 links");
    }
}
