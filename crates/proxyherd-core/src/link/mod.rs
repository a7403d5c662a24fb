//! A link to a neighbor, without its socket: who may have one, what its frames do, when to dial again.
//!
//! The dialing end sends HELLO, and the accepting end answers with its own HELLO or with a REFUSAL. Then each end
//! sends its vectors, one for each shard, and the records that the other's vectors lack. From there on records,
//! markers and heartbeats flow both ways until the connection ends. The owner of the socket passes received bytes to
//! [`Incoming`] and writes what [`Replica::flush`] encodes.
//!
//! # What each frame can do at worst
//!
//! The neighbor makes the frames, but their contents may come from any server behind it. So an error ([`LinkError`]),
//! which ends the link, is only for what no honest server could send, whatever it was sent itself. Everything else
//! that is wrong is not merged, is counted ([`Nonsense`](crate::flood::Nonsense)), and heals. This list says for each
//! frame what is checked, what is bounded, what heals, and what is counted.
//!
//! - **HELLO, REFUSAL**: `Identity` decides who may have a link, by herd, name, version and clock. A second HELLO is
//!   an error. A REFUSAL ends the link, whoever sends it.
//! - **ORIGIN**: its index must be the next one. From version 3 on it may also be 0, which begins a new numbering and
//!   voids all earlier indices. Any other index is an error. At most [`ORIGINS_NAMED_MAX`] origins have an index at a
//!   time (65,536 before version 3); they cost memory of this connection alone. A made-up origin means nothing until
//!   one of its records is merged. Relayed made-up origins make other links begin new numberings, and those links
//!   stay up; before version 3 such links come up anew.
//! - **RECORD**: key, times, coordinates, attributes and lengths must be valid. Otherwise it is an error, because
//!   every server that relays a record has checked the same. Not merged, and counted: a receipt or an incarnation too
//!   far ahead; an update under this server's present incarnations that it never issued, which it contradicts; a
//!   record of a stranger or a kind for which there is no room; and a server's account of a places quota in another
//!   server's name. Kept under another incarnation, and counted: a record of one incarnation of a server too many.
//!   Neighbors send what is refused again when they compare what they hold, without an alarm. A lie in the name of
//!   another server is merged here, and that server contradicts it. False positions stay if they come under the
//!   sender's own name, or under lives that have ended.
//! - **MARKER**: an unknown index or shard is an error. A claim beyond the last update of this server's present
//!   incarnation is counted, and a new incarnation contradicts it. A wrong claim about another origin makes neighbors
//!   withhold records, until they compare what they hold or the origin has been renewed. While a gap is open, the
//!   link's markers do not count (`flood::gap`).
//! - **VECTOR**: as a marker. It may come once for each shard; a second one is an error, because each causes a scan
//!   of the whole shard.
//! - **HEARTBEAT, OFFSET**: any number is a clock. A clock that is too far off ends this link and no other.
//! - **CHECK**: wrong sums make this server look for a difference on this link and count an alarm. After that it
//!   ignores [`CHECK_PAUSE`](crate::limits::CHECK_PAUSE) checks. The repair only sends records, which are judged as
//!   usual.
//! - **BRANCHES, LEAVES**: depth and count are bounded; more is an error. Each causes a scan of a shard, at most
//!   [`LOOKS_PER_HEARTBEAT`](crate::limits::LOOKS_PER_HEARTBEAT) times; a later check finds what is left out. What
//!   they ask for is sent to the neighbor that asked.
//! - **STATE**: more links than a server can have are an error. Not kept, and counted: a stamp or an incarnation too
//!   far ahead, and states of servers that are no members and find no room. This server answers a state in its own
//!   name with a newer one; the other servers answer states in theirs (`spanning_tree`).
//! - **IHAVE**: as a marker, for this server's own updates. Promises about other origins are waited for, for at most
//!   [`PROMISES_MAX`](crate::limits::PROMISES_MAX) origins; then they are asked for once and forgotten.
//! - **GRAFT**: as a marker, for this server's own updates. Each causes a scan of a shard; beyond
//!   [`LOOKS_PER_HEARTBEAT`](crate::limits::LOOKS_PER_HEARTBEAT) the last one waits for the heartbeat.
//! - **FENCE**: a shard keeps one number, until the next GRAFT.
//! - **PASSED**: a neighbor that answers a fence wrongly only makes its own markers count.
//! - **PRUNE**: nothing more is queued for this neighbor, which only harms itself.
//! - **NAMESAKE**: shows for some seconds that another process runs as this server (log, metric, `status`), and
//!   changes nothing else. A neighbor that sends it wrongly again and again keeps that sign up; this is not counted.
//! - **Unknown types**: skipped if they are optional, otherwise an error.

mod backoff;
mod clocks;
mod handshake;
mod transcript;

