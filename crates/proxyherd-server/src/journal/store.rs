//! Opens a server's store and reads it into the replica, before the server takes clients.
//!
//! **A long absence.** The herd forgets: it deletes clients, lets records expire, revokes tokens, and remembers each of
//! these only for a day (`TOMBSTONE_TTL_NS`). A store that is older than that could bring back what the herd has
//! forgotten meanwhile. So such a store is not read at the start. It is set aside ([`LateStore`]), the server begins
//! empty, and `late` decides when the neighbors can be heard.

use std::{ffi::OsStr, path::Path, sync::Arc};

use proxyherd_config::{
    clock,
    config::{Config, ServerConfig},
};
use proxyherd_core::{
    journal::{ReadProgress, RecoverError, Recovered, ReplicaRestore, StoreIdentity, alive_until},
    replica::is_old_store,
};
use proxyherd_journal::{FileDisk, StoreError, directory};
use proxyherd_log::{LogLevel, ServerLog, Subject};

use super::reading::{self, ago};
use crate::herd::{Herd, Internals as _, JournalMonitor};

/// How often [`check`] reads a store at most. The server may remove a file between two reads of a command.
const CHECK_TRIES: usize = 3;
/// The variable of the environment that makes a server skip every sync of the disk, and the only value that it takes.
const SKIP_SYNC: (&str, &str) =
    ("PROXYHERD_TEST_SKIP_FSYNC", "yes, lose what was acknowledged when this machine crashes");

/// Why a server with a journal cannot start. Nothing was changed. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] StoreError),
    /// The store cannot be read, or belongs to somebody else.
    #[error("cannot use the store {path}: {why}")]
    Read {
        /// The store's directory.
        path: String,
        /// Why.
        why: RecoverError,
    },
    /// The system refuses a thread, or the replica has no place for the journal.
    #[error("cannot start the journal: {0}")]
    Start(String),
    /// The environment asks for something that is only for tests, in the wrong words.
    #[error("the variable {} is only for tests: unset it", SKIP_SYNC.0)]
    SkipSync,
}

impl JournalError {
    fn read(disk: &FileDisk, why: RecoverError) -> JournalError {
        JournalError::Read { path: disk.path().display().to_string(), why }
    }

    /// Whether the store belongs to another herd or server, or to a newer version: a mistake of the configuration, and
    /// not of the disk.
    pub fn is_of_configuration(&self) -> bool {
        matches!(self, JournalError::Read { why, .. } if !matches!(why, RecoverError::Disk(_)))
    }
}

/// The open store of a server, which has not been read yet.
#[derive(Debug)]
pub struct OpenStore {
    pub(super) disk: FileDisk,
    pub(super) identity: StoreIdentity,
    pub(super) recovered: Recovered,
    pub(super) late: Vec<LateStore>,
    pub(super) monitor: Arc<JournalMonitor>,
}

/// A store that is too old to be read at the start.
#[derive(Debug)]
pub(super) struct LateStore {
    pub(super) disk: FileDisk,
    pub(super) alive_until_ns: u64,
}

impl OpenStore {
    /// Opens and locks the store of `server`, if the server has a journal. Makes the store if it is missing. This comes
    /// before everything else that a server opens, so that a second process of the server touches nothing.
    pub(crate) fn lock(config: &Config, server: &ServerConfig) -> Result<Option<FileDisk>, JournalError> {
        match server.durability.journal {
            true => Ok(Some(FileDisk::open(&config.herd.data, &server.name)?)),
            false => Ok(None),
        }
    }

    /// Looks whose store it is, and how old. Blocks for a moment.
    pub(crate) fn open(
        mut disk: FileDisk,
        config: &Config,
        server: &ServerConfig,
        log: &ServerLog,
    ) -> Result<OpenStore, JournalError> {
        let identity = StoreIdentity { herd: config.herd.id.clone(), server: server.name.clone() };
        skip_syncs_if_asked(&mut disk, std::env::var_os(SKIP_SYNC.0).as_deref(), log)?;
        let mut late = Vec::new();
        for aside in disk.asides()? {
            late.push(late_store(aside, &identity)?);
        }
        let alive = alive_until(&disk, &identity).map_err(|why| JournalError::read(&disk, why))?;
        if let Some(alive_until_ns) = alive.filter(|alive| is_old_store(clock::now_ns(), *alive)) {
            let message = format_args!(
                "the store {} was last written {}. The herd may have forgotten since then what is in it, so it is not \
                 read before the neighbors are heard",
                disk.path().display(),
                ago(alive_until_ns)
            );
            log.event(LogLevel::Warn, Subject::Server, message);
            late.push(LateStore { disk: disk.set_aside()?, alive_until_ns });
        }
        let monitor = Arc::new(JournalMonitor::new(disk.written()));
        Ok(OpenStore { disk, identity, recovered: Recovered::default(), late, monitor })
    }

