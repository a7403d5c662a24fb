//! The city in which clients walk: meeting points, and about as many places as the center of a real city has.
//!
//! The city is also the provider of places. It answers from memory after a delay in virtual time and counts the
//! requests. The facade treats it as a provider that is asked over the network.

use std::cmp::Ordering;
use std::f64::consts::TAU;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use proxyherd_core::limits::PLACES_MAX;
use proxyherd_core::places::{
    Answer, Center, EARTH_RADIUS_M, Geometry, Place, Point, Query, Separation, Viewport,
};
use proxyherd_places::provider::{Pending, Provider};
use tokio::time::sleep;

/// The middle of Munich, degrees north and east.
const MIDDLE: (f64, f64) = (48.137_4, 11.575_5);
/// Radius of the city, meters.
const REACH_M: f64 = 2000.0;
const MEETING_POINTS: usize = 200;
const PLACES: u32 = 2400;
/// The provider's delay.
const DELAY: Duration = Duration::from_millis(150);

pub(super) fn notes() -> String {
    format!(
        "The city: {MEETING_POINTS} meeting points and {PLACES} places within {} km; clients choose points by Zipf's law. They walk at 1\n\
         to 1.8 m/s, and stay within 30 m of each point for 5 to 25 minutes. The provider takes {} ms, and counts the\n\
         requests itself.",
        REACH_M / 1000.0,
        DELAY.as_millis(),
    )
}

/// A position: meters east and north of the middle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spot {
    pub(super) east: f64,
    pub(super) north: f64,
}

/// The order of places in an answer.
#[derive(Clone, Copy)]
pub(super) enum Order {
    Importance,
    Distance,
}

pub(super) struct City {
    pub(super) meeting_points: Vec<Spot>,
    /// The positions of places, the most important place first.
    places: Vec<Point>,
    requests: AtomicU64,
}

impl City {
    pub(super) fn new(seed: u64) -> City {
        let mut random = Random(seed);
        let meeting_points: Vec<Spot> = (0..MEETING_POINTS).map(|_| anywhere(&mut random)).collect();
        let places = (0..PLACES).map(|_| anywhere(&mut random).point()).collect();
        City { meeting_points, places, requests: AtomicU64::new(0) }
    }

    pub(super) fn query(&self, at: Spot, radius_m: u32) -> Query {
        Query::within(at.point(), radius_m.into()).expect("the arguments were checked")
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// The numbers of the first `most` places within the circle.
    pub(super) fn find(&self, query: &Query, order: Order, most: usize) -> Vec<usize> {
        let center = Center::new(query.latitude, query.longitude);
        let reach = Separation::of_meters(query.radius_m);
        let separations = self.places.iter().map(|at| center.separation(at.latitude(), at.longitude()));
        let mut found: Vec<_> = separations.enumerate().filter(|(_, apart)| *apart <= reach).collect();
        found.sort_by(|one, other| match order {
            Order::Importance => Ordering::Equal,
            Order::Distance => one.1.cmp(&other.1),
        });
        found.into_iter().take(most).map(|(number, _)| number).collect()
    }
}

impl Provider for City {
    fn name(&self) -> &'static str {
        "city"
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn nearby<'a>(&'a self, query: &'a Query) -> Pending<'a> {
        self.requests.fetch_add(1, Relaxed);
        Box::pin(async {
            sleep(DELAY).await;
            let found = self.find(query, Order::Importance, PLACES_MAX.into());
            Ok(Answer::found(found.into_iter().map(|number| self.place(number)).collect(), vec![]))
        })
    }
}

impl City {
    fn place(&self, number: usize) -> Place {
        let location = self.places[number];
        let geometry = Geometry { location, viewport: Viewport::around(location, 0.001) };
        Place::new(format!("id of place {number}"), format!("Place {number}"), geometry)
    }
}

impl Spot {
    fn point(self) -> Point {
        let meters_per_degree = EARTH_RADIUS_M.to_radians();
        let latitude = MIDDLE.0 + self.north / meters_per_degree;
        let longitude = MIDDLE.1 + self.east / meters_per_degree / MIDDLE.0.to_radians().cos();
        Point::new(latitude, longitude).expect("Munich is on Earth")
    }
}

/// A random position in the city, uniformly distributed.
fn anywhere(random: &mut Random) -> Spot {
    random.around(Spot { east: 0.0, north: 0.0 }, REACH_M)
}

/// Random numbers, the same on every machine: SplitMix64 (Steele, Lea and Flood, 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A random number from `low` up to `high`, uniformly distributed.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * ((self.bits() >> 11) as f64 / (1_u64 << 53) as f64)
    }

    /// A random position in a circle, uniformly distributed.
    pub(super) fn around(&mut self, middle: Spot, radius_m: f64) -> Spot {
        let (meters, angle) = (radius_m * self.between(0.0, 1.0).sqrt(), self.between(0.0, TAU));
        Spot { east: middle.east + meters * angle.cos(), north: middle.north + meters * angle.sin() }
    }
}
