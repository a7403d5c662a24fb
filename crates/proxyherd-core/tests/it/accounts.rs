//! Accounts of places quotas that a bad member makes up: they take no room from those of the herd's members.

use std::collections::BTreeSet;

use proxyherd_core::{
    codec::link::Encoder,
    flood::{Class, Nonsense, Wake},
    limits::{DATA_LEN_MAX, QUOTA_BYTES_MAX, SERVERS_MAX, SHARDS, STRAY_QUOTA_BYTES_MAX, UNKNOWN_BYTES_MAX},
    link::Incoming,
    places::quota::{ACCOUNT_LEN_MAX, Period, Span, key},
    replica::{Agreed, Replica},
    types::{Body, Difference, Kind, Origin, Record, ServerName, Timestamp},
};

use crate::herd::{End, NOW_NS, SECOND_NS, empty_vectors, join, link, origin, replica, settle};

const DAY_NS: u64 = 24 * 3600 * SECOND_NS;
const EVES: usize = 9;
const MEMBERS: [&str; 4] = ["Riley", "Jaquez", "Juzang", "Eve"];
/// An account that Eve makes up, as long as one with many grants.
const INVENTED: &[u8] = &[7; 8000];

fn name(of: &str) -> ServerName {
    ServerName::new(of).unwrap()
}

fn names<'a>(of: impl IntoIterator<Item = &'a str>) -> Vec<ServerName> {
    of.into_iter().map(name).collect()
}

/// A replica that knows the members.
fn member(server: &str) -> Replica {
    let replica = replica(server);
    replica.set_members(&names(MEMBERS));
    replica
}

fn key_of(span: Span, now_ns: u64, server: &str) -> String {
    key(span.at(now_ns), &name(server))
}

/// A record's key and data, and for how long it is kept.
#[derive(Clone, Copy)]
struct Said<'a> {
    kind: Kind,
    key: &'a str,
    at_ns: u64,
    keep_s: u32,
    bytes: &'a [u8],
}

/// A neighbor that sends one server anything.
struct Eve<'m> {
    replica: &'m Replica,
    encoder: Encoder,
    incoming: Incoming,
}

