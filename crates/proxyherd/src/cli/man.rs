//! `proxyherd man`: the manual pages.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::heading;

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd man | man -l -
  proxyherd man ~/.local/share/man/man1
",
);

/// Write the manual pages
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The directory to write one page a command into; without it, the main page goes to standard output
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Writes the pages.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.dir {
        Some(dir) => write_all(dir),
        None => print_main(),
    }
}

fn write_all(dir: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot write manual pages into {}", dir.display());
    fs::create_dir_all(dir).with_context(cannot)?;
    clap_mangen::generate_to(super::command(), dir).with_context(cannot)?;
    writeln!(io::stdout(), "Wrote proxyherd.1 and a page a command into {}", dir.display())?;
    Ok(())
}

fn print_main() -> anyhow::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(super::command()).render(&mut page)?;
    io::stdout().write_all(&page)?;
    Ok(())
}
