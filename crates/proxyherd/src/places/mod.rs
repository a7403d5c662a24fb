//! Answers questions about places for every door: always well formed, always within the deadline.
//!
//! The doors ask here and nowhere else. Providers are asked one after the other until one answers, and each gets no more
//! of the deadline than leaves the next one time. One on this machine is asked as it is; between the doors and one over
//! the network stand a cache (`shelf`), one request for all who ask the same (`remote`), retries (`requests`), and
//! the breaker, the rate and the budget (`gate`). This module does not know how a provider answers, nor by which
//! protocol an answer leaves.

mod allowance;
mod chain;
mod gate;
mod limits;
mod outcome;
mod purse;
mod remote;
mod requests;
mod shelf;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use proxyherd_core::limits::PLACES_MAX;
use proxyherd_core::places::{Answer, Query};
use tokio::time::Instant;

use crate::config;
use crate::log::ServerLog;
use crate::provider::{self, Failure, OpenError, Provider};

pub use allowance::{Allowance, Unlimited};
use chain::{Chain, Member};
use outcome::Counts;
pub use outcome::{Answered, Outcome};
pub use purse::Purse;
use remote::{Net, Remote};

/// The configured providers, the deadline, and the count of how it went.
pub struct Places {
    chain: Chain,
    deadline: Duration,
    net: Arc<Net>,
    counts: Counts,
}

impl Places {
    /// Opens the providers that `config` names, within the runtime whose tasks will ask those over the network. Each
    /// request to these is taken from `allowance`; `log` hears when one of them is left alone.
    pub fn open(
        config: &config::Places,
        allowance: Arc<dyn Allowance>,
        log: ServerLog,
    ) -> Result<Places, OpenError> {
        let first = provider::open(config.provider, config, &log)?;
        let rest: Result<_, _> =
            config.fallback.iter().map(|&name| provider::open(name, config, &log)).collect();
        Ok(Places::with(first, rest?, config, allowance, log))
    }

    /// Asks `first`, and where that fails each of `rest`, as `config` says; its own providers don't count.
    pub fn with(
        first: Arc<dyn Provider>,
        rest: Vec<Arc<dyn Provider>>,
        config: &config::Places,
        allowance: Arc<dyn Allowance>,
        log: ServerLog,
    ) -> Places {
        let net = Arc::new(Net::new(config, allowance, log));
        let member = |provider| Member::new(provider, config, &net);
        let chain = Chain::new(member(first), rest.into_iter().map(member).collect());
        Places { chain, deadline: config.deadline, net, counts: Counts::default() }
    }

    /// What the configuration calls the provider that is asked first.
    pub fn provider_name(&self) -> &'static str {
        self.chain.first().name()
    }

    /// Appends the answer as JSON with at most `limit` results, if it is at hand; otherwise appends nothing
    /// and says false, and [`Places::answer`] will have to wait for it.
    ///
    /// Any thread may call this: an answer that is old is renewed by a task of the runtime that this was opened in.
    pub fn answer_now(&self, query: &Query, limit: usize, out: &mut Vec<u8>) -> bool {
        match self.chain.first() {
            Member::Local(provider) => {
                let Some(answer) = provider.nearby_now(query, limit.clamp(1, PLACES_MAX.into())) else {
                    return false;
                };
                self.counts.add(Outcome::Fetched);
                answer.write_json(limit, out);
            }
            Member::Remote(remote) => {
                let Some(answered) = remote.at_hand(query) else { return false };
                self.counts.add(answered.outcome);
                answered.answer.write_json(limit, out);
            }
        }
        true
    }

    /// Appends the answer as JSON with at most `limit` results, within the deadline. If there is none, the
    /// JSON says why.
    pub async fn answer(&self, query: &Query, limit: usize, out: &mut Vec<u8>) {
        if !self.answer_now(query, limit, out) {
            self.ask(query).await.answer.write_json(limit, out);
        }
    }

    /// The answer, within the deadline. If there is none, it says why.
    pub async fn ask(&self, query: &Query) -> Answered {
        let answered = self.answered(query).await;
        self.counts.add(answered.outcome);
        answered
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

    /// A question that makes no sense is told so at once; other failures are told if nobody else answers, and of them
    /// the first: that provider is the one that should have.
    async fn answered(&self, query: &Query) -> Answered {
        let end = Instant::now() + self.deadline;
        let (mut left, mut earlier) = (self.deadline, None);
        for (member, share) in self.chain.iter() {
            match (member.ask(query, share.of(left)).await, earlier.take()) {
                (Ok(answered), None) => return answered,
                (Ok(answered), failure) => {
                    return Answered { outcome: Outcome::Fallback, failure, ..answered };
                }
                (Err(failure @ Failure::BadQuery(_)), None) => return self.failed(failure),
                (Err(later), failure) => earlier = Some(failure.unwrap_or(later)),
            }
            left = end.saturating_duration_since(Instant::now());
        }
        self.failed(earlier.expect("each of at least one provider has answered or failed"))
    }

    fn failed(&self, failure: Failure) -> Answered {
        Answered {
            answer: Arc::new(Answer::from(&failure)),
            outcome: Outcome::Failed,
            provider: self.provider_name(),
            age: None,
            lifetime: None,
            failure: Some(failure),
        }
    }
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
