//! What must hold, watched from outside.
//!
//! - I1, whenever a server's vector has moved: an entry `o: s` means that each update of origin `o` up to `s` is
//!   held there, or something that wins over it. The ledger knows the updates.
//! - Agreement, once the herd is left in peace: within a bounded time all servers that can reach each other hold
//!   the same map, their vectors are equal, and nothing waits. For each client it is at least what the best of
//!   them held when peace began, and an update that some server really took.
//! - Answers: what one life of a server has answered about a client it never takes back for something older, and all
//!   of it was really said.
//! - Bounds, every half minute and whenever the herd agrees: an outbox holds each slot once, and one marker.
//! - Bookkeeping, as often: see `Map::contradiction`.

use std::collections::{BTreeMap, HashMap};

use proxyherd_core::{
    flood::{Held, LinkId},
    limits::SHARDS,
    map::{Map, shard_index},
    types::{ClientId, Origin},
};

use crate::{
    ledger::{Ledger, Taken},
    outcome::{Symptom, Violation},
    timeline::Nanos,
    trace::Trace,
};

/// Which life of which server, as the checker tells them apart.
pub(crate) type LifeId = (usize, u64);

/// All that is known about all lives.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// What was taken.
    pub(crate) ledger: Ledger,
    /// How far each life's vector has been found true, by life, origin and shard.
    proven: HashMap<(LifeId, usize, usize), u64>,
    /// What each life has answered last.
    answered: HashMap<(LifeId, Box<[u8]>), Taken>,
    /// What each part of the herd must hold at least when it agrees.
    floors: Vec<Floor>,
    violations: Vec<Violation>,
    /// How long after its receipt a report is forgotten.
    client_ttl: Option<Nanos>,
}

/// One part of the herd, whose servers reach each other, when peace began.
#[derive(Debug)]
struct Floor {
    servers: Vec<usize>,
    held: BTreeMap<Box<[u8]>, Taken>,
}

impl Checker {
    /// One that has seen nothing.
    pub(crate) fn new(client_ttl: Option<Nanos>) -> Checker {
        Checker { client_ttl, ..Checker::default() }
    }

    /// Whether this is held, or what wins over it, or its time is over.
    fn is_covered(&self, clock_ns: u64, map: &Map, update: &Taken) -> bool {
        let client = ClientId::new(&update.key).expect("it was one before");
        map.locate(clock_ns, client, |held| update.is_covered_by(held)) == Some(true)
            || self.client_ttl.is_some_and(|ttl| update.is_over(clock_ns, ttl))
    }

    /// Notes what is wrong; of each symptom the first is kept, and the run goes on.
    pub(crate) fn found(&mut self, at: Nanos, symptom: Symptom, text: String) {
        if self.violations.iter().all(|violation| violation.symptom != symptom) {
            self.violations.push(Violation { at, symptom, text });
        }
    }

    /// What was found.
    pub(crate) fn into_violations(self) -> Vec<Violation> {
        self.violations
    }

    /// Whether a symptom has been found.
    pub(crate) fn has_found(&self, symptom: Symptom) -> bool {
        self.violations.iter().any(|violation| violation.symptom == symptom)
    }

    /// A server has taken a client's report, or forgotten it.
    pub(crate) fn took(&mut self, at: Nanos, clock_ns: u64, map: &Map, client: ClientId<'_>) {
        let entered = map.locate(clock_ns, client, |held| self.ledger.enter(held));
        let entered = entered.unwrap_or_else(|| Err(format!("{client:?} was taken and is not there")));
        if let Err(text) = entered {
            self.found(at, Symptom::Bookkeeping, text);
        }
    }

    /// Somebody asks a server where a client is.
    pub(crate) fn read(&mut self, at: Nanos, life: LifeId, clock_ns: u64, map: &Map, client: ClientId<'_>) {
        let known = |held: Held<'_>| (self.ledger.knows(held), Taken::from(held));
        let (is_known, now) = map.locate(clock_ns, client, known).unzip();
        if is_known == Some(false) {
            self.found(at, Symptom::Foreign, format!("server {} answers what nobody took: {now:?}", life.0));
        }
        let key = (life, client.as_bytes().into());
        if let Some(before) = self.answered.get(&key)
            && !self.client_ttl.is_some_and(|ttl| before.is_over(clock_ns, ttl))
            && !now.as_ref().is_some_and(|now| now.wins_or_equals(before))
        {
            let text = format!("server {} answers {now:?} after {before:?}", life.0);
            self.found(at, Symptom::Read, text);
        }
        if let Some(now) = now {
            self.answered.insert(key, now);
        }
    }

