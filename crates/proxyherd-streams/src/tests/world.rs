//! A replica, its follower, the streams, and readers that remember what they were told.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use crate::{
    ChangeBatch, EventId, Gathering, StreamEnd, StreamEvent, StreamFilter, StreamKey, StreamKinds,
    StreamLimits, StreamOpening, Streams, StreamsFull, Taken,
};
use proxyherd_core::{
    command::Whereabouts,
    flood::{Begin, FollowerId, Following, ReportRules, Rules},
    replica::{Effort, Replica, ReplicaSettings, Unfinished},
    types::{
        AttributeValue, AttributesBuf, ClientId, Coordinates, IdPattern, Origin, Report, ServerName, Stamp,
        Timestamp,
    },
};

pub(super) const SECOND: u64 = 1_000_000_000;
/// Reports expire after this many seconds.
pub(super) const TTL_S: u64 = 50;
pub(super) const INCARNATION: u64 = 0xABC;

/// A position and the timestamp of the report.
pub(super) type Place = (Coordinates, Timestamp);

pub(super) struct World {
    pub(super) replica: Replica,
    pub(super) streams: Streams<usize>,
    follower: FollowerId,
    is_woken: Arc<AtomicBool>,
    batch: ChangeBatch,
    pub(super) now_ns: u64,
    pub(super) readers: Vec<Reader>,
    /// Who opens the next stream.
    pub(super) caller: u64,
    randoms: u64,
}

/// What a reader does with a stream.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) filter: StreamFilter,
    pub(super) kinds: StreamKinds,
    caller: u64,
    pub(super) key: Option<StreamKey>,
    gathering: Option<Gathering>,
    /// The bell has rung, or the reader has not looked yet.
    pub(super) is_rung: bool,
    pub(super) view: View,
    /// The view after each event, for a reader that loses the last events.
    pub(super) history: Vec<(EventId, View)>,
    pub(super) ended: Option<StreamEnd>,
}

/// What a reader knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct View {
    pub(super) clients: BTreeMap<Vec<u8>, Place>,
    pub(super) presence: Vec<u128>,
    pub(super) is_synced: bool,
    pub(super) resets: usize,
    /// The events as words: `reset`, `+kiwi`, `left kiwi`, `gone kiwi`, `synced`.
    pub(super) told: Vec<String>,
}

impl View {
    fn take(&mut self, event: &StreamEvent<'_>) {
        let text = |id: &[u8]| String::from_utf8_lossy(id).into_owned();
        let word = match event {
            StreamEvent::Reset => {
                *self =
                    View { resets: self.resets + 1, told: std::mem::take(&mut self.told), ..View::default() };
                "reset".to_owned()
            }
            StreamEvent::Location(found) => {
                self.clients.insert(found.client.to_vec(), (found.coordinates, found.timestamp));
                format!("+{}", text(found.client))
            }
            StreamEvent::Synced => {
                self.is_synced = true;
                "synced".to_owned()
            }
            StreamEvent::Left(client) => {
                self.clients.remove(*client);
                format!("left {}", text(client))
            }
            StreamEvent::Gone(client) => {
                self.clients.remove(*client);
                format!("gone {}", text(client))
            }
            StreamEvent::Presence(event) => {
                self.presence.push(event.event_id);
                format!("{} {}", event.kind.label(), text(event.client))
            }
        };
        self.told.push(word);
    }
}

pub(super) fn filter_of(patterns: &[&str]) -> StreamFilter {
    let ids = patterns.iter().map(|text| IdPattern::parse(text.as_bytes()).unwrap()).collect();
    StreamFilter { ids, ..StreamFilter::default() }
}

impl World {
    pub(super) fn new() -> World {
        World::with_limits(StreamLimits::default())
    }

    pub(super) fn with_limits(limits: StreamLimits) -> World {
        let replica = Replica::new(ReplicaSettings {
            me: Origin { server: ServerName::new("Riley").unwrap(), incarnation: INCARNATION },
            seed: 1,
            max_clients: 1 << 30,
            client_ttl_ns: Some(TTL_S * SECOND),
            client_interval_ns: 0,
            report_rules: ReportRules::default(),
            clock_offset_max_ns: 2 * SECOND,
            client_index: true,
            rules: Rules::default(),
        });
        let is_woken = Arc::new(AtomicBool::new(false));
        let waker = Arc::clone(&is_woken);
        let following = Following { begins: Begin::Now, wants_removed: true };
        let follower = replica.follow(following, move || waker.store(true, Relaxed)).unwrap();
        World {
            replica,
            streams: Streams::new(INCARNATION, 7).with_limits(limits),
            follower,
            is_woken,
            batch: ChangeBatch::default(),
            now_ns: 1_000 * SECOND,
            readers: Vec::new(),
            caller: 0,
            randoms: 0,
        }
    }

