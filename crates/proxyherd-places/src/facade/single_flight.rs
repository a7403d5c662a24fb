//! Sends one request to a provider over the network, even if many callers ask the same question at the same time.
//!
//! A *flight* is one shared request. The first caller starts the flight. Callers that ask the same question before the
//! flight ends join the flight. A flight runs to its end even if the caller that started it goes away. Each flight ends
//! within the deadline. The answer of a flight goes into the cache. The failure of a flight goes to the waiting
//! callers, and is not stored.
//!
//! A question looks into the cache once. It looks a second time only if a flight has ended after the first look and
//! before the question starts a flight itself ([`RemoteProvider::ended`]). This module knows only the time that each
//! caller grants, and not the callers' deadlines.

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

use super::cache::{Cache, CachedAnswer};
use super::retry::{RequestCounts, Retrying};
use super::throttle::{Permit, RefusalReason, SharedThrottle, Throttle};
use super::{Answered, LookupOutcome};
use crate::failure::Failure;
use crate::provider::Provider;
use crate::{Environment, Quota, Settings};

/// The state that all providers over the network share.
pub(super) struct Network {
    pub(super) cache: Cache,
    grid: Option<Grid>,
    throttle: Arc<SharedThrottle>,
    environment: Environment,
    flights: TaskTracker,
    /// The runtime for the requests. It is needed because callers may ask from threads that have no runtime.
    runtime: Option<Handle>,
    stop: CancellationToken,
}

impl Network {
    pub(super) fn new(settings: &Settings, quota: Arc<dyn Quota>, environment: Environment) -> Network {
        Network {
            cache: Cache::new(&settings.cache),
            grid: Grid::new(settings.cache.snap_m),
            throttle: Arc::new(SharedThrottle::new(settings.requests.per_second, quota, environment.clone())),
            environment,
            flights: TaskTracker::new(),
            runtime: Handle::try_current().ok(),
            stop: CancellationToken::new(),
        }
    }

    /// Runs `task` in the runtime. Without a runtime nothing can wait, and `task` is dropped.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = self.runtime.clone().or_else(|| Handle::try_current().ok()) {
            runtime.spawn(task);
        }
    }

    /// Cancels every flight, and waits until all flights have ended. Flights that start later end at once.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.flights.close();
        self.flights.wait().await;
    }
}

/// The channel for the result of a flight. If the flight is canceled or panics, the sender is dropped without a result.
type FlightResult = watch::Receiver<Option<Result<CachedAnswer, Failure>>>;

/// One provider over the network, with its flights.
pub(super) struct RemoteProvider {
    source: AnswerSource,
    requests: Retrying,
    network: Arc<Network>,
    flights: Mutex<HashMap<CacheKey, FlightResult>>,
    /// The number of flights that have left `flights`. A question reads this number before it looks into the cache, and
    /// again before it starts a flight. If the number is the same, the question has missed no answer.
    pub(super) ended: AtomicU64,
}

/// The result of a question's first look into the cache.
pub(super) enum FirstLook {
    /// An answer that is available at once.
    AtHand(Answered),
    /// The question must wait until a flight ends.
    Waits(FlightWait),
}

/// A question that waits for a flight.
pub(super) struct FlightWait {
    result: FlightResult,
    outcome: LookupOutcome,
    /// The flight, if this question has started the flight and the flight does not run yet.
    flight: Option<Flight>,
    /// The old answer, which is returned if the flight fails.
    last_resort: Option<CachedAnswer>,
}

impl FlightWait {
    /// Runs the flight that this question has started, if any, in a task of its own.
    pub(super) fn start_flight(&mut self) {
        if let Some(flight) = self.flight.take() {
            flight.start();
        }
    }

    /// The flight that this question has started, if any, for a caller that runs it.
    pub(super) fn take_flight(&mut self) -> Option<Flight> {
        self.flight.take()
    }
}

/// How a question gets an answer that is not in the cache.
pub(super) enum Joining {
    /// The question joins a flight.
    Joined(FlightResult),
    /// The question starts a flight.
    Started(FlightResult, Flight),
    /// A flight has ended in the meantime, and this is its answer.
    Cached(CachedAnswer),
}

