//! What a report can ask for: the server's own time, and a condition. And what its reporter is answered.

use std::mem::size_of;

use proptest::prelude::*;
use proxyherd_core::{
    command::{Condition, Outcome, Position},
    flood::Wake,
    limits::BATCH_LEN_MAX,
    replica::{Offer, Replica, ReplicaSettings, shard_index},
    types::{ClientId, Difference, Report, Stamp, Timestamp},
};

use crate::herd::{NOW_NS, SECOND_NS, content, join, link, replica, report, settings, settle};

/// A report to which the server gives the time.
fn undated(client: &[u8]) -> Report<'_> {
    Report { stamp: Stamp::Server, ..report(client, NOW_NS) }
}

fn take<'a>(replica: &Replica, now_ns: u64, condition: Condition, report: Report<'a>) -> Offer<'a> {
    let mut offers = [Offer::on(condition, report)];
    let _ = replica.report_all(now_ns, &mut offers);
    offers[0]
}

/// What the replica shows of a client: its time, and when it was received.
fn shown(replica: &Replica, now_ns: u64, client: &[u8]) -> Option<(Timestamp, Difference)> {
    let client = ClientId::new(client).unwrap();
    replica.locate(now_ns, client, |held| (held.record.timestamp, held.record.difference))
}

#[test]
fn what_reports_can_ask_for_makes_them_no_larger() {
    assert_eq!((size_of::<Report<'_>>(), size_of::<Offer<'_>>()), (64, 104));
}

#[test]
fn a_report_without_a_time_gets_the_servers_clock() {
    let replica = replica("Riley");
    let offer = take(&replica, NOW_NS, Condition::Always, undated(b"kiwi"));
    let (timestamp, difference) = offer.times(NOW_NS).unwrap();
    assert_eq!((offer.outcome, timestamp.nanos(), difference.nanos()), (Outcome::Added, NOW_NS, 0));
    assert_eq!(shown(&replica, NOW_NS, b"kiwi"), Some((timestamp, difference)));
}

proptest! {
    #[test]
    fn the_servers_times_of_a_client_ascend_whatever_clocks_do(
        steps in prop::collection::vec((-4_000_000_000i64..4_000_000_000, 1usize..BATCH_LEN_MAX, prop::option::of(-9i64..9)), 1..20),
    ) {
        let replica = replica("Riley");
        let (mut now_ns, mut last) = (NOW_NS, None);
        for (step_ns, count, told_s) in steps {
            now_ns = now_ns.saturating_add_signed(step_ns);
            if let Some(told_s) = told_s {
                // In between, the client gives a time itself.
                let told_ns = now_ns.saturating_add_signed(told_s * SECOND_NS.cast_signed());
                let _ = replica.report(now_ns, &report(b"kiwi", told_ns));
            }
            let mut offers = vec![Offer::new(undated(b"kiwi")); count];
            let _ = replica.report_all(now_ns, &mut offers);
            for offer in &offers {
                prop_assert!(offer.outcome.is_taken());
                let (timestamp, _) = offer.times(now_ns).unwrap();
                // The bound on fast clocks may put a client's own time far ahead of its version; the server's times
                // are their versions.
                prop_assert!(Some(timestamp) > last, "{timestamp} {last:?}");
                last = Some(timestamp);
            }
            prop_assert_eq!(shown(&replica, now_ns, b"kiwi"), offers.last().unwrap().times(now_ns));
        }
    }
}

