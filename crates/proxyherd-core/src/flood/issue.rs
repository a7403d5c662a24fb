//! What this server itself says: it takes a report, forgets a client, tells a record of another kind.
//!
//! Each becomes a record of this server with the shard's next sequence, if it wins over what is held. Nearly all calls are
//! reports with the client's own time and without a condition. Conditions are judged, and the server's own time is chosen,
//! here too, since both depend on what is held: the caller holds the shard's lock.

use super::{Expected, Offered, Shard, Taken, Wake, origins::ME};
use crate::{
    command::{Condition, Outcome},
    limits::{CLOCK_AHEAD_MAX_NS, DATA_LEN_MAX},
    store::SlotId,
    types::{Body, ClientId, Difference, KeyHash, Kind, Record, Report, Stamp, Timestamp},
};

impl Shard {
    /// Takes a report of the client that was expected, if its condition is met. With `has_room` false a client that is not
    /// held yet is refused.
    ///
    /// `Stale` for a report that the server has to stamp: it is past the year 2286.
    pub fn report(
        &mut self,
        now_ns: u64,
        report: &Report<'_>,
        condition: Condition,
        Expected { hash, table_hash }: Expected,
        has_room: bool,
    ) -> (Outcome, Wake) {
        let refused = |outcome| (outcome, Wake::default());
        let key = report.client.as_bytes();
        let held = self.store.find_by(table_hash, Kind::CLIENT, key);
        let has_expired = held.is_some_and(|id| self.has_expired(now_ns, id));
        let is_known = held.is_some_and(|id| !has_expired && !self.store.slot(id).is_gone());
        if !condition.is_met(is_known) {
            return refused(Outcome::Unmet);
        }
        if held.is_none() && !has_room {
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
                return refused(Outcome::Stale);
            }
            if self.settings.client_interval_ns > 0 && self.is_too_soon(now_ns, id) {
                return refused(Outcome::TooSoon);
            }
        }
        match self.issue(held, &record, hash) {
            (Offered::Full, _) => refused(Outcome::Full),
            (_, wake) => (if is_known { Outcome::Moved } else { Outcome::Added }, wake),
        }
    }

    /// Prepares for a report of this client that is about to come, by bringing its record into the processor's
    /// cache; nothing changes. `hash` is its key's.
    pub fn expect(&self, client: ClientId<'_>, hash: KeyHash) -> Expected {
        Expected { hash, table_hash: self.store.warm(Kind::CLIENT, client.as_bytes()) }
    }

    /// How many updates this server has taken since its start, under all its incarnations: the number of the last one
    /// among them. Unlike a sequence, it never goes back.
    pub fn taken(&self) -> u64 {
        self.own.taken_before + self.origins.covered(ME)
    }

    /// How many of them it took before its present incarnation, under which sequences begin anew.
    pub fn taken_before(&self) -> u64 {
        self.own.taken_before
    }

    /// Forgets a client for the whole herd, by a tombstone that wins over what is held.
    ///
    /// `Stale`: there is nothing to forget.
    pub fn forget(&mut self, now_ns: u64, client: ClientId<'_>) -> (Offered, Wake) {
        let (kind, key) = (Kind::CLIENT, client.as_bytes());
        match self.store.find(kind, key) {
            Some(id) if !self.has_expired(now_ns, id) && !self.store.slot(id).is_gone() => {
                self.tell_body(now_ns, kind, key, Body::Gone)
            }
            _ => (Offered::Stale, Wake::default()),
        }
    }

    /// Says something to the whole herd that is not about a client, in the place of what is held of that key, even if
    /// a server whose clock is ahead has said it.
    ///
    /// `Stale`: it is past the year 2286.
    pub fn tell(
        &mut self,
        now_ns: u64,
        kind: Kind,
        key: &[u8],
        keep_s: u32,
        bytes: &[u8],
    ) -> (Offered, Wake) {
        debug_assert!(kind != Kind::CLIENT && bytes.len() <= DATA_LEN_MAX, "what tells knows its bounds");
        self.tell_body(now_ns, kind, key, Body::Data { keep_s, bytes })
    }

    /// Says something of a key that wins over what is held of it.
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

    /// Keeps a record that this server itself is the origin of. Every report comes through here, so it is part of each
    /// caller.
    #[inline(always)]
    fn issue(&mut self, held: Option<SlotId>, record: &Record<'_>, hash: KeyHash) -> (Offered, Wake) {
        let seq = self.origins.covered(ME) + 1;
        self.keep(held, record, hash, Taken { place: ME, seq, from: None })
    }

    #[inline(always)]
    fn has_expired(&self, now_ns: u64, held: SlotId) -> bool {
        let slot = self.store.slot(held);
        // Where clients are kept for ever, that need not be read.
        (self.settings.client_ttl_ns.is_some() || !slot.is_location())
            && self.is_expired(now_ns, &slot.record())
    }

    /// Whether what is held stays where it is, since `record` does not win over it.
    #[inline(always)]
    fn stays(&mut self, now_ns: u64, held: SlotId, has_expired: bool, record: &Record<'_>) -> bool {
        (has_expired || !self.wins(record, ME, held)) && !self.gives_way(now_ns, held)
    }

    /// Whether what is held gives way to a record that does not win over it: it has expired, or was received in the future
    /// because a clock was wrong.
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

    /// Whether this server took what is held so shortly before `now_ns` that it takes no more. What others took is
    /// not held against a client: their clocks are not this one's.
    fn is_too_soon(&self, now_ns: u64, held: SlotId) -> bool {
        let slot = self.store.slot(held);
        // A clock that was put back says nothing of how long ago it was.
        let since_ns = now_ns.checked_sub(slot.record().received_ns());
        slot.origin == ME && since_ns.is_some_and(|since_ns| since_ns < self.settings.client_interval_ns)
    }

    /// When this server says something that is to win over what is held, which a server whose clock is ahead of this
    /// one's may have said. What was received too far in the future gives way anyway.
    #[cold]
    fn stamp(&self, now_ns: u64, held: Option<SlotId>) -> Option<(Timestamp, Difference)> {
        let held = held.map(|id| self.store.slot(id).record());
        let above = held.filter(|held| !self.is_ahead(now_ns, held.received_ns()));
        stamped_at(above.map_or(now_ns, |held| now_ns.max(held.version().0 + 1)), now_ns)
    }

    /// What time a report that the server stamped has, as it is held. `None`: it is not held any more.
    pub(crate) fn stamped_ns(&self, client: ClientId<'_>) -> Option<u64> {
        let id = self.store.find(Kind::CLIENT, client.as_bytes())?;
        Some(self.store.slot(id).record().timestamp.nanos())
    }
}

/// What a server writes at `now_ns` that is to count as made at `stamp_ns`.
pub(crate) fn stamped_at(stamp_ns: u64, now_ns: u64) -> Option<(Timestamp, Difference)> {
    let timestamp = Timestamp::from_nanos(stamp_ns)?;
    // Received no earlier than so, or the bound on fast clocks would put it below what it is to win over.
    let received_ns = now_ns.max(stamp_ns.saturating_sub(CLOCK_AHEAD_MAX_NS.unsigned_abs()));
    Some((timestamp, Difference::at_receipt(received_ns, timestamp)))
}
