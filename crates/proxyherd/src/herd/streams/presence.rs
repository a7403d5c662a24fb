//! Presence at a server: it runs while a stream wants its events.
//!
//! Presence begins with a scan of all records, in bites, between which streams are served. During the scan nothing is
//! told. A server that has neighbors also tells nothing until a neighbor has sent everything that the neighbor holds,
//! or some seconds have passed: to a server that has just started, every client would seem to come.

use std::sync::Arc;

use proxyherd_config::clock;
use proxyherd_core::{
    flood::FollowerEvent,
    limits::SHARDS,
    presence::{Presence, PresenceEvent, PresenceKind, PresenceSettings, Seen},
    replica::Replica,
    types::Kind,
};

use super::{Connection, Hub, StreamsState};

/// Number of slots that one bite of the scan visits under a shard's lock, and number of bites in a turn of the thread.
const SCAN_BITE: usize = 1024;
const SCAN_BITES: usize = 16;
/// Number of timers that are handled, and of events that are offered, before others get the processor or the lock.
const PASS_MAX: usize = 1024;
const OFFER_MAX: usize = 64;
/// Time after which presence tells events even if no neighbor has sent everything.
const BEHIND_MAX_NS: u64 = 10_000_000_000;

/// What presence needs to know of the configuration.
#[derive(Clone, Copy, Debug)]
pub(in crate::herd) struct PresenceRules {
    /// The time after its last report at which a client is silent. `None`: no client is silent.
    pub(in crate::herd) silent_ns: Option<u64>,
    /// The time after which the herd forgets a client.
    pub(in crate::herd) client_ttl_ns: Option<u64>,
    /// Whether the server has neighbors, whose records it needs first.
    pub(in crate::herd) has_neighbors: bool,
}

/// Presence at a server.
pub(super) struct ServerPresence {
    rules: PresenceRules,
    running: Option<Running>,
}

struct Running {
    presence: Presence,
    client_ttl_ns: Option<u64>,
    began_ns: u64,
    /// The shard and the slot at which the scan goes on. `None`: the scan is over.
    scan: Option<(usize, usize)>,
    is_telling: bool,
    /// The clients' IDs, one after the other; for each client the end of its ID, and what was seen of it.
    ids: Vec<u8>,
    seen: Vec<(usize, Seen)>,
    /// The events that must be offered.
    events: Vec<(PresenceKind, u128, Box<[u8]>)>,
}

impl ServerPresence {
    pub(super) fn new(rules: PresenceRules) -> ServerPresence {
        ServerPresence { rules, running: None }
    }

    /// Whether the scan is not over, or events wait that are due.
    pub(super) fn is_busy(&self) -> bool {
        self.running.as_ref().is_some_and(|running| {
            let is_due = || running.presence.due_ns().is_some_and(|due_ns| due_ns <= clock::now_ns());
            running.scan.is_some() || is_due()
        })
    }

    /// Starts or stops presence, if the streams' wish has changed.
    pub(super) fn start_or_stop(&mut self, now_ns: u64, state: &StreamsState) {
        match (state.streams.wants_presence(), &self.running) {
            (true, None) => {
                state.streams.interest().add_everything();
                let settings = PresenceSettings {
                    silent_ns: self.rules.silent_ns,
                    began_ns: now_ns,
                    seed: clock::random(),
                };
                self.running = Some(Running {
                    presence: Presence::new(settings),
                    client_ttl_ns: self.rules.client_ttl_ns,
                    began_ns: now_ns,
                    scan: Some((0, 0)),
                    is_telling: false,
                    ids: Vec::new(),
                    seen: Vec::new(),
                    events: Vec::new(),
                });
            }
            (false, Some(_)) => self.stop(state),
            _ => {}
        }
    }

    pub(super) fn stop(&mut self, state: &StreamsState) {
        if self.running.take().is_some() {
            state.streams.interest().remove_everything();
        }
    }

    /// Copies a change. The caller holds a shard's lock.
    pub(super) fn take(&mut self, told: &FollowerEvent<'_>) {
        let Some(Running { ids, seen, client_ttl_ns, .. }) = &mut self.running else { return };
        let (kind, key, what) = match told {
            FollowerEvent::Record(held) => {
                (held.record.kind, held.record.key, Seen::of(&held.record, *client_ttl_ns))
            }
            FollowerEvent::Removed { kind, key } => (*kind, *key, Some(Seen::Removed)),
            FollowerEvent::Anew { .. } | FollowerEvent::Covered(_) => return,
        };
        if let Some(what) = what.filter(|_| kind == Kind::CLIENT) {
            ids.extend_from_slice(key);
            seen.push((ids.len(), what));
        }
    }

    /// Looks at the changes that were copied, goes on with the scan, and offers the events that follow.
    pub(super) fn tell(&mut self, now_ns: u64, hub: &Hub, rings: &mut Vec<Arc<Connection>>) {
        let Some(running) = &mut self.running else { return };
        running.see(now_ns);
        running.go_on(now_ns, &hub.replica, self.rules.has_neighbors);
        running.pass(now_ns);
        while !running.events.is_empty() {
            let len = running.events.len().min(OFFER_MAX);
            hub.with(rings, |state, replica| {
                for (kind, event_id, client) in running.events.drain(..len) {
                    let event = PresenceEvent { event_id, kind, client: &client };
                    state.streams.offer_presence(replica, now_ns, &event);
                }
            });
        }
    }
}

impl Running {
    fn see(&mut self, now_ns: u64) {
        let Running { presence, is_telling, ids, seen, events, .. } = self;
        let mut begin = 0;
        for (end, what) in seen.drain(..) {
            let client = &ids[begin..end];
            match *is_telling {
                true => presence.see(now_ns, client, what, |event| note(events, event)),
                false => presence.note(now_ns, client, what),
            }
            begin = end;
        }
        ids.clear();
    }

    /// Goes on with the scan. After the scan, and once the server has what its neighbors hold, events are told.
    fn go_on(&mut self, now_ns: u64, replica: &Replica, has_neighbors: bool) {
        for _ in 0..SCAN_BITES {
            let Some((shard, slot)) = self.scan else { break };
            let next = replica.visit_held(shard, slot, SCAN_BITE, |held| {
                let seen = Seen::of(&held.record, self.client_ttl_ns);
                if let Some(seen) = seen.filter(|_| held.record.kind == Kind::CLIENT) {
                    self.presence.note(now_ns, held.record.key, seen);
                }
            });
            self.scan = match next {
                Some(slot) => Some((shard, slot)),
                None => (shard + 1 < SHARDS).then_some((shard + 1, 0)),
            };
        }
        let is_behind =
            has_neighbors && !replica.is_caught_up() && now_ns.saturating_sub(self.began_ns) < BEHIND_MAX_NS;
        self.is_telling |= self.scan.is_none() && !is_behind;
    }

    fn pass(&mut self, now_ns: u64) {
        let Running { presence, is_telling, events, .. } = self;
        presence.pass(now_ns, PASS_MAX, |event| {
            if *is_telling {
                note(events, event);
            }
        });
    }
}

fn note(events: &mut Vec<(PresenceKind, u128, Box<[u8]>)>, event: PresenceEvent<'_>) {
    events.push((event.kind, event.event_id, event.client.into()));
}
