//! One server, put together: its herd handle, its links, its doors; started and stopped as a whole.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use proxyherd_core::types::ServerName;
use tokio::{
    net::TcpListener,
    sync::Notify,
    time::{Instant, interval, sleep, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    budget::{self, Budget, BudgetError},
    config::{Config, Door, DoorCertificate, Overrides, Server as ServerConfig, TLS_SCHEME, Tls},
    credentials::{self, Credentials, CredentialsError, Reread},
    door::{
        self,
        entrance::{DoorTls, Entrance, Listener},
    },
    door_kind::DoorKind,
    herd::{Herd, Inside, Link},
    listen::{self, ListenError},
    log::{LogLevel, ServerLog, Subject},
    peer::{self, Peers},
    places::{self, OpenError, Quota, Unlimited},
    topology::Watcher,
    watchdog::{self, Watchdog},
};

/// Stopping takes no longer than this; what is not done by then is cut off.
const STOP_MAX: Duration = Duration::from_secs(8);
/// How long of that the links may take to tell the neighbors what clients said last.
const FLUSH_MAX: Duration = Duration::from_secs(3);
/// How long of that a neighbor may take to come back where no link is up: it is dialled more often than that.
const ALONE_MAX: Duration = Duration::from_millis(1200);
/// A disk that does not take the last lines of the log holds up the end for no longer than this, all in all.
const LOG_MAX: Duration = Duration::from_millis(8500);

/// Why a server did not start. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration has no such server.
    #[error("the configuration has no server {0}; it has {1}")]
    NoSuchServer(String, String),
    /// An address could not be listened at.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The log could not be opened.
    #[error(transparent)]
    Log(io::Error),
    /// The system gave no thread or no descriptor to serve clients with.
    #[error("can't serve clients: {0}; see what limits this process has (ulimit -a)")]
    Door(io::Error),
    /// What the server has spent of the places budget could not be read.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// What links are encrypted with could not be read.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A provider of places could not be opened.
    #[error(transparent)]
    Places(#[from] OpenError),
}

/// A server's listening sockets, open before anything is started: a herd in one process can choose its ports by
/// them.
#[derive(Debug)]
pub struct Sockets {
    /// In the order of the configuration.
    doors: Vec<(Door, TcpListener)>,
    peer: Option<TcpListener>,
}

/// Where a server listens, ports that were 0 told as what they became.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Its doors, in the order of the configuration.
    pub doors: Vec<OpenDoor>,
    /// Other servers.
    pub peer: Option<SocketAddr>,
}

/// One address at which a door listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenDoor {
    /// What is spoken there.
    pub kind: DoorKind,
    /// Where it is, with the port that the system chose if the configuration names port 0.
    pub at: SocketAddr,
    /// Whether the connections there are encrypted.
    pub tls: bool,
}

/// As the configuration writes it: `tls://127.0.0.1:12443`.
impl fmt::Display for OpenDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.tls { TLS_SCHEME } else { "" }, self.at)
    }
}

impl Addresses {
    /// Where its doors of this kind are.
    pub fn of(&self, kind: DoorKind) -> impl Iterator<Item = SocketAddr> {
        self.doors_of(kind).map(|door| door.at)
    }

    fn doors_of(&self, kind: DoorKind) -> impl Iterator<Item = &OpenDoor> {
        self.doors.iter().filter(move |door| door.kind == kind)
    }

    /// The first address of its line door, which every server has.
    pub fn line(&self) -> SocketAddr {
        self.of(DoorKind::Line).next().expect("the configuration gives every server a door for clients")
    }

    /// The first address of its HTTP door.
    pub fn http(&self) -> Option<SocketAddr> {
        self.of(DoorKind::Http).next()
    }
}

/// `clients at 127.0.0.1:12000, tls://[::1]:12443; HTTP at 127.0.0.1:8000`: every address of every door.
impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        for kind in DoorKind::ALL {
            let addresses: Vec<String> = self.doors_of(kind).map(OpenDoor::to_string).collect();
            if !addresses.is_empty() {
                write!(f, "{before}{} at {}", kind.told(), addresses.join(", "))?;
                before = "; ";
            }
        }
        Ok(())
    }
}

impl Sockets {
    /// Opens every listener of `server`.
    pub async fn bind(server: &ServerConfig) -> Result<Sockets, ListenError> {
        let name = server.name.as_str();
        let mut doors = Vec::with_capacity(server.doors.len());
        for door in &server.doors {
            doors.push((door.clone(), listen::bind(&door.address, door.kind.key(), name).await?));
        }
        let peer = match &server.peer {
            Some(peer) => Some(listen::bind(peer, "peer", name).await?),
            None => None,
        };
        Ok(Sockets { doors, peer })
    }

