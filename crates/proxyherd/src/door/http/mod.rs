//! The HTTP door: places by Google's own path, for whoever has a Google client; health, metrics and status, for
//! operators and their tools. Loopback only until tokens exist, and not for web pages (`guard`).
//!
//! A connection gets a seat (`rooms`, `seat`) and is served in HTTP/1.1 or HTTP/2 (`connection`). Each request goes through
//! `visit`, which holds for all paths, to the router, which knows them.

mod body;
mod cache_status;
mod connection;
mod exposition;
mod guard;
mod limits;
mod metrics;
mod nearby;
pub(crate) mod parameters;
mod rooms;
mod seat;
mod status;
mod stream;
#[cfg(test)]
mod tests;
mod traffic;
mod undated;
mod visit;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    middleware::{from_fn, from_fn_with_state},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::status::{BudgetStatus, LinkStatus, ReportStatus, Status};
use self::{
    connection::Host,
    exposition::Format,
    limits::{ALONE_AFTER, BEHIND_MAX},
};
use crate::{config::Address, herd::Herd};

/// From this version of the link protocol on, a neighbour that has nothing to tell says so.
const CHECK_VERSION: u16 = 2;

/// Serves HTTP at `listener` until `stop`; `own` is what the configuration calls its address.
pub fn run(
    herd: &Arc<Herd>,
    own: &Address,
    listener: TcpListener,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let router = router(Arc::clone(herd), Arc::new(own.clone()));
    let host = Host { herd: Arc::clone(herd), router, tasks: tasks.clone(), stop: stop.clone() };
    tasks.spawn(connection::accept_all(host, listener));
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
    let stuck = herd.health.stuck();
    if stuck.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("stuck: {}\n", stuck.join(", ")))
    }
}

/// Clients may be sent here, and the next server of an upgrade may be restarted: this server is not stopping, its
/// configuration still names it, and it holds what its neighbors held or has had enough time for that.
async fn readyz(State(herd): State<Arc<Herd>>) -> impl IntoResponse {
    let (links, age) = (herd.links.all(), herd.started().elapsed());
    let spoken = links.iter().filter_map(|link| link.state().version).max();
    if herd.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "this server is stopping\n")
    } else if herd.is_removed() {
        (StatusCode::SERVICE_UNAVAILABLE, "herd.toml no longer names this server\n")
    } else if links.is_empty() || herd.map().is_caught_up() {
        (StatusCode::OK, "ok\n")
    } else if spoken.is_none() && age < ALONE_AFTER {
        (StatusCode::SERVICE_UNAVAILABLE, "no link is up yet\n")
    } else if spoken >= Some(CHECK_VERSION) && age < BEHIND_MAX {
        (StatusCode::SERVICE_UNAVAILABLE, "no neighbor has told all that it holds yet\n")
    } else {
        (StatusCode::OK, "ok\n")
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

async fn metrics(State(herd): State<Arc<Herd>>, headers: HeaderMap) -> impl IntoResponse {
    let format = Format::wanted(&headers);
    // A cache must not give one reader what another one asked for.
    let headers = [(header::CONTENT_TYPE, format.content_type()), (header::VARY, "Accept")];
    (headers, metrics::text(&herd, format))
}

async fn status(State(herd): State<Arc<Herd>>) -> impl IntoResponse {
    let status = serde_json::to_string(&Status::of(&herd)).expect("a status is made of strings and numbers");
    ([(header::CONTENT_TYPE, "application/json")], status + "\n")
}
