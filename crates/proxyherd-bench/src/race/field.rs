//! The contestants of the race: which ones there are, which of them this machine can run, and how each is started.
//!
//! A [`Contestant`] starts herds of any number of servers. [`Running`] is such a herd, with the processor time and the
//! memory of its processes. The herd ends when it is dropped. This file does not know what is measured.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::ease::{self, Ease};
use super::machine::first_line_of;
use super::results::{Entrant, Results};
use crate::load::asking::{Asker, wait_until_shown};
use crate::load::{ClientReport, Dialect};
use crate::peers::{Availability, Peer, Runnable, RunningHerd};
use crate::procfs;
use crate::restart::fill::fill;
use crate::target::group::{Group, GroupConfig, LinkEncryption, herd_of};
use crate::target::herd::{self, LoneServer};
use crate::target::redis::{self, RedisServers};

/// The name of proxyherd in results.
pub(crate) const OURS: &str = "ours";
/// The name of Redis in results.
pub(crate) const REDIS: &str = "redis";
/// Why a contestant does not take part that could.
const LEFT_OUT: &str = "it was left out of this run (`--peers`)";
/// Settings of proxyherd in all sections. All connections of the generator come from one address, so the limit of
/// connections per address is raised. The limit of clients is above the largest number of clients.
const SETTINGS: [&str; 2] = ["limits.connections_per_address=1_000_000", "herd.max_clients=20_000_000"];

/// All contestants.
pub(crate) struct Field {
    program: PathBuf,
    pub(crate) contestants: Vec<Contestant>,
    /// All contestants as the report shows them, also those that do not take part.
    entrants: Vec<Entrant>,
}

/// One contestant.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    program: Program,
}

/// What is started.
enum Program {
    /// proxyherd, at this path.
    Ours(PathBuf),
    /// The echo server, or a herd in another language.
    Peer(Runnable),
    /// Redis with a GEO set. A herd of it is a primary, which takes all reports, and replicas.
    Redis,
}

/// Programs with which a comparison makes sense, and that the race cannot drive yet. The report says that they are
/// missing.
const NOT_DRIVEN: [(&str, &str); 4] = [
    ("postgresql", "PostgreSQL (upserts)"),
    ("nats", "NATS core"),
    ("jetstream", "NATS JetStream"),
    ("tile38", "Tile38"),
];

/// Redis, as the report shows it.
const REDIS_LABEL: &str = "Redis";

impl Field {
    /// The contestants that `wanted` names, or all. Fails if `wanted` names an unknown one, or one that this machine
    /// cannot run.
    pub(crate) fn enter(server_bin: Option<&Path>, wanted: &[String]) -> Result<Field> {
        let known: Vec<&str> = Peer::ALL.into_iter().map(Peer::name).chain([REDIS]).collect();
        if let Some(name) = wanted.iter().find(|name| !known.contains(&name.as_str())) {
            bail!("there is no contestant {name:?}: the names are {}", known.join(", "));
        }
        let mut field =
            Field { program: herd::program(server_bin)?, contestants: Vec::new(), entrants: Vec::new() };
        for peer in Peer::ALL {
            // What is left out is not prepared, because that takes a while.
            let found =
                if is_wanted(wanted, peer.name()) { Some(peer.prepare(&field.program)?) } else { None };
            field.enter_peer(peer, found);
        }
        let version = redis::version();
        let found = match (is_wanted(wanted, REDIS), &version) {
            (false, _) => Err(LEFT_OUT.to_owned()),
            (true, None) => Err("`redis-server` is not on the PATH".to_owned()),
            (true, Some(_)) => Ok(Program::Redis),
        };
        field.add(REDIS, REDIS_LABEL, version, None, found);
        for (name, label) in NOT_DRIVEN {
            field.add(name, label, None, None, Err("the race has no driver for it yet".to_owned()));
        }
        let missing =
            field.entrants.iter().find(|entrant| entrant.missing.is_some() && wanted.contains(&entrant.name));
        if let Some(Entrant { label, missing: Some(reason), .. }) = missing {
            bail!("{label} cannot take part: {reason}");
        }
        Ok(field)
    }

