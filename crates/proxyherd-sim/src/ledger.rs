//! The ledger contains every update that any server ever took, with origin, shard and sequence, as only an outside
//! observer can know them. It also contains every record that a bad member sent.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use proxyherd_core::{
    flood::Update,
    limits::{CHECK_SLICE_MIN_NS, CHECK_SLICES, INCARNATIONS_MAX, SHARDS, TOMBSTONE_TTL_NS},
    replica::shard_index,
    types::{
        Attributes, Body, ClientId, Coordinates, Difference, Kind, Origin, Record, Report, ServerName, Stamp,
        Timestamp,
    },
};

use crate::{
    scenario::CLOCK_OFFSET_MAX_NS,
    timeline::{Nanos, SECOND},
    trace::Trace,
};

/// If a record expired this long ago by the clock that is furthest ahead, it has expired by all clocks.
const FADING_NS: u64 = 4 * 60 * SECOND;
/// If records were received this long before the time from which servers compare, all servers have merged and compared
/// the records.
const TO_COME_NS: u64 = 40 * SECOND;
/// Maximum number of updates that a server issues by itself and replaces itself at one moment.
const OVERTAKEN_MAX: usize = 10_000;

/// The kind and the key of a record.
pub(crate) type Key = (Kind, Box<[u8]>);

/// A record, owned, with the server that took it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The kind, and the client.
    pub(crate) key: Key,
    body: OwnedBody,
    timestamp: Timestamp,
    difference: Difference,
    server: ServerName,
}

#[derive(Clone, PartialEq, Eq)]
enum OwnedBody {
    Gone,
    Location(Coordinates, Box<[u8]>),
    Data(u32, Box<[u8]>),
}

/// A description that is short enough for a person. The contents of the attributes do not matter.
impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, server) = (String::from_utf8_lossy(&self.key.1), self.server.as_str());
        let (timestamp, difference) = (self.timestamp, self.difference);
        match &self.body {
            OwnedBody::Gone => write!(f, "{key} gone"),
            OwnedBody::Location(place, attributes) => {
                write!(f, "{key} at {place:?} ({} bytes more)", attributes.len())
            }
            OwnedBody::Data(keep_s, bytes) => {
                write!(f, "{:?} {key}: {} bytes for {keep_s} s", self.key.0, bytes.len())
            }
        }?;
        write!(f, " at {timestamp:?} {difference:?} by {server}")
    }
}

impl Taken {
    /// A copy of a held record.
    pub(crate) fn from(held: Update<'_>) -> Taken {
        Taken::of(&held.record, &held.origin.server)
    }

    /// A copy of a record that `server` took.
    pub(crate) fn of(record: &Record<'_>, server: &ServerName) -> Taken {
        Taken {
            key: (record.kind, record.key.into()),
            body: match record.body {
                Body::Location { coordinates, attributes } => {
                    OwnedBody::Location(coordinates, attributes.as_bytes().into())
                }
                Body::Gone => OwnedBody::Gone,
                Body::Data { keep_s, bytes } => OwnedBody::Data(keep_s, bytes.into()),
            },
            timestamp: record.timestamp,
            difference: record.difference,
            server: server.clone(),
        }
    }

    /// The same record with the body of another record.
    pub(crate) fn at_place_of(self, other: &Taken) -> Taken {
        Taken { body: other.body.clone(), ..self }
    }

    /// Whether the held record is at least as great as this one.
    pub(crate) fn is_covered_by(&self, held: Update<'_>) -> bool {
        held.record.precedence(&held.origin.server, &self.record(), &self.server).is_ge()
    }

    /// Whether the record is no longer shown, in a herd where reports expire this long after their receipt.
    pub(crate) fn is_over(&self, clock_ns: u64, client_ttl: Option<Nanos>) -> bool {
        let ttl = self.ttl(client_ttl).into_iter().chain(self.own_ttl()).min();
        ttl.is_some_and(|ttl| self.received_ns().saturating_add(ttl) <= clock_ns)
    }

    /// The time to live that the report itself has.
    pub(crate) fn own_ttl(&self) -> Option<Nanos> {
        let Body::Location { attributes, .. } = self.record().body else { return None };
        attributes.ttl_s().map(|ttl_s| u64::from(ttl_s.get()) * SECOND)
    }

