//! Connections with paths that the door does not have yet: paths that take a body, stream for ever, or speak another
//! protocol. Time is virtual.

use std::{net::SocketAddr, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Request},
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

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    limits::{BODY_LEN_MAX, BODY_MAX, HEAD_MAX, PARTING_MAX},
    rooms::Rooms,
    *,
};
use crate::{
    caller::Rights,
    config::{Config, Overrides},
    door_kind::DoorKind,
    server::Server,
    wait::eventually_yielding,
};

const CALLER: Caller = Caller {
    address: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1),
    door: DoorKind::Http,
    rights: Rights::ALL,
};

/// A server whose HTTP door has other paths.
struct Door {
    host: Host,
    rooms: Arc<Rooms>,
    _server: Server,
    _dir: TempDir,
}

impl Door {
    async fn open() -> Door {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "[herd]\ntls = \"off\"\n[log]\ndir = {:?}\n[[server]]\nname = \"Riley\"\nlisten = \"127.0.0.1:0\"",
            dir.path().join("log")
        );
        let config = Config::read(&text, &dir.path().join("herd.toml"), &Overrides::none()).unwrap();
        let server = Server::start(&config, "Riley").await.unwrap();
        let router = Router::new()
            .route("/body", post(async |body: Bytes| body.len().to_string()))
            .layer(DefaultBodyLimit::disable())
            .route("/stream", get(async || Body::new(Endless)))
            .route("/echo", get(echo));
        let (herd, tasks, stop) = (Arc::clone(server.herd()), TaskTracker::new(), CancellationToken::new());
        let rooms = Rooms::new(herd.admission());
        Door { host: Host { herd, router, tasks, stop }, rooms, _server: server, _dir: dir }
    }

    /// A connection that has sent this.
    async fn connect(&self, sent: &str) -> DuplexStream {
        let (mut client, server) = duplex(64 * 1024);
        let seat = self.rooms.seat(CALLER.address.ip(), Instant::now());
        self.host.tasks.spawn(connection::serve(self.host.clone(), server, CALLER, seat));
        client.write_all(sent.as_bytes()).await.unwrap();
        client
    }

    fn connections(&self) -> usize {
        self.host.herd.admission().connections()
    }
}

/// A body of which nothing comes, ever.
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

/// Speaks another protocol, which gives back what it gets.
async fn echo(request: Request) -> impl IntoResponse {
    tokio::spawn(async {
        let (mut reader, mut writer) = split(TokioIo::new(hyper::upgrade::on(request).await.unwrap()));
        copy(&mut reader, &mut writer).await
    });
    let headers = [(header::CONNECTION, "upgrade"), (header::UPGRADE, "echo")];
    (StatusCode::SWITCHING_PROTOCOLS, headers)
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
async fn a_body_that_does_not_come_is_not_waited_for() {
    let door = Door::open().await;
    let began = Instant::now();
    let mut drips = door.connect(&head("/body", "Content-Length: 1000\r\n")).await;
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
    assert!((BODY_MAX..BODY_MAX * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_body_is_asked_for_only_if_it_is_wanted() {
    let door = Door::open().await;
    let mut fits = door.connect(&head("/body", "Expect: 100-continue\r\nContent-Length: 3\r\n")).await;
    assert_eq!(next(&mut fits).await, "HTTP/1.1 100 Continue\r\n\r\n");
    fits.write_all(b"abc").await.unwrap();
    let answer = next(&mut fits).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n3"), "{answer}");
    let len = BODY_LEN_MAX + 1;
    for (headers, code) in [
        (format!("Content-Length: {len}\r\n"), 413),
        ("Content-Encoding: gzip\r\nContent-Length: 3\r\n".to_owned(), 415),
    ] {
        let mut refused = door.connect(&head("/body", &format!("Expect: 100-continue\r\n{headers}"))).await;
        let answer = rest(&mut refused).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_without_a_length_is_read_up_to_the_longest() {
    let door = Door::open().await;
    let mut stream = door.connect(&head("/body", "Transfer-Encoding: chunked\r\n")).await;
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let (mut reader, mut writer) = split(&mut stream);
    let send = async { while writer.write_all(chunk.as_bytes()).await.is_ok() {} };
    let mut text = String::new();
    let (read, ()) = tokio::join!(reader.read_to_string(&mut text), send);
    read.unwrap();
    assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
}

#[tokio::test(start_paused = true)]
async fn after_a_body_that_two_readers_could_cut_differently_nothing_is_read() {
    let door = Door::open().await;
    let hidden = "GET /hidden HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let chunks = "3\r\nabc\r\n0\r\n\r\n";
    for (headers, body, answers) in [
        ("Transfer-Encoding: chunked\r\nContent-Length: 9\r\n", chunks, 1),
        ("Content-Length: 9\r\nTransfer-Encoding: chunked\r\n", chunks, 1),
        ("Transfer-Encoding: chunked\r\n", chunks, 1),
        ("Content-Length: 3\r\n", "abc", 2),
    ] {
        let mut stream = door.connect(&format!("{}{body}{hidden}", head("/body", headers))).await;
        let said = rest(&mut stream).await;
        assert!(said.starts_with("HTTP/1.1 200 "), "{headers}: {said}");
        assert_eq!(said.matches("HTTP/1.1 ").count(), answers, "{headers}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_holds_its_seat_until_the_server_ends() {
    let door = Door::open().await;
    let mut stream = door.connect("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(next(&mut stream).await.starts_with("HTTP/1.1 200 "));
    sleep(1000 * HEAD_MAX).await;
    assert_eq!(door.connections(), 1);
    door.host.stop.cancel();
    let began = Instant::now();
    let _ = rest(&mut stream).await;
    assert!(began.elapsed() <= 2 * PARTING_MAX, "{:?}", began.elapsed());
    door.host.tasks.close();
    door.host.tasks.wait().await;
    assert_eq!(door.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_change_its_protocol_and_keeps_its_seat() {
    let door = Door::open().await;
    let upgrade = "Connection: upgrade\r\nUpgrade: echo\r\n";
    let mut stream = door.connect(&format!("GET /echo HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n")).await;
    assert!(next(&mut stream).await.starts_with("HTTP/1.1 101 "));
    for turn in 0..10 {
        sleep(HEAD_MAX * 2).await;
        let said = format!("turn {turn}");
        stream.write_all(said.as_bytes()).await.unwrap();
        assert_eq!(next(&mut stream).await, said);
        assert_eq!(door.connections(), 1);
    }
    drop(stream);
    // Nobody waits for the end of a protocol that is none of the door's.
    eventually_yielding("the connection is given back", || door.connections() == 0).await;
}
