//! Faults, drawn at random: servers crash and stand still, connections are reset, paths are blocked and choked,
//! clocks jump.

use crate::{
    liar::Manner,
    rng::Rng,
    scenario::{FaultSettings, Scenario},
    timeline::{MILLISECOND, Nanos, SECOND},
};

/// The largest age of the snapshot from which a server is restored.
const SNAPSHOT_AGE_MAX: Nanos = 60 * SECOND;
/// How long a member is bad at most.
const LIE_MAX: Nanos = 20 * SECOND;
/// A year.
pub(crate) const YEAR: Nanos = 365 * 24 * 3600 * SECOND;

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A server loses all its memory, and starts again after `length`.
    Crash {
        /// The server.
        server: usize,
        /// Whether its connections just fall silent, as when the power fails.
        is_silent: bool,
        /// For how long it is down.
        length: Nanos,
    },
    /// A server does nothing for `length`, and then goes on.
    Pause {
        /// The server.
        server: usize,
        /// For how long.
        length: Nanos,
    },
    /// The connection between two neighbors breaks, and can be made again at once.
    Reset {
        /// The two neighbors.
        edge: (usize, usize),
    },
    /// Nothing passes in these directions, from one server to another, for `length`.
    Block {
        /// The directions: from and to.
        ways: Vec<(usize, usize)>,
        /// For how long.
        length: Nanos,
    },
    /// All links of a server are blocked at once, and open again one by one, in any order.
    Swizzle {
        /// The directions, and for how long each is blocked.
        ways: Vec<(usize, usize, Nanos)>,
    },
    /// The wires between two neighbors carry a fraction of what they did, for `length`.
    Choke {
        /// The two neighbors.
        edge: (usize, usize),
        /// For how long.
        length: Nanos,
    },
    /// A server is bad for `length`. Then it starts again, honest, or stays away until the herd has agreed.
    Lie {
        /// The server.
        server: usize,
        /// How it behaves.
        manner: Manner,
        /// For how long.
        length: Nanos,
        /// Whether it stays away as long as possible.
        stays_away: bool,
    },
    /// A server goes on as it was earlier in its life, as a virtual machine does from a snapshot.
    Restore {
        /// The server.
        server: usize,
        /// How long ago the snapshot was taken.
        ago: Nanos,
    },
    /// A server's clock is put forward or back, and is right again after `length`.
    Jump {
        /// The server.
        server: usize,
        /// By how much, nanoseconds.
        by: i64,
        /// For how long.
        length: Nanos,
    },
}

/// Draws faults and their times.
#[derive(Debug)]
pub(crate) struct Faults {
    settings: FaultSettings,
    servers: usize,
    edges: Vec<(usize, usize)>,
    may_clocks_jump: bool,
    has_far_jumps: bool,
    may_lie: bool,
    has_lost_years: bool,
    rng: Rng,
}

impl Faults {
    /// The faults of a scenario.
    pub(crate) fn new(scenario: &Scenario, rng: Rng) -> Faults {
        let (settings, edges) = (scenario.faults.clone(), scenario.edges.clone());
        let may_clocks_jump = scenario.client_ttl.is_none();
        let may_lie = scenario.bad.is_some();
        let has_lost_years = scenario.bad.as_ref().is_some_and(|bad| bad.has_lost_years);
        Faults {
            settings,
            servers: scenario.servers,
            edges,
            may_clocks_jump,
            has_far_jumps: scenario.has_far_jumps,
            may_lie,
            has_lost_years,
            rng,
        }
    }

    /// How long until the next fault.
    pub(crate) fn interval(&mut self) -> Nanos {
        self.rng.interval(self.settings.interval).max(1)
    }

    /// The fault of now.
    pub(crate) fn draw(&mut self) -> Fault {
        let length = self.rng.between(10 * MILLISECOND, self.settings.length_max);
        if self.may_lie && self.rng.chance(200) {
            return self.lie();
        }
        match self.rng.below(100) {
            0..21 => self.crash(length),
            21..30 => Fault::Pause { server: self.rng.index(self.servers), length },
            30..46 => Fault::Reset { edge: self.edge() },
            46..57 => self.cut(length),
            57..64 => self.one_way(length),
            64..78 => self.partition(length),
            78..86 => self.swizzle(length),
            86..94 => Fault::Choke { edge: self.edge(), length },
            _ if self.may_clocks_jump => self.jump(length),
            _ => Fault::Reset { edge: self.edge() },
        }
    }

    fn edge(&mut self) -> (usize, usize) {
        self.edges[self.rng.index(self.edges.len())]
    }

    /// A fault that lasts while the rest of the herd is left in peace.
    pub(crate) fn draw_lasting(&mut self) -> Fault {
        if self.rng.chance(500) { self.crash(Nanos::MAX) } else { self.partition(Nanos::MAX) }
    }

    fn crash(&mut self, length: Nanos) -> Fault {
        Fault::Crash { server: self.rng.index(self.servers), is_silent: self.rng.chance(300), length }
    }

    fn cut(&mut self, length: Nanos) -> Fault {
        let (a, b) = self.edge();
        Fault::Block { ways: vec![(a, b), (b, a)], length }
    }

    fn one_way(&mut self, length: Nanos) -> Fault {
        let (a, b) = self.edge();
        Fault::Block { ways: vec![if self.rng.chance(500) { (a, b) } else { (b, a) }], length }
    }

    fn swizzle(&mut self, length: Nanos) -> Fault {
        let server = self.rng.index(self.servers);
        let touched: Vec<_> =
            self.edges.iter().copied().filter(|&(a, b)| a == server || b == server).collect();
        let mut ways = Vec::new();
        for (a, b) in touched {
            let length = self.rng.between(10 * MILLISECOND, length + 11 * MILLISECOND);
            ways.extend([(a, b, length), (b, a, length)]);
        }
        Fault::Swizzle { ways }
    }

    fn lie(&mut self) -> Fault {
        let server = self.rng.index(self.servers);
        if self.rng.chance(150) {
            return Fault::Restore { server, ago: self.rng.between(SECOND, SNAPSHOT_AGE_MAX) };
        }
        let (manner, stays_away) = (Manner::draw(&mut self.rng), self.rng.chance(300));
        Fault::Lie { server, manner, length: self.rng.between(SECOND, LIE_MAX), stays_away }
    }

    fn jump(&mut self, length: Nanos) -> Fault {
        if self.has_lost_years && self.rng.chance(500) {
            let by = self.rng.between(YEAR, 20 * YEAR).cast_signed();
            let by = if self.rng.chance(500) { by } else { -by };
            return Fault::Jump { server: self.rng.index(self.servers), by, length };
        }
        // Now and then by more than servers accept.
        let most = if self.rng.chance(400) && self.has_far_jumps { 100_000 } else { 8000 };
        let by = self.rng.between(100 * MILLISECOND, most * MILLISECOND).cast_signed();
        let by = if self.rng.chance(500) { by } else { -by };
        Fault::Jump { server: self.rng.index(self.servers), by, length }
    }

    fn partition(&mut self, length: Nanos) -> Fault {
        let side: Vec<_> = (0..self.servers).map(|_| self.rng.chance(500)).collect();
        let pairs = (0..self.servers).flat_map(|from| (0..self.servers).map(move |to| (from, to)));
        Fault::Block { ways: pairs.filter(|&(from, to)| side[from] != side[to]).collect(), length }
    }
}
