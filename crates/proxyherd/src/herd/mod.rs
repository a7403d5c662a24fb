//! The shared handle of one server: doors and peers call it, it calls the core.
//!
//! It knows nothing of doors. It decides nothing that core can decide: it adds what core must not have, that
//! is the clock, the tasks to wake, the provider of places and the log.

mod links;
mod unrest;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use parking_lot::RwLock;
use proxyherd_core::{
    codec::line,
    flood::Wake,
    link::Identity,
    map::{Map, MapSettings},
    places::Query,
    types::{Body, ClientId, Origin, Radius, ServerName},
};

pub use self::links::{Link, LinkState, Links};
use crate::{
    admission::{Admission, descriptors},
    clock,
    config::{Config, Flood, Server},
    credentials::Credentials,
    health::Health,
    log::{LogLevel, ServerLog, Subject},
    places::{Places, Purse},
};

/// How many slots of each shard one sweep looks at: ten million clients are looked through in under a minute.
const SWEEP_SLOTS: usize = 16 * 1024;

/// One server of the herd.
pub struct Herd {
    /// Who this server is to its neighbours.
    pub identity: Identity,
    /// Its links, in the order of [`Config::links_of`]; they come and go with the topology.
    pub links: Links,
    /// What answers questions about places.
    pub places: Arc<Places>,
    /// Requests that its providers may still make, where that has a bound.
    pub purse: Option<Arc<Purse>>,
    /// What it shows its neighbours and whom it believes; without them links are plain, and on loopback.
    pub credentials: Option<Arc<Credentials>>,
    /// Its log.
    pub log: ServerLog,
    /// Who of its clients is let in.
    pub admission: Arc<Admission>,
    /// What its watchdog knows.
    pub health: Health,
    /// What its doors have counted.
    pub counts: Counts,
    map: Map,
    /// How many requests to providers of places may be under way.
    requests_max: usize,
    members: RwLock<Arc<[ServerName]>>,
    started: Instant,
    has_namesake: AtomicBool,
    is_draining: AtomicBool,
    is_removed: AtomicBool,
}

/// What doors count, for metrics and status.
#[derive(Debug, Default)]
pub struct Counts {
    /// Reports that could not be read, since the start.
    pub reports_unreadable: AtomicU64,
    /// Connections to the peer port that got no link, since the start.
    pub peers_refused: AtomicU64,
    /// Lines, reports and others, answered `? …` since the start.
    pub lines_invalid: AtomicU64,
}

impl Herd {
    /// The handle of `server` in `config`, holding nothing yet.
    pub fn new(
        config: &Config,
        server: &Server,
        credentials: Option<Arc<Credentials>>,
        places: Arc<Places>,
        purse: Option<Arc<Purse>>,
        log: ServerLog,
    ) -> Arc<Herd> {
        let me = Origin { server: server.name.clone(), incarnation: clock::now_ns() };
        let map = Map::new(MapSettings {
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
        });
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
            health: Health::default(),
            counts: Counts::default(),
            map,
            members: RwLock::new(config.names()),
            started: Instant::now(),
            has_namesake: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            is_removed: AtomicBool::new(false),
        })
    }

    /// This server's name.
    pub fn name(&self) -> &ServerName {
        &self.identity.me.server
    }

    /// What it holds.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// The herd's servers, as the configuration names them now.
    pub fn members(&self) -> Arc<[ServerName]> {
        Arc::clone(&self.members.read())
    }

    /// From here on these are the herd's servers.
    pub fn set_members(&self, members: Arc<[ServerName]>) {
        self.map.set_members(members.iter());
        *self.members.write() = members;
    }

    /// When it started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Appends the AT line of a client's record to `out` and says what to ask the places about; `None` if the
    /// client is not known.
    pub fn locate(
        &self,
        now_ns: u64,
        client: ClientId<'_>,
        radius: Radius,
        out: &mut Vec<u8>,
    ) -> Option<Query> {
        let found = self.map.locate(now_ns, client, |held| {
            let Body::Location { coordinates, .. } = held.record.body else { return None };
            let (server, record) = (&held.origin.server, &held.record);
            line::write_at(out, server, record.difference, record.key, coordinates, record.timestamp);
            Some(Query::around(coordinates, radius))
        });
        found.flatten()
    }

    /// Whether there is something that `link`, which is up, has not written yet.
    pub fn has_news_for(&self, link: &Link) -> bool {
        self.map.is_ready(link.id) || !link.lag().is_zero()
    }

    /// Lets the links in `wake` flush.
    pub fn wake(&self, wake: Wake) {
        for link in wake.links() {
            self.links.wake(link);
        }
    }

    /// Forgets some of what has expired, answers nonsense and tells of it, and looks at the tree; to be called about once a
    /// second.
    pub fn sweep(&self) {
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

    /// Logs which neighbors have told nonsense, each at most once in [`NONSENSE_INTERVAL`].
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

    /// Leaves descriptors for the links that there are now; to be called when that has changed.
    pub fn make_room_for_links(&self) {
        self.admission.set_room(descriptors::left_for_clients(self.links.all().len(), self.requests_max));
    }

    /// Whether another process runs in this server's name.
    pub fn has_namesake(&self) -> bool {
        self.has_namesake.load(Relaxed)
    }

    /// From here on the server is on its way out, and says so to whoever balances load.
    pub fn drain(&self) {
        self.is_draining.store(true, Relaxed);
    }

    /// Records whether the configuration still names this server.
    pub fn set_removed(&self, is_removed: bool) {
        self.is_removed.store(is_removed, Relaxed);
    }

    /// Whether the configuration no longer names this server: soon no other server may hear what its clients report.
    pub fn is_removed(&self) -> bool {
        self.is_removed.load(Relaxed)
    }

    /// Whether the server is on its way out.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Relaxed)
    }
}