    fn enter_peer(&mut self, peer: Peer, found: Option<Availability>) {
        let (mut version, mut ease) = (None, None);
        let program = match found {
            None => Err(LEFT_OUT.to_owned()),
            Some(Availability::Missing(reason)) => Err(reason),
            Some(Availability::Runs(runnable)) => {
                version = runnable.version().map(str::to_owned);
                let dependencies = u64::from(peer == Peer::Uvloop);
                ease = runnable.lines_of_code().map(|lines| Ease { lines: lines as u64, dependencies });
                Ok(if peer == Peer::Ours {
                    Program::Ours(self.program.clone())
                } else {
                    Program::Peer(runnable)
                })
            }
        };
        if peer == Peer::Ours {
            version = first_line_of(&self.program.to_string_lossy(), &["--version"]);
            ease = ease::of_ours();
        } else if peer == Peer::Echo {
            version = Some(format!("of this program, {}", env!("CARGO_PKG_VERSION")));
        }
        self.add(peer.name(), peer.label(), version, ease, program);
    }

    fn add(
        &mut self,
        name: &'static str,
        label: &'static str,
        version: Option<String>,
        ease: Option<Ease>,
        program: Result<Program, String>,
    ) {
        let mut entrant = Entrant {
            name: name.to_owned(),
            label: label.to_owned(),
            version: version.unwrap_or_else(|| "–".to_owned()),
            missing: None,
            lines: ease.map(|ease| ease.lines),
            dependencies: ease.map(|ease| ease.dependencies),
        };
        match program {
            Ok(program) => self.contestants.push(Contestant { name, label, program }),
            Err(reason) => entrant.missing = Some(reason),
        }
        self.entrants.push(entrant);
    }

    /// Enters all contestants in the results. One that took part in an earlier run stays as it was.
    pub(crate) fn introduce(&self, results: &mut Results) {
        let earlier = std::mem::take(&mut results.contestants);
        for entrant in &self.entrants {
            let before = earlier.iter().find(|before| {
                before.name == entrant.name && before.missing.is_none() && entrant.missing.is_some()
            });
            results.contestants.push(before.unwrap_or(entrant).clone());
        }
    }

    /// The program of proxyherd.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Whether proxyherd takes part.
    pub(crate) fn has_ours(&self) -> bool {
        self.contestants.iter().any(|contestant| contestant.name == OURS)
    }
}

fn is_wanted(wanted: &[String], name: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| wanted == name)
}

impl Contestant {
    /// Whether it can run several servers that tell each other what they are told.
    pub(crate) fn is_herd(&self) -> bool {
        match &self.program {
            Program::Peer(runnable) => runnable.peer().is_herd(),
            Program::Ours(_) | Program::Redis => true,
        }
    }

    /// Whether its servers speak the line protocol, so that they can be asked which report they show.
    pub(crate) fn can_be_asked(&self) -> bool {
        self.is_herd() && self.name != REDIS
    }

    /// Starts a herd. When this returns, all servers listen, and all of them are linked.
    pub(crate) fn start(&self, servers: usize) -> Result<Running> {
        let began = Instant::now();
        let kept = match &self.program {
            Program::Ours(program) if servers == 1 => {
                Kept::Lone(LoneServer::start_with(program, None, &SETTINGS)?)
            }
            Program::Ours(program) => {
                let config = GroupConfig::of(herd_of(servers)?)?.with_settings(&SETTINGS);
                Kept::Group(config.start(program, LinkEncryption::On)?)
            }
            Program::Peer(runnable) => Kept::Peer(runnable.start(herd_of(servers)?)?),
            Program::Redis => Kept::Redis(redis::start(servers - 1)?),
        };
        let (addresses, dialect, pids) = match &kept {
            Kept::Lone(lone) => {
                (vec![lone.target.address], lone.target.dialect, vec![lone.target.process.id()])
            }
            Kept::Peer(herd) => (herd.addresses(), herd.dialect(), herd.process_ids()),
            Kept::Group(group) => (
                group.servers.iter().map(|server| server.line).collect(),
                Dialect::Herd,
                group.servers.iter().map(|server| server.process.id()).collect(),
            ),
            Kept::Redis(redis) => (
                vec![redis.servers[0].address],
                Dialect::Redis,
                redis.servers.iter().map(|server| server.process.id()).collect(),
            ),
        };
        let started_in = began.elapsed();
        Ok(Running { name: self.name, label: self.label, addresses, dialect, pids, started_in, kept })
    }

