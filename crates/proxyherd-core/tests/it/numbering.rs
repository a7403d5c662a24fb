//! Links that have to name more origins than there are indices.

use proxyherd_core::{
    codec::link::{Encoder, Frame, GraftMode, decode, numbering::ANEW_VERSION},
    flood::Wake,
    limits::{LINK_BATCH_LEN, ORIGINS_NAMED_MAX, SHARDS},
    link::{HIGHEST, Incoming, LinkError},
    replica::{Replica, shard_index},
    types::Origin,
};

use crate::herd::{End, NOW_NS, empty_vectors, join_as, link, origin, record_of, replica, report, settle};

/// A member that invents incarnations and sends one server records of them, over that server's link 9.
struct Eve<'m> {
    replica: &'m Replica,
    encoder: Encoder,
    incoming: Incoming,
    lives: u64,
}

impl<'m> Eve<'m> {
    fn at(replica: &'m Replica, version: u16) -> Eve<'m> {
        let mut incoming = Incoming::new(link(9)).with_version(version);
        incoming.receive(replica, NOW_NS, empty_vectors().bytes(), &mut Wake::default()).unwrap();
        let mut encoder = Encoder::default();
        encoder.agree(version);
        Eve { replica, encoder, incoming, lives: 0 }
    }

    /// Sends a record of each client under a new incarnation, and that all of it is covered.
    fn invent(&mut self, clients: &[Vec<u8>]) {
        for client in clients {
            self.lives += 1;
            self.encoder.make_room(1);
            let index = self.encoder.index_of(&origin("Eve", self.lives)).unwrap();
            self.encoder.record(index, 1, &record_of(&report(client, NOW_NS + self.lives)));
            self.encoder.marker(shard_index(client) as u8, &[(index, 1)]);
            if self.encoder.len() > LINK_BATCH_LEN {
                self.send();
            }
        }
        self.send();
    }

    /// The link must not break.
    fn send(&mut self) {
        self.incoming.receive(self.replica, NOW_NS, self.encoder.bytes(), &mut Wake::default()).unwrap();
        self.encoder.clear();
    }
}

/// The first clients of each shard.
fn clients(of_each_shard: usize) -> Vec<Vec<u8>> {
    let mut room = [of_each_shard; SHARDS];
    let has_room = |client: &Vec<u8>| {
        let room = &mut room[shard_index(client)];
        let has_room = *room > 0;
        *room -= usize::from(has_room);
        has_room
    };
    (0..)
        .map(|number: u32| number.to_string().into_bytes())
        .filter(has_room)
        .take(of_each_shard * SHARDS)
        .collect()
}

/// What servers that have sent each other everything agree on.
#[derive(Debug, PartialEq)]
struct Agreed {
    /// For each key, the held update.
    held: Vec<(Vec<u8>, Origin, u64)>,
    /// In each shard, how far each origin is covered.
    covered: Vec<(usize, Origin, u64)>,
}

fn agreed(replica: &Replica) -> Agreed {
    let (mut held, mut covered) = (Vec::new(), Vec::new());
    replica.for_each(|one| held.push((one.record.key.to_vec(), one.origin.clone(), one.seq)));
    for shard in 0..SHARDS {
        replica.for_each_covered(shard, |origin, seq| covered.push((shard, origin.clone(), seq)));
    }
    held.sort();
    covered.sort();
    Agreed { held, covered }
}

fn settle_all<'m>(links: &mut [(End<'m>, End<'m>)]) {
    // What the last link has brought has to get back to the first server.
    for _ in 0..links.len() {
        links.iter_mut().for_each(|(one, other)| settle(one, other));
    }
}

