//! Gaps: what a server refuses keeps its neighbor's markers from counting until the neighbor has sent it again. This
//! also holds if both ends have refused something, and if the link is never quiet.

use std::{collections::BTreeSet, sync::Arc};

use proxyherd_core::{
    codec::link::{Encoder, Frame, GraftMode, check::Check, decode},
    command::{Condition, Outcome},
    flood::{Broken, NewClients, Nonsense, Offered, Rules, Shard, ShardSettings, Spacing, Update, Wake},
    limits::{CHECK_MARGIN_NS, LOOKS_PER_HEARTBEAT, ORIGINS_NAMED_MAX, STRANGERS_MAX},
    link::{HIGHEST, Incoming},
    replica::{Agreed, Replica, ReplicaSettings, shard_index},
    types::{KeyHash, Origin},
};

use crate::herd::{
    End, NOW_NS, SECOND_NS, content, empty_vectors, join, join_as, link, origin, record_of, replica, report,
    settings, settle,
};

const TEN_YEARS_NS: u64 = 10 * 365 * 86_400 * SECOND_NS;
/// For how many heartbeats something is missing, and within how many after that a neighbor is asked again.
const SOON: u64 = 40;
const LATER: u64 = 120;

/// How many clients of the one shard in which these tests happen there are.
fn clients(prefix: &str, count: usize) -> Vec<Vec<u8>> {
    let clients = (0..).map(|number: u32| format!("{prefix}-{number}").into_bytes());
    clients.filter(|client| shard_index(client) == 0).take(count).collect()
}

/// How far an origin is covered.
fn covered(replica: &Replica, origin: &Origin) -> u64 {
    let mut found = 0;
    replica.for_each_covered(0, |one, covered| found = if one == origin { covered } else { found });
    found
}

fn joined<'m>(a: &'m Replica, b: &'m Replica) -> (End<'m>, End<'m>) {
    joined_as(a, b, HIGHEST)
}

fn joined_as<'m>(a: &'m Replica, b: &'m Replica, version: u16) -> (End<'m>, End<'m>) {
    for replica in [a, b] {
        let agreed = Agreed { version, has_tree: false };
        let _ = replica.agree(link(0), &replica.me().server, agreed, &mut Encoder::default());
    }
    let (mut a, mut b) = join_as(NOW_NS, (a, link(0)), (b, link(0)), version, ORIGINS_NAMED_MAX);
    settle(&mut a, &mut b);
    (a, b)
}

/// Heartbeats on a link that is never quiet: whenever one end learns what the other has received, something is on its
/// way.
struct Load {
    now_ns: u64,
    reports: u64,
}

impl Load {
    fn new() -> Load {
        Load { now_ns: NOW_NS, reports: 0 }
    }

    fn beat<'m>(&mut self, a: &mut End<'m>, b: &mut End<'m>) {
        self.now_ns += SECOND_NS / 5;
        for end in [&mut *a, &mut *b] {
            end.now_ns = self.now_ns;
            self.reports += 1;
            let busy = clients(end.replica.me().server.as_str(), 1);
            let (offered, _) = end.replica.report(self.now_ns, &report(&busy[0], self.now_ns + self.reports));
            assert!(offered.is_taken(), "{offered:?}");
            end.flush();
            end.replica.write_heartbeat(end.link, self.now_ns, &mut end.encoder);
        }
        let _ = a.take_from(b);
        let _ = b.take_from(a);
    }

    fn beats<'m>(&mut self, a: &mut End<'m>, b: &mut End<'m>, count: u64) {
        (0..count).for_each(|_| self.beat(a, b));
    }

    /// Each end covers everything that the other has taken, except what is on its way.
    fn assert_covered<'m>(&mut self, a: &mut End<'m>, b: &mut End<'m>) {
        self.beat(a, b);
        for (one, other) in [(&*a, &*b), (&*b, &*a)] {
            let origin = one.replica.origin();
            let (there, here) = (covered(other.replica, &origin), covered(one.replica, &origin));
            assert!(here > 2 && there + 2 >= here, "{origin:?} is covered up to {there} of {here}");
        }
    }

    fn assert_not_covered<'m>(&mut self, a: &mut End<'m>, b: &mut End<'m>) {
        let ends = |a: &End<'_>, b: &End<'_>| {
            (covered(a.replica, &b.replica.origin()), covered(b.replica, &a.replica.origin()))
        };
        let before = ends(a, b);
        self.beats(a, b, SOON);
        assert_eq!(ends(a, b), before, "markers do not count");
    }
}