    /// Where they listen.
    pub fn addresses(&self) -> Addresses {
        let local = |listener: &TcpListener| listener.local_addr().expect("a bound socket has an address");
        let open = |(door, listener): &(Door, TcpListener)| OpenDoor {
            kind: door.kind,
            at: local(listener),
            tls: door.tls,
        };
        Addresses { doors: self.doors.iter().map(open).collect(), peer: self.peer.as_ref().map(local) }
    }
}

/// A running server.
pub struct Server {
    herd: Arc<Herd>,
    addresses: Addresses,
    /// What its doors show where they speak TLS.
    tls: Option<Arc<DoorTls>>,
    stop_doors: CancellationToken,
    stop_budget: CancellationToken,
    stop_links: CancellationToken,
    door_tasks: TaskTracker,
    budget_tasks: TaskTracker,
    link_tasks: TaskTracker,
    peers: Option<Peers>,
    watchdog: Option<Watchdog>,
}

impl Server {
    /// Starts the server `name` of `config`; when this returns, every listener is up.
    pub async fn start(config: &Config, name: &str) -> Result<Server, StartError> {
        let Some(server) = config.server(name) else {
            let names: Vec<_> = config.servers.iter().map(|server| server.name.as_str()).collect();
            return Err(StartError::NoSuchServer(name.to_owned(), names.join(", ")));
        };
        let sockets = Sockets::bind(server).await?;
        Server::start_on(config, &server.name, sockets)
    }

    /// Starts the server `name`, which must be in `config`, on sockets that are open already.
    pub fn start_on(config: &Config, name: &ServerName, sockets: Sockets) -> Result<Server, StartError> {
        let server =
            config.server(name.as_str()).expect("the caller has taken the name from the configuration");
        let credentials = open_credentials(config, server)?.map(Arc::new);
        let tls = open_tls(config, server)?.map(Arc::new);
        let log = ServerLog::open(&config.log, name).map_err(StartError::Log)?;
        let budget = Budget::open(config, name)?;
        let purse = budget.as_ref().map(|budget| Arc::clone(budget.purse()));
        let quota = purse.clone().map_or_else(unlimited, |purse| purse as Arc<dyn Quota>);
        let places = places::open(&config.places, quota, log.clone())?;
        let herd = Herd::new(config, server, credentials, places, purse, log);
        let watchdog = Some(Watchdog::start(&herd, watchdog::INTERVAL).map_err(StartError::Door)?);
        let mut running = Server {
            herd,
            addresses: sockets.addresses(),
            tls,
            stop_doors: CancellationToken::new(),
            stop_budget: CancellationToken::new(),
            stop_links: CancellationToken::new(),
            door_tasks: TaskTracker::new(),
            budget_tasks: TaskTracker::new(),
            link_tasks: TaskTracker::new(),
            peers: None,
            watchdog,
        };
        running.open(config, budget, sockets).map_err(StartError::Door)?;
        Ok(running)
    }

    fn open(&mut self, config: &Config, budget: Option<Budget>, sockets: Sockets) -> io::Result<()> {
        let (herd, at) = (&self.herd, &self.addresses);
        let links = herd.links().all().len();
        let message = format_args!("started: {at}; {links} {}", if links == 1 { "link" } else { "links" });
        herd.log().event(LogLevel::Info, Subject::Server, message);
        let mut doors = sockets.doors;
        for kind in DoorKind::ALL {
            let (own, others) = doors.into_iter().partition(|(door, _)| door.kind == kind);
            doors = others;
            self.open_door(config, kind, own)?;
        }
        self.peers = Some(peer::run(herd, sockets.peer, &self.link_tasks, &self.stop_links));
        if let Some(budget) = budget {
            budget::run(herd, budget, &self.budget_tasks, &self.stop_budget);
        }
        if let Some(credentials) = herd.credentials() {
            self.follow_files(credentials, "following the certificates");
        }
        if let Some(tls) = &self.tls {
            self.follow_files(tls, "following the certificates of the doors");
        }
        self.link_tasks.spawn(sweep(Arc::clone(herd), self.stop_links.clone()));
        Ok(())
    }

    /// Opens all doors of one kind, if there are any.
    fn open_door(
        &self,
        config: &Config,
        kind: DoorKind,
        sockets: Vec<(Door, TcpListener)>,
    ) -> io::Result<()> {
        if sockets.is_empty() {
            return Ok(());
        }
        let listener = |(door, socket): (Door, TcpListener)| {
            let tls =
                door.tls.then(|| self.tls.clone().expect("where TLS is spoken, its certificate was read"));
            Listener { own: door.address, socket, tls }
        };
        let entrance = Entrance {
            herd: Arc::clone(&self.herd),
            kind,
            listeners: sockets.into_iter().map(listener).collect(),
            tasks: self.door_tasks.clone(),
            stop: self.stop_doors.clone(),
        };
        door::run(entrance, &config.limits)
    }

