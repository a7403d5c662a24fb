//! Tests of HTTP/2 at the HTTP door: its answers, and its defenses against abusive clients.

use std::{
    io::Write,
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    demo::have,
    harness::{
        Herd, Plan, eventually_metric, get,
        http2::{
            CONTINUATION, GOAWAY, HEADERS, Http2, PING, SETTINGS, frame, header, headers, remember, reset,
        },
    },
};

const QUESTION: &str = "/maps/api/place/nearbysearch/json?location=34.068930,-118.445127&radius=1000";
const MEBIBYTE: u64 = 1024 * 1024;

/// Codes of GOAWAY.
const NO_ERROR: u32 = 0;
const ENHANCE_YOUR_CALM: u32 = 11;

#[test]
fn many_questions_go_over_one_connection() {
    let herd = Plan::single().start();
    let mut client = Http2::connect(herd.at("Riley").http);
    let paths = ["/health/livez", "/v1/status", "/nothing", QUESTION];
    for (index, path) in paths.into_iter().enumerate() {
        client.ask(2 * index as u32 + 1, path);
    }
    let answers: Vec<_> = client.answers(4).into_values().collect();
    assert_eq!([0, 1, 2, 3].map(|at: usize| answers[at].0), [200, 200, 404, 200]);
    assert_eq!(answers[0].1, "ok\n");
    assert!(answers[1].1.starts_with('{') && answers[3].1.contains("\"status\" : "), "{answers:?}");
}

#[test]
fn web_pages_get_no_further_than_in_http_1() {
    let herd = Plan::single().start();
    let mut client = Http2::connect(herd.at("Riley").http);
    client.ask_by(1, &headers("evil.example", "/v1/status"));
    let foreign = header("origin", "https://evil.example");
    client.ask_by(3, &[headers("localhost", QUESTION), foreign].concat());
    client.ask_by(5, &headers("localhost", QUESTION));
    // A request without an authority.
    client.ask_by(7, &[0x82, 0x86, 0x84]);
    let codes: Vec<_> = client.answers(4).into_values().map(|(code, _)| code).collect();
    assert_eq!(codes, [403, 403, 200, 400]);
}

#[test]
fn real_clients_are_served() {
    let herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let url = |path: &str| format!("http://{http}{path}");
    if have("curl") {
        let shown = "%{http_version} %{http_code}";
        for (version, expected) in
            [("--http2-prior-knowledge", "2 200"), ("--http1.1", "1.1 200"), ("--http2", "1.1 200")]
        {
            for path in [QUESTION, "/metrics"] {
                let asked = [version, "-s", "-o", "answer", "-w", shown, &url(path)];
                assert_eq!(run(&herd, "curl", &asked), expected, "{version} {path}");
            }
        }
    }
    if have("nghttp") {
        let said = run(&herd, "nghttp", &["-s", "-n", "-m", "50", &url("/v1/status")]);
        assert_eq!(said.matches("/v1/status").count(), 50, "{said}");
    }
    if have("h2load") {
        let said = run(&herd, "h2load", &["-n", "2000", "-c", "10", "-m", "100", &url(QUESTION)]);
        assert!(said.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{said}");
    }
}

fn run(herd: &Herd, program: &str, arguments: &[&str]) -> String {
    let said = Command::new(program).current_dir(herd.dir()).args(arguments).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap()
}

/// Sends frames until the server closes the connection. Returns the number of bytes that were sent.
fn flood(client: &mut Http2, mut next: impl FnMut(&Http2) -> Vec<u8>) -> usize {
    const ENOUGH: usize = 64 * 1024 * 1024;
    let mut sent = 0;
    while sent < ENOUGH {
        let bytes = next(client);
        if client.stream.write_all(&bytes).is_err() {
            return sent;
        }
        sent += bytes.len();
    }
    panic!("{sent} bytes were taken");
}

/// The state of the server before a flood.
struct Calm {
    http: SocketAddr,
    memory: u64,
}

impl Calm {
    fn of(herd: &Herd) -> Calm {
        Calm { http: herd.at("Riley").http, memory: herd.process("Riley").memory_peak() }
    }

    fn is_back(&self, herd: &Herd, after: &str) {
        let began = Instant::now();
        assert_eq!(get(self.http, "/health/livez").0, 200);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "{after}: {took:?}");
        let taken = herd.process("Riley").memory_peak() - self.memory;
        assert!(taken < 16 * MEBIBYTE, "{after}: {taken} bytes");
    }
}

