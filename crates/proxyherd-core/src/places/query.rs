//! Queries for places.

use std::sync::Arc;

use super::Point;
use crate::limits::RADIUS_M_MAX;
use crate::types::{Coordinates, Radius};

/// A query: which places are within a circle?
///
/// It holds everything that determines an answer, because two identical queries may share one answer. The number of
/// places to print does not determine the answer, and is not part of the query.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Query {
    /// The latitude of the circle's center, degrees north, within ±90.
    pub latitude: f64,
    /// The longitude of the circle's center, degrees east, within ±180.
    pub longitude: f64,
    /// The circle's radius in meters, over 0 and at most [`RADIUS_M_MAX`].
    pub radius_m: f64,
    /// Further wishes about the places. Most queries have none.
    pub wish: Option<Arc<Wish>>,
}

/// The properties that a query wants of the places, other than their position. Each text has at most
/// [`WISH_TEXT_LEN_MAX`] bytes, and the page token at most [`PAGE_TOKEN_LEN_MAX`]. Texts are not empty.
///
/// [`WISH_TEXT_LEN_MAX`]: crate::limits::WISH_TEXT_LEN_MAX
/// [`PAGE_TOKEN_LEN_MAX`]: crate::limits::PAGE_TOKEN_LEN_MAX
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Wish {
    /// One of Google's types, such as `restaurant`.
    pub kind: Option<String>,
    /// A text that any known text of a place should match.
    pub keyword: Option<String>,
    /// A text that the place's name should match.
    pub name: Option<String>,
    /// The language, in the format of BCP 47.
    pub language: Option<String>,
    /// Which places come first.
    pub rank: Rank,
    /// Whether only places that are open now are wanted.
    pub is_open: bool,
    /// The lowest wanted price level, 0 to 4.
    pub price_min: Option<u8>,
    /// The highest wanted price level, 0 to 4.
    pub price_max: Option<u8>,
    /// The token that an earlier answer gave for its next page.
    pub page_token: Option<String>,
}

/// Which places come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rank {
    /// The places that the provider ranks highest.
    #[default]
    Prominence,
    /// The nearest places.
    Distance,
}

impl Query {
    /// A query for the places around a client.
    pub fn around(coordinates: Coordinates, radius: Radius) -> Query {
        Query {
            latitude: coordinates.latitude().degrees(),
            longitude: coordinates.longitude().degrees(),
            radius_m: radius.meters(),
            wish: None,
        }
    }

    /// A query for any circle whose radius is in range.
    pub fn within(center: Point, radius_m: f64) -> Option<Query> {
        (radius_m > 0.0 && radius_m <= f64::from(RADIUS_M_MAX)).then_some(Query {
            latitude: center.latitude(),
            longitude: center.longitude(),
            radius_m,
            wish: None,
        })
    }

    /// The same query with a wish. An empty wish counts as none.
    pub fn wishing(self, wish: Wish) -> Query {
        Query { wish: (wish != Wish::default()).then(|| Arc::new(wish)), ..self }
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
    fn a_query_is_in_degrees_and_meters() {
        let coordinates = Coordinates::parse(b"+34.068930-118.445127").unwrap();
        let query = Query::from((coordinates, Radius::parse_km(b"10").unwrap()));
        assert_eq!((query.latitude, query.longitude, query.radius_m), (34.068930, -118.445127, 10_000.0));
    }

    #[test]
    fn a_wish_that_says_nothing_is_none() {
        let query = Query::within(Point::new(1.0, 2.0).unwrap(), 5.0).unwrap();
        assert_eq!(query.clone().wishing(Wish::default()), query);
        let wish = Wish { rank: Rank::Distance, ..Wish::default() };
        assert_eq!(query.clone().wishing(wish.clone()).wish.as_deref(), Some(&wish));
    }

    #[test]
    fn a_radius_out_of_range_is_no_query() {
        let center = Point::new(0.0, 0.0).unwrap();
        for (radius_m, valid) in [
            (0.0, false),
            (-1.0, false),
            (f64::NAN, false),
            (1e-6, true),
            (50_000.0, true),
            (50_000.1, false),
            (f64::INFINITY, false),
        ] {
            assert_eq!(Query::within(center, radius_m).is_some(), valid, "{radius_m}");
        }
    }
}