    /// Starts one server whose process may use only so many cores.
    pub(crate) fn start_on(&self, cores: usize) -> Result<Running> {
        let all = sched_getaffinity(None).context("cannot read which cores this thread may use")?;
        let mut some = CpuSet::new();
        let mut usable = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core));
        for _ in 0..cores {
            some.set(usable.next().with_context(|| format!("this machine does not have {cores} cores"))?);
        }
        // A process inherits the cores of the thread that starts it.
        sched_setaffinity(None, &some).context("cannot set the cores of this thread")?;
        let running = self.start(1);
        sched_setaffinity(None, &all).context("cannot set the cores of this thread")?;
        running
    }
}

/// A running herd. It ends when this is dropped.
pub(crate) struct Running {
    /// The contestant's name in results, and in tables.
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    /// The servers that take reports.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) dialect: Dialect,
    pids: Vec<u32>,
    started_in: Duration,
    kept: Kept,
}

/// What keeps the processes running.
enum Kept {
    Lone(LoneServer),
    Group(Group),
    Peer(RunningHerd),
    Redis(RedisServers),
}

impl Running {
    /// User and system time of all processes since their start.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let times = self.pids.iter().map(|&pid| procfs::cpu_time(pid));
        times
            .sum::<Option<Duration>>()
            .with_context(|| format!("{} has ended, or there is no /proc", self.name))
    }

    /// Resident memory of all processes, bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        self.pids.iter().map(|&pid| procfs::resident(pid)).sum()
    }

    /// The highest resident memory of all processes so far, bytes.
    pub(crate) fn resident_max(&self) -> Result<u64> {
        self.pids.iter().map(|&pid| procfs::resident_max(pid)).sum()
    }

    /// The time that the start took, until the first report was answered.
    pub(crate) fn started_in(&self) -> Result<Duration> {
        let began = Instant::now();
        if self.dialect == Dialect::Herd {
            Asker::connect(self.addresses[0])?.report((0, 1_621_464_827_000_000_007))?;
        }
        Ok(self.started_in + began.elapsed())
    }

    /// Number of servers.
    pub(crate) fn servers(&self) -> usize {
        self.pids.len()
    }

    /// Waits until every server has the last reports, at most for `longest`. Returns the time that it took,
    /// or `None` if it took longer. Servers that can be asked must show `reports`.
    pub(crate) fn wait_until_settled(
        &self,
        reports: &[ClientReport],
        longest: Duration,
    ) -> Result<Option<Duration>> {
        match &self.kept {
            Kept::Redis(redis) => redis.wait_until_copied(longest),
            _ => wait_until_shown(&self.addresses, reports, longest),
        }
    }

    /// Stores so many clients at a single server.
    pub(crate) fn fill(&self, clients: u32) -> Result<()> {
        match &self.kept {
            Kept::Redis(redis) => redis.fill(clients),
            _ => fill(self.addresses[0], clients),
        }
    }

    /// The sum of a metric over all servers of proxyherd. `None` for other contestants and for a single server.
    pub(crate) fn metric(&self, name: &str) -> Result<Option<u64>> {
        let Kept::Group(group) = &self.kept else { return Ok(None) };
        let sums = group.servers.iter().map(|server| Ok(server.metrics()?.sum(name)));
        sums.sum::<Result<u64>>().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::machine::Machine;

    fn field(program: Result<Program, String>) -> Field {
        let mut field = Field { program: PathBuf::new(), contestants: Vec::new(), entrants: Vec::new() };
        field.add(REDIS, REDIS_LABEL, Some("7".to_owned()), None, program);
        field
    }

    #[test]
    fn a_contestant_that_is_missing_is_told_with_its_reason() {
        let mut results = Results::new(Machine::unknown(), "2026-01-02".to_owned());
        field(Err("it is too cold".to_owned())).introduce(&mut results);
        assert_eq!(results.contestants[0].missing.as_deref(), Some("it is too cold"));
        field(Ok(Program::Redis)).introduce(&mut results);
        assert_eq!(results.contestants[0].missing, None);
        field(Err(LEFT_OUT.to_owned())).introduce(&mut results);
        assert_eq!(results.contestants[0].missing, None, "it took part in an earlier run");
    }

    #[test]
    fn an_unknown_contestant_is_refused_with_the_known_names() {
        let error = Field::enter(None, &["cobol".to_owned()]).err().unwrap().to_string();
        assert!(error.contains("\"cobol\"") && error.contains("ours, echo, asyncio"), "{error}");
    }
}
