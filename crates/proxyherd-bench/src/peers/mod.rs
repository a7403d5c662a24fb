//! The peers: application-server herds in other languages, in `bench/peers`, and how each of them is started, beside
//! proxyherd and the echo server.
//!
//! [`Peer::prepare`] finds out whether this machine can run a peer, and compiles what must be compiled. The result is a
//! [`Runnable`], which starts herds ([`Runnable::start`]) for any topology. A [`RunningHerd`] has the addresses for
//! clients and the processes, and ends when it is dropped. This module does not know what is measured.
//!
//! ```text
//! let Availability::Runs(node) = Peer::Node.prepare(&program)? else { return Ok(()) };
//! let herd = node.start(&CLASSIC)?;
//! send_reports(herd.addresses());
//! ```

mod plan;
mod ports;
mod process;
mod runtime;
mod show;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, ensure};

pub(crate) use self::show::show;

use self::plan::HerdPlan;
use self::process::PeerProcess;
use self::runtime::Program;
use crate::load::Dialect;
use crate::target::group::{Group, GroupConfig, LinkEncryption};
use crate::target::{Target, echo};

/// The servers of a herd by name, each with the names of its neighbors. Each link is named once, as in
/// [`crate::target::group::CLASSIC`].
pub(crate) type Topology = [(&'static str, &'static [&'static str])];

/// A program that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peer {
    /// proxyherd, as `init` writes it: with TLS between servers, log, doors and index.
    Ours,
    /// The echo server, which is no herd.
    Echo,
    /// Python with the event loop of its standard library.
    Asyncio,
    /// The same program with the event loop of uvloop.
    Uvloop,
    /// Node.js.
    Node,
    /// Java with one thread for each server.
    Java,
}

impl Peer {
    /// All peers, in the order of a table's columns.
    pub(crate) const ALL: [Peer; 6] =
        [Peer::Ours, Peer::Echo, Peer::Asyncio, Peer::Uvloop, Peer::Node, Peer::Java];

    /// The name on the command line and in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Ours => "ours",
            Peer::Echo => "echo",
            Peer::Asyncio => "asyncio",
            Peer::Uvloop => "uvloop",
            Peer::Node => "node",
            Peer::Java => "java",
        }
    }

    /// The name for people.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Peer::Ours => "proxyherd",
            Peer::Echo => "echo server",
            Peer::Asyncio => "Python asyncio",
            Peer::Uvloop => "Python asyncio, uvloop",
            Peer::Node => "Node.js",
            Peer::Java => "Java NIO",
        }
    }

    /// Whether its servers tell each other what clients report.
    pub(crate) fn is_herd(self) -> bool {
        self != Peer::Echo
    }

    /// Finds out whether this machine can run the peer, and compiles what must be compiled. `ours` is the program of
    /// proxyherd, which only [`Peer::Ours`] needs. Fails if the peer's own sources are wrong.
    pub(crate) fn prepare(self, ours: &Path) -> Result<Availability> {
        let program = match self {
            Peer::Ours => Ok(Program::Ours(ours.to_owned())),
            Peer::Echo => Ok(Program::Echo),
            Peer::Asyncio => runtime::asyncio()?,
            Peer::Uvloop => runtime::uvloop()?,
            Peer::Node => runtime::node()?,
            Peer::Java => runtime::java()?,
        };
        Ok(match program {
            Ok(program) => Availability::Runs(Runnable { peer: self, program }),
            Err(reason) => Availability::Missing(reason),
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Whether this machine can run a peer.
pub(crate) enum Availability {
    Runs(Runnable),
    /// It cannot, for this reason: a sentence for people, without its end.
    Missing(String),
}

/// A peer that this machine can run.
pub(crate) struct Runnable {
    peer: Peer,
    program: Program,
}

impl Runnable {
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// The version of the language's runtime, such as `Python 3.11.7`. `None` for programs of this project.
    pub(crate) fn version(&self) -> Option<&str> {
        self.program.version()
    }

    /// Number of lines of the peer's sources that are neither blank nor comments. `None` for programs of this project.
    pub(crate) fn lines_of_code(&self) -> Option<usize> {
        self.peer_sources().map(|sources| sources.iter().copied().map(runtime::code_lines).sum())
    }

    /// Starts a herd. When this returns, all servers listen and all links are up.
    pub(crate) fn start(&self, topology: &'static Topology) -> Result<RunningHerd> {
        let kept = match &self.program {
            Program::Ours(program) => {
                Kept::Group(GroupConfig::of(topology)?.start(program, LinkEncryption::On)?)
            }
            Program::Echo => {
                ensure!(topology.len() == 1, "the echo server is no herd: it runs alone");
                Kept::Echo(echo::start(None)?)
            }
            Program::Foreign(_) => {
                let plan = self.plan(topology)?;
                let mut servers = Vec::new();
                for server in 0..topology.len() {
                    servers.push(plan.start_server(server)?);
                }
                plan.wait_for_links(&mut servers)?;
                Kept::Foreign(plan.addresses(), servers)
            }
        };
        Ok(RunningHerd { kept })
    }

    /// A herd whose servers can be started one by one. Fails for programs of this project.
    fn plan(&self, topology: &'static Topology) -> Result<HerdPlan> {
        HerdPlan::new(self.program.foreign(self.peer)?, topology)
    }

    fn peer_sources(&self) -> Option<&'static [&'static str]> {
        match self.peer {
            Peer::Ours | Peer::Echo => None,
            Peer::Asyncio | Peer::Uvloop => Some(&runtime::ASYNCIO_SOURCES),
            Peer::Node => Some(&runtime::NODE_SOURCES),
            Peer::Java => Some(&runtime::JAVA_TEXTS),
        }
    }
}

/// A running herd, or a single server. All processes end when this is dropped.
pub(crate) struct RunningHerd {
    kept: Kept,
}

enum Kept {
    Group(Group),
    Echo(Target),
    Foreign(Vec<SocketAddr>, Vec<PeerProcess>),
}

impl RunningHerd {
    /// The addresses for clients, one for each server, in the order of the topology.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        match &self.kept {
            Kept::Group(group) => group.servers.iter().map(|server| server.line).collect(),
            Kept::Echo(target) => vec![target.address],
            Kept::Foreign(addresses, _) => addresses.clone(),
        }
    }

    /// The form of the servers' replies to reports.
    pub(crate) fn dialect(&self) -> Dialect {
        match &self.kept {
            Kept::Echo(target) => target.dialect,
            Kept::Group(_) | Kept::Foreign(..) => Dialect::Herd,
        }
    }

    /// The processes of the servers, in the order of the topology.
    pub(crate) fn process_ids(&self) -> Vec<u32> {
        match &self.kept {
            Kept::Group(group) => group.servers.iter().map(|server| server.process.id()).collect(),
            Kept::Echo(target) => vec![target.process.id()],
            Kept::Foreign(_, servers) => servers.iter().map(PeerProcess::id).collect(),
        }
    }
}
