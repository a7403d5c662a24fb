//! Tests that each line gets one reply, in order, whatever happens to the servers.

use std::{
    io::{BufRead as _, BufReader, Cursor, pipe},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, mpsc},
    time::Duration,
};

use super::super::servers::Patience;
use proxyherd_config::{
    config::{Address, Config, Door, Tls},
    door_kind::DoorKind,
};
use proxyherd_server::{
    caller::{Caller, Rights},
    server::Server,
};
use tokio::net::TcpSocket;

use super::*;
use crate::door_trust::{self, testing::TlsDoor};

/// A conversation that drops its messages for the user.
fn conversation(addresses: &[SocketAddr]) -> Conversation {
    telling(addresses, Patience::USUAL, |_| ())
}

fn telling(addresses: &[SocketAddr], patience: Patience, tell: impl FnMut(&str) + 'static) -> Conversation {
    let door = |at: &SocketAddr| Door::plain(DoorKind::Line, address_of(*at));
    Conversation::with(addresses.iter().map(door).collect(), None, patience, Box::new(tell))
}

/// The replies to `input` from a door with TLS. The client's configuration names the file `certificate`.
async fn replies_by_tls(door: &TlsDoor, certificate: &Path, input: Vec<u8>) -> anyhow::Result<String> {
    let at = Door { kind: DoorKind::Line, address: address_of(door.address), tls: true };
    let tls = Some(Arc::new(door_trust::client_config(Some(certificate))));
    let mut output = Vec::new();
    let conversation = Conversation::with(vec![at], tls, Patience::USUAL, Box::new(|_| ()));
    run(conversation, Cursor::new(input), &mut output).await?;
    Ok(String::from_utf8(output)?)
}

fn address_of(at: SocketAddr) -> Address {
    Address::new(at.ip(), at.port())
}

/// The replies to `input` from servers at `addresses`.
async fn replies(addresses: &[SocketAddr], input: impl Into<Vec<u8>>) -> anyhow::Result<String> {
    let mut output = Vec::new();
    run(conversation(addresses), Cursor::new(input.into()), &mut output).await?;
    Ok(String::from_utf8(output)?)
}

/// A herd of one server.
struct Alone {
    server: Server,
    _log: tempfile::TempDir,
}

impl Alone {
    async fn start() -> Alone {
        let log = tempfile::tempdir().unwrap();
        let mut config = Config::classic();
        config.herd.tls = Tls::Off;
        config.log.dir = log.path().to_path_buf();
        config.servers.truncate(1);
        let any = Address::new(Ipv4Addr::LOCALHOST.into(), 0);
        let server = &mut config.servers[0];
        server.set_doors(DoorKind::Line, [any]);
        server.set_doors(DoorKind::Http, []);
        server.peer = None;
        server.neighbors.clear();
        Alone { server: Server::start(&config, "Riley").await.unwrap(), _log: log }
    }

    fn address(&self) -> SocketAddr {
        self.server.addresses().line()
    }
}

/// A server that handles its first connections with these functions, one after the other, and then ends.
fn fake(connections: Vec<Box<dyn FnOnce(BufReader<TcpStream>) + Send>>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for treat in connections {
            treat(BufReader::new(listener.accept().unwrap().0));
        }
    });
    address
}

/// Answers every line as a server of this name would.
fn answer_all(name: &'static str) -> Box<dyn FnOnce(BufReader<TcpStream>) + Send> {
    Box::new(move |mut stream| {
        let mut line = String::new();
        while stream.read_line(&mut line).unwrap() > 0 {
            stream.get_mut().write_all(reply(name, line.trim_end()).as_bytes()).unwrap();
            line.clear();
        }
    })
}

fn reply(server: &str, line: &str) -> String {
    match line.split_once(' ') {
        Some(("IAMAT", rest)) => format!("AT {server} +0.1 {rest}\n"),
        Some(("WHATSAT", rest)) => format!("AT {server} +0.1 {rest}\n{{\n   \"status\" : \"OK\"\n}}\n\n"),
        _ => format!("? {line}\n"),
    }
}

/// An address where no program listens. No program can listen there while this value exists.
struct Nobody(TcpSocket);

