//! Tests of the HTTP door under a crowd of connections that are idle, that hold unfinished requests, or that are too
//! many. During all this time operators get answers, and the crowd takes only a bounded amount of resources.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};

use crate::{
    demo::have,
    harness::{
        Herd, PATIENCE, Plan, certificates::Certified, eventually, eventually_metric, fetch, free_ports, get,
        metric, request, status, try_request,
    },
};

const QUESTION: &str = "/maps/api/place/nearbysearch/json?location=34.068930,-118.445127&radius=1000";
/// Maximum time until operators get their answer.
const PROMPT: Duration = Duration::from_millis(100);

/// A connection that has sent these bytes.
fn open(http: SocketAddr, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(sent).unwrap();
    stream
}

fn crowd(http: SocketAddr, count: usize, sent: &[u8]) -> Vec<TcpStream> {
    (0..count).map(|_| open(http, sent)).collect()
}

/// Whether the server has left a connection open and has sent nothing.
fn hangs(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// The number of these connections that the server has closed.
fn closed_of(crowd: &[TcpStream]) -> usize {
    crowd.iter().filter(|stream| !hangs(stream)).count()
}

/// Sends all requests that operators send, again and again.
fn operators_are_answered_promptly(http: SocketAddr, meanwhile: &str) {
    operators_are_answered_within(1, http, meanwhile);
}

/// Like [`operators_are_answered_promptly`], but with this number of attempts for each answer.
fn operators_are_answered_within(attempts: usize, http: SocketAddr, meanwhile: &str) {
    let mut took = Vec::new();
    for path in ["/health/livez", "/health/readyz", "/metrics", "/v1/status"].repeat(8) {
        let began = Instant::now();
        let asked = format!("GET {path} HTTP/1.0\r\nHost: {http}\r\n\r\n");
        let mut answers = (0..attempts).map(|_| try_request(http, asked.as_bytes()));
        let answer = answers.find_map(Result::ok);
        took.push(began.elapsed());
        assert_eq!(answer.map(|reply| reply.code), Some(200), "{meanwhile}: {path}");
    }
    took.sort();
    // Other tests use the processor too, so sometimes an answer may take longer.
    assert!(took[took.len() * 3 / 4] <= PROMPT, "{meanwhile}: {took:?}");
}

#[test]
fn operators_are_answered_while_requests_are_unfinished() {
    for limits in ["", "connections = 100", "connections_per_address = 50", "connections = 1"] {
        let herd = Plan::single().limits(limits).start();
        let http = herd.at("Riley").http;
        let unfinished = crowd(http, 300, b"GET /health/livez HTTP/1.1\r\nHost: local");
        operators_are_answered_promptly(http, limits);
        let hanging = unfinished.iter().filter(|stream| hangs(stream)).count();
        // The newest connections are not closed yet.
        let expected = if limits.is_empty() { 300 } else { 30 };
        assert!(hanging >= expected, "{limits}: {hanging}");
    }
}

#[test]
fn operators_are_answered_while_a_thousand_connections_are_silent() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let before = herd.process("Riley").memory_peak();
    let silent = crowd(http, 1000, b"");
    operators_are_answered_promptly(http, "1,000 silent connections");
    assert!(silent.iter().all(hangs), "they are within the limits");
    let taken = herd.process("Riley").memory_peak() - before;
    assert!(taken < 24 * 1024 * 1024, "{taken} bytes");
    // No request was sent, but the connections are open.
    assert!(status(http)["connections"].as_u64() >= Some(1000));
}

#[test]
fn operators_are_answered_while_connections_storm_in() {
    let herd = Plan::single().limits("connections = 50").start();
    let http = herd.at("Riley").http;
    let (stop, opened) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut held = VecDeque::new();
            while !stop.load(Relaxed) {
                let mut stream = TcpStream::connect(http).unwrap();
                // The server may already have closed this connection.
                let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\n");
                held.push_back(stream);
                if held.len() == 500 {
                    held.pop_front();
                }
                opened.fetch_add(1, Relaxed);
            }
        });
        eventually("the storm is there", || match opened.load(Relaxed) {
            300.. => Ok(()),
            opened => Err(opened.to_string()),
        });
        // If hundreds of connections come within a millisecond, a connection may be closed before its request has
        // arrived. A client that asks again gets its answer in time.
        let asked = std::panic::catch_unwind(|| operators_are_answered_within(5, http, "a storm"));
        stop.store(true, Relaxed);
        asked.unwrap();
    });
    assert!(opened.load(Relaxed) > 300);
}

