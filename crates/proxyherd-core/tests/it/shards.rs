//! Shards of three servers, each linked to both others. A test drives them one step at a time through anything that
//! can happen: batches of any size, frames that stay on the wire, links that come and go, servers that restart,
//! records that expire and leave their slots to others.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use proxyherd_core::{
    codec::link::{Encoder, Frame, GraftMode, decode},
    command::Condition,
    flood::{LinkId, NewClients, Offered, Rules, Shard, ShardSettings, Spacing, Update},
    types::{ClientId, KeyHash, Origin},
};

use crate::herd::{NOW_NS, SECOND_NS, Seen, link, origin, report, seen};

const SERVERS: usize = 3;
const NAMES: [&str; SERVERS] = ["Riley", "Jaquez", "Juzang"];
const TTL_NS: u64 = 20 * SECOND_NS;

/// One step. Links are named by their ends.
#[derive(Clone, Debug)]
enum Step {
    /// A server takes a report of a client, of this age.
    Report(usize, u8, u64),
    Forget(usize, u8),
    /// A server flushes at most this many bytes of what it has for another.
    Flush(usize, usize, usize),
    /// This many frames from one server reach another.
    Deliver(usize, usize, usize),
    Down(usize, usize),
    Up(usize, usize),
    Restart(usize),
    Sweep(usize, usize),
    /// Time passes.
    Wait(u64),
}

fn steps(age_ns_max: u64, wait_ns_max: u64) -> impl Strategy<Value = Vec<Step>> {
    let ends = || (0..SERVERS, 1..SERVERS).prop_map(|(one, ahead)| (one, (one + ahead) % SERVERS));
    let step = prop_oneof![
        8 => (0..SERVERS, 0u8..6, 0..=age_ns_max).prop_map(|(at, key, age)| Step::Report(at, key, age)),
        1 => (0..SERVERS, 0u8..6).prop_map(|(at, key)| Step::Forget(at, key)),
        8 => (ends(), 1usize..300).prop_map(|((from, to), most)| Step::Flush(from, to, most)),
        8 => (ends(), 1usize..5).prop_map(|((from, to), frames)| Step::Deliver(from, to, frames)),
        1 => ends().prop_map(|(one, other)| Step::Down(one, other)),
        2 => ends().prop_map(|(one, other)| Step::Up(one, other)),
        1 => (0..SERVERS).prop_map(Step::Restart),
        2 => (0..SERVERS, 1usize..4).prop_map(|(at, slots)| Step::Sweep(at, slots)),
        2 => (1..=wait_ns_max).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..300)
}

/// One direction of a link that is up.
#[derive(Debug, Default)]
struct Wire {
    encoder: Encoder,
    bytes: VecDeque<u8>,
    origins: Vec<Origin>,
    guesses: Vec<u16>,
    records: usize,
}

#[derive(Debug)]
struct Herd {
    now_ns: u64,
    ttl_ns: Option<u64>,
    lives: u64,
    shards: Vec<Shard>,
    wires: BTreeMap<(usize, usize), Wire>,
    /// All updates ever taken; the sequence of the first is 1.
    ledger: BTreeMap<Origin, Vec<Seen>>,
}

/// The link by which `from` reaches `to`.
fn link_to(from: usize, to: usize) -> LinkId {
    link((to + SERVERS - from) % SERVERS - 1)
}

impl Herd {
    fn new(ttl_ns: Option<u64>) -> Herd {
        let (wires, ledger) = (BTreeMap::new(), BTreeMap::new());
        let mut herd = Herd { now_ns: NOW_NS, ttl_ns, lives: 0, shards: Vec::new(), wires, ledger };
        for server in 0..SERVERS {
            let shard = herd.born(server);
            herd.shards.push(shard);
        }
        herd
    }

