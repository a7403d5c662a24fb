//! The API over HTTP: reports, reads, forgetting, searches, and what every request and response of the door has.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use serde_json::{Value, json};

use crate::harness::{PATIENCE, Plan, Reply, eventually, http2::Http2, request, status};

const JSON: &str = "Content-Type: application/json\r\n";
const NDJSON: &str = "Content-Type: application/x-ndjson\r\n";
const GEO_JSON: &str = "Content-Type: application/geo+json\r\n";

/// The answer to a request with these headers, each of which ends with CRLF, and this body.
fn send(http: SocketAddr, method: &str, target: &str, headers: &str, body: &str) -> Reply {
    let len = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    request(
        http,
        format!("{method} {target} HTTP/1.0\r\nHost: {http}\r\n{headers}{len}\r\n{body}").as_bytes(),
    )
}

fn get(http: SocketAddr, target: &str) -> Reply {
    send(http, "GET", target, "", "")
}

fn put(http: SocketAddr, id: &str, body: &str) -> Reply {
    send(http, "PUT", &format!("/v1/clients/{id}/location"), JSON, body)
}

/// Expects that the answer is a problem with this status, and that its detail contains this text.
fn check_problem(reply: &Reply, code: u16, detail: &str) {
    assert_eq!(reply.code, code, "{detail}: {reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{reply:?}");
    let problem = reply.json();
    assert_eq!(problem["status"], code, "{problem}");
    assert_eq!(problem["request_id"].as_str(), reply.header("x-request-id"), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains(detail), "{detail}: {problem}");
    assert!(problem["type"].is_string() && problem["title"].is_string(), "{problem}");
    assert!(reply.body.ends_with('\n'));
}

/// The IDs of the clients in an answer, in their order.
fn ids(page: &Value) -> Vec<&str> {
    let clients = page["clients"].as_array().unwrap_or_else(|| panic!("{page}"));
    clients.iter().map(|client| client["id"].as_str().unwrap()).collect()
}

/// The same, in alphabetical order.
fn sorted_ids(page: &Value) -> Vec<&str> {
    let mut ids = ids(page);
    ids.sort_unstable();
    ids
}

