//! The HTTP door: places by Google's own path, for whoever has a Google client; health, metrics and status, for
//! operators and their tools. Loopback only until tokens exist, and not for web pages (`guard`).
//!
//! A connection gets a seat (`rooms`, `holder`, `seat`) and is served in HTTP/1.1 or HTTP/2 (`connection`). Each request goes through
//! `visit`, which holds for all paths, to the router, which knows them.

mod body;
mod cache_status;
mod connection;
mod denied;
mod exposition;
mod guard;
mod holder;
mod limits;
mod metrics;
mod nearby;
pub(crate) mod parameters;
mod rooms;
mod seat;
mod stream;
#[cfg(test)]
mod tests;
mod traffic;
mod undated;
mod visit;

use std::sync::Arc;

use self::{
    connection::{Host, Serving},
    exposition::Format,
    rooms::Rooms,
};
use super::entrance::{DoorListener, Entrance};
use crate::{
    caller::Caller,
    config::Address,
    herd::{Denied, Herd, Readiness},
};
use axum::{
    Extension, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    middleware::{from_fn, from_fn_with_state},
    response::IntoResponse,
    routing::get,
};

/// Serves HTTP until the entrance closes.
pub(crate) fn run(entrance: Entrance) {
    let host = |listener: &DoorListener| Host {
        herd: Arc::clone(&entrance.herd),
        router: router(Arc::clone(&entrance.herd), Arc::new(listener.own.clone())),
        tasks: entrance.tasks.clone(),
        stop: entrance.stop.clone(),
    };
    let hosts = entrance.listeners.iter().map(host).collect();
    let rooms = Rooms::new(entrance.herd.admission());
    entrance.open(Serving { hosts, rooms });
}

fn router(herd: Arc<Herd>, own: Arc<Address>) -> Router {
    let places = get(nearby::nearby).route_layer(from_fn(guard::no_foreign_page));
    Router::new()
        .route("/health/livez", get(livez))
        .route("/health/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/v1/status", get(status))
        .route("/maps/api/place/nearbysearch/json", places)
        .fallback(nothing_there)
        .method_not_allowed_fallback(nothing_but_get)
        .with_state(herd)
        .layer(from_fn_with_state(own, guard::known_host))
}

/// The process runs and answers, and nothing in it is stuck.
async fn livez(State(herd): State<Arc<Herd>>) -> impl IntoResponse {
    let stuck = herd.stuck();
    if stuck.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("stuck: {}\n", stuck.join(", ")))
    }
}

/// Whether clients may be sent here, and the next server of an upgrade may be restarted.
async fn readyz(State(herd): State<Arc<Herd>>) -> impl IntoResponse {
    let unready = |why| (StatusCode::SERVICE_UNAVAILABLE, why);
    match herd.readiness() {
        Readiness::Ready => (StatusCode::OK, "ok\n"),
        Readiness::Stopping => unready("this server is stopping\n"),
        Readiness::Removed => unready("herd.toml no longer names this server\n"),
        Readiness::Alone => unready("no link is up yet\n"),
        Readiness::Behind => unready("no neighbor has told all that it holds yet\n"),
    }
}

async fn nothing_there() -> impl IntoResponse {
    let paths = "there is nothing at this path; there are /health/livez, /health/readyz, /metrics, /v1/status and \
                 /maps/api/place/nearbysearch/json\n";
    (StatusCode::NOT_FOUND, paths)
}

async fn nothing_but_get() -> impl IntoResponse {
    (StatusCode::METHOD_NOT_ALLOWED, "this path can only be asked with GET or HEAD\n")
}

async fn metrics(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Denied> {
    let figures = herd.figures(&caller)?;
    let format = Format::wanted(&headers);
    // A cache must not give one reader what another one asked for.
    let headers = [(header::CONTENT_TYPE, format.content_type()), (header::VARY, "Accept")];
    Ok((headers, metrics::text(figures, format)))
}

async fn status(
    State(herd): State<Arc<Herd>>,
    Extension(caller): Extension<Caller>,
) -> Result<impl IntoResponse, Denied> {
    let status = serde_json::to_string(&herd.status(&caller)?);
    let status = status.expect("a status is made of strings and numbers");
    Ok(([(header::CONTENT_TYPE, "application/json")], status + "\n"))
}
