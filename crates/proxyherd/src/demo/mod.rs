//! The demo: the classic herd in one process, and clients who walk about and report. It needs no file, no key
//! and no network.

mod clients;
mod picture;
pub mod screen;
mod walker;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context;
use tokio::task::JoinSet;

use crate::{
    config::{Address, Config, Server as ServerConfig, Tls},
    herd::Herd,
    server::{Addresses, Server, Sockets},
};

/// What the demo is asked for.
#[derive(Debug)]
pub struct Options {
    /// Take free ports rather than the classic ones.
    pub any_ports: bool,
    /// How many clients walk about.
    pub clients: usize,
    /// Where the servers log.
    pub log_dir: PathBuf,
}

/// The demo's herd, running.
pub struct Demo {
    servers: Vec<Server>,
    log_dir: PathBuf,
    clients: JoinSet<()>,
    client_count: usize,
    has_classic_ports: bool,
}

impl Demo {
    /// Starts servers and clients. Where the classic ports are taken, others serve.
    pub async fn start(options: Options) -> anyhow::Result<Demo> {
        let mut config = Config::classic();
        config.log.dir.clone_from(&options.log_dir);
        // All in one process: there is nobody to be told from anybody else.
        config.herd.tls = Tls::Off;
        let classic = if options.any_ports { None } else { bind_all(&config).await.ok() };
        let has_classic_ports = classic.is_some();
        let sockets = match classic {
            Some(sockets) => sockets,
            None => {
                config.servers.iter_mut().for_each(take_any_ports);
                bind_all(&config).await?
            }
        };
        for (server, sockets) in config.servers.iter_mut().zip(&sockets) {
            server.peer = sockets.addresses().peer.map(|peer| Address::new(peer.ip(), peer.port()));
        }
        let names: Vec<_> = config.servers.iter().map(|server| server.name.clone()).collect();
        let started =
            names.iter().zip(sockets).map(|(name, sockets)| Server::start_on(&config, name, sockets));
        let servers = started.collect::<Result<Vec<_>, _>>().context("the demo's herd did not start")?;
        let clients = set_out(&servers, options.clients);
        Ok(Demo {
            servers,
            log_dir: options.log_dir,
            clients,
            client_count: options.clients,
            has_classic_ports,
        })
    }

    /// Whether the servers listen at the classic ports.
    pub fn has_classic_ports(&self) -> bool {
        self.has_classic_ports
    }

    /// How many clients walk about.
    pub fn client_count(&self) -> usize {
        self.client_count
    }

    /// The servers' handles.
    pub fn herds(&self) -> impl Iterator<Item = &Arc<Herd>> {
        self.servers.iter().map(Server::herd)
    }

    /// Each server's name, where it listens, and its log.
    pub fn places(&self) -> impl Iterator<Item = (&str, Addresses, PathBuf)> {
        self.servers.iter().map(|server| {
            let name = server.herd().name().as_str();
            (name, server.addresses(), self.log_dir.join(format!("{name}.log")))
        })
    }

    /// Sends the clients home and stops every server.
    pub async fn stop(mut self) {
        self.clients.shutdown().await;
        let stopping: JoinSet<()> = self.servers.into_iter().map(Server::stop).collect();
        stopping.join_all().await;
    }
}

async fn bind_all(config: &Config) -> anyhow::Result<Vec<Sockets>> {
    let mut sockets = Vec::new();
    for server in &config.servers {
        sockets.push(Sockets::bind(server).await?);
    }
    Ok(sockets)
}

fn take_any_ports(server: &mut ServerConfig) {
    let any = Address::new(std::net::Ipv4Addr::LOCALHOST.into(), 0);
    server.listen = any.clone();
    server.peer = Some(any.clone());
    server.http = Some(any);
}

fn set_out(servers: &[Server], count: usize) -> JoinSet<()> {
    let herds: Arc<[Arc<Herd>]> = servers.iter().map(|server| Arc::clone(server.herd())).collect();
    let addresses: Arc<[SocketAddr]> = servers.iter().map(|server| server.addresses().line).collect();
    let set_out = |client: clients::Client| client.run(Arc::clone(&herds), Arc::clone(&addresses));
    clients::cast(count).into_iter().map(set_out).collect()
}
