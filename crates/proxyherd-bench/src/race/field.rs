//! The contestants of the race: which ones there are, which of them this machine can run, and how each is started.
//!
//! A [`Contestant`] starts herds of any number of servers. [`Running`] is such a herd, with the processor time and the
//! memory of its processes. The herd ends when it is dropped. This file does not know what is measured.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::machine::first_line_of;
use super::results::{Entrant, Results};
use crate::load::asking::{Asker, wait_until_shown};
use crate::load::{ClientReport, Dialect};
use crate::procfs;
use crate::restart::fill::fill;
use crate::target::group::{Group, GroupConfig, LinkEncryption, herd_of};
use crate::target::herd::{self, LoneServer};
use crate::target::redis::{self, RedisServers};
use crate::target::{Target, echo};

/// The name of proxyherd in results.
pub(crate) const OURS: &str = "ours";
/// The name of the echo server in results.
pub(crate) const ECHO: &str = "echo";
/// The name of Redis in results.
pub(crate) const REDIS: &str = "redis";
/// Settings of proxyherd in all sections. All connections of the generator come from one address, so the limit of
/// connections per address is raised.
const SETTINGS: [&str; 1] = ["limits.connections_per_address=1_000_000"];

/// All contestants.
pub(crate) struct Field {
    program: PathBuf,
    pub(crate) contestants: Vec<Contestant>,
    /// Those that this machine cannot run, with the reason, and those that were not asked for.
    missing: Vec<Entrant>,
}

/// One contestant.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    kind: Kind,
    program: PathBuf,
}

/// What a contestant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ours,
    Echo,
    /// Redis with a GEO set. A herd of it is a primary, which takes all reports, and replicas.
    Redis,
}

/// The contestants in the order of the report's columns.
const ALL: [(&str, &str, Kind); 3] =
    [(OURS, "proxyherd", Kind::Ours), (ECHO, "echo server", Kind::Echo), (REDIS, "Redis", Kind::Redis)];

impl Field {
    /// The contestants that `wanted` names, or all. Fails if `wanted` names an unknown one, or one that this machine
    /// cannot run.
    pub(crate) fn enter(server_bin: Option<&Path>, wanted: &[String]) -> Result<Field> {
        let known: Vec<&str> = ALL.iter().map(|(name, ..)| *name).collect();
        for name in wanted {
            ensure!(
                known.contains(&name.as_str()),
                "there is no contestant {name:?}: the names are {}",
                known.join(", ")
            );
        }
        let program = herd::program(server_bin)?;
        let mut field = Field { program, contestants: Vec::new(), missing: Vec::new() };
        for (name, label, kind) in ALL {
            let mut entrant = kind.entrant(name, label, &field.program);
            let is_wanted = wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
            match entrant.missing.take() {
                Some(reason) if is_wanted && !wanted.is_empty() => {
                    return Err(anyhow!("{label} cannot take part: {reason}"));
                }
                Some(reason) => field.missing.push(Entrant { missing: Some(reason), ..entrant }),
                None if !is_wanted => {
                    let reason = "it was left out of this run (--peers)".to_owned();
                    field.missing.push(Entrant { missing: Some(reason), ..entrant });
                }
                None => {
                    let program = field.program.clone();
                    field.contestants.push(Contestant { name, label, kind, program });
                }
            }
        }
        Ok(field)
    }

    /// Enters all contestants in the results. One that took part in an earlier run stays one that took part.
    pub(crate) fn introduce(&self, results: &mut Results) {
        let took_part = |name: &str| results.samples.iter().any(|sample| sample.who == name);
        let mut entrants = Vec::new();
        for (name, label, kind) in ALL {
            let entrant = match self.missing.iter().find(|entrant| entrant.name == name) {
                Some(entrant) if !took_part(name) => entrant.clone(),
                _ => Entrant { missing: None, ..kind.entrant(name, label, &self.program) },
            };
            entrants.push(entrant);
        }
        results.contestants = entrants;
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

impl Kind {
    fn entrant(self, name: &str, label: &str, program: &Path) -> Entrant {
        let version = match self {
            Kind::Ours => first_line_of(&program.to_string_lossy(), &["--version"]),
            Kind::Echo => Some(format!("of this program, {}", env!("CARGO_PKG_VERSION"))),
            Kind::Redis => redis::version(),
        };
        let missing = match self {
            Kind::Redis if version.is_none() => Some("redis-server is not on the PATH".to_owned()),
            _ => None,
        };
        Entrant {
            name: name.to_owned(),
            label: label.to_owned(),
            version: version.unwrap_or_else(|| "unknown".to_owned()),
            missing,
            lines: None,
            dependencies: None,
        }
    }
}

impl Contestant {
    /// Whether it can run several servers that tell each other what they are told.
    pub(crate) fn is_herd(&self) -> bool {
        self.kind != Kind::Echo
    }

    /// Whether its servers speak the line protocol, so that they can be asked which report they show.
    pub(crate) fn can_be_asked(&self) -> bool {
        self.is_herd() && self.kind != Kind::Redis
    }

    /// Starts a herd. When this returns, each server has taken a connection, and all servers are linked.
    pub(crate) fn start(&self, servers: usize) -> Result<Running> {
        let began = Instant::now();
        let kept = match self.kind {
            Kind::Ours if servers == 1 => Kept::Lone(LoneServer::start_with(&self.program, None, &SETTINGS)?),
            Kind::Ours => {
                let config = GroupConfig::of(herd_of(servers)?)?.with_settings(&SETTINGS);
                Kept::Group(config.start(&self.program, LinkEncryption::On)?)
            }
            Kind::Echo => {
                ensure!(servers == 1, "the echo server is no herd");
                Kept::Target(echo::start(None)?)
            }
            Kind::Redis => Kept::Redis(redis::start(servers - 1)?),
        };
        let (addresses, dialect, pids) = match &kept {
            Kept::Lone(lone) => of_target(&lone.target),
            Kept::Target(target) => of_target(target),
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
        Ok(Running { name: self.name, addresses, dialect, pids, started_in: began.elapsed(), kept })
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

fn of_target(target: &Target) -> (Vec<SocketAddr>, Dialect, Vec<u32>) {
    (vec![target.address], target.dialect, vec![target.process.id()])
}

/// A running herd. It ends when this is dropped.
pub(crate) struct Running {
    /// The contestant's name.
    pub(crate) name: &'static str,
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
    Target(Target),
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

    /// Waits until every server has the last reports, at most for `longest`. Returns the time that it took, or `None` if
    /// it took longer. Servers that can be asked must show `reports`.
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