    /// Holds the vectors of these shards of a map against the ledger, as far as they are new.
    pub(crate) fn vectors(&mut self, at: Nanos, life: LifeId, clock_ns: u64, map: &Map, shards: u32) {
        for shard in (0..SHARDS).filter(|shard| shards & 1 << shard != 0) {
            let mut moved = Vec::new();
            map.for_each_covered(shard, |origin, covered| {
                let Some(number) = self.ledger.origin(origin) else {
                    moved.push((origin.clone(), usize::MAX, 0, covered));
                    return;
                };
                let proven = self.proven.entry((life, number, shard)).or_default();
                if covered > *proven {
                    moved.push((origin.clone(), number, *proven, covered));
                    *proven = covered;
                }
            });
            for (origin, number, proven, covered) in moved {
                if let Err(text) = self.prove(clock_ns, map, (number, shard), proven, covered) {
                    let text = format!("server {} covers {origin:?} up to {covered}: {text}", life.0);
                    self.found(at, Symptom::Invariant1, text);
                }
            }
        }
    }

    fn prove(
        &self,
        clock_ns: u64,
        map: &Map,
        (origin, shard): (usize, usize),
        proven: u64,
        covered: u64,
    ) -> Result<(), String> {
        let stream = if origin == usize::MAX { &[][..] } else { self.ledger.stream(origin, shard) };
        let Some(updates) = stream.get(proven as usize..covered as usize) else {
            return Err(format!("only {} updates were taken", stream.len()));
        };
        for (seq, update) in (proven + 1..).zip(updates) {
            if !self.is_covered(clock_ns, map, update) {
                return Err(format!("update {seq} is not covered: {update:?}"));
            }
        }
        Ok(())
    }

    /// Proves every vector of a map again, from its first update: what is covered must stay so.
    pub(crate) fn vectors_again(&mut self, at: Nanos, life: LifeId, clock_ns: u64, map: &Map) {
        self.proven.retain(|(proven, ..), _| *proven != life);
        self.vectors(at, life, clock_ns, map, u32::MAX);
    }

    /// Looks at a map's outboxes and bookkeeping, and at each record's origin.
    pub(crate) fn bookkeeping(&mut self, at: Nanos, server: usize, map: &Map, links: usize) {
        if let Some(text) = map.contradiction() {
            self.found(at, Symptom::Bookkeeping, format!("server {server}: {text}"));
        }
        let (mut foreign, mut records) = (None, [0; SHARDS]);
        map.for_each(|held| {
            records[shard_index(held.record.key)] += 1;
            if !self.ledger.knows(held) {
                foreign = Some(format!("server {server} holds what nobody took: {held:?}"));
            }
        });
        if let Some(text) = foreign {
            self.found(at, Symptom::Foreign, text);
        }
        for link in (0..links).filter_map(LinkId::new) {
            for (shard, records) in records.iter().enumerate() {
                let queued = map.queue_len(link, shard);
                // A slot that is freed stands where it stood, until its turn comes.
                let slots = if self.client_ttl.is_some() { self.ledger.clients_len() } else { *records };
                if queued > slots + 1 {
                    let text = format!("server {server} queues {queued} of {records} records on one link");
                    self.found(at, Symptom::Outbox, text);
                }
            }
        }
    }

    /// Peace begins for these parts of the herd: notes the best that each holds.
    pub(crate) fn peace<'a>(&mut self, parts: impl IntoIterator<Item = Vec<(usize, &'a Map)>>) {
        self.floors = parts.into_iter().map(Floor::of).collect();
    }

    /// Whether every part of the herd agrees; says what differs, if anything does.
    pub(crate) fn agreement<'a>(&self, map: impl Fn(usize) -> &'a Map) -> Result<(), String> {
        for floor in &self.floors {
            let mut views = floor.servers.iter().map(|&server| (server, View::of(map(server))));
            let Some((first, one)) = views.next() else { continue };
            for (second, other) in views {
                one.compare(&other).map_err(|text| format!("servers {first} and {second}: {text}"))?;
            }
        }
        Ok(())
    }

    /// The herd has agreed: nothing that was held when peace began may be lost.
    pub(crate) fn losses<'a>(&mut self, at: Nanos, clock_ns: u64, map: impl Fn(usize) -> &'a Map) {
        let mut lost = Vec::new();
        for floor in &self.floors {
            for &server in &floor.servers {
                let missing = floor.held.values().find(|best| !self.is_covered(clock_ns, map(server), best));
                lost.extend(missing.map(|best| format!("server {server} does not hold {best:?}")));
            }
        }
        for text in lost {
            self.found(at, Symptom::Lost, text);
        }
    }
}

impl Floor {
    fn of(maps: Vec<(usize, &Map)>) -> Floor {
        let mut held: BTreeMap<Box<[u8]>, Taken> = BTreeMap::new();
        for (_, map) in &maps {
            map.for_each(|one| {
                let one = Taken::from(one);
                match held.get_mut(&one.key) {
                    Some(best) if best.wins_or_equals(&one) => {}
                    Some(best) => *best = one,
                    None => drop(held.insert(one.key.clone(), one)),
                }
            });
        }
        Floor { servers: maps.into_iter().map(|(server, _)| server).collect(), held }
    }
}

/// What servers that agree have in common.
struct View {
    records: u64,
    /// A sum over the records, so that their order does not matter.
    digest: u64,
    vectors: Vec<(usize, Origin, u64)>,
}

