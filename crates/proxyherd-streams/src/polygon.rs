//! A polygon on the map, as in GeoJSON: an outer ring and holes.
//!
//! Edges are straight lines on a map whose axes are longitude and latitude. All arithmetic is exact enough to be the
//! same on every machine: only additions, multiplications and divisions of doubles. A point exactly on an edge may
//! count as inside or outside, the same at every server.
//!
//! **The antimeridian.** An edge that spans more than 180 degrees of longitude goes the short way, so it crosses the
//! antimeridian. Inside, longitudes are *unwrapped*: they continue beyond ±180 degrees instead of jumping.

use crate::limits::POLYGON_POINTS_MAX;
use proxyherd_core::command::Bounds;

/// The margin of a polygon's box, degrees.
const MARGIN: f64 = 1e-9;

/// A polygon with holes.
///
/// ```
/// use proxyherd_streams::Polygon;
/// let square = vec![(0.0, 170.0), (10.0, 170.0), (10.0, -170.0), (0.0, -170.0), (0.0, 170.0)];
/// let polygon = Polygon::new(vec![square])?;
/// assert!(polygon.contains(5.0, 179.0) && polygon.contains(5.0, -179.0) && !polygon.contains(5.0, 0.0));
/// # Ok::<(), proxyherd_streams::PolygonError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon {
    /// The rings: the outer ring first. Each ring is a range of `points`, which ends here.
    ends: Box<[u32]>,
    /// Latitudes and unwrapped longitudes of all rings. The last point of a ring is its first.
    points: Box<[(f64, f64)]>,
    south: f64,
    north: f64,
    /// The unwrapped longitudes of the western and eastern edge. The western edge is within ±180.
    west: f64,
    east: f64,
}

/// Why rings are no polygon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolygonError {
    /// There is no ring.
    #[error("a polygon needs an outer ring")]
    NoRing,
    /// A ring has fewer than four points.
    #[error("ring {ring} of the polygon has fewer than four points, the last of which repeats the first")]
    TooFewPoints {
        /// The ring, counted from 0.
        ring: usize,
    },
    /// The last point of a ring is not its first.
    #[error("ring {ring} of the polygon is not closed: its last point must repeat its first")]
    NotClosed {
        /// The ring, counted from 0.
        ring: usize,
    },
    /// A latitude or longitude is out of range.
    #[error(
        "ring {ring} of the polygon has a point whose latitude is not within ±90 or longitude not within ±180"
    )]
    OutOfRange {
        /// The ring, counted from 0.
        ring: usize,
    },
    /// A ring goes around a pole.
    #[error("ring {ring} of the polygon goes around the Earth; cut it at the antimeridian")]
    AroundThePole {
        /// The ring, counted from 0.
        ring: usize,
    },
    /// A ring is wider than the Earth.
    #[error("ring {ring} of the polygon spans more than 360 degrees of longitude")]
    TooWide {
        /// The ring, counted from 0.
        ring: usize,
    },
    /// The outer ring encloses nothing. An edge from longitude -180 to 180 has no length, because both are one
    /// meridian.
    #[error(
        "the outer ring of the polygon has no width or no height. An edge of more than 180 degrees of longitude goes the \
         short way around the Earth: put points between its ends"
    )]
    NoArea,
    /// All rings together have too many points.
    #[error("a polygon has at most {POLYGON_POINTS_MAX} points")]
    TooManyPoints,
}

impl Polygon {
    /// Takes rings of latitudes and longitudes in degrees: the outer ring, then holes. The last point of a ring repeats
    /// its first.
    pub fn new(rings: Vec<Vec<(f64, f64)>>) -> Result<Polygon, PolygonError> {
        if rings.is_empty() {
            return Err(PolygonError::NoRing);
        }
        if rings.iter().map(Vec::len).sum::<usize>() > POLYGON_POINTS_MAX {
            return Err(PolygonError::TooManyPoints);
        }
        let mut rings = rings;
        for (at, ring) in rings.iter_mut().enumerate() {
            check(at, ring)?;
            unwrap_longitudes(at, ring)?;
        }
        let outer = &rings[0];
        let range = |of: fn(&(f64, f64)) -> f64| {
            let ends = (f64::INFINITY, f64::NEG_INFINITY);
            outer.iter().map(of).fold(ends, |(least, most), one| (least.min(one), most.max(one)))
        };
        let ((south, north), (west, east)) = (range(|point| point.0), range(|point| point.1));
        if west >= east || south >= north {
            return Err(PolygonError::NoArea);
        }
        // The whole ring may lie beyond the antimeridian, as seen from its first point.
        let shift = if west < -180.0 { 360.0 } else { 0.0 };
        let (west, east) = (west + shift, east + shift);
        rings[0].iter_mut().for_each(|point| point.1 += shift);
        for hole in &mut rings[1..] {
            let first = hole.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
            let shift =
                [0.0, 360.0, -360.0].into_iter().find(|shift| (west..=east).contains(&(first + shift)));
            hole.iter_mut().for_each(|point| point.1 += shift.unwrap_or(0.0));
        }
        let ends = rings.iter().scan(0, |end, ring| {
            *end += ring.len() as u32;
            Some(*end)
        });
        Ok(Polygon { ends: ends.collect(), points: rings.concat().into(), south, north, west, east })
    }

