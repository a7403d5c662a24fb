//! `proxyherd data dump`: writes the records of a store as text.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use proxyherd_config::clock;
use proxyherd_core::journal::StoreIdentity;
use proxyherd_data::{
    dump::{Dumped, dump},
    store::SteadyStore,
};
use tempfile::NamedTempFile;

use super::{many, progress::Bar, size, store::StoreArgs};
use crate::cli::{heading, outcome::counted};

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd data dump --name Riley --out riley.dump
  proxyherd data dump --name Riley | zstd > riley.dump.zst
  proxyherd data dump --name Riley | jq -r 'select(.kind == \"client\") | .key'

",
    heading!("Files"),
    "  A dump has the positions of people. --out makes a file that only you can read. Tokens and shares are in it as \
     hashes, so nobody can use them from the dump.

",
    heading!("Exit codes"),
    "  0   the dump is written
  1   there is no dump, or it has only what could be read of a damaged store
  2   the command line is wrong
  78  the configuration is wrong
",
);

/// Write the records of a store as text, for a backup or a move
///
/// The command also works while the server of the store runs. The dump then has all that the server acknowledged before
/// the command began. The first line is a header, each further line is a record as JSON, and the last line has a
/// checksum, so `restore` notices a dump that was cut or changed.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,

    /// The file to write, when the dump is complete; without it, the dump goes to standard output
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Dumps the store, and says on standard error what was dumped.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (store, identity) = args.store.open()?;
    let dumped = match &args.out {
        Some(path) => dump_to_file(&store, &identity, path)?,
        None => dump_to(&store, &identity, &mut io::stdout().lock())?,
    };
    let (records, bytes) = (many(dumped.records, "record"), size(dumped.bytes));
    // A failure is ignored: if standard error is closed, nobody reads the line.
    let _ = writeln!(anstream::stderr(), "Dumped {records} of {}, {bytes}", identity.server);
    anyhow::ensure!(
        dumped.damage.is_empty(),
        "{} has {}. The dump has what could be read; `proxyherd data check` says where",
        store.path().display(),
        counted(dumped.damage.len(), "damaged place")
    );
    Ok(())
}

fn dump_to(store: &SteadyStore, identity: &StoreIdentity, out: &mut dyn Write) -> anyhow::Result<Dumped> {
    let bar = Bar::new("Dumping");
    let program = env!("CARGO_PKG_VERSION");
    Ok(dump(store, identity, program, clock::now_ns(), out, &mut |share| bar.set(share))?)
}

/// Writes a file that only its owner can read. An existing file is replaced when the dump is complete.
fn dump_to_file(store: &SteadyStore, identity: &StoreIdentity, path: &Path) -> anyhow::Result<Dumped> {
    let cannot = || format!("cannot write {}", path.display());
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The error of a file in a missing directory would name a file that the operator does not know.
    anyhow::ensure!(dir.is_dir(), "{}: there is no directory {}", cannot(), dir.display());
    // The file has the mode 0600, and is removed unless it gets its name.
    let file = NamedTempFile::new_in(dir).with_context(cannot)?;
    let dumped = dump_to(store, identity, &mut file.as_file()).with_context(cannot)?;
    file.as_file().sync_all().with_context(cannot)?;
    file.persist(path).map_err(|error| error.error).with_context(cannot)?;
    File::open(dir).and_then(|dir| dir.sync_all()).with_context(cannot)?;
    Ok(dumped)
}
