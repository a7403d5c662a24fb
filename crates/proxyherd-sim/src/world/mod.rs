//! The loop: takes what happens next, lets servers, wires, clients and faults react, and shows the checker.
//!
//! A run is a number of rounds. In each, clients report and things go wrong for a while; then all that is wrong
//! is put right (or stays as it is: a server that is down, a partition), nobody reports, and every part of the
//! herd has to agree.

mod asking;
mod failing;
mod following;
mod lying;
mod peace;
mod wires;

use std::collections::BTreeSet;

use proxyherd_core::flood::Rules;

use crate::{
    checker::Checker,
    clients::Clients,
    faults::Faults,
    liar::{Manner, Saying},
    network::{ConnId, Network, Side},
    outcome::{Outcome, Symptom, Tally, Violation},
    rng::Rng,
    scenario::Scenario,
    server::{Action, Life},
    story::Story,
    timeline::{Nanos, SECOND, Timeline},
    trace::Trace,
};

/// POSIX time when a world begins.
const EPOCH_NS: u64 = 1_700_000_000 * SECOND;
/// How often bookkeeping is looked at.
const AUDIT_INTERVAL: Nanos = 30 * SECOND;

/// What can happen.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Something has come over a wire from this end.
    Arrive(ConnId, Side),
    /// A server's own doing.
    Own(usize, u64, Own),
    /// Clients ask.
    Ask,
    /// Something goes wrong.
    Fail,
    /// A server starts.
    Start(usize),
    /// A way is open again.
    Unblock(usize, usize),
    /// A way carries again what it did.
    Unchoke(usize, usize),
    /// A server's clock is put by so much.
    Jump(usize, i64),
    /// A life of a server that is bad says something.
    Lie(usize, u64),
    /// It is gone, and may stay away.
    Reform(usize, u64, bool),
    /// Bookkeeping is looked at.
    Audit,
    /// Servers look at what they were told.
    Look,
    /// Servers look for what has expired, at some of their slots.
    Sweep,
    /// Followers take what there is for them.
    Follow,
    /// The herd is left in peace from here on.
    Peace,
    /// Does the herd agree?
    Agree,
    /// Nothing goes wrong for a while, and clients report.
    Calm,
}

/// What a server does by itself.
#[derive(Clone, Copy, Debug)]
enum Own {
    Flush(ConnId),
    Tick(ConnId),
    Dial(usize),
}

/// Everything there is.
#[derive(Debug)]
struct World {
    scenario: Scenario,
    rules: Rules,
    now: Nanos,
    timeline: Timeline<Event>,
    rng: Rng,
    /// Of its own, so that followers change nothing of what else a seed stands for.
    followers_rng: Rng,
    network: Network,
    servers: Vec<Server>,
    clients: Clients,
    faults: Faults,
    checker: Checker,
    trace: Trace,
    tally: Tally,
    rounds_left: u64,
    /// When the herd is left in peace next, or was last.
    peace_at: Nanos,
    /// So long it may take to agree then.
    peace_until: Nanos,
    /// The herd has not agreed in time, and there is no sense in waiting for it.
    has_given_up: bool,
    /// How many records had come, changes been taken and links come up when the herd became calm, while it is.
    calm_from: Option<(u64, u64, u64)>,
    /// Ways that stay blocked in peace.
    lasting: Vec<(usize, usize)>,
    /// Writers that will flush soon.
    due: BTreeSet<(usize, ConnId)>,
    /// Writers that wait for room on the wire.
    waiting: BTreeSet<(usize, ConnId)>,
    actions: Vec<Action>,
    /// Connections on which something was said that is not so: there the other end may say no.
    lied_on: BTreeSet<ConnId>,
    faults_drawn: u64,
    story: Story,
}

/// One place where lives come and go.
#[derive(Debug, Default)]
struct Server {
    life: Option<Life>,
    lives: u64,
    /// When its life began.
    started_at: Nanos,
    paused_until: Nanos,
    /// By how much its clock has jumped.
    jumped: i64,
    /// How it behaves, while it is bad.
    manner: Option<Manner>,
    /// Some of what its lives have heard.
    heard: Vec<Saying>,
}

/// Runs a scenario to its end, or until the herd fails to agree.
pub fn run(scenario: Scenario, rules: Rules) -> Outcome {
    let mut world = World::new(scenario, rules, Story::untold());
    while world.goes_on() {}
    world.outcome()
}

/// [`run`], twice: whatever differs is a violation.
pub fn run_twice(scenario: Scenario, rules: Rules) -> Outcome {
    let first = run(scenario.clone(), rules);
    let mut second = run(scenario, rules);
    if (first.trace, first.tally) != (second.trace, second.tally) {
        let text = format!("traces {:016x} and {:016x}", first.trace, second.trace);
        second.violations.push(Violation { at: 0, symptom: Symptom::Twice, text });
    }
    second
}

/// Runs a scenario with only some of its faults, by the numbers in which they come (`None`: all), until `symptom`
/// shows; tells what happened, and how many faults there were.
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
    /// Lets the next thing happen; says whether there is more to come.
    fn goes_on(&mut self) -> bool {
        let Some((at, event)) = self.timeline.pop() else { return false };
        self.now = at;
        self.happen(event);
        self.rounds_left > 0 && !self.has_given_up
    }

    fn new(scenario: Scenario, rules: Rules, story: Story) -> World {
        let mut rng = Rng::new(scenario.seed);
        let mut world = World {
            now: 0,
            followers_rng: Rng::new(scenario.seed).split("followers"),
            timeline: Timeline::default(),
            network: Network::new(scenario.network.clone(), scenario.servers, rng.split("network")),
            servers: (0..scenario.servers).map(|_| Server::default()).collect(),
            clients: Clients::new(&scenario, rng.split("clients")),
            faults: Faults::new(&scenario, rng.split("faults")),
            checker: Checker::new(scenario.client_ttl),
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
            Event::Unblock(from, to) => self.unblock(from, to),
            Event::Unchoke(from, to) => self.unchoke(from, to),
            Event::Jump(server, by) => self.jump(server, by),
            Event::Lie(server, life) => self.lie(server, life),
            Event::Reform(server, life, stays_away) => self.reform(server, life, stays_away),
            Event::Audit => self.audit(),
            Event::Look => self.look(),
            Event::Sweep => self.sweep(),
            Event::Follow => self.follow(),
            Event::Peace => self.peace(),
            Event::Agree => self.agree(),
            Event::Calm => self.calm(),
        }
    }

    /// What a server's clock says now.
    fn clock_ns(&self, server: usize) -> u64 {
        let ahead = self.scenario.clock_offsets[server] + self.servers[server].jumped;
        (EPOCH_NS + self.now).saturating_add_signed(ahead)
    }
}
