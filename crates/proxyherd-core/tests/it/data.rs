//! Records besides those of clients: records with data, of known and unknown kinds.

use std::collections::BTreeSet;

use proxyherd_core::{
    codec::link::Encoder,
    command::Outcome,
    flood::{Class, Nonsense, Offered, Rules, Shard, ShardSettings, Update, Usage, Wake},
    limits::{DATA_LEN_MAX, RECORD_BYTES, SHARDS, STRAY_QUOTA_BYTES_MAX, TOKEN_BYTES_MAX, UNKNOWN_BYTES_MAX},
    link::Incoming,
    replica::{Offer, Replica, ReplicaSettings},
    types::{Body, ClientId, Difference, KeyHash, Kind, Record, Timestamp},
};

use crate::herd::{NOW_NS, SECOND_NS, empty_vectors, join, link, origin, replica, report, settings, settle};

const KEY: &[u8] = b"day/2026-10-05/Riley";

fn data(replica: &Replica, now_ns: u64, kind: Kind, key: &[u8]) -> Option<Vec<u8>> {
    replica.find(now_ns, kind, key, |held| match held.record.body {
        Body::Data { bytes, .. } => bytes.to_vec(),
        _ => panic!("{:?}", held.record),
    })
}

#[test]
fn data_is_kept_apart_from_a_client_of_the_same_name() {
    let replica = replica("Riley");
    assert_eq!(replica.tell(NOW_NS, Kind::QUOTA, KEY, 60, b"told").0, Offered::Inserted);
    let client = ClientId::new(KEY).unwrap();
    assert!(replica.locate(NOW_NS, client, |_| ()).is_none());
    let _ = replica.report(NOW_NS, &report(KEY, NOW_NS));
    assert!(replica.locate(NOW_NS, client, |_| ()).is_some());
    assert_eq!(data(&replica, NOW_NS, Kind::QUOTA, KEY).unwrap(), b"told");
    assert_eq!(replica.len(), 2);
    assert_eq!(replica.contradiction(), None);
}

#[test]
fn kinds_that_nobody_knows_are_passed_on() {
    let (one, middle, other) = (replica("Riley"), replica("Jaquez"), replica("Juzang"));
    let _ = one.tell(NOW_NS, Kind(200), b"fence", 0, b"of a later version");
    let (mut a, mut b) = join(NOW_NS, (&one, link(0)), (&middle, link(0)));
    settle(&mut a, &mut b);
    let (mut a, mut b) = join(NOW_NS, (&middle, link(1)), (&other, link(0)));
    settle(&mut a, &mut b);
    assert_eq!(data(&other, u64::MAX, Kind(200), b"fence").unwrap(), b"of a later version");
}

#[test]
fn what_is_told_later_wins_over_a_clock_that_is_ahead() {
    let (one, other) = (replica("Riley"), replica("Jaquez"));
    let _ = one.tell(NOW_NS + 50 * SECOND_NS, Kind(200), KEY, 0, b"first, by a clock that is ahead");
    let (mut a, mut b) = join(NOW_NS, (&one, link(0)), (&other, link(0)));
    settle(&mut a, &mut b);
    for bytes in [&b"then"[..], b"", b"and at last this"] {
        assert_eq!(other.tell(NOW_NS, Kind(200), KEY, 0, bytes).0, Offered::Updated);
        settle(&mut a, &mut b);
        assert_eq!(data(&one, NOW_NS, Kind(200), KEY).unwrap(), bytes);
    }
}

#[test]
fn only_reports_come_too_soon() {
    let one = Replica::new(ReplicaSettings { client_interval_ns: SECOND_NS, ..settings("Riley") });
    for bytes in [b"1", b"2"] {
        let _ = one.tell(NOW_NS, Kind::QUOTA, KEY, 0, bytes);
        assert_eq!(data(&one, NOW_NS, Kind::QUOTA, KEY).unwrap(), bytes);
    }
    let _ = one.report(NOW_NS, &report(b"kiwi", NOW_NS));
    let next = report(b"kiwi", NOW_NS + 1);
    assert_eq!(one.report(NOW_NS + SECOND_NS - 1, &next).0, Outcome::TooSoon);
    assert_eq!(one.report(NOW_NS + SECOND_NS, &next).0, Outcome::Moved);
    assert!(one.forget(NOW_NS, ClientId::new(b"kiwi").unwrap()).0);
}

