//! Tests with a browser: the page behind the link of a share. The test reads what the page shows through the browser's
//! own protocol for developer tools, and waits until it shows what it must.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use serde_json::{Value, json};

use super::{
    Guarded,
    browser::{browser_or_skip, open_with},
};
use crate::harness::{Plan, Process, Ws, eventually, request};

/// A page in a browser of its own.
struct Page {
    tools: Ws,
    session: Value,
    calls: u64,
    _browser: Process,
}

impl Page {
    fn open(browser: &str, dir: &Path, url: &str) -> Page {
        let process = open_with(browser, dir, &["--remote-debugging-port=0"], url);
        let told = dir.join("profile/DevToolsActivePort");
        let (port, path) = eventually("the browser says where its tools are", || {
            let text = fs::read_to_string(&told).ok()?;
            let (port, path) = text.split_once('\n')?;
            Some((port.parse().ok()?, path.trim().to_owned()))
        });
        let tools = Ws::open_at(SocketAddr::from(([127, 0, 0, 1], port)), &path, "").unwrap();
        let mut page = Page { tools, session: Value::Null, calls: 0, _browser: process };
        let target = eventually("the browser has the page", || {
            let targets = page.call("Target.getTargets", &json!({}));
            let targets = targets["targetInfos"].as_array().unwrap().clone();
            targets.into_iter().find(|target| target["url"] == url)
        });
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        page.session = page.call("Target.attachToTarget", &attach)["sessionId"].clone();
        page
    }

    /// The result of a method of the tools.
    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": params });
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        self.tools.send(&message);
        loop {
            let told = self.tools.next().unwrap();
            if told["id"] == self.calls {
                assert!(told["error"].is_null(), "{method}: {told}");
                return told["result"].clone();
            }
        }
    }

    fn evaluate(&mut self, script: &str) -> Value {
        let told = self.call("Runtime.evaluate", &json!({ "expression": script, "returnByValue": true }));
        told["result"]["value"].clone()
    }

    /// Waits until the page shows a text.
    fn shows(&mut self, text: &str) {
        eventually(text, || {
            let shown = self.evaluate("document.body ? document.body.innerText : ''");
            let shown = shown.as_str().unwrap_or_default().replace('\u{a0}', " ");
            if shown.contains(text) { Ok(()) } else { Err(format!("the page shows {shown:?}")) }
        });
    }

    fn reload(&mut self) {
        self.evaluate("window.isOld = true");
        let _ = self.call("Page.reload", &json!({}));
        eventually("the page is loaded again", || self.evaluate("!window.isOld") == true);
    }
}

/// A proxy that can swallow what the server sends through the WebSockets that are open, and closes nothing.
struct Swallowing {
    address: SocketAddr,
    open: Arc<Mutex<Vec<Arc<Passing>>>>,
}

/// What the proxy does with one connection.
#[derive(Default)]
struct Passing {
    is_web_socket: AtomicBool,
    is_swallowed: AtomicBool,
}

impl Swallowing {
    fn before(door: SocketAddr) -> Swallowing {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let open: Arc<Mutex<Vec<Arc<Passing>>>> = Arc::default();
        let ours = Arc::clone(&open);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(door).unwrap());
                let passing = Arc::new(Passing::default());
                ours.lock().unwrap().push(Arc::clone(&passing));
                let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let sent = Arc::clone(&passing);
                thread::spawn(move || {
                    pass(from_client, to_server, |bytes| {
                        if bytes.starts_with(b"GET /v1/ws") {
                            sent.is_web_socket.store(true, Relaxed);
                        }
                        true
                    });
                });
                thread::spawn(move || pass(server, client, |_| !passing.is_swallowed.load(Relaxed)));
            }
        });
        Swallowing { address, open }
    }

    /// From now on, nothing comes through the WebSockets that are open. Returns how many there are.
    fn swallow(&self) -> usize {
        let open = self.open.lock().unwrap();
        let web_sockets = open.iter().filter(|passing| passing.is_web_socket.load(Relaxed));
        web_sockets.map(|passing| passing.is_swallowed.store(true, Relaxed)).count()
    }
}

