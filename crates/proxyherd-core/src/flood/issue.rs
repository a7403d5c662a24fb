//! How this server issues updates: it takes a report, forgets a client, or writes a record of another kind.
//!
//! Each of these becomes a record of this server with the shard's next sequence, if the new record wins over the held
//! one. Nearly all calls are reports with the client's own time and without a condition. Conditions and times that the
//! server gives depend on the held record, so this module evaluates them under the shard's lock.

use super::{Expected, Offered, Shard, Taken, Wake, expiry::is_hidden, origins::ME};
use crate::{
    command::{Condition, Outcome},
    limits::{CLOCK_AHEAD_MAX_NS, DATA_LEN_MAX},
    store::SlotId,
    types::{Body, ClientId, Difference, KeyHash, Kind, Record, Report, Stamp, Timestamp},
};

/// Whether a report may add a client that is not held yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewClients {
    /// The report may add the client.
    Admit,
    /// The report must not add the client, because there is no room.
    Refuse,
}

/// The reports of a client after which the least time between two reports must pass before the next one is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spacing {
    /// All reports.
    #[default]
    AfterAll,
    /// All reports but those that this server took at the same moment. These came in the same batch as the next one.
    AfterEarlier,
}

impl Shard {
    /// Takes a client's report, if its condition is met. `expected` comes from [`Shard::expect`].
    ///
    /// Returns `Stale` for a report that the server has to stamp if the clock is past the year 2286.
    pub fn report(
        &mut self,
        now_ns: u64,
        report: &Report<'_>,
        condition: Condition,
        Expected { hash, table_hash }: Expected,
        new_clients: NewClients,
        spacing: Spacing,
    ) -> (Outcome, Wake) {
        let refused = |outcome| (outcome, Wake::default());
        let key = report.client.as_bytes();
        let held = self.store.find_by(table_hash, Kind::CLIENT, key);
        let has_expired = held.is_some_and(|id| self.has_expired(now_ns, id));
        let is_known = held.is_some_and(|id| !has_expired && self.shows(now_ns, id));
        if !condition.is_met(is_known) {
            return refused(Outcome::Unmet);
        }
        if self.settings.report_rules.is_inaccurate(report.attributes) {
            return refused(Outcome::Inaccurate);
        }
        if held.is_none() && new_clients == NewClients::Refuse {
            return refused(Outcome::Full);
        }
        let stamped = match report.stamp {
            Stamp::Client(timestamp) => Some((timestamp, Difference::at_receipt(now_ns, timestamp))),
            Stamp::Server => self.stamp(now_ns, held),
        };
        let Some((timestamp, difference)) = stamped else { return refused(Outcome::Stale) };
        let body = Body::Location { coordinates: report.coordinates, attributes: report.attributes };
        let record = Record { kind: Kind::CLIENT, key, body, timestamp, difference };
        if let Some(id) = held {
            if self.stays(now_ns, id, has_expired, &record) {
                return (Outcome::Stale, self.issue_for_copies(id));
            }
            if self.settings.client_interval_ns > 0 && self.is_too_soon(now_ns, id, spacing) {
                return refused(Outcome::TooSoon);
            }
            let expected = Expected { hash, table_hash };
            if self.settings.report_rules.speed_mps_max.is_some()
                && !self.is_plausible(now_ns, id, &record, expected)
            {
                return refused(Outcome::Implausible);
            }
        }
        match self.issue(held, &record, hash) {
            (Offered::Full, _) => refused(Outcome::Full),
            (_, wake) => (if is_known { Outcome::Moved } else { Outcome::Added }, wake),
        }
    }

    /// Prepares for a report of this client that will come soon: reads the client's record into the processor's cache.
    /// Changes nothing. `hash` is the hash of the client's key.
    pub fn expect(&self, client: ClientId<'_>, hash: KeyHash) -> Expected {
        let (table_hash, held) = self.store.warm(Kind::CLIENT, client.as_bytes());
        if let (Some(clients), Some(id)) = (&self.derived.clients, held) {
            clients.warm(id);
        }
        Expected { hash, table_hash }
    }

    /// The number of updates that this server has issued since its start, under all its incarnations. This is the
    /// number of the last update. Unlike a sequence, this number never goes back.
    pub fn issued(&self) -> u64 {
        self.own.issued_before + self.origins.covered(ME)
    }

    /// The number of updates that this server issued before its present incarnation. Sequences begin anew with each
    /// incarnation.
    pub fn issued_before(&self) -> u64 {
        self.own.issued_before
    }

    /// Forgets a client in the whole herd, by a tombstone that wins over the held record.
    ///
    /// Returns `Stale` if there is nothing to forget.
    pub fn forget(&mut self, now_ns: u64, client: ClientId<'_>) -> (Offered, Wake) {
        let (kind, key) = (Kind::CLIENT, client.as_bytes());
        match self.store.find(kind, key) {
            Some(id) if !self.has_expired(now_ns, id) && !self.store.slot(id).is_gone() => {
                self.tell_body(now_ns, kind, key, Body::Gone)
            }
            Some(id) if !self.has_expired(now_ns, id) => (Offered::Stale, self.issue_for_copies(id)),
            _ => (Offered::Stale, Wake::default()),
        }
    }

