//! Tests of the reports of phone apps, at the doors `http` and `phones`: every request as the apps send it, what they
//! are answered, and what the herd holds afterwards.

use std::{collections::BTreeMap, net::SocketAddr};

use serde_json::{Value, json};

use crate::{
    demo::have,
    harness::{
        Herd, OPERATOR_TOKEN, PATIENCE, Plan, Process, Reply, bearer, eventually, fetch, metric, request,
    },
};

#[path = "../../../proxyherd-core/tests/phones/requests.rs"]
mod requests;

use self::requests::{REQUESTS, Report, Request};

const JSON: &str = "Content-Type: application/json\r\n";
const OVERLAND_OK: &str = "{\"result\":\"ok\"}\n";
const NO_FRIENDS: &str = "[]\n";

/// The answer to a request with these headers and this body.
fn send(to: SocketAddr, method: &str, target: &str, headers: &str, body: &str) -> Reply {
    let len = body.len();
    let head = format!("{method} {target} HTTP/1.0\r\nHost: {to}\r\nContent-Length: {len}\r\n{headers}");
    request(to, format!("{head}\r\n{body}").as_bytes())
}

fn post(to: SocketAddr, target: &str, body: &str) -> Reply {
    send(to, "POST", target, JSON, body)
}

/// The answer to a request of an app, with these headers in addition.
fn send_as(to: SocketAddr, app: &Request, headers: &str) -> Reply {
    let own: String = app.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    send(to, app.method, app.target, &(own + headers), app.body)
}

/// A token with these scopes.
fn token(http: SocketAddr, wanted: &Value) -> String {
    let made = send(http, "POST", "/v1/tokens", &(bearer(OPERATOR_TOKEN) + JSON), &wanted.to_string());
    assert_eq!(made.code, 201, "{made:?}");
    made.json()["token"].as_str().unwrap().to_owned()
}

/// An ID in a path.
fn encoded(id: &str) -> String {
    id.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The client, as a server shows it.
fn client(http: SocketAddr, id: &str) -> Value {
    fetch(http, &format!("/v1/clients/{}", encoded(id)), &bearer(OPERATOR_TOKEN)).json()
}

/// The number of reports with a result, at a door.
fn reports(http: SocketAddr, result: &str, door: &str) -> f64 {
    metric(http, &format!("proxyherd_reports_total{{result=\"{result}\",door=\"{door}\"}}")).unwrap()
}

fn refused(http: SocketAddr, reason: &str) -> f64 {
    metric(http, &format!("proxyherd_reports_refused_total{{reason=\"{reason}\"}}")).unwrap()
}

/// A location of OwnTracks.
fn owntracks(latitude: f64, time: u64) -> String {
    json!({ "_type": "location", "lat": latitude, "lon": 2.5, "tst": time, "tid": "JP" }).to_string()
}

/// A Feature of Overland, of the client `bus`.
fn feature(latitude: f64, time: u64, accuracy_m: u32) -> Value {
    let time = jiff::Timestamp::from_second(time as i64).unwrap();
    json!({
        "type": "Feature",
        "geometry": { "type": "Point", "coordinates": [2.5, latitude] },
        "properties": {
            "timestamp": time.to_string(), "horizontal_accuracy": accuracy_m, "device_id": "bus",
            "battery_level": 0.8, "motion": ["driving"], "wifi": "", "altitude": 35, "speed": 9,
        },
    })
}

fn batch(features: &[Value]) -> String {
    json!({ "locations": features }).to_string()
}

/// The detail of a problem with this status code.
#[track_caller]
fn problem(reply: &Reply, code: u16) -> String {
    assert_eq!(reply.code, code, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{reply:?}");
    reply.json()["detail"].as_str().unwrap().to_owned()
}

/// Numbers that are far from any order, by xorshift.
fn shuffle<T>(items: &mut [T]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for place in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        items.swap(place, state as usize % (place + 1));
    }
}

/// What the app expects as the answer to a request that succeeds.
fn answer_to(app: &Request) -> &'static str {
    match Some(app.app.split([' ', ',']).next().unwrap()) {
        Some("Overland") => OVERLAND_OK,
        Some("OwnTracks") => NO_FRIENDS,
        _ => "",
    }
}

