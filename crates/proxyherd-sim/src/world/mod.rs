//! The loop: takes what happens next, lets servers, wires, clients and faults react, and shows the checker.
//!
//! A run is a number of rounds. In each, clients report and things go wrong for a while; then all that is wrong
//! is put right (or stays as it is: a server that is down, a partition), nobody reports, and every part of the
//! herd has to agree.

mod asking;
mod failing;
mod peace;
mod wires;

use std::collections::BTreeSet;

use proxyherd_core::flood::Rules;

use crate::{
    checker::Checker,
    clients::Clients,
    faults::Faults,
    network::{ConnId, Network, Side},
    outcome::{Outcome, Symptom, Tally},
    rng::Rng,
    scenario::Scenario,
    server::{Action, Life},
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
    /// Bookkeeping is looked at.
    Audit,
    /// Servers look for what has expired, at some of their slots.
    Sweep,
    /// The herd is left in peace from here on.
    Peace,
    /// Does the herd agree?
    Agree,
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
    /// Ways that stay blocked in peace.
    lasting: Vec<(usize, usize)>,
    /// Writers that will flush soon.
    due: BTreeSet<(usize, ConnId)>,
    /// Writers that wait for room on the wire.
    waiting: BTreeSet<(usize, ConnId)>,
    actions: Vec<Action>,
}

/// One place where lives come and go.
#[derive(Debug, Default)]
struct Server {
    life: Option<Life>,
    lives: u64,
    paused_until: Nanos,
}

/// Runs a scenario to its end, or until the herd fails to agree.
pub fn run(scenario: Scenario, rules: Rules) -> Outcome {
    let mut world = World::new(scenario, rules);
    while let Some((at, event)) = world.timeline.pop() {
        world.now = at;
        world.happen(event);
        if world.rounds_left == 0 || world.checker.has_found(Symptom::NeverConverged) {
            break;
        }
    }
    world.outcome()
}

impl World {
    fn new(scenario: Scenario, rules: Rules) -> World {
        let mut rng = Rng::new(scenario.seed);
        let mut world = World {
            now: 0,
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
            lasting: Vec::new(),
            due: BTreeSet::new(),
            waiting: BTreeSet::new(),
            actions: Vec::new(),
            rng,
            rules,
            scenario,
        };
        (0..world.servers.len()).for_each(|server| world.start(server));
        world.timeline.put(AUDIT_INTERVAL, Event::Audit);
        world.sweep();
        world.begin_round();
        world
    }

    fn outcome(mut self) -> Outcome {
        self.tally.servers = self.scenario.servers as u64;
        self.tally.time = self.now;
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
            Event::Audit => self.audit(),
            Event::Sweep => self.sweep(),
            Event::Peace => self.peace(),
            Event::Agree => self.agree(),
        }
    }

    /// What a server's clock says now.
    fn clock_ns(&self, server: usize) -> u64 {
        (EPOCH_NS + self.now).saturating_add_signed(self.scenario.clock_offsets[server])
    }
}