/// Passes bytes on, or drops them, until one side ends.
fn pass(mut from: TcpStream, mut to: TcpStream, mut is_passed: impl FnMut(&[u8]) -> bool) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        if is_passed(&bytes[..len]) && to.write_all(&bytes[..len]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// The link of a new share of kiwi, and the share's path.
fn share(guarded: &Guarded, maker: &str) -> (String, String) {
    let made = guarded.ask("POST", "/v1/shares", maker, r#"{"id":"kiwi","expires_s":600}"#);
    assert_eq!(made.code, 201, "{made:?}");
    let made = made.json();
    (made["url"].as_str().unwrap().to_owned(), format!("/v1/shares/{}", made["share"].as_str().unwrap()))
}

fn report(guarded: &Guarded, lat: f64) {
    let body = json!({ "lat": lat, "lon": -118.445127, "accuracy_m": 12, "heading_deg": 90 }).to_string();
    let put = guarded.ask("PUT", "/v1/clients/kiwi/location", guarded.operator, &body);
    assert_eq!(put.code, 200, "{put:?}");
}

#[test]
fn the_page_of_a_share_shows_each_change_at_once_and_says_when_the_share_was_revoked() {
    let Some(browser) = browser_or_skip() else { return };
    let guarded = Guarded::start();
    let maker = guarded.token(&["read:kiwi"]);
    let (url, path) = share(&guarded, &maker);
    let mut page = Page::open(browser, guarded.herd.dir(), &url);
    page.shows("Not known at present");
    page.shows("changes show at once");
    report(&guarded, 34.06893);
    page.shows("34.06893° N, 118.445127° W");
    page.shows("within 12 m");
    page.shows("east (90°)");
    report(&guarded, -0.5);
    page.shows("0.5° S, 118.445127° W");
    let phone = json!({ "width": 320, "height": 640, "deviceScaleFactor": 2, "mobile": true });
    let _ = page.call("Emulation.setDeviceMetricsOverride", &phone);
    assert_eq!(page.evaluate("document.documentElement.scrollWidth <= 320"), true);
    assert_eq!(guarded.ask("DELETE", "/v1/clients/kiwi", guarded.operator, "").code, 204);
    page.shows("Not known at present");
    report(&guarded, 1.25);
    page.shows("1.25° N");
    page.reload();
    page.shows("1.25° N");
    page.shows("changes show at once");
    assert_eq!(guarded.ask("DELETE", &path, &maker, "").code, 204);
    page.shows("This share was revoked.");
    assert_eq!(page.evaluate("document.body.innerText.includes('1.25')"), false);
    page.reload();
    page.shows("This share was revoked.");
}

#[test]
fn where_no_web_socket_comes_through_the_page_of_a_share_asks_again_and_again() {
    let Some(browser) = browser_or_skip() else { return };
    let guarded = Guarded::start();
    report(&guarded, 34.5);
    let (url, _) = share(&guarded, guarded.operator);
    let mut page = Page::open(browser, guarded.herd.dir(), &url);
    page.shows("34.5° N");
    let _ = page.call("Page.enable", &json!({}));
    let without = json!({ "source": "WebSocket = undefined" });
    let _ = page.call("Page.addScriptToEvaluateOnNewDocument", &without);
    page.reload();
    page.shows("changes show within seconds");
    report(&guarded, 35.5);
    page.shows("35.5° N");
    page.evaluate("location.hash = '#phd_'");
    page.shows("This link is not complete.");
    page.evaluate(&format!("location.hash = '#phd_nobody_{}'", "0".repeat(64)));
    page.shows("There is no such share.");
}

#[test]
fn the_page_of_a_share_notices_a_web_socket_that_is_dead_and_says_nothing() {
    let Some(browser) = browser_or_skip() else { return };
    let guarded = Guarded::start();
    report(&guarded, 34.5);
    let (url, _) = share(&guarded, guarded.operator);
    let http = guarded.herd.at("Riley").http;
    let proxy = Swallowing::before(http);
    let url = url.replace(&http.to_string(), &proxy.address.to_string());
    let mut page = Page::open(browser, guarded.herd.dir(), &url);
    page.shows("changes show at once");
    page.shows("34.5° N");
    assert_eq!(proxy.swallow(), 1);
    report(&guarded, 35.5);
    // The page asks now, and not at its next check.
    page.evaluate("dispatchEvent(new Event('online'))");
    page.shows("35.5° N");
    // It follows over another WebSocket.
    page.shows("changes show at once");
    report(&guarded, 36.5);
    page.shows("36.5° N");
    assert_eq!(proxy.swallow(), 2);
}

#[test]
fn the_page_of_a_share_keeps_the_last_position_while_its_server_is_away() {
    let Some(browser) = browser_or_skip() else { return };
    let mut guarded = Guarded::start();
    report(&guarded, 34.5);
    let (url, _) = share(&guarded, guarded.operator);
    let mut page = Page::open(browser, guarded.herd.dir(), &url);
    page.shows("changes show at once");
    page.shows("34.5° N");
    guarded.herd.kill_all(&["Riley"]);
    page.shows("No connection. Trying again.");
    page.shows("34.5° N");
    // The only server of the herd has forgotten the share.
    guarded.herd.start("Riley");
    page.shows("There is no such share.");
}

#[test]
fn the_page_of_a_share_says_when_the_share_has_ended_with_tokens_off_too() {
    let Some(browser) = browser_or_skip() else { return };
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let ask = |method: &str, path: &str, body: &str| {
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {http}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        request(http, format!("{head}{body}").as_bytes()).json()
    };
    let _ = ask("PUT", "/v1/clients/kiwi/location", r#"{"lat":34.5,"lon":-118}"#);
    let made = ask("POST", "/v1/shares", r#"{"id":"kiwi","expires_s":10}"#);
    let mut page = Page::open(browser, herd.dir(), made["url"].as_str().unwrap());
    page.shows("34.5° N");
    page.shows("This share has ended.");
    assert_eq!(page.evaluate("document.body.innerText.includes('34.5')"), false);
}
