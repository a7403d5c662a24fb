//! Tests with kinds of paths that the door does not have yet: paths that take a body, are slow, stream forever, or
//! switch to another protocol. Also tests with callers who lack a right. Time is virtual.

mod live;

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, Request},
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, copy, duplex, split},
    time::{Instant, sleep},
};

use proxyherd_config::{
    config::{AccessSettings, Config, Overrides},
    door_kind::DoorKind,
};
use tokio_util::sync::CancellationToken;

use super::{
    limits::{
        BODY_LEN_MAX, BODY_TIMEOUT, DRAIN_TIMEOUT, HEADER_SECTION_TIME_MIN, IDLE_TIMEOUT,
        STREAM_WRITE_TIMEOUT, WRITE_TIMEOUT,
    },
    slots::Slots,
    *,
};
use crate::{
    caller::Rights,
    door::entrance::DoorTasks,
    herd::tests::{alone, caller},
    server::Server,
    wait::eventually_yielding,
};

const CALLER: Caller = Caller {
    address: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1),
    door: DoorKind::Http,
    rights: Rights::ALL,
};

/// Longer than the server waits for a connection that it shuts down.
const SLOW: Duration = Duration::from_secs(3 * DRAIN_TIMEOUT.as_secs());

/// A server whose HTTP door has other paths.
struct Door {
    context: ListenerContext,
    batches: Batches,
    slots: Arc<Slots>,
    searches: Arc<Searches>,
    _server: Server,
    _dir: TempDir,
}

impl Door {
    async fn open() -> Door {
        Door::open_with("").await
    }

    /// A door of a server with these settings in `[limits]`.
    async fn open_with(limits: &str) -> Door {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "[herd]\ntls = \"off\"\n[log]\ndir = {:?}\n[limits]\n{limits}\n[[server]]\nname = \"Riley\"\nlisten = \"127.0.0.1:0\"",
            dir.path().join("log")
        );
        let config = Config::read(&text, &dir.path().join("herd.toml"), &Overrides::none()).unwrap();
        let server = Server::start(&config, "Riley").await.unwrap();
        let batches = Batches::default();
        let router = Router::new()
            .route("/v1/body", post(async |body: Bytes| body.len().to_string()))
            .layer(DefaultBodyLimit::disable())
            .route("/stream", get(async || Body::new(Endless)))
            .route("/flood", get(async |State(batches): State<Batches>| Body::new(Flood(batches))))
            .with_state(Arc::clone(&batches))
            .route("/slow", get(slow))
            .route("/long/{kib}", get(long))
            .route("/echo", get(echo));
        let (herd, tasks, stop) = (Arc::clone(server.herd()), DoorTasks::default(), CancellationToken::new());
        let searches = Searches::new();
        let live = Live { searches: Arc::clone(&searches), tasks: tasks.clone(), stop: stop.clone() };
        let streams = Router::new()
            .route("/v1/stream", get(super::live::get_stream))
            .route("/v1/ws", get(super::live::get_ws))
            .layer(Extension(live))
            .with_state(Arc::clone(&herd));
        let router = router.merge(streams);
        let slots = Slots::new(herd.admission());
        let origins = Arc::new(OriginPolicy::new(
            "127.0.0.1:0".parse().unwrap(),
            false,
            &AccessSettings::default(),
            Arc::default(),
        ));
        let context = ListenerContext {
            herd,
            routers: Routers { paths: router.clone(), phones: router, phone_log: Arc::default() },
            origins,
            tasks,
            stop,
        };
        Door { context, batches, slots, searches, _server: server, _dir: dir }
    }

    /// Opens a connection and sends these bytes.
    async fn connect(&self, sent: &str) -> DuplexStream {
        self.connect_as(CALLER, sent).await
    }

    async fn connect_as(&self, caller: Caller, sent: &str) -> DuplexStream {
        let (mut client, server) = duplex(64 * 1024);
        let slot = self.slots.open(caller.address.ip(), Instant::now());
        self.context.tasks.spawn(connection::serve(self.context.clone(), server, caller, slot));
        client.write_all(sent.as_bytes()).await.unwrap();
        client
    }

    /// Opens a connection that holds few bytes, so that it takes more only as far as the client reads.
    fn connect_narrow(&self) -> DuplexStream {
        let (client, server) = duplex(16);
        let slot = self.slots.open(CALLER.address.ip(), Instant::now());
        self.context.tasks.spawn(connection::serve(self.context.clone(), server, CALLER, slot));
        client
    }

    /// The number of streams whose readers took nothing for too long.
    fn cut(&self) -> u64 {
        self.context.herd.figures(&caller(Rights::ALL)).unwrap().streams_cut
    }

    fn connections(&self) -> usize {
        self.context.herd.admission().connections()
    }
}

