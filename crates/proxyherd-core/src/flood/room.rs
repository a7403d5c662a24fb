//! The room for records that are not about clients.
//!
//! A bound on their number limits clients. Bounds on their bytes limit other records, one bound for each class. So
//! whatever a member sends takes no room from clients, and none from another class.
//!
//! The key of a quota account names its server and its period ([`QuotaKey`]). Accounts of members that are [in
//! time](QuotaKey::is_in_time) are few, whatever anybody makes up, and there is room for all of them. All other
//! accounts share a smaller room. They are not refused, because another server's configuration may already name a
//! server that is no member here yet.
//!
//! If not all records of a class find room, the newest by version are kept. Among kinds that this version does not
//! know, the kind that takes the most bytes loses its oldest record, so no kind takes room from another that needs
//! less.
//!
//! The order of arrival must not decide. Otherwise servers could hold different records and repair the difference for
//! ever. Suppose that two neighbors have sent each other everything and still differ. Then each holds a record that
//! found no room at the other. The two records are of different kinds, because of one kind the newest stay. A record
//! that finds no room is of the kind that takes the most bytes there. So each of the two kinds would have to take
//! more than the other, or as much and come first in the order of kinds; both cannot be true. The order by version
//! also means that new records displace whatever somebody has left behind.
//!
//! This module does not know what else the records say.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Shard, Wake, origins::ME};
use crate::{
    limits::{
        ACCOUNTS_MAX, QUOTA_BYTES_MAX, RECORD_BYTES, SERVER_NAME_LEN_MAX, SERVERS_MAX, SHARDS,
        STRAY_QUOTA_BYTES_MAX, UNKNOWN_BYTES_MAX,
    },
    places::quota::{ACCOUNT_LEN_MAX, QuotaKey},
    store::SlotId,
    types::{Body, Kind, Record, ServerName},
};

/// The bytes that the longest account counts. Its key is `month/2026-10/` or shorter, and a name.
const ACCOUNT_BYTES_MAX: usize = RECORD_BYTES + 16 + SERVER_NAME_LEN_MAX + ACCOUNT_LEN_MAX;
// Keys spread over the shards by chance, so some shards have more of them.
const _: () = assert!(SERVERS_MAX * ACCOUNTS_MAX * ACCOUNT_BYTES_MAX * 3 / 2 <= QUOTA_BYTES_MAX);

/// A class of records that share one bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Accounts of places quotas of members, in time. Settings and metrics call a quota a budget.
    Quota,
    /// All other accounts of places quotas.
    StrayQuota,
    /// All kinds that this version does not know.
    Unknown,
}

impl Class {
    /// All classes.
    pub const ALL: [Class; 3] = [Class::Quota, Class::StrayQuota, Class::Unknown];

    /// Its name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Class::Quota => "budget",
            Class::StrayQuota => "stray_budget",
            Class::Unknown => "unknown",
        }
    }

    /// Most bytes in one shard.
    fn bytes_max(self) -> usize {
        match self {
            Class::Quota => QUOTA_BYTES_MAX / SHARDS,
            Class::StrayQuota => STRAY_QUOTA_BYTES_MAX / SHARDS,
            Class::Unknown => UNKNOWN_BYTES_MAX / SHARDS,
        }
    }
}

/// What the records of one class take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The bytes that they count.
    pub bytes: usize,
    /// How many found no room, or lost it, since the start.
    pub dropped: u64,
}

/// The rank of a record in its class, the same at every server: version, then digest. The slot only separates equal
/// ones.
type RoomRank = (u64, u64, u32);

/// What one record takes.
#[derive(Clone, Copy, Debug)]
struct RoomShare {
    class: Class,
    kind: Kind,
    /// Its rank among those of its class and kind, without the slot.
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
        let part = self.parts.get_mut(&(class, kind)).expect("what is held has its part");
        let was_there = part.ranked.remove(&share.rank(slot));
        debug_assert!(was_there, "what is held has its rank");
        part.bytes -= bytes;
        if part.ranked.is_empty() {
            self.parts.remove(&(class, kind));
        }
        self.usage[class as usize].bytes -= bytes;
    }

    /// The record that has to go, if the class takes more than its room.
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

    /// The slots of all accounts.
    fn accounts(&self) -> Vec<SlotId> {
        let accounts = self.parts.iter().filter(|((_, kind), _)| *kind == Kind::QUOTA);
        accounts.flat_map(|(_, part)| &part.ranked).map(|&(_, _, slot)| SlotId(slot)).collect()
    }
}

impl Shard {
    /// How many of the records are not about clients.
    pub fn others_len(&self) -> usize {
        self.derived.room.len()
    }

    /// What the records of `class` take.
    pub fn usage(&self, class: Class) -> Usage {
        self.derived.room.usage[class as usize]
    }

    /// Adds the record in a slot to the room of its class, and returns the class; `digest` is that of its contents.
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

    /// What the record in a slot takes of the room of its class. `None` for clients.
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

    /// Whether this server may have issued a record, and dropped it because others took all the room.
    pub(super) fn may_have_dropped(&self, record: &Record<'_>) -> bool {
        // Whatever times a lie has, this server's own accounts are in time.
        let is_account = record.kind == Kind::QUOTA && QuotaKey::parse(record.key).is_some();
        let class = if is_account { Some(Class::Quota) } else { self.class_of(record) };
        class.is_some_and(|class| self.own.has_dropped[class as usize])
    }

    /// Removes records of a class until the rest fit. Returns whether the record in `new` is still held.
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

    /// Sets the herd's servers, for whose accounts there is room.
    pub fn set_members(&mut self, members: Arc<BTreeSet<ServerName>>) -> Wake {
        let accounts: Vec<_> = self.derived.room.accounts();
        for &id in &accounts {
            self.before_change(id, self.key_hash(id));
        }
        self.origins.set_members(members);
        for &id in &accounts {
            self.after_change(id, self.key_hash(id));
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
            format!("{parts:?} take {bytes:?} bytes and {self:?} is noted", self = self.derived.room)
        })
    }
}

/// Whether a record under the name `server` is another server's account. Only the server itself issues its account,
/// so no honest server keeps or relays such a record. Otherwise it could displace the true account while that server
/// is away.
pub(super) fn is_in_anothers_name(record: &Record<'_>, server: &ServerName) -> bool {
    record.kind == Kind::QUOTA && QuotaKey::parse(record.key).is_some_and(|key| key.server != server.as_str())
}

/// The bytes that a record counts.
fn bytes_of(record: &Record<'_>) -> usize {
    RECORD_BYTES + record.key.len() + data_len(record)
}

fn data_len(record: &Record<'_>) -> usize {
    match record.body {
        Body::Data { bytes, .. } => bytes.len(),
        Body::Location { .. } | Body::Gone => 0,
    }
}
