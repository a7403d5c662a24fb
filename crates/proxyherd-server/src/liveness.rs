//! Liveness of a server's threads and tasks. Each thread and each task holds a [`Pulse`]. The owner moves its pulse
//! when it begins work and when it ends work. The watchdog checks all pulses at intervals. A pulse that does not move
//! during work is stuck. The pulse of a thread or task that has panicked has failed.
//!
//! ```
//! # use proxyherd_server::liveness::Liveness;
//! let liveness = Liveness::default();
//! let pulse = liveness.pulse("thread line-0");
//! let working = pulse.work();
//! // ... what the thread does in one turn ...
//! drop(working);
//! ```
//!
//! A pulse costs two additions for each turn. A pulse does not know the watchdog.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use parking_lot::Mutex;

/// Consecutive checks that must find a pulse unmoved before it counts as stuck.
pub(crate) const STUCK_AFTER: u32 = 10;

/// The pulses of one server, and what its watchdog has found.
#[derive(Debug, Default)]
pub struct Liveness {
    pulses: Mutex<Vec<Watched>>,
    stuck: Mutex<Vec<String>>,
    checks: AtomicU64,
    failed: Arc<Mutex<Vec<String>>>,
}

impl Liveness {
    /// A new pulse with this name. The watchdog checks the pulse as long as the caller holds the pulse. A thread or
    /// task that panics while it holds a pulse counts as failed as long as this server runs.
    pub fn pulse(&self, name: impl Into<String>) -> Arc<Pulse> {
        let heart = Arc::new(Heart { name: name.into(), beats: AtomicU64::new(0) });
        self.pulses.lock().push(Watched { heart: Arc::downgrade(&heart), beats: 0, unmoved: 0 });
        Arc::new(Pulse { heart, failed: Arc::clone(&self.failed) })
    }

    /// The names of what is stuck now.
    pub fn stuck(&self) -> Vec<String> {
        self.stuck.lock().clone()
    }

    /// Number of checks that the watchdog has completed. It grows as long as the watchdog itself runs.
    pub fn checks(&self) -> u64 {
        self.checks.load(Relaxed)
    }

    /// Checks all pulses once. Returns the names of the pulses that have not moved for [`STUCK_AFTER`] checks or have
    /// failed.
    pub(crate) fn check(&self) -> Vec<String> {
        let mut unmoved = self.failed.lock().clone();
        self.pulses.lock().retain_mut(|watched| {
            let Some(heart) = watched.heart.upgrade() else { return false };
            if watched.is_stuck(&heart) {
                unmoved.push(heart.name.clone());
            }
            true
        });
        unmoved
    }

    /// Completes a check: sets what is stuck now, and returns what was stuck before.
    pub(crate) fn set_stuck(&self, now: Vec<String>) -> Vec<String> {
        let before = std::mem::replace(&mut *self.stuck.lock(), now);
        self.checks.fetch_add(1, Relaxed);
        before
    }
}

/// The pulse of a thread or a task. It beats when work begins and again when work ends.
#[derive(Debug)]
pub struct Pulse {
    /// The state of the pulse. Only the owner holds this strong reference, so the state is dropped when the owner ends.
    heart: Arc<Heart>,
    failed: Arc<Mutex<Vec<String>>>,
}

#[derive(Debug)]
struct Heart {
    name: String,
    /// Odd during work.
    beats: AtomicU64,
}

impl Pulse {
    /// Records that the thread or task of this pulse has failed and does not continue.
    pub(crate) fn fail(&self) {
        self.failed.lock().push(format!("{}, which has failed,", self.heart.name));
    }

    /// Begins work. The work ends when the returned value is dropped. During work, the owner may wait only for the
    /// processor and for a shard.
    #[must_use]
    pub fn work(&self) -> Working<'_> {
        self.heart.beats.fetch_add(1, Relaxed);
        Working(self)
    }

    /// Ends one part of the work and begins the next.
    pub(crate) fn again(&self) {
        self.heart.beats.fetch_add(2, Relaxed);
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        if thread::panicking() {
            self.fail();
        }
    }
}

/// Work that has begun and not ended.
#[derive(Debug)]
pub struct Working<'a>(&'a Pulse);

impl Working<'_> {
    /// Ends one part of the work and begins the next.
    pub fn again(&self) {
        self.0.again();
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.heart.beats.fetch_add(1, Relaxed);
    }
}

/// A pulse as the last check found it.
#[derive(Debug)]
struct Watched {
    heart: Weak<Heart>,
    beats: u64,
    unmoved: u32,
}

impl Watched {
    fn is_stuck(&mut self, heart: &Heart) -> bool {
        let beats = heart.beats.load(Relaxed);
        let is_at_work = beats % 2 == 1;
        self.unmoved = if is_at_work && beats == self.beats { self.unmoved + 1 } else { 0 };
        self.beats = beats;
        self.unmoved >= STUCK_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_has_failed_and_one_that_ends_has_not() {
        let liveness = Arc::new(Liveness::default());
        let run = |name: &'static str, fails: bool| {
            let liveness = Arc::clone(&liveness);
            tokio::spawn(async move {
                let _pulse = liveness.pulse(name);
                tokio::task::yield_now().await;
                assert!(!fails, "the test says so");
            })
        };
        assert!(run("one", true).await.is_err());
        run("another", false).await.unwrap();
        for _ in 0..2 {
            assert_eq!(liveness.check(), ["one, which has failed,"]);
        }
    }
}
