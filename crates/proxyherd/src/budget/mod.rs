//! Keeps the books of the places budgets: fills the purse, remembers what was spent, tells the herd, grants.
//!
//! All of it is decided in core (`places::budget`). Here are the clock, the file, the map that carries the accounts,
//! and one task a server, which has a turn every second and whenever the purse runs low. While the book cannot be kept,
//! nothing is put into the purse and nobody is granted anything.
//!
//! A file may be an older one that was put back. So after every start the keeper waits until its neighbors have told what
//! they know, and takes it for its own account where it knows more. Where no neighbor answers it goes on after
//! `ALONE_AFTER` by its file alone, and neither grants nor tells until one does. A server without a file is new. It
//! spends nothing until it has heard from a neighbor what it may have forgotten, and nothing in a period in which it
//! finds that it had an account before. A herd of one server has nobody to ask: there, removing the file is beginning
//! anew.
//!
//! A turn keeps the book first, then tells, then fills the purse: what is spent has been told before, to whoever could be
//! reached.
//!
//! It does not know who makes the requests.

mod file;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use proxyherd_core::{
    places::budget::{Account, Book, Known, Period, Span, Standing, Terms, Turn, key},
    types::{Body, Kind, ServerName},
};
use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::file::BudgetError;
use self::file::File;
use crate::{
    clock,
    config::Config,
    herd::{Herd, Inside},
    log::{LogLevel, Subject},
    places::{ReservedQuota, Rest},
};

/// A turn is had at least so often ...
const TURN_EVERY: Duration = Duration::from_secs(1);
/// ... and at most so often, however many ask in vain.
const TURN_GAP: Duration = Duration::from_millis(20);
/// How often a server looks whether it has heard from its neighbors.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A server that has links, none of which comes up, goes on by its file alone so long after its start. Links come up
/// within a second if there is somebody.
const ALONE_AFTER: Duration = Duration::from_secs(5);
/// Neighbors that come up within this time of each other are all waited for.
const SETTLED_AFTER: Duration = Duration::from_secs(1);
/// A link that has been up for so long counts as one whose neighbor has told all that it knows, even if it does not say
/// so; servers before version 2 of the link protocol do not.
const TOLD_AFTER: Duration = Duration::from_secs(60);

/// The budgets of one server, ready to be run.
#[derive(Debug)]
pub struct Budget {
    purse: Arc<ReservedQuota>,
    book: Book,
    file: File,
    wholes: Vec<(Span, u64)>,
    /// Whose shares there are in periods that begin from now on ...
    members: Arc<[ServerName]>,
    /// ... and whose accounts may count in one that has begun.
    servers: Vec<ServerName>,
    /// Periods of which the log has been told that nothing is left.
    spent: Vec<Period>,
    /// What was reserved in turns that could not be kept.
    unkept: u64,
    is_failing: bool,
}

impl Budget {
    /// The budgets that `config` sets, as the server `name` remembers them; none where it sets none.
    pub fn open(config: &Config, name: &ServerName) -> Result<Option<Budget>, BudgetError> {
        let budgets = config.places_budget;
        let wholes = [(Span::Day, budgets.per_day), (Span::Month, budgets.per_month)];
        let wholes: Vec<_> = wholes.into_iter().filter(|&(_, whole)| whole > 0).collect();
        if wholes.is_empty() {
            return Ok(None);
        }
        let (file, book) = File::open(&config.herd.data, name)?;
        let (members, servers) = (config.names(), Vec::new());
        let purse = Arc::default();
        let mut budget = Budget {
            purse,
            book,
            file,
            wholes,
            members: Arc::clone(&members),
            servers,
            spent: Vec::new(),
            unkept: 0,
            is_failing: false,
        };
        budget.share_among(members);
        Ok(Some(budget))
    }