fn mismatches(a: &Replica, b: &Replica) -> u64 {
    a.root_mismatches() + b.root_mismatches()
}

#[test]
fn what_both_ends_have_refused_and_given_up_since_no_longer_keeps_markers_from_counting_under_load() {
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    let (mut to_jaquez, mut to_riley) = joined(&riley, &jaquez);
    let (ours, theirs) = (clients("ours", 1), clients("theirs", 1));
    let far_ns = NOW_NS + TEN_YEARS_NS;
    let _ = riley.report(far_ns, &report(&ours[0], far_ns));
    let _ = jaquez.report(far_ns, &report(&theirs[0], far_ns));
    let mut load = Load::new();
    load.beats(&mut to_jaquez, &mut to_riley, 2);
    load.assert_not_covered(&mut to_jaquez, &mut to_riley);
    // The held record gives way to an honest report that does not win over it.
    for (replica, client) in [(&riley, &ours[0]), (&jaquez, &theirs[0])] {
        assert_eq!(replica.report(load.now_ns, &report(client, load.now_ns)).0, Outcome::Moved);
        // Both give up what they held, and begin new incarnations.
        let _ = replica.mend(load.now_ns);
    }
    load.beats(&mut to_jaquez, &mut to_riley, LATER);
    load.assert_covered(&mut to_jaquez, &mut to_riley);
    settle(&mut to_jaquez, &mut to_riley);
    assert_eq!(content(&riley), content(&jaquez));
    assert_eq!(mismatches(&riley, &jaquez), 0);
    assert_eq!((riley.contradiction(), jaquez.contradiction()), (None, None));
}

#[test]
fn what_can_be_merged_by_now_is_told_anew_under_load() {
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    let (mut to_jaquez, mut to_riley) = joined(&riley, &jaquez);
    let ahead_ns = NOW_NS + settings("Riley").clock_offset_max_ns + 20 * SECOND_NS;
    let (ours, theirs) = (clients("ours", 1), clients("theirs", 1));
    let _ = riley.report(ahead_ns, &report(&ours[0], ahead_ns));
    let _ = jaquez.report(ahead_ns, &report(&theirs[0], ahead_ns));
    let mut load = Load::new();
    load.beats(&mut to_jaquez, &mut to_riley, 2);
    load.assert_not_covered(&mut to_jaquez, &mut to_riley);
    load.now_ns += 20 * SECOND_NS;
    load.beats(&mut to_jaquez, &mut to_riley, LATER);
    load.assert_covered(&mut to_jaquez, &mut to_riley);
    settle(&mut to_jaquez, &mut to_riley);
    assert_eq!(content(&riley), content(&jaquez));
    assert_eq!(mismatches(&riley, &jaquez), 0);
}

/// A member fills the table of strangers.
fn fill_with_strangers(replica: &Replica, prefix: &str) {
    replica.set_members([&origin("Riley", 1).server, &origin("Jaquez", 1).server]);
    let (mut incoming, mut encoder) = (Incoming::new(link(9)), empty_vectors());
    let clients = clients(prefix, STRANGERS_MAX);
    let strangers = (0..).map(|number| format!("{prefix}-{number}"));
    for (stranger, client) in strangers.zip(&clients) {
        let index = encoder.index_of(&origin(&stranger, 1)).unwrap();
        encoder.record(index, 1, &record_of(&report(client, NOW_NS)));
    }
    incoming.receive(replica, NOW_NS, encoder.bytes(), &mut Wake::default()).unwrap();
    let _ = replica.link_down(link(9));
}

