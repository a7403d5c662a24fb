//! A question whose answer was not available at once when [`Places::look`] took the question.
//!
//! The holder of a [`Question`] either awaits [`Question::answered`] or passes a callback to [`Question::then`]. If the
//! first provider is over the network, the question has already joined a flight (a shared request, see `single_flight`)
//! or started one. A flight that the question has started runs to its end even if the question is dropped, because
//! other questions may have joined the flight. This module does not know what the answer is used for.

use std::fmt;
use std::sync::Arc;

use proxyherd_core::places::Query;
use tokio::time::Instant;

use super::single_flight::{FlightWait, RemoteProvider};
use super::{Answered, LookupOutcome, Places};
use crate::failure::Failure;

/// A question whose answer takes time. Either [`Question::answered`] or [`Question::then`] waits for the answer.
pub struct Question {
    places: Arc<Places>,
    query: Query,
    end: Instant,
    first: FirstProvider,
}

/// The state of the question at the first provider.
pub(super) enum FirstProvider {
    /// The provider is on this machine and needs time. The provider has not been asked yet.
    Local,
    /// The provider is over the network, and the question waits for a flight.
    Remote(Arc<RemoteProvider>, FlightWait),
    /// The provider has failed at once, and there are other providers to ask.
    Failed(Failure),
}

impl Question {
    pub(super) fn new(places: &Arc<Places>, query: Query, first: FirstProvider) -> Question {
        Question { places: Arc::clone(places), query, end: Instant::now() + places.deadline, first }
    }

    /// Returns the answer within the deadline. An answer without places says why it has none.
    ///
    /// A flight that the question has started runs in a task of its own, so it does not end if this future is dropped.
    pub async fn answered(mut self) -> Answered {
        if let FirstProvider::Remote(_, wait) = &mut self.first {
            wait.start_flight();
        }
        self.wait().await
    }

    /// Calls `then` with the answer within the deadline. If the question has started a flight, the flight runs in the
    /// same task as the waiting. The task belongs to the runtime in which the places were opened. Any thread may call
    /// this.
    pub fn then(mut self, then: impl FnOnce(Answered) + Send + 'static) {
        let network = Arc::clone(&self.places.network);
        let flight = match &mut self.first {
            FirstProvider::Remote(_, wait) => wait.take_flight(),
            FirstProvider::Local | FirstProvider::Failed(_) => None,
        };
        let told = async move { then(self.wait().await) };
        match flight {
            Some(flight) => network.spawn(async {
                tokio::join!(flight.run(), told);
            }),
            None => network.spawn(told),
        }
    }

    /// Asks the providers in their order. If the first provider does not understand the question, the others are not
    /// asked. If all providers fail, the answer reports the failure of the first provider, because the first provider
    /// should have answered.
    async fn wait(self) -> Answered {
        let Question { places, query, end, first } = self;
        let (mut first, mut earlier, mut left) = (Some(first), None, places.deadline);
        for (member, share) in places.chain.iter() {
            let within = share.of(left);
            let outcome = match first.take() {
                Some(FirstProvider::Remote(remote, wait)) => remote.finish(wait, within).await,
                Some(FirstProvider::Failed(failure)) => Err(failure),
                Some(FirstProvider::Local) | None => member.ask(&query, within).await,
            };
            match (outcome, earlier.take()) {
                (Ok(answered), None) => return places.counted(answered),
                (Ok(answered), failure) => {
                    return places.counted(Answered {
                        outcome: LookupOutcome::Fallback,
                        failure,
                        ..answered
                    });
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
