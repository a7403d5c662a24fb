//! Tests of shares: who makes, sees and revokes them, how they end, and the page that shows them.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};

use crate::harness::{
    Client, Closed, Events, Herd, OPERATOR_TOKEN, OPERATOR_TOKEN_SHA256, Plan, Reply, Ws, bearer, eventually,
    fetch, request, within,
};

const JSON: &str = "Content-Type: application/json\r\n";

/// The answer to a request with this token and this body.
fn send(http: SocketAddr, method: &str, path: &str, token: &str, body: &str) -> Reply {
    let len = body.len();
    let headers = bearer(token) + JSON;
    let head = format!("{method} {path} HTTP/1.0\r\nHost: {http}\r\nContent-Length: {len}\r\n{headers}");
    request(http, format!("{head}\r\n{body}").as_bytes())
}

/// A new token with these scopes, and its ID.
fn token(http: SocketAddr, scopes: &[&str]) -> (String, String) {
    let made = send(http, "POST", "/v1/tokens", OPERATOR_TOKEN, &json!({ "scopes": scopes }).to_string());
    assert_eq!(made.code, 201, "{made:?}");
    let made = made.json();
    (made["token"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
}

/// A new share of kiwi.
struct Share {
    url: String,
    token: String,
    id: String,
}

fn share(http: SocketAddr, maker: &str, expires_s: u64) -> Share {
    let body = json!({ "id": "kiwi", "expires_s": expires_s }).to_string();
    let made = send(http, "POST", "/v1/shares", maker, &body);
    assert_eq!(made.code, 201, "{made:?}");
    let made = made.json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    assert_eq!(text("id"), "kiwi");
    let held = send(http, "GET", "/v1/clients/kiwi", maker, "");
    assert_eq!(made["known"], json!(held.code == 200), "{made}");
    Share { url: text("url"), token: text("token"), id: text("share") }
}

fn report(http: SocketAddr, id: &str, lat: f64) {
    let body = json!({ "lat": lat, "lon": -118.4 }).to_string();
    let put = send(http, "PUT", &format!("/v1/clients/{id}/location"), OPERATOR_TOKEN, &body);
    assert_eq!(put.code, 200, "{put:?}");
}

/// What a share shows, or the reason for which it shows nothing.
fn shown(http: SocketAddr, share: &Share) -> Result<Value, String> {
    let reply = fetch(http, "/v1/share", &bearer(&share.token));
    if reply.code == 200 {
        return Ok(reply.json());
    }
    assert_eq!(reply.code, 401, "{reply:?}");
    let challenge = reply.header("WWW-Authenticate").unwrap();
    let (_, reason) = challenge.split_once("error_description=\"").unwrap();
    Err(reason.trim_end_matches('"').to_owned())
}

fn ends(http: SocketAddr, share: &Share, reason: &str) {
    within(Duration::from_secs(5), reason, || match shown(http, share) {
        Err(found) if found == reason => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn a_share_of_one_server_shows_its_client_at_another_until_it_is_revoked() {
    let herd = Plan::pair().with_tokens().start();
    let (riley, jaquez) = (herd.at("Riley").http, herd.at("Jaquez").http);
    let (maker, maker_id) = token(riley, &["read:kiwi"]);
    let (stranger, _) = token(riley, &["read:*"]);
    let share = share(riley, &maker, 600);
    eventually("the share reaches Jaquez", || shown(jaquez, &share).is_ok());
    assert_eq!(shown(jaquez, &share).unwrap()["client"], Value::Null);
    report(riley, "kiwi", 34.5);
    report(riley, "other", 34.5);
    let told = eventually("Jaquez shows kiwi", || {
        shown(jaquez, &share).ok().filter(|told| !told["client"].is_null()).ok_or("not yet")
    });
    assert_eq!((&told["id"], &told["client"]["lat"]), (&json!("kiwi"), &json!(34.5)));
    assert_eq!(told["client"]["id"], "kiwi");

    let listed = fetch(riley, "/v1/shares", &bearer(&maker)).json();
    let listed = listed["shares"].as_array().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["share"], &listed[0]["id"]), (&json!(share.id), &json!("kiwi")));
    assert_eq!((&listed[0]["expires"], &listed[0]["made_by"]), (&told["expires"], &json!(maker_id)));
    assert_eq!(fetch(riley, "/v1/shares", &bearer(&stranger)).json(), json!({ "shares": [] }));
    eventually("the maker sees the share at Jaquez", || {
        fetch(jaquez, "/v1/shares", &bearer(&maker)).json()["shares"][0]["share"] == share.id.as_str()
    });
    let all = fetch(riley, "/v1/shares", &bearer(OPERATOR_TOKEN)).json();
    assert_eq!(all["shares"][0]["share"], share.id);
    let tokens = fetch(riley, "/v1/tokens", &bearer(OPERATOR_TOKEN)).json();
    assert_eq!(
        tokens["tokens"].as_array().map(Vec::len),
        Some(2),
        "a share is not among the tokens: {tokens}"
    );

    let path = format!("/v1/shares/{}", share.id);
    assert_eq!(send(riley, "DELETE", &path, &stranger, "").code, 403);
    assert_eq!(send(riley, "DELETE", "/v1/shares/nosuchshare", &maker, "").code, 404);
    assert_eq!(send(riley, "DELETE", &path, &maker, "").code, 204);
    assert_eq!(shown(riley, &share), Err("share revoked".to_owned()), "at once where it was revoked");
    ends(jaquez, &share, "share revoked");
    assert_eq!(fetch(riley, "/v1/shares", &bearer(&maker)).json(), json!({ "shares": [] }));
}

#[test]
fn the_token_of_a_share_reads_its_client_at_every_door_and_does_nothing_else() {
    let herd = Plan::single().with_tokens().start();
    let http = herd.at("Riley").http;
    report(http, "kiwi", 34.5);
    report(http, "kiwi-2", 34.5);
    let share = share(http, OPERATOR_TOKEN, 600);
    let with = |method: &str, path: &str, body: &str| send(http, method, path, &share.token, body).code;
    for (method, path, body, expected) in [
        ("GET", "/v1/share", "", 200),
        ("GET", "/v1/clients/kiwi", "", 200),
        ("GET", "/v1/clients/kiwi-2", "", 403),
        ("GET", "/v1/clients?ids=kiwi*", "", 403),
        ("GET", "/v1/clients/kiwi/places", "", 403),
        ("GET", "/maps/api/place/nearbysearch/json?location=34,-118&radius=500", "", 403),
        ("GET", "/v1/stream?ids=kiwi-2", "", 403),
        ("PUT", "/v1/clients/kiwi/location", r#"{"lat":1,"lon":1}"#, 403),
        ("POST", "/v1/reports", r#"[{"id":"kiwi","lat":1,"lon":1}]"#, 403),
        ("DELETE", "/v1/clients/kiwi", "", 403),
        ("POST", "/v1/shares", r#"{"id":"kiwi","expires_s":60}"#, 403),
        ("GET", "/v1/shares", "", 403),
        ("DELETE", &*format!("/v1/shares/{}", share.id), "", 403),
        ("GET", "/v1/tokens", "", 403),
        ("GET", "/v1/status", "", 403),
        ("GET", "/metrics", "", 403),
    ] {
        assert_eq!(with(method, path, body), expected, "{method} {path}");
    }
    let listed = fetch(http, "/v1/clients?near=34,-118", &bearer(&share.token)).json();
    let ids: Vec<_> = listed["clients"].as_array().unwrap().iter().map(|client| &client["id"]).collect();
    assert_eq!(ids, ["kiwi"]);
    let mut line: Client = herd.client("Riley");
    assert_eq!(line.ask(&format!("AUTH {}", share.token)), "AUTH ok");
    for refused in ["IAMAT kiwi +1+1 1", "WHATSAT kiwi 10 1", "WHATSAT kiwi-2 10 1"] {
        assert_eq!(line.ask(refused), format!("? {refused}"));
    }
    let ordinary = fetch(http, "/v1/share", &bearer(OPERATOR_TOKEN));
    assert_eq!(ordinary.code, 403, "{ordinary:?}");
    for headers in ["", "Authorization: Bearer x\r\n"] {
        assert_eq!(fetch(http, "/v1/share", headers).code, 401);
    }
    let in_url = fetch(http, &format!("/v1/share?token={}", share.token), "");
    assert_eq!(in_url.code, 401, "the token of a share must not be in URLs that proxies log");
}

/// A stream of kiwi at this server, for the reader of a share. Kiwi is known.
fn stream(http: SocketAddr, share: &Share) -> Ws {
    let mut ws = Ws::open(http, "").unwrap();
    ws.send(&json!({ "token": share.token }));
    ws.send(&json!({ "subscribe": { "ids": ["kiwi"] } }));
    assert_eq!([ws.event(), ws.event(), ws.event()], ["reset", "location kiwi", "synced"]);
    ws
}

#[test]
fn a_stream_of_a_share_ends_with_the_share() {
    let herd = Plan::pair().with_tokens().start();
    let (riley, jaquez) = (herd.at("Riley").http, herd.at("Jaquez").http);
    report(riley, "kiwi", 34.5);
    let (maker, maker_id) = token(riley, &["read:*"]);
    let [revoked, of_maker, brief] =
        [(OPERATOR_TOKEN, 600), (&*maker, 600), (&*maker, 3)].map(|(by, end)| share(riley, by, end));
    let mut streams = Vec::new();
    for share in [&revoked, &of_maker, &brief] {
        let is_known = || shown(jaquez, share).is_ok_and(|told| !told["client"].is_null());
        eventually("Jaquez knows the share and kiwi", is_known);
        streams.push(stream(jaquez, share));
    }
    report(riley, "kiwi", 35.5);
    let [mut revoked_stream, mut maker_stream, mut brief_stream] =
        streams.try_into().unwrap_or_else(|_| panic!());
    for ws in [&mut revoked_stream, &mut maker_stream, &mut brief_stream] {
        assert_eq!(ws.event(), "location kiwi");
    }
    assert_eq!(send(riley, "DELETE", &format!("/v1/shares/{}", revoked.id), OPERATOR_TOKEN, "").code, 204);
    assert_eq!(revoked_stream.next(), Err(Closed(Some(1008))));
    assert_eq!(brief_stream.next(), Err(Closed(Some(1008))), "its time is over");
    assert_eq!(send(riley, "DELETE", &format!("/v1/tokens/{maker_id}"), OPERATOR_TOKEN, "").code, 204);
    assert_eq!(maker_stream.next(), Err(Closed(Some(1008))));
}

#[test]
fn a_stream_of_a_share_ends_with_the_share_where_tokens_are_off() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    report(http, "kiwi", 34.5);
    let share = share(http, "", 600);
    let mut ws = stream(http, &share);
    assert_eq!(send(http, "DELETE", &format!("/v1/shares/{}", share.id), "", "").code, 204);
    assert_eq!(ws.next(), Err(Closed(Some(1008))));
}

#[test]
fn with_tokens_off_a_request_with_the_token_of_a_share_has_only_the_rights_of_the_share() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    for id in ["kiwi", "other"] {
        report(http, id, 34.5);
    }
    let share = share(http, "", 600);
    let ask = |path: &str, token: &str| fetch(http, path, &bearer(token)).code;
    assert_eq!((ask("/v1/clients/kiwi", &share.token), ask("/v1/clients/other", &share.token)), (200, 403));
    assert_eq!(ask("/v1/clients/other", "any other text"), 200);
    let body = r#"{"lat":1,"lon":2}"#;
    assert_eq!(send(http, "PUT", "/v1/clients/kiwi/location", &share.token, body).code, 403);
    let mut events = Events::open(http, &format!("?token={}", share.token), "");
    assert_eq!(events.state(), ["location kiwi"]);
    assert_eq!(send(http, "DELETE", &format!("/v1/shares/{}", share.id), "", "").code, 204);
    assert_eq!(events.next().map(|event| event.kind), None, "the stream ends with the share");
}

#[test]
fn a_share_ends_when_its_time_is_over() {
    let herd = Plan::single().with_tokens().start();
    let http = herd.at("Riley").http;
    let share = share(http, OPERATOR_TOKEN, 1);
    ends(http, &share, "share ended");
    assert_eq!(fetch(http, "/v1/shares", &bearer(OPERATOR_TOKEN)).json(), json!({ "shares": [] }));
    let gone = send(http, "DELETE", &format!("/v1/shares/{}", share.id), OPERATOR_TOKEN, "");
    assert_eq!(gone.code, 404, "{gone:?}");
}

#[test]
fn a_share_ends_at_every_server_when_the_token_of_its_maker_is_revoked() {
    let herd = Plan::pair().with_tokens().start();
    let (riley, jaquez) = (herd.at("Riley").http, herd.at("Jaquez").http);
    let (maker, id) = token(riley, &["read:*"]);
    let share = share(riley, &maker, 600);
    eventually("the share reaches Jaquez", || shown(jaquez, &share).is_ok());
    let mut line = herd.client("Jaquez");
    assert_eq!(line.ask(&format!("AUTH {}", share.token)), "AUTH ok");
    assert_eq!(send(riley, "DELETE", &format!("/v1/tokens/{id}"), OPERATOR_TOKEN, "").code, 204);
    assert_eq!(shown(riley, &share), Err("share maker ended".to_owned()));
    ends(jaquez, &share, "share maker ended");
    assert_eq!(line.ask(&format!("AUTH {}", share.token)), "? AUTH");
}

#[test]
fn with_tokens_off_a_share_ends_all_the_same() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    report(http, "kiwi", 34.5);
    let (brief, long) = (share(http, "", 1), share(http, "", 600));
    assert_eq!(shown(http, &long).unwrap()["client"]["lat"], 34.5);
    ends(http, &brief, "share ended");
    let listed = fetch(http, "/v1/shares", "").json();
    assert_eq!(listed["shares"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&listed["shares"][0]["share"], &listed["shares"][0]["made_by"]),
        (&json!(long.id), &json!("anybody"))
    );
    assert_eq!(send(http, "DELETE", &format!("/v1/shares/{}", long.id), "", "").code, 204);
    assert_eq!(shown(http, &long), Err("share revoked".to_owned()));
    let wrong = fetch(http, "/v1/share", &bearer(OPERATOR_TOKEN));
    assert_eq!(wrong.code, 401, "{wrong:?}");
}

#[test]
fn a_request_for_a_share_names_a_client_and_an_end_within_the_bounds() {
    let herd = Plan::single().with_tokens().start();
    let http = herd.at("Riley").http;
    for (body, expected) in [
        (r#"{"id":"kiwi","expires_s":1}"#, 201),
        (r#"{"id":"kiwi","expires_s":2592000.0}"#, 201),
        (r#"{"id":"courier-*","expires_s":60}"#, 201),
        (r#"{"id":"kiwi","expires_s":0}"#, 422),
        (r#"{"id":"kiwi","expires_s":2592001}"#, 422),
        (r#"{"id":"kiwi","expires_s":1.5}"#, 422),
        (r#"{"id":"kiwi","expires_s":null}"#, 422),
        (r#"{"id":"kiwi"}"#, 422),
        (r#"{"expires_s":60}"#, 422),
        (r#"{"id":"","expires_s":60}"#, 422),
        (r#"{"id":"a b","expires_s":60}"#, 422),
        (r#"{"id":"kiwi","expires_s":60,"name":"x"}"#, 422),
        ("[]", 422),
        ("{", 400),
    ] {
        let made = send(http, "POST", "/v1/shares", OPERATOR_TOKEN, body);
        assert_eq!(made.code, expected, "{body}: {made:?}");
    }
    report(http, "courier-7", 34.5);
    let made =
        send(http, "POST", "/v1/shares", OPERATOR_TOKEN, r#"{"id":"courier-*","expires_s":60}"#).json();
    let starred = made["token"].as_str().unwrap();
    assert_eq!(fetch(http, "/v1/clients/courier-7", &bearer(starred)).code, 403, "a star is no prefix");
}

#[test]
fn a_link_begins_with_the_public_url_and_without_one_with_the_address_that_was_asked() {
    let herd = Plan::single().with_tokens().start();
    let http = herd.at("Riley").http;
    let share = share(http, OPERATOR_TOKEN, 60);
    assert_eq!(share.url, format!("http://{http}/share#{}", share.token));
    let herd = Plan::single().with_tokens().access("public_url = \"https://herd.example/map/\"").start();
    let share = self::share(herd.at("Riley").http, OPERATOR_TOKEN, 60);
    assert_eq!(share.url, format!("https://herd.example/map/share#{}", share.token));
}

#[test]
fn the_page_of_shares_needs_no_token_and_runs_only_its_own_script() {
    for plan in [Plan::single(), Plan::single().with_tokens()] {
        let herd = plan.start();
        let http = herd.at("Riley").http;
        let page = fetch(http, "/share", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n");
        assert_eq!((page.code, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert_eq!(page.header("cache-control"), Some("no-cache"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    }
}

#[test]
fn no_log_has_the_token_of_a_share_and_the_audit_log_says_who_made_it() {
    let herd: Herd = Plan::single().with_tokens().log("level = \"debug\"").start();
    let http = herd.at("Riley").http;
    report(http, "kiwi", 34.5);
    let share = share(http, OPERATOR_TOKEN, 600);
    let secret = share.token.rsplit('_').next().unwrap();
    assert!(shown(http, &share).is_ok());
    assert_eq!(fetch(http, &format!("/v1/clients/kiwi?token={}", share.token), "").code, 200);
    assert_eq!(fetch(http, &format!("/share?token={}", share.token), "").code, 200);
    let mut line = herd.client("Riley");
    assert_eq!(line.ask(&format!("AUTH {}", share.token)), "AUTH ok");
    let _ = line.ask(&format!("x {}", share.token));
    assert_eq!(send(http, "DELETE", &format!("/v1/shares/{}", share.id), OPERATOR_TOKEN, "").code, 204);
    assert_eq!(shown(http, &share), Err("share revoked".to_owned()));
    herd.wait_for_log("Riley", &format!("revoked share {}", share.id));
    herd.wait_for_log("Riley", &format!(", token {}", share.id));
    let audit = std::fs::read_to_string(herd.dir().join("log/Riley.audit.log")).unwrap();
    let made = format!("Riley made share {} of the client kiwi ends ", share.id);
    assert!(audit.contains(&made) && audit.contains("; by the operator's token from 127.0.0.1:"), "{audit}");
    let all = [audit, herd.log("Riley"), herd.process("Riley").out(), herd.process("Riley").err()].concat();
    assert!(!all.contains(secret));
}

#[test]
fn replacing_the_operators_token_ends_the_shares_that_it_has_made() {
    let herd = Plan::single().with_tokens().start();
    let http = herd.at("Riley").http;
    let share = share(http, OPERATOR_TOKEN, 600);
    let new = "2df45ba9bf6af1e753b1ed63b1a4761fbe7577b1a53279dd73a001e2669b0a76";
    herd.write_file("herd.toml", &herd.text().replace(OPERATOR_TOKEN_SHA256, new));
    eventually("the share ends", || shown(http, &share) == Err("share maker ended".to_owned()));
}
