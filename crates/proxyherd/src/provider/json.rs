//! Reads what others have written as JSON, leniently: a field that is absent, or not what it should be, is not
//! known, and the rest counts all the same.

use proxyherd_core::places::{BusinessStatus, Point, Rating, Text};
use serde_json::Value;

/// Text that is not empty.
pub(super) fn text(value: &Value) -> Option<Text> {
    value.as_str().filter(|text| !text.is_empty()).map(|text| Text::Owned(text.to_owned()))
}

/// A list's texts; what is none is left out.
pub(super) fn texts(value: &Value) -> Vec<Text> {
    items(value).filter_map(text).collect()
}

/// A list's items; what is no list has none.
pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A count.
pub(super) fn count(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|count| u32::try_from(count).ok())
}

/// A number of stars.
pub(super) fn rating(value: &Value) -> Option<Rating> {
    value.as_f64().and_then(Rating::new)
}

/// A point, by the names of its latitude and its longitude. One that is left out is 0: so Google's encoding writes
/// numbers, and there are places on the equator. Without either there is no point.
pub(super) fn point(value: &Value, latitude: &str, longitude: &str) -> Option<Point> {
    let degrees = |name: &str| match &value[name] {
        Value::Null => Some(0.0),
        degrees => degrees.as_f64(),
    };
    let is_point = !value[latitude].is_null() || !value[longitude].is_null();
    if is_point { Point::new(degrees(latitude)?, degrees(longitude)?) } else { None }
}

/// Google's word for whether a place is in business.
pub(super) fn business_status(value: &Value) -> Option<BusinessStatus> {
    use BusinessStatus::{ClosedPermanently, ClosedTemporarily, Operational};
    let word = value.as_str()?;
    [Operational, ClosedTemporarily, ClosedPermanently].into_iter().find(|status| status.as_str() == word)
}
