//! Tests of tokens: who may do what at each door, how tokens end, and that no token shows anywhere.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use serde_json::{Value, json};

use crate::harness::{
    Client, Herd, OPERATOR_TOKEN, OPERATOR_TOKEN_SHA256, Plan, Reply, WHERE_AND_WHEN, Ws, bearer, eventually,
    fetch, metric, request, within,
};

/// A report of kiwi.
const JSON: &str = "Content-Type: application/json\r\n";
const IAMAT: &str = "IAMAT kiwi +34.068930-118.445127 1621464827.959498503";

/// The answer to a request with these headers and this body.
fn send(http: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Reply {
    let len = body.len();
    let head = format!("{method} {path} HTTP/1.0\r\nHost: {http}\r\nContent-Length: {len}\r\n{headers}");
    request(http, format!("{head}\r\n{body}").as_bytes())
}

/// Makes a token at a server, as the operator.
fn make(http: SocketAddr, wanted: &Value) -> (String, String) {
    let headers = bearer(OPERATOR_TOKEN) + JSON;
    let made = send(http, "POST", "/v1/tokens", &headers, &wanted.to_string());
    assert_eq!(made.code, 201, "{made:?}");
    let made = made.json();
    (made["token"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
}

fn make_with(http: SocketAddr, scopes: &[&str]) -> String {
    make(http, &json!({ "scopes": scopes })).0
}

/// The token of a new share of kiwi.
fn share_of_kiwi(http: SocketAddr) -> String {
    let headers = bearer(OPERATOR_TOKEN) + JSON;
    let made = send(http, "POST", "/v1/shares", &headers, r#"{"id":"kiwi","expires_s":600}"#);
    assert_eq!(made.code, 201, "{made:?}");
    made.json()["token"].as_str().unwrap().to_owned()
}

fn revoke(http: SocketAddr, id: &str) {
    let revoked = send(http, "DELETE", &format!("/v1/tokens/{id}"), &bearer(OPERATOR_TOKEN), "");
    assert_eq!(revoked.code, 204, "{revoked:?}");
}

fn auth(client: &mut Client, token: &str) -> String {
    client.ask(&format!("AUTH {token}"))
}

/// A token of the right form that nobody has made.
fn wrong() -> String {
    format!("phd_nobody_{}", "0".repeat(64))
}

#[test]
fn at_the_line_door_a_token_gives_rights_and_a_wrong_one_takes_them() {
    let herd = Plan::single().with_tokens().start();
    let http = herd.at("Riley").http;
    let some = make_with(http, &["report:ki*", "read:kiwi", "places"]);
    let mut client = herd.client("Riley");
    let refused = format!("? {IAMAT}");
    let denied = "proxyherd_reports_refused_total{reason=\"denied\"}";
    assert_eq!(client.ask(IAMAT), refused, "without a token");
    assert_eq!(metric(http, denied), Some(1.0));
    assert_eq!(auth(&mut client, &some), "AUTH ok");
    assert!(client.ask(IAMAT).starts_with("AT Riley "));
    let other = "IAMAT other +1+1 1";
    // The reports of one read are taken together. Only the one outside of the scopes is refused.
    client.send(format!("{IAMAT}\n{other}\n{IAMAT}\n").as_bytes());
    let lines = [client.line(), client.line(), client.line()];
    assert!(lines[0].starts_with("AT Riley ") && lines[2] == lines[0], "{lines:?}");
    assert_eq!(lines[1], format!("? {other}"));
    assert!(client.nearby("WHATSAT kiwi 10 1").at.starts_with("AT Riley "));
    assert_eq!(client.ask("WHATSAT other 10 1"), "? WHATSAT other 10 1");
    // Lines before an AUTH line have the earlier rights.
    client.send(format!("{IAMAT}\nAUTH {}\n{IAMAT}\nAUTH {some}\n{IAMAT}\n", wrong()).as_bytes());
    let lines = [client.line(), client.line(), client.line(), client.line(), client.line()];
    assert!(lines[0].starts_with("AT Riley ") && lines[4] == lines[0], "{lines:?}");
    assert_eq!([&*lines[1], &*lines[2], &*lines[3]], ["? AUTH", &refused, "AUTH ok"]);
    for malformed in ["AUTH", "AUTH a b", &format!("AUTH{some}")] {
        assert_eq!(client.ask(malformed), "? AUTH");
        assert_eq!(client.ask(IAMAT), refused, "{malformed} has taken the rights");
        assert_eq!(auth(&mut client, OPERATOR_TOKEN), "AUTH ok");
    }
}

#[test]
fn without_tokens_every_token_is_accepted() {
    let herd = Plan::single().start();
    let mut client = herd.client("Riley");
    assert_eq!(auth(&mut client, "anything"), "AUTH ok");
    assert!(client.ask(IAMAT).starts_with("AT Riley "));
    assert_eq!(fetch(herd.at("Riley").http, "/v1/status?token=x", &bearer("x")).code, 200);
}

#[test]
fn a_revoked_token_is_refused_at_every_server_on_open_connections() {
    let herd = Plan::pair().with_tokens().start();
    let (riley, jaquez) = (herd.at("Riley").http, herd.at("Jaquez").http);
    let (token, id) = make(riley, &json!({ "scopes": ["report:*"], "name": "to be revoked" }));
    let mut far = herd.client("Jaquez");
    eventually("the token reaches Jaquez", || auth(&mut far, &token) == "AUTH ok");
    let mut near = herd.client("Riley");
    assert_eq!(auth(&mut near, &token), "AUTH ok");
    for client in [&mut near, &mut far] {
        assert!(client.ask(IAMAT).starts_with("AT "));
    }
    revoke(riley, &id);
    assert_eq!(near.ask(IAMAT), format!("? {IAMAT}"), "at once where it was revoked");
    within(Duration::from_secs(5), "Jaquez refuses it on the open connection", || {
        far.ask(IAMAT) == format!("? {IAMAT}")
    });
    assert_eq!(auth(&mut far, &token), "? AUTH");
    let refused = send(jaquez, "GET", "/v1/clients", &bearer(&token), "");
    assert_eq!(refused.code, 401, "{refused:?}");
    assert_eq!(
        refused.header("WWW-Authenticate"),
        Some("Bearer realm=\"proxyherd\", error=\"invalid_token\"")
    );
    let listed = fetch(jaquez, "/v1/tokens", &bearer(OPERATOR_TOKEN)).json();
    let listed = &listed["tokens"][0];
    assert_eq!((listed["id"].as_str(), listed["revoked"].as_bool()), (Some(&*id), Some(true)), "{listed}");
    assert_eq!(listed["name"].as_str(), Some("to be revoked"));
    assert_eq!(listed.get("token"), None);
}

#[test]
fn a_token_that_reaches_its_end_loses_its_rights_on_open_connections() {
    let herd = Plan::single().with_tokens().start();
    let (token, _) = make(herd.at("Riley").http, &json!({ "scopes": ["operate"], "expires_s": 1 }));
    let mut client = herd.client("Riley");
    eventually("the token ends", || {
        let _ = client.ask(IAMAT);
        auth(&mut herd.client("Riley"), &token) == "? AUTH"
    });
    assert_eq!(client.ask(IAMAT), format!("? {IAMAT}"));
    let none = fetch(herd.at("Riley").http, "/v1/tokens", &bearer(OPERATOR_TOKEN)).json();
    assert_eq!(none, json!({ "tokens": [] }), "its record is dropped");
}

#[test]
fn a_revocation_wins_over_the_records_of_a_server_that_comes_back() {
    let mut herd = Plan::pair().with_tokens().start();
    let riley = herd.at("Riley").http;
    let (token, id) = make(riley, &json!({ "scopes": ["report:*"] }));
    eventually("the token reaches Jaquez", || auth(&mut herd.client("Jaquez"), &token) == "AUTH ok");
    revoke(riley, &id);
    eventually("the revocation reaches Jaquez", || auth(&mut herd.client("Jaquez"), &token) == "? AUTH");
    herd.kill_all(&["Riley"]);
    herd.start("Riley");
    herd.wait_for_links(&["Riley", "Jaquez"]);
    let knows_it = || {
        let listed = fetch(riley, "/v1/tokens", &bearer(OPERATOR_TOKEN)).json();
        listed["tokens"][0]["revoked"] == true
    };
    eventually("Riley hears of the revocation again", knows_it);
    assert_eq!(auth(&mut herd.client("Riley"), &token), "? AUTH");
}

#[test]
fn a_new_operator_token_takes_effect_without_a_restart() {
    let herd = Plan::single().with_tokens().start();
    let http = herd.at("Riley").http;
    let mut client = herd.client("Riley");
    assert_eq!(auth(&mut client, OPERATOR_TOKEN), "AUTH ok");
    let new = format!("phd_operator_{}", "b6".repeat(32));
    let new_sha256 = "2df45ba9bf6af1e753b1ed63b1a4761fbe7577b1a53279dd73a001e2669b0a76";
    herd.write_file("herd.toml", &herd.text().replace(OPERATOR_TOKEN_SHA256, new_sha256));
    herd.wait_for_log("Riley", "the operator's token has changed");
    assert_eq!(client.ask(IAMAT), format!("? {IAMAT}"));
    assert_eq!(auth(&mut client, &new), "AUTH ok");
    assert_eq!(fetch(http, "/v1/status", &bearer(&new)).code, 200);
    assert_eq!(fetch(http, "/v1/status", &bearer(OPERATOR_TOKEN)).code, 401);
    let audit = fs::read_to_string(herd.dir().join("log/Riley.audit.log")).unwrap();
    assert!(audit.contains("the operator's token has another hash now"), "{audit}");
    // The hash of "abc" (FIPS 180-2, appendix B.1). A text that does not have the form of a token is none.
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    herd.write_file("herd.toml", &herd.text().replace(OPERATOR_TOKEN_SHA256, abc));
    eventually("the hash is taken", || auth(&mut herd.client("Riley"), &new) == "? AUTH");
    assert_eq!(auth(&mut client, "abc"), "? AUTH");
}

#[test]
fn with_tokens_off_only_the_operators_token_makes_lists_and_revokes_tokens() {
    let hash = format!("operator_token_sha256 = \"{OPERATOR_TOKEN_SHA256}\"");
    let herd = Plan::single().access(&hash).log("level = \"debug\"").start();
    let http = herd.at("Riley").http;
    let (token, id) = make(http, &json!({ "scopes": ["operate"] }));
    let json = JSON;
    for headers in [String::new(), bearer(&wrong()), bearer("x"), bearer(&token)] {
        for (method, path, body) in [
            ("GET", "/v1/tokens", ""),
            ("POST", "/v1/tokens", "{\"scopes\":[\"operate\"]}"),
            ("DELETE", &*format!("/v1/tokens/{id}"), ""),
        ] {
            let refused = send(http, method, path, &(headers.clone() + json), body);
            assert_eq!(refused.code, 401, "{method} {refused:?}");
            let said = refused.json()["detail"].as_str().unwrap().to_owned();
            assert!(said.contains("tokens are off") && said.contains("operator_token_sha256"), "{said}");
        }
        assert_eq!(fetch(http, "/v1/status", &headers).code, 200, "everything else needs no token");
    }
    let listed = fetch(http, "/v1/tokens", &bearer(OPERATOR_TOKEN)).json();
    assert_eq!(listed["tokens"].as_array().map(Vec::len), Some(1), "{listed}");
    revoke(http, &id);
    // Without a hash there is no operator's token.
    let herd = Plan::single().start();
    let refused = fetch(herd.at("Riley").http, "/v1/tokens", &bearer(OPERATOR_TOKEN));
    assert_eq!(refused.code, 401, "{refused:?}");
}

#[test]
fn a_token_adds_only_so_many_clients_and_reports_only_so_often() {
    let herd = Plan::single().with_tokens().start();
    let http = herd.at("Riley").http;
    let (token, id) = make(http, &json!({ "scopes": ["report:*"], "clients_max": 2 }));
    let mut client = herd.client("Riley");
    assert_eq!(auth(&mut client, &token), "AUTH ok");
    let report = |id: &str| format!("IAMAT {id} {WHERE_AND_WHEN}");
    let mut operator = herd.client("Riley");
    assert_eq!(auth(&mut operator, OPERATOR_TOKEN), "AUTH ok");
    assert!(operator.ask(&report("known")).starts_with("AT "));
    client.send(["a", "known", "b", "c", "a"].map(|id| report(id) + "\n").concat().as_bytes());
    let lines = [0; 5].map(|_| client.line());
    let taken = lines.each_ref().map(|line| line.starts_with("AT "));
    assert_eq!(taken, [true, true, true, false, true], "{lines:?}");
    let forgotten = send(http, "DELETE", "/v1/clients/b", &bearer(&token), "");
    assert_eq!(forgotten.code, 204);
    herd.wait_for_log("Riley", &format!("forgot the client b; by token {id}"));
    assert_eq!(client.ask(&report("c")), format!("? {}", report("c")), "what is forgotten takes room");
    let body = r#"{"lat":34,"lon":-118}"#;
    let put = send(http, "PUT", "/v1/clients/c/location", &(bearer(&token) + JSON), body);
    let detail = put.json()["detail"].as_str().unwrap().to_owned();
    assert!(put.code == 403 && detail.contains("at this server, 2;"), "{put:?}");
    let batch =
        send(http, "POST", "/v1/reports", &(bearer(&token) + JSON), r#"[{"id":"c","lat":34,"lon":-118}]"#);
    assert_eq!(batch.json()["errors"][0]["detail"], detail);
    let refused = |reason: &str| {
        metric(http, &format!("proxyherd_reports_refused_total{{reason=\"{reason}\"}}")).unwrap()
    };
    assert_eq!(["token_full", "unmet", "full"].map(refused), [4.0, 0.0, 0.0]);

    let (token, _) = make(http, &json!({ "scopes": ["report:*"], "rate": 2 }));
    assert_eq!(auth(&mut client, &token), "AUTH ok");
    let rejected = || metric(http, "proxyherd_reports_total{result=\"rejected\",door=\"line\"}").unwrap();
    let before = rejected();
    client.send(["a", "a", "a", "a"].map(|id| report(id) + "\n").concat().as_bytes());
    let lines = [0; 4].map(|_| client.line());
    assert_eq!(lines.each_ref().map(|line| line.starts_with("AT ")), [true, true, false, false], "{lines:?}");
    assert_eq!(rejected() - before, 2.0);
    assert_eq!(["too_fast", "denied"].map(refused), [2.0, 0.0]);
}

#[test]
fn a_limit_of_a_token_is_at_least_one() {
    let herd = Plan::single().with_tokens().start();
    let http = herd.at("Riley").http;
    for (limit, values) in
        [("clients_max", [0, 1_000_000_000_001_u64]), ("rate", [0, 1 << 32]), ("expires_s", [0, 1 << 40])]
    {
        for value in values {
            let body = json!({ "scopes": ["report:*"], limit: value }).to_string();
            let refused = send(http, "POST", "/v1/tokens", &(bearer(OPERATOR_TOKEN) + JSON), &body);
            assert_eq!(refused.code, 422, "{limit} {value}: {refused:?}");
        }
    }
}

#[test]
fn a_rate_counts_requests_to_forget_and_questions_about_places() {
    let herd = Plan::single().with_tokens().start();
    let http = herd.at("Riley").http;
    let wanted = json!({ "scopes": ["report:*", "read:*", "places"], "rate": 1 });
    let places = "/maps/api/place/nearbysearch/json?location=34,-118&radius=500";
    for (method, path, expected) in
        [("DELETE", "/v1/clients/kiwi", 429), ("GET", "/v1/clients/kiwi/places", 429), ("GET", places, 200)]
    {
        let (token, _) = make(http, &wanted);
        let first = send(http, method, path, &bearer(&token), "");
        assert!(matches!(first.code, 200 | 204 | 404), "{first:?}");
        let fast = send(http, method, path, &bearer(&token), "");
        assert_eq!(fast.code, expected, "{fast:?}");
        match expected {
            429 => assert_eq!(fast.header("Retry-After"), Some("1")),
            _ => assert!(fast.body.contains("\"OVER_QUERY_LIMIT\""), "{fast:?}"),
        }
    }
    let (token, _) = make(http, &wanted);
    let mut client = herd.client("Riley");
    assert_eq!(auth(&mut client, &token), "AUTH ok");
    let iamat = format!("IAMAT kiwi {WHERE_AND_WHEN}");
    client.send(format!("{iamat}\nWHATSAT kiwi 10 1\n").as_bytes());
    assert!(client.line().starts_with("AT "));
    assert_eq!(client.line(), "? WHATSAT kiwi 10 1", "the report has used up the second");
}

#[test]
fn the_log_of_requests_says_which_token_it_was() {
    let herd = Plan::single().with_tokens().log("level = \"debug\"").start();
    let http = herd.at("Riley").http;
    let (token, id) = make(http, &json!({ "scopes": ["operate"] }));
    assert_eq!(fetch(http, "/v1/status", &bearer(&token)).code, 200);
    let line = herd.wait_for_log("Riley", &format!(", token {id}"));
    assert!(line.contains("/v1/status"), "{line}");
    herd.wait_for_log("Riley", ", the operator's token");
}

#[test]
fn wrong_tokens_are_counted_and_logged_without_their_texts() {
    let herd = Plan::single().with_tokens().access("proxies = [\"127.0.0.1\"]").start();
    let http = herd.at("Riley").http;
    let mut client = herd.client("Riley");
    for _ in 0..4 {
        assert_eq!(auth(&mut client, &wrong()), "? AUTH");
    }
    assert_eq!(metric(http, "proxyherd_auth_failures_total{door=\"line\"}"), Some(4.0));
    for (headers, expected) in [
        ("", Some("Bearer realm=\"proxyherd\"")),
        ("Authorization: Digest x\r\n", Some("Bearer realm=\"proxyherd\", error=\"invalid_token\"")),
    ] {
        let refused = fetch(http, "/v1/status", &format!("X-Forwarded-For: 192.0.2.7\r\n{headers}"));
        assert_eq!((refused.code, refused.header("WWW-Authenticate")), (401, expected));
    }
    assert_eq!(
        metric(http, "proxyherd_auth_failures_total{door=\"http\"}"),
        Some(1.0),
        "no token is no guess"
    );
    let line = herd.wait_for_log("Riley", "showed a token");
    assert!(line.contains("line door"), "{line}");
    herd.wait_for_log("Riley", "192.0.2.7");
}

#[test]
fn the_audit_log_says_who_made_and_revoked_what_whatever_the_level_of_the_log() {
    let herd = Plan::single().with_tokens().log("level = \"error\"").start();
    let http = herd.at("Riley").http;
    let (_, id) = make(http, &json!({ "scopes": ["report:a*", "operate"], "name": "the\nfleet" }));
    revoke(http, &id);
    let (reader, reader_id) = make(http, &json!({ "scopes": ["read:*"] }));
    for _ in 0..3 {
        assert_eq!(fetch(http, "/v1/tokens", &bearer(&reader)).code, 403);
    }
    let audit = fs::read_to_string(herd.dir().join("log/Riley.audit.log")).unwrap();
    let refused =
        format!("Riley refused to make, list or revoke tokens: token {reader_id} may not, from 127.0.0.1:");
    assert!(audit.contains(&refused), "{audit}");
    let lines: Vec<&str> = audit.lines().filter(|line| line.contains(&id)).collect();
    let expected = format!(
        "token {id} scopes \"report:a* operate\" name \"the\\nfleet\" never ends; by the operator's token from 127.0.0.1:"
    );
    assert_eq!(lines.len(), 2, "{audit}");
    assert!(lines[0].contains(&format!("Riley made {expected}")), "{audit}");
    assert!(lines[1].contains(&format!("Riley revoked {expected}")), "{audit}");
}

/// One row of the table of rights in the book.
struct Row {
    door: String,
    command: String,
    rights: Vec<String>,
}

/// The table of rights in the book.
fn table() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book/src/reference/rights.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, rows) = text.split_once("| door | command or path | rights |\n|---|---|---|\n").unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [door, command, rights] = cells[..] else { panic!("{line}") };
        let rights = rights.split(", ").filter(|right| *right != "none");
        Row {
            door: door.to_owned(),
            command: command.trim_matches('`').to_owned(),
            rights: rights.map(|right| right.trim_matches('`').to_owned()).collect(),
        }
    };
    rows.lines().take_while(|line| line.starts_with('|')).map(row).collect()
}

/// Whether a token with these scopes has a right of the table, for the client kiwi.
fn gives(scopes: &[&str], right: &str) -> bool {
    let has = |wanted: &str| scopes.contains(&wanted);
    // No scope makes a token the token of a share.
    if right == "share" {
        return has("share");
    }
    if right == "any" {
        return true;
    }
    has("operate")
        || match right.split_once(':') {
            Some((kind, "ID")) => has(&format!("{kind}:kiwi")) || has(&format!("{kind}:*")),
            Some(_) => panic!("{right}"),
            None => {
                has(right)
                    || scopes.iter().any(|scope| scope.split_once(':').is_some_and(|(kind, _)| kind == right))
            }
        }
}

/// Whether a command of the line door is allowed. `token`: what the connection shows first.
fn is_allowed_at_line(herd: &Herd, command: &str, token: Option<&str>) -> bool {
    let mut client = herd.client("Riley");
    if let Some(token) = token {
        let _ = auth(&mut client, token);
    }
    let line = match command {
        "AUTH TOKEN" => format!("AUTH {OPERATOR_TOKEN}"),
        "IAMAT ID …" => IAMAT.to_owned(),
        "WHATSAT ID …" => "WHATSAT kiwi 1 0".to_owned(),
        _ => panic!("the walk does not know {command}"),
    };
    !client.ask(&line).starts_with("? ")
}

/// Whether a message of a WebSocket is allowed. `token`: what the client shows in the handshake.
fn is_allowed_at_websocket(herd: &Herd, message: &str, token: Option<&str>) -> bool {
    let mut ws = Ws::open(herd.at("Riley").http, &token.map(bearer).unwrap_or_default()).unwrap();
    let message = match message {
        "{\"token\":TOKEN}" => json!({ "token": OPERATOR_TOKEN }),
        "{\"subscribe\":{}}" => json!({ "subscribe": {} }),
        "{\"subscribe\":{\"ids\":[ID]}}" => json!({ "subscribe": { "ids": ["kiwi"] } }),
        "{\"report\":{\"id\":ID,…}}" => json!({ "report": { "id": "kiwi", "lat": 34, "lon": -118 } }),
        _ => panic!("the walk does not know {message}"),
    };
    let mut message = message;
    message["ref"] = json!(1);
    let answer = ws.ask(&message);
    assert_eq!(answer["ref"], 1, "{answer}");
    answer.get("error").is_none()
}

/// The status code of a request to a path of the table.
fn code_at(http: SocketAddr, command: &str, token: Option<&str>) -> u16 {
    let (method, path) = command.split_once(' ').unwrap();
    // A stream never ends. HEAD needs the same rights.
    let method = if path.starts_with("/v1/stream") { "HEAD" } else { method };
    let headers = token.map(bearer).unwrap_or_default() + JSON;
    let body = match method {
        "PUT" => r#"{"lat":34.0,"lon":-118.0}"#,
        "POST" if path == "/v1/reports" => "[]",
        "POST" if path == "/v1/shares" => r#"{"id":"kiwi","expires_s":60}"#,
        "POST" if path.contains("?u=") => r#"{"_type":"location","lat":34.0,"lon":-118.0}"#,
        _ => "{}",
    };
    let reply = send(http, method, &path.replace("ID", "kiwi"), &headers, body);
    if path.starts_with("/maps") && reply.code == 200 && reply.body.contains("REQUEST_DENIED") {
        401
    } else {
        reply.code
    }
}

#[test]
fn every_command_of_every_door_needs_the_rights_of_the_table_and_no_others() {
    let herd = Plan::single().with_tokens().with_phones().start();
    let at = |door: &str| match door {
        "http" => herd.at("Riley").http,
        "phones" => herd.at("Riley").phones,
        _ => panic!("the walk does not know the door {door}"),
    };
    let http = herd.at("Riley").http;
    let mut operator = herd.client("Riley");
    assert_eq!(auth(&mut operator, OPERATOR_TOKEN), "AUTH ok");
    assert!(operator.ask(IAMAT).starts_with("AT "));
    let sets: Vec<Vec<&str>> = [
        "report:kiwi",
        "report:*",
        "report:other",
        "read:kiwi",
        "read:*",
        "read:other",
        "places",
        "fences",
        "operate",
        "places read:kiwi",
        "places read:other",
        "places report:*",
        "report:* read:* places fences",
    ]
    .map(|scopes| scopes.split(' ').collect())
    .to_vec();
    let mut tokens: Vec<(Vec<&str>, String)> =
        sets.into_iter().map(|scopes| (scopes.clone(), make_with(http, &scopes))).collect();
    tokens.push((vec!["share", "read:kiwi"], share_of_kiwi(http)));
    let rows = table();
    assert!(rows.len() > 10, "the table is found");
    for Row { door, command, rights } in rows {
        let is_open = rights.is_empty();
        for (scopes, token) in &tokens {
            // The token of a share makes, lists and revokes no shares.
            let is_refused = scopes.contains(&"share") && command.contains("/v1/shares");
            let expected = !is_refused && rights.iter().all(|right| gives(scopes, right));
            match &*door {
                "line" => assert_eq!(
                    is_allowed_at_line(&herd, &command, Some(token)),
                    expected,
                    "{command} {scopes:?}"
                ),
                "websocket" => assert_eq!(
                    is_allowed_at_websocket(&herd, &command, Some(token)),
                    expected,
                    "{command} {scopes:?}"
                ),
                door => {
                    let code = code_at(at(door), &command, Some(token));
                    assert_eq!(!matches!(code, 401 | 403), expected, "{command} {scopes:?} {code}");
                    assert!(expected || code == 403, "{command} {scopes:?} {code}");
                }
            }
            // A report that was allowed to forget kiwi must not make the next row fail.
            assert!(operator.ask(IAMAT).starts_with("AT "));
        }
        match &*door {
            "line" => assert_eq!(is_allowed_at_line(&herd, &command, None), is_open, "{command}"),
            "websocket" => {
                assert_eq!(is_allowed_at_websocket(&herd, &command, None), is_open, "{command}");
            }
            door => assert_eq!(code_at(at(door), &command, None) != 401, is_open, "{command}"),
        }
    }
}

#[test]
fn a_page_is_told_what_its_token_allows() {
    let open = Plan::single().start();
    let rights = |at: SocketAddr, headers: &str| fetch(at, "/v1/rights", headers);
    let all = json!({ "report": true, "read": true, "places": true, "operate": true });
    assert_eq!(rights(open.at("Riley").http, "").json(), all);
    let herd = Plan::single().with_tokens().start();
    let http = herd.at("Riley").http;
    assert_eq!(rights(http, &bearer(OPERATOR_TOKEN)).json(), all);
    let (token, _) = make(http, &json!({ "scopes": ["read:van-*", "places"] }));
    let told = rights(http, &bearer(&token));
    let expected = json!({ "report": false, "read": true, "places": true, "operate": false });
    assert_eq!((told.json(), told.header("cache-control")), (expected, Some("no-store")));
    for headers in [String::new(), bearer(&(token + "0"))] {
        assert_eq!(rights(http, &headers).code, 401, "{headers}");
    }
}

#[test]
fn a_token_comes_in_each_way_that_http_has() {
    let herd = Plan::single().with_tokens().start();
    let http = herd.at("Riley").http;
    // "anybody:" and the operator's token.
    let basic = format!("Authorization: Basic {}\r\n", base64(&format!("anybody:{OPERATOR_TOKEN}")));
    assert_eq!(fetch(http, "/v1/status", &basic).code, 200);
    assert_eq!(fetch(http, &format!("/v1/clients?token={OPERATOR_TOKEN}"), "").code, 200);
    let places =
        format!("/maps/api/place/nearbysearch/json?location=34,-118&radius=50000&key={OPERATOR_TOKEN}");
    assert!(fetch(http, &places, "").body.contains("\"OK\""));
    assert_eq!(
        fetch(http, &format!("/v1/status?key={OPERATOR_TOKEN}"), "").code,
        401,
        "only Google's path takes key"
    );
    assert_eq!(fetch(http, "/nowhere", "").code, 401, "before 404");
    assert_eq!(fetch(http, "/nowhere", &bearer(OPERATOR_TOKEN)).code, 404);
    let denied = fetch(http, "/maps/api/place/nearbysearch/json?location=34,-118&radius=500&key=wrong", "");
    assert!(denied.code == 200 && denied.body.contains("REQUEST_DENIED"), "{denied:?}");
}

#[test]
fn a_path_for_operators_takes_no_token_from_the_url() {
    let herd = Plan::single().with_tokens().start();
    let http = herd.at("Riley").http;
    for (method, path) in [
        ("GET", "/metrics"),
        ("HEAD", "/v1/status"),
        ("GET", "/v1/status"),
        ("GET", "/v1/tokens"),
        ("POST", "/v1/tokens"),
        ("DELETE", "/v1/tokens/x"),
    ] {
        let path = format!("{path}?token={OPERATOR_TOKEN}");
        let refused = send(http, method, &path, "", "");
        assert_eq!(refused.code, 401, "{method} {path}");
        assert_eq!(refused.header("WWW-Authenticate"), Some("Bearer realm=\"proxyherd\""));
        assert!(method == "HEAD" || refused.body.contains("Authorization: Bearer"), "{refused:?}");
    }
    let both = fetch(http, &format!("/v1/status?token={OPERATOR_TOKEN}"), &bearer(OPERATOR_TOKEN));
    assert_eq!(both.code, 200, "the header counts");
}

#[test]
fn a_search_for_the_nearest_that_a_token_may_read_is_answered_however_far_they_are() {
    for settings in ["", "client_index = false"] {
        let herd = Plan::single().with_tokens().herd(settings).start();
        let http = herd.at("Riley").http;
        let reports: String = (0..6000)
            .map(|number| {
                format!("{{\"id\":\"c-{number}\",\"lat\":{},\"lon\":1}}\n", f64::from(number) / 100.0)
            })
            .collect();
        let headers = bearer(OPERATOR_TOKEN) + "Content-Type: application/x-ndjson\r\n";
        assert_eq!(send(http, "POST", "/v1/reports", &headers, &reports).json()["accepted"], 6000);
        for (scope, expected) in [("read:nobody-*", &[][..]), ("read:c-5998", &["c-5998"])] {
            let found =
                fetch(http, "/v1/clients?near=0,0&limit=10", &bearer(&make_with(http, &[scope]))).json();
            let ids: Vec<_> = found["clients"].as_array().unwrap().iter().map(|found| &found["id"]).collect();
            assert_eq!(ids, expected, "{settings} {scope}");
        }
    }
}

#[test]
fn only_who_may_operate_learns_whether_an_answer_about_places_was_kept() {
    let herd = Plan::single().with_tokens().start();
    let http = herd.at("Riley").http;
    let mut operator = herd.client("Riley");
    assert_eq!(auth(&mut operator, OPERATOR_TOKEN), "AUTH ok");
    assert!(operator.ask(IAMAT).starts_with("AT "));
    let asker = make_with(http, &["places", "read:kiwi"]);
    for path in ["/maps/api/place/nearbysearch/json?location=34,-118&radius=500", "/v1/clients/kiwi/places"] {
        let shown = |token: &str| {
            let reply = fetch(http, path, &bearer(token));
            assert_eq!(reply.code, 200, "{reply:?}");
            reply.header("cache-status").is_some()
        };
        assert_eq!((shown(&asker), shown(OPERATOR_TOKEN)), (false, true), "{path}");
    }
}

#[test]
fn a_response_is_not_stored_unless_its_path_says_otherwise() {
    let herd = Plan::single().with_tokens().start();
    let http = herd.at("Riley").http;
    for (path, expected) in [
        ("/health/livez", "no-store"),
        ("/health/readyz", "no-store"),
        ("/metrics", "no-store"),
        ("/v1/status", "no-store"),
        ("/v1/clients", "no-store"),
        ("/v1/clients/nobody", "no-store"),
        ("/v1/tokens", "no-store"),
        ("/nowhere", "no-store"),
        ("/maps/api/place/nearbysearch/json?location=34,-118&radius=500", "no-store"),
        ("/maps/api/place/nearbysearch/json", "no-store"),
        ("/openapi.json", "public, no-cache"),
    ] {
        let reply = fetch(http, path, &bearer(OPERATOR_TOKEN));
        assert_eq!(reply.header("cache-control"), Some(expected), "{path}");
    }
    assert_eq!(fetch(http, "/v1/clients", "").header("cache-control"), Some("no-store"), "401");
}

/// Base64 with padding (RFC 4648).
fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let chunk = |chunk: &[u8]| {
        let bits = chunk.iter().chain([&0, &0]).take(3).fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        let letter =
            |place: usize| if place <= chunk.len() { LETTERS[bits >> (18 - 6 * place) & 63] } else { b'=' };
        [0, 1, 2, 3].map(|place| char::from(letter(place)))
    };
    text.as_bytes().chunks(3).flat_map(chunk).collect()
}

#[test]
fn no_file_no_log_and_no_output_has_a_token() {
    let mut herd = Plan::single().with_tokens().log("level = \"debug\"").start();
    let http = herd.at("Riley").http;
    let (token, id) = make(http, &json!({ "scopes": ["operate"] }));
    let wrong = format!("phd_wrong_{}", "1f".repeat(32));
    let mut client = herd.client("Riley");
    for token in [&token, OPERATOR_TOKEN, &wrong] {
        let _ = auth(&mut client, token);
        for line in [
            format!(" AUTH {token} "),
            format!("AUTH {token} x"),
            format!("AUTH{token}"),
            format!("auth {token}"),
            // Not a token by its form.
            format!("auth {}", token.rsplit('_').next().unwrap()),
            format!(" Auth {}", token.rsplit('_').next().unwrap()),
            format!("AUTH:{token}"),
            format!("Bearer {token}"),
            format!("IAMAT x {token}"),
        ] {
            let _ = client.ask(&line);
        }
        let mut other = herd.client("Riley");
        other.send(
            format!("GET /?token={token} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n").as_bytes(),
        );
        let _ = other.rest();
        for path in [
            "/v1/status",
            "/v1/clients/kiwi",
            "/nowhere",
            "/maps/api/place/nearbysearch/json",
            "/health/livez",
            "/",
        ] {
            for (query, headers) in [
                (format!("?token={token}"), String::new()),
                (format!("?key={token}"), String::new()),
                (format!("?t%6Fken={token}&{token}"), String::new()),
                (String::new(), bearer(token)),
                // Twice, because the log says why a report is not taken.
                (format!("?id={token}&lat=1&lon=1&timestamp=1"), bearer(token)),
                (format!("?id={token}&lat=1&lon=1&timestamp=1"), bearer(token)),
                (String::new(), format!("Authorization: {token}\r\n")),
                (String::new(), format!("Authorization: Basic {}\r\n", base64(&format!(":{token}")))),
            ] {
                let reply = fetch(http, &format!("{path}{query}"), &headers);
                assert!(!reply.head.contains(token) && !reply.body.contains(token), "{reply:?}");
            }
        }
        let _ = send(http, "POST", "/v1/tokens", &bearer(token), token);
        let _ = send(http, "DELETE", &format!("/v1/tokens/{token}"), &bearer(OPERATOR_TOKEN), "");
    }
    revoke(http, &id);
    let ended = herd.stop("Riley", "TERM");
    let secrets = [&*token, OPERATOR_TOKEN, &wrong].map(|token| token.rsplit('_').next().unwrap().to_owned());
    let mut seen = vec![("output".to_owned(), ended.out), ("errors".to_owned(), ended.err)];
    files_below(herd.dir(), &mut seen);
    assert!(
        seen.iter().any(|(name, text)| name.ends_with("Riley.log") && text.contains("AUTH …")),
        "the log is read"
    );
    for (name, text) in seen {
        for secret in &secrets {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "in {name}");
        }
    }
}

fn files_below(dir: &Path, seen: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, seen);
        } else {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            seen.push((path.display().to_string(), text));
        }
    }
}
