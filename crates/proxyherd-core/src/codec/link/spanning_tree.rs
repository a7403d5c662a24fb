//! Frames of the spanning tree: STATE, IHAVE, GRAFT, PRUNE. This file also holds FENCE and PASSED, which mark where the
//! answer to a GRAFT begins. The modules `spanning_tree`, `flood` and `replica` know what these frames do.

use super::{
    covered::Covered,
    frame::{BodyReader, Encoder, FrameError, OPTIONAL, put_text, put_u64},
};
use crate::{
    limits::LINKS_MAX,
    types::{Advertisement, Origin, ServerName},
};

pub(super) const STATE: u8 = 12;
pub(super) const IHAVE: u8 = 13;
pub(super) const GRAFT: u8 = 14;
pub(super) const PRUNE: u8 = 15;
/// The first version of the protocol in which fences are answered.
pub const FENCE_VERSION: u16 = 3;
pub(super) const FENCE: u8 = 36;
pub(super) const PASSED: u8 = 37;
/// Flag of GRAFT: the sender asks for one answer.
pub(super) const ONCE: u8 = 0b0000_0001;

/// What a GRAFT asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraftMode {
    /// The records that the asking server lacks now, and nothing more.
    Once,
    /// The records that the asking server lacks now, and all changes from then on.
    Onward,
}

pub(super) fn decode_state(reader: &mut BodyReader<'_>) -> Result<Option<Advertisement>, FrameError> {
    let broken = FrameError::Value("STATE");
    let mut head = || Some((reader.u64()?, reader.u64()?, reader.text()?, reader.u8()?));
    let Some((incarnation, stamp, server, count)) = head() else { return Ok(None) };
    if usize::from(count) > LINKS_MAX {
        return Err(broken);
    }
    let origin = Origin { server: ServerName::new(server).map_err(|_| broken)?, incarnation };
    let mut up = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let Some(name) = reader.text() else { return Ok(None) };
        up.push(ServerName::new(name).map_err(|_| broken)?);
    }
    Ok(Some(Advertisement { origin, stamp, up }))
}

pub(super) fn decode_fence(reader: &mut BodyReader<'_>) -> Option<(u8, u64)> {
    Some((reader.u8()?, reader.u64()?))
}

impl Encoder {
    /// Encodes the links of a server that are up.
    pub fn state(&mut self, state: &Advertisement) {
        debug_assert!(state.up.len() <= LINKS_MAX, "no server has more links");
        self.frame(STATE, 0, |out| {
            put_u64(out, state.origin.incarnation);
            put_u64(out, state.stamp);
            put_text(out, state.origin.server.as_str());
            out.push(state.up.len() as u8);
            state.up.iter().for_each(|name| put_text(out, name.as_str()));
        });
    }

    /// Encodes up to which sequence origins are covered here in one shard, on a lazy link.
    pub fn ihave(&mut self, shard: u8, covered: &[(u16, u64)]) {
        for covered in covered.chunks(Covered::COUNT_MAX) {
            self.covered(IHAVE, 0, shard, covered);
        }
    }

    /// Encodes up to which sequence origins are covered here in one shard, and asks for everything above, either once
    /// or from now on. Entries that do not fit one frame are left out. That is harmless: the other end sends again the
    /// records that do not seem covered.
    pub fn graft(&mut self, shard: u8, covered: &[(u16, u64)], mode: GraftMode) {
        let covered = &covered[..covered.len().min(Covered::COUNT_MAX)];
        let flags = match mode {
            GraftMode::Once => ONCE,
            GraftMode::Onward => 0,
        };
        self.covered(GRAFT, flags, shard, covered);
    }

    /// Whether the other end answers fences.
    pub fn answers_fences(&self) -> bool {
        self.version >= FENCE_VERSION
    }

    /// Encodes the number of the next GRAFT of this shard.
    pub fn fence(&mut self, shard: u8, number: u64) {
        self.numbered(FENCE, shard, number);
    }

    /// Encodes that the answer to the GRAFT of this shard and number begins here.
    pub fn passed(&mut self, shard: u8, number: u64) {
        self.numbered(PASSED, shard, number);
    }

    fn numbered(&mut self, kind: u8, shard: u8, number: u64) {
        self.frame(kind, OPTIONAL, |out| {
            out.push(shard);
            put_u64(out, number);
        });
    }

    /// Encodes a PRUNE: the neighbor should send no more changes.
    pub fn prune(&mut self) {
        self.frame(PRUNE, 0, |_| ());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::link::{Frame, decode};

    #[test]
    fn no_server_has_more_links_than_there_are() {
        let name = ServerName::new("Riley").unwrap();
        let origin = Origin { server: name.clone(), incarnation: 7 };
        let state = Advertisement { origin, stamp: 9, up: vec![name; LINKS_MAX] };
        let mut encoder = Encoder::default();
        encoder.state(&state);
        let mut bytes = encoder.bytes().to_vec();
        assert_eq!(decode(&bytes), Ok(Some((Frame::State(state), bytes.len()))));
        let count = bytes.iter().position(|&byte| usize::from(byte) == LINKS_MAX).unwrap();
        for more in 1..3 {
            bytes[count] = (LINKS_MAX + more) as u8;
            assert_eq!(decode(&bytes), Err(FrameError::Value("STATE")));
        }
    }

    #[test]
    fn what_the_tree_is_made_by_comes_back_as_it_went() {
        let name = |name: &str| ServerName::new(name).unwrap();
        let origin = Origin { server: name("Riley"), incarnation: 7 };
        let state =
            Advertisement { origin: origin.clone(), stamp: 9, up: vec![name("Jaquez"), name("Juzang")] };
        let mut encoder = Encoder::default();
        encoder.state(&state);
        encoder.prune();
        let index = encoder.index_of(&origin).unwrap();
        encoder.ihave(3, &[(index, 5)]);
        encoder.graft(4, &[(index, 6)], GraftMode::Once);
        encoder.graft(5, &[], GraftMode::Onward);
        encoder.fence(6, u64::MAX);
        encoder.passed(7, 8);
        let (mut bytes, mut frames) = (encoder.bytes(), Vec::new());
        while let Some((frame, len)) = decode(bytes).unwrap() {
            frames.push(frame);
            bytes = &bytes[len..];
        }
        assert_eq!(frames[0], Frame::State(state));
        assert_eq!(frames[1], Frame::Prune);
        let Frame::Ihave(covered) = &frames[3] else { panic!("{frames:?}") };
        assert_eq!((covered.shard, covered.iter().collect()), (3, vec![(0, 5)]));
        assert!(matches!(&frames[4], Frame::Graft { covered, mode: GraftMode::Once } if covered.shard == 4));
        assert!(
            matches!(&frames[5], Frame::Graft { covered, mode: GraftMode::Onward } if covered.iter().count() == 0)
        );
        let numbered = [Frame::Fence { shard: 6, number: u64::MAX }, Frame::Passed { shard: 7, number: 8 }];
        assert_eq!(frames[6..], numbered);
    }
}
