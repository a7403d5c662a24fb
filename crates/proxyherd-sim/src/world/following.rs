//! Followers at each server: they come and go, take their changes fast or slowly, and are checked.

use proxyherd_core::flood::{Begin, Following};

use super::{Event, Server, World};
use crate::{
    follower::{Counts, Follower},
    outcome::Symptom,
    server::Life,
    timeline::{MILLISECOND, Nanos},
};

/// The interval between two turns of followers.
const INTERVAL: Nanos = 250 * MILLISECOND;
/// The number of entries that the fast follower takes in a turn.
const SWIFT_MOST: usize = 500;
/// Maximum number of entries that the slow follower takes in a turn, if it takes any.
const SLOW_MOST: u64 = 8;

impl World {
    /// Gives each server's followers a turn.
    pub(super) fn follow(&mut self) {
        for server in 0..self.servers.len() {
            let clock_ns = self.clock_ns(server);
            let Server { life: Some(life), paused_until, .. } = &mut self.servers[server] else { continue };
            if *paused_until > self.now {
                continue;
            }
            let rng = &mut self.followers_rng;
            let mut turn = Ok(());
            let [swift, slow] = &mut life.followers;
            for (seat, is_slow) in [(swift, false), (slow, true)] {
                if seat.is_none() && rng.chance(100) {
                    let begins = if rng.chance(500) { Begin::WithAllHeld } else { Begin::Now };
                    let following = Following { begins, wants_removed: !is_slow || rng.chance(500) };
                    *seat = Follower::new(&life.replica, following);
                } else if let Some(follower) = seat.take_if(|_| rng.chance(5)) {
                    follower.leave(&life.replica);
                }
                let Some(follower) = seat else { continue };
                let most = match is_slow {
                    true if rng.chance(900) => continue,
                    true => rng.between(1, SLOW_MOST + 1) as usize,
                    false => SWIFT_MOST,
                };
                let is_all = follower.drain(&life.replica, most);
                // Comparing all records each time would take most of a run.
                let is_looked_at = is_all == Ok(true) && rng.chance(50);
                turn = turn.and(is_all.map(|_| ()));
                if is_looked_at {
                    turn = turn.and_then(|()| follower.compare(&life.replica, clock_ns));
                }
            }
            self.note_turn(server, turn);
        }
        self.timeline.put(self.now + INTERVAL, Event::Follow);
    }

    /// Called when the herd is quiescent: no faults, and nothing on its way. Followers take everything that waits for
    /// them, and must then hold the records that their replicas hold.
    pub(super) fn look_at_followers(&mut self) {
        for server in 0..self.servers.len() {
            let clock_ns = self.clock_ns(server);
            let Server { life: Some(Life { replica, followers, .. }), .. } = &mut self.servers[server] else {
                continue;
            };
            let catch_up = |follower: &mut Follower| {
                while !follower.drain(replica, SWIFT_MOST)? {}
                follower.compare(replica, clock_ns)
            };
            let caught_up = followers.iter_mut().flatten().try_for_each(catch_up);
            self.note_turn(server, caught_up);
        }
    }

    fn note_turn(&mut self, server: usize, turn: Result<(), String>) {
        if let Some(life) = &mut self.servers[server].life {
            for follower in life.followers.iter_mut().flatten() {
                let Counts { records, removed, replies } = follower.take_counts();
                self.tally.told += records;
                self.tally.told_removed += removed;
                self.tally.replies += replies;
            }
        }
        if let Err(text) = turn {
            self.checker.found(self.now, Symptom::Follower, format!("a follower of server {server}: {text}"));
        }
    }
}