impl<'m> Eve<'m> {
    fn at(replica: &'m Replica) -> Eve<'m> {
        let mut incoming = Incoming::new(link(EVES));
        incoming.receive(replica, NOW_NS, empty_vectors().bytes(), &mut Wake::default()).unwrap();
        Eve { replica, encoder: Encoder::default(), incoming }
    }

    fn tell(&mut self, origin: &Origin, seq: u64, said: Said<'_>) {
        let timestamp = Timestamp::from_nanos(said.at_ns).unwrap();
        let body = Body::Data { keep_s: said.keep_s, bytes: said.bytes };
        let difference = Difference::at_receipt(said.at_ns, timestamp);
        let record = Record { kind: said.kind, key: said.key.as_bytes(), body, timestamp, difference };
        let index = self.encoder.index_of(origin).unwrap();
        self.encoder.record(index, seq, &record);
        self.incoming.receive(self.replica, NOW_NS, self.encoder.bytes(), &mut Wake::default()).unwrap();
        self.encoder.clear();
    }

    /// A server's account of the present day, in its own name.
    fn account(&mut self, server: &str, incarnation: u64, bytes: &[u8]) {
        let key = key_of(Span::Day, NOW_NS, server);
        let said = Said { kind: Kind::QUOTA, key: &key, at_ns: NOW_NS, keep_s: Span::Day.keep_s(), bytes };
        self.tell(&origin(server, incarnation), 1, said);
    }

    fn nonsense(&self, what: Nonsense) -> u64 {
        self.replica.nonsense(link(EVES))[what.index()]
    }
}

fn data(replica: &Replica, kind: Kind, key: &str) -> Option<Vec<u8>> {
    let bytes = replica.find(NOW_NS, kind, key.as_bytes(), |held| match held.record.body {
        Body::Data { bytes, .. } => Some(bytes.to_vec()),
        _ => None,
    });
    bytes.flatten()
}

fn account(replica: &Replica, server: &str) -> Option<Vec<u8>> {
    data(replica, Kind::QUOTA, &key_of(Span::Day, NOW_NS, server))
}

#[test]
fn accounts_that_are_made_up_take_no_room_from_those_of_members() {
    let juzang = member("Juzang");
    let honest = ["Riley", "Jaquez"];
    let mut eve = Eve::at(&juzang);
    for server in honest {
        eve.account(server, 1, b"true");
    }
    let mut invented = 0;
    let mut tell = |said: Said<'_>, origin: &Origin| {
        invented += 1;
        // All of it is sent after what is true.
        eve.tell(origin, invented, Said { at_ns: NOW_NS + invented, ..said });
    };
    let day = Said { kind: Kind::QUOTA, key: "", at_ns: 0, keep_s: Span::Day.keep_s(), bytes: INVENTED };
    for number in 0..3000 {
        // Accounts of servers that do not exist, in their own names.
        let server = format!("nobody-{}", number % 250);
        let past = Period { span: Span::Day, number: number / 250 };
        let key_of_now = key_of(Span::Day, NOW_NS, &server);
        let key_of_past = key(past, &name(&server));
        let text = if number < 250 { &key_of_now } else { &key_of_past };
        tell(Said { key: text, ..day }, &origin(&server, 1));
        // Accounts of members, of other days, in the names of earlier lives.
        for server in honest {
            let day_then = key(Period { span: Span::Day, number }, &name(server));
            tell(Said { key: &day_then, keep_s: 0, ..day }, &origin(server, 0));
        }
        // Records of unknown kinds.
        tell(Said { key: &format!("year/{number}"), ..day }, &origin("Eve", 1));
        tell(Said { key: &format!("day/2023-11-14/Riley/{number}"), ..day }, &origin("Eve", 1));
    }
    let told = invented as usize * INVENTED.len();
    assert!(told > QUOTA_BYTES_MAX + STRAY_QUOTA_BYTES_MAX, "{told}");
    for server in honest {
        assert_eq!(account(&juzang, server).as_deref(), Some(&b"true"[..]), "{server}");
    }
    assert_eq!(juzang.usage(Class::Quota).dropped, 0);
    let stray = juzang.usage(Class::StrayQuota);
    assert!(stray.bytes <= STRAY_QUOTA_BYTES_MAX && stray.dropped > 0, "{stray:?}");
    assert_eq!(juzang.contradiction(), None);
}

#[test]
fn all_accounts_that_members_can_have_find_room() {
    let riley = replica("Riley");
    let servers: Vec<_> = (0..SERVERS_MAX).map(|number| format!("{number:0>64}")).collect();
    riley.set_members(&names(servers.iter().map(String::as_str)));
    let mut eve = Eve::at(&riley);
    let longest = [7; ACCOUNT_LEN_MAX];
    let mut told = BTreeSet::new();
    // Accounts that servers have issued long ago and that are not over.
    for days_ago in (0..Span::Month.keep_s() / 86_400).rev() {
        let at_ns = NOW_NS - u64::from(days_ago) * DAY_NS;
        let spans =
            Span::ALL.into_iter().filter(|span| u64::from(span.keep_s()) * SECOND_NS > NOW_NS - at_ns);
        for span in spans {
            // A clock may be wrong by one period.
            let Period { number, .. } = span.at(at_ns);
            for number in [number - 1, number, number + 1] {
                for server in &servers {
                    let key = key(Period { span, number }, &name(server));
                    if !told.insert(key.clone()) {
                        continue;
                    }
                    let said =
                        Said { kind: Kind::QUOTA, key: &key, at_ns, keep_s: span.keep_s(), bytes: &longest };
                    eve.tell(&origin(server, 1), told.len() as u64, said);
                }
            }
        }
    }
    assert!(told.len() >= 10 * SERVERS_MAX, "{}", told.len());
    assert_eq!(riley.len(), told.len() as u64);
    let usage = riley.usage(Class::Quota);
    assert!(usage.dropped == 0 && usage.bytes <= QUOTA_BYTES_MAX, "{usage:?}");
    assert_eq!(riley.usage(Class::StrayQuota).bytes, 0);
}

