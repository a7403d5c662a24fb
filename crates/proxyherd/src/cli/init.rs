//! `proxyherd init`: writes the configuration of the classic herd, with every setting explained.

use std::{
    fs::{self, File},
    hash::{BuildHasher as _, RandomState},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
};

use anstyle::Style;
use anyhow::Context as _;

use super::{UsageError, heading};
use crate::config::Config;

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd init
  proxyherd init /etc/proxyherd
  proxyherd init --force           replaces a herd.toml that is there
",
);

const FILE_NAME: &str = "herd.toml";
const BOLD: Style = Style::new().bold();

/// Write a commented herd.toml of the classic herd of five servers
///
/// Every setting is in it, with its unit and its default. A file that is there is left alone.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The directory to write into; it is made if it is not there
    #[arg(value_name = "DIR", default_value = ".", hide_default_value = true)]
    dir: PathBuf,

    /// Replace a herd.toml that is there
    #[arg(long)]
    force: bool,

    /// Add or renew one server's credentials (not available in this version)
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
}

/// Writes the file and says what to do next.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if args.server.is_some() {
        let message = "--server is for credentials, which come with encrypted links: not in this version. \
                       `proxyherd init` writes the configuration alone";
        return Err(UsageError(message.to_owned()).into());
    }
    let path = args.dir.join(FILE_NAME);
    fs::create_dir_all(&args.dir).with_context(|| format!("cannot make {}", args.dir.display()))?;
    match write(&path, &Config::classic_text(&random_id()), args.force) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("{} is left as it is; --force replaces it", path.display()))
        }
        written => written.with_context(|| format!("cannot write {}", path.display())),
    }?;
    say_what_next(&path)?;
    Ok(())
}

/// `herd-7f3a9c`: herds that happen to meet must not take each other's reports for their own.
fn random_id() -> String {
    // The standard library seeds its hash tables at random; an ID that nobody must guess needs no more.
    let random = RandomState::new().hash_one(process::id());
    format!("herd-{:06x}", random & 0xff_ffff)
}

/// Writes the whole file or none of it: whoever reads it meanwhile, or after a crash, never sees half.
fn write(path: &Path, text: &str, force: bool) -> io::Result<()> {
    let beside = path.with_file_name(format!(".{FILE_NAME}.{}", process::id()));
    let written = write_synced(&beside, text).and_then(|()| match force {
        true => fs::rename(&beside, path),
        // A link, unlike a rename, never replaces what came to be there in the meantime.
        false => fs::hard_link(&beside, path),
    });
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => written.and(Err(error)),
        _ => written,
    }
}

fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn say_what_next(path: &Path) -> io::Result<()> {
    let names: Vec<String> =
        Config::classic().servers.into_iter().map(|server| server.name.to_string()).collect();
    let names = names.join(" ");
    let file = path.display();
    writeln!(
        anstream::stdout(),
        "Wrote {BOLD}{file}{BOLD:#}: the classic herd of five servers, all on this machine.

Start them, one a terminal or all at once:
  proxyherd serve --config {file} --name Riley
  for name in {names}; do proxyherd serve --config {file} --name $name & done

Then talk to them:
  proxyherd client
  proxyherd status --config {file}

After changing the file:
  proxyherd check --config {file}"
    )
}
