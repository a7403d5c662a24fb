//! One shard of the herd's records, and the rules by which its changes reach every server.
//!
//! The server that takes a report issues it as an *update*: it gives the record the next sequence of its shard
//! (`issue`). A shard that accepts a record marks the record's slot on every eager link except the link that brought
//! it. When a link flushes, it sends the *current* record of each marked slot. So an update that a newer record has
//! replaced is never sent, and a slow neighbor costs one mark for each record. *Markers* are sent between the records.
//! A marker is a snapshot of the vector (for each origin, the sequence up to which the origin is covered). The marker
//! is queued behind everything that was queued when the snapshot was taken. So a neighbor that receives the marker has
//! received everything that the marker covers. When a link comes up, the two ends exchange vectors, and each end sends
//! the records that the other's vector lacks.
//!
//! Invariants of each shard:
//! - I1: a vector entry `o: s` means that for every update of origin `o` up to `s`, one of these holds: this server
//!   holds the update or a newer record that replaced the update, or the update has expired. So servers whose vectors
//!   are complete and equal hold the same records.
//! - A slot is at most once in a link's FIFO, and it is there exactly when the link's bit in `queued` is set.
//!   Other followers have queues of the same kind (`followers`).
//! - No update exists under this server's present incarnations that this server has not issued (`own`).
//! - For other origins only markers advance the vector. Arriving records must not advance it: a server could replace a
//!   record before it has passed the record on, count the record's sequence as covered, and then crash.
//!
//! What a store has kept of an earlier life of this server comes back by the same rules as what a neighbor sends
//! (`restore`).
//!
//! Shards are independent. Each has its own sequences, vector and outboxes, under one lock that the shard's owner
//! provides. A shard knows no socket, no clock and no lock.

mod acks;
mod anti_entropy;
mod audit;
mod broken_rules;
mod changes;
mod client_index;
mod contest;
mod derived;
mod displaced;
mod expiry;
mod followers;
mod gap;
mod hash_tree;
mod indices;
mod interest;
mod issue;
mod lazy;
mod links;
mod nonsense;
mod origins;
mod outbox;
mod own;
mod plausible;
mod reconcile;
mod restore;
mod room;
mod rules;
mod search;
mod send;

use std::cmp::Ordering;

pub(crate) use self::followers::places;
pub(crate) use self::issue::stamped_at;
pub(crate) use self::search::{NearestSearch, Wants, separation};
use self::{
    acks::Acks,
    derived::Derived,
    followers::FollowerQueues,
    links::bits,
    origins::{ME, Origins},
    outbox::Outbox,
    own::Own,
    plausible::Rows,
    restore::Restore,
};
pub use self::{
    expiry::shown_until_ns,
    followers::{Begin, FollowerEvent, FollowerId, Following, VectorView},
    interest::Interest,
    issue::{NewClients, Spacing},
    links::{LinkId, Wake},
    nonsense::Nonsense,
    own::{Renewal, SelfCheck},
    plausible::ReportRules,
    restore::Restored,
    room::{Class, Usage},
    rules::{Broken, Rules},
};
use crate::{
    limits::LINKS_MAX,
    store::{LinkMask, Slot, SlotId, Store, TableHash},
    types::{Body, Coordinates, KeyHash, Kind, Origin, Record},
};

/// The sequence of a record that no vector covers: a record that is kept under another incarnation than the one that
/// issued it, or a record that another server has retold.
const UNCOVERED: u64 = u64::MAX;

/// The result of offering a record to a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// The record is the first of its key.
    Inserted,
    /// The record is newer than the held one.
    Updated,
    /// The held record is at least as new. Nothing changed.
    Stale,
    /// There is no room for the record. If bytes limit its kind, newer records fill the room. Otherwise nothing
    /// changed.
    Full,
    /// A neighbor sent nonsense, which was not merged. See [`Shard::take_found`].
    Refused,
}

/// The settings of a shard.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// This life of this server.
    pub me: Origin,
    /// The number of the shard in the link protocol.
    pub index: u8,
    /// The seed of the table's hash. Keep the seed secret: whoever knows it can choose keys that collide.
    pub seed: u64,
    /// Forget a client this long after its report was received, nanoseconds.
    pub client_ttl_ns: Option<u64>,
    /// The least time between two reports of one client that this server accepts, nanoseconds. An earlier report is
    /// refused.
    pub client_interval_ns: u64,
    /// The rules by which this server refuses reports that cannot be true.
    pub report_rules: ReportRules,
    /// Maximum offset between two clocks, nanoseconds.
    pub clock_offset_max_ns: u64,
    /// Whether an index finds clients by their positions.
    pub client_index: bool,
    /// The rules of the flood. Tests may break one of them.
    pub rules: Rules,
}

