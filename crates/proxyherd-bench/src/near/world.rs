//! Where the clients are: spread evenly, or in cities. The same seed makes the same world.

use proxyherd_core::types::Coordinates;

/// Redis knows no latitudes nearer to a pole.
const LATITUDE_MAX: f64 = 85.0;
const CITIES: usize = 1000;
/// The greatest distance of a client from the middle of its city, degrees of latitude.
const CITY_RADIUS: f64 = 0.3;

/// A position, degrees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub(super) latitude: f64,
    pub(super) longitude: f64,
}

impl Position {
    /// The position as a report has it.
    pub(super) fn coordinates(self) -> Coordinates {
        let text = format!("{:+.6}{:+.6}", self.latitude, self.longitude);
        Coordinates::parse(text.as_bytes()).expect("the world is within the ranges of latitude and longitude")
    }

    /// A position up to about a hundred meters away.
    pub(super) fn step(self, dice: &mut Dice) -> Position {
        let near = |degrees: f64, roll: f64, most: f64| (degrees + (roll - 0.5) * 0.002).clamp(-most, most);
        Position {
            latitude: near(self.latitude, dice.roll(), LATITUDE_MAX),
            longitude: near(self.longitude, dice.roll(), 180.0),
        }
    }
}

/// Numbers that look random.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number from 0 to less than 1.
    pub(super) fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One of the numbers below `count`.
    pub(super) fn below(&mut self, count: u32) -> u32 {
        (self.roll() * f64::from(count)) as u32
    }
}

/// The places where clients are.
pub(super) struct World {
    /// The middles of cities. Empty: clients are anywhere.
    cities: Vec<Position>,
}

impl World {
    /// A world in which clients are evenly spread.
    pub(super) fn even() -> World {
        World { cities: Vec::new() }
    }

    /// A world of cities, a few of which have most clients.
    pub(super) fn of_cities() -> World {
        let mut dice = Dice(11);
        World { cities: (0..CITIES).map(|_| World::even().place(&mut dice)).collect() }
    }

    /// A place where a client may be.
    pub(super) fn place(&self, dice: &mut Dice) -> Position {
        if self.cities.is_empty() {
            let latitude = (dice.roll() * 2.0 - 1.0) * LATITUDE_MAX;
            return Position { latitude, longitude: dice.roll() * 360.0 - 180.0 };
        }
        let city = dice.roll() * dice.roll() * dice.roll() * CITIES as f64;
        let middle = self.cities[city as usize];
        let (turn, far) = (dice.roll() * std::f64::consts::TAU, dice.roll() * dice.roll() * CITY_RADIUS);
        Position {
            latitude: (middle.latitude + turn.sin() * far).clamp(-LATITUDE_MAX, LATITUDE_MAX),
            longitude: (middle.longitude + turn.cos() * far).clamp(-180.0, 180.0),
        }
    }
}
