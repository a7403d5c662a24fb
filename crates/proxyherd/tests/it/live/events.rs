//! Server-sent events at one server.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{forget, put};
use crate::harness::{Event, Events, Plan, eventually_metric, fetch, request};

/// The position of a client in a URL that is inside or outside of the box of the tests.
const BOX: &str = "?box=30,-120,40,-110";

#[test]
fn a_stream_tells_the_state_and_then_every_change() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    put(http, "inside", 34.0, -118.0, ",\"battery_pct\":80");
    put(http, "outside", 0.0, 0.0, "");
    let mut events = Events::open(http, BOX, "");
    for expected in [
        "HTTP/1.0 200 ",
        "\ncontent-type: text/event-stream\n",
        "\ncache-control: no-store\n",
        "\nx-accel-buffering: no\n",
        "\nx-request-id: ",
    ] {
        assert!(events.head.contains(expected), "{expected}: {}", events.head);
    }
    assert!(!events.head.contains("content-encoding") && !events.head.contains("content-length"));
    let reset = events.expect();
    assert_eq!((&*reset.kind, reset.data), ("reset", json!({})));
    let state = events.expect();
    assert_eq!(state.kind, "location");
    assert_eq!(state.data, fetch(http, "/v1/clients/inside", "").json());
    let synced = events.expect();
    assert_eq!((&*synced.kind, synced.data), ("synced", json!({})));

    put(http, "inside", 35.0, -117.0, "");
    let moved = events.expect();
    assert_eq!((&*moved.kind, &moved.data["lat"]), ("location", &json!(35)));
    assert_ne!(moved.id, state.id);
    put(http, "outside", 1.0, 1.0, "");
    put(http, "outside", 36.0, -117.0, "");
    assert_eq!(events.expect().brief(), "location outside", "it was told when it came into the box");
    put(http, "inside", 50.0, -117.0, "");
    let left = events.expect();
    assert_eq!((&*left.kind, left.data), ("left", json!({ "id": "inside" })));
    forget(http, "inside");
    forget(http, "outside");
    let gone = events.expect();
    assert_eq!((&*gone.kind, gone.data), ("gone", json!({ "id": "outside" })));
}

#[test]
fn filters_are_those_of_searches_and_a_polygon() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    put(http, "van-1", 34.0, -118.0, ",\"battery_pct\":80");
    put(http, "van-2", 34.5, -118.5, ",\"battery_pct\":10");
    put(http, "kiwi", 0.0, 0.0, "");
    let square = "%7B%22type%22:%22Polygon%22,%22coordinates%22:[[[-118.2,33],[-117,33],[-117,35],[-118.2,35],[-118.2,33]]]%7D";
    for (query, expected) in [
        ("", &["location kiwi", "location van-1", "location van-2"][..]),
        ("?ids=van-*", &["location van-1", "location van-2"]),
        ("?ids=kiwi&ids=van-2", &["location kiwi", "location van-2"]),
        ("?near=34,-118&radius_m=1000", &["location van-1"]),
        ("?box=34,-119,35,-118.1", &["location van-2"]),
        ("?where=battery_pct%20%3C%2020", &["location van-2"]),
        (&*format!("?polygon={square}"), &["location van-1"]),
        ("?ids=van-*&near=34,-118&radius_m=1000&where=battery_pct%20%3C%2020", &[]),
    ] {
        assert_eq!(Events::open(http, query, "").state(), expected, "{query}");
    }
    let mut near = Events::open(http, "?near=34,-118&ids=van-1", "");
    near.expect();
    assert_eq!(near.expect().data["distance_m"], json!(0.0));
    let mut only_gone = Events::open(http, "?kinds=gone", "");
    assert_eq!(only_gone.state(), [""; 0], "no locations are told");
    put(http, "kiwi", 1.0, 1.0, "");
    forget(http, "kiwi");
    assert_eq!(only_gone.expect().brief(), "gone kiwi");
    for (path, code) in [
        ("?near=1", 422),
        ("?kinds=moved", 422),
        ("?polygon=1", 422),
        ("?limit=1", 422),
        ("?last_event_id=1", 422),
        ("?radius_m=1", 409),
    ] {
        assert_eq!(fetch(http, &format!("/v1/stream{path}"), "").code, code, "{path}");
    }
    assert_eq!(fetch(http, "/v1/stream", "Accept: application/json\r\n").code, 406);
}

#[test]
fn an_id_that_is_not_utf8_is_told_twice() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let mut events = Events::open(http, "", "");
    assert_eq!(events.state(), [""; 0]);
    put(http, "%FF", 1.0, 1.0, "");
    assert_eq!(events.expect().data["id_url"], "%FF");
    forget(http, "%FF");
    assert_eq!(events.expect().data, json!({ "id": "\u{fffd}", "id_url": "%FF" }));
}

