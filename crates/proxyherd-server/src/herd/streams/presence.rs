//! Presence at a server: it runs while a stream wants its events.
//!
//! Presence begins with a scan of all records, in bites, between which streams are served. During the scan nothing is
//! told. Presence begins once more if the follower has lost changes: it may know clients that are gone by now, whose
//! removals were lost, and would keep them for ever. What has come and gone in between is told to nobody, and the
//! readers learn that they must begin anew.
//!
//! A server that has links also tells nothing until a neighbor has sent everything that the neighbor holds,
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
use crate::herd::Links;

/// Number of slots that one bite of the scan visits under a shard's lock, and number of bites in a turn of the thread.
const SCAN_BITE: usize = 1024;
const SCAN_BITES: usize = 16;
/// Number of timers that are handled, and of events that are offered, before others get the processor or the lock.
const PASS_MAX: usize = 1024;
const OFFER_MAX: usize = 64;
/// Time after which presence tells events even if no neighbor has sent everything.
const BEHIND_MAX_NS: u64 = 10_000_000_000;

/// What presence needs to know of the configuration.
#[derive(Clone, Debug)]
pub(in crate::herd) struct PresenceRules {
    /// The time after its last report at which a client is silent. `None`: no client is silent.
    pub(in crate::herd) silent_ns: Option<u64>,
    /// The time after which the herd forgets a client.
    pub(in crate::herd) client_ttl_ns: Option<u64>,
    /// The links to neighbors, whose records the server needs first. The topology adds and removes links.
    pub(in crate::herd) links: Arc<Links>,
}

/// Presence at a server.
pub(super) struct ServerPresence {
    rules: PresenceRules,
    running: Option<Running>,
    /// Whether presence must begin once more, because changes were lost.
    is_void: bool,
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
        ServerPresence { rules, running: None, is_void: false }
    }

    /// Whether the scan is not over, or events wait that are due.
    pub(super) fn is_busy(&self) -> bool {
        self.running.as_ref().is_some_and(|running| {
            let is_due = || running.presence.due_ns().is_some_and(|due_ns| due_ns <= clock::now_ns());
            running.scan.is_some() || is_due()
        })
    }

    /// Starts or stops presence, if the streams' wish has changed, and begins once more if changes were lost.
    pub(super) fn start_or_stop(&mut self, now_ns: u64, state: &mut StreamsState) {
        match (state.streams.wants_presence(), &self.running) {
            (true, None) => {
                state.streams.interest().add_everything();
                self.begin(now_ns);
            }
            (true, Some(_)) if self.is_void => self.begin(now_ns),
            (false, Some(_)) => self.stop(state),
            _ => {}
        }
        state.presence_clients = self.running.as_ref().map_or(0, |running| running.presence.len());
    }

    fn begin(&mut self, now_ns: u64) {
        self.is_void = false;
        let settings =
            PresenceSettings { silent_ns: self.rules.silent_ns, began_ns: now_ns, seed: clock::random() };
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

    pub(super) fn stop(&mut self, state: &mut StreamsState) {
        (self.is_void, state.presence_clients) = (false, 0);
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
            FollowerEvent::Hidden(held) => (held.record.kind, held.record.key, Some(Seen::Removed)),
            FollowerEvent::Removed { kind, key } => (*kind, *key, Some(Seen::Removed)),
            FollowerEvent::Anew { .. } => return self.is_void = true,
            FollowerEvent::Covered { .. } => return,
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
        running.go_on(now_ns, &hub.replica, &self.rules.links);
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
    fn go_on(&mut self, now_ns: u64, replica: &Replica, links: &Links) {
        for _ in 0..SCAN_BITES {
            let Some((shard, slot)) = self.scan else { break };
            let next = replica.scan_shard(shard, slot, SCAN_BITE, |held| {
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
        let is_young = now_ns.saturating_sub(self.began_ns) < BEHIND_MAX_NS;
        let is_behind = is_young && !replica.is_caught_up() && !links.all().is_empty();
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

#[cfg(test)]
mod tests {
    use proxyherd_config::config::Neighbor;
    use proxyherd_core::{
        streams::{StreamFilter, StreamKind, StreamKinds},
        types::ServerName,
    };

    use super::*;
    use crate::{
        caller::Rights,
        herd::{
            StreamRequest,
            tests::{alone, caller},
        },
    };

    const NOW_NS: u64 = 1_700_000_000_000_000_000;

    fn presence(links: Vec<Neighbor>) -> ServerPresence {
        let links = Arc::new(Links::new(links));
        ServerPresence::new(PresenceRules { silent_ns: None, client_ttl_ns: None, links })
    }

    fn tell(presence: &mut ServerPresence, hub: &Hub, now_ns: u64) {
        while presence.running.as_ref().is_some_and(|running| running.scan.is_some()) {
            presence.tell(now_ns, hub, &mut Vec::new());
        }
        presence.tell(now_ns, hub, &mut Vec::new());
    }

    fn is_telling(presence: &ServerPresence) -> bool {
        presence.running.as_ref().is_some_and(|running| running.is_telling)
    }

    #[test]
    fn a_server_waits_for_the_records_of_neighbors_that_were_added_while_it_runs() {
        let herd = alone();
        let hub = &herd.streams.hub;
        let (mut without, mut with) = (presence(vec![]), presence(vec![]));
        let name = ServerName::new("Jaquez").unwrap();
        let neighbor = Neighbor { name, address: "127.0.0.1:13000".parse().unwrap(), dial: true };
        assert!(with.rules.links.add(&neighbor).is_some());
        for presence in [&mut without, &mut with] {
            presence.begin(NOW_NS);
            tell(presence, hub, NOW_NS);
        }
        assert!(is_telling(&without) && !is_telling(&with));
        tell(&mut with, hub, NOW_NS + BEHIND_MAX_NS);
        assert!(is_telling(&with), "it does not wait for ever");
    }

    #[test]
    fn clients_whose_removals_were_lost_are_not_kept() {
        let herd = alone();
        let hub = &herd.streams.hub;
        let kinds = StreamKinds::NONE.with(StreamKind::Presence);
        let request = StreamRequest { filter: StreamFilter::default(), kinds, last_event_id: None };
        let _stream = herd.stream(&caller(Rights::ALL), clock::now_ns(), request, || ()).unwrap();
        let mut presence = presence(vec![]);
        presence.start_or_stop(NOW_NS, &mut hub.state.lock());
        tell(&mut presence, hub, NOW_NS);
        let running = presence.running.as_mut().unwrap();
        let seen = Seen::Report { received_ns: NOW_NS, shown_until_ns: u64::MAX };
        running.presence.note(NOW_NS, b"kiwi", seen);
        presence.take(&FollowerEvent::Anew { shard: 3 });
        presence.start_or_stop(NOW_NS, &mut hub.state.lock());
        tell(&mut presence, hub, NOW_NS);
        assert!(is_telling(&presence) && presence.running.as_ref().unwrap().presence.is_empty());
    }
}
