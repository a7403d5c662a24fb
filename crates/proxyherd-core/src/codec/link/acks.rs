//! Frames by which servers acknowledge to each other: ACKS_WANTED and ACK. Both are optional in every version, so a
//! server that does not know them skips them and never acknowledges. `flood::acks` knows what these frames do.

use super::frame::{BodyReader, Encoder, OPTIONAL, put_u64};

/// The type of ACKS_WANTED.
pub(super) const ACKS_WANTED: u8 = 40;
/// The type of ACK.
pub(super) const ACK: u8 = 41;

/// Up to which sequence the sender of the frame covers updates of the receiver in one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The shard.
    pub shard: u8,
    /// The incarnation of the receiver that issued the updates.
    pub incarnation: u64,
    /// The sequence.
    pub seq: u64,
}

pub(super) fn decode_acks_wanted(reader: &mut BodyReader<'_>) -> Option<(u8, u64)> {
    Some((reader.u8()?, reader.u64()?))
}

pub(super) fn decode_ack(reader: &mut BodyReader<'_>) -> Option<Ack> {
    Some(Ack { shard: reader.u8()?, incarnation: reader.u64()?, seq: reader.u64()? })
}

impl Encoder {
    /// Encodes the wish for an ACK whenever the neighbor covers more of what the sender has issued in this shard under
    /// this incarnation. The frame replaces the earlier wish for the shard.
    pub fn acks_wanted(&mut self, shard: u8, incarnation: u64) {
        self.frame(ACKS_WANTED, OPTIONAL, |out| {
            out.push(shard);
            put_u64(out, incarnation);
        });
    }

    /// Encodes ACK.
    pub fn ack(&mut self, ack: Ack) {
        self.frame(ACK, OPTIONAL, |out| {
            out.push(ack.shard);
            put_u64(out, ack.incarnation);
            put_u64(out, ack.seq);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::link::{Frame, decode, tests::frames};

    #[test]
    fn acknowledgements_come_back_as_they_went_and_older_servers_may_skip_them() {
        let ack = Ack { shard: 15, incarnation: 7, seq: u64::MAX };
        let mut encoder = Encoder::default();
        encoder.acks_wanted(3, 7);
        encoder.ack(ack);
        let (told, end) = frames(encoder.bytes());
        assert_eq!(told, [Frame::AcksWanted { shard: 3, incarnation: 7 }, Frame::Ack(ack)]);
        assert_eq!(end, Ok(0));
        let mut bytes = encoder.bytes().to_vec();
        for kind in [ACKS_WANTED, ACK] {
            let at = bytes.windows(2).position(|pair| pair == [kind, OPTIONAL]).unwrap();
            bytes[at] = 99;
        }
        assert_eq!(frames(&bytes).0, [Frame::Skipped, Frame::Skipped]);
    }

    #[test]
    fn an_acknowledgement_of_the_wrong_length_is_an_error() {
        for kind in [ACKS_WANTED, ACK] {
            assert!(decode(&[1, 0, kind, OPTIONAL, 0]).is_err());
        }
    }
}
