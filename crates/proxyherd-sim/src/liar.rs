//! A bad member's messages, drawn at random from everything that the link protocol can express. The real codec encodes
//! each frame, so each frame is well formed. But its content may be anything: other servers' present, past or invented
//! lives; any sequence; times of receipt years in the future; links that no server has; wrong sums; unknown kinds of
//! records.
//!
//! A bad member knows everything that a member knows ([`Known`]), and everything that it once received, which it can
//! repeat. This module does not know to which server the bad member speaks, nor what the checkers have to know about
//! its messages.

use std::iter::repeat_with;

use proxyherd_core::{
    codec::link::{
        Covered, Encoder, Frame, GraftMode,
        check::{Check, DEPTH_MAX, FAN_OUT, Level},
        numbering::Named,
    },
    limits::{CLOCK_AHEAD_MAX_NS, LINKS_MAX, SHARDS},
    places::quota::{Span, key},
    replica::shard_index,
    types::{
        Advertisement, Attributes, Body, Coordinates, Difference, Kind, Origin, Record, ServerName, Timestamp,
    },
};

use crate::{
    ledger::{Ledger, Taken},
    rng::Rng,
    timeline::{MILLISECOND, Nanos, SECOND},
};

/// The last time that a timestamp can hold.
const END_OF_TIME_NS: u64 = 9_999_999_999_999_999_999;
const HOUR: Nanos = 3600 * SECOND;
const YEAR: Nanos = 365 * 24 * HOUR;
/// Number of clients, of keys of other kinds, and of servers that bad members invent.
const INVENTED_CLIENTS: u64 = 40;
const INVENTED_THINGS: u64 = 5;
const INVENTED_SERVERS: u64 = 600;
/// Maximum length of the data of an invented record.
const DATA_LEN_MAX: u64 = 16 * 1024;

/// The topic that a bad member prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Records of clients in any server's name, as honest servers could send them.
    Records,
    /// Records of clients in the name of present lives, with sequences that these lives have not reached.
    Sequences,
    /// Times of receipt in the future.
    Futures,
    /// Coverage: markers, vectors, IHAVE, GRAFT.
    Covered,
    /// Links that no server has, and servers that do not exist.
    Tree,
    /// Sums, branches and leaves.
    Checks,
    /// Records of unknown kinds.
    Kinds,
    /// Many lives of one server, each with a record.
    Lives,
    /// Clocks.
    Clocks,
    /// Frames that the bad member received long ago.
    Replays,
    /// Records of one client in the names of several present lives.
    Names,
}

const TOPICS: [Topic; 11] = [
    Topic::Names,
    Topic::Records,
    Topic::Sequences,
    Topic::Futures,
    Topic::Covered,
    Topic::Tree,
    Topic::Checks,
    Topic::Kinds,
    Topic::Lives,
    Topic::Clocks,
    Topic::Replays,
];

/// How a bad member behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    topics: Vec<Topic>,
    /// The average time between two messages.
    interval: Nanos,
    /// Whether the bad member passes nothing on, and only sends heartbeats and lies.
    pub(crate) is_silent: bool,
    /// Whether the sums in the bad member's checks are wrong.
    pub(crate) has_wrong_sums: bool,
}

impl Manner {
    /// Draws a behavior: some topics, or all.
    pub(crate) fn draw(rng: &mut Rng) -> Manner {
        let topics: Vec<_> = match rng.below(3) {
            0 => TOPICS.to_vec(),
            1 => vec![TOPICS[rng.index(TOPICS.len())]],
            _ => TOPICS.into_iter().filter(|_| rng.chance(300)).collect(),
        };
        Manner {
            topics,
            interval: [20, 100, 500][rng.index(3)] * MILLISECOND,
            is_silent: rng.chance(150),
            has_wrong_sums: rng.chance(300),
        }
    }

    /// The time until the bad member sends something again.
    pub(crate) fn interval(&self, rng: &mut Rng) -> Nanos {
        rng.interval(self.interval).max(MILLISECOND)
    }
}

/// One frame, owned, with its origins by name.
#[derive(Clone, Debug)]
pub(crate) enum Saying {
    /// A record with its origin and sequence.
    Record(Origin, u64, Taken),
    /// Up to which sequence origins are covered in a shard.
    Covered(Claim, u8, Vec<(Origin, u64)>),
    State(Advertisement),
    Check(Check),
    Branches(Level, Vec<(u64, [u64; FAN_OUT])>),
    Leaves(Level, Vec<u64>),
    /// FENCE, or PASSED (`true`).
    Fence(bool, u8, u64),
    Prune,
    Heartbeat(u64),
    Offset(i64),
}

