//! Clients that report through several doors of a server until the server dies, and that remember what the server has
//! acknowledged.
//!
//! Each connection has clients of its own, so the acknowledged report with the latest time is the newest record of its
//! client. The time of a report decides its position. So a record that no client has sent is found out.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use serde_json::{Value, json};

use crate::harness::{Addresses, Client, PATIENCE, Ws, ats_of};

/// Number of clients of one connection.
const CLIENTS: u64 = 48;
/// Number of reports that a connection of the line door has outstanding, and number of reports in a batch over HTTP.
const BURST: u64 = 24;
/// A time in the past, so that no server thinks that a client's clock is fast.
const BEGIN_S: u64 = 1_600_000_000;

/// The number of reports so far. It is the clock of all reports, so each report is newer than those before.
pub(super) type Clock = Arc<AtomicU64>;

/// A way to report.
#[derive(Clone, Copy, Debug)]
pub(super) enum Door {
    /// Bursts of IAMAT.
    Line,
    /// One `PUT` after the other.
    Put,
    /// Batches (`POST /v1/reports`).
    Batch,
    /// One message after the other.
    WebSocket,
}

pub(super) const DOORS: [Door; 4] = [Door::Line, Door::Put, Door::Batch, Door::WebSocket];

/// What servers have acknowledged: for each client, the time of its newest acknowledged report.
#[derive(Clone, Debug, Default)]
pub(super) struct Acknowledged {
    newest: BTreeMap<String, u64>,
}

impl Acknowledged {
    /// Takes over all newer entries of the other.
    pub(super) fn merge(&mut self, other: &Acknowledged) {
        for (client, &time_s) in &other.newest {
            let newest = self.newest.entry(client.clone()).or_default();
            *newest = time_s.max(*newest);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.newest.len()
    }

    /// The clients of which a server does not hold the acknowledged report or a newer one, or of which the server holds
    /// something that the client never sent: their number, and the first of them. `None`: there is no such client.
    pub(super) fn missing_at(&self, server: &mut Client) -> Option<String> {
        let clients: Vec<&str> = self.newest.keys().map(String::as_str).collect();
        let told = ats_of(server, &clients);
        let is_kept = |client, time_s, at| report_in(at, client).is_some_and(|found_s| found_s >= time_s);
        let all = self.newest.iter().zip(&told);
        let missing: Vec<_> =
            all.filter(|((client, time_s), at)| !is_kept(client.as_str(), **time_s, at)).collect();
        let ((client, time_s), at) = missing.first()?;
        let (missing, all) = (missing.len(), self.newest.len());
        Some(format!(
            "{missing} of {all}; {client} was acknowledged with the time {time_s}, and it says {at:?}"
        ))
    }
}

/// The time of the report in an AT line, if the line is about this client and the position is the one that the client
/// has sent with this time.
pub(super) fn report_in(at: &str, client: &str) -> Option<u64> {
    let mut fields = at.strip_prefix("AT ")?.split(' ').skip(2);
    let (named, position, time) = (fields.next()?, fields.next()?, fields.next()?);
    let time_s: f64 = time.parse().ok()?;
    let (latitude, longitude) = position.split_at(position[1..].find(['+', '-'])? + 1);
    let found: (f64, f64) = (latitude.parse().ok()?, longitude.parse().ok()?);
    let sent = position_at(time_s as u64);
    let is_it = named == client && (found.0 - sent.0).abs() < 1e-9 && (found.1 - sent.1).abs() < 1e-9;
    is_it.then_some(time_s as u64)
}

/// The position that clients send with this time.
fn position_at(time_s: u64) -> (f64, f64) {
    let number = time_s.saturating_sub(BEGIN_S) % 10_000_000;
    (10.0 + number as f64 / 1e6, -20.0 - number as f64 / 1e6)
}

/// The load on a herd for one round.
pub(super) struct Load<'a> {
    pub(super) clock: &'a Clock,
    /// The number of acknowledgements in this round.
    pub(super) acks: &'a AtomicU64,
    /// The number of connections that have an acknowledgement.
    pub(super) busy: &'a AtomicU64,
    /// The servers are being killed, so connections may break.
    pub(super) is_killing: &'a AtomicBool,
    /// The servers are dead. If a server still answers, the test has failed, and no connection begins another report.
    pub(super) is_over: &'a AtomicBool,
}

/// One connection: its door, its clients, and what was acknowledged.
pub(super) struct Connection<'a> {
    load: &'a Load<'a>,
    server: &'static str,
    door: Door,
    turn: u64,
    acknowledged: Acknowledged,
}