#[test]
fn what_found_no_room_at_either_end_and_has_been_overtaken_no_longer_keeps_markers_from_counting_under_load()
{
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    fill_with_strangers(&riley, "one");
    fill_with_strangers(&jaquez, "other");
    let (mut to_jaquez, mut to_riley) = joined(&riley, &jaquez);
    let mut load = Load::new();
    load.beats(&mut to_jaquez, &mut to_riley, 2);
    load.assert_not_covered(&mut to_jaquez, &mut to_riley);
    // Clients of either server report everything again that was refused.
    let all: Vec<_> =
        ["one", "other"].into_iter().flat_map(|prefix| clients(prefix, STRANGERS_MAX)).collect();
    for (client, replica) in all.iter().zip([&riley, &jaquez].into_iter().cycle()) {
        assert!(replica.report(load.now_ns, &report(client, load.now_ns)).0.is_taken());
    }
    load.beats(&mut to_jaquez, &mut to_riley, LATER);
    load.assert_covered(&mut to_jaquez, &mut to_riley);
    settle(&mut to_jaquez, &mut to_riley);
    assert_eq!(content(&riley), content(&jaquez));
    assert_eq!(mismatches(&riley, &jaquez), 0);
}

#[test]
fn what_was_refused_and_has_expired_everywhere_no_longer_keeps_markers_from_counting_under_load() {
    let expiring = |server: &str| {
        Replica::new(ReplicaSettings { client_ttl_ns: Some(300 * SECOND_NS), ..settings(server) })
    };
    let (riley, jaquez) = (expiring("Riley"), expiring("Jaquez"));
    fill_with_strangers(&riley, "one");
    fill_with_strangers(&jaquez, "other");
    let (mut to_jaquez, mut to_riley) = joined(&riley, &jaquez);
    let mut load = Load::new();
    load.beats(&mut to_jaquez, &mut to_riley, 2);
    load.assert_not_covered(&mut to_jaquez, &mut to_riley);
    load.now_ns += (300 + 60) * SECOND_NS;
    load.beats(&mut to_jaquez, &mut to_riley, LATER);
    load.assert_covered(&mut to_jaquez, &mut to_riley);
}

/// Heartbeats on a link that is quiet.
fn beats<'m>(to_jaquez: &mut End<'m>, to_riley: &mut End<'m>) {
    for _ in 0..SOON {
        for end in [&mut *to_jaquez, &mut *to_riley] {
            end.replica.write_heartbeat(end.link, NOW_NS, &mut end.encoder);
        }
        settle(to_jaquez, to_riley);
    }
}

#[test]
fn a_difference_on_a_link_whose_ends_had_refused_something_raises_the_alarm_again() {
    let riley = replica("Riley");
    let rules = Rules { broken: Some(Broken::LoseSome) };
    let jaquez = Replica::new(ReplicaSettings { rules, ..settings("Jaquez") });
    let (mut to_jaquez, mut to_riley) = joined(&riley, &jaquez);
    let (ours, theirs) = (clients("ours", 1), clients("theirs", 1));
    let far_ns = NOW_NS + TEN_YEARS_NS;
    let _ = riley.report(far_ns, &report(&ours[0], far_ns));
    let _ = jaquez.report(far_ns, &report(&theirs[0], far_ns));
    settle(&mut to_jaquez, &mut to_riley);
    for (replica, client) in [(&riley, &ours[0]), (&jaquez, &theirs[0])] {
        let _ = replica.report(NOW_NS, &report(client, NOW_NS));
    }
    beats(&mut to_jaquez, &mut to_riley);
    assert_eq!((mismatches(&riley, &jaquez), content(&riley)), (0, content(&jaquez)));
    // Jaquez loses one of these.
    for client in clients("many", 40) {
        let _ = riley.report(NOW_NS, &report(&client, NOW_NS));
    }
    settle(&mut to_jaquez, &mut to_riley);
    assert_ne!(content(&riley), content(&jaquez));
    beats(&mut to_jaquez, &mut to_riley);
    assert_eq!(content(&riley), content(&jaquez));
    assert!(mismatches(&riley, &jaquez) > 0);
}

