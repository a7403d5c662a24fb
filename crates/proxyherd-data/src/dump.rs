//! Writes all records of a store as a portable text.

use std::io::{BufWriter, Write};

use proxyherd_core::journal::{Damage, StoreIdentity, alive_until};

use crate::{
    BUFFER_LEN, Progress, content,
    dump_file::{DumpWriter, Header},
    store::{ReadError, SteadyStore},
};

/// What was dumped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dumped {
    /// The number of records.
    pub records: u64,
    /// The number of bytes of the dump.
    pub bytes: u64,
    /// What is damaged in the store. The dump has everything else.
    pub damage: Vec<Damage>,
}

/// Dumps the store. `program`: the version of this program. `now_ns`: POSIX time in nanoseconds. `out` needs no buffer.
///
/// The store is as it was when it was opened, so the dump has all that was acknowledged before.
pub fn dump(
    store: &SteadyStore,
    identity: &StoreIdentity,
    program: &str,
    now_ns: u64,
    out: &mut dyn Write,
    progress: Progress<'_>,
) -> Result<Dumped, ReadError> {
    let alive_until_ns = alive_until(store, identity).map_err(|error| store.refused(error))?.unwrap_or(0);
    let header = Header {
        program: program.to_owned(),
        herd: identity.herd.clone(),
        server: identity.server.clone(),
        made_at_ns: now_ns,
        alive_until_ns,
    };
    let mut writer = DumpWriter::begin(BufWriter::with_capacity(BUFFER_LEN, out), &header)?;
    let recovered = content::visit(store, identity, now_ns, progress, |update| Ok(writer.record(update)?))?;
    let (records, bytes) = writer.finish()?;
    Ok(Dumped { records, bytes, damage: recovered.damage })
}
