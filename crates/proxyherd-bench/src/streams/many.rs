//! Measures many open streams while clients report at a steady rate: memory, processor time, latency, and whether every
//! reader learns the last position of each client. Then half of the readers stop reading, and the others are measured
//! again. In the end those readers read again and must learn everything, too.
//!
//! One thread sends the reports and reads the streams, because it shares the cores with the server. The time from a
//! report to its event includes the time that this thread needs.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mio::{Events, Poll};
use rustix::process::{Resource, getrlimit, setrlimit};

use super::StreamsPlan;
use super::readers::{Readers, SocketSize, Told, WrongReader};
use super::reporters::{self, Pace, Reporters, Sent};
use super::town::Town;
use crate::format::{duration, grouped};
use crate::load::Clock;
use crate::procfs;
use crate::target::herd::LoneServer;

/// The target for the memory of a stream, KiB.
const MEMORY_TARGET_KIB: f64 = 32.0;
/// The target for the processor time that the streams take, cores.
const CORES_TARGET: f64 = 0.5;
/// The target for the time from a report to its event, in 99 of 100 cases.
const LATENCY_TARGET: Duration = Duration::from_millis(100);
/// Number of streams that are opened together.
const OPENED_TOGETHER: u32 = 500;
/// Maximum time until all streams that were opened together have told their state.
const OPEN_MAX: Duration = Duration::from_secs(30);
/// Maximum time until all readers hold what they must after the last report.
const SETTLE_MAX: Duration = Duration::from_secs(30);
/// Interval between two comparisons of what readers hold with what they must hold.
const COMPARE_INTERVAL: Duration = Duration::from_millis(200);
/// Interval between two readings of the server's memory.
const MEMORY_INTERVAL: Duration = Duration::from_millis(250);
/// While the sockets of readers that have stopped fill, clients report so many times as often.
const FILL_FACTOR: u32 = 8;
/// Number of descriptors for other purposes than streams.
const OTHER_DESCRIPTORS: u64 = 400;
/// Rate at which clients report for the first time, reports a second.
const LOAD_RATE: u32 = 20_000;

/// Measures and prints the results. Returns whether all targets are met.
pub(super) fn measure(plan: &StreamsPlan, program: &Path) -> Result<bool> {
    raise_descriptors(u64::from(plan.streams) + OTHER_DESCRIPTORS)?;
    let settings = ["limits.connections_per_address=1_000_000"];
    let herd = LoneServer::start_with(program, None, &settings)?;
    let mut scene = Scene::new(plan, &herd)?;
    scene.load_clients()?;
    let without = scene.run("without streams", plan.seconds, plan.reports)?;
    let before = procfs::resident(scene.pid)?;
    scene.open_streams()?;
    let opened = procfs::resident(scene.pid)?;
    let with = scene.run("with streams", plan.seconds, plan.reports)?;
    scene.settle()?;
    let each_kib = |bytes: u64| bytes.saturating_sub(before) as f64 / 1024.0 / f64::from(plan.streams);
    let mut is_met = print_open(plan, each_kib(opened), each_kib(with.memory_max), &without, &with);
    let stalled = scene.stall(plan)?;
    is_met &= print_stalled(plan, &stalled, each_kib(stalled.memory_max), &without);
    Ok(is_met)
}

/// What one run measured.
struct Run {
    /// Processor time of the server and of this process, cores.
    server_cores: f64,
    own_cores: f64,
    sent: Sent,
    told: Told,
    /// Changes that the server conflated.
    conflated: u64,
    /// The highest memory of the server, bytes.
    memory_max: u64,
}

/// The run in which some readers do not read, and what came before and after it.
struct Stalled {
    run: Run,
    /// The highest memory of the server from the moment at which readers stopped, bytes.
    memory_max: u64,
    /// Memory of the kernel for all sockets of this machine when readers stopped, and at the end of the run, bytes.
    sockets: [u64; 2],
    /// Changes that the server conflated while the sockets filled.
    conflated: u64,
    /// Streams whose readers have stopped and that the server has closed.
    closed: u64,
}

/// A server, its readers, and the clients that report.
struct Scene {
    poll: Poll,
    events: Events,
    town: Town,
    readers: Readers,
    reporters: Reporters,
    http: SocketAddr,
    pid: u32,
}

impl Scene {
    fn new(plan: &StreamsPlan, herd: &LoneServer) -> Result<Scene> {
        let poll = Poll::new().context("cannot create an epoll instance")?;
        let clock = Clock::started()?;
        Ok(Scene {
            readers: Readers::none(herd.http, clock),
            reporters: Reporters::connect(herd.target.address, &poll, clock)?,
            town: Town::new(plan.streams),
            events: Events::with_capacity(1024),
            poll,
            http: herd.http,
            pid: herd.target.process.id(),
        })
    }