#[test]
fn within_a_batch_no_report_comes_too_soon() {
    let one = Replica::new(ReplicaSettings { client_interval_ns: SECOND_NS, ..settings("Riley") });
    let offered = |now_ns: u64, times: &[u64]| {
        let mut offers: Vec<_> =
            times.iter().map(|time| Offer::in_batch(report(b"kiwi", NOW_NS + time))).collect();
        let _ = one.report_all(now_ns, &mut offers);
        offers.iter().map(|offer| offer.outcome).collect::<Vec<_>>()
    };
    let (added, moved, stale) = (Outcome::Added, Outcome::Moved, Outcome::Stale);
    assert_eq!(offered(NOW_NS, &[1, 2, 2, 1, 3]), [added, moved, stale, stale, moved]);
    assert_eq!(offered(NOW_NS + 1, &[3, 4, 5]), [stale, Outcome::TooSoon, Outcome::TooSoon]);
    assert_eq!(offered(NOW_NS + SECOND_NS, &[4, 5]), [moved, moved]);
    let next = report(b"kiwi", NOW_NS + 6);
    assert_eq!(one.report(NOW_NS + SECOND_NS, &next).0, Outcome::TooSoon, "a report of its own");
}

#[test]
fn data_expires_by_its_own_time_and_takes_no_clients_room() {
    let one = Replica::new(ReplicaSettings {
        max_clients: 1,
        client_ttl_ns: Some(5 * SECOND_NS),
        ..settings("Riley")
    });
    let _ = one.report(NOW_NS, &report(b"kiwi", NOW_NS));
    assert_eq!(one.tell(NOW_NS, Kind::QUOTA, KEY, 10, b"x").0, Offered::Inserted);
    assert_eq!(one.tell(NOW_NS, Kind::QUOTA, b"for/ever", 0, b"x").0, Offered::Inserted);
    assert!(data(&one, NOW_NS + 9 * SECOND_NS, Kind::QUOTA, KEY).is_some());
    assert!(data(&one, NOW_NS + 10 * SECOND_NS, Kind::QUOTA, KEY).is_none());
    // For as long as clocks may differ, it is passed on to others.
    assert_eq!(one.sweep(NOW_NS + 65 * SECOND_NS, 1000), 1, "the client");
    assert_eq!(one.sweep(NOW_NS + 70 * SECOND_NS, 1000), 1, "what was told for ten seconds");
    assert!(data(&one, u64::MAX, Kind::QUOTA, b"for/ever").is_some());
    assert_eq!(one.contradiction(), None);
}

fn shard(server: &str) -> Shard {
    Shard::new(ShardSettings {
        me: origin(server, 1),
        index: 0,
        seed: 7,
        client_ttl_ns: None,
        client_interval_ns: 0,
        report_rules: proxyherd_core::flood::ReportRules::default(),
        clock_offset_max_ns: 60 * SECOND_NS,
        client_index: true,
        rules: Rules::default(),
    })
}

/// A record of an unknown kind: its key, when it was issued, and the length of its data.
type Unknown = (String, u64, usize);

fn unknown(count: u64, len: impl Fn(u64) -> usize) -> Vec<Unknown> {
    (0..count).map(|at| (format!("fence-{at}"), NOW_NS + at, len(at))).collect()
}

/// The kind of a record, which these tests write into its key.
fn kind_of(key: &[u8]) -> Kind {
    let is_digit = |byte: &&u8| byte.is_ascii_digit();
    let number = String::from_utf8(key.iter().take_while(is_digit).copied().collect()).unwrap();
    Kind(number.parse().unwrap_or(200))
}