    /// Reads the store into the herd's replica. Blocks, for seconds if the store is large. `observer` is told how far
    /// this has come.
    pub(crate) fn read_into(
        &mut self,
        herd: &Herd,
        observer: &dyn Fn(ReadProgress),
    ) -> Result<(), JournalError> {
        let what = name_of(self.disk.path());
        let (recovered, figures) = reading::read(
            &self.disk,
            &self.identity,
            &ReplicaRestore::new(herd.replica(), |wake| herd.wake(wake)),
            herd.log(),
            &what,
            observer,
        )
        .map_err(|why| JournalError::read(&self.disk, why))?;
        self.recovered = recovered;
        self.monitor.add_recovered(figures);
        Ok(())
    }
}

/// Warns of a store that a server without a journal has from before. It holds positions, and nothing clears it.
pub(crate) fn warn_of_unused_store(config: &Config, server: &ServerConfig, log: &ServerLog) {
    if let Ok(disk) = FileDisk::read_only(&config.herd.data, &server.name) {
        let message = format_args!(
            "the store {} is not used, because `journal` is off, and keeps the positions that it has: remove it, unless \
             you turn `journal` on again",
            disk.path().display()
        );
        log.event(LogLevel::Warn, Subject::Server, message);
    }
}

/// Whether the store of `server`, if there is one, is its own and has a format that this version reads. Changes
/// nothing, and works while the server runs.
pub fn check(config: &Config, server: &ServerConfig) -> Result<(), JournalError> {
    if !server.durability.journal {
        return Ok(());
    }
    let path = directory(&config.herd.data, &server.name);
    if path.is_symlink() {
        return Err(StoreError::Linked { path }.into());
    }
    let disk = match FileDisk::read_only(&config.herd.data, &server.name) {
        Err(StoreError::Missing { .. }) => return Ok(()),
        opened => opened?,
    };
    let identity = StoreIdentity { herd: config.herd.id.clone(), server: server.name.clone() };
    let mut found = alive_until(&disk, &identity);
    for _ in 1..CHECK_TRIES {
        if !matches!(found, Err(RecoverError::Disk(_))) {
            break;
        }
        found = alive_until(&disk, &identity);
    }
    found.map(drop).map_err(|why| JournalError::read(&disk, why))
}

/// The store in the log.
pub(super) fn name_of(path: &Path) -> String {
    format!("the store {}", path.display())
}

fn late_store(aside: FileDisk, identity: &StoreIdentity) -> Result<LateStore, JournalError> {
    let alive = alive_until(&aside, identity).map_err(|why| JournalError::read(&aside, why))?;
    Ok(LateStore { disk: aside, alive_until_ns: alive.unwrap_or(0) })
}

/// Nobody sets the variable by accident to the only value that it takes. Any other value ends the start.
fn skip_syncs_if_asked(
    disk: &mut FileDisk,
    given: Option<&OsStr>,
    log: &ServerLog,
) -> Result<(), JournalError> {
    let (variable, value) = SKIP_SYNC;
    match given {
        None => Ok(()),
        Some(given) if given == value => {
            let message = format_args!(
                "{variable} is set: this server never syncs its disk, so a crash of the machine loses reports that \
                 were acknowledged. This is only for tests"
            );
            log.event(LogLevel::Error, Subject::Server, message);
            disk.skip_syncs();
            Ok(())
        }
        Some(_) => Err(JournalError::SkipSync),
    }
}

#[cfg(test)]
mod tests {
    use proxyherd_core::types::ServerName;

    use super::*;

    #[test]
    fn syncs_are_not_skipped_by_accident() {
        let data = tempfile::tempdir().unwrap();
        let mut disk = FileDisk::open(data.path(), &ServerName::new("Riley").unwrap()).unwrap();
        let log = ServerLog::discard();
        let mut ask = |given: Option<&str>| skip_syncs_if_asked(&mut disk, given.map(OsStr::new), &log);
        ask(None).unwrap();
        for wrong in ["", "0", "1", "true", "yes"] {
            assert!(
                ask(Some(wrong)).unwrap_err().to_string().contains("only for tests: unset it"),
                "{wrong}"
            );
        }
        ask(Some(SKIP_SYNC.1)).unwrap();
    }
}
