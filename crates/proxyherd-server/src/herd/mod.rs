//! One server's handle on the herd: the operations that doors may use.
//!
//! A door turns its protocol's bytes into calls of [`Herd`]'s methods, and turns the results into bytes. The methods
//! here take reports, answer queries about clients and places, forget clients, and open live streams of clients.
//! `readiness` returns whether the server is ready, and `figures` returns its status and counts. `demo_controls` is for
//! a server of `proxyherd demo`. Rights are checked here and not in doors. A method that needs a right takes a
//! [`Caller`] and returns [`Denied`] if the caller lacks the right.
//!
//! Core makes the decisions. This module adds what core must not have: the clock, the tasks to wake, the providers of
//! places, and the log. This module knows no protocol. The parts of the server that are not doors (links, quota,
//! topology, watchdog) use the methods of the trait `Internals`. A door must not import this trait. A test of the
//! floors checks this rule.

mod access;
mod demo_controls;
mod denied;
mod durability;
mod figures;
mod flapping;
mod internals;
mod journal_monitor;
mod known_servers;
mod links;
mod readiness;
mod reports;
mod shares;
mod streams;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use proxyherd_config::{
    clock,
    config::{AccessSettings, MapSettings},
    credentials::Credentials,
};
use proxyherd_core::{
    codec::line::without_tokens,
    command::{Around, Bounds, List, Near, Nearby},
    flood::{Update, Wake},
    link::Identity,
    places::{Labels, Query},
    replica::{ClientPage, Effort, FoundClient, Replica},
    types::{ClientId, IdPattern, ServerName},
};
use proxyherd_log::{LogLevel, ServerLog, Subject};
use proxyherd_streams::StreamKind;
use tokio_util::sync::CancellationToken;

use self::streams::HerdStreams;
pub use self::{
    access::TokenRefusal,
    demo_controls::{DemoCommand, DemoControls, DemoOutcome, DemoRefusal, DemoServerState, DemoState},
    denied::{Denied, SearchError},
    durability::{Durability, Notice, ServerDurability},
    figures::Figures,
    internals::Internals,
    journal_monitor::{
        JournalFigures, JournalMonitor, JournalState, RecoveryFigures, SYNC_BUCKETS_S, SyncTimes,
    },
    known_servers::{HerdDoors, KnownLink, KnownServer, ListedServers},
    links::{Link, LinkConnection, Links},
    readiness::Readiness,
    streams::{StreamEnd, StreamHandle, StreamRefusal, StreamRequest, StreamsFull, Taken},
};
pub(crate) use self::{flapping::FlapChange, links::CUT};
use crate::{
    access::{AuditLog, Tokens},
    admission::Admission,
    caller::Caller,
    liveness::Liveness,
    places::{Looked, Places, ReservedQuota},
};
pub use proxyherd_core::command::{Positions, Whereabouts};

/// One server of the herd.
pub struct Herd {
    identity: Identity,
    links: Arc<Links>,
    places: Arc<Places>,
    quota: Option<Arc<ReservedQuota>>,
    credentials: Option<Arc<Credentials>>,
    log: ServerLog,
    admission: Arc<Admission>,
    liveness: Liveness,
    counters: HerdCounters,
    /// Makes reports durable before they are acknowledged. `None`: reports are acknowledged at once.
    durability: OnceLock<Arc<dyn Durability>>,
    /// The same, with what the journal tells it. `None`: reports are acknowledged at once, or a test has set another
    /// durability.
    server_durability: Option<Arc<ServerDurability>>,
    /// What the journal shows of itself. `None`: the server keeps no journal.
    journal: OnceLock<Arc<JournalMonitor>>,
    replica: Arc<Replica>,
    streams: HerdStreams,
    access: AccessSettings,
    map: MapSettings,
    /// The HTTP doors of all servers.
    doors: Arc<HerdDoors>,
    tokens: Tokens,
    audit: AuditLog,
    /// Maximum number of requests to providers of places in progress at the same time.
    requests_max: usize,
    members: RwLock<Arc<[ServerName]>>,
    started: Instant,
    has_namesake: AtomicBool,
    is_draining: AtomicBool,
    is_removed: AtomicBool,
    /// Canceled when the server is killed.
    killed: CancellationToken,
    /// The controls of the demo in which this server runs. `None`: this server is not in a demo.
    demo: OnceLock<Arc<dyn DemoControls>>,
}

