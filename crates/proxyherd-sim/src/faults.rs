//! Faults, drawn at random: servers crash or pause, connections are reset, paths are blocked or choked, clocks jump.

use crate::{
    liar::Manner,
    rng::Rng,
    scenario::{FaultSettings, Scenario},
    timeline::{MILLISECOND, Nanos, SECOND},
};

/// Maximum age of the snapshot from which a server is restored.
const SNAPSHOT_AGE_MAX: Nanos = 60 * SECOND;
/// Maximum time for which a member is bad.
const LIE_MAX: Nanos = 20 * SECOND;
/// Maximum number of bytes that still fit on a disk that fills up.
const FULL_AFTER_MAX: u64 = 20_000;
/// A year.
pub(crate) const YEAR: Nanos = 365 * 24 * 3600 * SECOND;

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A server loses all its memory, and starts again after `length`.
    Crash {
        /// The server.
        server: usize,
        /// Whether the server's connections just fall silent, as in a power failure.
        is_silent: bool,
        /// The time for which the server is down.
        length: Nanos,
    },
    /// A server pauses for `length`, and then continues.
    Pause {
        /// The server.
        server: usize,
        /// The length of the pause.
        length: Nanos,
    },
    /// The connection between two neighbors breaks. They can connect again at once.
    Reset {
        /// The two neighbors.
        edge: (usize, usize),
    },
    /// Nothing is delivered in these directions, from one server to another, for `length`.
    Block {
        /// The directions: the sending and the receiving server of each.
        ways: Vec<(usize, usize)>,
        /// The time for which the directions are blocked.
        length: Nanos,
    },
    /// All links of a server are blocked at once, and are unblocked one by one, in any order.
    Swizzle {
        /// The directions, each with the time for which it is blocked.
        ways: Vec<(usize, usize, Nanos)>,
    },
    /// The wires between two neighbors have a fraction of their bandwidth, for `length`.
    Choke {
        /// The two neighbors.
        edge: (usize, usize),
        /// The time for which the wires are choked.
        length: Nanos,
    },
    /// A server is bad for `length`. Then the server starts again as an honest one, or stays away until the herd has
    /// agreed.
    Lie {
        /// The server.
        server: usize,
        /// How the server behaves.
        manner: Manner,
        /// The time for which the server is bad.
        length: Nanos,
        /// Whether the server stays away as long as possible.
        stays_away: bool,
    },
    /// A server continues from an earlier moment of its life, like a virtual machine that is restored from a snapshot.
    Restore {
        /// The server.
        server: usize,
        /// The age of the snapshot.
        ago: Nanos,
    },
    /// All servers crash at the same moment, and start again one by one.
    Blackout {
        /// The time for which each server is down.
        lengths: Vec<Nanos>,
    },
    /// Something is wrong with a server's disk, for `length`.
    Disk {
        /// The server.
        server: usize,
        /// What is wrong.
        trouble: DiskTrouble,
        /// The time for which it is wrong, or for which the server is down.
        length: Nanos,
    },
    /// A server's clock is put forward or back, and shows the right time again after `length`.
    Jump {
        /// The server.
        server: usize,
        /// The size of the jump, nanoseconds.
        by: i64,
        /// The time for which the clock is wrong.
        length: Nanos,
    },
}

/// What can be wrong with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskTrouble {
    /// The disk is full after this many more bytes.
    Full(u64),
    /// A sync fails. The store is of no use until the server starts again.
    FailedSync,
    /// The disk says that writes are synced, and forgets some of them at the next crash.
    Lies,
    /// A bit flips.
    FlippedBit,
    /// The server crashes, and the disk comes back as it was some time before.
    Old,
    /// The server crashes, and gets an empty disk.
    Empty,
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
    has_disks: bool,
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
            has_disks: scenario.durability.has_journal,
            rng,
        }
    }

    /// The time until the next fault.
    pub(crate) fn interval(&mut self) -> Nanos {
        self.rng.interval(self.settings.interval).max(1)
    }

    /// The fault of this moment.
    pub(crate) fn draw(&mut self) -> Fault {
        let length = self.rng.between(10 * MILLISECOND, self.settings.length_max);
        if self.may_lie && self.rng.chance(200) {
            return self.lie();
        }
        if self.has_disks && self.rng.chance(200) {
            return self.disk_fault(length);
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

    fn disk_fault(&mut self, length: Nanos) -> Fault {
        let trouble = match self.rng.below(10) {
            0..2 => DiskTrouble::Full(self.rng.below(FULL_AFTER_MAX)),
            2 => DiskTrouble::FailedSync,
            3..5 => DiskTrouble::Lies,
            5 => DiskTrouble::FlippedBit,
            6 => DiskTrouble::Old,
            7 => DiskTrouble::Empty,
            _ => {
                let lengths = (0..self.servers).map(|_| self.rng.between(MILLISECOND, length)).collect();
                return Fault::Blackout { lengths };
            }
        };
        Fault::Disk { server: self.rng.index(self.servers), trouble, length }
    }

    fn jump(&mut self, length: Nanos) -> Fault {
        if self.has_lost_years && self.rng.chance(500) {
            let by = self.rng.between(YEAR, 20 * YEAR).cast_signed();
            let by = if self.rng.chance(500) { by } else { -by };
            return Fault::Jump { server: self.rng.index(self.servers), by, length };
        }
        // Sometimes a clock jumps by more than servers accept.
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
