//! Tests with a browser: a web page of another origin calls the herd, and the browser enforces what the herd allows.
//!
//! A test serves the page from a port of its own, which makes the page another origin. The page sends the outcomes of
//! its requests to that port, so the test waits for this message and not for time.

use std::{
    fs,
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::mpsc::{Receiver, Sender, channel},
};

use serde_json::{Value, json};

use super::{Guarded, is_installed, or_skip, script};
use crate::harness::{Herd, PATIENCE, Plan, Process, get};

/// Programs that are Chromium, the one without a window first.
const BROWSERS: [&str; 2] = ["chromium-headless-shell", "chromium"];

/// The name of a browser's program. If there is none, this prints that the test is skipped.
pub(super) fn browser_or_skip() -> Option<&'static str> {
    let found = BROWSERS.into_iter().find(|name| is_installed(name));
    or_skip(found.is_some(), "there is no Chromium; ./test tools installs it")?;
    found
}

/// A website with one page.
struct Site {
    listener: TcpListener,
}

impl Site {
    fn new() -> Site {
        Site { listener: TcpListener::bind(("127.0.0.1", 0)).unwrap() }
    }

    fn origin(&self) -> String {
        format!("http://{}", self.listener.local_addr().unwrap())
    }

    /// Opens the page in a browser. Returns the outcomes of the page's requests to the herd.
    fn visit(&self, browser: &str, dir: &Path, herd: SocketAddr, requests: &Value) -> Vec<Value> {
        let page = fs::read_to_string(script("page.html")).unwrap();
        let page = page.replace("{herd}", &format!("http://{herd}"));
        let page = page.replace("{requests}", &requests.to_string());
        self.show(browser, dir, page)
    }

    /// Opens the page that watches a herd with this token. Returns what it has seen.
    fn watch(&self, browser: &str, dir: &Path, herd: SocketAddr, token: &str) -> Vec<Value> {
        let page = fs::read_to_string(script("live.html")).unwrap();
        let page = page.replace("@herd@", &format!("http://{herd}")).replace("@token@", token);
        self.show(browser, dir, page)
    }

    fn show(&self, browser: &str, dir: &Path, page: String) -> Vec<Value> {
        let (sender, outcomes) = channel();
        let listener = self.listener.try_clone().unwrap();
        std::thread::spawn(move || serve(&listener, &page, &sender));
        let _browser = open(browser, dir, &self.origin());
        let told = received(&outcomes);
        serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"))
    }
}

/// Starts the browser, which runs until the process is dropped.
fn open(browser: &str, dir: &Path, url: &str) -> Process {
    open_with(browser, dir, &[], url)
}

/// Like [`open`], with further arguments.
pub(super) fn open_with(browser: &str, dir: &Path, further: &[&str], url: &str) -> Process {
    let profile = format!("--user-data-dir={}", dir.join("profile").display());
    // Root may not use the browser's sandbox. The page is the test's own, or the herd's.
    let usual = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", &profile];
    Process::other(dir, Path::new(browser), &[&usual, further, &[url]].concat())
}

fn received(outcomes: &Receiver<String>) -> String {
    outcomes.recv_timeout(PATIENCE).expect("the page tells what has happened")
}

/// Serves the page until it has told its outcomes. A browser may open connections that it does not use.
fn serve(listener: &TcpListener, page: &str, outcomes: &Sender<String>) {
    for stream in listener.incoming() {
        let (stream, page, outcomes) = (stream.unwrap(), page.to_owned(), outcomes.clone());
        std::thread::spawn(move || answer(&stream, &page, &outcomes));
    }
}

fn answer(mut stream: &TcpStream, page: &str, outcomes: &Sender<String>) {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    if reader.read_line(&mut first).is_err() || first.is_empty() {
        return;
    }
    let mut body_len = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            None => break,
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                body_len = value.parse().unwrap();
            }
            Some(_) => {}
        }
    }
    let mut body = vec![0; body_len];
    reader.read_exact(&mut body).unwrap();
    let (status, text) = match first.split(' ').take(2).collect::<Vec<_>>()[..] {
        ["GET", "/"] => ("200 OK", page),
        ["POST", "/outcomes"] => ("204 No Content", ""),
        _ => ("404 Not Found", ""),
    };
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n");
    // The browser may be gone before it has read this.
    let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{text}", text.len());
    if body_len > 0 {
        let _ = outcomes.send(String::from_utf8(body).unwrap());
    }
}

