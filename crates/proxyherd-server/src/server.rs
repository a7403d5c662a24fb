//! A running server. Its herd handle, links, doors, quota and watchdog start and stop together.
//!
//! [`Server::start`] returns when every listener is open. A server with a journal reads its store before it opens its
//! listeners. If the start fails, nothing keeps running. [`Server::stop`] takes at most ten seconds, even if clients,
//! neighbors or the disk do not respond.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use proxyherd_config::{
    config::{Config, Door, DoorCertificate, Overrides, ServerConfig, TLS_SCHEME, Tls},
    credentials::{self, Credentials, CredentialsError, Reread},
    door_kind::DoorKind,
};
use proxyherd_core::{journal::ReadProgress, types::ServerName};
use proxyherd_log::{LogLevel, ServerLog, Subject};
use tokio::{
    net::TcpListener,
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    access::RECHECK_INTERVAL,
    door::{
        Doors,
        entrance::{DoorListener, DoorTasks, DoorTls, Entrance},
    },
    herd::{DemoControls, Herd, Internals, Link},
    journal::{JournalError, OpenStore, ServerJournal, warn_of_unused_store},
    listen::{self, ListenError},
    peer::{self, Peers},
    places::{self, OpenError, Quota, Unlimited},
    quota::{self, HerdQuota, QuotaError},
    topology::Watcher,
    watchdog::{self, Watchdog},
};

pub use crate::topology::Rereads;

/// Maximum time of a stop. Work that is not done by then is cut off.
const STOP_MAX: Duration = Duration::from_secs(8);
/// The part of [`STOP_MAX`] in which the links may send the last reports to the neighbors.
const FLUSH_MAX: Duration = Duration::from_secs(3);
/// The part of that time for which a server without any link that is up waits for a neighbor. Links are dialed more
/// often.
const ALONE_MAX: Duration = Duration::from_millis(1200);
/// Maximum time of a kill. A task that has not ended by then ends with the process.
const KILL_MAX: Duration = Duration::from_secs(2);
/// Maximum time from the start of a stop until the log gives up on a disk that accepts no more lines.
const LOG_MAX: Duration = Duration::from_millis(8500);

/// Why a server did not start. No part of the server keeps running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration has no server with this name.
    #[error("the configuration has no server {0}; it has {1}")]
    NoSuchServer(String, String),
    /// The server cannot listen at an address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The log could not be opened.
    #[error(transparent)]
    Log(io::Error),
    /// The system refuses a thread or a descriptor that the server needs for its clients.
    #[error("can't serve clients: {0}; check the limits of this process (ulimit -a)")]
    Door(io::Error),
    /// The file of the places budget could not be read.
    #[error(transparent)]
    Budget(#[from] QuotaError),
    /// The store could not be opened or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A certificate or key could not be read.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A provider of places could not be opened.
    #[error(transparent)]
    Places(#[from] OpenError),
}

/// A server's listening sockets. They are open before the server starts, so that the system can choose the ports of a
/// herd in one process.
#[derive(Debug)]
pub struct Sockets {
    /// In the order of the configuration.
    doors: Vec<(Door, TcpListener)>,
    peer: Option<TcpListener>,
}

/// The addresses at which a server listens. Port 0 is replaced with the port that the system has chosen.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The addresses of the server's doors, in the order of the configuration.
    pub doors: Vec<OpenDoor>,
    /// The address for other servers.
    pub peer: Option<SocketAddr>,
}

/// One address at which a door listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenDoor {
    /// The kind of the door.
    pub kind: DoorKind,
    /// The address, with the port that the system has chosen if the configuration names port 0.
    pub at: SocketAddr,
    /// Whether the connections there are encrypted.
    pub tls: bool,
}

/// The address in the form of the configuration: `tls://127.0.0.1:12443`.
impl fmt::Display for OpenDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.tls { TLS_SCHEME } else { "" }, self.at)
    }
}

