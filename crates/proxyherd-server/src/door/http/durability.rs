//! Waits until reports and other changes are durable, before the door acknowledges them.
//!
//! The herd decides what durable means. If the herd makes nothing durable, nothing waits.

use tokio::{sync::oneshot, time::timeout};

use super::problem::Problem;
use crate::herd::{Herd, Notice, Positions};

/// Waits until everything up to these positions is durable. 503 if that takes too long or fails. The herd has made the
/// changes even then, and they may still become durable.
pub(super) async fn wait(herd: &Herd, positions: Positions) -> Result<(), Problem> {
    let Some(durability) = herd.durability() else { return Ok(()) };
    if positions.is_empty() {
        return Ok(());
    }
    let (sender, receiver) = oneshot::channel();
    let notice = Notice::new(|| {
        // If the client has gone away, nobody receives.
        let _ = sender.send(());
    });
    durability.await_covered(positions, notice);
    let patience = durability.patience();
    match timeout(patience, receiver).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Problem::unavailable(
            "the change cannot become durable now, so it is not acknowledged; send the request again later",
        )),
        Err(_) => Err(Problem::unavailable(format!(
            "the change was not durable within {} ms, so it is not acknowledged; send the request again later",
            patience.as_millis()
        ))),
    }
}

/// Waits until everything is durable that this server holds about a key, or that it has forgotten about the key. To be
/// called after the change that the door acknowledges.
pub(super) async fn wait_for_key(herd: &Herd, key: &[u8]) -> Result<(), Problem> {
    if herd.durability().is_none() {
        return Ok(());
    }
    wait(herd, herd.positions_of(key)).await
}
