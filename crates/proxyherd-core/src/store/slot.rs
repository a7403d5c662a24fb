//! A slot holds one record in 64 bytes, which is a cache line, and one allocation for its key and attributes.

use xxhash_rust::xxh3::xxh3_64;

use crate::types::{Attributes, Body, Coordinates, Decimal, Difference, KeyHash, Kind, Record, Timestamp};

/// Links of this server, one bit each.
pub(crate) type LinkMask = u32;
/// Followers of this server in addition to its links, one bit each.
pub(crate) type FollowerMask = u8;

/// The longitude of a tombstone, which has no position.
const GONE: u64 = u64::MAX;
/// The longitude of a record that has data instead of a position. Its `latitude` holds the number of seconds for which
/// the record is kept.
const DATA: u64 = u64::MAX - 1;
/// The longitude of a removed record, of which only the key is kept for followers.
const REMOVED: u64 = u64::MAX - 2;
/// The position of the followers' marks in `longitude`, above the 55 bits of a [`Decimal`] and the bit that is set if
/// there is no position.
const FOLLOWED_SHIFT: u32 = 56;
/// The position of the timestamp's shape in `latitude`, above the 55 bits of a [`Decimal`].
const SHAPE_SHIFT: u32 = 55;
/// Set in `latitude` once the followers were told that the record is no longer shown. The mark is no part of the
/// record.
const HIDDEN: u64 = 1 << 63;
/// Bits without a pattern, so that a record of zeros does not multiply zeros: the bits of the golden ratio and of the
/// square roots of 2 and 3.
const DIGEST_WORDS: [u64; 3] = [0x9E37_79B9_7F4A_7C15, 0x6A09_E667_F3BC_C908, 0xBB67_AE85_84CA_A73B];
/// The value of `from` if no link brought this record.
const NO_LINK: u8 = u8::MAX;

/// A record as it is kept. Coordinates and timestamp are folded into numbers from which their original text can be
/// written again.
///
/// The slot is aligned, so that a visit of a slot waits for one cache line and not for two.
#[derive(Clone, Debug, Default)]
#[repr(align(64))]
pub(crate) struct Slot {
    latitude: u64,
    /// The highest bits hold the followers whose queues contain this slot; see [`Slot::followed`].
    longitude: u64,
    nanos: u64,
    difference: i64,
    /// The record's sequence: its number among the origin's updates.
    pub(crate) seq: u64,
    /// Kind (1 byte), key, attributes or data. If this is empty, the slot is free.
    blob: Box<[u8]>,
    /// The links whose FIFO contains this slot. A free slot keeps the bits, and its next record is sent at that
    /// position of the FIFO.
    pub(crate) queued: LinkMask,
    /// The origin's place in its shard's table.
    pub(crate) origin: u16,
    key_len_less_one: u8,
    from: u8,
}

impl Slot {
    /// Whether the slot holds a record.
    pub(crate) fn is_live(&self) -> bool {
        !self.blob.is_empty() && self.longitude() != REMOVED
    }

    /// The key of a removed record, while followers still have to be sent its removal.
    pub(crate) fn removed(&self) -> Option<(Kind, &[u8])> {
        (self.longitude() == REMOVED).then(|| (Kind(self.blob[0]), self.key()))
    }

    /// The followers whose queues contain this slot. Like the links' marks, these bits stay when the slot becomes free.
    #[inline(always)]
    pub(crate) fn followed(&self) -> FollowerMask {
        (self.longitude >> FOLLOWED_SHIFT) as FollowerMask
    }

    /// Sets the followers whose queues contain this slot.
    pub(crate) fn set_followed(&mut self, followers: FollowerMask) {
        self.longitude = self.longitude << 8 >> 8 | u64::from(followers) << FOLLOWED_SHIFT;
    }

    /// The longitude without the followers' marks. The bit below the marks says whether there is a position. Extended
    /// over the marks, this bit restores [`GONE`] and the other special values, which count in digests.
    #[inline(always)]
    fn longitude(&self) -> u64 {
        (self.longitude.cast_signed() << 8 >> 8).cast_unsigned()
    }

    #[inline(always)]
    fn set_longitude(&mut self, longitude: u64) {
        let followers = self.followed();
        self.longitude = longitude;
        self.set_followed(followers);
    }

    /// A byte that can only be read by reading the slot's allocation, too.
    pub(super) fn first_byte(&self) -> Option<u8> {
        self.blob.first().copied()
    }

    /// Whether the slot is about a key. Kind and key are compared in one run.
    pub(super) fn is_about(&self, kind: Kind, key: &[u8]) -> bool {
        !self.blob.is_empty() && self.blob[0] == kind.0 && self.key() == key
    }

    fn key(&self) -> &[u8] {
        &self.blob[1..self.key_end()]
    }

