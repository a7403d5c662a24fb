//! `/v1/clients/{id}/places`: the places around a client, as Nearby Search JSON.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use proxyherd_core::{
    command::{Around, Nearby},
    limits::{PLACES_MAX, RADIUS_M_MAX, WISH_TEXT_LEN_MAX},
    places::Wish,
};

use super::{JSON, client_id::PathId};
use crate::{
    caller::Caller,
    clock,
    door::http::{media, nearby, problem::Problem, query::Query},
    herd::Herd,
};

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
    Ok(found.ok_or_else(|| id.unknown())?.into_response(&herd, limit, wish.kind.as_deref()))
}

/// The type of places. An empty type would find nothing.
fn kind_of(text: &str) -> Result<String, Problem> {
    if (1..=WISH_TEXT_LEN_MAX).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(Problem::invalid(format!("`type` takes one type of places, of 1 to {WISH_TEXT_LEN_MAX} bytes")))
}