#[test]
fn a_neighbor_that_answers_no_fences_is_believed_again_when_both_ends_hold_the_same() {
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    let (mut to_jaquez, mut to_riley) = joined_as(&riley, &jaquez, 2);
    let far_ns = NOW_NS + TEN_YEARS_NS;
    let [ours] = &clients("ours", 1)[..] else { panic!() };
    let _ = riley.report(far_ns, &report(ours, far_ns));
    settle(&mut to_jaquez, &mut to_riley);
    beats(&mut to_jaquez, &mut to_riley);
    assert_eq!((covered(&jaquez, &riley.origin()), jaquez.gaps()), (0, 1));
    let _ = riley.report(NOW_NS, &report(ours, NOW_NS));
    let _ = riley.mend(NOW_NS);
    beats(&mut to_jaquez, &mut to_riley);
    assert_eq!((jaquez.gaps(), riley.gaps(), mismatches(&riley, &jaquez)), (0, 0, 0));
    assert_eq!(content(&riley), content(&jaquez));
    assert_eq!(covered(&jaquez, &riley.origin()), covered(&riley, &riley.origin()));
    assert!(covered(&jaquez, &riley.origin()) > 0);
}

#[test]
fn a_server_that_has_given_up_what_it_held_is_told_all_again_under_load() {
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    let far_ns = NOW_NS + TEN_YEARS_NS;
    let lost = clients("lost", 1);
    let _ = riley.report(NOW_NS, &report(&lost[0], NOW_NS));
    let _ = jaquez.report(far_ns, &report(&lost[0], far_ns));
    let (mut to_jaquez, mut to_riley) = joined(&riley, &jaquez);
    let mut load = Load::new();
    load.beats(&mut to_jaquez, &mut to_riley, 2);
    assert!(covered(&jaquez, &riley.origin()) > 0);
    // Jaquez forgets what had overtaken Riley's record.
    let _ = jaquez.trust_clock(link(0), load.now_ns);
    assert_eq!(covered(&jaquez, &riley.origin()), 0);
    load.beats(&mut to_jaquez, &mut to_riley, SOON);
    load.assert_covered(&mut to_jaquez, &mut to_riley);
    settle(&mut to_jaquez, &mut to_riley);
    assert_eq!(content(&riley), content(&jaquez));
    assert!(jaquez.queue_len(link(0), 0) == 0 && mismatches(&riley, &jaquez) == 0);
}

#[test]
fn a_server_that_gives_up_what_it_held_just_when_a_link_is_agreed_is_told_all_again() {
    for version in 2..=HIGHEST {
        let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
        let far_ns = NOW_NS + TEN_YEARS_NS;
        let lost = clients("lost", 1);
        let _ = riley.report(NOW_NS, &report(&lost[0], NOW_NS));
        drop(joined_as(&riley, &jaquez, version));
        let _ = [&riley, &jaquez].map(|replica| replica.link_down(link(0)));
        let _ = jaquez.report(far_ns, &report(&lost[0], far_ns));
        let mut ends = [&riley, &jaquez].map(|replica| {
            let (mut encoder, agreed) = (Encoder::default(), Agreed { version, has_tree: false });
            let _ = replica.agree(link(0), &replica.me().server, agreed, &mut encoder);
            let incoming = Incoming::new(link(0)).with_version(version);
            End { replica, link: link(0), now_ns: NOW_NS, encoder, incoming }
        });
        // Jaquez has announced that it covers Riley's record, and forgets what had overtaken it.
        let _ = jaquez.trust_clock(link(0), NOW_NS);
        let [to_jaquez, to_riley] = &mut ends;
        settle(to_jaquez, to_riley);
        assert_eq!(covered(&jaquez, &riley.origin()), 0, "its markers do not count");
        beats(to_jaquez, to_riley);
        assert_eq!(content(&riley), content(&jaquez));
        assert_eq!(covered(&jaquez, &riley.origin()), covered(&riley, &riley.origin()));
        assert_eq!((jaquez.gaps(), riley.gaps()), (0, 0));
    }
}

