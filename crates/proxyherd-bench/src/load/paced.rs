//! Sends reports at a fixed rate, whether or not the server keeps up (an open loop).
//!
//! Each report has an intended time, and its latency counts from that time. So a server that stops for a while pays for
//! every report that was due meanwhile (no coordinated omission). Reports that have no answer at the end count with the
//! time that they have waited until then.
//!
//! The reports are distributed over the connections in turn. With [`PacedPlan::tick`], each connection writes what is
//! due once in a tick. Without it, what is due is written at once. One thread serves all connections. It waits with a
//! timer of the system, because epoll alone waits for whole milliseconds.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::{Events, Interest, Poll, Token, net::TcpStream, unix::SourceFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::bursts::BurstRing;
use super::replies::{Dialect, ReplyChecker};
use super::{Clock, LOS_ANGELES, READ_BUFFER_LEN, connection};
use crate::stats::Histogram;

/// Maximum number of reports of a connection that wait for their answers. Further reports that are due are not sent,
/// and count as late.
const OUTSTANDING_MAX: usize = 100_000;
/// Time after the end of the run for which outstanding answers are awaited.
const GRACE: Duration = Duration::from_secs(2);
/// Shortest time for which the timer is set.
const PAUSE_MIN: Duration = Duration::from_micros(1);

/// The servers, the rate, and the length of the run.
#[derive(Clone)]
pub(crate) struct PacedPlan {
    /// The servers, among which the connections are divided evenly.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) dialect: Dialect,
    pub(crate) connections: u32,
    pub(crate) clients: u32,
    /// Reports per second of all connections together.
    pub(crate) per_second: f64,
    /// Each connection writes at these intervals. `None`: as soon as something is due.
    pub(crate) tick: Option<Duration>,
    pub(crate) duration: Duration,
}

/// What a run measured.
pub(crate) struct PacedResult {
    /// Reports that were due.
    pub(crate) due: u64,
    /// Reports that were answered before the run's end.
    pub(crate) answered: u64,
    pub(crate) duration: Duration,
    /// The time from each report's intended time to its answer.
    pub(crate) latency: Histogram,
}

impl PacedResult {
    /// The share of the reports that were answered before the run's end.
    pub(crate) fn kept(&self) -> f64 {
        if self.due == 0 { 1.0 } else { self.answered as f64 / self.due as f64 }
    }

    pub(crate) fn answered_per_second(&self) -> f64 {
        self.answered as f64 / self.duration.as_secs_f64()
    }
}

/// Sends for `plan.duration`. Fails at the first wrong answer, and if a server closes a connection.
pub(crate) fn run(plan: &PacedPlan) -> Result<PacedResult> {
    let mut paced = Paced::connect(plan)?;
    let start = Instant::now();
    let end = start + plan.duration;
    paced.schedule.start = start;
    let start_ns = Clock::started()?.unix_ns(Instant::now());
    let mut answered_in_time = None;
    loop {
        let now = Instant::now();
        if now < end {
            paced.send_due(now, start_ns)?;
        } else {
            answered_in_time.get_or_insert(paced.answered);
            if paced.is_idle() || now > end + GRACE {
                break;
            }
        }
        let next = if now < end { paced.schedule.next_write(now).min(end) } else { end + GRACE };
        paced.wait(next.saturating_duration_since(now))?;
    }
    let (due, answered) = (paced.schedule.due_before(plan.duration), answered_in_time.unwrap_or(0));
    let latency = paced.finish(Instant::now());
    Ok(PacedResult { due, answered, duration: plan.duration, latency })
}

/// When reports are due.
#[derive(Clone, Copy)]
struct Schedule {
    start: Instant,
    per_second: f64,
    tick: Option<Duration>,
}

impl Schedule {
    /// The intended time of the report with this number, as a time after the start.
    fn due(&self, number: u64) -> Duration {
        Duration::from_secs_f64(number as f64 / self.per_second)
    }

    /// The number of reports that are due before this time after the start.
    fn due_before(&self, passed: Duration) -> u64 {
        if self.per_second <= 0.0 {
            return 0;
        }
        (passed.as_secs_f64() * self.per_second).ceil() as u64
    }

