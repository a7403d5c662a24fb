//! Reads all of a store and says what it holds and what is damaged.

use proxyherd_core::{
    flood::Update,
    journal::{Damage, Recovered, STORE_VERSION, StoreIdentity},
    types::{Body, Kind},
};
use serde::Serialize;

use crate::{
    Progress, content,
    dump_file::time_text,
    store::{ReadError, SteadyStore},
};

/// What a store holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The store's directory.
    pub dir: String,
    /// The herd's ID.
    pub herd: String,
    /// The server's name.
    pub server: String,
    /// The version of the store's format.
    pub version: u16,
    /// Whether nothing is damaged.
    pub sound: bool,
    /// The number of files.
    pub files: usize,
    /// The number of bytes of all files.
    pub bytes: u64,
    /// The last moment at which the server is known to have run with this store, RFC 3339. `None`: the store does not
    /// say so.
    pub alive_until: Option<String>,
    /// Seconds from that moment to the check.
    pub age_s: Option<u64>,
    /// The newest records.
    pub records: RecordCounts,
    /// The number of records that were read, older versions included.
    pub versions: u64,
    /// The ends of segments that a crash has not completed, and the end that the server is writing. They are no damage.
    pub torn: Vec<Run>,
    /// What was written and is damaged.
    pub damage: Vec<Run>,
}

/// The number of records of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecordCounts {
    /// Clients that are held, hidden ones included.
    pub clients: u64,
    /// Tombstones of every kind.
    pub tombstones: u64,
    /// Tokens and shares, revoked ones included.
    pub tokens: u64,
    /// Accounts of places budgets.
    pub quota: u64,
    /// Records of kinds that this program does not know.
    pub others: u64,
}

/// A run of bytes in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// The file's name.
    pub file: String,
    /// Where the run begins, bytes.
    pub offset: u64,
    /// The number of bytes.
    pub length: u64,
}

impl RecordCounts {
    /// Counts a record.
    pub fn note(&mut self, update: &Update<'_>) {
        let count = match (update.record.body, update.record.kind) {
            (Body::Gone, _) => &mut self.tombstones,
            (_, Kind::CLIENT) => &mut self.clients,
            (_, Kind::TOKEN) => &mut self.tokens,
            (_, Kind::QUOTA) => &mut self.quota,
            _ => &mut self.others,
        };
        *count += 1;
    }

    /// The number of all records.
    pub fn total(&self) -> u64 {
        self.clients + self.tombstones + self.tokens + self.quota + self.others
    }
}

impl From<&Damage> for Run {
    fn from(damage: &Damage) -> Run {
        Run { file: damage.file.clone(), offset: damage.offset, length: damage.len }
    }
}

/// Reads the whole store. `now_ns`: POSIX time in nanoseconds.
pub fn check(
    store: &SteadyStore,
    identity: &StoreIdentity,
    now_ns: u64,
    progress: Progress<'_>,
) -> Result<Checked, ReadError> {
    let mut records = RecordCounts::default();
    let recovered = content::visit(store, identity, now_ns, progress, |update| {
        records.note(update);
        Ok(())
    })?;
    let Recovered { records: versions, torn, damage, alive_until_ns, .. } = recovered;
    let alive_until_ns = Some(alive_until_ns).filter(|alive_until_ns| *alive_until_ns > 0);
    Ok(Checked {
        dir: store.path().display().to_string(),
        herd: identity.herd.clone(),
        server: identity.server.to_string(),
        version: STORE_VERSION,
        sound: damage.is_empty(),
        files: store.files(),
        bytes: store.bytes(),
        alive_until: alive_until_ns.map(time_text),
        age_s: alive_until_ns.map(|alive_until_ns| now_ns.saturating_sub(alive_until_ns) / 1_000_000_000),
        records,
        versions,
        torn: torn.iter().map(Run::from).collect(),
        damage: damage.iter().map(Run::from).collect(),
    })
}