#[test]
fn nobody_is_told_that_a_servers_own_updates_are_covered_after_it_has_given_one_up() {
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    let lost = clients("lost", 2);
    let ahead_ns = NOW_NS + settings("Riley").clock_offset_max_ns + SECOND_NS;
    let (mut to_jaquez, mut to_riley) = joined(&riley, &jaquez);
    let _ = riley.report(ahead_ns, &report(&lost[0], ahead_ns));
    // The clock is put back, and the client's next report does not win over the last.
    assert_eq!(riley.report(NOW_NS, &report(&lost[0], NOW_NS)).0, Outcome::Moved);
    let before = riley.origin();
    let _ = riley.report(NOW_NS, &report(&lost[1], NOW_NS));
    settle(&mut to_jaquez, &mut to_riley);
    assert_eq!(content(&riley), content(&jaquez));
    assert_eq!((covered(&riley, &before), covered(&jaquez, &before)), (0, 0));
    let _ = riley.mend(NOW_NS);
    settle(&mut to_jaquez, &mut to_riley);
    assert_ne!(riley.origin(), before);
    assert_eq!(covered(&jaquez, &riley.origin()), covered(&riley, &riley.origin()));
    assert!(covered(&jaquez, &riley.origin()) > 0);
}

#[test]
fn a_lie_that_is_told_again_after_the_neighbor_has_told_anew_keeps_its_markers_from_counting_again() {
    let jaquez = origin("Jaquez", 1);
    let mut shard = shard();
    assert_eq!(hear(&mut shard, &jaquez, 1, b"a", NOW_NS + TEN_YEARS_NS), Offered::Refused);
    let number = asked(&mut shard);
    shard.hear_passed(link(0), number);
    assert_eq!(hear(&mut shard, &jaquez, 2, b"b", NOW_NS), Offered::Inserted);
    assert_eq!(hear(&mut shard, &jaquez, 1, b"a", NOW_NS + TEN_YEARS_NS), Offered::Refused);
    let _ = shard.cover(link(0), &jaquez, 2);
    assert_eq!(shard.vector().count(), 0);
    // That answer is void.
    shard.hear_passed(link(0), number);
    let _ = shard.cover(link(0), &jaquez, 2);
    assert_eq!(shard.vector().count(), 0);
    let number = asked(&mut shard);
    shard.hear_passed(link(0), number - 1);
    let _ = shard.cover(link(0), &jaquez, 2);
    assert_eq!(shard.vector().count(), 0);
    shard.hear_passed(link(0), number);
    let _ = shard.cover(link(0), &jaquez, 2);
    assert_eq!(shard.vector().collect::<Vec<_>>(), [(&jaquez, 2)]);
}

#[test]
fn a_lie_that_is_contradicted_leaves_nothing_missing() {
    let mut shard = shard();
    let (riley, jaquez) = (origin("Riley", 1), origin("Jaquez", 1));
    assert_eq!(hear(&mut shard, &riley, 7, b"a", NOW_NS), Offered::Refused);
    assert_eq!(hear(&mut shard, &jaquez, 2, b"b", NOW_NS), Offered::Inserted);
    assert_eq!(shard.gaps(), 0);
    let _ = shard.cover(link(0), &jaquez, 2);
    assert!(shard.vector().any(|entry| entry == (&jaquez, 2)));
}

#[test]
fn what_is_refused_and_is_no_news_leaves_nothing_missing() {
    let mut shard = shard();
    let (jaquez, later) = (origin("Jaquez", 1), origin("Jaquez", NOW_NS + TEN_YEARS_NS));
    assert_eq!(hear(&mut shard, &jaquez, 1, b"a", NOW_NS), Offered::Inserted);
    for (at_ns, gaps) in [(NOW_NS - 1, 0), (NOW_NS, 0), (NOW_NS + 1, 1)] {
        assert_eq!(hear(&mut shard, &later, 1, b"a", at_ns), Offered::Refused);
        assert_eq!((shard.gaps(), shard.take_found()), (gaps, Some(Nonsense::Incarnation)));
    }
}