#[test]
fn operators_are_answered_where_descriptors_are_scarce() {
    const MOST: u32 = 256;
    let mut herd = Plan::single().prepare();
    herd.start_with_descriptors("Riley", MOST);
    let http = herd.at("Riley").http;
    let crowd: Vec<_> = (0..MOST).map(|_| open(herd.line("Riley"), b"IAMAT ki")).collect();
    let unfinished = self::crowd(http, 2 * MOST as usize, b"GET /metrics HTTP/1.1\r\nHost: local");
    operators_are_answered_promptly(http, "all descriptors are taken");
    assert!(!herd.log("Riley").contains("can't take a connection"), "there is always a descriptor left");
    drop((crowd, unfinished));
}

#[test]
fn who_finds_no_room_is_told_when_to_come_back_and_operators_have_their_answer() {
    let herd = Plan::single().limits("connections = 1").start();
    let http = herd.at("Riley").http;
    let mut client = herd.client("Riley");
    assert_eq!(client.ask("A"), "? A");
    let reply = fetch(http, QUESTION, "");
    assert_eq!((reply.code, reply.header("retry-after")), (503, Some("1")), "{reply:?}");
    // An operator's connection ends with its answer, even if the client would keep the connection.
    let host = format!("Host: {http}\r\n\r\n");
    let reply = request(http, format!("GET /health/livez HTTP/1.1\r\n{host}").as_bytes());
    assert_eq!((reply.code, reply.header("connection")), (200, Some("close")));
    assert_eq!(metric(http, "proxyherd_connections"), Some(1.0), "operators are no clients");
    assert_eq!(metric(http, "proxyherd_connections_turned_away_total"), Some(1.0));
    drop(client);
    eventually("there is room again", || match fetch(http, QUESTION, "").code {
        200 => Ok(()),
        code => Err(code.to_string()),
    });
}

#[test]
fn the_longest_idle_connection_is_evicted() {
    let herd = Plan::single().limits("connections = 5").start();
    let http = herd.at("Riley").http;
    let began = Instant::now();
    let silent = crowd(http, 5, b"GET / HTTP/1.1\r\n");
    eventually("a question is answered", || match fetch(http, QUESTION, "").code {
        200 => Ok(()),
        code => Err(code.to_string()),
    });
    // The request may be answered before the evicted connection is closed.
    let closed = eventually("a connection is closed", || match closed_of(&silent) {
        0 => Err("none is"),
        closed => Ok(closed),
    });
    // Later, idle connections are closed.
    if began.elapsed() < Duration::from_secs(9) {
        assert_eq!(closed, 1, "one of them, and no more");
    }
}

/// An HTTP door with TLS.
struct TlsDoor {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl TlsDoor {
    /// A door at `address` that presents this certificate.
    fn new(address: SocketAddr, certificate: CertificateDer<'static>) -> TlsDoor {
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsDoor { address, config: Arc::new(config) }
    }

    /// Opens a connection and sends these bytes. An error means that the server has closed the connection.
    fn open(&self, sent: &[u8]) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = ServerName::from(self.address.ip());
        let tls = ClientConnection::new(Arc::clone(&self.config), name).unwrap();
        let mut stream = StreamOwned::new(tls, open(self.address, b""));
        stream.write_all(sent)?;
        stream.flush()?;
        Ok(stream)
    }