/// A neighbor sends this. Returns whether it is held from here on.
fn tell(shard: &mut Shard, (key, told_ns, len): &Unknown) -> bool {
    let (key, timestamp) = (key.as_bytes(), Timestamp::from_nanos(*told_ns).unwrap());
    let record = Record {
        kind: kind_of(key),
        key,
        body: Body::Data { keep_s: 0, bytes: &vec![b'x'; *len] },
        timestamp,
        difference: Difference::at_receipt(*told_ns, timestamp),
    };
    let origin = origin("Juzang", 1);
    let held = Update { record, origin: &origin, seq: *told_ns - NOW_NS + 1 };
    let (offered, _) = shard.apply(NOW_NS, link(0), held, KeyHash::of(key), &mut 0);
    matches!(offered, Offered::Inserted | Offered::Updated)
}

fn held(shard: &Shard) -> BTreeSet<Unknown> {
    let len = |body| if let Body::Data { bytes, .. } = body { bytes.len() } else { 0 };
    let text = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
    let records = shard.records().map(|held| held.record);
    records.map(|record| (text(record.key), record.timestamp.nanos(), len(record.body))).collect()
}

const ROOM: usize = UNKNOWN_BYTES_MAX / SHARDS;

#[test]
fn kinds_that_nobody_knows_take_no_clients_room_and_no_more_than_theirs() {
    let one = Replica::new(ReplicaSettings { max_clients: 3, ..settings("Riley") });
    for at in 0..5000 {
        let key = format!("fence-{at}");
        assert_eq!(
            one.tell(NOW_NS + at, Kind(200), key.as_bytes(), 0, &[7; DATA_LEN_MAX]).0,
            Offered::Inserted
        );
    }
    let usage = one.usage(Class::Unknown);
    assert!(usage.bytes <= UNKNOWN_BYTES_MAX && usage.bytes > UNKNOWN_BYTES_MAX * 9 / 10, "{usage:?}");
    assert_eq!(usage.dropped, 5000 - one.len());
    for (client, outcome) in
        [("a", Outcome::Added), ("b", Outcome::Added), ("c", Outcome::Added), ("d", Outcome::Full)]
    {
        assert_eq!(one.report(NOW_NS, &report(client.as_bytes(), NOW_NS)).0, outcome, "{client}");
    }
    assert_eq!(one.tell(NOW_NS, Kind::QUOTA, KEY, 60, b"told").0, Offered::Inserted);
    assert_eq!(one.clients(), 3);
    assert_eq!(one.contradiction(), None);
}

#[test]
fn accounts_of_budgets_that_are_not_there_give_way_to_those_that_are_told() {
    let one = replica("Riley");
    let account = [7; 8000];
    for at in 0..4000 {
        let _ =
            one.tell(NOW_NS + at, Kind::QUOTA, format!("day/2026-10-05/nobody-{at}").as_bytes(), 0, &account);
    }
    let usage = one.usage(Class::StrayQuota);
    assert!(usage.bytes <= STRAY_QUOTA_BYTES_MAX && usage.dropped > 0, "{usage:?}");
    assert_eq!(one.usage(Class::Quota), Usage::default());
    assert_eq!(one.usage(Class::Unknown), Usage::default());
    let _ = one.tell(NOW_NS + 4000, Kind::QUOTA, KEY, 60, b"told");
    assert_eq!(data(&one, NOW_NS, Kind::QUOTA, KEY).unwrap(), b"told");
}

/// The record of a token: live or revoked.
const LIVE: &[u8] = &[1, 0, 9];
const REVOKED: &[u8] = &[1, 1, 9];

#[test]
fn a_revocation_wins_over_every_record_of_its_token_whatever_the_times_are() {
    let (one, other) = (replica("Riley"), replica("Jaquez"));
    let token = |replica: &Replica| data(replica, NOW_NS, Kind::TOKEN, b"k1w1").unwrap();
    assert_eq!(one.tell(NOW_NS, Kind::TOKEN, b"k1w1", 0, REVOKED).0, Offered::Inserted);
    assert_eq!(one.tell(NOW_NS + SECOND_NS, Kind::TOKEN, b"k1w1", 0, LIVE).0, Offered::Stale);
    // A server comes back with a record of the token, by a clock that is ahead.
    assert_eq!(other.tell(NOW_NS + 50 * SECOND_NS, Kind::TOKEN, b"k1w1", 0, LIVE).0, Offered::Inserted);
    let (mut a, mut b) = join(NOW_NS, (&one, link(0)), (&other, link(0)));
    settle(&mut a, &mut b);
    assert_eq!((token(&one), token(&other)), (REVOKED.to_vec(), REVOKED.to_vec()));
    assert_eq!((one.contradiction(), other.contradiction()), (None, None));
}