    /// Periods that begin from now on are shared out among these.
    fn share_among(&mut self, members: Arc<[ServerName]>) {
        for &(span, whole) in &self.wholes {
            self.book.set_terms(span, Terms::new(whole, members.iter().cloned()));
        }
        let new = members.iter().filter(|member| !self.servers.contains(member)).cloned().collect::<Vec<_>>();
        self.servers.extend(new);
        self.members = members;
    }

    /// Where requests are taken from.
    pub fn purse(&self) -> &Arc<ReservedQuota> {
        &self.purse
    }
}

/// Keeps the books until `stop`; then what was not spent is given back.
pub fn run(herd: &Arc<Herd>, budget: Budget, tasks: &TaskTracker, stop: &CancellationToken) {
    let (herd, stop) = (Arc::clone(herd), stop.clone());
    tasks.spawn(async move {
        let _pulse = herd.health().pulse("keeping the places budget");
        let mut keeper = Keeper { herd, budget };
        keeper.run(&stop).await;
        keeper.close().await;
    });
}

struct Keeper {
    herd: Arc<Herd>,
    budget: Budget,
}

impl Keeper {
    /// A turn that has begun is ended: one file is written by one turn at a time.
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
        let _ = timeout(TURN_EVERY - TURN_GAP, self.budget.purse.is_low()).await;
    }

    /// Waits for what neighbors know; a server that has a file goes on without where none of them answers.
    async fn listen(&self) {
        let (is_new, path, began) =
            (self.budget.book.is_new(), self.budget.file.path().display(), Instant::now());
        if is_new && !self.has_heard() {
            let message = format_args!(
                "the places budget waits: {path} is missing, so a neighbor is asked first whether this server is new"
            );
            self.herd.log().event(LogLevel::Info, Subject::Places, message);
        }
        while !self.has_heard() {
            let has_links = self.herd.links().all().iter().any(|link| link.state().up_since.is_some());
            if !is_new && !has_links && began.elapsed() >= ALONE_AFTER {
                let message = format_args!(
                    "no neighbor answers, so the places budget goes on by {path} alone; if that is an older file, put \
                     back, what it lacks may be spent again"
                );
                return self.herd.log().event(LogLevel::Info, Subject::Places, message);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Whether all that can be reached have told what they know, if there is anybody.
    fn has_heard(&self) -> bool {
        let links = self.herd.links().all();
        let up: Vec<_> =
            links.iter().filter_map(|link| link.state().up_since).map(|it| it.elapsed()).collect();
        let is_settled = !up.is_empty() && up.iter().all(|up| *up >= SETTLED_AFTER);
        links.is_empty()
            || is_settled && self.herd.map().is_caught_up()
            || up.iter().any(|up| *up >= TOLD_AFTER)
    }

    async fn turn(&mut self) {
        let now_ns = clock::now_ns();
        let members = self.herd.members();
        if !Arc::ptr_eq(&members, &self.budget.members) && members != self.budget.members {
            self.budget.share_among(members);
        }
        if self.has_heard() {
            self.budget.book.note_heard();
        }
        let known = self.known(now_ns);
        let budget = &mut self.budget;
        let rest = if budget.book.wants_purse_back(now_ns, &known) { Rest::Return } else { Rest::Keep };
        let mut news = budget.purse.take_news(rest);
        news.returned += std::mem::take(&mut budget.unkept);
        let turn = budget.book.turn(now_ns, &known, &news);
        self.warn_of(&turn);
        self.note_spent(&turn.standings);
        if turn.must_keep && !self.keep().await {
            self.budget.unkept = turn.reserved;
            return;
        }
        for (period, account) in turn.told {
            self.tell(now_ns, period, &account);
        }
        self.budget.purse.fill(now_ns, turn.reserved);
        self.budget.purse.show(turn.standings);
    }

    /// What the map tells of all accounts. Only a server's own word counts for its account.
    fn known(&self, now_ns: u64) -> BTreeMap<Period, Known> {
        let read = |period, server: &ServerName| {
            let key = key(period, server);
            let account =
                self.herd.map().find(now_ns, Kind::BUDGET, key.as_bytes(), |held| match held.record.body {
                    Body::Data { bytes, .. } if held.origin.server == *server => Account::from_bytes(bytes),
                    _ => None,
                });
            account.flatten()
        };
        let about = |period| {
            let others = self.budget.servers.iter().filter(|server| *server != self.herd.name());
            let others = others.filter_map(|server| Some((server.clone(), read(period, server)?)));
            (period, Known { mine: read(period, self.herd.name()), others: others.collect() })
        };
        self.budget.book.periods(now_ns).into_iter().map(about).collect()
    }

    fn tell(&self, now_ns: u64, period: Period, account: &Account) {
        let (key, bytes) = (key(period, self.herd.name()), account.to_bytes());
        let keep_s = period.span.keep_s();
        let (_, wake) = self.herd.map().tell(now_ns, Kind::BUDGET, key.as_bytes(), keep_s, &bytes);
        self.herd.wake(wake);
    }

    /// Writes the book down; says whether that went well.
    async fn keep(&mut self) -> bool {
        let (file, bytes) = (self.budget.file.clone(), self.budget.book.to_bytes());
        let kept = tokio::task::spawn_blocking(move || file.keep(&bytes)).await;
        let kept = kept.unwrap_or_else(|error| Err(io::Error::other(error)));
        if kept.is_ok() {
            self.budget.book.note_kept();
        }
        self.note_disk(kept.as_ref().err());
        kept.is_ok()
    }

    /// Says once that the disk refuses, and once that it does no more.
    fn note_disk(&mut self, error: Option<&io::Error>) {
        let was_failing = std::mem::replace(&mut self.budget.is_failing, error.is_some());
        let (log, path) = (self.herd.log(), self.budget.file.path().display());
        match error {
            Some(error) if !was_failing => {
                let message = format_args!(
                    "cannot write {path}: {error}; until that works the places budget gives out no more requests"
                );
                log.event(LogLevel::Error, Subject::Places, message);
            }
            None if was_failing => {
                log.event(LogLevel::Info, Subject::Places, format_args!("{path} is written again"));
            }
            _ => {}
        }
    }

    fn warn_of(&self, turn: &Turn) {
        for period in &turn.caught_up {
            let message = format_args!(
                "{} holds less than what the herd knows this server to have spent of the places budget of {period}, as \
                 an older file does that was put back; from here on what the herd knows counts",
                self.budget.file.path().display()
            );
            self.herd.log().event(LogLevel::Warn, Subject::Places, message);
        }
        for period in &turn.closed {
            let message = format_args!(
                "{} does not hold what the herd knows this server to have spent; it spends nothing more of the \
                 places budget of {period}",
                self.budget.file.path().display()
            );
            self.herd.log().event(LogLevel::Warn, Subject::Places, message);
        }
    }

    /// Says once of each period that the herd has spent all of it.
    fn note_spent(&mut self, standings: &[Standing]) {
        let spent: Vec<_> = standings.iter().filter(|standing| standing.spent >= standing.whole).collect();
        for standing in &spent {
            let Standing { period, whole, .. } = standing;
            if !self.budget.spent.contains(period) {
                let message = format_args!(
                    "all {whole} requests of the places budget of {period} are spent; until that is over, answers \
                     come from what is kept and from `fallback`"
                );
                self.herd.log().event(LogLevel::Warn, Subject::Places, message);
            }
        }
        self.budget.spent = spent.iter().map(|standing| standing.period).collect();
    }

    /// Gives back what is in the purse, so that a stop costs nothing, and tells it. A server that has begun no period has
    /// nothing.
    async fn close(&mut self) {
        let mut news = self.budget.purse.take_news(Rest::Return);
        news.returned += std::mem::take(&mut self.budget.unkept);
        self.budget.book.settle(&news);
        if self.budget.book.is_new() || !self.keep().await {
            return;
        }
        let now_ns = clock::now_ns();
        for (period, account) in self.budget.book.untold(now_ns, &self.known(now_ns)) {
            self.tell(now_ns, period, &account);
        }
    }
}