    /// The server's answer to these bytes, until the server closes the connection.
    fn ask(&self, sent: &[u8]) -> io::Result<String> {
        let mut answer = String::new();
        self.open(sent)?.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

#[test]
fn over_tls_operators_are_answered_and_idle_connections_are_evicted() {
    let mut herd = Plan::single().prepare();
    let ports = free_ports(3);
    let [line, http_tls, http] = [0, 1, 2].map(|index| SocketAddr::from(([127, 0, 0, 1], ports[index])));
    herd.write_file(
        "herd.toml",
        &format!(
            "[herd]\ntls = \"off\"\n[limits]\nconnections = 20\n[tls]\ncert = \"door.pem\"\nkey = \"door.key\"\n\
             [[server]]\nname = \"Riley\"\nlisten = \"{line}\"\nhttp = [\"tls://{http_tls}\", \"{http}\"]\n"
        ),
    );
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    Certified { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }.put(herd.dir(), "door");
    herd.start("Riley");
    let door = TlsDoor::new(http_tls, made.cert.der().clone());
    // Their handshakes do not begin.
    let silent = crowd(http_tls, 40, b"");
    // Each new connection evicts one of these connections, or is itself evicted from the reserve.
    let unfinished: Vec<_> =
        (0..40).filter_map(|_| door.open(b"GET /metrics HTTP/1.1\r\nHost: local").ok()).collect();
    assert!(!unfinished.is_empty());
    let asked = |path: &str| format!("GET {path} HTTP/1.0\r\nHost: {http_tls}\r\n\r\n");
    for path in ["/health/livez", "/health/readyz", "/metrics", "/v1/status"].repeat(4) {
        let answer = door.ask(asked(path).as_bytes()).unwrap();
        assert!(answer.starts_with("HTTP/1.0 200 "), "{path}: {answer}");
    }
    eventually("a question is answered", || match door.ask(asked(QUESTION).as_bytes()) {
        Ok(answer) if answer.starts_with("HTTP/1.0 200 ") => Ok(()),
        Ok(answer) => Err(answer),
        Err(error) => Err(error.to_string()),
    });
    eventually("a connection is closed", || if closed_of(&silent) > 0 { Ok(()) } else { Err("none is") });
    assert_eq!(get(http, "/health/livez").0, 200, "the address without TLS");
}

#[test]
fn one_address_has_its_share_and_others_have_theirs() {
    if !have("curl") {
        return;
    }
    let herd = Plan::single().limits("connections_per_address = 20").start();
    let http = herd.at("Riley").http;
    let greedy = crowd(http, 300, b"GET / HTTP/1.1\r\n");
    let url = format!("http://{http}{QUESTION}");
    // Another address of this machine is another client.
    let code = curl(&herd, &["-s", "-o", "answer", "-w", "%{http_code}", "--interface", "127.0.0.2", &url]);
    assert_eq!(code, "200");
    operators_are_answered_promptly(http, "one address has 300 connections");
    drop(greedy);
}

fn curl(herd: &Herd, arguments: &[&str]) -> String {
    let said = Command::new("curl").current_dir(herd.dir()).args(arguments).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap()
}

#[test]
fn connections_that_say_nothing_or_drip_are_closed_in_time() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let began = Instant::now();
    // The inputs: nothing at all, a part of HTTP/2's preface, HTTP/2 without a request, and a head without an end.
    let whole = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let silent =
        [&b""[..], b"PRI * HTT", whole, b"GET / HTTP/1.1\r\nHost: x\r\n"].map(|sent| open(http, sent));
    for (at, mut stream) in silent.into_iter().enumerate() {
        // Reading fails if the server does not close the connection.
        stream.read_to_end(&mut Vec::new()).unwrap();
        let took = began.elapsed();
        assert!(took < Duration::from_secs(15), "{at}: {took:?}");
    }
}

#[test]
fn unfinished_heads_take_little_memory() {
    let herd = Plan::single().limits("buffers_mb = 4").start();
    let http = herd.at("Riley").http;
    let before = herd.process("Riley").memory_peak();
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "x".repeat(30 * 1024));
    let unfinished = crowd(http, 1000, head.as_bytes());
    operators_are_answered_promptly(http, "heads are long");
    // 1,000 of them would take 30 MB.
    let closed = eventually("some are closed, for there is room for 4 MB", || match closed_of(&unfinished) {
        closed @ 800.. => Ok(closed),
        closed => Err(closed.to_string()),
    });
    assert!(closed < 1000, "others stay");
    let buffered = metric(http, "proxyherd_replies_buffered_bytes").unwrap();
    assert!(buffered <= 4e6, "{buffered}");
    let taken = herd.process("Riley").memory_peak() - before;
    assert!(taken < 48 * 1024 * 1024, "{taken} bytes");
}

#[test]
fn unfinished_heads_behind_a_whole_request_have_no_more_room() {
    let herd = Plan::single().limits("buffers_mb = 4").start();
    let http = herd.at("Riley").http;
    let asked = "GET /health/livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nX: ";
    let _unfinished = crowd(http, 500, format!("{asked}{}", "x".repeat(30 * 1024)).as_bytes());
    // 133 of them would take all the room.
    eventually_metric(
        "the others are closed",
        http,
        r#"proxyherd_door_connections{door="http"}"#,
        2.0..=180.0,
    );
}