/// A PUT of `id` and then a GET of `id`, both with this token.
fn reporting(id: &str, token: &str) -> Value {
    let authorization = format!("Bearer {token}");
    json!([
        {
            "path": format!("/v1/clients/{id}/location"),
            "method": "PUT",
            "headers": { "Authorization": authorization, "Content-Type": "application/json" },
            "body": r#"{"lat": 34.06893, "lon": -118.445127, "note": "from a page"}"#,
        },
        { "path": format!("/v1/clients/{id}"), "headers": { "Authorization": authorization } },
    ])
}

#[test]
fn a_page_of_an_allowed_origin_reports_and_reads_and_any_other_page_does_not() {
    let Some(browser) = browser_or_skip() else { return };
    let (allowed, refused) = (Site::new(), Site::new());
    let guarded = Guarded::start_with(&format!("origins = [\"{}\"]", allowed.origin()));
    let (dir, http) = (guarded.herd.dir(), guarded.herd.at("Riley").http);

    let outcomes = allowed.visit(browser, dir, http, &reporting("welcome", guarded.operator));
    let [reported, read] = &outcomes[..] else { panic!("{outcomes:?}") };
    for outcome in [reported, read] {
        assert_eq!((&outcome["status"], &outcome["type"]), (&json!(200), &json!("cors")), "{outcomes:?}");
        let client: Value = serde_json::from_str(outcome["body"].as_str().unwrap()).unwrap();
        assert_eq!((&client["id"], &client["lat"]), (&json!("welcome"), &json!(34.06893)), "{outcome}");
        assert!(outcome["id"].is_string(), "the page may see the request's ID: {outcome}");
    }
    assert_eq!(guarded.client("welcome").unwrap()["attributes"]["note"], "from a page");

    let unwelcome = reporting("unwelcome", guarded.operator);
    let outcomes = refused.visit(browser, dir, http, &unwelcome);
    assert_eq!(outcomes, [json!({ "failed": "TypeError" }), json!({ "failed": "TypeError" })]);
    assert_eq!(guarded.client("unwelcome"), None, "the refused PUT has changed nothing");
}

/// Requests that a browser sends to any server without asking the server first.
fn simple_requests() -> Value {
    let report = |mode: &str| {
        json!({
            "path": "/v1/reports",
            "method": "POST",
            "mode": mode,
            "headers": { "Content-Type": "text/plain" },
            "body": r#"{"id": "smuggled", "lat": 34.06893, "lon": -118.445127}"#,
        })
    };
    json!([report("cors"), report("no-cors"), { "path": "/v1/clients" }])
}

#[test]
fn a_page_of_another_origin_reaches_nothing_in_a_herd_without_tokens() {
    let Some(browser) = browser_or_skip() else { return };
    let site = Site::new();
    let herd: Herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let outcomes = site.visit(browser, herd.dir(), http, &simple_requests());
    let [told, opaque, listed] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(told, &json!({ "failed": "TypeError" }));
    assert!(opaque["type"] == "opaque" || opaque["failed"] == "TypeError", "{opaque}");
    assert_eq!(listed, &json!({ "failed": "TypeError" }));
    assert_eq!(get(http, "/v1/clients/smuggled").0, 404);
}

#[test]
fn a_page_of_an_allowed_origin_watches_by_event_source_and_web_socket_and_any_other_page_does_not() {
    let Some(browser) = browser_or_skip() else { return };
    let (allowed, refused) = (Site::new(), Site::new());
    let guarded = Guarded::start_with(&format!("origins = [\"{}\"]", allowed.origin()));
    let (dir, http) = (guarded.herd.dir(), guarded.herd.at("Riley").http);
    let token = guarded.token(&["report:page-*", "read:page-*"]);
    let body = r#"{"lat":34,"lon":-118}"#;
    assert_eq!(guarded.ask("PUT", "/v1/clients/page-0/location", guarded.operator, body).code, 200);
    let outcomes = allowed.watch(browser, dir, http, &token);
    let events = json!(["reset  true", "location page-0 true", "synced  true", "location page-ws true"]);
    let mut messages: Vec<&str> =
        outcomes[1].as_array().unwrap().iter().map(|message| message.as_str().unwrap()).collect();
    // The report may be taken before the state was searched, or after that. So its event may come twice.
    messages.sort_unstable();
    messages.dedup();
    assert_eq!(outcomes[0], events);
    assert_eq!(messages, ["location", "report accepted", "reset", "synced", "token accepted"]);

    let outcomes = refused.watch(browser, dir, http, &token);
    assert_eq!(outcomes, [json!("refused"), json!("refused")]);
}
