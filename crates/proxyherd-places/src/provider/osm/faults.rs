//! Reports faults of single places, and of blocks of the index, to the observer.
//!
//! Anybody can write OpenStreetMap's data, and some texts make the crates that read them panic (`contained`).
//! [`Faults`] reports each fault once, even if its place is found many times. It reports at most [`TOLD_MAX`] faults,
//! because editors of the data must not be able to fill a log. Panics of searches, and blocks that cannot be read, have
//! separate limits of [`TOLD_MAX`].
//!
//! This module does not know what the data means.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use crate::{Environment, PlacesEvent};

/// Maximum number of faults, of panics, and of blocks that are reported to the observer. Further ones are not reported.
const TOLD_MAX: usize = 16;

/// The observer, and the faults that were already reported.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    environment: Environment,
    /// Hashes of the faulty texts.
    told: Arc<Mutex<HashSet<u64>>>,
    /// Hashes of the messages of panics.
    panics: Arc<Mutex<HashSet<u64>>>,
    /// Hashes of the numbers of blocks that cannot be read.
    blocks: Arc<Mutex<HashSet<u64>>>,
}

impl Faults {
    pub(super) fn new(environment: Environment) -> Faults {
        Faults { environment, told: Arc::default(), panics: Arc::default(), blocks: Arc::default() }
    }

    /// The evaluator panicked at these opening hours.
    pub(super) fn hours_failed(&self, place_id: &str, hours: &str) {
        if !is_news(&self.told, hours) {
            return;
        }
        self.environment.observer.notice(&PlacesEvent::HoursFailed { place_id, hours });
    }

    /// A search panicked. `panic` is the payload.
    pub(super) fn search_panicked(&self, panic: &(dyn Any + Send)) {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        if !is_news(&self.panics, said) {
            return;
        }
        self.environment.observer.notice(&PlacesEvent::SearchPanicked { message: said });
    }

    /// A block of the index cannot be read.
    pub(super) fn block_unreadable(&self, block: u32, why: &str) {
        if !is_news(&self.blocks, &block.to_string()) {
            return;
        }
        self.environment.observer.notice(&PlacesEvent::BlockUnreadable { block, why });
    }
}

/// Whether to report this fault: it is new, and the limit is not reached.
fn is_news(told: &Mutex<HashSet<u64>>, what: &str) -> bool {
    let mut told = told.lock();
    told.len() < TOLD_MAX && told.insert(xxh3_64(what.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_news_once_and_not_too_many_are() {
        let told = Mutex::default();
        assert!(is_news(&told, "a") && is_news(&told, "b"));
        assert!(!is_news(&told, "a") && !is_news(&told, "b"));
        let news = (0..100).filter(|number| is_news(&told, &format!("{number}"))).count();
        assert_eq!(news, TOLD_MAX - 2);
    }
}
