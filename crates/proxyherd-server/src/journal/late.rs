//! Stores from before a long absence: read when no neighbor objects, and discarded when one does.

use std::sync::Arc;

use proxyherd_core::journal::StoreIdentity;

use super::{
    signal::Signal,
    store::{JournalError, LateStore},
};
use crate::herd::Herd;

pub(super) fn start(
    stores: Vec<LateStore>,
    identity: StoreIdentity,
    herd: &Arc<Herd>,
    signal: &Arc<Signal>,
) -> Result<(), JournalError> {
    let _ = (stores, identity, herd, signal);
    Ok(())
}
