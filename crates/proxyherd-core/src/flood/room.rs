//! The room for records that are not about clients.
//!
//! The number of clients has its own limit. Other records are limited by their bytes, with one bound for each class. So
//! no member can send records that take room from clients or from another class.
//!
//! The key of a quota account names the account's server and period ([`QuotaKey`]). Accounts of members that are [in
//! time](QuotaKey::is_in_time) are few, even if members invent accounts, and there is room for all of them. All other
//! accounts share a smaller room. They are not refused, because another server's configuration may already name a
//! server that is not yet a member here.
//!
//! Valid and revoked tokens are two classes. So no number of new tokens takes the room of revocations, which would make
//! old tokens valid again.
//!
//! If there is no room for all records of a class, the newest by version are kept. Among kinds that this version does
//! not know, the kind that takes the most bytes loses its oldest record. So no kind takes room from a kind that needs
//! less.
//!
//! The result must not depend on the order of arrival. Otherwise servers could hold different records and repair the
//! difference for ever. Suppose that two neighbors have sent each other all their records and still differ. Then each
//! holds a record for which there was no room at the other. The two records are of different kinds, because within one
//! kind the newest records stay. If there is no room for a record, its kind takes the most bytes at that server. So
//! each of the two kinds would have to take more bytes than the other, or equally many bytes and come first in the
//! order of kinds. Both cannot be true. The order by version also means that new records displace records that somebody
//! has left behind.
//!
//! This module does not know the other contents of the records.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Shard, Update, Wake, origins::ME};
use crate::{
    limits::{
        ACCOUNTS_MAX, QUOTA_BYTES_MAX, RECORD_BYTES, REVOKED_TOKEN_BYTES_MAX, SERVER_NAME_LEN_MAX,
        SERVERS_MAX, SHARDS, STRAY_QUOTA_BYTES_MAX, TOKEN_BYTES_MAX, UNKNOWN_BYTES_MAX,
    },
    places::quota::{ACCOUNT_LEN_MAX, QuotaKey},
    store::SlotId,
    types::{Body, Kind, Record, ServerName},
};

/// The number of bytes that the longest account counts. The account's key is at most `month/2026-10/` and a server
/// name.
const ACCOUNT_BYTES_MAX: usize = RECORD_BYTES + 16 + SERVER_NAME_LEN_MAX + ACCOUNT_LEN_MAX;
// Keys are spread over the shards at random, so some shards have more of them.
const _: () = assert!(SERVERS_MAX * ACCOUNTS_MAX * ACCOUNT_BYTES_MAX * 3 / 2 <= QUOTA_BYTES_MAX);

/// A class of records that share one bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Accounts of places quotas of members, in time. Settings and metrics use the word budget for a quota.
    Quota,
    /// All other accounts of places quotas.
    StrayQuota,
    /// Valid tokens.
    Token,
    /// Revoked tokens.
    RevokedToken,
    /// All kinds of records that this version does not know.
    Unknown,
}

impl Class {
    /// All classes.
    pub const ALL: [Class; 5] =
        [Class::Quota, Class::StrayQuota, Class::Token, Class::RevokedToken, Class::Unknown];

    /// The name of the class in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Class::Quota => "budget",
            Class::StrayQuota => "stray_budget",
            Class::Token => "token",
            Class::RevokedToken => "revoked_token",
            Class::Unknown => "unknown",
        }
    }

    /// Whether a shard has room for one more record with a key and data of these lengths together, without displacing a
    /// record.
    pub fn has_room(self, usage: Usage, len: usize) -> bool {
        usage.bytes + RECORD_BYTES + len <= self.bytes_max()
    }

    /// Maximum number of bytes in one shard.
    fn bytes_max(self) -> usize {
        match self {
            Class::Quota => QUOTA_BYTES_MAX / SHARDS,
            Class::StrayQuota => STRAY_QUOTA_BYTES_MAX / SHARDS,
            Class::Token => TOKEN_BYTES_MAX / SHARDS,
            Class::RevokedToken => REVOKED_TOKEN_BYTES_MAX / SHARDS,
            Class::Unknown => UNKNOWN_BYTES_MAX / SHARDS,
        }
    }
}

/// How much room the records of one class take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The number of bytes that the records count.
    pub bytes: usize,
    /// The number of records that found no room, or lost their room, since the start.
    pub dropped: u64,
}

/// The rank of a record in its class, which is the same at every server: the version, then the digest. The slot only
/// distinguishes equal ranks.
type RoomRank = (u64, u64, u32);

