//! The operations of the handle for the parts of a server that are not doors. Links, budget, topology, watchdog, and
//! the server itself use the trait [`Internals`].
//!
//! This file also has methods that serve the connections of doors: the log, the pulses, admission, and the durability
//! of reports. Doors may call these methods, because these methods are not part of the trait.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use proxyherd_config::{
    clock,
    config::{AccessSettings, Config, Flood, MapSettings, ServerConfig},
    credentials::Credentials,
    server_status::Status,
};
use proxyherd_core::{
    link::Identity,
    replica::{Replica, ReplicaSettings},
    types::{Origin, ServerName},
};
use proxyherd_log::{LogLevel, ServerLog, Subject};
use tokio_util::sync::CancellationToken;

use super::{
    DemoControls, Durability, Herd, HerdCounters, HerdDoors, JournalMonitor, Link, Links, ServerDurability,
    streams::{HerdStreams, PresenceRules},
};
use crate::{
    access::{AuditLog, Tokens},
    admission::{Admission, descriptors},
    liveness::Liveness,
    places::{Places, ReservedQuota},
};

/// Number of slots of each shard that one sweep checks. With one sweep a second, a pass over ten million clients takes
/// less than a minute.
const SWEEP_SLOTS: usize = 16 * 1024;

/// The constructor of a handle.
impl Herd {
    /// The handle of `server` in `config`. It holds no records yet.
    pub(crate) fn new(
        config: &Config,
        server: &ServerConfig,
        credentials: Option<Arc<Credentials>>,
        places: Arc<Places>,
        quota: Option<Arc<ReservedQuota>>,
        log: ServerLog,
    ) -> Arc<Herd> {
        let me = Origin { server: server.name.clone(), incarnation: clock::now_ns() };
        let replica = Arc::new(Replica::new(ReplicaSettings {
            me: me.clone(),
            seed: clock::random(),
            max_clients: config.herd.max_clients,
            client_ttl_ns: config
                .herd
                .client_ttl
                .map(|ttl| u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX)),
            client_interval_ns: u64::try_from(config.limits.client_interval.as_nanos()).unwrap_or(u64::MAX),
            report_rules: config.reports,
            clock_offset_max_ns: config.herd.clock_offset_max.as_nanos() as u64,
            client_index: config.herd.client_index,
            rules: Default::default(),
        }));
        replica.set_members(config.names().iter());
        let links = Arc::new(Links::new(config.links_of(&server.name)));
        let presence = presence_rules(config, &links);
        let requests_max = config.places.requests_max();
        let server_durability = ServerDurability::new(&replica, &server.durability);
        let durability = server_durability.clone().map(|own| own as Arc<dyn Durability>);
        let room = descriptors::left_for_clients(links.all().len(), requests_max);
        Arc::new(Herd {
            identity: Identity {
                herd: config.herd.id.clone(),
                me,
                link_version: config.herd.link_version,
                has_tree: config.herd.flood == Flood::Tree,
                clock_offset_max_ns: config.herd.clock_offset_max.as_nanos() as u64,
            },
            links,
            requests_max,
            admission: Arc::new(Admission::new(&config.limits, room)),
            places,
            quota,
            credentials,
            access: config.access.clone(),
            map: config.map.clone(),
            doors: Arc::new(HerdDoors::new(config)),
            audit: audit_log(config, server, &log),
            log,
            liveness: Liveness::default(),
            counters: HerdCounters::default(),
            durability: durability.map_or_else(OnceLock::new, OnceLock::from),
            server_durability,
            journal: OnceLock::new(),
            streams: HerdStreams::new(&replica, presence),
            tokens: Tokens::new(&config.access, config.herd.max_clients, &replica),
            replica,
            members: RwLock::new(config.names()),
            started: Instant::now(),
            has_namesake: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            is_removed: AtomicBool::new(false),
            killed: CancellationToken::new(),
            demo: OnceLock::new(),
        })
    }
}

fn presence_rules(config: &Config, links: &Arc<Links>) -> PresenceRules {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let (silent, ttl) = (config.presence_silent, config.herd.client_ttl);
    PresenceRules { silent_ns: silent.map(nanos), client_ttl_ns: ttl.map(nanos), links: Arc::clone(links) }
}

