//! Moves the demo's clients: each client goes from one point of the city to the next at its own speed.

/// The length of a degree of latitude, meters.
const METERS_PER_DEGREE: f64 = 111_195.0;
/// The center of the area: the University of California, Los Angeles.
pub(super) const CENTER: (f64, f64) = (34.068930, -118.445127);
/// Maximum distance of a few clients from the center to each side, meters.
const REACH_M: f64 = 9_000.0;
/// Number of clients from which on they are in a larger area, so that there are never more of them in a square.
const CLIENTS_IN_REACH: f64 = 1_000.0;

/// The greatest distance of this number of clients from the center to each side, meters.
pub(super) fn reach_m(clients: usize) -> f64 {
    REACH_M * (clients as f64 / CLIENTS_IN_REACH).sqrt().max(1.0)
}

/// A source of random numbers in 0..1.
type Chance<'a> = &'a mut dyn FnMut() -> f64;

/// A moving client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walker {
    /// Meters north and east of the center.
    at: (f64, f64),
    toward: (f64, f64),
    /// Meters a second.
    speed: f64,
    /// Maximum distance from the center to each side, meters.
    reach: f64,
}

impl Walker {
    /// A client on foot at a random point.
    pub(super) fn on_foot(reach: f64, chance: Chance<'_>) -> Walker {
        let speed = 1.1 + 0.5 * chance();
        Walker::at_speed(speed, reach, chance)
    }

    /// A driving client at a random point.
    pub(super) fn driving(reach: f64, chance: Chance<'_>) -> Walker {
        let speed = 7.0 + 8.0 * chance();
        Walker::at_speed(speed, reach, chance)
    }

    fn at_speed(speed: f64, reach: f64, chance: Chance<'_>) -> Walker {
        Walker { at: somewhere(reach, chance), toward: somewhere(reach, chance), speed, reach }
    }

    /// The same client, moved to the center.
    pub(super) fn starting_at_center(self) -> Walker {
        Walker { at: (0.0, 0.0), ..self }
    }

    /// Moves on for a number of seconds. A client that arrives chooses its next point.
    pub(super) fn step(&mut self, seconds: f64, chance: Chance<'_>) {
        let (north, east) = (self.toward.0 - self.at.0, self.toward.1 - self.at.1);
        let (left, step) = (north.hypot(east), self.speed * seconds);
        if step >= left {
            self.at = self.toward;
            self.toward = somewhere(self.reach, chance);
        } else {
            self.at = (self.at.0 + north / left * step, self.at.1 + east / left * step);
        }
    }

    /// Degrees north and east.
    pub(super) fn position(&self) -> (f64, f64) {
        let latitude = CENTER.0 + self.at.0 / METERS_PER_DEGREE;
        (latitude, CENTER.1 + self.at.1 / (METERS_PER_DEGREE * CENTER.0.to_radians().cos()))
    }

    /// The coordinates in the form of IAMAT.
    pub(super) fn coordinates(&self) -> String {
        let (latitude, longitude) = self.position();
        format!("{latitude:+.6}{longitude:+.6}")
    }

    /// Meters a second.
    pub(super) fn speed(&self) -> f64 {
        self.speed
    }

    /// The direction in which the client goes, degrees clockwise from north, from 0 to below 360.
    pub(super) fn heading(&self) -> f64 {
        let (north, east) = (self.toward.0 - self.at.0, self.toward.1 - self.at.1);
        east.atan2(north).to_degrees().rem_euclid(360.0)
    }
}

/// The distances north and east from `from` to `to`, meters, for points near each other.
pub(super) fn meters(from: (f64, f64), to: (f64, f64)) -> (f64, f64) {
    let east = METERS_PER_DEGREE * from.0.to_radians().cos();
    ((to.0 - from.0) * METERS_PER_DEGREE, (to.1 - from.1) * east)
}

fn somewhere(reach: f64, chance: Chance<'_>) -> (f64, f64) {
    let mut meters = || (2.0 * chance() - 1.0) * reach;
    (meters(), meters())
}

#[cfg(test)]
mod tests {
    use proxyherd_core::types::Coordinates;

    use super::*;

    #[test]
    fn walkers_move_at_their_pace_and_stay_around() {
        let mut state = 1u64;
        let mut chance = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as f64 / (1u64 << 31) as f64
        };
        for mut walker in [
            Walker::on_foot(REACH_M, &mut chance).starting_at_center(),
            Walker::driving(REACH_M, &mut chance),
        ] {
            for _ in 0..10_000 {
                let before = walker.at;
                walker.step(1.0, &mut chance);
                let gone = (walker.at.0 - before.0).hypot(walker.at.1 - before.1);
                assert!(gone <= walker.speed + 1e-9);
                assert!(walker.at.0.abs() <= REACH_M && walker.at.1.abs() <= REACH_M);
                assert!(Coordinates::parse(walker.coordinates().as_bytes()).is_some());
            }
        }
    }
    #[test]
    fn a_heading_is_where_the_next_step_leads() {
        for (toward, expected) in [
            ((5.0, 0.0), 0.0),
            ((0.0, 5.0), 90.0),
            ((-5.0, 0.0), 180.0),
            ((0.0, -5.0), 270.0),
            ((1.0, -1.0), 315.0),
        ] {
            let walker = Walker { at: (0.0, 0.0), toward, speed: 1.0, reach: 10.0 };
            assert!((walker.heading() - expected).abs() < 1e-9, "{toward:?} {}", walker.heading());
        }
    }

    #[test]
    fn many_clients_have_a_larger_area() {
        assert_eq!(reach_m(36), REACH_M);
        assert!((reach_m(100_000) / REACH_M - 10.0).abs() < 1e-9);
    }
}
