//! Frames of the anti-entropy: CHECK, BRANCHES and LEAVES. With them two servers find out whether they hold the same
//! records, and which records differ. `flood::anti_entropy` knows what the sums count.

use super::frame::{BodyReader, Encoder, FrameError, put_u16, put_u64};
use crate::limits::CHECK_BRANCHES_MAX;

/// The number of children of a branch of the hash tree.
pub const FAN_OUT: usize = 16;
/// The deepest level. One more step would use up the 64 bits of a hash.
pub const DEPTH_MAX: u8 = 15;
/// The size of one branch in a frame, bytes: the branch's place and the sums of its children.
const BRANCH_LEN: usize = 8 + FAN_OUT * 8;

pub(super) const CHECK: u8 = 9;
pub(super) const BRANCHES: u8 = 10;
pub(super) const LEAVES: u8 = 11;

/// The sum of all records of one shard that the sender holds. The sender has no other record of the shard left to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// The shard.
    pub shard: u8,
    /// The number of the receiver's records of this shard that have come over this link; or [`Check::GAP`].
    pub received: u64,
    /// The sum leaves out records that may expire before this time, POSIX nanoseconds.
    pub from_ns: u64,
    /// The time after which the sender forgets clients, nanoseconds; 0: never.
    pub client_ttl_ns: u64,
    /// The sum.
    pub root: u64,
}

impl Check {
    /// Replaces the number of received records while a gap is open at the sender, because then no number is right. The
    /// receiver raises no alarm over a difference then.
    pub const GAP: u64 = u64::MAX;
}

/// A level of one shard's hash tree, and the time from which its sums count records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// The shard.
    pub shard: u8,
    /// The number of steps below the root. Each step uses four bits of a key's hash.
    pub depth: u8,
    /// See [`Check::from_ns`].
    pub from_ns: u64,
}

/// Branches of one level, each with the sums of its children at the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branches<'a> {
    /// The level.
    pub level: Level,
    entries: &'a [u8],
}

/// Branches of one level in which the sender holds few records. The sender is sending these records. The receiver has
/// to send its own records of the branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaves<'a> {
    /// The level.
    pub level: Level,
    entries: &'a [u8],
}

impl Branches<'_> {
    /// The place of each branch, and the sums of its children.
    pub fn iter(&self) -> impl Iterator<Item = (u64, [u64; FAN_OUT])> {
        let (entries, _) = self.entries.as_chunks::<BRANCH_LEN>();
        entries.iter().map(|entry| {
            let (words, _) = entry.as_chunks::<8>();
            let word = |at: usize| u64::from_le_bytes(words[at]);
            (word(0), std::array::from_fn(|child| word(1 + child)))
        })
    }
}

impl Leaves<'_> {
    /// The places of the branches.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.entries.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word))
    }
}

pub(super) fn decode_check(reader: &mut BodyReader<'_>) -> Option<Check> {
    Some(Check {
        shard: reader.u8()?,
        received: reader.u64()?,
        from_ns: reader.u64()?,
        client_ttl_ns: reader.u64()?,
        root: reader.u64()?,
    })
}

pub(super) fn decode_branches<'a>(reader: &mut BodyReader<'a>) -> Result<Option<Branches<'a>>, FrameError> {
    let Some((level, count)) = decode_level(reader) else { return Ok(None) };
    check_level(level, CHECK_BRANCHES_MAX, count, "BRANCHES")?;
    Ok(reader.take(count * BRANCH_LEN).map(|entries| Branches { level, entries }))
}

pub(super) fn decode_leaves<'a>(reader: &mut BodyReader<'a>) -> Result<Option<Leaves<'a>>, FrameError> {
    let Some((level, count)) = decode_level(reader) else { return Ok(None) };
    check_level(level, CHECK_BRANCHES_MAX * FAN_OUT, count, "LEAVES")?;
    Ok(reader.take(count * 8).map(|entries| Leaves { level, entries }))
}

fn decode_level(reader: &mut BodyReader<'_>) -> Option<(Level, usize)> {
    let level = Level { shard: reader.u8()?, depth: reader.u8()?, from_ns: reader.u64()? };
    Some((level, usize::from(reader.u16()?)))
}

