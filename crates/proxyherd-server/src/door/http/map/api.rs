//! `/v1/map`, `/v1/herd` and `/v1/rights`: what the map asks a server about itself, about the herd, and about the
//! rights of the map's own token.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use proxyherd_config::{clock, config::WebOrigin};
use serde::Serialize;

use crate::{
    caller::Caller,
    door::http::{media, problem::Problem, query::Query, small_json},
    herd::{Herd, KnownLink, KnownServer},
};

#[derive(Debug, Serialize)]
struct ShownMap<'a> {
    server: &'a str,
    /// Whether tokens decide what a caller may do.
    tokens: bool,
    tiles: Option<ShownTiles<'a>>,
    /// Whether the server is in `proxyherd demo`.
    demo: bool,
    version: &'static str,
}

#[derive(Debug, Serialize)]
struct ShownTiles<'a> {
    url: &'a str,
    attribution: &'a str,
}

#[derive(Debug, Serialize)]
struct ShownHerd<'a> {
    server: &'a str,
    servers: Vec<ShownServer<'a>>,
}

#[derive(Debug, Serialize)]
struct ShownServer<'a> {
    name: &'a str,
    http: Vec<&'a str>,
    links: Vec<ShownLink<'a>>,
}

#[derive(Debug, Serialize)]
struct ShownLink<'a> {
    neighbor: &'a str,
    up: Option<bool>,
    eager: bool,
}

/// What the caller may do, for at least one client.
#[derive(Debug, Serialize)]
struct ShownRights {
    report: bool,
    read: bool,
    places: bool,
    operate: bool,
}

/// What a page must know before it has a token. None of it is secret.
pub(in crate::door::http) async fn get_map(
    State(herd): State<Arc<Herd>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    media::accepted(&headers, &[small_json::MEDIA_TYPE])?;
    Query::of(&uri, &[], &[])?;
    let map = herd.map_settings();
    let tiles = map.tiles.as_deref().map(|url| ShownTiles { url, attribution: &map.attribution });
    Ok(small_json::answer(&ShownMap {
        server: herd.name().as_str(),
        tokens: herd.are_tokens_on(),
        tiles,
        demo: herd.is_in_demo(),
        version: env!("CARGO_PKG_VERSION"),
    }))
}

/// The servers of the herd, with their HTTP doors and links.
pub(in crate::door::http) async fn get_herd(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    media::accepted(&headers, &[small_json::MEDIA_TYPE])?;
    Query::of(&uri, &[], &[])?;
    let known = herd.known_servers(&caller)?;
    let servers = known.iter().map(ShownServer::of).collect();
    Ok(small_json::answer(&ShownHerd { server: herd.name().as_str(), servers }))
}

/// What the token of this request allows. Where tokens are off, everything is allowed.
pub(in crate::door::http) async fn get_rights(
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    media::accepted(&headers, &[small_json::MEDIA_TYPE])?;
    Query::of(&uri, &[], &[])?;
    let (rights, now_ns) = (&caller.rights, clock::now_ns());
    Ok(small_json::answer(&ShownRights {
        report: rights.may_report_some(now_ns),
        read: rights.may_read_some(now_ns),
        places: rights.may_ask_places(now_ns),
        operate: rights.may_operate(now_ns),
    }))
}

impl<'a> ShownServer<'a> {
    fn of(known: &'a KnownServer) -> ShownServer<'a> {
        ShownServer {
            name: known.name.as_str(),
            http: known.http.iter().map(WebOrigin::as_str).collect(),
            links: known.links.iter().map(ShownLink::of).collect(),
        }
    }
}

impl<'a> ShownLink<'a> {
    fn of(known: &'a KnownLink) -> ShownLink<'a> {
        ShownLink { neighbor: known.neighbor.as_str(), up: known.up, eager: known.eager }
    }
}
