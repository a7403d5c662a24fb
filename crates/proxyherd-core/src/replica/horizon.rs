//! The horizon: the time before which something may have been forgotten that nobody here remembers to be forgotten.
//!
//! A tombstone, like a revoked token, wins over older records of its key, but only as long as it is kept. So a store
//! that was last in use before that time may bring back what the herd has forgotten. Each server tells its neighbors
//! its horizon, in a HORIZON frame, when a link comes up and when the horizon has risen. A server with an old store
//! asks [`Replica::objection`] whether it may load the store.
//!
//! A server's horizon is the greatest of these:
//! - If the server has run for longer than tombstones are kept: the present time less that time.
//! - If the server has loaded a store: the same, because the server has forgotten tombstones of the store that have
//!   expired since. After the load of an old store, the horizon stays at the store's last time of use less the time for
//!   which tombstones are kept: the server issues all tombstones of the store again, and keeps them for that time.
//! - The horizons that neighbors have told: these neighbors send this server everything that they hold.
//! - 0: this server objects to no store.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Replica;
use crate::{
    codec::link::Encoder,
    flood::LinkId,
    limits::{HORIZON_STEP_NS, LINKS_MAX, TOMBSTONE_RENEW_NS, TOMBSTONE_TTL_NS},
};

/// The value of [`Horizon::told_by`] before the neighbor has told its horizon.
const UNTOLD: u64 = u64::MAX;
/// The longest time between two looks that counts as time for which the server has run. The clock may jump.
const LOOK_MAX_NS: u64 = 60 * 1_000_000_000;

/// What a server knows about horizons.
#[derive(Debug)]
pub(super) struct Horizon {
    /// The time for which the server has run, and the time of the last look.
    ran_ns: AtomicU64,
    looked_ns: AtomicU64,
    /// The horizon at the load of a store, and the time up to which it stays; 0: no store was loaded.
    loaded_ns: AtomicU64,
    loaded_until_ns: AtomicU64,
    /// The greatest horizon that any neighbor has told.
    heard_ns: AtomicU64,
    /// For each link, the horizon that the neighbor has told.
    told_by: [AtomicU64; LINKS_MAX],
    /// For each link, the horizon that the neighbor was told.
    told_to: [AtomicU64; LINKS_MAX],
}

impl Default for Horizon {
    fn default() -> Horizon {
        Horizon {
            ran_ns: AtomicU64::new(0),
            looked_ns: AtomicU64::new(0),
            loaded_ns: AtomicU64::new(0),
            loaded_until_ns: AtomicU64::new(0),
            heard_ns: AtomicU64::new(0),
            told_by: [const { AtomicU64::new(UNTOLD) }; LINKS_MAX],
            told_to: [const { AtomicU64::new(0) }; LINKS_MAX],
        }
    }
}

impl Horizon {
    /// Notes that time has passed.
    pub(super) fn look(&self, now_ns: u64) {
        let before_ns = self.looked_ns.swap(now_ns, Relaxed);
        if before_ns > 0 {
            let passed_ns = now_ns.saturating_sub(before_ns).min(LOOK_MAX_NS);
            self.ran_ns.fetch_add(passed_ns, Relaxed);
        }
    }

    fn at(&self, now_ns: u64) -> u64 {
        let expired_ns = now_ns.saturating_sub(TOMBSTONE_TTL_NS);
        let own = if self.ran_ns.load(Relaxed) > TOMBSTONE_TTL_NS {
            expired_ns
        } else {
            let loaded_ns = self.loaded_ns.load(Relaxed);
            let is_over = loaded_ns > 0 && now_ns >= self.loaded_until_ns.load(Relaxed);
            if is_over { expired_ns.max(loaded_ns) } else { loaded_ns }
        };
        own.max(self.heard_ns.load(Relaxed))
    }
}

