//! What a link has to send its neighbor, and what one link's trouble must not do to another.

use std::collections::BTreeSet;

use proxyherd_core::{
    codec::link::{Encoder, Frame, decode},
    command::Outcome,
    flood::{LinkId, Wake},
    limits::{LINK_BATCH_LEN, LINKS_MAX, SHARDS},
    link::{Incoming, LinkError},
    replica::{Replica, ReplicaSettings, shard_index},
    types::{AttributeValue, AttributesBuf, ClientId, Report},
};

use crate::herd::{
    NOW_NS, SECOND_NS, content, empty_vectors, join, link, origin, record_of, replica, report, settings,
    settle,
};

/// Brings up a link to a neighbor that has nothing. Returns the links to wake.
fn bring_up(replica: &Replica, link: LinkId) -> (Incoming, Wake) {
    let (mut incoming, mut wake) = (Incoming::new(link), Wake::default());
    incoming.receive(replica, NOW_NS, empty_vectors().bytes(), &mut wake).unwrap();
    (incoming, wake)
}

/// The keys of the records that `encoder` holds.
fn keys(encoder: &Encoder) -> Vec<Vec<u8>> {
    let (mut keys, mut bytes) = (Vec::new(), encoder.bytes());
    while let Some((frame, len)) = decode(bytes).unwrap() {
        if let Frame::Record { record, .. } = frame {
            keys.push(record.key.to_vec());
        }
        bytes = &bytes[len..];
    }
    keys
}

#[test]
fn a_link_that_is_always_behind_still_tells_of_every_client() {
    let replica = replica("Riley");
    let neighbor = link(0);
    let (_incoming, _) = bring_up(&replica, neighbor);
    let mut note = AttributesBuf::default();
    note.set("note", AttributeValue::Text(&"x".repeat(400))).unwrap();
    let clients: Vec<_> = (0..500).map(|client| format!("client-{client}").into_bytes()).collect();
    let mut told = BTreeSet::new();
    let mut encoder = Encoder::default();
    // All clients report between two batches, of which each carries about a third of them.
    for round in 1..=4 * SHARDS as u64 {
        for client in &clients {
            let report = Report { attributes: note.borrow(), ..report(client, NOW_NS + round) };
            let _ = replica.report(NOW_NS, &report);
        }
        assert!(!replica.flush(neighbor, &mut encoder), "there is more than one batch takes");
        assert!(encoder.len() < LINK_BATCH_LEN + 1024);
        told.extend(keys(&encoder));
        encoder.clear();
    }
    assert_eq!(told.len(), clients.len());
}

#[test]
fn a_link_that_is_always_behind_still_moves_the_neighbors_vector() {
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    let mut note = AttributesBuf::default();
    note.set("note", AttributeValue::Text(&"x".repeat(400))).unwrap();
    // More of each shard than a batch takes, so that no outbox is ever empty.
    let clients: Vec<_> = (0..4000).map(|client| format!("client-{client}").into_bytes()).collect();
    for round in 1..=60 {
        for client in &clients {
            let report = Report { attributes: note.borrow(), ..report(client, NOW_NS + round) };
            let _ = riley.report(NOW_NS, &report);
        }
        assert!(!to_jaquez.flush(), "there is more than one batch takes");
        let _ = to_riley.take_from(&mut to_jaquez);
    }
    for shard in 0..SHARDS {
        let mut covered = 0;
        jaquez.for_each_covered(shard, |_, seq| covered = seq);
        // Each shard gets its turn every 16 rounds, and its marker stands behind what was queued a turn before.
        assert!(covered > 1000, "shard {shard} is covered up to {covered} only");
    }
}

#[test]
fn a_neighbor_that_breaks_off_in_a_marker_does_not_silence_the_others() {
    let replica = replica("Riley");
    let (mut bad, _) = bring_up(&replica, link(0));
    let (_good, _) = bring_up(&replica, link(1));
    let mut encoder = Encoder::default();
    let index = encoder.index_of(&origin("Jaquez", 1)).unwrap();
    let known = report(b"kiwi", NOW_NS);
    let record = record_of(&known);
    encoder.record(index, 1, &record);
    bad.receive(&replica, NOW_NS, encoder.bytes(), &mut Wake::default()).unwrap();
    assert!(replica.flush(link(1), &mut Encoder::default()));

    encoder.clear();
    encoder.marker(shard_index(b"kiwi") as u8, &[(index, 1), (99, 1)]);
    let mut wake = Wake::default();
    let broken = bad.receive(&replica, NOW_NS, encoder.bytes(), &mut wake);
    assert_eq!(broken, Err(LinkError::UnknownOrigin(99)));
    assert_eq!(wake.links().collect::<Vec<_>>(), [link(1)], "the marker's first entry is news to it");
}