    /// The kind of the slot's record.
    #[inline(always)]
    pub(crate) fn kind(&self) -> Kind {
        Kind(self.blob[0])
    }

    /// Whether the slot's record has a position.
    #[inline(always)]
    pub(crate) fn is_location(&self) -> bool {
        self.longitude() < REMOVED
    }

    /// Whether the slot holds a tombstone.
    #[inline(always)]
    pub(crate) fn is_gone(&self) -> bool {
        self.longitude() == GONE
    }

    /// Whether the record has attributes or data. Only the slot is read, not its allocation.
    #[inline(always)]
    pub(crate) fn has_tail(&self) -> bool {
        self.blob.len() > self.key_end()
    }

    /// Whether [`Slot::hide`] was called for this record.
    pub(crate) fn is_hidden(&self) -> bool {
        self.latitude & HIDDEN != 0
    }

    /// Notes that the followers were told that the record is no longer shown.
    pub(crate) fn hide(&mut self) {
        self.latitude |= HIDDEN;
    }

    fn key_end(&self) -> usize {
        2 + usize::from(self.key_len_less_one)
    }

    /// The record, borrowed. This method is inlined into each caller, because callers seldom read the whole record.
    #[inline(always)]
    pub(crate) fn record(&self) -> Record<'_> {
        debug_assert!(self.is_live(), "a free slot has no record");
        let (latitude, shape) =
            (self.latitude & ((1 << SHAPE_SHIFT) - 1), (self.latitude >> SHAPE_SHIFT) as u8);
        let timestamp = Timestamp::from_parts_trusted(self.nanos, shape);
        let body = match self.longitude() {
            GONE => Body::Gone,
            DATA => Body::Data { keep_s: latitude as u32, bytes: &self.blob[self.key_end()..] },
            longitude => Body::Location {
                coordinates: Coordinates::trusted(Decimal::trusted(latitude), Decimal::trusted(longitude)),
                attributes: Attributes::trusted(&self.blob[self.key_end()..]),
            },
        };
        Record {
            kind: Kind(self.blob[0]),
            key: self.key(),
            body,
            timestamp,
            difference: Difference::trusted(self.difference),
        }
    }

    /// A hash of the whole content of the record, which is the same at every server. `key` is the hash of the record's
    /// key. `server` is a hash of the name of the server that took the record. The digest is part of the link protocol,
    /// because servers compare sums of digests.
    ///
    /// Every report costs two digests, so the words are multiplied in parallel and not one after the other.
    #[inline]
    pub(crate) fn digest(&self, key: KeyHash, server: u64) -> u64 {
        let tail = &self.blob[self.key_end()..];
        let tail = if tail.is_empty() { 0 } else { xxh3_64(tail) };
        let key = key.bits() ^ u64::from(self.blob[0]);
        let place = folded_product(self.latitude & !HIDDEN ^ key, self.longitude() ^ DIGEST_WORDS[0]);
        let time = folded_product(self.nanos ^ DIGEST_WORDS[1], self.difference.cast_unsigned() ^ key);
        folded_product(place ^ tail ^ DIGEST_WORDS[2], time.wrapping_add(place) ^ server)
    }

    /// Writes `record` into a free slot.
    pub(crate) fn fill(&mut self, record: &Record<'_>) {
        debug_assert!(!self.is_live(), "a slot is filled when it is free");
        let tail = self.set_numbers(record);
        self.set_blob(record.kind, record.key, tail);
    }

    /// Writes `record` over another record of the same key. Allocates only if attributes or data change their length.
    pub(super) fn replace(&mut self, record: &Record<'_>) {
        debug_assert!(
            self.is_about(record.kind, record.key),
            "a slot is overwritten only by a record of its key"
        );
        let tail = self.set_numbers(record);
        let key_end = self.key_end();
        if self.blob.len() == key_end + tail.len() {
            self.blob[key_end..].copy_from_slice(tail);
        } else {
            self.set_blob(record.kind, record.key, tail);
        }
    }

    /// Writes everything except the allocation. Returns the bytes that belong behind the key: attributes or data.
    fn set_numbers<'r>(&mut self, record: &Record<'r>) -> &'r [u8] {
        let shape = u64::from(record.timestamp.shape()) << SHAPE_SHIFT;
        let tail: &[u8] = match record.body {
            Body::Gone => {
                self.latitude = shape;
                self.set_longitude(GONE);
                &[]
            }
            Body::Data { keep_s, bytes } => {
                self.latitude = u64::from(keep_s) | shape;
                self.set_longitude(DATA);
                bytes
            }
            Body::Location { coordinates, attributes } => {
                self.latitude = coordinates.latitude().to_bits() | shape;
                self.set_longitude(coordinates.longitude().to_bits());
                attributes.as_bytes()
            }
        };
        self.nanos = record.timestamp.nanos();
        self.difference = record.difference.nanos();
        tail
    }

    fn set_blob(&mut self, kind: Kind, key: &[u8], tail: &[u8]) {
        let mut blob = Vec::with_capacity(1 + key.len() + tail.len());
        blob.push(kind.0);
        blob.extend_from_slice(key);
        blob.extend_from_slice(tail);
        self.blob = blob.into_boxed_slice();
        self.key_len_less_one = u8::try_from(key.len() - 1).expect("a key is 1 to 256 bytes");
    }

    /// Forgets the record and frees the slot.
    pub(super) fn clear(&mut self) {
        let followers = self.followed();
        *self = Slot { queued: self.queued, ..Slot::default() };
        self.set_followed(followers);
    }

    /// Forgets the record except for its key. The slot stays in use until it is cleared.
    pub(super) fn retire(&mut self) {
        let key_end = self.key_end();
        if self.blob.len() > key_end {
            self.blob = self.blob[..key_end].into();
        }
        self.set_longitude(REMOVED);
    }

    /// Whether the record came over `link`, so that the neighbor there has it.
    pub(crate) fn is_from(&self, link: u8) -> bool {
        self.from == link
    }

    /// Notes which link brought the record, if one did.
    pub(crate) fn set_from(&mut self, link: Option<u8>) {
        self.from = link.unwrap_or(NO_LINK);
    }
}

