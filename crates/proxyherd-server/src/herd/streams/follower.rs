//! The thread that offers changes to all streams of a server.
//!
//! The thread follows the replica. The shards ask the streams' interest before they queue a change for the thread
//! (`flood::interest`), so a change that no stream wants costs a report a few reads of memory, and the thread nothing.
//!
//! **Latency and load.** A change wakes the thread, if the thread waits. The thread then offers everything that is
//! queued, in bites, and rests before it waits again: for [`REST_MIN`], or longer after many changes, up to
//! [`REST_MAX`]. So a change on an idle server is offered at once, and a change on a busy one within about
//! [`REST_MAX`]. A server that takes more than [`BUSY_REPORTS_PER_S`] has little time left for streams. Then the
//! longest rest grows with the rate of the reports, up to [`REST_FULL_LOAD_MAX`]. While the thread rests, changes
//! gather. Then each reader is woken once for all its changes, and a client that reports often is told less often, so
//! streams leave most of the processor to reports.
//!
//! **Panics** in core's code for streams must not leave the streams without news. After a panic the thread takes a new
//! place in the replica, since changes at the old place may be lost, and all streams begin anew. If that is not
//! possible, all streams end, and their readers come again. If beginning anew panics too, this server serves no more
//! streams until it is started again, and the watchdog says so.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::MutexGuard;
use proxyherd_config::clock;
use proxyherd_core::{
    flood::{Begin, FollowerEvent, FollowerId, Interest},
    limits::SHARDS,
    replica::Replica,
};
use proxyherd_streams::{ChangeBatch, StreamEnd};

use super::{
    Connection, Hub, StreamsState,
    presence::{PresenceRules, ServerPresence},
    ring,
};
use crate::liveness::{Liveness, Pulse};

/// Minimum time for which the thread rests after it has offered everything.
const REST_MIN: Duration = Duration::from_millis(5);
/// Maximum time for which it rests, unless the server is at full load. With the time of its turn, this stays below 100
/// milliseconds.
const REST_MAX: Duration = Duration::from_millis(75);
/// Maximum time for which it rests at full load.
const REST_FULL_LOAD_MAX: Duration = Duration::from_millis(500);
/// Time for which the thread rests for each change that it has offered, unless one of the other limits holds.
const REST_A_CHANGE: Duration = Duration::from_micros(50);
/// Rate of the reports above which the thread may rest for longer than [`REST_MAX`]. At twice this rate, the longest
/// rest is twice as long.
const BUSY_REPORTS_PER_S: u32 = 50_000;
/// Time after which the thread looks at kept streams and at presence, even if nothing has changed.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Maximum number of changes that are taken from the replica at once. This limits how long the lock of the streams is
/// held.
const BITE_LEN: usize = 256;
/// Maximum number of clients of streams that have ended or begin anew that are released at once, for the same reason.
const RELEASE_LEN: usize = 4096;

/// Starts the thread. Returns what wakes it; `None`: the replica has no place for the follower, or the thread cannot be
/// started. `state` is the locked state of `hub`.
pub(super) fn start(
    hub: &Arc<Hub>,
    state: &StreamsState,
    presence: PresenceRules,
    liveness: &Liveness,
) -> Option<SyncSender<()>> {
    let worker = Worker::new(hub, state, presence, liveness)?;
    let wake_thread = worker.follower.wake_thread.clone();
    thread::Builder::new().name("streams".to_owned()).spawn(move || worker.run()).ok()?;
    Some(wake_thread)
}

/// The streams' follower of the replica. Dropping it gives its place back.
struct Follower {
    replica: Arc<Replica>,
    id: Option<FollowerId>,
    wake_thread: SyncSender<()>,
}

impl Follower {
    /// Follows what the streams want from now on, and wakes the thread once. Returns whether the replica had a place.
    fn follow(&mut self, state: &StreamsState) -> bool {
        let wake_thread = self.wake_thread.clone();
        let interest: Arc<dyn Interest> = Arc::clone(state.streams.interest()) as _;
        self.id = self.replica.follow_some(Begin::Now, &interest, move || {
            let _ = wake_thread.try_send(());
        });
        self.id.is_some()
    }

    fn unfollow(&mut self) {
        if let Some(id) = self.id.take() {
            self.replica.unfollow(id);
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.unfollow();
    }
}

/// What a bite has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bite {
    /// There is more to take.
    More,
    /// Everything was taken.
    Done,
    /// No stream is open or kept. The thread has given up its place and must end.
    Idle,
}

