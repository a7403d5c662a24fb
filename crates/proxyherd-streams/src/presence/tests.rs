//! Tests of presence: each event once, in order, and the same events at every server.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::limits::PRESENCE_ENDED_NS;

const SECOND_NS: u64 = 1_000_000_000;
const DAY_NS: u64 = 86_400 * SECOND_NS;
const BEGAN_NS: u64 = 19_675 * DAY_NS;
const SILENT_NS: u64 = 300 * SECOND_NS;
/// The time at which an event that is due at 0 seconds is told at the latest, in seconds.
const LATE_S: u64 = 2;

fn presence() -> Presence {
    Presence::new(PresenceSettings { silent_ns: Some(SILENT_NS), began_ns: BEGAN_NS, seed: 7 })
}

fn at_ns(second: u64) -> u64 {
    BEGAN_NS + second * SECOND_NS
}

/// A report that was received at this second, and lives for so many seconds; 0: for ever.
fn report(second: u64, ttl_s: u64) -> Seen {
    let received_ns = at_ns(second);
    let shown_until_ns = if ttl_s == 0 { u64::MAX } else { received_ns + ttl_s * SECOND_NS };
    Seen::Report { received_ns, shown_until_ns }
}

fn tombstone(second: u64) -> Seen {
    Seen::Tombstone { version: Version(at_ns(second)), received_ns: at_ns(second) }
}

/// A server's presence, and what it has told.
struct Server {
    presence: Presence,
    told: Vec<(String, u128)>,
}

impl Server {
    fn new() -> Server {
        Server { presence: presence(), told: Vec::new() }
    }

    fn see(&mut self, now_s: u64, client: &str, seen: Seen) {
        let told = &mut self.told;
        self.presence.see(at_ns(now_s), client.as_bytes(), seen, |event| told.push(text(event)));
        self.check();
    }

    fn pass(&mut self, now_s: u64) {
        let told = &mut self.told;
        while !self.presence.pass(at_ns(now_s), 3, |event| told.push(text(event))) {}
        assert!(self.presence.due_ns().is_none_or(|due_ns| due_ns > at_ns(now_s)));
        self.check();
    }

    /// Passes the time step by step, as a thread does that waits for the next due time.
    fn pass_slowly(&mut self, until_s: u64) {
        while let Some(due_ns) = self.presence.due_ns().filter(|&due_ns| due_ns <= at_ns(until_s)) {
            let told = &mut self.told;
            self.presence.pass(due_ns, 1, |event| told.push(text(event)));
            self.check();
        }
    }

    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told).into_iter().map(|(text, _)| text).collect()
    }

    /// The bookkeeping holds: each client has one valid timer at most, and no list is longer than it may be.
    fn check(&self) {
        let presence = &self.presence;
        let valid =
            presence.timers.iter().filter(|Reverse((tick, at))| presence.slots[*at as usize].timer == *tick);
        let valid: BTreeSet<u32> = valid.map(|Reverse((_, at))| *at).collect();
        for &(_, at) in &presence.table {
            let slot = &presence.slots[at as usize];
            let due_ns = presence.rules.due_ns(slot.life);
            assert!(due_ns == u64::MAX || valid.contains(&at), "{slot:?} has no timer");
        }
        assert!(presence.timers.len() <= 2 * presence.table.len() + growth(presence.timers.len()) + 64);
        assert_eq!(presence.slots.len(), presence.table.len() + presence.free.len());
        let ended = presence
            .table
            .iter()
            .filter(|(_, at)| matches!(presence.slots[*at as usize].life, Life::Ended { .. }));
        assert_eq!(ended.count(), presence.ended);
    }
}

fn text(event: PresenceEvent<'_>) -> (String, u128) {
    (format!("{} {}", event.client.escape_ascii(), event.kind.label()), event.event_id)
}

#[test]
fn a_client_comes_falls_silent_is_back_and_is_gone_each_exactly_once() {
    let mut server = Server::new();
    server.see(0, "kiwi", report(0, 0));
    server.see(10, "kiwi", report(10, 0));
    assert_eq!(server.take(), ["kiwi came"]);
    server.pass(10 + 300);
    assert_eq!(server.take(), [""; 0], "a newer report may be on its way");
    server.pass(10 + 300 + LATE_S);
    server.pass(1000);
    assert_eq!(server.take(), ["kiwi silent"]);
    server.see(1001, "kiwi", report(1001, 0));
    server.see(1002, "kiwi", report(1002, 0));
    assert_eq!(server.take(), ["kiwi back"]);
    server.see(1003, "kiwi", tombstone(1003));
    server.see(1003, "kiwi", tombstone(1003));
    server.see(1004, "kiwi", Seen::Removed);
    server.pass(5000);
    assert_eq!(server.take(), ["kiwi gone"]);
    server.see(5001, "kiwi", report(5001, 0));
    assert_eq!(server.take(), ["kiwi came"]);
}