/// Combines both halves of a product into one word. Each bit of the word depends on many bits of both factors.
#[inline]
fn folded_product(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_one_cache_line() {
        assert_eq!((size_of::<Slot>(), align_of::<Slot>()), (64, 64));
    }

    #[test]
    fn followers_marks_change_nothing_of_a_record() {
        let timestamp = Timestamp::from_nanos(7).unwrap();
        let coordinates = Coordinates::parse(b"-90.000000000000+180.000000000000").unwrap();
        let location = Body::Location { coordinates, attributes: Attributes::NONE };
        for body in [location, Body::Gone, Body::Data { keep_s: u32::MAX, bytes: b"data" }] {
            let record = Record {
                kind: Kind::CLIENT,
                key: b"kiwi",
                body,
                timestamp,
                difference: Difference::at_receipt(9, timestamp),
            };
            let mut slot = Slot::default();
            slot.fill(&record);
            let digest = slot.digest(KeyHash::of(b"kiwi"), 1);
            for followers in [FollowerMask::MAX, 1, 0x80, 0] {
                slot.set_followed(followers);
                assert_eq!((slot.record(), slot.followed()), (record, followers));
                assert_eq!(slot.digest(KeyHash::of(b"kiwi"), 1), digest);
                slot.hide();
                assert_eq!((slot.record(), slot.is_hidden()), (record, true));
                assert_eq!(slot.digest(KeyHash::of(b"kiwi"), 1), digest);
                slot.replace(&record);
                assert_eq!((slot.record(), slot.followed()), (record, followers));
                assert!(!slot.is_hidden(), "another record is shown");
            }
            slot.set_followed(0b101);
            slot.retire();
            assert!(!slot.is_live());
            assert_eq!((slot.removed(), slot.followed()), (Some((Kind::CLIENT, &b"kiwi"[..])), 0b101));
            slot.clear();
            assert_eq!((slot.removed(), slot.followed(), slot.is_live()), (None, 0b101, false));
        }
    }

    /// These numbers are part of version 2 of the link protocol: servers that disagree on them repair without end.
    #[test]
    fn the_digest_that_servers_compare_stays_what_it_is() {
        let mut attributes = crate::types::AttributesBuf::default();
        attributes.set("note", crate::types::AttributeValue::Text("on my way")).unwrap();
        let timestamp = Timestamp::parse(b"1621464827.959498503").unwrap();
        let coordinates = Coordinates::parse(b"+34.068930-118.445127").unwrap();
        let location = |attributes| Body::Location { coordinates, attributes };
        let bodies = [
            (Kind::CLIENT, location(attributes.borrow())),
            (Kind::CLIENT, location(Attributes::NONE)),
            (Kind::CLIENT, Body::Gone),
            (Kind(200), Body::Data { keep_s: 86_400, bytes: b"of a later version" }),
        ];
        let mut digests = Vec::new();
        for (kind, body) in bodies {
            let difference = Difference::from_nanos(263_873_386, timestamp).unwrap();
            let mut slot = Slot::default();
            slot.fill(&Record { kind, key: b"kiwi", body, timestamp, difference });
            let (key, server) = (KeyHash::of(b"kiwi"), 0xE703_7ED1_A0B4_28DB);
            digests.push(slot.digest(key, server));
        }
        assert_eq!(
            digests,
            [0x7781_7CD7_6685_8813, 0xC548_C44B_65B7_4A81, 0xF8D1_A707_566D_7374, 0x40FD_E46A_AADD_A800]
        );
    }
}
