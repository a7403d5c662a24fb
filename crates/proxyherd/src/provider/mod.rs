//! Who answers questions about places: one module a source, behind one trait.
//!
//! A provider asks its source and translates; it does not know of deadlines, caches, retries or other
//! providers, which stand in front of it in [`crate::places`], nor of the protocol that the question came by.

mod embedded;
mod failure;

use std::pin::Pin;

use proxyherd_core::places::{Answer, Query};

pub use embedded::Embedded;
pub use failure::Failure;

/// The outcome of a question, when it comes.
pub type Pending<'a> = Pin<Box<dyn Future<Output = Result<Answer, Failure>> + Send + 'a>>;

/// A source of places.
pub trait Provider: Send + Sync {
    /// What the configuration calls it.
    fn name(&self) -> &'static str;

    /// Answers on the spot, if this source never has to wait: from memory, in microseconds.
    ///
    /// At most `most` places are wanted, and at least one, so that the status can tell whether there are any.
    /// A source that has to wait answers nothing here, always: callers ask this first, for every question.
    fn nearby_now(&self, query: &Query, most: usize) -> Option<Answer> {
        let _ = (query, most);
        None
    }

    /// Asks the source for as many places as one answer may hold, [`PLACES_MAX`], however few the asker
    /// wants: answers are shared, and cost the same.
    ///
    /// Dropping what is returned gives the question up.
    ///
    /// [`PLACES_MAX`]: proxyherd_core::limits::PLACES_MAX
    fn nearby<'a>(&'a self, query: &'a Query) -> Pending<'a>;
}