#[test]
fn what_two_readers_could_cut_differently_is_the_last_on_its_connection() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let hidden = "GET /hidden HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let len = hidden.len();
    for (headers, body, expected) in [
        // If the first length counts, there is no second request. If the other length counts, there is a second
        // request.
        (format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", len + 5), "0\r\n\r\n", &[405][..]),
        (format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", len + 5), "0\r\n\r\n", &[405]),
        (format!("Content-Length: {len}\r\nContent-Length: 0\r\n"), "", &[400]),
        (format!("Content-Length: {len}, 0\r\n"), "", &[400]),
        ("Content-Length: +0\r\n".to_owned(), "", &[400]),
        ("Content-Length: 0x0\r\n".to_owned(), "", &[400]),
        ("Transfer-Encoding: chunked, identity\r\n".to_owned(), "0\r\n\r\n", &[400]),
        ("Transfer-Encoding: xchunked\r\n".to_owned(), "0\r\n\r\n", &[400]),
        ("Transfer-Encoding : chunked\r\n".to_owned(), "0\r\n\r\n", &[400]),
        ("X: y\r\n Transfer-Encoding: chunked\r\n".to_owned(), "0\r\n\r\n", &[400]),
        // Requests that both readings understand in the same way.
        ("Content-Length: 0\r\n".to_owned(), "", &[405, 404]),
    ] {
        let asked = format!("POST /health/livez HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{body}{hidden}");
        let mut stream = open(http, asked.as_bytes());
        let mut said = Vec::new();
        // A reset does not destroy bytes that have already been read.
        let _ = stream.read_to_end(&mut said);
        let said = String::from_utf8(said).unwrap();
        let lines = said.split("HTTP/1.1 ").skip(1);
        let codes: Vec<u16> = lines.map(|line| line[..3].parse().unwrap()).collect();
        assert_eq!(codes, expected, "{headers}: {said}");
    }
    let old =
        format!("POST / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}");
    assert_eq!(request(http, old.as_bytes()).code, 400);
}

#[test]
fn packed_and_expected_bodies_are_refused_before_they_come() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let before = herd.process("Riley").memory_peak();
    // A kilobyte of this data unpacks to a megabyte of zeros. Nested a hundred times, it would unpack to more bytes
    // than any machine has.
    let bomb = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xed, 0xc1].repeat(1000);
    let head = format!(
        "POST {QUESTION} HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        bomb.len()
    );
    let reply = request(http, head.as_bytes());
    assert_eq!((reply.code, reply.header("accept-encoding")), (415, Some("identity")), "{reply:?}");
    let mut stream = open(http, &[head.as_bytes(), &bomb].concat());
    let mut code = [0; 12];
    stream.read_exact(&mut code).unwrap();
    assert_eq!(&code, b"HTTP/1.1 415");
    // A client that waits for 100 Continue gets the final answer at once.
    for (expect, code) in [("100-continue", 405), ("202-please", 417)] {
        let head = format!(
            "POST /v1/status HTTP/1.1\r\nHost: localhost\r\nExpect: {expect}\r\nContent-Length: 9\r\n\r\n"
        );
        assert_eq!(request(http, head.as_bytes()).code, code, "{expect}");
    }
    let taken = herd.process("Riley").memory_peak() - before;
    assert!(taken < 8 * 1024 * 1024, "{taken} bytes");
}

#[test]
fn at_debug_level_requests_and_answers_are_in_the_log_without_secrets() {
    let herd = Plan::single().log("level = \"debug\"").start();
    let http = herd.at("Riley").http;
    assert_eq!(fetch(http, &format!("{QUESTION}&key=AIzaSecret&token=Secret"), "").code, 200);
    assert_eq!(get(http, "/nothing?Secret").0, 404);
    let shown = format!("{QUESTION}&key=***&token=***");
    herd.wait_for_log("Riley", &format!("<  GET {shown} HTTP/1.0"));
    herd.wait_for_log("Riley", &format!(">  200 GET {shown}, "));
    herd.wait_for_log("Riley", "<  GET /nothing?*** HTTP/1.0");
    herd.wait_for_log("Riley", ">  404 GET /nothing?***, ");
    assert!(!herd.log("Riley").contains("Secret"), "{}", herd.log("Riley"));
}

#[test]
fn at_info_level_requests_are_not_in_the_log() {
    let mut herd = Plan::single().start();
    assert_eq!(fetch(herd.at("Riley").http, QUESTION, "").code, 200);
    assert_eq!(herd.stop("Riley", "TERM").code, 0);
    assert!(!herd.log("Riley").contains("nearbysearch"), "{}", herd.log("Riley"));
}
