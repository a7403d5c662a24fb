//! Neighbors acknowledge what they cover: when, on which links, how often, and what counts as a copy.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use proxyherd_core::{
    codec::link::{Ack, Encoder, Frame, decode},
    command::Outcome,
    flood::{Renewal, Rules, Shard, ShardSettings, Update, Wake},
    limits::SHARDS,
    link::{HIGHEST, Incoming},
    replica::{Agreed, Offer, Replica, ReplicaSettings, shard_index},
};

use crate::herd::{NOW_NS, SECOND_NS, link, origin, record_of, replica, report, settings};

/// Servers and the links between them, whose bytes the test moves.
struct Net {
    replicas: Vec<Replica>,
    wires: Vec<Wire>,
    /// The servers of an earlier version, which neither know ACKS_WANTED nor send ACK.
    earlier: Vec<usize>,
    /// The clocks.
    now_ns: Vec<u64>,
    /// The number of sent ACKS_WANTED and ACK.
    wanted: usize,
    acks: usize,
}

/// One direction of a link: from a server to another.
struct Wire {
    from: (usize, usize),
    encoder: Encoder,
    incoming: Incoming,
}

impl Net {
    fn new(replicas: Vec<Replica>) -> Net {
        let now_ns = vec![NOW_NS; replicas.len()];
        Net { replicas, wires: Vec::new(), earlier: Vec::new(), now_ns, wanted: 0, acks: 0 }
    }

    /// Two linked servers, `Riley` and `Jaquez`.
    fn pair() -> Net {
        let mut net = Net::new(vec![replica("Riley"), replica("Jaquez")]);
        net.link(0, 1, false);
        net
    }

    /// Links two servers. Each server's place of the link is the number of the other server.
    fn link(&mut self, one: usize, other: usize, has_tree: bool) {
        for (from, to) in [(one, other), (other, one)] {
            let mut encoder = Encoder::default();
            let neighbor = self.replicas[to].me().server.clone();
            let agreed = Agreed { version: HIGHEST, has_tree };
            let _ = self.replicas[from].agree(link(to), &neighbor, agreed, &mut encoder);
            let incoming = Incoming::new(link(from)).with_version(HIGHEST);
            self.wires.push(Wire { from: (from, to), encoder, incoming });
        }
    }

    fn unlink(&mut self, one: usize, other: usize) {
        self.wires.retain(|wire| wire.from != (one, other) && wire.from != (other, one));
        let _ = self.replicas[one].link_down(link(other));
        let _ = self.replicas[other].link_down(link(one));
    }

    /// Moves what one server has for another. Returns whether there was anything.
    fn carry(&mut self, from: usize, to: usize) -> bool {
        let at = self.wires.iter().position(|wire| wire.from == (from, to)).expect("the servers are linked");
        let wire = &mut self.wires[at];
        self.replicas[from].flush(link(to), &mut wire.encoder);
        let (bytes, wanted, acks) = counted(wire.encoder.bytes(), self.earlier.contains(&from));
        (self.wanted, self.acks) = (self.wanted + wanted, self.acks + acks);
        let bytes = if self.earlier.contains(&to) { counted(&bytes, true).0 } else { bytes };
        wire.encoder.clear();
        let mut wake = Wake::default();
        wire.incoming.receive(&self.replicas[to], self.now_ns[to], &bytes, &mut wake).unwrap();
        !bytes.is_empty()
    }

    /// Moves everything, until nobody has anything to send.
    fn settle(&mut self) {
        loop {
            let pairs: Vec<_> = self.wires.iter().map(|wire| wire.from).collect();
            // Every direction has to be carried, so this must not stop at the first that has something.
            let moved = pairs.into_iter().filter(|&(from, to)| self.carry(from, to)).count();
            if moved == 0 {
                return;
            }
        }
    }

    /// A client reports at a server, and the own position of the report.
    fn report(&self, at: usize, client: &str, after_ns: u64) -> (usize, u64) {
        let (outcome, _) =
            self.replicas[at].report(NOW_NS + after_ns, &report(client.as_bytes(), NOW_NS + after_ns));
        assert!(outcome.is_taken());
        let shard = shard_index(client.as_bytes());
        (shard, self.replicas[at].issued(shard))
    }

    /// Whether enough neighbors cover everything that a server has issued.
    fn has_copies(&self, at: usize) -> bool {
        let copies = self.replicas[at].copies();
        (0..SHARDS).all(|shard| copies.own_of(shard) == self.replicas[at].issued(shard))
    }
}