impl Addresses {
    /// The addresses of the doors of this kind.
    pub fn of(&self, kind: DoorKind) -> impl Iterator<Item = SocketAddr> {
        self.doors_of(kind).map(|door| door.at)
    }

    fn doors_of(&self, kind: DoorKind) -> impl Iterator<Item = &OpenDoor> {
        self.doors.iter().filter(move |door| door.kind == kind)
    }

    /// The first address of the line door. Every server has a line door.
    pub fn line(&self) -> SocketAddr {
        self.of(DoorKind::Line).next().expect("the configuration gives every server a door for clients")
    }

    /// The first address of the HTTP door, if the server has an HTTP door.
    pub fn http(&self) -> Option<SocketAddr> {
        self.of(DoorKind::Http).next()
    }
}

/// Every address of every door: `clients at 127.0.0.1:12000, tls://[::1]:12443; HTTP at 127.0.0.1:8000`.
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

    /// The addresses of the sockets.
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
    /// The certificate of the doors with TLS.
    tls: Option<Arc<DoorTls>>,
    stop_doors: CancellationToken,
    stop_quota: CancellationToken,
    stop_links: CancellationToken,
    door_tasks: DoorTasks,
    quota_tasks: TaskTracker,
    link_tasks: TaskTracker,
    peers: Option<Peers>,
    watchdog: Option<Watchdog>,
    journal: Option<ServerJournal>,
}

/// A server that has everything but its sockets.
struct PreparedServer {
    herd: Arc<Herd>,
    tls: Option<Arc<DoorTls>>,
    quota: Option<HerdQuota>,
    /// The store, if the server has a journal.
    store: Option<OpenStore>,
}

impl PreparedServer {
    fn new(config: &Config, server: &ServerConfig) -> Result<PreparedServer, StartError> {
        let credentials = open_credentials(config, server)?.map(Arc::new);
        let tls = open_tls(config, server)?.map(Arc::new);
        let disk = OpenStore::lock(config, server)?;
        let log = ServerLog::open(&config.log, &server.name).map_err(StartError::Log)?;
        if disk.is_none() {
            warn_of_unused_store(config, server, &log);
        }
        let store = disk.map(|disk| OpenStore::open(disk, config, server, &log)).transpose()?;
        let quota = HerdQuota::open(config, &server.name)?;
        let reserved = quota.as_ref().map(|quota| Arc::clone(quota.reserved()));
        let places_quota = reserved.clone().map_or_else(unlimited, |reserved| reserved as Arc<dyn Quota>);
        let places = places::open(&config.places, places_quota, log.clone())?;
        let herd = Herd::new(config, server, credentials, places, reserved, log);
        Ok(PreparedServer { herd, tls, quota, store })
    }

    /// Reads the store. Blocks, for seconds if the store is large. `observer` is told how far this has come.
    fn read_store(mut self, observer: &dyn Fn(ReadProgress)) -> Result<PreparedServer, StartError> {
        if let Some(store) = &mut self.store {
            store.read_into(&self.herd, observer)?;
        }
        Ok(self)
    }
}

impl Server {
    /// Starts the server `name` of `config`. Every listener is open when this returns.
    pub async fn start(config: &Config, name: &str) -> Result<Server, StartError> {
        Server::start_observed(config, name, |_| ()).await
    }

    /// [`Server::start`] for a caller that wants to know how far a long start has come. While the server reads its
    /// store, `observer` is told several times a second what was read. It must return at once.
    pub async fn start_observed(
        config: &Config,
        name: &str,
        observer: impl Fn(ReadProgress) + Send + 'static,
    ) -> Result<Server, StartError> {
        let Some(server) = config.server(name) else {
            let names: Vec<_> = config.servers.iter().map(|server| server.name.as_str()).collect();
            return Err(StartError::NoSuchServer(name.to_owned(), names.join(", ")));
        };
        if !server.durability.journal {
            let sockets = Sockets::bind(server).await?;
            return Server::start_on(config, &server.name, sockets);
        }
        // Clients that come while the store is read would wait. Without a listener they go to another server.
        let prepared = PreparedServer::new(config, server)?;
        let read = spawn_blocking(move || prepared.read_store(&observer)).await;
        let prepared =
            read.map_err(|error| StartError::Journal(JournalError::Start(error.to_string())))??;
        let sockets = Sockets::bind(server).await?;
        Server::run(config, prepared, sockets)
    }

