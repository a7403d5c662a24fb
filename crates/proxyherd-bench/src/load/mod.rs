//! The load generator. Each of many connections has one burst of lines outstanding, and sends the next burst when all
//! replies have arrived.
//!
//! [`run`] carries out one [`LoadPlan`]. [`paced`] sends at a given rate, whether or not the server keeps up. [`roam`]
//! sends at a given rate, from clients that move between servers. [`asking`] finds out which reports a server shows.
//!
//! Each thread serves its connections from one epoll loop, without a runtime. The generator's own time per line is the
//! same for all servers, and hides a part of the difference between them. So this time must be short. For each burst
//! there are one write, one read and one reading of the clock. For each line there are a copy of the timestamp and a
//! search for the end of the reply. The generator checks the beginning of every reply. For one burst in
//! [`SAMPLE_EVERY`] it checks all bytes of the replies.
//!
//! The generator does not know which program it drives.

pub(crate) mod asking;
mod bursts;
mod connection;
pub(crate) mod paced;
mod replies;
pub(crate) mod roam;

pub(crate) use bursts::{CLIENTS_MAX, ClientReport, LINE_LEN, LOS_ANGELES, client_name, report_of};
pub(crate) use replies::{Dialect, ReplyChecker};

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow, bail, ensure};
use mio::{Events, Interest, Poll, Token};

use crate::format::{BOLD, DIM, duration, grouped};
use crate::stats::Histogram;
use bursts::BurstRing;
use connection::Connection;

/// Maximum number of lines outstanding on one connection. The replies to these lines fit into the read buffer.
pub(crate) const DEPTH_MAX: u32 = 1024;
/// For one burst in this many, the replies are checked to the last byte. The first burst of each connection is always
/// checked.
pub(crate) const SAMPLE_EVERY: u64 = 64;
/// Maximum time that all connections of a thread may be without a reply. After this time the run fails.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Length of the buffer into which a thread reads replies, bytes.
const READ_BUFFER_LEN: usize = 256 * 1024;

/// The servers, the lines to send, and the length of the run.
pub(crate) struct LoadPlan {
    /// The servers, among which the connections are divided evenly.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) dialect: Dialect,
    pub(crate) connections: u32,
    pub(crate) threads: usize,
    pub(crate) clients: u32,
    /// Position around which the clients are, degrees north and east.
    pub(crate) around: (f64, f64),
    /// Number of lines outstanding on a connection. The lines of a burst are sent in one write.
    pub(crate) depth: u32,
    pub(crate) duration: Duration,
}

impl LoadPlan {
    /// Number of clients of each connection. Connections share no clients, and no client is in a burst twice. If a
    /// client were in a burst twice, its second report would have the same timestamp, and a server drops duplicates
    /// faster than it takes new reports.
    fn clients_per_connection(&self) -> Result<u32> {
        let clients = self.clients / self.connections;
        let (depth, connections) = (self.depth, self.connections);
        ensure!(
            clients >= depth,
            "{} clients are too few for {connections} connections at depth {depth}: give at least --clients {}",
            self.clients,
            u64::from(connections) * u64::from(depth)
        );
        Ok(clients)
    }
}

/// What a run measured.
#[derive(Clone)]
pub(crate) struct LoadResult {
    /// Lines that were answered in time.
    pub(crate) lines: u64,
    /// Bursts whose replies were checked to the last byte.
    pub(crate) sampled_bursts: u64,
    pub(crate) duration: Duration,
    /// The time from the write of each burst to the end of its last reply.
    pub(crate) latency: Histogram,
    /// The last report of each client.
    pub(crate) last_reports: Vec<ClientReport>,
}

impl LoadResult {
    fn empty(duration: Duration) -> LoadResult {
        LoadResult {
            lines: 0,
            sampled_bursts: 0,
            duration,
            latency: Histogram::new(),
            last_reports: Vec::new(),
        }
    }

    pub(crate) fn lines_per_second(&self) -> f64 {
        self.lines as f64 / self.duration.as_secs_f64()
    }

