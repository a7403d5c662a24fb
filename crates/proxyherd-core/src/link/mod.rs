//! A link to a neighbor, without the link's socket: which server may have a link, what each frame does, when to dial
//! again.
//!
//! The dialing end sends HELLO, and the accepting end answers with its own HELLO or with a REFUSAL. Then each end sends
//! its vectors, one for each shard, and the records that the other end's vectors lack. After that, records, markers and
//! heartbeats flow in both directions until the connection ends. The owner of the socket passes received bytes to
//! [`Incoming`], and writes the bytes that [`Replica::flush`] encodes.
//!
//! # The worst effect of each frame
//!
//! The neighbor makes the frames, but their contents may come from any server behind the neighbor. An error
//! ([`LinkError`]) ends the link. So there is an error only for something that no honest server could send, whatever
//! other servers sent to it. Everything else that is wrong is not merged and is counted
//! ([`Nonsense`](crate::flood::Nonsense)), and its effects heal. For each frame, this list says what is checked, what
//! is bounded, what heals, and what is counted.
//!
//! - **HELLO, REFUSAL**: `Identity` decides which server may have a link, by herd, name, version and clock. A second
//!   HELLO is an error. A REFUSAL ends the link, whichever end sends it.
//! - **ORIGIN**: its index must be the next one. From version 3 on the index may also be 0, which begins a new
//!   numbering and voids all earlier indices. Any other index is an error. At most [`ORIGINS_NAMED_MAX`] origins have
//!   an index at a time (65,536 before version 3); they use memory of this connection only. An invented origin has no
//!   effect until one of its records is merged. If invented origins are relayed, other links begin new numberings and
//!   stay up; before version 3 those links are closed and dialed again.
//! - **RECORD**: key, times, coordinates, attributes and lengths must be valid. An invalid record is an error, because
//!   every server that relays a record has checked the same conditions. Not merged, and counted: a time of receipt or
//!   an incarnation too far ahead; an update under this server's present incarnations that this server never issued,
//!   which it contradicts; a record of a stranger or a kind for which there is no room; and an account of one server's
//!   places quota that another server issued. Kept under another incarnation, and counted: a record whose incarnation
//!   exceeds the number that one server may have. Neighbors send refused records again when they compare what they
//!   hold, without an alarm. A lie in the name of another server is merged here, and that other server contradicts the
//!   lie. False positions stay if they come under the sender's own name, or under lives that have ended.
//! - **MARKER**: an unknown index or shard is an error. A claim beyond the last update of this server's present
//!   incarnation is counted, and a new incarnation contradicts the claim. A wrong claim about another origin makes
//!   neighbors withhold records, until the neighbors compare what they hold or the origin has been renewed. While a gap
//!   is open, the link's markers do not count (`flood::gap`).
//! - **VECTOR**: as for MARKER. One vector may come for each shard. A second one is an error, because each vector
//!   causes a scan of the whole shard.
//! - **HEARTBEAT, OFFSET**: any number is a valid clock. A clock that is too far off ends this link and no other.
//! - **CHECK**: a wrong sum makes this server look for a difference on this link and count an alarm. After that the
//!   server ignores [`CHECK_PAUSE`](crate::limits::CHECK_PAUSE) checks. The repair only sends records, which are judged
//!   as usual.
//! - **BRANCHES, LEAVES**: depth and count are bounded, and a frame that exceeds a bound is an error. Each frame causes
//!   a scan of a shard, but a neighbor may cause at most [`LOOKS_PER_HEARTBEAT`](crate::limits::LOOKS_PER_HEARTBEAT)
//!   scans between two heartbeats. A later check finds the branches that are left out. The requested records are sent
//!   to the neighbor that asked, and to no other.
//! - **STATE**: a state with more links than a server can have is an error. Not kept, and counted: a stamp or an
//!   incarnation too far ahead, and states of servers that are not members and for which there is no room. This server
//!   answers a state in its own name with a newer state; the other servers answer states in their names
//!   (`spanning_tree`).
//! - **IHAVE**: as for MARKER, for this server's own updates. This server waits for promised updates of at most
//!   [`PROMISES_MAX`](crate::limits::PROMISES_MAX) other origins. If the updates do not come, this server asks for them
//!   once and forgets the promises.
//! - **GRAFT**: as for MARKER, for this server's own updates. Each GRAFT causes a scan of a shard. After
//!   [`LOOKS_PER_HEARTBEAT`](crate::limits::LOOKS_PER_HEARTBEAT) scans, the last GRAFT waits for the heartbeat.
//! - **FENCE**: a shard keeps one fence number, until the next GRAFT.
//! - **PASSED**: a neighbor that answers a fence wrongly only makes its own markers count again.
//! - **PRUNE**: nothing more is queued for this neighbor. A neighbor that sends PRUNE wrongly only harms itself.
//! - **NAMESAKE**: this server reports for some seconds that another process runs under its name (log, metric,
//!   `status`). Nothing else changes. A neighbor that keeps sending NAMESAKE wrongly keeps up this report; such frames
//!   are not counted.
//! - **ACKS_WANTED**: one frame is sent back for each flush at most, and nothing is kept but an incarnation for each
//!   shard. A wrong incarnation only keeps the acknowledgements from the neighbor itself.
//! - **ACK**: as for MARKER, for this server's own updates. A neighbor that acknowledges wrongly counts as a copy that
//!   does not exist. Nothing but the neighbor's own copy can show this, so `replicas` relies on honest members.
//! - **HORIZON**: a time later than an honest server can tell counts as the latest possible time. A neighbor that tells
//!   a wrong time makes this server discard a store that is older than a day, or load such a store; nothing else
//!   depends on the time. Such frames are not counted.
//! - **Unknown types**: a frame of an unknown type is skipped if it is optional. Otherwise it is an error.

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