    /// Lets each client report once, and waits for the answers.
    fn load_clients(&mut self) -> Result<()> {
        let mut pace = Pace::new(LOAD_RATE, Instant::now());
        let clients = u64::from(self.town.clients());
        self.pump_until(OPEN_MAX, "the server did not answer the first reports", |scene, now| {
            while scene.reporters.sent.reports < clients && pace.is_due(now) {
                scene.reporters.report(&mut scene.town)?;
            }
            Ok(scene.reporters.sent.answered == clients)
        })
    }

    /// Opens all streams and waits until each has told its state. Every second reader has a small socket.
    fn open_streams(&mut self) -> Result<()> {
        let began = Instant::now();
        while (self.readers.len() as u32) < self.town.boxes() {
            for number in 0..OPENED_TOGETHER.min(self.town.boxes() - self.readers.len() as u32) {
                let size = if number % 2 == 0 { SocketSize::Default } else { SocketSize::Small };
                self.readers.open(&self.poll, size)?;
            }
            self.pump_until(OPEN_MAX, "the server did not tell the state of streams", |scene, _| {
                Ok(scene.readers.unsynced == 0)
            })?;
        }
        eprintln!("{} streams are open after {:.1} s", self.readers.len(), began.elapsed().as_secs_f64());
        Ok(())
    }

    /// Reports at a rate and reads for a time.
    fn run(&mut self, what: &str, length: Duration, per_second: u32) -> Result<Run> {
        eprintln!("{what}: {per_second} reports a second for {} s", length.as_secs_f64());
        (self.readers.told, self.reporters.sent) = (Told::nothing(), Sent::default());
        let conflated = self.conflated()?;
        let times = |pid| procfs::cpu_time(pid).context("Linux tells no processor time");
        let (server, own) = (times(self.pid)?, times(std::process::id())?);
        let began = Instant::now();
        let mut pace = Pace::new(per_second, began);
        let (mut memory_max, mut look_at) = (0, began);
        while began.elapsed() < length {
            self.pump(&mut pace)?;
            if look_at <= Instant::now() {
                memory_max = memory_max.max(procfs::resident(self.pid)?);
                look_at += MEMORY_INTERVAL;
            }
        }
        let took = began.elapsed().as_secs_f64();
        let cores = |after: Duration, before: Duration| (after - before).as_secs_f64() / took;
        Ok(Run {
            server_cores: cores(times(self.pid)?, server),
            own_cores: cores(times(std::process::id())?, own),
            sent: self.reporters.sent,
            told: self.readers.told.clone(),
            conflated: self.conflated()? - conflated,
            memory_max,
        })
    }

    /// Waits until every reader that reads holds the last position of each client in its box, and nothing else.
    fn settle(&mut self) -> Result<()> {
        let expected = self.town.held();
        let mut compare_at = Instant::now();
        let settled = self.pump_until(SETTLE_MAX, "", |scene, now| {
            if now < compare_at {
                return Ok(false);
            }
            compare_at = now + COMPARE_INTERVAL;
            Ok(scene.readers.unsynced == 0 && scene.readers.first_wrong(&expected).is_none())
        });
        match (settled, self.readers.first_wrong(&expected)) {
            (Err(_), Some(WrongReader { number, held, expected })) => bail!(
                "reader {number} holds {held:?}, which should be {expected:?} (client, time of its report)"
            ),
            (Err(_), None) => bail!("{} readers were not told all of the state", self.readers.unsynced),
            (Ok(()), _) => Ok(()),
        }
    }

    /// Lets half of the readers stop reading, fills their sockets, measures the others, and lets all read again.
    fn stall(&mut self, plan: &StreamsPlan) -> Result<Stalled> {
        let sockets = procfs::socket_memory()?;
        self.readers.stop(&self.poll)?;
        let filled = self.run("half of the readers stop", plan.seconds, plan.reports * FILL_FACTOR)?;
        // The others must have read everything before they are measured.
        self.settle()?;
        let run = self.run("half of the readers do not read", plan.seconds, plan.reports)?;
        let memory_max = filled.memory_max.max(run.memory_max);
        self.settle()?;
        let sockets = [sockets, procfs::socket_memory()?];
        let closed = self.metric("proxyherd_streams{state=\"kept\"}")?;
        for number in 0..self.readers.len() {
            self.readers.resume(&self.poll, number)?;
        }
        self.settle().context("after readers that had stopped read again")?;
        Ok(Stalled { run, memory_max, sockets, conflated: filled.conflated, closed })
    }

