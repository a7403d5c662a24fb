//! What a bad member or a bad clock can do to its neighbors: nothing that lasts.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proxyherd_core::{
    codec::link::{Encoder, Frame, GraftMode, decode},
    command::Outcome,
    flood::{Broken, LinkId, Nonsense, Rules, Wake},
    limits::{
        ABSENCE_NS, CLOCK_TRUST_LOOKS, INCARNATIONS_MAX, LIE_TOMBSTONE_NS, LIES_ANSWERED_MAX,
        LOOKS_PER_HEARTBEAT, RENEWAL_INTERVAL_NS, REUNION_NS, SHARDS, TOMBSTONE_TTL_NS,
    },
    link::Incoming,
    replica::{Agreed, Replica, ReplicaSettings, shard_index},
    types::{Body, ClientId, Coordinates, Difference, Origin, Record, Timestamp},
};

use crate::herd::{
    End, NOW_NS, SECOND_NS, Seen, content, empty_vectors, join, link, origin, record_of, replica, report,
    settings, settle, timestamp_of,
};

/// A member that sends one server anything, over that server's link 9.
struct Eve<'m> {
    replica: &'m Replica,
    encoder: Encoder,
    incoming: Incoming,
}

const EVES: usize = 9;

impl<'m> Eve<'m> {
    fn at(replica: &'m Replica) -> Eve<'m> {
        let mut incoming = Incoming::new(link(EVES));
        incoming.receive(replica, NOW_NS, empty_vectors().bytes(), &mut Wake::default()).unwrap();
        Eve { replica, encoder: Encoder::default(), incoming }
    }

    /// Sends a record that claims to have been received when it was made.
    fn tell(&mut self, origin: &Origin, seq: u64, client: &[u8], timestamp_ns: u64) {
        let report = report(client, timestamp_ns);
        let place = Coordinates::parse(b"-66.6-66.6").unwrap();
        let record = record_of(&report);
        let Body::Location { attributes, .. } = record.body else { panic!("{record:?}") };
        let record = Record { body: Body::Location { coordinates: place, attributes }, ..record };
        self.tell_record(origin, seq, &record);
    }

    fn tell_record(&mut self, origin: &Origin, seq: u64, record: &Record<'_>) {
        let index = self.encoder.index_of(origin).unwrap();
        self.encoder.record(index, seq, record);
        self.send(NOW_NS);
    }

    fn cover(&mut self, origin: &Origin, shard: usize, seq: u64) {
        let index = self.encoder.index_of(origin).unwrap();
        self.encoder.marker(shard as u8, &[(index, seq)]);
        self.send(NOW_NS);
    }

    /// The link must not break.
    fn send(&mut self, now_ns: u64) {
        self.incoming.receive(self.replica, now_ns, self.encoder.bytes(), &mut Wake::default()).unwrap();
        self.encoder.clear();
    }
}

fn is_false(seen: &Seen) -> bool {
    seen.place.contains("66.6")
}

fn of_client(replica: &Replica, client: &[u8]) -> Seen {
    content(replica).into_iter().find(|seen| seen.key == client).unwrap()
}

fn nonsense(replica: &Replica, link: LinkId, what: Nonsense) -> u64 {
    replica.nonsense(link)[what.index()]
}

/// The origins of which a replica covers anything.
fn covered(replica: &Replica) -> Vec<Origin> {
    let mut origins = Vec::new();
    for shard in 0..SHARDS {
        replica.for_each_covered(shard, |origin, _| origins.push(origin.clone()));
    }
    origins.sort();
    origins.dedup();
    origins
}

/// The first clients of one shard.
fn clients_of_shard_0(count: usize) -> Vec<Vec<u8>> {
    let clients = (0..).map(|number: u32| number.to_string().into_bytes());
    clients.filter(|client| shard_index(client) == 0).take(count).collect()
}

/// Lets both servers look, and moves what follows from it.
fn mend<'m>(now_ns: u64, a: &mut End<'m>, b: &mut End<'m>) {
    for end in [&mut *a, &mut *b] {
        end.now_ns = now_ns;
        let _ = end.replica.mend(now_ns);
    }
    settle(a, b);
}

/// One heartbeat in each direction, and what follows from it.
fn beat<'m>(now_ns: u64, a: &mut End<'m>, b: &mut End<'m>) {
    for end in [&mut *a, &mut *b] {
        end.now_ns = now_ns;
        end.replica.write_heartbeat(end.link, now_ns, &mut end.encoder);
    }
    settle(a, b);
}

#[test]
fn what_a_server_never_said_is_contradicted_everywhere_and_nothing_that_it_said_is_lost() {
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    for client in ["fast", "slow"] {
        let _ = riley.report(NOW_NS, &report(client.as_bytes(), NOW_NS - SECOND_NS));
    }
    settle(&mut to_jaquez, &mut to_riley);
    let honest = content(&riley);
    let (before, mut eve) = (riley.origin(), Eve::at(&jaquez));
    eve.tell(&before, u64::MAX, b"nobody", NOW_NS);
    eve.tell(&before, 1, b"fast", NOW_NS + SECOND_NS);
    eve.cover(&before, shard_index(b"slow"), u64::MAX);
    assert!(content(&jaquez).iter().any(is_false), "Jaquez cannot know better");
    settle(&mut to_jaquez, &mut to_riley);
    mend(NOW_NS, &mut to_jaquez, &mut to_riley);

    assert_eq!(content(&riley), content(&jaquez));
    assert!(!content(&riley).iter().any(is_false));
    assert!(of_client(&jaquez, b"nobody").place.is_empty());
    let [fast, slow] = [b"fast", b"slow"].map(|client| of_client(&jaquez, client));
    assert_eq!(slow, honest[1]);
    assert_eq!(
        (&fast.place, &fast.attributes, &fast.server),
        (&honest[0].place, &honest[0].attributes, &honest[0].server)
    );
    // The answer wins over the lie by as little as possible, and expires when the true record would have.
    assert_eq!(
        (fast.timestamp.nanos(), fast.received_ns()),
        (NOW_NS + SECOND_NS + 1, honest[0].received_ns())
    );
    assert_eq!(nonsense(&riley, link(0), Nonsense::OwnRecord), 2);
    assert_eq!(nonsense(&riley, link(0), Nonsense::OwnSequence), 1);
    assert_eq!(jaquez.nonsense(link(0)), [0; Nonsense::ALL.len()]);
    assert_eq!((riley.contradiction(), jaquez.contradiction()), (None, None));
    // Everything is issued under a new incarnation, and the old one is forgotten.
    assert!(riley.origin().incarnation > before.incarnation);
    assert_eq!((covered(&riley), covered(&jaquez)), (vec![riley.origin()], vec![riley.origin()]));
}