/// The frames in `bytes`, without the frames of acknowledgements if `strips`, and the numbers of ACKS_WANTED and ACK
/// among the frames that are left.
fn counted(mut bytes: &[u8], strips: bool) -> (Vec<u8>, usize, usize) {
    let (mut kept, mut wanted, mut acks) = (Vec::new(), 0, 0);
    while let Some((frame, len)) = decode(bytes).unwrap() {
        let is_of_acks = matches!(frame, Frame::AcksWanted { .. } | Frame::Ack(_));
        if !(is_of_acks && strips) {
            kept.extend_from_slice(&bytes[..len]);
            wanted += usize::from(matches!(frame, Frame::AcksWanted { .. }));
            acks += usize::from(matches!(frame, Frame::Ack(_)));
        }
        bytes = &bytes[len..];
    }
    assert!(bytes.is_empty());
    (kept, wanted, acks)
}

/// Wants this number of copies. Returns the number of wakes.
fn want(replica: &Replica, count: usize) -> Arc<AtomicUsize> {
    let wakes = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&wakes);
    let _ = replica.want_acks(count, move || {
        told.fetch_add(1, SeqCst);
    });
    wakes
}

#[test]
fn who_does_not_ask_is_sent_no_acknowledgements() {
    let mut net = Net::pair();
    net.settle();
    (0..100).for_each(|client| _ = net.report(0, &format!("c{client}"), 0));
    net.settle();
    assert_eq!((net.replicas[1].len(), net.wanted, net.acks), (100, 0, 0));
    assert!(net.replicas[0].copies().is_empty());
    assert_eq!(net.replicas[0].covered_by(link(1), 0), 0);
}

#[test]
fn an_update_has_a_copy_when_the_neighbor_covers_it_and_not_before() {
    let mut net = Net::pair();
    let wakes = want(&net.replicas[0], 1);
    net.settle();
    assert_eq!((net.wanted, net.acks, wakes.load(SeqCst)), (SHARDS, 0, 0));
    let (shard, position) = net.report(0, "kiwi", 0);
    assert_eq!((position, net.replicas[0].covered_by(link(1), shard)), (1, 0));
    assert!(net.carry(0, 1), "the record and its marker");
    assert_eq!((net.replicas[1].len(), net.replicas[0].copies().own_of(shard)), (1, 0));
    assert!(net.replicas[1].is_ready(link(0)), "the acknowledgement need not wait for other news");
    assert!(net.carry(1, 0), "the acknowledgement");
    assert_eq!((net.replicas[0].covered_by(link(1), shard), net.acks), (1, 1));
    assert!(net.has_copies(0));
    assert_eq!(wakes.load(SeqCst), 1);
    net.settle();
    assert_eq!((net.acks, wakes.load(SeqCst)), (1, 1), "nothing is acknowledged twice");
}

#[test]
fn many_updates_are_acknowledged_by_one_frame_of_each_shard_and_wake_once() {
    let mut net = Net::pair();
    let wakes = want(&net.replicas[0], 1);
    net.settle();
    (0..1000).for_each(|client| _ = net.report(0, &format!("c{client}"), 0));
    net.settle();
    assert!(net.has_copies(0));
    assert_eq!(net.replicas[1].len(), 1000);
    assert!((1..=SHARDS).contains(&net.acks), "{} frames", net.acks);
    assert!((1..=4).contains(&wakes.load(SeqCst)), "{} wakes", wakes.load(SeqCst));
}

#[test]
fn who_asks_later_is_acknowledged_what_is_covered_already() {
    let mut net = Net::pair();
    net.settle();
    (0..50).for_each(|client| _ = net.report(0, &format!("c{client}"), 0));
    net.settle();
    let wakes = want(&net.replicas[0], 1);
    net.settle();
    assert!(net.has_copies(0) && wakes.load(SeqCst) > 0);
    let other = want(&net.replicas[0], 1);
    assert_eq!(other.load(SeqCst), 0, "only the first wish counts");
}

#[test]
fn a_neighbor_on_a_lazy_link_acknowledges_what_other_links_have_brought() {
    let mut net = Net::new(["Riley", "Jaquez", "Juzang"].map(replica).into());
    for (one, other) in [(0, 1), (1, 2), (0, 2)] {
        net.link(one, other, true);
    }
    net.settle();
    let lazy: Vec<_> = [(0, 1), (1, 2), (0, 2)]
        .into_iter()
        .filter(|&(one, other)| !net.replicas[one].is_eager(link(other)))
        .collect();
    assert_eq!(lazy.len(), 1, "a tree of three servers leaves out one link");
    let (asks, _) = lazy[0];
    let wakes = want(&net.replicas[asks], 2);
    net.settle();
    let (shard, _) = net.report(asks, "kiwi", 0);
    net.settle();
    assert_eq!(net.replicas.iter().map(Replica::len).collect::<Vec<_>>(), [1; 3]);
    assert_eq!(net.replicas[asks].covered_by(link(lazy[0].1), shard), 1, "without a heartbeat");
    assert!(net.has_copies(asks));
    assert_eq!(wakes.load(SeqCst), 1, "one neighbor was not enough");
}

