//! Replicas and links for tests, which do by hand what a server's sockets do.

use proxyherd_core::{
    codec::link::Encoder,
    flood::{LinkId, Rules, Update, Wake},
    limits::{ORIGINS_NAMED_MAX, SHARDS},
    link::{HIGHEST, Incoming},
    replica::{Replica, ReplicaSettings},
    types::{
        Attributes, Body, ClientId, Coordinates, Difference, Kind, Origin, Record, Report, ServerName, Stamp,
        Timestamp,
    },
};

/// The time of most tests, by the servers' clocks.
pub(crate) const NOW_NS: u64 = 1_700_000_000_000_000_000;
/// A second.
pub(crate) const SECOND_NS: u64 = 1_000_000_000;

/// One life of a server.
pub(crate) fn origin(server: &str, incarnation: u64) -> Origin {
    Origin { server: ServerName::new(server).unwrap(), incarnation }
}

/// The usual settings of a replica.
pub(crate) fn settings(server: &str) -> ReplicaSettings {
    ReplicaSettings {
        me: origin(server, 1),
        seed: 7,
        max_clients: u64::MAX,
        client_ttl_ns: None,
        client_interval_ns: 0,
        report_rules: proxyherd_core::flood::ReportRules::default(),
        clock_offset_max_ns: 60 * SECOND_NS,
        client_index: true,
        rules: Rules::default(),
    }
}

/// An empty replica.
pub(crate) fn replica(server: &str) -> Replica {
    Replica::new(settings(server))
}

/// The link at this place.
pub(crate) fn link(index: usize) -> LinkId {
    LinkId::new(index).unwrap()
}

/// A report with any position.
pub(crate) fn report(client: &[u8], timestamp_ns: u64) -> Report<'_> {
    Report {
        client: ClientId::new(client).unwrap(),
        coordinates: Coordinates::parse(b"+34.068930-118.445127").unwrap(),
        stamp: Stamp::Client(Timestamp::from_nanos(timestamp_ns).unwrap()),
        attributes: Attributes::NONE,
    }
}

/// The time that the client gave.
pub(crate) fn timestamp_of(report: &Report<'_>) -> Timestamp {
    report.stamp.told().unwrap()
}

/// The record of a report that was received at its own time.
pub(crate) fn record_of<'a>(report: &Report<'a>) -> Record<'a> {
    Record {
        kind: Kind::CLIENT,
        key: report.client.as_bytes(),
        body: Body::Location { coordinates: report.coordinates, attributes: report.attributes },
        timestamp: timestamp_of(report),
        difference: Difference::at_receipt(timestamp_of(report).nanos(), timestamp_of(report)),
    }
}

/// A held record, owned, for comparing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) key: Vec<u8>,
    /// As the AT line shows it; empty for a tombstone.
    pub(crate) place: String,
    pub(crate) attributes: Vec<u8>,
    pub(crate) timestamp: Timestamp,
    pub(crate) difference: Difference,
    pub(crate) server: ServerName,
}

impl Seen {
    /// Calls `with` with the record.
    pub(crate) fn record<T>(&self, with: impl FnOnce(&Record<'_>) -> T) -> T {
        let body = match Coordinates::parse(self.place.as_bytes()) {
            None => Body::Gone,
            Some(coordinates) => {
                Body::Location { coordinates, attributes: Attributes::from_bytes(&self.attributes).unwrap() }
            }
        };
        let (timestamp, difference) = (self.timestamp, self.difference);
        with(&Record { kind: Kind::CLIENT, key: &self.key, body, timestamp, difference })
    }

    /// When its server took it.
    pub(crate) fn received_ns(&self) -> u64 {
        self.difference.received_ns(self.timestamp)
    }
}

/// A copy of a held record.
pub(crate) fn seen(held: Update<'_>) -> Seen {
    let (place, attributes) = match held.record.body {
        Body::Gone | Body::Data { .. } => (String::new(), Vec::new()),
        Body::Location { coordinates, attributes } => {
            let mut text = Vec::new();
            coordinates.write(&mut text);
            (String::from_utf8(text).unwrap(), attributes.as_bytes().to_vec())
        }
    };
    Seen {
        key: held.record.key.to_vec(),
        place,
        attributes,
        timestamp: held.record.timestamp,
        difference: held.record.difference,
        server: held.origin.server.clone(),
    }
}

/// Everything that a replica holds, in the order of keys.
pub(crate) fn content(replica: &Replica) -> Vec<Seen> {
    let mut content = Vec::new();
    replica.for_each(|held| content.push(seen(held)));
    content.sort();
    content
}

/// One end of a link.
#[derive(Debug)]
pub(crate) struct End<'m> {
    pub(crate) replica: &'m Replica,
    pub(crate) link: LinkId,
    /// This server's clock.
    pub(crate) now_ns: u64,
    pub(crate) encoder: Encoder,
    pub(crate) incoming: Incoming,
}

impl<'m> End<'m> {
    fn new(now_ns: u64, (replica, link): (&'m Replica, LinkId), version: u16, origins_max: usize) -> End<'m> {
        let mut encoder = Encoder::default().with_origins_max(origins_max);
        encoder.agree(version);
        replica.write_vectors(&mut encoder);
        End { replica, link, now_ns, encoder, incoming: Incoming::new(link).with_version(version) }
    }

    /// Takes what `other` has encoded.
    pub(crate) fn take_from(&mut self, other: &mut End<'_>) -> Wake {
        let mut wake = Wake::default();
        let taken =
            self.incoming.receive(self.replica, self.now_ns, other.encoder.bytes(), &mut wake).unwrap();
        assert_eq!(taken, other.encoder.len(), "frames are encoded whole");
        other.encoder.clear();
        wake
    }

    /// Encodes the next batch. Returns whether it was the last.
    pub(crate) fn flush(&mut self) -> bool {
        self.replica.flush(self.link, &mut self.encoder)
    }
}

/// Joins two replicas by a link; only the vectors are exchanged yet.
pub(crate) fn join<'m>(
    now_ns: u64,
    a: (&'m Replica, LinkId),
    b: (&'m Replica, LinkId),
) -> (End<'m>, End<'m>) {
    join_as(now_ns, a, b, HIGHEST, ORIGINS_NAMED_MAX)
}

/// Joins two replicas by a link of this version, whose ends begin a new numbering after this many origins.
pub(crate) fn join_as<'m>(
    now_ns: u64,
    a: (&'m Replica, LinkId),
    b: (&'m Replica, LinkId),
    version: u16,
    origins_max: usize,
) -> (End<'m>, End<'m>) {
    let [mut a, mut b] = [a, b].map(|end| End::new(now_ns, end, version, origins_max));
    let _ = a.take_from(&mut b);
    let _ = b.take_from(&mut a);
    (a, b)
}

/// Moves everything that either end has to send, until neither has anything.
pub(crate) fn settle(a: &mut End<'_>, b: &mut End<'_>) {
    loop {
        let is_last = a.flush() & b.flush();
        let is_quiet = a.encoder.is_empty() && b.encoder.is_empty();
        let _ = b.take_from(a);
        let _ = a.take_from(b);
        if is_last && is_quiet {
            return;
        }
    }
}

/// What a neighbor without records sends when a link comes up.
pub(crate) fn empty_vectors() -> Encoder {
    let mut encoder = Encoder::default();
    for shard in 0..SHARDS {
        encoder.vector(shard as u8, &[]);
    }
    encoder
}
