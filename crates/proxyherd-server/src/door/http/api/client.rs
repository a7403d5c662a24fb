//! `/v1/clients/{id}`: where a client is, and forgetting it.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use proxyherd_config::clock;
use proxyherd_core::codec::json;

use super::{GEO_JSON, JSON, PRIVATE, client_id::PathId};
use crate::{
    caller::Caller,
    door::http::{conditional, durability, media, problem::Problem, query::Query},
    herd::Herd,
};

/// The newest report of a client, as JSON or as a GeoJSON Feature.
pub(in crate::door::http) async fn get_client(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = PathId::of(&uri)?;
    Query::of(&uri, &[], &[])?;
    let kind = media::accepted(&headers, &[JSON, GEO_JSON])?;
    let found = herd.locate(&caller, clock::now_ns(), id.client(), |found| {
        let mut body = Vec::with_capacity(512);
        match kind {
            GEO_JSON => json::write_feature(&mut body, found, None),
            _ => json::write_client(&mut body, found, None),
        }
        body.push(b'\n');
        body
    })?;
    let body = found.ok_or_else(|| id.unknown())?;
    let mut response = conditional::answer(&headers, kind, PRIVATE, body);
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// Forgets a client in the whole herd. It makes no difference whether the client is known.
pub(in crate::door::http) async fn delete_client(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    let id = PathId::of(&uri)?;
    Query::of(&uri, &[], &[])?;
    herd.forget(&caller, clock::now_ns(), id.client())?;
    durability::wait_for_key(&herd, id.client().as_bytes()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