/// The thread's own state.
struct Worker {
    hub: Arc<Hub>,
    follower: Follower,
    woken: Receiver<()>,
    pulse: Arc<Pulse>,
    batch: ChangeBatch,
    presence: ServerPresence,
    /// The bells that must be rung.
    rings: Vec<Arc<Connection>>,
    /// The number of changes that were offered in this turn.
    offered: u32,
    /// Changes wait that came during the last turn.
    is_behind: bool,
    pace: Pace,
}

/// How long the thread rests after a turn.
struct Pace {
    /// The number of reports that the server had taken at the end of the last turn, and when this was.
    reports: u64,
    looked: Instant,
}

impl Pace {
    fn new(reports: u64) -> Pace {
        Pace { reports, looked: Instant::now() }
    }

    /// The rest after a turn that has offered `offered` changes. The server has taken `reports` reports since its
    /// start.
    fn rest(&mut self, reports: u64, offered: u32) -> Duration {
        let before = std::mem::replace(self, Pace::new(reports));
        let reports_per_s =
            reports.saturating_sub(before.reports) as f64 / before.looked.elapsed().as_secs_f64().max(1e-3);
        (REST_A_CHANGE * offered).clamp(REST_MIN, longest_rest(reports_per_s))
    }
}

/// Whether an event is a change. A queue also tells when nothing is left in it, which is no entry of the queue.
fn is_change(told: &FollowerEvent<'_>) -> bool {
    !matches!(told, FollowerEvent::Covered { .. })
}

/// Maximum rest at this rate of reports.
fn longest_rest(reports_per_s: f64) -> Duration {
    let busy = (reports_per_s / f64::from(BUSY_REPORTS_PER_S)).clamp(1.0, 100.0);
    REST_MAX.mul_f64(busy).min(REST_FULL_LOAD_MAX)
}

impl Worker {
    /// `None`: the replica has no place for the follower.
    fn new(
        hub: &Arc<Hub>,
        state: &StreamsState,
        presence: PresenceRules,
        liveness: &Liveness,
    ) -> Option<Worker> {
        let (wake_thread, woken) = sync_channel(1);
        let mut follower = Follower { replica: Arc::clone(&hub.replica), id: None, wake_thread };
        follower.follow(state).then(|| Worker {
            hub: Arc::clone(hub),
            follower,
            woken,
            pulse: liveness.pulse("telling streams"),
            batch: ChangeBatch::default(),
            presence: ServerPresence::new(presence),
            rings: Vec::new(),
            offered: 0,
            is_behind: false,
            pace: Pace::new(hub.replica.report_counts().accepted),
        })
    }

    fn run(mut self) {
        while catch_unwind(AssertUnwindSafe(|| self.serve())).is_err() && self.recover() {}
    }

    /// Serves all streams until there is none.
    fn serve(&mut self) {
        loop {
            let waits = self.presence.is_busy() || self.is_behind;
            let wait = if waits { Duration::ZERO } else { LOOK_INTERVAL };
            if self.woken.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
            if self.take_turn() == Bite::Idle {
                return;
            }
            let reports = self.hub.replica.report_counts().accepted;
            thread::sleep(self.pace.rest(reports, self.offered));
        }
    }

    /// Offers as many changes as are queued now. If more come meanwhile, they wait for the next turn: otherwise a turn
    /// under full load would not end.
    fn take_turn(&mut self) -> Bite {
        self.offered = 0;
        let queued = self.queued();
        let pulse = Arc::clone(&self.pulse);
        let working = pulse.work();
        loop {
            let now_ns = clock::now_ns();
            let bite = self.take_bite(now_ns);
            if bite == Bite::Idle {
                return bite;
            }
            let Worker { hub, presence, rings, .. } = self;
            presence.tell(now_ns, hub, rings);
            ring(rings);
            self.is_behind = bite == Bite::More;
            if bite == Bite::Done || self.offered > queued {
                return bite;
            }
            working.again();
        }
    }

    /// The number of changes and markers in the queues.
    fn queued(&self) -> u32 {
        let Follower { replica, id, .. } = &self.follower;
        id.as_ref().map_or(0, |id| (0..SHARDS).map(|shard| replica.waiting_len(id, shard) as u32).sum())
    }