    /// A report at `latitude,longitude` with this battery, at the present time.
    pub(super) fn report(&mut self, client: &str, at: &str, battery: u32) {
        self.now_ns += 1;
        let mut attributes = AttributesBuf::default();
        attributes.set("battery_pct", AttributeValue::Number(&battery.to_string())).unwrap();
        let _ = self.replica.report(
            self.now_ns,
            &Report {
                client: ClientId::new(client.as_bytes()).unwrap(),
                coordinates: Coordinates::parse(at.as_bytes()).unwrap(),
                stamp: Stamp::Server,
                attributes: attributes.borrow(),
            },
        );
    }

    pub(super) fn forget(&mut self, client: &str) {
        self.now_ns += 1;
        let _ = self.replica.forget(self.now_ns, ClientId::new(client.as_bytes()).unwrap());
    }

    /// Lets time pass, and sweeps.
    pub(super) fn pass(&mut self, seconds: u64) {
        self.now_ns += seconds * SECOND;
        self.replica.sweep(self.now_ns, usize::MAX);
    }

    /// The follower takes changes, if it was woken.
    pub(super) fn follow(&mut self, most: usize) -> bool {
        self.streams.release(most);
        self.ring();
        if !self.is_woken.swap(false, Relaxed) {
            return true;
        }
        let (streams, batch) = (&mut self.streams, &mut self.batch);
        let is_all = self.replica.drain(&self.follower, most, |told| batch.take(streams, &told));
        streams.offer(batch);
        self.is_woken.fetch_or(!is_all, Relaxed);
        self.ring();
        is_all
    }

    pub(super) fn follow_all(&mut self) {
        while !self.follow(usize::MAX) {}
    }

    pub(super) fn ring(&mut self) {
        let mut rings = Vec::new();
        self.streams.take_rings(&mut rings);
        rings.into_iter().for_each(|reader| self.readers[reader].is_rung = true);
    }

    /// A new reader, which opens its stream.
    pub(super) fn open(&mut self, filter: StreamFilter, kinds: StreamKinds) -> Result<usize, StreamsFull> {
        let reader = self.readers.len();
        self.readers.push(Reader {
            filter,
            kinds,
            caller: self.caller,
            key: None,
            gathering: None,
            is_rung: true,
            view: View::default(),
            history: Vec::new(),
            ended: None,
        });
        self.connect(reader, None).map(|()| reader)
    }

    /// A reader connects, with the last event that it has received.
    pub(super) fn connect(&mut self, reader: usize, last: Option<EventId>) -> Result<(), StreamsFull> {
        self.randoms += 1;
        let of_reader = &mut self.readers[reader];
        of_reader.key = None;
        let key = self.streams.open(StreamOpening {
            filter: of_reader.filter.clone(),
            kinds: of_reader.kinds,
            owner: None,
            caller: of_reader.caller,
            last_event_id: last,
            random: self.randoms.wrapping_mul(0x9E37_79B9_7F4A_7C15),
            bell: reader,
        })?;
        let of_reader = &mut self.readers[reader];
        (of_reader.key, of_reader.is_rung, of_reader.gathering) = (Some(key), true, None);
        of_reader.ended = None;
        self.ring();
        Ok(())
    }

    pub(super) fn detach(&mut self, reader: usize) {
        if let Some(key) = self.readers[reader].key.take() {
            self.streams.detach(key, self.now_ns);
            self.ring();
        }
    }

    /// A reader that has lost its last `lost` events connects again, and resumes after the event before them. Its
    /// former connection may still be open.
    pub(super) fn resume(&mut self, reader: usize, lost: usize) -> Result<(), StreamsFull> {
        let of_reader = &mut self.readers[reader];
        let left = of_reader.history.len().saturating_sub(lost);
        of_reader.history.truncate(left);
        let (last, view) =
            of_reader.history.last().map_or((None, View::default()), |(id, view)| (Some(*id), view.clone()));
        of_reader.view = View { is_synced: false, ..view };
        self.connect(reader, last)
    }

