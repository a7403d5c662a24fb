//! Sends requests over kept connections. Each connection has one request outstanding, and sends the next request when
//! the whole answer has arrived.
//!
//! One thread serves all connections from one epoll loop, without a runtime and without allocation, because it shares
//! the cores with the server. The driver checks the status and the length of every answer. For one answer in
//! [`SAMPLE_EVERY`] of each connection, it checks the whole body.
//!
//! [`Feeder`] sends requests over one connection, which blocks.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::{Events, Interest, Poll, Token, net::TcpStream};

use super::answer::{AnswerLen, answer_len};
use super::requests::{Kind, Requests};
use crate::load::{Clock, SAMPLE_EVERY};
use crate::stats::Histogram;

/// Maximum time that all connections may be without an answer. After this time the run fails.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Length of the buffer into which answers are read, bytes.
const READ_BUFFER_LEN: usize = 64 * 1024;

/// The server, the requests to send, and the length of the run.
#[derive(Clone)]
pub(super) struct DrivePlan {
    pub(super) address: SocketAddr,
    pub(super) kind: Kind,
    pub(super) connections: u32,
    /// The clients that report, split evenly between the connections.
    pub(super) clients: Range<u32>,
    pub(super) duration: Duration,
}

/// What a run measured.
pub(super) struct Driven {
    /// Requests that were answered in time.
    pub(super) requests: u64,
    /// The time from the write of each request to the end of its answer.
    pub(super) latency: Histogram,
}

/// Connects, sends for `plan.duration`, waits for the outstanding answers, and disconnects.
pub(super) fn drive(plan: &DrivePlan) -> Result<Driven> {
    let mut poll = Poll::new().context("cannot create an epoll instance")?;
    let clock = Clock::started()?;
    let mut connections = connect_all(plan, &poll)?;
    let mut driven = Driven { requests: 0, latency: Histogram::new() };
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; READ_BUFFER_LEN];
    let mut busy = connections.len();
    let start = Instant::now();
    let end = start + plan.duration;
    for connection in &mut connections {
        connection.send(start, clock.unix_ns(start))?;
    }
    while busy > 0 {
        wait(&mut poll, &mut events)?;
        for event in &events {
            let connection = &mut connections[event.token().0];
            if event.is_writable() {
                connection.flush()?;
            }
            if !connection.receive(&mut buffer)? {
                continue;
            }
            let now = Instant::now();
            if now >= end {
                busy -= 1;
                continue;
            }
            driven.requests += 1;
            driven.latency.record(now - connection.sent_at);
            connection.send(now, clock.unix_ns(now))?;
        }
    }
    if driven.requests == 0 {
        bail!("no request was answered within {:?}", plan.duration);
    }
    Ok(driven)
}

fn connect_all(plan: &DrivePlan, poll: &Poll) -> Result<Vec<Connection>> {
    let each = plan.clients.len() as u32 / plan.connections;
    let mut connections = Vec::new();
    for number in 0..plan.connections {
        let first = plan.clients.start + number * each;
        let requests = Requests::new(plan.kind, plan.address, first..first + each);
        let mut connection = Connection::open(plan.address, requests)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(&mut connection.stream, Token(number as usize), interest)
            .context("cannot watch a connection")?;
        connections.push(connection);
    }
    Ok(connections)
}

fn wait(poll: &mut Poll, events: &mut Events) -> Result<()> {
    match poll.poll(events, Some(SILENCE_MAX)) {
        Ok(()) if events.is_empty() => bail!("the server answered nothing for {SILENCE_MAX:?}"),
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        Err(error) => Err(error).context("cannot wait for the connections"),
    }
}

struct Connection {
    stream: TcpStream,
    requests: Requests,
    /// Number of bytes of the current request that the socket has taken.
    sent: usize,
    sent_at: Instant,
    /// The part of the answer that has arrived, if the answer came in several pieces.
    received: Vec<u8>,
    answers: Answers,
}

impl Connection {
    fn open(address: SocketAddr, requests: Requests) -> Result<Connection> {
        let stream = std::net::TcpStream::connect(address)
            .and_then(|stream| {
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                Ok(TcpStream::from_std(stream))
            })
            .with_context(|| format!("cannot connect to {address}"))?;
        let answers = Answers::default();
        Ok(Connection { stream, requests, sent: 0, sent_at: Instant::now(), received: Vec::new(), answers })
    }

    fn send(&mut self, now: Instant, unix_ns: u64) -> Result<()> {
        self.requests.renew(unix_ns);
        (self.sent, self.sent_at) = (0, now);
        self.flush()
    }