#[test]
fn a_flood_of_invented_incarnations_takes_no_link_of_honest_servers_down() {
    const LIVES: u64 = 200_000;
    let [riley, jaquez, juzang] = ["Riley", "Jaquez", "Juzang"].map(replica);
    let joined = |one, other| join_as(NOW_NS, one, other, HIGHEST, ORIGINS_NAMED_MAX);
    let mut links =
        [joined((&riley, link(0)), (&jaquez, link(0))), joined((&jaquez, link(1)), (&juzang, link(0)))];
    let (mut eve, clients) = (Eve::at(&riley, HIGHEST), clients(60));
    let mut round = 0;
    while eve.lives <= LIVES {
        round += 1;
        eve.invent(&clients);
        for honest in [&riley, &jaquez, &juzang] {
            let client = format!("of-{}", honest.me().server);
            let _ = honest.report(NOW_NS, &report(client.as_bytes(), NOW_NS + round));
        }
        // A frame that names an origin wrongly ends a link, or makes the replicas differ.
        settle_all(&mut links);
    }
    for (to_farther, to_nearer) in &links {
        assert!(to_farther.encoder.numbering() >= LIVES / ORIGINS_NAMED_MAX as u64);
        assert!(!to_farther.encoder.is_exhausted() && !to_nearer.encoder.is_exhausted());
        assert_eq!(to_nearer.encoder.numbering(), 0, "nobody invents in this direction");
    }
    let expected = agreed(&riley);
    assert_eq!((expected.held.len(), expected.covered.len()), (clients.len() + 3, clients.len() + 3));
    assert_eq!(agreed(&jaquez), expected);
    assert_eq!(agreed(&juzang), expected);
    assert_eq!(riley.contradiction().or(jaquez.contradiction()).or(juzang.contradiction()), None);
}

#[test]
fn a_link_of_the_version_before_is_exhausted_by_such_a_flood_and_no_other_link_is() {
    let [riley, jaquez, juzang] = ["Riley", "Jaquez", "Juzang"].map(replica);
    let joined = |place, other, version| {
        join_as(NOW_NS, (&riley, link(place)), (other, link(0)), version, ORIGINS_NAMED_MAX)
    };
    let (mut old, mut new) = (joined(0, &jaquez, ANEW_VERSION - 1), joined(1, &juzang, ANEW_VERSION));
    let (mut eve, clients) = (Eve::at(&riley, ANEW_VERSION), clients(60));
    while !old.0.encoder.is_exhausted() {
        assert!(eve.lives < 70_000, "there are no more indices than 65,535");
        settle(&mut new.0, &mut new.1);
        settle(&mut old.0, &mut old.1);
        eve.invent(&clients);
        old.0.flush();
    }
    assert!(eve.lives > 65_535);
    settle(&mut new.0, &mut new.1);
    assert_eq!(agreed(&juzang), agreed(&riley));
    // It starts again, and is sent everything.
    let _ = riley.link_down(link(0));
    let _ = jaquez.link_down(link(0));
    let mut old = joined(0, &jaquez, ANEW_VERSION - 1);
    settle(&mut old.0, &mut old.1);
    assert_eq!(agreed(&jaquez).held, agreed(&riley).held);
}

#[test]
fn what_is_covered_of_more_origins_than_a_link_can_name_at_once_is_told_frame_by_frame() {
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    let (mut eve, clients) = (Eve::at(&riley, HIGHEST), clients(20));
    eve.invent(&clients);
    let (mut to_jaquez, mut to_riley) = join_as(NOW_NS, (&riley, link(0)), (&jaquez, link(0)), HIGHEST, 3);
    settle(&mut to_jaquez, &mut to_riley);
    assert_eq!(agreed(&jaquez), agreed(&riley));
    assert_eq!(agreed(&jaquez).covered.len(), clients.len());
    assert!(to_jaquez.encoder.numbering() > clients.len() as u64 / 3);
}

#[test]
fn a_stream_that_numbers_anew_means_the_same_wherever_it_is_cut() {
    let riley = replica("Riley");
    Eve::at(&riley, HIGHEST).invent(&clients(1)[..7]);
    let mut encoder = Encoder::default().with_origins_max(2);
    encoder.agree(HIGHEST);
    riley.write_vectors(&mut encoder);
    let mut from_jaquez = Incoming::new(link(0)).with_version(HIGHEST);
    from_jaquez.receive(&riley, NOW_NS, empty_vectors().bytes(), &mut Wake::default()).unwrap();
    assert!(riley.flush(link(0), &mut encoder) && encoder.numbering() > 5);
    let bytes = encoder.bytes();
    let received = |cut: usize| {
        let replica = replica("Jaquez");
        let mut incoming = Incoming::new(link(0)).with_version(HIGHEST);
        let mut wake = Wake::default();
        let taken = incoming.receive(&replica, NOW_NS, &bytes[..cut], &mut wake).unwrap();
        let rest = incoming.receive(&replica, NOW_NS, &bytes[taken..], &mut wake).unwrap();
        assert_eq!(taken + rest, bytes.len());
        agreed(&replica)
    };
    let whole = received(bytes.len());
    assert_eq!((whole.held.len(), whole.covered.len()), (7, 7));
    for cut in 0..bytes.len() {
        assert_eq!(received(cut), whole, "cut at {cut}");
    }
}