impl View {
    fn of(map: &Map) -> View {
        let mut digest = 0u64;
        map.for_each(|held| {
            let mut one = Trace::default();
            Taken::from(held).digest(&mut one);
            digest = digest.wrapping_add(one.hash());
        });
        let mut vectors = Vec::new();
        for shard in 0..SHARDS {
            map.for_each_covered(shard, |origin, covered| vectors.push((shard, origin.clone(), covered)));
        }
        vectors.sort();
        View { records: map.len(), digest, vectors }
    }

    fn compare(&self, other: &View) -> Result<(), String> {
        if self.records != other.records {
            return Err(format!("{} records and {}", self.records, other.records));
        }
        if self.digest != other.digest {
            return Err("the same number of records, and they differ".to_owned());
        }
        if self.vectors != other.vectors {
            let differs = self.vectors.iter().zip(&other.vectors).find(|(one, other)| one != other);
            return Err(format!("the same records, and their vectors differ: {differs:?}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proxyherd_core::{
        flood::Rules,
        map::MapSettings,
        types::{Attributes, Coordinates, Report, ServerName, Timestamp},
    };

    use super::*;

    const CLOCK_NS: u64 = 1_700_000_000_000_000_000;

    fn map(server: &str) -> Map {
        Map::new(MapSettings {
            me: Origin { server: ServerName::new(server).unwrap(), incarnation: 1 },
            seed: 1,
            max_clients: u64::MAX,
            client_ttl_ns: None,
            client_interval_ns: 0,
            clock_offset_max_ns: 60_000_000_000,
            rules: Rules::default(),
        })
    }

    fn client() -> ClientId<'static> {
        ClientId::new(b"kiwi").unwrap()
    }

    fn report(map: &Map, later_ns: u64) {
        let report = Report {
            client: client(),
            coordinates: Coordinates::parse(b"+34.068930-118.445127").unwrap(),
            timestamp: Timestamp::from_nanos(CLOCK_NS + later_ns).unwrap(),
            attributes: Attributes::NONE,
        };
        let _ = map.report(CLOCK_NS + later_ns, &report);
    }

    fn symptoms(checker: Checker) -> Vec<Symptom> {
        checker.into_violations().into_iter().map(|violation| violation.symptom).collect()
    }

    #[test]
    fn updates_are_entered_in_their_order_and_none_is_left_out() {
        let (riley, mut checker) = (map("Riley"), Checker::default());
        report(&riley, 0);
        checker.took(0, CLOCK_NS, &riley, client());
        assert!(!checker.has_found(Symptom::Bookkeeping));
        report(&riley, 1);
        report(&riley, 2);
        checker.took(0, CLOCK_NS, &riley, client());
        assert_eq!(symptoms(checker), [Symptom::Bookkeeping]);
    }

    #[test]
    fn a_vector_that_covers_what_was_never_taken_is_found() {
        let (riley, mut checker) = (map("Riley"), Checker::default());
        report(&riley, 0);
        checker.took(0, CLOCK_NS, &riley, client());
        checker.vectors(0, (0, 1), CLOCK_NS, &riley, u32::MAX);
        assert!(!checker.has_found(Symptom::Invariant1));
        report(&riley, 1);
        checker.vectors(0, (0, 1), CLOCK_NS, &riley, u32::MAX);
        assert_eq!(symptoms(checker), [Symptom::Invariant1]);
    }

    #[test]
    fn what_was_held_when_peace_began_must_be_held_in_the_end() {
        let (riley, jaquez, mut checker) = (map("Riley"), map("Jaquez"), Checker::default());
        report(&riley, 0);
        checker.peace([vec![(0, &riley), (1, &jaquez)]]);
        assert!(checker.agreement(|server| [&riley, &jaquez][server]).is_err());
        // The herd may hold something newer, but not nothing.
        let newer = map("Riley");
        report(&newer, 1);
        checker.losses(0, CLOCK_NS, |_| &newer);
        assert!(!checker.has_found(Symptom::Lost));
        assert_eq!(checker.agreement(|_| &jaquez), Ok(()), "empty maps agree, too");
        checker.losses(0, CLOCK_NS, |_| &jaquez);
        assert_eq!(symptoms(checker), [Symptom::Lost]);
    }

    #[test]
    fn parts_that_do_not_reach_each_other_need_not_agree() {
        let (riley, jaquez, mut checker) = (map("Riley"), map("Jaquez"), Checker::default());
        report(&riley, 0);
        checker.peace([vec![(0, &riley)], vec![(1, &jaquez)]]);
        assert_eq!(checker.agreement(|server| [&riley, &jaquez][server]), Ok(()));
    }

    #[test]
    fn a_record_that_no_server_took_is_found() {
        let (riley, mut checker) = (map("Riley"), Checker::default());
        report(&riley, 0);
        checker.bookkeeping(0, 0, &riley, 0);
        assert_eq!(symptoms(checker), [Symptom::Foreign]);
    }
}
