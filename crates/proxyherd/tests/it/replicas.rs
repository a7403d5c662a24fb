//! Tests of `replicas`: every door acknowledges a report when the wanted number of neighbors holds it, and not before.

use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::harness::{
    Herd, OPERATOR_TOKEN, Plan, Reply, WHERE_AND_WHEN, Ws, at_of, ats_of, bearer, eventually, request,
};

/// `ack_timeout_ms` of these tests.
const ACK_TIMEOUT: Duration = Duration::from_millis(400);

/// A plan whose servers wait for one neighbor.
fn with_one_replica(plan: Plan) -> Plan {
    plan.herd(&format!("replicas = 1\nack_timeout_ms = {}", ACK_TIMEOUT.as_millis()))
}

/// Riley with the neighbors Jaquez and Juzang, which have no link with each other.
fn star() -> Plan {
    Plan::classic().without_server("Campbell").without_server("Bernard")
}

/// The answer of an HTTP door to a request with this body.
fn send(http: SocketAddr, method: &str, target: &str, media: &str, body: &str) -> Reply {
    let token = bearer(OPERATOR_TOKEN);
    let len = body.len();
    let head = format!("{method} {target} HTTP/1.0\r\nHost: {http}\r\n{token}");
    request(http, format!("{head}Content-Type: {media}\r\nContent-Length: {len}\r\n\r\n{body}").as_bytes())
}

fn put(http: SocketAddr, id: &str) -> Reply {
    let body = json!({ "lat": 34.07, "lon": -118.44 }).to_string();
    send(http, "PUT", &format!("/v1/clients/{id}/location"), "application/json", &body)
}

/// Every request over HTTP that changes something, with a name of its own in the IDs. The status code of its success
/// comes with it.
fn changes(http: SocketAddr, phones: SocketAddr, name: &str) -> Vec<(&'static str, u16, Reply)> {
    let line = json!({ "id": format!("{name}-batch"), "lat": 1, "lon": 2 });
    let token = json!({ "scopes": ["read:*"] }).to_string();
    let share = json!({ "id": "kiwi", "expires_s": 600 }).to_string();
    let phone = format!("/?id={name}-phone&lat=1&lon=2");
    vec![
        ("PUT", 200, put(http, &format!("{name}-put"))),
        ("batch", 200, send(http, "POST", "/v1/reports", "application/x-ndjson", &format!("{line}\n"))),
        ("phone", 200, send(phones, "GET", &phone, "text/plain", "")),
        ("DELETE", 204, send(http, "DELETE", "/v1/clients/kiwi", "text/plain", "")),
        ("token", 201, send(http, "POST", "/v1/tokens", "application/json", &token)),
        ("share", 201, send(http, "POST", "/v1/shares", "application/json", &share)),
    ]
}

/// Expects that a line gets no reply, that the connection ends, and that this takes as long as `ack_timeout_ms` says.
fn check_line_is_not_acknowledged(herd: &Herd, client: &str) {
    let (began, mut riley) = (Instant::now(), herd.client("Riley"));
    assert_eq!(riley.ask(&format!("AUTH {OPERATOR_TOKEN}")), "AUTH ok");
    riley.send(format!("IAMAT {client} {WHERE_AND_WHEN}\n").as_bytes());
    assert_eq!(String::from_utf8_lossy(&riley.rest()), "", "no AT");
    assert!(began.elapsed() >= ACK_TIMEOUT, "after {:?}", began.elapsed());
}

fn check_not_durable(door: &str, reply: &Reply) {
    assert_eq!(reply.code, 503, "{door}: {reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{door}: {reply:?}");
    let detail = reply.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("not durable within 400 ms"), "{door}: {detail}");
}