/// A body that never yields anything.
struct Endless;

impl axum::body::HttpBody for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

/// Length of the batches of [`Flood`], bytes.
const BATCH_LEN: usize = 10_000;

/// Number of batches that were taken.
type Batches = Arc<AtomicUsize>;

/// A stream that always has another batch.
struct Flood(Batches);

impl axum::body::HttpBody for Flood {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        self.0.fetch_add(1, Relaxed);
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(&[b'x'; BATCH_LEN])))))
    }
}

/// Switches to a protocol that returns what it receives.
async fn echo(request: Request) -> impl IntoResponse {
    tokio::spawn(async {
        let (mut reader, mut writer) = split(TokioIo::new(hyper::upgrade::on(request).await.unwrap()));
        copy(&mut reader, &mut writer).await
    });
    let headers = [(header::CONNECTION, "upgrade"), (header::UPGRADE, "echo")];
    (StatusCode::SWITCHING_PROTOCOLS, headers)
}

/// A text of this many KiB. gzip makes it about a third shorter.
async fn long(Path(kib): Path<u32>) -> String {
    (0..kib * 64)
        .map(|number| format!("{:016x}", u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect()
}

/// Answers when [`SLOW`] has passed.
async fn slow() -> &'static str {
    sleep(SLOW).await;
    "done"
}

async fn rest(stream: &mut DuplexStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

async fn next(stream: &mut DuplexStream) -> String {
    let mut bytes = [0; 1024];
    let len = stream.read(&mut bytes).await.unwrap();
    String::from_utf8(bytes[..len].to_vec()).unwrap()
}

fn head(path: &str, headers: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

#[tokio::test(start_paused = true)]
async fn a_body_that_arrives_slowly_is_answered_408() {
    let door = Door::open().await;
    let began = Instant::now();
    let mut drips = door.connect(&head("/v1/body", "Content-Length: 1000\r\n")).await;
    let (mut reader, mut writer) = split(&mut drips);
    let drip = async {
        while writer.write_all(b"x").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    let mut text = String::new();
    let (read, ()) = tokio::join!(reader.read_to_string(&mut text), drip);
    read.unwrap();
    assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("\r\nconnection: close\r\n"), "{text}");
    assert!((BODY_TIMEOUT..BODY_TIMEOUT * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_will_be_refused_is_not_requested() {
    let door = Door::open().await;
    let mut fits = door.connect(&head("/v1/body", "Expect: 100-continue\r\nContent-Length: 3\r\n")).await;
    assert_eq!(next(&mut fits).await, "HTTP/1.1 100 Continue\r\n\r\n");
    fits.write_all(b"abc").await.unwrap();
    let answer = next(&mut fits).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n3"), "{answer}");
    let len = BODY_LEN_MAX + 1;
    for (headers, code) in [
        (format!("Content-Length: {len}\r\n"), 413),
        ("Content-Encoding: gzip\r\nContent-Length: 3\r\n".to_owned(), 415),
    ] {
        let mut refused =
            door.connect(&head("/v1/body", &format!("Expect: 100-continue\r\n{headers}"))).await;
        let answer = rest(&mut refused).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_without_a_length_is_read_up_to_the_longest() {
    let door = Door::open().await;
    let mut stream = door.connect(&head("/v1/body", "Transfer-Encoding: chunked\r\n")).await;
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let (mut reader, mut writer) = split(&mut stream);
    let send = async { while writer.write_all(chunk.as_bytes()).await.is_ok() {} };
    let mut text = String::new();
    let (read, ()) = tokio::join!(reader.read_to_string(&mut text), send);
    read.unwrap();
    assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
}

#[tokio::test(start_paused = true)]
async fn after_a_body_of_ambiguous_length_no_request_is_read() {
    let door = Door::open().await;
    let hidden = "GET /hidden HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let chunks = "3\r\nabc\r\n0\r\n\r\n";
    for (headers, body, answers) in [
        ("Transfer-Encoding: chunked\r\nContent-Length: 9\r\n", chunks, 1),
        ("Content-Length: 9\r\nTransfer-Encoding: chunked\r\n", chunks, 1),
        ("Transfer-Encoding: chunked\r\n", chunks, 1),
        ("Content-Length: 3\r\n", "abc", 2),
    ] {
        let mut stream = door.connect(&format!("{}{body}{hidden}", head("/v1/body", headers))).await;
        let said = rest(&mut stream).await;
        assert!(said.starts_with("HTTP/1.1 200 "), "{headers}: {said}");
        assert_eq!(said.matches("HTTP/1.1 ").count(), answers, "{headers}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_keeps_its_slot_until_the_server_stops() {
    let door = Door::open().await;
    let mut stream = door.connect("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(next(&mut stream).await.starts_with("HTTP/1.1 200 "));
    sleep(1000 * IDLE_TIMEOUT).await;
    assert_eq!(door.connections(), 1);
    door.context.stop.cancel();
    let began = Instant::now();
    let _ = rest(&mut stream).await;
    assert!(began.elapsed() <= 2 * DRAIN_TIMEOUT, "{:?}", began.elapsed());
    door.context.tasks.close();
    door.context.tasks.wait().await;
    assert_eq!(door.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_gives_its_next_batch_only_when_the_connection_has_taken_the_last_one() {
    let door = Door::open().await;
    let mut client = door.connect_narrow();
    client.write_all(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let taken = || door.batches.load(Relaxed);
    let mut bytes = vec![0; 100];
    client.read_exact(&mut bytes).await.unwrap();
    sleep(WRITE_TIMEOUT / 2).await;
    assert_eq!((taken(), door.slots.buffered()), (1, BATCH_LEN));
    bytes.resize(BATCH_LEN, 0);
    for so_far in 1..10 {
        client.read_exact(&mut bytes).await.unwrap();
        assert!((so_far..=so_far + 2).contains(&taken()), "{}", taken());
        assert!(door.slots.buffered() <= BATCH_LEN);
    }
    // A client that reads no more is disconnected.
    sleep(STREAM_WRITE_TIMEOUT / 2).await;
    assert_eq!(door.connections(), 1, "it may read slowly");
    sleep(STREAM_WRITE_TIMEOUT).await;
    assert_eq!((door.connections(), door.slots.buffered()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_for_which_there_is_no_memory_ends() {
    let door = Door::open_with("buffers_mb = 1").await;
    let mut clients = Vec::new();
    for _ in 0..110 {
        let mut client = door.connect_narrow();
        client.write_all(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        client.read_exact(&mut [0; 10]).await.unwrap();
        clients.push(client);
    }
    let room = 1024 * 1024 / BATCH_LEN;
    assert!(door.slots.buffered() <= 1024 * 1024);
    // The last clients get the head of the response and the end of the stream.
    assert!(door.batches.load(Relaxed) >= room);
    let last = rest(clients.last_mut().unwrap()).await;
    let (_, body) = last.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "0\r\n\r\n");
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_keeps_its_slot() {
    let door = Door::open().await;
    let upgrade = "Connection: upgrade\r\nUpgrade: echo\r\n";
    let mut stream = door.connect(&format!("GET /echo HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n")).await;
    assert!(next(&mut stream).await.starts_with("HTTP/1.1 101 "));
    for turn in 0..10 {
        sleep(IDLE_TIMEOUT * 2).await;
        let said = format!("turn {turn}");
        stream.write_all(said.as_bytes()).await.unwrap();
        assert_eq!(next(&mut stream).await, said);
        assert_eq!(door.connections(), 1);
    }
    drop(stream);
    // The server does not wait for the end of a protocol that is not the door's.
    eventually_yielding("the connection's slot is given back", || door.connections() == 0).await;
}

const GET_SLOW: &str = "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_request_that_is_complete_while_its_idle_connection_is_shut_down_is_answered() {
    let door = Door::open().await;
    let (first, second) = GET_SLOW.split_at(20);
    let mut stream = door.connect(first).await;
    sleep(IDLE_TIMEOUT + DRAIN_TIMEOUT / 2).await;
    stream.write_all(second.as_bytes()).await.unwrap();
    let said = rest(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("done"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_begins_to_arrive_just_before_the_idle_timeout_is_answered() {
    let door = Door::open().await;
    let mut stream = door.connect(GET_SLOW).await;
    assert!(next(&mut stream).await.ends_with("done"));
    sleep(IDLE_TIMEOUT - HEADER_SECTION_TIME_MIN / 4).await;
    let (first, second) = GET_SLOW.split_at(20);
    stream.write_all(first.as_bytes()).await.unwrap();
    sleep(HEADER_SECTION_TIME_MIN / 2).await;
    stream.write_all(second.as_bytes()).await.unwrap();
    let said = next(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("done"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_in_time() {
    let door = Door::open().await;
    for sent in ["", "GET /slow HT"] {
        let mut stream = door.connect(sent).await;
        let began = Instant::now();
        assert_eq!(rest(&mut stream).await, "");
        let took = began.elapsed();
        assert!((IDLE_TIMEOUT..=IDLE_TIMEOUT + 2 * DRAIN_TIMEOUT).contains(&took), "{sent}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_response_counts_before_it_is_compressed_and_less_afterwards() {
    let door = Door::open_with("buffers_mb = 1").await;
    let buffered = || door.slots.buffered();
    let ask = |kib: usize| {
        format!(
            "GET /long/{kib} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
        )
    };
    for (kib, expected) in [(900, "HTTP/1.1 200 "), (1000, "HTTP/1.1 503 ")] {
        let mut stream = door.connect(&ask(kib)).await;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(expected.as_bytes()), "{kib} {:?}", answer.get(..20));
        assert!(answer.len() < 700_000, "{kib}: {}", answer.len());
        eventually_yielding("nothing is buffered", || buffered() == 0).await;
    }
    // The client does not read, so the response stays. Its packed length counts.
    let (client, server) = duplex(16);
    let slot = door.slots.open(CALLER.address.ip(), Instant::now());
    door.context.tasks.spawn(connection::serve(door.context.clone(), server, CALLER, slot));
    let (_reader, mut writer) = split(client);
    writer.write_all(ask(900).as_bytes()).await.unwrap();
    eventually_yielding("only the packed response counts", || (1..700_000).contains(&buffered())).await;
}

/// The status code and the detail of a problem.
fn problem_of(response: impl IntoResponse) -> (u16, String) {
    let mut response = response.into_response();
    let problem = response.extensions_mut().remove::<Problem>().unwrap();
    (response.status().as_u16(), problem.detail().to_owned())
}

#[tokio::test]
async fn a_caller_who_lacks_a_right_is_answered_403_and_why() {
    let (herd, caller) = (State(alone()), caller(Rights::of(&["report:*", "read:*"])));
    let operate = (403, "this caller may not see the state of this server".to_owned());
    assert_eq!(problem_of(status(herd.clone(), Extension(caller.clone())).await), operate);
    let shown = metrics(herd.clone(), Extension(caller.clone()), HeaderMap::new()).await;
    assert_eq!(problem_of(shown), operate);
    let uri = "/maps/api/place/nearbysearch/json?location=34,-118&radius=500".parse().unwrap();
    let places = (403, "this caller may not ask about places".to_owned());
    assert_eq!(problem_of(nearby::nearby(herd, Extension(caller), uri).await), places);
}
