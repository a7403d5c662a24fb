//! The load generator: many connections, each with a burst of IAMAT lines outstanding, each next burst sent when the
//! last one is answered.
//!
//! A thread serves its connections from one epoll loop with no runtime in between, because whatever the generator
//! spends on a line it spends on every server alike, and so hides a part of their difference. What it does spend: a
//! write and a read for each burst, one look at the clock, and for each line a copy of its timestamp and a search
//! for the end of its answer. Every answer's beginning is checked, and one burst in [`SAMPLE_EVERY`] to the last byte.
//!
//! It does not know what it drives; only `told` knows how the figures are told.

mod connection;
mod lines;
mod replies;
pub(crate) mod roam;
pub(crate) mod told;

pub(crate) use lines::{CLIENTS_MAX, LINE_LEN, LOS_ANGELES, client_name, report_of};
pub(crate) use replies::{Dialect, Replies};

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow, bail, ensure};
use mio::{Events, Interest, Poll, Token};

use crate::stats::Histogram;
use connection::Connection;
use lines::Lines;

/// Most lines outstanding on one connection: what is answered in one piece fits the buffer that reads it.
pub(crate) const DEPTH_MAX: u32 = 1024;
/// One burst in this many is checked to the last byte; the first of each connection always is.
pub(crate) const SAMPLE_EVERY: u64 = 64;
/// Longest silence of all connections of a thread before the run is given up.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// The buffer that answers are read into, bytes; one for each thread.
const READ_BUFFER_LEN: usize = 256 * 1024;

/// What to send where, and for how long.
pub(crate) struct Plan {
    /// Connections are dealt out to these in turn.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) dialect: Dialect,
    pub(crate) connections: u32,
    pub(crate) threads: usize,
    pub(crate) clients: u32,
    /// Around where they stand, degrees north and east.
    pub(crate) around: (f64, f64),
    /// Lines outstanding on a connection, sent as one write.
    pub(crate) depth: u32,
    pub(crate) duration: Duration,
}

impl Plan {
    /// Every connection has clients of its own, and no client twice in a burst: of two reports of one moment the
    /// second would be a duplicate, which costs a server less than news.
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

/// What came of a run.
#[derive(Clone)]
pub(crate) struct Outcome {
    /// Lines that were answered within the time.
    pub(crate) lines: u64,
    /// Bursts that were checked to the last byte.
    pub(crate) sampled_bursts: u64,
    pub(crate) duration: Duration,
    /// From the write of each burst to the end of its last answer.
    pub(crate) latency: Histogram,
}

impl Outcome {
    fn empty(duration: Duration) -> Outcome {
        Outcome { lines: 0, sampled_bursts: 0, duration, latency: Histogram::new() }
    }

    pub(crate) fn lines_per_second(&self) -> f64 {
        self.lines as f64 / self.duration.as_secs_f64()
    }

    fn add(&mut self, other: &Outcome) {
        self.lines += other.lines;
        self.sampled_bursts += other.sampled_bursts;
        self.latency.merge(&other.latency);
    }
}

/// Connects, sends for `plan.duration`, waits for what is still outstanding, and disconnects. Fails if a server
/// cannot be reached, answers wrongly, closes a connection or falls silent.
pub(crate) fn run(plan: &Plan) -> Result<Outcome> {
    let mut loops = Vec::new();
    for first in 0..plan.threads {
        loops.push(Loop::connect(plan, first)?);
    }
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let running: Vec<_> = loops.into_iter().map(|each| scope.spawn(move || each.run(plan))).collect();
        running
            .into_iter()
            .map(|each| each.join().map_err(|_| anyhow!("a thread panicked"))?)
            .collect::<Result<_>>()
    })?;
    let mut total = Outcome::empty(plan.duration);
    for outcome in &outcomes {
        total.add(outcome);
    }
    if total.lines == 0 {
        bail!("no line was answered within {:?}", plan.duration);
    }
    Ok(total)
}

/// Turns the steady clock into POSIX time, so that one look at it serves latency and timestamps.
#[derive(Clone, Copy)]
struct Clock {
    start: Instant,
    start_unix_ns: u64,
}

impl Clock {
    fn started() -> Result<Clock> {
        let unix =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock is before 1970")?;
        let start_unix_ns = u64::try_from(unix.as_nanos()).context("the clock is after 2554")?;
        Ok(Clock { start: Instant::now(), start_unix_ns })
    }

    fn unix_ns(&self, now: Instant) -> u64 {
        self.start_unix_ns + now.duration_since(self.start).as_nanos() as u64
    }
}

/// One thread's share of the connections.
struct Loop {
    poll: Poll,
    connections: Vec<Connection>,
    clock: Clock,
}

impl Loop {
    /// Opens every `plan.threads`-th connection, from the `first` on.
    fn connect(plan: &Plan, first: usize) -> Result<Loop> {
        let clients = plan.clients_per_connection()?;
        let poll = Poll::new().context("cannot create an epoll instance")?;
        let mut connections = Vec::new();
        for number in (first..plan.connections as usize).step_by(plan.threads) {
            let address = plan.addresses[number % plan.addresses.len()];
            let (first, what) = (number as u32 * clients, plan.dialect.line());
            let lines = Lines::new(what, plan.around, first, clients, plan.depth);
            let mut connection = Connection::open(address, plan.dialect, lines)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut connection.stream, Token(connections.len()), interest)
                .context("cannot watch a connection")?;
            connections.push(connection);
        }
        Ok(Loop { poll, connections, clock: Clock::started()? })
    }

    fn run(mut self, plan: &Plan) -> Result<Outcome> {
        let mut outcome = Outcome::empty(plan.duration);
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
        outcome.sampled_bursts = self.connections.iter().map(Connection::sampled_bursts).sum();
        Ok(outcome)
    }

    fn wait(&mut self, events: &mut Events) -> Result<()> {
        match self.poll.poll(events, Some(SILENCE_MAX)) {
            Ok(()) if events.is_empty() => bail!("no server answered anything for {SILENCE_MAX:?}"),
            Ok(()) => Ok(()),
            // A signal, such as the one that follows a stop and a continue, is no reason to give up.
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

    /// A server that gives each line, of which it knows the number on its connection, to `answer`, and writes what
    /// comes back in two pieces. With nothing to write it closes the connection.
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
            // The generator may have seen enough and left.
            if stream.write_all(one).and_then(|()| stream.write_all(other)).is_err() {
                return;
            }
        }
    }

    fn at_line(line: &str) -> String {
        format!("AT Riley +0.000012345 {}\n", &line["IAMAT ".len()..])
    }

    fn plan(address: SocketAddr, depth: u32) -> Plan {
        Plan {
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
        // By how the pieces arrive, these are either too many or the wrong ones; the server is named in any case.
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