    /// The next time at which something is written.
    fn next_write(&self, now: Instant) -> Instant {
        let passed = now.saturating_duration_since(self.start);
        if self.per_second <= 0.0 {
            return now + GRACE;
        }
        let tick = self.tick.unwrap_or_default();
        if tick.is_zero() {
            return self.start + self.due(self.due_before(passed));
        }
        let ticks = passed.as_nanos() / tick.as_nanos() + 1;
        self.start + tick * u32::try_from(ticks).unwrap_or(u32::MAX)
    }
}

/// All connections, and the reports that were handed to them.
struct Paced {
    poll: Poll,
    timer: OwnedFd,
    schedule: Schedule,
    connections: Vec<PacedConnection>,
    /// The number of the next report.
    next: u64,
    answered: u64,
    latency: Histogram,
    events: Events,
    buffer: Vec<u8>,
}

/// A connection that writes what is due.
struct PacedConnection {
    stream: TcpStream,
    address: SocketAddr,
    lines: BurstRing,
    replies: ReplyChecker,
    /// What the socket has not accepted yet.
    unsent: VecDeque<u8>,
    /// The intended times of the reports that wait for their answers, as times after the start.
    outstanding: VecDeque<Duration>,
}

impl Paced {
    fn connect(plan: &PacedPlan) -> Result<Paced> {
        let poll = Poll::new().context("cannot create an epoll instance")?;
        let each = (plan.clients / plan.connections).max(1);
        let mut connections = Vec::new();
        for number in 0..plan.connections {
            let address = plan.addresses[number as usize % plan.addresses.len()];
            let mut stream =
                connection::connect(address).with_context(|| format!("cannot connect to {address}"))?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut stream, Token(number as usize), interest)
                .context("cannot watch a connection")?;
            connections.push(PacedConnection {
                stream,
                address,
                lines: BurstRing::new(plan.dialect.line(), LOS_ANGELES, number * each, each, 1),
                replies: ReplyChecker::new(plan.dialect),
                unsent: VecDeque::new(),
                outstanding: VecDeque::new(),
            });
        }
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)
            .context("cannot create a timer")?;
        poll.registry()
            .register(&mut SourceFd(&timer.as_raw_fd()), Token(connections.len()), Interest::READABLE)
            .context("cannot watch a timer")?;
        let schedule = Schedule { start: Instant::now(), per_second: plan.per_second, tick: plan.tick };
        Ok(Paced {
            poll,
            timer,
            schedule,
            connections,
            next: 0,
            answered: 0,
            latency: Histogram::new(),
            events: Events::with_capacity(256),
            buffer: vec![0; READ_BUFFER_LEN],
        })
    }

    /// Writes the reports that are due. A report's timestamp is its intended time, so timestamps increase.
    fn send_due(&mut self, now: Instant, start_ns: u64) -> Result<()> {
        let passed = match self.schedule.tick {
            // What becomes due within the present tick is written at the next one.
            Some(tick) if !tick.is_zero() => {
                let ticks = now.saturating_duration_since(self.schedule.start).as_nanos() / tick.as_nanos();
                tick * u32::try_from(ticks).unwrap_or(u32::MAX)
            }
            _ => now.saturating_duration_since(self.schedule.start),
        };
        let due = self.schedule.due_before(passed);
        if self.next == due {
            return Ok(());
        }
        let (first, count) = (self.next, self.connections.len() as u64);
        while self.next < due {
            let intended = self.schedule.due(self.next);
            let connection = &mut self.connections[(self.next % count) as usize];
            if connection.outstanding.len() < OUTSTANDING_MAX {
                let range = connection.lines.renew(start_ns + intended.as_nanos() as u64);
                connection.unsent.extend(connection.lines.text(range));
                connection.outstanding.push_back(intended);
            } else {
                // It is late by the rest of the run at least.
                self.latency.record(GRACE);
            }
            self.next += 1;
        }
        for number in first..due.min(first + count) {
            self.connections[(number % count) as usize].flush()?;
        }
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.connections.iter().all(|connection| connection.outstanding.is_empty())
    }

    /// Waits for sockets, at most for this time, and takes the answers.
    fn wait(&mut self, pause: Duration) -> Result<()> {
        let value = Timespec::try_from(pause.max(PAUSE_MIN)).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(
            &self.timer,
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: zero, it_value: value },
        )
        .context("cannot set a timer")?;
        match self.poll.poll(&mut self.events, None) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error).context("cannot wait for the connections"),
        }
        for event in &self.events {
            let Some(connection) = self.connections.get_mut(event.token().0) else { continue };
            if event.is_writable() {
                connection.flush()?;
            }
            if event.is_readable() || event.is_read_closed() {
                let ended = connection.receive(&mut self.buffer, event.is_read_closed())?;
                let now = self.schedule.start.elapsed();
                for intended in connection.outstanding.drain(..ended) {
                    self.latency.record(now.saturating_sub(intended));
                }
                self.answered += ended as u64;
            }
        }
        Ok(())
    }

    /// The latencies, with those of reports that have no answer.
    fn finish(mut self, now: Instant) -> Histogram {
        let passed = now.saturating_duration_since(self.schedule.start);
        for intended in self.connections.iter().flat_map(|connection| &connection.outstanding) {
            self.latency.record(passed.saturating_sub(*intended));
        }
        self.latency
    }
}