#[test]
fn a_report_that_expires_is_gone_once_with_the_key_of_its_receipt() {
    // The server's sweep may tell it before or after the timer, or not at all.
    for removed_at_s in [60, 61, 70, u64::MAX] {
        let mut server = Server::new();
        server.see(0, "kiwi", report(0, 60));
        server.take();
        if removed_at_s < 62 {
            server.see(removed_at_s, "kiwi", Seen::Removed);
        }
        assert_eq!(server.take(), [""; 0]);
        server.pass(60 + LATE_S);
        server.see(70, "kiwi", Seen::Removed);
        assert_eq!(server.told.len(), 1);
        let expected = PresenceEvent::new(PresenceKind::Gone, b"kiwi", event::Cause::Received(at_ns(0)));
        assert_eq!(server.told[0], text(expected));
        // The record is held for a while, and its slot may move to another origin.
        server.see(71, "kiwi", report(0, 60));
        server.pass(2000);
        assert_eq!(server.told.len(), 1);
    }
}

#[test]
fn a_client_that_expires_silent_is_silent_first_and_gone_then() {
    let mut server = Server::new();
    server.see(0, "kiwi", report(0, 1000));
    server.pass(5000);
    assert_eq!(server.take(), ["kiwi came", "kiwi silent", "kiwi gone"]);
    // Nobody was told in between, and the next report is here.
    server.see(6000, "emu", report(6000, 1000));
    server.see(9000, "emu", report(9000, 1000));
    assert_eq!(server.take(), ["emu came", "emu silent", "emu gone", "emu came"]);
}

#[test]
fn who_was_there_before_presence_began_has_not_come() {
    let mut server = Server::new();
    let before =
        |seconds| Seen::Report { received_ns: BEGAN_NS - seconds * SECOND_NS, shown_until_ns: u64::MAX };
    server.presence.note(BEGAN_NS, b"kiwi", before(10));
    server.presence.note(BEGAN_NS, b"emu", before(1000));
    server.see(1, "late", before(5));
    server.pass(250);
    assert_eq!(server.take(), [""; 0], "the emu is silent already, and nobody is told");
    server.pass(300);
    let mut told = server.take();
    told.sort();
    assert_eq!(told, ["kiwi silent", "late silent"]);
    server.see(400, "emu", report(400, 0));
    assert_eq!(server.take(), ["emu back"]);
}

#[test]
fn a_life_that_has_ended_is_forgotten_after_a_day_and_takes_no_memory_after_that() {
    let mut server = Server::new();
    server.see(0, "kiwi", report(0, 10));
    server.pass(20);
    assert_eq!((server.presence.len(), server.presence.ended), (1, 1));
    server.pass(20 + PRESENCE_ENDED_NS / SECOND_NS);
    assert!(server.presence.is_empty());
    server.see(200_000, "kiwi", report(200_000, 10));
    assert_eq!(server.take(), ["kiwi came", "kiwi gone", "kiwi came"]);
    let ids: BTreeSet<_> = server.told.iter().map(|(_, id)| *id).collect();
    assert_eq!(ids.len(), server.told.len());
}

#[test]
fn timers_stay_as_few_as_the_clients_whatever_their_times_to_live() {
    let mut server = Server::new();
    for round in 0..2000 {
        // Each report expires earlier than the one before, so each needs a timer of its own.
        server.see(round, "kiwi", report(round, 100_000 - 40 * round));
    }
    assert!(server.presence.timers.len() < 200, "{}", server.presence.timers.len());
    server.pass(90_000);
    assert_eq!(server.take(), ["kiwi came", "kiwi silent", "kiwi gone"]);
}

#[test]
fn a_client_takes_less_than_a_hundred_bytes_and_its_id() {
    let mut presence = presence();
    const CLIENTS: usize = 100_000;
    for number in 0..CLIENTS {
        presence.see(at_ns(1), format!("client-{number}").as_bytes(), report(1, 0), |_| ());
    }
    let lists = presence.slots.capacity() * size_of::<Slot>() + presence.timers.capacity() * 8;
    let bytes = lists + presence.table.allocation_size();
    assert!(bytes / CLIENTS < 100, "{} bytes a client", bytes / CLIENTS);
}