/// The room that one record takes.
#[derive(Clone, Copy, Debug)]
struct RoomShare {
    class: Class,
    kind: Kind,
    /// The record's rank among the records of its class and kind, without the slot.
    order: (u64, u64),
    bytes: usize,
}

impl RoomShare {
    fn rank(self, slot: SlotId) -> RoomRank {
        (self.order.0, self.order.1, slot.0)
    }
}

/// The records of one shard that are not about clients.
#[derive(Debug, Default)]
pub(super) struct RecordRoom {
    parts: BTreeMap<(Class, Kind), Part>,
    usage: [Usage; Class::ALL.len()],
}

/// The records of one class and kind.
#[derive(Debug, Default)]
struct Part {
    ranked: BTreeSet<RoomRank>,
    bytes: usize,
}

impl RecordRoom {
    fn add(&mut self, slot: SlotId, share: RoomShare) {
        let RoomShare { class, kind, bytes, .. } = share;
        let part = self.parts.entry((class, kind)).or_default();
        part.ranked.insert(share.rank(slot));
        part.bytes += bytes;
        self.usage[class as usize].bytes += bytes;
    }

    fn remove(&mut self, slot: SlotId, share: RoomShare) {
        let RoomShare { class, kind, bytes, .. } = share;
        let part = self.parts.get_mut(&(class, kind)).expect("the kind of a held record has its part");
        let was_there = part.ranked.remove(&share.rank(slot));
        debug_assert!(was_there, "a held record has its rank");
        part.bytes -= bytes;
        if part.ranked.is_empty() {
            self.parts.remove(&(class, kind));
        }
        self.usage[class as usize].bytes -= bytes;
    }

    /// The record that has to be removed if the class takes more than its room.
    fn pop_excess(&mut self, class: Class) -> Option<SlotId> {
        let usage = &mut self.usage[class as usize];
        if usage.bytes <= class.bytes_max() {
            return None;
        }
        let of_class = self.parts.range((class, Kind(0))..=(class, Kind(u8::MAX)));
        let (_, largest) = of_class.max_by_key(|((_, kind), part)| (part.bytes, Reverse(*kind)))?;
        let &(_, _, slot) = largest.ranked.first()?;
        usage.dropped += 1;
        Some(SlotId(slot))
    }

    fn len(&self) -> usize {
        self.parts.values().map(|part| part.ranked.len()).sum()
    }

    /// The slots of all records of a kind.
    fn slots_of(&self, wanted: Kind) -> impl Iterator<Item = SlotId> {
        let parts = self.parts.iter().filter(move |((_, kind), _)| *kind == wanted);
        parts.flat_map(|(_, part)| &part.ranked).map(|&(_, _, slot)| SlotId(slot))
    }
}

impl Shard {
    /// The number of records that are not about clients.
    pub fn others_len(&self) -> usize {
        self.derived.room.len()
    }

    /// The room that the records of `class` take.
    pub fn usage(&self, class: Class) -> Usage {
        self.derived.room.usage[class as usize]
    }

    /// Adds the record in a slot to the room of its class, and returns the class. `digest` is the digest of the
    /// record's contents.
    #[cold]
    pub(super) fn add_to_room(&mut self, id: SlotId, digest: u64) -> Option<Class> {
        let share = self.share_of(id, digest)?;
        self.derived.room.add(id, share);
        Some(share.class)
    }

    /// Takes the record in a slot out of the room.
    #[cold]
    pub(super) fn take_from_room(&mut self, id: SlotId, digest: u64) {
        if let Some(share) = self.share_of(id, digest) {
            self.derived.room.remove(id, share);
        }
    }

    /// The part of its class's room that the record in a slot takes. `None` for clients.
    fn share_of(&self, id: SlotId, digest: u64) -> Option<RoomShare> {
        let record = self.store.slot(id).record();
        let class = self.class_of(&record)?;
        let order = (record.version().0, digest);
        Some(RoomShare { class, kind: record.kind, order, bytes: bytes_of(&record) })
    }

    /// The class of a record. `None` for clients.
    #[inline(always)]
    fn class_of(&self, record: &Record<'_>) -> Option<Class> {
        match record.kind {
            Kind::CLIENT => None,
            Kind::QUOTA if self.is_needed(record) => Some(Class::Quota),
            Kind::QUOTA => Some(Class::StrayQuota),
            Kind::TOKEN if record.is_revocation() => Some(Class::RevokedToken),
            Kind::TOKEN => Some(Class::Token),
            _ => Some(Class::Unknown),
        }
    }

