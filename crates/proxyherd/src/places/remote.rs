//! A provider over the network: asked once however many want to know, and not at all where an answer is at hand.
//!
//! A request is a *flight*. It is flown even if the asker that began it goes away, and it ends within the deadline. Whoever
//! asks the same meanwhile joins it and is told what it comes to. Answers go to the shelf; failures go nowhere but to those
//! who joined.
//!
//! A question looks on the shelf once. Only if a flight has landed between that look and the moment at which the question
//! wants to begin one does it look again (`landed`).

use std::collections::HashMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use proxyherd_core::limits::FLIGHTS_MAX;
use proxyherd_core::places::{AnswerSource, CacheKey, Freshness, Grid, Query};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::gate::{Gate, Permit, Reason, Toll};
use super::requests::{RequestCounts, Requests};
use super::shelf::{Kept, Shelf};
use super::{Allowance, Answered, Outcome};
use crate::config;
use crate::log::ServerLog;
use crate::provider::{Failure, Provider};

/// What all providers over the network share.
pub(super) struct Net {
    pub(super) shelf: Shelf,
    grid: Option<Grid>,
    toll: Arc<Toll>,
    flights: TaskTracker,
    /// Doors also ask from threads of their own, which have no runtime.
    runtime: Option<Handle>,
    stop: CancellationToken,
}

impl Net {
    pub(super) fn new(config: &config::Places, allowance: Arc<dyn Allowance>, log: ServerLog) -> Net {
        Net {
            shelf: Shelf::new(&config.cache),
            grid: Grid::new(config.cache.snap_m),
            toll: Arc::new(Toll::new(config.asking.per_second, allowance, log)),
            flights: TaskTracker::new(),
            runtime: Handle::try_current().ok(),
            stop: CancellationToken::new(),
        }
    }

    /// Without a runtime nothing can wait, and what is to be done is dropped.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = self.runtime.clone().or_else(|| Handle::try_current().ok()) {
            runtime.spawn(task);
        }
    }

    /// Breaks off every flight, and waits until all have ended. Those that begin later end at once.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.flights.close();
        self.flights.wait().await;
    }
}

/// What a flight comes to, once it has.
type Landing = watch::Receiver<Option<Result<Kept, Failure>>>;

/// One provider over the network.
pub(super) struct Remote {
    source: AnswerSource,
    requests: Requests,
    net: Arc<Net>,
    flights: Mutex<HashMap<CacheKey, Landing>>,
    /// How many flights have left the list: a question that reads the same number before its look and before it begins a
    /// flight knows that it has missed no answer.
    pub(super) landed: AtomicU64,
}

/// What a question comes to at once.
pub(super) enum Begun {
    /// An answer that is at hand.
    AtHand(Answered),
    /// A flight has to land first.
    Waits(Wait),
}

/// A question's place on a flight.
pub(super) struct Wait {
    landing: Landing,
    outcome: Outcome,
    /// The flight, if the question has begun it and it has not taken off.
    flight: Option<Flight>,
    /// The old answer that is better than none.
    last_resort: Option<Kept>,
}

impl Wait {
    /// Lets the flight that this question has begun fly, in a task of its own.
    pub(super) fn take_off(&mut self) {
        if let Some(flight) = self.flight.take() {
            flight.take_off();
        }
    }

    /// The flight that this question has begun, for who lets it fly.
    pub(super) fn take_flight(&mut self) -> Option<Flight> {
        self.flight.take()
    }
}

/// How a question gets its answer.
pub(super) enum Boarded {
    /// It joins a flight.
    Joined(Landing),
    /// It begins one.
    Begun(Landing, Flight),
    /// An answer has come to be at hand in the meantime.
    Found(Kept),
}

impl Remote {
    pub(super) fn new(
        provider: Arc<dyn Provider>,
        mask: &'static str,
        config: &config::Places,
        net: Arc<Net>,
    ) -> Arc<Remote> {
        let requests = Requests {
            gate: Arc::new(Gate::new(provider.name(), Arc::clone(&net.toll))),
            retries: config.asking.retries,
            deadline: config.deadline,
            counts: RequestCounts::default(),
            provider,
        };
        let source = AnswerSource { provider: requests.provider.name(), mask };
        Arc::new(Remote { source, requests, net, flights: Mutex::default(), landed: AtomicU64::new(0) })
    }

