//! The HTTP door: health, metrics and status, for operators and their tools. Loopback only until tokens exist.

mod metrics;
mod status;

use std::{future::IntoFuture as _, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::{net::TcpListener, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::status::{LinkStatus, ReportStatus, Status};
use crate::{
    herd::Herd,
    log::{LogLevel, Subject},
};

/// A server that has links but no neighbour that answers takes clients all the same, so long after its start.
const ALONE_AFTER: Duration = Duration::from_secs(5);
/// How long requests that have begun may take when the server stops.
const PARTING_MAX: Duration = Duration::from_secs(1);

/// Serves HTTP at `listener` until `stop`.
pub fn run(herd: &Arc<Herd>, listener: TcpListener, tasks: &TaskTracker, stop: &CancellationToken) {
    let (herd, stop) = (Arc::clone(herd), stop.clone());
    tasks.spawn(async move {
        let served = axum::serve(listener, router(Arc::clone(&herd)));
        let served = served.with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::select! {
            Err(error) = served.into_future() => {
                let message = format_args!("the HTTP door closed: {error}");
                herd.log.event(LogLevel::Error, Subject::Server, message);
            }
            // Whoever has begun a request and does not end it is not waited for.
            () = async { stop.cancelled().await; sleep(PARTING_MAX).await } => {}
            else => {}
        }
    });
}

fn router(herd: Arc<Herd>) -> Router {
    Router::new()
        .route("/health/livez", get(livez))
        .route("/health/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/v1/status", get(status))
        .with_state(herd)
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

/// Clients may be sent here: the server is not on its way out, and it has had its chance to catch up.
async fn readyz(State(herd): State<Arc<Herd>>) -> impl IntoResponse {
    let mut links = herd.links.iter().map(|link| link.state().up_since.is_some()).peekable();
    let has_links = links.peek().is_some();
    if herd.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "this server is stopping\n")
    } else if has_links && !links.any(|is_up| is_up) && herd.started().elapsed() < ALONE_AFTER {
        (StatusCode::SERVICE_UNAVAILABLE, "no link is up yet\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn metrics(State(herd): State<Arc<Herd>>) -> impl IntoResponse {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], metrics::text(&herd))
}

async fn status(State(herd): State<Arc<Herd>>) -> Json<Status> {
    Json(Status::of(&herd))
}
