//! Measures how a server with a journal restarts, how much disk it takes, and how long reports wait while it compacts.
//!
//! A server is filled with clients, killed, and started again. Then its clients report until the server compacts its
//! store. Meanwhile the size of the store is read again and again, and clients at a moderate rate measure how long
//! reports wait. These clients also measure the waits without a compaction, because a busy machine makes reports wait,
//! too. At the end the server is killed and started once more, so that it also reads snapshots.

pub(crate) mod fill;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;

use crate::disk::{Probe, bytes_in};
use crate::format::{BOLD, DIM, duration, grouped, size, verdict};
use crate::load::roam::{self, RoamCounts, RoamPlan};
use crate::load::{self, Dialect, LOS_ANGELES, LoadPlan};
use crate::target;
use crate::target::group::{Group, GroupConfig, LONE, LinkEncryption};
use crate::target::herd;

/// The targets for the time until a server is ready: for up to a million clients, and for more.
const READY_MAX: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(30)];
/// The target for the disk use, as a multiple of the bytes of the live records.
const DISK_MAX: f64 = 3.0;
/// The target for the longest time that a report waits while the server compacts. If reports also wait longer without a
/// compaction, then that time.
const STALL_MAX: Duration = Duration::from_millis(50);

/// Number of connections, and of reports that each has outstanding, of the load that fills the disk.
const CONNECTIONS: u32 = 50;
const DEPTH: u32 = 128;
/// Number of reports that each connection has outstanding at the moderate rate.
const MODERATE_DEPTH: u32 = 4;
/// Length of a run of the load that fills the disk. After each run the size of the store is compared with `NEARLY`.
const RUN: Duration = Duration::from_millis(500);
/// Length of a run at the moderate rate, and the time for which the waits without a compaction are measured.
const MODERATE_RUN: Duration = Duration::from_secs(1);
const CALM: Duration = Duration::from_secs(4);
/// From this multiple of the live bytes on, the load is moderate. The server compacts at twice the live bytes.
const NEARLY: f64 = 1.8;
/// Maximum time until the server has compacted.
const PATIENCE: Duration = Duration::from_secs(600);
/// Interval between two looks at the store.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What to measure.
#[derive(Args)]
pub(crate) struct RestartPlan {
    /// Number of clients.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(10_000..=100_000_000))]
    clients: u32,
    /// Number of reports in a second while the server compacts.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1000..=1_000_000))]
    rate: u32,
    /// Folder for the server's data, on the disk to be measured. In memory (/dev/shm), an fdatasync takes no time.
    /// Default: the folder for temporary files.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What was measured.
struct RestartResult<'a> {
    plan: &'a RestartPlan,
    /// Bytes of the store after the filling.
    filled_bytes: u64,
    /// The time until the server was ready, after the filling and after the compaction.
    ready: [Duration; 2],
    pressed: Pressed,
    probe: Probe,
}

/// What was measured while clients reported.
#[derive(Default)]
struct Pressed {
    /// The greatest size of the store, as a multiple of the bytes of the live records.
    disk_ratio_max: f64,
    /// Bytes of the store after the compaction.
    compacted_bytes: u64,
    compactions: u64,
    lines: u64,
    /// The times that reports waited at the moderate rate without a compaction ...
    calm: Waits,
    /// ... and while the server compacted.
    compacting: Waits,
}

/// The times that reports waited.
#[derive(Clone, Copy, Default)]
struct Waits {
    longest: Duration,
    p999: Duration,
}

impl RestartResult<'_> {
    fn ready_max(&self) -> Duration {
        READY_MAX[usize::from(self.plan.clients > 1_000_000)]
    }

    /// The figures, their targets, and whether these are met.
    fn verdicts(&self) -> [(&'static str, String, String, bool); 4] {
        let Pressed { disk_ratio_max, calm, compacting, .. } = self.pressed;
        let stall_max = STALL_MAX.max(calm.longest);
        let ready_max = self.ready_max();
        let ready = |what, ready: Duration| {
            (
                what,
                format!("{:.2} s", ready.as_secs_f64()),
                format!("{} s", ready_max.as_secs()),
                ready < ready_max,
            )
        };
        [
            ready("until ready, from segments", self.ready[0]),
            ready("until ready, from snapshots", self.ready[1]),
            (
                "disk / live bytes, at most",
                format!("{disk_ratio_max:.2}"),
                format!("{DISK_MAX}"),
                disk_ratio_max <= DISK_MAX,
            ),
            (
                "longest wait of a report",
                duration(compacting.longest),
                duration(stall_max),
                compacting.longest <= stall_max,
            ),
        ]
    }
}

