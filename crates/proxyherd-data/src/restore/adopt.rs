//! Records that the restoring server takes in its own name.

use proxyherd_core::{flood::Update, limits::SHARDS, types::Origin};

use super::Wanted;

/// Gives records of unknown servers an origin of the restoring server: a life of its own, before the life that the
/// server begins when it starts.
pub(super) struct Adoption<'w> {
    wanted: &'w Wanted<'w>,
    is_same_herd: bool,
    own: Origin,
    /// The last sequence of each shard.
    last: [u64; SHARDS],
}

impl<'w> Adoption<'w> {
    pub(super) fn new(wanted: &'w Wanted<'w>, is_same_herd: bool, now_ns: u64) -> Adoption<'w> {
        let own = Origin { server: wanted.server.clone(), incarnation: now_ns };
        Adoption { wanted, is_same_herd, own, last: [0; SHARDS] }
    }

    /// The origin and the sequence that the record gets. `None`: the record keeps its own.
    pub(super) fn adopt(&mut self, shard: usize, update: &Update<'_>) -> Option<(Origin, u64)> {
        if self.is_same_herd || self.wanted.herd.servers.contains(&update.origin.server) {
            return None;
        }
        self.last[shard] += 1;
        Some((self.own.clone(), self.last[shard]))
    }
}
