//! The checker: observes the servers from outside and checks the conditions that must hold.
//!
//! - I1, whenever a server's vector has moved: an entry `o: s` means that the server holds each update of origin `o` up
//!   to `s`, or a record that wins over the update. The ledger knows the updates. With bad members, a bad member's
//!   record may have won over an update elsewhere without being held here. Nothing is promised of origins for which a
//!   bad member invented markers.
//! - Agreement, once the herd is left in peace (`agreement`): within a bounded time all servers that can reach each
//!   other hold the same records, their vectors are equal, and no queue has entries. For each client they hold at least
//!   the best record that any of them held when peace began, and a record that some server really took.
//! - Answers: a life of a server never answers about a client with an older record than before, and every answer was
//!   really reported. A server shows each report that it claims to have taken.
//! - Bounds, every half minute and whenever the herd agrees: an outbox holds each slot at most once, and at most one
//!   marker.
//! - Bookkeeping, equally often: see `Replica::contradiction`.
//! - Promises, in each peace (`promises`): what was acknowledged survives as the chosen durability says, and nothing
//!   that the herd had replaced comes back.

mod agreement;
mod promises;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use proxyherd_core::{
    command::{Outcome, Position},
    flood::{LinkId, Nonsense, Update},
    limits::{HANDSHAKE_MAX, INCARNATIONS_MAX, LINKS_MAX, SHARDS},
    replica::{Offer, Replica, shard_index},
    types::{ClientId, Origin, ServerName, Stamp},
};

use self::{agreement::Floor, promises::Promises};
use crate::{
    ledger::{Ledger, Taken},
    outcome::{Symptom, Violation},
    scenario::{CLOCK_OFFSET_MAX_NS, Durability},
    timeline::Nanos,
};

/// The maximum by which a held record's time of receipt may be ahead, beyond the allowed clock offset. A server whose
/// clock was ahead keeps records that some neighbor may have merged, and handshakes only detect larger offsets.
const ASTRAY_NS: u64 = CLOCK_OFFSET_MAX_NS + HANDSHAKE_MAX.as_nanos() as u64;

/// A life of a server, as the checker identifies it: the server's number, and the number of the life.
pub(crate) type LifeId = (usize, u64);

/// Everything that is known about all lives.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// All updates that servers have taken.
    pub(crate) ledger: Ledger,
    /// Up to which sequence each life's vector has been proved, by life, origin and shard.
    proven: HashMap<(LifeId, usize, usize), u64>,
    /// Each life's last answer about each client.
    answered: HashMap<(LifeId, Box<[u8]>), Taken>,
    /// The records that each part of the herd must hold, or better ones, when it agrees.
    floors: Vec<Floor>,
    /// What servers have acknowledged.
    promises: Promises,
    violations: Vec<Violation>,
    /// The number of lies in its own name that each server has received.
    answered_lies: HashMap<usize, u64>,
    /// The number of records that servers have issued by themselves, without a report.
    said: u64,
    /// The time after its receipt at which a report is forgotten.
    client_ttl: Option<Nanos>,
}

impl Checker {
    /// A checker that has seen nothing.
    pub(crate) fn new(client_ttl: Option<Nanos>, durability: Durability, servers: usize) -> Checker {
        Checker { client_ttl, promises: Promises::new(durability, servers), ..Checker::default() }
    }

    /// Whether this update is covered. There are four ways: the update, or a record that wins over it, is held; or the
    /// update has expired; or a bad member's record won over the update and has expired; or no server has to take the
    /// update, because its time of receipt is further ahead than clocks may be apart.
    fn is_covered(&self, clock_ns: u64, replica: &Replica, update: &Taken) -> bool {
        let (kind, key) = &update.key;
        replica.find(clock_ns, *kind, key, |held| update.is_covered_by(held)) == Some(true)
            || update.is_over(clock_ns, self.client_ttl)
            || self.is_ahead(clock_ns, update)
            || self.ledger.is_excused(update, clock_ns, self.client_ttl)
    }

