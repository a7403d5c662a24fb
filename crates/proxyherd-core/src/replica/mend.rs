//! Mending: what a server does about once a second to undo the effects of nonsense and wrong clocks.
//!
//! When a clock goes back, it may have been wrong before, or it may be wrong now. The clock counts as right when more
//! neighbors' clocks agree with it than differ too much. There are two ways to find this out: when the ends of a link
//! have just agreed ([`Replica::trust_clock`]), or when links stay up for some looks after the step, because a link
//! ends if its neighbor's clock differs too much. Until then nothing is dropped or changed because of the clock.

use std::{collections::BTreeSet, sync::Arc, sync::atomic::Ordering::Relaxed};

use super::Replica;
use crate::{
    flood::{LinkId, Renewal, SelfCheck, Wake},
    limits::{CLOCK_STEP_NS, CLOCK_TRUST_LOOKS, RENEWAL_INTERVAL_NS},
    types::{Origin, ServerName},
};

/// Whether it is time to repeat an action that other servers' nonsense caused.
fn is_due(last_ns: Option<u64>, now_ns: u64) -> bool {
    last_ns.is_none_or(|last_ns| now_ns.abs_diff(last_ns) >= RENEWAL_INTERVAL_NS)
}

/// What a replica remembers from one look to the next.
#[derive(Debug)]
pub(super) struct Mending {
    /// The present incarnation.
    incarnation: u64,
    /// The time at which the present incarnation began because of lies. `None` if it never did.
    renewed_ns: Option<u64>,
    /// The time at which incarnations of a server were last merged into one. `None` if they never were.
    folded_ns: Option<u64>,
    /// The time of the last look.
    looked_ns: u64,
    /// The number of consecutive looks at which the clock went forward.
    steady_looks: u32,
    clock_offset_max_ns: u64,
}

impl Mending {
    pub(super) fn new(incarnation: u64, clock_offset_max_ns: u64) -> Mending {
        Mending {
            incarnation,
            renewed_ns: None,
            folded_ns: None,
            looked_ns: 0,
            steady_looks: 0,
            clock_offset_max_ns,
        }
    }

    /// Whether the clock has gone back since the last look.
    fn is_put_back(&self, now_ns: u64) -> bool {
        now_ns.saturating_add(CLOCK_STEP_NS) < self.looked_ns
    }

    /// Whether the clock has gone forward for enough looks.
    fn is_steady(&mut self, now_ns: u64) -> bool {
        let is_back = self.is_put_back(now_ns);
        self.looked_ns = now_ns;
        self.steady_looks = if is_back { 0 } else { self.steady_looks.saturating_add(1) };
        self.steady_looks >= CLOCK_TRUST_LOOKS
    }

    /// Whether the present incarnation began when the clock was wrong, so that no server merges records that are issued
    /// under it.
    fn is_ahead(&self, now_ns: u64) -> bool {
        self.incarnation > now_ns.saturating_add(self.clock_offset_max_ns)
    }

    /// Chooses the next incarnation.
    fn next(&mut self, now_ns: u64) -> u64 {
        let after = if self.is_ahead(now_ns) { 0 } else { self.incarnation.saturating_add(1) };
        self.incarnation = now_ns.max(after);
        self.incarnation
    }
}

impl Replica {
    /// The origin under which this server issues updates. Its incarnation is that of [`Replica::me`] until others hold
    /// lies about it, or the clock turns out to have been wrong when it began.
    pub fn origin(&self) -> Origin {
        Origin { server: self.me.server.clone(), incarnation: self.mending.lock().incarnation }
    }

    /// Whether this server remembers everything that it issued under an incarnation, so that it can recognize lies
    /// under that incarnation. For tests and the simulator.
    pub fn is_present(&self, incarnation: u64) -> bool {
        self.shards.iter().all(|counted| counted.lock().shard.is_present(incarnation))
    }

    /// Sets the herd's servers. There is less room for origins and accounts of other servers. Without this call every
    /// server counts as a member.
    pub fn set_members<'a>(&self, members: impl IntoIterator<Item = &'a ServerName>) {
        let members: Arc<BTreeSet<_>> = Arc::new(members.into_iter().cloned().collect());
        for (index, counted) in self.shards.iter().enumerate() {
            let mut counted = counted.lock();
            let wake = counted.shard.set_members(Arc::clone(&members));
            self.recount(&mut counted);
            drop(counted);
            let links = self.ready(index, wake);
            debug_assert!(links.is_empty(), "links are not woken for removals");
        }
    }

    /// To be called about once a second. Looks at the clock and at what neighbors have sent, contradicts lies, makes
    /// room in the tables of origins, and corrects records that were taken while the clock was ahead.
    pub fn mend(&self, now_ns: u64) -> Wake {
        let mut mending = self.mending.lock();
        if mending.is_put_back(now_ns) {
            self.forget_refused_clocks();
        }
        let is_right = mending.is_steady(now_ns) && self.is_agreed_with(self.agreed.load(Relaxed));
        self.mend_with(&mut mending, now_ns, is_right)
    }

    /// Notes that the clock of the neighbor at `link` agrees with this server's clock, which may have been ahead
    /// before. To be called just before [`Replica::agree`], so that the link sends no record that the neighbor would
    /// not merge.
    pub fn trust_clock(&self, link: LinkId, now_ns: u64) -> Wake {
        let mut mending = self.mending.lock();
        let agreed = self.agreed.load(Relaxed);
        if agreed == 0 && self.was_linked.load(Relaxed) {
            self.shards.iter().for_each(|counted| counted.lock().shard.reunite(now_ns));
        }
        let is_right = self.is_agreed_with(agreed | 1 << link.index());
        self.mend_with(&mut mending, now_ns, is_right)
    }

    fn mend_with(&self, mending: &mut Mending, now_ns: u64, is_right: bool) -> Wake {
        self.horizon.look(now_ns);
        let (mut found, mut wake) = (SelfCheck::default(), Wake::default());
        let may_fold = is_due(mending.folded_ns, now_ns);
        for (index, counted) in self.shards.iter().enumerate() {
            let mut counted = counted.lock();
            let shard = &mut counted.shard;
            let mut woken = Wake::default();
            if may_fold {
                let (has_folded, told) = shard.fold();
                if has_folded {
                    mending.folded_ns = Some(now_ns);
                }
                woken = told;
            }
            if is_right {
                woken = woken.and(shard.put_right(now_ns));
            }
            found = found.and(shard.look(now_ns));
            self.recount(&mut counted);
            drop(counted);
            wake = wake.and(self.ready(index, woken));
        }
        let is_fresh = found.has_forgotten || is_right && mending.is_ahead(now_ns);
        if is_fresh || found.is_lied_about && is_due(mending.renewed_ns, now_ns) {
            if !is_fresh {
                mending.renewed_ns = Some(now_ns);
            }
            let incarnation = mending.next(now_ns);
            let renewal = if is_fresh { Renewal::Fresh } else { Renewal::Continued };
            for (index, counted) in self.shards.iter().enumerate() {
                let woken = counted.lock().shard.renew(incarnation, renewal);
                wake = wake.and(self.ready(index, woken));
            }
        }
        wake
    }
}
