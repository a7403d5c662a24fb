//! Servers with a journal stop, start again, and meet disks and stores that they cannot use.

use std::{collections::BTreeMap, fs, net::SocketAddr, os::unix::fs::PermissionsExt as _};

use serde_json::json;

use crate::harness::{
    Herd, OPERATOR_TOKEN, PATIENCE, Plan, Process, Reply, bearer, eventually, fetch, get, metric, request,
    status,
};

/// The room of the disk in the test of a full disk, in the unit of `ulimit -f`: blocks of 1024 bytes.
const ROOM_BLOCKS: u32 = 64;

fn send(http: SocketAddr, method: &str, path: &str, token: &str, body: &str) -> Reply {
    let (len, token) = (body.len(), bearer(token));
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {http}\r\nContent-Length: {len}\r\nContent-Type: application/json\r\n{token}"
    );
    request(http, format!("{head}\r\n{body}").as_bytes())
}

fn made(http: SocketAddr, path: &str, token: &str, body: &serde_json::Value) -> serde_json::Value {
    let made = send(http, "POST", path, token, &body.to_string());
    assert_eq!(made.code, 201, "{made:?}");
    made.json()
}

/// Reports clients over the line protocol, and returns their AT lines, which come when the reports are on the disk.
fn report(herd: &Herd, name: &str, clients: std::ops::Range<u32>) -> BTreeMap<String, String> {
    let mut client = herd.client(name);
    let tell = |number| {
        let id = format!("client-{number}");
        let line = client.ask(&format!("IAMAT {id} +34.068930-118.445127 1621464827.5"));
        assert!(line.starts_with("AT "), "{line}");
        (id, line)
    };
    clients.map(tell).collect()
}