/// Why this end closes a link. Everything that the link brought before stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The received bytes are not valid frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame uses an index that no ORIGIN frame has given.
    #[error("a frame names the origin {0}, which the neighbor has not introduced")]
    UnknownOrigin(u16),
    /// An ORIGIN frame gives an index that is not the next one.
    #[error("a frame gives an origin the index {0}, which is not the next index")]
    IndexOutOfTurn(u16),
    /// A frame is about a shard that no server has.
    #[error("a frame names shard {0}, but there are only {SHARDS} shards")]
    UnknownShard(u8),
    /// A shard's vector came a second time.
    #[error("the vector of shard {0} came twice")]
    VectorAgain(u8),
    /// A frame of the handshake came after the handshake.
    #[error("a frame of the handshake came after the handshake")]
    LateHandshake,
    /// The neighbor has ended the link with a REFUSAL.
    #[error("the neighbor ended the link: {0}")]
    Refused(String),
    /// The clocks of both ends are too far apart.
    #[error(
        "the neighbor's clock is {} this server's, by more than max_clock_offset_s: check the neighbor's clock, and \
         this server's clock if other neighbors report the same",
        told(*.0)
    )]
    Clock(i64),
}

/// Describes the offset of a neighbor's clock, given in nanoseconds, in words: `1.5 s ahead of`.
pub fn told(offset_ns: i64) -> String {
    let side = if offset_ns < 0 { "behind" } else { "ahead of" };
    format!("{:.1} s {side}", offset_ns.unsigned_abs() as f64 / 1e9)
}

/// The receiving half of a link: takes the neighbor's frames and changes the replica.
#[derive(Debug)]
pub struct Incoming {
    link: LinkId,
    /// The protocol version that both ends speak.
    version: u16,
    origins: Named<Introduced>,
    /// The shards whose vectors the neighbor has sent, one bit each.
    told_vectors: u32,
    records: u64,
    clocks: Clocks,
    clock_offset_max_ns: u64,
    mismatches: u64,
}

/// An origin that the neighbor has named, and the place at which each shard last had the origin.
#[derive(Debug)]
struct Introduced {
    origin: Origin,
    guesses: [u16; SHARDS],
}

impl Incoming {
    /// The receiving half of a link whose ends have just agreed.
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

    /// Returns this value for a link whose ends have agreed to speak `version` instead of version 1.
    pub fn with_version(self, version: u16) -> Incoming {
        Incoming { version, ..self }
    }