#[test]
fn a_lie_that_claims_to_have_come_when_the_truth_had_expired_does_not_make_it_older() {
    let ttl_ns = 100 * SECOND_NS;
    let expiring =
        |server: &str| Replica::new(ReplicaSettings { client_ttl_ns: Some(ttl_ns), ..settings(server) });
    let (riley, jaquez) = (expiring("Riley"), expiring("Jaquez"));
    let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    let sent = report(b"kiwi", NOW_NS - 50 * SECOND_NS);
    let _ = riley.report(timestamp_of(&sent).nanos(), &sent);
    settle(&mut to_jaquez, &mut to_riley);
    let mut eve = Eve::at(&jaquez);
    let old = report(b"kiwi", NOW_NS - 1000 * SECOND_NS);
    let difference = Difference::at_receipt(NOW_NS + 55 * SECOND_NS, timestamp_of(&old));
    eve.tell_record(&riley.origin(), 1, &Record { body: lying(&old), difference, ..record_of(&old) });
    assert!(is_false(&of_client(&jaquez, b"kiwi")));
    settle(&mut to_jaquez, &mut to_riley);
    assert_eq!(content(&riley), content(&jaquez));
    let told = of_client(&jaquez, b"kiwi");
    assert!(!is_false(&told));
    assert_eq!((told.timestamp, told.received_ns()), (timestamp_of(&sent), NOW_NS + 55 * SECOND_NS));
}

#[test]
fn what_is_said_to_be_covered_and_is_not_is_sent_when_the_link_is_back() {
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    let _ = riley.report(NOW_NS, &report(b"kiwi", NOW_NS));
    settle(&mut to_jaquez, &mut to_riley);
    Eve::at(&jaquez).cover(&riley.origin(), shard_index(b"kiwi"), u64::MAX);
    for end in [&riley, &jaquez] {
        let _ = end.link_down(link(0));
    }
    let _ = riley.report(NOW_NS, &report(b"kiwi", NOW_NS + 1));
    let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    settle(&mut to_jaquez, &mut to_riley);
    assert_eq!(content(&riley), content(&jaquez));
    mend(NOW_NS, &mut to_jaquez, &mut to_riley);
    assert_eq!(covered(&jaquez), [riley.origin()]);
}

#[test]
fn a_tombstone_that_is_about_to_expire_still_ends_a_lie_that_neighbors_hold() {
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    for replica in [&riley, &jaquez] {
        let agreed = Agreed { version: 2, has_tree: false };
        let _ = replica.agree(link(0), &replica.me().server, agreed, &mut Encoder::default());
    }
    // By their vectors both have everything that Juzang has issued: the lie was sent as the update that contradicted
    // it.
    let (juzang, client) = (origin("Juzang", 1), b"nobody");
    let (mut eve, mut honest) = (Eve::at(&jaquez), Eve::at(&riley));
    let received_ns = NOW_NS - TOMBSTONE_TTL_NS + LIE_TOMBSTONE_NS;
    eve.tell(&juzang, 1, client, received_ns);
    let timestamp = Timestamp::from_nanos(received_ns + 1).unwrap();
    let difference = Difference::at_receipt(received_ns, timestamp);
    let gone = Record { body: Body::Gone, timestamp, difference, ..record_of(&report(client, NOW_NS)) };
    honest.tell_record(&juzang, 1, &gone);
    eve.cover(&juzang, shard_index(client), 1);
    honest.cover(&juzang, shard_index(client), 1);
    let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    settle(&mut to_jaquez, &mut to_riley);
    assert!(content(&jaquez).iter().any(is_false));
    (0..30).for_each(|_| beat(NOW_NS, &mut to_jaquez, &mut to_riley));
    assert!(!content(&jaquez).iter().any(is_false));
    assert_eq!(content(&riley), content(&jaquez));
}

#[test]
fn a_promise_of_more_than_a_server_has_said_is_contradicted_and_not_waited_for() {
    let riley = replica("Riley");
    let agreed = Agreed { version: 2, has_tree: true };
    let _ = riley.agree(link(0), &origin("Eve", 1).server, agreed, &mut Encoder::default());
    let (mut incoming, mut encoder) = (Incoming::new(link(0)), Encoder::default());
    let index = encoder.index_of(&riley.origin()).unwrap();
    encoder.ihave(0, &[(index, 5)]);
    encoder.graft(1, &[(index, 5)], GraftMode::Once);
    incoming.receive(&riley, NOW_NS, encoder.bytes(), &mut Wake::default()).unwrap();
    assert_eq!(nonsense(&riley, link(0), Nonsense::OwnSequence), 2);
    let mut encoder = Encoder::default();
    for _ in 0..20 {
        riley.write_heartbeat(link(0), NOW_NS, &mut encoder);
    }
    let (mut bytes, mut grafts) = (encoder.bytes(), 0);
    while let Some((frame, len)) = decode(bytes).unwrap() {
        grafts += usize::from(matches!(frame, Frame::Graft { .. }));
        bytes = &bytes[len..];
    }
    assert_eq!(grafts, 0);
    let _ = riley.mend(NOW_NS);
    assert!(riley.origin().incarnation > 1);
}