    /// Sends the reports that are due, waits for sockets until the next one is due, and reads from these.
    fn pump(&mut self, pace: &mut Pace) -> Result<()> {
        let now = Instant::now();
        while pace.is_due(now) {
            self.reporters.report(&mut self.town)?;
        }
        self.wait(pace.pause(now))
    }

    fn wait(&mut self, pause: Duration) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(pause)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error).context("cannot wait for the connections"),
        }
        for event in &self.events {
            let is_closed = event.is_read_closed();
            if event.token().0 >= reporters::FIRST_TOKEN {
                self.reporters.take(event.token(), is_closed)?;
            } else {
                self.readers.take(&self.poll, event.token().0, is_closed)?;
            }
        }
        Ok(())
    }

    /// Reads until `is_over`, which is called again and again. Fails with `message` after `longest`.
    fn pump_until(
        &mut self,
        longest: Duration,
        message: &str,
        mut is_over: impl FnMut(&mut Scene, Instant) -> Result<bool>,
    ) -> Result<()> {
        let began = Instant::now();
        while !is_over(self, Instant::now())? {
            ensure!(began.elapsed() < longest, "{message} within {longest:?}");
            self.wait(Duration::from_millis(1))?;
        }
        Ok(())
    }

    fn conflated(&self) -> Result<u64> {
        self.metric("proxyherd_stream_conflated_total")
    }

    /// One number of the server's metrics.
    fn metric(&self, name: &str) -> Result<u64> {
        let mut stream = TcpStream::connect(self.http)?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.http)?;
        let mut text = String::new();
        stream.read_to_string(&mut text).context("cannot read the server's metrics")?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.with_context(|| format!("the server has no metric {name}"))?;
        value.parse().with_context(|| format!("{name} is no whole number"))
    }
}

/// Raises this process's limit of descriptors. The server raises its own.
fn raise_descriptors(needed: u64) -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        bail!(
            "this takes {needed} descriptors in this process and as many in the server's: see `ulimit -Hn`"
        );
    }
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("cannot raise the limit of descriptors")
}

fn print_open(plan: &StreamsPlan, opened_kib: f64, used_kib: f64, without: &Run, with: &Run) -> bool {
    let cores = with.server_cores - without.server_cores;
    let p99 = with.told.latency.percentile(0.99);
    let is_met = used_kib <= MEMORY_TARGET_KIB && cores <= CORES_TARGET && p99 <= LATENCY_TARGET;
    println!(
        "{} streams, {} reports/s, {} streams match each report: {used_kib:.1} KiB a stream ({opened_kib:.1} when just \
         opened; target {MEMORY_TARGET_KIB}); {cores:.2} cores for the streams ({:.2} with them, {:.2} without; target \
         {CORES_TARGET}); {}; {}",
        grouped(plan.streams.into()),
        grouped(plan.reports.into()),
        super::town::BOXES_OF_A_POSITION,
        with.server_cores,
        without.server_cores,
        latency(&with.told),
        super::verdict(is_met),
    );
    println!("  {}; this program took {:.2} cores", events(with), with.own_cores);
    println!("  each reader holds the last position of every client in its box, and no other");
    is_met
}

fn print_stalled(plan: &StreamsPlan, stalled: &Stalled, most_kib: f64, without: &Run) -> bool {
    let Stalled { run, sockets, conflated, closed, .. } = stalled;
    let cores = run.server_cores - without.server_cores;
    let is_met = most_kib <= MEMORY_TARGET_KIB && run.told.latency.percentile(0.99) <= LATENCY_TARGET;
    println!(
        "{} of the readers do not read: at most {most_kib:.1} KiB a stream; {cores:.2} cores for the streams; the others: \
         {}; {}",
        grouped(f64::from(plan.streams / 2)),
        latency(&run.told),
        super::verdict(is_met)
    );
    println!(
        "  {}; {} were conflated while the sockets filled; the server closed {} of the streams that nobody read; sockets \
         took {:.0} MB of the kernel's memory, before {:.0} MB",
        events(run),
        grouped(*conflated as f64),
        grouped(*closed as f64),
        sockets[1] as f64 / 1e6,
        sockets[0] as f64 / 1e6,
    );
    println!("  the same readers read again, and hold the last position of every client in their boxes");
    is_met
}

fn latency(told: &Told) -> String {
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| duration(told.latency.percentile(share)));
    format!("report to event p50 {p50}, p99 {p99}, longest {most}")
}

fn events(run: &Run) -> String {
    let Run { sent, told, conflated, .. } = run;
    format!(
        "{} location and {} left events were told of {} and {} that these reports cause; {} changes were conflated; {} \
         streams began anew",
        grouped(told.locations as f64),
        grouped(told.left as f64),
        grouped(sent.locations as f64),
        grouped(sent.left as f64),
        grouped(*conflated as f64),
        told.resets,
    )
}
