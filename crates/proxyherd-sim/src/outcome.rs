//! The outcome of a run.

use std::fmt;

use crate::timeline::{Nanos, SECOND};

/// The counts of a run, and the violations that it found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// A hash of all events, the same for the same seed.
    pub trace: u64,
    /// The counts.
    pub tally: Tally,
    /// The violations that were found, the first of each symptom.
    pub violations: Vec<Violation>,
}

/// The number of events of each kind in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The servers of the herd.
    pub servers: u64,
    /// Virtual time.
    pub time: Nanos,
    /// Events of any kind.
    pub events: u64,
    /// Reports that a server answered.
    pub reports: u64,
    /// Reports that were taken.
    pub accepted: u64,
    /// Tombstones.
    pub forgotten: u64,
    /// Tokens that were made ...
    pub tokens: u64,
    /// ... and tokens that were revoked.
    pub revoked: u64,
    /// Records that came over links.
    pub records: u64,
    /// Servers that crashed.
    pub crashes: u64,
    /// Paths that were blocked, alone or by a partition.
    pub cuts: u64,
    /// Connections that were reset.
    pub resets: u64,
    /// Servers that paused.
    pub pauses: u64,
    /// Paths that were blocked in one direction only.
    pub one_ways: u64,
    /// Servers whose links were all blocked, and then unblocked one by one.
    pub swizzles: u64,
    /// Wires that were choked.
    pub chokes: u64,
    /// Clocks that jumped.
    pub jumps: u64,
    /// Members that turned bad.
    pub bad_members: u64,
    /// Frames of bad members that were lies.
    pub lies: u64,
    /// Servers that continued from an earlier moment of their lives.
    pub restored: u64,
    /// Clocks that were put forward or back by more than servers accept.
    pub far_jumps: u64,
    /// Clocks that jumped by years.
    pub lost_years: u64,
    /// Pieces that were lost and sent again.
    pub lost: u64,
    /// Links that ended because clocks were too far apart.
    pub clocks_apart: u64,
    /// The first is the number of records that were received while herds with a fast tree were calm. The second is the
    /// number that there should be if each change comes to each other server once. There can be fewer: of two
    /// consecutive changes of one client, the first may never be sent.
    pub calm_records: u64,
    /// See `calm_records`.
    pub calm_records_least: u64,
    /// Queries for a client's position.
    pub reads: u64,
    /// Records that followers were sent ...
    pub told: u64,
    /// ... removals that they were sent ...
    pub told_removed: u64,
    /// ... and replies that they held and released.
    pub replies: u64,
    /// Events that readers of streams were told ...
    pub streamed: u64,
    /// ... events among them that told a reader to begin anew ...
    pub stream_resets: u64,
    /// ... and readers that resumed their streams.
    pub resumed: u64,
    /// Events of presence that were compared with those of other servers.
    pub presence: u64,
    /// Reports whose acknowledgements were held back ...
    pub held_back: u64,
    /// ... and acknowledgements that were released.
    pub acknowledged: u64,
    /// Acknowledgements of which it was proved that the disk has their records.
    pub proved: u64,
    /// Commits of journals that were synced.
    pub commits: u64,
    /// Compactions of stores that came to their end.
    pub compactions: u64,
    /// Stores that were read at a start ...
    pub recoveries: u64,
    /// ... ends of files that were torn ...
    pub torn: u64,
    /// ... and runs of damaged bytes that were found.
    pub damage: u64,
    /// Troubles of disks.
    pub disk_troubles: u64,
    /// Disks that had lied and forgot something at a crash.
    pub disk_lies: u64,
    /// Moments at which all servers crashed.
    pub blackouts: u64,
    /// Nights: a server or the herd was away for longer than tombstones live.
    pub nights: u64,
    /// Servers that started again while nothing happened.
    pub quiet_restarts: u64,
    /// Stores that were discarded after a long absence ...
    pub discarded: u64,
    /// ... and stores that were read after a long absence.
    pub late_loads: u64,
    /// Links that came up.
    pub links: u64,
    /// Flushes that left something for later.
    pub partial_flushes: u64,
    /// The number of times that the herd had to agree, and did.
    pub agreements: u64,
    /// The time that the herd took to agree, all rounds together.
    pub settling: Nanos,
    /// The maximum time that the herd took to agree.
    pub settling_max: Nanos,
}