#[test]
fn what_was_written_is_what_is_read_though_another_servers_clock_is_ahead() {
    // With 30 s the bound on fast clocks is passed too.
    for ahead_ns in [0, 1, 3 * SECOND_NS, 30 * SECOND_NS] {
        let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
        let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
        let ahead = take(&jaquez, NOW_NS + ahead_ns, Condition::Always, undated(b"kiwi"));
        settle(&mut to_jaquez, &mut to_riley);
        let offer = take(&riley, NOW_NS, Condition::Always, undated(b"kiwi"));
        let (timestamp, difference) = offer.times(NOW_NS).unwrap();
        assert_eq!(offer.outcome, Outcome::Moved, "{ahead_ns}");
        let (held, _) = ahead.times(NOW_NS + ahead_ns).unwrap();
        assert_eq!(timestamp.nanos(), held.nanos() + 1, "{ahead_ns}");
        assert_eq!(shown(&riley, NOW_NS, b"kiwi"), Some((timestamp, difference)));
        settle(&mut to_jaquez, &mut to_riley);
        assert_eq!(content(&riley), content(&jaquez));
        assert_eq!(shown(&jaquez, NOW_NS + ahead_ns, b"kiwi"), Some((timestamp, difference)));
    }
}

#[test]
fn a_held_report_from_a_clock_that_was_years_ahead_gives_way_to_the_servers_present_time() {
    let riley = replica("Riley");
    let years_ns = 3 * 365 * 24 * 3600 * SECOND_NS;
    let _ = riley.report(NOW_NS + years_ns, &report(b"kiwi", NOW_NS + years_ns));
    let offer = take(&riley, NOW_NS, Condition::Always, undated(b"kiwi"));
    assert_eq!(offer.times(NOW_NS).unwrap().0.nanos(), NOW_NS);
    assert_eq!(shown(&riley, NOW_NS, b"kiwi"), offer.times(NOW_NS));
    // A client that reports times of years to come counts as five seconds ahead, and no further.
    let _ = riley.report(NOW_NS, &report(b"kiwi", NOW_NS + years_ns));
    let offer = take(&riley, NOW_NS, Condition::Always, undated(b"kiwi"));
    assert_eq!(offer.times(NOW_NS).unwrap().0.nanos(), NOW_NS + 5 * SECOND_NS + 1);
    assert_eq!(shown(&riley, NOW_NS, b"kiwi"), offer.times(NOW_NS));
}

#[test]
fn past_the_year_2286_the_server_has_no_time_to_give() {
    let riley = replica("Riley");
    let offer = take(&riley, 10_000_000_000 * SECOND_NS, Condition::Always, undated(b"kiwi"));
    assert_eq!((offer.outcome, offer.times(NOW_NS), offer.position()), (Outcome::Stale, None, None));
}

#[test]
fn a_condition_is_judged_by_what_the_server_shows() {
    use Condition::{Always, Known, New};
    let ttl_ns = 10 * SECOND_NS;
    for (is_told, is_forgotten, later_ns, condition, outcome) in [
        (false, false, 1, Always, Outcome::Added),
        (false, false, 1, New, Outcome::Added),
        (false, false, 1, Known, Outcome::Unmet),
        (true, false, 1, Always, Outcome::Moved),
        (true, false, 1, New, Outcome::Unmet),
        (true, false, 1, Known, Outcome::Moved),
        // A tombstone is held, a nanosecond later than the report, and shows nothing.
        (true, true, 2, Always, Outcome::Added),
        (true, true, 2, New, Outcome::Added),
        (true, true, 2, Known, Outcome::Unmet),
        // It has expired, and was not swept.
        (true, false, ttl_ns, Always, Outcome::Added),
        (true, false, ttl_ns, New, Outcome::Added),
        (true, false, ttl_ns, Known, Outcome::Unmet),
    ] {
        for is_stamped_here in [false, true] {
            let replica = Replica::new(ReplicaSettings { client_ttl_ns: Some(ttl_ns), ..settings("Riley") });
            if is_told {
                let _ = replica.report(NOW_NS, &report(b"kiwi", NOW_NS));
            }
            if is_forgotten {
                let _ = replica.forget(NOW_NS, ClientId::new(b"kiwi").unwrap());
            }
            let before = content(&replica);
            let now_ns = NOW_NS + later_ns;
            let sent = if is_stamped_here { undated(b"kiwi") } else { report(b"kiwi", now_ns) };
            let offer = take(&replica, now_ns, condition, sent);
            let case = (is_told, is_forgotten, later_ns, condition, is_stamped_here);
            assert_eq!(offer.outcome, outcome, "{case:?}");
            assert_eq!(offer.position().is_some(), outcome.is_taken(), "{case:?}");
            assert_eq!(content(&replica) != before, outcome.is_taken(), "{case:?}");
        }
    }
}