    fn add(&mut self, other: &LoadResult) {
        self.lines += other.lines;
        self.sampled_bursts += other.sampled_bursts;
        self.latency.merge(&other.latency);
        self.last_reports.extend_from_slice(&other.last_reports);
    }
}

/// Connects, sends for `plan.duration`, waits for the outstanding replies, and disconnects. Fails if a server can't be
/// reached, replies wrongly, closes a connection, or stops replying.
pub(crate) fn run(plan: &LoadPlan) -> Result<LoadResult> {
    let mut loops = Vec::new();
    for first in 0..plan.threads {
        loops.push(EventLoop::connect(plan, first)?);
    }
    let outcomes: Vec<LoadResult> = thread::scope(|scope| {
        let running: Vec<_> = loops.into_iter().map(|each| scope.spawn(move || each.run(plan))).collect();
        running
            .into_iter()
            .map(|each| each.join().map_err(|_| anyhow!("a thread panicked"))?)
            .collect::<Result<_>>()
    })?;
    let mut total = LoadResult::empty(plan.duration);
    for outcome in &outcomes {
        total.add(outcome);
    }
    if total.lines == 0 {
        bail!("no line was answered within {:?}", plan.duration);
    }
    Ok(total)
}

/// The result of a run against given servers, as text.
pub(crate) fn table(plan: &LoadPlan, result: &LoadResult) -> String {
    let percentile = |share| duration(result.latency.percentile(share));
    format!(
        "{BOLD}{} lines/s{BOLD:#}   {} lines in {} s, {} connections at depth {}\n\
         round trip of a burst: p50 {}, p99 {}, p99.9 {}, longest {}\n\
         {DIM}{} bursts had their replies checked to the last byte, all others at their beginning.{DIM:#}\n",
        grouped(result.lines_per_second()),
        grouped(result.lines as f64),
        plan.duration.as_secs_f64(),
        plan.connections,
        plan.depth,
        percentile(0.5),
        percentile(0.99),
        percentile(0.999),
        percentile(1.0),
        grouped(result.sampled_bursts as f64),
    )
}

/// Converts readings of the steady clock to POSIX time. So one reading of the clock is enough for both latencies and
/// timestamps.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    start_unix_ns: u64,
}

impl Clock {
    pub(crate) fn started() -> Result<Clock> {
        let unix =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock is before 1970")?;
        let start_unix_ns = u64::try_from(unix.as_nanos()).context("the clock is after 2554")?;
        Ok(Clock { start: Instant::now(), start_unix_ns })
    }

    pub(crate) fn unix_ns(&self, now: Instant) -> u64 {
        self.start_unix_ns + now.duration_since(self.start).as_nanos() as u64
    }
}

/// One thread and its share of the connections.
struct EventLoop {
    poll: Poll,
    connections: Vec<Connection>,
    clock: Clock,
}

