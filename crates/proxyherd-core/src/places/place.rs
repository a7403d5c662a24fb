//! One place, as Nearby Search (Legacy) describes it.

use std::borrow::Cow;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::distance::cosine;

/// A text that is part of the program or was received.
pub type Text = Cow<'static, str>;

/// The known properties of a place. The answer leaves out unknown properties, and never prints them as null.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Whether the place is in business. A place that is permanently closed is also printed as `permanently_closed`.
    pub business_status: Option<BusinessStatus>,
    /// The place's position.
    pub geometry: Geometry,
    /// A valid URL of a picture for the place's kind.
    pub icon: Option<Text>,
    /// The color behind the icon's mask, as `#RRGGBB`.
    pub icon_background_color: Option<Text>,
    /// The URL of the icon's mask, without its file name's extension.
    pub icon_mask_base_uri: Option<Text>,
    /// The place's name.
    pub name: Text,
    /// Whether the place is open now: `opening_hours.open_now`.
    pub open_now: Option<bool>,
    /// Pictures of the place.
    pub photos: Vec<Photo>,
    /// The place's permanent ID within its provider. Also printed as `reference`, which means the same.
    pub place_id: Text,
    /// The place's Open Location Code.
    pub plus_code: Option<PlusCode>,
    /// The price level, from 0 (free) to 4 (very expensive).
    pub price_level: Option<u8>,
    /// The rating by the place's visitors.
    pub rating: Option<Rating>,
    /// The scope within which the place's ID is valid, such as `GOOGLE`.
    pub scope: Option<Text>,
    /// The place's kinds, the most specific first.
    pub types: Cow<'static, [Text]>,
    /// The number of visitors who rated the place.
    pub user_ratings_total: Option<u32>,
    /// A short address, or the region in which the place is.
    pub vicinity: Option<Text>,
}

impl Place {
    /// A place of which only the required properties are known.
    pub fn new(place_id: impl Into<Text>, name: impl Into<Text>, geometry: Geometry) -> Place {
        Place {
            business_status: None,
            geometry,
            icon: None,
            icon_background_color: None,
            icon_mask_base_uri: None,
            name: name.into(),
            open_now: None,
            photos: Vec::new(),
            place_id: place_id.into(),
            plus_code: None,
            price_level: None,
            rating: None,
            scope: None,
            types: Cow::Borrowed(&[]),
            user_ratings_total: None,
            vicinity: None,
        }
    }
}

/// Whether a place is in business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusinessStatus {
    /// The place is in business.
    Operational,
    /// The place is closed, but will be in business again.
    ClosedTemporarily,
    /// The place is permanently closed.
    ClosedPermanently,
}

impl BusinessStatus {
    /// Google's word for the status.
    pub fn as_str(self) -> &'static str {
        match self {
            BusinessStatus::Operational => "OPERATIONAL",
            BusinessStatus::ClosedTemporarily => "CLOSED_TEMPORARILY",
            BusinessStatus::ClosedPermanently => "CLOSED_PERMANENTLY",
        }
    }
}

/// Where a place is, and what a map should show around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geometry {
    /// The center of the place, or its door.
    pub location: Point,
    /// The part of the map that shows the place well.
    pub viewport: Viewport,
}

/// A point on Earth, in degrees. The numbers are finite and in range, so the point can always be printed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    latitude: f64,
    longitude: f64,
}

impl Point {
    /// Takes degrees north within ±90 and degrees east within ±180.
    pub fn new(latitude: f64, longitude: f64) -> Option<Point> {
        let valid = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        // Adding zero turns a negative zero, which would print as `-0`, into a plain one.
        valid.then_some(Point { latitude: latitude + 0.0, longitude: longitude + 0.0 })
    }

    /// Degrees north.
    pub fn latitude(self) -> f64 {
        self.latitude
    }

    /// Degrees east.
    pub fn longitude(self) -> f64 {
        self.longitude
    }
}

/// A box on the map. If the box crosses the antimeridian, its east is less than its west.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Viewport {
    /// The corner at the highest latitude.
    pub northeast: Point,
    /// The corner at the lowest latitude.
    pub southwest: Point,
}

impl Viewport {
    /// A box that reaches `half_height` degrees north and south of a point and is about as wide as it is high on the
    /// ground. The box ends at the poles, wraps at the antimeridian, and is rounded to 10⁻⁵ degrees, about a meter.
    pub fn around(center: Point, half_height: f64) -> Viewport {
        let half_width = (half_height / cosine(center.latitude).max(f64::MIN_POSITIVE)).min(180.0);
        let corner = |north: f64, east: f64| Point {
            latitude: rounded((center.latitude + north).clamp(-90.0, 90.0)),
            longitude: rounded(wrapped(center.longitude + east)),
        };
        if half_width == 180.0 {
            // Every meridian is within the box. If both edges were wrapped, the box would have no width.
            let edge = |north: f64, longitude: f64| Point { longitude, ..corner(north, 0.0) };
            return Viewport { northeast: edge(half_height, 180.0), southwest: edge(-half_height, -180.0) };
        }
        Viewport { northeast: corner(half_height, half_width), southwest: corner(-half_height, -half_width) }
    }
}

fn wrapped(longitude: f64) -> f64 {
    if longitude > 180.0 {
        longitude - 360.0
    } else if longitude < -180.0 {
        longitude + 360.0
    } else {
        longitude
    }
}

