//! What is asked about places.

use super::Point;
use crate::limits::RADIUS_M_MAX;
use crate::types::{Coordinates, Radius};

/// A question: which places lie within a circle?
///
/// Everything that shapes an answer belongs here (type, keyword, language and rank join once a provider heeds
/// them), for two questions that are equal may share one answer. How many places are printed shapes nothing
/// and stays outside.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Query {
    /// Of the circle's centre, degrees north, within ±90.
    pub latitude: f64,
    /// Of the circle's centre, degrees east, within ±180.
    pub longitude: f64,
    /// The circle's radius in metres, over 0 and at most [`RADIUS_M_MAX`].
    pub radius_m: f64,
}

impl Query {
    /// Asks about the places around a client.
    pub fn around(coordinates: Coordinates, radius: Radius) -> Query {
        Query {
            latitude: coordinates.latitude().degrees(),
            longitude: coordinates.longitude().degrees(),
            radius_m: radius.metres(),
        }
    }

    /// Asks about any circle whose radius is in range.
    pub fn within(centre: Point, radius_m: f64) -> Option<Query> {
        (radius_m > 0.0 && radius_m <= f64::from(RADIUS_M_MAX)).then_some(Query {
            latitude: centre.latitude(),
            longitude: centre.longitude(),
            radius_m,
        })
    }
}

impl From<(Coordinates, Radius)> for Query {
    fn from((coordinates, radius): (Coordinates, Radius)) -> Query {
        Query::around(coordinates, radius)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_in_degrees_and_metres() {
        let coordinates = Coordinates::parse(b"+34.068930-118.445127").unwrap();
        let query = Query::from((coordinates, Radius::parse_km(b"10").unwrap()));
        assert_eq!((query.latitude, query.longitude, query.radius_m), (34.068930, -118.445127, 10_000.0));
    }

    #[test]
    fn a_radius_out_of_range_is_no_query() {
        let centre = Point::new(0.0, 0.0).unwrap();
        for (radius_m, valid) in [
            (0.0, false),
            (-1.0, false),
            (f64::NAN, false),
            (1e-6, true),
            (50_000.0, true),
            (50_000.1, false),
            (f64::INFINITY, false),
        ] {
            assert_eq!(Query::within(centre, radius_m).is_some(), valid, "{radius_m}");
        }
    }
}
