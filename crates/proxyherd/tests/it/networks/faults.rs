//! The faults of the network and of the servers, and how they are repaired.

use std::{fmt, time::Duration};

use crate::harness::{Dice, Herd, Loss, NAMES, Network};

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Some hosts and the other hosts cannot reach each other.
    Cut,
    /// Packets from some hosts to the other hosts are lost, or packets in the other direction are lost.
    CutOneWay,
    /// Three of ten packets between any two hosts are lost.
    Loss,
    /// Some servers are paused (SIGSTOP), and continue later.
    Pause,
    /// Some servers are killed, and start again without records.
    Kill,
}

pub(super) const KINDS: [Kind; 5] = [Kind::Cut, Kind::CutOneWay, Kind::Loss, Kind::Pause, Kind::Kill];

/// One fault.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    /// The affected servers: one or two.
    struck: Vec<&'static str>,
    losses: Vec<Loss>,
    /// The length of the fault. A short fault does not break a link. A long fault breaks links, and lasts until the
    /// pauses between two dials are long.
    pub(super) lasts: Duration,
}

impl Fault {
    pub(super) fn draw(kind: Kind, dice: &mut Dice) -> Fault {
        let struck: Vec<_> = dice.shuffled(&NAMES).into_iter().take(dice.between(1, 3) as usize).collect();
        let is_inwards = dice.chance(50);
        let mut losses = Vec::new();
        for (from, to) in NAMES.into_iter().flat_map(|from| NAMES.map(|to| (from, to))) {
            let (leaves, enters) = (struck.contains(&from), struck.contains(&to));
            let percent = match kind {
                Kind::Cut if leaves != enters => 100,
                Kind::CutOneWay if leaves != enters && enters == is_inwards => 100,
                Kind::Loss if from != to => 30,
                _ => continue,
            };
            losses.push(Loss { from, to, percent });
        }
        Fault { kind, struck, losses, lasts: Duration::from_millis(dice.between(1000, 8000)) }
    }

    pub(super) fn begin(&self, herd: &mut Herd, network: &Network) {
        match self.kind {
            Kind::Cut | Kind::CutOneWay | Kind::Loss => network.lose(&self.losses),
            Kind::Pause => self.struck.iter().for_each(|name| herd.process(name).signal("STOP")),
            Kind::Kill => herd.kill_all(&self.struck),
        }
    }

    /// Repairs the fault. When this returns, the fault is over, and servers that were killed are ready again.
    pub(super) fn lift(&self, herd: &mut Herd, network: &Network) {
        match self.kind {
            Kind::Cut | Kind::CutOneWay | Kind::Loss => network.heal(),
            Kind::Pause => self.struck.iter().for_each(|name| herd.process(name).signal("CONT")),
            Kind::Kill => herd.start_all(&self.struck),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasts = self.lasts.as_secs_f64();
        match self.kind {
            Kind::Loss => write!(f, "30 % loss everywhere for {lasts:.1} s"),
            Kind::CutOneWay => {
                let way = if self.struck.contains(&self.losses[0].from) { "from" } else { "to" };
                write!(f, "cut {way} {} for {lasts:.1} s", self.struck.join(" and "))
            }
            kind => write!(f, "{kind} of {} for {lasts:.1} s", self.struck.join(" and ")),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Cut => "cut",
            Kind::CutOneWay => "cut one way",
            Kind::Loss => "30 % loss",
            Kind::Pause => "pause",
            Kind::Kill => "kill",
        })
    }
}
