//! One server's handle, through which all doors go: what they may ask of the herd.
//!
//! All that a door needs is in this file, and in what it names: reports, questions about clients and places, forgetting,
//! watching ([`Herd`]'s methods here), whether the server is well (`readiness`), and how it is (`figures`). What asks is a
//! [`Caller`], whose rights are checked here and in no door. A door turns bytes into these calls, and what it is told into
//! bytes. This module knows no protocol.
//!
//! It decides nothing that core can decide: it adds what core must not have, that is the clock, the tasks to wake, the
//! provider of places and the log. The parts of the server that are no doors (links, budget, topology, watchdog) have
//! methods of their own, in [`Inside`]. A door must not import that, which a test of the floors sees to.

mod denied;
mod durability;
mod figures;
mod inside;
mod links;
mod readiness;
mod status;
#[cfg(test)]
pub(crate) mod tests;
mod unrest;
mod watching;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use parking_lot::RwLock;
use proxyherd_core::{
    command::{Around, Near, Nearby, Watch},
    flood::{Update, Wake},
    link::Identity,
    places::Query,
    replica::{FoundClient, Offer, Replica},
    types::{Attributes, Body, ClientId, Coordinates, Difference, Record, ServerName, Timestamp},
};

pub(crate) use self::inside::Inside;
use self::watching::Watchers;
pub use self::{
    denied::Denied,
    durability::{Durability, Notice, Position},
    figures::Figures,
    links::{Link, LinkState, Links},
    readiness::Readiness,
    status::{BudgetStatus, LinkStatus, ReportStatus, Status},
    watching::{Change, Watching},
};
use crate::{
    admission::Admission,
    caller::Caller,
    credentials::Credentials,
    liveness::Liveness,
    places::{Looked, Places, ReservedQuota},
};
use proxyherd_log::ServerLog;

/// One server of the herd.
pub struct Herd {
    identity: Identity,
    links: Links,
    places: Arc<Places>,
    purse: Option<Arc<ReservedQuota>>,
    credentials: Option<Arc<Credentials>>,
    log: ServerLog,
    admission: Arc<Admission>,
    liveness: Liveness,
    counts: Counts,
    /// What makes reports safe before they are acknowledged; without it they are acknowledged at once.
    durability: OnceLock<Arc<dyn Durability>>,
    map: Arc<Replica>,
    watchers: Watchers,
    /// How many requests to providers of places may be under way.
    requests_max: usize,
    members: RwLock<Arc<[ServerName]>>,
    started: Instant,
    has_namesake: AtomicBool,
    is_draining: AtomicBool,
    is_removed: AtomicBool,
}

/// What is counted here, since the start.
#[derive(Debug, Default)]
struct Counts {
    reports_unreadable: AtomicU64,
    peers_refused: AtomicU64,
    lines_invalid: AtomicU64,
}

/// Where a client is, as its record has it.
#[derive(Clone, Copy, Debug)]
pub struct Whereabouts<'a> {
    /// Its ID.
    pub client: &'a [u8],
    /// Where.
    pub coordinates: Coordinates,
    /// What else its report said.
    pub attributes: Attributes<'a>,
    /// When, as the report says.
    pub timestamp: Timestamp,
    /// When the report was received, counted from `timestamp`.
    pub difference: Difference,
    /// The server that took the report.
    pub server: &'a ServerName,
}

impl<'a> Whereabouts<'a> {
    /// `None` for a tombstone.
    fn of(held: Update<'a>) -> Option<Whereabouts<'a>> {
        let Record { key, timestamp, difference, body, .. } = held.record;
        let Body::Location { coordinates, attributes } = body else { return None };
        let server = &held.origin.server;
        Some(Whereabouts { client: key, coordinates, attributes, timestamp, difference, server })
    }
}

impl Herd {
    /// This server's name.
    pub fn name(&self) -> &ServerName {
        &self.identity.me.server
    }