#[test]
fn a_client_that_begins_again_after_it_expired_does_so_everywhere() {
    let ttl_ns = 10 * SECOND_NS;
    for lag_ns in [0, SECOND_NS] {
        let expiring =
            |server: &str| Replica::new(ReplicaSettings { client_ttl_ns: Some(ttl_ns), ..settings(server) });
        let (riley, jaquez) = (expiring("Riley"), expiring("Jaquez"));
        let (mut to_riley, mut to_jaquez) = join(NOW_NS, (&jaquez, link(0)), (&riley, link(0)));
        let _ = riley.report(NOW_NS, &report(b"kiwi", NOW_NS));
        settle(&mut to_riley, &mut to_jaquez);
        // The record has expired, Jaquez has not swept it (its clock has not come so far either), and the client's
        // clock was put back.
        to_riley.now_ns = NOW_NS + ttl_ns - lag_ns;
        let (outcome, _) = riley.report(NOW_NS + ttl_ns, &report(b"kiwi", NOW_NS - SECOND_NS));
        assert_eq!(outcome, Outcome::Added);
        settle(&mut to_riley, &mut to_jaquez);
        assert_eq!(content(&riley), content(&jaquez), "Jaquez' clock is {lag_ns} ns behind");
    }
}

#[test]
fn a_client_whose_clock_is_ahead_can_be_forgotten_at_a_server_whose_clock_is_behind() {
    let replica = replica("Riley");
    let _ = replica.report(NOW_NS, &report(b"kiwi", NOW_NS + 100 * SECOND_NS));
    let (was_known, _) = replica.forget(NOW_NS - SECOND_NS, ClientId::new(b"kiwi").unwrap());
    assert!(was_known);
    assert!(content(&replica).iter().all(|seen| seen.place.is_empty()));
}

#[test]
fn a_shards_vector_is_told_once() {
    let replica = replica("Riley");
    let (mut bad, _) = bring_up(&replica, link(0));
    let again = bad.receive(&replica, NOW_NS, empty_vectors().bytes(), &mut Wake::default());
    assert_eq!(again, Err(LinkError::VectorAgain(0)));
}

#[test]
fn a_links_number_can_be_used_again_for_another_neighbor() {
    let riley = replica("Riley");
    let mut clients = BTreeSet::new();
    for number in 0..2 * LINKS_MAX {
        let neighbor = replica(&format!("server-{number}"));
        let client = format!("client-{number}");
        let _ = neighbor.report(NOW_NS, &report(client.as_bytes(), NOW_NS));
        clients.insert(client.into_bytes());
        // What came over this number before came from another neighbor, and is news to this one.
        let (mut here, mut there) = join(NOW_NS, (&riley, link(0)), (&neighbor, link(5)));
        settle(&mut here, &mut there);
        let _ = riley.report(NOW_NS, &report(b"kiwi", NOW_NS + number as u64));
        settle(&mut here, &mut there);
        assert_eq!(content(&riley), content(&neighbor));
        assert_eq!(content(&neighbor).len(), clients.len() + 1);
        let _ = riley.link_down(link(0));
        riley.free_link(link(0));
    }
    assert_eq!(riley.contradiction(), None);
}

#[test]
fn a_neighbor_that_wants_no_link_any_more_says_why() {
    let replica = replica("Riley");
    let (mut incoming, _) = bring_up(&replica, link(0));
    let mut encoder = Encoder::default();
    encoder.refusal("Riley is no neighbor of Jaquez");
    let ended = incoming.receive(&replica, NOW_NS, encoder.bytes(), &mut Wake::default());
    assert_eq!(ended, Err(LinkError::Refused("Riley is no neighbor of Jaquez".into())));
}
