//! Every update that any server ever took, as only somebody outside can know it: origin, shard, sequence, record; and
//! every record that a bad member told.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use proxyherd_core::{
    flood::Held,
    limits::{CHECK_SLICE_MIN_NS, CHECK_SLICES, INCARNATIONS_MAX, SHARDS, TOMBSTONE_TTL_NS},
    map::shard_index,
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

/// What has expired for so long by the clock that is furthest ahead, has expired by all clocks.
const FADING_NS: u64 = 4 * 60 * SECOND;
/// What was received so long before the time from which servers compare, they have all merged and compared.
const TO_COME_NS: u64 = 40 * SECOND;
/// Most updates that a server says by itself and overtakes itself at one moment.
const OVERTAKEN_MAX: usize = 10_000;

/// What a record is about.
pub(crate) type Key = (Kind, Box<[u8]>);

/// A record, owned, and who took it.
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

/// Short enough for a person: what stands in the attributes does not matter.
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
    /// A copy of what is held.
    pub(crate) fn from(held: Held<'_>) -> Taken {
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

    /// The same, but with what another says of the key.
    pub(crate) fn at_place_of(self, other: &Taken) -> Taken {
        Taken { body: other.body.clone(), ..self }
    }

    /// Whether what is held is at least this.
    pub(crate) fn is_covered_by(&self, held: Held<'_>) -> bool {
        held.record.precedence(&held.origin.server, &self.record(), &self.server).is_ge()
    }

    /// Whether its time is over, where reports are forgotten so long after their receipt.
    pub(crate) fn is_over(&self, clock_ns: u64, client_ttl: Option<Nanos>) -> bool {
        self.ttl(client_ttl).is_some_and(|ttl| self.received_ns().saturating_add(ttl) <= clock_ns)
    }

    /// Whether it is part of the sums that servers compare at `from_ns`; see `proxyherd_core::flood`.
    pub(crate) fn is_compared(&self, from_ns: u64, client_ttl: Option<Nanos>) -> bool {
        self.ttl(client_ttl).is_none_or(|ttl| {
            let expiry_ns = self.received_ns().saturating_add(ttl);
            expiry_ns - expiry_ns % (ttl / CHECK_SLICES).max(CHECK_SLICE_MIN_NS) >= from_ns
        })
    }

    /// When its server says that it took it.
    pub(crate) fn received_ns(&self) -> u64 {
        self.difference.received_ns(self.timestamp)
    }

    /// Whether this is at least the other, of the same client.
    pub(crate) fn wins_or_equals(&self, other: &Taken) -> bool {
        self.record().precedence(&self.server, &other.record(), &other.server).is_ge()
    }

    /// Notes all of it.
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

    fn ttl(&self, client_ttl: Option<Nanos>) -> Option<Nanos> {
        match &self.body {
            OwnedBody::Gone => Some(TOMBSTONE_TTL_NS),
            OwnedBody::Location(..) => client_ttl,
            OwnedBody::Data(keep_s, _) => (*keep_s > 0).then_some(u64::from(*keep_s) * SECOND),
        }
    }

    /// A hash of all of it.
    pub(crate) fn hash(&self) -> u64 {
        let mut trace = Trace::default();
        self.digest(&mut trace);
        trace.hash()
    }

    /// A hash of the key and of what is said of it, whoever says it and when.
    fn body_hash(&self) -> u64 {
        let mut trace = Trace::default();
        self.digest_body(&mut trace);
        trace.hash()
    }

    /// The record as the core has it.
    pub(crate) fn record(&self) -> Record<'_> {
        let body = match &self.body {
            OwnedBody::Gone => Body::Gone,
            OwnedBody::Location(coordinates, attributes) => Body::Location {
                coordinates: *coordinates,
                attributes: Attributes::from_bytes(attributes).expect("they were attributes before"),
            },
            OwnedBody::Data(keep_s, bytes) => Body::Data { keep_s: *keep_s, bytes },
        };
        let (timestamp, difference) = (self.timestamp, self.difference);
        Record { kind: self.key.0, key: &self.key.1, body, timestamp, difference }
    }

    /// The report that it was; a tombstone was none.
    pub(crate) fn report(&self) -> Option<Report<'_>> {
        let record = self.record();
        let Body::Location { coordinates, attributes } = record.body else { return None };
        let client = ClientId::new(&self.key.1)?;
        Some(Report { client, coordinates, stamp: Stamp::Client(self.timestamp), attributes })
    }

    /// At most so many bytes on the wire.
    fn len(&self) -> u64 {
        let body_len = match &self.body {
            OwnedBody::Gone => 0,
            OwnedBody::Location(_, bytes) | OwnedBody::Data(_, bytes) => bytes.len(),
        };
        (64 + self.key.1.len() + body_len) as u64
    }
}

/// The updates of one origin in one shard; the first has sequence 1. `None`: one that its server took by itself and
/// overtook itself, before anybody could see it.
type Stream = Vec<Option<Taken>>;