impl RemoteProvider {
    pub(super) fn new(
        provider: Arc<dyn Provider>,
        mask: &'static str,
        settings: &Settings,
        network: Arc<Network>,
    ) -> Arc<RemoteProvider> {
        let requests = Retrying {
            throttle: Arc::new(Throttle::new(provider.name(), Arc::clone(&network.throttle))),
            retries: settings.requests.retries,
            deadline: settings.deadline,
            environment: network.environment.clone(),
            counts: RequestCounts::default(),
            provider,
        };
        let source = AnswerSource { provider: requests.provider.name(), mask };
        let (flights, ended) = (Mutex::default(), AtomicU64::new(0));
        Arc::new(RemoteProvider { source, requests, network, flights, ended })
    }

    pub(super) fn name(&self) -> &'static str {
        self.source.provider
    }

    pub(super) fn knows_kind(&self, kind: &str) -> bool {
        self.requests.provider.knows_kind(kind)
    }

    /// Looks into the cache. If no answer there is good enough, the question joins a flight or starts one. A stale
    /// answer is returned at once, and a flight renews the answer.
    pub(super) fn look(self: &Arc<RemoteProvider>, query: &Query) -> Result<FirstLook, Failure> {
        let query = self.moved(query);
        self.requests.provider.check(&query)?;
        let key = self.key(&query);
        let ended = self.ended.load(Acquire);
        let last_resort = match self.network.cache.find(&key) {
            Some((answer, Freshness::Fresh)) => {
                return Ok(FirstLook::AtHand(self.cached(&answer, LookupOutcome::Hit)));
            }
            Some((answer, Freshness::Stale)) => {
                // If the answer can't be renewed now, the next question tries again.
                if let Ok(Joining::Started(_, flight)) = self.join_or_start(&key, &query, ended) {
                    flight.start();
                }
                return Ok(FirstLook::AtHand(self.cached(&answer, LookupOutcome::Stale)));
            }
            Some((answer, Freshness::LastResort | Freshness::Gone)) => Some(answer),
            None => None,
        };
        let (result, outcome, flight) = match self.join_or_start(&key, &query, ended) {
            Ok(Joining::Joined(result)) => (result, LookupOutcome::Joined, None),
            Ok(Joining::Started(result, flight)) => (result, LookupOutcome::Fetched, Some(flight)),
            Ok(Joining::Cached(answer)) => {
                return Ok(FirstLook::AtHand(self.cached(&answer, LookupOutcome::Hit)));
            }
            Err(failure) => return self.last_resort_or(last_resort, failure).map(FirstLook::AtHand),
        };
        Ok(FirstLook::Waits(FlightWait { result, outcome, flight, last_resort }))
    }

    /// Waits for the flight, but no longer than `within`.
    pub(super) async fn finish(&self, mut wait: FlightWait, within: Duration) -> Result<Answered, Failure> {
        let result = match timeout(within, wait.result.wait_for(Option::is_some)).await {
            Ok(Ok(result)) => result.clone(),
            Ok(Err(_)) => None,
            Err(_) => Some(Err(Failure::Late(within))),
        };
        let broken_off = || Err(Failure::Unavailable("the request was broken off".to_owned()));
        match result.unwrap_or_else(broken_off) {
            Ok(answer) => Ok(Answered { age: None, ..self.cached(&answer, wait.outcome) }),
            Err(failure) => self.last_resort_or(wait.last_resort.take(), failure),
        }
    }

    /// Returns the answer within this time.
    pub(super) async fn ask(
        self: &Arc<RemoteProvider>,
        query: &Query,
        within: Duration,
    ) -> Result<Answered, Failure> {
        match self.look(query)? {
            FirstLook::AtHand(answered) => Ok(answered),
            FirstLook::Waits(mut wait) => {
                wait.start_flight();
                self.finish(wait, within).await
            }
        }
    }

    /// Returns the old answer in place of a failure, if there is an old answer that is not too old for this use. If the
    /// provider does not understand the question, no old answer is returned.
    fn last_resort_or(&self, old: Option<CachedAnswer>, failure: Failure) -> Result<Answered, Failure> {
        let is_bad = matches!(failure, Failure::BadQuery(_));
        match old.filter(|answer| !is_bad && self.network.cache.judge(answer) != Freshness::Gone) {
            Some(answer) => {
                Ok(Answered { failure: Some(failure), ..self.cached(&answer, LookupOutcome::Stale) })
            }
            None => Err(failure),
        }
    }

    /// The number of requests by their result.
    pub(super) fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.requests.counts.iter()
    }

    /// The number of requests that were not made, by the reason.
    pub(super) fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RefusalReason::ALL.into_iter().map(|reason| (reason.label(), self.requests.throttle.refused(reason)))
    }

    /// Whether the provider's breaker is open.
    pub(super) fn is_left_alone(&self) -> bool {
        self.requests.throttle.is_open()
    }

    /// The number of flights that are in progress.
    pub(super) fn flying(&self) -> usize {
        self.flights.lock().len()
    }

    fn moved(&self, query: &Query) -> Query {
        self.network.grid.map_or_else(|| query.clone(), |grid| grid.moved(query))
    }

    pub(super) fn key(&self, query: &Query) -> CacheKey {
        CacheKey::new(self.source, query)
    }

    /// Joins the flight that asks this question, or starts a flight. This function decides whether a flight may start,
    /// so no task is started without need. `ended` is the number of ended flights that the caller read before it looked
    /// into the cache.
    pub(super) fn join_or_start(
        self: &Arc<RemoteProvider>,
        key: &CacheKey,
        query: &Query,
        ended: u64,
    ) -> Result<Joining, Failure> {
        let mut flights = self.flights.lock();
        if let Some(result) = flights.get(key) {
            return Ok(Joining::Joined(result.clone()));
        }
        // A flight puts its answer into the cache before it leaves the list. So if a flight has ended since the caller
        // looked, the answer may now be in the cache.
        if self.ended.load(Acquire) != ended
            && let Some((answer, Freshness::Fresh)) = self.network.cache.find(key)
        {
            return Ok(Joining::Cached(answer));
        }
        let throttle = &self.requests.throttle;
        if flights.len() >= FLIGHTS_MAX {
            return Err(throttle.refuse(RefusalReason::Flights, Failure::OverLimit { retry_after: None }));
        }
        let permit = throttle.pass()?;
        let (sender, result) = watch::channel(None);
        flights.insert(key.clone(), result.clone());
        let slot = FlightSlot { remote: Arc::clone(self), key: key.clone() };
        let work = FlightWork { slot, query: query.clone(), permit, sender };
        Ok(Joining::Started(result, Flight { work: Some(work) }))
    }

    fn cached(&self, answer: &CachedAnswer, outcome: LookupOutcome) -> Answered {
        Answered {
            answer: Arc::clone(&answer.answer),
            outcome,
            provider: self.name(),
            age: Some(answer.age()),
            lifetime: self.network.cache.lifetime(answer),
            failure: None,
        }
    }
}