#[test]
fn nonsense_in_a_question_that_had_to_wait_is_counted_for_the_neighbor_that_asked() {
    let riley = replica("Riley");
    let (mut incoming, mut encoder) = (Incoming::new(link(0)), Encoder::default());
    let index = encoder.index_of(&riley.origin()).unwrap();
    encoder.vector(1, &[]);
    for _ in 0..LOOKS_PER_HEARTBEAT {
        encoder.graft(1, &[], GraftMode::Onward);
    }
    encoder.graft(1, &[(index, 5)], GraftMode::Onward);
    incoming.receive(&riley, NOW_NS, encoder.bytes(), &mut Wake::default()).unwrap();
    assert_eq!(nonsense(&riley, link(0), Nonsense::OwnSequence), 0, "it waits for the next heartbeat");
    riley.write_heartbeat(link(0), NOW_NS, &mut Encoder::default());
    assert_eq!(nonsense(&riley, link(0), Nonsense::OwnSequence), 1);
}

#[test]
fn a_server_begins_anew_on_account_of_lies_at_most_once_a_minute() {
    let riley = replica("Riley");
    let mut eve = Eve::at(&riley);
    let mut last = riley.origin();
    let mut begun = 0;
    for second in 0..180 {
        eve.cover(&riley.origin(), 3, u64::MAX);
        let _ = riley.mend(NOW_NS + second * SECOND_NS);
        begun += u64::from(riley.origin() != last);
        last = riley.origin();
    }
    assert_eq!(begun, 180 * SECOND_NS / RENEWAL_INTERVAL_NS);
    // A lie that could not be answered at once is remembered.
    eve.cover(&riley.origin(), 3, u64::MAX);
    let _ = riley.mend(NOW_NS + 180 * SECOND_NS);
    assert_ne!(riley.origin(), last);
}

#[test]
fn only_so_many_lies_are_answered_between_two_looks_and_the_rest_when_they_come_again() {
    let riley = replica("Riley");
    let _ = riley.mend(NOW_NS);
    let mut eve = Eve::at(&riley);
    let clients = clients_of_shard_0(LIES_ANSWERED_MAX as usize + 9);
    for answered in [LIES_ANSWERED_MAX as u64, clients.len() as u64] {
        clients.iter().for_each(|client| eve.tell(&riley.origin(), 1, client, NOW_NS));
        assert_eq!(riley.len(), answered);
        let _ = riley.mend(NOW_NS + SECOND_NS);
    }
    assert_eq!(riley.contradiction(), None);
}

#[test]
fn what_answers_an_old_lie_is_soon_forgotten() {
    let riley = replica("Riley");
    let mut eve = Eve::at(&riley);
    eve.tell(&riley.origin(), 1, b"old", NOW_NS - 2 * TOMBSTONE_TTL_NS);
    let offset_ns = settings("Riley").clock_offset_max_ns;
    assert_eq!((riley.sweep(NOW_NS + LIE_TOMBSTONE_NS + offset_ns - 1, 100), riley.len()), (0, 1));
    assert_eq!((riley.sweep(NOW_NS + LIE_TOMBSTONE_NS + offset_ns, 100), riley.len()), (1, 0));
}

#[test]
fn what_is_told_of_an_earlier_life_is_believed() {
    let riley = replica("Riley");
    let mut eve = Eve::at(&riley);
    for earlier in [0, NOW_NS + SECOND_NS] {
        eve.tell(&origin("Riley", earlier), 7, format!("client-{earlier}").as_bytes(), NOW_NS);
    }
    assert_eq!((riley.len(), riley.nonsense(link(EVES))), (2, [0; Nonsense::ALL.len()]));
    let _ = riley.mend(NOW_NS);
    assert_eq!(riley.origin(), *riley.me());
}

#[test]
fn a_server_that_is_restored_from_a_snapshot_takes_back_what_it_has_said_since() {
    // What it issued before the snapshot and after it.
    let (before, jaquez) = (replica("Riley"), replica("Jaquez"));
    let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&before, link(0)), (&jaquez, link(0)));
    let _ = before.report(NOW_NS, &report(b"kiwi", NOW_NS));
    let riley = replica("Riley");
    let _ = riley.report(NOW_NS, &report(b"kiwi", NOW_NS));
    let _ = riley.mend(NOW_NS);
    for second in 1..20 {
        let _ = before.report(NOW_NS + second, &report(b"kiwi", NOW_NS + second * SECOND_NS));
        let _ = before.report(NOW_NS + second, &report(format!("c{second}").as_bytes(), NOW_NS));
    }
    settle(&mut to_jaquez, &mut to_riley);
    let said = content(&before);
    let _ = jaquez.link_down(link(0));

    let now_ns = NOW_NS + ABSENCE_NS + SECOND_NS;
    let (mut to_jaquez, mut to_riley) = join(now_ns, (&riley, link(0)), (&jaquez, link(0)));
    settle(&mut to_jaquez, &mut to_riley);
    mend(now_ns, &mut to_jaquez, &mut to_riley);
    assert_eq!(content(&jaquez), said);
    assert_ne!(riley.origin(), before.origin());
    // A link that comes up brings what it lacks, or a comparison does.
    for end in [&riley, &jaquez] {
        let _ = end.link_down(link(0));
    }
    let (mut to_jaquez, mut to_riley) = join(now_ns, (&riley, link(0)), (&jaquez, link(0)));
    settle(&mut to_jaquez, &mut to_riley);
    assert_eq!((content(&riley), content(&jaquez)), (said.clone(), said));
    assert_eq!((riley.contradiction(), jaquez.contradiction()), (None, None));
}