#[test]
fn an_acknowledgement_never_comes_before_the_neighbor_holds_the_report() {
    let herd = with_one_replica(Plan::pair()).start();
    let (mut riley, mut jaquez) = (herd.client("Riley"), herd.client("Jaquez"));
    for round in 0..300 {
        let client = format!("line-{round}");
        let at = riley.ask(&format!("IAMAT {client} {WHERE_AND_WHEN}"));
        assert!(at.starts_with("AT Riley "), "{at}");
        assert_eq!(at_of(&mut jaquez, &client), at);
    }
    for round in 0..100 {
        let client = format!("http-{round}");
        assert_eq!(put(herd.at("Riley").http, &client).code, 200);
        assert!(at_of(&mut jaquez, &client).starts_with("AT Riley "));
    }
    // A report that is acknowledged again, because it is not newer, waits as well, and is held.
    let again = riley.ask(&format!("IAMAT line-0 {WHERE_AND_WHEN}"));
    assert!(again.starts_with("AT Riley "), "{again}");
}

#[test]
fn no_door_acknowledges_while_the_neighbor_is_silent_and_every_door_does_when_it_is_back() {
    let plan = with_one_replica(Plan::pair()).with_tokens().with_phones();
    let herd = plan.access("open = true").start();
    let (http, phones) = (herd.at("Riley").http, herd.at("Riley").phones);
    let ws = || Ws::open(http, &bearer(OPERATOR_TOKEN)).unwrap();
    let report = |id: &str| json!({ "report": { "id": id, "lat": 1, "lon": 2 }, "ref": 1 });
    let mut early = ws();
    assert_eq!(early.ask(&report("early"))["result"], "accepted");
    assert_eq!(put(http, "kiwi").code, 200);

    herd.process("Jaquez").signal("STOP");
    check_line_is_not_acknowledged(&herd, "silent");
    for (door, _, reply) in changes(http, phones, "silent") {
        check_not_durable(door, &reply);
    }
    let refused = early.ask(&report("silent-ws"));
    assert_eq!(refused["ref"], 1, "{refused}");
    assert!(refused["error"].as_str().unwrap().contains("not durable within 400 ms"), "{refused}");
    herd.wait_for_log("Riley", "the client's reports were not durable within 0.4 s");
    // The link ends because the neighbor is silent. That changes nothing.
    herd.wait_for_log("Riley", "down after ");
    check_line_is_not_acknowledged(&herd, "down");
    check_not_durable("PUT", &put(http, "down"));

    herd.process("Jaquez").signal("CONT");
    herd.wait_for_links(&["Riley", "Jaquez"]);
    eventually("a report is acknowledged again", || match put(http, "back") {
        Reply { code: 200, .. } => Ok(()),
        reply => Err(format!("{reply:?}")),
    });
    assert_eq!(put(http, "kiwi").code, 200);
    for (door, code, reply) in changes(http, phones, "back") {
        assert_eq!(reply.code, code, "{door}: {reply:?}");
    }
    assert_eq!(ws().ask(&report("back-ws"))["result"], "accepted");
    let mut riley = herd.client("Riley");
    assert_eq!(riley.ask(&format!("AUTH {OPERATOR_TOKEN}")), "AUTH ok");
    assert!(riley.ask(&format!("IAMAT back-line {WHERE_AND_WHEN}")).starts_with("AT Riley "));
    // What was not acknowledged was kept, and has reached the neighbor since.
    let mut jaquez = herd.client("Jaquez");
    assert_eq!(jaquez.ask(&format!("AUTH {OPERATOR_TOKEN}")), "AUTH ok");
    let clients = ["silent", "silent-put", "silent-batch", "silent-phone", "silent-ws", "down", "back-line"];
    let held = ats_of(&mut jaquez, &clients);
    assert!(held.iter().all(|line| line.starts_with("AT Riley ")), "{held:#?}");
}

