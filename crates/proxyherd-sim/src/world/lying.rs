//! Members that turn bad for a while, and servers that continue from an earlier moment. The ledger notes everything
//! that they send, so that the possible effects are known later.

use proxyherd_core::{
    flood::Update,
    limits::SHARDS,
    types::{Origin, ServerName},
};

use super::{Event, World};
use crate::{
    liar::{Claim, Known, Manner, Saying},
    network::ConnId,
    scenario::{CLOCK_OFFSET_MAX_NS, Scenario},
    server::Life,
    timeline::{Nanos, SECOND},
};

/// How much of the frames that a server receives is kept for repetition.
const HEARD_MAX: usize = 300;
/// A clock that has jumped by more than this may differ from another clock by more than clocks may be apart, because
/// the other clocks are off, too.
const FAR_OFF_NS: u64 = CLOCK_OFFSET_MAX_NS - 20 * SECOND;

impl World {
    /// Makes a server bad, if no other server is: the effects of two bad members could not be distinguished.
    pub(super) fn turn_bad(&mut self, server: usize, manner: Manner, until: Nanos, stays_away: bool) {
        let is_one = self.servers.iter().any(|server| server.manner.is_some());
        let Some(life) = &mut self.servers[server].life else { return };
        if is_one {
            return;
        }
        life.has_wrong_sums = manner.has_wrong_sums;
        self.tally.bad_members += 1;
        self.servers[server].manner = Some(manner);
        let life = self.servers[server].lives;
        self.timeline.put(self.now, Event::Lie(server, life));
        self.timeline.put(until, Event::Reform(server, life, stays_away));
    }

    /// Makes the bad member send something, on one of its links or on all.
    pub(super) fn lie(&mut self, server: usize, life: u64) {
        if self.servers[server].lives != life {
            return;
        }
        let Some(manner) = self.servers[server].manner.clone() else { return };
        let at = self.now + manner.interval(&mut self.rng);
        self.timeline.put(at, Event::Lie(server, life));
        let Some(life) = &self.servers[server].life else { return };
        if self.servers[server].paused_until > self.now {
            return;
        }
        let up: Vec<_> =
            life.linked().filter(|&conn| !self.network.is_full(conn, self.side(server, conn))).collect();
        if up.is_empty() {
            return;
        }
        let sayings = self.draw_lies(server, &manner);
        let some = if self.rng.chance(300) { up } else { vec![up[self.rng.index(up.len())]] };
        for conn in some {
            self.tell_lies(server, conn, &sayings);
        }
    }

    fn draw_lies(&mut self, server: usize, manner: &Manner) -> Vec<Saying> {
        let current: Vec<Origin> =
            self.servers.iter().filter_map(|server| Some(server.life.as_ref()?.replica.origin())).collect();
        let names: Vec<_> = (0..self.servers.len()).map(name).collect();
        let known = Known {
            ledger: &self.checker.ledger,
            current: &current,
            names: &names,
            now_ns: self.now_ns(),
            clients: self.scenario.clients.count,
            heard: &self.servers[server].heard,
            bandwidth: self.scenario.network.bandwidth,
        };
        known.draw(&mut self.rng, manner)
    }

    fn tell_lies(&mut self, server: usize, conn: ConnId, sayings: &[Saying]) {
        for saying in sayings {
            self.tally.lies += 1;
            self.story.tell(self.now, || format!("server {server} says {saying:?}"));
            match saying {
                Saying::Record(origin, seq, record) => {
                    let is_so =
                        self.checker.ledger.knows(Update { record: record.record(), origin, seq: *seq });
                    if !is_so {
                        self.checker.ledger.tell(origin, record);
                    }
                }
                Saying::Covered(Claim::Marker, shard, entries) => {
                    entries.iter().for_each(|(origin, _)| self.checker.ledger.tell_covered(origin, *shard));
                }
                _ => {}
            }
        }
        self.lied_on.insert(conn);
        self.with(server, |life, out| life.say(conn, sayings, out));
    }