/// The frames in an encoder, by name and number.
fn frames(encoder: &mut Encoder) -> Vec<String> {
    let (mut frames, mut bytes) = (Vec::new(), encoder.bytes());
    while let Some((frame, len)) = decode(bytes).unwrap() {
        frames.extend(match frame {
            Frame::Record { seq, .. } => Some(format!("record {seq}")),
            Frame::Marker(_) => Some("marker".to_owned()),
            Frame::Passed { number, .. } => Some(format!("passed {number}")),
            _ => None,
        });
        bytes = &bytes[len..];
    }
    encoder.clear();
    frames
}

#[test]
fn a_fence_is_answered_when_its_question_is_and_before_what_answers_that() {
    let mut shard = shard();
    let flush = |shard: &mut Shard| {
        let mut encoder = Encoder::default();
        while !shard.flush(link(0), &mut encoder, usize::MAX) {}
        frames(&mut encoder)
    };
    let say = |shard: &mut Shard, client: &[u8]| {
        let report = report(client, NOW_NS);
        let expected = shard.expect(report.client, KeyHash::of(client));
        let _ =
            shard.report(NOW_NS, &report, Condition::Always, expected, NewClients::Admit, Spacing::AfterAll);
    };
    say(&mut shard, b"a");
    shard.hear_fence(link(0), 7);
    assert_eq!(flush(&mut shard), ["record 1", "marker"], "there is no question yet");
    let _ = shard.graft(link(0), &[], GraftMode::Once);
    assert_eq!(flush(&mut shard), ["passed 7", "record 1", "marker"]);
    (0..LOOKS_PER_HEARTBEAT).for_each(|_| _ = shard.graft(link(0), &[], GraftMode::Once));
    assert_eq!(flush(&mut shard), ["record 1", "marker"]);
    shard.hear_fence(link(0), 8);
    let _ = shard.graft(link(0), &[], GraftMode::Once);
    say(&mut shard, b"b");
    assert_eq!(flush(&mut shard), ["record 2", "marker"], "the question waits");
    // A fence belongs to the GRAFT behind it.
    shard.hear_fence(link(0), 9);
    let _ = shard.begin_beat(link(0));
    assert_eq!(flush(&mut shard), ["passed 8", "record 1", "record 2", "marker"]);
    let _ = shard.begin_beat(link(0));
    let _ = shard.graft(link(0), &[(origin("Riley", 1), 2)], GraftMode::Once);
    assert_eq!(flush(&mut shard), ["passed 9"]);
}

#[test]
fn a_neighbor_that_is_told_of_no_changes_has_its_fence_answered_behind_what_it_asked_for_before() {
    let mut shard = shard();
    let report = report(b"a", NOW_NS);
    let expected = shard.expect(report.client, KeyHash::of(b"a"));
    let _ = shard.report(NOW_NS, &report, Condition::Always, expected, NewClients::Admit, Spacing::AfterAll);
    let _ = shard.link_lazy(link(0));
    let mut encoder = Encoder::default();
    let _ = shard.graft(link(0), &[], GraftMode::Once);
    shard.hear_fence(link(0), 1);
    let _ = shard.graft(link(0), &[], GraftMode::Once);
    let _ = shard.begin_beat(link(0));
    assert!(shard.flush(link(0), &mut encoder, usize::MAX));
    assert_eq!(frames(&mut encoder), ["record 1", "marker"]);
    let _ = shard.begin_beat(link(0));
    assert!(shard.flush(link(0), &mut encoder, usize::MAX));
    assert_eq!(frames(&mut encoder), ["passed 1", "record 1", "marker"]);
}

