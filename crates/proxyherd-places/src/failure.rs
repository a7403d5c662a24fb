//! Why a provider has no answer.
//!
//! Every provider returns a [`Failure`]. From the failure the facade decides whether to send another request, what to
//! report to the breaker, and what to return to the caller. A failure's text is for the caller, so it never holds a key
//! or an address from the settings.

use std::time::Duration;

use proxyherd_core::places::{Answer, AnswerStatus};
use thiserror::Error;

/// Why a question got no answer. No failure changes any state of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// The caller's fault: the source does not understand this question, now or later.
    #[error("the places provider refused the question: {0}")]
    BadQuery(String),
    /// The operator's fault: the source rejects the key or the account. Every other question will fail in the same way
    /// until the operator corrects the key or the account.
    #[error("the places provider refused this server: {0}")]
    Denied(String),
    /// There were too many requests for the source, for the rate limit, or for the quota.
    #[error("the places provider has been asked too often")]
    OverLimit {
        /// Time to wait before the next request. `None` if this time is unknown.
        retry_after: Option<Duration>,
    },
    /// This process is reading other answers, which fill the memory for answers.
    #[error("this server is reading too many long answers of places providers at once; ask again later")]
    NoRoom,
    /// The source's fault, or the network's: the source cannot be reached, or says that it is out of order.
    #[error("the places provider is out of reach: {0}")]
    Unavailable(String),
    /// The source's fault: its answer cannot be read.
    #[error("the places provider gave an answer that cannot be read: {0}")]
    Unreadable(String),
    /// The source's fault, or the network's: no answer came in time.
    #[error("the places provider did not answer within {} ms", .0.as_millis())]
    Late(Duration),
}

impl Failure {
    /// The status with which Nearby Search reports this failure.
    pub fn status(&self) -> AnswerStatus {
        match self {
            Failure::BadQuery(_) => AnswerStatus::InvalidRequest,
            Failure::Denied(_) => AnswerStatus::RequestDenied,
            Failure::OverLimit { .. } | Failure::NoRoom => AnswerStatus::OverQueryLimit,
            Failure::Unavailable(_) | Failure::Unreadable(_) | Failure::Late(_) => AnswerStatus::UnknownError,
        }
    }
}

impl From<&Failure> for Answer {
    fn from(failure: &Failure) -> Answer {
        Answer::failed(failure.status(), failure.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_the_asker_what_happened() {
        for (failure, status, message) in [
            (
                Failure::BadQuery("no such type".into()),
                AnswerStatus::InvalidRequest,
                "the places provider refused the question: no such type",
            ),
            (
                Failure::Denied("the key has expired".into()),
                AnswerStatus::RequestDenied,
                "the places provider refused this server: the key has expired",
            ),
            (
                Failure::OverLimit { retry_after: Some(Duration::from_secs(7)) },
                AnswerStatus::OverQueryLimit,
                "the places provider has been asked too often",
            ),
            (
                Failure::NoRoom,
                AnswerStatus::OverQueryLimit,
                "this server is reading too many long answers of places providers at once; ask again later",
            ),
            (
                Failure::Unavailable("connection refused".into()),
                AnswerStatus::UnknownError,
                "the places provider is out of reach: connection refused",
            ),
            (
                Failure::Unreadable("no results".into()),
                AnswerStatus::UnknownError,
                "the places provider gave an answer that cannot be read: no results",
            ),
            (
                Failure::Late(Duration::from_secs(5)),
                AnswerStatus::UnknownError,
                "the places provider did not answer within 5000 ms",
            ),
        ] {
            assert_eq!(Answer::from(&failure), Answer::failed(status, message));
        }
    }
}