/// Measures and prints the results. Returns whether the targets are met. Progress goes to standard error.
pub(crate) fn run(plan: &RestartPlan, server_bin: Option<&Path>) -> Result<bool> {
    let program = herd::program(server_bin)?;
    let max_clients = format!("max_clients={}", 2 * u64::from(plan.clients));
    let config = GroupConfig::of(&LONE)?.with(&["journal=true", &max_clients], plan.dir.as_deref());
    let group = config.start(&program, LinkEncryption::Off)?;
    let mut probe = Probe::create(group.home())?;
    probe.measure()?;

    fill::fill(group.servers[0].line, plan.clients)?;
    let filled_bytes = bytes_in(&store(&group))?;
    let (group, from_segments) = restart(group, plan)?;
    eprintln!(
        "ready after {:.2} s; now clients report until the server compacts",
        from_segments.as_secs_f64()
    );
    let pressed = press(&group, plan)?;
    probe.measure()?;
    let (group, from_snapshots) = restart(group, plan)?;
    drop(group);

    let ready = [from_segments, from_snapshots];
    let result = RestartResult { plan, filled_bytes, ready, pressed, probe };
    anstream::print!("{}", table(&result));
    Ok(result.verdicts().iter().all(|(.., is_met)| *is_met))
}

/// Kills the server and starts it again. Fails if the server then lacks a client.
fn restart(group: Group, plan: &RestartPlan) -> Result<(Group, Duration)> {
    let (group, took) = group.restart(0)?;
    let records = group.servers[0].metrics()?.sum("proxyherd_records");
    ensure!(records == u64::from(plan.clients), "the server has {records} records after its restart");
    Ok((group, took))
}

/// Has clients report until the server has compacted its store.
fn press(group: &Group, plan: &RestartPlan) -> Result<Pressed> {
    let before = compactions(group)?;
    let began = Instant::now();
    let watched = Mutex::new(Pressed::default());
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| watch(group, &watched, &is_over));
        let reported = (|| {
            let calm = moderate(group, plan, &watched, || Ok(began.elapsed() < CALM))?;
            lock(&watched).calm = calm;
            while ratio(group)? < NEARLY {
                ensure!(began.elapsed() < PATIENCE, "the store has not grown within {PATIENCE:?}");
                let lines = flood(group, plan)?;
                lock(&watched).lines += lines;
            }
            let before = compactions(group)?;
            let compacting = moderate(group, plan, &watched, || Ok(compactions(group)? == before))?;
            lock(&watched).compacting = compacting;
            Ok(())
        })();
        is_over.store(true, Relaxed);
        watching.join().map_err(|_| anyhow!("the thread that watches the store panicked"))??;
        reported
    })?;
    let mut pressed = watched.into_inner().unwrap_or_else(PoisonError::into_inner);
    pressed.compactions = compactions(group)? - before;
    pressed.compacted_bytes = bytes_in(&store(group))?;
    Ok(pressed)
}

/// The clients that report again. Their names have the same length.
fn reporting(plan: &RestartPlan) -> u32 {
    plan.clients.min(load::CLIENTS_MAX)
}

/// Reports as fast as the server takes it, for a moment.
fn flood(group: &Group, plan: &RestartPlan) -> Result<u64> {
    let load = LoadPlan {
        addresses: vec![group.servers[0].line],
        dialect: Dialect::Herd,
        connections: CONNECTIONS,
        threads: (target::cores() / 2).max(1),
        clients: reporting(plan),
        around: LOS_ANGELES,
        depth: DEPTH,
        duration: RUN,
    };
    Ok(load::run(&load)?.lines)
}

