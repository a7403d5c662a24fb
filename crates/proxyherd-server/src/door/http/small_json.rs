//! Small bodies in JSON, such as those about tokens and shares: read with serde, and answered with `no-store`.
//!
//! Reports and clients, which are many, go through core's `codec::json` instead.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned, de::Error as _};

use super::problem::Problem;

/// The media type.
pub(super) const MEDIA_TYPE: &str = "application/json";

/// Reads a body that describes `what`. 400 for what is no JSON, 422 for JSON of another shape. The texts of serde can
/// repeat parts of the body.
pub(super) fn read<T: DeserializeOwned>(body: &[u8], what: &str) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            Problem::invalid(format!("the body does not describe {what}: {error}"))
        }
        _ => Problem::new(StatusCode::BAD_REQUEST, format!("the body is no JSON: {error}")),
    })
}

/// Reads a whole number or null. JSON has no integers, so `60.0` is one.
pub(super) fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else { return Ok(None) };
    let whole = number.as_u64().or_else(|| {
        let number = number.as_f64()?;
        (number.fract() == 0.0 && (0.0..1e15).contains(&number)).then_some(number as u64)
    });
    let whole = whole.and_then(|whole| T::try_from(whole).ok());
    whole.map(Some).ok_or_else(|| D::Error::custom(format!("{number} is not a whole number in range")))
}

/// The answer with this value, which must consist of texts, numbers, and lists of them.
pub(super) fn answer<T: Serialize>(value: &T) -> Response {
    let mut body = serde_json::to_vec(value).expect("texts and numbers are always JSON");
    body.push(b'\n');
    of_bytes(body)
}

/// The answer with this JSON.
pub(super) fn of_bytes(json: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, json).into_response()
}
