//! Logs what is wrong with single places.
//!
//! Each fault is logged once, however often its place is found, and at most [`TOLD_MAX`] faults are logged by one server:
//! the data has millions of places, and its editors must not be able to fill the log.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use crate::log::{LogLevel, ServerLog, Subject};

/// Most faults that are logged. Further ones are not.
const TOLD_MAX: usize = 16;

/// The log, and the faults that were logged.
#[derive(Clone, Debug)]
pub(super) struct Troubles {
    log: ServerLog,
    /// Hashes of the texts that are at fault.
    told: Arc<Mutex<HashSet<u64>>>,
}

impl Troubles {
    /// Logs to `log`.
    pub(super) fn new(log: ServerLog) -> Troubles {
        Troubles { log, told: Arc::default() }
    }

    /// The evaluator panicked at these opening hours.
    pub(super) fn hours_failed(&self, place_id: &str, hours: &str) {
        if !self.is_news(hours) {
            return;
        }
        let message = format_args!(
            "the opening hours of {place_id} make the evaluator fail; answers show this place without open_now: {hours}"
        );
        self.log.event(LogLevel::Warn, Subject::Places, message);
    }

    fn is_news(&self, what: &str) -> bool {
        let mut told = self.told.lock();
        told.len() < TOLD_MAX && told.insert(xxh3_64(what.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_is_news_once_and_not_too_many_are() {
        let troubles = Troubles::new(ServerLog::discard());
        assert!(troubles.is_news("a") && troubles.is_news("b"));
        assert!(!troubles.is_news("a") && !troubles.clone().is_news("b"));
        let news = (0..100).filter(|number| troubles.is_news(&format!("{number}"))).count();
        assert_eq!(news, TOLD_MAX - 2);
    }
}