/// The audit log beside the server's log. A server without a log, as in tests, has no audit log.
fn audit_log(config: &Config, server: &ServerConfig, log: &ServerLog) -> AuditLog {
    if log.enabled(LogLevel::Error) {
        AuditLog::at(config.log.dir.join(format!("{}.audit.log", server.name)))
    } else {
        AuditLog::discard()
    }
}

/// Methods that serve the connections of doors.
impl Herd {
    /// This server's log.
    pub fn log(&self) -> &ServerLog {
        &self.log
    }

    /// The settings of access.
    pub(crate) fn access(&self) -> &AccessSettings {
        &self.access
    }

    /// The settings of the map.
    pub(crate) fn map_settings(&self) -> &MapSettings {
        &self.map
    }

    /// The admission, which decides which clients are admitted.
    pub(crate) fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    /// The pulses that the watchdog checks.
    pub(crate) fn liveness(&self) -> &Liveness {
        &self.liveness
    }

    /// The durability, which makes reports durable before they are acknowledged. `None`: reports are not durable.
    pub(crate) fn durability(&self) -> Option<&Arc<dyn Durability>> {
        self.durability.get()
    }

    /// What the journal shows of itself. `None`: the server keeps no journal.
    pub(crate) fn journal(&self) -> Option<&Arc<JournalMonitor>> {
        self.journal.get()
    }
}

/// The methods for the parts of a server that are not doors. They form a trait, because code can call them only where
/// the trait is imported. `tests/it/floors.rs` fails if a door imports the trait.
pub trait Internals {
    /// The identity of this server for its neighbors.
    fn identity(&self) -> &Identity;

    /// All records that this server holds.
    fn replica(&self) -> &Arc<Replica>;

    /// This server's links, in the order of [`Config::links_of`]. The topology adds and removes links.
    fn links(&self) -> &Links;

    /// The places, which answer queries about places.
    fn places(&self) -> &Arc<Places>;

    /// The reserve of requests to providers of places. `None`: the number of requests has no limit.
    #[cfg(test)]
    fn quota(&self) -> Option<&Arc<ReservedQuota>>;

    /// This server's certificate for links and its trust anchors. `None`: links are not encrypted and only on loopback.
    fn credentials(&self) -> Option<&Arc<Credentials>>;

    /// The servers of the herd that the configuration names now.
    fn members(&self) -> Arc<[ServerName]>;

    /// Replaces the servers of the herd.
    fn set_members(&self, members: Arc<[ServerName]>);

    /// Whether `link`, which is up, has something to write.
    fn has_news_for(&self, link: &Link) -> bool;

    /// Counts a connection to the peer port that got no link.
    fn count_refused_peer(&self);

    /// Does the work that is due about once a second: forgets some of the expired records, corrects and logs nonsense
    /// that neighbors have sent, updates the spanning tree, and checks for a namesake.
    fn sweep(&self);

    /// Reserves descriptors for the present links. Must be called when links were added or removed.
    fn make_room_for_links(&self);

    /// The status of this server. Unlike [`Herd::status`] this needs no caller.
    fn present(&self) -> Status;

    /// Whether another process runs under this server's name.
    fn has_namesake(&self) -> bool;

    /// Records that the server is stopping. From now on its readiness tells load balancers.
    fn drain(&self);

    /// What makes reports durable, if the settings say that acknowledgements wait. The journal's thread tells it what
    /// is synced.
    fn server_durability(&self) -> Option<&Arc<ServerDurability>>;

    /// From now on, reports are acknowledged only after `durability` says that they are durable. For tests: this has no
    /// effect if the settings say that acknowledgements wait, or after the first call.
    fn set_durability(&self, durability: Arc<dyn Durability>);

    /// Shows the journal in the status, in metrics and in readiness from now on. Only the first call counts.
    fn set_journal(&self, journal: Arc<JournalMonitor>);

    /// Replaces the hash of the operator's token.
    fn set_operator_token(&self, sha256: Option<[u8; 32]>);

    /// Compares the rights of open connections with the present records of their tokens.
    fn recheck_tokens(&self);

    /// Records whether the configuration no longer names this server.
    fn set_removed(&self, is_removed: bool);

    /// Whether the configuration no longer names this server. The other servers then close their links with it.
    fn is_removed(&self) -> bool;

