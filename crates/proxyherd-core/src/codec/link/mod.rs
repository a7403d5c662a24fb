//! Frames between servers: every type, and [`decode`] for all of them.
//!
//! A frame of an unknown type is skipped if its flag [`OPTIONAL`] is set. Otherwise the frame breaks the link. Origins
//! are long and few, so a link names each origin by an ORIGIN frame and then uses the origin's index (`numbering`).
//! `frame` holds the format that all frames have in common; the other files hold the types of frames and their
//! encoding. `flood` and `link` know what frames mean.

mod acks;
pub mod check;
mod covered;
mod frame;
mod heartbeat;
mod hello;
pub mod numbering;
mod record;
pub mod spanning_tree;

pub use self::{
    acks::Ack,
    covered::Covered,
    frame::{Encoder, FrameError, OPTIONAL},
    hello::{Hello, may_be_hello},
    spanning_tree::GraftMode,
};
use self::{
    acks::{ACK, ACKS_WANTED, decode_ack, decode_acks_wanted},
    check::{BRANCHES, Branches, CHECK, Check, LEAVES, Leaves},
    covered::{MARKER, ORIGIN, VECTOR, decode_covered, decode_origin},
    heartbeat::{HEARTBEAT, HORIZON, NAMESAKE, OFFSET},
    hello::{HELLO, REFUSAL, decode_hello, decode_refusal},
    record::RECORD,
    spanning_tree::{FENCE, GRAFT, IHAVE, ONCE, PASSED, PRUNE, STATE},
};
pub(crate) use self::{
    frame::{BodyReader, RawFrame, put_frame, put_text, put_u16, put_u64},
    record::{decode_record, put_record, record_flags},
};
use crate::types::{Advertisement, Origin, Record};