#[test]
fn a_report_is_answered_with_the_client_as_reads_show_it() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let reply = put(
        http,
        "kiwi",
        r#"{"lat":34.0689300,"lon":-118.445127,"time":"2021-05-19T22:53:47.50Z","battery_pct":80.50,"note":"hi"}"#,
    );
    assert_eq!((reply.code, reply.header("content-type")), (200, Some("application/json")), "{reply:?}");
    let mut taken = reply.json();
    assert_eq!(taken["result"], "accepted");
    assert_eq!((&taken["lat"], &taken["lon"]), (&json!(34.06893), &json!(-118.445127)));
    assert_eq!(taken["time"], "2021-05-19T22:53:47.50Z");
    assert_eq!((&taken["server"], &taken["id"]), (&json!("Riley"), &json!("kiwi")));
    assert!(reply.body.contains(r#""attributes":{"battery_pct":80.50,"note":"hi"}"#), "{reply:?}");
    let at = taken["at"].as_str().unwrap();
    assert!(at.starts_with("AT Riley +") && at.ends_with(" 1621464827.50"), "{at}");

    taken.as_object_mut().unwrap().remove("result");
    let shown = get(http, "/v1/clients/kiwi");
    assert_eq!((shown.code, shown.json()), (200, taken));
    let feature = send(http, "GET", "/v1/clients/kiwi", "Accept: application/geo+json\r\n", "");
    assert_eq!(feature.header("content-type"), Some("application/geo+json"));
    assert_eq!(feature.json()["geometry"]["coordinates"], json!([-118.445127, 34.06893]));
    assert_eq!(status(http)["reports"]["accepted"], 1);
}

#[test]
fn an_older_report_is_stale_and_changes_nothing() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    for (body, result, lat) in [
        (r#"{"lat":1,"lon":1,"time":1000}"#, "accepted", 1),
        (r#"{"lat":2,"lon":1,"time":"999.5"}"#, "stale", 1),
        (r#"{"lat":3,"lon":1,"time":1000}"#, "stale", 1),
        (r#"{"lat":4,"lon":1,"time":"1970-01-01T01:16:39.9+01:00"}"#, "stale", 1),
        (r#"{"lat":5,"lon":1}"#, "accepted", 5),
    ] {
        let reply = put(http, "kiwi", body);
        let taken = reply.json();
        assert_eq!((reply.code, &taken["result"]), (200, &json!(result)), "{body} {taken}");
        let sent: Value = serde_json::from_str(body).unwrap();
        assert_eq!(taken["lat"], sent["lat"], "the answer is this report");
        assert_eq!(get(http, "/v1/clients/kiwi").json()["lat"], lat, "{body}");
    }
}

#[test]
fn what_is_wrong_with_a_report_is_told() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    for (body, code, detail) in [
        ("", 400, "JSON"),
        ("{", 400, "JSON"),
        ("kiwi", 400, "JSON"),
        ("[]", 422, "object"),
        ("{}", 422, "`lat`"),
        (r#"{"lat":1}"#, 422, "`lon`"),
        (r#"{"lat":"1","lon":1}"#, 422, "`lat`"),
        (r#"{"lat":91,"lon":1}"#, 422, "`lat`"),
        (r#"{"lat":1,"lon":181}"#, 422, "`lon`"),
        (r#"{"lat":1,"lon":1,"time":"soon"}"#, 422, "`time`"),
        (r#"{"lat":1,"lon":1,"time":"2290-01-01T00:00:00Z"}"#, 422, "`time`"),
        (r#"{"lat":1,"lon":1,"ttl_s":0}"#, 422, "ttl_s"),
        (r#"{"lat":1,"lon":1,"Note":"x"}"#, 422, "Note"),
        (r#"{"lat":1,"lon":1,"note":true}"#, 422, "note"),
        (r#"{"lat":1,"lon":1,"id":"lemon"}"#, 409, "`id`"),
    ] {
        check_problem(&put(http, "kiwi", body), code, detail);
    }
    let long = format!(r#"{{"lat":1,"lon":1,"note":"{}"}}"#, "x".repeat(600));
    check_problem(&put(http, "kiwi", &long), 422, "512");
    check_problem(&put(http, "kiwi", &"x".repeat(20_000)), 413, "16384");
    for headers in ["", "Content-Type: text/plain\r\n", NDJSON] {
        let reply = send(http, "PUT", "/v1/clients/kiwi/location", headers, r#"{"lat":1,"lon":1}"#);
        check_problem(&reply, 415, "application/json");
    }
    check_problem(&get(http, "/v1/clients/kiwi"), 404, "kiwi");
    assert_eq!(
        status(http)["reports"]["rejected"],
        16,
        "a body that is too long or of another type is not read"
    );
}

#[test]
fn ids_are_percent_encoded_in_paths() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    for (id, shown) in
        [("bus%2F7", "bus/7"), ("a%25b", "a%b"), ("b%C3%BCs", "büs"), ("~-._", "~-._"), ("a+b", "a+b")]
    {
        let taken = put(http, id, r#"{"lat":1,"lon":1}"#).json();
        assert_eq!((&taken["id"], &taken["result"]), (&json!(shown), &json!("accepted")), "{id}");
        assert_eq!(get(http, &format!("/v1/clients/{id}")).json()["id"], shown);
    }
    let mut riley = herd.client("Riley");
    riley.send(b"IAMAT \xff/ +1+1 1000\n");
    riley.line_bytes();
    let shown = get(http, "/v1/clients/%FF%2F").json();
    assert_eq!((&shown["id"], &shown["id_url"]), (&json!("\u{fffd}/"), &json!("%FF%2F")), "{shown}");
    for (id, detail) in
        [("a%20b", "white space"), ("%0A", "white space"), ("a%2", "hexadecimal"), ("a%zz", "hexadecimal")]
    {
        check_problem(&get(http, &format!("/v1/clients/{id}")), 422, detail);
        check_problem(&put(http, id, r#"{"lat":1,"lon":1}"#), 422, detail);
    }
    check_problem(&get(http, &format!("/v1/clients/{}", "x".repeat(257))), 422, "256");
    for id in [".", "..", "%2E", "%2e%2E"] {
        check_problem(&get(http, &format!("/v1/clients/{id}")), 422, "`ids`");
    }
    let dots = "{\"id\":\".\",\"lat\":1,\"lon\":1}\n{\"id\":\"..\",\"lat\":1,\"lon\":1}";
    assert_eq!(send(http, "POST", "/v1/reports", NDJSON, dots).json()["accepted"], 2);
    assert_eq!(sorted_ids(&get(http, "/v1/clients?ids=.&ids=..").json()), [".", ".."]);
}

#[test]
fn a_bad_report_in_a_batch_spoils_no_other() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let post = |kind: &str, body: &str| send(http, "POST", "/v1/reports", kind, body);
    let lines = "{\"id\":\"a\",\"lat\":1,\"lon\":2,\"time\":5}\n\r\n{\"id\":\"b\",\"lat\":91,\"lon\":2}\nnope\n\
                 {\"id\":\"a\",\"lat\":3,\"lon\":2,\"time\":4}\n{\"lat\":3,\"lon\":2}\n{\"id\":\"c\",\"lat\":1,\"lon\":3}";
    let array = r#"[{"id":"d","lat":1,"lon":2}, 5, {"id":"e","lat":1,"lon":2}]"#;
    let features = r#"{"type":"FeatureCollection","features":[
        {"type":"Feature","id":"f","geometry":{"type":"Point","coordinates":[2,1]},"properties":{"note":"x"}},
        {"type":"Feature","geometry":{"type":"Point","coordinates":[2,1,9]},"properties":{"id":"g"}},
        {"type":"Feature","id":"h","geometry":null,"properties":{}}]}"#;
    for (kind, body, [accepted, stale, refused], wrong) in [
        (NDJSON, lines, [2, 1, 3], vec![1, 2, 4]),
        (JSON, array, [2, 0, 1], vec![1]),
        (GEO_JSON, features, [2, 0, 1], vec![2]),
        // A FeatureCollection may be called JSON, too. Reports without a time are always the newest.
        (JSON, features, [2, 0, 1], vec![2]),
        (NDJSON, "", [0, 0, 0], vec![]),
        (JSON, "[]", [0, 0, 0], vec![]),
    ] {
        let reply = post(kind, body);
        let result = reply.json();
        assert_eq!(reply.code, 200, "{kind} {reply:?}");
        let counts = ["accepted", "stale", "refused"].map(|name| result[name].as_u64().unwrap());
        assert_eq!(counts, [accepted, stale, refused], "{kind} {result}");
        let indexes: Vec<_> = result["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["index"].as_u64().unwrap())
            .collect();
        assert_eq!(indexes, wrong, "{result}");
    }
    let all = get(http, "/v1/clients").json();
    assert_eq!(sorted_ids(&all), ["a", "c", "d", "e", "f", "g"]);
    assert_eq!(get(http, "/v1/clients/f").json()["attributes"], json!({"note": "x"}));
    for (kind, body, code, detail) in [
        (JSON, "[", 400, "JSON"),
        (JSON, "{\"id\":\"a\"}", 422, "array"),
        (JSON, "{\"id\":\"a\"}\n{\"id\":\"b\"}", 400, "application/x-ndjson"),
        (JSON, "5", 422, "array"),
        (GEO_JSON, "[]", 422, "FeatureCollection"),
        (GEO_JSON, "x", 400, "JSON"),
        ("Content-Type: text/csv\r\n", "a,b", 415, "application/x-ndjson"),
    ] {
        check_problem(&post(kind, body), code, detail);
    }
    let many = "\n0".repeat(100_001);
    check_problem(&post(NDJSON, &many), 413, "100000");
}

#[test]
fn a_batch_lists_a_bounded_number_of_errors() {
    let herd = Plan::single().start();
    let body = "5\n".repeat(3000) + "{\"id\":\"a\",\"lat\":1,\"lon\":2}\n";
    let result = send(herd.at("Riley").http, "POST", "/v1/reports", NDJSON, &body).json();
    assert_eq!((&result["accepted"], &result["refused"]), (&json!(1), &json!(3000)));
    assert_eq!(result["errors"].as_array().unwrap().len(), 1000);
}

#[test]
fn a_report_without_room_or_too_soon_is_refused_and_told_when_to_come_back() {
    let herd = Plan::single().herd("max_clients = 1").limits("client_interval_ms = 3_600_000").start();
    let http = herd.at("Riley").http;
    let body = r#"{"lat":1,"lon":1}"#;
    assert_eq!(put(http, "kiwi", body).code, 200);
    for (id, code, detail) in [("lemon", 503, "max_clients"), ("kiwi", 429, "too soon")] {
        let refused = put(http, id, body);
        check_problem(&refused, code, detail);
        assert_eq!(refused.header("retry-after"), Some("1"), "{refused:?}");
    }
    let lines = "{\"id\":\"lemon\",\"lat\":1,\"lon\":1}\nnope\n{\"id\":\"kiwi\",\"lat\":1,\"lon\":1}";
    let result = send(http, "POST", "/v1/reports", NDJSON, lines).json();
    assert_eq!((&result["accepted"], &result["refused"]), (&json!(0), &json!(3)), "{result}");
    let indexes: Vec<_> = (0..3).map(|place| result["errors"][place]["index"].clone()).collect();
    assert_eq!(indexes, [0, 1, 2], "errors are in the order of the reports: {result}");
    assert!(result["errors"][0]["detail"].as_str().unwrap().contains("max_clients"), "{result}");
}

#[test]
fn a_report_crosses_the_doors_of_all_pairs_of_servers() {
    let herd = Plan::pair().start();
    for (from, to) in [("Riley", "Jaquez"), ("Jaquez", "Riley")] {
        let (id, http) = (format!("http-{from}"), herd.at(to).http);
        let taken =
            put(herd.at(from).http, &id, r#"{"lat":34.07,"lon":-118.44,"time":1000.5,"speed_mps":1.40}"#);
        let at = taken.json()["at"].as_str().unwrap().to_owned();
        eventually("the report arrives at the other server", || {
            match get(http, &format!("/v1/clients/{id}")) {
                reply if reply.code == 200 => {
                    assert_eq!(reply.json()["at"], at);
                    assert!(reply.body.contains("1.40"), "{reply:?}");
                    Ok(())
                }
                reply => Err(format!("{reply:?}")),
            }
        });
        assert_eq!(herd.client(to).nearby(&format!("WHATSAT {id} 10 1")).at, at);

        let id = format!("line-{from}");
        let at = herd.client(from).ask(&format!("IAMAT {id} +34.07-118.44 2000"));
        eventually("the report arrives at the other server", || {
            match get(http, &format!("/v1/clients/{id}")) {
                reply if reply.code == 200 && reply.json()["at"] == at => Ok(()),
                reply => Err(format!("{reply:?}")),
            }
        });
    }
}

#[test]
fn a_forgotten_client_is_gone_at_every_server_until_a_newer_report() {
    let herd = Plan::pair().start();
    let (riley, jaquez) = (herd.at("Riley").http, herd.at("Jaquez").http);
    let is_known = |http| get(http, "/v1/clients/kiwi").code == 200;
    let wait = |expected: bool| {
        eventually("both servers agree", || {
            let known = (is_known(riley), is_known(jaquez));
            if known == (expected, expected) { Ok(()) } else { Err(format!("{known:?}")) }
        });
    };
    put(riley, "kiwi", r#"{"lat":1,"lon":1}"#);
    wait(true);
    for _ in 0..2 {
        let reply = send(jaquez, "DELETE", "/v1/clients/kiwi", "", "");
        assert_eq!((reply.code, reply.body.as_str()), (204, ""));
    }
    wait(false);
    assert_eq!(put(riley, "kiwi", r#"{"lat":1,"lon":1,"time":1}"#).json()["result"], "stale");
    wait(false);
    put(riley, "kiwi", r#"{"lat":1,"lon":1}"#);
    wait(true);
}

#[test]
fn a_report_with_a_time_to_live_expires() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    put(http, "short", r#"{"lat":1,"lon":1,"ttl_s":1}"#);
    put(http, "long", r#"{"lat":1,"lon":1,"ttl_s":4000000000}"#);
    eventually("the report expires", || match get(http, "/v1/clients/short").code {
        404 => Ok(()),
        code => Err(code.to_string()),
    });
    assert_eq!(ids(&get(http, "/v1/clients").json()), ["long"]);
}

#[test]
fn clients_are_found_near_a_point_in_a_box_and_by_their_ids() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let reports = [
        r#"{"id":"bus/1","lat":0,"lon":0,"battery_pct":10}"#,
        r#"{"id":"bus/2","lat":0,"lon":0.001,"battery_pct":90}"#,
        r#"{"id":"cab/1","lat":0,"lon":0.002,"battery_pct":"10"}"#,
        r#"{"id":"east","lat":-17,"lon":179.5}"#,
        r#"{"id":"west","lat":-17,"lon":-179.5,"note":"on \"my\" way"}"#,
    ];
    assert_eq!(send(http, "POST", "/v1/reports", NDJSON, &reports.join("\n")).json()["accepted"], 5);
    for (query, expected) in [
        ("near=0,0", &["bus/1", "bus/2", "cab/1", "east", "west"][..]),
        ("near=0,0&radius_m=150", &["bus/1", "bus/2"]),
        ("near=0,0.002&limit=2", &["cab/1", "bus/2"]),
        ("near=0,0&ids=cab/*&ids=west", &["cab/1", "west"]),
        ("near=0,0&box=-1,-1,1,0.0005", &["bus/1"]),
        ("near=0,0&where=battery_pct%20%3E%2050", &["bus/2"]),
        ("near=-17,180&radius_m=100000", &["east", "west"]),
    ] {
        let page = get(http, &format!("/v1/clients?{query}")).json();
        assert_eq!(ids(&page), expected, "{query}");
        assert!(page["clients"][0]["distance_m"].is_number() && page["next"].is_null(), "{page}");
    }
    for (query, expected) in [
        ("", &["bus/1", "bus/2", "cab/1", "east", "west"][..]),
        ("box=-20,179,-10,-179", &["east", "west"]),
        ("box=-20,-179.9,-10,179.9", &["east", "west"]),
        ("box=-10,-20,-20,20", &[]),
        ("box=-1,-1,1,1", &["bus/1", "bus/2", "cab/1"]),
        ("box=1,-1,-1,1", &["bus/1", "bus/2", "cab/1"]),
        ("ids=bus/*", &["bus/1", "bus/2"]),
        ("ids=bus%2F1&ids=west&ids=nobody", &["bus/1", "west"]),
        ("where=battery_pct%3C50", &["bus/1"]),
        ("where=battery_pct+%3D+%2210%22", &["cab/1"]),
        ("where=note%20%3D%20%22on%20%5C%22my%5C%22%20way%22", &["west"]),
        ("max_age_s=1000", &["bus/1", "bus/2", "cab/1", "east", "west"]),
        ("max_age_s=0", &[]),
    ] {
        let page = get(http, &format!("/v1/clients?{query}")).json();
        assert_eq!(sorted_ids(&page), expected, "{query}");
    }
    let collection = send(http, "GET", "/v1/clients?ids=east", "Accept: application/geo+json\r\n", "");
    assert_eq!(collection.json()["type"], "FeatureCollection");
    assert_eq!(collection.json()["features"][0]["id"], "east");
}

#[test]
fn pages_hold_each_client_once() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let reports: String =
        (0..95).map(|number| format!("{{\"id\":\"c/{number:02}\",\"lat\":1,\"lon\":{number}}}\n")).collect();
    assert_eq!(send(http, "POST", "/v1/reports", NDJSON, &reports).json()["accepted"], 95);
    let (mut found, mut query, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = get(http, &format!("/v1/clients?limit=10&ids=c/*{query}")).json();
        found.extend(ids(&page).into_iter().map(str::to_owned));
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        assert!(!next.contains('/'), "a cursor has no slash: {next}");
        query = format!("&after={}", next.replace('%', "%25"));
    }
    found.sort();
    let expected: Vec<_> = (0..95).map(|number| format!("c/{number:02}")).collect();
    assert_eq!((pages, found), (10, expected));
}

#[test]
fn what_is_wrong_with_a_search_is_told() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    for (query, code, detail) in [
        ("near=1", 422, "`near`"),
        ("near=91,0", 422, "`near`"),
        ("near=0,181", 422, "`near`"),
        ("radius_m=5", 409, "`radius_m`"),
        ("near=0,0&radius_m=-1", 422, "`radius_m`"),
        ("near=0,0&after=a", 409, "`after`"),
        ("after=a/b", 422, "`after`"),
        ("box=0,0,1", 422, "`box`"),
        ("box=0,0,91,0", 422, "`box`"),
        ("ids=", 422, "`ids`"),
        ("ids=a%20b", 422, "`ids`"),
        ("where=", 422, "`where`"),
        ("where=a%3D%3D1", 422, "`where`"),
        ("max_age_s=old", 422, "`max_age_s`"),
        ("limit=0", 422, "`limit`"),
        ("limit=10001", 422, "`limit`"),
        ("limit=1&limit=2", 422, "`limit`"),
        ("lim=1", 422, "\"lim\""),
    ] {
        check_problem(&get(http, &format!("/v1/clients?{query}")), code, detail);
    }
    check_problem(&get(http, &format!("/v1/clients?ids={}", "x".repeat(17_000))), 422, "16384");
    check_problem(&get(http, &format!("/v1/clients?{}", "ids=a&".repeat(1001))), 422, "1000");
    for place in ["", "near=0,0&"] {
        let prefixes = |count: usize| format!("/v1/clients?{place}ids=a&{}", "ids=a*&".repeat(count));
        assert_eq!(get(http, &prefixes(32)).code, 200);
        check_problem(&get(http, &prefixes(33)), 422, "32 beginnings");
    }
    check_problem(
        &send(http, "GET", "/v1/clients", "Accept: text/html\r\n", ""),
        406,
        "application/geo+json",
    );
    check_problem(&get(http, "/v1/clients/kiwi?x=1"), 422, "takes no parameters");
}

#[test]
fn places_around_a_client_are_told_as_at_google_s_path() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    put(http, "kiwi", r#"{"lat":34.068930,"lon":-118.445127}"#);
    let reply = get(http, "/v1/clients/kiwi/places?radius_m=10000&limit=2");
    let google =
        get(http, "/maps/api/place/nearbysearch/json?location=34.068930,-118.445127&radius=10000").json();
    assert_eq!(reply.json()["results"].as_array().unwrap()[..], google["results"].as_array().unwrap()[..2]);
    assert!(reply.header("x-proxyherd-client-at").unwrap().starts_with("AT Riley "), "{reply:?}");
    let parks = get(http, "/v1/clients/kiwi/places?type=park").json();
    assert_eq!(parks["status"], "ZERO_RESULTS");
    check_problem(&get(http, "/v1/clients/lemon/places"), 404, "lemon");
    for query in
        ["radius_m=0", "radius_m=50001", "limit=0", "limit=21", "type=", "type=A%20bar", "rankby=distance"]
    {
        let name = query.split('=').next().unwrap();
        check_problem(&get(http, &format!("/v1/clients/kiwi/places?{query}")), 422, name);
    }
}

#[test]
fn the_labels_of_a_box_are_its_most_prominent_places() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let labels = |query: &str| {
        let reply = get(http, &format!("/v1/places?{query}"));
        assert_eq!(reply.code, 200, "{reply:?}");
        reply.json()
    };
    let world = labels("box=-90,-180,90,180");
    let places = world["places"].as_array().unwrap();
    assert_eq!(places.len(), 100);
    let people: Vec<u64> = places.iter().map(|place| place["population"].as_u64().unwrap()).collect();
    assert!(people.is_sorted_by(|one, next| one >= next) && people[99] > 1_000_000, "{people:?}");
    for member in ["lat", "lon"] {
        assert!(places.iter().all(|place| place[member].is_f64()), "{world}");
    }
    assert!(places.iter().all(|place| place["kind"] == "locality" && place["name"].is_string()));
    assert!(world["html_attributions"][0].as_str().unwrap().contains("GeoNames"), "{world}");
    assert_eq!(labels("box=90,-180,-90,180&limit=3")["places"].as_array().unwrap()[..], places[..3]);
    assert_eq!(labels("box=-90,-180,90,180&limit=1000")["places"].as_array().unwrap().len(), 1000);
    let fiji = labels("box=-21,176,-12,-178&limit=2");
    assert_eq!(fiji["places"][1]["name"], "Suva", "{fiji}");
    let nothing = labels("box=-50,-124,-48,-122");
    assert_eq!(nothing, json!({ "places": [], "html_attributions": [] }));
    for (query, detail) in [
        ("", "`box` is missing"),
        ("limit=5", "`box` is missing"),
        ("box=1,2,3", "`box`"),
        ("box=-91,0,0,0", "`box`"),
        ("box=0,0,1,181", "`box`"),
        ("box=0,0,1,x", "`box`"),
        ("box=0,0,1,1&limit=0", "`limit`"),
        ("box=0,0,1,1&limit=1001", "`limit`"),
        ("box=0,0,1,1&zoom=3", "\"zoom\""),
    ] {
        check_problem(&get(http, &format!("/v1/places?{query}")), 422, detail);
    }
    let held = get(http, "/v1/places?box=0,0,1,1");
    let headers = format!("If-None-Match: {}\r\n", held.header("etag").unwrap());
    assert_eq!(send(http, "GET", "/v1/places?box=0,0,1,1", &headers, "").code, 304);
}

#[test]
fn an_answer_that_the_client_holds_is_not_sent_again() {
    let herd = Plan::pair().start();
    let (http, other) = (herd.at("Riley").http, herd.at("Jaquez").http);
    put(http, "kiwi", r#"{"lat":1,"lon":1}"#);
    let etag = get(http, "/v1/clients/kiwi").header("etag").unwrap().to_owned();
    let again =
        |http, etag: &str| send(http, "GET", "/v1/clients/kiwi", &format!("If-None-Match: {etag}\r\n"), "");
    let held = again(http, &etag);
    assert_eq!((held.code, held.body.as_str(), held.header("etag")), (304, "", Some(&*etag)));
    eventually("the other server has the same answer", || match again(other, &etag).code {
        304 => Ok(()),
        code => Err(code.to_string()),
    });
    assert_eq!(again(http, "W/\"0\"").code, 200);
    put(http, "kiwi", r#"{"lat":1,"lon":2}"#);
    assert_eq!(again(http, &etag).code, 200);
    for path in ["/openapi.json", "/docs", "/docs/style.css", "/docs/script.js"] {
        let etag = get(http, path).header("etag").unwrap().to_owned();
        assert_eq!(send(http, "GET", path, &format!("If-None-Match: {etag}\r\n"), "").code, 304, "{path}");
    }
}

#[test]
fn each_path_tells_its_methods() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    put(http, "kiwi", r#"{"lat":1,"lon":1}"#);
    for (path, allow) in [
        ("/", "GET, HEAD, POST, OPTIONS"),
        ("/health/livez", "GET, HEAD, OPTIONS"),
        ("/v1/clients", "GET, HEAD, OPTIONS"),
        ("/v1/clients/kiwi", "GET, HEAD, DELETE, OPTIONS"),
        ("/v1/clients/kiwi/location", "PUT, OPTIONS"),
        ("/v1/reports", "POST, OPTIONS"),
        ("/v1/tokens", "GET, HEAD, POST, OPTIONS"),
    ] {
        let refused = send(http, "PATCH", path, "", "");
        check_problem(&refused, 405, allow);
        assert_eq!(refused.header("allow"), Some(allow), "{path}");
        let options = send(http, "OPTIONS", path, "", "");
        assert_eq!((options.code, options.header("allow")), (204, Some(allow)), "{path}");
    }
    let head = send(http, "HEAD", "/v1/clients/kiwi", "", "");
    let len = get(http, "/v1/clients/kiwi").body.len().to_string();
    assert_eq!((head.code, head.header("content-length"), head.body.as_str()), (200, Some(&*len), ""));
    for path in ["/v1", "/v1/", "/v1/clients/", "/v1/clients/a/b", "/v2/clients", "/nothing"] {
        check_problem(&get(http, path), 404, "/v1/clients/{id}");
    }
}

#[test]
fn a_request_keeps_its_id_in_the_answer_and_in_the_log() {
    let herd = Plan::single().log("level = \"debug\"").start();
    let http = herd.at("Riley").http;
    let asked = |headers: &str| send(http, "GET", "/health/livez", headers, "");
    assert_eq!(asked("X-Request-Id: trace 7\r\n").header("x-request-id"), Some("trace 7"));
    herd.wait_for_log("Riley", "request trace 7");
    let made = asked("").header("x-request-id").unwrap().to_owned();
    assert_ne!(asked("").header("x-request-id"), Some(&*made));
    herd.wait_for_log("Riley", &format!("request {made}"));
    let long = "x".repeat(129);
    assert_eq!(asked(&format!("X-Request-Id: {long}\r\n")).header("x-request-id").unwrap().len(), 16);
}

#[test]
fn only_pages_of_allowed_origins_may_call_the_api() {
    let herd = Plan::single().access("origins = [\"https://map.example\"]").start();
    let http = herd.at("Riley").http;
    let target = "/v1/clients/kiwi/location";
    let ask = |method: &str, target: &str, origin: &str, more: &str, body: &str| {
        let headers = format!("Origin: {origin}\r\nSec-Fetch-Site: cross-site\r\n{more}");
        send(http, method, target, &headers, body)
    };
    let wants = "Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: content-type\r\n";
    let allowed = ask("OPTIONS", target, "https://map.example", wants, "");
    assert_eq!(allowed.code, 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://map.example"),
        ("access-control-allow-methods", "PUT, OPTIONS"),
        ("access-control-max-age", "600"),
        ("vary", "Origin"),
    ] {
        assert_eq!(allowed.header(name), Some(value), "{allowed:?}");
    }
    assert!(allowed.header("access-control-allow-headers").unwrap().contains("Content-Type"));
    check_problem(&ask("OPTIONS", target, "https://evil.example", wants, ""), 403, "origins");

    let body = r#"{"lat":1,"lon":1}"#;
    let taken = ask("PUT", target, "https://map.example", JSON, body);
    assert_eq!((taken.code, taken.header("access-control-allow-origin")), (200, Some("https://map.example")));
    assert!(taken.header("access-control-expose-headers").unwrap().contains("ETag"));
    // The page can read what is wrong, too.
    let wrong = ask("PUT", target, "https://map.example", JSON, "{}");
    check_problem(&wrong, 422, "`lat`");
    assert_eq!(wrong.header("access-control-allow-origin"), Some("https://map.example"));
    for origin in ["https://evil.example", "null", "https://map.example.evil.example", "http://map.example"] {
        let refused = ask("PUT", target, origin, JSON, body);
        check_problem(&refused, 403, "origins");
        assert_eq!(refused.header("access-control-allow-origin"), None);
        check_problem(&ask("GET", "/v1/clients/kiwi", origin, "", ""), 403, "origins");
    }
}

#[test]
fn long_answers_are_compressed_for_those_who_accept_it() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let asked = |headers: &str| {
        let mut stream = TcpStream::connect(http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let text = format!("GET /openapi.json HTTP/1.0\r\nHost: {http}\r\n{headers}\r\n");
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    };
    let (plain, packed) = (asked(""), asked("Accept-Encoding: br, gzip\r\n"));
    let head = String::from_utf8_lossy(&packed).to_lowercase();
    assert!(head.contains("content-encoding: gzip\r\n") && head.contains("vary: accept-encoding\r\n"));
    assert!(packed.len() * 3 < plain.len(), "{} {}", packed.len(), plain.len());
    let short = send(http, "GET", "/health/livez", "Accept-Encoding: gzip\r\n", "");
    assert_eq!((short.header("content-encoding"), short.body.as_str()), (None, "ok\n"));
}

#[test]
fn the_page_and_the_document_are_open() {
    let herd = Plan::single().with_tokens().start();
    let http = herd.at("Riley").http;
    let document = get(http, "/openapi.json");
    assert_eq!(document.header("content-type"), Some("application/json"));
    assert_eq!(document.json()["security"], json!([{"bearer": []}, {"basic": []}]), "tokens are on");
    let page = get(http, "/docs");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    assert!(page.body.contains("/v1/clients/{id}/location"));
    check_problem(&get(http, "/v1/clients"), 401, "token");
}

#[test]
fn the_api_speaks_http_2() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    put(http, "kiwi", r#"{"lat":1,"lon":1}"#);
    let mut client = Http2::connect(http);
    client.ask(1, "/v1/clients/kiwi");
    client.ask(3, "/v1/clients/nobody");
    let answers = client.answers(2);
    assert_eq!((answers[&1].0, answers[&3].0), (200, 404));
    assert!(
        answers[&1].1.contains("\"id\":\"kiwi\"") && answers[&3].1.contains("\"status\":404"),
        "{answers:?}"
    );
}
