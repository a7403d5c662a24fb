//! Measures how much a thousand streams lower the rate of the line protocol.
//!
//! Three servers get the same load in turns, in short rounds: one without streams, one whose streams ask for boxes that
//! are empty, and one whose boxes hold a thousandth of the clients each, so that every report causes an event. The
//! server that comes first changes from round to round. Ended streams would cost their server something for a while,
//! because it keeps them for readers that resume. So a server without streams must be another server.
//!
//! One more thread reads the streams. It counts events and looks at nothing else. It shares the cores with the servers.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use memchr::memmem;
use mio::{Events, Interest, Poll, Token, net::TcpStream};

use super::StreamsPlan;
use super::readers::{SocketSize, request};
use crate::format::grouped;
use crate::load::{self, Dialect, LOS_ANGELES, LoadPlan};
use crate::procfs;
use crate::stats::Spread;
use crate::target;
use crate::target::herd::LoneServer;

/// The target for the rate with streams, as a share of the rate without streams.
const TARGET: f64 = 0.8;
const DEPTHS: [u32; 2] = [1, 128];
const STREAMS: u32 = 1000;
const CONNECTIONS: u32 = 50;
/// The clients are on a grid of a thousand columns, and each box holds one column. See `load`.
const CLIENTS: u32 = 10_000;
/// Length of a round.
const ROUND: Duration = Duration::from_secs(1);
/// Maximum time until all streams have told their state.
const OPEN_MAX: Duration = Duration::from_secs(30);
/// Interval at which the reading thread looks whether it must end.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Where a server's boxes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Boxes {
    /// There are no streams.
    None,
    /// Beside the clients.
    Empty,
    /// Around the clients.
    Occupied,
}

impl Boxes {
    fn text(self) -> &'static str {
        match self {
            Boxes::None => "no streams",
            Boxes::Empty => "empty boxes",
            Boxes::Occupied => "boxes with a thousandth of the clients each",
        }
    }

    /// The box of one column of clients: south, west, north, east.
    fn area(self, column: u32) -> String {
        let beside = if self == Boxes::Empty { 0.1 } else { 0.0 };
        let (south, rows) = (LOS_ANGELES.0 + beside, f64::from(CLIENTS / STREAMS));
        let east = LOS_ANGELES.1 + 0.1 - f64::from(column) * 2e-4;
        let (north, west) = (south + rows * 15e-5, east - 1e-4);
        format!("{:.6},{west:.6},{north:.6},{:.6}", south - 5e-5, east + 9e-5)
    }
}

/// The rounds of one server at one depth.
struct Rounds<'a> {
    server: &'a Server,
    /// Lines per second, one sample per round.
    rates: Vec<f64>,
    lines: u64,
    events: u64,
    server_time: Duration,
}

struct Server {
    boxes: Boxes,
    herd: LoneServer,
    /// Number of events that were read so far.
    events: AtomicU64,
}

/// The rate with a thousand streams, as a share of the rate without streams, in one round.
pub(crate) struct Share {
    pub(crate) depth: u32,
    /// Whether there are clients in the streams' boxes.
    pub(crate) is_occupied: bool,
    pub(crate) round: u32,
    pub(crate) share: f64,
}

/// Measures and prints the results. Returns whether the targets are met.
pub(super) fn measure(plan: &StreamsPlan, program: &Path) -> Result<bool> {
    let mut is_met = true;
    at_depths(plan.rounds, program, |depth, rounds| is_met &= print(depth, rounds))?;
    Ok(is_met)
}

/// Measures the shares of all rounds.
pub(crate) fn shares(rounds: u32, program: &Path) -> Result<Vec<Share>> {
    let mut shares = Vec::new();
    at_depths(rounds, program, |depth, all| {
        for of_server in &all[1..] {
            let is_occupied = of_server.server.boxes == Boxes::Occupied;
            let pairs = of_server.rates.iter().zip(&all[0].rates);
            shares.extend((1..).zip(pairs).map(|(round, (rate, none))| Share {
                depth,
                is_occupied,
                round,
                share: rate / none,
            }));
        }
    })?;
    Ok(shares)
}