    fn follow_files<R: Reread>(&self, files: &Arc<R>, name: &str) {
        let watch = credentials::watch(Arc::clone(files), self.herd.log().clone(), self.stop_links.clone());
        let pulse = self.herd.health().pulse(name);
        self.link_tasks.spawn(async move {
            watch.await;
            drop(pulse);
        });
    }

    /// From here on the server keeps to its file: reads it again when it changes, or at each of `hangups`. `config`,
    /// with which it was started, was read with `overrides`.
    ///
    /// The returned token is cancelled when the caller must stop the server because the file no longer names it.
    pub fn follow(&self, config: Config, overrides: Overrides, hangups: Arc<Notify>) -> CancellationToken {
        let removed = CancellationToken::new();
        if let Some(peers) = self.peers.clone() {
            let watcher = Watcher::new(
                Arc::clone(&self.herd),
                peers,
                self.tls.clone(),
                config,
                overrides,
                removed.clone(),
            );
            self.link_tasks.spawn(watcher.run(hangups, self.stop_doors.clone()));
        }
        removed
    }

    /// The server's handle.
    pub fn herd(&self) -> &Arc<Herd> {
        &self.herd
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Has the watchdog look at other intervals than it would.
    #[cfg(test)]
    pub(crate) fn watch_every(&mut self, interval: Duration) {
        self.watchdog = Some(Watchdog::start(&self.herd, interval).expect("a thread is to be had"));
    }

    /// Stops it: takes nothing new, answers what has come, tells the neighbors the last news, closes.
    pub async fn stop(mut self) {
        let (end, log_end) = (Instant::now() + STOP_MAX, std::time::Instant::now() + LOG_MAX);
        self.herd.log().event(LogLevel::Info, Subject::Server, format_args!("stopping"));
        self.herd.drain();
        self.stop_doors.cancel();
        self.door_tasks.close();
        let _ = timeout_at(end - FLUSH_MAX, self.door_tasks.wait()).await;
        let _ = timeout_at(end - FLUSH_MAX, self.herd.places().stop()).await;
        // Nobody makes requests any more; the neighbors are told what is given back.
        self.stop_budget.cancel();
        self.budget_tasks.close();
        let _ = timeout_at(end - FLUSH_MAX, self.budget_tasks.wait()).await;
        let _ = timeout_at(end.min(Instant::now() + FLUSH_MAX), flushed(&self.herd)).await;
        self.stop_links.cancel();
        self.link_tasks.close();
        let _ = timeout_at(end, self.link_tasks.wait()).await;
        drop(self.watchdog.take());
        self.herd.log().event(LogLevel::Info, Subject::Server, format_args!("stopped"));
        self.herd.log().flush(log_end);
    }
}

/// What the doors of `server` show where they speak TLS; nothing where none does.
pub(crate) fn open_tls(config: &Config, server: &ServerConfig) -> Result<Option<DoorTls>, CredentialsError> {
    match &config.tls {
        Some(DoorCertificate { cert, key }) if server.doors.iter().any(|door| door.tls) => {
            DoorTls::open(cert, key).map(Some)
        }
        _ => Ok(None),
    }
}

/// A server without a door for others needs none.
fn open_credentials(config: &Config, server: &ServerConfig) -> Result<Option<Credentials>, CredentialsError> {
    match &config.herd.tls {
        Tls::Certs(dir) if server.peer.is_some() => Credentials::open(dir, &server.name).map(Some),
        _ => Ok(None),
    }
}

/// Waits until every link that is up has written all it had to tell; a little where none is: a neighbor that is just
/// being started again dials, or is dialled, in a moment.
async fn flushed(herd: &Herd) {
    let has_heard_clients = herd.map().report_counts().accepted > 0 && !herd.links().all().is_empty();
    let alone_until = Instant::now() + if has_heard_clients { ALONE_MAX } else { Duration::ZERO };
    while !has_told_all(herd, alone_until) {
        sleep(Duration::from_millis(5)).await;
    }
}

/// Nothing is queued on links that are no edges of the tree. If that is so of all, the tree is just being found anew, and
/// a neighbor is about to ask for what only this server may have.
fn has_told_all(herd: &Herd, alone_until: Instant) -> bool {
    let links = herd.links().all();
    let up: Vec<&Arc<Link>> = links.iter().filter(|link| link.state().up_since.is_some()).collect();
    let is_asked = match up.as_slice() {
        [] => Instant::now() >= alone_until,
        up => up.iter().any(|link| herd.map().is_eager(link.id)),
    };
    is_asked && !up.iter().any(|link| herd.has_news_for(link))
}

fn unlimited() -> Arc<dyn Quota> {
    Arc::new(Unlimited)
}

async fn sweep(herd: Arc<Herd>, stop: CancellationToken) {
    let _pulse = herd.health().pulse("forgetting what has expired");
    let mut seconds = interval(Duration::from_secs(1));
    while stop.run_until_cancelled(seconds.tick()).await.is_some() {
        herd.sweep();
    }
}
