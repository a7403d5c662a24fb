//! The geometry of a GeoJSON Polygon (RFC 7946, section 3.1.6), as the rings that its text lists.
//!
//! This module checks the form of the text only. Whether the rings are a polygon is for the caller to check: rings that
//! are not closed and positions out of range are returned as they are.

use super::members::{self, ElementsError, MembersError, Scalar};

/// A ring: its positions, each as latitude and longitude, degrees.
pub type Ring = Vec<(f64, f64)>;

/// Why a text is no GeoJSON Polygon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolygonTextError {
    /// The text is not JSON.
    #[error("this is not JSON: {0}")]
    Syntax(String),
    /// The text is JSON, but no Polygon.
    #[error(
        "a polygon is {{\"type\":\"Polygon\",\"coordinates\":[[[longitude,latitude],…],…]}}, a geometry of GeoJSON"
    )]
    NotPolygon,
    /// There are too many positions.
    #[error("a polygon has at most {0} positions in all its rings")]
    TooMany(usize),
}

/// Reads the rings of a Polygon with at most `positions_max` positions. A third number of a position, the altitude, is
/// skipped.
///
/// ```
/// # use proxyherd_core::codec::json::parse_polygon;
/// let text = br#"{"type":"Polygon","coordinates":[[[-118,34],[-117,34],[-117,35],[-118,34]]]}"#;
/// assert_eq!(parse_polygon(text, 10)?, [[(34.0, -118.0), (34.0, -117.0), (35.0, -117.0), (34.0, -118.0)]]);
/// # Ok::<(), proxyherd_core::codec::json::PolygonTextError>(())
/// ```
pub fn parse_polygon(json: &[u8], positions_max: usize) -> Result<Vec<Ring>, PolygonTextError> {
    let (mut is_polygon, mut coordinates) = (false, None);
    let read = members::read(json, |name, json| {
        match name {
            "type" => is_polygon = members::scalar(json) == Some(Scalar::Text("Polygon".into())),
            "coordinates" => coordinates = Some(json),
            _ => {}
        }
        Ok::<(), PolygonTextError>(())
    });
    read.map_err(|error| match error {
        MembersError::Syntax(error) => PolygonTextError::Syntax(error.to_string()),
        MembersError::NotObject => PolygonTextError::NotPolygon,
        MembersError::Refused(error) => error,
    })?;
    let coordinates = coordinates.filter(|_| is_polygon).ok_or(PolygonTextError::NotPolygon)?;
    let refusal = |error: ElementsError| match error {
        ElementsError::TooMany => PolygonTextError::TooMany(positions_max),
        ElementsError::NotArray | ElementsError::Syntax(_) => PolygonTextError::NotPolygon,
    };
    let (mut rings, mut left) = (Vec::new(), positions_max);
    for ring in members::elements(coordinates.as_bytes(), positions_max).map_err(refusal)? {
        let positions = members::elements(ring.get().as_bytes(), left).map_err(refusal)?;
        left -= positions.len();
        let ring: Option<Ring> = positions.iter().map(|position| read_position(position.get())).collect();
        rings.push(ring.ok_or(PolygonTextError::NotPolygon)?);
    }
    Ok(rings)
}

/// Reads `[longitude, latitude, …]` as latitude and longitude.
fn read_position(json: &str) -> Option<(f64, f64)> {
    let numbers = members::elements(json.as_bytes(), 3).ok()?;
    let [east, north, ..] = numbers[..] else { return None };
    let degrees = |json: &str| match members::scalar(json)? {
        Scalar::Number(digits) => digits.parse().ok().filter(|degrees: &f64| degrees.is_finite()),
        Scalar::Text(_) => None,
    };
    Some((degrees(north.get())?, degrees(east.get())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_read_in_their_order_and_bounded_together() {
        let rings = r#"{"coordinates":[[[1,2],[3,4,500]],[[-5.5,6e0]]],"type":"Polygon","bbox":[1]}"#;
        let expected = vec![vec![(2.0, 1.0), (4.0, 3.0)], vec![(6.0, -5.5)]];
        assert_eq!(parse_polygon(rings.as_bytes(), 3), Ok(expected));
        assert_eq!(parse_polygon(rings.as_bytes(), 2), Err(PolygonTextError::TooMany(2)));
        let empty = r#"{"type":"Polygon","coordinates":[]}"#;
        assert_eq!(parse_polygon(empty.as_bytes(), 2), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_polygon_is_refused() {
        for text in [
            "7",
            "{}",
            r#"{"type":"Polygon"}"#,
            r#"{"type":"Point","coordinates":[1,2]}"#,
            r#"{"type":"Polygon","coordinates":[1,2]}"#,
            r#"{"type":"Polygon","coordinates":[[1,2]]}"#,
            r#"{"type":"Polygon","coordinates":[[[1]]]}"#,
            r#"{"type":"Polygon","coordinates":[[[1,2,3,4]]]}"#,
            r#"{"type":"Polygon","coordinates":[[["1",2]]]}"#,
            r#"{"type":"Polygon","coordinates":[[[1e999,2]]]}"#,
        ] {
            assert_eq!(parse_polygon(text.as_bytes(), 9), Err(PolygonTextError::NotPolygon), "{text}");
        }
        for text in ["", "{", "{}x"] {
            let error = parse_polygon(text.as_bytes(), 9).unwrap_err();
            assert!(matches!(error, PolygonTextError::Syntax(_)), "{text} {error}");
        }
    }
}
