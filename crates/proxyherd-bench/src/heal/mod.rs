//! Measures the time and the bytes that two servers need to repair their replicas after their link was cut. Both
//! servers hold the same records. In each round the link is cut, some records change at each server, and the link is
//! restored.
//!
//! The link passes through a relay in this process, which counts its bytes and cuts it. The measured time begins when
//! the relay restores the link, and includes the time until a server dials. The time ends when each server has received
//! the changes of the other server. Then both servers are asked for the records. On a small machine the relay takes
//! processor time from the servers.

mod clients;
mod output;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use crate::format::grouped;
use crate::progress::Progress;
use crate::stats::Spread;
use crate::target::group::{Group, GroupConfig, LinkEncryption, PAIR};
use crate::target::herd;
use crate::target::relay::Relay;
use clients::ClientReport;

/// The target for the time, for a herd of a million records of which 1 % change.
const TIME_MAX: Duration = Duration::from_secs(1);
/// The target for the bytes on the wire, as a multiple of the bytes of the changed records.
const RATIO_MAX: f64 = 1.2;

/// Interval at which the servers are asked for the number of records that they have received.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// Time after the dial at which the link's bytes are counted a second time. This count includes the bytes that follow
/// the records.
const SETTLED_AFTER: Duration = Duration::from_secs(1);
/// Maximum time until the link is dialed. Also the maximum time after that until the servers have healed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Number of unchanged records that the servers are asked for as well.
const UNCHANGED_ASKED: u32 = 10_000;

/// What to measure.
pub(crate) struct HealPlan {
    pub(crate) records: u32,
    pub(crate) changed: u32,
    pub(crate) rounds: u32,
    pub(crate) seed: u64,
    pub(crate) encryption: LinkEncryption,
}

/// What was measured.
pub(crate) struct HealResult {
    pub(crate) plan: HealPlan,
    /// Bytes of the changed records alone, in a link's encoding.
    pub(crate) record_bytes: u64,
    pub(crate) rounds: Vec<CutResult>,
}

/// What was measured after one cut.
pub(crate) struct CutResult {
    /// Time from the restoring of the link until a server dialed.
    pub(crate) dial: Duration,
    /// Time from the dial until both servers had every changed record.
    pub(crate) heal: Duration,
    /// Bytes of both directions from the restoring of the link until both servers had every changed record.
    pub(crate) bytes: u64,
    /// Bytes of both directions from the restoring of the link until a second after the dial.
    pub(crate) bytes_settled: u64,
}

impl HealResult {
    /// Time from the restoring of the link until both servers had healed, seconds.
    pub(crate) fn time_s(&self) -> Spread {
        Spread::of(self.rounds.iter().map(|round| (round.dial + round.heal).as_secs_f64()))
    }

    /// Bytes on the wire as a multiple of the bytes of the changed records.
    pub(crate) fn ratio(&self) -> Spread {
        Spread::of(self.rounds.iter().map(|round| round.bytes as f64 / self.record_bytes as f64))
    }

    /// Whether even the slowest round met the target.
    pub(crate) fn is_in_time(&self) -> bool {
        self.time_s().high <= TIME_MAX.as_secs_f64()
    }

    /// Whether even the round with the most bytes met the target.
    pub(crate) fn is_within_bytes(&self) -> bool {
        self.ratio().high <= RATIO_MAX
    }
}

/// Measures and prints a table. Returns whether both targets were met.
pub(crate) fn run(plan: HealPlan, server_bin: Option<&Path>) -> Result<bool> {
    let program = herd::program(server_bin)?;
    let mut config = GroupConfig::of(&PAIR)?;
    let relay = Relay::before(config.peer(0))?;
    config.advertise(0, relay.address());
    let group = config.start(&program, plan.encryption)?;
    let mut run = HealRun { plan: &plan, group, relay, stamps: Vec::new(), progress: Progress::new() };
    run.fill()?;
    let record_bytes = clients::encoded_len(&run.changes(0, 0));
    let rounds = (0..plan.rounds).map(|round| run.round(round)).collect::<Result<_>>()?;
    drop(run);
    let result = HealResult { plan, record_bytes, rounds };
    anstream::print!("{}", output::table(&result));
    Ok(result.is_in_time() && result.is_within_bytes())
}

/// The two servers, the relay between them, and the records that they should hold.
struct HealRun<'a> {
    plan: &'a HealPlan,
    group: Group,
    relay: Relay,
    /// The newest timestamp of each client.
    stamps: Vec<u64>,
    progress: Progress,
}

