//! HTTP connections: taking them, serving each within the limits, ending them when the server stops.
//!
//! It knows nothing of paths and answers, which are the router's.

use std::{fmt::Display, net::SocketAddr, pin::pin, sync::Arc};

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    limits::{CONNECTIONS_MAX, HEAD_LEN_MAX, HEAD_MAX, PARTING_MAX, WRITE_MAX},
    undated,
};
use crate::{
    caller::{Caller, Rights},
    clock,
    door::kind::DoorKind,
    herd::Herd,
    listen,
    log::{LogLevel, Subject},
};

/// Room for as many connections as there may be, for all addresses of the door together.
pub(super) fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(CONNECTIONS_MAX))
}

/// Takes connections until `stop` while there is `room`, each in a task of its own among `tasks`.
pub(super) async fn accept_all(
    herd: Arc<Herd>,
    router: Router,
    listener: TcpListener,
    room: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let _pulse = herd.health().pulse("the door for HTTP");
    let router = router.layer(from_fn_with_state(Arc::clone(&room), give_way));
    while let Some(Ok(place)) = stop.run_until_cancelled(Arc::clone(&room).acquire_owned()).await {
        let Some((stream, client)) = listen::accept(&listener, herd.log(), &stop).await else { return };
        let (herd, router, stop) = (Arc::clone(&herd), router.clone(), stop.clone());
        tasks.spawn(async move {
            // As yet everybody may do everything.
            let caller = Caller { address: client, door: DoorKind::Http, rights: Rights::ALL };
            serve(&herd, router.layer(Extension(caller)), stream, client, &stop).await;
            drop(place);
        });
    }
}

/// Where there is no room for one more, a connection ends with the answer that it waits for: however busy those are that
/// are here, the next has its turn.
async fn give_way(State(room): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if room.available_permits() == 0 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn serve(herd: &Herd, router: Router, stream: TcpStream, client: SocketAddr, stop: &CancellationToken) {
    // An answer leaves in one write; there is nothing to wait for. Where that can't be set, it is only slower.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_MAX));
    if !clock::has_date() {
        let served = stop_after(stop, undated::serve(router, Box::pin(stream))).await;
        return tell_end(herd, client, served.unwrap_or(Ok(())));
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_LEN_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            // Whoever has begun a request and does not end it is not waited for.
            timeout(PARTING_MAX, connection).await.unwrap_or(Ok(()))
        }
    };
    tell_end(herd, client, ended);
}

/// Waits for `served`, but no longer than [`PARTING_MAX`] after `stop`; `None` if that time is over.
async fn stop_after<T>(stop: &CancellationToken, served: impl Future<Output = T>) -> Option<T> {
    let overdue = async {
        stop.cancelled().await;
        sleep(PARTING_MAX).await;
    };
    tokio::select! {
        served = served => Some(served),
        () = overdue => None,
    }
}

fn tell_end(herd: &Herd, client: SocketAddr, ended: Result<(), impl Display>) {
    if let Err(error) = ended {
        let message = format_args!("the HTTP connection closed: {error}");
        herd.log().event(LogLevel::Debug, Subject::Client(client), message);
    }
}
