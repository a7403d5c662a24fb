//! Replicas under real threads: each link that has to be woken is woken, though reports, batches, arrivals and links
//! that come and go meet at any moment. Nothing here flushes unless it is woken, so with one lost wake the herd never
//! agrees.

use std::{
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use proxyherd_core::{
    codec::link::Encoder,
    flood::{LinkId, Wake},
    limits::SHARDS,
    link::Incoming,
    replica::{Offer, Replica},
};

use crate::herd::{NOW_NS, content, link, replica, report};

/// Every server is linked to both others.
const NAMES: [&str; 3] = ["Riley", "Jaquez", "Juzang"];
const PHASES: u64 = 60;
/// Reports of each server in each phase.
const REPORTS: u64 = 6_000;
/// The number of clients. They do not fit into the first batch of a new link.
const CLIENTS: u64 = 2000;
const BATCH_LEN: usize = 4;

/// Wakes a writer. A wake that comes while it works is kept.
#[derive(Default)]
struct Signal {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    fn set(&self) {
        *self.is_set.lock().unwrap() = true;
        self.changed.notify_one();
    }

    fn wait(&self) {
        let mut is_set = self.changed.wait_while(self.is_set.lock().unwrap(), |is_set| !*is_set).unwrap();
        *is_set = false;
    }
}

/// What one server sends another, while their link is up.
struct Direction {
    encoder: Encoder,
    incoming: Incoming,
}

struct Herd {
    replicas: [Replica; 3],
    /// By the server that sends and its link, 0 to the next server and 1 to the one after.
    signals: [[Signal; 2]; 3],
    directions: [[Mutex<Direction>; 2]; 3],
    /// A wake for a link that is down wakes nobody.
    is_down: [[AtomicBool; 2]; 3],
    is_over: AtomicBool,
}

impl Herd {
    fn new() -> Herd {
        let direction = |place| Mutex::new(Direction::new(place));
        Herd {
            replicas: NAMES.map(replica),
            signals: Default::default(),
            directions: [(); 3].map(|()| [direction(0), direction(1)]),
            is_down: Default::default(),
            is_over: AtomicBool::new(false),
        }
    }

    fn wake(&self, server: usize, wake: Wake) {
        for place in wake.links().map(LinkId::index) {
            if !self.is_down[server][place].load(SeqCst) {
                self.signals[server][place].set();
            }
        }
    }

    /// A writer, and the reader at the other end.
    fn send(&self, server: usize, place: usize) {
        loop {
            self.signals[server][place].wait();
            if self.is_over.load(SeqCst) {
                return;
            }
            let mut direction = self.directions[server][place].lock().unwrap();
            while !self.replicas[server].flush(link(place), &mut direction.encoder) {
                self.deliver(server, place, &mut direction);
            }
            self.deliver(server, place, &mut direction);
        }
    }

    fn deliver(&self, server: usize, place: usize, direction: &mut Direction) {
        let other = (server + place + 1) % 3;
        let (mut wake, Direction { encoder, incoming }) = (Wake::default(), direction);
        incoming.receive(&self.replicas[other], NOW_NS, encoder.bytes(), &mut wake).unwrap();
        encoder.clear();
        self.wake(other, wake);
    }

    /// Takes a link down, if it was up, and brings it up again.
    fn relink(&self, server: usize, place: usize) {
        let (other, other_place) = ((server + place + 1) % 3, 1 - place);
        let ends = [(server, place), (other, other_place)];
        let mut directions = ends.map(|(server, place)| self.directions[server][place].lock().unwrap());
        for (server, place) in ends {
            self.is_down[server][place].store(true, SeqCst);
            let _ = self.replicas[server].link_down(link(place));
        }
        thread::yield_now();
        for (server, place) in ends {
            *self.signals[server][place].is_set.lock().unwrap() = false;
            self.is_down[server][place].store(false, SeqCst);
        }
        let renew = |direction: &mut MutexGuard<'_, Direction>, (server, place): (usize, usize)| {
            **direction = Direction::new(1 - place);
            self.replicas[server].write_vectors(&mut direction.encoder);
        };
        // Vectors are written before either end hears the other's.
        for (direction, end) in directions.iter_mut().zip(ends) {
            renew(direction, end);
        }
        for (direction, (server, place)) in directions.iter_mut().zip(ends) {
            self.deliver(server, place, direction);
        }
    }

    fn report_all(&self, server: usize, phase: u64) {
        let mut state = 3 * phase + server as u64 + 1;
        let rounds = REPORTS / BATCH_LEN as u64;
        for round in phase * rounds..(phase + 1) * rounds {
            let clients = [(); BATCH_LEN].map(|()| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                format!("client-{}", (state >> 33) % CLIENTS).into_bytes()
            });
            let mut offers: Vec<_> = clients
                .iter()
                .map(|client| Offer::new(report(client, NOW_NS + 3 * round + server as u64)))
                .collect();
            self.wake(server, self.replicas[server].report_all(NOW_NS, &mut offers));
        }
    }

    fn agrees(&self) -> bool {
        let [riley, jaquez, juzang] = self.replicas.each_ref().map(content);
        riley == jaquez && jaquez == juzang
    }

    /// Lets all servers take reports while links come and go, and then rest. Returns what is left undone.
    #[allow(clippy::disallowed_methods, reason = "real threads need real time to give up")]
    fn trouble_in(&self, phase: u64) -> Option<String> {
        thread::scope(|scope| {
            (0..3).for_each(|server| drop(scope.spawn(move || self.report_all(server, phase))));
            // A link that comes up again makes up for a lost wake, so there are few of them.
            (0..phase % 4).for_each(|round| self.relink((phase + round) as usize % 3, 0));
        });
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.agrees() {
            if Instant::now() > deadline {
                return Some(self.trouble());
            }
            thread::yield_now();
        }
        None
    }

    fn trouble(&self) -> String {
        let [riley, jaquez, juzang] = self.replicas.each_ref().map(|replica| {
            let queued =
                |place| (0..SHARDS).map(|shard| replica.queue_len(link(place), shard)).sum::<usize>();
            (
                replica.len(),
                [0, 1].map(queued),
                [0, 1].map(|place| replica.is_ready(link(place))),
                replica.contradiction(),
            )
        });
        format!("{riley:?} {jaquez:?} {juzang:?}")
    }
}

impl Direction {
    /// `place` is the link's number at the receiving end.
    fn new(place: usize) -> Direction {
        Direction { encoder: Encoder::default(), incoming: Incoming::new(link(place)) }
    }
}

#[test]
fn no_wake_is_lost_between_threads() {
    let herd = &Herd::new();
    thread::scope(|scope| {
        for (server, place) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)] {
            scope.spawn(move || herd.send(server, place));
        }
        (0..3).for_each(|server| herd.relink(server, 0));
        let trouble = (0..PHASES).find_map(|phase| herd.trouble_in(phase));
        herd.is_over.store(true, SeqCst);
        herd.signals.iter().flatten().for_each(Signal::set);
        assert_eq!(trouble, None, "records, queued and ready by link");
    });
    assert!(
        herd.replicas.iter().all(|replica| replica.contradiction().is_none() && replica.len() == CLIENTS)
    );
}
