//! A herd of a peer that is not started yet: the addresses of its servers, and their command lines. All peers have the
//! same command line.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use super::Topology;
use super::process::PeerProcess;
use super::runtime::Foreign;
use crate::target::herd::free_addresses;

/// The servers of a herd, at free addresses of this machine.
pub(super) struct HerdPlan {
    foreign: Foreign,
    topology: &'static Topology,
    /// For each server, the addresses for clients and for neighbors.
    addresses: Vec<[SocketAddr; 2]>,
}

impl HerdPlan {
    pub(super) fn new(foreign: &Foreign, topology: &'static Topology) -> Result<HerdPlan> {
        let addresses = free_addresses(topology.len())?;
        let addresses = addresses.into_iter().map(|[line, peer, _]| [line, peer]).collect();
        Ok(HerdPlan { foreign: foreign.clone(), topology, addresses })
    }

    /// The addresses for clients.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.iter().map(|[line, _]| *line).collect()
    }

    /// A server's address for neighbors.
    #[cfg(test)]
    pub(super) fn peer(&self, server: usize) -> SocketAddr {
        self.addresses[server][1]
    }

    /// Starts one server. When this returns, the server listens.
    pub(super) fn start_server(&self, server: usize) -> Result<PeerProcess> {
        let (name, _) = self.topology[server];
        let [line, peer] = self.addresses[server];
        let mut command = self.foreign.command();
        command.args(["--name", name, "--listen", &line.to_string(), "--peer", &peer.to_string()]);
        for neighbor in self.neighbors(server) {
            let (name, [_, peer]) = (self.topology[neighbor].0, self.addresses[neighbor]);
            command.args(["--neighbor", &format!("{name}={peer}")]);
        }
        PeerProcess::start(command).with_context(|| format!("the server {name} cannot be started"))
    }

    /// Waits until each server has said that its links are up.
    pub(super) fn wait_for_links(&self, servers: &mut [PeerProcess]) -> Result<()> {
        (0..servers.len()).try_for_each(|server| self.wait_for_links_of(servers, server))
    }

    /// Waits until this server has said that its links are up.
    pub(super) fn wait_for_links_of(&self, servers: &mut [PeerProcess], server: usize) -> Result<()> {
        let lines = self.neighbors(server).map(|neighbor| format!("linked {}", self.topology[neighbor].0));
        let mut missing: Vec<String> = lines.collect();
        servers[server].wait_for_all(&mut missing)
    }

    /// The numbers of a server's neighbors. A link is named at one end, and both ends get it on their command lines.
    fn neighbors(&self, server: usize) -> impl Iterator<Item = usize> {
        let names = |from: usize, to: usize| self.topology[from].1.contains(&self.topology[to].0);
        (0..self.topology.len()).filter(move |&other| names(server, other) || names(other, server))
    }
}
