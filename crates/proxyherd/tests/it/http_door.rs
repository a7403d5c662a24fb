//! Tests of places over HTTP at Google's path, and of the door's defenses against clients that are too many, too slow,
//! or in the wrong place.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::harness::{
    PATIENCE, Plan, WHERE_AND_WHEN, drip_until_closed, eventually, fetch, get, metric, request,
};

const PATH: &str = "/maps/api/place/nearbysearch/json";
const HERE: &str = "location=34.068930,-118.445127";

fn names(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|place| place["name"].as_str().unwrap()).collect()
}

#[test]
fn places_are_told_as_the_line_protocol_tells_them() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let reply = fetch(http, &format!("{PATH}?{HERE}&radius=10000&key=AIzaX"), "");
    assert_eq!(reply.code, 200);
    assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
    assert!(reply.body.ends_with("}\n"), "{reply:?}");
    assert_eq!(reply.header("cache-status"), Some("proxyherd; fwd=miss"), "{reply:?}");
    let mut riley = herd.client("Riley");
    riley.ask(&format!("IAMAT kiwi {WHERE_AND_WHEN}"));
    assert_eq!(reply.json(), riley.nearby("WHATSAT kiwi 10 20").json);
    assert_eq!(names(&reply.json())[..2], ["Bel Air", "Westwood"]);
    assert_eq!(metric(http, "proxyherd_places_total{result=\"fetched\"}"), Some(2.0), "both are counted");
}

#[test]
fn wishes_shape_the_answer() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    for (parameters, expected) in [
        ("radius=10000&type=locality&keyword=WEST", &["Westwood", "West Hollywood"][..]),
        ("rankby=distance&name=santa+monica", &["Santa Monica"]),
        ("radius=50000&type=restaurant", &[]),
        ("radius=50000&opennow=1", &[]),
        ("radius=9999999&name=santa+monica&opennow=", &["Santa Monica"]),
    ] {
        let answer = fetch(http, &format!("{PATH}?{HERE}&{parameters}"), "").json();
        let status = if expected.is_empty() { "ZERO_RESULTS" } else { "OK" };
        assert_eq!((&answer["status"], names(&answer)), (&status.into(), expected.to_vec()), "{parameters}");
    }
}

#[test]
fn ranking_by_distance_needs_nothing_else() {
    let herd = Plan::single().start();
    let answer =
        fetch(herd.at("Riley").http, &format!("{PATH}?location=34.068930,+-118.445127&rankby=distance"), "")
            .json();
    assert_eq!((&answer["status"], names(&answer).len()), (&"OK".into(), 20), "{answer}");
    assert_eq!(names(&answer)[0], "Bel Air");
}

#[test]
fn a_type_that_nobody_knows_is_said_so() {
    let herd = Plan::single().start();
    let ask = |kind: &str| {
        fetch(herd.at("Riley").http, &format!("{PATH}?{HERE}&radius=9000&type={kind}"), "").json()
    };
    let answer = ask("resturant");
    assert_eq!((&answer["status"], names(&answer).len()), (&"ZERO_RESULTS".into(), 0));
    let expected = "No provider of places here knows the type `resturant`.";
    assert_eq!(answer["info_messages"], serde_json::json!([expected]));
    assert!(ask("locality")["info_messages"].is_null());
}

#[test]
fn what_is_wrong_with_a_question_is_told_with_code_200() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    for (query, parameter) in [
        ("", "`location`"),
        ("location=1,1", "`radius`"),
        ("location=91,1&radius=1", "`location`"),
        ("location=1,1&radius=-1", "`radius`"),
        ("location=1,1&radius=1&client=kiwi", "`client` and `location` can't go together"),
        ("location=1,1&radius=1&radius=2", "`radius`"),
        ("location=1,1&radius=1&keyword=%zz", "`keyword`"),
        ("client=kiwi&radius=1", "`client` is not known to this herd: kiwi"),
        ("pagetoken=AAAA", "no token names another"),
    ] {
        let reply = fetch(http, &format!("{PATH}?{query}"), "");
        let answer = reply.json();
        assert_eq!((reply.code, &answer["status"]), (200, &"INVALID_REQUEST".into()), "{query}");
        assert!(answer["error_message"].as_str().unwrap().contains(parameter), "{query}: {answer}");
        assert_eq!(answer["results"], Value::Array(vec![]));
    }
}