impl HealRun<'_> {
    /// Reports all clients to one server, and waits until both servers hold all records.
    fn fill(&mut self) -> Result<()> {
        let (records, start) = (self.plan.records, unix_ns()?);
        self.stamps = (0..u64::from(records)).map(|client| start + client).collect();
        let reports: Vec<ClientReport> = (0..records).zip(self.stamps.iter().copied()).collect();
        let mut reported = 0;
        let HealRun { group, progress, .. } = self;
        clients::report(group.servers[0].line, &reports, |count| {
            reported += count;
            progress.show(|| {
                format!("filling: {} of {} records", grouped(reported as f64), grouped(f64::from(records)))
            });
        })?;
        group.wait_for("both servers hold all records", |group| {
            let held = group.servers[1].metrics()?.sum("proxyherd_records");
            progress.show(|| format!("{} records at the other server", grouped(held as f64)));
            Ok(held == u64::from(records) && group.servers[0].metrics()?.sum("proxyherd_records") == held)
        })?;
        ensure!(self.relay.passed() > 0, "the servers' link does not lead through the relay");
        Ok(())
    }

    /// Reports of the clients that change in a round, from `now_ns` on.
    fn changes(&self, round: u32, now_ns: u64) -> Vec<ClientReport> {
        let HealPlan { records, changed, seed, .. } = *self.plan;
        clients::chosen(records, changed, seed, round).zip(now_ns..).collect()
    }

    fn round(&mut self, round: u32) -> Result<CutResult> {
        self.progress.begin_anew();
        self.progress.show(|| format!("cut {} of {}", round + 1, self.plan.rounds));
        self.relay.cut();
        self.group.wait_for_links(0)?;
        let before = [self.received(0)?, self.received(1)?];
        let changes = self.changes(round, unix_ns()?);
        let (here, there) = changes.split_at(changes.len() / 2);
        clients::report(self.group.servers[0].line, here, |_| ())?;
        clients::report(self.group.servers[1].line, there, |_| ())?;
        let wanted = [before[0] + there.len() as u64, before[1] + here.len() as u64];
        let measured = self.measure(wanted)?;
        for &(client, stamp) in &changes {
            self.stamps[client as usize] = stamp;
        }
        self.verify(&changes, round)?;
        Ok(measured)
    }

    /// Restores the link, and waits until the servers have received `wanted` records.
    fn measure(&mut self, wanted: [u64; 2]) -> Result<CutResult> {
        let passed = self.relay.passed();
        let returned = self.relay.restore()?;
        let dialed = self.wait_for_dial(returned)?;
        while self.received(0)? < wanted[0] || self.received(1)? < wanted[1] {
            if dialed.elapsed() > PATIENCE {
                bail!("after {PATIENCE:?} the servers have not healed");
            }
            thread::sleep(POLL_INTERVAL);
        }
        let (heal, bytes) = (dialed.elapsed(), self.relay.passed() - passed);
        thread::sleep(SETTLED_AFTER.saturating_sub(dialed.elapsed()));
        Ok(CutResult { dial: dialed - returned, heal, bytes, bytes_settled: self.relay.passed() - passed })
    }

    fn wait_for_dial(&self, returned: Instant) -> Result<Instant> {
        loop {
            if let Some(dialed) = self.relay.first_dial() {
                return Ok(dialed);
            }
            if returned.elapsed() > PATIENCE {
                bail!("after {PATIENCE:?} no server has dialed the restored link");
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Records that a server has received on its link since it started.
    fn received(&self, server: usize) -> Result<u64> {
        Ok(self.group.servers[server].metrics()?.sum("proxyherd_link_payloads_received_total"))
    }

    /// Asks both servers for every changed record and for some unchanged ones.
    fn verify(&mut self, changes: &[ClientReport], round: u32) -> Result<()> {
        let HealPlan { records, seed, .. } = *self.plan;
        let sample = clients::chosen(records, records.min(UNCHANGED_ASKED), !seed, round);
        let sample = sample.map(|client| (client, self.stamps[client as usize]));
        let asked: Vec<ClientReport> = changes.iter().copied().chain(sample).collect();
        for server in &self.group.servers {
            let wrong = clients::count_wrong(server.line, &asked)
                .with_context(|| format!("asking {} for its records", server.name))?;
            ensure!(
                wrong == 0,
                "{} holds {wrong} of {} records that differ from what was reported",
                server.name,
                asked.len()
            );
            let held = server.metrics()?.sum("proxyherd_records");
            ensure!(held == u64::from(records), "{} holds {held} records and not {records}", server.name);
        }
        Ok(())
    }
}

fn unix_ns() -> Result<u64> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock is before 1970")?;
    u64::try_from(now.as_nanos()).context("the clock is after 2554")
}