/// One shard: records, origins, outboxes.
#[derive(Debug)]
pub struct Shard {
    settings: ShardSettings,
    store: Store,
    origins: Origins,
    own: Own,
    /// The last nonsense that a neighbor sent, until [`Shard::take_found`] takes it.
    found: Option<Nonsense>,
    derived: Derived,
    rows: Rows,
    followers: FollowerQueues,
    acks: Acks,
    outboxes: [Option<Box<Outbox>>; LINKS_MAX],
    /// The eager links. Their neighbors are sent changes.
    up: LinkMask,
    /// For each link, the slot that was next in its queue when the queue was last dropped. The next queue begins at
    /// that slot. Otherwise a link that never stays up for long would be sent the same records again and again.
    resume_at: [SlotId; LINKS_MAX],
    /// See [`Shard::is_caught_up`].
    is_caught_up: bool,
    /// The slot at which the next sweep begins.
    swept: usize,
    /// See [`Shard::changes`].
    changes: u64,
    /// See [`Shard::tombstones_replaced`].
    tombstones_replaced: u64,
    /// Tombstones that expire before this time are issued again.
    renew_until_ns: u64,
    /// Whether records of a store were restored.
    was_restored: bool,
    /// `Some` while records of a store are being restored.
    restore: Option<Box<Restore>>,
    #[cfg(feature = "broken-rules")]
    memory: broken_rules::Memory,
}

impl Shard {
    /// An empty shard of a server that has just started.
    pub fn new(settings: ShardSettings) -> Shard {
        Shard {
            store: Store::new(settings.seed),
            origins: Origins::new(settings.me.clone(), settings.rules),
            own: Own::new(settings.me.incarnation),
            found: None,
            derived: Derived::new(settings.client_index),
            rows: Rows::default(),
            followers: FollowerQueues::default(),
            acks: Acks::default(),
            outboxes: [const { None }; LINKS_MAX],
            up: 0,
            resume_at: [SlotId(0); LINKS_MAX],
            is_caught_up: false,
            swept: 0,
            changes: 0,
            tombstones_replaced: 0,
            renew_until_ns: 0,
            was_restored: false,
            restore: None,
            #[cfg(feature = "broken-rules")]
            memory: broken_rules::Memory::default(),
            settings,
        }
    }

    /// Returns whether some neighbor has, at some time since this server started, sent everything that it held, and
    /// whether this server has merged all of that, did not need it, or had no room for it. Two events show this: a
    /// marker, because a marker is queued behind everything that this server lacked, or a check that finds both ends
    /// equal.
    pub fn is_caught_up(&self) -> bool {
        self.is_caught_up
    }

    /// The number of held records, tombstones included.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether no record is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a record that came over `from`. `hash` is the hash of the record's key. `guess` is the place at which the
    /// caller last found the origin in this shard. This method updates `guess`.
    pub fn apply(
        &mut self,
        now_ns: u64,
        from: LinkId,
        Update { record, origin, seq }: Update<'_>,
        hash: KeyHash,
        guess: &mut u16,
    ) -> (Offered, Wake) {
        if let Some(outbox) = &mut self.outboxes[from.index()] {
            outbox.received += 1;
        }
        // Sequences begin at 1. A record with the sequence 0 would count as covered by every vector.
        let seq = seq.max(1);
        let told = Update { record, origin, seq };
        if self.is_ahead(now_ns, record.received_ns()) {
            return self.refuse_early(now_ns, from, told, Nonsense::Receipt);
        }
        if self.is_ahead(now_ns, origin.incarnation) {
            return self.refuse_early(now_ns, from, told, Nonsense::Incarnation);
        }
        if self.is_over(now_ns, &record) {
            return (Offered::Stale, Wake::default());
        }
        if room::is_in_anothers_name(&record, &origin.server) {
            return self.refuse(from, Nonsense::Account);
        }
        let held = self.store.find(record.kind, record.key);
        if origin.server == self.origins.origin(ME).server
            && let Some(applied) = self.apply_own(now_ns, from, told, held, hash)
        {
            return applied;
        }
        if let Some(id) = held {
            let mut order = self.contest(now_ns, told, self.store.slot(id));
            if order.is_gt() && self.would_stay(told, id) {
                order = Ordering::Equal;
            }
            if order.is_eq() {
                // The neighbor holds the same record, so the record need not be sent there.
                self.store.slot_mut(id).set_from(Some(from.0));
            }
            if order.is_eq() || (order.is_lt() && !self.settings.rules.breaks(Broken::MergeByArrival)) {
                return (Offered::Stale, self.advance_naively(origin, seq));
            }
        }
        if self.loses_this_one() {
            return (Offered::Stale, Wake::default());
        }
        let (place, seq) = if let Some(place) = self.origins.place_or_insert(origin, *guess) {
            *guess = place;
            (place, seq)
        } else if let Some(place) = self.origins.adopter(origin) {
            self.found = Some(Nonsense::Origins);
            (place, UNCOVERED)
        } else {
            return self.refuse(from, Nonsense::Origins);
        };
        if let Some(id) = held
            && self.store.slot(id).origin == ME
        {
            self.own.displaced.note(now_ns, hash, &self.store.slot(id).record());
        }
        let (offered, wake) = self.keep(held, &record, hash, Taken { place, seq, from: Some(from) });
        if offered == Offered::Full {
            return self.refuse(from, Nonsense::Records);
        }
        (offered, wake.and(self.advance_naively(origin, seq)))
    }

