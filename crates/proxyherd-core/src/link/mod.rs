//! A link to a neighbor, without its socket: who may have one, what its frames do, when to dial again.
//!
//! The dialling end says HELLO and the accepting end answers with one, or with why not. Then each tells its
//! vectors, one a shard, and sends what the other's vectors lack; from there on records, markers and heartbeats
//! flow both ways until the connection ends. Whoever owns the socket feeds [`Incoming`] and writes what
//! [`Map::flush`] encodes.
//!
//! # What each frame can do at worst
//!
//! The neighbor makes the frames, but what they say may come from any server behind it. So an error ([`LinkError`]), which
//! ends the link, is only for what no honest server could send, whatever it was told. All else that is wrong is not
//! merged and counted ([`Nonsense`](crate::flood::Nonsense)), and heals. For each frame: what is checked, what is bounded,
//! what heals, what is counted.
//!
//! - **HELLO, REFUSAL**: who may have a link is `Identity`'s to judge, by herd, name, version and clock. A second HELLO is an
//!   error. A REFUSAL ends the link, whoever sends it.
//! - **ORIGIN**: its index must be the next one, or, from version 3 on, 0: then the numbering begins anew, and no index that
//!   was given before means anything. Otherwise it is an error. At most
//!   [`ORIGINS_NAMED_MAX`] origins have an index at a time (65,536 before version 3), which
//!   cost memory of this connection alone. A made-up origin means nothing until a record of its is merged. What is relayed
//!   of made-up origins makes other links number anew, and they stay up; before version 3 they come up anew.
//! - **RECORD**: key, times, coordinates, attributes and lengths must be valid, otherwise it is an error, because whoever
//!   relays a record has checked the same. Not merged and counted: a receipt or an incarnation too far ahead; an update
//!   under this server's present incarnations that it never issued, which it contradicts; one of a stranger or a kind for
//!   which there is no room; a server's account of a places budget in another server's name. Counted, and kept under another incarnation: one incarnation of a server too many. What this
//!   misses is told again when the neighbors compare what they hold, without an alarm. A lie in the name of another server
//!   is merged here and contradicted by that server. False positions under the sender's own name, and under lives that are
//!   over, stay.
//! - **MARKER**: an unknown index or shard is an error. What it says of this server's present incarnation beyond its last
//!   update is counted, and contradicted by a new incarnation. What it says wrongly of others makes neighbors withhold
//!   records, until they compare what they hold, or until the origin has been renewed. Where something that
//!   the link brought is missing, its markers do not count (`flood::gap`).
//! - **VECTOR**: as a marker. Once for each shard; a second one is an error, because each looks through the whole shard.
//! - **HEARTBEAT, OFFSET**: any number is a clock. A clock that is too far off ends this link, and no other.
//! - **CHECK**: wrong sums make this server look for a difference, on this link, and count an alarm; a pause of
//!   [`CHECK_PAUSE`](crate::limits::CHECK_PAUSE) checks follows. The repair only sends records, which are judged as ever.
//! - **BRANCHES, LEAVES**: depth and count are bounded, otherwise it is an error. Each looks through a shard, at most
//!   [`LOOKS_PER_HEARTBEAT`](crate::limits::LOOKS_PER_HEARTBEAT) times; what is left out is found again by a later check.
//!   What they ask for is sent to the neighbor that asked.
//! - **STATE**: no more links than there can be, otherwise it is an error. Not kept and counted: a stamp or an incarnation
//!   too far ahead, and servers that are no members and find no room. What is said of this server, it answers with
//!   something newer; what is said of others, they answer (`tree`).
//! - **IHAVE**: as a marker for this server's own updates. What others are said to have is waited for, for at most
//!   [`PROMISES_MAX`](crate::limits::PROMISES_MAX) origins, asked for once, and forgotten.
//! - **GRAFT**: as a marker for this server's own updates. Each looks through a shard; beyond
//!   [`LOOKS_PER_HEARTBEAT`](crate::limits::LOOKS_PER_HEARTBEAT) the last one waits for the heartbeat.
//! - **FENCE**: one number for each shard, until the next GRAFT.
//! - **PASSED**: who answers a fence wrongly only has its own markers believed.
//! - **PRUNE**: nothing more is queued for this neighbor, which is its own loss.
//! - **NAMESAKE**: shows for some seconds that another process runs as this server (log, metric, `status`), and changes
//!   nothing else. Who says so wrongly again and again keeps that sign up; it is not counted.
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
    flood::{Held, LinkId, Wake},
    limits::{ORIGINS_NAMED_MAX, SHARDS},
    map::Map,
    types::{Origin, Record},
};

/// Why a link is closed by this end. What it brought before stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The bytes are no frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame uses an index that no ORIGIN frame has named.
    #[error("a frame names the origin {0}, which the neighbor has not introduced")]
    UnknownOrigin(u16),
    /// An ORIGIN frame gives another index than it may.
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
    /// The neighbor has said that it wants no link any more.
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

/// What the neighbor sends: frames in, changes to the map.
#[derive(Debug)]
pub struct Incoming {
    link: LinkId,
    /// The version that both ends speak.
    version: u16,
    origins: Named<Introduced>,
    /// The shards whose vector the neighbor has told, one bit each.
    told_vectors: u32,
    records: u64,
    clocks: Clocks,
    clock_offset_max_ns: u64,
    mismatches: u64,
}

