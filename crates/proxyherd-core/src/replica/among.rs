//! All clients of a shard that have certain IDs, or that are in a box, in no particular order.
//!
//! In contrast to `list`, the caller keeps what it wants of each client, and there are no pages.

use super::{
    Replica,
    effort::{Effort, Unfinished},
};
use crate::{
    command::Bounds,
    flood::Update,
    types::{ClientId, Coordinates},
};

impl Replica {
    /// Calls `visit` with clients of one shard: the clients `ids` if they are given; otherwise all clients in the box,
    /// some clients near it, and without a box all clients. `visit` runs under the shard's lock, and returns whether it
    /// keeps the client. A client that is held and in the box during the whole visit is visited. A client that is
    /// removed and comes back during the visit may be visited twice. The visits are taken from `effort`.
    pub fn visit_among(
        &self,
        shard: usize,
        now_ns: u64,
        ids: Option<&[ClientId<'_>]>,
        bounds: Option<&Bounds>,
        effort: &mut Effort<'_>,
        mut visit: impl FnMut(&Update<'_>, Coordinates) -> bool,
    ) -> Result<(), Unfinished> {
        if let Some(ids) = ids {
            effort.check()?;
            self.visit_clients(shard, now_ns, ids, |held, at| {
                visit(held, at);
            });
            return Ok(());
        }
        let slots = bounds.map_or_else(|| self.every_slot(shard), |bounds| self.slots_near(shard, bounds));
        self.visit_slots(shard, now_ns, slots, effort, visit)
    }
}