/// One frame, borrowed from the receive buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// See [`Hello`].
    Hello(Hello),
    /// The accepting end refuses the link, for this reason.
    Refusal(&'a str),
    /// Up to which sequence each origin is covered in one shard of the sender. Sent when the link comes up.
    Vector(Covered<'a>),
    /// From now on, `index` names this origin in frames of this direction, and higher indices are void.
    Origin {
        /// The index.
        index: u16,
        /// The origin.
        origin: Origin,
    },
    /// A record that the receiver may lack.
    Record {
        /// The index of the record's origin.
        origin: u16,
        /// The record's sequence.
        seq: u64,
        /// The record.
        record: Record<'a>,
    },
    /// The sender has sent all updates up to these sequences.
    Marker(Covered<'a>),
    /// The link is alive; the sender's clock, POSIX time in nanoseconds.
    Heartbeat(u64),
    /// The least lead of the receiver's clock over the sender's clock, nanoseconds, as far as heartbeats show it.
    Offset(i64),
    /// See [`Check`].
    Check(Check),
    /// See [`Branches`].
    Branches(Branches<'a>),
    /// See [`Leaves`].
    Leaves(Leaves<'a>),
    /// The links of a server that are up.
    State(Advertisement),
    /// Up to which sequence origins are covered at the sender, which does not send its changes on this link.
    Ihave(Covered<'a>),
    /// Up to which sequence origins are covered at the sender, which asks for everything above.
    Graft {
        /// The covered sequences.
        covered: Covered<'a>,
        /// Whether the sender asks for one answer, or also for changes from now on.
        mode: GraftMode,
    },
    /// The sender declines changes from now on.
    Prune,
    /// The sender's next GRAFT of this shard has this number.
    Fence {
        /// The shard.
        shard: u8,
        /// The number.
        number: u64,
    },
    /// The answer to a GRAFT begins here.
    Passed {
        /// The GRAFT's shard.
        shard: u8,
        /// The GRAFT's number.
        number: u64,
    },
    /// Another process runs under the receiver's name and also dials the sender; this is that process's incarnation.
    Namesake(u64),
    /// The sender wants an ACK whenever the receiver covers more of what the sender has issued in a shard.
    AcksWanted {
        /// The shard.
        shard: u8,
        /// The sender's present incarnation.
        incarnation: u64,
    },
    /// See [`Ack`].
    Ack(Ack),
    /// The sender's horizon, POSIX time in nanoseconds: a store that was last in use before that time may bring back
    /// what was forgotten. 0: the sender objects to no store.
    Horizon(u64),
    /// A frame of an optional type that this version does not know.
    Skipped,
}

/// Reads the frame at the front of `bytes`, and returns the number of its bytes. `None` if more bytes are needed.
pub fn decode(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some(RawFrame { kind, flags, body, end }) = RawFrame::split(bytes) else { return Ok(None) };
    let mut reader = BodyReader::new(body);
    let name = name_of(kind);
    let frame = match kind {
        HELLO => decode_hello(&mut reader)?.map(Frame::Hello),
        REFUSAL => decode_refusal(&mut reader).map(Frame::Refusal),
        VECTOR => decode_covered(&mut reader).map(Frame::Vector),
        ORIGIN => decode_origin(&mut reader)?.map(|(index, origin)| Frame::Origin { index, origin }),
        RECORD => decode_record(&mut reader, flags)?.map(|(origin, seq, record)| Frame::Record {
            origin,
            seq,
            record,
        }),
        MARKER => decode_covered(&mut reader).map(Frame::Marker),
        HEARTBEAT => reader.u64().map(Frame::Heartbeat),
        OFFSET => reader.u64().map(|offset_ns| Frame::Offset(offset_ns.cast_signed())),
        CHECK => check::decode_check(&mut reader).map(Frame::Check),
        BRANCHES => check::decode_branches(&mut reader)?.map(Frame::Branches),
        LEAVES => check::decode_leaves(&mut reader)?.map(Frame::Leaves),
        STATE => spanning_tree::decode_state(&mut reader)?.map(Frame::State),
        IHAVE => decode_covered(&mut reader).map(Frame::Ihave),
        GRAFT => decode_covered(&mut reader).map(|covered| Frame::Graft { covered, mode: graft_mode(flags) }),
        PRUNE => Some(Frame::Prune),
        FENCE => {
            spanning_tree::decode_fence(&mut reader).map(|(shard, number)| Frame::Fence { shard, number })
        }
        PASSED => {
            spanning_tree::decode_fence(&mut reader).map(|(shard, number)| Frame::Passed { shard, number })
        }
        NAMESAKE => reader.u64().map(Frame::Namesake),
        ACKS_WANTED => decode_acks_wanted(&mut reader)
            .map(|(shard, incarnation)| Frame::AcksWanted { shard, incarnation }),
        ACK => decode_ack(&mut reader).map(Frame::Ack),
        HORIZON => reader.u64().map(Frame::Horizon),
        _ if flags & OPTIONAL != 0 => return Ok(Some((Frame::Skipped, end))),
        unknown => return Err(FrameError::UnknownType(unknown)),
    };
    match frame {
        Some(frame) if reader.is_empty() => Ok(Some((frame, end))),
        _ => Err(FrameError::Length(name)),
    }
}

fn graft_mode(flags: u8) -> GraftMode {
    if flags & ONCE != 0 { GraftMode::Once } else { GraftMode::Onward }
}

fn name_of(kind: u8) -> &'static str {
    match kind {
        HELLO => "HELLO",
        REFUSAL => "REFUSAL",
        VECTOR => "VECTOR",
        ORIGIN => "ORIGIN",
        RECORD => "RECORD",
        MARKER => "MARKER",
        HEARTBEAT => "HEARTBEAT",
        OFFSET => "OFFSET",
        CHECK => "CHECK",
        BRANCHES => "BRANCHES",
        LEAVES => "LEAVES",
        STATE => "STATE",
        IHAVE => "IHAVE",
        GRAFT => "GRAFT",
        PRUNE => "PRUNE",
        FENCE => "FENCE",
        PASSED => "PASSED",
        NAMESAKE => "NAMESAKE",
        ACKS_WANTED => "ACKS_WANTED",
        ACK => "ACK",
        HORIZON => "HORIZON",
        _ => "unknown",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{
        AttributeValue, Attributes, AttributesBuf, Body, Coordinates, Difference, Kind, ServerName, Timestamp,
    };

    pub(in crate::codec::link) fn origin(server: &str) -> Origin {
        Origin { server: ServerName::new(server).unwrap(), incarnation: 7 }
    }

    pub(in crate::codec::link) fn hello() -> Hello {
        Hello {
            lowest: 1,
            highest: 3,
            features: 5,
            herd: "herd-1".into(),
            origin: origin("Riley"),
            shards: 16,
            clock_ns: Some(1_621_464_827_959_498_503),
        }
    }

    pub(in crate::codec::link) fn record<'a>(key: &'a [u8], attributes: Attributes<'a>) -> Record<'a> {
        let timestamp = Timestamp::parse(b"1621464827.959498503").unwrap();
        let coordinates = Coordinates::parse(b"+34.068930-118.445127").unwrap();
        let difference = Difference::from_nanos(263_873_386, timestamp).unwrap();
        Record {
            kind: Kind::CLIENT,
            key,
            body: Body::Location { coordinates, attributes },
            timestamp,
            difference,
        }
    }

    pub(in crate::codec::link) fn data(kind: Kind, bytes: &[u8]) -> Record<'_> {
        Record {
            kind,
            body: Body::Data { keep_s: 86_400, bytes },
            ..record(b"day/1/Riley", Attributes::NONE)
        }
    }

    /// One frame of every kind.
    fn every_frame() -> Vec<u8> {
        let mut attributes = AttributesBuf::default();
        attributes.set("note", AttributeValue::Text("on my way")).unwrap();
        let mut encoder = Encoder::default();
        encoder.hello(&hello());
        encoder.refusal("another herd");
        let index = encoder.index_of(&origin("Riley")).unwrap();
        encoder.vector(3, &[(index, 9), (index, u64::MAX)]);
        encoder.record(index, 12, &record(b"kiwi", attributes.borrow()));
        encoder.record(index, 13, &Record { body: Body::Gone, ..record(&[0xff; 256], Attributes::NONE) });
        encoder.record(index, 14, &data(Kind(200), b"of a later version"));
        encoder.marker(15, &[(index, 13)]);
        encoder.heartbeat(1_621_464_827_959_498_503);
        encoder.namesake(8);
        encoder.horizon(9);
        encoder.bytes().to_vec()
    }

    /// The frames of `bytes`, and whether they ended cleanly.
    pub(in crate::codec::link) fn frames(mut bytes: &[u8]) -> (Vec<Frame<'_>>, Result<usize, FrameError>) {
        let mut frames = Vec::new();
        loop {
            match decode(bytes) {
                Ok(Some((frame, len))) => {
                    frames.push(frame);
                    bytes = &bytes[len..];
                }
                Ok(None) => return (frames, Ok(bytes.len())),
                Err(error) => return (frames, Err(error)),
            }
        }
    }

    #[test]
    fn every_frame_comes_back_as_it_went() {
        let bytes = every_frame();
        let mut encoder = Encoder::default();
        assert!(encoder.is_empty() && !encoder.is_exhausted());
        encoder.heartbeat(1);
        assert!(!encoder.is_empty());
        let (frames, end) = frames(&bytes);
        assert_eq!(end, Ok(0));
        assert_eq!(frames.len(), 11);
        assert_eq!(frames[0], Frame::Hello(hello()));
        assert_eq!(frames[1], Frame::Refusal("another herd"));
        assert_eq!(frames[2], Frame::Origin { index: 0, origin: origin("Riley") });
        let Frame::Vector(vector) = &frames[3] else { panic!("{:?}", frames[3]) };
        assert_eq!((vector.shard, vector.iter().collect()), (3, vec![(0, 9), (0, u64::MAX)]));
        let Frame::Record { record: with_note, seq: 12, .. } = &frames[4] else { panic!("{:?}", frames[4]) };
        let Body::Location { attributes, .. } = with_note.body else { panic!("{with_note:?}") };
        assert_eq!(attributes.value("note"), Some(AttributeValue::Text("on my way")));
        let Frame::Record { record: gone, .. } = &frames[5] else { panic!("{:?}", frames[5]) };
        assert_eq!((gone.body, gone.key), (Body::Gone, &[0xff; 256][..]));
        let record = data(Kind(200), b"of a later version");
        assert_eq!(frames[6], Frame::Record { origin: 0, seq: 14, record });
        assert_eq!(frames[8], Frame::Heartbeat(1_621_464_827_959_498_503));
        assert_eq!(frames[9..], [Frame::Namesake(8), Frame::Horizon(9)]);
    }

    #[test]
    fn a_stream_cut_at_any_byte_waits_for_the_rest() {
        let bytes = every_frame();
        let (whole, _) = frames(&bytes);
        for cut in 0..bytes.len() {
            let (first, rest) = frames(&bytes[..cut]);
            let rest = rest.expect("an incomplete frame is no error");
            let (second, end) = frames(&bytes[cut - rest..]);
            assert_eq!(end, Ok(0));
            assert_eq!([first, second].concat(), whole);
        }
    }

    #[test]
    fn unknown_frames_are_skipped_only_if_they_are_optional() {
        assert_eq!(decode(&[1, 0, 99, OPTIONAL, 42]), Ok(Some((Frame::Skipped, 5))));
        assert_eq!(decode(&[1, 0, 99, 0, 42]), Err(FrameError::UnknownType(99)));
    }

    #[test]
    fn a_frame_that_is_wrong_is_told_by_its_name() {
        let names = [
            (VECTOR, "VECTOR"),
            (ORIGIN, "ORIGIN"),
            (RECORD, "RECORD"),
            (MARKER, "MARKER"),
            (HEARTBEAT, "HEARTBEAT"),
            (OFFSET, "OFFSET"),
            (CHECK, "CHECK"),
            (BRANCHES, "BRANCHES"),
            (LEAVES, "LEAVES"),
            (STATE, "STATE"),
            (IHAVE, "IHAVE"),
            (GRAFT, "GRAFT"),
            (PRUNE, "PRUNE"),
            (NAMESAKE, "NAMESAKE"),
            (ACKS_WANTED, "ACKS_WANTED"),
            (ACK, "ACK"),
            (HORIZON, "HORIZON"),
        ];
        for (kind, name) in names {
            assert_eq!(decode(&[1, 0, kind, 0, 0xff]), Err(FrameError::Length(name)));
        }
        assert_eq!([name_of(HELLO), name_of(REFUSAL)], ["HELLO", "REFUSAL"]);
    }

    #[test]
    fn a_body_of_the_wrong_length_is_an_error() {
        assert_eq!(decode(&[1, 0, HEARTBEAT, 0, 42]), Err(FrameError::Length("HEARTBEAT")));
        assert_eq!(
            decode(&[9, 0, HEARTBEAT, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
            Err(FrameError::Length("HEARTBEAT"))
        );
        assert_eq!(decode(&[3, 0, MARKER, 0, 0, 0xff, 0xff]), Err(FrameError::Length("MARKER")));
        assert_eq!(decode(&[4, 0, HELLO, 0, b'H', b'T', b'T', b'P']), Err(FrameError::NoHerd));
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u8..20) {
            let _ = decode(&bytes);
            let mut framed = vec![bytes.len() as u8, 0, kind, 0];
            framed.extend_from_slice(&bytes);
            if let Ok(Some((frame, len))) = decode(&framed) {
                prop_assert_eq!(len, framed.len());
                if let Frame::Record { origin, seq, record } = frame {
                    let mut encoder = Encoder::default();
                    encoder.record(origin, seq, &record);
                    let again = decode(encoder.bytes()).unwrap().unwrap().0;
                    prop_assert_eq!(again, Frame::Record { origin, seq, record });
                }
            }
        }

        #[test]
        fn a_flipped_bit_is_a_frame_or_an_error(at in 0usize..400, bit in 0u8..8) {
            let mut bytes = every_frame();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = frames(&bytes);
        }
    }
}