#[test]
fn requests_that_are_taken_back_at_once_end_the_connection() {
    let herd = Plan::single().log("level = \"debug\"").start();
    let calm = Calm::of(&herd);
    // The requests are sent as fast as possible. Most are canceled before the server has started on them.
    let mut client = Http2::connect(calm.http);
    let mut stream = 1;
    flood(&mut client, |client| {
        let many = (0..100).flat_map(|at| client.asked_and_reset(stream + 2 * at, QUESTION)).collect();
        stream += 200;
        many
    });
    calm.is_back(&herd, "rapid resets");
    herd.wait_for_log("Riley", "the HTTP connection closed: ");
    assert!(stream < 100_000, "{stream} streams");
}

#[test]
fn requests_that_are_taken_back_in_the_middle_end_the_connection() {
    let herd = Plan::single().log("level = \"debug\"").start();
    let calm = Calm::of(&herd);
    // Without a window, an answer stays unfinished until its stream is reset.
    let mut client = Http2::with_window(calm.http, 0);
    let mut stream = 1;
    let closed = loop {
        let asked = client.asked(stream, "/metrics");
        let is_open = client.stream.write_all(&asked).is_ok();
        // The headers of the answer have come, so the server has started on the request.
        let is_answered = is_open
            && loop {
                match client.frame() {
                    Ok(frame) if frame.kind == HEADERS => break true,
                    Ok(frame) if frame.kind == GOAWAY => break false,
                    Ok(_) => {}
                    Err(_) => break false,
                }
            };
        if !is_answered || client.stream.write_all(&reset(stream)).is_err() {
            break stream / 2;
        }
        stream += 2;
        assert!(stream < 2000, "the server goes on for ever");
    };
    assert!((100..=110).contains(&closed), "{closed}");
    herd.wait_for_log("Riley", "the client canceled 101 requests");
    calm.is_back(&herd, "resets");
}

#[test]
fn heads_that_never_end_end_the_connection() {
    let herd = Plan::single().start();
    let calm = Calm::of(&herd);
    let mut client = Http2::connect(calm.http);
    let begin = frame(HEADERS, 0, 1, &headers("localhost", "/health/livez"));
    client.stream.write_all(&begin).unwrap();
    let more = frame(CONTINUATION, 0, 1, &header("x", &"y".repeat(1000)));
    let sent = flood(&mut client, |_| more.clone());
    assert!(sent < 4 * MEBIBYTE as usize, "{sent} bytes");
    calm.is_back(&herd, "CONTINUATION without an end");
    // Frames without content.
    let mut client = Http2::connect(calm.http);
    client.stream.write_all(&begin).unwrap();
    flood(&mut client, |_| frame(CONTINUATION, 0, 1, b""));
    calm.is_back(&herd, "empty CONTINUATION frames");
}

#[test]
fn frames_that_ask_nothing_end_the_connection() {
    let herd = Plan::single().log("level = \"debug\"").start();
    let calm = Calm::of(&herd);
    let ping = frame(PING, 0, 0, &[7; 8]).repeat(100);
    let settings = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9]).repeat(100);
    let priority = frame(2, 0, 1, &[0, 0, 0, 3, 9]).repeat(100);
    let window = frame(8, 0, 0, &[0, 0, 0, 1]).repeat(100);
    let unknown = frame(99, 0, 0, &[0; 1000]);
    for (what, bytes) in [
        ("PING", ping),
        ("SETTINGS", settings),
        ("PRIORITY", priority),
        ("WINDOW_UPDATE", window),
        ("99", unknown),
    ] {
        let mut client = Http2::connect(calm.http);
        // The client reads the replies, so only its own frames can be too many.
        let mut reader = client.stream.try_clone().unwrap();
        let sent = std::thread::scope(|scope| {
            scope.spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
            flood(&mut client, |_| bytes.clone())
        });
        assert!(sent < 8 * MEBIBYTE as usize, "{what}: {sent} bytes");
        calm.is_back(&herd, what);
    }
    herd.wait_for_log("Riley", "the client sent more than 262144 bytes without a complete request");
}