#[test]
fn there_is_room_for_a_token_only_with_its_revocation_and_those_of_all_others() {
    let one = replica("Riley");
    let long = [LIVE, &[7; 4000]].concat();
    let mut made = Vec::new();
    for at in 0..6000 {
        let key = format!("t{at}");
        if one.has_room_for_token(key.as_bytes(), long.len()) {
            assert_eq!(one.tell(NOW_NS, Kind::TOKEN, key.as_bytes(), 0, &long).0, Offered::Inserted);
            made.push(key);
        }
        if at == 1000 {
            let revoked = [REVOKED, &[7; 4000]].concat();
            made.iter().for_each(|key| {
                let _ = one.tell(NOW_NS + 1, Kind::TOKEN, key.as_bytes(), 0, &revoked);
            });
        }
    }
    assert!(made.len() > 3000, "{}", made.len());
    let revoked = [REVOKED, &[7; 4000]].concat();
    for key in &made {
        let _ = one.tell(NOW_NS + 2, Kind::TOKEN, key.as_bytes(), 0, &revoked);
    }
    assert_eq!(one.usage(Class::RevokedToken).dropped, 0);
    assert_eq!(data(&one, NOW_NS, Kind::TOKEN, made[0].as_bytes()), Some(revoked));
    assert!(!(0..SHARDS_TRIED).all(|at| one.has_room_for_token(format!("n{at}").as_bytes(), long.len())));
}

#[test]
fn shares_leave_half_of_the_room_to_other_tokens() {
    let one = replica("Riley");
    let long = [LIVE, &[7; 4000]].concat();
    let mut made = 0;
    for at in 0..6000 {
        let key = format!("s{at}");
        if one.has_room_for_share(key.as_bytes(), long.len()) {
            assert_eq!(one.tell(NOW_NS, Kind::TOKEN, key.as_bytes(), 0, &long).0, Offered::Inserted);
            made += 1;
        }
    }
    assert!((1500..2100).contains(&made), "{made}");
    assert!((0..SHARDS_TRIED).all(|at| one.has_room_for_token(format!("n{at}").as_bytes(), long.len())));
}

/// Keys that together fall into most shards.
const SHARDS_TRIED: usize = 1000;

#[test]
fn tokens_displace_neither_revocations_nor_what_is_not_about_tokens() {
    let one = replica("Riley");
    let _ = one.tell(NOW_NS, Kind::TOKEN, b"revoked", 0, REVOKED);
    let _ = one.tell(NOW_NS, Kind::TOKEN, b"first", 0, LIVE);
    let _ = one.tell(NOW_NS, Kind(200), b"other", 0, b"x");
    let long = [LIVE, &[7; 4000]].concat();
    for at in 1..6000 {
        let _ = one.tell(NOW_NS + at, Kind::TOKEN, format!("t{at}").as_bytes(), 0, &long);
    }
    let usage = one.usage(Class::Token);
    assert!(usage.bytes <= TOKEN_BYTES_MAX && usage.dropped > 0, "{usage:?}");
    assert_eq!(one.usage(Class::RevokedToken).dropped, 0);
    assert!(data(&one, NOW_NS, Kind::TOKEN, b"revoked").is_some());
    assert!(data(&one, NOW_NS, Kind(200), b"other").is_some());
    assert!(data(&one, NOW_NS, Kind::TOKEN, b"first").is_none(), "the oldest token has lost its room");
    assert_eq!(one.contradiction(), None);
}

#[test]
fn what_finds_no_room_is_older_than_all_that_is_held() {
    let mut shard = shard("Riley");
    let told = unknown(400, |_| DATA_LEN_MAX);
    assert!(told[100..].iter().all(|record| tell(&mut shard, record)));
    let before = held(&shard);
    assert!(before.iter().all(|(_, told_ns, _)| *told_ns >= NOW_NS + 140));
    assert!(!tell(&mut shard, &told[0]));
    assert_eq!(held(&shard), before);
    // Issued again, it is the newest.
    assert!(tell(&mut shard, &(told[0].0.clone(), NOW_NS + 1000, DATA_LEN_MAX)));
    let keys: usize = held(&shard).iter().map(|(key, ..)| key.len()).sum();
    assert_eq!(shard.usage(Class::Unknown).bytes, before.len() * (DATA_LEN_MAX + RECORD_BYTES) + keys);
    assert_eq!(shard.contradiction(), None);
}

