//! The loop: takes the next event, lets servers, wires, clients and faults react, and calls the checker.
//!
//! A run consists of rounds. In each round, clients report and faults come for a while. Then all faults end, except
//! that one may last (a server that is down, or a partition). No client reports, and every part of the herd has to
//! agree.

mod absences;
mod asking;
mod failing;
mod following;
mod lying;
mod peace;
mod reading;
mod storing;
mod tokens;
mod wires;

use std::collections::BTreeSet;

use proxyherd_core::flood::Rules;

use self::absences::Restart;
use crate::{
    checker::Checker,
    clients::Clients,
    disk::{Image, SimDisk},
    faults::Faults,
    liar::{Manner, Saying},
    network::{ConnId, Network, Side},
    outcome::{Outcome, Symptom, Tally, Violation},
    rng::Rng,
    scenario::Scenario,
    server::{Action, Life},
    story::Story,
    streaming::Reader,
    timeline::{Nanos, SECOND, Timeline},
    trace::Trace,
};

/// POSIX time when a world begins.
const EPOCH_NS: u64 = 1_700_000_000 * SECOND;
/// The interval between two checks of the bookkeeping.
const AUDIT_INTERVAL: Nanos = 30 * SECOND;

/// The number of readers of streams.
const READERS: usize = 6;

/// An event.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Bytes have come over a wire from this end.
    Arrive(ConnId, Side),
    /// Something that a server does by itself.
    Own(usize, u64, Own),
    /// Clients send requests.
    Ask,
    /// A fault begins.
    Fail,
    /// A server starts.
    Start(usize),
    /// What was wrong with a server's disk ends.
    DiskMends(usize),
    /// A path is unblocked.
    Unblock(usize, usize),
    /// A path has its full bandwidth again.
    Unchoke(usize, usize),
    /// A server's clock jumps by this much.
    Jump(usize, i64),
    /// A bad life of a server sends something.
    Lie(usize, u64),
    /// A bad life ends, and may stay away.
    Reform(usize, u64, bool),
    /// Bookkeeping is checked.
    Audit,
    /// Servers look at what they have received.
    Look,
    /// Servers sweep some of their slots for expired records.
    Sweep,
    /// Followers take what there is for them.
    Follow,
    /// Streams and their readers take what there is for them.
    Read,
    /// Peace begins.
    Peace,
    /// The checker checks whether the herd agrees.
    Agree,
    /// The herd becomes calm: clients report, and nothing goes wrong for a while.
    Calm,
}

/// What a server does by itself.
#[derive(Clone, Copy, Debug)]
enum Own {
    Flush(ConnId),
    Tick(ConnId),
    Dial(usize),
    /// The next step of a commit.
    Commit,
    /// The next step of a compaction.
    Compact,
}

/// The state of a run.
#[derive(Debug)]
struct World {
    scenario: Scenario,
    rules: Rules,
    now: Nanos,
    timeline: Timeline<Event>,
    rng: Rng,
    /// A random stream of its own, so that followers change nothing else of a seed's run.
    followers_rng: Rng,
    /// A random stream of its own for readers of streams.
    readers_rng: Rng,
    /// A random stream of its own for disks and the times at which they are used.
    disks_rng: Rng,
    /// A random stream of its own for tokens.
    tokens_rng: Rng,
    readers: Vec<Reader>,
    network: Network,
    servers: Vec<Server>,
    clients: Clients,
    faults: Faults,
    checker: Checker,
    trace: Trace,
    tally: Tally,
    rounds_left: u64,
    /// The time at which the next peace begins, or at which the present peace began.
    peace_at: Nanos,
    /// The time by which the herd has to agree in this peace.
    peace_until: Nanos,
    /// Whether the herd has not agreed in time, so that the run ends.
    has_given_up: bool,
    /// While the herd is calm, the numbers of records that had come, of changes that had been taken, and of links that
    /// had come up when the calm began.
    calm_from: Option<(u64, u64, u64)>,
    /// Directions that stay blocked in peace.
    lasting: Vec<(usize, usize)>,
    /// Writers that will flush soon.
    due: BTreeSet<(usize, ConnId)>,
    /// Writers that wait for room on the wire.
    waiting: BTreeSet<(usize, ConnId)>,
    actions: Vec<Action>,
    /// Connections on which lies were sent. On these connections the other end may report a broken protocol.
    lied_on: BTreeSet<ConnId>,
    faults_drawn: u64,
    /// The time that passed in nights, in which nothing happens. All clocks have moved on by this much.
    slept: Nanos,
    /// A short restart in peace.
    restart: Restart,
    /// The number of records that have come to each server over links.
    received: Vec<u64>,
    story: Story,
}

/// A server, whose lives come and go.
#[derive(Debug, Default)]
struct Server {
    life: Option<Life>,
    lives: u64,
    /// The time at which the server's life began.
    started_at: Nanos,
    paused_until: Nanos,
    /// The sum of the jumps of the server's clock.
    jumped: i64,
    /// How the server behaves while it is bad.
    manner: Option<Manner>,
    /// Some of the frames that the server's lives have received.
    heard: Vec<Saying>,
    /// The server's disk, which outlives the server's lives.
    disk: SimDisk,
    /// What the disk held at some moment.
    image: Option<Image>,
}