#[test]
fn who_asks_may_send_as_much_else_as_it_likes_in_between() {
    let herd = Plan::single().start();
    let mut client = Http2::connect(herd.at("Riley").http);
    // This is ten times the number of bytes that may come without a request.
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(10_000);
    for turn in 0..16 {
        client.stream.write_all(&pings).unwrap();
        client.ask(2 * turn + 1, "/health/livez");
        assert_eq!(client.answers(1)[&(2 * turn + 1)].0, 200);
    }
}

#[test]
fn a_head_that_is_too_long_is_answered_so() {
    let herd = Plan::single().start();
    let mut client = Http2::connect(herd.at("Riley").http);
    let all = [headers("localhost", "/health/livez"), header("x", &"y".repeat(40_000))].concat();
    let (first, rest) = all.split_at(16_000);
    client.stream.write_all(&frame(HEADERS, 1, 1, first)).unwrap();
    let (second, third) = rest.split_at(16_000);
    client.stream.write_all(&frame(CONTINUATION, 0, 1, second)).unwrap();
    client.stream.write_all(&frame(CONTINUATION, 4, 1, third)).unwrap();
    assert_eq!(client.answers(1)[&1].0, 431);
    client.ask(3, "/health/livez");
    assert_eq!(client.answers(1)[&3].0, 200, "others on the connection are served");
}

#[test]
fn a_head_that_unfolds_takes_little_memory() {
    let herd = Plan::single().start();
    let calm = Calm::of(&herd);
    // A header of 4 kB that the server must store, followed by 10,000 bytes. Each of these bytes repeats the header, so
    // together they mean 40 MB.
    let remembered = remember("x", &"y".repeat(4000));
    let bomb = [headers("localhost", "/health/livez"), remembered, vec![0xbe; 10_000]].concat();
    for _ in 0..10 {
        let mut client = Http2::connect(calm.http);
        client.ask_by(1, &bomb);
        let (codes, _) = client.rest();
        assert!(codes.iter().all(|code| *code == 431), "{codes:?}");
    }
    calm.is_back(&herd, "headers that unfold");
}

#[test]
fn answers_that_nobody_takes_have_only_so_much_room() {
    const STREAMS: u32 = 8;
    let herd = Plan::single().limits("buffers_mb = 1").start();
    let calm = Calm::of(&herd);
    // 160 times 8 answers of 5 kB would take 6 MB. Each connection may have one answer that exceeds the limit.
    let mut clients: Vec<_> = (0..160).map(|_| Http2::with_window(calm.http, 0)).collect();
    for client in &mut clients {
        // During this time the server closes connections if there is no room for their requests.
        (0..STREAMS).for_each(|at| drop(client.stream.write_all(&client.asked(2 * at + 1, "/metrics"))));
    }
    eventually_metric(
        "all is answered that there is room for",
        calm.http,
        "proxyherd_replies_buffered_bytes",
        800_000.0..=1.25e6,
    );
    calm.is_back(&herd, "answers that nobody takes");
    drop(clients);
    eventually_metric("all room is given back", calm.http, "proxyherd_replies_buffered_bytes", 0.0..=0.0);
}

