//! Live streams at one server, and readers of streams.
//!
//! A server runs the core's `Streams` the way a real server does: a follower of the replica, with the streams'
//! interest, copies the changes that some stream wants, and offers them to the streams. The following must hold of a
//! reader, whatever goes wrong in the herd, and wherever it resumes:
//!
//! - What it is told is true at that moment: a position is that of the record that the replica holds, and it matches; a
//!   client that left is held and does not match; a client that is gone is not held.
//! - When the reader has taken everything, it holds exactly what its filter matches at the server.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use proxyherd_core::{
    codec::where_clause::WhereClause,
    command::{Bounds, Whereabouts},
    flood::{Begin, FollowerId, Interest},
    places::Point,
    replica::{Effort, Replica},
    types::{ClientId, Coordinates, IdPattern, Timestamp},
};
use proxyherd_streams::{
    ChangeBatch, EventId, Gathering, Polygon, StreamEvent, StreamFilter, StreamKey, StreamKinds,
    StreamOpening, Streams, Taken,
};

use crate::rng::Rng;

/// Maximum number of events that a reader can lose when its connection ends.
const LOST_MAX: usize = 40;

/// A position of a client, and its time.
type Place = (Coordinates, Timestamp);

/// The streams of one life of a server.
#[derive(Debug)]
pub(crate) struct Streaming {
    streams: Streams<usize>,
    follower: Option<FollowerId>,
    is_woken: Arc<AtomicBool>,
    batch: ChangeBatch,
    /// Readers whose bells have rung.
    rings: Vec<usize>,
}

impl Streaming {
    /// No streams, at a replica that has just started.
    pub(crate) fn new(replica: &Replica, seed: u64) -> Streaming {
        let streams = Streams::new(replica.me().incarnation, seed);
        let is_woken = Arc::new(AtomicBool::new(false));
        let waker = Arc::clone(&is_woken);
        let interest: Arc<dyn Interest> = Arc::clone(streams.interest()) as _;
        let follower = replica.follow_some(Begin::Now, &interest, move || waker.store(true, Relaxed));
        Streaming { streams, follower, is_woken, batch: ChangeBatch::default(), rings: Vec::new() }
    }

    /// Takes at most `most` changes, if the follower was woken. Returns whether that was all.
    pub(crate) fn follow(&mut self, replica: &Replica, most: usize) -> bool {
        let Some(follower) = &self.follower else { return true };
        if !self.is_woken.swap(false, Relaxed) {
            return true;
        }
        let Streaming { streams, batch, .. } = self;
        let is_all = replica.drain(follower, most, |told| batch.take(streams, &told));
        streams.offer(batch);
        self.is_woken.fetch_or(!is_all, Relaxed);
        is_all
    }

    /// Some changes were lost, as after a panic.
    pub(crate) fn lose_changes(&mut self) {
        self.streams.begin_anew();
    }

    /// Drops streams that have been kept for long.
    pub(crate) fn expire(&mut self, clock_ns: u64) {
        self.streams.expire(clock_ns);
        self.streams.release(usize::MAX);
    }

    /// The readers whose bells have rung since the last call.
    pub(crate) fn take_rings(&mut self) -> Vec<usize> {
        self.streams.take_rings(&mut self.rings);
        std::mem::take(&mut self.rings)
    }

    /// A contradiction in the bookkeeping, if there is one.
    pub(crate) fn contradiction(&self) -> Option<String> {
        self.streams.contradiction()
    }
}

/// How much readers were told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Events.
    pub(crate) events: u64,
    /// Events that tell a reader to begin anew.
    pub(crate) resets: u64,
    /// Connections that resumed a stream without a reset.
    pub(crate) resumed: u64,
}

/// A reader, which reads one stream after the other.
#[derive(Debug)]
pub(crate) struct Reader {
    number: usize,
    filter: StreamFilter,
    /// Whether the reader takes only a few events at a time.
    is_slow: bool,
    connection: Option<Connection>,
    /// The clients that the reader holds.
    held: BTreeMap<Vec<u8>, Place>,
    is_synced: bool,
    /// The last events, each with what undoes it.
    log: VecDeque<(EventId, Undo)>,
    pub(crate) counts: Counts,
}