/// Riley as it is when it is restored from a snapshot, its neighbor Jaquez, and what Riley had issued before.
fn restored(snapshot_age_s: u64) -> (Replica, Replica, Vec<Seen>) {
    let (before, jaquez, riley) = (replica("Riley"), replica("Jaquez"), replica("Riley"));
    let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&before, link(0)), (&jaquez, link(0)));
    let _ = before.report(NOW_NS, &report(b"kiwi", NOW_NS));
    let agreed = Agreed { version: 2, has_tree: false };
    let _ = riley.agree(link(0), &jaquez.me().server, agreed, &mut Encoder::default());
    let _ = riley.link_down(link(0));
    let _ = riley.report(NOW_NS, &report(b"kiwi", NOW_NS));
    let _ = riley.mend(NOW_NS);
    for second in 1..=snapshot_age_s {
        let now_ns = NOW_NS + second * SECOND_NS;
        (to_jaquez.now_ns, to_riley.now_ns) = (now_ns, now_ns);
        let _ = before.report(now_ns, &report(b"kiwi", now_ns));
        let _ = before.report(now_ns, &report(format!("c{second}").as_bytes(), now_ns));
    }
    settle(&mut to_jaquez, &mut to_riley);
    let _ = jaquez.link_down(link(0));
    (riley, jaquez, content(&before))
}