    /// Ends the bad member. The next life of its server is honest.
    pub(super) fn reform(&mut self, server: usize, life: u64, stays_away: bool) {
        if self.servers[server].lives != life || self.servers[server].manner.is_none() {
            return;
        }
        let until = if stays_away { self.peace_at } else { self.now + self.rng.below(SECOND) };
        // A server that stays away does not come back before the herd has agreed without it.
        let until = if until >= self.peace_at { Nanos::MAX } else { until };
        let is_silent = self.rng.chance(300);
        self.crash(server, is_silent, until);
    }

    /// Makes a server continue from its state at the time `ago` earlier.
    pub(super) fn restore(&mut self, server: usize, ago: Nanos) {
        let Some(life) = &self.servers[server].life else { return };
        let me = life.replica.me().clone();
        let is_up_since = self.servers[server].started_at + ago <= self.now;
        if self.is_bad(server) || !is_up_since || self.servers[server].paused_until > self.now {
            return;
        }
        self.tally.restored += 1;
        self.crash(server, false, Nanos::MAX);
        self.start_as(server, Some(me.incarnation));
        let then_ns = self.clock_ns(server).saturating_sub(ago);
        let life = self.servers[server].life.as_ref().expect("it has just started");
        life.had_a_link();
        let origin = self.checker.ledger.origin(&me);
        let streams = origin.into_iter().flat_map(|origin| (0..SHARDS).map(move |shard| (origin, shard)));
        for (origin, shard) in streams {
            for update in self.checker.ledger.stream(origin, shard) {
                // A tombstone cannot be issued again unchanged, so the snapshot ends before it.
                let Some((update, report)) = update.as_ref().and_then(|it| Some((it, it.report()?))) else {
                    break;
                };
                if update.received_ns() > then_ns {
                    break;
                }
                let _ = life.replica.report(update.received_ns(), &report);
            }
        }
        let _ = life.replica.mend(then_ns);
        self.checker.ledger.restore(&me);
    }

    /// Keeps some of the frames that a server has received, so that the server can repeat them when it turns bad.
    pub(super) fn remember_heard(&mut self, server: usize) {
        let Some(life) = &mut self.servers[server].life else { return };
        for saying in life.take_heard() {
            let heard = &mut self.servers[server].heard;
            if heard.len() < HEARD_MAX {
                heard.push(saying);
            } else if self.rng.chance(50) {
                heard[self.rng.index(HEARD_MAX)] = saying;
            }
        }
    }

    /// Whether a server is bad now.
    pub(super) fn is_bad(&self, server: usize) -> bool {
        self.servers[server].manner.is_some()
    }

    /// Whether a server's records and answers are checked: the server is honest, and its clock is not off by more than
    /// servers accept.
    pub(super) fn is_judged(&self, server: usize) -> bool {
        !self.is_bad(server) && self.servers[server].jumped.unsigned_abs() < FAR_OFF_NS
    }

    /// Whether anything has happened that leaves servers with different records, which only the servers' checks find.
    pub(super) fn has_doubts(&self) -> bool {
        // A bad member that has not sent anything yet may have sent wrong sums.
        self.tally.bad_members + self.tally.restored + self.tally.far_jumps > 0
    }

    /// Puts a clock forward or back.
    pub(super) fn jump(&mut self, server: usize, by: i64) {
        let before = self.servers[server].jumped;
        self.servers[server].jumped += by;
        if before.unsigned_abs().max(self.servers[server].jumped.unsigned_abs()) > FAR_OFF_NS {
            self.tally.far_jumps += 1;
            // The server refuses and gives up records of all present lives, and its vectors may cover these records.
            let lives = self.servers.iter().filter_map(|server| Some(server.life.as_ref()?.replica.origin()));
            let past = self.checker.ledger.origins().cloned();
            for origin in lives.chain(past).collect::<Vec<_>>() {
                self.checker.ledger.doubt(&origin);
            }
            let life = (server, self.servers[server].lives);
            self.checker.forget_answers(life);
        }
    }

    /// Enters the records that a server has issued by itself in these shards.
    pub(super) fn note_what_was_said(&mut self, server: usize, shards: u32) {
        if let Some(Life { replica, .. }) = &self.servers[server].life {
            self.checker.said_by_itself(self.now, server, replica, shards);
        }
    }
}

/// The name of a server, in the core's type.
pub(super) fn name(server: usize) -> ServerName {
    ServerName::new(&Scenario::name(server)).expect("names of servers are plain")
}
