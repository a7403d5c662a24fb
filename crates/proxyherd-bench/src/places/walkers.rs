//! Clients who walk from one meeting point of the city to another, and stay at each meeting point for a while. The same
//! seed makes the same walks.

use std::time::Duration;

use super::city::{City, Random, Spot};

/// Radius around a meeting point within which walkers stay, meters.
const STAY_RADIUS_M: f64 = 30.0;

pub(super) struct Walkers {
    random: Random,
    meeting_points: Vec<Spot>,
    /// For each meeting point, the share of walkers who go to this point or to an earlier point in the list. By Zipf's
    /// law, the n-th point's share is proportional to 1/n.
    shares: Vec<f64>,
    walkers: Vec<Walker>,
}

struct Walker {
    at: Spot,
    goal: Spot,
    meters_per_s: f64,
    /// The time until which the walker stays at its present position.
    stays_until: Duration,
    moved: Duration,
}

impl Walkers {
    pub(super) fn new(city: &City, count: u32, seed: u64) -> Walkers {
        let weights = (1..=city.meeting_points.len()).map(|rank| 1.0 / rank as f64);
        let total: f64 = weights.clone().sum();
        let shares = weights.scan(0.0, |sum, weight| {
            *sum += weight / total;
            Some(*sum)
        });
        let mut walkers = Walkers {
            random: Random(seed.wrapping_add(1)),
            shares: shares.collect(),
            meeting_points: city.meeting_points.clone(),
            walkers: Vec::new(),
        };
        walkers.walkers = (0..count).map(|_| walkers.new_walker()).collect();
        walkers
    }

    /// The position of a walker at the time `now`. The time must not decrease from call to call.
    pub(super) fn walk(&mut self, number: usize, now: Duration) -> Spot {
        let walker = &mut self.walkers[number];
        let mut meters =
            walker.meters_per_s * (now - walker.moved.max(walker.stays_until).min(now)).as_secs_f64();
        walker.moved = now;
        if now < walker.stays_until {
            return self.random.around(walker.at, STAY_RADIUS_M);
        }
        let (east, north) = (walker.goal.east - walker.at.east, walker.goal.north - walker.at.north);
        let left = east.hypot(north);
        if meters < left {
            meters /= left;
            walker.at =
                Spot { east: walker.at.east + east * meters, north: walker.at.north + north * meters };
            return walker.at;
        }
        self.arrive(number, now)
    }

    /// Makes a walker stay at its goal for a while, and chooses the walker's next goal.
    fn arrive(&mut self, number: usize, now: Duration) -> Spot {
        let stays = Duration::from_secs_f64(self.random.between(300.0, 1500.0));
        let goal = self.meeting_point();
        let walker = &mut self.walkers[number];
        walker.at = walker.goal;
        walker.stays_until = now + stays;
        walker.goal = goal;
        let at = walker.at;
        self.random.around(at, STAY_RADIUS_M)
    }

    /// A walker on the way between two meeting points.
    fn new_walker(&mut self) -> Walker {
        let (from, goal) = (self.meeting_point(), self.meeting_point());
        let share = self.random.between(0.0, 1.0);
        Walker {
            at: Spot {
                east: from.east + (goal.east - from.east) * share,
                north: from.north + (goal.north - from.north) * share,
            },
            goal,
            meters_per_s: self.random.between(1.0, 1.8),
            stays_until: Duration::ZERO,
            moved: Duration::ZERO,
        }
    }

    fn meeting_point(&mut self) -> Spot {
        let drawn = self.random.between(0.0, 1.0);
        let rank = self.shares.partition_point(|&share| share < drawn);
        self.meeting_points[rank.min(self.meeting_points.len() - 1)]
    }
}