/// Asserts that the server shows the newest of an app's reports of each client.
fn check_held(http: SocketAddr, app: &Request, token_name: &str) {
    let mut newest: BTreeMap<&str, &Report> = BTreeMap::new();
    for report in app.reports {
        let id = if report.id.is_empty() { token_name } else { report.id };
        let held = newest.entry(id).or_insert(report);
        // The times of one app have the same number of digits before the point.
        if report.time >= held.time {
            *held = report;
        }
    }
    for (id, report) in newest {
        let found = client(http, id);
        let at = found["at"].as_str().unwrap_or_else(|| panic!("{}: {found}", app.app));
        let expected = format!(" {id} {} {}", report.coordinates, report.time);
        assert!(
            at.contains(&expected) && (report.time.is_empty() || at.ends_with(&expected)),
            "{}: {at}",
            app.app
        );
        let attributes: Value = serde_json::from_str(report.attributes).unwrap();
        assert_eq!(found["attributes"], attributes, "{}", app.app);
    }
}

#[test]
fn every_app_reports_at_both_doors_as_it_is_published() {
    assert!(REQUESTS.iter().any(|app| app.reports.len() > 1), "the requests are there");
    let name = "the-token";
    for door in ["http", "phones"] {
        let herd = Plan::single().with_phones().with_tokens().start();
        let at = herd.at("Riley");
        let to = if door == "http" { at.http } else { at.phones };
        let shown = bearer(&token(at.http, &json!({ "scopes": ["report:*"], "name": name })));
        let taken = || reports(at.http, "accepted", door) + reports(at.http, "stale", door);
        for app in REQUESTS {
            println!("{} ({}) at {door}", app.app, app.source);
            let before = taken();
            let reply = send_as(to, app, &shown);
            if !app.refused.is_empty() {
                let detail = problem(&reply, 422);
                assert!(detail.contains(app.refused), "{detail}");
                continue;
            }
            assert_eq!((reply.code, &*reply.body), (200, answer_to(app)), "{reply:?}");
            assert_eq!(taken() - before, app.reports.len() as f64);
            check_held(at.http, app, name);
        }
    }
}

