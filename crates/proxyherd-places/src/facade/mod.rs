//! The facade: answers every question about places, well formed and within the deadline.
//!
//! [`Places::look`] takes a question. It returns the answer if that is at hand, and otherwise a [`Question`], which
//! waits. The providers are asked one after the other until one answers (`fallback`). A provider on this machine is
//! asked directly. A question to a provider over the network passes these modules, in this order:
//!
//! 1. `cache`: an answer that is kept and good enough is given without a request.
//! 2. `single_flight`: all who ask the same at the same time share one request.
//! 3. `throttle`: the circuit breaker, the rate limit and the quota can each refuse a request.
//! 4. `retry`: a request that fails is repeated while there is time.
//!
//! Invariant: each question is counted once, by its [`LookupOutcome`]. The facade does not know how a provider
//! answers, nor the protocol by which an answer leaves.

mod cache;
mod fallback;
mod outcome;
mod question;
mod retry;
mod single_flight;
#[cfg(test)]
mod tests;
mod throttle;

use std::sync::Arc;
use std::time::Duration;

use proxyherd_core::limits::PLACES_MAX;
use proxyherd_core::places::{Answer, Query};

use crate::failure::Failure;
use crate::provider::{self, OpenError, Provider};
use crate::{Environment, Quota, Settings};

use fallback::{FallbackChain, FallbackMember};
use outcome::OutcomeCounts;
pub use outcome::{Answered, LookupOutcome};
use question::FirstProvider;
pub use question::Question;
use single_flight::{FirstLook, Network, RemoteProvider};

/// The providers in their order, the deadline, and the counts of outcomes.
pub struct Places {
    chain: FallbackChain,
    deadline: Duration,
    network: Arc<Network>,
    counts: OutcomeCounts,
}

impl Places {
    /// Opens the providers that `settings` name. Call this within the runtime whose tasks shall ask the providers over
    /// the network. Each request to one of those is first taken from `quota`.
    pub fn open(
        settings: &Settings,
        quota: Arc<dyn Quota>,
        environment: Environment,
    ) -> Result<Arc<Places>, OpenError> {
        let open = |name| provider::open(name, settings, &environment);
        let first = open(settings.provider)?;
        let rest: Result<_, _> = settings.fallback.iter().map(|&name| open(name)).collect();
        Ok(Places::with(first, rest?, settings, quota, environment))
    }

    /// Asks `first`, and while that fails each of `rest`, in the way that `settings` say. The providers that `settings`
    /// name are ignored.
    pub fn with(
        first: Arc<dyn Provider>,
        rest: Vec<Arc<dyn Provider>>,
        settings: &Settings,
        quota: Arc<dyn Quota>,
        environment: Environment,
    ) -> Arc<Places> {
        let network = Arc::new(Network::new(settings, quota, environment));
        let member = |provider| FallbackMember::new(provider, settings, &network);
        let chain = FallbackChain::new(member(first), rest.into_iter().map(member).collect());
        Arc::new(Places { chain, deadline: settings.deadline, network, counts: OutcomeCounts::default() })
    }

    /// What operators call the provider that is asked first.
    pub fn provider_name(&self) -> &'static str {
        self.chain.first().name()
    }

    /// Returns the answer if it is at hand, or else what waits for it. The caller wants at most `limit` places.
    ///
    /// Any thread may call this, also one without a runtime: requests run in the runtime in which `self` was opened.
    pub fn look(self: &Arc<Places>, query: Query, limit: usize) -> Looked {
        let waits = |query, first| Looked::Waits(Box::new(Question::new(self, query, first)));
        match self.chain.first() {
            FallbackMember::Local(provider) => {
                match provider.nearby_now(&query, limit.clamp(1, PLACES_MAX.into())) {
                    Some(answer) => Looked::AtHand(self.counted(Answered::here(provider.name(), answer))),
                    None => waits(query, FirstProvider::Local),
                }
            }
            FallbackMember::Remote(remote) => match remote.look(&query) {
                Ok(FirstLook::AtHand(answered)) => Looked::AtHand(self.counted(answered)),
                Ok(FirstLook::Waits(wait)) => waits(query, FirstProvider::Remote(Arc::clone(remote), wait)),
                Err(failure) if self.chain.is_final(&failure) => Looked::AtHand(self.failed(failure)),
                Err(failure) => waits(query, FirstProvider::Failed(failure)),
            },
        }
    }

    /// Returns the answer within the deadline. An answer without places says why it has none.
    pub async fn ask(self: &Arc<Places>, query: &Query) -> Answered {
        match self.look(query.clone(), PLACES_MAX.into()) {
            Looked::AtHand(answered) => answered,
            Looked::Waits(question) => question.answered().await,
        }
    }

    /// Whether at least one of the providers may know places of this type.
    pub fn knows_kind(&self, kind: &str) -> bool {
        self.chain.knows_kind(kind)
    }

    /// How many questions since the start had this outcome.
    pub fn count(&self, outcome: LookupOutcome) -> u64 {
        self.counts.of(outcome)
    }

    /// How the requests to each provider over the network went.
    pub fn remotes(&self) -> Vec<RemoteStatus> {
        self.chain.remotes().map(|remote| RemoteStatus::of(remote)).collect()
    }

    /// How many answers the cache holds, and how much memory they take, bytes.
    pub fn kept(&self) -> (u64, u64) {
        self.network.cache.len()
    }

    /// Forgets answers that are too old for any use. Call this now and then.
    pub fn sweep(&self) {
        self.network.cache.sweep();
    }

    /// Breaks off all requests, and waits until they have ended. Questions after that get what the cache holds.
    pub async fn stop(&self) {
        self.network.stop().await;
    }

    fn counted(&self, answered: Answered) -> Answered {
        self.counts.add(answered.outcome);
        answered
    }

    fn failed(&self, failure: Failure) -> Answered {
        self.counted(Answered {
            answer: Arc::new(Answer::from(&failure)),
            outcome: LookupOutcome::Failed,
            provider: self.provider_name(),
            age: None,
            lifetime: None,
            failure: Some(failure),
        })
    }
}

/// What [`Places::look`] returns.
#[derive(Debug)]
pub enum Looked {
    /// The answer. If it has no places, it says why.
    AtHand(Answered),
    /// The answer takes time.
    Waits(Box<Question>),
}

/// How the requests to one provider over the network went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteStatus {
    /// What operators call the provider.
    pub provider: &'static str,
    /// How many requests had which result.
    pub requests: Vec<(&'static str, u64)>,
    /// How many requests were not made, and why.
    pub refused: Vec<(&'static str, u64)>,
    /// Whether the breaker is open: the provider is not asked, or one request tries it.
    pub is_left_alone: bool,
    /// How many questions the provider is answering now.
    pub flying: usize,
}

impl RemoteStatus {
    fn of(remote: &RemoteProvider) -> RemoteStatus {
        RemoteStatus {
            provider: remote.name(),
            requests: remote.requests().collect(),
            refused: remote.refused().collect(),
            is_left_alone: remote.is_left_alone(),
            flying: remote.flying(),
        }
    }
}