/// The book.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    origins: BTreeMap<Origin, usize>,
    streams: Vec<[Stream; SHARDS]>,
    /// All keys ever taken are at most so long together, records and all: what a map may have to carry.
    bytes: HashMap<Key, u64>,
    /// All that was taken or told of each key, whoever did it.
    contents: HashMap<Key, Vec<Taken>>,
    /// The hashes of all these.
    hashes: HashSet<u64>,
    lies: Lies,
    /// Hashes of all that clients reported, whenever it was: who, and what.
    reported: HashSet<u64>,
}

/// What bad members told, and what else the book cannot have in order.
#[derive(Debug, Default)]
struct Lies {
    by_key: HashMap<Key, Vec<Taken>>,
    /// Origins of which markers were invented, and the shards, one bit each: for these I1 promises nothing.
    covered: HashMap<Origin, u32>,
    /// The shards of which anything was told that is not so, one bit each.
    shards: u32,
    /// How many lives of a server were made up in one shard.
    lives: HashMap<(ServerName, usize), HashSet<u64>>,
    /// In whose names something was told of a key, by the hash of both.
    names: HashMap<u64, HashSet<Origin>>,
    /// Origins that began again, with the sequences of their own past before them.
    restored: HashSet<Origin>,
}

impl Ledger {
    /// Enters an update that its server has just taken; fails where its sequence is not the next.
    pub(crate) fn enter(&mut self, held: Held<'_>) -> Result<(), String> {
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
        Err(format!("{:?} took update {} as its {}", held.origin, stream.len(), held.seq))
    }

    /// Enters an update that a server has said by itself. There it may have overtaken others of the moment before.
    pub(crate) fn enter_later(&mut self, held: Held<'_>) -> Result<(), String> {
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

    /// Enters what a server that was restored has answered, if it is about a key of which a bad member told anything.
    pub(crate) fn enter_answer(&mut self, record: &Taken) {
        if self.lies.by_key.contains_key(&record.key) {
            self.note(record);
        }
    }

    /// An origin has come to so many updates in a shard. Those that are not entered have been overtaken before anybody could see
    /// them.
    pub(crate) fn enter_overtaken(&mut self, origin: &Origin, shard: usize, covered: u64) {
        let Some(&number) = self.origins.get(origin) else {
            self.origins.insert(origin.clone(), self.streams.len());
            self.streams.push(Default::default());
            return self.enter_overtaken(origin, shard, covered);
        };
        let stream = &mut self.streams[number][shard];
        stream.resize(stream.len().max((covered as usize).min(stream.len() + OVERTAKEN_MAX)), None);
    }

    /// A client has just reported this.
    pub(crate) fn enter_report(&mut self, held: Held<'_>) {
        self.reported.insert(Taken::from(held).body_hash());
    }

    /// Enters a record that a server has retold in another's name, if it is one: with another time, but nothing else, it is
    /// in the book.
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

    /// By which number the book knows an origin.
    pub(crate) fn origin(&self, origin: &Origin) -> Option<usize> {
        self.origins.get(origin).copied()
    }

    /// All origins that ever took anything.
    pub(crate) fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.origins.keys()
    }

    /// The updates of an origin in a shard.
    pub(crate) fn stream(&self, origin: usize, shard: usize) -> &[Option<Taken>] {
        &self.streams[origin][shard]
    }

    /// How many updates an origin has taken in a shard.
    pub(crate) fn taken_by(&self, origin: &Origin, shard: usize) -> u64 {
        self.origin(origin).map_or(0, |origin| self.stream(origin, shard).len() as u64)
    }

    /// Whether what is held is an update that was taken, in every byte; or, in a shard of which a bad member told
    /// anything, has the content of one that was taken or told.
    pub(crate) fn knows(&self, held: Held<'_>) -> bool {
        let (shard, record) = (shard_index(held.record.key), Taken::from(held));
        let taken = self.origin(held.origin).and_then(|origin| {
            let at = (held.seq as usize).wrapping_sub(1);
            self.stream(origin, shard).get(at)?.as_ref()
        });
        let is_content = || self.hashes.contains(&record.hash());
        taken.is_some_and(|taken| *taken == record) || self.is_lied_about(shard) && is_content()
    }

    /// How many keys were ever taken or told.
    pub(crate) fn keys_len(&self) -> usize {
        self.bytes.len()
    }

    /// At most so many bytes are on the wire where a whole map is sent.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.values().sum()
    }
}

/// What is not as it should be.
impl Ledger {
    /// A bad member tells a record.
    pub(crate) fn tell(&mut self, origin: &Origin, record: &Taken) {
        self.note(record);
        let lives = self.lies.lives.entry((origin.server.clone(), shard_index(&record.key.1))).or_default();
        lives.insert(origin.incarnation);
        // Whoever is lied about says all of its own anew, in all shards.
        self.lies.shards = u32::MAX;
        self.lies.by_key.entry(record.key.clone()).or_default().push(record.clone());
        self.lies.names.entry(record.body_hash()).or_default().insert(origin.clone());
    }