#[test]
fn a_herd_of_one_server_has_everything_again_after_a_stop_and_after_a_kill() {
    let mut herd = Plan::single().with_tokens().herd("journal = true").start();
    let http = herd.at("Riley").http;
    let text = |value: &serde_json::Value, name: &str| value[name].as_str().unwrap().to_owned();
    let reader = made(http, "/v1/tokens", OPERATOR_TOKEN, &json!({ "scopes": ["read:*"] }));
    let revoked = made(http, "/v1/tokens", OPERATOR_TOKEN, &json!({ "scopes": ["read:*"] }));
    let share = made(http, "/v1/shares", OPERATOR_TOKEN, &json!({ "id": "kiwi", "expires_s": 600 }));
    for (id, lat) in [("kiwi", 1.5), ("gone", 2.5)] {
        let path = format!("/v1/clients/{id}/location");
        let put = send(http, "PUT", &path, OPERATOR_TOKEN, &json!({ "lat": lat, "lon": 3 }).to_string());
        assert_eq!(put.code, 200, "{put:?}");
    }
    assert_eq!(send(http, "DELETE", "/v1/clients/gone", OPERATOR_TOKEN, "").code, 204);
    let path = format!("/v1/tokens/{}", text(&revoked, "id"));
    assert_eq!(send(http, "DELETE", &path, OPERATOR_TOKEN, "").code, 204);

    let before = status(http)["incarnation"].clone();
    for way in ["TERM", "KILL"] {
        match way {
            "KILL" => herd.kill_all(&["Riley"]),
            signal => assert_eq!(herd.stop("Riley", signal).code, 0),
        }
        herd.start("Riley");
        let get = |path: &str, token: &str| send(http, "GET", path, token, "");
        let kiwi = get("/v1/clients/kiwi", &text(&reader, "token"));
        assert_eq!((kiwi.code, kiwi.json()["lat"].clone()), (200, json!(1.5)), "{way}: {kiwi:?}");
        assert_eq!(get("/v1/clients/gone", OPERATOR_TOKEN).code, 404, "{way}");
        assert_eq!(get("/v1/clients/kiwi", &text(&revoked, "token")).code, 401, "{way}");
        let shown = fetch(http, "/v1/share", &bearer(&text(&share, "token")));
        assert_eq!(
            (shown.code, shown.json()["client"]["lat"].clone()),
            (200, json!(1.5)),
            "{way}: {shown:?}"
        );
        assert_ne!(status(http)["incarnation"], before, "it is another life");
        let found = herd.wait_for_log("Riley", "it was last written");
        assert!(found.contains("read the store data/Riley/journal: "), "{found}");
    }
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = herd.store_of("Riley");
    assert_eq!(mode(&dir), 0o700);
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_server_with_a_store_gets_only_the_difference_from_its_neighbor() {
    const BEFORE: u32 = 2000;
    let mut herd = Plan::pair().herd("journal = true").start();
    let mut lines = report(&herd, "Jaquez", 0..BEFORE);
    herd.agree(&["Riley"], &lines);
    eventually("Riley has everything on its disk", || {
        let written = metric(herd.at("Riley").http, "proxyherd_journal_records_total").unwrap();
        if written >= f64::from(BEFORE) { Ok(()) } else { Err(written) }
    });
    herd.stop("Riley", "TERM");
    lines.extend(report(&herd, "Jaquez", BEFORE..BEFORE + 10));
    herd.start("Riley");
    herd.wait_for_links(&["Riley", "Jaquez"]);
    herd.agree(&["Riley"], &lines);
    let recovered = metric(herd.at("Riley").http, "proxyherd_journal_recovered_records").unwrap();
    assert!(recovered >= f64::from(BEFORE), "{recovered}");
    let received =
        metric(herd.at("Riley").http, "proxyherd_link_payloads_received_total{neighbor=\"Jaquez\"}").unwrap();
    // Besides the ten: records that were on their way when Riley stopped may come again.
    assert!((10.0..200.0).contains(&received), "{received}");
}

#[test]
fn two_processes_do_not_share_a_store() {
    let herd = Plan::single().herd("journal = true").start();
    let mut text = herd.text();
    // Other addresses, so that only the store is in the way.
    for address in [herd.at("Riley").line, herd.at("Riley").peer, herd.at("Riley").http] {
        text = text.replace(&address.to_string(), "127.0.0.1:0").replace("peer = \"127.0.0.1:0\"\n", "");
    }
    herd.write_file("second.toml", &text);
    let second = Process::run(herd.dir(), &["serve", "--config", "second.toml", "--name", "Riley"]);
    let id = herd.process("Riley").id();
    assert_eq!(second.code, 1, "{second:?}");
    let expected = format!("is open in another process (pid {id}): stop that process first");
    assert!(second.err.contains(&expected) && second.err.contains("Riley/journal"), "{second:?}");
}

#[test]
fn the_store_of_another_server_or_another_herd_is_refused() {
    let mut herd = Plan::pair().herd("journal = true").start();
    report(&herd, "Riley", 0..10);
    herd.stop("Riley", "TERM");
    herd.stop("Jaquez", "TERM");
    let refused = |expected: &str| {
        for command in ["serve", "check"] {
            let ended = Process::run(herd.dir(), &[command, "--config", "herd.toml", "--name", "Jaquez"]);
            assert_eq!(ended.code, 78, "{ended:?}");
            assert!(ended.err.contains(expected) && ended.err.contains("Jaquez/journal"), "{ended:?}");
        }
    };
    let (riley, jaquez) = (herd.store_of("Riley"), herd.store_of("Jaquez"));
    let own = jaquez.with_file_name("own");
    fs::rename(&jaquez, &own).unwrap();
    fs::rename(&riley, &jaquez).unwrap();
    let files = || fs::read_dir(&jaquez).unwrap().map(|file| file.unwrap().file_name()).collect::<Vec<_>>();
    let before = files();
    refused("belongs to the server Riley");
    assert_eq!(files(), before, "nothing was changed");

    fs::remove_dir_all(&jaquez).unwrap();
    fs::rename(&own, &jaquez).unwrap();
    herd.write_file("herd.toml", &herd.text().replacen("[herd]", "[herd]\nid = \"another\"", 1));
    refused("belongs to the herd herd");
}

#[test]
fn a_full_disk_stops_acknowledgements_and_not_answers() {
    let plan = Plan::single().herd("journal = true\nack_timeout_ms = 500").log("level = \"warn\"");
    let mut herd = plan.prepare();
    // A file cannot become longer than this: the store's disk is full, and the rest of the machine's is not.
    let preparation = format!("trap '' XFSZ; ulimit -S -f {ROOM_BLOCKS}");
    herd.launch_after(&preparation, "Riley", "");
    let http = herd.at("Riley").http;
    eventually("Riley is ready", || herd.process("Riley").out().contains("ready"));
    let line = |number: u32| format!("IAMAT client-{number} +34.068930-118.445127 1621464827.5");
    let mut client = herd.client("Riley");
    // The connection closes when a report is not on the disk within the timeout.
    let last = (0..100_000).find(|&number| client.try_ask(&line(number)).is_none());
    let last = last.expect("the disk becomes full");
    assert!(last > 10, "it had room for {last}");
    let journal = status(http)["journal"].clone();
    assert_eq!(
        (&journal["state"], &journal["why"]),
        (&json!("full"), &json!("the disk of the store is full"))
    );
    let (code, why) = get(http, "/health/readyz");
    assert!(code == 503 && why.contains("the disk of the journal is full"), "{code} {why}");
    let put = || send(http, "PUT", "/v1/clients/after/location", "", "{\"lat\":1,\"lon\":2}");
    assert_eq!(put().code, 503);
    assert_eq!(get(http, "/v1/clients/client-0").0, 200, "it answers");
    assert_eq!(get(http, &format!("/v1/clients/client-{last}")).0, 200, "what it has taken is held");

    // The limit of the running process is raised: the disk has room again.
    let raise = format!("prlimit --fsize=unlimited --pid {}", herd.process("Riley").id());
    assert_eq!(Process::bash(herd.dir(), &raise).wait(PATIENCE).code, 0);
    eventually("it acknowledges again", || {
        let put = put();
        if put.code == 200 { Ok(()) } else { Err(format!("{put:?}")) }
    });
    assert_eq!(get(http, "/health/readyz").0, 200);
    herd.wait_for_log("Riley", "the disk of the journal is full");
    herd.kill_all(&["Riley"]);
    herd.start("Riley");
    for client in ["client-0", &format!("client-{last}"), "after"] {
        assert_eq!(get(http, &format!("/v1/clients/{client}")).0, 200, "{client}");
    }
}

#[test]
fn a_server_whose_journal_was_turned_off_warns_that_the_old_store_keeps_positions() {
    let mut herd = Plan::single().herd("journal = true").start();
    report(&herd, "Riley", 0..1);
    herd.stop("Riley", "TERM");
    herd.write_file("herd.toml", &herd.text().replace("journal = true", "journal = false"));
    herd.start("Riley");
    herd.wait_for_log("Riley", "data/Riley/journal is not used, because `journal` is off");
}