#[test]
fn a_reader_that_comes_back_is_told_what_it_has_missed_and_nothing_else() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    for id in ["a", "b", "c", "d"] {
        put(http, id, 34.0, -118.0, "");
    }
    let mut events = Events::open(http, BOX, "");
    assert_eq!(events.state(), ["location a", "location b", "location c", "location d"]);
    put(http, "a", 34.5, -118.0, "");
    let last = events.expect();
    drop(events);
    put(http, "b", 35.0, -118.0, "");
    put(http, "b", 35.5, -118.0, "");
    put(http, "c", 0.0, 0.0, "");
    forget(http, "d");
    put(http, "e", 34.0, -118.0, "");
    let mut again = Events::resume(http, BOX, &last);
    // What the server learns of while the reader comes back may be told after `synced`, and some of it twice.
    let mut told = BTreeSet::new();
    while told.len() < 4 {
        told.extend(Some(again.expect().brief()).filter(|brief| brief != "synced"));
    }
    assert_eq!(told.iter().collect::<Vec<_>>(), ["gone d", "left c", "location b", "location e"]);
    put(http, "a", 34.6, -118.0, "");
    told.insert("synced".to_owned());
    let next = std::iter::from_fn(|| again.next()).find(|event| !told.contains(&event.brief()));
    assert_eq!(next.map(|event| event.brief()).as_deref(), Some("location a"));
    // Another filter, and an ID that this server has not made, begin anew.
    let reset = |query: &str, id: &str| {
        let last = Event { id: id.to_owned(), ..last.clone() };
        Events::resume(http, query, &last).expect().kind
    };
    assert_eq!(reset("?box=30,-120,40,-111", &last.id), "reset");
    assert_eq!(reset(BOX, "another-servers-id"), "reset");
    assert_eq!(reset(BOX, &"9".repeat(500)), "reset");
}

#[test]
fn head_opens_no_stream_and_other_origins_are_refused() {
    let herd = Plan::single().access("origins = [\"https://map.example\"]").start();
    let http = herd.at("Riley").http;
    let ask = |method: &str, headers: &str| {
        request(http, format!("{method} /v1/stream HTTP/1.0\r\nHost: {http}\r\n{headers}\r\n").as_bytes())
    };
    let head = ask("HEAD", "");
    assert_eq!((head.code, head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(head.header("content-length"), None);
    eventually_metric("no stream is open", http, "proxyherd_streams{state=\"open\"}", 0.0..=0.0);
    assert_eq!(ask("GET", "Origin: https://evil.example\r\n").code, 403);
    let preflight = "Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: last-event-id\r\n";
    let allowed = ask("OPTIONS", &format!("Origin: https://map.example\r\n{preflight}"));
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://map.example"));
    assert!(allowed.header("access-control-allow-headers").unwrap().contains("Last-Event-ID"));
    let events = Events::open(http, "", "Origin: https://map.example\r\n");
    assert!(events.head.contains("\naccess-control-allow-origin: https://map.example\n"), "{}", events.head);
}

#[test]
fn a_stream_ends_at_once_when_the_server_stops() {
    let mut herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let mut events = Events::open(http, "", "");
    assert_eq!(events.state(), [""; 0]);
    let began = Instant::now();
    herd.stop("Riley", "TERM");
    assert_eq!(events.next(), None);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[test]
fn a_reader_that_does_not_read_costs_little() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let stream = TcpStream::connect(http).unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 4096).unwrap();
    let mut writer = &stream;
    write!(writer, "GET /v1/stream HTTP/1.1\r\nHost: {http}\r\n\r\n").unwrap();
    let mut beginning = [0; 16];
    writer.read_exact(&mut beginning).unwrap();
    assert_eq!(&beginning[..13], b"HTTP/1.1 200 ");
    // Reports of many clients fill the sockets' buffers.
    let note = "x".repeat(400);
    let reports: String = (0..10_000)
        .map(|id| format!("{{\"id\":\"c-{id}\",\"lat\":34,\"lon\":-118,\"note\":\"{note}\"}}\n"))
        .collect();
    let report = || {
        let head = "POST /v1/reports HTTP/1.0\r\nContent-Type: application/x-ndjson\r\n";
        let len = reports.len();
        let sent =
            request(http, format!("{head}Host: {http}\r\nContent-Length: {len}\r\n\r\n{reports}").as_bytes());
        assert_eq!(sent.code, 200, "{sent:?}");
    };
    report();
    eventually_metric("what waits is a batch", http, "proxyherd_replies_buffered_bytes", 1.0..=20_000.0);
    report();
    let buffered = "proxyherd_replies_buffered_bytes";
    eventually_metric("what waits is still a batch", http, buffered, 1.0..=20_000.0);
    drop(stream);
    eventually_metric("nothing waits", http, buffered, 0.0..=0.0);
}
