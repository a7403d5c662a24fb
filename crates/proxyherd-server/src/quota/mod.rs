//! The herd-wide quotas of requests to paid providers of places. The settings and the metrics call a quota a budget.
//!
//! Each server has a share of each quota and an account of the requests that it has made. [`run`] starts the keeper,
//! one task of a server. The keeper fills the reserve, and requests are taken from the reserve. The keeper also writes
//! the book to the file, floods the account, and grants other servers the requests that this server can spare. The
//! keeper has a turn every second, and sooner when the reserve runs low.
//!
//! Core makes all decisions (`places::quota`). This module brings the clock, the file, and the replica that carries the
//! accounts. It does not know who makes the requests.
//!
//! Invariants:
//!
//! - A turn writes the file first, then floods the account, then fills the reserve. So a server spends only requests
//!   that it has written to the file and flooded before.
//! - While the file cannot be written, the keeper puts nothing into the reserve and grants nothing.
//!
//! An operator may have restored an older file. So after every start the keeper waits for its neighbors. If a
//! neighbor's record of its account is higher than its file, the keeper uses the neighbor's record. If no neighbor
//! answers within `ALONE_AFTER`, the keeper continues with its file alone. It then neither grants nor floods until a
//! neighbor answers.
//!
//! A server without a file is new. It spends nothing until it has heard from a neighbor. It also spends nothing in a
//! period for which the neighbor knows an earlier account of this server. A herd of one server has no neighbor to ask.
//! If its file is removed, its account starts again at zero.

mod file;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use proxyherd_config::{clock, config::Config};
use proxyherd_core::{
    places::quota::{KnownAccounts, Period, QuotaAccount, QuotaBook, Span, Standing, Terms, Turn, key},
    types::{Body, Kind, ServerName},
};
use proxyherd_log::{LogLevel, Subject};
use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::file::QuotaError;
use self::file::QuotaFile;
use crate::{
    herd::{Herd, Internals},
    places::{ReservedQuota, Rest},
};

/// Maximum time between two turns.
const TURN_EVERY: Duration = Duration::from_secs(1);
/// Minimum time between two turns, even if many requests find the reserve empty.
const TURN_GAP: Duration = Duration::from_millis(20);
/// Time between two checks whether a server has heard from its neighbors.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Maximum time after its start for which a server waits for a link. After this time the server continues with its file
/// alone. A link to a running neighbor comes up within a second.
const ALONE_AFTER: Duration = Duration::from_secs(5);
/// Time for which a server waits for further links after a link has come up.
const SETTLED_AFTER: Duration = Duration::from_secs(1);
/// Time after which the neighbor on a link counts as having sent everything that it knows. Servers that speak version 1
/// of the link protocol do not say when they have sent everything.
const TOLD_AFTER: Duration = Duration::from_secs(60);

/// The quotas of one server, for [`run`].
#[derive(Debug)]
pub struct HerdQuota {
    reserved: Arc<ReservedQuota>,
    book: QuotaBook,
    file: QuotaFile,
    wholes: Vec<(Span, u64)>,
    /// The servers that have a share in the periods that begin from now on.
    members: Arc<[ServerName]>,
    /// The servers whose accounts may count in the present period.
    servers: Vec<ServerName>,
    /// The periods whose quota is spent. The log has already said so.
    spent: Vec<Period>,
    /// The requests that were reserved in turns whose book could not be written.
    unkept: u64,
    is_failing: bool,
}

impl HerdQuota {
    /// The quotas that `config` sets, and the account of the server `name`. `None` if `config` sets no quota.
    pub fn open(config: &Config, name: &ServerName) -> Result<Option<HerdQuota>, QuotaError> {
        let budgets = config.places_budget;
        let wholes = [(Span::Day, budgets.per_day), (Span::Month, budgets.per_month)];
        let wholes: Vec<_> = wholes.into_iter().filter(|&(_, whole)| whole > 0).collect();
        if wholes.is_empty() {
            return Ok(None);
        }
        let (file, book) = QuotaFile::open(&config.herd.data, name)?;
        let (members, servers) = (config.names(), Vec::new());
        let reserved = Arc::default();
        let mut quota = HerdQuota {
            reserved,
            book,
            file,
            wholes,
            members: Arc::clone(&members),
            servers,
            spent: Vec::new(),
            unkept: 0,
            is_failing: false,
        };
        quota.share_among(members);
        Ok(Some(quota))
    }