    /// Returns this value with a limit: the link ends when the clocks are certainly further apart than
    /// `clock_offset_max_ns`, nanoseconds.
    pub fn with_clock_offset_max(self, clock_offset_max_ns: u64) -> Incoming {
        Incoming { clock_offset_max_ns, ..self }
    }

    /// The number of records that have come since the link came up.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// What the heartbeats have shown about the neighbor's clock.
    pub fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// The number of times that the neighbor turned out to hold other records while no records in transit could explain
    /// the difference.
    pub fn mismatches(&self) -> u64 {
        self.mismatches
    }

    /// Takes every complete frame at the front of `bytes`. Adds the links that now have something to flush to `wake`.
    /// Returns the number of consumed bytes.
    pub fn receive(
        &mut self,
        replica: &Replica,
        now_ns: u64,
        bytes: &[u8],
        wake: &mut Wake,
    ) -> Result<usize, LinkError> {
        let received = self.receive_frames(replica, now_ns, bytes, wake);
        // One call for all frames: many acknowledgements often come at once.
        replica.tell_copies();
        received
    }

    fn receive_frames(
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
                self.take_record(replica, now_ns, origin, seq, &record, wake)?;
            }
            Frame::Marker(covered) => self.take_marker(replica, covered, wake)?,
            Frame::Vector(covered) => self.take_vector(replica, covered, wake)?,
            Frame::Origin { index, origin } => self.introduce(index, origin)?,
            Frame::Heartbeat(clock_ns) => {
                self.clocks.hear(now_ns, clock_ns);
                self.compare_clocks(replica)?;
            }
            Frame::Offset(ahead_ns) => {
                self.clocks.be_told(ahead_ns);
                self.compare_clocks(replica)?;
            }
            Frame::Check(check) => {
                let shard = shard_index(check.shard)?;
                let (differs, woken) = replica.check(self.link, shard, now_ns, &check);
                self.mismatches += u64::from(differs);
                *wake = wake.and(woken);
            }
            Frame::Branches(branches) => {
                *wake = wake.and(replica.compare(self.link, shard_index(branches.level.shard)?, &branches));
            }
            Frame::Leaves(leaves) => {
                *wake = wake.and(replica.answer_leaves(self.link, shard_index(leaves.level.shard)?, &leaves));
            }
            Frame::State(state) => *wake = wake.and(replica.hear_state(self.link, now_ns, state)),
            Frame::Ihave(covered) => {
                replica.hear_promise(self.link, shard_index(covered.shard)?, self.named(covered)?);
            }
            Frame::Graft { covered, mode } => {
                let shard = shard_index(covered.shard)?;
                *wake = wake.and(replica.graft(self.link, shard, &self.named(covered)?, mode));
            }
            Frame::Prune => *wake = wake.and(replica.prune(self.link)),
            Frame::Fence { shard, number } => replica.hear_fence(self.link, shard_index(shard)?, number),
            Frame::Passed { shard, number } => replica.hear_passed(self.link, shard_index(shard)?, number),
            Frame::Namesake(incarnation) => replica.hear_of_namesake(incarnation),
            Frame::Horizon(horizon_ns) => replica.hear_horizon(self.link, now_ns, horizon_ns),
            Frame::AcksWanted { shard, incarnation } => {
                *wake = wake.and(replica.hear_acks_wanted(self.link, shard_index(shard)?, incarnation));
            }
            Frame::Ack(ack) => replica.hear_ack(self.link, shard_index(ack.shard)?, &ack),
            Frame::Skipped => {}
            Frame::Refusal(reason) => return Err(LinkError::Refused(reason.to_owned())),
            Frame::Hello(_) => return Err(LinkError::LateHandshake),
        }
        Ok(())
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
        // The replica counts the records that it refuses. The neighbor may only have relayed the record, so the link
        // stays up.
        let (_, woken) = replica.apply(now_ns, self.link, Update { record: *record, origin, seq }, guesses);
        *wake = wake.and(woken);
        Ok(())
    }

    /// Adds each entry's wake at once: an entry that ends the link must not suppress the wakes of the entries before
    /// it.
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
