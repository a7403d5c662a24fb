//! Distances between points, computed identically on every machine.
//!
//! The module computes the haversine formula on a sphere with additions and multiplications only. IEEE 754 fixes their
//! results to the last bit, while `sin` and `asin` differ between system libraries. So two servers never disagree about
//! which of two places is nearer, or whether a place is inside a circle.

use std::cmp::Ordering;

/// The Earth's mean radius, meters: R₁ of the International Union of Geodesy and Geophysics.
pub const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// A point from which distances are measured.
#[derive(Clone, Copy, Debug)]
pub struct Center {
    latitude: f64,
    longitude: f64,
    cosine: f64,
}

impl Center {
    /// Takes degrees: latitude within ±90, longitude within ±180.
    pub fn new(latitude: f64, longitude: f64) -> Center {
        Center { latitude, longitude, cosine: cosine(latitude) }
    }

    pub(super) fn latitude(&self) -> f64 {
        self.latitude
    }

    pub(super) fn longitude(&self) -> f64 {
        self.longitude
    }

    /// A number of 32 bits that differs between most centers.
    pub(crate) fn scattered(&self) -> u32 {
        let mixed = self.latitude.to_bits().rotate_left(32) ^ self.longitude.to_bits();
        (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
    }

    /// The cosine of the latitude. It is not exact, so it may be a little below 0 at a pole.
    pub(super) fn cosine(&self) -> f64 {
        self.cosine
    }

    /// The separation of another point from this center, including across the antimeridian and over a pole. Degrees as
    /// in [`Center::new`].
    pub fn separation(&self, latitude: f64, longitude: f64) -> Separation {
        let apart = (self.longitude - longitude).abs();
        let longitudes = if apart > 180.0 { 360.0 - apart } else { apart };
        let over = self.cosine * cosine(latitude) * haversine(longitudes);
        Separation(haversine(self.latitude - latitude) + over)
    }

    /// The number of degrees of longitude to each side of its center that a circle spans between two latitudes. `None`
    /// if the circle does not reach these latitudes. A search may skip places that are farther east or west. 180 means
    /// that the search may skip nothing.
    ///
    /// Use this number for skipping only. The last digits may differ between machines, but the number is always large
    /// enough, because it contains a margin of 10⁻⁶ degrees.
    pub fn half_width(&self, reach: Separation, south: f64, north: f64) -> Option<f64> {
        // The circle is widest at the latitude nearest to its center. A degree of longitude is shortest at the latitude
        // farthest north or south. In the worst case both apply at once. The factor and the summand below outweigh all
        // rounding.
        let climbed = haversine(self.latitude - self.latitude.clamp(south, north));
        let left = reach.0 * (1.0 + 1e-12) - climbed;
        if left < 0.0 {
            return None;
        }
        let shortest = cosine(south.abs().max(north.abs()).min(90.0)).max(0.0);
        let share = left / (self.cosine.max(0.0) * shortest);
        // A circle with radius 0 at a pole gives NaN.
        let inside = share < 1.0;
        Some(if inside { 2.0 * share.sqrt().asin().to_degrees() + 1e-6 } else { 180.0 })
    }
}

/// A distance between two points on Earth, stored as the haversine of the angle between them. The haversine grows with
/// the distance, so ranking and comparing need no arc sine.
#[derive(Clone, Copy, Debug)]
pub struct Separation(f64);

impl Separation {
    /// The separation of points that are this many meters apart: at least 0, at most half the Earth's circumference.
    pub fn of_meters(meters: f64) -> Separation {
        Separation(haversine((meters / EARTH_RADIUS_M).to_degrees()))
    }

    /// The haversine, for comparison with bounds of it.
    pub(crate) fn haversine(self) -> f64 {
        self.0
    }