#[test]
fn nobody_says_another_servers_account() {
    let (jaquez, juzang) = (member("Jaquez"), member("Juzang"));
    let (mut to_juzang, mut to_jaquez) = join(NOW_NS, (&jaquez, link(0)), (&juzang, link(0)));
    let mut eve = Eve::at(&jaquez);
    eve.account("Riley", 1, b"true");
    let key = key_of(Span::Day, NOW_NS, "Riley");
    let keep_s = Span::Day.keep_s();
    for (seq, (server, keep_s)) in (1..).zip([("Eve", keep_s), ("Juzang", keep_s), ("nobody", 1)]) {
        let said = Said { kind: Kind::QUOTA, key: &key, at_ns: NOW_NS + SECOND_NS, keep_s, bytes: b"false" };
        eve.tell(&origin(server, 7), seq, said);
        assert_eq!(eve.nonsense(Nonsense::Account), seq);
    }
    settle(&mut to_juzang, &mut to_jaquez);
    for replica in [&jaquez, &juzang] {
        assert_eq!(account(replica, "Riley").as_deref(), Some(&b"true"[..]));
        assert_eq!((replica.len(), replica.contradiction()), (1, None));
    }
    assert_eq!(to_jaquez.incoming.records(), 1, "the false ones are not passed on");
    assert_eq!(juzang.nonsense(link(0)), [0; Nonsense::ALL.len()]);
}

#[test]
fn an_account_is_kept_for_a_server_that_is_a_member_soon_and_goes_first_when_it_is_none_any_more() {
    let juzang = member("Juzang");
    let mut eve = Eve::at(&juzang);
    eve.account("Bernard", 1, b"true");
    assert!(juzang.usage(Class::StrayQuota).bytes > 0);
    assert_eq!(juzang.usage(Class::Quota).bytes, 0);
    juzang.set_members(&names(MEMBERS.into_iter().chain(["Bernard"])));
    assert_eq!(juzang.usage(Class::StrayQuota).bytes, 0);
    assert_eq!((account(&juzang, "Bernard").as_deref(), juzang.contradiction()), (Some(&b"true"[..]), None));
    let mut flood = |from: u64| {
        for seq in from..from + 1000 {
            let (key, at_ns) = (format!("year/{seq}"), NOW_NS + seq);
            let said = Said { kind: Kind::QUOTA, key: &key, at_ns, keep_s: 0, bytes: INVENTED };
            eve.tell(&origin("Eve", 1), seq, said);
        }
    };
    flood(1);
    assert!(juzang.usage(Class::StrayQuota).dropped > 0);
    assert_eq!(account(&juzang, "Bernard").as_deref(), Some(&b"true"[..]));
    juzang.set_members(&names(MEMBERS));
    flood(1001);
    assert_eq!((account(&juzang, "Bernard"), juzang.contradiction()), (None, None));
}

/// One heartbeat in each direction, and what follows from it.
fn beat<'m>(a: &mut End<'m>, b: &mut End<'m>) {
    for end in [&mut *a, &mut *b] {
        end.replica.write_heartbeat(end.link, end.now_ns, &mut end.encoder);
    }
    settle(a, b);
}

#[test]
fn an_account_that_found_no_room_is_told_again_once_its_server_is_a_member() {
    let (jaquez, juzang) = (member("Jaquez"), member("Juzang"));
    let now_members = names(MEMBERS.into_iter().chain(["Bernard"]));
    // Jaquez has read the new file, Juzang has not.
    jaquez.set_members(&now_members);
    for replica in [&jaquez, &juzang] {
        let agreed = Agreed { version: 2, has_tree: false };
        let _ = replica.agree(link(0), &replica.me().server, agreed, &mut Encoder::default());
    }
    let mut eve = Eve::at(&juzang);
    for seq in 1..1000 {
        let (key, at_ns) = (format!("year/{seq}"), NOW_NS + seq);
        let said = Said { kind: Kind::QUOTA, key: &key, at_ns, keep_s: 0, bytes: INVENTED };
        eve.tell(&origin("Eve", 1), seq, said);
    }
    Eve::at(&jaquez).account("Bernard", 1, INVENTED);
    let (mut to_juzang, mut to_jaquez) = join(NOW_NS, (&jaquez, link(0)), (&juzang, link(0)));
    settle(&mut to_juzang, &mut to_jaquez);
    assert_eq!(account(&juzang, "Bernard"), None);
    assert_eq!(juzang.nonsense(link(0))[Nonsense::Records.index()], 1);
    juzang.set_members(&now_members);
    for _ in 0..100 {
        beat(&mut to_juzang, &mut to_jaquez);
    }
    assert_eq!(account(&juzang, "Bernard").as_deref(), Some(INVENTED));
    // From here on both hold the same.
    let sent = to_jaquez.incoming.records() + to_juzang.incoming.records();
    (0..20).for_each(|_| beat(&mut to_juzang, &mut to_jaquez));
    assert_eq!(to_jaquez.incoming.records() + to_juzang.incoming.records(), sent);
}

