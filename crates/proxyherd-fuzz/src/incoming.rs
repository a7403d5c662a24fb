//! The frames of a neighbor: how they change the replica, and what the server then sends to its other neighbors.

use proxyherd_core::{
    codec::link::{Encoder, Frame, decode},
    flood::{LinkId, Rules, Wake},
    link::{HIGHEST, Identity, Incoming},
    replica::{Replica, ReplicaSettings},
    types::{Origin, ServerName},
};

use crate::{memory::bounded, pieces};

/// The present time, POSIX time in nanoseconds.
const NOW_NS: u64 = 1_621_464_828_223_371_889;

/// The replica's final state does not depend on how the bytes were cut. Its data structures never contradict each
/// other, and it sends only valid frames to another neighbor.
pub fn check(input: &[u8]) {
    shake_hands(input);
    let whole = received(&[input]);
    for way in pieces::ways(input) {
        assert_eq!(received(&way), whole);
    }
}

/// A HELLO at the beginning is answered, or it is refused with a reason that fits into a frame.
fn shake_hands(input: &[u8]) {
    let Ok(Some((Frame::Hello(theirs), _))) = decode(input) else { return };
    let me = Origin { server: name("Riley"), incarnation: 1 };
    let identity = Identity {
        herd: "herd".to_owned(),
        me,
        link_version: HIGHEST,
        has_tree: true,
        clock_offset_max_ns: 60_000_000_000,
    };
    let mut encoder = Encoder::default();
    match identity.answer(NOW_NS, &theirs, &[(name("Jaquez"), false), (name("Bernard"), true)]) {
        Ok((_, hello)) => encoder.hello(&hello),
        Err(why) => encoder.refusal(&why.to_string()),
    }
    let _ = identity.confirm(NOW_NS, NOW_NS - 1, &theirs, &name("Jaquez"));
    let _ = identity.agreed(&theirs);
    assert!(decode(encoder.bytes()).is_ok_and(|frame| frame.is_some()));
}

/// How the link ended, the content of the replica, and the bytes that are sent to another neighbor.
fn received(pieces: &[&[u8]]) -> (String, Vec<String>, Vec<u8>) {
    let replica = replica();
    let links = [0, 1].map(|place| LinkId::new(place).expect("a server may have two links"));
    let mut encoder = Encoder::default();
    let agreed = proxyherd_core::replica::Agreed { version: HIGHEST, has_tree: true };
    let _ = replica.agree(links[0], &name("Jaquez"), agreed, &mut encoder);
    let _ = replica.agree(links[1], &name("Juzang"), agreed, &mut encoder);
    let len = pieces.iter().map(|piece| piece.len()).sum::<usize>();
    let ended = bounded(len, 256, 1 << 20, || receive(&replica, links[0], pieces));
    assert_eq!(replica.contradiction(), None);
    encoder.clear();
    while !replica.flush(links[0], &mut encoder) {}
    replica.write_heartbeat(links[0], NOW_NS, &mut encoder);
    encoder.clear();
    while !replica.flush(links[1], &mut encoder) {}
    let _ = replica.link_down(links[0]);
    assert_eq!(replica.contradiction(), None);
    let mut rest = encoder.bytes();
    while let Some((_, len)) = decode(rest).expect("the replica sends valid frames") {
        rest = &rest[len..];
    }
    assert!(rest.is_empty());
    let mut held = Vec::new();
    replica.for_each(|one| held.push(format!("{:?} {:?}", one.record, one.origin)));
    held.sort();
    replica.sweep(u64::MAX, usize::MAX);
    assert_eq!(replica.contradiction(), None);
    (ended, held, encoder.bytes().to_vec())
}

fn receive(replica: &Replica, link: LinkId, pieces: &[&[u8]]) -> String {
    let incoming = Incoming::new(link).with_version(HIGHEST);
    let mut incoming = incoming.with_clock_offset_max(60_000_000_000);
    let mut buffer = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        match incoming.receive(replica, NOW_NS, &buffer, &mut Wake::default()) {
            Ok(consumed) => drop(buffer.drain(..consumed)),
            Err(error) => return error.to_string(),
        }
    }
    format!("{} bytes are left", buffer.len())
}

fn replica() -> Replica {
    Replica::new(ReplicaSettings {
        me: Origin { server: name("Riley"), incarnation: 1 },
        seed: 7,
        max_clients: 100,
        client_ttl_ns: Some(3_600_000_000_000),
        client_interval_ns: 0,
        report_rules: proxyherd_core::flood::ReportRules::default(),
        clock_offset_max_ns: 60_000_000_000,
        client_index: true,
        rules: Rules::default(),
    })
}

fn name(text: &str) -> ServerName {
    ServerName::new(text).expect("this is a name")
}
