//! One shard and a lazy link: what is sent, what is asked for, and when.

use proxyherd_core::{
    codec::link::{Encoder, Frame, GraftMode, decode},
    command::Condition,
    flood::{NewClients, Rules, Shard, ShardSettings, Spacing, Update, Wake},
    limits::{LOOKS_PER_HEARTBEAT, PATIENCE_MAX, PATIENCE_MIN, PROMISES_MAX},
    types::{KeyHash, Origin},
};

use crate::herd::{NOW_NS, SECOND_NS, link, origin, record_of, report};

/// A shard of Riley's, with a lazy link at 0.
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
    shard
}

/// A client reports here.
fn take(shard: &mut Shard, client: &str) -> Wake {
    let report = report(client.as_bytes(), NOW_NS);
    let expected = shard.expect(report.client, KeyHash::of(client.as_bytes()));
    shard.report(NOW_NS, &report, Condition::Always, expected, NewClients::Admit, Spacing::AfterAll).1
}

/// A record of Jaquez's, and everything before it, come over another link.
fn hear(shard: &mut Shard, from: &Origin, seq: u64) {
    let (client, mut guess) = (format!("{}-{seq}", from.server.as_str()), u16::MAX);
    let report = report(client.as_bytes(), NOW_NS);
    let held = Update { record: record_of(&report), origin: from, seq };
    let _ = shard.apply(NOW_NS, link(1), held, KeyHash::of(client.as_bytes()), &mut guess);
    let _ = shard.cover(link(1), from, seq);
}

/// The frames in the encoder, in short.
fn told(encoder: &mut Encoder) -> Vec<String> {
    let (mut bytes, mut told) = (encoder.bytes(), Vec::new());
    while let Some((frame, len)) = decode(bytes).unwrap() {
        bytes = &bytes[len..];
        told.push(match frame {
            Frame::Origin { .. } => continue,
            Frame::Record { record, .. } => format!("record {}", record.key.escape_ascii()),
            Frame::Marker(covered) => format!("marker {:?}", covered.iter().collect::<Vec<_>>()),
            Frame::Ihave(covered) => format!("ihave {:?}", covered.iter().collect::<Vec<_>>()),
            Frame::Graft { covered, mode } => {
                format!("graft {:?} {mode:?}", covered.iter().collect::<Vec<_>>())
            }
            other => panic!("{other:?}"),
        });
    }
    assert!(bytes.is_empty());
    encoder.clear();
    told
}

fn flush(shard: &mut Shard, encoder: &mut Encoder) -> Vec<String> {
    while !shard.flush(link(0), encoder, usize::MAX) {}
    told(encoder)
}

fn beat(shard: &mut Shard, encoder: &mut Encoder) -> Vec<String> {
    shard.beat(link(0), encoder);
    told(encoder)
}

#[test]
fn who_is_told_of_no_changes_hears_in_heartbeats_how_far_all_is_covered() {
    let (mut shard, mut out) = (shard(), Encoder::default());
    assert!(take(&mut shard, "a").is_empty());
    assert!(flush(&mut shard, &mut out).is_empty());
    assert_eq!(beat(&mut shard, &mut out), ["ihave [(0, 1)]"]);
    assert!(beat(&mut shard, &mut out).is_empty(), "it is told once");
    assert!(take(&mut shard, "b").is_empty());
    assert_eq!(beat(&mut shard, &mut out), ["ihave [(0, 2)]"]);
}

#[test]
fn who_asks_is_told_what_is_above_its_vector_and_then_all_changes_until_it_wants_no_more() {
    let (mut shard, mut out) = (shard(), Encoder::default());
    for client in ["a", "b"] {
        assert!(take(&mut shard, client).is_empty());
    }
    let riley = origin("Riley", 1);
    assert!(!shard.graft(link(0), &[(riley.clone(), 1)], GraftMode::Onward).is_empty());
    assert!(shard.is_eager(link(0)));
    assert_eq!(flush(&mut shard, &mut out), ["record b", "marker [(0, 2)]"]);
    assert!(!take(&mut shard, "c").is_empty());
    assert_eq!(flush(&mut shard, &mut out), ["record c", "marker [(0, 3)]"]);
    assert!(beat(&mut shard, &mut out).is_empty(), "there is nothing to promise");
    // What is queued when the neighbor declines changes is not sent, and does not count as sent.
    assert!(!take(&mut shard, "d").is_empty());
    assert!(shard.link_lazy(link(0)).is_empty());
    assert!(!shard.is_eager(link(0)));
    assert!(flush(&mut shard, &mut out).is_empty());
    assert_eq!(beat(&mut shard, &mut out), ["ihave [(0, 4)]"]);
    assert!(!shard.graft(link(0), &[(riley, 3)], GraftMode::Onward).is_empty());
    assert_eq!(flush(&mut shard, &mut out), ["record d", "marker [(0, 4)]"]);
}

