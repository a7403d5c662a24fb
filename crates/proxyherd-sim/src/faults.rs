//! What goes wrong, drawn at random: servers crash and stand still, connections are reset, paths are blocked.

use crate::{
    rng::Rng,
    scenario::{FaultSettings, Scenario},
    timeline::{MILLISECOND, Nanos},
};

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A server loses all its memory, and starts again after `length`.
    Crash {
        /// Which.
        server: usize,
        /// Its connections end without a word, as when the power fails.
        is_silent: bool,
        /// How long it is down.
        length: Nanos,
    },
    /// A server does nothing for `length`, and then goes on where it was.
    Pause {
        /// Which.
        server: usize,
        /// How long.
        length: Nanos,
    },
    /// The connection between two neighbours breaks, and can be made again at once.
    Reset {
        /// Which neighbours.
        edge: (usize, usize),
    },
    /// Nothing passes on these ways, from one server to another, for `length`.
    Block {
        /// From and to.
        ways: Vec<(usize, usize)>,
        /// How long.
        length: Nanos,
    },
}

/// Draws what goes wrong, and when.
#[derive(Debug)]
pub(crate) struct Faults {
    settings: FaultSettings,
    servers: usize,
    edges: Vec<(usize, usize)>,
    rng: Rng,
}

impl Faults {
    /// The faults of a scenario.
    pub(crate) fn new(scenario: &Scenario, rng: Rng) -> Faults {
        let (settings, edges) = (scenario.faults.clone(), scenario.edges.clone());
        Faults { settings, servers: scenario.servers, edges, rng }
    }

    /// How long until something goes wrong again.
    pub(crate) fn interval(&mut self) -> Nanos {
        self.rng.interval(self.settings.interval).max(1)
    }

    /// What goes wrong now.
    pub(crate) fn draw(&mut self) -> Fault {
        let length = self.rng.between(10 * MILLISECOND, self.settings.length_max);
        match self.rng.below(100) {
            0..25 => self.crash(length),
            25..35 => Fault::Pause { server: self.rng.index(self.servers), length },
            35..60 => Fault::Reset { edge: self.edges[self.rng.index(self.edges.len())] },
            60..80 => self.cut(length),
            80..85 => self.one_way(length),
            _ => self.partition(length),
        }
    }

    /// What stays wrong while the rest of the herd is left in peace.
    pub(crate) fn draw_lasting(&mut self) -> Fault {
        if self.rng.chance(500) { self.crash(Nanos::MAX) } else { self.partition(Nanos::MAX) }
    }

    fn crash(&mut self, length: Nanos) -> Fault {
        Fault::Crash { server: self.rng.index(self.servers), is_silent: self.rng.chance(300), length }
    }

    fn cut(&mut self, length: Nanos) -> Fault {
        let (a, b) = self.edges[self.rng.index(self.edges.len())];
        Fault::Block { ways: vec![(a, b), (b, a)], length }
    }

    fn one_way(&mut self, length: Nanos) -> Fault {
        let (a, b) = self.edges[self.rng.index(self.edges.len())];
        Fault::Block { ways: vec![if self.rng.chance(500) { (a, b) } else { (b, a) }], length }
    }

    fn partition(&mut self, length: Nanos) -> Fault {
        let side: Vec<_> = (0..self.servers).map(|_| self.rng.chance(500)).collect();
        let pairs = (0..self.servers).flat_map(|from| (0..self.servers).map(move |to| (from, to)));
        Fault::Block { ways: pairs.filter(|&(from, to)| side[from] != side[to]).collect(), length }
    }
}
