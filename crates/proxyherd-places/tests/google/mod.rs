//! A stand-in for Google: a real HTTP server on this machine. It speaks both of Google's interfaces for places as their
//! documentation describes them, and is as strict about questions. A test can make it misbehave.
//!
//! ```ignore
//! let google = Google::start();
//! // base_url = google.url(), and the key in a file or a variable = google.key()
//! google.behave(Behavior::Slow(Duration::from_secs(1)));  // from now on
//! google.once(Behavior::Fails(503));                       // the next request alone; may be queued
//! google.behave(Behavior::Held);                           // requests wait until it behaves otherwise
//! google.wait_for(3);                                       // … have come
//! assert_eq!(google.requests()[0].key.as_deref(), Some(google.key()));
//! ```
//!
//! The stand-in knows the [`Spot`]s of `spots`, including sixty within two kilometers around [`CENTER`], and finds them
//! by distance. It does not use the test's runtime, and ends when it is dropped. It does not know which program sends
//! the requests. A test binary that includes this module has the tests' harness as `harness`.
#![allow(dead_code, unused_imports, reason = "each test takes what it needs of it")]

mod behavior;
mod connection;
mod legacy;
mod new;
mod spots;
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{ConnectInfo, Request, State},
    response::Response,
};
use serde_json::Value;
use tokio::sync::{oneshot, watch};

use self::connection::{Listener, Reset};
pub(crate) use self::{
    behavior::Behavior,
    spots::{CENTER, Spot, meters_between, spots},
};
use crate::harness::eventually;

/// The only key that is accepted. It looks like a key of Google's, but is not a real key.
const KEY: &str = "AIzaSyStandIn-for_Google-0123456789abcd";

/// A running stand-in.
pub(crate) struct Google {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// One received request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// The path, without the query.
    pub(crate) path: String,
    /// The decoded parameters of the query. Empty for Places API (New).
    pub(crate) parameters: BTreeMap<String, String>,
    /// The headers, by their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// The key, from the place where this interface has it.
    pub(crate) key: Option<String>,
    /// `X-Goog-FieldMask`.
    pub(crate) mask: Option<String>,
    /// The body. Null if the body is not JSON.
    pub(crate) body: Value,
}

/// The state that the server and its owner share.
struct Shared {
    behavior: watch::Sender<Behavior>,
    once: Mutex<VecDeque<Behavior>>,
    asked: Mutex<Vec<Asked>>,
    /// The places of a legacy question after its first page, by token.
    pages: Mutex<BTreeMap<String, Vec<Spot>>>,
}

impl Google {
    /// Starts a stand-in on a free port. When this returns, the stand-in takes requests.
    pub(crate) fn start() -> Google {
        let shared = Arc::new(Shared {
            behavior: watch::Sender::new(Behavior::Good),
            once: Mutex::default(),
            asked: Mutex::default(),
            pages: Mutex::default(),
        });
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = serve(listener, Arc::clone(&shared), stopped);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = std::thread::spawn(move || runtime.block_on(serving));
        Google { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// The base URL for both interfaces, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The key that the stand-in accepts.
    pub(crate) fn key(&self) -> &'static str {
        KEY
    }

    /// Sets the behavior for every request from now on, including the requests that the stand-in holds.
    pub(crate) fn behave(&self, behavior: Behavior) {
        self.shared.behavior.send_replace(behavior);
    }

    /// Sets the behavior for the next request only. Several calls form a queue.
    pub(crate) fn once(&self, behavior: Behavior) {
        self.shared.once.lock().unwrap().push_back(behavior);
    }

    /// Every request so far, in the order in which they came.
    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// The number of requests that have come.
    pub(crate) fn count(&self) -> usize {
        self.shared.asked.lock().unwrap().len()
    }

    /// Waits until this number of requests has come. This blocks the thread, so a test on a runtime of one thread must
    /// not call it.
    pub(crate) fn wait_for(&self, count: usize) {
        eventually("requests have come", || match self.count() {
            come if come >= count => Ok(()),
            come => Err(format!("{come} of {count}")),
        });
    }

    /// The places of the stand-in within a circle, the nearest first.
    pub(crate) fn nearest(&self, latitude: f64, longitude: f64, radius_m: f64) -> Vec<Spot> {
        spots::within((latitude, longitude), radius_m, true)
    }
}

impl Drop for Google {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the stand-in for Google has failed");
        }
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>, stopped: oneshot::Receiver<()>) {
    let listener = Listener::new(tokio::net::TcpListener::from_std(listener).unwrap());
    let router = Router::new().fallback(answer).with_state(shared);
    let served = axum::serve(listener, router.into_make_service_with_connect_info::<Reset>());
    tokio::select! {
        served = served.into_future() => served.unwrap(),
        // An error means that the sender was dropped. This ends the wait.
        _ = stopped => {}
    }
}

/// Records the request, and answers it with the chosen behavior.
async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(reset): ConnectInfo<Reset>,
    request: Request,
) -> Response {
    let asked = Asked::read(request).await;
    shared.asked.lock().unwrap().push(asked.clone());
    let behavior = shared.next_behavior().await;
    behavior::answer(behavior, &asked, &shared, &reset).await
}

impl Shared {
    /// The behavior for this request. A request that is held waits here.
    async fn next_behavior(&self) -> Behavior {
        if let Some(once) = self.once.lock().unwrap().pop_front() {
            return once;
        }
        let mut behavior = self.behavior.subscribe();
        let next = behavior.wait_for(|behavior| !matches!(behavior, Behavior::Held)).await;
        next.expect("the sender is in what is borrowed here").clone()
    }
}

impl Asked {
    async fn read(request: Request) -> Asked {
        let (head, body) = request.into_parts();
        let body: Bytes = to_bytes(body, 1 << 20).await.unwrap_or_default();
        let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers: BTreeMap<_, _> =
            head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let url = reqwest::Url::parse(&format!("http://stand.in{}", head.uri)).unwrap();
        let parameters: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        Asked {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            key: headers.get("x-goog-api-key").or(parameters.get("key")).cloned(),
            mask: headers.get("x-goog-fieldmask").cloned(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            parameters,
            headers,
        }
    }

    /// The interface that is asked. `None` if the path is unknown.
    fn is_legacy(&self) -> bool {
        self.path == legacy::PATH
    }
}