/// A shard of Riley's, with a link that is up.
fn shard() -> Shard {
    let mut shard = Shard::new(ShardSettings {
        me: origin("Riley", 1),
        index: 0,
        seed: 7,
        client_ttl_ns: Some(300 * SECOND_NS),
        client_interval_ns: 0,
        report_rules: proxyherd_core::flood::ReportRules::default(),
        clock_offset_max_ns: 60 * SECOND_NS,
        client_index: true,
        rules: Rules::default(),
    });
    let _ = shard.link_up(link(0), &[]);
    shard.feed(link(0), true);
    while !shard.flush(link(0), &mut Encoder::default(), usize::MAX) {}
    shard
}

/// Lets heartbeats pass until the neighbor is asked. Returns the number of the fence.
fn asked(shard: &mut Shard) -> u64 {
    let mut encoder = Encoder::default();
    encoder.agree(HIGHEST);
    for _ in 0..=SOON {
        shard.write_question(link(0), &mut encoder);
        if let Some((Frame::Fence { number, .. }, _)) = decode(encoder.bytes()).unwrap() {
            return number;
        }
    }
    panic!("it asks");
}

fn hear(shard: &mut Shard, from: &Origin, seq: u64, client: &[u8], at_ns: u64) -> Offered {
    let report = report(client, at_ns);
    let held = Update { record: record_of(&report), origin: from, seq };
    shard.apply(NOW_NS, link(0), held, KeyHash::of(client), &mut u16::MAX.clone()).0
}

#[test]
fn a_server_has_been_told_all_only_when_it_has_merged_it() {
    let jaquez = origin("Jaquez", 1);
    let mut shard = shard();
    assert_eq!(hear(&mut shard, &jaquez, 1, b"a", NOW_NS + TEN_YEARS_NS), Offered::Refused);
    assert_eq!(hear(&mut shard, &jaquez, 2, b"b", NOW_NS), Offered::Inserted);
    for (origin, covered) in [(&jaquez, 2), (&origin("Juzang", 1), 7)] {
        let _ = shard.cover(link(0), origin, covered);
    }
    assert!(!shard.is_caught_up(), "something is missing that the marker covers");
    assert_eq!(hear(&mut shard, &jaquez, 3, b"a", NOW_NS), Offered::Inserted);
    let number = asked(&mut shard);
    let _ = shard.cover(link(0), &jaquez, 3);
    assert!(!shard.is_caught_up(), "that marker may be of before");
    shard.hear_passed(link(0), number);
    assert!(!shard.is_caught_up(), "more may be on its way");
    let _ = shard.cover(link(0), &jaquez, 3);
    assert!(shard.is_caught_up());
    assert_eq!(shard.vector().collect::<Vec<_>>(), [(&jaquez, 3)]);
}

#[test]
fn what_finds_no_room_is_not_waited_for_before_a_server_has_been_told_all() {
    let mut shard = shard();
    let _ = shard.set_members(Arc::new([origin("Riley", 1).server, origin("Jaquez", 1).server].into()));
    for (number, client) in (0..).zip(clients("a", STRANGERS_MAX)) {
        assert_ne!(hear(&mut shard, &origin(&format!("s{number}"), 1), 1, &client, NOW_NS), Offered::Refused);
    }
    assert_eq!(hear(&mut shard, &origin("more", 1), 1, b"z", NOW_NS), Offered::Refused);
    let _ = shard.cover(link(0), &origin("s0", 1), 1);
    assert!(shard.is_caught_up());
    assert_eq!(shard.vector().count(), 0, "it does not count all the same");
}

