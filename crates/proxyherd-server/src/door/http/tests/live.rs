//! Tests of live streams over a time that a test would not wait for: comments, pings, silence, and tokens that are not
//! shown.

use futures_util::{SinkExt as _, StreamExt as _};
use proxyherd_config::clock;
use proxyherd_core::{
    limits::BATCH_LEN_MAX,
    replica::Offer,
    types::{Attributes, ClientId, Coordinates, Report, Stamp, Timestamp},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{Role, frame::coding::CloseCode},
    },
};

use super::{
    super::limits::{
        BRIEF_VISITS_MAX, STREAM_COMMENT_INTERVAL, STREAM_SEARCH_PAUSE, STREAM_SEARCH_TIMEOUT,
        STREAM_WRITE_TIMEOUT, WS_PING_INTERVAL, WS_SILENCE_MAX, WS_TOKEN_TIMEOUT,
    },
    *,
};

const HANDSHAKE: &str = "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A caller with these rights before it has shown a token.
fn with(rights: Rights) -> Caller {
    Caller { rights, ..CALLER }
}

/// Completes a handshake. The client's side of the connection is returned.
async fn shake_hands(door: &Door, caller: Caller) -> DuplexStream {
    let mut stream = door.connect_as(caller, HANDSHAKE).await;
    let head = next(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101 ") && head.ends_with("\r\n\r\n"), "{head}");
    stream
}

/// Opens a WebSocket whose client answers pings while it is read.
async fn open(door: &Door, caller: Caller) -> WebSocketStream<DuplexStream> {
    WebSocketStream::from_raw_socket(shake_hands(door, caller).await, Role::Client, None).await
}

/// The code with which the server closes.
async fn code(socket: &mut WebSocketStream<DuplexStream>) -> CloseCode {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Close(close) => return close.unwrap().code,
            Message::Ping(_) | Message::Text(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_in_which_nothing_happens_gets_a_comment_in_each_interval() {
    let door = Door::open().await;
    let mut stream = door.connect("GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut text = String::new();
    while !text.contains("event: synced\ndata: {}\n\n") {
        text += &next(&mut stream).await;
    }
    for _ in 0..3 {
        let began = Instant::now();
        let comment = next(&mut stream).await;
        assert_eq!(comment, "3\r\n:\n\n\r\n");
        let took = began.elapsed();
        assert!(took.abs_diff(STREAM_COMMENT_INTERVAL) < Duration::from_secs(1), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_web_socket_is_pinged_and_lives_as_long_as_its_client_answers() {
    let door = Door::open().await;
    let mut socket = open(&door, CALLER).await;
    let began = Instant::now();
    let pings = 4 * WS_SILENCE_MAX.as_secs() / WS_PING_INTERVAL.as_secs();
    for _ in 0..pings {
        assert!(matches!(socket.next().await, Some(Ok(Message::Ping(_)))));
    }
    assert!(began.elapsed() > 3 * WS_SILENCE_MAX, "{:?}", began.elapsed());
    assert_eq!(door.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_web_socket_whose_client_answers_no_pings_is_closed() {
    let door = Door::open().await;
    let mut stream = shake_hands(&door, CALLER).await;
    let began = Instant::now();
    let mut pings = Vec::new();
    stream.read_to_end(&mut pings).await.unwrap();
    let took = began.elapsed();
    let latest = WS_SILENCE_MAX + WS_PING_INTERVAL + DRAIN_TIMEOUT;
    assert!((WS_SILENCE_MAX..=latest).contains(&took), "{took:?}");
    assert!(pings.starts_with(&[0x89, 0]), "{pings:?}");
}

#[tokio::test(start_paused = true)]
async fn a_web_socket_whose_client_shows_no_token_in_time_is_closed() {
    let door = Door::open().await;
    let mut socket = open(&door, with(Rights::None)).await;
    let began = Instant::now();
    assert_eq!(code(&mut socket).await, CloseCode::Policy);
    let took = began.elapsed();
    assert!((WS_TOKEN_TIMEOUT..WS_TOKEN_TIMEOUT + Duration::from_secs(1)).contains(&took), "{took:?}");
    let mut shown = open(&door, with(Rights::None)).await;
    shown.send(Message::text("{\"token\":\"any, because tokens are off\"}")).await.unwrap();
    let ping = tokio::time::timeout(2 * WS_PING_INTERVAL, shown.next()).await;
    assert!(matches!(ping, Ok(Some(Ok(Message::Ping(_))))), "it goes on: {ping:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_until_a_wrong_token_is_answered() {
    let tokens = format!("[access]\ntokens = \"on\"\noperator_token_sha256 = \"{}\"", "0".repeat(64));
    let door = Door::open_with(&tokens).await;
    // The first wrong tokens of an address are answered at once.
    let mut waiting = None;
    for _ in 0..20 {
        let mut socket = open(&door, with(Rights::None)).await;
        socket.send(Message::text("{\"token\":\"wrong\"}")).await.unwrap();
        let answer = tokio::time::timeout(Duration::from_millis(50), socket.next()).await;
        if answer.is_err() {
            waiting = Some(socket);
            break;
        }
    }
    let mut socket = waiting.unwrap();
    door.context.stop.cancel();
    assert_eq!(code(&mut socket).await, CloseCode::Away);
}

const OPEN: &str = "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Reports so many clients that a stream of all of them needs a place in the line of searches.
fn report_many(door: &Door) {
    let names: Vec<_> = (0..BRIEF_VISITS_MAX + 500).map(|number| format!("kiwi-{number}")).collect();
    for names in names.chunks(BATCH_LEN_MAX) {
        let offer = |name| {
            Offer::new(Report {
                client: ClientId::new(name).unwrap(),
                coordinates: Coordinates::parse(b"+34.0-118.0").unwrap(),
                stamp: Stamp::Client(Timestamp::parse(b"1").unwrap()),
                attributes: Attributes::NONE,
            })
        };
        let mut offers: Vec<_> = names.iter().map(|name| offer(name.as_bytes())).collect();
        let herd = &door.context.herd;
        herd.wake(herd.report(&caller(Rights::ALL), clock::now_ns(), &mut offers).unwrap());
    }
}

/// Reads until the client has received this so often. Returns the last that was read.
async fn read_until(stream: &mut DuplexStream, awaited: &str, times: usize) -> String {
    let (mut text, mut seen) = (String::new(), 0);
    while seen < times {
        let more = next(stream).await;
        assert!(!more.is_empty(), "{text}");
        text += &more;
        while let Some(at) = text.find(awaited) {
            seen += 1;
            text.drain(..at + awaited.len());
        }
        text.drain(..text.len().saturating_sub(awaited.len()));
    }
    text
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_search_has_no_room_waits_and_then_tells_the_state() {
    let door = Door::open().await;
    report_many(&door);
    let full = door.searches.fill_line(&CALLER);
    let mut stream = door.connect(OPEN).await;
    let mut socket = open(&door, CALLER).await;
    socket.send(Message::text("{\"subscribe\":{}}")).await.unwrap();
    read_until(&mut stream, "3\r\n:\n\n", 2).await;
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Ping(_) => break,
            Message::Text(text) => assert!(text.contains("reset"), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    let began = Instant::now();
    drop(full);
    read_until(&mut stream, "event: synced\n", 1).await;
    while !matches!(socket.next().await.unwrap().unwrap(), Message::Text(text) if text.contains("synced")) {}
    assert!(began.elapsed() <= 3 * STREAM_SEARCH_PAUSE, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_search_gets_no_room_ends_after_a_while() {
    let door = Door::open().await;
    report_many(&door);
    let _full = door.searches.fill_line(&CALLER);
    let mut began = Instant::now();
    let mut is_in_time = || {
        let took = std::mem::replace(&mut began, Instant::now()).elapsed();
        (STREAM_SEARCH_TIMEOUT..STREAM_SEARCH_TIMEOUT + 3 * STREAM_SEARCH_PAUSE).contains(&took)
    };
    let mut stream = door.connect(OPEN).await;
    read_until(&mut stream, "too many searches wait already; try again later", 1).await;
    assert!(is_in_time());
    let mut socket = open(&door, CALLER).await;
    socket.send(Message::text("{\"subscribe\":{}}")).await.unwrap();
    assert_eq!(code(&mut socket).await, CloseCode::Again);
    assert!(is_in_time());
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_a_stream_that_takes_a_byte_now_and_then_is_not_cut_and_one_that_takes_nothing_is() {
    let door = Door::open().await;
    let mut stream = door.connect_narrow();
    stream.write_all(OPEN.as_bytes()).await.unwrap();
    for _ in 0..100 {
        sleep(STREAM_WRITE_TIMEOUT * 5 / 6).await;
        stream.read_u8().await.unwrap();
    }
    assert_eq!((door.connections(), door.cut()), (1, 0));
    sleep(2 * STREAM_WRITE_TIMEOUT).await;
    assert_eq!((door.connections(), door.cut()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_client_of_a_web_socket_that_takes_nothing_is_cut_and_one_that_reads_slowly_is_not() {
    let door = Door::open().await;
    let mut stream = door.connect_narrow();
    stream.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    report_many(&door);
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    socket.send(Message::text("{\"subscribe\":{}}")).await.unwrap();
    // It reads the events without the answers to pings that come behind them.
    let mut stream = socket.into_inner();
    for _ in 0..20 {
        sleep(STREAM_WRITE_TIMEOUT / 2).await;
        stream.read_exact(&mut [0; 1000]).await.unwrap();
    }
    assert_eq!((door.connections(), door.cut()), (1, 0));
    sleep(2 * STREAM_WRITE_TIMEOUT).await;
    assert_eq!((door.connections(), door.cut()), (0, 1));
}