    pub(super) fn name(&self) -> &'static str {
        self.source.provider
    }

    pub(super) fn knows_kind(&self, kind: &str) -> bool {
        self.requests.provider.knows_kind(kind)
    }

    /// Looks on the shelf once. Without an answer that is good enough the question boards a flight. A stale answer is given,
    /// and a flight renews it.
    pub(super) fn begin(self: &Arc<Remote>, query: &Query) -> Result<Begun, Failure> {
        let query = self.moved(query);
        self.requests.provider.check(&query)?;
        let key = self.key(&query);
        let landed = self.landed.load(Acquire);
        let last_resort = match self.net.shelf.find(&key) {
            Some((kept, Freshness::Fresh)) => return Ok(Begun::AtHand(self.kept(&kept, Outcome::Hit))),
            Some((kept, Freshness::Stale)) => {
                // Where it can't be renewed now, the next question tries again.
                if let Ok(Boarded::Begun(_, flight)) = self.board(&key, &query, landed) {
                    flight.take_off();
                }
                return Ok(Begun::AtHand(self.kept(&kept, Outcome::Stale)));
            }
            Some((kept, Freshness::LastResort | Freshness::Gone)) => Some(kept),
            None => None,
        };
        let (landing, outcome, flight) = match self.board(&key, &query, landed) {
            Ok(Boarded::Joined(landing)) => (landing, Outcome::Joined, None),
            Ok(Boarded::Begun(landing, flight)) => (landing, Outcome::Fetched, Some(flight)),
            Ok(Boarded::Found(kept)) => return Ok(Begun::AtHand(self.kept(&kept, Outcome::Hit))),
            Err(failure) => return self.resort(last_resort, failure).map(Begun::AtHand),
        };
        Ok(Begun::Waits(Wait { landing, outcome, flight, last_resort }))
    }

    /// What a question that has boarded comes to, within so much time.
    pub(super) async fn landed(&self, mut wait: Wait, within: Duration) -> Result<Answered, Failure> {
        let landed = match timeout(within, wait.landing.wait_for(Option::is_some)).await {
            Ok(Ok(landed)) => landed.clone(),
            Ok(Err(_)) => None,
            Err(_) => Some(Err(Failure::Late(within))),
        };
        let broken_off = || Err(Failure::Unavailable("the request was broken off".to_owned()));
        match landed.unwrap_or_else(broken_off) {
            Ok(kept) => Ok(Answered { age: None, ..self.kept(&kept, wait.outcome) }),
            Err(failure) => self.resort(wait.last_resort.take(), failure),
        }
    }

    /// The answer, within so much time.
    pub(super) async fn ask(
        self: &Arc<Remote>,
        query: &Query,
        within: Duration,
    ) -> Result<Answered, Failure> {
        match self.begin(query)? {
            Begun::AtHand(answered) => Ok(answered),
            Begun::Waits(mut wait) => {
                wait.take_off();
                self.landed(wait, within).await
            }
        }
    }

    /// What is given where asking has failed: the old answer, if there was one and it is still good for that. An old answer
    /// does not make sense of a question that its provider makes none of.
    fn resort(&self, old: Option<Kept>, failure: Failure) -> Result<Answered, Failure> {
        let is_bad = matches!(failure, Failure::BadQuery(_));
        match old.filter(|kept| !is_bad && self.net.shelf.judge(kept) != Freshness::Gone) {
            Some(kept) => Ok(Answered { failure: Some(failure), ..self.kept(&kept, Outcome::Stale) }),
            None => Err(failure),
        }
    }

    /// How many requests went how.
    pub(super) fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.requests.counts.iter()
    }

    /// How many requests were not made, and why.
    pub(super) fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Reason::ALL.into_iter().map(|reason| (reason.label(), self.requests.gate.refused(reason)))
    }

    /// Whether the provider is being left alone.
    pub(super) fn is_left_alone(&self) -> bool {
        self.requests.gate.is_open()
    }

    /// How many questions are with the provider now.
    pub(super) fn flying(&self) -> usize {
        self.flights.lock().len()
    }

    fn moved(&self, query: &Query) -> Query {
        self.net.grid.map_or_else(|| query.clone(), |grid| grid.moved(query))
    }

    pub(super) fn key(&self, query: &Query) -> CacheKey {
        CacheKey::new(self.source, query)
    }

    /// Joins the flight that asks this, or begins it. Whether it may begin is known at once; no task is started
    /// in vain. `landed` was read before the caller looked on the shelf.
    pub(super) fn board(
        self: &Arc<Remote>,
        key: &CacheKey,
        query: &Query,
        landed: u64,
    ) -> Result<Boarded, Failure> {
        let mut flights = self.flights.lock();
        if let Some(landing) = flights.get(key) {
            return Ok(Boarded::Joined(landing.clone()));
        }
        // A flight may have landed since the caller looked: it puts its answer on the shelf before it leaves the list.
        if self.landed.load(Acquire) != landed
            && let Some((kept, Freshness::Fresh)) = self.net.shelf.find(key)
        {
            return Ok(Boarded::Found(kept));
        }
        let gate = &self.requests.gate;
        if flights.len() >= FLIGHTS_MAX {
            return Err(gate.refuse(Reason::Flights, Failure::OverLimit { retry_after: None }));
        }
        let permit = gate.pass()?;
        let (tell, landing) = watch::channel(None);
        flights.insert(key.clone(), landing.clone());
        let seat = Seat { remote: Arc::clone(self), key: key.clone() };
        let cargo = Cargo { seat, query: query.clone(), permit, tell };
        Ok(Boarded::Begun(landing, Flight { cargo: Some(cargo) }))
    }

    fn kept(&self, kept: &Kept, outcome: Outcome) -> Answered {
        Answered {
            answer: Arc::clone(&kept.answer),
            outcome,
            provider: self.name(),
            age: Some(kept.age()),
            lifetime: self.net.shelf.lifetime(kept),
            failure: None,
        }
    }
}

