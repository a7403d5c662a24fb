//! Restoring the replica from a store: what an earlier life of this server held is merged, shard by shard.

use std::sync::atomic::Ordering::Relaxed;

use super::{Replica, horizon::is_old_store};
use crate::{
    flood::{Restored, Shard, Update, Wake},
    limits::TOMBSTONE_RENEW_NS,
    types::{KeyHash, Kind, Origin},
};

/// The number of slots whose tombstones are looked at before others can take the shard's lock.
const SLOTS_PER_BITE: usize = 4096;

/// One visit of a shard that is being restored, under the shard's lock.
#[derive(Debug)]
pub struct Restoring<'a> {
    shard: &'a mut Shard,
    now_ns: u64,
    wake: Wake,
    guess: u16,
}

impl Restoring<'_> {
    /// Merges a record of the store.
    pub fn record(&mut self, told: Update<'_>) -> Restored {
        let hash = KeyHash::of(told.record.key);
        let (restored, wake) = self.shard.restore(self.now_ns, told, hash, &mut self.guess);
        self.wake = std::mem::take(&mut self.wake).and(wake);
        restored
    }

    /// The store has removed the record of this key.
    pub fn removed(&mut self, kind: Kind, key: &[u8]) {
        let wake = self.shard.restore_removed(self.now_ns, kind, key);
        self.wake = std::mem::take(&mut self.wake).and(wake);
    }

    /// The store's vector of this shard, to be called once, after all records and removals that precede the vector in
    /// the store. Entries only raise what is covered. Returns whether the vector counts: it does not if something of
    /// the store is missing here. Then neighbors send everything that the replica may lack.
    pub fn vector(&mut self, vector: &[(Origin, u64)]) -> bool {
        let (counts, wake) = self.shard.restore_vector(vector);
        self.wake = std::mem::take(&mut self.wake).and(wake);
        counts
    }
}

impl Replica {
    /// Restores some entries of a store in one shard, under one hold of the shard's lock. May be called any number of
    /// times, also while links are up. The caller wakes the returned links. After the last call, the caller ends the
    /// restore with [`Replica::restore_end`].
    ///
    /// ```
    /// # use proxyherd_core::{flood::Rules, replica::{Replica, ReplicaSettings, shard_index},
    /// # types::{ClientId, Coordinates, Attributes, Report, Stamp, Origin, ServerName, Timestamp}};
    /// # fn replica(incarnation: u64) -> Replica {
    /// #     let me = Origin { server: ServerName::new("Riley").unwrap(), incarnation };
    /// #     Replica::new(ReplicaSettings {
    /// #         me, seed: 1, max_clients: 10, client_ttl_ns: None, client_interval_ns: 0, clock_offset_max_ns: 0,
    /// #         report_rules: Default::default(), client_index: true, rules: Rules::default(),
    /// #     })
    /// # }
    /// # let now_ns = 5_000_000_000;
    /// let (before, after) = (replica(1), replica(2));
    /// # let coordinates = Coordinates::parse(b"+34.068930-118.445127").unwrap();
    /// # let stamp = Stamp::Client(Timestamp::parse(b"5").unwrap());
    /// # let kiwi = ClientId::new(b"kiwi").unwrap();
    /// # let report = Report { client: kiwi, coordinates, stamp, attributes: Attributes::NONE };
    /// let _ = before.report(now_ns, &report);
    /// let shard = shard_index(b"kiwi");
    /// let _ = before.scan_shard(shard, 0, 100, |held| {
    ///     let _ = after.restore(now_ns, shard, |restoring| drop(restoring.record(held)));
    /// });
    /// let _ = after.restore_end(now_ns, now_ns);
    /// assert!(after.locate(now_ns, kiwi, |_| ()).is_some());
    /// ```
    pub fn restore(&self, now_ns: u64, shard: usize, entries: impl FnOnce(&mut Restoring<'_>)) -> Wake {
        let is_late = self.was_linked.load(Relaxed);
        let mut counted = self.shards[shard].lock();
        counted.shard.begin_restore(is_late);
        let mut restoring =
            Restoring { shard: &mut counted.shard, now_ns, wake: Wake::default(), guess: u16::MAX };
        entries(&mut restoring);
        let Restoring { wake, .. } = restoring;
        self.recount(&mut counted);
        drop(counted);
        self.ready(shard, wake)
    }

    /// Ends a restore in all shards. `alive_until_ns`: the latest time at which the store was certainly in use. Issues
    /// tombstones again that expired while the server was off, and notes what this server now knows about forgotten
    /// records ([`Replica::set_horizon`]). The caller wakes the returned links.
    pub fn restore_end(&self, now_ns: u64, alive_until_ns: u64) -> Wake {
        let renew_until_ns =
            if is_old_store(now_ns, alive_until_ns) { now_ns.saturating_add(TOMBSTONE_RENEW_NS) } else { 0 };
        let mut wake = Wake::default();
        for shard in 0..self.shards.len() {
            let mut next = Some(0);
            while let Some(slot) = next {
                let mut counted = self.shards[shard].lock();
                let (more, woken) =
                    counted.shard.renew_tombstones(now_ns, alive_until_ns, slot, SLOTS_PER_BITE);
                if more.is_none() {
                    counted.shard.end_restore(renew_until_ns);
                }
                next = more;
                self.recount(&mut counted);
                drop(counted);
                wake = wake.and(self.ready(shard, woken));
            }
        }
        self.set_horizon(now_ns, alive_until_ns);
        wake
    }
}
