//! Which store a command reads.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use proxyherd_core::journal::StoreIdentity;
use proxyherd_data::store::SteadyStore;

use crate::cli::{ConfigArgs, SetArgs, UsageError, load, serve};

/// The store that a command reads.
#[derive(Debug, clap::Args)]
pub(super) struct StoreArgs {
    #[command(flatten)]
    config: ConfigArgs,

    /// The server of the file whose store is read
    #[arg(long, short, value_name = "SERVER", env = "PROXYHERD_NAME")]
    name: Option<String>,

    /// Read the store in this directory, in place of the store of a server of the configuration
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,

    #[command(flatten)]
    set: SetArgs,
}

impl StoreArgs {
    /// Opens the store, as it is now.
    pub(super) fn open(&self) -> anyhow::Result<(SteadyStore, StoreIdentity)> {
        if let Some(dir) = &self.dir {
            refuse_other_paths(dir)?;
            let store = SteadyStore::open_at(dir)?;
            let identity = store.identity()?;
            let whose = || format!("no file in {} says whose store it is", dir.display());
            return identity.with_context(whose).map(|identity| (store, identity));
        }
        let Some(name) = &self.name else {
            let hint =
                "name the server whose store is read (--name SERVER), or the store's directory (--dir PATH)";
            return Err(UsageError(hint.to_owned()).into());
        };
        let config = load(&self.config, &self.set.set)?;
        let server = &serve::named(&config, name)?.name;
        let store = SteadyStore::open(&config.herd.data, server)?;
        Ok((store, StoreIdentity { herd: config.herd.id.clone(), server: server.clone() }))
    }
}

/// Refuses the paths that are easily given in place of a store's directory, and says what to do.
fn refuse_other_paths(dir: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        !dir.is_file(),
        "{} is a file, and --dir takes the directory of a store; to check a dump, restore it to a directory \
         that you remove afterward: `proxyherd data restore FILE --name SERVER --set herd.data=DIR`",
        dir.display()
    );
    let inner = dir.join("journal");
    anyhow::ensure!(!inner.is_dir(), "{} holds no store: its store is {}", dir.display(), inner.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_and_the_directory_of_a_server_are_no_stores_and_the_error_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let dump = dir.path().join("riley.dump");
        std::fs::write(&dump, "").unwrap();
        let error = refuse_other_paths(&dump).unwrap_err().to_string();
        assert!(error.contains("proxyherd data restore FILE"), "{error}");
        refuse_other_paths(dir.path()).unwrap();
        std::fs::create_dir(dir.path().join("journal")).unwrap();
        let error = refuse_other_paths(dir.path()).unwrap_err().to_string();
        assert!(error.ends_with(&dir.path().join("journal").display().to_string()), "{error}");
        refuse_other_paths(&dir.path().join("journal")).unwrap();
    }
}