#[test]
fn a_kind_that_nobody_knows_takes_no_room_from_another_that_needs_less() {
    let riley = member("Riley");
    let mut eve = Eve::at(&riley);
    let mut seq = 0;
    let mut tell = |kind: u8, key: &str, bytes: &[u8]| {
        seq += 1;
        let at_ns = NOW_NS + seq;
        eve.tell(&origin("Eve", 1), seq, Said { kind: Kind(kind), key, at_ns, keep_s: 0, bytes });
    };
    let fences: Vec<_> = (0..500).map(|number| format!("fence-{number}")).collect();
    fences.iter().for_each(|key| tell(200, key, b"true"));
    for number in 0..2 * UNKNOWN_BYTES_MAX / DATA_LEN_MAX {
        tell(100 + (number % 5) as u8, &format!("thing-{number}"), &[7; DATA_LEN_MAX]);
    }
    let usage = riley.usage(Class::Unknown);
    assert!(usage.dropped > 0 && usage.bytes > UNKNOWN_BYTES_MAX * 9 / 10, "{usage:?}");
    let is_held = |key: &&String| data(&riley, Kind(200), key).is_some();
    assert_eq!(fences.iter().filter(is_held).count(), fences.len());
    // The others share what is left.
    let mut held = [0; 5];
    riley.for_each(|one| {
        if let 100..105 = one.record.kind.0 {
            held[usize::from(one.record.kind.0 - 100)] += 1;
        }
    });
    let (least, most) = (held.iter().min().unwrap(), held.iter().max().unwrap());
    assert!(*least > 0 && most - least <= 2 * SHARDS, "{held:?}");
    assert_eq!(riley.contradiction(), None);
}

#[test]
fn a_lie_about_a_servers_account_is_contradicted_whatever_else_it_has_dropped() {
    let riley = member("Riley");
    let keep_s = Span::Day.keep_s();
    let key = key_of(Span::Day, NOW_NS, "Riley");
    let _ = riley.tell(NOW_NS, Kind::QUOTA, key.as_bytes(), keep_s, b"true");
    // Riley's answers to lies find no room: those of other kinds, and those about accounts that no member needs.
    for at in 0..1000 {
        for kind in [Kind(200), Kind::QUOTA] {
            let _ = riley.tell(NOW_NS + at, kind, format!("year/{at}").as_bytes(), 0, &[7; DATA_LEN_MAX]);
        }
    }
    for at in 0..5000 {
        let _ = riley.tell(NOW_NS + at, Kind(200), format!("fence-{at}").as_bytes(), 0, &[7; DATA_LEN_MAX]);
    }
    assert!(riley.usage(Class::Unknown).dropped > 0 && riley.usage(Class::StrayQuota).dropped > 0);
    let mut eve = Eve::at(&riley);
    for (lies, keep_s) in (1..).zip([keep_s, 0, 100]) {
        let at_ns = NOW_NS + lies * SECOND_NS;
        eve.tell(
            &origin("Riley", 1),
            1,
            Said { kind: Kind::QUOTA, key: &key, at_ns, keep_s, bytes: b"false" },
        );
        assert_eq!(account(&riley, "Riley").as_deref(), Some(&b"true"[..]));
        assert_eq!(eve.nonsense(Nonsense::OwnRecord), lies);
    }
    assert_eq!(riley.contradiction(), None);
}
