//! How fast and with how many bytes a herd heals: two servers that hold the same records are cut apart, some of the
//! records change on both sides, and the link returns.
//!
//! The link leads through a relay in this process, which counts its bytes and cuts it. The clock runs from the moment
//! when the relay lets the link return, through that when it is dialled again, until each server has received what the
//! other was told; what they then know is asked of them record by record, with the clock stopped. The relay costs both
//! servers' time on a small machine.

mod clients;
mod told;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use crate::progress::Progress;
use crate::report::grouped;
use crate::stats::Spread;
use crate::target::group::{Draft, Group, PAIR};
use crate::target::herd;
use crate::target::relay::Relay;
use clients::Report;

/// What a herd of a million records of which 1 % change is to keep to.
const TIME_MAX: Duration = Duration::from_secs(1);
/// Most bytes on the wire, of the changed records' own.
const RATIO_MAX: f64 = 1.2;

/// How often the servers are asked what they have received, while they receive it.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// For how long after its return the link's bytes are counted once more, with whatever comes after the records.
const SETTLED_AFTER: Duration = Duration::from_secs(1);
/// Most time that the link may take to be dialled, and then to heal.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of how many records that have not changed it is asked, too.
const UNCHANGED_ASKED: u32 = 10_000;

/// What is measured.
pub(crate) struct Plan {
    pub(crate) records: u32,
    pub(crate) changed: u32,
    pub(crate) rounds: u32,
    pub(crate) seed: u64,
    /// Whether the servers encrypt their link.
    pub(crate) is_encrypted: bool,
}

/// What was found.
pub(crate) struct Healing {
    pub(crate) plan: Plan,
    /// Bytes of the changed records alone, as a link encodes them.
    pub(crate) own_bytes: u64,
    pub(crate) rounds: Vec<Round>,
}

/// What one cut has cost.
pub(crate) struct Round {
    /// From the return of the link until it was dialled.
    pub(crate) dial: Duration,
    /// From then until both servers had every changed record.
    pub(crate) heal: Duration,
    /// Bytes both ways from the return until both servers had every changed record.
    pub(crate) bytes: u64,
    /// Bytes both ways from the return until a second after the link was dialled.
    pub(crate) bytes_settled: u64,
}

impl Healing {
    /// From the link's return until all is healed, seconds.
    pub(crate) fn time_s(&self) -> Spread {
        Spread::of(self.rounds.iter().map(|round| (round.dial + round.heal).as_secs_f64()))
    }

    /// Bytes on the wire as a part of the changed records' own.
    pub(crate) fn ratio(&self) -> Spread {
        Spread::of(self.rounds.iter().map(|round| round.bytes as f64 / self.own_bytes as f64))
    }

    /// In its worst round, too, a herd has to heal in time.
    pub(crate) fn is_in_time(&self) -> bool {
        self.time_s().high <= TIME_MAX.as_secs_f64()
    }

    /// In its worst round, too, a herd has to be sparing.
    pub(crate) fn is_sparing(&self) -> bool {
        self.ratio().high <= RATIO_MAX
    }
}

/// Measures, prints a table, and says whether both aims were met.
pub(crate) fn run(plan: Plan, server_bin: Option<&Path>) -> Result<bool> {
    let program = herd::program(server_bin)?;
    let mut draft = Draft::of(&PAIR)?;
    let relay = Relay::before(draft.peer(0))?;
    draft.advertise(0, relay.address());
    let group = draft.start(&program, plan.is_encrypted)?;
    let mut cut = Cut { plan: &plan, group, relay, stamps: Vec::new(), progress: Progress::new() };
    cut.fill()?;
    let own_bytes = clients::own_bytes(&cut.changes(0, 0));
    let rounds = (0..plan.rounds).map(|round| cut.round(round)).collect::<Result<_>>()?;
    drop(cut);
    let healing = Healing { plan, own_bytes, rounds };
    anstream::print!("{}", told::table(&healing));
    Ok(healing.is_in_time() && healing.is_sparing())
}

/// The two servers, the relay between them, and what they should know.
struct Cut<'a> {
    plan: &'a Plan,
    group: Group,
    relay: Relay,
    /// Each client's newest timestamp.
    stamps: Vec<u64>,
    progress: Progress,
}