#[test]
fn requests_whose_answers_nobody_takes_have_only_so_much_room_however_short_the_answers() {
    let herd = Plan::single().limits("buffers_mb = 4").start();
    let http = herd.at("Riley").http;
    // 100 times 100 requests of 8 kB would take 80 MB.
    let mut clients: Vec<_> = (0..100).map(|_| Http2::with_window(http, 0)).collect();
    for client in &mut clients {
        let asked =
            |client: &Http2| (0..100).map(|at| client.asked(2 * at + 1, "/health/livez")).collect::<Vec<_>>();
        let _ = client.stream.write_all(&asked(client).concat());
    }
    eventually_metric("most are closed", http, r#"proxyherd_door_connections{door="http"}"#, ..=20.0);
    // A connection that is about to be closed may still count.
    eventually_metric("no more is held", http, "proxyherd_replies_buffered_bytes", ..=4.2e6);
}

#[test]
fn unfinished_heads_behind_an_answer_that_nobody_takes_have_only_so_much_room() {
    let herd = Plan::single().limits("buffers_mb = 4").start();
    let http = herd.at("Riley").http;
    let mut clients: Vec<_> = (0..500).map(|_| Http2::with_window(http, 0)).collect();
    // 500 times 16 kB would take 8 MB, twice the room.
    let head = [headers("localhost", "/health/livez"), header("x", &"x".repeat(16_000))].concat();
    for client in &mut clients {
        let asked = [client.asked(1, "/health/livez"), frame(HEADERS, 0, 3, &head)].concat();
        let _ = client.stream.write_all(&asked);
    }
    eventually_metric("some are closed", http, r#"proxyherd_door_connections{door="http"}"#, 150.0..=300.0);
}

#[test]
fn operators_are_answered_while_answers_are_stuck() {
    let herd = Plan::single().limits("connections = 100").start();
    let http = herd.at("Riley").http;
    let mut clients: Vec<_> = (0..300).map(|_| Http2::with_window(http, 0)).collect();
    // Many of these connections are in the reserve, and the server asks them to close.
    clients.iter_mut().for_each(|client| drop(client.stream.write_all(&client.asked(1, "/metrics"))));
    let mut took: Vec<_> = ["/health/livez", "/v1/status"]
        .repeat(10)
        .into_iter()
        .map(|path| {
            let began = Instant::now();
            assert_eq!(get(http, path).0, 200);
            began.elapsed()
        })
        .collect();
    took.sort();
    assert!(took[took.len() * 3 / 4] <= Duration::from_millis(100), "{took:?}");
}

#[test]
fn a_connection_in_the_reserve_answers_once_and_says_goodbye() {
    let herd = Plan::single().limits("connections = 1").start();
    let http = herd.at("Riley").http;
    let mut line = herd.client("Riley");
    assert_eq!(line.ask("A"), "? A");
    for (path, expected) in [("/health/livez", 200), (QUESTION, 503)] {
        let mut client = Http2::connect(http);
        client.ask(1, path);
        assert_eq!(client.rest(), (vec![expected], Some(NO_ERROR)), "{path}");
    }
}

#[test]
fn a_server_that_ends_says_goodbye_and_waits_for_nobody_for_long() {
    let mut herd = Plan::single().start();
    let http = herd.at("Riley").http;
    let mut idle = Http2::connect(http);
    idle.ask(1, "/health/livez");
    assert_eq!(idle.answers(1)[&1].0, 200);
    let mut stalled = Http2::with_window(http, 0);
    stalled.ask(1, "/metrics");
    while stalled.frame().unwrap().kind != HEADERS {}
    let began = Instant::now();
    assert_eq!(herd.stop("Riley", "TERM").code, 0);
    assert!(began.elapsed() < Duration::from_secs(5), "after {:?}", began.elapsed());
    assert_eq!([idle, stalled].map(|mut client| client.rest().1), [Some(NO_ERROR); 2]);
}

#[test]
fn a_client_that_floods_is_told_to_calm_down_where_the_protocol_has_the_words() {
    let herd = Plan::single().start();
    let mut client = Http2::connect(herd.at("Riley").http);
    let many: Vec<u8> = (0..100).flat_map(|at| client.asked_and_reset(2 * at + 1, QUESTION)).collect();
    client.stream.write_all(&many).unwrap();
    assert_eq!(client.rest().1, Some(ENHANCE_YOUR_CALM));
}
