//! Signs of life: what works in a server has a pulse, and its watchdog says which of them stand still, and which have
//! ended by a fault of ours.
//!
//! A pulse costs two additions a turn, and knows nothing of who feels it.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use parking_lot::Mutex;

/// Looks in a row without a movement before something counts as stuck.
pub(crate) const STUCK_AFTER: u32 = 10;

/// What a server's watchdog knows.
#[derive(Debug, Default)]
pub struct Health {
    pulses: Mutex<Vec<Watched>>,
    stuck: Mutex<Vec<String>>,
    failed: Arc<Mutex<Vec<String>>>,
}

impl Health {
    /// A pulse under this name, watched for as long as the caller holds it. Whoever panics while it holds one has failed
    /// for as long as this server runs.
    pub fn pulse(&self, name: impl Into<String>) -> Arc<Pulse> {
        let heart = Arc::new(Heart { name: name.into(), beats: AtomicU64::new(0) });
        self.pulses.lock().push(Watched { heart: Arc::downgrade(&heart), beats: 0, unmoved: 0 });
        Arc::new(Pulse { heart, failed: Arc::clone(&self.failed) })
    }

    /// The names of what is stuck now.
    pub fn stuck(&self) -> Vec<String> {
        self.stuck.lock().clone()
    }

    /// One look at all pulses; says which have not moved for [`STUCK_AFTER`] looks, or will not move any more.
    pub(crate) fn look(&self) -> Vec<String> {
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

    /// From here on this is what is stuck; returns what was before.
    pub(crate) fn set_stuck(&self, now: Vec<String>) -> Vec<String> {
        std::mem::replace(&mut *self.stuck.lock(), now)
    }
}

/// The pulse of a thread or a task: it beats when work begins and again when it ends.
#[derive(Debug)]
pub struct Pulse {
    /// Its owner alone holds the pulse itself, so that it is dropped where its owner ends.
    heart: Arc<Heart>,
    failed: Arc<Mutex<Vec<String>>>,
}

#[derive(Debug)]
struct Heart {
    name: String,
    /// Odd while there is work.
    beats: AtomicU64,
}

impl Pulse {
    /// Whoever has this pulse has failed, and does not go on.
    pub(crate) fn fail(&self) {
        self.failed.lock().push(format!("{}, which has failed,", self.heart.name));
    }

    /// Work begins, until what is returned is dropped. It must not wait for anything but the processor and a shard.
    #[must_use]
    pub fn work(&self) -> Working<'_> {
        self.heart.beats.fetch_add(1, Relaxed);
        Working(self)
    }

    /// Work goes on: part of it is done, and the next begins.
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

/// Work that has begun.
#[derive(Debug)]
pub struct Working<'a>(&'a Pulse);

impl Working<'_> {
    /// Part of the work is done, and the next begins.
    pub fn again(&self) {
        self.0.again();
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.heart.beats.fetch_add(1, Relaxed);
    }
}

/// A pulse as it was last seen.
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
    async fn who_panics_has_failed_and_who_ends_has_not() {
        let health = Arc::new(Health::default());
        let run = |name: &'static str, fails: bool| {
            let health = Arc::clone(&health);
            tokio::spawn(async move {
                let _pulse = health.pulse(name);
                tokio::task::yield_now().await;
                assert!(!fails, "the test says so");
            })
        };
        assert!(run("one", true).await.is_err());
        run("another", false).await.unwrap();
        for _ in 0..2 {
            assert_eq!(health.look(), ["one, which has failed,"]);
        }
    }
}
