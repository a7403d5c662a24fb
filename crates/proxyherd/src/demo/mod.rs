//! `proxyherd demo`: the classic herd in one process, with clients that walk about and report.
//!
//! The demo needs no file, no key and no network. While it runs, servers can be stopped, killed and started again, and
//! links can be cut and healed (`servers`): from the console, and from the pages of its servers.

mod clients;
mod commands;
mod console;
mod news;
pub mod screen;
mod servers;
mod walker;

use std::{
    fs,
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use proxyherd_config::{
    config::{Address, Config, Door, ServerConfig, Tls},
    credentials::{new_operator_token, token_hash},
    door_kind::DoorKind,
};
use proxyherd_core::access::TokenText;
use tokio::task::JoinSet;

use self::servers::{DemoEvents, DemoServers};
use proxyherd_server::{
    herd::Herd,
    server::{Addresses, Sockets},
};

/// The name of the file with the operator's token. A herd's own file has another name, and stays if the user keeps the
/// logs in the herd's folder.
const TOKEN_FILE: &str = "demo.token";

/// The address of all listeners of the demo.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The usual port of servers to which Traccar Client and OsmAnd's form report.
const PHONES_PORT: u16 = 5055;

/// The demo's options.
#[derive(Debug)]
pub struct Options {
    /// Whether to take free ports instead of the classic ones.
    pub any_ports: bool,
    /// The number of clients that walk about.
    pub clients: usize,
    /// The directory of the servers' logs.
    pub log_dir: PathBuf,
}

/// The demo's running herd.
pub struct Demo {
    servers: Arc<DemoServers>,
    events: DemoEvents,
    addresses: Vec<Addresses>,
    clients: JoinSet<()>,
    client_count: usize,
    has_classic_ports: bool,
}

impl Demo {
    /// Starts servers and clients. If a classic port is taken, all servers use free ports.
    pub async fn start(options: Options) -> anyhow::Result<Demo> {
        let mut config = Config::classic();
        config.log.dir.clone_from(&options.log_dir);
        // All servers are in this process, so they need no certificates.
        config.herd.tls = Tls::Off;
        config.servers[0].doors.push(Door::plain(DoorKind::Phones, Address::new(LOOPBACK, phones_port())));
        let token = new_operator_token().context("this system has no random numbers")?;
        config.access.operator_token_sha256 = Some(token_hash(token.reveal()));
        let classic = if options.any_ports { None } else { bind_all(&config).await.ok() };
        let has_classic_ports = classic.is_some();
        let sockets = match classic {
            Some(sockets) => sockets,
            None => {
                config.servers.iter_mut().for_each(take_any_ports);
                bind_all(&config).await?
            }
        };
        let addresses: Vec<Addresses> = sockets.iter().map(Sockets::addresses).collect();
        take_addresses(&mut config, &addresses);
        let started = DemoServers::start(config, sockets);
        let (servers, events) = started.context("the demo's herd did not start")?;
        // The servers have made the folder.
        let token_path = options.log_dir.join(TOKEN_FILE);
        write_token(&token_path, &token).with_context(|| format!("cannot write {}", token_path.display()))?;
        let mut demo = Demo {
            servers,
            events,
            addresses,
            clients: JoinSet::new(),
            client_count: options.clients,
            has_classic_ports,
        };
        demo.start_clients();
        Ok(demo)
    }

    fn start_clients(&mut self) {
        let addresses: Arc<[SocketAddr]> = self.addresses.iter().map(Addresses::line).collect();
        for client in clients::cast(self.client_count) {
            self.clients.spawn(client.run(Arc::clone(self.servers.running()), Arc::clone(&addresses)));
        }
    }

    /// Whether the servers listen at the classic ports.
    pub fn has_classic_ports(&self) -> bool {
        self.has_classic_ports
    }

    /// The number of clients that walk about.
    pub fn client_count(&self) -> usize {
        self.client_count
    }

    /// Each server's name, its addresses, and the path of its log.
    pub fn places(&self) -> impl Iterator<Item = (&str, &Addresses, PathBuf)> {
        let config = self.servers.config();
        config.servers.iter().zip(&self.addresses).map(|(server, addresses)| {
            let name = server.name.as_str();
            (name, addresses, config.log.dir.join(format!("{name}.log")))
        })
    }

    /// The file with the operator's token, which only this user can read. Tokens are off, but making a token needs it.
    pub fn token_path(&self) -> PathBuf {
        self.servers.config().log.dir.join(TOKEN_FILE)
    }

    /// The handles of the servers that run.
    fn herds(&self) -> Vec<Arc<Herd>> {
        self.servers.running().herds()
    }

    /// Ends the clients and stops every server.
    pub async fn stop(mut self) {
        self.clients.shutdown().await;
        self.servers.stop_all().await;
    }
}

/// The port for phones: the one that phone apps suggest, or any port if that one is taken.
fn phones_port() -> u16 {
    TcpListener::bind((LOOPBACK, PHONES_PORT)).map_or(0, |_| PHONES_PORT)
}

/// Writes the token into a new file that only this user can read. A file of an earlier demo goes.
fn write_token(path: &Path, token: &TokenText) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{}", token.reveal())
}

async fn bind_all(config: &Config) -> anyhow::Result<Vec<Sockets>> {
    let mut sockets = Vec::new();
    for server in &config.servers {
        sockets.push(Sockets::bind(server).await?);
    }
    Ok(sockets)
}

/// Writes the addresses of open sockets into the configuration.
fn take_addresses(config: &mut Config, addresses: &[Addresses]) {
    let taken = |at: SocketAddr| Address::new(at.ip(), at.port());
    for (server, addresses) in config.servers.iter_mut().zip(addresses) {
        for (door, open) in server.doors.iter_mut().zip(&addresses.doors) {
            door.address = taken(open.at);
        }
        server.peer = addresses.peer.map(taken);
    }
}

fn take_any_ports(server: &mut ServerConfig) {
    let any = Address::new(LOOPBACK, 0);
    server.doors.iter_mut().for_each(|door| door.address = any.clone());
    server.peer = Some(any);
}
