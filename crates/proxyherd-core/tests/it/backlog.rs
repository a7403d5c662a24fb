//! A link that never lives as long as its backlog takes.

use std::collections::BTreeSet;

use proxyherd_core::{
    codec::link::{Encoder, Frame, decode},
    command::Condition,
    flood::{NewClients, Rules, Shard, ShardSettings, Spacing},
    types::KeyHash,
};

use crate::herd::{NOW_NS, link, origin, report};

const RECORDS: usize = 1000;

/// The keys of the records that stand in the encoder.
fn keys(encoder: &Encoder) -> BTreeSet<Vec<u8>> {
    let (mut bytes, mut keys) = (encoder.bytes(), BTreeSet::new());
    while let Some((frame, len)) = decode(bytes).unwrap() {
        bytes = &bytes[len..];
        if let Frame::Record { record, .. } = frame {
            keys.insert(record.key.to_vec());
        }
    }
    keys
}

#[test]
fn each_life_of_a_link_goes_on_where_the_one_before_ended() {
    let mut shard = Shard::new(ShardSettings {
        me: origin("Riley", 1),
        index: 0,
        seed: 1,
        client_ttl_ns: None,
        client_interval_ns: 0,
        report_rules: proxyherd_core::flood::ReportRules::default(),
        clock_offset_max_ns: 0,
        client_index: true,
        rules: Rules::default(),
    });
    for client in 0..RECORDS {
        let client = format!("client-{client}");
        let expected = shard.expect(report(client.as_bytes(), NOW_NS).client, KeyHash::of(client.as_bytes()));
        let _ = shard.report(
            NOW_NS,
            &report(client.as_bytes(), NOW_NS),
            Condition::Always,
            expected,
            NewClients::Admit,
            Spacing::AfterAll,
        );
    }
    let (mut told, mut lives) = (BTreeSet::new(), 0);
    while told.len() < RECORDS {
        lives += 1;
        assert!(lives < 100, "{} of {RECORDS} are told", told.len());
        let mut encoder = Encoder::default();
        // The neighbor never receives a marker, so its vector stays empty.
        let _ = shard.link_up(link(0), &[]);
        assert!(!shard.flush(link(0), &mut encoder, 4000));
        let keys = keys(&encoder);
        assert!(keys.is_disjoint(&told) || told.len() + keys.len() > RECORDS, "nothing is told twice");
        told.extend(keys);
        shard.link_down(link(0));
    }
    assert!(lives > 5, "each life was shorter than the backlog");
}
