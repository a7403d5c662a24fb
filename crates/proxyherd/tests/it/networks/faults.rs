//! What goes wrong between servers and with them, and how it is put right.

use std::{fmt, time::Duration};

use super::dice::Dice;
use crate::harness::{Herd, Loss, NAMES, Network};

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Some hosts and the others hear nothing of each other.
    Cut,
    /// What goes from some hosts to the others, or comes from there, is lost.
    CutOneWay,
    /// Three of ten packets are lost, whoever sends them to whomever.
    Loss,
    /// Some servers are stopped, and go on later as if nothing had been.
    Pause,
    /// Some servers are killed, and start again with nothing.
    Kill,
}

pub(super) const KINDS: [Kind; 5] = [Kind::Cut, Kind::CutOneWay, Kind::Loss, Kind::Pause, Kind::Kill];

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    /// One server or two.
    struck: Vec<&'static str>,
    losses: Vec<Loss>,
    /// How long it stays: short enough for a link to live through it, or long enough to be given up and for dialing
    /// again to become rare.
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

    /// When this returns the fault is no more; servers that were killed are ready.
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