impl Cut<'_> {
    /// Reports every record to one server, and waits until the other has it.
    fn fill(&mut self) -> Result<()> {
        let (records, start) = (self.plan.records, unix_ns()?);
        self.stamps = (0..u64::from(records)).map(|client| start + client).collect();
        let reports: Vec<Report> = (0..records).zip(self.stamps.iter().copied()).collect();
        let mut reported = 0;
        let Cut { group, progress, .. } = self;
        clients::report(group.servers[0].line, &reports, |count| {
            reported += count;
            progress.tell(|| {
                format!("filling: {} of {} records", grouped(reported as f64), grouped(f64::from(records)))
            });
        })?;
        group.wait_for("both servers hold all records", |group| {
            let held = group.servers[1].counts()?.sum("proxyherd_records");
            progress.tell(|| format!("{} records at the other server", grouped(held as f64)));
            Ok(held == u64::from(records) && group.servers[0].counts()?.sum("proxyherd_records") == held)
        })?;
        ensure!(self.relay.passed() > 0, "the servers' link does not lead through the relay");
        Ok(())
    }

    /// The changed clients of a round, reporting at this moment.
    fn changes(&self, round: u32, now_ns: u64) -> Vec<Report> {
        let Plan { records, changed, seed, .. } = *self.plan;
        clients::chosen(records, changed, seed, round).zip(now_ns..).collect()
    }

    fn round(&mut self, round: u32) -> Result<Round> {
        self.progress.next();
        self.progress.tell(|| format!("cut {} of {}", round + 1, self.plan.rounds));
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

    /// Lets the link return, and waits until the servers have received so many records.
    fn measure(&mut self, wanted: [u64; 2]) -> Result<Round> {
        let passed = self.relay.passed();
        let returned = self.relay.restore()?;
        let dialled = self.wait_for_dial(returned)?;
        while self.received(0)? < wanted[0] || self.received(1)? < wanted[1] {
            if dialled.elapsed() > PATIENCE {
                bail!("after {PATIENCE:?} the servers have not healed");
            }
            thread::sleep(LOOK_EVERY);
        }
        let (heal, bytes) = (dialled.elapsed(), self.relay.passed() - passed);
        thread::sleep(SETTLED_AFTER.saturating_sub(dialled.elapsed()));
        Ok(Round { dial: dialled - returned, heal, bytes, bytes_settled: self.relay.passed() - passed })
    }

    fn wait_for_dial(&self, returned: Instant) -> Result<Instant> {
        loop {
            if let Some(dialled) = self.relay.dialled() {
                return Ok(dialled);
            }
            if returned.elapsed() > PATIENCE {
                bail!("after {PATIENCE:?} nobody has dialled the link that has returned");
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Records that a server has received on its link since it started.
    fn received(&self, server: usize) -> Result<u64> {
        Ok(self.group.servers[server].counts()?.sum("proxyherd_link_payloads_received_total"))
    }

    /// Asks both servers about every changed record and about some that have not changed.
    fn verify(&mut self, changes: &[Report], round: u32) -> Result<()> {
        let Plan { records, seed, .. } = *self.plan;
        let sample = clients::chosen(records, records.min(UNCHANGED_ASKED), !seed, round);
        let sample = sample.map(|client| (client, self.stamps[client as usize]));
        let asked: Vec<Report> = changes.iter().copied().chain(sample).collect();
        for server in &self.group.servers {
            let wrong = clients::count_wrong(server.line, &asked)
                .with_context(|| format!("asking {} what it knows", server.name))?;
            ensure!(
                wrong == 0,
                "{} holds {wrong} of {} records otherwise than they were reported",
                server.name,
                asked.len()
            );
            let held = server.counts()?.sum("proxyherd_records");
            ensure!(held == u64::from(records), "{} holds {held} records and not {records}", server.name);
        }
        Ok(())
    }
}

fn unix_ns() -> Result<u64> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock is before 1970")?;
    u64::try_from(now.as_nanos()).context("the clock is after 2554")
}
