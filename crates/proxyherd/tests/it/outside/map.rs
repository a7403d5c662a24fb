//! Tests with a browser: the map of a demo. A script in `web/browser` uses the page as a person does and prints what it
//! has seen, and a test compares that with what must be so. The packages that the script needs are in
//! `web/node_modules`.
//!
//! Pictures of the pages are in `target/tmp/map` after the tests.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{browser::browser_or_skip, is_installed, or_skip};
use crate::harness::{NAMES, OPERATOR_TOKEN, Plan, Process, bearer, eventually, request};

/// If this variable is set, a test writes the picture of the map that README shows.
const WRITE_PICTURE: &str = "PROXYHERD_TEST_WRITE_PICTURE";
/// Maximum time that a script takes, on a busy machine without a graphics card.
const SCRIPT_TIME_MAX: Duration = Duration::from_secs(15 * 60);
/// Maximum number of bytes that a page transfers until it shows the map.
const TRANSFERRED_MAX: u64 = 1_000_000;
/// Number of clients that the page must show without delay.
const CLIENTS: u64 = 10_000;
/// Minimum number of reports a second that the page must be told while its scripts are measured.
const EVENTS_PER_S_MIN: f64 = 1000.0;
/// Maximum time that scripts take a frame, on average, milliseconds.
const SCRIPT_MS_MAX: f64 = 16.0;

/// A running demo, and the base URLs of its servers. The first server is Riley.
struct Demo {
    urls: Vec<String>,
    dir: TempDir,
    _process: Process,
}

impl Demo {
    fn start(more: &[&str]) -> Demo {
        let dir = tempfile::tempdir().unwrap();
        let process = Process::proxyherd(dir.path(), &[&["demo", "--any-ports", "--quiet"], more].concat());
        let urls = eventually("the demo has told its addresses", || {
            let (out, err) = (process.out(), process.err());
            let urls: Vec<_> = NAMES.iter().filter_map(|name| url_of(&out, name)).collect();
            if urls.len() == NAMES.len() { Ok(urls) } else { Err(format!("{out}{err}")) }
        });
        Demo { urls, dir, _process: process }
    }
}

/// The URL in the line of a server, which begins with the server's name.
fn url_of(out: &str, name: &str) -> Option<String> {
    let line = out.lines().find(|line| line.trim_start().starts_with(&format!("{name} ")))?;
    let url = line.split_whitespace().find(|word| word.starts_with("http://"))?;
    Some(url.to_owned())
}

/// Whether the browser and the packages are there. If not, this prints that the test is skipped.
fn can_run() -> bool {
    let installed = web().join("node_modules/.installed-lock.json");
    let is_there = is_installed("node") && installed.exists();
    browser_or_skip().is_some()
        && or_skip(is_there, "the packages of the pages are not installed; ./test tools does that").is_some()
}

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web")
}

/// What a script prints. `dir`: where the script may write.
fn seen(dir: &Path, script: &str, arguments: &[&str]) -> Value {
    let script = web().join("browser").join(script).display().to_string();
    let arguments = [&[script.as_str()], arguments].concat();
    let finished = Process::other(dir, Path::new("node"), &arguments).wait(SCRIPT_TIME_MAX);
    assert_eq!(finished.code, 0, "{}{}", finished.out, finished.err);
    serde_json::from_str(&finished.out).unwrap_or_else(|error| panic!("{error}: {}", finished.out))
}