/// Measures at each depth, and passes what was measured to `take`.
fn at_depths(rounds: u32, program: &Path, mut take: impl FnMut(u32, &[Rounds<'_>])) -> Result<()> {
    let settings = ["limits.connections_per_address=1_000_000"];
    let start = |boxes| {
        let herd = LoneServer::start_with(program, None, &settings)?;
        Ok(Server { boxes, herd, events: AtomicU64::new(0) })
    };
    let servers: Vec<Server> =
        [Boxes::None, Boxes::Empty, Boxes::Occupied].into_iter().map(start).collect::<Result<_>>()?;
    // Every client reports once, before the streams begin.
    servers.iter().try_for_each(|server| drive(server, 1).map(drop))?;
    let mut drain = Drain::open(&servers)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let draining = scope.spawn(|| drain.read_until(&stop));
        let measured = DEPTHS.iter().try_for_each(|&depth| {
            take(depth, &at_depth(rounds, &servers, depth)?);
            Ok(())
        });
        stop.store(true, Relaxed);
        draining.join().map_err(|_| anyhow!("the thread that reads streams panicked"))??;
        measured
    })
}

fn at_depth<'a>(rounds: u32, servers: &'a [Server], depth: u32) -> Result<Vec<Rounds<'a>>> {
    let new = |server| Rounds { server, rates: Vec::new(), lines: 0, events: 0, server_time: Duration::ZERO };
    let mut all: Vec<Rounds<'_>> = servers.iter().map(new).collect();
    // The first round is not counted: in this round tables and caches fill.
    for round in 0..=rounds {
        for turn in 0..all.len() {
            let number = (turn + round as usize) % all.len();
            all[number].add(depth, round > 0)?;
        }
        if round > 0 {
            let rate = |rounds: &Rounds<'_>| rounds.rates.last().copied().unwrap_or_default();
            eprintln!(
                "depth {depth}, round {round} of {}: {:.0} lines/s without streams, {:.3} of it with empty boxes, {:.3} \
                 with occupied boxes",
                rounds,
                rate(&all[0]),
                rate(&all[1]) / rate(&all[0]),
                rate(&all[2]) / rate(&all[0])
            );
        }
    }
    Ok(all)
}

impl Rounds<'_> {
    fn add(&mut self, depth: u32, is_counted: bool) -> Result<()> {
        let time = || {
            procfs::cpu_time(self.server.herd.target.process.id()).context("Linux tells no processor time")
        };
        let (before, events) = (time()?, self.server.events.load(Relaxed));
        let result = drive(self.server, depth)?;
        let (after, events) = (time()?, self.server.events.load(Relaxed) - events);
        if is_counted {
            self.rates.push(result.lines_per_second());
            self.lines += result.lines;
            self.events += events;
            self.server_time += after - before;
        }
        Ok(())
    }

    /// Processor time of the server for each line, microseconds.
    fn server_us(&self) -> f64 {
        self.server_time.as_secs_f64() * 1e6 / self.lines as f64
    }
}

fn drive(server: &Server, depth: u32) -> Result<load::LoadResult> {
    let plan = LoadPlan {
        addresses: vec![server.herd.target.address],
        dialect: Dialect::Herd,
        connections: CONNECTIONS,
        threads: (target::cores() / 2).max(1),
        clients: CLIENTS,
        around: LOS_ANGELES,
        depth,
        duration: ROUND,
    };
    load::run(&plan)
        .with_context(|| format!("driving the server with {} at depth {depth}", server.boxes.text()))
}