#[test]
fn with_two_replicas_both_neighbors_hold_a_report_before_it_is_acknowledged() {
    let mut herd = star().prepare();
    let timeout = ACK_TIMEOUT.as_millis();
    let text = herd.text().replace(
        "name = \"Riley\"\n",
        &format!("name = \"Riley\"\nreplicas = 2\nack_timeout_ms = {timeout}\n"),
    );
    herd.write_file("herd.toml", &text);
    let names = ["Riley", "Jaquez", "Juzang"];
    herd.start_all(&names);
    herd.wait_for_links(&names);
    let http = herd.at("Riley").http;
    let [mut riley, mut jaquez, mut juzang] = names.map(|name| herd.client(name));
    for round in 0..100 {
        let client = format!("c{round}");
        let at = riley.ask(&format!("IAMAT {client} {WHERE_AND_WHEN}"));
        assert!(at.starts_with("AT Riley "), "{at}");
        for neighbor in [&mut jaquez, &mut juzang] {
            assert_eq!(at_of(neighbor, &client), at);
        }
    }
    // The neighbors wait for nobody.
    assert!(juzang.ask(&format!("IAMAT own {WHERE_AND_WHEN}")).starts_with("AT Juzang "));
    herd.kill_all(&["Juzang"]);
    check_not_durable("PUT", &put(http, "alone"));
    // Juzang held what it had acknowledged, and does not count any more. It counts again once it holds it again.
    assert!(at_of(&mut jaquez, "alone").starts_with("AT Riley "));
    herd.start("Juzang");
    let again = eventually("a report is acknowledged again", || match put(http, "again") {
        Reply { code: 200, .. } => Ok(herd.located("Juzang", &["again", "alone", "c0"])),
        reply => Err(format!("{reply:?}")),
    });
    assert!(again.iter().all(|line| line.starts_with("AT Riley ")), "{again:#?}");
}

#[test]
fn what_was_acknowledged_is_at_a_neighbor_when_its_server_is_killed_under_load() {
    const ENOUGH: usize = 2000;
    let plan = star();
    for round in 0..3 {
        // Clients report only at Riley. Its neighbors have one neighbor, so one replica is possible everywhere.
        let mut herd = plan.clone().herd("replicas = 1").start();
        let (count, acknowledged) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let line = herd.line("Riley");
        thread::scope(|scope| {
            for thread in 0..8 {
                let (count, acknowledged) = (&count, &acknowledged);
                scope.spawn(move || {
                    let mut client = crate::harness::Client::connect(line);
                    for report in 0.. {
                        let id = format!("r{round}-{thread}-{report}");
                        match client.try_ask(&format!("IAMAT {id} {WHERE_AND_WHEN}")) {
                            Some(at) if at.starts_with("AT Riley ") => acknowledged.lock().unwrap().push(id),
                            Some(other) => panic!("{other}"),
                            None => return,
                        }
                        count.fetch_add(1, SeqCst);
                    }
                });
            }
            eventually("enough reports are acknowledged", || match count.load(SeqCst) {
                ENOUGH.. => Ok(()),
                few => Err(format!("{few} reports")),
            });
            herd.kill_all(&["Riley"]);
        });
        let acknowledged = acknowledged.into_inner().unwrap();
        assert!(acknowledged.len() >= ENOUGH);
        let ids: Vec<&str> = acknowledged.iter().map(String::as_str).collect();
        let [jaquez, juzang] = ["Jaquez", "Juzang"].map(|name| herd.located(name, &ids));
        for ((id, one), other) in ids.iter().zip(&jaquez).zip(&juzang) {
            let is_held = |line: &String| line.starts_with("AT Riley ");
            assert!(is_held(one) || is_held(other), "{id} was acknowledged and is lost: {one} {other}");
        }
    }
}

#[test]
fn a_server_that_needs_more_neighbors_than_it_has_is_refused_with_its_line() {
    let mut herd = star().prepare();
    herd.change(star().herd("replicas = 2"));
    let checked = crate::harness::Process::run(herd.dir(), &["check"]);
    assert_ne!(checked.code, 0, "{checked:?}");
    let told = format!("{}{}", checked.out, checked.err);
    assert!(told.contains("Jaquez has only 1 neighbor") && told.contains("herd.toml:3"), "{told}");
}