#[test]
fn the_map_of_a_demo_shows_how_the_herd_moves_and_survives() {
    if !can_run() {
        return;
    }
    let demo = Demo::start(&[]);
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("map");
    let shots = shots.display().to_string();
    let urls: Vec<_> = demo.urls.iter().map(String::as_str).collect();
    let seen = seen(demo.dir.path(), "scenario.mjs", &[&["--shots", &shots], &urls[..]].concat());

    assert!(seen["begins"]["clients"].as_u64().unwrap() > 0, "{seen:#}");
    assert_ne!(seen["moves"]["first"], seen["moves"]["second"], "{seen:#}");
    assert_eq!(
        seen["elsewhere"],
        json!({ "taken_by": "Jaquez", "page_of": "Riley" }),
        "one server took the report, and the page of another showed it"
    );
    assert!(seen["pulses"]["dots"].as_u64().unwrap() > 0, "{seen:#}");
    assert!(seen["link"]["cut"].as_str().unwrap().contains("5 of 6 links up"), "{seen:#}");
    assert!(seen["link"]["healed"].as_str().unwrap().contains("6 of 6 links up"), "{seen:#}");
    for killed in ["killed", "killed_own"] {
        let killed = &seen[killed];
        assert!(killed["killed"].as_str().unwrap().contains("4 of 5 servers up"), "{killed:#}");
        assert!(killed["started"].as_str().unwrap().contains("5 of 5 servers up"), "{killed:#}");
    }
    assert_ne!(seen["killed_own"]["connection"], "Live from Riley", "the page has changed its server");
    assert_eq!(seen["share"]["shares"], true, "{seen:#}");
    assert_eq!(seen["share"]["fits"], true, "the page of a share is not wider than a phone");
    expect_nothing_bad(&seen);
    for begun in [&seen["begins"], &seen["share"]] {
        let transferred = begun["transferred"].as_u64().unwrap();
        assert!((1..TRANSFERRED_MAX).contains(&transferred), "{transferred} bytes");
    }
    let reached: BTreeSet<_> = seen["keyboard"]["presses"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(reached, ["client", "demo", "graph", "herd", "search"].map(str::to_owned).into());
    assert!(fs::read_dir(&shots).unwrap().count() >= 16, "there are pictures in {shots}");
    if std::env::var_os(WRITE_PICTURE).is_some() {
        let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book/src/images/map.png");
        fs::copy(Path::new(&shots).join("desktop-light-map.png"), picture).unwrap();
    }
}

/// No error, no request to another machine, and nothing that keeps people out.
fn expect_nothing_bad(seen: &Value) {
    for errors in [&seen["errors"], &seen["errors_after_kills"], &seen["share"]["errors"]] {
        assert_eq!(errors, &json!([]), "errors in the console");
    }
    for strangers in [&seen["strangers"], &seen["share"]["strangers"]] {
        assert_eq!(strangers, &json!([]), "requests to other machines");
    }
    let panels = seen["axe"].as_object().unwrap();
    let shared = seen["share"]["axe"].as_object().unwrap();
    assert_eq!((panels.len(), shared.len()), (8, 2), "{seen:#}");
    for (panel, found) in panels.iter().chain(shared) {
        assert_eq!(found, &json!([]), "axe finds this in {panel}");
    }
}

#[test]
fn a_page_shows_what_its_token_allows_and_reaches_all_servers_by_another_name_of_loopback() {
    if !can_run() {
        return;
    }
    let herd = Plan::pair().with_tokens().start();
    let http = herd.at("Riley").http;
    let body = json!({ "scopes": ["read:*"] }).to_string();
    let (headers, len) = (bearer(OPERATOR_TOKEN) + "Content-Type: application/json\r\n", body.len());
    let head = format!("POST /v1/tokens HTTP/1.0\r\nHost: {http}\r\nContent-Length: {len}\r\n{headers}");
    let reader = request(http, format!("{head}\r\n{body}").as_bytes()).json();
    let urls = ["Riley", "Jaquez"].map(|name| format!("http://{}", herd.at(name).http));
    let arguments = [OPERATOR_TOKEN, reader["token"].as_str().unwrap(), &urls[0], &urls[1]];
    let seen = seen(herd.dir(), "token.mjs", &arguments);

    assert_eq!(seen["reader"], json!(["show-list", "show-token", "switch-theme"]), "{seen:#}");
    let all = ["show-list", "show-report", "show-herd", "show-token", "switch-theme"];
    assert_eq!(seen["operator"], json!(all), "{seen:#}");
    assert!(seen["wrong"].as_str().unwrap().contains("does not know this token"), "{seen:#}");
    assert_eq!(seen["still"], "live", "a wrong token takes nothing away");
    assert!(seen["herd"].as_str().unwrap().starts_with("2 of 2 servers up"), "{seen:#}");
    for nothing in ["reader_errors", "errors", "strangers", "told"] {
        assert_eq!(seen[nothing], json!([]), "{nothing}: {seen:#}");
    }
    let kept = seen["kept"].as_str().unwrap();
    assert!(kept.contains("http://localhost:") && !kept.contains("phd_"), "{kept}");
}

#[test]
fn ten_thousand_moving_clients_keep_the_map_responsive() {
    if !can_run() {
        return;
    }
    let demo = Demo::start(&["--clients", &CLIENTS.to_string()]);
    let seen = seen(demo.dir.path(), "load.mjs", &[&demo.urls[0], &CLIENTS.to_string()]);
    assert!(seen["clients"].as_u64().unwrap() >= CLIENTS * 9 / 10, "{seen:#}");
    assert!(seen["frames"].as_u64().unwrap() > 0, "{seen:#}");
    assert!(seen["script_ms_per_frame"].as_f64().unwrap() < SCRIPT_MS_MAX, "{seen:#}");
    assert_eq!(seen["errors"], json!([]), "errors in the console");
    // The clients did move, and a page that shows fewer clients is told less.
    let (whole, part) = (&seen, &seen["part"]);
    let events = |told: &Value| told["events_per_s"].as_f64().unwrap();
    assert!(events(whole) > EVENTS_PER_S_MIN, "{seen:#}");
    assert!(events(part) < events(whole) / 4.0, "{seen:#}");
    println!("{seen:#}");
}
