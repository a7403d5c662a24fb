//! What the parts of a server that are no doors do with its handle ([`Inside`]): links, budget, topology, watchdog, and the
//! server as a whole. Beside it stands the little that serves a door's connections: the log, the pulses, admission, and
//! what makes reports safe.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use parking_lot::RwLock;
use proxyherd_core::{
    link::Identity,
    replica::{Replica, ReplicaSettings},
    types::{Origin, ServerName},
};

use super::{Counts, Durability, Herd, Link, Links, Status, watching::Watchers};
use crate::{
    admission::{Admission, descriptors},
    clock,
    config::{Config, Flood, ServerConfig},
    credentials::Credentials,
    liveness::Liveness,
    places::{Places, ReservedQuota},
};
use proxyherd_log::{LogLevel, ServerLog, Subject};

/// How many slots of each shard one sweep looks at: ten million clients are looked through in under a minute.
const SWEEP_SLOTS: usize = 16 * 1024;

/// What it is made of.
impl Herd {
    /// The handle of `server` in `config`, holding nothing yet.
    pub(crate) fn new(
        config: &Config,
        server: &ServerConfig,
        credentials: Option<Arc<Credentials>>,
        places: Arc<Places>,
        purse: Option<Arc<ReservedQuota>>,
        log: ServerLog,
    ) -> Arc<Herd> {
        let me = Origin { server: server.name.clone(), incarnation: clock::now_ns() };
        let map = Arc::new(Replica::new(ReplicaSettings {
            me: me.clone(),
            seed: clock::random(),
            max_clients: config.herd.max_clients,
            client_ttl_ns: config
                .herd
                .client_ttl
                .map(|ttl| u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX)),
            client_interval_ns: u64::try_from(config.limits.client_interval.as_nanos()).unwrap_or(u64::MAX),
            clock_offset_max_ns: config.herd.clock_offset_max.as_nanos() as u64,
            rules: Default::default(),
        }));
        map.set_members(config.names().iter());
        let links = Links::new(config.links_of(&server.name));
        let requests_max = config.places.requests_max();
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
            purse,
            credentials,
            log,
            liveness: Liveness::default(),
            counts: Counts::default(),
            durability: OnceLock::new(),
            watchers: Watchers::new(&map),
            map,
            members: RwLock::new(config.names()),
            started: Instant::now(),
            has_namesake: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            is_removed: AtomicBool::new(false),
        })
    }
}

/// What serves a door's connections.
impl Herd {
    /// Its log.
    pub(crate) fn log(&self) -> &ServerLog {
        &self.log
    }

    /// Who of its clients is let in.
    pub(crate) fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    /// What its watchdog knows.
    pub(crate) fn liveness(&self) -> &Liveness {
        &self.liveness
    }

    /// What makes reports safe before they are acknowledged, if that is asked for.
    pub(crate) fn durability(&self) -> Option<&Arc<dyn Durability>> {
        self.durability.get()
    }
}

/// What the parts that are no doors do with a handle. It is a trait because a method of a trait can only be called where the
/// trait is imported: `tests/it/floors.rs` fails where a door imports it.
pub(crate) trait Inside {
    /// Who this server is to its neighbors.
    fn identity(&self) -> &Identity;

    /// What it holds.
    fn map(&self) -> &Replica;

    /// Its links, in the order of [`Config::links_of`]; they come and go with the topology.
    fn links(&self) -> &Links;

    /// What answers questions about places.
    fn places(&self) -> &Arc<Places>;

    /// Requests that its providers of places may still make, where that has a bound.
    #[cfg(test)]
    fn purse(&self) -> Option<&Arc<ReservedQuota>>;

    /// What it shows its neighbors and whom it believes; without them links are plain, and on loopback.
    fn credentials(&self) -> Option<&Arc<Credentials>>;

    /// The herd's servers, as the configuration names them now.
    fn members(&self) -> Arc<[ServerName]>;

    /// From here on these are the herd's servers.
    fn set_members(&self, members: Arc<[ServerName]>);