    /// Starts the server `name`, which must be in `config`, on open sockets. If the server has a journal, this blocks
    /// while the store is read.
    pub fn start_on(config: &Config, name: &ServerName, sockets: Sockets) -> Result<Server, StartError> {
        let server =
            config.server(name.as_str()).expect("the caller has taken the name from the configuration");
        let prepared = PreparedServer::new(config, server)?.read_store(&|_| ())?;
        Server::run(config, prepared, sockets)
    }

    /// As [`Server::start_on`], for a server of a demo. Its doors have the demo's `controls`, and its links with the
    /// neighbors in `cut` are cut from the beginning.
    pub fn start_in_demo(
        config: &Config,
        name: &ServerName,
        sockets: Sockets,
        controls: Arc<dyn DemoControls>,
        cut: &[ServerName],
    ) -> Result<Server, StartError> {
        let server =
            config.server(name.as_str()).expect("the caller has taken the name from the configuration");
        let prepared = PreparedServer::new(config, server)?.read_store(&|_| ())?;
        prepared.herd.set_demo(controls);
        let links = prepared.herd.links().all();
        links.iter().filter(|link| cut.contains(&link.neighbor)).for_each(|link| link.set_cut(true));
        Server::run(config, prepared, sockets)
    }

    fn run(config: &Config, prepared: PreparedServer, sockets: Sockets) -> Result<Server, StartError> {
        let PreparedServer { herd, tls, quota, store } = prepared;
        let journal = store.map(|store| start_journal(&herd, store)).transpose()?;
        let watchdog = Some(Watchdog::start(&herd, watchdog::INTERVAL).map_err(StartError::Door)?);
        let killed = herd.killed().clone();
        let mut running = Server {
            herd,
            addresses: sockets.addresses(),
            tls,
            stop_doors: CancellationToken::new(),
            stop_quota: CancellationToken::new(),
            stop_links: CancellationToken::new(),
            door_tasks: DoorTasks::new(killed),
            quota_tasks: TaskTracker::new(),
            link_tasks: TaskTracker::new(),
            peers: None,
            watchdog,
            journal,
        };
        running.open(config, quota, sockets).map_err(StartError::Door)?;
        Ok(running)
    }