/// A flight before it takes off. One that is dropped takes off.
pub(super) struct Flight {
    cargo: Option<Cargo>,
}

/// All that a flight needs.
struct Cargo {
    seat: Seat,
    query: Query,
    permit: Permit,
    tell: watch::Sender<Option<Result<Kept, Failure>>>,
}

impl Flight {
    /// Flies in a task of its own.
    fn take_off(mut self) {
        self.leave();
    }

    /// Flies until it lands, fails or is broken off. A panic on the way ends this flight and nothing else.
    pub(super) fn fly(mut self) -> impl Future<Output = ()> + Send + 'static {
        let cargo = self.cargo.take();
        async move {
            if let Some(cargo) = cargo {
                cargo.fly().await;
            }
        }
    }

    fn leave(&mut self) {
        if let Some(cargo) = self.cargo.take() {
            let net = Arc::clone(&cargo.seat.remote.net);
            net.spawn(cargo.fly());
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Cargo {
    fn fly(self) -> impl Future<Output = ()> + Send + 'static {
        let net = Arc::clone(&self.seat.remote.net);
        // Whoever stops waits for what is in the air, and not for those who then tell of it.
        net.flights.track_future(contained(self.flown()))
    }

    async fn flown(self) {
        let Cargo { seat, query, permit, tell } = self;
        let net = &seat.remote.net;
        let flown = seat.remote.requests.ask(&query, permit);
        let Some(outcome) = net.stop.run_until_cancelled(flown).await else { return };
        let landed = outcome.map(Kept::now);
        if let Ok(kept) = &landed {
            net.shelf.put(&seat.key, kept);
        }
        tell.send_replace(Some(landed));
    }
}

/// Ends where `task` ends, or panics: those that share its task go on.
async fn contained(task: impl Future<Output = ()>) {
    let mut task = pin!(task);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx)));
        polled.unwrap_or(Poll::Ready(()))
    })
    .await;
}

/// A flight's place in the list: it leaves the list however it ends, also by a panic. Those who wait learn of that by
/// the end of their channel.
struct Seat {
    remote: Arc<Remote>,
    key: CacheKey,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut flights = self.remote.flights.lock();
        flights.remove(&self.key);
        self.remote.landed.fetch_add(1, Release);
    }
}