/// The type of frame that carries up to which sequence origins are covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    Vector,
    Marker,
    Ihave,
    Graft,
    GraftOnce,
}

impl Saying {
    /// A received frame; `introduced` are the origins that the link has named.
    pub(crate) fn heard(frame: &Frame<'_>, introduced: &Named<Origin>) -> Option<Saying> {
        let named = |covered: &Covered<'_>| -> Vec<_> {
            let entry = |(index, seq)| Some((introduced.at(index)?.clone(), seq));
            covered.iter().filter_map(entry).collect()
        };
        let claim = |claim, covered: &Covered<'_>| Saying::Covered(claim, covered.shard, named(covered));
        Some(match frame {
            Frame::Record { origin, seq, record } => {
                let origin = introduced.at(*origin)?;
                Saying::Record(origin.clone(), *seq, Taken::of(record, &origin.server))
            }
            Frame::Marker(covered) => claim(Claim::Marker, covered),
            Frame::Ihave(covered) => claim(Claim::Ihave, covered),
            Frame::Graft { covered, mode: GraftMode::Once } => claim(Claim::GraftOnce, covered),
            Frame::Graft { covered, mode: GraftMode::Onward } => claim(Claim::Graft, covered),
            Frame::State(state) => Saying::State(state.clone()),
            Frame::Check(check) => Saying::Check(*check),
            Frame::Branches(branches) => Saying::Branches(branches.level, branches.iter().collect()),
            Frame::Leaves(leaves) => Saying::Leaves(leaves.level, leaves.iter().collect()),
            Frame::Prune => Saying::Prune,
            _ => return None,
        })
    }

    /// Encodes the frame, as far as the link can still name origins.
    pub(crate) fn encode(&self, encoder: &mut Encoder) {
        match self {
            Saying::Record(origin, seq, record) => {
                encoder.make_room(1);
                if let Some(index) = encoder.index_of(origin) {
                    encoder.record(index, *seq, &record.record());
                }
            }
            Saying::Covered(claim, shard, entries) => {
                let entries = &entries[..entries.len().min(encoder.origins_per_frame())];
                encoder.make_room(entries.len());
                let index = |(origin, seq): &(Origin, u64)| Some((encoder.index_of(origin)?, *seq));
                let entries: Vec<_> = entries.iter().filter_map(index).collect();
                match claim {
                    Claim::Vector => encoder.vector(*shard, &entries),
                    Claim::Marker => encoder.marker(*shard, &entries),
                    Claim::Ihave => encoder.ihave(*shard, &entries),
                    Claim::Graft => encoder.graft(*shard, &entries, GraftMode::Onward),
                    Claim::GraftOnce => encoder.graft(*shard, &entries, GraftMode::Once),
                }
            }
            Saying::State(state) => encoder.state(state),
            Saying::Check(check) => encoder.check(check),
            Saying::Branches(level, branches) => encoder.branches(*level, branches),
            Saying::Leaves(level, places) => encoder.leaves(*level, places),
            Saying::Fence(is_passed, shard, number) => match is_passed {
                true => encoder.passed(*shard, *number),
                false => encoder.fence(*shard, *number),
            },
            Saying::Prune => encoder.prune(),
            Saying::Heartbeat(clock_ns) => encoder.heartbeat(*clock_ns),
            Saying::Offset(offset_ns) => encoder.offset(*offset_ns),
        }
    }
}

/// Everything that a bad member knows when it sends something.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    /// All updates that were taken.
    pub(crate) ledger: &'a Ledger,
    /// The present lives.
    pub(crate) current: &'a [Origin],
    /// The servers of the herd.
    pub(crate) names: &'a [ServerName],
    /// The time on a right clock.
    pub(crate) now_ns: u64,
    /// The number of clients.
    pub(crate) clients: usize,
    /// The frames that the bad member received long ago.
    pub(crate) heard: &'a [Saying],
    /// The number of bytes that the wires carry in a second.
    pub(crate) bandwidth: u64,
}