impl<'a> Connection<'a> {
    pub(super) fn new(load: &'a Load<'a>, server: &'static str, door: Door) -> Connection<'a> {
        Connection { load, server, door, turn: 0, acknowledged: Acknowledged::default() }
    }

    /// Reports until the server dies. A connection that ends before the servers are killed has found an error of its
    /// server.
    pub(super) fn run(mut self, to: Addresses) -> Acknowledged {
        let finished = match self.door {
            Door::Line => self.lines(to.line),
            Door::Put => self.puts(to.http),
            Door::Batch => self.batches(to.http),
            Door::WebSocket => self.messages(to.http),
        };
        let (is_killing, door, server) = (self.load.is_killing.load(Relaxed), self.door, self.server);
        assert!(is_killing, "{door:?} of {server}: a report was not acknowledged: {finished:?}");
        self.acknowledged
    }

    /// The next client, and the time of its report.
    fn next(&mut self) -> (String, u64) {
        self.turn += 1;
        let client = format!("{}-{:?}-{}", self.server, self.door, self.turn % CLIENTS);
        (client, BEGIN_S + self.load.clock.fetch_add(1, Relaxed))
    }

    fn note(&mut self, (client, time_s): (String, u64)) {
        self.load.acks.fetch_add(1, Relaxed);
        self.load.busy.fetch_add(u64::from(self.acknowledged.newest.is_empty()), Relaxed);
        self.acknowledged.newest.insert(client, time_s);
    }

    fn is_over(&self) -> bool {
        self.load.is_over.load(Relaxed)
    }

    /// An error describes why the server takes no more.
    fn lines(&mut self, to: SocketAddr) -> Result<(), String> {
        let mut stream = BufReader::new(connect(to)?);
        while !self.is_over() {
            let reports: Vec<_> = (0..BURST).map(|_| self.next()).collect();
            let text: String = reports
                .iter()
                .map(|(client, time_s)| {
                    let (latitude, longitude) = position_at(*time_s);
                    format!("IAMAT {client} {latitude:+.6}{longitude:+.6} {time_s}\n")
                })
                .collect();
            stream.get_mut().write_all(text.as_bytes()).map_err(|error| error.to_string())?;
            for (client, time_s) in reports {
                let mut at = String::new();
                stream.read_line(&mut at).map_err(|error| error.to_string())?;
                // The server may die within a line. Such a line acknowledges nothing.
                let Some(at) = at.strip_suffix('\n') else { return Err(format!("it ended after {at:?}")) };
                assert_eq!(report_in(at, &client), Some(time_s), "{at}");
                self.note((client, time_s));
            }
        }
        Ok(())
    }

    fn puts(&mut self, to: SocketAddr) -> Result<(), String> {
        let mut http = Http(BufReader::new(connect(to)?));
        while !self.is_over() {
            let (client, time_s) = self.next();
            let (lat, lon) = position_at(time_s);
            let body = json!({ "lat": lat, "lon": lon, "time": time_s }).to_string();
            let target = format!("/v1/clients/{client}/location");
            let taken = http.ask("PUT", &target, "application/json", &body)?;
            assert_eq!(taken["result"], "accepted", "{taken}");
            self.note((client, time_s));
        }
        Ok(())
    }

    fn batches(&mut self, to: SocketAddr) -> Result<(), String> {
        let mut http = Http(BufReader::new(connect(to)?));
        while !self.is_over() {
            let reports: Vec<_> = (0..BURST).map(|_| self.next()).collect();
            let body: String = reports.iter().map(|report| format!("{}\n", json_of(report))).collect();
            let taken = http.ask("POST", "/v1/reports", "application/x-ndjson", &body)?;
            assert_eq!(taken["accepted"], BURST, "{taken}");
            reports.into_iter().for_each(|report| self.note(report));
        }
        Ok(())
    }

    fn messages(&mut self, to: SocketAddr) -> Result<(), String> {
        let mut ws = Ws::open(to, "")?;
        while !self.is_over() {
            let report = self.next();
            let taken = ws.try_ask(&json!({ "report": json_of(&report) })).ok_or("the WebSocket ended")?;
            if taken["result"] != "accepted" {
                return Err(taken.to_string());
            }
            self.note(report);
        }
        Ok(())
    }
}

fn json_of((client, time_s): &(String, u64)) -> Value {
    let (lat, lon) = position_at(*time_s);
    json!({ "id": client, "lat": lat, "lon": lon, "time": time_s })
}

fn connect(to: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(to).map_err(|error| error.to_string())?;
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Ok(stream)
}

/// A connection that sends one request after the other.
struct Http(BufReader<TcpStream>);

impl Http {
    /// The body of the answer to a request, which must have the status 200. An error: there is no answer, or another
    /// one.
    fn ask(&mut self, method: &str, target: &str, kind: &str, body: &str) -> Result<Value, String> {
        let len = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n\r\n{body}"
        );
        self.0.get_mut().write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        let status = self.line()?;
        let mut len = 0;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("content-length", value)) => len = value.parse().map_err(|_| line.clone())?,
                Some(_) => {}
                None => break,
            }
        }
        let mut answer = vec![0; len];
        self.0.read_exact(&mut answer).map_err(|error| error.to_string())?;
        if !status.starts_with("HTTP/1.1 200 ") {
            return Err(format!("{status}: {}", String::from_utf8_lossy(&answer)));
        }
        serde_json::from_slice(&answer).map_err(|error| error.to_string())
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.0.read_line(&mut line).map_err(|error| error.to_string())?;
        line.strip_suffix("\r\n").map(str::to_owned).ok_or_else(|| format!("it ended after {line:?}"))
    }
}