#[test]
fn two_copies_exist_of_what_the_slower_neighbor_covers() {
    let mut net = Net::new(["Riley", "Jaquez", "Juzang"].map(replica).into());
    net.link(0, 1, false);
    net.link(0, 2, false);
    let wakes = want(&net.replicas[0], 2);
    net.settle();
    let (shard, first) = net.report(0, "kiwi", 0);
    net.settle();
    assert_eq!(wakes.load(SeqCst), 1);
    let (_, second) = net.report(0, "kiwi", 1);
    while net.carry(0, 1) | net.carry(1, 0) {}
    assert_eq!(net.replicas[0].covered_by(link(1), shard), second);
    assert_eq!((net.replicas[0].copies().own_of(shard), wakes.load(SeqCst)), (first, 1));
    while net.carry(0, 2) | net.carry(2, 0) {}
    assert_eq!((net.replicas[0].copies().own_of(shard), wakes.load(SeqCst)), (second, 2));
}

#[test]
fn a_neighbor_whose_link_is_down_is_no_copy_until_it_shows_what_it_still_holds() {
    let mut net = Net::pair();
    want(&net.replicas[0], 1);
    net.settle();
    let (shard, position) = net.report(0, "kiwi", 0);
    net.settle();
    assert_eq!(net.replicas[0].copies().own_of(shard), position);
    net.unlink(0, 1);
    assert_eq!((net.replicas[0].covered_by(link(1), shard), net.replicas[0].copies().own_of(shard)), (0, 0));
    net.link(0, 1, false);
    assert_eq!(net.replicas[0].copies().own_of(shard), 0);
    net.settle();
    assert_eq!(net.replicas[0].copies().own_of(shard), position);
    // A neighbor that comes back without its records is no copy before it has been sent them again.
    net.unlink(0, 1);
    net.replicas[1] = Replica::new(ReplicaSettings { me: origin("Jaquez", 2), ..settings("Jaquez") });
    net.link(0, 1, false);
    assert!(net.carry(1, 0));
    assert_eq!(net.replicas[0].copies().own_of(shard), 0);
    net.settle();
    assert_eq!((net.replicas[0].copies().own_of(shard), net.replicas[1].len()), (position, 1));
}

#[test]
fn a_neighbor_of_an_earlier_version_counts_only_by_what_its_vectors_show() {
    let mut net = Net::pair();
    net.earlier = vec![1];
    let wakes = want(&net.replicas[0], 1);
    net.settle();
    let (shard, position) = net.report(0, "kiwi", 0);
    net.settle();
    assert_eq!((net.replicas[1].len(), net.acks), (1, 0), "the link works as before");
    assert_eq!((net.replicas[0].copies().own_of(shard), wakes.load(SeqCst)), (0, 0));
    net.unlink(0, 1);
    net.link(0, 1, false);
    net.settle();
    assert_eq!((net.replicas[0].copies().own_of(shard), wakes.load(SeqCst)), (position, 1));
}

#[test]
fn the_last_update_is_acknowledged_though_anothers_record_has_replaced_it() {
    let mut net = Net::pair();
    want(&net.replicas[0], 1);
    net.settle();
    let (shard, position) = net.report(0, "kiwi", 0);
    // Before Riley has sent anything, the client has moved on, and Riley holds no record of its own.
    net.report(1, "kiwi", 1);
    assert!(net.carry(1, 0));
    let mut own = 0;
    net.replicas[0].for_each(|held| own += usize::from(held.origin.server.as_str() == "Riley"));
    assert_eq!(own, 0);
    net.settle();
    assert_eq!((net.replicas[0].copies().own_of(shard), position), (1, 1));
}

#[test]
fn a_neighbor_that_does_not_keep_a_record_does_not_acknowledge_it() {
    let mut net = Net::pair();
    // Jaquez's clock is so far behind that the report seems to come from the future.
    net.now_ns[1] = NOW_NS - 600 * SECOND_NS;
    want(&net.replicas[0], 1);
    net.settle();
    let (shard, _) = net.report(0, "kiwi", 0);
    net.settle();
    assert_eq!((net.replicas[1].len(), net.replicas[0].copies().own_of(shard)), (0, 0));
}