/// Which stores the neighbors object to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Objection {
    /// A store that was last in use before this time may bring back what was forgotten, POSIX time in nanoseconds.
    /// 0: no neighbor objects to any store.
    pub before_ns: u64,
    /// The links that are up, one bit each ...
    pub links: u32,
    /// ... and those among them whose neighbors have told their horizon. A neighbor of an earlier version never does.
    pub told: u32,
}

impl Objection {
    /// Whether a neighbor objects to a store that was last in use at this time.
    pub fn is_to(&self, alive_until_ns: u64) -> bool {
        alive_until_ns < self.before_ns
    }

    /// Whether there are links, and all their neighbors have told their horizon.
    pub fn is_complete(&self) -> bool {
        self.links != 0 && self.links == self.told
    }
}

/// Whether a store that was last in use at `alive_until_ns` is so old that a server loads it only if no neighbor
/// [objects](Replica::objection): all its tombstones have expired or expire within [`TOMBSTONE_RENEW_NS`]. A clock that
/// was set back makes no store old.
pub fn is_old_store(now_ns: u64, alive_until_ns: u64) -> bool {
    now_ns.saturating_sub(alive_until_ns) >= TOMBSTONE_TTL_NS - TOMBSTONE_RENEW_NS
}

impl Replica {
    /// Notes that this server has loaded a store that was last in use at `alive_until_ns`.
    /// [`Replica::restore_end`] does this.
    pub fn set_horizon(&self, now_ns: u64, alive_until_ns: u64) {
        let horizon = &self.horizon;
        let holds_ns = if is_old_store(now_ns, alive_until_ns) { TOMBSTONE_TTL_NS } else { 0 };
        horizon.loaded_until_ns.store(now_ns.saturating_add(holds_ns), Relaxed);
        horizon.loaded_ns.store(alive_until_ns.saturating_sub(TOMBSTONE_TTL_NS), Relaxed);
    }

    /// This server's horizon.
    pub fn horizon_ns(&self, now_ns: u64) -> u64 {
        self.horizon.at(now_ns)
    }

    /// What the neighbors have told about their horizons.
    pub fn objection(&self) -> Objection {
        let links = self.agreed.load(Relaxed);
        let has_told = |&at: &usize| self.horizon.told_by[at].load(Relaxed) != UNTOLD;
        let told = (0..LINKS_MAX).filter(has_told).fold(0, |mask, at| mask | 1 << at) & links;
        Objection { before_ns: self.horizon.heard_ns.load(Relaxed), links, told }
    }

    /// Appends this server's horizon, for a link that has just been agreed on.
    pub(super) fn write_first_horizon(&self, link: LinkId, encoder: &mut Encoder) {
        let horizon = &self.horizon;
        horizon.told_by[link.index()].store(UNTOLD, Relaxed);
        let now_ns = horizon.at(horizon.looked_ns.load(Relaxed));
        horizon.told_to[link.index()].store(now_ns, Relaxed);
        encoder.horizon(now_ns);
    }

    /// Appends this server's horizon if it has risen by much since the neighbor was told.
    pub(super) fn write_horizon(&self, link: LinkId, now_ns: u64, encoder: &mut Encoder) {
        let (told, horizon_ns) = (&self.horizon.told_to[link.index()], self.horizon.at(now_ns));
        let before_ns = told.load(Relaxed);
        let is_first = before_ns == 0 && horizon_ns > 0;
        if is_first || horizon_ns > before_ns.saturating_add(HORIZON_STEP_NS) {
            told.store(horizon_ns, Relaxed);
            encoder.horizon(horizon_ns);
        }
    }

    /// Handles a HORIZON from the neighbor at `link`.
    pub(crate) fn hear_horizon(&self, link: LinkId, now_ns: u64, horizon_ns: u64) {
        // No honest server tells a later time.
        let latest_ns = now_ns.saturating_add(self.clock_offset_max_ns).saturating_sub(TOMBSTONE_TTL_NS);
        let horizon_ns = horizon_ns.min(latest_ns);
        self.horizon.told_by[link.index()].store(horizon_ns, Relaxed);
        self.horizon.heard_ns.fetch_max(horizon_ns, Relaxed);
    }
}