#[test]
fn what_was_told_before_the_neighbor_wanted_no_more_is_promised_again() {
    let (mut shard, mut out) = (shard(), Encoder::default());
    let _ = shard.graft(link(0), &[], GraftMode::Onward);
    let _ = take(&mut shard, "a");
    assert_eq!(flush(&mut shard, &mut out), ["record a", "marker [(0, 1)]"]);
    let _ = shard.link_lazy(link(0));
    assert_eq!(beat(&mut shard, &mut out), ["ihave [(0, 1)]"]);
}

#[test]
fn who_asks_once_is_answered_once_and_from_the_front_only_when_that_is_done() {
    let (mut shard, mut out) = (shard(), Encoder::default());
    for client in ["a", "b"] {
        let _ = take(&mut shard, client);
    }
    for _ in 0..2 {
        assert!(!shard.graft(link(0), &[], GraftMode::Once).is_empty());
        assert!(!shard.flush(link(0), &mut out, 1), "one record at a time");
        assert!(shard.graft(link(0), &[], GraftMode::Once).is_empty(), "the rest is on its way");
        assert_eq!(flush(&mut shard, &mut out), ["record a", "record b", "marker [(0, 2)]"]);
        assert!(!shard.is_eager(link(0)));
        assert!(flush(&mut shard, &mut out).is_empty());
    }
    assert!(take(&mut shard, "c").is_empty(), "changes are not told");
}

#[test]
fn who_is_told_of_changes_and_asks_once_is_answered_and_goes_on_being_told() {
    let (mut shard, mut out) = (shard(), Encoder::default());
    let _ = shard.graft(link(0), &[], GraftMode::Onward);
    let _ = take(&mut shard, "a");
    assert_eq!(flush(&mut shard, &mut out), ["record a", "marker [(0, 1)]"]);
    let _ = take(&mut shard, "b");
    assert!(!shard.graft(link(0), &[], GraftMode::Once).is_empty());
    let told = flush(&mut shard, &mut out);
    assert_eq!(told, ["record b", "record a", "marker [(0, 2)]"], "what was next comes first");
    assert!(shard.is_eager(link(0)));
}

/// After how many heartbeats it asks.
fn beats_until_asked(shard: &mut Shard, out: &mut Encoder, graft: &str) -> usize {
    for beats in 1..100 {
        let told = beat(shard, out);
        if !told.is_empty() {
            assert_eq!(told, [graft]);
            return beats;
        }
    }
    panic!("it never asks");
}

#[test]
fn who_asks_too_often_is_answered_with_the_next_heartbeat() {
    let (mut shard, mut out) = (shard(), Encoder::default());
    let _ = take(&mut shard, "a");
    for _ in 0..LOOKS_PER_HEARTBEAT {
        assert!(!shard.graft(link(0), &[], GraftMode::Onward).is_empty());
        assert_eq!(flush(&mut shard, &mut out), ["record a", "marker [(0, 1)]"]);
    }
    for mode in [GraftMode::Onward, GraftMode::Once] {
        assert!(shard.graft(link(0), &[], mode).is_empty());
        assert!(flush(&mut shard, &mut out).is_empty());
    }
    assert!(!shard.begin_beat(link(0)).is_empty());
    assert_eq!(flush(&mut shard, &mut out), ["record a", "marker [(0, 1)]"]);
    assert!(shard.is_eager(link(0)), "it wanted to be told of changes, before it asked once more");
    assert!(shard.begin_beat(link(0)).is_empty());
    // A neighbor that declines changes is not answered.
    (0..=LOOKS_PER_HEARTBEAT).for_each(|_| drop(shard.graft(link(0), &[], GraftMode::Onward).links()));
    let _ = shard.link_lazy(link(0));
    assert!(shard.begin_beat(link(0)).is_empty());
}

#[test]
fn only_so_many_promises_are_waited_for() {
    let (mut shard, mut out) = (shard(), Encoder::default());
    let origins: Vec<_> = (0..PROMISES_MAX).map(|server| origin(&format!("s{server}"), 1)).collect();
    origins.iter().for_each(|origin| hear(&mut shard, origin, 1));
    assert_eq!(beat(&mut shard, &mut out).len(), 1, "all is covered here");
    let promised = origins.into_iter().chain([origin("lacking", 1)]);
    shard.hear_promise(link(0), promised.map(|origin| (origin, 1)).collect());
    assert!((0..50).all(|_| beat(&mut shard, &mut out).is_empty()));
    shard.hear_promise(link(0), vec![(origin("lacking", 1), 1)]);
    assert!((0..50).any(|_| !beat(&mut shard, &mut out).is_empty()));
}