    /// Whether a record's time of receipt is further ahead than clocks may be apart.
    fn is_ahead(&self, clock_ns: u64, update: &Taken) -> bool {
        update.received_ns() > clock_ns.saturating_add(CLOCK_OFFSET_MAX_NS)
    }

    /// Notes a violation. Only the first violation of each symptom is kept, and the run continues.
    pub(crate) fn found(&mut self, at: Nanos, symptom: Symptom, text: String) {
        if self.violations.iter().all(|violation| violation.symptom != symptom) {
            self.violations.push(Violation { at, symptom, text });
        }
    }

    /// All violations.
    pub(crate) fn into_violations(self) -> Vec<Violation> {
        self.violations
    }

    /// Whether a symptom has been found.
    pub(crate) fn has_found(&self, symptom: Symptom) -> bool {
        self.violations.iter().any(|violation| violation.symptom == symptom)
    }

    /// Notes that a server has taken a client's report, or has forgotten a client.
    pub(crate) fn took(&mut self, at: Nanos, clock_ns: u64, replica: &Replica, client: ClientId<'_>) {
        let entered = replica.locate(clock_ns, client, |held| {
            self.note_taken(&Taken::from(held));
            self.ledger.enter_report(held);
            if self.ledger.knows(held) {
                // The record was entered together with others that the server had issued by itself.
                self.said = self.said.saturating_sub(1);
                return Ok(());
            }
            match self.ledger.is_lied_about(shard_index(held.record.key)) {
                // Records that the server has issued as answers to lies may have been replaced before the checker could
                // see them.
                true => self.ledger.enter_later(held),
                false => self.ledger.enter(held),
            }
        });
        let entered =
            entered.unwrap_or_else(|| Err(format!("a report of {client:?} was taken but is not held")));
        if let Err(text) = entered {
            self.found(at, Symptom::Bookkeeping, text);
        }
    }

    /// Notes that a server has answered a report, and has taken no other report of that client since. The server must
    /// show the report if it claims to have taken it.
    pub(crate) fn answered(&mut self, at: Nanos, clock_ns: u64, replica: &Replica, offer: &Offer<'_>) {
        let client = offer.report.client;
        if offer.report.stamp == Stamp::Server && offer.outcome == Outcome::Stale {
            self.found(at, Symptom::Read, format!("{client:?} was told that the server's own time is stale"));
        }
        if !offer.outcome.is_taken() {
            return;
        }
        let shown = replica.locate(clock_ns, client, |held| {
            let record = held.record;
            ((record.timestamp, record.difference), (shard_index(record.key), held.seq))
        });
        // Positions continue when sequences begin anew with an incarnation.
        let shown = shown.map(|(times, (shard, seq))| {
            (times, Position { shard, seq: replica.issued_before(shard) + seq })
        });
        let told = offer.times(clock_ns).zip(offer.own_position());
        if shown != told {
            let text = format!("{client:?} was told {told:?}, but the server shows {shown:?}");
            self.found(at, Symptom::Read, text);
        }
    }

    /// Notes that a client asks a server for a client's position.
    pub(crate) fn read(
        &mut self,
        at: Nanos,
        life: LifeId,
        clock_ns: u64,
        replica: &Replica,
        client: ClientId<'_>,
    ) {
        let known = |held: Update<'_>| (self.ledger.knows(held), Taken::from(held));
        let (is_known, now) = replica.locate(clock_ns, client, known).unzip();
        if is_known == Some(false) {
            self.found(
                at,
                Symptom::Foreign,
                format!("server {} answers with a record that no server accepted: {now:?}", life.0),
            );
        }
        let key = (life, client.as_bytes().into());
        if let Some(before) = self.answered.get(&key)
            && !before.is_over(clock_ns, self.client_ttl)
            && !self.is_ahead(clock_ns, before)
            && !self.ledger.is_excused(before, clock_ns, self.client_ttl)
            && !now.as_ref().is_some_and(|now| before.is_over(now.received_ns(), self.client_ttl))
            && !self.ledger.is_displaced(before, self.client_ttl)
            && !now.as_ref().is_some_and(|now| now.wins_or_equals(before))
        {
            let text = format!("server {} answers {now:?} after {before:?}", life.0);
            self.found(at, Symptom::Read, text);
        }
        if let Some(now) = now {
            self.answered.insert(key, now);
        }
    }