    /// Writes as much of the request as the socket accepts.
    fn flush(&mut self) -> Result<()> {
        while self.sent < self.requests.text().len() {
            match self.stream.write(&self.requests.text()[self.sent..]) {
                Ok(len) => self.sent += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot send a request"),
            }
        }
        Ok(())
    }

    /// Reads what has arrived. Returns whether the answer is complete.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<bool> {
        loop {
            let len = match self.stream.read(buffer) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("cannot read an answer"),
            };
            let is_whole = if self.received.is_empty() {
                self.answers.take(&buffer[..len], &self.requests)?
            } else {
                self.received.extend_from_slice(&buffer[..len]);
                self.answers.take(&self.received, &self.requests)?
            };
            if is_whole {
                self.received.clear();
                return Ok(true);
            }
            if self.received.is_empty() {
                self.received.extend_from_slice(&buffer[..len]);
            }
        }
    }
}

/// Counts the answers of a connection, and checks a sample of them.
#[derive(Default)]
struct Answers {
    count: u64,
}

impl Answers {
    /// Whether `bytes`, which begin with an answer, hold the whole answer. Nothing may follow it.
    fn take(&mut self, bytes: &[u8], requests: &Requests) -> Result<bool> {
        let Some(AnswerLen { head, body }) = answer_len(bytes)? else { return Ok(false) };
        if bytes.len() > head + body {
            bail!("the server sent more than one answer to a request");
        }
        if bytes.len() < head + body {
            return Ok(false);
        }
        // The idle handler has no body to check.
        if body > 0 && self.count.is_multiple_of(SAMPLE_EVERY) {
            requests.check(&bytes[head..])?;
        }
        self.count += 1;
        Ok(true)
    }
}

/// One connection that blocks. It loads clients, and moves them while other connections are measured.
pub(super) struct Feeder {
    stream: std::net::TcpStream,
    requests: Requests,
    answers: Answers,
    clock: Clock,
    received: Vec<u8>,
}

impl Feeder {
    pub(super) fn connect(address: SocketAddr, kind: Kind, clients: Range<u32>) -> Result<Feeder> {
        let stream = std::net::TcpStream::connect(address).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        let (requests, clock) = (Requests::new(kind, address, clients), Clock::started()?);
        Ok(Feeder { stream, requests, answers: Answers::default(), clock, received: Vec::new() })
    }

    /// Sends the next request and waits for its answer.
    pub(super) fn feed(&mut self) -> Result<()> {
        self.requests.renew(self.clock.unix_ns(Instant::now()));
        self.stream.write_all(self.requests.text()).context("cannot send a batch")?;
        self.received.clear();
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer).context("cannot read the answer to a batch")? {
                0 => bail!("the server closed a connection"),
                len => self.received.extend_from_slice(&buffer[..len]),
            }
            if self.answers.take(&self.received, &self.requests)? {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    /// A server that answers each PUT with `answer`, in two pieces.
    fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || serve(&stream, answer));
            }
        });
        address
    }

    fn serve(mut stream: &std::net::TcpStream, answer: &str) {
        stream.set_nodelay(true).unwrap();
        // A line without LF ends the body.
        let lines = BufReader::new(stream).split(b'}').map_while(Result::ok);
        for request in lines {
            let text = String::from_utf8(request).unwrap();
            let id = text.split('/').nth(3).unwrap();
            let text = answer.replace("{id}", id);
            let (one, other) = text.as_bytes().split_at(text.len() / 2);
            if stream.write_all(one).and_then(|()| stream.write_all(other)).is_err() {
                return;
            }
        }
    }

    fn plan(address: SocketAddr) -> DrivePlan {
        let duration = Duration::from_millis(50);
        DrivePlan { address, kind: Kind::Put, connections: 4, clients: 0..8, duration }
    }

    #[test]
    fn a_server_that_answers_is_measured() {
        let body = r#"{"id":"{id}","result":"accepted"}"#;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n{body}");
        assert_eq!(body.replace("{id}", "courier-000000.herd.example.com").len(), 60);
        let address = server(answer.leak());
        let driven = drive(&plan(address)).unwrap();
        assert!(driven.requests > 0 && driven.latency.percentile(0.5) > Duration::ZERO);
        let mut feeder = Feeder::connect(address, Kind::Put, 0..1).unwrap();
        (0..3).for_each(|_| feeder.feed().unwrap());
    }

    #[test]
    fn wrong_answers_end_the_run() {
        let check = |answer, message: &str| {
            let error = drive(&plan(server(answer))).err().unwrap();
            assert!(format!("{error:#}").contains(message), "{error:#}");
        };
        check("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", "not 200");
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "not an answer to this request");
    }
}