    fn open(&mut self, config: &Config, quota: Option<HerdQuota>, sockets: Sockets) -> io::Result<()> {
        let (herd, at) = (&self.herd, &self.addresses);
        let links = herd.links().all().len();
        let message = format_args!("started: {at}; {links} {}", if links == 1 { "link" } else { "links" });
        herd.log().event(LogLevel::Info, Subject::Server, message);
        for warning in &config.warnings {
            herd.log().event(LogLevel::Warn, Subject::Server, format_args!("{}", warning.told()));
        }
        let opened = Doors::new(herd);
        let mut doors = sockets.doors;
        for kind in DoorKind::ALL {
            let (own, others) = doors.into_iter().partition(|(door, _)| door.kind == kind);
            doors = others;
            self.open_door(config, kind, own, &opened)?;
        }
        self.peers = Some(peer::run(herd, sockets.peer, &self.link_tasks, &self.stop_links));
        if let Some(quota) = quota {
            quota::run(herd, quota, &self.quota_tasks, &self.stop_quota);
        }
        if let Some(credentials) = herd.credentials() {
            self.follow_files(credentials, "following the certificates");
        }
        if let Some(tls) = &self.tls {
            self.follow_files(tls, "following the certificates of the doors");
        }
        if herd.are_tokens_on() {
            self.link_tasks.spawn(recheck_tokens(Arc::clone(herd), self.stop_links.clone()));
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
        doors: &Doors,
    ) -> io::Result<()> {
        if sockets.is_empty() {
            return Ok(());
        }
        let listener = |(door, socket): (Door, TcpListener)| {
            let tls = door
                .tls
                .then(|| self.tls.clone().expect("the certificate of a door with TLS was read at the start"));
            DoorListener { own: door.address, socket, tls }
        };
        let entrance = Entrance {
            herd: Arc::clone(&self.herd),
            kind,
            listeners: sockets.into_iter().map(listener).collect(),
            tasks: self.door_tasks.clone(),
            stop: self.stop_doors.clone(),
        };
        doors.open(entrance, &config.limits)
    }

    fn follow_files<R: Reread>(&self, files: &Arc<R>, name: &str) {
        let watch = credentials::watch(Arc::clone(files), self.herd.log().clone(), self.stop_links.clone());
        let pulse = self.herd.liveness().pulse(name);
        self.link_tasks.spawn(async move {
            watch.await;
            drop(pulse);
        });
    }

    /// Makes the server follow its file. The server reads the file again when the file changes, and when `rereads` asks
    /// for it. The server was started with `config`, and `config` was read with `overrides`.
    ///
    /// The returned token is canceled when the caller must stop the server because the file no longer names it.
    pub fn follow(&self, config: Config, overrides: Overrides, rereads: Rereads) -> CancellationToken {
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
            self.link_tasks.spawn(watcher.run(rereads, self.stop_doors.clone()));
        }
        removed
    }

    /// The server's handle.
    pub fn herd(&self) -> &Arc<Herd> {
        &self.herd
    }

    /// The addresses at which the server listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Makes the watchdog check at another interval.
    #[cfg(test)]
    pub(crate) fn watch_every(&mut self, interval: Duration) {
        self.watchdog = Some(Watchdog::start(&self.herd, interval).expect("a thread is to be had"));
    }

    /// Stops the server. It accepts nothing new, answers what clients have sent, sends the last reports to its
    /// neighbors, and closes.
    pub async fn stop(mut self) {
        let (end, log_end) = (Instant::now() + STOP_MAX, std::time::Instant::now() + LOG_MAX);
        self.herd.log().event(LogLevel::Info, Subject::Server, format_args!("stopping"));
        self.herd.drain();
        self.stop_doors.cancel();
        self.door_tasks.close();
        let _ = timeout_at(end - FLUSH_MAX, self.door_tasks.wait()).await;
        let _ = timeout_at(end - FLUSH_MAX, self.herd.places().stop()).await;
        // No door makes requests any more, so the quota can give back the unused requests and tell the neighbors.
        self.stop_quota.cancel();
        self.quota_tasks.close();
        let _ = timeout_at(end - FLUSH_MAX, self.quota_tasks.wait()).await;
        let _ = timeout_at(end.min(Instant::now() + FLUSH_MAX), flushed(&self.herd)).await;
        self.stop_links.cancel();
        self.link_tasks.close();
        let _ = timeout_at(end, self.link_tasks.wait()).await;
        // Neither clients nor neighbors change anything any more, so this is the last sync.
        if let Some(journal) = self.journal.take() {
            stop_journal(journal, &self.herd, end.into_std()).await;
        }
        drop(self.watchdog.take());
        self.herd.log().event(LogLevel::Info, Subject::Server, format_args!("stopped"));
        self.herd.log().flush(log_end);
    }