impl Known<'_> {
    /// The next message of a bad member: some frames.
    pub(crate) fn draw(&self, rng: &mut Rng, manner: &Manner) -> Vec<Saying> {
        if manner.topics.is_empty() {
            return Vec::new();
        }
        match manner.topics[rng.index(manner.topics.len())] {
            Topic::Records => {
                let origin = self.origin(rng);
                let seq = self.seq(rng, &origin);
                vec![self.record(rng, origin, seq)]
            }
            Topic::Sequences => vec![self.unsaid(rng)],
            Topic::Futures => vec![self.future(rng)],
            Topic::Covered => vec![self.covered(rng)],
            Topic::Tree => self.states(rng),
            Topic::Checks => vec![self.check(rng)],
            Topic::Kinds => vec![self.of_a_kind(rng)],
            Topic::Lives => self.lives(rng),
            Topic::Clocks => self.clocks(rng),
            Topic::Replays => self.again(rng),
            Topic::Names => self.in_several_names(rng),
        }
    }

    /// A present life, a past one, or an invented one.
    fn origin(&self, rng: &mut Rng) -> Origin {
        let past = self.ledger.origins().count();
        match rng.below(4) {
            0 if past > 0 => self.ledger.origins().nth(rng.index(past)).expect("it is counted").clone(),
            1 => Origin { server: self.name(rng), incarnation: self.incarnation(rng) },
            2 => Origin { server: invented(rng), incarnation: rng.below(3) },
            _ => self.current[rng.index(self.current.len())].clone(),
        }
    }

    /// An incarnation that may have existed. Rarely, an incarnation of the far future.
    fn incarnation(&self, rng: &mut Rng) -> u64 {
        if rng.chance(100) { rng.bits() } else { rng.below(self.now_ns) }
    }

    fn name(&self, rng: &mut Rng) -> ServerName {
        self.names[rng.index(self.names.len())].clone()
    }

    /// A sequence that the origin may have reached.
    fn seq(&self, rng: &mut Rng, origin: &Origin) -> u64 {
        let taken = self.ledger.taken_by(origin, rng.index(SHARDS));
        if taken > 0 { 1 + rng.below(taken) } else { rng.below(100) }
    }

    /// A sequence that the origin has not reached.
    fn seq_above(&self, rng: &mut Rng, origin: &Origin, shard: usize) -> u64 {
        let next = self.ledger.taken_by(origin, shard) + 1;
        [next, next + 1 + rng.below(1000), u64::MAX - 1, u64::MAX][rng.index(4)]
    }

    fn key(&self, rng: &mut Rng) -> Vec<u8> {
        if rng.chance(300) {
            format!("client-{}", rng.index(self.clients)).into_bytes()
        } else {
            format!("nobody-{}", rng.below(INVENTED_CLIENTS)).into_bytes()
        }
    }

    /// A record that servers merge, unless they hold a newer one.
    fn record(&self, rng: &mut Rng, origin: Origin, seq: u64) -> Saying {
        let key = self.key(rng);
        let timestamp_ns = match rng.below(10) {
            0..3 => self.now_ns + rng.below(10 * SECOND),
            3 => rng.below(END_OF_TIME_NS),
            _ => self.now_ns - rng.between(24 * HOUR, YEAR),
        };
        let received_ns = match rng.below(10) {
            0 => self.now_ns + rng.below(50 * SECOND),
            1 => self.now_ns - rng.below(30 * HOUR),
            2 => rng.below(self.now_ns),
            _ => self.now_ns - rng.below(20 * SECOND),
        };
        let record = told(rng, &origin, Kind::CLIENT, &key, timestamp_ns, received_ns, None);
        Saying::Record(origin, seq, record)
    }

    fn unsaid(&self, rng: &mut Rng) -> Saying {
        let origin = self.current[rng.index(self.current.len())].clone();
        let Saying::Record(origin, _, record) = self.record(rng, origin, 0) else {
            unreachable!("a record was drawn")
        };
        let seq = self.seq_above(rng, &origin, shard_index(&record.key.1));
        Saying::Record(origin, seq, record)
    }

    fn future(&self, rng: &mut Rng) -> Saying {
        let (origin, key) = (self.origin(rng), self.key(rng));
        let seq = self.seq(rng, &origin);
        let (timestamp_ns, received_ns) = match rng.below(3) {
            0 => (END_OF_TIME_NS, END_OF_TIME_NS),
            1 => (self.now_ns + rng.below(SECOND), self.now_ns + rng.between(100 * SECOND, 20 * YEAR)),
            _ => {
                let received_ns = self.now_ns + rng.between(100 * SECOND, 20 * YEAR);
                (received_ns + CLOCK_AHEAD_MAX_NS.unsigned_abs(), received_ns)
            }
        };
        let record = told(rng, &origin, Kind::CLIENT, &key, timestamp_ns, received_ns, None);
        Saying::Record(origin, seq, record)
    }

    fn covered(&self, rng: &mut Rng) -> Saying {
        let shard = rng.below(SHARDS as u64);
        let entry = |rng: &mut Rng| {
            let origin = self.origin(rng);
            let seq = match rng.below(3) {
                0 => rng.below(1 + self.ledger.taken_by(&origin, shard as usize)),
                _ => self.seq_above(rng, &origin, shard as usize),
            };
            (origin, seq)
        };
        let entries = (0..rng.below(6)).map(|_| entry(rng)).collect();
        let claim = match rng.below(10) {
            0 => Claim::Vector,
            1..6 => Claim::Marker,
            6..8 => Claim::Ihave,
            8 => Claim::Graft,
            _ => Claim::GraftOnce,
        };
        // Sometimes the frame is about a shard that does not exist.
        let shard = if rng.chance(5) { SHARDS as u64 } else { shard };
        Saying::Covered(claim, shard as u8, entries)
    }

    /// Link states in other servers' names. Sometimes there are states of enough servers to fill a table.
    fn states(&self, rng: &mut Rng) -> Vec<Saying> {
        let count = if rng.chance(2) && self.bandwidth >= 200_000 { INVENTED_SERVERS } else { 1 };
        (0..count).map(|number| Saying::State(self.state(rng, (count > 1).then_some(number)))).collect()
    }

    fn state(&self, rng: &mut Rng, invented: Option<u64>) -> Advertisement {
        let origin = match invented {
            Some(number) => Origin { server: nobody(number), incarnation: 1 },
            None => self.origin(rng),
        };
        let stamp = match rng.below(4) {
            0 => u64::MAX,
            1 => rng.bits(),
            2 => self.now_ns + rng.below(YEAR),
            _ => origin.incarnation.saturating_add(rng.below(1000)),
        };
        let up = match rng.below(3) {
            0 => Vec::new(),
            1 => repeat_with(|| self.name(rng)).take(LINKS_MAX).collect(),
            _ => self.names.iter().filter(|_| rng.chance(500)).cloned().collect(),
        };
        Advertisement { origin, stamp, up }
    }

    fn check(&self, rng: &mut Rng) -> Saying {
        let (shard, depth) = (rng.below(SHARDS as u64) as u8, rng.below(u64::from(DEPTH_MAX) + 1) as u8);
        let from_ns = if rng.chance(800) { self.now_ns + 2 * SECOND } else { rng.bits() };
        let level = Level { shard, depth: if rng.chance(500) { 0 } else { depth }, from_ns };
        match rng.below(4) {
            3 => Saying::Fence(rng.chance(500), shard, rng.below(5)),
            0 => {
                let received = [rng.below(100), rng.bits(), Check::GAP][rng.index(3)];
                Saying::Check(Check { shard, received, from_ns, client_ttl_ns: 0, root: rng.bits() })
            }
            1 => {
                let branch = |rng: &mut Rng| (place(rng, level.depth), std::array::from_fn(|_| rng.bits()));
                Saying::Branches(level, (0..rng.below(4)).map(|_| branch(rng)).collect())
            }
            _ => Saying::Leaves(level, (0..rng.below(4)).map(|_| place(rng, level.depth)).collect()),
        }
    }

    fn of_a_kind(&self, rng: &mut Rng) -> Saying {
        let origin = self.origin(rng);
        let seq = self.seq(rng, &origin);
        let kind = Kind([1, 2, 77, 255][rng.index(4)]);
        let key = if kind == Kind::QUOTA && rng.chance(700) {
            let server = if rng.chance(500) { origin.server.clone() } else { self.name(rng) };
            let mut period = Span::ALL[rng.index(2)].at(self.now_ns);
            period.number = (period.number + rng.below(4) as u32).saturating_sub(rng.below(12) as u32);
            key(period, &server).into_bytes()
        } else {
            format!("thing-{}", rng.below(INVENTED_THINGS)).into_bytes()
        };
        let keep_s = [0, 90, 86_400, u32::MAX][rng.index(4)];
        let len = DATA_LEN_MAX.min(self.bandwidth / 20);
        let mut data = vec![7; if rng.chance(100) { len } else { rng.below(100) } as usize];
        if kind == Kind::TOKEN && data.len() > 1 {
            // The byte that says whether a token is revoked.
            data[1] = rng.below(2) as u8;
        }
        let record = told(rng, &origin, kind, &key, self.now_ns, self.now_ns, Some((keep_s, &data)));
        Saying::Record(origin, seq, record)
    }

    /// Many lives of one server in one shard, each with its own client.
    fn lives(&self, rng: &mut Rng) -> Vec<Saying> {
        let (server, shard) = (if rng.chance(800) { self.name(rng) } else { invented(rng) }, rng.index(3));
        let keys = (0..).map(|number| format!("life-{number}").into_bytes());
        let keys = keys.filter(|key| shard_index(key) == shard);
        let skipped = rng.index(50);
        let most = if rng.chance(50) { 300 } else { 5 };
        let count = (self.bandwidth / 4000).clamp(5, most) as usize;
        let life = |key: Vec<u8>| {
            let origin = Origin { server: server.clone(), incarnation: self.incarnation(rng) };
            let record = told(rng, &origin, Kind::CLIENT, &key, self.now_ns, self.now_ns, None);
            Saying::Record(origin, 1, record)
        };
        keys.skip(skipped).take(count).map(life).collect()
    }

    /// A clock that is either right or off by years, and invented offsets. They end the link, so they are rare.
    fn clocks(&self, rng: &mut Rng) -> Vec<Saying> {
        match rng.below(40) {
            0 => vec![Saying::Heartbeat(self.now_ns + rng.below(10 * YEAR))],
            1 => vec![Saying::Offset(rng.bits().cast_signed())],
            _ => vec![Saying::Heartbeat(self.now_ns - rng.below(YEAR))],
        }
    }

    /// Several present lives report the same client: all at one place, or each at a place of its own. The lives come in
    /// any order, and their versions are equal or rise.
    fn in_several_names(&self, rng: &mut Rng) -> Vec<Saying> {
        let (key, step) = (self.key(rng), [0, 1, 1000, SECOND][rng.index(4)]);
        let begin_ns = self.now_ns + rng.below(SECOND);
        let is_at_one_place = rng.chance(300);
        let mut origins: Vec<_> = self.current.iter().filter(|_| rng.chance(700)).collect();
        (1..origins.len()).for_each(|at| origins.swap(at, rng.index(at + 1)));
        let mut sayings: Vec<Saying> = Vec::new();
        for (at, origin) in origins.into_iter().enumerate() {
            let seq = match rng.below(4) {
                0 => self.seq_above(rng, origin, shard_index(&key)),
                _ => self.seq(rng, origin),
            };
            let timestamp_ns = begin_ns + step * at as u64;
            let mut record = told(rng, origin, Kind::CLIENT, &key, timestamp_ns, self.now_ns, None);
            if let Some(Saying::Record(_, _, first)) = sayings.first().filter(|_| is_at_one_place) {
                record = record.at_place_of(first);
            }
            sayings.push(Saying::Record(origin.clone(), seq, record));
        }
        // The winning record may be sent first.
        if rng.chance(500) {
            sayings.reverse();
        }
        sayings
    }

    fn again(&self, rng: &mut Rng) -> Vec<Saying> {
        if self.heard.is_empty() {
            return Vec::new();
        }
        (0..rng.below(8)).map(|_| self.heard[rng.index(self.heard.len())].clone()).collect()
    }
}

