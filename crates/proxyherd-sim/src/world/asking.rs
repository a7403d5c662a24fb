//! Clients' requests, and the servers' answers.

use proxyherd_core::{
    command::Positions,
    limits::BATCH_LEN_MAX,
    replica::{Offer, shard_index},
    types::{ClientId, Kind},
};

use super::{Event, Server, World};
use crate::{clients::Request, ledger::Taken, scenario::Durability, server::Life};

impl World {
    pub(super) fn ask(&mut self) {
        if self.is_peace() {
            return;
        }
        self.ask_about_tokens();
        let requests = self.clients.ask(self.now_ns());
        for server in 0..self.servers.len() {
            let here: Vec<_> = requests.iter().filter(|request| request.server == server).collect();
            // If a client asks twice, it gets its answers one after the other.
            let batches = here.chunk_by(|one, next| one.client() != next.client());
            for batch in batches.flat_map(|batch| batch.chunks(BATCH_LEN_MAX)) {
                self.serve(server, batch);
            }
        }
        let at = self.now + self.clients.interval();
        self.timeline.put(at, Event::Ask);
    }

    /// Whether this server gets no requests.
    fn has_no_clients(&self, server: usize) -> bool {
        self.scenario.bad.as_ref().is_some_and(|bad| bad.skewed == Some(server))
    }

    /// Makes a server answer a batch in which each client asks once. A server that is down or paused does not answer.
    fn serve(&mut self, server: usize, batch: &[&Request]) {
        if self.is_bad(server) || self.has_no_clients(server) {
            return;
        }
        let (now, clock_ns, is_judged) = (self.now, self.clock_ns(server), self.is_judged(server));
        let Server { life: Some(life), lives, paused_until, .. } = &mut self.servers[server] else { return };
        if *paused_until > now {
            return;
        }
        let mut offers: Vec<_> =
            batch.iter().filter_map(|request| request.report()).map(Offer::new).collect();
        let mut wake = life.replica.report_all(clock_ns, &mut offers);
        let is_news = |offer: &&Offer<'_>| offer.outcome.is_taken();
        let mut news: Vec<_> = offers.iter().filter(is_news).map(|offer| offer.report.client).collect();
        let mut held_back = Vec::new();
        for offer in &offers {
            life.followers.iter_mut().flatten().for_each(|follower| follower.hold(offer));
            self.checker.answered(now, clock_ns, &life.replica, offer);
            let mut needed = Positions::default();
            needed.note_offer(offer);
            held_back.push((needed, offer.report.client));
        }
        self.tally.reports += offers.len() as u64;
        for request in batch.iter().filter(|request| request.is_to_read()) {
            self.tally.reads += 1;
            if !is_judged {
                continue;
            }
            self.checker.read(now, (server, *lives), clock_ns, &life.replica, request.client());
        }
        for request in batch.iter().filter(|request| request.is_to_forget()) {
            let (was_known, woken) = life.replica.forget(clock_ns, request.client());
            wake = wake.and(woken);
            let needed = life.replica.positions_of(request.client().as_bytes());
            held_back.push((needed, request.client()));
            if was_known {
                self.tally.forgotten += 1;
                news.push(request.client());
            }
        }
        let mut shards = 0;
        if self.scenario.durability != Durability::default() {
            // A server issues records of its earlier lives again before it acknowledges them.
            let asked = batch.iter().map(|request| request.client());
            let shards = asked.fold(0, |shards, client| shards | 1 << shard_index(client.as_bytes()));
            self.checker.said_by_itself(now, server, &life.replica, shards);
        }
        for client in news {
            self.trace.note_bytes(client.as_bytes());
            self.story.tell(now, || format!("server {server} takes {client:?}"));
            self.tally.accepted += 1;
            self.checker.took(now, clock_ns, &life.replica, client);
            shards |= 1 << shard_index(client.as_bytes());
        }
        if is_judged {
            self.checker.vectors(now, (server, *lives), clock_ns, &life.replica, shards);
        }
        let promised = held_back.into_iter().filter(|(needed, _)| !needed.is_empty());
        let held = |client: ClientId<'_>| self.held_by(server, Kind::CLIENT, client.as_bytes());
        let promised: Vec<_> =
            promised.filter_map(|(needed, client)| Some((needed, held(client)?))).collect();
        self.with(server, |life: &mut Life, out| life.wake(wake, out));
        for (needed, record) in promised {
            self.hold_back(server, needed, record);
        }
    }

    /// The record of a key that a server holds, even if it is no longer shown, and whether the server's present life
    /// has issued it.
    pub(super) fn held_by(&self, server: usize, kind: Kind, key: &[u8]) -> Option<(Taken, bool)> {
        let replica = &self.servers[server].life.as_ref()?.replica;
        let me = replica.origin();
        replica.find(0, kind, key, |held| (Taken::from(held), *held.origin == me))
    }
}