/// Reports at a moderate rate as long as `goes_on`, and returns how long reports waited.
fn moderate(
    group: &Group,
    plan: &RestartPlan,
    watched: &Mutex<Pressed>,
    goes_on: impl Fn() -> Result<bool>,
) -> Result<Waits> {
    let began = Instant::now();
    let counts = Mutex::new(RoamCounts::new());
    let roam = RoamPlan {
        addresses: vec![group.servers[0].line],
        connections: CONNECTIONS,
        clients: reporting(plan),
        depth: MODERATE_DEPTH,
        lines_per_second: f64::from(plan.rate),
        // Nobody moves.
        stay: 10 * PATIENCE,
        duration: MODERATE_RUN,
    };
    while goes_on()? {
        ensure!(began.elapsed() < PATIENCE, "the server has not compacted its store within {PATIENCE:?}");
        roam::run(&roam, &counts)?;
    }
    let counts = counts.into_inner().unwrap_or_else(PoisonError::into_inner);
    lock(watched).lines += counts.lines;
    let [longest, p999] = [1.0, 0.999].map(|share| counts.latency.percentile(share));
    ensure!(longest > Duration::ZERO, "no report was made at the moderate rate");
    Ok(Waits { longest, p999 })
}

/// The number of compactions of the server so far.
fn compactions(group: &Group) -> Result<u64> {
    Ok(group.servers[0].metrics()?.sum("proxyherd_journal_compactions_total"))
}

/// Reads the size of the store until `is_over`.
fn watch(group: &Group, watched: &Mutex<Pressed>, is_over: &AtomicBool) -> Result<()> {
    while !is_over.load(Relaxed) {
        let ratio = ratio(group)?;
        let mut watched = lock(watched);
        watched.disk_ratio_max = watched.disk_ratio_max.max(ratio);
        drop(watched);
        thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}

/// The size of the store as a multiple of the bytes of the live records. 0 as long as the server has not counted them.
fn ratio(group: &Group) -> Result<f64> {
    let live = group.servers[0].metrics()?.sum("proxyherd_journal_live_bytes");
    if live == 0 {
        return Ok(0.0);
    }
    let disk = bytes_in(&store(group)).context("the server has no data")?;
    Ok(disk as f64 / live as f64)
}

/// The folder of the server's store.
fn store(group: &Group) -> PathBuf {
    group.home().join("data").join(group.servers[0].name).join("journal")
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The results as a table.
fn table(result: &RestartResult<'_>) -> String {
    let RestartResult { plan, pressed, probe, .. } = result;
    let clients = f64::from(plan.clients);
    let mut text = format!(
        "\n{BOLD}One server with a journal and {} clients, killed and started again{BOLD:#}\n{} cores\n\n\
         {BOLD}{:<30}  {:>10}  {:>10}{BOLD:#}\n",
        grouped(clients),
        target::cores(),
        "",
        "",
        "target"
    );
    for (what, figure, aim, is_met) in result.verdicts() {
        let (style, verdict) = verdict(is_met);
        let _ = writeln!(text, "{what:<30}  {figure:>10}  {aim:>10}  {style}{verdict}{style:#}");
    }
    let each = |bytes: u64| format!("{:.0} bytes", bytes as f64 / clients);
    for (what, figure) in [
        ("disk of a client, from segments", each(result.filled_bytes)),
        ("disk of a client, compacted", each(pressed.compacted_bytes)),
        ("the store after compaction", size(pressed.compacted_bytes)),
        ("wait of a report, p99.9", duration(pressed.compacting.p999)),
        ("the same without compaction", duration(pressed.calm.p999)),
        ("longest wait without compaction", duration(pressed.calm.longest)),
        ("longest fdatasync of this disk", duration(probe.sync.percentile(1.0))),
    ] {
        let _ = writeln!(text, "{what:<31} {figure:>10}");
    }
    let _ = writeln!(
        text,
        "\n{DIM}{} reports after the filling, with {} compactions. Waits are at {} reports a second, until the\n\
         acknowledgement, so each includes an fdatasync.{DIM:#}",
        grouped(pressed.lines as f64),
        pressed.compactions,
        grouped(f64::from(plan.rate))
    );
    text
}