/// A reader's connection to a stream.
#[derive(Debug)]
struct Connection {
    /// The server and its life.
    server: (usize, u64),
    key: StreamKey,
    gathering: Option<Gathering>,
    /// The bell has rung, or the reader has not looked yet.
    is_rung: bool,
}

/// What undoes an event that the reader has not received after all.
#[derive(Debug)]
enum Undo {
    Client(Vec<u8>, Option<Place>),
    Reset(BTreeMap<Vec<u8>, Place>, bool),
    Synced(bool),
    Nothing,
}

impl Reader {
    /// A reader with some filter.
    pub(crate) fn new(number: usize, rng: &mut Rng) -> Reader {
        Reader {
            number,
            filter: draw_filter(rng),
            is_slow: rng.chance(400),
            connection: None,
            held: BTreeMap::new(),
            is_synced: false,
            log: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// The server to which the reader is connected, and its life.
    pub(crate) fn server(&self) -> Option<(usize, u64)> {
        self.connection.as_ref().map(|connection| connection.server)
    }

    /// The bell has rung.
    pub(crate) fn ring(&mut self, server: (usize, u64)) {
        if let Some(connection) = self.connection.as_mut().filter(|connection| connection.server == server) {
            connection.is_rung = true;
        }
    }

    /// The connection has ended. The reader has not received its last `lost` events.
    pub(crate) fn lose_connection(&mut self, lost: usize) {
        self.connection = None;
        for _ in 0..lost.min(LOST_MAX) {
            // An event that is not undone is the last that the reader has received.
            if self.log.len() <= 1 {
                break;
            }
            let Some((_, undo)) = self.log.pop_back() else { break };
            match undo {
                Undo::Client(id, Some(place)) => drop(self.held.insert(id, place)),
                Undo::Client(id, None) => drop(self.held.remove(&id)),
                Undo::Reset(held, is_synced) => (self.held, self.is_synced) = (held, is_synced),
                Undo::Synced(is_synced) => self.is_synced = is_synced,
                Undo::Nothing => {}
            }
        }
    }

    /// The server learns that the connection has ended.
    pub(crate) fn detach(&mut self, streaming: &mut Streaming, clock_ns: u64) {
        if let Some(connection) = self.connection.take() {
            streaming.streams.detach(connection.key, clock_ns);
        }
    }

    /// Connects to a server, and resumes if the reader has received any event.
    pub(crate) fn connect(
        &mut self,
        server: (usize, u64),
        streaming: &mut Streaming,
        random: u64,
    ) -> Result<(), String> {
        let last_event_id = self.log.back().map(|(id, _)| *id);
        let before = streaming.streams.counts().resumed;
        let opened = streaming.streams.open(StreamOpening {
            filter: self.filter.clone(),
            kinds: StreamKinds::default(),
            owner: None,
            caller: self.number as u64,
            last_event_id,
            random,
            bell: self.number,
        });
        let key = opened.map_err(|full| full.to_string())?;
        let is_resumed = streaming.streams.counts().resumed > before;
        self.counts.resumed += u64::from(is_resumed);
        if last_event_id.is_none() {
            // A reader without an event to resume from knows nothing.
            (self.held, self.is_synced) = (BTreeMap::new(), false);
        }
        self.connection = Some(Connection { server, key, gathering: None, is_rung: true });
        Ok(())
    }

    /// Takes events, as many as this reader takes at a time. Searches some shards if the stream begins anew.
    pub(crate) fn turn(
        &mut self,
        replica: &Replica,
        streaming: &mut Streaming,
        clock_ns: u64,
        rng: &mut Rng,
    ) -> Result<(), String> {
        let most = if self.is_slow { rng.below(4) } else { 200 };
        for _ in 0..most {
            if !self.take(replica, streaming, clock_ns, rng.between(1, 9) as usize)? {
                break;
            }
        }
        Ok(())
    }

    /// Takes everything, and checks what the reader holds then. `exempts` says of which clients the reader may be
    /// wrong.
    pub(crate) fn catch_up(
        &mut self,
        replica: &Replica,
        streaming: &mut Streaming,
        clock_ns: u64,
        exempts: impl Fn(&[u8]) -> bool,
    ) -> Result<(), String> {
        while self.take(replica, streaming, clock_ns, usize::MAX)? {}
        let matching = self.matching(replica, clock_ns);
        if !self.is_synced {
            return Err(format!("reader {} has taken everything and is not synced", self.number));
        }
        let differs = |id: &&Vec<u8>| self.held.get(*id) != matching.get(*id) && !exempts(id);
        let ids: Vec<_> = self.held.keys().chain(matching.keys()).filter(differs).collect();
        if !ids.is_empty() {
            let ids: Vec<_> = ids.iter().map(|id| String::from_utf8_lossy(id)).collect();
            return Err(format!(
                "reader {} holds {} clients, but its filter {:?} matches {}; they differ at {ids:?}",
                self.number,
                self.held.len(),
                self.filter,
                matching.len()
            ));
        }
        Ok(())
    }

    /// Takes one event, or searches up to `shards` shards. False: there is nothing to do now.
    fn take(
        &mut self,
        replica: &Replica,
        streaming: &mut Streaming,
        clock_ns: u64,
        shards: usize,
    ) -> Result<bool, String> {
        let Some(connection) = self.connection.as_mut().filter(|connection| connection.is_rung) else {
            return Ok(false);
        };
        let mut told = None;
        let taken = streaming.streams.take(connection.key, replica, clock_ns, |event, id| {
            told = Some(Told::of(event));
            id
        });
        let id = match taken {
            Taken::Event(id) => id,
            Taken::Empty => {
                connection.is_rung = false;
                return Ok(false);
            }
            Taken::Gather => return Ok(connection.gather(replica, streaming, clock_ns, shards)),
            Taken::Ended(why) => return Err(format!("the stream of reader {} ended: {why:?}", self.number)),
        };
        let told = told.ok_or("an event was not told")?;
        self.check(replica, clock_ns, &told)?;
        let undo = self.apply(told);
        self.log.push_back((id, undo));
        if self.log.len() > LOST_MAX {
            self.log.pop_front();
        }
        self.counts.events += 1;
        Ok(true)
    }

    fn apply(&mut self, told: Told) -> Undo {
        match told {
            Told::Reset => {
                self.counts.resets += 1;
                let undo = Undo::Reset(std::mem::take(&mut self.held), self.is_synced);
                self.is_synced = false;
                undo
            }
            Told::Location(id, place) => Undo::Client(id.clone(), self.held.insert(id, place)),
            Told::Left(id) | Told::Gone(id) => {
                let before = self.held.remove(&id);
                Undo::Client(id, before)
            }
            Told::Synced => Undo::Synced(std::mem::replace(&mut self.is_synced, true)),
            Told::Other => Undo::Nothing,
        }
    }

    /// Whether an event is true at this moment.
    fn check(&self, replica: &Replica, clock_ns: u64, told: &Told) -> Result<(), String> {
        let (id, is_true) = match told {
            Told::Location(id, place) => {
                (id, present(replica, clock_ns, id, &self.filter) == Some((*place, true)))
            }
            Told::Left(id) => {
                (id, present(replica, clock_ns, id, &self.filter).is_some_and(|(_, is_match)| !is_match))
            }
            Told::Gone(id) => (id, present(replica, clock_ns, id, &self.filter).is_none()),
            Told::Reset | Told::Synced | Told::Other => return Ok(()),
        };
        let text = || format!("reader {} was told of {}: {told:?}", self.number, String::from_utf8_lossy(id));
        if is_true { Ok(()) } else { Err(text()) }
    }

    /// What the filter matches at a server.
    fn matching(&self, replica: &Replica, clock_ns: u64) -> BTreeMap<Vec<u8>, Place> {
        let mut ids = Vec::new();
        replica.for_each(|held| ids.push(held.record.key.to_vec()));
        let found = ids.into_iter().filter_map(|id| match present(replica, clock_ns, &id, &self.filter)? {
            (place, true) => Some((id, place)),
            (_, false) => None,
        });
        found.collect()
    }
}

impl Connection {
    /// Searches some shards. A search that was interrupted goes on.
    fn gather(&mut self, replica: &Replica, streaming: &mut Streaming, clock_ns: u64, shards: usize) -> bool {
        let gathering = self.gathering.take().or_else(|| streaming.streams.gathering(self.key));
        let Some(mut gathering) = gathering else { return true };
        for _ in 0..shards {
            if !matches!(gathering.search(replica, clock_ns, &mut { Effort::ANY }), Ok(true)) {
                return true;
            }
            streaming.streams.gathered(&mut gathering);
        }
        self.gathering = Some(gathering);
        true
    }
}

/// An event, owned.
#[derive(Debug)]
enum Told {
    Reset,
    Location(Vec<u8>, Place),
    Synced,
    Left(Vec<u8>),
    Gone(Vec<u8>),
    Other,
}

impl Told {
    fn of(event: &StreamEvent<'_>) -> Told {
        match event {
            StreamEvent::Reset => Told::Reset,
            StreamEvent::Location(found) => {
                Told::Location(found.client.to_vec(), (found.coordinates, found.timestamp))
            }
            StreamEvent::Synced => Told::Synced,
            StreamEvent::Left(client) => Told::Left(client.to_vec()),
            StreamEvent::Gone(client) => Told::Gone(client.to_vec()),
            StreamEvent::Presence(_) => Told::Other,
        }
    }
}

/// Where a client is, and whether the filter matches it.
fn present(replica: &Replica, clock_ns: u64, id: &[u8], filter: &StreamFilter) -> Option<(Place, bool)> {
    let client = ClientId::new(id)?;
    let found = replica.locate(clock_ns, client, |held| {
        let found = Whereabouts::of(&held.record, &held.origin.server)?;
        let is_match = filter.matches(found.client, found.coordinates, found.attributes);
        Some(((found.coordinates, found.timestamp), is_match))
    });
    found.flatten()
}

/// One filter of many sorts.
fn draw_filter(rng: &mut Rng) -> StreamFilter {
    let all = StreamFilter::default;
    // Clients are north of the equator and in the western half of the world.
    let latitude = rng.below(85) as f64;
    let longitude = -(rng.below(180) as f64);
    let span = [1.0, 20.0, 60.0][rng.index(3)];
    let wrapped = |degrees: f64| if degrees > 180.0 { degrees - 360.0 } else { degrees };
    let pattern = |text: String| IdPattern::parse(text.as_bytes());
    match rng.below(8) {
        0 => all(),
        1 => {
            StreamFilter { ids: pattern(format!("client-{}*", rng.below(10))).into_iter().collect(), ..all() }
        }
        2 => {
            let ids = (0..6).filter_map(|_| pattern(format!("client-{}", rng.below(40)))).collect();
            StreamFilter { ids, ..all() }
        }
        3 => {
            let circle = Point::new(latitude, longitude).map(|point| (point, span * 100_000.0));
            StreamFilter { circle, ..all() }
        }
        4 => {
            let bounds =
                Bounds::new(latitude, longitude, (latitude + span).min(90.0), wrapped(longitude + span));
            StreamFilter { bounds, ..all() }
        }
        5 => {
            let (north, east) = ((latitude + span).min(90.0), wrapped(longitude + span));
            let corners = [(latitude, longitude), (latitude, east), (north, east), (north, longitude)];
            let ring = corners.into_iter().chain([corners[0]]).collect();
            StreamFilter { polygon: Polygon::new(vec![ring]).ok(), ..all() }
        }
        6 => StreamFilter { clause: WhereClause::parse("battery_pct > 50").ok(), ..all() },
        _ => StreamFilter { readable: pattern("client-1*".to_owned()).into_iter().collect(), ..all() },
    }
}