/// What the herd itself counts, since the start.
#[derive(Debug, Default)]
struct HerdCounters {
    reports: reports::DoorCounters,
    peers_refused: AtomicU64,
    lines_invalid: AtomicU64,
    streams_cut: AtomicU64,
    /// Reports that the caller's token does not allow, by reason.
    reports_denied: AtomicU64,
    reports_too_fast: AtomicU64,
    reports_token_full: AtomicU64,
}

impl Herd {
    /// This server's name.
    pub fn name(&self) -> &ServerName {
        &self.identity.me.server
    }

    /// Wakes the links in `wake`, so that they flush.
    pub fn wake(&self, wake: Wake) {
        for link in wake.links() {
            self.links.wake(link);
        }
    }

    /// Calls `read` with the client's position. The call happens under a shard's lock, so `read` must be quick. `None`:
    /// the client is not known.
    pub fn locate<T>(
        &self,
        caller: &Caller,
        now_ns: u64,
        client: ClientId<'_>,
        read: impl FnOnce(&Whereabouts<'_>) -> T,
    ) -> Result<Option<T>, Denied> {
        Denied::unless_reads(caller, now_ns, client.as_bytes())?;
        Ok(self.find(now_ns, client, read))
    }

    /// The places around a point or a client, or a pending query that waits for them. For a client, this first calls
    /// `read` as [`Herd::locate`] does. `None`: the client is not known. The question counts in the rate of the
    /// caller's token.
    pub fn nearby(
        &self,
        caller: &Caller,
        now_ns: u64,
        nearby: &Nearby<'_>,
        read: impl FnOnce(&Whereabouts<'_>),
    ) -> Result<Option<Looked>, Denied> {
        Denied::unless_places(caller, now_ns)?;
        let &Nearby { around, radius, limit, wish } = nearby;
        if let Around::Client(client) = around {
            Denied::unless_reads(caller, now_ns, client.as_bytes())?;
        }
        Denied::unless_in_rate(caller, clock::monotonic_ns())?;
        let query = match around {
            Around::Point(point) => Query::within(point, radius.meters()),
            Around::Client(client) => self.find(now_ns, client, |found| {
                read(found);
                Query::around(found.coordinates, radius)
            }),
        };
        let query = query.map(|query| match wish {
            Some(wish) => query.wishing(wish.clone()),
            None => query,
        });
        Ok(query.map(|query| self.places.look(query, limit.into())))
    }

    /// The most prominent places in a box, at most `limit`, for the labels of a map. Only providers on this machine are
    /// asked. The question counts in the rate of the caller's token.
    pub fn labels(
        &self,
        caller: &Caller,
        now_ns: u64,
        bounds: Bounds,
        limit: usize,
    ) -> Result<impl Future<Output = Labels> + Send + use<>, Denied> {
        Denied::unless_places(caller, now_ns)?;
        Denied::unless_in_rate(caller, clock::monotonic_ns())?;
        let places = Arc::clone(&self.places);
        Ok(async move { places.labels(bounds, limit).await })
    }

    /// Whether at least one provider knows this type of places. This needs no right.
    pub fn knows_kind_of_places(&self, kind: &str) -> bool {
        self.places.knows_kind(kind)
    }

    /// The clients around a point or a client, the nearest first. Clients that the caller may not read, and clients for
    /// which `wanted` returns false, do not count against the limit. `None`: the client in the middle is not known.
    pub fn near(
        &self,
        caller: &Caller,
        now_ns: u64,
        near: &Near<'_>,
        effort: Effort<'_>,
        mut wanted: impl FnMut(&Update<'_>) -> bool,
    ) -> Result<Option<Vec<FoundClient>>, SearchError> {
        match near.around {
            Around::Point(_) => Denied::unless_reads_some(caller, now_ns)?,
            Around::Client(client) => Denied::unless_reads(caller, now_ns, client.as_bytes())?,
        }
        let may_read = |held: &Update<'_>| caller.rights.may_read(now_ns, held.record.key);
        Ok(self.replica.near(now_ns, near, effort, |held| may_read(held) && wanted(held))?)
    }

    /// The next page of a list of clients. Clients that the caller may not read, and clients for which `wanted` returns
    /// false, do not count against the limit. An error: the caller may not read every client of a pattern in the list.
    pub fn list(
        &self,
        caller: &Caller,
        now_ns: u64,
        list: &List<'_>,
        effort: Effort<'_>,
        mut wanted: impl FnMut(&Update<'_>) -> bool,
    ) -> Result<ClientPage, SearchError> {
        Denied::unless_reads_some(caller, now_ns)?;
        self.check_ids(caller, now_ns, list.ids)?;
        let may_read = |held: &Update<'_>| caller.rights.may_read(now_ns, held.record.key);
        Ok(self.replica.list(now_ns, list, effort, |held| may_read(held) && wanted(held))?)
    }

    /// An error, unless the caller may read every client of these patterns.
    pub fn check_ids(&self, caller: &Caller, now_ns: u64, ids: &[IdPattern]) -> Result<(), Denied> {
        ids.iter().try_for_each(|ids| Denied::unless_reads_all(caller, now_ns, ids))
    }

    /// Forgets a client in the whole herd. Returns whether the client was known. The call counts in the rate of the
    /// caller's token.
    pub fn forget(&self, caller: &Caller, now_ns: u64, client: ClientId<'_>) -> Result<bool, Denied> {
        Denied::unless_reports(caller, now_ns, client.as_bytes())?;
        Denied::unless_in_rate(caller, clock::monotonic_ns())?;
        let (was_known, wake) = self.replica.forget(now_ns, client);
        self.wake(wake);
        if was_known && self.log.enabled(LogLevel::Info) {
            // Somebody may have typed a token in place of an ID.
            let id = without_tokens(client.as_bytes());
            let (id, by) = (String::from_utf8_lossy(&id), access::by(caller));
            let message = format_args!("forgot the client {id}; by {by}");
            self.log.event(LogLevel::Info, Subject::Client(caller.address), message);
        }
        Ok(was_known)
    }

    /// What must be durable before a door acknowledges a change of a key, such as a forgotten client or a new token.
    pub(crate) fn positions_of(&self, key: &[u8]) -> Positions {
        self.replica.positions_of(key)
    }

    /// Opens a stream of the clients that the caller may read and that match the request, or resumes one. The door
    /// [takes](StreamHandle::take) events from the handle, the first at once. `bell` is called on another thread when
    /// something can be taken and nothing could be taken before. `bell` must not wait.
    pub fn stream(
        &self,
        caller: &Caller,
        now_ns: u64,
        request: StreamRequest,
        bell: impl Fn() + Send + Sync + 'static,
    ) -> Result<StreamHandle, StreamRefusal> {
        Denied::unless_reads_some(caller, now_ns)?;
        self.check_ids(caller, now_ns, &request.filter.ids)?;
        if request.kinds.contains(StreamKind::Presence) {
            Denied::unless_learns_presence(caller)?;
        }
        Ok(self.streams.open(&self.liveness, caller, request, bell)?)
    }

    /// Counts a stream whose connection is closed because its reader has taken nothing for `time`. Logs whose stream it
    /// is.
    pub fn stream_is_cut(&self, caller: &Caller, time: Duration) {
        self.counters.streams_cut.fetch_add(1, Relaxed);
        let by = caller.rights.grant().map_or_else(String::new, |grant| format!("; {}", grant.label()));
        self.log.event(
            LogLevel::Info,
            Subject::Client(caller.address),
            format_args!(
                "a stream's reader has taken nothing for {} s: its connection is closed{by}",
                time.as_secs()
            ),
        );
    }

    /// Counts a line that was answered with a question mark.
    pub fn count_invalid_line(&self) {
        self.counters.lines_invalid.fetch_add(1, Relaxed);
    }

    /// The names of what is stuck in this server. This needs no right.
    pub fn stuck(&self) -> Vec<String> {
        self.liveness.stuck()
    }

    /// Number of checks that the server's watchdog has completed. It stops growing if the watchdog itself is stuck.
    /// This needs no right.
    pub fn watchdog_checks(&self) -> u64 {
        self.liveness.checks()
    }

    /// Whether the server is stopping.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Relaxed)
    }

    fn find<T>(
        &self,
        now_ns: u64,
        client: ClientId<'_>,
        read: impl FnOnce(&Whereabouts<'_>) -> T,
    ) -> Option<T> {
        let found = self.replica.locate(now_ns, client, |held| {
            Whereabouts::of(&held.record, &held.origin.server).map(|found| read(&found))
        });
        found.flatten()
    }
}