/// A flight that does not run yet. If it is dropped, it runs in a task of its own.
pub(super) struct Flight {
    work: Option<FlightWork>,
}

/// What a flight needs to run.
struct FlightWork {
    slot: FlightSlot,
    query: Query,
    permit: Permit,
    sender: watch::Sender<Option<Result<CachedAnswer, Failure>>>,
}

impl Flight {
    /// Runs in a task of its own.
    fn start(mut self) {
        self.spawn();
    }

    /// Runs until the flight succeeds, fails or is canceled. A panic ends this flight and nothing else.
    pub(super) fn run(mut self) -> impl Future<Output = ()> + Send + 'static {
        let work = self.work.take();
        async move {
            if let Some(work) = work {
                work.run().await;
            }
        }
    }

    fn spawn(&mut self) {
        if let Some(work) = self.work.take() {
            let network = Arc::clone(&work.slot.remote.network);
            network.spawn(work.run());
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.spawn();
    }
}

impl FlightWork {
    fn run(self) -> impl Future<Output = ()> + Send + 'static {
        let network = Arc::clone(&self.slot.remote.network);
        // `Network::stop` waits for flights, and not for the callers that use their results.
        network.flights.track_future(until_panic(self.ask()))
    }

    async fn ask(self) {
        let FlightWork { slot, query, permit, sender } = self;
        let network = &slot.remote.network;
        let asking = slot.remote.requests.ask(&query, permit);
        let Some(outcome) = network.stop.run_until_cancelled(asking).await else { return };
        let result = outcome.map(CachedAnswer::now);
        if let Ok(answer) = &result {
            network.cache.put(&slot.key, answer);
        }
        sender.send_replace(Some(result));
    }
}

/// Ends when `task` ends or panics. Other futures in the same runtime task continue.
async fn until_panic(task: impl Future<Output = ()>) {
    let mut task = pin!(task);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx)));
        polled.unwrap_or(Poll::Ready(()))
    })
    .await;
}

/// A flight's place in the list. When it is dropped, however the flight has ended, the flight leaves the list.
struct FlightSlot {
    remote: Arc<RemoteProvider>,
    key: CacheKey,
}

impl Drop for FlightSlot {
    fn drop(&mut self) {
        let mut flights = self.remote.flights.lock();
        flights.remove(&self.key);
        self.remote.ended.fetch_add(1, Release);
    }
}
