//! WebSockets at one server.

use std::io::Write as _;

use serde_json::{Value, json};

use super::{forget, put};
use crate::harness::{
    Closed, OPERATOR_TOKEN, Plan, Ws, bearer, eventually_metric, fetch, metric, request, within,
};

#[test]
fn a_subscription_tells_the_state_and_then_every_change_and_a_new_one_takes_its_place() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    put(http, "van-1", 34.0, -118.0, "");
    let mut ws = Ws::open(http, "").unwrap();
    ws.send(&json!({ "subscribe": { "ids": ["van-*"], "box": [30, -120, 40, -110], "near": [34, -118] } }));
    assert_eq!(ws.event(), "reset");
    let state = ws.next().unwrap();
    assert_eq!((&state["event"], &state["data"]["distance_m"]), (&json!("location"), &json!(0.0)));
    assert_eq!(state["data"]["at"], fetch(http, "/v1/clients/van-1", "").json()["at"]);
    assert_eq!(ws.event(), "synced");
    put(http, "kiwi", 35.0, -118.0, "");
    put(http, "van-2", 35.0, -118.0, "");
    assert_eq!(ws.event(), "location van-2");
    put(http, "van-1", 0.0, 0.0, "");
    assert_eq!(ws.event(), "left van-1");
    forget(http, "van-2");
    assert_eq!(ws.event(), "gone van-2");
    ws.send(&json!({ "subscribe": { "ids": "kiwi" }, "ref": "second" }));
    assert_eq!(ws.next().unwrap(), json!({ "ref": "second", "result": "accepted" }));
    assert_eq!([ws.event(), ws.event(), ws.event()], ["reset", "location kiwi", "synced"]);
    put(http, "van-1", 34.0, -118.0, "");
    put(http, "kiwi", 36.0, -118.0, "");
    assert_eq!(ws.event(), "location kiwi", "the first subscription is over");
}

#[test]
fn a_report_has_the_outcome_that_it_has_over_http() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let mut ws = Ws::open(http, "").unwrap();
    let report = json!({ "id": "kiwi", "lat": 34.07, "lon": -118.44, "time": "1621464827.5", "note": "x" });
    assert_eq!(ws.ask(&json!({ "report": report, "ref": 1 })), json!({ "ref": 1, "result": "accepted" }));
    assert_eq!(ws.ask(&json!({ "report": report })), json!({ "result": "stale" }));
    let client = fetch(http, "/v1/clients/kiwi", "").json();
    assert_eq!((&client["lat"], &client["attributes"]["note"]), (&json!(34.07), &json!("x")));
    let mut refused = |message: &Value, expected: Value| {
        let answer = ws.ask(message);
        assert_eq!(answer, expected, "{message}");
    };
    refused(
        &json!({ "report": { "lat": 1, "lon": 2 }, "ref": 2 }),
        json!({ "ref": 2, "error": "`id` is missing" }),
    );
    refused(
        &json!({ "report": { "id": "a", "lat": 91, "lon": 2 } }),
        json!({ "error": "`lat` is a number from -90 to 90, in degrees" }),
    );
    refused(
        &json!({ "subscribe": { "near": "1" }, "ref": "x" }),
        json!({ "ref": "x", "error": "`near` takes 2 decimal numbers with commas between them" }),
    );
    for message in [json!([]), json!({ "ref": 3 }), json!({ "subscribe": { "limit": 1 } })] {
        assert!(ws.ask(&message)["error"].is_string(), "{message}");
    }
    ws.send_text("{");
    assert!(ws.next().unwrap()["error"].as_str().unwrap().starts_with("this is not JSON"));
    assert_eq!(ws.ask(&json!({ "token": "x", "ref": 4 })), json!({ "ref": 4, "result": "accepted" }));
    assert_eq!(
        metric(http, "proxyherd_reports_total{result=\"accepted\",door=\"http\"}").unwrap_or(1.0),
        1.0
    );
}

