//! Lower bounds of the separations between a center and the points of a rectangle. A search skips a rectangle if its
//! bound is beyond what the search wants.
//!
//! A bound is never greater than what [`Center::separation`] computes for a point of the rectangle, rounding included.
//! The polynomials below are sums of alternating series that end with a negative term, so they are below the function.
//! The constants below outweigh all rounding.

use super::distance::Center;

/// Added to each side of a rectangle, degrees: a tenth of a millimeter.
const EDGE: f64 = 1e-9;
/// Taken from each haversine, as a share.
const SHARE: f64 = 1.0 - 1e-9;
/// Taken from each cosine. The cosine that [`Center::separation`] computes may be this much below the true one.
const COSINE_ERROR: f64 = 1e-12;

/// The parts of a lower bound. A search that halves rectangles computes only the part that changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LowerBound {
    /// A lower bound of the haversine of the difference in latitude.
    latitudes: f64,
    /// A lower bound of the haversine of the difference in longitude.
    longitudes: f64,
    /// A lower bound of the product of the cosines of both latitudes.
    cosines: f64,
}

impl LowerBound {
    /// The bound of the whole world.
    pub(crate) const WORLD: LowerBound =
        LowerBound { latitudes: 0.0, longitudes: 0.0, cosines: -COSINE_ERROR };

    /// The bound for other latitudes, degrees.
    pub(crate) fn with_latitudes(self, center: &Center, south: f64, north: f64) -> LowerBound {
        let (south, north) = (south - EDGE, north + EDGE);
        let gap = (south - center.latitude()).max(center.latitude() - north).max(0.0);
        let least = cosine_at_least(south.abs().max(north.abs())).max(0.0) - COSINE_ERROR;
        let cosine = center.cosine();
        // At a pole the computed cosine may be below 0, and then the product is least where the other is greatest.
        let cosines = if cosine >= 0.0 { cosine * least } else { cosine };
        LowerBound { latitudes: haversine_at_least(gap), cosines, ..self }
    }

    /// The bound for other longitudes, degrees.
    pub(crate) fn with_longitudes(self, center: &Center, west: f64, east: f64) -> LowerBound {
        let (west, east) = (west - EDGE, east + EDGE);
        let longitude = center.longitude();
        // A center that is not between the edges is west of the western edge, also by the way around the Earth, and
        // east of the eastern edge.
        let gap = if longitude < west {
            (west - longitude).min(longitude + 360.0 - east)
        } else if longitude > east {
            (longitude - east).min(west + 360.0 - longitude)
        } else {
            0.0
        };
        LowerBound { longitudes: haversine_at_least(gap.max(0.0)), ..self }
    }

    /// Whether a search should first look in this rectangle and then in the other one. The bounds of rectangles that
    /// reach a pole are often equal, and then the longitudes decide.
    pub(crate) fn is_nearer_than(&self, other: &LowerBound) -> bool {
        (self.haversine(), self.longitudes) <= (other.haversine(), other.longitudes)
    }

    /// The haversine that no point of the rectangle is below.
    pub(crate) fn haversine(self) -> f64 {
        let over = if self.cosines >= 0.0 { self.cosines * self.longitudes } else { self.cosines };
        self.latitudes + over
    }
}

/// A lower bound of the haversine of an angle from 0 to 180 degrees.
fn haversine_at_least(degrees: f64) -> f64 {
    let x = degrees * (std::f64::consts::PI / 360.0);
    let square = x * x;
    let sine = x * (1.0 - square * (1.0 / 6.0 - square * (1.0 / 120.0 - square * (1.0 / 5040.0))));
    sine * sine * SHARE
}

/// A lower bound of the cosine of an angle from 0 to 90 degrees.
fn cosine_at_least(degrees: f64) -> f64 {
    const REST: [f64; 5] = [-1.0 / 3_628_800.0, 1.0 / 40_320.0, -1.0 / 720.0, 1.0 / 24.0, -0.5];
    let x = degrees.to_radians();
    let square = x * x;
    1.0 + REST.iter().fold(0.0, |sum, coefficient| (sum + coefficient) * square)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Latitudes or longitudes, the poles and the antimeridian often among them.
    fn degrees(most: f64) -> impl Strategy<Value = f64> {
        prop_oneof![
            3 => -most..=most,
            1 => prop::sample::select(vec![-most, most, 0.0, most - 1e-10, 1e-7 - most]),
        ]
    }

    proptest! {
        #[test]
        fn no_point_of_a_rectangle_is_nearer_than_the_bound(
            center in (degrees(90.0), degrees(180.0)),
            point in (degrees(90.0), degrees(180.0)),
            exponents in prop::array::uniform4(-12i32..=2),
            shares in prop::array::uniform4(0f64..=1.0),
        ) {
            let side = |index: usize| shares[index] * 10f64.powi(exponents[index]);
            let (south, north) = ((point.0 - side(0)).max(-90.0), (point.0 + side(1)).min(90.0));
            let (west, east) = ((point.1 - side(2)).max(-180.0), (point.1 + side(3)).min(180.0));
            let from = Center::new(center.0, center.1);
            let bound = LowerBound::WORLD.with_latitudes(&from, south, north).with_longitudes(&from, west, east);
            let separation = from.separation(point.0, point.1);
            prop_assert!(
                bound.haversine() <= separation.haversine(),
                "{} {}", bound.haversine(), separation.haversine()
            );
        }
    }

    #[test]
    fn the_bound_is_close_where_clients_are_dense() {
        let from = Center::new(48.0, 11.0);
        let bound = LowerBound::WORLD
            .with_latitudes(&from, 48.00009, 48.00010)
            .with_longitudes(&from, 11.00009, 11.00010);
        let nearest = from.separation(48.00009, 11.00009);
        assert!(bound.haversine() > 0.999 * nearest.haversine(), "{bound:?} {nearest:?}");
    }
}