    fn born(&mut self, server: usize) -> Shard {
        self.lives += 1;
        Shard::new(ShardSettings {
            me: origin(NAMES[server], self.lives),
            index: 0,
            seed: 1,
            client_ttl_ns: self.ttl_ns,
            client_interval_ns: 0,
            report_rules: proxyherd_core::flood::ReportRules::default(),
            clock_offset_max_ns: 0,
            client_index: true,
            rules: Rules::default(),
        })
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Report(server, key, age_ns) => {
                let key = [b'a' + key];
                let report = report(&key, self.now_ns - age_ns);
                let shard = &mut self.shards[server];
                let expected = shard.expect(report.client, KeyHash::of(&key));
                let (outcome, _) = shard.report(
                    self.now_ns,
                    &report,
                    Condition::Always,
                    expected,
                    NewClients::Admit,
                    Spacing::AfterAll,
                );
                self.enter(server, outcome.is_taken(), &key);
            }
            Step::Forget(server, key) => {
                let key = [b'a' + key];
                let client = ClientId::new(&key).unwrap();
                let (offered, _) = self.shards[server].forget(self.now_ns, client);
                self.enter(server, offered == Offered::Updated, &key);
            }
            Step::Flush(from, to, most) => {
                let _ = self.flush(from, to, most);
            }
            Step::Deliver(from, to, frames) => {
                for _ in 0..frames {
                    self.deliver(from, to);
                }
            }
            Step::Down(one, other) => self.down(one, other),
            Step::Up(one, other) => self.up(one, other),
            Step::Restart(server) => {
                (0..SERVERS).filter(|&other| other != server).for_each(|other| self.down(server, other));
                self.shards[server] = self.born(server);
                assert!(self.shards[server].is_empty());
                // No two lives of a server can take the same report at the same instant.
                self.now_ns += 1;
            }
            Step::Sweep(server, slots) => {
                let _ = self.shards[server].sweep(self.now_ns, slots);
            }
            Step::Wait(length_ns) => self.now_ns += length_ns,
        }
    }

    fn enter(&mut self, server: usize, is_news: bool, key: &[u8]) {
        if is_news {
            assert!(!self.shards[server].is_empty());
            let held = self.shards[server].records().find(|held| held.record.key == key).unwrap();
            let stream = self.ledger.entry(held.origin.clone()).or_default();
            stream.push(seen(held));
            assert_eq!(held.seq, stream.len() as u64);
        }
    }

    fn up(&mut self, one: usize, other: usize) {
        self.down(one, other);
        for (from, to) in [(one, other), (other, one)] {
            let mut wire = Wire::default();
            self.shards[from].write_vector(&mut wire.encoder);
            wire.take_encoded();
            self.wires.insert((from, to), wire);
        }
    }

    fn down(&mut self, one: usize, other: usize) {
        for (from, to) in [(one, other), (other, one)] {
            if self.wires.remove(&(from, to)).is_some() {
                self.shards[from].link_down(link_to(from, to));
            }
        }
    }

    /// Returns whether anything is left, or nothing can be sent at all.
    fn flush(&mut self, from: usize, to: usize, most: usize) -> bool {
        let Some(wire) = self.wires.get_mut(&(from, to)) else { return true };
        let is_all = self.shards[from].flush(link_to(from, to), &mut wire.encoder, most);
        wire.take_encoded();
        is_all
    }

    /// Returns whether there was a frame.
    fn deliver(&mut self, from: usize, to: usize) -> bool {
        let Some(wire) = self.wires.get_mut(&(from, to)) else { return false };
        let bytes: Vec<u8> = wire.bytes.iter().copied().collect();
        let Some((frame, len)) = decode(&bytes).unwrap() else { return false };
        wire.bytes.drain(..len);
        let (shard, back) = (&mut self.shards[to], link_to(to, from));
        match frame {
            Frame::Origin { origin, .. } => {
                wire.origins.push(origin);
                wire.guesses.push(0);
            }
            Frame::Vector(covered) => {
                let entry = |(index, seq)| (wire.origins[usize::from(index)].clone(), seq);
                let _ = shard.link_up(back, &covered.iter().map(entry).collect::<Vec<_>>());
            }
            Frame::Record { origin, seq, record } => {
                let (at, now_ns) = (usize::from(origin), self.now_ns);
                let told = Update { record, origin: &wire.origins[at], seq };
                let _ = shard.apply(now_ns, back, told, KeyHash::of(record.key), &mut wire.guesses[at]);
                wire.records += 1;
            }
            Frame::Marker(covered) => {
                for (index, seq) in covered.iter() {
                    let _ = shard.cover(back, &wire.origins[usize::from(index)], seq);
                }
            }
            other => panic!("{other:?}"),
        }
        true
    }

    /// What must hold after every step.
    fn check(&self) {
        for shard in &self.shards {
            assert_eq!(shard.contradiction(), None);
            let held: BTreeMap<_, _> = shard.records().map(|held| (held.record.key, held)).collect();
            for (origin, covered) in shard.vector() {
                let stream = self.ledger.get(origin).map_or(&[][..], Vec::as_slice);
                for update in &stream[..covered as usize] {
                    let is_held =
                        held.get(&update.key[..]).is_some_and(|held| self.is_at_least(held, update));
                    let is_over =
                        self.ttl_ns.is_some_and(|ttl_ns| update.received_ns() + ttl_ns <= self.now_ns);
                    assert!(is_held || is_over, "{origin:?} up to {covered} covers {update:?}, not held");
                }
            }
        }
    }

    fn is_at_least(&self, held: &Update<'_>, update: &Seen) -> bool {
        update.record(|record| held.record.precedence(&held.origin.server, record, &update.server).is_ge())
    }

    /// Brings all links up, moves everything, and forgets what has expired.
    fn settle(&mut self) {
        let ends = [(0, 1), (1, 2), (2, 0)];
        ends.iter().for_each(|&(one, other)| self.up(one, other));
        loop {
            let mut has_moved = false;
            for (one, other) in ends {
                for (from, to) in [(one, other), (other, one)] {
                    has_moved |= !self.flush(from, to, 200);
                    while self.deliver(from, to) {
                        has_moved = true;
                        self.check();
                    }
                }
            }
            if !has_moved {
                break;
            }
        }
        for shard in &mut self.shards {
            // The first goes on where the last one ended, the second begins at the front.
            let _ = shard.sweep(self.now_ns, 1000);
            let _ = shard.sweep(self.now_ns, 1000);
        }
        self.check();
    }

    fn agree(&self) {
        let view = |shard: &Shard| {
            let mut content: Vec<_> = shard.records().map(seen).collect();
            content.sort();
            let vector: BTreeMap<_, _> = shard.vector().map(|(origin, seq)| (origin.clone(), seq)).collect();
            (content, vector)
        };
        let [riley, jaquez, juzang] = [0, 1, 2].map(|server| view(&self.shards[server]));
        assert_eq!(riley, jaquez);
        assert_eq!(jaquez, juzang);
    }
}

