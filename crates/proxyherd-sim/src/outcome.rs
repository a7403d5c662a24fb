//! The outcome of a run.

use std::fmt;

use crate::timeline::{Nanos, SECOND};

/// What a run did, and what it found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// A hash of all events, the same for the same seed.
    pub trace: u64,
    /// How much happened.
    pub tally: Tally,
    /// The violations that were found, the first of each symptom.
    pub violations: Vec<Violation>,
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Servers of the herd.
    pub servers: u64,
    /// Virtual time.
    pub time: Nanos,
    /// Things that happened, of any kind.
    pub events: u64,
    /// Reports that a server answered.
    pub reports: u64,
    /// Reports that were news.
    pub accepted: u64,
    /// Tombstones.
    pub forgotten: u64,
    /// Records that came over links.
    pub records: u64,
    /// Servers that crashed.
    pub crashes: u64,
    /// Paths that were blocked, alone or by a partition.
    pub cuts: u64,
    /// Connections that were reset.
    pub resets: u64,
    /// Servers that stood still.
    pub pauses: u64,
    /// Ways that were blocked in one direction alone.
    pub one_ways: u64,
    /// Servers whose links were all blocked, and opened one by one.
    pub swizzles: u64,
    /// Wires that were choked.
    pub chokes: u64,
    /// Clocks that jumped.
    pub jumps: u64,
    /// Members that turned bad.
    pub bad_members: u64,
    /// Frames of theirs that were lies.
    pub lies: u64,
    /// Servers that went on as they were earlier.
    pub restored: u64,
    /// Clocks that were put forward or back by more than servers accept.
    pub far_jumps: u64,
    /// Clocks that jumped by years.
    pub lost_years: u64,
    /// Pieces that were lost and sent again.
    pub lost: u64,
    /// Links that ended because clocks were too far apart.
    pub clocks_apart: u64,
    /// Records that were received while herds with a swift tree were calm, and how many there should be if each
    /// change comes to each other server once. There can be fewer: of two changes of one client in a row, the first
    /// may never be sent.
    pub calm_records: u64,
    /// See `calm_records`.
    pub calm_records_least: u64,
    /// Questions where a client is.
    pub reads: u64,
    /// Records that followers were sent ...
    pub told: u64,
    /// ... removals that they were sent ...
    pub told_removed: u64,
    /// ... and replies that they held and released.
    pub replies: u64,
    /// Links that came up.
    pub links: u64,
    /// Flushes that left something for later.
    pub partial_flushes: u64,
    /// How often the herd had to agree, and did.
    pub agreements: u64,
    /// How long it took to agree, all rounds together.
    pub settling: Nanos,
    /// How long it took at most.
    pub settling_max: Nanos,
}

impl Tally {
    /// The sum of both.
    pub fn and(self, other: Tally) -> Tally {
        Tally {
            servers: self.servers + other.servers,
            time: self.time + other.time,
            events: self.events + other.events,
            reports: self.reports + other.reports,
            accepted: self.accepted + other.accepted,
            forgotten: self.forgotten + other.forgotten,
            records: self.records + other.records,
            crashes: self.crashes + other.crashes,
            cuts: self.cuts + other.cuts,
            resets: self.resets + other.resets,
            pauses: self.pauses + other.pauses,
            one_ways: self.one_ways + other.one_ways,
            swizzles: self.swizzles + other.swizzles,
            chokes: self.chokes + other.chokes,
            jumps: self.jumps + other.jumps,
            bad_members: self.bad_members + other.bad_members,
            lies: self.lies + other.lies,
            far_jumps: self.far_jumps + other.far_jumps,
            restored: self.restored + other.restored,
            lost_years: self.lost_years + other.lost_years,
            lost: self.lost + other.lost,
            clocks_apart: self.clocks_apart + other.clocks_apart,
            calm_records: self.calm_records + other.calm_records,
            calm_records_least: self.calm_records_least + other.calm_records_least,
            reads: self.reads + other.reads,
            told: self.told + other.told,
            told_removed: self.told_removed + other.told_removed,
            replies: self.replies + other.replies,
            links: self.links + other.links,
            partial_flushes: self.partial_flushes + other.partial_flushes,
            agreements: self.agreements + other.agreements,
            settling: self.settling + other.settling,
            settling_max: self.settling_max.max(other.settling_max),
        }
    }
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symptom {
    /// A vector covers what is not held.
    Invariant1,
    /// Servers that reach each other did not come to hold the same.
    NeverConverged,
    /// Something that was held when peace began is gone.
    Lost,
    /// A server holds what nobody took.
    Foreign,
    /// Servers found that they hold different records, which must not happen.
    Root,
    /// A change was sent more often than it may be.
    Payloads,
    /// A server answered with less than it had answered before.
    Read,
    /// A follower was sent something wrong, or not sent something.
    Follower,
    /// An outbox is longer than it may be.
    Outbox,
    /// The core's bookkeeping contradicts itself.
    Bookkeeping,
    /// An honest server broke the protocol.
    Protocol,
    /// A record whose receipt is further ahead than clocks may be apart was taken.
    Future,
    /// The spanning tree does not connect exactly the servers that are present.
    Tree,
    /// What a bad member left behind takes more room than it may.
    Memory,
    /// A bad member's record stands in the name of a server that is present and knows better.
    Name,
    /// A second run of the seed had other events.
    Twice,
    /// Too little happened. The scenario is at fault, not the core.
    Gate,
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Symptom::Invariant1 => "I1 broken",
            Symptom::NeverConverged => "never converged",
            Symptom::Lost => "a record was lost",
            Symptom::Foreign => "a record that nobody took",
            Symptom::Root => "a server was found to differ",
            Symptom::Payloads => "too many copies",
            Symptom::Read => "an answer went back in time",
            Symptom::Follower => "a follower was told wrong",
            Symptom::Outbox => "an outbox beyond its bound",
            Symptom::Bookkeeping => "bookkeeping contradicts itself",
            Symptom::Protocol => "a server broke the protocol",
            Symptom::Future => "a receipt from the future",
            Symptom::Tree => "the tree is not the herd's",
            Symptom::Memory => "memory is not back",
            Symptom::Name => "a lie stands in another's name",
            Symptom::Twice => "a seed did not do the same twice",
            Symptom::Gate => "too little happened",
        })
    }
}

/// When and how something was wrong.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Virtual time.
    pub at: Nanos,
    /// What.
    pub symptom: Symptom,
    /// In words.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at as f64 / SECOND as f64;
        write!(f, "{} at {seconds:.3} s: {}", self.symptom, self.text)
    }
}