#[test]
fn places_around_a_client_are_where_it_is_now() {
    let herd = Plan::pair().start();
    let report = |id: &[u8], place_and_time: &str| {
        let mut riley = herd.client("Riley");
        riley.send(&[b"IAMAT ", id, b" ", place_and_time.as_bytes(), b"\n"].concat());
        riley.line_bytes()
    };
    let ask = |id: &str| fetch(herd.at("Riley").http, &format!("{PATH}?client={id}&radius=10000"), "");
    report(b"bus/7%", "+34.068930-118.445127 1000");
    let at = report(b"bus/7%", "+48.8566+2.3522 1001");
    let reply = ask("bus%2F7%25");
    assert_eq!(names(&reply.json())[0], "Paris", "{reply:?}");
    assert_eq!(reply.header("x-proxyherd-client-at").map(str::as_bytes), Some(&at[..]));
    // An ID may have any bytes. These bytes must not occur in a header.
    report(b"\x01\xff", "+48.8566+2.3522 1001");
    let reply = ask("%01%FF");
    assert_eq!((names(&reply.json())[0], reply.header("x-proxyherd-client-at")), ("Paris", None));
}

#[test]
fn web_pages_do_not_get_through_a_browser() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let port = http.port();
    let with_host = |host: &str, path: &str| {
        request(http, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())
    };
    for path in ["/v1/status", "/metrics", "/health/livez", "/nothing", PATH] {
        assert_eq!(with_host(&format!("evil.example:{port}"), path).code, 403, "{path}");
    }
    assert_eq!(with_host(&format!("localhost:{port}"), "/v1/status").code, 200);
    assert_eq!(request(http, b"GET /v1/status HTTP/1.1\r\nConnection: close\r\n\r\n").code, 400);
    let question = format!("{PATH}?{HERE}&radius=1000");
    for header in ["Sec-Fetch-Site: cross-site\r\n", "Origin: https://evil.example\r\n"] {
        assert_eq!(fetch(http, &question, header).code, 403, "{header}");
        assert_eq!(fetch(http, "/v1/status", header).code, 200, "a link to it may be followed");
    }
    assert_eq!(metric(http, "proxyherd_places_total{result=\"fetched\"}"), Some(0.0), "none was asked");
}

#[test]
fn a_request_that_is_too_long_or_brings_a_body_ends_its_connection_alone() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let texts = [("keyword", 1024), ("name", 1024), ("type", 1024), ("language", 1024), ("pagetoken", 4096)];
    let longest = texts.map(|(name, len)| format!("{name}={}", "%41".repeat(len))).join("&");
    let reply = fetch(http, &format!("{PATH}?{HERE}&radius=1&{longest}"), "");
    assert!(reply.code == 200 && reply.body.contains("no token names another"), "{reply:?}");
    // The test does not wait for the end of this command.
    let long = "x".repeat(33 * 1024);
    assert_eq!(head_too_long(http, &format!("GET /?{long}")), 431);
    assert_eq!(head_too_long(http, &format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}")), 431);
    let many = "X: y\r\n".repeat(101);
    assert_eq!(head_too_long(http, &format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n")), 431);
    // This is more than the server will read, so the answer does not wait for it.
    let post =
        format!("POST {PATH}?{HERE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n{{");
    assert_eq!(request(http, post.as_bytes()).code, 405);
    assert_eq!(get(http, "/health/livez").0, 200);
}

#[test]
fn busy_connections_leave_room_for_one_more() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let ask = format!("GET /health/livez HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", http.port());
    let (stop, busy) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..80 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let mut stream = TcpStream::connect(http).unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    // A client that keeps its connections as long as the server allows.
                    let mut answer = [0; 4096];
                    while !stop.load(Relaxed)
                        && stream.write_all(ask.as_bytes()).is_ok()
                        && stream.read(&mut answer).is_ok_and(|len| len > 0)
                    {
                        busy.fetch_add(1, Relaxed);
                    }
                }
            });
        }
        let began = Instant::now();
        let codes: Vec<_> = (0..20).map(|_| get(http, "/health/livez").0).collect();
        let took = began.elapsed();
        stop.store(true, Relaxed);
        assert_eq!(codes, [200; 20]);
        assert!(busy.load(Relaxed) > 80);
        assert!(
            took < Duration::from_secs(10),
            "a place is free sooner than when an idle one would be: {took:?}"
        );
    });
}