    /// Returns whether a record that differs from the held one only in its incarnation would be kept under the held
    /// record's incarnation, because there is no room for another incarnation.
    fn would_stay(&mut self, told: Update<'_>, held: SlotId) -> bool {
        let slot = self.store.slot(held);
        let holder = &self.origins.origin(slot.origin).server;
        told.record.precedence(&told.origin.server, &slot.record(), holder).is_eq()
            && !self.origins.has_room_for(told.origin)
    }

    /// Refuses nonsense that a wrong clock has caused. If the held record wins over the refused one, or has the same
    /// content, nothing is missing at this server and no gap opens.
    #[cold]
    fn refuse_early(
        &mut self,
        now_ns: u64,
        from: LinkId,
        told: Update<'_>,
        why: Nonsense,
    ) -> (Offered, Wake) {
        let is_overtaken = self.store.find(told.record.kind, told.record.key).is_some_and(|id| {
            let (slot, record) = (self.store.slot(id), self.store.slot(id).record());
            let holder = &self.origins.origin(slot.origin).server;
            let is_over = self.is_expired(now_ns.max(told.record.received_ns()), &record);
            told.record.precedence(&told.origin.server, &record, holder).is_le() && !is_over
        });
        if is_overtaken {
            self.found = Some(why);
            return (Offered::Refused, Wake::default());
        }
        self.refuse(from, why)
    }

    /// Refuses nonsense from a neighbor.
    fn refuse(&mut self, from: LinkId, why: Nonsense) -> (Offered, Wake) {
        self.note_refused(from, why);
        (Offered::Refused, Wake::default())
    }

    /// The last nonsense that neighbors sent since the last call.
    pub fn take_found(&mut self) -> Option<Nonsense> {
        self.found.take()
    }

    /// Whether a time that another server gave is further in the future than clocks may differ.
    fn is_ahead(&self, now_ns: u64, told_ns: u64) -> bool {
        told_ns > now_ns.saturating_add(self.settings.clock_offset_max_ns)
            && !self.settings.rules.breaks(Broken::TrustReceipts)
    }

    fn wins(&self, record: &Record<'_>, place: u16, over: SlotId) -> bool {
        let held = self.store.slot(over);
        let (server, holder) = (&self.origins.origin(place).server, &self.origins.origin(held.origin).server);
        record.precedence(server, &held.record(), holder).is_gt()
    }

    /// The record of a key and the origin that issued it, unless the record is no longer shown.
    pub fn locate(&self, now_ns: u64, kind: Kind, key: &[u8]) -> Option<Update<'_>> {
        let slot = self.store.slot(self.store.find(kind, key)?);
        let record = slot.record();
        self.is_shown(now_ns, &record).then(|| self.held(slot))
    }

    /// Whether the record of a key takes room, shown or not.
    pub(crate) fn holds(&self, kind: Kind, key: &[u8]) -> bool {
        self.store.find(kind, key).is_some()
    }

    /// Every record, in no particular order, expired ones among them.
    pub fn records(&self) -> impl Iterator<Item = Update<'_>> {
        self.store.live().map(|(_, slot)| self.held(slot))
    }

    /// The client that is held in a slot and is shown, and its position.
    pub(crate) fn client_in(&self, now_ns: u64, id: SlotId) -> Option<(Update<'_>, Coordinates)> {
        let slot = self.store.slot(id);
        if !slot.is_live() || slot.kind() != Kind::CLIENT {
            return None;
        }
        let held = self.held(slot);
        let Body::Location { coordinates, .. } = held.record.body else { return None };
        self.is_shown(now_ns, &held.record).then_some((held, coordinates))
    }

    /// The record in a slot, shown or not. `None`: the slot is free.
    pub(crate) fn held_in(&self, id: SlotId) -> Option<Update<'_>> {
        let slot = self.store.slot(id);
        slot.is_live().then(|| self.held(slot))
    }

    /// The number of slots, live or free.
    pub(crate) fn slots_used(&self) -> usize {
        self.store.slots_used()
    }

    fn held<'a>(&'a self, slot: &'a Slot) -> Update<'a> {
        Update { record: slot.record(), origin: self.origins.origin(slot.origin), seq: slot.seq }
    }
}

/// Where a shard expects to find a key. The value is valid only in the shard that made it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    pub(crate) hash: KeyHash,
    pub(crate) table_hash: TableHash,
}

/// The place of a record's origin, the record's sequence, and the link that brought the record, if one did.
#[derive(Clone, Copy, Debug)]
struct Taken {
    place: u16,
    seq: u64,
    from: Option<LinkId>,
}

/// An update: a record with the origin that issued it.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    /// The record.
    pub record: Record<'a>,
    /// The server life that issued the record.
    pub origin: &'a Origin,
    /// The record's place in the origin's sequence, in this shard.
    pub seq: u64,
}