fn check_level(level: Level, most: usize, count: usize, name: &'static str) -> Result<(), FrameError> {
    if level.depth > DEPTH_MAX || count > most { Err(FrameError::Value(name)) } else { Ok(()) }
}

impl Encoder {
    /// Encodes CHECK.
    pub fn check(&mut self, check: &Check) {
        self.frame(CHECK, 0, |out| {
            out.push(check.shard);
            put_u64(out, check.received);
            put_u64(out, check.from_ns);
            put_u64(out, check.client_ttl_ns);
            put_u64(out, check.root);
        });
    }

    /// Encodes BRANCHES with at most [`CHECK_BRANCHES_MAX`] entries.
    pub fn branches(&mut self, level: Level, branches: &[(u64, [u64; FAN_OUT])]) {
        debug_assert!(branches.len() <= CHECK_BRANCHES_MAX, "the caller compares no more branches at once");
        self.level(BRANCHES, level, branches.len(), |out| {
            for (place, sums) in branches {
                put_u64(out, *place);
                sums.iter().for_each(|&sum| put_u64(out, sum));
            }
        });
    }

    /// Encodes LEAVES with at most [`CHECK_BRANCHES_MAX`] times [`FAN_OUT`] places.
    pub fn leaves(&mut self, level: Level, places: &[u64]) {
        debug_assert!(
            places.len() <= CHECK_BRANCHES_MAX * FAN_OUT,
            "the caller compares no more places at once"
        );
        self.level(LEAVES, level, places.len(), |out| {
            places.iter().for_each(|&place| put_u64(out, place));
        });
    }

    fn level(&mut self, kind: u8, level: Level, count: usize, write_entries: impl FnOnce(&mut Vec<u8>)) {
        self.frame(kind, 0, |out| {
            out.push(level.shard);
            out.push(level.depth);
            put_u64(out, level.from_ns);
            put_u16(out, count as u16);
            write_entries(out);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::link::{Frame, decode};

    const LEVEL: Level = Level { shard: 3, depth: 2, from_ns: 99 };

    #[test]
    fn what_is_told_of_a_shard_comes_back_as_it_went() {
        let check = Check { shard: 7, received: 5, from_ns: 99, client_ttl_ns: 0, root: u64::MAX };
        let branches = vec![(0x1200 << 48, [7; FAN_OUT]), (0x3400 << 48, [0; FAN_OUT])];
        let places = vec![0x1230 << 48, 5];
        let mut encoder = Encoder::default();
        encoder.check(&check);
        encoder.branches(LEVEL, &branches);
        encoder.leaves(LEVEL, &places);
        let (first, len) = decode(encoder.bytes()).unwrap().unwrap();
        assert_eq!(first, Frame::Check(check));
        let (second, next_len) = decode(&encoder.bytes()[len..]).unwrap().unwrap();
        let Frame::Branches(told) = second else { panic!("{second:?}") };
        assert_eq!((told.level, told.iter().collect()), (LEVEL, branches));
        let (third, _) = decode(&encoder.bytes()[len + next_len..]).unwrap().unwrap();
        let Frame::Leaves(told) = third else { panic!("{third:?}") };
        assert_eq!((told.level, told.iter().collect()), (LEVEL, places));
    }

    #[test]
    fn the_longest_frames_fit_and_no_tree_is_deeper_than_its_hash() {
        let mut encoder = Encoder::default();
        encoder.branches(LEVEL, &vec![(0, [0; FAN_OUT]); CHECK_BRANCHES_MAX]);
        assert!(decode(encoder.bytes()).unwrap().is_some());
        encoder.clear();
        encoder.leaves(LEVEL, &vec![0; CHECK_BRANCHES_MAX * FAN_OUT]);
        assert!(decode(encoder.bytes()).unwrap().is_some());
        encoder.clear();
        encoder.leaves(Level { depth: DEPTH_MAX, ..LEVEL }, &[0]);
        assert!(decode(encoder.bytes()).unwrap().is_some());
        encoder.clear();
        encoder.leaves(Level { depth: DEPTH_MAX + 1, ..LEVEL }, &[0]);
        assert_eq!(decode(encoder.bytes()), Err(FrameError::Value("LEAVES")));
    }
}
