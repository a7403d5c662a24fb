//! The frames of the link protocol.

use proxyherd_core::{
    codec::link::{Covered, Encoder, Frame, FrameError, decode, may_be_hello},
    limits::REFUSAL_LEN_MAX,
    link::Transcript,
};

use crate::{memory::bounded, pieces};

/// The frames and the end of a stream do not depend on how the stream is cut. Each frame is the same after it is
/// written and read again. No beginning of a HELLO or a refusal is taken for another protocol.
pub fn check(input: &[u8]) {
    let whole = frames(&[input]);
    for way in pieces::ways(input) {
        assert_eq!(frames(&way), whole);
    }
    if let Ok(Some((Frame::Hello(_) | Frame::Refusal(_), len))) = decode(input) {
        assert!((0..=len).all(|len| may_be_hello(&input[..len])));
    }
    let mut lines_len = 0;
    let lines = |line: &[u8]| lines_len += line.len();
    bounded(input.len(), 16, 4096, || Transcript::default().read(input, lines));
    // A line has at most a server, a number, a key, two coordinates and a time.
    assert!(lines_len <= 64 * input.len(), "{lines_len} bytes of lines");
}

/// The frames, written again, the number of bytes that were left, and the error that ended the stream.
fn frames(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, usize, Option<FrameError>) {
    let (mut buffer, mut frames) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut consumed = 0;
        loop {
            // Decoding allocates memory for a few names only.
            match bounded(0, 0, 4096, || decode(&buffer[consumed..])) {
                Ok(Some((frame, len))) => {
                    frames.push(written_again(&frame));
                    consumed += len;
                }
                Ok(None) => break,
                Err(error) => return (frames, 0, Some(error)),
            }
        }
        buffer.drain(..consumed);
    }
    (frames, buffer.len(), None)
}

/// Writes a frame and checks that the same frame is read from the bytes.
fn written_again(frame: &Frame<'_>) -> Vec<u8> {
    let bytes = encode(frame);
    match decode(&bytes) {
        _ if *frame == Frame::Skipped => assert!(bytes.is_empty()),
        Ok(Some((again, len))) => assert_eq!((&again, len), (&shortened(frame), bytes.len())),
        other => panic!("{frame:?} was written, and read as {other:?}"),
    }
    bytes
}

/// The frame as the encoder writes it: reasons are shortened.
fn shortened<'a>(frame: &Frame<'a>) -> Frame<'a> {
    match frame {
        Frame::Refusal(reason) => Frame::Refusal(&reason[..reason.floor_char_boundary(REFUSAL_LEN_MAX)]),
        frame => frame.clone(),
    }
}

fn encode(frame: &Frame<'_>) -> Vec<u8> {
    let mut encoder = Encoder::default();
    let entries = |covered: &Covered<'_>| covered.iter().collect::<Vec<_>>();
    match frame {
        Frame::Hello(hello) => encoder.hello(hello),
        Frame::Refusal(reason) => encoder.refusal(reason),
        Frame::Vector(covered) => encoder.vector(covered.shard, &entries(covered)),
        Frame::Origin { index, origin } => {
            encoder.index_of(origin);
            // The encoder gives index 0 to the first origin.
            let mut bytes = encoder.bytes().to_vec();
            bytes[4..6].copy_from_slice(&index.to_le_bytes());
            return bytes;
        }
        Frame::Record { origin, seq, record } => encoder.record(*origin, *seq, record),
        // The encoder writes nothing if there are no entries.
        Frame::Marker(covered) | Frame::Ihave(covered) if covered.iter().next().is_none() => {
            let kind = if matches!(frame, Frame::Marker(_)) { 6 } else { 13 };
            return vec![3, 0, kind, 0, covered.shard, 0, 0];
        }
        Frame::Marker(covered) => encoder.marker(covered.shard, &entries(covered)),
        Frame::Heartbeat(clock_ns) => encoder.heartbeat(*clock_ns),
        Frame::Offset(offset_ns) => encoder.offset(*offset_ns),
        Frame::Check(check) => encoder.check(check),
        Frame::Branches(branches) => encoder.branches(branches.level, &branches.iter().collect::<Vec<_>>()),
        Frame::Leaves(leaves) => encoder.leaves(leaves.level, &leaves.iter().collect::<Vec<_>>()),
        Frame::Fence { shard, number } => encoder.fence(*shard, *number),
        Frame::Passed { shard, number } => encoder.passed(*shard, *number),
        Frame::State(state) => encoder.state(state),
        Frame::Ihave(covered) => encoder.ihave(covered.shard, &entries(covered)),
        Frame::Graft { covered, mode } => encoder.graft(covered.shard, &entries(covered), *mode),
        Frame::Prune => encoder.prune(),
        Frame::Namesake(incarnation) => encoder.namesake(*incarnation),
        Frame::AcksWanted { shard, incarnation } => encoder.acks_wanted(*shard, *incarnation),
        Frame::Ack(ack) => encoder.ack(*ack),
        Frame::Horizon(horizon_ns) => encoder.horizon(*horizon_ns),
        Frame::Skipped => {}
    }
    encoder.bytes().to_vec()
}