impl Wire {
    fn take_encoded(&mut self) {
        self.bytes.extend(self.encoder.bytes());
        self.encoder.clear();
    }
}

fn run(ttl_ns: Option<u64>, steps: &[Step]) {
    let mut herd = Herd::new(ttl_ns);
    for step in steps {
        herd.step(step);
        herd.check();
    }
    herd.settle();
    herd.agree();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn shards_agree_whatever_happens_to_them(steps in steps(3, 2)) {
        run(None, &steps);
    }

    #[test]
    fn shards_agree_while_records_expire_and_slots_are_used_again(steps in steps(0, 5 * SECOND_NS)) {
        run(Some(TTL_NS), &steps);
    }
}

#[test]
fn who_asks_again_while_it_is_answered_is_not_answered_from_the_front() {
    let rules = Rules::default();
    let me = origin("Riley", 1);
    let mut shard = Shard::new(ShardSettings {
        me,
        index: 0,
        seed: 1,
        client_ttl_ns: None,
        client_interval_ns: 0,
        report_rules: proxyherd_core::flood::ReportRules::default(),
        clock_offset_max_ns: 0,
        client_index: true,
        rules,
    });
    for key in (100..200u8).map(|byte| [byte]) {
        let report = report(&key, NOW_NS);
        let expected = shard.expect(report.client, KeyHash::of(&key));
        let _ =
            shard.report(NOW_NS, &report, Condition::Always, expected, NewClients::Admit, Spacing::AfterAll);
    }
    let (link, mut encoder) = (link(0), Encoder::default());
    let _ = shard.link_lazy(link);
    let _ = shard.graft(link, &[], GraftMode::Once);
    let mut asked = 0;
    loop {
        let most = encoder.len() + 200;
        if shard.flush(link, &mut encoder, most) {
            break;
        }
        let _ = shard.graft(link, &[], GraftMode::Once);
        asked += 1;
        assert!(asked < 1000, "it is answered without end");
    }
    assert!(asked > 5, "it was asked {asked} times");
    assert_eq!(encoder.records(), 100);
}