    fn take_bite(&mut self, now_ns: u64) -> Bite {
        let Worker { hub, follower, batch, presence, rings, offered, .. } = self;
        let mut state = hub.state.lock();
        presence.start_or_stop(now_ns, &mut state);
        if state.is_idle() {
            presence.stop(&mut state);
            // This happens under the lock. So a stream that is opened now starts the next thread, and that thread's
            // follower finds a place.
            state.wake_thread = None;
            follower.unfollow();
            return Bite::Idle;
        }
        let Some(id) = &follower.id else { return Bite::Idle };
        #[cfg(test)]
        assert!(!std::mem::take(&mut state.fails), "a test says so");
        let StreamsState { streams, offered_ns, .. } = &mut *state;
        let is_all = follower.replica.drain(id, BITE_LEN, |told| {
            batch.take(streams, &told);
            presence.take(&told);
            *offered = offered.saturating_add(u32::from(is_change(&told)));
        });
        streams.offer(batch);
        // Later than every clock by which an offered report has expired.
        *offered_ns = clock::now_ns();
        streams.expire(now_ns);
        let is_released = streams.release(RELEASE_LEN);
        streams.take_rings(rings);
        // Readers that wait for the lock get it before the next bite.
        MutexGuard::unlock_fair(state);
        ring(rings);
        if is_all && is_released { Bite::Done } else { Bite::More }
    }

    /// Lets all streams begin anew after a panic. Returns whether the thread goes on.
    fn recover(&mut self) -> bool {
        self.follower.unfollow();
        self.batch = ChangeBatch::default();
        let mut state = self.hub.state.lock();
        self.presence.stop(&mut state);
        let begun = catch_unwind(AssertUnwindSafe(|| state.streams.begin_anew()));
        if begun.is_err() {
            self.pulse.fail();
            state.has_failed = true;
        }
        let goes_on = !state.is_idle() && self.follower.follow(&state);
        if !goes_on {
            state.wake_thread = None;
            if begun.is_ok() {
                let why = if state.is_over { StreamEnd::ShuttingDown } else { StreamEnd::Failed };
                state.streams.end_if(why, |_| true);
            }
        }
        state.streams.take_rings(&mut self.rings);
        drop(state);
        ring(&mut self.rings);
        goes_on
    }
}

impl Hub {
    /// Calls `change` with the locked streams, and takes the bells that must be rung.
    pub(super) fn with<T>(
        &self,
        rings: &mut Vec<Arc<Connection>>,
        change: impl FnOnce(&mut StreamsState, &Replica) -> T,
    ) -> T {
        let mut state = self.state.lock();
        let changed = change(&mut state, &self.replica);
        state.streams.take_rings(rings);
        changed
    }
}

#[cfg(test)]
mod tests {
    use proxyherd_core::{
        replica::Offer,
        types::{Attributes, ClientId, Coordinates, Report, Stamp},
    };
    use proxyherd_streams::{StreamFilter, StreamKinds};

    use super::*;
    use crate::{
        caller::Rights,
        herd::{
            StreamRequest,
            tests::{alone, caller},
        },
    };

    #[test]
    fn the_longest_rest_grows_with_the_rate_of_reports_only_at_full_load() {
        let longest = [0.0, 50_000.0, 100_000.0, 5e6].map(|rate| longest_rest(rate).as_millis());
        assert_eq!(longest, [75, 75, 150, 500]);
    }

    #[tokio::test]
    async fn a_turn_offers_what_was_queued_when_it_began() {
        let herd = alone();
        let streams = &herd.streams;
        let (filter, kinds) = (StreamFilter::default(), StreamKinds::default());
        let request = StreamRequest { filter, kinds, last_event_id: None };
        let _stream = herd.stream(&caller(Rights::ALL), clock::now_ns(), request, || ()).unwrap();
        let presence = streams.presence.clone();
        let worker = Worker::new(&streams.hub, &streams.hub.state.lock(), presence, herd.liveness());
        let mut worker = worker.unwrap();
        // Little more than a bite: a bite tells of many shards that nothing is left in their queues.
        let names: Vec<_> = (0..BITE_LEN + SHARDS / 2).map(|number| format!("kea-{number}")).collect();
        for name in &names {
            let report = Report {
                client: ClientId::new(name.as_bytes()).unwrap(),
                coordinates: Coordinates::parse(b"+34-118").unwrap(),
                stamp: Stamp::Server,
                attributes: Attributes::NONE,
            };
            let mut offers = [Offer::new(report)];
            herd.wake(herd.report(&caller(Rights::ALL), clock::now_ns(), &mut offers).unwrap());
        }
        assert_eq!(worker.queued() as usize, names.len());
        assert_eq!((worker.take_turn(), worker.queued()), (Bite::Done, 0));
    }
}