    /// Whether there is something that `link`, which is up, has not written yet.
    fn has_news_for(&self, link: &Link) -> bool;

    /// Counts a connection to the peer port that got no link.
    fn count_refused_peer(&self);

    /// Forgets some of what has expired, answers nonsense and tells of it, and looks at the tree; to be called about once a
    /// second.
    fn sweep(&self);

    /// Leaves descriptors for the links that there are now; to be called when that has changed.
    fn make_room_for_links(&self);

    /// How this server is, for the program itself.
    fn present(&self) -> Status;

    /// Whether another process runs in this server's name.
    fn has_namesake(&self) -> bool;

    /// From here on the server is on its way out, and says so to whoever balances load.
    fn drain(&self);

    /// From here on reports are acknowledged when `durability` says that they are safe. Only the first call counts.
    #[cfg_attr(not(test), expect(dead_code, reason = "nothing makes reports safe yet"))]
    fn set_durability(&self, durability: Arc<dyn Durability>);

    /// Records whether the configuration still names this server.
    fn set_removed(&self, is_removed: bool);

    /// Whether the configuration no longer names this server: soon no other server may hear what its clients report.
    fn is_removed(&self) -> bool;
}

impl Inside for Herd {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn map(&self) -> &Replica {
        &self.map
    }

    fn links(&self) -> &Links {
        &self.links
    }

    fn places(&self) -> &Arc<Places> {
        &self.places
    }

    #[cfg(test)]
    fn purse(&self) -> Option<&Arc<ReservedQuota>> {
        self.purse.as_ref()
    }

    fn credentials(&self) -> Option<&Arc<Credentials>> {
        self.credentials.as_ref()
    }

    fn members(&self) -> Arc<[ServerName]> {
        Arc::clone(&self.members.read())
    }

    fn set_members(&self, members: Arc<[ServerName]>) {
        self.map.set_members(members.iter());
        *self.members.write() = members;
    }

    fn has_news_for(&self, link: &Link) -> bool {
        self.map.is_ready(link.id) || !link.lag().is_zero()
    }

    fn count_refused_peer(&self) {
        self.counts.peers_refused.fetch_add(1, Relaxed);
    }

    fn sweep(&self) {
        let now_ns = clock::now_ns();
        self.map.sweep(now_ns, SWEEP_SLOTS);
        self.wake(self.map.mend(now_ns));
        self.tell_nonsense();
        self.wake(self.map.look_at_tree(now_ns, &self.members()));
        let has_namesake = self.map.has_namesake();
        let had_namesake = self.has_namesake.swap(has_namesake, Relaxed);
        if has_namesake && !had_namesake {
            self.log.event(
                LogLevel::Warn,
                Subject::Server,
                format_args!(
                    "another process runs as {} in this herd: stop one of the two, or give it a name of its own",
                    self.name()
                ),
            );
        }
        self.places.sweep();
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
    }

    fn set_durability(&self, durability: Arc<dyn Durability>) {
        let _ = self.durability.set(durability);
    }

    fn set_removed(&self, is_removed: bool) {
        self.is_removed.store(is_removed, Relaxed);
    }

    fn is_removed(&self) -> bool {
        self.is_removed.load(Relaxed)
    }
}

impl Herd {
    /// Logs which neighbors have told nonsense, each at most once in a minute.
    fn tell_nonsense(&self) {
        for link in self.links.all().iter() {
            let Some(news) = link.nonsense_news(self.map.nonsense(link.id), Instant::now()) else { continue };
            let each = news.iter().map(|(what, count)| format!("{} ({count})", what.told()));
            let (told, neighbor) = (each.collect::<Vec<_>>().join(", "), &link.neighbor);
            self.log.event(
                LogLevel::Warn,
                Subject::Link(neighbor),
                format_args!(
                    "it sent what this server does not keep: {told}. Look at {neighbor}, and at the servers behind it, \
                     for which it may only have passed this on"
                ),
            );
        }
    }
}
