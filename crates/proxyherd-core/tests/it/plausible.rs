//! Reports that a server refuses because they cannot be true.

use std::num::NonZeroU32;

use proxyherd_core::{
    command::Outcome::{self, Added, Implausible, Inaccurate, Moved, Stale},
    flood::ReportRules,
    replica::{RefusedCounts, Replica, ReplicaSettings, ReportCounts},
    types::{AttributeValue, AttributesBuf, Coordinates, Report},
};

use crate::herd::{NOW_NS, SECOND_NS, replica, report, settings};

fn strict() -> Replica {
    let report_rules =
        ReportRules { accuracy_m_max: NonZeroU32::new(50), speed_mps_max: NonZeroU32::new(100) };
    Replica::new(ReplicaSettings { report_rules, ..settings("Riley") })
}

/// Reports a position on the equator, so many meters east, after so many seconds.
fn go(replica: &Replica, client: &str, second: u64, meters: f64) -> Outcome {
    let east = format!("+0+{:.9}", meters / 111_319.5);
    let coordinates = Coordinates::parse(east.as_bytes()).unwrap();
    let now_ns = NOW_NS + second * SECOND_NS;
    replica.report(now_ns, &Report { coordinates, ..report(client.as_bytes(), now_ns) }).0
}

/// Reports one after the other, as (second, meters, outcome).
fn check(replica: &Replica, client: &str, reports: &[(u64, f64, Outcome)]) {
    for &(second, meters, outcome) in reports {
        assert_eq!(go(replica, client, second, meters), outcome, "{client} after {second} s at {meters} m");
    }
}

const FAR: f64 = 1_000_000.0;

#[test]
fn a_jump_is_refused_unless_the_third_in_a_row_agrees() {
    let riley = strict();
    let begin = [(0, 0.0, Added), (1, 90.0, Moved), (2, 200.0, Implausible), (3, 250.0, Moved)];
    check(&riley, "walks", &begin);
    let wrong_first = [(0, 0.0, Added), (1, FAR, Implausible), (2, FAR + 50.0, Implausible)];
    check(&riley, "first", &[&wrong_first[..], &[(3, FAR + 90.0, Moved), (4, FAR, Moved)]].concat());
    let apart = [(0, 0.0, Added), (1, FAR, Implausible), (2, 2.0 * FAR, Implausible), (3, FAR, Implausible)];
    check(&riley, "apart", &[&apart[..], &[(4, FAR, Implausible), (5, FAR, Moved)]].concat());
    let ended = [(0, 0.0, Added), (1, FAR, Implausible), (2, FAR, Implausible), (3, 0.0, Moved)];
    check(&riley, "ended", &[&ended[..], &[(4, FAR, Implausible), (5, FAR, Implausible)]].concat());
    let implausible = 1 + 2 + 4 + 4;
    let refused = RefusedCounts { implausible, ..RefusedCounts::default() };
    let counts = ReportCounts { accepted: 3 + 3 + 2 + 2, stale: 0, refused };
    assert_eq!((riley.report_counts(), refused.total()), (counts, implausible));
}

#[test]
fn the_same_report_again_does_not_agree_with_itself() {
    let riley = strict();
    check(&riley, "kiwi", &[(0, 0.0, Added)]);
    check(&riley, "kiwi", &[(9, FAR, Implausible); 5]);
    check(&riley, "kiwi", &[(10, FAR, Implausible), (9, FAR, Implausible), (11, FAR, Moved)]);
}

#[test]
fn an_older_report_and_a_new_client_are_no_jump() {
    let riley = strict();
    check(&riley, "kiwi", &[(5, 0.0, Added), (4, FAR, Stale)]);
    let (was_known, _) = riley.forget(NOW_NS + 6 * SECOND_NS, report(b"kiwi", NOW_NS).client);
    assert!(was_known);
    check(&riley, "kiwi", &[(7, FAR, Added)]);
}

#[test]
fn an_inaccurate_report_is_refused_and_without_rules_nothing_is() {
    let riley = strict();
    let cases = [
        (AttributeValue::Number("50"), Added),
        (AttributeValue::Number("5.0e1"), Moved),
        (AttributeValue::Number("50.001"), Inaccurate),
        (AttributeValue::Number("1e999"), Inaccurate),
        (AttributeValue::Text("1000"), Moved),
    ];
    for (now_ns, (value, outcome)) in (NOW_NS..).zip(cases) {
        let mut attributes = AttributesBuf::default();
        attributes.set("accuracy_m", value).unwrap();
        let report = Report { attributes: attributes.borrow(), ..report(b"kiwi", now_ns) };
        assert_eq!(riley.report(now_ns, &report).0, outcome, "{value:?}");
    }
    assert_eq!(riley.report_counts().refused.inaccurate, 2);
    let any = replica("Riley");
    check(&any, "kiwi", &[(0, 0.0, Added), (1, FAR, Moved)]);
}