#[test]
fn a_neighbor_cannot_acknowledge_what_was_never_issued() {
    let mut net = Net::pair();
    want(&net.replicas[0], 1);
    net.settle();
    let (shard, _) = net.report(0, "kiwi", 0);
    let lie = |ack: Ack| {
        let mut encoder = Encoder::default();
        encoder.ack(ack);
        let mut incoming = Incoming::new(link(1));
        incoming.receive(&net.replicas[0], NOW_NS, encoder.bytes(), &mut Wake::default()).unwrap();
        net.replicas[0].copies().own_of(shard)
    };
    let ack = Ack { shard: shard as u8, incarnation: 1, seq: 1 };
    assert_eq!(lie(Ack { seq: 2, ..ack }), 0);
    assert_eq!(lie(Ack { incarnation: 2, ..ack }), 0, "another life's updates are not this life's");
    assert_eq!(lie(ack), 1);
    let counts = net.replicas[0].nonsense(link(1));
    assert_eq!(counts.iter().sum::<u64>(), 1, "{counts:?}");
}

#[test]
fn what_an_earlier_life_took_has_copies_before_it_is_acknowledged_again() {
    let riley = Replica::new(ReplicaSettings { me: origin("Riley", 9), ..settings("Riley") });
    let kiwi = report(b"kiwi", NOW_NS);
    let shard = shard_index(b"kiwi");
    let earlier = origin("Riley", 1);
    let held = Update { record: record_of(&kiwi), origin: &earlier, seq: 4 };
    let _ = riley.restore(NOW_NS, shard, |restoring| _ = restoring.record(held));
    let _ = riley.restore_end(NOW_NS, NOW_NS);
    let mut net = Net::new(vec![riley, replica("Jaquez")]);
    want(&net.replicas[0], 1);
    for round in 1..=2 {
        let mut offers = [Offer::new(kiwi)];
        let _ = net.replicas[0].report_all(NOW_NS, &mut offers);
        assert_eq!(offers[0].outcome, Outcome::Stale);
        let position = offers[0].own_position().unwrap();
        assert_eq!((position.shard, position.seq), (shard, 1), "it is issued again once, in round {round}");
    }
    assert_eq!(net.replicas[0].contradiction(), None);
    assert_eq!(net.replicas[0].copies().own_of(shard), 0);
    net.link(0, 1, false);
    net.settle();
    assert_eq!((net.replicas[0].copies().own_of(shard), net.replicas[1].len()), (1, 1));
}

/// One shard of Riley's with a lazy link, which wants acknowledgements.
fn shard() -> Shard {
    let mut shard = Shard::new(ShardSettings {
        me: origin("Riley", 1),
        index: 3,
        seed: 1,
        client_ttl_ns: None,
        client_interval_ns: 0,
        report_rules: proxyherd_core::flood::ReportRules::default(),
        clock_offset_max_ns: 0,
        client_index: true,
        rules: Rules::default(),
    });
    assert!(shard.link_lazy(link(0)).is_empty());
    shard.begin_acks(link(0), &origin("Jaquez", 1).server);
    assert!(shard.want_acks().links().eq([link(0)]));
    shard
}

#[test]
fn under_a_new_incarnation_earlier_updates_have_copies_when_all_records_were_sent_again() {
    let mut shard = shard();
    let tell = |shard: &mut Shard, key: &[u8]| {
        let kind = proxyherd_core::types::Kind(200);
        shard.tell(NOW_NS, kind, key, 0, b"data").0
    };
    let asked = |shard: &mut Shard| {
        let mut encoder = Encoder::default();
        assert!(shard.flush(link(0), &mut encoder, usize::MAX));
        counted(encoder.bytes(), false).1
    };
    for key in [b"a", b"b", b"c"] {
        tell(&mut shard, key);
    }
    assert_eq!((asked(&mut shard), asked(&mut shard), shard.issued()), (1, 0, 3));
    shard.hear_ack(link(0), 1, 2);
    assert_eq!(shard.covered_by(link(0)), 2);
    assert!(shard.renew(5, Renewal::Continued).links().eq([link(0)]), "the neighbor is asked again");
    assert_eq!((asked(&mut shard), shard.issued()), (1, 6));
    // An acknowledgement that was under way says nothing about the new incarnation.
    shard.hear_ack(link(0), 1, 3);
    shard.hear_ack(link(0), 5, 2);
    assert_eq!(shard.covered_by(link(0)), 2, "one record is still on its way");
    shard.hear_ack(link(0), 5, 3);
    assert_eq!(shard.covered_by(link(0)), 6);
    tell(&mut shard, b"d");
    shard.hear_ack(link(0), 5, 4);
    assert_eq!((shard.covered_by(link(0)), shard.issued()), (7, 7));
}
