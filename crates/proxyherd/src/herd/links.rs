//! What is known of each link while the server runs: for its task to be woken, for metrics and for status.

use std::{
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use proxyherd_core::{flood::LinkId, types::ServerName};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::Neighbor;

/// All links of a server.
#[derive(Debug)]
pub struct Links {
    links: Box<[Link]>,
}

/// One link, up or down.
#[derive(Debug)]
pub struct Link {
    /// Its number in core.
    pub id: LinkId,
    /// Who is at the other end, and where.
    pub neighbor: Neighbor,
    /// Told when there is something to flush.
    pub ready: Notify,
    /// Held by whoever speaks on the link: a new connection waits until the old one is done.
    pub speaking: tokio::sync::Mutex<()>,
    state: Mutex<LinkState>,
    payloads_sent: AtomicU64,
    payloads_received: AtomicU64,
    /// Since when something is queued that is not written, nanoseconds after `created`; 0: nothing is.
    behind_since: AtomicU64,
    created: Instant,
}

/// How a link is.
#[derive(Clone, Debug, Default)]
pub struct LinkState {
    /// Since when it is up, if it is.
    pub up_since: Option<Instant>,
    /// How often it has come up.
    pub times_up: u64,
    /// Why it is not up, as far as that is known.
    pub trouble: Option<String>,
    /// Ends the connection that is in use.
    stop: CancellationToken,
}

impl Links {
    /// Links to `neighbors`, all down.
    pub fn new(neighbors: Vec<Neighbor>) -> Links {
        let link = |(index, neighbor)| Link {
            id: LinkId::new(index).expect("the configuration refuses more neighbors than links"),
            neighbor,
            ready: Notify::new(),
            speaking: tokio::sync::Mutex::new(()),
            state: Mutex::default(),
            payloads_sent: AtomicU64::new(0),
            payloads_received: AtomicU64::new(0),
            behind_since: AtomicU64::new(0),
            created: Instant::now(),
        };
        Links { links: neighbors.into_iter().enumerate().map(link).collect() }
    }

    /// The links in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    /// The link at this place.
    pub fn at(&self, index: usize) -> &Link {
        &self.links[index]
    }

    /// The neighbours in their order, and whether this end dials them.
    pub fn neighbors(&self) -> Vec<(ServerName, bool)> {
        self.iter().map(|link| (link.neighbor.name.clone(), link.neighbor.dial)).collect()
    }

    /// Lets a link flush.
    pub fn wake(&self, link: LinkId) {
        self.links[link.index()].ready.notify_one();
    }
}

impl Link {
    /// How it is now.
    pub fn state(&self) -> LinkState {
        self.state.lock().clone()
    }

    /// It is up. The token ends the connection when a newer one wants the link.
    pub fn came_up(&self) -> CancellationToken {
        let mut state = self.state.lock();
        state.up_since = Some(Instant::now());
        state.times_up += 1;
        state.trouble = None;
        state.stop = CancellationToken::new();
        state.stop.clone()
    }

    /// It is down, or still down; says whether the trouble is another than before.
    pub fn went_down(&self, trouble: String) -> bool {
        self.behind_since.store(0, Release);
        let mut state = self.state.lock();
        state.up_since = None;
        let is_new = state.trouble.as_ref() != Some(&trouble);
        state.trouble = Some(trouble);
        is_new
    }

    /// Asks the connection that is in use, if any, to end.
    pub fn stop(&self) {
        self.state.lock().stop.cancel();
    }

    /// Counts records that were written to the socket.
    pub fn add_sent(&self, payloads: u64) {
        self.payloads_sent.fetch_add(payloads, Relaxed);
    }

    /// Counts records that came.
    pub fn add_received(&self, payloads: u64) {
        self.payloads_received.fetch_add(payloads, Relaxed);
    }

    /// Records written to the socket since the start.
    pub fn payloads_sent(&self) -> u64 {
        self.payloads_sent.load(Relaxed)
    }

    /// Records that came since the start.
    pub fn payloads_received(&self) -> u64 {
        self.payloads_received.load(Relaxed)
    }

    /// Notes that something waits to be written, or nothing any more.
    pub fn set_behind(&self, is_behind: bool) {
        let was_behind = self.behind_since.load(Acquire) != 0;
        if is_behind != was_behind {
            let since = if is_behind { self.created.elapsed().as_nanos() as u64 } else { 0 };
            self.behind_since.store(since, Release);
        }
    }

    /// For how long something has been waiting to be written.
    pub fn lag(&self) -> Duration {
        match self.behind_since.load(Acquire) {
            0 => Duration::ZERO,
            since => self.created.elapsed().saturating_sub(Duration::from_nanos(since)),
        }
    }
}