/// A link comes up as it does in a server.
fn link_up<'m>(
    now_ns: u64,
    (a, a_link): (&'m Replica, LinkId),
    (b, b_link): (&'m Replica, LinkId),
) -> (End<'m>, End<'m>) {
    let agreed = Agreed { version: 2, has_tree: false };
    for (end, link, other) in [(a, a_link, b), (b, b_link, a)] {
        let _ = end.trust_clock(link, now_ns);
        let _ = end.agree(link, &other.me().server, agreed, &mut Encoder::default());
    }
    join(now_ns, (a, a_link), (b, b_link))
}

fn assert_all_is_said(now_ns: u64, riley: &Replica, jaquez: &Replica, said: &[Seen]) {
    for end in [riley, jaquez] {
        let _ = end.link_down(link(0));
    }
    let (mut to_jaquez, mut to_riley) = join(now_ns, (riley, link(0)), (jaquez, link(0)));
    settle(&mut to_jaquez, &mut to_riley);
    assert_eq!((content(riley), content(jaquez)), (said.to_vec(), said.to_vec()));
    assert_eq!((riley.contradiction(), jaquez.contradiction()), (None, None));
}

#[test]
fn a_server_that_is_restored_from_a_young_snapshot_loses_nothing_that_it_has_said_since() {
    for age_s in [1, 5, 10, 29] {
        let (riley, jaquez, said) = restored(age_s);
        let now_ns = NOW_NS + age_s * SECOND_NS + 1;
        let before = riley.origin();
        let (mut to_jaquez, mut to_riley) = link_up(now_ns, (&riley, link(0)), (&jaquez, link(0)));
        settle(&mut to_jaquez, &mut to_riley);
        mend(now_ns, &mut to_jaquez, &mut to_riley);
        assert_ne!(riley.origin(), before, "it begins a new incarnation");
        assert_eq!(riley.nonsense(link(0)), [0; Nonsense::ALL.len()]);
        assert_all_is_said(now_ns, &riley, &jaquez, &said);
    }
}

#[test]
fn the_second_neighbor_may_be_the_one_that_knows_what_a_restored_server_has_said() {
    let (riley, jaquez, said) = restored(10);
    let juzang = replica("Juzang");
    let now_ns = NOW_NS + 10 * SECOND_NS + 1;
    let (mut to_juzang, mut from_juzang) = link_up(now_ns, (&riley, link(1)), (&juzang, link(0)));
    settle(&mut to_juzang, &mut from_juzang);
    let now_ns = now_ns + 4 * SECOND_NS;
    mend(now_ns, &mut to_juzang, &mut from_juzang);
    let (mut to_jaquez, mut to_riley) = link_up(now_ns, (&riley, link(0)), (&jaquez, link(0)));
    settle(&mut to_jaquez, &mut to_riley);
    mend(now_ns, &mut to_jaquez, &mut to_riley);
    settle(&mut to_juzang, &mut from_juzang);
    assert_all_is_said(now_ns, &riley, &jaquez, &said);
    assert_eq!(content(&juzang), said);
}

#[test]
fn what_a_neighbor_claims_while_another_link_has_long_been_up_is_a_lie() {
    let riley = replica("Riley");
    let agreed = Agreed { version: 2, has_tree: false };
    let _ = riley.trust_clock(link(0), NOW_NS);
    let _ = riley.agree(link(0), &origin("Jaquez", 1).server, agreed, &mut Encoder::default());
    let now_ns = NOW_NS + REUNION_NS + 1;
    let _ = riley.mend(now_ns);
    let _ = riley.trust_clock(link(EVES), now_ns);
    let _ = riley.agree(link(EVES), &origin("Eve", 1).server, agreed, &mut Encoder::default());
    let mut eve = Eve::at(&riley);
    eve.cover(&riley.origin(), shard_index(b"kiwi"), 100);
    eve.tell(&riley.origin(), 7, b"kiwi", NOW_NS);
    assert_eq!(nonsense(&riley, link(EVES), Nonsense::OwnSequence), 1);
    assert_eq!(nonsense(&riley, link(EVES), Nonsense::OwnRecord), 1);
    assert!(!content(&riley).iter().any(is_false));
}

#[test]
fn what_is_claimed_of_a_server_that_has_just_started_is_a_lie() {
    let riley = replica("Riley");
    let _ = riley.trust_clock(link(EVES), NOW_NS);
    let agreed = Agreed { version: 2, has_tree: false };
    let _ = riley.agree(link(EVES), &origin("Eve", 1).server, agreed, &mut Encoder::default());
    let mut eve = Eve::at(&riley);
    eve.cover(&riley.origin(), shard_index(b"kiwi"), 100);
    eve.tell(&riley.origin(), 7, b"kiwi", NOW_NS);
    assert!(!content(&riley).iter().any(is_false));
}

#[test]
fn a_liar_that_links_again_and_again_is_answered_no_more_often() {
    let riley = replica("Riley");
    let _ = riley.mend(NOW_NS);
    let agreed = Agreed { version: 2, has_tree: false };
    let _ = riley.agree(link(0), &origin("Jaquez", 1).server, agreed, &mut Encoder::default());
    let clients = clients_of_shard_0(3 * LIES_ANSWERED_MAX as usize);
    for some in clients.chunks(LIES_ANSWERED_MAX as usize) {
        let _ = riley.link_down(link(EVES));
        let _ = riley.trust_clock(link(EVES), NOW_NS);
        let mut eve = Eve::at(&riley);
        some.iter().for_each(|client| eve.tell(&riley.origin(), 0, client, NOW_NS));
        assert_eq!(riley.len(), u64::from(LIES_ANSWERED_MAX));
    }
}

#[test]
fn a_clock_is_right_when_more_neighbors_agree_with_it_than_do_not() {
    let ahead_ns = NOW_NS + TEN_YEARS_NS;
    let riley = Replica::new(ReplicaSettings { me: origin("Riley", ahead_ns), ..settings("Riley") });
    let _ = riley.report(ahead_ns, &report(b"kiwi", ahead_ns));
    let _ = riley.mend(ahead_ns);
    let _ = riley.mend(NOW_NS);
    [3, 4].into_iter().for_each(|off| riley.note_refused_clock(link(off), -(TEN_YEARS_NS as i64)));
    let agreed = Agreed { version: 2, has_tree: false };
    let is_put_right = || of_client(&riley, b"kiwi").received_ns() == NOW_NS;
    for at in 0..3 {
        assert!(!is_put_right(), "{at} agree, and two do not");
        let _ = riley.trust_clock(link(at), NOW_NS);
        let _ = riley.agree(link(at), &origin("Jaquez", 1).server, agreed, &mut Encoder::default());
    }
    assert!(is_put_right());
}

#[test]
fn neighbors_that_differed_from_a_clock_that_was_wrong_are_heard_anew_when_it_is_put_back() {
    let ahead_ns = NOW_NS + TEN_YEARS_NS;
    let riley = Replica::new(ReplicaSettings { me: origin("Riley", ahead_ns), ..settings("Riley") });
    let _ = riley.report(ahead_ns, &report(b"kiwi", ahead_ns));
    let _ = riley.mend(ahead_ns);
    [0, 3, 4].into_iter().for_each(|off| riley.note_refused_clock(link(off), -(TEN_YEARS_NS as i64)));
    let _ = riley.mend(NOW_NS);
    let _ = riley.trust_clock(link(0), NOW_NS);
    assert_eq!(of_client(&riley, b"kiwi").received_ns(), NOW_NS);
}

#[test]
fn what_is_given_up_between_two_looks_is_asked_for_at_once_and_with_the_next_look() {
    let riley = replica("Riley");
    let agreed = Agreed { version: 2, has_tree: true };
    let _ = riley.agree(link(0), &origin("Jaquez", 1).server, agreed, &mut Encoder::default());
    let far_ns = NOW_NS + TEN_YEARS_NS;
    let clients = clients_of_shard_0(3);
    for client in &clients {
        let _ = riley.report(far_ns, &report(client, far_ns));
    }
    let asks = || {
        let mut encoder = Encoder::default();
        riley.write_heartbeat(link(0), NOW_NS, &mut encoder);
        let (mut bytes, mut asks) = (encoder.bytes(), 0);
        while let Some((frame, len)) = decode(bytes).unwrap() {
            asks += usize::from(matches!(frame, Frame::Graft { .. }));
            bytes = &bytes[len..];
        }
        asks
    };
    for (client, expected) in clients.iter().zip([1, 0, 0]) {
        assert_eq!(riley.report(NOW_NS, &report(client, NOW_NS)).0, Outcome::Moved);
        assert_eq!(asks(), expected);
    }
    for expected in [1, 0] {
        let _ = riley.mend(NOW_NS);
        assert_eq!(asks(), expected);
    }
}

#[test]
fn nobody_merges_what_was_received_or_began_further_in_the_future_than_clocks_may_differ() {
    let (riley, mut told) = (replica("Riley"), 0);
    let mut eve = Eve::at(&riley);
    let offset_ns = settings("Riley").clock_offset_max_ns;
    for (ahead_ns, is_merged) in [(offset_ns, true), (offset_ns + 1, false), (u64::MAX / 4, false)] {
        let at_ns = NOW_NS + ahead_ns;
        eve.tell(
            &origin("Eve", 1),
            1,
            format!("receipt-{ahead_ns}").as_bytes(),
            at_ns.min(9_999_999_999 * SECOND_NS),
        );
        eve.tell(&origin("Eve", at_ns), 1, format!("life-{ahead_ns}").as_bytes(), NOW_NS);
        told += if is_merged { 2 } else { 0 };
        assert_eq!(riley.len(), told, "{ahead_ns} ns ahead");
    }
    assert_eq!(nonsense(&riley, link(EVES), Nonsense::Receipt), 2);
    assert_eq!(nonsense(&riley, link(EVES), Nonsense::Incarnation), 2);
}

#[test]
fn what_this_server_cannot_merge_yet_is_not_covered_until_it_is_merged() {
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    for replica in [&riley, &jaquez] {
        let agreed = Agreed { version: 2, has_tree: false };
        let _ = replica.agree(link(0), &replica.me().server, agreed, &mut Encoder::default());
    }
    let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    let ahead_ns = NOW_NS + settings("Riley").clock_offset_max_ns + SECOND_NS;
    let _ = riley.report(NOW_NS, &report(b"kiwi", NOW_NS));
    let _ = riley.report(ahead_ns, &report(b"kiwi", ahead_ns));
    settle(&mut to_jaquez, &mut to_riley);
    assert_eq!((jaquez.len(), covered(&jaquez)), (0, vec![]));
    let beats = |now_ns: u64, to_jaquez: &mut _, to_riley: &mut _| {
        for _ in 0..20 {
            beat(now_ns, to_jaquez, to_riley);
        }
    };
    beats(NOW_NS, &mut to_jaquez, &mut to_riley);
    assert_eq!((jaquez.len(), covered(&jaquez)), (0, vec![]));
    beats(NOW_NS + SECOND_NS, &mut to_jaquez, &mut to_riley);
    assert_eq!((content(&jaquez), covered(&jaquez)), (content(&riley), vec![riley.origin()]));
    assert_eq!(riley.root_mismatches() + jaquez.root_mismatches(), 0, "that is no alarm");
}

const TEN_YEARS_NS: u64 = 10 * 365 * 86_400 * SECOND_NS;

#[test]
fn what_a_server_took_while_its_clock_was_years_ahead_is_put_right_when_a_link_is_agreed() {
    let ahead_ns = NOW_NS + TEN_YEARS_NS;
    let riley = Replica::new(ReplicaSettings { me: origin("Riley", ahead_ns), ..settings("Riley") });
    let _ = riley.mend(ahead_ns);
    let sent = report(b"fast", ahead_ns);
    let _ = riley.report(ahead_ns, &sent);
    let _ = riley.report(ahead_ns, &report(b"slow", NOW_NS));
    // The clock is right again. Until now the link would have been refused.
    let _ = riley.mend(NOW_NS);
    let _ = riley.trust_clock(link(0), NOW_NS);
    let jaquez = replica("Jaquez");
    let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    settle(&mut to_jaquez, &mut to_riley);
    assert_eq!(content(&riley), content(&jaquez));
    let fast = of_client(&jaquez, b"fast");
    assert_eq!(
        (fast.timestamp, fast.received_ns()),
        (timestamp_of(&sent), NOW_NS),
        "the client's own words stay"
    );
    assert_eq!(jaquez.nonsense(link(0)), [0; Nonsense::ALL.len()]);
    assert_eq!(riley.origin().incarnation, NOW_NS);
    // The client's reports do not count for as long as its clock is ahead of the server's bound.
    let later_ns = NOW_NS + 6 * SECOND_NS;
    assert_eq!(jaquez.report(later_ns, &report(b"fast", later_ns)).0, Outcome::Moved);
    assert_eq!((riley.contradiction(), jaquez.contradiction()), (None, None));
}

#[test]
fn what_others_told_a_server_whose_clock_was_years_ahead_is_forgotten_when_it_is_right() {
    let riley = replica("Riley");
    let ahead_ns = NOW_NS + TEN_YEARS_NS;
    let mut encoder = Encoder::default();
    for (life, at_ns, client) in [(1, ahead_ns, b"far"), (ahead_ns, NOW_NS, b"new"), (1, NOW_NS, b"old")] {
        let index = encoder.index_of(&origin("Eve", life)).unwrap();
        encoder.record(index, 1, &record_of(&report(client, at_ns)));
    }
    let mut incoming = Incoming::new(link(EVES));
    incoming.receive(&riley, ahead_ns, encoder.bytes(), &mut Wake::default()).unwrap();
    assert_eq!(riley.len(), 3);
    let _ = riley.trust_clock(link(0), NOW_NS);
    assert_eq!(content(&riley).into_iter().map(|seen| seen.key).collect::<Vec<_>>(), [b"old"]);
    assert_eq!((riley.len(), riley.contradiction()), (1, None));
}

#[test]
fn a_clock_that_goes_back_is_believed_when_links_stay_up() {
    let riley = replica("Riley");
    let _ = riley.report(NOW_NS + TEN_YEARS_NS, &report(b"fast", NOW_NS + TEN_YEARS_NS));
    let _ = riley.mend(NOW_NS + TEN_YEARS_NS);
    let received_ns = |replica: &Replica| of_client(replica, b"fast").received_ns();
    let look = |from: u64| {
        (from..).take(CLOCK_TRUST_LOOKS as usize).for_each(|second| {
            let _ = riley.mend(NOW_NS + second * SECOND_NS);
        });
    };
    look(0);
    look(100);
    assert_eq!(received_ns(&riley), NOW_NS + TEN_YEARS_NS, "nobody has said which clock is right");
    let agreed = Agreed { version: 2, has_tree: true };
    let _ = riley.agree(link(0), &origin("Jaquez", 1).server, agreed, &mut Encoder::default());
    look(200);
    assert!(received_ns(&riley) < NOW_NS + 300 * SECOND_NS);
    // A clock that is put back by years for a moment does no harm.
    let _ = riley.mend(NOW_NS - TEN_YEARS_NS);
    let _ = riley.link_down(link(0));
    for second in 0..20 {
        let _ = riley.mend(NOW_NS - TEN_YEARS_NS + second * SECOND_NS);
    }
    assert!(received_ns(&riley) > NOW_NS);
    assert_eq!(riley.contradiction(), None);
}

#[test]
fn an_honest_report_wins_over_what_was_received_in_the_future() {
    let riley = replica("Riley");
    let far_ns = NOW_NS + TEN_YEARS_NS;
    for client in [b"kiwi", b"lime"] {
        let _ = riley.report(far_ns, &report(client, far_ns));
    }
    assert_eq!(riley.report(NOW_NS, &report(b"kiwi", NOW_NS)).0, Outcome::Moved);
    assert_eq!(riley.report(NOW_NS, &report(b"kiwi", NOW_NS - 1)).0, Outcome::Stale);
    assert!(riley.forget(NOW_NS, ClientId::new(b"lime").unwrap()).0);
    assert!(content(&riley).iter().all(|seen| seen.received_ns() == NOW_NS));
}

#[test]
fn what_a_server_has_expired_while_its_clock_was_ahead_is_no_lie() {
    let ttl_ns = 300 * SECOND_NS;
    let expiring =
        |server: &str| Replica::new(ReplicaSettings { client_ttl_ns: Some(ttl_ns), ..settings(server) });
    let (riley, jaquez) = (expiring("Riley"), expiring("Jaquez"));
    let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    let _ = riley.report(NOW_NS, &report(b"kiwi", NOW_NS));
    settle(&mut to_jaquez, &mut to_riley);
    let said = content(&jaquez);
    for end in [&riley, &jaquez] {
        let _ = end.link_down(link(0));
    }
    assert_eq!(riley.sweep(NOW_NS + TEN_YEARS_NS, 100), 1);
    let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    settle(&mut to_jaquez, &mut to_riley);
    mend(NOW_NS, &mut to_jaquez, &mut to_riley);
    assert_eq!((content(&riley), content(&jaquez)), (said.clone(), said));
    assert_eq!(riley.nonsense(link(0)), [0; Nonsense::ALL.len()]);
}

#[test]
fn what_has_expired_only_by_the_clock_of_a_server_is_passed_on_by_it_and_not_shown() {
    let ttl_ns = 10 * SECOND_NS;
    let expiring =
        |server: &str| Replica::new(ReplicaSettings { client_ttl_ns: Some(ttl_ns), ..settings(server) });
    let [leaf, hub, other] = ["Leaf", "Hub", "Other"].map(expiring);
    let (mut leaf_end, mut hub_end) = join(NOW_NS, (&leaf, link(0)), (&hub, link(0)));
    let (mut hub_to_other, mut other_end) = join(NOW_NS, (&hub, link(1)), (&other, link(0)));
    hub_end.now_ns = NOW_NS + 20 * SECOND_NS;
    let kiwi = ClientId::new(b"kiwi").unwrap();
    for ago in (0..5).rev() {
        let _ = leaf.report(NOW_NS, &report(b"kiwi", NOW_NS - ago));
        settle(&mut leaf_end, &mut hub_end);
        settle(&mut hub_to_other, &mut other_end);
        assert_eq!(content(&other), content(&leaf));
    }
    assert!(other.locate(NOW_NS, kiwi, |_| ()).is_some());
    assert!(hub.locate(NOW_NS + 20 * SECOND_NS, kiwi, |_| ()).is_none());
    assert_eq!(hub.sweep(NOW_NS + 20 * SECOND_NS, 100), 0);
    // It is swept when it has expired everywhere.
    let offset_ns = settings("Hub").clock_offset_max_ns;
    assert_eq!(hub.sweep(NOW_NS + ttl_ns + offset_ns - 1, 100), 0);
    assert_eq!(hub.sweep(NOW_NS + ttl_ns + offset_ns, 100), 1);
}

#[test]
fn a_flood_of_incarnations_has_an_end_and_the_next_life_of_an_honest_server_finds_room() {
    let (jaquez, juzang) = (replica("Jaquez"), replica("Juzang"));
    let (mut to_juzang, mut to_jaquez) = join(NOW_NS, (&jaquez, link(0)), (&juzang, link(0)));
    let names = ["Riley", "Jaquez", "Juzang"].map(|name| origin(name, 1).server);
    for replica in [&jaquez, &juzang] {
        replica.set_members(&names);
    }
    let clients = clients_of_shard_0(4 * INCARNATIONS_MAX);
    let mut eve = Eve::at(&jaquez);
    for (client, life) in clients.iter().zip(1..) {
        eve.tell(&origin("Riley", life), life, client, NOW_NS);
    }
    settle(&mut to_juzang, &mut to_jaquez);
    // Their records are kept under other incarnations of the server.
    assert_eq!((jaquez.len(), juzang.len()), (4 * INCARNATIONS_MAX as u64, 4 * INCARNATIONS_MAX as u64));
    assert_eq!((lives(&jaquez).len(), lives(&juzang).len()), (INCARNATIONS_MAX, INCARNATIONS_MAX));
    assert_eq!(nonsense(&jaquez, link(EVES), Nonsense::Origins), 3 * INCARNATIONS_MAX as u64);
    assert_eq!(content(&jaquez), content(&juzang));
    // A known record is not passed on, though it comes under an incarnation that finds no room.
    for (client, life) in clients.iter().zip(1..) {
        eve.tell(&origin("Riley", life), life, client, NOW_NS);
    }
    assert!(jaquez.flush(link(0), &mut Encoder::default()));
    assert!(!jaquez.is_ready(link(0)));
    mend(NOW_NS, &mut to_juzang, &mut to_jaquez);
    assert_eq!(lives(&jaquez).len(), INCARNATIONS_MAX / 2 + 1);
    let honest = origin("Riley", NOW_NS);
    eve.tell_record(&honest, 1, &record_of(&report(&clients[0], NOW_NS + 1)));
    settle(&mut to_juzang, &mut to_jaquez);
    assert_eq!(content(&jaquez), content(&juzang));
    assert!(lives(&juzang).contains(&honest));
    assert_eq!((jaquez.contradiction(), juzang.contradiction()), (None, None));
    // A neighbor that has nothing is sent all of it.
    let campbell = replica("Campbell");
    let (mut to_jaquez, mut to_campbell) = join(NOW_NS, (&campbell, link(0)), (&jaquez, link(1)));
    settle(&mut to_jaquez, &mut to_campbell);
    assert_eq!(content(&campbell), content(&jaquez));
}

/// The origins of what a replica holds.
fn lives(replica: &Replica) -> BTreeSet<Origin> {
    let mut lives = BTreeSet::new();
    replica.for_each(|held| {
        lives.insert(held.origin.clone());
    });
    lives
}

#[test]
fn each_mend_can_be_switched_off_to_show_what_it_is_for() {
    let broken =
        |broken| Replica::new(ReplicaSettings { rules: Rules { broken: Some(broken) }, ..settings("Riley") });
    let riley = broken(Broken::CloseOnLies);
    Eve::at(&riley).tell(&riley.origin(), 1, b"kiwi", NOW_NS);
    let _ = riley.mend(NOW_NS);
    assert_eq!((riley.len(), riley.origin()), (0, riley.me().clone()));
    let riley = broken(Broken::TrustReceipts);
    Eve::at(&riley).tell(&origin("Eve", 1), 1, b"kiwi", NOW_NS + TEN_YEARS_NS);
    assert_eq!(riley.len(), 1);
    let rules = Rules { broken: Some(Broken::CarryByOwnRule) };
    let riley = Replica::new(ReplicaSettings { rules, client_ttl_ns: Some(SECOND_NS), ..settings("Riley") });
    Eve::at(&riley).tell(&origin("Eve", 1), 1, b"kiwi", NOW_NS - SECOND_NS);
    assert_eq!(riley.len(), 0);
}

/// A lie about Riley, sent to Jaquez.
#[derive(Clone, Debug)]
enum Lie {
    /// A record of one of the clients or of nobody, this far ahead of now.
    Record { key: u8, seq: u64, ahead_ns: u64, is_gone: bool },
    /// How far Riley is covered.
    Marker { key: u8, seq: u64 },
}

#[derive(Clone, Debug)]
enum Step {
    Lie(Lie),
    Report(u8),
    Settle,
    Reconnect,
}

fn step() -> impl Strategy<Value = Step> {
    let seq = || prop_oneof![1u64..20, Just(u64::MAX), Just(u64::MAX - 1)];
    let record = (0u8..8, seq(), 0..3 * SECOND_NS, prop::bool::weighted(0.2));
    prop_oneof![
        4 => record.prop_map(|(key, seq, ahead_ns, is_gone)| Step::Lie(Lie::Record { key, seq, ahead_ns, is_gone })),
        2 => (0u8..8, seq()).prop_map(|(key, seq)| Step::Lie(Lie::Marker { key, seq })),
        4 => (0u8..4).prop_map(Step::Report),
        3 => Just(Step::Settle),
        1 => Just(Step::Reconnect),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_is_told_in_the_name_of_a_server_its_neighbors_come_to_hold_what_it_said(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
        for replica in [&riley, &jaquez] {
            let agreed = Agreed { version: 2, has_tree: false };
            let _ = replica.agree(link(0), &replica.me().server, agreed, &mut Encoder::default());
        }
        let mut ends = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
        let mut eve = Eve::at(&jaquez);
        let mut now_ns = NOW_NS;
        // The clients are a to d; nobody has ever heard of the others.
        for key in 0..4 {
            let _ = riley.report(now_ns, &report(&[b'a' + key], now_ns));
        }
        for step in &steps {
            now_ns += SECOND_NS;
            (ends.0.now_ns, ends.1.now_ns) = (now_ns, now_ns);
            match step {
                Step::Report(key) => drop(riley.report(now_ns, &report(&[b'a' + key], now_ns))),
                Step::Lie(Lie::Record { key, seq, ahead_ns, is_gone }) => {
                    let at = Timestamp::from_nanos(now_ns + ahead_ns).unwrap();
                    let key = [b'a' + key];
                    let told = report(&key, at.nanos());
                    let body = if *is_gone { Body::Gone } else { lying(&told) };
                    let difference = Difference::at_receipt(now_ns, at);
                    eve.tell_record(&riley.origin(), *seq, &Record { body, difference, ..record_of(&told) });
                }
                Step::Lie(Lie::Marker { key, seq }) => {
                    eve.cover(&riley.origin(), shard_index(&[b'a' + key]), *seq);
                }
                Step::Settle => settle(&mut ends.0, &mut ends.1),
                Step::Reconnect => {
                    let _ = riley.link_down(link(0)).and(jaquez.link_down(link(0)));
                    ends = join(now_ns, (&riley, link(0)), (&jaquez, link(0)));
                }
            }
            let _ = riley.mend(now_ns).and(jaquez.mend(now_ns));
            prop_assert_eq!(riley.contradiction(), None);
        }
        // Eve is gone. A minute later everything is issued again.
        for second in 0..=RENEWAL_INTERVAL_NS / SECOND_NS {
            settle(&mut ends.0, &mut ends.1);
            beat(now_ns + second * SECOND_NS, &mut ends.0, &mut ends.1);
            let _ = riley.mend(now_ns + second * SECOND_NS);
            settle(&mut ends.0, &mut ends.1);
        }
        prop_assert_eq!(content(&riley), content(&jaquez));
        prop_assert!(!content(&jaquez).iter().any(is_false));
        let there = content(&jaquez);
        prop_assert!(there.iter().all(|seen| seen.place.is_empty() == (seen.key[0] >= b'e')), "{:?}", there);
        prop_assert_eq!(there.iter().filter(|seen| !seen.place.is_empty()).count(), 4);
        prop_assert_eq!((riley.contradiction(), jaquez.contradiction()), (None, None));
        prop_assert_eq!(covered(&riley), covered(&jaquez));
    }
}

fn lying<'a>(told: &proxyherd_core::types::Report<'a>) -> Body<'a> {
    Body::Location { coordinates: Coordinates::parse(b"-66.6-66.6").unwrap(), attributes: told.attributes }
}