    /// The distance in meters, for people to read. The last digits may differ between machines.
    pub fn meters(self) -> f64 {
        2.0 * EARTH_RADIUS_M * self.0.clamp(0.0, 1.0).sqrt().asin()
    }
}

impl Ord for Separation {
    fn cmp(&self, other: &Separation) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Separation {
    fn partial_cmp(&self, other: &Separation) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Separation {
    fn eq(&self, other: &Separation) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Separation {}

/// The cosine of an angle within ±180 degrees.
pub(super) fn cosine(degrees: f64) -> f64 {
    1.0 - 2.0 * haversine(degrees)
}

/// The haversine, sin²(x/2), of an angle within ±180 degrees.
fn haversine(degrees: f64) -> f64 {
    let sine = sine(degrees * (std::f64::consts::PI / 360.0));
    sine * sine
}

/// The sine of an angle within ±π/2 radians, by its power series to x¹⁷/17!. The error is under 5·10⁻¹⁴, and under
/// 10⁻³⁰ for the small angles of a search.
fn sine(x: f64) -> f64 {
    const REST: [f64; 8] = [
        1.0 / 355_687_428_096_000.0,
        -1.0 / 1_307_674_368_000.0,
        1.0 / 6_227_020_800.0,
        -1.0 / 39_916_800.0,
        1.0 / 362_880.0,
        -1.0 / 5_040.0,
        1.0 / 120.0,
        -1.0 / 6.0,
    ];
    let square = x * x;
    let rest = REST.iter().fold(0.0, |sum, coefficient| (sum + coefficient) * square);
    x + x * rest
}

#[cfg(test)]
mod tests {
    use std::f64::consts::FRAC_PI_2;

    use proptest::prelude::*;

    use super::*;

    fn meters(from: (f64, f64), to: (f64, f64)) -> f64 {
        Center::new(from.0, from.1).separation(to.0, to.1).meters()
    }

    #[test]
    fn known_distances_come_out() {
        let degree = EARTH_RADIUS_M.to_radians();
        for (from, to, expected) in [
            ((0.0, 0.0), (0.0, 0.0), 0.0),
            ((0.0, 0.0), (1.0, 0.0), degree),
            ((0.0, 179.5), (0.0, -179.5), degree),
            ((0.0, 180.0), (0.0, -180.0), 0.0),
            ((89.5, 0.0), (89.5, 180.0), degree),
            ((-89.5, -90.0), (-89.5, 90.0), degree),
            ((90.0, 12.0), (90.0, -100.0), 0.0),
            ((90.0, 0.0), (-90.0, 0.0), 180.0 * degree),
            // From Los Angeles to Paris. The expected value comes from the angle between unit vectors.
            ((34.0522, -118.2437), (48.8566, 2.3522), 9_085_521.365),
        ] {
            let found = meters(from, to);
            assert!((found - expected).abs() < 0.001, "{from:?} {to:?} {found}");
        }
    }

    #[test]
    fn a_distance_becomes_a_separation_and_back() {
        for meters in [0.0, 1e-6, 1.0, 1000.0, 50_000.0, 10_000_000.0] {
            let back = Separation::of_meters(meters).meters();
            assert!((back - meters).abs() <= meters * 1e-12, "{meters} {back}");
        }
    }

    proptest! {
        #[test]
        fn the_series_is_the_system_sine_within_rounding(x in -FRAC_PI_2..=FRAC_PI_2) {
            prop_assert!((sine(x) - x.sin()).abs() <= 5e-14, "{} {}", sine(x), x.sin());
        }

        #[test]
        fn the_formula_agrees_with_unit_vectors(
            a in (-90f64..=90.0, -180f64..=180.0), b in (-90f64..=90.0, -180f64..=180.0),
        ) {
            let vector = |(latitude, longitude): (f64, f64)| {
                let (sin, cos) = latitude.to_radians().sin_cos();
                let (east, start) = longitude.to_radians().sin_cos();
                [cos * start, cos * east, sin]
            };
            let chord_squared: f64 = vector(a).iter().zip(vector(b)).map(|(a, b)| (a - b) * (a - b)).sum();
            let found = Center::new(a.0, a.1).separation(b.0, b.1);
            prop_assert!((found.0 - chord_squared / 4.0).abs() < 2e-13);
        }

        #[test]
        fn what_is_inside_a_circle_is_within_its_half_width(
            center in (-90f64..=90.0, -180f64..=180.0),
            (latitude, longitude) in (-1f64..=1.0, -180f64..=180.0),
            (below, above) in (0f64..=1.0, 0f64..=1.0),
            meters in 1f64..=100_000.0,
        ) {
            let from = Center::new(center.0, center.1);
            let latitude = (center.0 + latitude).clamp(-90.0, 90.0);
            let reach = Separation::of_meters(meters);
            let half_width = from.half_width(reach, latitude - below, latitude + above);
            // Points all along the parallel, and points close to the end of the circle.
            let edge = half_width.unwrap_or(0.0);
            for apart in [longitude, 0.0, edge * 0.5, edge * 0.99, edge, (edge * 1.01).min(180.0), 180.0] {
                let point = (center.1 + apart + 540.0).rem_euclid(360.0) - 180.0;
                if from.separation(latitude, point) <= reach {
                    let covered = half_width.is_some_and(|width| apart.abs() <= width);
                    prop_assert!(covered, "{apart} {half_width:?}");
                }
            }
        }
    }
}