#[test]
fn what_is_promised_and_does_not_come_is_asked_for_with_more_patience_each_time() {
    let (mut shard, mut out) = (shard(), Encoder::default());
    let jaquez = origin("Jaquez", 1);
    hear(&mut shard, &jaquez, 1);
    assert_eq!(beat(&mut shard, &mut out), ["ihave [(0, 1)]"]);
    let mut patience = PATIENCE_MIN;
    for _ in 0..5 {
        shard.hear_promise(link(0), vec![(jaquez.clone(), 9)]);
        let beats = beats_until_asked(&mut shard, &mut out, "graft [(0, 1)] Once");
        assert_eq!(beats, usize::from(patience) + 1);
        patience = (2 * patience).min(PATIENCE_MAX);
        assert!((0..50).all(|_| beat(&mut shard, &mut out).is_empty()), "it is asked for once");
    }
    assert_eq!(patience, PATIENCE_MAX);
}

#[test]
fn what_is_promised_and_comes_is_not_asked_for_and_the_next_promise_counts() {
    let (mut shard, mut out) = (shard(), Encoder::default());
    let (jaquez, juzang) = (origin("Jaquez", 1), origin("Juzang", 1));
    hear(&mut shard, &jaquez, 1);
    hear(&mut shard, &juzang, 1);
    assert_eq!(beat(&mut shard, &mut out), ["ihave [(0, 1), (1, 1)]"]);
    shard.hear_promise(link(0), vec![(jaquez.clone(), 2)]);
    assert!(beat(&mut shard, &mut out).is_empty());
    // While the first is being waited for, later ones gather.
    for later in [(&jaquez, 3), (&jaquez, 2), (&juzang, 4)] {
        shard.hear_promise(link(0), vec![(later.0.clone(), later.1)]);
    }
    hear(&mut shard, &jaquez, 2);
    assert_eq!(beat(&mut shard, &mut out), ["ihave [(0, 2)]"]);
    hear(&mut shard, &jaquez, 3);
    hear(&mut shard, &juzang, 3);
    assert_eq!(beat(&mut shard, &mut out), ["ihave [(0, 3), (1, 3)]"]);
    let beats = beats_until_asked(&mut shard, &mut out, "graft [(0, 3), (1, 3)] Once");
    assert_eq!(beats, usize::from(PATIENCE_MIN), "Juzang's fourth has not come");
    shard.hear_promise(link(0), vec![(jaquez, 3), (juzang.clone(), 4)]);
    hear(&mut shard, &juzang, 4);
    assert_eq!(beat(&mut shard, &mut out), ["ihave [(1, 4)]"]);
    assert!((0..50).all(|_| beat(&mut shard, &mut out).is_empty()));
}

#[test]
fn what_is_promised_and_has_been_overtaken_is_not_asked_for() {
    let (mut shard, mut out) = (shard(), Encoder::default());
    let [jaquez, juzang] = [origin("Jaquez", 1), origin("Juzang", 1)];
    hear(&mut shard, &jaquez, 1);
    // The only record of Jaquez's: its origin leaves the table.
    let newer = report(b"Jaquez-1", NOW_NS + 1);
    let held = Update { record: record_of(&newer), origin: &juzang, seq: 1 };
    let mut guess = u16::MAX;
    let _ = shard.apply(NOW_NS + SECOND_NS, link(1), held, KeyHash::of(b"Jaquez-1"), &mut guess);
    assert_eq!(shard.vector().count(), 0);
    shard.hear_promise(link(0), vec![(jaquez.clone(), 1)]);
    assert!((0..10).all(|_| beat(&mut shard, &mut out).is_empty()));
    shard.hear_promise(link(0), vec![(jaquez, 2)]);
    assert_eq!(beats_until_asked(&mut shard, &mut out, "graft [] Once"), usize::from(PATIENCE_MIN) + 1);
}

#[test]
fn who_tells_of_changes_has_nothing_to_promise() {
    let (mut shard, mut out) = (shard(), Encoder::default());
    let jaquez = origin("Jaquez", 1);
    shard.hear_promise(link(0), vec![(jaquez.clone(), 9)]);
    shard.feed(link(0), true);
    shard.hear_promise(link(0), vec![(jaquez.clone(), 9)]);
    assert!((0..50).all(|_| beat(&mut shard, &mut out).is_empty()));
    shard.feed(link(0), false);
    shard.hear_promise(link(0), vec![(jaquez, 9)]);
    assert_eq!(beats_until_asked(&mut shard, &mut out, "graft [] Once"), usize::from(PATIENCE_MIN) + 1);
}

#[test]
fn a_wake_is_of_some_links_or_of_none() {
    assert!(Wake::default().is_empty());
    let wake: Wake = [link(2), link(2), link(5)].into_iter().collect();
    assert!(!wake.is_empty());
    assert_eq!(wake.links().collect::<Vec<_>>(), [link(2), link(5)]);
}