    /// Whether the record counts in the sums that servers compare from `from_ns`; see `proxyherd_core::flood`.
    pub(crate) fn is_compared(&self, from_ns: u64, client_ttl: Option<Nanos>) -> bool {
        self.ttl(client_ttl).is_none_or(|ttl| {
            let expiry_ns = self.received_ns().saturating_add(ttl);
            expiry_ns - expiry_ns % (ttl / CHECK_SLICES).max(CHECK_SLICE_MIN_NS) >= from_ns
        })
    }

    /// The time at which the record's server took it.
    pub(crate) fn received_ns(&self) -> u64 {
        self.difference.received_ns(self.timestamp)
    }

    /// The same record with another time of receipt.
    pub(crate) fn received_at(&self, received_ns: u64) -> Taken {
        Taken { difference: Difference::at_receipt(received_ns, self.timestamp), ..self.clone() }
    }

    /// Whether this record is at least as great as the other record, which must be of the same client.
    pub(crate) fn wins_or_equals(&self, other: &Taken) -> bool {
        self.record().precedence(&self.server, &other.record(), &other.server).is_ge()
    }

    /// Adds the whole record to a trace.
    fn digest(&self, trace: &mut Trace) {
        self.digest_body(trace);
        trace.note_bytes(self.server.as_str().as_bytes());
        trace.note(self.timestamp.nanos());
        trace.note(u64::from(self.timestamp.shape()));
        trace.note(self.difference.nanos().cast_unsigned());
    }

    fn digest_body(&self, trace: &mut Trace) {
        trace.note(u64::from(self.key.0.0));
        trace.note_bytes(&self.key.1);
        match &self.body {
            OwnedBody::Gone => {}
            OwnedBody::Location(coordinates, attributes) => {
                trace.note(coordinates.latitude().to_bits());
                trace.note(coordinates.longitude().to_bits());
                trace.note_bytes(attributes);
            }
            OwnedBody::Data(keep_s, bytes) => {
                trace.note(u64::from(*keep_s));
                trace.note_bytes(bytes);
            }
        }
    }

    /// The time for which the record is kept. A report is kept longer than it is shown, like a tombstone.
    fn ttl(&self, client_ttl: Option<Nanos>) -> Option<Nanos> {
        match &self.body {
            OwnedBody::Gone => Some(TOMBSTONE_TTL_NS),
            OwnedBody::Location(..) => {
                client_ttl.or_else(|| self.own_ttl().map(|ttl| ttl.max(TOMBSTONE_TTL_NS)))
            }
            OwnedBody::Data(keep_s, _) => (*keep_s > 0).then_some(u64::from(*keep_s) * SECOND),
        }
    }

    /// A hash of the whole record.
    pub(crate) fn hash(&self) -> u64 {
        let mut trace = Trace::default();
        self.digest(&mut trace);
        trace.hash()
    }

    /// A hash of the key and the body, without server and times.
    fn body_hash(&self) -> u64 {
        let mut trace = Trace::default();
        self.digest_body(&mut trace);
        trace.hash()
    }

    /// The record in the form that the core uses.
    pub(crate) fn record(&self) -> Record<'_> {
        let body = match &self.body {
            OwnedBody::Gone => Body::Gone,
            OwnedBody::Location(coordinates, attributes) => Body::Location {
                coordinates: *coordinates,
                attributes: Attributes::from_bytes(attributes).expect("a valid record has valid attributes"),
            },
            OwnedBody::Data(keep_s, bytes) => Body::Data { keep_s: *keep_s, bytes },
        };
        let (timestamp, difference) = (self.timestamp, self.difference);
        Record { kind: self.key.0, key: &self.key.1, body, timestamp, difference }
    }

    /// The report that made the record. `None` for a tombstone.
    pub(crate) fn report(&self) -> Option<Report<'_>> {
        let record = self.record();
        let Body::Location { coordinates, attributes } = record.body else { return None };
        let client = ClientId::new(&self.key.1)?;
        Some(Report { client, coordinates, stamp: Stamp::Client(self.timestamp), attributes })
    }

    /// An upper bound of the record's bytes on the wire.
    fn len(&self) -> u64 {
        let body_len = match &self.body {
            OwnedBody::Gone => 0,
            OwnedBody::Location(_, bytes) | OwnedBody::Data(_, bytes) => bytes.len(),
        };
        (64 + self.key.1.len() + body_len) as u64
    }
}

/// The updates of one origin in one shard; the first has sequence 1. `None` stands for an update that its server issued
/// by itself and replaced itself before the simulator could see the update.
type Stream = Vec<Option<Taken>>;

