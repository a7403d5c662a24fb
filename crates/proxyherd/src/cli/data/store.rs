//! Which store a command reads.

use std::path::PathBuf;

use anyhow::Context as _;
use proxyherd_commands::data::store::SteadyStore;
use proxyherd_core::journal::StoreIdentity;

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