#[test]
fn the_report_of_a_phone_is_what_every_door_shows() {
    let herd = Plan::single().with_phones().start();
    let at = herd.at("Riley");
    let headers = format!("{JSON}X-Limit-U: jane\r\nX-Limit-D: phone\r\n");
    let body = r#"{"_type":"location","lat":48.85,"lon":2.29,"tst":1497476456,"tid":"JJ","acc":12,"vel":36,"batt":80}"#;
    for to in [at.http, at.phones] {
        let reply = send(to, "POST", "/pub", &headers, body);
        assert_eq!((reply.code, &*reply.body), (200, NO_FRIENDS));
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
    let found = client(at.http, "jane/phone");
    assert!(found["at"].as_str().unwrap().ends_with(" jane/phone +48.85+2.29 1497476456"), "{found}");
    assert_eq!(
        (&found["attributes"]["accuracy_m"], &found["attributes"]["speed_mps"]),
        (&json!(12), &json!(10))
    );
    let query =
        "/?id=tracker&lat=1.5&lon=-2.5&timestamp=1497476456&speed=10&bearing=90&altitude=4&batt=70&hdop=2";
    let reply = fetch(at.phones, query, "");
    assert_eq!((reply.code, &*reply.body, reply.header("content-length")), (200, "", Some("0")));
    let found = client(at.http, "tracker");
    assert_eq!(
        (&found["lat"], &found["lon"], &found["attributes"]["battery_pct"]),
        (&json!(1.5), &json!(-2.5), &json!(70))
    );
    let form = "id=tracker&lat=2.5&lon=-2.5&timestamp=1497476457";
    let reply = send(at.http, "POST", "/", "Content-Type: application/x-www-form-urlencoded\r\n", form);
    assert_eq!((reply.code, &*reply.body), (200, ""));
    assert_eq!(client(at.http, "tracker")["lat"], json!(2.5));
    // A POST request with a query needs no body.
    assert_eq!(send(at.http, "POST", &query.replace("1.5", "3.5").replace("456", "458"), "", "").code, 200);
    assert_eq!(client(at.http, "tracker")["lat"], json!(3.5));
    assert_eq!(["http", "phones"].map(|door| reports(at.http, "accepted", door)), [3.0, 1.0]);
    assert_eq!(["http", "phones"].map(|door| reports(at.http, "stale", door)), [0.0, 1.0]);
}

#[test]
fn what_is_no_report_is_answered_so_that_the_app_goes_on() {
    let herd = Plan::single().with_phones().start();
    let at = herd.at("Riley");
    for to in [at.http, at.phones] {
        for (target, headers, body) in [
            ("/", "X-Limit-U: jane\r\n", ""),
            ("/pub", "X-Limit-U: jane\r\nX-Limit-D: phone\r\n", " \r\n"),
            ("/pub?u=jane&d=phone", "", r#"{"_type":"lwt","tst":1497476456}"#),
            ("/pub", "", r#"{"_type":"transition","event":"enter"}"#),
            ("/pub", "", r#"{"_type":"nobody knows this"}"#),
            ("/metrics", "", r#"{"_type":"lwt"}"#),
            ("/share", "", r#"{"_type":"lwt"}"#),
        ] {
            let reply = send(to, "POST", target, headers, body);
            assert_eq!((reply.code, &*reply.body), (200, NO_FRIENDS), "{target} {body}");
        }
        let reply = post(to, "/pub", r#"{"locations":[]}"#);
        assert_eq!((reply.code, &*reply.body), (200, OVERLAND_OK));
        for (target, body) in [
            ("/", ""),
            ("/pub", "hello"),
            ("/pub", "[]"),
            ("/x", "{\"a\":1}"),
            ("/v1/x", "{\"_type\":\"lwt\"}"),
        ] {
            let detail = problem(&post(to, target, body), 404);
            assert!(detail.contains("nothing at this path"), "{detail}");
        }
    }
    assert_eq!(problem(&post(at.phones, "/docs", ""), 404), problem(&fetch(at.phones, "/x", ""), 404));
    for path in ["/health/livez", "/metrics", "/v1/clients", "/docs", "/openapi.json"] {
        let detail = problem(&fetch(at.phones, path, ""), 404);
        assert!(detail.contains("the door `http`"), "{detail}");
    }
    let refused = send(at.phones, "PUT", "/", "", "");
    assert_eq!((refused.code, refused.header("allow")), (405, Some("GET, HEAD, POST, OPTIONS")));
    assert_eq!(send(at.http, "PUT", "/", "", "").header("allow"), Some("GET, HEAD, POST, OPTIONS"));
    assert_eq!(send(at.http, "OPTIONS", "/pub", "", "").header("allow"), Some("POST, OPTIONS"));
    let map = fetch(at.http, "/", "");
    assert_eq!(
        (map.code, map.header("content-type")),
        (200, Some("text/html; charset=utf-8")),
        "`/` is the map"
    );
    for to in [at.http, at.phones] {
        let reply = send(to, "HEAD", "/?id=kiwi&lat=1&lon=2", "", "");
        assert_eq!((reply.code, &*reply.body), (200, ""), "HEAD takes no report");
    }
    assert_eq!(metric(at.http, "proxyherd_records"), Some(0.0));
}

#[test]
fn a_request_that_a_person_has_to_correct_says_what_to_do() {
    let herd = Plan::single().with_phones().start();
    let at = herd.at("Riley");
    let location = r#"{"_type":"location","lat":1,"lon":2,"tst":1497476456}"#;
    for to in [at.http, at.phones] {
        for (method, target, body, code, said) in [
            ("POST", "/pub", location, 400, "type a user name and a device ID"),
            ("POST", "/pub?u=a%20b", location, 422, "without spaces"),
            ("POST", "/pub?u=a", r#"{"_type":"location","lat":1,"lon":2"#, 400, "not JSON"),
            ("POST", "/pub?u=a", r#"{"lat":"#, 400, "not JSON"),
            ("POST", "/pub?u=a", r#"{"_type":"location","lat":91,"lon":2}"#, 422, "`lat`"),
            ("POST", "/pub?u=a", r#"{"_type":"location","lon":2}"#, 422, "`lat`"),
            ("POST", "/pub?u=a", r#"{"_type":"encrypted","data":"AAAA"}"#, 422, "encryption key"),
            ("POST", "/pub", r#"{"locations":7}"#, 422, "`locations`"),
            ("GET", "/?id=a&lat=x&lon=2", "", 422, "`lat`"),
            ("GET", "/?id=&lat=1&lon=2", "", 400, "`id="),
            ("POST", "/", "lat=1&lon=2", 400, "`id="),
            (
                "POST",
                "/",
                r#"{"location":{"coords":{"latitude":1,"longitude":2}},"device_id":""}"#,
                400,
                "ID",
            ),
        ] {
            let detail = problem(&send(to, method, target, JSON, body), code);
            assert!(detail.contains(said), "{method} {target} {body}: {detail}");
        }
        let without_id = batch(&[json!({ "geometry": { "type": "Point", "coordinates": [1, 2] } })]);
        assert!(problem(&post(to, "/pub", &without_id), 400).contains("device ID"));
        let mut spaced = feature(1.0, 1_497_476_456, 5);
        spaced["properties"]["device_id"] = json!("Jane's phone");
        assert!(problem(&post(to, "/pub", &batch(&[spaced])), 422).contains("Device ID"));
        let many = batch(&vec![feature(1.0, 1_497_476_456, 5); 1001]);
        assert!(problem(&post(to, "/pub", &many), 413).contains("1000"));
        assert_eq!(post(to, "/pub", &"x".repeat(2 * 1024 * 1024 + 1)).code, 413);
    }
    for target in ["/", "/?lat=1&lon=2"] {
        assert!(problem(&fetch(at.phones, target, ""), 400).contains("`id="), "{target}");
    }
    assert_eq!(metric(at.http, "proxyherd_records"), Some(0.0));
    assert!(reports(at.http, "rejected", "phones") >= 12.0 && reports(at.http, "rejected", "line") == 0.0);
}

/// The latitude of a point whose time is this many seconds after the first.
fn latitude(second: u64) -> f64 {
    48.0 + second as f64 / 10_000.0
}

const FIRST_S: u64 = 1_700_000_000;

/// A thousand points in any order, in batches of 200.
fn batches() -> Vec<String> {
    let mut points: Vec<Value> =
        (0..1000).map(|second| feature(latitude(second), FIRST_S + second, 5)).collect();
    shuffle(&mut points);
    points.chunks(200).map(batch).collect()
}

#[test]
fn of_a_thousand_buffered_points_in_any_order_and_twice_the_herd_holds_the_newest() {
    let herd = Plan::pair().with_phones().start();
    let doors = [herd.at("Riley").http, herd.at("Jaquez").phones];
    for round in 0..2 {
        for (place, body) in batches().iter().enumerate() {
            let reply = post(doors[(place + round) % 2], "/input", body);
            assert_eq!((reply.code, &*reply.body), (200, OVERLAND_OK), "{reply:?}");
        }
    }
    let newest = format!(" bus +{}+2.5 {}", latitude(999), FIRST_S + 999);
    assert!(herd.agreed(&["Riley", "Jaquez"], "bus").ends_with(&newest));
    // The same from an app that sends each point in a request of its own.
    let mut seconds: Vec<u64> = (0..1000).collect();
    shuffle(&mut seconds);
    for second in seconds.iter().chain(&seconds[..100]) {
        let target = format!("/?id=van&lat={}&lon=2.5&timestamp={}", latitude(*second), FIRST_S + second);
        let reply = fetch(doors[*second as usize % 2], &target, "");
        assert_eq!((reply.code, &*reply.body), (200, ""), "{reply:?}");
    }
    let newest = newest.replace(" bus ", " van ");
    assert!(herd.agreed(&["Riley", "Jaquez"], "van").ends_with(&newest));
    let counted: f64 = ["Riley", "Jaquez"]
        .iter()
        .flat_map(|name| ["accepted", "stale"].map(|result| (herd.at(name).http, result)))
        .map(|(http, result)| reports(http, result, "http") + reports(http, result, "phones"))
        .sum();
    assert_eq!(counted, 3100.0, "each report counts once");
}

#[test]
fn a_batch_in_any_order_is_judged_as_if_it_had_come_in_order() {
    let rules = "client_interval_ms = 60000\n[reports]\nspeed_mps_max = 40\naccuracy_m_max = 100";
    let herd = Plan::single().limits(rules).start();
    let http = herd.at("Riley").http;
    // 11 m a second, with a poor fix and a jump between them that would refuse what follows if it were taken.
    let mut points: Vec<Value> =
        (0..100).map(|second| feature(latitude(second), FIRST_S + second, 5)).collect();
    points[50] = feature(latitude(50), FIRST_S + 50, 101);
    points[60] = feature(80.0, FIRST_S + 60, 5);
    points[70] = json!({ "type": "Feature", "geometry": null, "properties": { "device_id": "bus" } });
    shuffle(&mut points);
    let reply = post(http, "/input", &batch(&points));
    assert_eq!((reply.code, &*reply.body), (200, OVERLAND_OK));
    assert_eq!(reports(http, "accepted", "http"), 97.0);
    assert_eq!(
        ["inaccurate", "implausible", "too_soon"].map(|reason| refused(http, reason)),
        [1.0, 1.0, 0.0]
    );
    assert_eq!(reports(http, "rejected", "http"), 3.0, "the Feature without a position cannot be read");
    assert_eq!(client(http, "bus")["lat"], json!(latitude(99)));
    // All of it comes again, with one more point, which comes too soon after the last request.
    points.push(feature(latitude(100), FIRST_S + 100, 5));
    let reply = post(http, "/input", &batch(&points));
    assert_eq!((reply.code, &*reply.body), (200, OVERLAND_OK), "the phone must not send it again");
    assert_eq!(refused(http, "too_soon"), 1.0);
    assert_eq!(client(http, "bus")["lat"], json!(latitude(99)));
}

#[test]
fn a_poor_fix_is_answered_as_if_it_were_taken_and_is_counted() {
    let herd = Plan::single()
        .log("level = \"debug\"")
        .with_phones()
        .limits("[reports]\nspeed_mps_max = 40\naccuracy_m_max = 100")
        .start();
    let at = herd.at("Riley");
    assert_eq!(fetch(at.phones, "/?id=a&lat=1&lon=1&timestamp=1700000000", "").code, 200);
    for query in ["lat=1&lon=1&timestamp=1700000001&accuracy=101", "lat=2&lon=1&timestamp=1700000001"] {
        let reply = fetch(at.phones, &format!("/?id=a&{query}"), "");
        assert_eq!((reply.code, &*reply.body), (200, ""), "{query}");
    }
    let poor = r#"{"_type":"location","lat":1,"lon":1,"tst":1700000002,"acc":500}"#;
    let reply = post(at.phones, "/?u=a", poor);
    assert_eq!((reply.code, &*reply.body), (200, NO_FRIENDS));
    assert_eq!(["inaccurate", "implausible"].map(|reason| refused(at.http, reason)), [2.0, 1.0]);
    herd.wait_for_log("Riley", "a phone's report of the client a is not taken: implausible");
    assert_eq!(fetch(at.phones, "/?id=&lat=1&lon=1", "").code, 400);
    herd.wait_for_log("Riley", "a phone's request is refused: the client's ID is missing");
    assert_eq!(reports(at.http, "rejected", "phones"), 4.0, "three poor fixes and one without an ID");
    assert_eq!(client(at.http, "a")["lat"], json!(1));
}

#[test]
fn without_room_or_above_a_rate_the_phone_is_told_to_try_later() {
    let herd = Plan::single().with_phones().with_tokens().herd("max_clients = 1").start();
    let at = herd.at("Riley");
    let shown = bearer(&token(at.http, &json!({ "scopes": ["report:*"], "rate": 3 })));
    let send = |features: &[Value]| send(at.phones, "POST", "/", &(shown.clone() + JSON), &batch(features));
    let points: Vec<Value> = (0..10).map(|second| feature(latitude(second), FIRST_S + second, 5)).collect();
    let reply = send(&points);
    assert_eq!((reply.code, &*reply.body), (200, OVERLAND_OK), "the newest are taken");
    assert_eq!(client(at.http, "bus")["lat"], json!(latitude(9)));
    let reply = send(&points);
    assert!(problem(&reply, 429).contains("this token has reported more"), "{reply:?}");
    assert_eq!(reply.header("retry-after"), Some("1"));
    let reply = fetch(at.phones, "/?id=another&lat=1&lon=1", &bearer(OPERATOR_TOKEN));
    assert!(problem(&reply, 503).contains("no room"), "{reply:?}");
    assert_eq!(reply.header("retry-after"), Some("1"));
}

#[test]
fn a_phone_reports_only_what_its_token_allows_however_it_shows_the_token() {
    let herd = Plan::single().with_phones().with_tokens().start();
    let at = herd.at("Riley");
    let jane = token(at.http, &json!({ "scopes": ["report:jane/*"], "name": "jane/overland" }));
    let reader = token(at.http, &json!({ "scopes": ["read:*"] }));
    let report = "/?id=jane/phone&lat=1&lon=1";
    for to in [at.http, at.phones] {
        let reply = fetch(to, report, "");
        assert!(problem(&reply, 401).contains("?token=TOKEN"), "{reply:?}");
        assert!(reply.header("www-authenticate").is_some());
        assert_eq!(post(to, "/pub", "{}").code, 401, "before 404");
        let wrong = format!("phd_nobody_{}", "0".repeat(64));
        assert!(problem(&fetch(to, report, &bearer(&wrong)), 401).contains("wrong"));
        assert!(problem(&fetch(to, report, &bearer(&reader)), 403).contains("report:IDS"));
        let other = fetch(to, "/?id=joe/phone&lat=1&lon=1", &bearer(&jane));
        let detail = problem(&other, 403);
        assert!(detail.contains("report:joe/phone") && detail.contains("change the ID"), "{detail}");
        assert_eq!(fetch(to, report, &bearer(&jane)).code, 200);
        assert_eq!(fetch(to, &format!("{report}&token={jane}"), "").code, 200);
        assert_eq!(
            post(to, &format!("/pub?u=jane&d=phone&token={jane}"), &owntracks(1.0, FIRST_S)).code,
            200
        );
        // Overland's batch without an ID is that of the token.
        let mut point = feature(latitude(1), FIRST_S, 5);
        point["properties"]["device_id"] = json!("");
        let reply = send(to, "POST", "/", &(bearer(&jane) + JSON), &batch(&[point]));
        assert_eq!((reply.code, &*reply.body), (200, OVERLAND_OK));
        assert_eq!(client(at.http, "jane/overland")["lat"], json!(latitude(1)));
        // Points of an earlier ID in the same batch do not hold up the others.
        let mut own = feature(latitude(2), FIRST_S, 5);
        own["properties"]["device_id"] = json!("jane/car");
        let reply = send(to, "POST", "/", &(bearer(&jane) + JSON), &batch(&[feature(1.0, FIRST_S, 5), own]));
        assert_eq!((reply.code, &*reply.body), (200, OVERLAND_OK));
        let reply = send(to, "POST", "/", &(bearer(&jane) + JSON), &batch(&[feature(1.0, FIRST_S, 5)]));
        assert!(problem(&reply, 403).contains("report:bus"), "{reply:?}");
    }
}

#[test]
fn the_log_says_at_its_default_level_why_a_phone_is_refused_and_whose_points_are_not_taken() {
    let herd = Plan::single().with_phones().with_tokens().limits("[reports]\naccuracy_m_max = 100").start();
    let at = herd.at("Riley");
    let shown = token(at.http, &json!({ "scopes": ["report:bus", "report:a"] }));
    let id = shown.split('_').nth(1).unwrap();
    assert_eq!(fetch(at.phones, "/?id=bus&lat=1&lon=1", "").code, 401);
    herd.wait_for_log("Riley", "a phone's request is refused: a report needs a token");
    assert_eq!(fetch(at.phones, "/?id=car&lat=1&lon=1", &bearer(&shown)).code, 403);
    let line = herd.wait_for_log("Riley", "with the scope report:car (403 GET /?id=car");
    assert!(line.contains(&format!("OsmAnd's form in the query, client car, token {id})")), "{line}");
    assert_eq!(send(at.phones, "POST", "/", &(bearer(&shown) + JSON), "{").code, 400);
    herd.wait_for_log("Riley", "this is not JSON");
    assert_eq!(fetch(at.phones, "/?id=bus&lat=95&lon=1", &bearer(&shown)).code, 422);
    herd.wait_for_log("Riley", "(422 GET /?id=bus");
    let unknown = "GET /?id=bus&lat=1&lon=1 HTTP/1.0\r\nHost: herd.example.org\r\n\r\n";
    assert_eq!(request(at.phones, unknown.as_bytes()).code, 403);
    herd.wait_for_log("Riley", "(403 GET /?id=bus&lat=1&lon=1, host \"herd.example.org\")");
    let points =
        [feature(1.0, 1_700_000_000, 5), feature(2.0, 1_700_000_001, 500), json!({"type": "Feature"})];
    let sent = send(at.phones, "POST", "/", &(bearer(&shown) + JSON), &batch(&points));
    assert_eq!((sent.code, &*sent.body), (200, OVERLAND_OK));
    let line = herd.wait_for_log("Riley", "of the 3 reports of a phone's batch, 1 are taken");
    assert!(line.contains("of the client bus, 1 are not: inaccurate; 1 cannot be read, the first"), "{line}");
    let log = herd.log("Riley");
    assert!(!log.contains(shown.rsplit('_').next().unwrap()), "no line has a token: {log}");
}

#[test]
fn no_log_has_a_token_that_somebody_has_typed_as_an_id() {
    let herd = Plan::pair().with_phones().with_tokens().log("level = \"debug\"").start();
    let [riley, jaquez] = ["Riley", "Jaquez"].map(|name| herd.at(name));
    let typed = token(riley.http, &json!({ "scopes": ["report:*"] }));
    let headers = bearer(&typed);
    assert_eq!(fetch(riley.phones, &format!("/?id={typed}&lat=1&lon=1"), &headers).code, 200);
    eventually("the neighbor has the report", || client(jaquez.http, &typed)["lat"] == json!(1));
    assert_eq!(send(riley.http, "DELETE", &format!("/v1/clients/{typed}"), &headers, "").code, 204);
    eventually("the neighbor has forgotten it", || client(jaquez.http, &typed)["status"] == json!(404));
    herd.wait_for_log("Riley", "forgot the client phd_\u{2026}");
    herd.wait_for_log("Jaquez", "GONE phd_\u{2026}");
    let secret = typed.rsplit('_').next().unwrap();
    for name in ["Riley", "Jaquez"] {
        let log = herd.log(name);
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "in the log of {name}");
    }
}

#[test]
fn owntracks_is_answered_with_the_others_that_its_token_may_read() {
    let herd = Plan::single().with_phones().with_tokens().start();
    let at = herd.at("Riley");
    let operator = bearer(OPERATOR_TOKEN);
    for id in ["family/anna", "family/ben", "work/carl"] {
        assert_eq!(
            fetch(at.http, &format!("/?id={id}&lat=2&lon=2&timestamp={FIRST_S}"), &operator).code,
            200
        );
    }
    let friends = |scopes: &[&str]| {
        let shown = bearer(&token(at.http, &json!({ "scopes": scopes })));
        let headers = format!("{shown}{JSON}X-Limit-U: family\r\nX-Limit-D: me\r\n");
        let reply = send(at.phones, "POST", "/pub", &headers, &owntracks(1.0, FIRST_S));
        assert_eq!(reply.code, 200, "{reply:?}");
        assert!(reply.body.ends_with("]\n"), "{reply:?}");
        reply.json().as_array().unwrap().clone()
    };
    let topics = |scopes: &[&str]| {
        let mut topics: Vec<String> =
            friends(scopes).iter().map(|friend| friend["topic"].as_str().unwrap().to_owned()).collect();
        topics.sort();
        topics
    };
    assert_eq!(topics(&["report:family/*"]), [""; 0]);
    assert_eq!(topics(&["report:family/*", "read:family/me"]), [""; 0], "not the phone itself");
    let anna = "owntracks/family/anna";
    let family = [anna, "owntracks/family/ben"];
    assert_eq!(topics(&["report:family/*", "read:family/anna", "read:family/me"]), [anna]);
    assert_eq!(topics(&["report:family/*", "read:family/*"]), family);
    assert_eq!(topics(&["operate"]), [family[0], family[1], "owntracks/work/carl"]);
    let friend = &friends(&["report:family/*", "read:family/anna"])[0];
    assert_eq!(
        (&friend["_type"], &friend["lat"], &friend["tst"]),
        (&json!("location"), &json!(2), &json!(FIRST_S))
    );
}

#[test]
fn a_phone_gets_the_hundred_nearest_others_however_many_there_are() {
    let herd = Plan::single().with_phones().with_tokens().start();
    let at = herd.at("Riley");
    let reported: String = (0..6000)
        .map(|number| {
            format!("{{\"id\":\"c/{number}\",\"lat\":{},\"lon\":2.5}}\n", f64::from(number) / 100.0)
        })
        .collect();
    let headers = bearer(OPERATOR_TOKEN) + "Content-Type: application/x-ndjson\r\n";
    assert_eq!(send(at.http, "POST", "/v1/reports", &headers, &reported).json()["accepted"], 6000);
    for (scope, expected) in [("read:*", 100), ("read:c/599*", 11), ("read:c/5999", 1)] {
        let shown = bearer(&token(at.http, &json!({ "scopes": ["report:me", scope] })));
        let reply = send(at.phones, "POST", "/?u=me", &(shown + JSON), &owntracks(0.0, FIRST_S));
        assert_eq!(reply.json().as_array().unwrap().len(), expected, "{scope}");
    }
}

#[test]
fn no_web_page_of_another_origin_reports_through_a_browser() {
    let herd = Plan::single().with_phones().access("origins = [\"https://app.example\"]").start();
    let at = herd.at("Riley");
    for to in [at.http, at.phones] {
        for (method, target, body) in [
            ("GET", "/?id=a&lat=1&lon=1", ""),
            ("POST", "/pub?u=a", "{\"_type\":\"lwt\"}"),
            ("POST", "/", "id=a&lat=1&lon=1"),
        ] {
            for headers in ["Sec-Fetch-Site: cross-site\r\n", "Origin: https://evil.example\r\n"] {
                assert_eq!(send(to, method, target, headers, body).code, 403, "{method} {target} {headers}");
            }
            let host = "Host: evil.example";
            let head = format!(
                "{method} {target} HTTP/1.0\r\n{host}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            assert_eq!(request(to, head.as_bytes()).code, 403, "{method} {target}");
            assert_eq!(send(to, method, target, "Origin: https://app.example\r\n", body).code, 200);
        }
        let preflight = "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n";
        assert_eq!(send(to, "OPTIONS", "/pub", preflight, "").code, 403);
    }
}

/// What curl has printed, and the status code.
fn curl(herd: &Herd, arguments: &[&str]) -> (String, String) {
    let all = [&["-sS", "-w", "%{stderr}%{http_code}"], arguments].concat();
    let curl = Process::other(herd.dir(), "curl".as_ref(), &all).wait(PATIENCE);
    assert_eq!(curl.code, 0, "{curl:?}");
    (curl.err, curl.out)
}

#[test]
fn curl_reports_as_each_app_does() {
    if !have("curl") {
        return;
    }
    let herd = Plan::pair().with_phones().with_tokens().start();
    let at = herd.at("Riley");
    let shown = token(at.http, &json!({ "scopes": ["report:*"] }));
    let basic = format!("jane:{shown}");
    let bearer = format!("Authorization: Bearer {shown}");
    for to in [at.http, at.phones] {
        let url = |target: &str| format!("http://{to}{target}");
        let ok = |arguments: &[&str], expected: &str| {
            assert_eq!(curl(&herd, arguments), ("200".to_owned(), expected.to_owned()), "{arguments:?}");
        };
        ok(&[&url(&format!("/?id=osmand&lat=1&lon=2&token={shown}"))], "");
        ok(&["-H", &bearer, "-d", "deviceid=form&lat=1&lon=2", &url("/")], "");
        let headers = ["-u", &basic, "-H", "X-Limit-U: jane", "-H", "X-Limit-D: phone"];
        ok(&[&headers[..], &["--json", &owntracks(1.0, FIRST_S), &url("/pub")]].concat(), NO_FRIENDS);
        ok(&["-H", &bearer, "--json", &batch(&[feature(1.0, FIRST_S, 5)]), &url("/overland")], OVERLAND_OK);
        let traccar = json!({
            "location": { "timestamp": "2023-11-14T22:13:20.000Z", "coords": { "latitude": 1, "longitude": 2 } },
            "device_id": "traccar",
        });
        ok(&["-H", &bearer, "--json", &traccar.to_string(), &url("/")], "");
        // HTTP/2, and a body whose length curl does not say.
        ok(&["--http2-prior-knowledge", "-H", &bearer, "-d", "id=form&lat=1&lon=2", &url("/")], "");
        ok(&["-H", &bearer, "-H", "Transfer-Encoding: chunked", "-d", "id=form&lat=1&lon=2", &url("/")], "");
    }
    for id in ["osmand", "form", "jane/phone", "bus", "traccar"] {
        let http = herd.at("Jaquez").http;
        eventually("the report is at the other server", || {
            let found = client(http, id);
            if found["id"] == id { Ok(()) } else { Err(found) }
        });
    }
}
