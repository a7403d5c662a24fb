//! Which clients a stream is about: by ID, by place, and by attributes.

use crate::polygon::{Polygon, wrapped};
use proxyherd_core::{
    codec::where_clause::WhereClause,
    command::Bounds,
    places::{Center, EARTH_RADIUS_M, Point, Separation},
    types::{Attributes, Coordinates, IdPattern},
};

/// The clients that a stream is about. All parts that are given must hold.
///
/// ```
/// use proxyherd_core::types::{Attributes, Coordinates, IdPattern};
/// use proxyherd_streams::StreamFilter;
/// let filter = StreamFilter { ids: IdPattern::parse(b"courier-*").into_iter().collect(), ..StreamFilter::default() };
/// let here = Coordinates::parse(b"+34.068930-118.445127").unwrap();
/// assert!(filter.matches(b"courier-7", here, Attributes::NONE));
/// assert!(!filter.matches(b"van-7", here, Attributes::NONE));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamFilter {
    /// The patterns of which a client's ID must match at least one; none: all clients.
    pub ids: Vec<IdPattern>,
    /// The patterns of the IDs that the reader may read; none: all clients.
    pub readable: Vec<IdPattern>,
    /// The circle in which the client must be: its center, and its radius in meters.
    pub circle: Option<(Point, f64)>,
    /// The box in which the client must be.
    pub bounds: Option<Bounds>,
    /// The polygon in which the client must be.
    pub polygon: Option<Polygon>,
    /// The filter by attributes.
    pub clause: Option<WhereClause>,
}

impl StreamFilter {
    /// Whether a client at this position and with these attributes matches.
    pub fn matches(&self, client: &[u8], coordinates: Coordinates, attributes: Attributes<'_>) -> bool {
        self.matches_id(client)
            && self.contains(coordinates)
            && self.clause.as_ref().is_none_or(|clause| clause.matches(attributes))
    }

    /// Whether a client with this ID can match.
    pub fn matches_id(&self, client: &[u8]) -> bool {
        let is_among = |patterns: &[IdPattern]| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(client))
        };
        is_among(&self.ids) && is_among(&self.readable)
    }

    /// Whether the filter has a place or attributes, so that a client can begin and cease to match.
    pub fn depends_on_records(&self) -> bool {
        self.has_area() || self.clause.is_some()
    }

    /// Whether the filter has a place.
    pub fn has_area(&self) -> bool {
        self.circle.is_some() || self.bounds.is_some() || self.polygon.is_some()
    }

    /// The patterns that limit the IDs most directly; none: all clients.
    pub(super) fn patterns(&self) -> &[IdPattern] {
        if self.ids.is_empty() { &self.readable } else { &self.ids }
    }

    /// A box that contains every position that matches; `None`: the whole Earth.
    pub fn bounds_of(&self) -> Option<Bounds> {
        let circle = self.circle.map(|(center, radius_m)| around(center, radius_m));
        let polygon = self.polygon.as_ref().map(Polygon::bounds);
        let given = [self.bounds, circle, polygon].into_iter().flatten();
        given.min_by(|one, other| extent(one).total_cmp(&extent(other)))
    }

    fn contains(&self, coordinates: Coordinates) -> bool {
        let (latitude, longitude) = (coordinates.latitude().degrees(), coordinates.longitude().degrees());
        let is_in_circle = |(center, radius_m): (Point, f64)| {
            let center = Center::new(center.latitude(), center.longitude());
            center.separation(latitude, longitude) <= reach(radius_m)
        };
        self.bounds.is_none_or(|bounds| bounds.contains(latitude, longitude))
            && self.circle.is_none_or(is_in_circle)
            && self.polygon.as_ref().is_none_or(|polygon| polygon.contains(latitude, longitude))
    }
}

/// The separation that is a radius. A circle cannot reach farther than the other side of the Earth.
pub(super) fn reach(radius_m: f64) -> Separation {
    Separation::of_meters(radius_m.clamp(0.0, std::f64::consts::PI * EARTH_RADIUS_M))
}

/// The number of square degrees of a box.
fn extent(bounds: &Bounds) -> f64 {
    let (south, north) = bounds.latitudes();
    let [(west, east), (other_west, other_east)] = bounds.longitudes();
    let other = if west == other_west { 0.0 } else { other_east - other_west };
    (north - south) * (east - west + other)
}

/// The box around a circle, with a margin that outweighs rounding.
fn around(center: Point, radius_m: f64) -> Bounds {
    let degrees = (radius_m.max(0.0) / EARTH_RADIUS_M).to_degrees() + 1e-6;
    let (south, north) = ((center.latitude() - degrees).max(-90.0), (center.latitude() + degrees).min(90.0));
    let from = Center::new(center.latitude(), center.longitude());
    let half = from.half_width(reach(radius_m), south, north).unwrap_or(180.0);
    let bounds = if half >= 180.0 {
        Bounds::new(south, -180.0, north, 180.0)
    } else {
        let (west, east) = (center.longitude() - half, center.longitude() + half);
        Bounds::new(south, wrapped(west), north, wrapped(east))
    };
    bounds.expect("degrees were clamped and wrapped")
}
