//! A question that has to wait: its answer was not at hand when it was looked at.
//!
//! If its first provider is over the network, the question has already joined a flight or begun one. A flight that it has
//! begun is flown even if the question is dropped, since other questions may have joined it.

use std::fmt;
use std::sync::Arc;

use proxyherd_core::places::Query;
use tokio::time::Instant;

use super::single_flight::{Remote, Wait};
use super::{Answered, Outcome, Places};
use crate::failure::Failure;

/// A question whose answer takes time. Either [`Question::answered`] or [`Question::then`] waits for it.
pub struct Question {
    places: Arc<Places>,
    query: Query,
    end: Instant,
    first: First,
}

/// What is known of the provider that is asked first.
pub(super) enum First {
    /// It is on this machine and has to take its time: it has not been asked.
    Local,
    /// It is over the network, and the question has boarded.
    Boarded(Arc<Remote>, Wait),
    /// It has failed at once. There are others to ask.
    Failed(Failure),
}

impl Question {
    pub(super) fn new(places: &Arc<Places>, query: Query, first: First) -> Question {
        Question { places: Arc::clone(places), query, end: Instant::now() + places.deadline, first }
    }

    /// The answer, within the deadline. If there is none, it says why. A flight that the question has begun runs in a task
    /// of its own, so dropping this future does not end it for those that have joined.
    pub async fn answered(mut self) -> Answered {
        if let First::Boarded(_, wait) = &mut self.first {
            wait.take_off();
        }
        self.wait().await
    }

    /// Calls `then` with the answer, within the deadline. The waiting and the flight, if the question has begun one, share
    /// one task of the runtime in which the places were opened. Any thread may call this.
    pub fn then(mut self, then: impl FnOnce(Answered) + Send + 'static) {
        let net = Arc::clone(&self.places.net);
        let flight = match &mut self.first {
            First::Boarded(_, wait) => wait.take_flight(),
            First::Local | First::Failed(_) => None,
        };
        let told = async move { then(self.wait().await) };
        match flight {
            Some(flight) => net.spawn(async {
                tokio::join!(flight.fly(), told);
            }),
            None => net.spawn(told),
        }
    }

    /// A question that makes no sense is told so at once; other failures are told if nobody else answers, and of them
    /// the first: that provider is the one that should have.
    async fn wait(self) -> Answered {
        let Question { places, query, end, first } = self;
        let (mut first, mut earlier, mut left) = (Some(first), None, places.deadline);
        for (member, share) in places.chain.iter() {
            let within = share.of(left);
            let outcome = match first.take() {
                Some(First::Boarded(remote, wait)) => remote.landed(wait, within).await,
                Some(First::Failed(failure)) => Err(failure),
                Some(First::Local) | None => member.ask(&query, within).await,
            };
            match (outcome, earlier.take()) {
                (Ok(answered), None) => return places.counted(answered),
                (Ok(answered), failure) => {
                    return places.counted(Answered { outcome: Outcome::Fallback, failure, ..answered });
                }
                (Err(failure @ Failure::BadQuery(_)), None) => return places.failed(failure),
                (Err(later), failure) => earlier = Some(failure.unwrap_or(later)),
            }
            left = end.saturating_duration_since(Instant::now());
        }
        places.failed(earlier.expect("each of at least one provider has answered or failed"))
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("query", &self.query).finish_non_exhaustive()
    }
}