    /// Ends the server as abruptly as a part of a process can end. It answers nothing more, sends its neighbors nothing
    /// more, and drops each connection where it is. Only a demo kills servers; unlike SIGKILL, this returns when the
    /// addresses of the server are free.
    pub async fn kill(mut self) {
        self.herd.log().event(LogLevel::Warn, Subject::Server, format_args!("killed"));
        self.herd.killed().cancel();
        self.stop_doors.cancel();
        self.stop_links.cancel();
        // The links are gone, so the quota tells nobody.
        self.stop_quota.cancel();
        self.herd.drain();
        self.door_tasks.close();
        self.link_tasks.close();
        self.quota_tasks.close();
        let end = Instant::now() + KILL_MAX;
        let _ = timeout_at(end, self.herd.places().stop()).await;
        let _ = timeout_at(end, self.door_tasks.wait()).await;
        let _ = timeout_at(end, self.link_tasks.wait()).await;
        let _ = timeout_at(end, self.quota_tasks.wait()).await;
        drop((self.journal.take(), self.watchdog.take()));
    }
}

/// The certificate of the doors of `server` with TLS, if it has such doors.
pub fn open_tls(config: &Config, server: &ServerConfig) -> Result<Option<DoorTls>, CredentialsError> {
    match &config.tls {
        Some(DoorCertificate { cert, key }) if server.doors.iter().any(|door| door.tls) => {
            DoorTls::open(cert, key).map(Some)
        }
        _ => Ok(None),
    }
}

/// The credentials for links. A server that does not listen for other servers needs none.
fn open_credentials(config: &Config, server: &ServerConfig) -> Result<Option<Credentials>, CredentialsError> {
    match &config.herd.tls {
        Tls::Certs(dir) if server.peer.is_some() => Credentials::open(dir, &server.name).map(Some),
        _ => Ok(None),
    }
}

/// Waits until every link that is up has sent everything in its queue. If no link is up, this waits up to [`ALONE_MAX`]
/// for a link, because a neighbor may be restarting.
async fn flushed(herd: &Herd) {
    let has_heard_clients = herd.replica().report_counts().accepted > 0 && !herd.links().all().is_empty();
    let alone_until = Instant::now() + if has_heard_clients { ALONE_MAX } else { Duration::ZERO };
    while !has_told_all(herd, alone_until) {
        sleep(Duration::from_millis(5)).await;
    }
}

/// Whether the links have sent everything. A link that is not an edge of the tree has nothing queued. If no link is an
/// edge, the servers are computing a new tree, and a neighbor may soon ask for records that only this server has.
fn has_told_all(herd: &Herd, alone_until: Instant) -> bool {
    let links = herd.links().all();
    let up: Vec<&Arc<Link>> = links.iter().filter(|link| link.state().up_since.is_some()).collect();
    let is_asked = match up.as_slice() {
        [] => Instant::now() >= alone_until,
        up => up.iter().any(|link| herd.replica().is_eager(link.id)),
    };
    is_asked && !up.iter().any(|link| herd.has_news_for(link))
}

/// Starts the journal, and lets the durability of the herd know what is on the disk.
fn start_journal(herd: &Arc<Herd>, store: OpenStore) -> Result<ServerJournal, JournalError> {
    let durability = herd.server_durability().expect("the herd of a server with a journal has a durability");
    store.start(herd, Arc::clone(durability) as _)
}

/// Writes and syncs the last changes.
async fn stop_journal(journal: ServerJournal, herd: &Herd, end: std::time::Instant) {
    let is_synced = spawn_blocking(move || journal.stop(end)).await.unwrap_or(false);
    if !is_synced {
        let message = format_args!("the disk did not take the last changes of the journal before the end");
        herd.log().event(LogLevel::Error, Subject::Server, message);
    }
}

fn unlimited() -> Arc<dyn Quota> {
    Arc::new(Unlimited)
}

async fn recheck_tokens(herd: Arc<Herd>, stop: CancellationToken) {
    let _pulse = herd.liveness().pulse("following the revocations of tokens");
    let mut ticks = interval(RECHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        herd.recheck_tokens();
    }
}

async fn sweep(herd: Arc<Herd>, stop: CancellationToken) {
    let _pulse = herd.liveness().pulse("forgetting what has expired");
    let mut seconds = interval(Duration::from_secs(1));
    while stop.run_until_cancelled(seconds.tick()).await.is_some() {
        herd.sweep();
    }
}