    /// Takes up to [`BATCH_LEN_MAX`](proxyherd_core::limits::BATCH_LEN_MAX) reports, those of one client in their order, at
    /// `now_ns` by this server's clock; each learns what became of it. The caller must [wake](Herd::wake) the links that are
    /// returned. A door that reports several batches at a time wakes once for all of them ([`Wake::and`]).
    pub fn report(&self, caller: &Caller, now_ns: u64, offers: &mut [Offer<'_>]) -> Result<Wake, Denied> {
        Denied::Report.unless(caller)?;
        Ok(self.map.report_all(now_ns, offers))
    }

    /// Lets the links in `wake` flush.
    pub fn wake(&self, wake: Wake) {
        for link in wake.links() {
            self.links.wake(link);
        }
    }

    /// Calls `read` with where a client is, under a lock: it must not take long. `None`: the client is not known.
    pub fn locate<T>(
        &self,
        caller: &Caller,
        now_ns: u64,
        client: ClientId<'_>,
        read: impl FnOnce(&Whereabouts<'_>) -> T,
    ) -> Result<Option<T>, Denied> {
        Denied::Read.unless(caller)?;
        Ok(self.find(now_ns, client, read))
    }

    /// The places around somewhere, or what waits for them. Around a client, `read` is called as by [`Herd::locate`] before
    /// anything is asked. `None`: the client is not known.
    pub fn nearby(
        &self,
        caller: &Caller,
        now_ns: u64,
        nearby: &Nearby<'_>,
        read: impl FnOnce(&Whereabouts<'_>),
    ) -> Result<Option<Looked>, Denied> {
        Denied::Places.unless(caller)?;
        let &Nearby { around, radius, limit, wish } = nearby;
        let query = match around {
            Around::Point(point) => Query::within(point, radius.meters()),
            Around::Client(client) => self.locate(caller, now_ns, client, |found| {
                read(found);
                Query::around(found.coordinates, radius)
            })?,
        };
        let query = query.map(|query| match wish {
            Some(wish) => query.wishing(wish.clone()),
            None => query,
        });
        Ok(query.map(|query| self.places.look(query, limit.into())))
    }

    /// Whether at least one provider of places knows that type of them. Anybody may ask.
    pub fn knows_kind_of_places(&self, kind: &str) -> bool {
        self.places.knows_kind(kind)
    }

    /// The clients around somewhere, the nearest first; those that `wanted` leaves out take no place. `None`: the client
    /// around which they should be is not known.
    pub fn near(
        &self,
        caller: &Caller,
        now_ns: u64,
        near: &Near<'_>,
        wanted: impl FnMut(&Record<'_>) -> bool,
    ) -> Result<Option<Vec<FoundClient>>, Denied> {
        Denied::Read.unless(caller)?;
        Ok(self.map.near(now_ns, near, wanted))
    }

    /// Forgets a client for the whole herd. Says whether it was known.
    pub fn forget(&self, caller: &Caller, now_ns: u64, client: ClientId<'_>) -> Result<bool, Denied> {
        Denied::Report.unless(caller)?;
        let (was_known, wake) = self.map.forget(now_ns, client);
        self.wake(wake);
        Ok(was_known)
    }

    /// From here on the caller can [take](Watching::take) what changes of the clients that `watch` names, until it drops what is
    /// returned. `bell` is called on another thread when there is something to take and nothing was left before; it must not
    /// wait. Who also wants to know where these clients are now watches first, and then asks. `None`: this server has as many
    /// watchers as it can serve.
    pub fn watch(
        &self,
        caller: &Caller,
        watch: Watch<'_>,
        bell: impl Fn() + Send + Sync + 'static,
    ) -> Result<Option<Watching>, Denied> {
        Denied::Read.unless(caller)?;
        Ok(self.watchers.watch(&self.liveness, watch, bell))
    }

    /// Counts a report that could not be read.
    pub fn count_unreadable(&self) {
        self.counts.reports_unreadable.fetch_add(1, Relaxed);
    }

    /// Counts a line that was answered with a question mark.
    pub fn count_invalid_line(&self) {
        self.counts.lines_invalid.fetch_add(1, Relaxed);
    }

    /// The names of what in this server is stuck. Anybody may ask.
    pub fn stuck(&self) -> Vec<String> {
        self.liveness.stuck()
    }

    /// Whether the server is on its way out.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Relaxed)
    }

    fn find<T>(
        &self,
        now_ns: u64,
        client: ClientId<'_>,
        read: impl FnOnce(&Whereabouts<'_>) -> T,
    ) -> Option<T> {
        let found = self.map.locate(now_ns, client, |held| Whereabouts::of(held).map(|found| read(&found)));
        found.flatten()
    }
}