#[test]
fn servers_that_cannot_keep_all_keep_the_same() {
    // Some are larger than others, so what finds room depends on the others.
    must_keep_the_same(&unknown(1500, |at| 1 + (at * 7919 % 16384) as usize));
}

#[test]
fn servers_that_cannot_keep_all_keep_the_same_of_every_kind() {
    for (kinds, shift) in [(2, 1), (3, 9), (40, 3), (100, 1)] {
        let mut told = unknown(1500, |at| 1 + (at * 7919 % 16384) as usize);
        for (at, (key, ..)) in told.iter_mut().enumerate() {
            // The later ones are of fewer kinds.
            let kind = 2 + at * 7877 % (1 + kinds * shift * (1500 - at) / 1500).min(kinds);
            *key = format!("{kind}-{key}");
        }
        must_keep_the_same(&told);
    }
}

/// Servers that receive these records, each in its own order, and then send each other what they hold.
fn must_keep_the_same(told: &[Unknown]) {
    assert!(told.iter().map(|(_, _, len)| len).sum::<usize>() > 2 * ROOM);
    let mut shards = [shard("Riley"), shard("Jaquez"), shard("Bernard")];
    for (at, record) in told.iter().enumerate() {
        tell(&mut shards[0], record);
        tell(&mut shards[1], &told[told.len() - 1 - at]);
        tell(&mut shards[2], &told[at * 701 % told.len()]);
    }
    // What differs is sent again, as a repair does it.
    let mut rounds = 0;
    while (1..shards.len()).any(|at| held(&shards[at]) != held(&shards[0])) {
        rounds += 1;
        assert!(rounds < 10);
        for (from, to) in [(0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)] {
            for record in held(&shards[from]) {
                tell(&mut shards[to], &record);
            }
        }
    }
    for shard in &shards {
        assert!(shard.usage(Class::Unknown).bytes <= ROOM);
        assert_eq!(shard.contradiction(), None);
    }
}

/// The last data that a replica sends of `key` over a new link.
fn retold(from: &Replica, kind: Kind, key: &[u8]) -> Encoder {
    let mut encoder = Encoder::default();
    from.find(NOW_NS, kind, key, |held| {
        let index = encoder.index_of(held.origin).unwrap();
        encoder.record(index, held.seq, &held.record);
    })
    .unwrap();
    encoder
}

#[test]
fn what_finds_no_room_ends_no_link_and_what_lost_its_room_is_no_lie() {
    let (one, other) = (replica("Riley"), replica("Jaquez"));
    let (mut a, mut b) = join(NOW_NS, (&one, link(0)), (&other, link(0)));
    let _ = one.tell(NOW_NS, Kind(200), b"old", 0, &[7; DATA_LEN_MAX]);
    settle(&mut a, &mut b);
    let told = retold(&other, Kind(200), b"old");
    for at in 1..5000 {
        let _ = one.tell(NOW_NS + at, Kind(200), format!("fence-{at}").as_bytes(), 0, &[7; DATA_LEN_MAX]);
    }
    assert_eq!(data(&one, NOW_NS, Kind(200), b"old"), None);
    // A neighbor that does not have the newer record sends the old one back.
    let mut incoming = Incoming::new(link(5));
    incoming.receive(&one, NOW_NS, empty_vectors().bytes(), &mut Wake::default()).unwrap();
    incoming.receive(&one, NOW_NS, told.bytes(), &mut Wake::default()).unwrap();
    let nonsense = one.nonsense(link(5));
    assert_eq!(nonsense[Nonsense::Records.index()], 1, "{nonsense:?}");
    assert_eq!(nonsense.iter().sum::<u64>(), 1, "{nonsense:?}");
    assert_eq!(one.contradiction(), None);
}