    /// Gives these servers a share in the periods that begin from now on.
    fn share_among(&mut self, members: Arc<[ServerName]>) {
        for &(span, whole) in &self.wholes {
            self.book.set_terms(span, Terms::new(whole, members.iter().cloned()));
        }
        let new = members.iter().filter(|member| !self.servers.contains(member)).cloned().collect::<Vec<_>>();
        self.servers.extend(new);
        self.members = members;
    }

    /// The reserve from which requests are taken.
    pub fn reserved(&self) -> &Arc<ReservedQuota> {
        &self.reserved
    }
}

/// Starts the keeper. At `stop` the keeper gives back the requests that were not made.
pub fn run(herd: &Arc<Herd>, quota: HerdQuota, tasks: &TaskTracker, stop: &CancellationToken) {
    let (herd, stop) = (Arc::clone(herd), stop.clone());
    tasks.spawn(async move {
        let _pulse = herd.liveness().pulse("keeping the places budget");
        let mut keeper = Keeper { herd, quota };
        keeper.run(&stop).await;
        keeper.close().await;
    });
}

struct Keeper {
    herd: Arc<Herd>,
    quota: HerdQuota,
}

impl Keeper {
    /// Runs each turn to its end, so that only one turn at a time writes the file.
    async fn run(&mut self, stop: &CancellationToken) {
        if stop.run_until_cancelled(self.listen()).await.is_none() {
            return;
        }
        loop {
            self.turn().await;
            if stop.run_until_cancelled(self.pause()).await.is_none() {
                return;
            }
        }
    }

    async fn pause(&self) {
        sleep(TURN_GAP).await;
        let _ = timeout(TURN_EVERY - TURN_GAP, self.quota.reserved.is_low()).await;
    }