    /// Canceled when the server is killed: nothing is flushed, and each connection ends where it is.
    fn killed(&self) -> &CancellationToken;

    /// Gives the server the controls of the demo in which it runs. Only the first call counts.
    fn set_demo(&self, demo: Arc<dyn DemoControls>);
}

impl Internals for Herd {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    fn links(&self) -> &Links {
        &self.links
    }

    fn places(&self) -> &Arc<Places> {
        &self.places
    }

    #[cfg(test)]
    fn quota(&self) -> Option<&Arc<ReservedQuota>> {
        self.quota.as_ref()
    }

    fn credentials(&self) -> Option<&Arc<Credentials>> {
        self.credentials.as_ref()
    }

    fn members(&self) -> Arc<[ServerName]> {
        Arc::clone(&self.members.read())
    }

    fn set_members(&self, members: Arc<[ServerName]>) {
        self.replica.set_members(members.iter());
        *self.members.write() = members;
    }

    fn has_news_for(&self, link: &Link) -> bool {
        self.replica.is_ready(link.id) || !link.lag().is_zero()
    }

    fn count_refused_peer(&self) {
        self.counters.peers_refused.fetch_add(1, Relaxed);
    }

    fn sweep(&self) {
        let now_ns = clock::now_ns();
        self.replica.sweep(now_ns, SWEEP_SLOTS);
        self.wake(self.replica.mend(now_ns));
        self.log_nonsense();
        self.wake(self.replica.look_at_tree(now_ns, &self.members()));
        let has_namesake = self.replica.has_namesake();
        let had_namesake = self.has_namesake.swap(has_namesake, Relaxed);
        if has_namesake && !had_namesake {
            self.log.event(
                LogLevel::Warn,
                Subject::Server,
                format_args!(
                    "another process runs as {} in this herd: stop one of the two processes, or give it another name",
                    self.name()
                ),
            );
        }
        self.places.sweep();
        if let Some(durability) = &self.server_durability {
            durability.sweep();
        }
    }

    fn make_room_for_links(&self) {
        self.admission.set_room(descriptors::left_for_clients(self.links.all().len(), self.requests_max));
    }

    fn present(&self) -> Status {
        self.gather()
    }

    fn has_namesake(&self) -> bool {
        self.has_namesake.load(Relaxed)
    }

    fn drain(&self) {
        self.is_draining.store(true, Relaxed);
        self.streams.stop();
    }

    fn server_durability(&self) -> Option<&Arc<ServerDurability>> {
        self.server_durability.as_ref()
    }

    fn set_durability(&self, durability: Arc<dyn Durability>) {
        let _ = self.durability.set(durability);
    }

    fn set_journal(&self, journal: Arc<JournalMonitor>) {
        let _ = self.journal.set(journal);
    }

    fn set_operator_token(&self, sha256: Option<[u8; 32]>) {
        self.change_operator_token(sha256);
    }

    fn recheck_tokens(&self) {
        let now_ns = clock::now_ns();
        self.tokens.recheck(now_ns);
        self.streams.recheck(now_ns);
    }

    fn set_removed(&self, is_removed: bool) {
        self.is_removed.store(is_removed, Relaxed);
    }

    fn is_removed(&self) -> bool {
        self.is_removed.load(Relaxed)
    }

    fn killed(&self) -> &CancellationToken {
        &self.killed
    }

    fn set_demo(&self, demo: Arc<dyn DemoControls>) {
        let _ = self.demo.set(demo);
    }
}

impl Herd {
    /// Logs which neighbors have sent nonsense. Each neighbor has at most one line a minute.
    fn log_nonsense(&self) {
        for link in self.links.all().iter() {
            let Some(news) = link.nonsense_news(self.replica.nonsense(link.id), Instant::now()) else {
                continue;
            };
            let kinds = news.iter().map(|(what, count)| format!("{} ({count})", what.told()));
            let (told, neighbor) = (kinds.collect::<Vec<_>>().join(", "), &link.neighbor);
            self.log.event(
                LogLevel::Warn,
                Subject::Link(neighbor),
                format_args!(
                    "the neighbor sent what this server does not keep: {told}. Look at {neighbor}, and at the servers \
                     behind it: {neighbor} may only have relayed this"
                ),
            );
        }
    }
}