fn print(depth: u32, all: &[Rounds<'_>]) -> bool {
    let none = &all[0];
    let median = |rounds: &Rounds<'_>| Spread::of(rounds.rates.iter().copied()).median;
    println!(
        "depth {depth}, no streams: {} lines/s; processor time of the server {:.2} us a line",
        grouped(median(none)),
        none.server_us()
    );
    let mut is_met = true;
    for rounds in &all[1..] {
        let ratio = Spread::of(rounds.rates.iter().zip(&none.rates).map(|(rate, none)| rate / none));
        is_met &= ratio.median >= TARGET;
        println!(
            "depth {depth}, {STREAMS} streams, {}: {} lines/s, ratio {:.2} ({:.2} to {:.2}); processor time of the server \
             {:.2} us a line; {:.3} events a line; target {TARGET:.2}, {}",
            rounds.server.boxes.text(),
            grouped(median(rounds)),
            ratio.median,
            ratio.low,
            ratio.high,
            rounds.server_us(),
            rounds.events as f64 / rounds.lines as f64,
            super::verdict(ratio.median >= TARGET)
        );
    }
    is_met
}

/// Reads the streams of all servers and counts their events.
struct Drain<'a> {
    poll: Poll,
    streams: Vec<Draining<'a>>,
    buffer: Vec<u8>,
}

struct Draining<'a> {
    stream: TcpStream,
    events: &'a AtomicU64,
    /// What was read until the state was told.
    state: Vec<u8>,
    is_synced: bool,
}

/// The beginning of every event's data, so that each event has this once. Events are counted by it.
const MARK: &[u8] = b"\ndata: {";
/// This is told after a stream's state.
const SYNCED: &[u8] = b"event: synced";

impl<'a> Drain<'a> {
    /// Opens the streams and waits until all have told their state.
    fn open(servers: &'a [Server]) -> Result<Drain<'a>> {
        let poll = Poll::new().context("cannot create an epoll instance")?;
        let mut drain = Drain { poll, streams: Vec::new(), buffer: vec![0; 64 * 1024] };
        for server in servers.iter().filter(|server| server.boxes != Boxes::None) {
            for column in 0..STREAMS {
                let area = server.boxes.area(column);
                let mut stream = request(server.herd.http, SocketSize::Default, &area, b"")
                    .with_context(|| format!("cannot open the stream of {area}"))?;
                let token = Token(drain.streams.len());
                drain.poll.registry().register(&mut stream, token, Interest::READABLE)?;
                let events = &server.events;
                drain.streams.push(Draining { stream, events, state: Vec::new(), is_synced: false });
            }
        }
        let began = Instant::now();
        while drain.streams.iter().any(|stream| !stream.is_synced) {
            ensure!(
                began.elapsed() < OPEN_MAX,
                "the servers did not tell the state of streams in {OPEN_MAX:?}"
            );
            drain.read()?;
        }
        Ok(drain)
    }

    fn read_until(&mut self, stop: &AtomicBool) -> Result<()> {
        while !stop.load(Relaxed) {
            self.read()?;
        }
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        let mut ready = Events::with_capacity(1024);
        match self.poll.poll(&mut ready, Some(LOOK_INTERVAL)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                return Err(error).context("cannot wait for streams");
            }
            _ => {}
        }
        for event in &ready {
            self.streams[event.token().0].read(&mut self.buffer)?;
        }
        Ok(())
    }
}

impl Draining<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => bail!("a server closed a stream"),
                Ok(len) => self.count(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot read a stream"),
            }
        }
    }

    /// Counts events. A mark that is cut by the end of a piece is not counted. Pieces usually end with an event.
    fn count(&mut self, piece: &[u8]) {
        self.events.fetch_add(memmem::find_iter(piece, MARK).count() as u64, Relaxed);
        if self.is_synced {
            return;
        }
        self.state.extend_from_slice(piece);
        if memmem::find(&self.state, SYNCED).is_some() {
            (self.state, self.is_synced) = (Vec::new(), true);
        }
    }
}