    /// Writes a record that is not about a client, for the whole herd. It replaces the held record of that key, even if
    /// a server whose clock is ahead has issued the held record.
    ///
    /// Returns `Stale` if the clock is past the year 2286.
    pub fn tell(
        &mut self,
        now_ns: u64,
        kind: Kind,
        key: &[u8],
        keep_s: u32,
        bytes: &[u8],
    ) -> (Offered, Wake) {
        debug_assert!(
            kind != Kind::CLIENT && bytes.len() <= DATA_LEN_MAX,
            "the caller of tell keeps these bounds"
        );
        self.tell_body(now_ns, kind, key, Body::Data { keep_s, bytes })
    }

    /// Issues a record with this body that wins over the held one.
    fn tell_body(&mut self, now_ns: u64, kind: Kind, key: &[u8], body: Body<'_>) -> (Offered, Wake) {
        let held = self.store.find(kind, key);
        let Some((timestamp, difference)) = self.stamp(now_ns, held) else {
            return (Offered::Stale, Wake::default());
        };
        let record = Record { kind, key, body, timestamp, difference };
        if held.is_some_and(|id| self.stays(now_ns, id, self.has_expired(now_ns, id), &record)) {
            return (Offered::Stale, Wake::default());
        }
        self.issue(held, &record, KeyHash::of(key))
    }

    /// Keeps a record as this server's own. This method is inlined into each caller because every report passes through
    /// it.
    #[inline(always)]
    fn issue(&mut self, held: Option<SlotId>, record: &Record<'_>, hash: KeyHash) -> (Offered, Wake) {
        let seq = self.origins.covered(ME) + 1;
        self.keep(held, record, hash, Taken { place: ME, seq, from: None })
    }

    #[inline(always)]
    fn has_expired(&self, now_ns: u64, held: SlotId) -> bool {
        let slot = self.store.slot(held);
        // Where clients never expire, the expiry of a record without attributes need not be read.
        (self.settings.client_ttl_ns.is_some() || slot.has_tail() || !slot.is_location())
            && self.is_expired(now_ns, &slot.record())
    }

    /// Whether the held record, which has not expired, shows a client's position.
    #[inline(always)]
    fn shows(&self, now_ns: u64, held: SlotId) -> bool {
        let slot = self.store.slot(held);
        !(slot.is_gone() || slot.has_tail() && is_hidden(now_ns, &slot.record()))
    }

    /// Whether the held record stays because `record` does not win over it.
    #[inline(always)]
    fn stays(&mut self, now_ns: u64, held: SlotId, has_expired: bool, record: &Record<'_>) -> bool {
        (has_expired || !self.wins(record, ME, held)) && !self.gives_way(now_ns, held)
    }

    /// Returns whether the held record gives way to a record that does not win over it. The held record gives way if it
    /// has expired, or if a wrong clock gave it a time of receipt in the future.
    fn gives_way(&mut self, now_ns: u64, held: SlotId) -> bool {
        let slot = self.store.slot(held);
        let record = slot.record();
        if self.is_expired(now_ns, &record) {
            if slot.origin == ME {
                self.own.expired(now_ns);
            }
            return true;
        }
        let is_ahead = self.is_ahead(now_ns, record.received_ns());
        if is_ahead {
            self.give_up();
        }
        is_ahead
    }

    /// Returns whether this server took the held record such a short time before `now_ns` that it takes no further
    /// report yet. Reports that other servers took do not count, because the servers' clocks differ.
    fn is_too_soon(&self, now_ns: u64, held: SlotId, spacing: Spacing) -> bool {
        let slot = self.store.slot(held);
        // If the clock was put back, it does not show how much time has passed since the report.
        let since_ns = now_ns.checked_sub(slot.record().received_ns());
        let since_ns = since_ns.filter(|since_ns| *since_ns > 0 || spacing == Spacing::AfterAll);
        slot.origin == ME && since_ns.is_some_and(|since_ns| since_ns < self.settings.client_interval_ns)
    }

    /// The time that this server gives a record that has to win over the held one. The held record may come from a
    /// server whose clock is ahead. A held record whose time of receipt is too far in the future gives way in any case.
    #[cold]
    fn stamp(&self, now_ns: u64, held: Option<SlotId>) -> Option<(Timestamp, Difference)> {
        let held = held.map(|id| self.store.slot(id).record());
        let above = held.filter(|held| !self.is_ahead(now_ns, held.received_ns()));
        stamped_at(above.map_or(now_ns, |held| now_ns.max(held.version().0 + 1)), now_ns)
    }

    /// The time that the server gave a report, read from the held record. `None` if the record is no longer held.
    pub(crate) fn stamped_ns(&self, client: ClientId<'_>) -> Option<u64> {
        let id = self.store.find(Kind::CLIENT, client.as_bytes())?;
        Some(self.store.slot(id).record().timestamp.nanos())
    }
}

/// The times of a record that a server writes at `now_ns` and that should count as made at `stamp_ns`.
pub(crate) fn stamped_at(stamp_ns: u64, now_ns: u64) -> Option<(Timestamp, Difference)> {
    let timestamp = Timestamp::from_nanos(stamp_ns)?;
    // With an earlier receipt, the bound on fast clocks would lower the version below the one that it has to exceed.
    let received_ns = now_ns.max(stamp_ns.saturating_sub(CLOCK_AHEAD_MAX_NS.unsigned_abs()));
    Some((timestamp, Difference::at_receipt(received_ns, timestamp)))
}