/// The ledger.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    origins: BTreeMap<Origin, usize>,
    streams: Vec<[Stream; SHARDS]>,
    /// For each key, an upper bound of the bytes of the key's records. The sum of all bounds limits what a replica may
    /// have to send.
    bytes: HashMap<Key, u64>,
    /// All records of each key that any server took or sent.
    contents: HashMap<Key, Vec<Taken>>,
    /// The hashes of all these records.
    hashes: HashSet<u64>,
    lies: Lies,
    /// Hashes of everything that clients ever reported: the client, and the content.
    reported: HashSet<u64>,
}

/// Everything that bad members sent, and everything else that the ledger cannot know exactly.
#[derive(Debug, Default)]
struct Lies {
    by_key: HashMap<Key, Vec<Taken>>,
    /// Origins for which markers were invented, and the shards, one bit each. I1 promises nothing for these origins in
    /// these shards.
    covered: HashMap<Origin, u32>,
    /// The shards about which anything wrong was sent, one bit each.
    shards: u32,
    /// The invented lives of each server in each shard.
    lives: HashMap<(ServerName, usize), HashSet<u64>>,
    /// The names of the servers in whose name bad members sent something about a key, by the hash of key and body.
    names: HashMap<u64, HashSet<Origin>>,
    /// Origins that began again in the middle of their life and therefore repeat earlier sequences.
    restored: HashSet<Origin>,
}

impl Ledger {
    /// Enters an update that its server has just taken. Fails if the update's sequence is not the next one.
    pub(crate) fn enter(&mut self, held: Update<'_>) -> Result<(), String> {
        if self.lies.restored.contains(held.origin) {
            self.note(&Taken::from(held));
            return Ok(());
        }
        let origin = self.origins.len();
        let origin = *self.origins.entry(held.origin.clone()).or_insert(origin);
        if origin == self.streams.len() {
            self.streams.push(Default::default());
        }
        let taken = Taken::from(held);
        self.note(&taken);
        let stream = &mut self.streams[origin][shard_index(held.record.key)];
        stream.push(Some(taken));
        if held.seq == stream.len() as u64 {
            return Ok(());
        }
        Err(format!("{:?} took its update {} with sequence {}", held.origin, stream.len(), held.seq))
    }

    /// Enters an update that a server has issued by itself. It may have replaced other updates of the same moment.
    pub(crate) fn enter_later(&mut self, held: Update<'_>) -> Result<(), String> {
        let shard = shard_index(held.record.key);
        if let Some(&origin) = self.origins.get(held.origin) {
            let stream = &mut self.streams[origin][shard];
            let overtaken = (held.seq as usize).saturating_sub(1).min(stream.len() + OVERTAKEN_MAX);
            stream.resize(overtaken.max(stream.len()), None);
        } else if held.seq > 1 {
            self.origins.insert(held.origin.clone(), self.streams.len());
            self.streams.push(Default::default());
            return self.enter_later(held);
        }
        self.enter(held)
    }

    /// Enters the answer of a restored server, if the answer is about a key about which a bad member sent anything.
    pub(crate) fn enter_answer(&mut self, record: &Taken) {
        if self.lies.by_key.contains_key(&record.key) {
            self.note(record);
        }
    }

    /// Notes that an origin has reached this many updates in a shard. Updates that are not entered were replaced before
    /// the simulator could see them.
    pub(crate) fn enter_overtaken(&mut self, origin: &Origin, shard: usize, covered: u64) {
        let Some(&number) = self.origins.get(origin) else {
            self.origins.insert(origin.clone(), self.streams.len());
            self.streams.push(Default::default());
            return self.enter_overtaken(origin, shard, covered);
        };
        let stream = &mut self.streams[number][shard];
        stream.resize(stream.len().max((covered as usize).min(stream.len() + OVERTAKEN_MAX)), None);
    }

    /// Enters a client's report that a server has just taken.
    pub(crate) fn enter_report(&mut self, held: Update<'_>) {
        self.reported.insert(Taken::from(held).body_hash());
    }

    /// Enters a record that a server has retold in another server's name. The ledger recognizes it because it holds the
    /// same record with another time.
    pub(crate) fn enter_retold(&mut self, record: &Taken) {
        let contents = self.contents.get(&record.key).into_iter().flatten();
        if contents.into_iter().any(|one| one.server == record.server && one.body == record.body) {
            self.note(record);
        }
    }

    fn note(&mut self, taken: &Taken) {
        let longest = self.bytes.entry(taken.key.clone()).or_default();
        *longest = taken.len().max(*longest);
        if self.hashes.insert(taken.hash()) {
            self.contents.entry(taken.key.clone()).or_default().push(taken.clone());
        }
    }