/// An origin that the neighbor has named, and where each shard keeps it, as far as is remembered.
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

    /// One for a link whose ends have agreed to speak this version, instead of version 1.
    pub fn with_version(self, version: u16) -> Incoming {
        Incoming { version, ..self }
    }

    /// One that breaks the link when the clocks are surely further apart than this, nanoseconds.
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

    /// How often the neighbor turned out to hold something else, with nothing on its way that could explain it.
    pub fn mismatches(&self) -> u64 {
        self.mismatches
    }

    /// Takes in every complete frame at the front of `bytes`; says how many bytes that were, and adds to `wake`
    /// the links that have something to flush now.
    pub fn receive(
        &mut self,
        map: &Map,
        now_ns: u64,
        bytes: &[u8],
        wake: &mut Wake,
    ) -> Result<usize, LinkError> {
        let mut consumed = 0;
        while let Some((frame, len)) = decode(&bytes[consumed..])? {
            self.take(map, now_ns, frame, wake)?;
            consumed += len;
        }
        Ok(consumed)
    }

    fn take(&mut self, map: &Map, now_ns: u64, frame: Frame<'_>, wake: &mut Wake) -> Result<(), LinkError> {
        match frame {
            Frame::Record { origin, seq, record } => {
                self.take_record(map, now_ns, origin, seq, &record, wake)
            }
            Frame::Marker(covered) => self.take_marker(map, covered, wake),
            Frame::Vector(covered) => self.take_vector(map, covered, wake),
            Frame::Origin { index, origin } => self.introduce(index, origin),
            Frame::Heartbeat(clock_ns) => {
                self.clocks.hear(now_ns, clock_ns);
                self.compare_clocks(map)
            }
            Frame::Offset(ahead_ns) => {
                self.clocks.be_told(ahead_ns);
                self.compare_clocks(map)
            }
            Frame::Check(check) => {
                let shard = shard_index(check.shard)?;
                let (differs, woken) = map.check(self.link, shard, now_ns, &check);
                self.mismatches += u64::from(differs);
                *wake = wake.and(woken);
                Ok(())
            }
            Frame::Branches(branches) => {
                *wake = wake.and(map.compare(self.link, shard_index(branches.level.shard)?, &branches));
                Ok(())
            }
            Frame::State(state) => {
                *wake = wake.and(map.hear_state(self.link, now_ns, state));
                Ok(())
            }
            Frame::Ihave(covered) => {
                map.hear_promise(self.link, shard_index(covered.shard)?, self.named(covered)?);
                Ok(())
            }
            Frame::Graft { covered, is_once } => {
                let shard = shard_index(covered.shard)?;
                *wake = wake.and(map.graft(self.link, shard, &self.named(covered)?, is_once));
                Ok(())
            }
            Frame::Prune => {
                *wake = wake.and(map.prune(self.link));
                Ok(())
            }
            Frame::Namesake(incarnation) => {
                map.hear_of_namesake(incarnation);
                Ok(())
            }
            Frame::Leaves(leaves) => {
                *wake = wake.and(map.answer_leaves(self.link, shard_index(leaves.level.shard)?, &leaves));
                Ok(())
            }
            Frame::Fence { shard, number } => {
                map.hear_fence(self.link, shard_index(shard)?, number);
                Ok(())
            }
            Frame::Passed { shard, number } => {
                map.hear_passed(self.link, shard_index(shard)?, number);
                Ok(())
            }
            Frame::Skipped => Ok(()),
            Frame::Refusal(reason) => Err(LinkError::Refused(reason.to_owned())),
            Frame::Hello(_) => Err(LinkError::LateHandshake),
        }
    }

    fn compare_clocks(&self, map: &Map) -> Result<(), LinkError> {
        let offset_ns = self.clocks.offset_ns();
        map.note_clocks(self.link, self.clocks.ahead_ns(), offset_ns);
        if offset_ns.unsigned_abs() > self.clock_offset_max_ns {
            Err(LinkError::Clock(offset_ns))
        } else {
            Ok(())
        }
    }

    fn take_record(
        &mut self,
        map: &Map,
        now_ns: u64,
        origin: u16,
        seq: u64,
        record: &Record<'_>,
        wake: &mut Wake,
    ) -> Result<(), LinkError> {
        let introduced = self.origins.at_mut(origin).ok_or(LinkError::UnknownOrigin(origin))?;
        self.records += 1;
        let Introduced { origin, guesses } = introduced;
        // The map counts what it refuses. The neighbor may only have relayed it, so the link stays up.
        let (_, woken) = map.apply(now_ns, self.link, Held { record: *record, origin, seq }, guesses);
        *wake = wake.and(woken);
        Ok(())
    }

    /// Wakes are kept as they come: an entry that breaks the link must not silence the links before it.
    fn take_marker(&self, map: &Map, covered: Covered<'_>, wake: &mut Wake) -> Result<(), LinkError> {
        let shard = shard_index(covered.shard)?;
        for (index, seq) in covered.iter() {
            *wake = wake.and(map.cover(self.link, shard, self.origin(index)?, seq));
        }
        Ok(())
    }

    fn take_vector(&mut self, map: &Map, covered: Covered<'_>, wake: &mut Wake) -> Result<(), LinkError> {
        let vector = self.named(covered)?;
        let shard = shard_index(covered.shard)?;
        if self.told_vectors & 1 << shard != 0 {
            // Each looks through the whole shard, so it is not to be had as often as one likes.
            return Err(LinkError::VectorAgain(covered.shard));
        }
        self.told_vectors |= 1 << shard;
        *wake = wake.and(map.link_up(self.link, shard, &vector));
        Ok(())
    }

    /// The entries with their origins by name.
    fn named(&self, covered: Covered<'_>) -> Result<Vec<(Origin, u64)>, LinkError> {
        covered.iter().map(|(index, seq)| Ok((self.origin(index)?.clone(), seq))).collect()
    }

    /// Indices are given out in order, so memory follows what the neighbor has really sent.
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