    /// Whether a point is inside the outer ring and in no hole. Degrees as in [`Polygon::new`].
    pub fn contains(&self, latitude: f64, longitude: f64) -> bool {
        if !(self.south..=self.north).contains(&latitude) {
            return false;
        }
        let names = [longitude, longitude + 360.0, longitude - 360.0];
        names
            .into_iter()
            .any(|name| (self.west..=self.east).contains(&name) && self.is_inside(latitude, name))
    }

    /// A box that contains the polygon, with a margin that outweighs rounding.
    pub fn bounds(&self) -> Bounds {
        let (south, north) = ((self.south - MARGIN).max(-90.0), (self.north + MARGIN).min(90.0));
        let (west, east) = (self.west - MARGIN, self.east + MARGIN);
        let bounds = if east - west >= 360.0 {
            Bounds::new(south, -180.0, north, 180.0)
        } else {
            Bounds::new(south, wrapped(west), north, wrapped(east))
        };
        bounds.expect("the points of a polygon are in range")
    }

    /// The number of points of all rings.
    pub fn points(&self) -> usize {
        self.points.len()
    }

    /// Even-odd rule: a ray to the east crosses the rings an odd number of times.
    fn is_inside(&self, latitude: f64, longitude: f64) -> bool {
        let (mut is_inside, mut begin) = (false, 0);
        for &end in &self.ends {
            for edge in self.points[begin..end as usize].windows(2) {
                let ((one_lat, one_lon), (other_lat, other_lon)) = (edge[0], edge[1]);
                if (one_lat > latitude) != (other_lat > latitude) {
                    let share = (latitude - one_lat) / (other_lat - one_lat);
                    is_inside ^= longitude < one_lon + share * (other_lon - one_lon);
                }
            }
            begin = end as usize;
        }
        is_inside
    }
}

/// An unwrapped longitude as one within ±180.
pub(super) fn wrapped(degrees: f64) -> f64 {
    match degrees {
        degrees if degrees > 180.0 => degrees - 360.0,
        degrees if degrees < -180.0 => degrees + 360.0,
        degrees => degrees,
    }
}

fn check(at: usize, ring: &[(f64, f64)]) -> Result<(), PolygonError> {
    let is_in_range = |point: &(f64, f64)| point.0.abs() <= 90.0 && point.1.abs() <= 180.0;
    if ring.len() < 4 {
        return Err(PolygonError::TooFewPoints { ring: at });
    }
    if !ring.iter().all(is_in_range) {
        return Err(PolygonError::OutOfRange { ring: at });
    }
    if ring.first() != ring.last() {
        return Err(PolygonError::NotClosed { ring: at });
    }
    Ok(())
}

/// Lets the longitudes of a ring continue across the antimeridian.
fn unwrap_longitudes(at: usize, ring: &mut [(f64, f64)]) -> Result<(), PolygonError> {
    let mut turns = 0.0;
    for place in 1..ring.len() {
        let step = ring[place].1 + turns - ring[place - 1].1;
        if step > 180.0 {
            turns -= 360.0;
        } else if step < -180.0 {
            turns += 360.0;
        }
        ring[place].1 += turns;
    }
    if turns != 0.0 {
        return Err(PolygonError::AroundThePole { ring: at });
    }
    let longitudes = || ring.iter().map(|point| point.1);
    let (west, east) =
        (longitudes().fold(f64::INFINITY, f64::min), longitudes().fold(f64::NEG_INFINITY, f64::max));
    if east - west > 360.0 { Err(PolygonError::TooWide { ring: at }) } else { Ok(()) }
}
