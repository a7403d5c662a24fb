//! `/v1/clients/{id}/places`: the places around a client, as Nearby Search JSON.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderValue, Uri, header},
    response::Response,
};
use proxyherd_config::clock;
use proxyherd_core::{
    command::{Around, Nearby},
    limits::{PLACES_MAX, RADIUS_M_MAX},
    places::Wish,
};

use super::{JSON, client_id::PathId};
use crate::{
    caller::Caller,
    door::http::{media, nearby, problem::Problem, query::Query},
    herd::Herd,
};

/// Maximum length of the name of a type of places, bytes.
pub(in crate::door::http) const KIND_LEN_MAX: usize = 100;
/// The radius of a query without one, meters.
const RADIUS_M_DEFAULT: f64 = 1000.0;

/// The places around the present position of a client.
pub(in crate::door::http) async fn get_places(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = PathId::of(&uri)?;
    media::accepted(&headers, &[JSON])?;
    let query = Query::of(&uri, &["radius_m", "limit", "type"], &[])?;
    let radius_m = query.number("radius_m", 1.0..=f64::from(RADIUS_M_MAX))?.unwrap_or(RADIUS_M_DEFAULT);
    let limit = query.whole("limit", 1..=usize::from(PLACES_MAX))?;
    let limit = limit.map_or(PLACES_MAX, |limit| limit as u8);
    let kind = query.text("type")?.map(kind_of).transpose()?;
    let wish = Wish { kind, ..Wish::default() };
    let asked = Nearby {
        around: Around::Client(id.client()),
        radius: nearby::radius_of(radius_m),
        limit,
        wish: wish.kind.is_some().then_some(&wish),
    };
    let found = nearby::look(&herd, &caller, clock::now_ns(), &asked).await?;
    let found = found.ok_or_else(|| id.unknown())?;
    let mut response = found.into_response(&herd, limit, wish.kind.as_deref());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The type of places, as Google writes types.
fn kind_of(text: &str) -> Result<String, Problem> {
    let is_type = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if (1..=KIND_LEN_MAX).contains(&text.len()) && text.bytes().all(is_type) {
        return Ok(text.to_owned());
    }
    Err(Problem::invalid(format!(
        "`type` takes one of Google's types of places, such as restaurant: at most {KIND_LEN_MAX} lower-case letters, \
         digits and `_`"
    )))
}