    /// Checks the vectors of these shards against the ledger, as far as the vectors have moved.
    pub(crate) fn vectors(&mut self, at: Nanos, life: LifeId, clock_ns: u64, replica: &Replica, shards: u32) {
        for shard in (0..SHARDS).filter(|shard| shards & 1 << shard != 0) {
            let mut moved = Vec::new();
            replica.for_each_covered(shard, |origin, covered| {
                if self.ledger.is_unsure(origin, shard) {
                    return;
                }
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
                if let Err(text) = self.prove(clock_ns, replica, (number, shard), proven, covered) {
                    let text = format!("server {} covers {origin:?} up to {covered}: {text}", life.0);
                    self.found(at, Symptom::Invariant1, text);
                }
            }
        }
    }

    fn prove(
        &self,
        clock_ns: u64,
        replica: &Replica,
        (origin, shard): (usize, usize),
        proven: u64,
        covered: u64,
    ) -> Result<(), String> {
        let stream = if origin == usize::MAX { &[][..] } else { self.ledger.stream(origin, shard) };
        let Some(updates) = stream.get(proven as usize..covered as usize) else {
            return Err(format!("only {} updates were taken", stream.len()));
        };
        for (seq, update) in (proven + 1..).zip(updates).filter_map(|(seq, it)| Some((seq, it.as_ref()?))) {
            let is_outbid = || self.ledger.is_outbid(update, clock_ns, self.client_ttl);
            if !self.is_covered(clock_ns, replica, update) && !is_outbid() {
                return Err(format!("update {seq} is not covered: {update:?}"));
            }
        }
        Ok(())
    }

    /// Forgets this life's answers, because its clock jumps by years and its records may have expired.
    pub(crate) fn forget_answers(&mut self, life: LifeId) {
        self.answered.retain(|(answered, _), _| *answered != life);
    }

    /// The number of records that servers have issued by themselves so far.
    pub(crate) fn said(&self) -> u64 {
        self.said
    }

    /// Enters the records that a server has issued by itself in these shards.
    pub(crate) fn said_by_itself(&mut self, at: Nanos, server: usize, replica: &Replica, shards: u32) {
        self.retold(server, replica);
        let me = &replica.origin();
        let mut said = Vec::new();
        for shard in (0..SHARDS).filter(|shard| shards & 1 << shard != 0) {
            let entered = self.ledger.taken_by(me, shard);
            replica.for_each_covered(shard, |origin, covered| {
                if origin == me && covered > entered {
                    said.push((shard, entered, covered));
                }
            });
        }
        if said.is_empty() || self.ledger.is_restored(me) {
            return;
        }
        let mut records = Vec::new();
        replica.for_each(|held| {
            let shard = shard_index(held.record.key);
            if held.origin == me && said.iter().any(|&(it, entered, _)| it == shard && held.seq > entered) {
                records.push((shard, held.seq, Taken::from(held)));
            }
        });
        records.sort_by_key(|(shard, seq, _)| (*shard, *seq));
        self.said += records.len() as u64;
        for (_, seq, record) in records {
            if let Err(text) = self.ledger.enter_later(Update { record: record.record(), origin: me, seq }) {
                self.found(at, Symptom::Bookkeeping, format!("server {server} by itself: {text}"));
            }
        }
        for (shard, _, covered) in said {
            self.ledger.enter_overtaken(me, shard, covered);
        }
    }

    /// Enters the records that a server has retold in other servers' names, if the server has received a lie since the
    /// last call.
    fn retold(&mut self, server: usize, replica: &Replica) {
        let links = (0..LINKS_MAX).filter_map(LinkId::new);
        let heard = links.map(|link| replica.nonsense(link)[Nonsense::OwnRecord.index()]).sum();
        if self.answered_lies.insert(server, heard) == Some(heard) {
            return;
        }
        let (mut retold, mut answers) = (Vec::new(), Vec::new());
        let (me, is_restored) = (replica.origin(), self.ledger.is_restored(&replica.origin()));
        replica.for_each(|held| {
            if held.seq == u64::MAX && !self.ledger.knows(held) {
                retold.push(Taken::from(held));
            } else if is_restored && *held.origin == me && !self.ledger.knows(held) {
                answers.push(Taken::from(held));
            }
        });
        retold.iter().for_each(|record| self.ledger.enter_retold(record));
        answers.iter().for_each(|record| self.ledger.enter_answer(record));
    }

    /// Looks for records that bad members invented and that are still held in the name of a server that is present.
    /// Such a server knows better and has to contradict them. `present` returns whether a server remembers what it
    /// issued under an incarnation, or `None` if the server is not present. Records that servers do not compare at
    /// `from_ns` do not count.
    pub(crate) fn in_others_names(
        &self,
        server: usize,
        replica: &Replica,
        from_ns: u64,
        present: impl Fn(&ServerName, u64) -> Option<bool>,
    ) -> Option<String> {
        let mut lies = Vec::new();
        replica.for_each(|held| {
            // Every member may revoke a token, and nothing wins over a revocation.
            if held.record.is_revocation() {
                return;
            }
            let record = Taken::from(held);
            if let Some(told) =
                self.ledger.names_of_lie(&record).filter(|_| self.is_agreed_on(&record, from_ns))
            {
                lies.push((held.origin.clone(), told, record));
            }
        });
        let stands = |Origin { server: name, incarnation }: &Origin, told: &HashSet<Origin>| {
            let mut in_its_name = told.iter().filter(|origin| origin.server == *name);
            present(name, *incarnation) == Some(true)
                && !in_its_name.any(|origin| present(name, origin.incarnation) == Some(false))
        };
        let (origin, told, record) = lies.into_iter().find(|(origin, told, _)| stands(origin, told))?;
        Some(format!(
            "server {server} holds {record:?} of {origin:?}, which bad members invented in the names of {told:?}"
        ))
    }

    /// Proves every vector of a replica again from its first update, because covered updates must stay covered.
    pub(crate) fn vectors_again(&mut self, at: Nanos, life: LifeId, clock_ns: u64, replica: &Replica) {
        self.proven.retain(|(proven, ..), _| *proven != life);
        self.vectors(at, life, clock_ns, replica, u32::MAX);
    }

    /// Checks a replica's outboxes and bookkeeping, and each record's origin.
    pub(crate) fn bookkeeping(&mut self, at: Nanos, server: usize, replica: &Replica, links: usize) {
        if let Some(text) = replica.contradiction() {
            self.found(at, Symptom::Bookkeeping, format!("server {server}: {text}"));
        }
        let (mut foreign, mut records) = (None, [0; SHARDS]);
        replica.for_each(|held| {
            records[shard_index(held.record.key)] += 1;
            if !self.ledger.knows(held) {
                foreign = Some(format!("server {server} holds a record that no server accepted: {held:?}"));
            }
        });
        if let Some(text) = foreign {
            self.found(at, Symptom::Foreign, text);
        }
        for link in (0..links).filter_map(LinkId::new) {
            for (shard, records) in records.iter().enumerate() {
                let queued = replica.queue_len(link, shard);
                // A slot that is freed keeps its position in the queue.
                let slots = if self.client_ttl.is_some() { self.ledger.keys_len() } else { *records };
                if queued > slots + 1 {
                    let text = format!("server {server} queues {queued} of {records} records on one link");
                    self.found(at, Symptom::Outbox, text);
                }
            }
        }
    }

    /// Checks the remains of bad members and wrong clocks at a server: there must be no record from the future, and in
    /// one shard no more lives of one server than are allowed.
    pub(crate) fn leftovers(
        &self,
        server: usize,
        clock_ns: u64,
        replica: &Replica,
    ) -> Result<(), (Symptom, String)> {
        let (mut ahead, mut lives) = (None, BTreeMap::<_, BTreeSet<u64>>::new());
        replica.for_each(|held| {
            let record = Taken::from(held);
            let lives = lives.entry((shard_index(held.record.key), held.origin.server.clone())).or_default();
            lives.insert(held.origin.incarnation);
            if self.is_ahead(clock_ns.saturating_add(ASTRAY_NS), &record) {
                ahead = Some(record);
            }
        });
        if let Some(record) = ahead {
            return Err((Symptom::Future, format!("server {server} holds {record:?}")));
        }
        // A server's own present life does not count against the bound.
        match lives.into_iter().find(|(_, lives)| lives.len() > INCARNATIONS_MAX + 1) {
            Some(((shard, name), lives)) => {
                let text = format!("server {server} holds {} lives of {name} in shard {shard}", lives.len());
                Err((Symptom::Memory, text))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proxyherd_core::{
        flood::Rules,
        replica::ReplicaSettings,
        types::{Attributes, Coordinates, Report, ServerName, Stamp, Timestamp},
    };

    use super::*;

    const CLOCK_NS: u64 = 1_700_000_000_000_000_000;

    fn replica(server: &str) -> Replica {
        Replica::new(ReplicaSettings {
            me: Origin { server: ServerName::new(server).unwrap(), incarnation: 1 },
            seed: 1,
            max_clients: u64::MAX,
            client_ttl_ns: None,
            client_interval_ns: 0,
            report_rules: proxyherd_core::flood::ReportRules::default(),
            clock_offset_max_ns: 60_000_000_000,
            client_index: true,
            rules: Rules::default(),
        })
    }

    fn client() -> ClientId<'static> {
        ClientId::new(b"kiwi").unwrap()
    }

    fn report(replica: &Replica, later_ns: u64) {
        let report = Report {
            client: client(),
            coordinates: Coordinates::parse(b"+34.068930-118.445127").unwrap(),
            stamp: Stamp::Client(Timestamp::from_nanos(CLOCK_NS + later_ns).unwrap()),
            attributes: Attributes::NONE,
        };
        let _ = replica.report(CLOCK_NS + later_ns, &report);
    }

    fn symptoms(checker: Checker) -> Vec<Symptom> {
        checker.into_violations().into_iter().map(|violation| violation.symptom).collect()
    }

    #[test]
    fn updates_are_entered_in_their_order_and_none_is_left_out() {
        let (riley, mut checker) = (replica("Riley"), Checker::default());
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
        let (riley, mut checker) = (replica("Riley"), Checker::default());
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
        let (riley, jaquez, mut checker) = (replica("Riley"), replica("Jaquez"), Checker::default());
        report(&riley, 0);
        checker.peace(CLOCK_NS, [vec![(0, &riley), (1, &jaquez)]]);
        assert!(checker.agreement(0, |server| [&riley, &jaquez][server]).is_err());
        // The herd may hold a newer record, but it must hold some record.
        let newer = replica("Riley");
        report(&newer, 1);
        checker.losses(0, 0, |_| CLOCK_NS, |_| &newer);
        assert!(!checker.has_found(Symptom::Lost));
        assert_eq!(checker.agreement(0, |_| &jaquez), Ok(()), "empty replicas agree, too");
        checker.losses(0, 0, |_| CLOCK_NS, |_| &jaquez);
        assert_eq!(symptoms(checker), [Symptom::Lost]);
    }

    #[test]
    fn parts_that_do_not_reach_each_other_need_not_agree() {
        let (riley, jaquez, mut checker) = (replica("Riley"), replica("Jaquez"), Checker::default());
        report(&riley, 0);
        checker.peace(CLOCK_NS, [vec![(0, &riley)], vec![(1, &jaquez)]]);
        assert_eq!(checker.agreement(0, |server| [&riley, &jaquez][server]), Ok(()));
    }

    #[test]
    fn a_record_that_no_server_took_is_found() {
        let (riley, mut checker) = (replica("Riley"), Checker::default());
        report(&riley, 0);
        checker.bookkeeping(0, 0, &riley, 0);
        assert_eq!(symptoms(checker), [Symptom::Foreign]);
    }
}
