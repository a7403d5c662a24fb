//! Clients ask, and servers answer.

use proxyherd_core::{flood::Offered, map::shard_index};

use super::{EPOCH_NS, Event, Server, World};
use crate::clients::Request;

impl World {
    pub(super) fn ask(&mut self) {
        if self.is_peace() {
            return;
        }
        for request in self.clients.ask(EPOCH_NS + self.now) {
            self.serve(&request);
        }
        let at = self.now + self.clients.interval();
        self.timeline.put(at, Event::Ask);
    }

    fn serve(&mut self, request: &Request) {
        let server = request.server;
        let (now, clock_ns, client) = (self.now, self.clock_ns(server), request.client());
        let Server { life: Some(life), lives, paused_until } = &self.servers[server] else { return };
        if *paused_until > now {
            return;
        }
        let (is_news, wake) = match request.report() {
            Some(report) => {
                self.tally.reports += 1;
                let (offered, wake) = life.map.report(clock_ns, &report);
                (matches!(offered, Offered::Inserted | Offered::Updated), wake)
            }
            None => {
                let (was_known, wake) = life.map.forget(clock_ns, client);
                self.tally.forgotten += u64::from(was_known);
                (was_known, wake)
            }
        };
        self.trace.note(u64::from(is_news));
        if is_news {
            self.tally.accepted += 1;
            self.checker.took(now, clock_ns, &life.map, client);
            let shard = 1 << shard_index(client.as_bytes());
            self.checker.vectors(now, (server, *lives), clock_ns, &life.map, shard);
        }
        self.with(server, |life, out| life.wake(wake, out));
    }
}