#[test]
fn nobody_has_been_told_all_by_what_cannot_be_so_or_says_nothing() {
    let mut shard = shard();
    let (riley, jaquez) = (origin("Riley", 1), origin("Jaquez", 1));
    let _ = shard.cover(link(0), &riley, 5);
    let _ = shard.cover(link(0), &jaquez, 0);
    assert!(!shard.is_caught_up());
    // A sum that leaves out everything that expires.
    let _ = hear(&mut shard, &jaquez, 1, b"a", NOW_NS);
    let mut check =
        Check { shard: 0, received: 0, from_ns: u64::MAX, client_ttl_ns: 300 * SECOND_NS, root: 0 };
    assert!(!shard.check(link(0), NOW_NS, &check, true).0);
    assert!(!shard.is_caught_up());
    // Such a sum proves something if its time is only as far ahead as clocks may be.
    check.from_ns = NOW_NS + 60 * SECOND_NS + CHECK_MARGIN_NS;
    check.root = {
        let mut encoder = Encoder::default();
        while !shard.flush(link(0), &mut encoder, usize::MAX) {}
        encoder.clear();
        shard.write_check(link(0), NOW_NS + 60 * SECOND_NS, &mut encoder);
        let Frame::Check(check) = decode(encoder.bytes()).unwrap().unwrap().0 else { panic!() };
        check.root
    };
    assert_ne!(check.root, 0);
    assert!(!shard.check(link(0), NOW_NS, &check, true).0);
    assert!(shard.is_caught_up());
}

#[test]
fn a_record_with_sequence_0_is_held_and_told_as_one_that_vectors_can_lack() {
    let (jaquez, campbell) = (replica("Jaquez"), replica("Campbell"));
    let client = clients("zero", 1).remove(0);
    let eve = origin("Eve", 1);
    let mut encoder = empty_vectors();
    let index = encoder.index_of(&eve).unwrap();
    encoder.record(index, 0, &record_of(&report(&client, NOW_NS)));
    encoder.marker(0, &[(index, 0)]);
    encoder.ihave(0, &[(index, 0)]);
    let mut incoming = Incoming::new(link(9));
    incoming.receive(&jaquez, NOW_NS, encoder.bytes(), &mut Wake::default()).unwrap();
    let mut seqs = BTreeSet::new();
    jaquez.for_each(|held| {
        seqs.insert(held.seq);
    });
    assert_eq!((seqs, covered(&jaquez, &eve)), ([1].into(), 0));
    // A neighbor that has nothing is sent it, and then covers it.
    let (mut to_campbell, mut to_jaquez) = join(NOW_NS, (&jaquez, link(0)), (&campbell, link(0)));
    settle(&mut to_campbell, &mut to_jaquez);
    assert_eq!(content(&campbell), content(&jaquez));
    let mut encoder = Encoder::default();
    let index = encoder.index_of(&eve).unwrap();
    encoder.marker(0, &[(index, 1)]);
    let mut incoming = Incoming::new(link(9));
    incoming.receive(&jaquez, NOW_NS, encoder.bytes(), &mut Wake::default()).unwrap();
    settle(&mut to_campbell, &mut to_jaquez);
    assert_eq!((covered(&jaquez, &eve), covered(&campbell, &eve)), (1, 1));
    assert_eq!((jaquez.contradiction(), campbell.contradiction()), (None, None));
}

#[test]
fn a_record_with_sequence_0_in_a_servers_own_name_is_a_lie_as_any() {
    let riley = replica("Riley");
    let client = clients("zero", 1).remove(0);
    let mut encoder = empty_vectors();
    let index = encoder.index_of(&riley.origin()).unwrap();
    encoder.record(index, 0, &record_of(&report(&client, NOW_NS)));
    let mut incoming = Incoming::new(link(9));
    incoming.receive(&riley, NOW_NS, encoder.bytes(), &mut Wake::default()).unwrap();
    assert!(content(&riley).iter().all(|seen| seen.place.is_empty()), "it is contradicted");
    let before = riley.origin();
    let _ = riley.mend(NOW_NS);
    assert_ne!(riley.origin(), before);
    assert_eq!(riley.contradiction(), None);
}

#[test]
fn nobody_waits_for_an_update_0() {
    let mut shard = shard();
    shard.feed(link(0), false);
    shard.hear_promise(link(0), vec![(origin("Nobody", 1), 0)]);
    let mut encoder = Encoder::default();
    (0..50).for_each(|_| shard.beat(link(0), &mut encoder));
    assert!(encoder.is_empty());
}