pub use self::{
    backoff::Backoff,
    clocks::Clocks,
    handshake::{HIGHEST, Identity, Refused},
    transcript::Transcript,
};
use crate::{
    codec::link::{
        Covered, Frame, FrameError, decode,
        numbering::{ANEW_VERSION, Named},
    },
    flood::{LinkId, Update, Wake},
    limits::{ORIGINS_NAMED_MAX, SHARDS},
    replica::Replica,
    types::{Origin, Record},
};

/// Why this end closes a link. What the link brought before stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The bytes are no frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame uses an index that no ORIGIN frame has given.
    #[error("a frame names the origin {0}, which the neighbor has not introduced")]
    UnknownOrigin(u16),
    /// An ORIGIN frame gives an index out of turn.
    #[error("an origin is given the index {0} out of turn")]
    IndexOutOfTurn(u16),
    /// A frame is about a shard that no server has.
    #[error("a frame is about shard {0} of {SHARDS}")]
    UnknownShard(u8),
    /// A shard's vector came a second time.
    #[error("the vector of shard {0} came twice")]
    VectorAgain(u8),
    /// A frame of the handshake came after it.
    #[error("a frame of the handshake came after it")]
    LateHandshake,
    /// The neighbor has ended the link with a REFUSAL.
    #[error("it ended the link: {0}")]
    Refused(String),
    /// The clocks of both ends are too far apart.
    #[error(
        "its clock is {} this server's, by more than max_clock_offset_s: look at the clock there, and here if other \
         neighbors say the same",
        told(*.0)
    )]
    Clock(i64),
}

/// An offset of a neighbor's clock, nanoseconds, in words: `1.5 s ahead of`.
pub fn told(offset_ns: i64) -> String {
    let side = if offset_ns < 0 { "behind" } else { "ahead of" };
    format!("{:.1} s {side}", offset_ns.unsigned_abs() as f64 / 1e9)
}

/// The receiving half of a link: takes the neighbor's frames and changes the replica.
#[derive(Debug)]
pub struct Incoming {
    link: LinkId,
    /// The version that both ends speak.
    version: u16,
    origins: Named<Introduced>,
    /// The shards whose vector the neighbor has sent, one bit each.
    told_vectors: u32,
    records: u64,
    clocks: Clocks,
    clock_offset_max_ns: u64,
    mismatches: u64,
}

/// An origin that the neighbor has named, and the place at which each shard last had it.
#[derive(Debug)]
struct Introduced {
    origin: Origin,
    guesses: [u16; SHARDS],
}

impl Incoming {
    /// The receiving half of a link that has just agreed.
    pub fn new(link: LinkId) -> Incoming {
        Incoming {
            link,
            version: 1,
            origins: Named::default(),
            told_vectors: 0,
            records: 0,
            clocks: Clocks::default(),
            clock_offset_max_ns: u64::MAX,
            mismatches: 0,
        }
    }

    /// The same, for a link whose ends have agreed to speak this version instead of version 1.
    pub fn with_version(self, version: u16) -> Incoming {
        Incoming { version, ..self }
    }

    /// The same, but it ends the link when the clocks are surely further apart than this, nanoseconds.
    pub fn with_clock_offset_max(self, clock_offset_max_ns: u64) -> Incoming {
        Incoming { clock_offset_max_ns, ..self }
    }

    /// How many records have come since the link came up.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// What is known of the neighbor's clock.
    pub fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// How often the neighbor turned out to hold other records, with nothing on its way that could explain it.
    pub fn mismatches(&self) -> u64 {
        self.mismatches
    }

    /// Takes every complete frame at the front of `bytes`, and adds to `wake` the links that have something to flush
    /// now. Returns how many bytes were taken.
    pub fn receive(
        &mut self,
        replica: &Replica,
        now_ns: u64,
        bytes: &[u8],
        wake: &mut Wake,
    ) -> Result<usize, LinkError> {
        let mut consumed = 0;
        while let Some((frame, len)) = decode(&bytes[consumed..])? {
            self.take(replica, now_ns, frame, wake)?;
            consumed += len;
        }
        Ok(consumed)
    }