impl Nobody {
    fn new() -> Nobody {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        Nobody(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}

#[tokio::test]
async fn a_server_answers_each_line_and_nothing_else_is_written() {
    let riley = Alone::start().await;
    let input = "IAMAT kiwi +34.068930-118.445127 1621464827.959498503\n\n \r\nWHATSAT kiwi 10 5\nHELLO";
    let output = replies(&[riley.address()], input).await.unwrap();
    let (at, rest) = output.split_once('\n').unwrap();
    assert!(at.starts_with("AT Riley +") && at.ends_with("1621464827.959498503"), "{at}");
    let (places, last) = rest.split_once("\n\n").unwrap();
    assert!(places.starts_with(&format!("{at}\n{{\n")) && places.ends_with("\n}"), "{places}");
    assert_eq!(last, "? HELLO\n");
}

#[tokio::test]
async fn an_input_that_says_nothing_needs_no_server() {
    let nobody = Nobody::new();
    for input in ["", "\n", " \n\t"] {
        assert_eq!(replies(&[nobody.address()], input).await.unwrap(), "");
    }
}

#[tokio::test]
async fn an_overlong_line_is_answered_and_the_next_ones_too() {
    let riley = Alone::start().await;
    for len in [8193, 8194, 1_000_000] {
        let input = format!("a\n{}\nb\n{}", "x".repeat(len), "y".repeat(len));
        let expected = format!("? a\n? {}\n? b\n? {}\n", "x".repeat(64), "y".repeat(64));
        assert_eq!(replies(&[riley.address()], input).await.unwrap(), expected, "{len}");
    }
}

const LINES: [&str; 5] =
    ["IAMAT kiwi +1+1 1", "WHATSAT kiwi 10 5", "HELLO", "WHATSAT emu 10 5", "IAMAT emu +1+1 1"];

#[tokio::test]
async fn wherever_a_connection_breaks_each_line_gets_one_reply() {
    // The longer name makes longer replies. So the client must not apply the search position of one connection's reply
    // to the next connection.
    let first: Vec<String> = LINES.iter().map(|line| reply("Alexandria", line)).collect();
    let stream = first.concat();
    for cut in 0..=stream.len() {
        let said = stream[..cut].to_owned();
        let breaks = move |mut connection: BufReader<TcpStream>| {
            for _ in LINES {
                connection.read_line(&mut String::new()).unwrap();
            }
            connection.get_mut().write_all(said.as_bytes()).unwrap();
        };
        let servers = [fake(vec![Box::new(breaks)]), fake(vec![answer_all("B")])];
        let mut expected = String::new();
        for (line, first) in LINES.iter().zip(&first) {
            let is_whole = expected.len() + first.len() <= cut;
            expected.push_str(&if is_whole { first.clone() } else { reply("B", line) });
        }
        assert_eq!(replies(&servers, LINES.join("\n")).await.unwrap(), expected, "cut at {cut}");
    }
}

/// An input of many reports, and the clients that the replies must name.
fn many(count: usize) -> (Vec<u8>, impl Iterator<Item = String>) {
    let line = |n| format!("IAMAT client-{n} +34.068930-118.445127 1621464827.959498503\n");
    ((0..count).flat_map(|n| line(n).into_bytes()).collect(), (0..count).map(|n| format!("client-{n}")))
}

fn clients_in(replies: &str) -> impl Iterator<Item = String> {
    replies.lines().map(|line| line.split(' ').nth(3).unwrap_or(line).to_owned())
}

/// An output whose first write waits until an action is done.
struct HeldUp {
    written: Vec<u8>,
    writing: Option<mpsc::Sender<()>>,
    done: mpsc::Receiver<()>,
}

impl Write for HeldUp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(writing) = self.writing.take() {
            writing.send(()).unwrap();
            self.done.recv().unwrap();
        }
        self.written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Answers every line of each connection with a refusal, whatever the line is.
fn refuse_all(stream: impl Read + Write) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    // A client that does not trust the certificate ends the handshake.
    while stream.read_line(&mut line).is_ok_and(|len| len > 0) {
        stream.get_mut().write_all(reply("", line.trim_end()).as_bytes()).unwrap();
        line.clear();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_tls_answers_each_line_however_many_there_are() {
    let door = TlsDoor::open(refuse_all);
    let lines: String = (0..100_000).map(|line| format!("HELLO number {line} of a great many\n")).collect();
    let replies = replies_by_tls(&door, &door.certificate(), lines.clone().into()).await.unwrap();
    assert!(replies.lines().map(|reply| &reply[2..]).eq(lines.lines()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_certificate_nobody_vouches_for_is_not_talked_to() {
    let (door, other) = (TlsDoor::open(refuse_all), TlsDoor::open(refuse_all));
    let error = replies_by_tls(&door, &other.certificate(), b"HELLO".to_vec()).await.unwrap_err();
    let expected = format!("tls://{} is not trusted; name the herd.toml", door.address);
    assert!(error.to_string().starts_with(&expected), "{error}");
    let (tell, told) = mpsc::channel();
    let at = Door { kind: DoorKind::Line, address: address_of(door.address), tls: true };
    let tls = Some(Arc::new(door_trust::client_config(None)));
    let tell = move |said: &str| tell.send(said.to_owned()).unwrap();
    let conversation = Conversation::with(vec![at], tls, Patience::USUAL, Box::new(tell));
    run(conversation, Cursor::new(b"HELLO"), Vec::new()).await.unwrap_err();
    let expected =
        format!("tls://{}: its certificate is of an authority that this system does not trust", door.address);
    let told = told.recv().unwrap();
    assert!(told.starts_with(&expected), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_is_told_apart_from_one_that_is_away() {
    let speaks = |mut connection: BufReader<TcpStream>| {
        connection.get_mut().write_all(b"hello, this is no TLS at all\n").unwrap();
        connection.read_line(&mut String::new()).unwrap_or_default();
    };
    let at = Door { kind: DoorKind::Line, address: address_of(fake(vec![Box::new(speaks)])), tls: true };
    let tls = Some(Arc::new(door_trust::client_config(None)));
    let conversation = Conversation::with(vec![at.clone()], tls, Patience::USUAL, Box::new(|_| ()));
    let error = run(conversation, Cursor::new(b"HELLO"), Vec::new()).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("{at} does not speak TLS; leave out tls://")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_longer_than_all_buffers_goes_through_and_survives_its_server() {
    let (riley, jaquez) = (Alone::start().await, Alone::start().await);
    let addresses = [riley.address(), jaquez.address()];
    let (input, expected) = many(100_000);
    let ((writing, is_writing), (stopped, done)) = (mpsc::channel(), mpsc::channel());
    let stopping = tokio::spawn(async move {
        tokio::task::spawn_blocking(move || is_writing.recv().unwrap()).await.unwrap();
        riley.server.stop().await;
        stopped.send(()).unwrap();
    });
    let mut output = HeldUp { written: Vec::new(), writing: Some(writing), done };
    run(conversation(&addresses), Cursor::new(input), &mut output).await.unwrap();
    stopping.await.unwrap();
    let output = String::from_utf8(output.written).unwrap();
    assert!(clients_in(&output).eq(expected));
    // No more than the window was with the first server when it stopped.
    let operator = Caller { address: jaquez.address(), door: DoorKind::Line, rights: Rights::ALL };
    let status = jaquez.server.herd().status(&operator).unwrap();
    assert!(status.records > 50_000, "the other server has taken over");
}

#[tokio::test]
async fn a_connection_that_is_cut_in_the_middle_loses_and_repeats_nothing() {
    let (input, expected) = many(20_000);
    // Closing a socket with unread bytes resets the connection.
    let cuts = |mut connection: BufReader<TcpStream>| {
        let mut line = String::new();
        connection.read_line(&mut line).unwrap();
        connection.get_mut().write_all(reply("A", line.trim_end()).as_bytes()).unwrap();
    };
    let servers = [fake(vec![Box::new(cuts), Box::new(cuts)]), fake(vec![Box::new(cuts), answer_all("B")])];
    let output = replies(&servers, input).await.unwrap();
    assert!(clients_in(&output).eq(expected));
}

#[tokio::test]
async fn a_server_that_comes_back_is_waited_for() {
    let reads_only = |mut connection: BufReader<TcpStream>| {
        connection.read_line(&mut String::new()).unwrap();
    };
    let server = fake(vec![answer_one("A"), Box::new(reads_only), Box::new(reads_only), answer_all("A")]);
    assert_eq!(replies(&[server], "a\nb\nc").await.unwrap(), "? a\n? b\n? c\n");
}

fn answer_one(name: &'static str) -> Box<dyn FnOnce(BufReader<TcpStream>) + Send> {
    Box::new(move |mut connection| {
        let mut line = String::new();
        connection.read_line(&mut line).unwrap();
        connection.get_mut().write_all(reply(name, line.trim_end()).as_bytes()).unwrap();
    })
}

#[tokio::test]
async fn a_server_that_goes_while_nothing_is_asked_is_missed_only_by_the_next_line() {
    let servers = [fake(vec![answer_one("A")]), fake(vec![answer_one("B")])];
    let (input, mut typist) = pipe().unwrap();
    let (output, mut replies) = pipe_of_lines();
    let typing = thread::spawn(move || {
        for (typed, reply) in
            [("IAMAT a +1+1 1\n", "AT A +0.1 a +1+1 1"), ("IAMAT b +1+1 1\n", "AT B +0.1 b +1+1 1")]
        {
            typist.write_all(typed.as_bytes()).unwrap();
            assert_eq!(replies.next().unwrap().unwrap(), reply);
        }
    });
    run(conversation(&servers), input, output).await.unwrap();
    typing.join().unwrap();
}

fn pipe_of_lines() -> (io::PipeWriter, io::Lines<BufReader<io::PipeReader>>) {
    let (reader, writer) = pipe().unwrap();
    (writer, BufReader::new(reader).lines())
}

#[tokio::test]
async fn who_does_not_speak_the_protocol_is_passed_over() {
    let speaks_http = |mut connection: BufReader<TcpStream>| {
        connection.read_line(&mut String::new()).unwrap();
        connection.get_mut().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    };
    let chats = |mut connection: BufReader<TcpStream>| {
        connection.read_line(&mut String::new()).unwrap();
        connection.get_mut().write_all(b"? a\n? b\n").unwrap();
    };
    let servers =
        [fake(vec![Box::new(speaks_http)]), fake(vec![Box::new(chats)]), fake(vec![answer_all("B")])];
    let (input, mut typist) = pipe().unwrap();
    let (output, mut replies) = pipe_of_lines();
    let typing = thread::spawn(move || {
        for line in ["a", "b"] {
            writeln!(typist, "{line}").unwrap();
            assert_eq!(replies.next().unwrap().unwrap(), format!("? {line}"));
        }
    });
    run(conversation(&servers), input, output).await.unwrap();
    typing.join().unwrap();
}

/// A server that sends `greeting` on every connection, and then closes the connection.
fn greets(greeting: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = BufReader::new(stream);
            let _ = stream.read_line(&mut String::new());
            let _ = stream.get_mut().write_all(greeting);
        }
    });
    address
}

#[tokio::test]
async fn where_nobody_speaks_the_protocol_that_is_said_once_and_is_the_end() {
    for greeting in
        [b"HTTP/1.1 400 Bad Request\r\n\r\n" as &[u8], b"SSH-2.0-x\r\n", b"\x15\x03\x03\0\x02\x02\x32"]
    {
        let (one, two) = (greets(greeting), greets(greeting));
        for servers in [&[one] as &[_], &[one, two]] {
            let (sender, told) = mpsc::channel();
            let tell = move |message: &str| sender.send(message.to_owned()).unwrap();
            let patience = Patience { outage_max: Duration::from_secs(3600), ..Patience::USUAL };
            let talked = run(telling(servers, patience, tell), Cursor::new("a\nb\n"), &mut Vec::new()).await;
            let mut told: Vec<String> = told.iter().collect();
            told.push(talked.unwrap_err().to_string());
            let foreign = |server| {
                format!("{server}: the program that listens there does not speak the herd's line protocol")
            };
            let advice = "; give the `listen` address of a server; if the server has TLS there, write tls:// before it";
            match servers {
                [one] => assert_eq!(told, [foreign(one) + advice]),
                _ => assert_eq!(
                    told,
                    [
                        foreign(&one),
                        format!("talking to {two}"),
                        foreign(&two),
                        format!("none of the 2 speaks the herd's line protocol{advice}"),
                    ]
                ),
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_each_time_is_told_of_once() {
    let server = greets(b"");
    let (sender, told) = mpsc::channel();
    let tell = move |message: &str| sender.send(message.to_owned()).unwrap();
    let patience = Patience { outage_max: Duration::from_millis(700), ..Patience::USUAL };
    let talked = run(telling(&[server], patience, tell), Cursor::new("a\n"), &mut Vec::new()).await;
    let error = talked.unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{server} takes connections and answers nothing; is that a server's `listen` address?")
    );
    let told: Vec<String> = told.iter().collect();
    assert_eq!(told, [format!("{server}: it closed the connection"), format!("talking to {server}")]);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_passed_over() {
    let (done, is_done) = mpsc::channel::<()>();
    let holds = move |_connection: BufReader<TcpStream>| {
        let _ = is_done.recv();
    };
    let servers = [fake(vec![Box::new(holds)]), fake(vec![answer_all("B")])];
    let mut output = Vec::new();
    let patience = Patience { silence_max: Duration::from_millis(50), ..Patience::USUAL };
    let conversation = telling(&servers, patience, |_| ());
    run(conversation, Cursor::new("a\n"), &mut output).await.unwrap();
    drop(done);
    assert_eq!(output, b"? a\n");
}

#[tokio::test]
async fn a_server_that_is_slow_or_not_asked_is_not_silent() {
    let slow = |mut connection: BufReader<TcpStream>| {
        let mut line = String::new();
        while connection.read_line(&mut line).unwrap() > 0 {
            thread::sleep(Duration::from_millis(300));
            connection.get_mut().write_all(reply("A", line.trim_end()).as_bytes()).unwrap();
            line.clear();
        }
    };
    let servers = [fake(vec![Box::new(slow)]), fake(vec![answer_all("B")])];
    let (input, mut typist) = pipe().unwrap();
    let typing = thread::spawn(move || {
        typist.write_all(b"IAMAT a 1 1\n").unwrap();
        thread::sleep(Duration::from_millis(1500));
        typist.write_all(&b"IAMAT b 1 1\n".repeat(4)).unwrap();
    });
    let patience = Patience { silence_max: Duration::from_secs(1), ..Patience::USUAL };
    let mut output = Vec::new();
    run(telling(&servers, patience, |_| ()), input, &mut output).await.unwrap();
    typing.join().unwrap();
    let expected = format!("AT A +0.1 a 1 1\n{}", "AT A +0.1 b 1 1\n".repeat(4));
    assert_eq!(String::from_utf8(output).unwrap(), expected);
}

#[tokio::test]
async fn a_herd_that_is_not_there_is_a_failure() {
    let (one, two) = (Nobody::new(), Nobody::new());
    let error = replies(&[one.address()], "a").await.unwrap_err().to_string();
    assert!(error.contains("does not answer; is the herd running?"), "{error}");
    let error = replies(&[one.address(), two.address()], "a").await.unwrap_err().to_string();
    assert!(error.starts_with("none of the 2 servers answers"), "{error}");
}

/// A server that answers one line of its first connection, and never answers again.
fn dead_after_one_line(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        answer_one(name)(BufReader::new(listener.accept().unwrap().0));
        listener.incoming().for_each(drop);
    });
    address
}

#[tokio::test]
async fn a_herd_that_stays_away_is_given_up() {
    let (nobody, told) = (Nobody::new(), mpsc::channel());
    let servers = [dead_after_one_line("A"), nobody.address()];
    let patience = Patience { outage_max: Duration::from_millis(100), ..Patience::USUAL };
    let tell = move |message: &str| told.0.send(message.to_owned()).unwrap();
    let mut output = Vec::new();
    let talked = run(telling(&servers, patience, tell), Cursor::new("a\nb\n"), &mut output).await;
    let error = talked.unwrap_err().to_string();
    assert!(error.starts_with("none of the 2 servers answers"), "{error}");
    assert_eq!(output, b"? a\n");
    let told: Vec<String> = told.1.iter().collect();
    assert!(told[0].starts_with(&servers[0].to_string()), "{told:?}");
    assert_eq!(told[1], format!("{}: connection refused", servers[1]));
}

#[tokio::test]
async fn going_on_to_another_server_is_told_with_the_reason() {
    let nobody = Nobody::new();
    let servers = [nobody.address(), fake(vec![answer_one("A")]), fake(vec![answer_all("B")])];
    let (sender, told) = mpsc::channel();
    let conversation =
        telling(&servers, Patience::USUAL, move |message| sender.send(message.to_owned()).unwrap());
    run(conversation, Cursor::new("a\nb\n"), &mut Vec::new()).await.unwrap();
    let told: Vec<String> = told.iter().collect();
    let expected = [
        format!("{}: connection refused", servers[0]),
        format!("talking to {}", servers[1]),
        format!("{}: it closed the connection", servers[1]),
        format!("talking to {}", servers[2]),
    ];
    assert_eq!(told[..2], expected[..2]);
    // If the server has not read everything, the system resets the connection.
    assert!(
        told[2] == expected[2] || told[2] == format!("{}: the connection was cut", servers[1]),
        "{told:?}"
    );
    assert_eq!(told[3..], expected[3..]);
}

struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_output_that_nobody_reads_any_more_is_known_as_such() {
    let server = fake(vec![answer_all("A")]);
    let error = run(conversation(&[server]), Cursor::new("a\n"), Closed).await.unwrap_err();
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    assert_eq!(kind, Some(io::ErrorKind::BrokenPipe));
}