fn invented(rng: &mut Rng) -> ServerName {
    nobody(rng.below(INVENTED_SERVERS))
}

fn nobody(number: u64) -> ServerName {
    ServerName::new(&format!("Nobody-{number}")).expect("the invented name is plain")
}

/// A place in a hash tree at this depth.
fn place(rng: &mut Rng, depth: u8) -> u64 {
    let bits = u32::from(depth) * FAN_OUT.trailing_zeros();
    rng.bits() & !u64::MAX.checked_shr(bits).unwrap_or(0)
}

/// A record of any content: data, a client's position, or a tombstone.
fn told(
    rng: &mut Rng,
    origin: &Origin,
    kind: Kind,
    key: &[u8],
    timestamp_ns: u64,
    received_ns: u64,
    data: Option<(u32, &[u8])>,
) -> Taken {
    let timestamp =
        Timestamp::from_nanos(timestamp_ns.min(END_OF_TIME_NS)).expect("no later time has ten digits");
    let difference = Difference::at_receipt(received_ns, timestamp);
    let place = format!("+{}.5-{}.5", rng.below(89), rng.below(179));
    let coordinates = Coordinates::parse(place.as_bytes()).expect("both are within their range");
    let body = match data {
        Some((keep_s, bytes)) => Body::Data { keep_s, bytes },
        None if rng.chance(100) => Body::Gone,
        None => Body::Location { coordinates, attributes: Attributes::NONE },
    };
    Taken::of(&Record { kind, key, body, timestamp, difference }, &origin.server)
}