#[test]
fn a_token_is_shown_with_the_handshake_or_as_a_message() {
    let herd = Plan::single().with_tokens().start();
    let http = herd.at("Riley").http;
    let make = |scopes: &[&str]| {
        let body = json!({ "scopes": scopes }).to_string();
        let head = format!("{}Content-Type: application/json\r\n", bearer(OPERATOR_TOKEN));
        let request_text = format!(
            "POST /v1/tokens HTTP/1.0\r\nHost: {http}\r\n{head}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let made = request(http, request_text.as_bytes()).json();
        (made["token"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
    };
    let report = |id: &str| json!({ "report": { "id": id, "lat": 34, "lon": -118 } });
    let accepted = json!({ "result": "accepted" });
    let (courier, id) = make(&["report:courier-*", "read:courier-*"]);

    let mut ws = Ws::open(http, &bearer(&courier)).unwrap();
    assert_eq!(ws.ask(&report("courier-1")), accepted);
    assert_eq!(ws.ask(&report("van-1"))["error"], "this caller may not report this client");

    let mut renewed = Ws::open(http, &bearer(&courier)).unwrap();
    assert_eq!(renewed.ask(&report("courier-1")), accepted);

    let mut late = Ws::open(http, "").unwrap();
    assert!(late.ask(&report("courier-1"))["error"].is_string(), "without a token");
    assert!(late.ask(&json!({ "subscribe": {} }))["error"].is_string());
    assert_eq!(late.ask(&json!({ "token": courier, "ref": 0 })), json!({ "ref": 0, "result": "accepted" }));
    assert_eq!(late.ask(&report("courier-1")), accepted);
    assert!(late.ask(&json!({ "subscribe": { "ids": "van-1" } }))["error"].is_string());
    late.send(&json!({ "subscribe": {} }));
    assert_eq!([late.event(), late.event(), late.event()], ["reset", "location courier-1", "synced"]);

    // A wrong token is told and ends the WebSocket, and in the handshake it is refused.
    let mut wrong = Ws::open(http, &bearer(&courier)).unwrap();
    assert!(wrong.ask(&json!({ "token": "phd_x_y", "ref": 1 }))["error"].is_string());
    assert_eq!(wrong.next(), Err(Closed(Some(1008))));
    assert!(Ws::open(http, &bearer("phd_x_y")).unwrap_err().starts_with("HTTP/1.1 401 "));

    let revoked =
        format!("DELETE /v1/tokens/{id} HTTP/1.0\r\nHost: {http}\r\n{}\r\n", bearer(OPERATOR_TOKEN));
    assert_eq!(request(http, revoked.as_bytes()).code, 204);
    let ended = within(std::time::Duration::from_secs(5), "the stream ends", || Some(late.next()));
    assert_eq!(ended, Err(Closed(Some(1008))));
    ws.send(&report("courier-1"));
    assert_eq!(ws.next(), Err(Closed(Some(1008))), "a WebSocket without a stream ends with its next message");
    let (van, _) = make(&["report:van-*", "read:van-*"]);
    assert_eq!(renewed.ask(&json!({ "token": van, "ref": 0 })), json!({ "ref": 0, "result": "accepted" }));
    assert_eq!(renewed.ask(&report("van-1")), accepted, "a token that has ended may be replaced");
}

#[test]
fn only_a_handshake_of_an_allowed_page_is_accepted() {
    let herd = Plan::single().access("origins = [\"https://map.example\"]").start();
    let http = herd.at("Riley").http;
    for (headers, expected) in [
        (String::new(), None),
        (format!("Origin: http://{http}\r\n"), None),
        ("Origin: https://map.example\r\n".to_owned(), None),
        ("Origin: https://evil.example\r\n".to_owned(), Some("HTTP/1.1 403 ")),
        ("Origin: null\r\n".to_owned(), Some("HTTP/1.1 403 ")),
    ] {
        let opened = Ws::open(http, &headers);
        match expected {
            None => assert!(opened.is_ok(), "{headers}: {opened:?}"),
            Some(expected) => assert!(opened.unwrap_err().starts_with(expected), "{headers}"),
        }
    }
    let plain = fetch(http, "/v1/ws", "");
    assert_eq!((plain.code, plain.header("upgrade")), (426, Some("websocket")));
}

#[test]
fn a_message_that_is_too_long_and_a_stop_of_the_server_close_with_their_codes() {
    let mut herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let mut long = Ws::open(http, "").unwrap();
    let fits = format!("{{\"ref\":\"{}\"}}", "x".repeat(64 * 1024 - 10));
    assert_eq!(fits.len(), 64 * 1024);
    long.send_text(&fits);
    assert!(long.next().unwrap()["error"].is_string());
    long.send_text(&(fits + " "));
    assert_eq!(long.next(), Err(Closed(Some(1009))));
    let mut junk = Ws::open(http, "").unwrap();
    junk.stream().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(junk.next(), Err(Closed(Some(1002))));
    let mut ws = Ws::open(http, "").unwrap();
    ws.send(&json!({ "subscribe": {} }));
    assert_eq!([ws.event(), ws.event()], ["reset", "synced"]);
    let count = "proxyherd_door_connections{door=\"http\"}";
    eventually_metric("the WebSocket counts as a connection", http, count, 2.0..=2.0);
    herd.stop("Riley", "TERM");
    assert_eq!(ws.next(), Err(Closed(Some(1001))));
}

#[test]
fn pings_whose_answers_nobody_reads_do_not_pile_up() {
    const PINGS: usize = 400_000;
    let herd = Plan::single().start();
    let mut ws = Ws::open(herd.at("Riley").http, "").unwrap();
    // A ping with a masked payload of 125 bytes.
    let ping = [&[0x89, 0x80 | 125, 0, 0, 0, 0][..], &[7; 125]].concat();
    let pings = ping.repeat(1000);
    for _ in 0..PINGS / 1000 {
        ws.stream().write_all(&pings).unwrap();
    }
    ws.send_text("{");
    let pongs = ws.pongs_until_text();
    assert!((1..PINGS / 2).contains(&pongs), "only what the sockets hold was kept: {pongs} of {PINGS}");
}