impl PacedConnection {
    /// Writes as much as the socket accepts.
    fn flush(&mut self) -> Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(self.unsent.as_slices().0) {
                Ok(len) => drop(self.unsent.drain(..len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).with_context(|| format!("cannot send to {}", self.address)),
            }
        }
        Ok(())
    }

    /// Reads what has arrived, and returns the number of answers that have ended. `closed` is true if the server has
    /// closed its end.
    fn receive(&mut self, buffer: &mut [u8], closed: bool) -> Result<usize> {
        let mut ended = 0;
        loop {
            match self.stream.read(buffer) {
                Ok(0) => bail!("{} closed a connection", self.address),
                Ok(len) => {
                    ended += self
                        .replies
                        .take(&buffer[..len])
                        .with_context(|| format!("{} is wrong", self.address))?;
                    if len < buffer.len() && !closed {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read from {}", self.address));
                }
            }
        }
        if ended > self.outstanding.len() {
            bail!("{} sent more replies than it had lines", self.address);
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    /// A server that echoes lines. It answers the first line of each connection after `pause`.
    fn server(pause: Duration) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || echo(&stream, pause));
            }
        });
        address
    }

    fn echo(mut stream: &std::net::TcpStream, pause: Duration) {
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let Some(first) = lines.next() else { return };
        thread::sleep(pause);
        for line in [first].into_iter().chain(lines) {
            if stream.write_all(format!("{line}\n").as_bytes()).is_err() {
                return;
            }
        }
    }

    fn plan(address: SocketAddr, tick: Option<Duration>) -> PacedPlan {
        PacedPlan {
            addresses: vec![address],
            dialect: Dialect::Echo,
            connections: 5,
            clients: 100,
            per_second: 1000.0,
            tick,
            duration: Duration::from_millis(300),
        }
    }

    #[test]
    fn what_is_due_is_sent_and_answered() {
        for tick in [None, Some(Duration::from_millis(10))] {
            let result = run(&plan(server(Duration::ZERO), tick)).unwrap();
            assert_eq!(result.due, 300);
            assert!(result.kept() > 0.5 && result.answered <= 300, "{}", result.answered);
            assert!(result.latency.percentile(0.5) > Duration::ZERO);
        }
    }

    #[test]
    fn a_server_that_pauses_pays_for_every_report_that_was_due_meanwhile() {
        let pause = Duration::from_millis(200);
        let result = run(&plan(server(pause), None)).unwrap();
        // Two thirds of the reports were due in the pause. In a closed loop there would be one for each connection.
        let median = result.latency.percentile(0.6);
        assert!(median >= pause / 4, "{median:?}");
        assert!(result.latency.percentile(1.0) >= pause);
    }

    #[test]
    fn a_rate_of_zero_sends_nothing() {
        let result = run(&PacedPlan { per_second: 0.0, ..plan(server(Duration::ZERO), None) }).unwrap();
        assert_eq!((result.due, result.answered, result.kept()), (0, 0, 1.0));
    }

    #[test]
    fn the_schedule_has_its_ticks() {
        let start = Instant::now();
        let schedule = Schedule { start, per_second: 2000.0, tick: Some(Duration::from_millis(1)) };
        let after = |micros| start + Duration::from_micros(micros);
        assert_eq!(schedule.next_write(after(0)), after(1000));
        assert_eq!(schedule.next_write(after(1500)), after(2000));
        let at_once = Schedule { tick: None, ..schedule };
        assert_eq!(at_once.next_write(after(600)), after(1000));
        assert_eq!(schedule.due_before(Duration::from_millis(3)), 6);
    }
}
