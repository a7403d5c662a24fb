//! Answers questions about places for every door: always well formed, always within the deadline.
//!
//! The herd asks here for all doors. A question is looked at once ([`Places::look`]): either its answer is at hand, or it is
//! a [`Question`] that waits. Providers are asked one after the other until one answers, and each gets no more
//! of the deadline than leaves the next one time. One on this machine is asked as it is; between the doors and one over
//! the network stand a cache (`shelf`), one request for all who ask the same (`remote`), retries (`requests`), and
//! the breaker, the rate and the budget (`gate`). This module does not know how a provider answers, nor by which
//! protocol an answer leaves.

mod cache;
mod fallback;
mod limits;
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

use crate::provider::{self, Failure, OpenError, Provider};
use crate::{Environment, Quota, Settings};

use fallback::{Chain, Member};
use outcome::Counts;
pub use outcome::{Answered, Outcome};
use question::First;
pub use question::Question;
use single_flight::{Begun, Net, Remote};

/// The configured providers, the deadline, and the count of how it went.
pub struct Places {
    chain: Chain,
    deadline: Duration,
    net: Arc<Net>,
    counts: Counts,
}

impl Places {
    /// Opens the providers that `config` names, within the runtime whose tasks will ask those over the network. Each
    /// request to these is taken from `quota`; the observer hears when one of them is left alone.
    pub fn open(
        config: &Settings,
        quota: Arc<dyn Quota>,
        environment: Environment,
    ) -> Result<Arc<Places>, OpenError> {
        let first = provider::open(config.provider, config, &environment)?;
        let rest: Result<_, _> =
            config.fallback.iter().map(|&name| provider::open(name, config, &environment)).collect();
        Ok(Places::with(first, rest?, config, quota, environment))
    }

    /// Asks `first`, and where that fails each of `rest`, as `config` says; its own providers don't count.
    pub fn with(
        first: Arc<dyn Provider>,
        rest: Vec<Arc<dyn Provider>>,
        config: &Settings,
        quota: Arc<dyn Quota>,
        environment: Environment,
    ) -> Arc<Places> {
        let net = Arc::new(Net::new(config, quota, environment));
        let member = |provider| Member::new(provider, config, &net);
        let chain = Chain::new(member(first), rest.into_iter().map(member).collect());
        Arc::new(Places { chain, deadline: config.deadline, net, counts: Counts::default() })
    }

    /// What the configuration calls the provider that is asked first.
    pub fn provider_name(&self) -> &'static str {
        self.chain.first().name()
    }

    /// The answer, if it is at hand, or what waits for it. At most `limit` places are wanted.
    ///
    /// Any thread may call this: an answer that is old is renewed by a task of the runtime that this was opened in.
    pub fn look(self: &Arc<Places>, query: Query, limit: usize) -> Looked {
        let waits = |query, first| Looked::Waits(Box::new(Question::new(self, query, first)));
        match self.chain.first() {
            Member::Local(provider) => match provider.nearby_now(&query, limit.clamp(1, PLACES_MAX.into())) {
                Some(answer) => Looked::AtHand(self.counted(Answered::here(provider.name(), answer))),
                None => waits(query, First::Local),
            },
            Member::Remote(remote) => match remote.begin(&query) {
                Ok(Begun::AtHand(answered)) => Looked::AtHand(self.counted(answered)),
                Ok(Begun::Waits(wait)) => waits(query, First::Boarded(Arc::clone(remote), wait)),
                Err(failure) if self.chain.is_final(&failure) => Looked::AtHand(self.failed(failure)),
                Err(failure) => waits(query, First::Failed(failure)),
            },
        }
    }

    /// The answer, within the deadline. If there is none, it says why.
    pub async fn ask(self: &Arc<Places>, query: &Query) -> Answered {
        match self.look(query.clone(), PLACES_MAX.into()) {
            Looked::AtHand(answered) => answered,
            Looked::Waits(question) => question.answered().await,
        }
    }

    /// Whether at least one of the providers knows that type of places.
    pub fn knows_kind(&self, kind: &str) -> bool {
        self.chain.knows_kind(kind)
    }

    /// How many questions went this way since the start.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.counts.of(outcome)
    }

    /// What became of the requests to each provider over the network.
    pub fn remotes(&self) -> Vec<RemoteStatus> {
        self.chain.remotes().map(|remote| RemoteStatus::of(remote)).collect()
    }

    /// How many answers are kept, and how much memory they take, bytes.
    pub fn kept(&self) -> (u64, u64) {
        self.net.shelf.len()
    }

    /// Forgets answers that are good for nothing any more; to be called now and then.
    pub fn sweep(&self) {
        self.net.shelf.sweep();
    }

    /// Breaks off what is being asked, and waits until it has ended. Questions after that get what is at hand.
    pub async fn stop(&self) {
        self.net.stop().await;
    }

    fn counted(&self, answered: Answered) -> Answered {
        self.counts.add(answered.outcome);
        answered
    }

    fn failed(&self, failure: Failure) -> Answered {
        self.counted(Answered {
            answer: Arc::new(Answer::from(&failure)),
            outcome: Outcome::Failed,
            provider: self.provider_name(),
            age: None,
            lifetime: None,
            failure: Some(failure),
        })
    }
}

/// What the first look at a question comes to.
#[derive(Debug)]
pub enum Looked {
    /// This is the answer, or says why there is none.
    AtHand(Answered),
    /// The answer takes time.
    Waits(Box<Question>),
}

/// What became of the requests to one provider over the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteStatus {
    /// What the configuration calls it.
    pub provider: &'static str,
    /// How many requests went how.
    pub requests: Vec<(&'static str, u64)>,
    /// How many requests were not made, and why.
    pub refused: Vec<(&'static str, u64)>,
    /// Whether the breaker is open: the provider is left alone, or tried by one question only.
    pub is_left_alone: bool,
    /// How many questions are with it now.
    pub flying: usize,
}

impl RemoteStatus {
    fn of(remote: &Remote) -> RemoteStatus {
        RemoteStatus {
            provider: remote.name(),
            requests: remote.requests().collect(),
            refused: remote.refused().collect(),
            is_left_alone: remote.is_left_alone(),
            flying: remote.flying(),
        }
    }
}
