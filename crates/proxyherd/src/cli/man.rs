//! `proxyherd man`: the manual pages.

use std::{
    fs,
    io::{self, Write as _},
    iter,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap_mangen::Man;

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
    let pages = pages();
    for page in &pages {
        page.generate_to(dir).with_context(cannot)?;
    }
    writeln!(io::stdout(), "Wrote {} manual pages into {}", pages.len(), dir.display())?;
    Ok(())
}

fn print_main() -> anyhow::Result<()> {
    let mut text = Vec::new();
    if let Some(main) = pages().first() {
        main.render(&mut text)?;
    }
    io::stdout().write_all(&text)?;
    Ok(())
}

/// The main page first, then one a command.
fn pages() -> Vec<Man> {
    let mut main = super::command().disable_help_subcommand(true);
    // Building gives the commands their full names, such as `proxyherd-serve`.
    main.build();
    let commands: Vec<clap::Command> = main.get_subcommands().cloned().collect();
    iter::once(main).chain(commands).map(page).collect()
}

fn page(command: clap::Command) -> Man {
    let program = concat!("proxyherd ", env!("CARGO_PKG_VERSION"));
    Man::new(command).source(program).manual("Proxyherd manual")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page_without_colours() {
        let dir = tempfile::tempdir().unwrap();
        write_all(&dir.path().join("man1")).unwrap();
        for name in ["proxyherd", "proxyherd-serve", "proxyherd-check", "proxyherd-man"] {
            let page = fs::read_to_string(dir.path().join(format!("man1/{name}.1"))).unwrap();
            assert!(page.contains("Examples") && !page.contains('\x1b'), "{page}");
        }
    }
}