impl Tally {
    /// The sum of both tallies.
    pub fn and(self, other: Tally) -> Tally {
        Tally {
            servers: self.servers + other.servers,
            time: self.time + other.time,
            events: self.events + other.events,
            reports: self.reports + other.reports,
            accepted: self.accepted + other.accepted,
            forgotten: self.forgotten + other.forgotten,
            tokens: self.tokens + other.tokens,
            revoked: self.revoked + other.revoked,
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
            streamed: self.streamed + other.streamed,
            stream_resets: self.stream_resets + other.stream_resets,
            resumed: self.resumed + other.resumed,
            presence: self.presence + other.presence,
            held_back: self.held_back + other.held_back,
            acknowledged: self.acknowledged + other.acknowledged,
            proved: self.proved + other.proved,
            commits: self.commits + other.commits,
            compactions: self.compactions + other.compactions,
            recoveries: self.recoveries + other.recoveries,
            torn: self.torn + other.torn,
            damage: self.damage + other.damage,
            disk_troubles: self.disk_troubles + other.disk_troubles,
            disk_lies: self.disk_lies + other.disk_lies,
            blackouts: self.blackouts + other.blackouts,
            nights: self.nights + other.nights,
            quiet_restarts: self.quiet_restarts + other.quiet_restarts,
            discarded: self.discarded + other.discarded,
            late_loads: self.late_loads + other.late_loads,
            links: self.links + other.links,
            partial_flushes: self.partial_flushes + other.partial_flushes,
            agreements: self.agreements + other.agreements,
            settling: self.settling + other.settling,
            settling_max: self.settling_max.max(other.settling_max),
        }
    }
}

/// The kind of a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symptom {
    /// A vector covers an update that is not held.
    Invariant1,
    /// Servers that reach each other did not come to hold the same records.
    NeverConverged,
    /// A record that was held when peace began is gone.
    Lost,
    /// A server holds a record that no server accepted.
    Foreign,
    /// Servers that must hold the same records found a difference.
    Root,
    /// A change was sent more often than it may be sent.
    Payloads,
    /// A server answered with an older record than before.
    Read,
    /// A follower was sent something wrong, or was not sent something.
    Follower,
    /// A reader of a stream was told something wrong, or was not told something.
    Stream,
    /// Servers told different events of presence.
    Presence,
    /// An outbox is longer than it may be.
    Outbox,
    /// A report was acknowledged and is gone, although the chosen durability promises that it survives.
    Durability,
    /// An acknowledgement left before the report was durable.
    TooEarly,
    /// Something that the herd had forgotten came back.
    CameBack,
    /// A server sent a neighbor that had started from its store much more than the neighbor lacked.
    CaughtUp,
    /// A store could not be read or written although its disk was sound, or it took too much room.
    Store,
    /// The core's bookkeeping contradicts itself.
    Bookkeeping,
    /// An honest server broke the protocol.
    Protocol,
    /// A record was taken whose time of receipt is further ahead than clocks may be apart.
    Future,
    /// The spanning tree does not connect exactly the servers that are present.
    Tree,
    /// The remains of a bad member take more room than they may.
    Memory,
    /// A bad member's record is still in the name of a server that is present and knows better.
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
            Symptom::Foreign => "a record that no server accepted",
            Symptom::Root => "servers found a difference",
            Symptom::Payloads => "a change was sent too often",
            Symptom::Read => "an answer went back in time",
            Symptom::Follower => "a follower was sent something wrong",
            Symptom::Stream => "a reader was told something wrong",
            Symptom::Presence => "servers told different events of presence",
            Symptom::Outbox => "an outbox beyond its bound",
            Symptom::Durability => "an acknowledged report was lost",
            Symptom::TooEarly => "an acknowledgement left too early",
            Symptom::CameBack => "something forgotten came back",
            Symptom::CaughtUp => "catching up took too much",
            Symptom::Store => "a store failed on a sound disk",
            Symptom::Bookkeeping => "bookkeeping contradicts itself",
            Symptom::Protocol => "a server broke the protocol",
            Symptom::Future => "a time of receipt in the future",
            Symptom::Tree => "the tree is not that of the herd",
            Symptom::Memory => "memory was not freed",
            Symptom::Name => "a lie is held in another server's name",
            Symptom::Twice => "two runs of a seed differ",
            Symptom::Gate => "too little happened",
        })
    }
}

/// When, and in what way, something was wrong.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Virtual time.
    pub at: Nanos,
    /// The kind of the violation.
    pub symptom: Symptom,
    /// A description in words.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at as f64 / SECOND as f64;
        write!(f, "{} at {seconds:.3} s: {}", self.symptom, self.text)
    }
}