#[test]
fn a_report_whose_condition_is_not_met_wakes_nobody() {
    let (riley, jaquez) = (replica("Riley"), replica("Jaquez"));
    let (mut to_jaquez, mut to_riley) = join(NOW_NS, (&riley, link(0)), (&jaquez, link(0)));
    let _ = riley.report(NOW_NS, &report(b"kiwi", NOW_NS));
    settle(&mut to_jaquez, &mut to_riley);
    let mut offers =
        [Offer::on(Condition::New, undated(b"kiwi")), Offer::on(Condition::Known, undated(b"nobody"))];
    assert_eq!(riley.report_all(NOW_NS, &mut offers), Wake::default());
    assert_eq!(offers.map(|offer| offer.outcome), [Outcome::Unmet; 2]);
    assert!(!riley.is_ready(link(0)));
}

#[test]
fn a_condition_is_judged_before_the_room_and_the_client_s_interval() {
    let tight = ReplicaSettings { max_clients: 1, client_interval_ns: SECOND_NS, ..settings("Riley") };
    let replica = Replica::new(tight);
    let outcome = |now_ns, condition, client| take(&replica, now_ns, condition, undated(client)).outcome;
    assert_eq!(outcome(NOW_NS, Condition::New, b"one"), Outcome::Added);
    assert_eq!(outcome(NOW_NS, Condition::Known, b"other"), Outcome::Unmet);
    assert_eq!(outcome(NOW_NS, Condition::New, b"other"), Outcome::Full);
    assert_eq!(outcome(NOW_NS, Condition::New, b"one"), Outcome::Unmet);
    assert_eq!(outcome(NOW_NS, Condition::Known, b"one"), Outcome::TooSoon);
    assert_eq!(outcome(NOW_NS + SECOND_NS, Condition::Known, b"one"), Outcome::Moved);
}

#[test]
fn each_report_that_is_taken_is_told_its_position() {
    let replica = replica("Riley");
    let clients: Vec<String> = (0..40).map(|number| format!("client-{}", number % 25)).collect();
    let mut offers: Vec<_> = clients.iter().map(|client| Offer::new(undated(client.as_bytes()))).collect();
    offers.push(Offer::new(report(b"client-1", 1)));
    let _ = replica.report_all(NOW_NS, &mut offers);
    let stale = offers.last().unwrap();
    let shard = shard_index(b"client-1");
    assert_eq!(stale.outcome, Outcome::Stale);
    let all = [replica.changes(shard), replica.issued(shard)].map(|seq| Some(Position { shard, seq }));
    assert_eq!([stale.position(), stale.own_position()], all, "it waits for the record that is held");
    let mut latest = std::collections::BTreeMap::new();
    for offer in offers.iter().filter(|offer| offer.outcome.is_taken()) {
        let position = offer.position().unwrap();
        assert_eq!(offer.own_position(), Some(position), "no other server has issued anything");
        assert_eq!(position.shard, shard_index(offer.report.client.as_bytes()));
        let before = latest.insert((position.shard, offer.report.client.as_bytes()), position.seq);
        assert!(before < Some(position.seq));
    }
    let mut held = Vec::new();
    replica.for_each(|it| held.push(((shard_index(it.record.key), it.record.key.to_vec()), it.seq)));
    held.sort();
    let latest: Vec<_> = latest.into_iter().map(|((shard, key), seq)| ((shard, key.to_vec()), seq)).collect();
    assert_eq!(held, latest);
}