    /// Takes one event. False: there was none.
    pub(super) fn take(&mut self, reader: usize) -> bool {
        let of_reader = &mut self.readers[reader];
        let Some(key) = of_reader.key.filter(|_| of_reader.is_rung) else { return false };
        let (view, mut current) = (&mut of_reader.view, None);
        let taken = self.streams.take(key, &self.replica, self.now_ns, |event, id| {
            view.take(event);
            if let StreamEvent::Location(found) = event {
                current = Some(owned(found));
            }
            id
        });
        if let Some((client, told)) = current {
            assert_eq!(self.held(&client), Some(told), "a reader is told the current record");
        }
        let of_reader = &mut self.readers[reader];
        let is_event = match taken {
            Taken::Event(id) => {
                assert_eq!(EventId::parse(id.to_string().as_bytes()), Some(id));
                of_reader.history.push((id, of_reader.view.clone()));
                true
            }
            Taken::Empty => {
                of_reader.is_rung = false;
                false
            }
            Taken::Gather => false,
            Taken::Ended(why) => {
                (of_reader.ended, of_reader.is_rung) = (Some(why), false);
                false
            }
        };
        self.ring();
        is_event || taken == Taken::Gather && self.gather(reader, usize::MAX)
    }

    /// Searches some shards for a reader. False: there is nothing to search.
    pub(super) fn gather(&mut self, reader: usize, shards: usize) -> bool {
        let Some(key) = self.readers[reader].key else { return false };
        let kept = self.readers[reader].gathering.take();
        let Some(mut gathering) = kept.or_else(|| self.streams.gathering(key)) else { return false };
        let mut effort = Effort::ANY;
        for _ in 0..shards {
            if !gathering.search(&self.replica, self.now_ns, &mut effort).unwrap() {
                return true;
            }
            self.streams.gathered(&mut gathering);
            self.ring();
        }
        self.readers[reader].gathering = Some(gathering);
        true
    }

    /// Searches all shards for a reader, with this effort for all of them.
    pub(super) fn gather_within(&mut self, reader: usize, effort: &mut Effort<'_>) -> Result<(), Unfinished> {
        let key = self.readers[reader].key.unwrap();
        let mut gathering = self.streams.gathering(key).unwrap();
        while gathering.search(&self.replica, self.now_ns, effort)? {
            self.streams.gathered(&mut gathering);
        }
        Ok(())
    }

    /// Takes everything. Returns the words of the events.
    pub(super) fn take_all(&mut self, reader: usize) -> Vec<String> {
        let before = self.readers[reader].view.told.len();
        while self.take(reader) {}
        self.readers[reader].view.told[before..].to_vec()
    }

    /// Everything happens that can happen now, except that time passes.
    pub(super) fn settle(&mut self) {
        self.follow_all();
        for reader in 0..self.readers.len() {
            self.take_all(reader);
        }
    }

    pub(super) fn held(&self, client: &[u8]) -> Option<Place> {
        let found = self.replica.locate(self.now_ns, ClientId::new(client).unwrap(), |held| {
            Whereabouts::of(&held.record, &held.origin.server).map(|found| owned(&found).1)
        });
        found.flatten()
    }

    /// What a reader with this filter should hold.
    pub(super) fn matching(&self, filter: &StreamFilter) -> BTreeMap<Vec<u8>, Place> {
        let (mut ids, mut matching) = (Vec::new(), BTreeMap::new());
        self.replica.for_each(|held| ids.push(held.record.key.to_vec()));
        for id in ids {
            self.replica.locate(self.now_ns, ClientId::new(&id).unwrap(), |held| {
                let found = Whereabouts::of(&held.record, &held.origin.server);
                matching.extend(found.into_iter().filter_map(|found| {
                    let is_match = filter.matches(found.client, found.coordinates, found.attributes);
                    is_match.then(|| owned(&found))
                }));
            });
        }
        matching
    }
}

fn owned(found: &Whereabouts<'_>) -> (Vec<u8>, Place) {
    (found.client.to_vec(), (found.coordinates, found.timestamp))
}