    /// The ledger's number of an origin.
    pub(crate) fn origin(&self, origin: &Origin) -> Option<usize> {
        self.origins.get(origin).copied()
    }

    /// All origins that ever took an update.
    pub(crate) fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.origins.keys()
    }

    /// The updates of an origin in a shard.
    pub(crate) fn stream(&self, origin: usize, shard: usize) -> &[Option<Taken>] {
        &self.streams[origin][shard]
    }

    /// The number of updates that an origin has taken in a shard.
    pub(crate) fn taken_by(&self, origin: &Origin, shard: usize) -> u64 {
        self.origin(origin).map_or(0, |origin| self.stream(origin, shard).len() as u64)
    }

    /// Whether the held record is exactly an update that was taken. In a shard about which a bad member sent anything,
    /// whether the record's content is that of a record that was taken or sent.
    pub(crate) fn knows(&self, held: Update<'_>) -> bool {
        let (shard, record) = (shard_index(held.record.key), Taken::from(held));
        let taken = self.origin(held.origin).and_then(|origin| {
            let at = (held.seq as usize).wrapping_sub(1);
            self.stream(origin, shard).get(at)?.as_ref()
        });
        let is_content = || self.hashes.contains(&record.hash());
        taken.is_some_and(|taken| *taken == record) || self.is_lied_about(shard) && is_content()
    }

    /// The number of keys that were ever taken or sent.
    pub(crate) fn keys_len(&self) -> usize {
        self.bytes.len()
    }

    /// The number of records of a key that were ever taken or sent.
    pub(crate) fn contents_len(&self, key: &Key) -> usize {
        self.contents.get(key).map_or(0, Vec::len)
    }

    /// Whether a record is among the first `known` ones of its key that were taken or sent.
    pub(crate) fn is_among_first(&self, record: &Taken, known: usize) -> bool {
        let contents = self.contents.get(&record.key).map_or(&[][..], Vec::as_slice);
        contents[..known.min(contents.len())].contains(record)
    }

    /// An upper bound of the bytes that a whole replica takes on the wire.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.values().sum()
    }
}

/// Methods about everything that bad members and restored servers have made uncertain.
impl Ledger {
    /// Notes that a bad member sends a record.
    pub(crate) fn tell(&mut self, origin: &Origin, record: &Taken) {
        self.note(record);
        let lives = self.lies.lives.entry((origin.server.clone(), shard_index(&record.key.1))).or_default();
        lives.insert(origin.incarnation);
        // A server about which a bad member lies issues all of its own records again, in all shards.
        self.lies.shards = u32::MAX;
        self.lies.by_key.entry(record.key.clone()).or_default().push(record.clone());
        self.lies.names.entry(record.body_hash()).or_default().insert(origin.clone());
    }

    /// Notes that a bad member sends up to which sequence an origin is covered in a shard.
    pub(crate) fn tell_covered(&mut self, origin: &Origin, shard: u8) {
        let bit = 1u32.checked_shl(shard.into()).unwrap_or(0);
        *self.lies.covered.entry(origin.clone()).or_default() |= bit;
        self.lies.shards |= bit;
    }

    /// Notes that a server continues in the middle of this life, from an earlier moment.
    pub(crate) fn restore(&mut self, origin: &Origin) {
        self.lies.restored.insert(origin.clone());
        self.doubt(origin);
    }

    /// Notes that a server may have given up updates of this life. Until checks find that, servers may hold different
    /// records in every shard.
    pub(crate) fn doubt(&mut self, origin: &Origin) {
        self.lies.covered.insert(origin.clone(), u32::MAX);
        self.lies.shards = u32::MAX;
    }

    /// Whether this origin continued from an earlier point of its life.
    pub(crate) fn is_restored(&self, origin: &Origin) -> bool {
        self.lies.restored.contains(origin)
    }

    /// Whether I1 promises nothing of an origin in a shard, because bad members invented markers that cover the origin.
    pub(crate) fn is_unsure(&self, origin: &Origin, shard: usize) -> bool {
        self.lies.covered.get(origin).is_some_and(|shards| shards & 1 << shard != 0)
    }

    /// Whether anything wrong was sent about a shard. In such a shard the servers' records have to agree, but their
    /// vectors need not: equal records may have come with other sequences.
    pub(crate) fn is_lied_about(&self, shard: usize) -> bool {
        self.lies.shards & 1 << shard != 0
    }

    /// Whether bad members sent any record.
    pub(crate) fn knows_lies(&self) -> bool {
        !self.lies.by_key.is_empty()
    }