    fn take(
        &mut self,
        replica: &Replica,
        now_ns: u64,
        frame: Frame<'_>,
        wake: &mut Wake,
    ) -> Result<(), LinkError> {
        match frame {
            Frame::Record { origin, seq, record } => {
                self.take_record(replica, now_ns, origin, seq, &record, wake)
            }
            Frame::Marker(covered) => self.take_marker(replica, covered, wake),
            Frame::Vector(covered) => self.take_vector(replica, covered, wake),
            Frame::Origin { index, origin } => self.introduce(index, origin),
            Frame::Heartbeat(clock_ns) => {
                self.clocks.hear(now_ns, clock_ns);
                self.compare_clocks(replica)
            }
            Frame::Offset(ahead_ns) => {
                self.clocks.be_told(ahead_ns);
                self.compare_clocks(replica)
            }
            Frame::Check(check) => {
                let shard = shard_index(check.shard)?;
                let (differs, woken) = replica.check(self.link, shard, now_ns, &check);
                self.mismatches += u64::from(differs);
                *wake = wake.and(woken);
                Ok(())
            }
            Frame::Branches(branches) => {
                *wake = wake.and(replica.compare(self.link, shard_index(branches.level.shard)?, &branches));
                Ok(())
            }
            Frame::State(state) => {
                *wake = wake.and(replica.hear_state(self.link, now_ns, state));
                Ok(())
            }
            Frame::Ihave(covered) => {
                replica.hear_promise(self.link, shard_index(covered.shard)?, self.named(covered)?);
                Ok(())
            }
            Frame::Graft { covered, mode } => {
                let shard = shard_index(covered.shard)?;
                *wake = wake.and(replica.graft(self.link, shard, &self.named(covered)?, mode));
                Ok(())
            }
            Frame::Prune => {
                *wake = wake.and(replica.prune(self.link));
                Ok(())
            }
            Frame::Namesake(incarnation) => {
                replica.hear_of_namesake(incarnation);
                Ok(())
            }
            Frame::Leaves(leaves) => {
                *wake = wake.and(replica.answer_leaves(self.link, shard_index(leaves.level.shard)?, &leaves));
                Ok(())
            }
            Frame::Fence { shard, number } => {
                replica.hear_fence(self.link, shard_index(shard)?, number);
                Ok(())
            }
            Frame::Passed { shard, number } => {
                replica.hear_passed(self.link, shard_index(shard)?, number);
                Ok(())
            }
            Frame::Skipped => Ok(()),
            Frame::Refusal(reason) => Err(LinkError::Refused(reason.to_owned())),
            Frame::Hello(_) => Err(LinkError::LateHandshake),
        }
    }

    fn compare_clocks(&self, replica: &Replica) -> Result<(), LinkError> {
        let offset_ns = self.clocks.offset_ns();
        replica.note_clocks(self.link, self.clocks.ahead_ns(), offset_ns);
        if offset_ns.unsigned_abs() > self.clock_offset_max_ns {
            Err(LinkError::Clock(offset_ns))
        } else {
            Ok(())
        }
    }

    fn take_record(
        &mut self,
        replica: &Replica,
        now_ns: u64,
        origin: u16,
        seq: u64,
        record: &Record<'_>,
        wake: &mut Wake,
    ) -> Result<(), LinkError> {
        let introduced = self.origins.at_mut(origin).ok_or(LinkError::UnknownOrigin(origin))?;
        self.records += 1;
        let Introduced { origin, guesses } = introduced;
        // The replica counts what it refuses. The neighbor may only have relayed it, so the link stays up.
        let (_, woken) = replica.apply(now_ns, self.link, Update { record: *record, origin, seq }, guesses);
        *wake = wake.and(woken);
        Ok(())
    }

    /// Adds each wake as it comes: an entry that ends the link must not silence the wakes of the entries before it.
    fn take_marker(&self, replica: &Replica, covered: Covered<'_>, wake: &mut Wake) -> Result<(), LinkError> {
        let shard = shard_index(covered.shard)?;
        for (index, seq) in covered.iter() {
            *wake = wake.and(replica.cover(self.link, shard, self.origin(index)?, seq));
        }
        Ok(())
    }

    fn take_vector(
        &mut self,
        replica: &Replica,
        covered: Covered<'_>,
        wake: &mut Wake,
    ) -> Result<(), LinkError> {
        let vector = self.named(covered)?;
        let shard = shard_index(covered.shard)?;
        if self.told_vectors & 1 << shard != 0 {
            // Each vector causes a scan of the whole shard, so a neighbor may send only one.
            return Err(LinkError::VectorAgain(covered.shard));
        }
        self.told_vectors |= 1 << shard;
        *wake = wake.and(replica.link_up(self.link, shard, &vector));
        Ok(())
    }

    /// The entries with their origins by name.
    fn named(&self, covered: Covered<'_>) -> Result<Vec<(Origin, u64)>, LinkError> {
        covered.iter().map(|(index, seq)| Ok((self.origin(index)?.clone(), seq))).collect()
    }

    /// Indices are given in order, so this server needs memory only for origins that the neighbor has really sent.
    fn introduce(&mut self, index: u16, origin: Origin) -> Result<(), LinkError> {
        let may_be = match self.version {
            ANEW_VERSION.. => usize::from(index) < ORIGINS_NAMED_MAX,
            _ => index > 0 || self.origins.is_empty(),
        };
        let introduced = Introduced { origin, guesses: [0; SHARDS] };
        if may_be && self.origins.introduce(index, introduced) {
            Ok(())
        } else {
            Err(LinkError::IndexOutOfTurn(index))
        }
    }

    fn origin(&self, index: u16) -> Result<&Origin, LinkError> {
        let introduced = self.origins.at(index).ok_or(LinkError::UnknownOrigin(index))?;
        Ok(&introduced.origin)
    }
}

fn shard_index(shard: u8) -> Result<usize, LinkError> {
    let index = usize::from(shard);
    if index < SHARDS { Ok(index) } else { Err(LinkError::UnknownShard(shard)) }
}
