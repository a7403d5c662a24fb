//! How the threads of a journal wake each other: the follower's waker wakes the thread of group commit, a stop wakes
//! both threads, and every sync wakes a compaction that waits for the journal.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use proxyherd_core::command::Positions;

/// What the threads of one journal share.
#[derive(Debug, Default)]
pub(super) struct Signal {
    state: Mutex<SignalState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct SignalState {
    is_woken: bool,
    is_stopping: bool,
    /// What the journal has synced.
    durable: Positions,
}

impl Signal {
    /// Wakes the thread of group commit. Never waits for the disk.
    pub(super) fn wake(&self) {
        self.state.lock().is_woken = true;
        self.changed.notify_all();
    }

    /// Lets both threads end.
    pub(super) fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.changed.notify_all();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.state.lock().is_stopping
    }

    /// Waits until the thread is woken or must end, or the time is over. A wake-up while nobody waited counts.
    pub(super) fn wait(&self, most: Duration) {
        self.wait_until(most, |state| state.is_woken || state.is_stopping);
        self.state.lock().is_woken = false;
    }

    /// Waits until the time is over or the thread must end.
    pub(super) fn rest(&self, time: Duration) {
        self.wait_until(time, |state| state.is_stopping);
    }

    /// Sets what the journal has synced.
    pub(super) fn set_durable(&self, durable: &Positions) {
        self.state.lock().durable = *durable;
        self.changed.notify_all();
    }

    /// What the journal has synced.
    pub(super) fn durable(&self) -> Positions {
        self.state.lock().durable
    }

    /// Waits until the journal has synced more than `known`, the thread must end, or the time is over.
    pub(super) fn wait_for_more_than(&self, known: &Positions, most: Duration) {
        self.wait_until(most, |state| state.durable != *known || state.is_stopping);
    }

    fn wait_until(&self, most: Duration, is_over: impl Fn(&SignalState) -> bool) {
        let end = Instant::now() + most;
        let mut state = self.state.lock();
        while !is_over(&state) {
            if self.changed.wait_until(&mut state, end).timed_out() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_wake_up_that_came_before_the_wait_counts_once() {
        let signal = Signal::default();
        signal.wake();
        signal.wait(LONG);
        assert!(!signal.state.lock().is_woken);
        signal.wait(Duration::ZERO);
    }

    #[test]
    fn a_stop_ends_every_wait() {
        let signal = Arc::new(Signal::default());
        let waits: [fn(&Signal); 3] = [
            |signal| signal.wait(LONG),
            |signal| signal.rest(LONG),
            |signal| {
                signal.wait_for_more_than(&Positions::default(), LONG);
            },
        ];
        let waiting = waits.map(|wait| {
            let signal = Arc::clone(&signal);
            thread::spawn(move || wait(&signal))
        });
        signal.stop();
        for thread in waiting {
            thread.join().unwrap();
        }
        assert!(signal.is_stopping());
    }

    #[test]
    fn a_rest_is_not_cut_short_by_a_wake_up() {
        let signal = Signal::default();
        signal.wake();
        let began = Instant::now();
        signal.rest(Duration::from_millis(20));
        assert!(began.elapsed() >= Duration::from_millis(20));
    }
}