/// The status code that comes before the server closes the connection. The server may close while the client still
/// sends the rest.
fn head_too_long(http: SocketAddr, head: &str) -> u16 {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(head.as_bytes());
    let mut code = [0; 12];
    stream.read_exact(&mut code).unwrap();
    std::str::from_utf8(&code[9..]).unwrap().parse().unwrap()
}

#[test]
fn a_head_that_drips_in_is_not_waited_for() {
    let herd = Plan::single().start();
    let mut stream = TcpStream::connect(herd.at("Riley").http).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    drip_until_closed(&stream);
}

#[test]
fn a_client_that_does_not_read_is_closed() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let questions = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1000);
    let error = loop {
        if let Err(error) = stream.write_all(&questions) {
            break error.kind();
        }
    };
    assert!([ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&error), "{error}");
    assert_eq!(get(http, "/health/livez").0, 200);
}

#[test]
fn metrics_come_in_the_format_that_is_asked_for() {
    let herd = Plan::pair().start();
    let http = herd.at("Riley").http;
    let metrics = |accept: &str| fetch(http, "/metrics", accept);
    let text = "text/plain; version=0.0.4; charset=utf-8";
    for accept in ["", "Accept: */*\r\n", "Accept: text/plain\r\n", "Accept: text/plain;version=0.0.4\r\n"] {
        let reply = metrics(accept);
        assert_eq!(reply.header("content-type"), Some(text), "{accept}");
        assert!(!reply.body.contains("# EOF") && !reply.body.contains("# UNIT"), "{reply:?}");
        assert!(reply.body.contains("\n# TYPE proxyherd_link_ups_total counter\n"), "{reply:?}");
    }
    let prometheus = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1\r\n";
    let reply = metrics(prometheus);
    assert_eq!(
        reply.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(reply.body.ends_with("\n# EOF\n"), "{reply:?}");
    assert!(reply.body.contains("\n# TYPE proxyherd_link_ups counter\n"), "{reply:?}");
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    if Command::new("promtool").arg("--version").output().is_err() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "./test tools installs promtool");
        eprintln!("skipped: there is no promtool; ./test tools installs it");
        return;
    }
    // With budgets and certificates, all possible metrics are present.
    let places = "provider = \"google\"\nper_day = 5\n[places.google]\nkey_env = \"PATH\"";
    let mut herd = Plan::pair().encrypted().places(places).prepare();
    herd.start_all(&["Riley", "Jaquez"]);
    herd.wait_for_links(&["Riley", "Jaquez"]);
    let metrics = eventually("all metrics are there", || {
        let (_, metrics) = get(herd.at("Riley").http, "/metrics");
        let all =
            ["certificate_left_seconds", "places_budget_left", "places_requests_total", "link_lag_seconds"];
        let is_there = |name: &&str| metrics.contains(&format!("\nproxyherd_{name}"));
        if all.iter().all(is_there) { Ok(metrics) } else { Err(metrics) }
    });
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let said = (said.status.code(), [said.stdout, said.stderr].concat());
    assert_eq!((said.0, String::from_utf8_lossy(&said.1)), (Some(0), "".into()), "{metrics}");
}

#[test]
fn every_json_body_ends_in_a_newline() {
    let herd = Plan::single().start();
    for path in ["/v1/status", PATH, &format!("{PATH}?{HERE}&radius=1")] {
        let reply = fetch(herd.at("Riley").http, path, "");
        assert!(reply.header("content-type").unwrap().starts_with("application/json"), "{reply:?}");
        assert!(reply.body.ends_with("}\n") && !reply.body.ends_with("\n\n"), "{reply:?}");
    }
}

#[test]
fn who_closes_its_end_behind_a_request_is_answered() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    for _ in 0..200 {
        let mut stream = TcpStream::connect(http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /health/livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}