impl EventLoop {
    /// Opens every connection whose number is `first` plus a multiple of `plan.threads`.
    fn connect(plan: &LoadPlan, first: usize) -> Result<EventLoop> {
        let clients = plan.clients_per_connection()?;
        let poll = Poll::new().context("cannot create an epoll instance")?;
        let mut connections = Vec::new();
        for number in (first..plan.connections as usize).step_by(plan.threads) {
            let address = plan.addresses[number % plan.addresses.len()];
            let (first, what) = (number as u32 * clients, plan.dialect.line());
            let lines = BurstRing::new(what, plan.around, first, clients, plan.depth);
            let mut connection = Connection::open(address, plan.dialect, lines)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut connection.stream, Token(connections.len()), interest)
                .context("cannot watch a connection")?;
            connections.push(connection);
        }
        Ok(EventLoop { poll, connections, clock: Clock::started()? })
    }

    fn run(mut self, plan: &LoadPlan) -> Result<LoadResult> {
        let mut outcome = LoadResult::empty(plan.duration);
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; READ_BUFFER_LEN];
        let start = Instant::now();
        let end = start + plan.duration;
        let mut busy = self.connections.len();
        for connection in &mut self.connections {
            connection.send(start, self.clock.unix_ns(start))?;
        }
        while busy > 0 {
            self.wait(&mut events)?;
            for event in &events {
                let connection = &mut self.connections[event.token().0];
                if event.is_writable() {
                    connection.flush()?;
                }
                if !connection.receive(&mut buffer, event.is_read_closed())? {
                    continue;
                }
                let now = Instant::now();
                if now >= end {
                    busy -= 1;
                    continue;
                }
                outcome.lines += u64::from(plan.depth);
                outcome.latency.record(now - connection.sent_at());
                connection.send(now, self.clock.unix_ns(now))?;
            }
        }
        outcome.last_reports = self.connections.iter().flat_map(Connection::last_reports).collect();
        outcome.sampled_bursts = self.connections.iter().map(Connection::sampled_bursts).sum();
        Ok(outcome)
    }

    fn wait(&mut self, events: &mut Events) -> Result<()> {
        match self.poll.poll(events, Some(SILENCE_MAX)) {
            Ok(()) if events.is_empty() => bail!("no server answered anything for {SILENCE_MAX:?}"),
            Ok(()) => Ok(()),
            // A signal interrupts the call, for example when the process continues after a stop.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            Err(error) => Err(error).context("cannot wait for the connections"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    /// A server that calls `answer` with each line and its number on the connection, and writes the reply in two
    /// pieces. If `answer` returns no reply, the server closes the connection.
    fn server(answer: fn(u64, &str) -> Option<String>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || serve(&stream, answer));
            }
        });
        address
    }

    fn serve(mut stream: &TcpStream, answer: fn(u64, &str) -> Option<String>) {
        stream.set_nodelay(true).unwrap();
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        for (number, line) in (0..).zip(lines) {
            let Some(text) = answer(number, &line) else { return };
            let (one, other) = text.as_bytes().split_at(text.len() / 2);
            // The generator may have disconnected.
            if stream.write_all(one).and_then(|()| stream.write_all(other)).is_err() {
                return;
            }
        }
    }

    fn at_line(line: &str) -> String {
        format!("AT Riley +0.000012345 {}\n", &line["IAMAT ".len()..])
    }

    fn plan(address: SocketAddr, depth: u32) -> LoadPlan {
        LoadPlan {
            addresses: vec![address],
            dialect: Dialect::Herd,
            connections: 4,
            threads: 2,
            clients: 400,
            around: LOS_ANGELES,
            depth,
            duration: Duration::from_millis(50),
        }
    }

    #[test]
    fn a_server_that_answers_is_measured() {
        let address = server(|_, line| Some(at_line(line)));
        for depth in [1, 7, 100] {
            let outcome = run(&plan(address, depth)).unwrap();
            assert!(outcome.lines > 0 && outcome.lines.is_multiple_of(depth.into()));
            assert!(outcome.sampled_bursts >= 4, "the first burst of each connection is checked");
            assert!(outcome.latency.percentile(0.5) > Duration::ZERO);
        }
    }

    #[test]
    fn wrong_answers_end_the_run() {
        let check = |answer: fn(u64, &str) -> Option<String>, message: &str| {
            let error = run(&plan(server(answer), 7)).err().unwrap();
            assert!(format!("{error:#}").contains(message), "{error:#}");
        };
        check(|_, line| Some(format!("? {line}\n")), "does not begin with \"AT \": \"? ");
        check(|_, _| Some("AT Riley +0.000012345 emu\n".to_owned()), "an answer to \"IAMAT courier-");
        // The error depends on how the pieces arrive: either there are too many replies, or a wrong reply comes first.
        // Both errors name the server.
        check(|_, line| Some(at_line(line).repeat(2)), "127.0.0.1:");
        check(|number, line| (number < 3).then(|| at_line(line)), "closed a connection");
    }

    #[test]
    fn a_client_never_reports_twice_in_a_burst() {
        let address = server(|_, line| Some(at_line(line)));
        let error = run(&plan(address, 101)).err().unwrap();
        assert!(error.to_string().contains("give at least --clients 404"), "{error}");
    }
}