/// Rounds to 10⁻⁵ degrees. The rounding uses an integer, which has no negative zero and needs no call.
fn rounded(degrees: f64) -> f64 {
    let units = (degrees * 1e5 + 0.5f64.copysign(degrees)) as i64;
    units as f64 / 1e5
}

/// A picture that clients can request from Google by its reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    /// The picture's height, pixels.
    pub height: u32,
    /// The attributions that must be shown with the picture.
    pub html_attributions: Vec<Text>,
    /// The reference by which Google knows the picture.
    pub photo_reference: Text,
    /// The picture's width, pixels.
    pub width: u32,
}

/// An Open Location Code, in either form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlusCode {
    /// The short code and the town it is relative to.
    pub compound_code: Option<Text>,
    /// The whole code.
    pub global_code: Text,
}

/// An average of stars, from 0 to 5 in tenths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rating {
    tenths: u8,
}

impl Rating {
    /// Rounds a number of stars within 0 and 5 to tenths.
    pub fn new(stars: f64) -> Option<Rating> {
        (0.0..=5.0).contains(&stars).then(|| Rating { tenths: (stars * 10.0).round() as u8 })
    }

    /// The number of stars.
    pub fn stars(self) -> f64 {
        f64::from(self.tenths) / 10.0
    }
}

/// An ID for a place from a source without IDs. The ID is the same on every server and in every release as long as the
/// place keeps its name and its point. `source` identifies the source.
pub fn place_id(source: &str, name: &str, location: Point) -> String {
    let mut point = [0; 16];
    point[..8].copy_from_slice(&location.latitude.to_le_bytes());
    point[8..].copy_from_slice(&location.longitude.to_le_bytes());
    let hash = xxh3_64_with_seed(name.as_bytes(), xxh3_64(&point));
    let mut id = String::with_capacity(source.len() + 16);
    id.push_str(source);
    for nibble in (0..16).rev() {
        id.push(char::from(b"0123456789abcdef"[(hash >> (4 * nibble)) as usize & 0xf]));
    }
    id
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(latitude: f64, longitude: f64) -> Point {
        Point::new(latitude, longitude).unwrap()
    }

    #[test]
    fn a_point_is_finite_and_in_range() {
        for (latitude, longitude, valid) in [
            (90.0, 180.0, true),
            (-90.0, -180.0, true),
            (90.1, 0.0, false),
            (0.0, -180.1, false),
            (f64::NAN, 0.0, false),
            (0.0, f64::INFINITY, false),
        ] {
            assert_eq!(Point::new(latitude, longitude).is_some(), valid, "{latitude} {longitude}");
        }
        assert!(point(-0.0, -0.0).latitude().is_sign_positive());
    }

    #[test]
    fn a_viewport_wraps_at_the_antimeridian_and_ends_at_the_poles() {
        for (center, northeast, southwest) in [
            (point(0.0, 0.0), point(0.5, 0.5), point(-0.5, -0.5)),
            (point(60.0, 10.0), point(60.5, 11.0), point(59.5, 9.0)),
            (point(0.0, 179.75), point(0.5, -179.75), point(-0.5, 179.25)),
            (point(0.0, -179.75), point(0.5, -179.25), point(-0.5, 179.75)),
            (point(90.0, 7.0), point(90.0, 180.0), point(89.5, -180.0)),
            (point(-90.0, 7.0), point(-89.5, 180.0), point(-90.0, -180.0)),
        ] {
            assert_eq!(Viewport::around(center, 0.5), Viewport { northeast, southwest }, "{center:?}");
        }
    }

    #[test]
    fn a_rating_is_in_tenths_of_five_stars() {
        for (stars, tenths) in [(0.0, Some(0)), (4.26, Some(43)), (5.0, Some(50)), (5.01, None), (-0.1, None)]
        {
            assert_eq!(Rating::new(stars).map(|rating| rating.tenths), tenths, "{stars}");
        }
        assert_eq!(Rating::new(f64::NAN), None);
    }

    #[test]
    fn an_id_follows_the_name_and_the_point() {
        let id = place_id("gn", "Paris", point(48.85341, 2.3488));
        // This expected value must never change: a release that changed it would orphan every ID that clients have
        // kept.
        assert_eq!(id, "gn988ade6d389f347f");
        assert_ne!(id, place_id("gn", "Pariz", point(48.85341, 2.3488)));
        assert_ne!(id, place_id("gn", "Paris", point(48.85341, 2.34881)));
        assert_ne!(id, place_id("gn", "Paris", point(2.3488, 48.85341)));
    }

    proptest! {
        #[test]
        fn a_viewport_is_in_range_and_holds_its_centre(
            latitude in -90f64..=90.0, longitude in -180f64..=180.0, half_height in 0.001f64..2.0,
        ) {
            let Viewport { northeast, southwest } = Viewport::around(point(latitude, longitude), half_height);
            prop_assert!(Point::new(northeast.latitude, northeast.longitude).is_some());
            prop_assert!(Point::new(southwest.latitude, southwest.longitude).is_some());
            prop_assert!(southwest.latitude <= latitude && latitude <= northeast.latitude);
            let (west, east) = (southwest.longitude, northeast.longitude);
            let inside = if west <= east {
                west <= longitude && longitude <= east
            } else {
                west <= longitude || longitude <= east
            };
            prop_assert!(inside, "{west} {longitude} {east}");
        }
    }
}