    /// Whether a bad member sent a record of this key.
    pub(crate) fn is_told_of(&self, key: &Key) -> bool {
        self.lies.by_key.contains_key(key)
    }

    /// Whether a bad member's record of this key is about to expire at `from_ns`, or has just expired. Servers no
    /// longer compare the record. They may still hold an older record that the bad member's record had replaced.
    pub(crate) fn is_fading(&self, key: &Key, from_ns: u64, client_ttl: Option<Nanos>) -> bool {
        let told = self.lies.by_key.get(key).into_iter().flatten();
        // A server whose clock is behind has not yet merged records that were received later than this.
        let is_to_come = |lie: &Taken| lie.received_ns() > from_ns.saturating_sub(TO_COME_NS);
        let is_fading = |lie: &Taken| {
            is_to_come(lie)
                || !lie.is_compared(from_ns, client_ttl)
                    && !lie.is_over(from_ns.saturating_sub(FADING_NS), client_ttl)
        };
        told.into_iter().any(is_fading)
    }

    /// Whether a record of a key is in the name of a server of which bad members invented too many lives. There is room
    /// for further lives only one after the other, minutes later.
    pub(crate) fn is_crowded(&self, key: &Key) -> bool {
        let shard = shard_index(&key.1);
        let is_crowded = |record: &Taken| {
            let lives = self.lies.lives.get(&(record.server.clone(), shard));
            lives.is_some_and(|lives| lives.len() > INCARNATIONS_MAX / 2)
        };
        self.contents.get(key).is_some_and(|contents| contents.iter().any(is_crowded))
    }

    /// The names in which bad members sent the content of this record for its key, unless a client reported that
    /// content. Tombstones do not count, because servers answer with tombstones, too.
    pub(crate) fn names_of_lie(&self, record: &Taken) -> Option<&HashSet<Origin>> {
        let hash = record.body_hash();
        let is_lie = record.body != OwnedBody::Gone && !self.reported.contains(&hash);
        self.lies.names.get(&hash).filter(|_| is_lie)
    }

    /// Whether a bad member sent exactly this record.
    pub(crate) fn is_lie(&self, record: &Taken) -> bool {
        self.lies.by_key.get(&record.key).is_some_and(|told| told.contains(record))
    }

    /// Whether a record that won over this update need not have been passed on, although the server that held the
    /// record claimed to cover the update. There are four reasons. A bad member sent the winning record. Or the
    /// neighbor holds an invented marker of that record's server, and so may claim to have the record. Or the winning
    /// record was received when the update had expired. Or a bad member sent any record of the key, and the update had
    /// expired by a clock that is ahead of this one.
    pub(crate) fn is_outbid(&self, update: &Taken, clock_ns: u64, client_ttl: Option<Nanos>) -> bool {
        let shard = shard_index(&update.key.1);
        let is_unsure = |later: &Taken| {
            let of_it = self.lies.covered.iter().filter(|(origin, _)| origin.server == later.server);
            of_it.into_iter().any(|(_, shards)| shards & 1 << shard != 0)
        };
        let told = self.lies.by_key.get(&update.key).into_iter().flatten();
        let contents = self.contents.get(&update.key).into_iter().flatten();
        let is_over_ahead = update.is_over(clock_ns.saturating_add(CLOCK_OFFSET_MAX_NS), client_ttl);
        told.into_iter().any(|lie| lie.wins_or_equals(update) || is_over_ahead)
            || contents.into_iter().any(|later| {
                update.is_over(later.received_ns(), client_ttl)
                    || later != update && later.wins_or_equals(update) && is_unsure(later)
            })
    }

    /// Whether a bad member sent a record of this key that claims to have been received when this update had expired.
    /// Such a record replaces the update at once, and any older record may win over it.
    pub(crate) fn is_displaced(&self, update: &Taken, client_ttl: Option<Nanos>) -> bool {
        let told = self.lies.by_key.get(&update.key).into_iter().flatten();
        told.into_iter().any(|lie| update.is_over(lie.received_ns(), client_ttl))
    }

    /// Whether a record that won over this update has expired before the update. This is a bad member's record, or a
    /// record that came after the tombstone that answered the bad member's record.
    pub(crate) fn is_excused(&self, update: &Taken, clock_ns: u64, client_ttl: Option<Nanos>) -> bool {
        let contents = self.contents.get(&update.key).into_iter().flatten();
        contents.into_iter().any(|one| one.is_over(clock_ns, client_ttl) && one.wins_or_equals(update))
    }
}
