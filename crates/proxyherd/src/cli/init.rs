//! `proxyherd init`: writes the configuration of the classic herd, with every setting explained.

use std::{
    fs::{self, File},
    hash::{BuildHasher as _, RandomState},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
};

use anstyle::Style;
use anyhow::{Context as _, bail};

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
    let path = put(args)?;
    say_what_next(&path)?;
    Ok(())
}

/// Writes the file, unless it would replace one that is there, and returns its path.
fn put(args: &Args) -> anyhow::Result<PathBuf> {
    if args.server.is_some() {
        let message = "--server is for credentials, which come with encrypted links: not in this version. \
                       `proxyherd init` writes the configuration alone";
        return Err(UsageError(message.to_owned()).into());
    }
    let path = args.dir.join(FILE_NAME);
    fs::create_dir_all(&args.dir).with_context(|| format!("cannot make {}", args.dir.display()))?;
    match write(&path, &Config::classic_text(&random_id()), args.force) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} is there already; --force replaces it", path.display())
        }
        written => written.with_context(|| format!("cannot write {}", path.display()))?,
    }
    Ok(path)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    fn args(dir: &Path, force: bool) -> Args {
        Args { dir: dir.to_owned(), force, server: None }
    }

    fn files(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_is_written_passes_check() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("a/b");
        put(&args(&dir, false)).unwrap();
        let config = Config::load(&dir.join("herd.toml"), &Overrides::none()).unwrap();
        assert_eq!(config.servers, Config::classic().servers);
        assert!(config.warnings.is_empty());
        let digits = config.herd.id.strip_prefix("herd-").unwrap();
        assert!(digits.len() == 6 && u32::from_str_radix(digits, 16).is_ok(), "{digits}");
        assert_eq!(files(&dir), ["herd.toml"], "nothing is left beside it");
    }

    #[test]
    fn a_file_that_is_there_is_replaced_only_by_force() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("herd.toml");
        fs::write(&path, "mine").unwrap();
        let error = put(&args(dir.path(), false)).unwrap_err().to_string();
        assert!(error.ends_with("herd.toml is there already; --force replaces it"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert_eq!(files(dir.path()), ["herd.toml"], "nothing is left beside it");
        put(&args(dir.path(), true)).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with("# herd.toml"));
        assert_eq!(files(dir.path()), ["herd.toml"]);
    }

    #[test]
    fn two_herds_have_two_ids() {
        let ids: std::collections::BTreeSet<String> = (0..20).map(|_| random_id()).collect();
        assert!(ids.len() > 1);
    }

    #[test]
    fn credentials_are_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let args = Args { server: Some("Riley".to_owned()), ..args(dir.path(), false) };
        assert!(put(&args).unwrap_err().is::<UsageError>());
        assert!(files(dir.path()).is_empty());
    }
}