#[test]
fn a_server_that_lacks_the_last_report_before_a_client_would_expire_tells_an_end_of_its_own() {
    let (mut quick, mut slow) = (Server::new(), Server::new());
    for second in [1, 499, 500, 501] {
        quick.see(second, "kiwi", report(second, if second == 1 { 500 } else { 0 }));
    }
    slow.see(1, "kiwi", report(1, 500));
    slow.see(501, "kiwi", report(501, 0));
    assert_eq!(quick.take(), ["kiwi came", "kiwi silent", "kiwi back"]);
    assert_eq!(slow.take(), ["kiwi came", "kiwi silent", "kiwi gone", "kiwi came"]);
}

/// A burst of reports of one client, less than a second apart from each other, and a pause behind it.
#[derive(Clone, Debug)]
struct Burst {
    client: u8,
    /// For each report of the burst, whether the slow server is sent it. The last one is always sent.
    sent: Vec<bool>,
    ttl_s: u64,
    /// Whether the client is forgotten at the end.
    is_forgotten: bool,
    pause_s: u64,
}

fn bursts() -> impl Strategy<Value = Vec<Burst>> {
    let burst = (
        0..3u8,
        prop::collection::vec(any::<bool>(), 1..6),
        prop_oneof![3 => Just(0), 1 => Just(100), 1 => Just(500)],
        prop::bool::weighted(0.2),
        prop_oneof![
            3 => 0..5u64,
            2 => 20..60u64,
            1 => 92..102u64,
            1 => 292..302u64,
            1 => 492..502u64,
            2 => 400..900u64,
            1 => Just(90_000),
        ],
    );
    let burst = burst.prop_map(|(client, sent, ttl_s, is_forgotten, pause_s)| Burst {
        client,
        sent,
        ttl_s,
        is_forgotten,
        pause_s,
    });
    prop::collection::vec(burst, 1..40)
}

proptest! {
    #[test]
    fn two_servers_tell_the_same_events_whatever_reports_one_of_them_was_not_sent(bursts in bursts()) {
        let (mut quick, mut slow) = (Server::new(), Server::new());
        let mut now_s = 1;
        // When each client is silent, and when it expires, unless it reports before.
        let mut moments = [[0; 2]; 3];
        for Burst { client, sent, ttl_s, is_forgotten, pause_s } in bursts {
            let name = format!("client-{client}");
            let burst_len = sent.len() as u64;
            // The last report before the client would be silent or expire is sent, see the head of the module.
            let last_s = now_s + burst_len - 1;
            let is_decided = moments[client as usize].iter().any(|moment| (now_s + 1..=last_s).contains(moment));
            moments[client as usize] = [last_s + SILENT_NS / SECOND_NS, last_s + ttl_s];
            for (place, is_sent) in (0..).zip(sent) {
                // The reports of a burst have one time to live. All arrive at the slow server when the burst is over.
                let seen = report(now_s + place, ttl_s);
                quick.pass_slowly(now_s + place);
                quick.see(now_s + place, &name, seen);
                if is_sent || is_decided || place + 1 == burst_len {
                    slow.see(now_s + burst_len, &name, seen);
                }
            }
            now_s += burst_len;
            if is_forgotten {
                quick.see(now_s, &name, tombstone(now_s));
                slow.see(now_s, &name, tombstone(now_s));
            }
            now_s += pause_s + 1;
            quick.pass_slowly(now_s);
            slow.pass(now_s);
        }
        quick.pass_slowly(now_s + 200_000);
        slow.pass(now_s + 200_000);
        // The events of different clients may come in any order.
        let by_client = |server: &Server| {
            let mut by_client: BTreeMap<String, Vec<(String, u128)>> = BTreeMap::new();
            for (text, id) in &server.told {
                let (client, kind) = text.split_once(' ').unwrap();
                by_client.entry(client.to_owned()).or_default().push((kind.to_owned(), *id));
            }
            by_client
        };
        prop_assert_eq!(by_client(&quick), by_client(&slow));
        let ids: BTreeSet<u128> = quick.told.iter().map(|(_, id)| *id).collect();
        prop_assert_eq!(ids.len(), quick.told.len(), "each event has an ID of its own");
        for events in by_client(&quick).values() {
            let mut before = "gone";
            for (kind, _) in events {
                let is_in_order = match kind.as_str() {
                    "came" => before == "gone",
                    "silent" => before == "came" || before == "back",
                    "back" => before == "silent",
                    _ => before != "gone",
                };
                prop_assert!(is_in_order, "{} after {}", kind, before);
                before = kind;
            }
        }
    }
}
