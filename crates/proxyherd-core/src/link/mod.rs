//! A link to a neighbour, without its socket: who may have one, what its frames do, when to dial again.
//!
//! The dialling end says HELLO and the accepting end answers with one, or with why not. Then each tells its
//! vectors, one a shard, and sends what the other's vectors lack; from there on records, markers and heartbeats
//! flow both ways until the connection ends. Whoever owns the socket feeds [`Incoming`] and writes what
//! [`Map::flush`] encodes.

mod backoff;
mod handshake;
mod transcript;

pub use self::{
    backoff::Backoff,
    handshake::{Identity, Refused},
    transcript::Transcript,
};
use crate::{
    codec::link::{Covered, Frame, FrameError, decode},
    flood::{LinkId, Offered, Wake},
    limits::SHARDS,
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
    #[error("a frame names the origin {0}, which the neighbour has not introduced")]
    UnknownOrigin(u16),
    /// A frame is about a shard that no server has.
    #[error("a frame is about shard {0} of {SHARDS}")]
    UnknownShard(u8),
    /// A shard's vector came a second time.
    #[error("the vector of shard {0} came twice")]
    VectorAgain(u8),
    /// A record claims to be this server's own.
    #[error(
        "it tells as this server's own what was never said here; does another server run under its name?"
    )]
    Forged,
    /// A frame of the handshake came after it.
    #[error("a frame of the handshake came after it")]
    LateHandshake,
    /// There is no room for a neighbour's record.
    #[error(
        "there is no room left for the neighbour's records; this server needs more memory or fewer clients"
    )]
    Full,
}

/// What the neighbour sends: frames in, changes to the map.
#[derive(Debug)]
pub struct Incoming {
    link: LinkId,
    origins: Vec<Introduced>,
    /// The shards whose vector the neighbour has told, one bit each.
    told_vectors: u32,
    records: u64,
    heard_clock_ns: Option<u64>,
}

/// An origin that the neighbour has named, and where each shard keeps it, as far as is remembered.
#[derive(Debug)]
struct Introduced {
    origin: Origin,
    guesses: [u16; SHARDS],
}

impl Incoming {
    /// The receiving half of a link that has just agreed.
    pub fn new(link: LinkId) -> Incoming {
        Incoming { link, origins: Vec::new(), told_vectors: 0, records: 0, heard_clock_ns: None }
    }

    /// How many records have come since the link came up.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The neighbour's clock when it last told it, POSIX time in nanoseconds.
    pub fn heard_clock_ns(&self) -> Option<u64> {
        self.heard_clock_ns
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
                self.heard_clock_ns = Some(clock_ns);
                Ok(())
            }
            Frame::Skipped => Ok(()),
            Frame::Hello(_) | Frame::Refusal(_) => Err(LinkError::LateHandshake),
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
        let introduced = self.origins.get_mut(usize::from(origin)).ok_or(LinkError::UnknownOrigin(origin))?;
        self.records += 1;
        let Introduced { origin, guesses } = introduced;
        let (offered, woken) = map.apply(now_ns, self.link, record, origin, seq, guesses);
        *wake = wake.and(woken);
        match offered {
            Offered::Full => Err(LinkError::Full),
            Offered::Forged => Err(LinkError::Forged),
            // Only clients' own reports are ever too soon.
            Offered::Inserted | Offered::Updated | Offered::Stale | Offered::TooSoon => Ok(()),
        }
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
        let entries = covered.iter().map(|(index, seq)| Ok((self.origin(index)?.clone(), seq)));
        let vector = entries.collect::<Result<Vec<_>, LinkError>>()?;
        let shard = shard_index(covered.shard)?;
        if self.told_vectors & 1 << shard != 0 {
            // Each looks through the whole shard, so it is not to be had as often as one likes.
            return Err(LinkError::VectorAgain(covered.shard));
        }
        self.told_vectors |= 1 << shard;
        *wake = wake.and(map.link_up(self.link, shard, &vector));
        Ok(())
    }

    /// Indices are given out in order, so memory follows what the neighbour has really sent.
    fn introduce(&mut self, index: u16, origin: Origin) -> Result<(), LinkError> {
        if usize::from(index) != self.origins.len() {
            return Err(LinkError::UnknownOrigin(index));
        }
        self.origins.push(Introduced { origin, guesses: [0; SHARDS] });
        Ok(())
    }

    fn origin(&self, index: u16) -> Result<&Origin, LinkError> {
        let introduced = self.origins.get(usize::from(index)).ok_or(LinkError::UnknownOrigin(index))?;
        Ok(&introduced.origin)
    }
}

fn shard_index(shard: u8) -> Result<usize, LinkError> {
    let index = usize::from(shard);
    if index < SHARDS { Ok(index) } else { Err(LinkError::UnknownShard(shard)) }
}