    /// Whether an account is one that a member of the herd can need.
    fn is_needed(&self, record: &Record<'_>) -> bool {
        let (Some(key), Some(ttl_ns)) = (QuotaKey::parse(record.key), self.ttl_ns(record)) else {
            return false;
        };
        let fits = data_len(record) <= ACCOUNT_LEN_MAX;
        fits && self.origins.is_member(key.server) && key.is_in_time(record.received_ns(), ttl_ns)
    }

    /// Whether this server may have issued a record and dropped it because other records took all the room.
    pub(super) fn may_have_dropped(&self, record: &Record<'_>) -> bool {
        // Whatever times a lie has, this server's own accounts are always in time.
        let is_account = record.kind == Kind::QUOTA && QuotaKey::parse(record.key).is_some();
        let class = if is_account { Some(Class::Quota) } else { self.class_of(record) };
        class.is_some_and(|class| self.own.has_dropped[class as usize])
    }

    /// Calls `visit` with each record of a kind that is not about clients, unless the record has expired.
    pub(crate) fn for_each_other(&self, now_ns: u64, kind: Kind, visit: &mut dyn FnMut(Update<'_>)) {
        for slot in self.derived.room.slots_of(kind) {
            let held = self.held(self.store.slot(slot));
            if !self.is_expired(now_ns, &held.record) {
                visit(held);
            }
        }
    }

    /// Removes records of a class until the rest fit. Returns whether the record in the slot `new` is still held.
    #[inline(always)]
    pub(super) fn make_room(&mut self, class: Option<Class>, new: SlotId) -> (bool, Wake) {
        class.map_or((true, Wake::default()), |class| self.make_room_in(class, new))
    }

    fn make_room_in(&mut self, class: Class, new: SlotId) -> (bool, Wake) {
        let (mut is_held, mut wake) = (true, Wake::default());
        while let Some(id) = self.derived.room.pop_excess(class) {
            is_held &= id != new;
            if self.store.slot(id).origin == ME {
                self.own.dropped(class);
            }
            wake = wake.and(self.remove(id));
        }
        (is_held, wake)
    }

    /// Sets the herd's servers. There is room for the accounts of these servers.
    pub fn set_members(&mut self, members: Arc<BTreeSet<ServerName>>) -> Wake {
        let accounts: Vec<_> = self.derived.room.slots_of(Kind::QUOTA).collect();
        for &id in &accounts {
            self.before_change(id, self.key_hash(id));
        }
        self.origins.set_members(members);
        for &id in &accounts {
            // An account has no position.
            self.after_change(id, self.key_hash(id), Default::default());
        }
        let none = SlotId(u32::MAX);
        let classes = [Class::Quota, Class::StrayQuota];
        classes.into_iter().map(|class| self.make_room_in(class, none).1).fold(Wake::default(), Wake::and)
    }

    /// A contradiction between the room and the records, if there is one.
    pub(super) fn contradiction_of_room(&self) -> Option<String> {
        let mut bytes = [0; Class::ALL.len()];
        let mut parts = BTreeMap::<_, (usize, usize)>::new();
        for (_, slot) in self.store.live() {
            let record = slot.record();
            if let Some(class) = self.class_of(&record) {
                bytes[class as usize] += bytes_of(&record);
                let (records, sum) = parts.entry((class, record.kind)).or_default();
                (*records, *sum) = (*records + 1, *sum + bytes_of(&record));
            }
        }
        let counted = self.derived.room.usage.map(|usage| usage.bytes);
        let counted_parts =
            self.derived.room.parts.iter().map(|(of, part)| (*of, (part.ranked.len(), part.bytes)));
        (bytes != counted || !counted_parts.eq(parts.clone())).then(|| {
            format!("{parts:?} take {bytes:?} bytes, but the room has {self:?}", self = self.derived.room)
        })
    }
}

/// Whether a record under the name `server` is another server's account. Only the server itself issues its account, so
/// no honest server keeps or relays such a record. If servers kept such a record, it could displace the true account
/// while the account's server is away.
pub(super) fn is_in_anothers_name(record: &Record<'_>, server: &ServerName) -> bool {
    record.kind == Kind::QUOTA && QuotaKey::parse(record.key).is_some_and(|key| key.server != server.as_str())
}

/// The number of bytes that a record counts.
fn bytes_of(record: &Record<'_>) -> usize {
    RECORD_BYTES + record.key.len() + data_len(record)
}

fn data_len(record: &Record<'_>) -> usize {
    match record.body {
        Body::Data { bytes, .. } => bytes.len(),
        Body::Location { .. } | Body::Gone => 0,
    }
}