/// ORIGIN frames that give these indices, each to another origin.
fn introductions(indices: impl IntoIterator<Item = u16>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (life, index) in (1..).zip(indices) {
        let mut encoder = Encoder::default();
        encoder.index_of(&origin("Eve", life)).unwrap();
        let start = bytes.len();
        bytes.extend_from_slice(encoder.bytes());
        bytes[start + 4..start + 6].copy_from_slice(&index.to_le_bytes());
        let (frame, _) = decode(&bytes[start..]).unwrap().unwrap();
        assert_eq!(frame, Frame::Origin { index, origin: origin("Eve", life) });
    }
    bytes
}

#[test]
fn an_index_out_of_turn_ends_the_link() {
    let replica = replica("Riley");
    let check = |version: u16, indices: &[u16], expected: Result<(), LinkError>| {
        let mut incoming = Incoming::new(link(9)).with_version(version);
        let told = introductions(indices.iter().copied());
        let received = incoming.receive(&replica, NOW_NS, &told, &mut Wake::default());
        assert_eq!(received.map(drop), expected, "version {version}: {indices:?}");
    };
    let out_of_turn = |index| Err(LinkError::IndexOutOfTurn(index));
    for version in 1..=HIGHEST {
        check(version, &[0, 1, 2], Ok(()));
        check(version, &[1], out_of_turn(1));
        check(version, &[0, 2], out_of_turn(2));
        check(version, &[0, 1, 2, 1], out_of_turn(1));
        check(version, &[0, 1, 2, 2], out_of_turn(2));
    }
    let again = [0, 1, 0, 1, 2, 0, 0, 1];
    (1..ANEW_VERSION).for_each(|version| check(version, &again, out_of_turn(0)));
    check(ANEW_VERSION, &again, Ok(()));
    check(ANEW_VERSION, &[0, 1, 2, 0, 2], out_of_turn(2));
    let many: Vec<_> = (0..=ORIGINS_NAMED_MAX as u16).collect();
    check(ANEW_VERSION, &many[..ORIGINS_NAMED_MAX], Ok(()));
    check(ANEW_VERSION, &many, out_of_turn(ORIGINS_NAMED_MAX as u16));
    check(ANEW_VERSION - 1, &many, Ok(()));
}

#[test]
fn an_index_from_before_the_numbering_began_anew_ends_the_link() {
    let replica = replica("Riley");
    let told = |indices: &[u16], tell: &dyn Fn(&mut Encoder)| {
        let mut incoming = Incoming::new(link(9)).with_version(HIGHEST);
        let mut encoder = Encoder::default();
        tell(&mut encoder);
        let bytes = [introductions(indices.iter().copied()), encoder.bytes().to_vec()].concat();
        incoming.receive(&replica, NOW_NS, &bytes, &mut Wake::default()).map(drop)
    };
    let tellings: [&dyn Fn(&mut Encoder); 5] = [
        &|encoder| encoder.record(2, 1, &record_of(&report(b"kiwi", NOW_NS))),
        &|encoder| encoder.marker(0, &[(0, 1), (2, 1)]),
        &|encoder| encoder.vector(0, &[(0, 1), (2, 1)]),
        &|encoder| encoder.ihave(0, &[(0, 1), (2, 1)]),
        &|encoder| encoder.graft(0, &[(0, 1), (2, 1)], GraftMode::Once),
    ];
    for tell in tellings {
        assert_eq!(told(&[0, 1, 2], tell), Ok(()));
        assert_eq!(told(&[0, 1, 2, 0, 1], tell), Err(LinkError::UnknownOrigin(2)));
    }
}
