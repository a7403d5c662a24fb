//! Every update that any server ever took, as only somebody outside can know it: origin, shard, sequence, record.

use std::{collections::HashMap, fmt};

use proxyherd_core::{
    flood::Held,
    limits::SHARDS,
    map::shard_index,
    types::{Attributes, Body, Coordinates, Difference, Kind, Origin, Record, ServerName, Timestamp},
};

use crate::{timeline::Nanos, trace::Trace};

/// A record, owned, and who took it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The client.
    pub(crate) key: Box<[u8]>,
    /// `None`: a tombstone.
    place: Option<(Coordinates, Box<[u8]>)>,
    timestamp: Timestamp,
    difference: Difference,
    server: ServerName,
}

/// Short enough for a person: what stands in the attributes does not matter.
impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, server) = (String::from_utf8_lossy(&self.key), self.server.as_str());
        let (timestamp, difference) = (self.timestamp, self.difference);
        match &self.place {
            None => write!(f, "{key} gone"),
            Some((place, attributes)) => write!(f, "{key} at {place:?} ({} bytes more)", attributes.len()),
        }?;
        write!(f, " at {timestamp:?} {difference:?} by {server}")
    }
}

impl Taken {
    /// A copy of what is held.
    pub(crate) fn from(held: Held<'_>) -> Taken {
        Taken {
            key: held.record.key.into(),
            place: match held.record.body {
                Body::Location { coordinates, attributes } => {
                    Some((coordinates, attributes.as_bytes().into()))
                }
                Body::Gone | Body::Data { .. } => None,
            },
            timestamp: held.record.timestamp,
            difference: held.record.difference,
            server: held.origin.server.clone(),
        }
    }

    /// Whether what is held is at least this.
    pub(crate) fn is_covered_by(&self, held: Held<'_>) -> bool {
        held.record.precedence(&held.origin.server, &self.record(), &self.server).is_ge()
    }

    /// Whether its time is over, where reports are forgotten so long after their receipt.
    pub(crate) fn is_over(&self, clock_ns: u64, ttl: Nanos) -> bool {
        self.place.is_some() && self.difference.received_ns(self.timestamp) + ttl <= clock_ns
    }

    /// Whether this is at least the other, of the same client.
    pub(crate) fn wins_or_equals(&self, other: &Taken) -> bool {
        self.record().precedence(&self.server, &other.record(), &other.server).is_ge()
    }

    /// Notes all of it.
    pub(crate) fn digest(&self, trace: &mut Trace) {
        trace.note_bytes(&self.key);
        trace.note_bytes(self.server.as_str().as_bytes());
        trace.note(self.timestamp.nanos());
        trace.note(u64::from(self.timestamp.shape()));
        trace.note(self.difference.nanos().cast_unsigned());
        if let Some((coordinates, attributes)) = &self.place {
            trace.note(coordinates.latitude().to_bits());
            trace.note(coordinates.longitude().to_bits());
            trace.note_bytes(attributes);
        }
    }

    fn record(&self) -> Record<'_> {
        let body = match &self.place {
            None => Body::Gone,
            Some((coordinates, attributes)) => Body::Location {
                coordinates: *coordinates,
                attributes: Attributes::from_bytes(attributes).expect("they were attributes before"),
            },
        };
        let (timestamp, difference) = (self.timestamp, self.difference);
        Record { kind: Kind::CLIENT, key: &self.key, body, timestamp, difference }
    }
}

/// The updates of one origin in one shard; the first has sequence 1.
type Stream = Vec<Taken>;

/// The book.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    origins: HashMap<Origin, usize>,
    streams: Vec<[Stream; SHARDS]>,
    /// All keys ever taken are at most so long together, records and all: what a map may have to carry.
    bytes: HashMap<Box<[u8]>, u64>,
}

impl Ledger {
    /// Enters an update that its server has just taken; fails where its sequence is not the next.
    pub(crate) fn enter(&mut self, held: Held<'_>) -> Result<(), String> {
        let origin = self.origins.len();
        let origin = *self.origins.entry(held.origin.clone()).or_insert(origin);
        if origin == self.streams.len() {
            self.streams.push(Default::default());
        }
        let taken = Taken::from(held);
        let attributes_len = taken.place.as_ref().map_or(0, |(_, attributes)| attributes.len());
        let len = (64 + taken.key.len() + attributes_len) as u64;
        let longest = self.bytes.entry(taken.key.clone()).or_default();
        *longest = len.max(*longest);
        let stream = &mut self.streams[origin][shard_index(held.record.key)];
        stream.push(taken);
        if held.seq == stream.len() as u64 {
            return Ok(());
        }
        Err(format!("{:?} took update {} as its {}", held.origin, stream.len(), held.seq))
    }

    /// By which number the book knows an origin.
    pub(crate) fn origin(&self, origin: &Origin) -> Option<usize> {
        self.origins.get(origin).copied()
    }

    /// The updates of an origin in a shard.
    pub(crate) fn stream(&self, origin: usize, shard: usize) -> &[Taken] {
        &self.streams[origin][shard]
    }

    /// Whether what is held is an update that was taken, in every byte.
    pub(crate) fn knows(&self, held: Held<'_>) -> bool {
        let Some(origin) = self.origin(held.origin) else { return false };
        let stream = self.stream(origin, shard_index(held.record.key));
        let at = (held.seq as usize).wrapping_sub(1);
        stream.get(at).is_some_and(|taken| *taken == Taken::from(held))
    }

    /// How many clients were ever taken.
    pub(crate) fn clients_len(&self) -> usize {
        self.bytes.len()
    }

    /// At most so many bytes are on the wire where a whole map is sent.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.values().sum()
    }
}
