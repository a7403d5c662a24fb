//! A provider over the network: asked once however many want to know, and not at all where an answer is at hand.
//!
//! A request is a *flight*: it belongs to a task of its own, so an asker that goes away takes nothing from the others,
//! and it ends within the deadline. Whoever asks the same meanwhile joins it and is told what it comes to. Answers go
//! to the shelf; failures go nowhere but to those who joined.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proxyherd_core::limits::FLIGHTS_MAX;
use proxyherd_core::places::{Freshness, Grid, Key, Query, Source};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::gate::{Gate, Reason, Toll};
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

    fn spawn(&self, flight: impl Future<Output = ()> + Send + 'static) {
        match &self.runtime {
            Some(runtime) => self.flights.spawn_on(flight, runtime),
            None => self.flights.spawn(flight),
        };
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
    source: Source,
    requests: Requests,
    net: Arc<Net>,
    flights: Mutex<HashMap<Key, Landing>>,
}

/// How a question gets its answer.
enum Boarded {
    /// It began a flight, or joined one.
    Waits(Landing, Outcome),
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
        let source = Source { provider: requests.provider.name(), mask };
        Arc::new(Remote { source, requests, net, flights: Mutex::default() })
    }

    pub(super) fn name(&self) -> &'static str {
        self.source.provider
    }

    pub(super) fn knows_kind(&self, kind: &str) -> bool {
        self.requests.provider.knows_kind(kind)
    }

    /// The answer, if it is at hand and good enough to be given without asking. An old one is being renewed then.
    pub(super) fn at_hand(self: &Arc<Remote>, query: &Query) -> Option<Answered> {
        let query = self.moved(query);
        self.at_hand_for(&self.key(&query), &query)
    }

    /// The answer, within so much time.
    pub(super) async fn ask(
        self: &Arc<Remote>,
        query: &Query,
        within: Duration,
    ) -> Result<Answered, Failure> {
        let query = self.moved(query);
        self.requests.provider.check(&query)?;
        let key = self.key(&query);
        if let Some(answered) = self.at_hand_for(&key, &query) {
            return Ok(answered);
        }
        match self.fetched(&key, &query, within).await {
            Ok(answered) => Ok(answered),
            // An old answer does not make sense of a question that its provider makes none of.
            Err(failure @ Failure::BadQuery(_)) => Err(failure),
            Err(failure) => match self.net.shelf.find(&key) {
                Some((kept, _)) => {
                    Ok(Answered { failure: Some(failure), ..self.kept(&kept, Outcome::Stale) })
                }
                None => Err(failure),
            },
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

    fn key(&self, query: &Query) -> Key {
        Key::new(self.source, query)
    }

    fn at_hand_for(self: &Arc<Remote>, key: &Key, query: &Query) -> Option<Answered> {
        let (kept, freshness) = self.net.shelf.find(key)?;
        match freshness {
            Freshness::Fresh => Some(self.kept(&kept, Outcome::Hit)),
            Freshness::Stale => {
                // Where it can't be renewed now, the next question tries again.
                let _ = self.board(key, query);
                Some(self.kept(&kept, Outcome::Stale))
            }
            Freshness::LastResort | Freshness::Gone => None,
        }
    }

    async fn fetched(
        self: &Arc<Remote>,
        key: &Key,
        query: &Query,
        within: Duration,
    ) -> Result<Answered, Failure> {
        let (mut landing, outcome) = match self.board(key, query)? {
            Boarded::Waits(landing, outcome) => (landing, outcome),
            Boarded::Found(kept) => return Ok(self.kept(&kept, Outcome::Hit)),
        };
        let landed = match timeout(within, landing.wait_for(Option::is_some)).await {
            Ok(Ok(landed)) => landed.clone(),
            Ok(Err(_)) => None,
            Err(_) => Some(Err(Failure::Late(within))),
        };
        let broken_off = || Err(Failure::Unavailable("the request was broken off".to_owned()));
        let kept = landed.unwrap_or_else(broken_off)?;
        Ok(Answered { age: None, ..self.kept(&kept, outcome) })
    }

    /// Joins the flight that asks this, or begins it. Whether it may begin is known at once; no task is started
    /// in vain.
    fn board(self: &Arc<Remote>, key: &Key, query: &Query) -> Result<Boarded, Failure> {
        let mut flights = self.flights.lock();
        if let Some(landing) = flights.get(key) {
            return Ok(Boarded::Waits(landing.clone(), Outcome::Joined));
        }
        // A flight may have landed since the caller looked: it puts its answer on the shelf before it leaves the list.
        if let Some((kept, Freshness::Fresh)) = self.net.shelf.find(key) {
            return Ok(Boarded::Found(kept));
        }
        let gate = &self.requests.gate;
        if flights.len() >= FLIGHTS_MAX {
            return Err(gate.refuse(Reason::Flights, Failure::OverLimit { retry_after: None }));
        }
        let permit = gate.pass()?;
        let (tell, landing) = watch::channel(None);
        flights.insert(key.clone(), landing.clone());
        let flight = Flight { remote: Arc::clone(self), key: key.clone() };
        let (query, stop) = (query.clone(), self.net.stop.clone());
        self.net.spawn(async move {
            let flown = flight.remote.requests.ask(&query, permit);
            let Some(outcome) = stop.run_until_cancelled(flown).await else { return };
            let landed = outcome.map(Kept::now);
            if let Ok(kept) = &landed {
                flight.remote.net.shelf.put(&flight.key, kept);
            }
            tell.send_replace(Some(landed));
        });
        Ok(Boarded::Waits(landing, Outcome::Fetched))
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

/// A flight's place in the list: it leaves the list however it ends, also by a panic. Those who wait learn of that by
/// the end of their channel.
struct Flight {
    remote: Arc<Remote>,
    key: Key,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.remote.flights.lock().remove(&self.key);
    }
}
