//! Logs what is wrong with single places, and that a search panicked.
//!
//! Each fault is logged once, however often its place is found, and at most [`TOLD_MAX`] faults are logged by one server:
//! the data has millions of places, and its editors must not be able to fill the log. Panics of searches are logged apart
//! from them, each message once, and at most [`TOLD_MAX`] of them.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use crate::{Environment, Event};

/// Most faults that are logged, and most panics. Further ones are not.
const TOLD_MAX: usize = 16;

/// The log, and the faults that were logged.
#[derive(Clone, Debug)]
pub(super) struct Troubles {
    environment: Environment,
    /// Hashes of the texts that are at fault.
    told: Arc<Mutex<HashSet<u64>>>,
    /// Hashes of the panics' messages that were logged.
    panics: Arc<Mutex<HashSet<u64>>>,
}

impl Troubles {
    /// Logs to `log`.
    pub(super) fn new(environment: Environment) -> Troubles {
        Troubles { environment, told: Arc::default(), panics: Arc::default() }
    }

    /// The evaluator panicked at these opening hours.
    pub(super) fn hours_failed(&self, place_id: &str, hours: &str) {
        if !is_news(&self.told, hours) {
            return;
        }
        self.environment.observer.notice(&Event::HoursFailed { place_id, hours });
    }

    /// A search panicked, with what the panic carried.
    pub(super) fn search_panicked(&self, panic: &(dyn Any + Send)) {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        if !is_news(&self.panics, said) {
            return;
        }
        self.environment.observer.notice(&Event::SearchPanicked { message: said });
    }
}

/// Whether this is to be logged.
fn is_news(told: &Mutex<HashSet<u64>>, what: &str) -> bool {
    let mut told = told.lock();
    told.len() < TOLD_MAX && told.insert(xxh3_64(what.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_is_news_once_and_not_too_many_are() {
        let told = Mutex::default();
        assert!(is_news(&told, "a") && is_news(&told, "b"));
        assert!(!is_news(&told, "a") && !is_news(&told, "b"));
        let news = (0..100).filter(|number| is_news(&told, &format!("{number}"))).count();
        assert_eq!(news, TOLD_MAX - 2);
    }
}