    /// A bad member tells how far an origin is covered in a shard.
    pub(crate) fn tell_covered(&mut self, origin: &Origin, shard: u8) {
        let bit = 1u32.checked_shl(shard.into()).unwrap_or(0);
        *self.lies.covered.entry(origin.clone()).or_default() |= bit;
        self.lies.shards |= bit;
    }

    /// A server begins again in the middle of this life of its, as it was before.
    pub(crate) fn restore(&mut self, origin: &Origin) {
        self.lies.restored.insert(origin.clone());
        self.doubt(origin);
    }

    /// A server may have given up updates of this life. Servers may hold different things of any shard until their checks
    /// find it.
    pub(crate) fn doubt(&mut self, origin: &Origin) {
        self.lies.covered.insert(origin.clone(), u32::MAX);
        self.lies.shards = u32::MAX;
    }

    /// Whether this origin began again in the middle.
    pub(crate) fn is_restored(&self, origin: &Origin) -> bool {
        self.lies.restored.contains(origin)
    }

    /// Whether I1 promises nothing of an origin in a shard, since markers that cover it were invented.
    pub(crate) fn is_unsure(&self, origin: &Origin, shard: usize) -> bool {
        self.lies.covered.get(origin).is_some_and(|shards| shards & 1 << shard != 0)
    }

    /// Whether anything was told of a shard that is not so. There the records agree and the vectors need not: equal
    /// records may have come with other sequences.
    pub(crate) fn is_lied_about(&self, shard: usize) -> bool {
        self.lies.shards & 1 << shard != 0
    }

    /// Whether bad members told anything.
    pub(crate) fn knows_lies(&self) -> bool {
        !self.lies.by_key.is_empty()
    }

    /// Whether a bad member told anything of this key.
    pub(crate) fn is_told_of(&self, key: &Key) -> bool {
        self.lies.by_key.contains_key(key)
    }

    /// Whether a bad member told something of this key that is about to expire at `from_ns`, or has just done so: servers do
    /// not compare it any more, and may hold what it won over or not.
    pub(crate) fn is_fading(&self, key: &Key, from_ns: u64, client_ttl: Option<Nanos>) -> bool {
        let told = self.lies.by_key.get(key).into_iter().flatten();
        // Where a clock is behind, what was received later than that is not merged yet.
        let is_to_come = |lie: &Taken| lie.received_ns() > from_ns.saturating_sub(TO_COME_NS);
        let is_fading = |lie: &Taken| {
            is_to_come(lie)
                || !lie.is_compared(from_ns, client_ttl)
                    && !lie.is_over(from_ns.saturating_sub(FADING_NS), client_ttl)
        };
        told.into_iter().any(is_fading)
    }

    /// Whether anything was said of a key in the name of a server of which so many lives were made up that there was no room
    /// for others: they have room one after the other, minutes later.
    pub(crate) fn is_crowded(&self, key: &Key) -> bool {
        let shard = shard_index(&key.1);
        let is_crowded = |record: &Taken| {
            let lives = self.lies.lives.get(&(record.server.clone(), shard));
            lives.is_some_and(|lives| lives.len() > INCARNATIONS_MAX / 2)
        };
        self.contents.get(key).is_some_and(|contents| contents.iter().any(is_crowded))
    }

    /// In whose names bad members told what this record says of its key, unless a client reported it. That a key is gone is
    /// also what servers answer.
    pub(crate) fn names_of_lie(&self, record: &Taken) -> Option<&HashSet<Origin>> {
        let hash = record.body_hash();
        let is_lie = record.body != OwnedBody::Gone && !self.reported.contains(&hash);
        self.lies.names.get(&hash).filter(|_| is_lie)
    }

    /// Whether a bad member told just this.
    pub(crate) fn is_lie(&self, record: &Taken) -> bool {
        self.lies.by_key.get(&record.key).is_some_and(|told| told.contains(record))
    }

    /// Whether what won over this update need not have been passed on, though whoever held it said that the update is
    /// covered: a bad member told it; or the neighbor holds an invented marker of the server that took it, and so may say
    /// that it has it. What was received when the update had expired takes its place, too; and so does whatever a bad member
    /// told of the key, where the update had expired by a clock that is ahead of this one.
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

    /// Whether a bad member told of this key something that claims to have been received when this update had expired. It takes
    /// the update's place at once, and any older record may win over it.
    pub(crate) fn is_displaced(&self, update: &Taken, client_ttl: Option<Nanos>) -> bool {
        let told = self.lies.by_key.get(&update.key).into_iter().flatten();
        told.into_iter().any(|lie| update.is_over(lie.received_ns(), client_ttl))
    }

    /// Whether something won over this update and has expired since, before the update has: what a bad member told, or what
    /// came after the tombstone that answered it.
    pub(crate) fn is_excused(&self, update: &Taken, clock_ns: u64, client_ttl: Option<Nanos>) -> bool {
        let contents = self.contents.get(&update.key).into_iter().flatten();
        contents.into_iter().any(|one| one.is_over(clock_ns, client_ttl) && one.wins_or_equals(update))
    }
}