/// Runs a scenario to its end, or until the herd fails to agree.
pub fn run(scenario: Scenario, rules: Rules) -> Outcome {
    let mut world = World::new(scenario, rules, Story::untold());
    while world.goes_on() {}
    world.outcome()
}

/// Calls [`run`] twice. Any difference is a violation.
pub fn run_twice(scenario: Scenario, rules: Rules) -> Outcome {
    let first = run(scenario.clone(), rules);
    let mut second = run(scenario, rules);
    if (first.trace, first.tally) != (second.trace, second.tally) {
        let text = format!("traces {:016x} and {:016x}", first.trace, second.trace);
        second.violations.push(Violation { at: 0, symptom: Symptom::Twice, text });
    }
    second
}

/// Runs a scenario with only some of its faults, given by their numbers (`None`: all), until `symptom` shows. Returns
/// what happened, and the number of faults.
pub(crate) fn replay(
    scenario: Scenario,
    rules: Rules,
    faults: Option<&BTreeSet<u64>>,
    symptom: Symptom,
) -> (Outcome, Story, u64) {
    let mut world = World::new(scenario, rules, Story::of(faults.cloned()));
    while world.goes_on() && !world.checker.has_found(symptom) {}
    let (story, faults) = (std::mem::take(&mut world.story), world.faults_drawn);
    (world.outcome(), story, faults)
}

impl World {
    /// Handles the next event. Returns whether there are more events.
    fn goes_on(&mut self) -> bool {
        let Some((at, event)) = self.timeline.pop() else { return false };
        self.now = at;
        self.happen(event);
        self.rounds_left > 0 && !self.has_given_up
    }

    fn new(scenario: Scenario, rules: Rules, story: Story) -> World {
        let mut rng = Rng::new(scenario.seed);
        let mut readers_rng = Rng::new(scenario.seed).split("readers");
        let mut world = World {
            now: 0,
            readers: (0..READERS).map(|number| Reader::new(number, &mut readers_rng)).collect(),
            readers_rng,
            disks_rng: Rng::new(scenario.seed).split("crashes of disks"),
            tokens_rng: Rng::new(scenario.seed).split("tokens"),
            followers_rng: Rng::new(scenario.seed).split("followers"),
            timeline: Timeline::default(),
            network: Network::new(scenario.network.clone(), scenario.servers, rng.split("network")),
            servers: (0..scenario.servers).map(|_| Server::default()).collect(),
            clients: Clients::new(&scenario, rng.split("clients")),
            faults: Faults::new(&scenario, rng.split("faults")),
            checker: Checker::new(scenario.client_ttl, scenario.durability, scenario.servers),
            slept: 0,
            restart: Restart::Not,
            received: vec![0; scenario.servers],
            trace: Trace::default(),
            tally: Tally::default(),
            rounds_left: scenario.rounds,
            peace_at: 0,
            peace_until: 0,
            has_given_up: false,
            calm_from: None,
            lasting: Vec::new(),
            due: BTreeSet::new(),
            waiting: BTreeSet::new(),
            actions: Vec::new(),
            lied_on: BTreeSet::new(),
            faults_drawn: 0,
            story,
            rng,
            rules,
            scenario,
        };
        (0..world.servers.len()).for_each(|server| world.start(server));
        world.timeline.put(AUDIT_INTERVAL, Event::Audit);
        world.look();
        world.sweep();
        world.follow();
        world.read();
        world.begin_round();
        world
    }

    fn outcome(mut self) -> Outcome {
        self.tally.servers = self.scenario.servers as u64;
        self.tally.time = self.now;
        self.tally.lost = self.network.lost();
        if self.rounds_left == 0
            && let Some(text) = self.scenario.too_little(&self.tally)
        {
            self.checker.found(self.now, Symptom::Gate, text);
        }
        Outcome {
            seed: self.scenario.seed,
            trace: self.trace.hash(),
            tally: self.tally,
            violations: self.checker.into_violations(),
        }
    }

    fn happen(&mut self, event: Event) {
        self.tally.events += 1;
        self.trace.note(self.now);
        match event {
            Event::Arrive(conn, from) => self.arrive(conn, from),
            Event::Own(server, life, own) => self.own(server, life, own),
            Event::Ask => self.ask(),
            Event::Fail => self.fail(),
            Event::Start(server) => self.start(server),
            Event::DiskMends(server) => self.disk_mends(server),
            Event::Unblock(from, to) => self.unblock(from, to),
            Event::Unchoke(from, to) => self.unchoke(from, to),
            Event::Jump(server, by) => self.jump(server, by),
            Event::Lie(server, life) => self.lie(server, life),
            Event::Reform(server, life, stays_away) => self.reform(server, life, stays_away),
            Event::Audit => self.audit(),
            Event::Look => self.look(),
            Event::Sweep => self.sweep(),
            Event::Follow => self.follow(),
            Event::Read => self.read(),
            Event::Peace => self.peace(),
            Event::Agree => self.agree(),
            Event::Calm => self.calm(),
        }
    }

    /// The time on a server's clock now.
    fn clock_ns(&self, server: usize) -> u64 {
        let ahead = self.scenario.clock_offsets[server] + self.servers[server].jumped;
        self.now_ns().saturating_add_signed(ahead)
    }

    /// The time on a clock that is right.
    fn now_ns(&self) -> u64 {
        EPOCH_NS + self.slept + self.now
    }
}