    /// Waits until the neighbors have sent everything that they know. A server that has a file stops waiting if no
    /// neighbor answers.
    async fn listen(&self) {
        let (is_new, path, began) =
            (self.quota.book.is_new(), self.quota.file.path().display(), Instant::now());
        if is_new && !self.has_heard() {
            let message = format_args!(
                "the places budget waits for a neighbor: {path} is missing, so only a neighbor knows whether this server \
                 has spent requests before"
            );
            self.herd.log().event(LogLevel::Info, Subject::Places, message);
        }
        while !self.has_heard() {
            let has_links = self.herd.links().all().iter().any(|link| link.state().up_since.is_some());
            if !is_new && !has_links && began.elapsed() >= ALONE_AFTER {
                let message = format_args!(
                    "no neighbor answers, so the places budget counts only the requests in {path}; if somebody put back \
                     an older file, the herd may spend more than its budget"
                );
                return self.herd.log().event(LogLevel::Info, Subject::Places, message);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Whether all reachable neighbors have sent everything that they know. True if there is no neighbor.
    fn has_heard(&self) -> bool {
        let links = self.herd.links().all();
        let up: Vec<_> =
            links.iter().filter_map(|link| link.state().up_since).map(|it| it.elapsed()).collect();
        let is_settled = !up.is_empty() && up.iter().all(|up| *up >= SETTLED_AFTER);
        links.is_empty()
            || is_settled && self.herd.replica().is_caught_up()
            || up.iter().any(|up| *up >= TOLD_AFTER)
    }

    async fn turn(&mut self) {
        let now_ns = clock::now_ns();
        let members = self.herd.members();
        if !Arc::ptr_eq(&members, &self.quota.members) && members != self.quota.members {
            self.quota.share_among(members);
        }
        if self.has_heard() {
            self.quota.book.note_heard();
        }
        let known = self.known(now_ns);
        let quota = &mut self.quota;
        let rest = if quota.book.wants_reserve_back(now_ns, &known) { Rest::Return } else { Rest::Keep };
        let mut news = quota.reserved.take_news(rest);
        news.returned += std::mem::take(&mut quota.unkept);
        let turn = quota.book.turn(now_ns, &known, &news);
        self.warn_of(&turn);
        self.note_spent(&turn.standings);
        if turn.must_keep && !self.keep().await {
            self.quota.unkept = turn.reserved;
            return;
        }
        for (period, account) in turn.told {
            self.tell(now_ns, period, &account);
        }
        self.quota.reserved.fill(now_ns, turn.reserved);
        self.quota.reserved.show(turn.standings);
    }

    /// All accounts in the replica. A record counts for a server's account only if that server itself has issued the
    /// record.
    fn known(&self, now_ns: u64) -> BTreeMap<Period, KnownAccounts> {
        let read = |period, server: &ServerName| {
            let key = key(period, server);
            let account = self.herd.replica().find(now_ns, Kind::QUOTA, key.as_bytes(), |held| {
                match held.record.body {
                    Body::Data { bytes, .. } if held.origin.server == *server => {
                        QuotaAccount::from_bytes(bytes)
                    }
                    _ => None,
                }
            });
            account.flatten()
        };
        let about = |period| {
            let others = self.quota.servers.iter().filter(|server| *server != self.herd.name());
            let others = others.filter_map(|server| Some((server.clone(), read(period, server)?)));
            (period, KnownAccounts { mine: read(period, self.herd.name()), others: others.collect() })
        };
        self.quota.book.periods(now_ns).into_iter().map(about).collect()
    }

    fn tell(&self, now_ns: u64, period: Period, account: &QuotaAccount) {
        let (key, bytes) = (key(period, self.herd.name()), account.to_bytes());
        let keep_s = period.span.keep_s();
        let (_, wake) = self.herd.replica().tell(now_ns, Kind::QUOTA, key.as_bytes(), keep_s, &bytes);
        self.herd.wake(wake);
    }

    /// Writes the book to the file and returns whether that succeeded.
    async fn keep(&mut self) -> bool {
        let (file, bytes) = (self.quota.file.clone(), self.quota.book.to_bytes());
        let kept = tokio::task::spawn_blocking(move || file.keep(&bytes)).await;
        let kept = kept.unwrap_or_else(|error| Err(io::Error::other(error)));
        if kept.is_ok() {
            self.quota.book.note_kept();
        }
        self.note_disk(kept.as_ref().err());
        kept.is_ok()
    }

    /// Logs once that the file cannot be written, and once that it can be written again.
    fn note_disk(&mut self, error: Option<&io::Error>) {
        let was_failing = std::mem::replace(&mut self.quota.is_failing, error.is_some());
        let (log, path) = (self.herd.log(), self.quota.file.path().display());
        match error {
            Some(error) if !was_failing => {
                let message = format_args!(
                    "cannot write {path}: {error}; until that works, the places budget allows no more requests"
                );
                log.event(LogLevel::Error, Subject::Places, message);
            }
            None if was_failing => {
                log.event(LogLevel::Info, Subject::Places, format_args!("{path} can be written again"));
            }
            _ => {}
        }
    }

    fn warn_of(&self, turn: &Turn) {
        for period in &turn.caught_up {
            let message = format_args!(
                "{} holds fewer requests of the places budget of {period} than the herd knows of this server, perhaps \
                 because somebody put back an older file; from now on, the herd's number counts",
                self.quota.file.path().display()
            );
            self.herd.log().event(LogLevel::Warn, Subject::Places, message);
        }
        for period in &turn.closed {
            let message = format_args!(
                "{} does not hold the requests that the herd knows of this server; this server spends nothing more of \
                 the places budget of {period}",
                self.quota.file.path().display()
            );
            self.herd.log().event(LogLevel::Warn, Subject::Places, message);
        }
    }

    /// Logs once for each period that the herd has spent its whole quota.
    fn note_spent(&mut self, standings: &[Standing]) {
        let spent: Vec<_> = standings.iter().filter(|standing| standing.spent >= standing.whole).collect();
        for standing in &spent {
            let Standing { period, whole, .. } = standing;
            if !self.quota.spent.contains(period) {
                let message = format_args!(
                    "all {whole} requests of the places budget of {period} are spent; until the period ends, answers \
                     come from the cache and from `fallback`"
                );
                self.herd.log().event(LogLevel::Warn, Subject::Places, message);
            }
        }
        self.quota.spent = spent.iter().map(|standing| standing.period).collect();
    }

    /// Gives back the rest of the reserve, so that a stop costs no requests, and floods the account. A server without
    /// an account has nothing to give back.
    async fn close(&mut self) {
        let mut news = self.quota.reserved.take_news(Rest::Return);
        news.returned += std::mem::take(&mut self.quota.unkept);
        self.quota.book.settle(&news);
        if self.quota.book.is_new() || !self.keep().await {
            return;
        }
        let now_ns = clock::now_ns();
        for (period, account) in self.quota.book.untold(now_ns, &self.known(now_ns)) {
            self.tell(now_ns, period, &account);
        }
    }
}
