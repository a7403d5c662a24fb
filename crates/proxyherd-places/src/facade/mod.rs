//! The facade: answers every question about places, well formed and within the deadline.
//!
//! [`Places::look`] takes a question. It returns the answer if the answer is available at once. Otherwise it returns a
//! [`Question`], which waits for the answer. The providers are asked one after the other until one answers
//! (`fallback`). A provider on this machine is asked directly. A question to a provider over the network passes these
//! modules, in this order:
//!
//! 1. `cache`: if the cache has an answer that is new enough, no request is made.
//! 2. `single_flight`: all callers that ask the same question at the same time share one request.
//! 3. `throttle`: the circuit breaker, the rate limit and the quota can each refuse a request.
//! 4. `retry`: a failed request is repeated while there is time.
//!
//! Invariant: each question is counted once, by its [`LookupOutcome`]. The facade does not know how a provider answers,
//! or the protocol by which an answer is sent.

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

use proxyherd_core::command::Bounds;
use proxyherd_core::limits::{LABELS_MAX, PLACES_MAX};
use proxyherd_core::places::{Answer, Labels, Query};

use crate::failure::Failure;
use crate::provider::{self, Embedded, OpenError, Provider};
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
    /// Opens the providers that `settings` name. Call this within the runtime whose tasks will send the requests to
    /// providers over the network. Each such request is first taken from `quota`.
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

    /// Makes a facade that asks `first`, and then, while providers fail, each provider of `rest`. All other settings
    /// come from `settings`. The providers that `settings` name are ignored.
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

    /// The operators' name for the provider that is asked first.
    pub fn provider_name(&self) -> &'static str {
        self.chain.first().name()
    }

    /// Returns the answer if it is available at once. Otherwise returns a question that waits for the answer. The
    /// caller wants at most `limit` places.
    ///
    /// Any thread may call this, even a thread without a runtime, because requests run in the runtime in which `self`
    /// was opened.
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

    /// The most prominent places in a box, at most `most` and at most [`LABELS_MAX`], for the labels of a map. The
    /// cities that are part of the program are always asked, and the other providers on this machine in their order. No
    /// request leaves the machine, so labels are neither counted nor taken from the quota.
    pub async fn labels(&self, bounds: Bounds, most: usize) -> Labels {
        let most = most.min(LABELS_MAX);
        let mut labels = Embedded.labels(bounds, most).await;
        for provider in self.chain.locals().filter(|provider| provider.name() != Embedded.name()) {
            let more = provider.labels(bounds, most).await;
            labels.add(more.labels, &more.attributions, most);
        }
        labels
    }

    /// Whether at least one of the providers may know places of this type.
    pub fn knows_kind(&self, kind: &str) -> bool {
        self.chain.knows_kind(kind)
    }

    /// The number of questions with this outcome since the start.
    pub fn count(&self, outcome: LookupOutcome) -> u64 {
        self.counts.of(outcome)
    }

    /// The statistics of the requests to each provider over the network.
    pub fn remotes(&self) -> Vec<RemoteStatus> {
        self.chain.remotes().map(|remote| RemoteStatus::of(remote)).collect()
    }

    /// The number of answers in the cache, and their memory, bytes.
    pub fn kept(&self) -> (u64, u64) {
        self.network.cache.len()
    }

    /// Forgets answers that are too old for any use. Call this at intervals.
    pub fn sweep(&self) {
        self.network.cache.sweep();
    }

    /// Cancels all requests, and waits until they have ended. Later questions get answers only from the cache.
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
    /// The answer. An answer without places says why it has none.
    AtHand(Answered),
    /// The answer takes time.
    Waits(Box<Question>),
}

/// The statistics of the requests to one provider over the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteStatus {
    /// What operators call the provider.
    pub provider: &'static str,
    /// The number of requests by their result.
    pub requests: Vec<(&'static str, u64)>,
    /// The number of requests that were not made, by the reason.
    pub refused: Vec<(&'static str, u64)>,
    /// Whether the breaker is open. Then the provider gets no requests, except for one trial request.
    pub is_left_alone: bool,
    /// The number of questions that the provider is answering now.
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
